"""Frozen dataclasses that cross layers. No I/O, no behaviour beyond what a value knows of itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
    """What is known of the model that is loaded. `flash_attention` and the threads are those in use."""

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
class GenerationFinished:
    """The end of one generation. Rates are tokens per second, 0 when nothing was measured.

    `cached_tokens` of the `prompt_tokens` were still in the KV cache and were not read again.
    """

    finish_reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    ttft_s: float
    prefill_tok_s: float
    decode_tok_s: float
    seed: int


GenerationEvent = LoadProgress | PrefillProgress | TextDelta | GenerationFinished


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
    ) -> Iterator[PrefillProgress | TextDelta | GenerationFinished]:
        """Stream one answer; the last event is always GenerationFinished. Raises ModelError."""

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
class Conversation:
    """A stored chat. `knowledge_bases` None means the default of the settings, empty means none."""

    id: int
    title: str
    model: str
    knowledge_bases: tuple[str, ...] | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A stored turn. `timings` is None unless a model wrote it; `error` is a sentence, empty unless state is "error"."""

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


@dataclass(frozen=True, slots=True)
class Generation:
    """What an answer was made from: enough to make it again. `left_out` are sentences for the person."""

    model: str
    model_path: str
    adapter: str
    knowledge_bases: tuple[str, ...]
    query: str
    prompt: tuple[Message, ...]
    left_out: tuple[str, ...]
    sampling: Sampling
    retrieval_s: float


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
