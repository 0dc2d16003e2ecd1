"""Frozen dataclasses that cross layers. No I/O, no behaviour beyond what a value knows of itself."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn as the model sees it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. temperature 0 is greedy; seed None draws one, which is then recorded.

    max_tokens 0 means: until the context is full.
    """

    temperature: float = 0.3
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.1
    seed: int | None = None
    max_tokens: int = 512
    stop: tuple[str, ...] = ()


# --- documents ------------------------------------------------------------------------------------------

DocumentState = Literal["indexed", "skipped", "failed", "changed", "missing"]
"""Stored are the first three; "changed" and "missing" are what a look at the disk makes of them."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a document's text. Characters count from 0, last exclusive; lines and pages from 1, inclusive.

    page_first is None for formats without pages.
    """

    char_first: int
    char_last: int
    line_first: int
    line_last: int
    page_first: int | None = None
    page_last: int | None = None


@dataclass(frozen=True, slots=True)
class ChunkDraft:
    """A chunk before it has a number: `text` is exactly the document's text over `span`."""

    text: str
    heading: str
    span: Span


@dataclass(frozen=True, slots=True)
class ExtractedText:
    """What an extractor made of a file. `page_starts[i]` is the character where page i + 1 begins (empty: no pages).

    Invariant: `text` is sanitised. `source_lines` says whether its lines are the lines of the file itself.
    """

    text: str
    media_type: str
    title: str = ""
    page_starts: tuple[int, ...] = ()
    source_lines: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A file that a knowledge base knows, indexed or not. `reason` says why not, and is empty when indexed."""

    id: int
    path: str
    state: DocumentState
    reason: str
    title: str
    media_type: str
    size: int
    mtime_ns: int
    content_hash: str
    chunk_count: int
    source_lines: bool
    indexed_at: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a search found. `rank` counts from 1, a higher `score` is better and is never 0.

    `evidence` is the sentence of the chunk that speaks to the query most.
    """

    rank: int
    score: float
    knowledge_base: str
    chunk_id: int
    document_id: int
    path: str
    title: str
    heading: str
    span: Span
    text: str
    content_hash: str
    evidence: str = ""
    language: str = "en"

    @property
    def place(self) -> str:
        """Page or lines, as a person would say them."""
        if self.span.page_first is not None:
            return f"p. {self.span.page_first}"
        if self.span.line_first == self.span.line_last:
            return f"line {self.span.line_first}"
        return f"lines {self.span.line_first}-{self.span.line_last}"


@dataclass(frozen=True, slots=True)
class Citation:
    """A `[n]` that an answer may carry, bound to the passage that stood under this number in the prompt.

    `quote` is the text the citation stands on, word for word from the passage; `used` says whether the answer cites it.
    """

    n: int
    hit: Hit
    quote: str
    used: bool = True


# --- language model -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of the model that is loaded. `flash_attention` and the threads are those in use.

    `thinks`: it was made to think before it answers, if it is let.
    """

    name: str
    path: str
    architecture: str
    description: str
    n_ctx: int
    n_ctx_train: int
    n_params: int
    size_bytes: int
    has_chat_template: bool
    prompt_format: str
    n_threads: int
    n_threads_batch: int
    flash_attention: bool
    thinks: bool = False


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """The model is being read (`stage` "load") or timed on this machine (`stage` "measure"); `fraction` is 0 to 1."""

    fraction: float
    stage: str = "load"


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """The prompt is being read: `done` of `total` tokens; `eta_s` None while unknown."""

    done: int
    total: int
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer, sanitised."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of what a thinking model writes before its answer, sanitised."""

    text: str


@dataclass(frozen=True, slots=True)
class GenerationFinished:
    """The end of one generation. Rates are tokens per second, 0 when nothing was measured.

    `cached_tokens` of the `prompt_tokens` were still in the KV cache and were not read again. `reasoning_tokens` of the
    `completion_tokens` were thinking, which took `reasoning_s`.
    """

    finish_reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    ttft_s: float
    prefill_tok_s: float
    decode_tok_s: float
    seed: int
    reasoning_tokens: int = 0
    reasoning_s: float = 0.0


GenerationEvent = LoadProgress | PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished


@dataclass(frozen=True, slots=True)
class AdapterScale:
    """An adapter that is switched on, and how strongly: 1.0 is as it was trained.

    As text, which is how chats and answers keep it, several stand as "facts+style:0.5"; empty: none. Names hold no ':' or '+'.
    """

    name: str
    scale: float = 1.0

    def __str__(self) -> str:
        return self.name if self.scale == 1.0 else f"{self.name}:{self.scale:g}"

    @staticmethod
    def parse(text: str) -> tuple[AdapterScale, ...]:
        """What `text` names, in its order. Raises ValueError for a scale that is no finite number."""
        adapters = []
        for part in filter(None, (part.strip() for part in text.split("+"))):
            name, _, scale = part.partition(":")
            adapters.append(AdapterScale(name.strip(), float(scale) if scale else 1.0))
        if not all(math.isfinite(adapter.scale) for adapter in adapters):
            raise ValueError(text)
        return tuple(adapters)

    @staticmethod
    def join(adapters: Sequence[AdapterScale]) -> str:
        """The text of several."""
        return "+".join(map(str, adapters))


