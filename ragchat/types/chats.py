"""Chats as they are stored and carried between installations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from ragchat.types.answers import UNCHECKED, AnswerCheck, Quote
from ragchat.types.documents import Citation
from ragchat.types.model import AdapterScale, GenerationFinished, Message, Role, Sampling

MessageState = Literal["complete", "streaming", "cancelled", "interrupted", "error"]


@dataclass(frozen=True, slots=True)
class Timings:
    """What one answer cost. Seconds, tokens, tokens per second; 0 where nothing was measured.

    Of the `cached_tokens`, `ahead_tokens` were read before the question was sent and `restored_tokens` came from a snapshot;
    `wasted_tokens` were read ahead in vain, for `wasted_cpu_s` of processor time. Of `drafted_tokens` that were looked up in the
    prompt, the answer took `accepted_tokens`.
    """

    retrieval_s: float = 0.0
    ttft_s: float = 0.0
    prefill_tok_s: float = 0.0
    decode_tok_s: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    ahead_tokens: int = 0
    wasted_tokens: int = 0
    wasted_cpu_s: float = 0.0
    restored_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0

    @classmethod
    def of(cls, finished: GenerationFinished, *, retrieval_s: float, ttft_s: float) -> Timings:
        """Those of an answer that ended; `ttft_s` from the question to its first word."""
        return cls(
            retrieval_s=retrieval_s,
            ttft_s=ttft_s,
            prefill_tok_s=finished.prefill_tok_s,
            decode_tok_s=finished.decode_tok_s,
            prompt_tokens=finished.prompt_tokens,
            cached_tokens=finished.cached_tokens,
            completion_tokens=finished.completion_tokens,
            ahead_tokens=finished.ahead.used,
            wasted_tokens=finished.ahead.wasted,
            wasted_cpu_s=finished.ahead.wasted_cpu_s,
            restored_tokens=finished.restored_tokens,
            drafted_tokens=finished.drafted,
            accepted_tokens=finished.accepted,
        )


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What a chat does otherwise than the settings say; None (and an empty model): as they say.

    `adapters` are those that are switched on.
    `knowledge_bases` empty means none. `preset` is the name under which these were chosen, for the user only.
    """

    model: str = ""
    adapters: tuple[AdapterScale, ...] = ()
    knowledge_bases: tuple[str, ...] | None = None
    system_prompt: str | None = None
    strict: bool | None = None
    thinking: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    read_ahead: bool | None = None
    preset: str = ""

    def sampling(self, base: Sampling) -> Sampling:
        """`base` with what this chat chose; a seed below 0 draws one for each answer."""
        chosen = {
            name: value
            for name in ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "max_tokens")
            if (value := getattr(self, name)) is not None
        }
        if chosen.get("seed", 0) < 0:
            chosen["seed"] = None
        return replace(base, **chosen)


def text_of(content: str, *, notice: str = "", attachments: Sequence[str] = ()) -> str:
    """A message as people and later prompts read it: a notice above an answer, names of attachments below a question."""
    parts = [notice, content, *(f"(attached: {name})" for name in attachments)]
    return "\n\n".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A stored chat. `knowledge_bases` None means the default of the settings, empty means none; `model` is the one that
    answered last. `leaf_id` is the last message of the branch that is shown, 0 in an empty chat.
    """

    id: int
    title: str
    model: str
    knowledge_bases: tuple[str, ...] | None
    created_at: str
    updated_at: str
    pinned: bool = False
    tags: tuple[str, ...] = ()
    options: ChatOptions = field(default_factory=ChatOptions)
    leaf_id: int = 0


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A stored turn. `timings` is None unless a model wrote it; `error` is a sentence, empty unless state is "error".

    `siblings` are the messages that are at the same place in other branches, itself among them, oldest first. `rating` is 1
    (good), -1 (bad) or 0; `correction` what the user says the answer should have been. `reasoning` is what a thinking model
    wrote before the answer. `notice` is what ragchat says above an answer; `attachments` are the names of the files and passages
    that went with a question, each on one line. Neither is part of `content`.
    """

    id: int
    conversation_id: int
    role: Role
    content: str
    state: MessageState
    finish_reason: str
    error: str
    created_at: str
    citation_count: int
    timings: Timings | None
    parent_id: int = 0
    siblings: tuple[int, ...] = ()
    rating: int = 0
    correction: str = ""
    reasoning: str = ""
    reasoning_s: float = 0.0
    reasoning_tokens: int = 0
    notice: str = ""
    attachments: tuple[str, ...] = ()
    quotes: tuple[Quote, ...] = ()
    check: AnswerCheck = UNCHECKED

    @property
    def text(self) -> str:
        """All of it, as it is shown and as later prompts hold it."""
        return text_of(self.content, notice=self.notice, attachments=self.attachments)


