"""Documents, what a search finds in them, and knowledge bases."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal

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
