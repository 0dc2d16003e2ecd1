"""Chats as they are stored and carried between installations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from ragchat.types.documents import Citation
from ragchat.types.model import Message, Role, Sampling

MessageState = Literal["complete", "streaming", "cancelled", "interrupted", "error"]


@dataclass(frozen=True, slots=True)
class Timings:
    """What one answer cost. Seconds, tokens, tokens per second; 0 where nothing was measured."""

    retrieval_s: float = 0.0
    ttft_s: float = 0.0
    prefill_tok_s: float = 0.0
    decode_tok_s: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What a chat does otherwise than the settings say; None (and an empty model): as they say.

    `adapter` is what is switched on, as `AdapterScale` writes it; empty: none.
    `knowledge_bases` empty means none. `preset` is the name under which these were chosen, for the person only.
    """

    model: str = ""
    adapter: str = ""
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

    `siblings` are the messages that stand at the same place in other branches, itself among them, oldest first. `rating` is 1
    (good), -1 (bad) or 0; `correction` what the person says the answer should have been. `reasoning` is what a thinking model
    wrote before the answer.
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


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A part of the prompt and its size: "instructions", "history", "passage 1", "question", "template"."""

    name: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Generation:
    """What an answer was made from: enough to make it again. `left_out` are sentences for the person.

    Invariant: `sampling.seed` is the seed that was used. `parts` is empty for answers of before they were kept.
    """

    model: str
    model_path: str
    adapter: str
    knowledge_bases: tuple[str, ...]
    query: str
    prompt: tuple[Message, ...]
    left_out: tuple[str, ...]
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
    """A summary that stands for the messages of a branch up to and with `message_id` in the prompts after it."""

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
    """A message on its way between installations; `id` and `parent_id` (0: none) count within the chat alone."""

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