class PromptPartKind(StrEnum):
    """What a part of the prompt is; the value is its name on screen and where it is stored."""

    INSTRUCTIONS = "instructions"
    SUMMARY = "summary of earlier turns"
    EXAMPLE = "worked example"
    HISTORY = "history"
    ATTACHED = "attached text"
    PASSAGE = "passage"
    QUESTION = "question"
    TEMPLATE = "template"
    FREE = "free for the answer"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A part of the prompt and its size in tokens. `number` is that of a passage, 0 for other parts."""

    kind: PromptPartKind
    tokens: int
    number: int = 0

    @property
    def name(self) -> str:
        """`question`, `passage 1`."""
        return f"{self.kind} {self.number}" if self.number else str(self.kind)

    @classmethod
    def named(cls, name: str, tokens: int) -> PromptPart:
        """The part of this name, as it is stored; a name that no one knows is OTHER."""
        kind, _, number = name.rpartition(" ")
        if kind == PromptPartKind.PASSAGE and number.isdecimal():
            return cls(PromptPartKind.PASSAGE, tokens, int(number))
        try:
            return cls(PromptPartKind(name), tokens)
        except ValueError:
            return cls(PromptPartKind.OTHER, tokens)


class OmissionKind(StrEnum):
    """What a prompt had to leave out."""

    PASSAGES = "passages"
    MESSAGES = "messages"
    PINNED = "pinned"
    ATTACHED = "attached"
    UNRELATED = "unrelated"
    """Passages of an attached text that shares no word with the question."""
    PARTS = "parts"
    """Parts of a document whose summary was stopped."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Omission:
    """`count` of `of` things were left out (0 of 0: not known). `n_ctx` is the context they did not fit into, in tokens.

    `name` is the attached file, empty for piped text; for OTHER it is a whole sentence, from a version that kept sentences.
    """

    kind: OmissionKind
    count: int = 0
    of: int = 0
    n_ctx: int = 0
    name: str = ""

    @property
    def sentence(self) -> str:
        """What the reader is told."""
        context = f"the context of {self.n_ctx} tokens"
        went_in = f"{self.of - self.count} of {self.of} passages were used"
        name = self.name or "the attached text"
        match self.kind:
            case OmissionKind.PASSAGES:
                return f"{self.count} of {self.of} passages did not fit in {context}."
            case OmissionKind.MESSAGES:
                return f"The {self.count} oldest messages of this chat did not fit in {context}."
            case OmissionKind.PINNED:
                return f"{self.count} of {self.of} pinned passages did not fit."
            case OmissionKind.ATTACHED:
                return f"Of {name}, {went_in}. The rest did not fit or is less relevant."
            case OmissionKind.UNRELATED:
                return f"Of {name}, {went_in}. It contains no word of the question, so these are from its beginning."
            case OmissionKind.PARTS:
                return f"Only {self.of - self.count} of {self.of} parts were read."
            case OmissionKind.OTHER:
                return self.name


@dataclass(frozen=True, slots=True)
class Generation:
    """What an answer was made from: enough to make it again. `left_out` is what had no room in the prompt.

    Invariant: `sampling.seed` is the seed that was used. `parts` is empty for answers of before they were kept.
    """

    model: str
    model_path: str
    adapters: tuple[AdapterScale, ...]
    knowledge_bases: tuple[str, ...]
    query: str
    prompt: tuple[Message, ...]
    left_out: tuple[Omission, ...]
    sampling: Sampling
    retrieval_s: float
    parts: tuple[PromptPart, ...] = ()
    n_ctx: int = 0


@dataclass(frozen=True, slots=True)
class MessageHit:
    """A message that a search over the chats found. `marks` are (first, last) characters of `snippet`, last exclusive."""

    message_id: int
    conversation_id: int
    title: str
    role: Role
    created_at: str
    snippet: str
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Compaction:
    """A summary that represents the messages of a branch up to and with `message_id` in the prompts after it."""

    id: int
    conversation_id: int
    message_id: int
    summary: str
    model: str
    created_at: str


@dataclass(frozen=True, slots=True)
class EvaluationQuestion:
    """A question to measure with. `source` is the path of the document that answers it, empty when none was named;
    `answerable` False: the documents hold no answer. `message_id` is the answer in a chat that it came from, 0 for others.
    """

    id: int
    question: str
    answers: tuple[str, ...]
    source: str
    quote: str
    tags: tuple[str, ...]
    answerable: bool
    message_id: int
    created_at: str


@dataclass(frozen=True, slots=True)
class PortableMessage:
    """A message on its way between installations; `id` and `parent_id` (0: none) count within the chat alone.

    `notice`, `attachments`, `quotes` and `check` as those of `StoredMessage`.
    """

    id: int
    parent_id: int
    role: Role
    content: str
    created_at: str = ""
    state: MessageState = "complete"
    finish_reason: str = ""
    rating: int = 0
    correction: str = ""
    reasoning: str = ""
    generation: Generation | None = None
    citations: tuple[Citation, ...] = ()
    notice: str = ""
    attachments: tuple[str, ...] = ()
    quotes: tuple[Quote, ...] = ()
    check: AnswerCheck = UNCHECKED

    @property
    def text(self) -> str:
        """All of it, as people and later prompts read it."""
        return text_of(self.content, notice=self.notice, attachments=self.attachments)


@dataclass(frozen=True, slots=True)
class PortableChat:
    """A whole chat with all its branches. `leaf_id` names the branch that is shown: its last message."""

    title: str
    created_at: str
    updated_at: str
    messages: tuple[PortableMessage, ...]
    leaf_id: int = 0
    pinned: bool = False
    tags: tuple[str, ...] = ()
    options: ChatOptions = field(default_factory=ChatOptions)

    @property
    def path(self) -> tuple[PortableMessage, ...]:
        """The branch that is shown, oldest first."""
        by_id = {message.id: message for message in self.messages}
        path: list[PortableMessage] = []
        at = by_id.get(self.leaf_id)
        while at is not None and len(path) < len(by_id):
            path.append(at)
            at = by_id.get(at.parent_id)
        return tuple(reversed(path))