@dataclass(frozen=True, slots=True)
class TokenSample:
    """A prompt and the answer to it as tokens of the model: `tokens[answer_start:]` is the answer with its end token.

    Invariant: 0 < answer_start < len(tokens); `tokens[:answer_start]` is what the model reads when it is asked in a chat.
    """

    tokens: tuple[int, ...]
    answer_start: int


@dataclass(frozen=True, slots=True)
class Score:
    """How likely the model finds an answer: `nll` is the sum of -ln p over its `tokens` tokens; `greedy` of these are the
    model's first choice.
    """

    nll: float
    tokens: int
    greedy: int


class CancelToken:
    """Set by whoever wants an end; read by whoever works. Safe across threads."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()


class ChatModel(Protocol):
    """The seam between the session and whatever generates text (`llm.client.InferenceClient`, `llm.fake.FakeModel`)."""

    thinking: bool
    """Whether a model that can think does so before it answers; may be changed between two answers."""

    def load(self, cancel: CancelToken | None = None) -> Iterator[LoadProgress]:
        """Make the model ready; a loaded model yields nothing. Raises ModelError."""

    @property
    def info(self) -> ModelInfo | None:
        """What is loaded, or None."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as it stands, foreign text without control tokens."""

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt as the chat template renders it, the opening of the answer included."""

    def render_prompt(self, messages: Sequence[Message]) -> str:
        """The prompt as the chat template writes it."""

    def generate(
        self, messages: Sequence[Message], sampling: Sampling, *, cancel: CancelToken
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
        """Stream one answer; the last event is always GenerationFinished. Raises ModelError.

        When `messages` end with an assistant's turn, the answer goes on from it: only what is new is streamed.
        """

    @property
    def adapters(self) -> str:
        """What is switched on, as `AdapterScale` writes it. After a load of another model: nothing."""

    def set_adapters(self, adapters: str) -> None:
        """Switch adapters on (empty: all off) for the loaded model, without reading it anew; the KV cache is dropped.

        Raises NotFoundError, AdapterError (broken, or of another base); what was on stays on then.
        """

    def encode(self, chats: Sequence[Sequence[Message]]) -> list[TokenSample]:
        """Tokens of each chat as the chat template writes it; the last message of each is the assistant's answer to learn."""

    def score(self, samples: Sequence[TokenSample]) -> list[Score]:
        """How likely each answer is after its prompt, with the adapters that are on."""

    def close(self) -> None:
        """Free the model; it can be loaded again."""


# --- chats ----------------------------------------------------------------------------------------------

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


# --- knowledge bases ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KnowledgeBaseOptions:
    """What a sync of one knowledge base takes in; kept in its file, so it travels with it.

    `include` and `exclude` hold patterns written as in .gitignore, relative to each root; an empty `include` takes everything.
    `max_file_bytes` None means the limit of the settings. `forgotten` holds real paths of files and folders that stay out with
    all below them, and document paths of rows, until they are added again.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_file_bytes: int | None = None
    follow_links: bool = False
    forgotten: tuple[str, ...] = ()

    def is_forgotten(self, path: str) -> bool:
        """Whether `path` or a folder above it was forgotten."""
        return any(
            path == gone or path.startswith(f"{gone.rstrip(os.sep)}{os.sep}") for gone in self.forgotten
        )


@dataclass(frozen=True, slots=True)
class RowSource:
    """A table whose rows are documents: a query of a SQLite file, or a CSV or TSV file with a header.

    `path` is real and absolute. `key` is the column whose value names a row; empty: a hash of the row does. `note` says what a
    person should know of the last sync. Invariant: kind, path and label tell sources apart.
    """

    kind: Literal["sqlite", "csv"]
    path: str
    label: str
    query: str = ""
    key: str = ""
    synced_at: str = ""
    note: str = ""

    @property
    def prefix(self) -> str:
        """How the document path of each of its rows begins; the key follows."""
        return f"{self.kind}:{self.path}?{self.label}#" if self.label else f"{self.kind}:{self.path}#"


def is_row(path: str) -> bool:
    """Whether a document's path is that of a row; paths of files are absolute."""
    return path.startswith(("sqlite:", "csv:"))


@dataclass(frozen=True, slots=True)
class KnowledgeBaseStatus:
    """Counts of one knowledge base. Invariant: found = indexed + skipped + failed (missing files are not found)."""

    name: str
    path: str
    roots: tuple[str, ...]
    found: int
    indexed: int
    skipped: int
    failed: int
    missing: int
    chunks: int
    revision: int
    size_bytes: int
    synced_at: str
    documents: tuple[Document, ...] = field(default=())
    options: KnowledgeBaseOptions = field(default=KnowledgeBaseOptions())
    sources: tuple[RowSource, ...] = field(default=())
