"""Documents, what a search finds in them, and knowledge bases."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

DocumentState = Literal["indexed", "skipped", "failed", "changed", "missing"]
"""Stored are the first three; "changed" and "missing" are what a look at the disk makes of them."""


def _lines(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first}-{last}"


def _later(one: int | None, other: int | None) -> int | None:
    return max((number for number in (one, other) if number is not None), default=None)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a document's text. Characters count from 0, last exclusive; lines and pages from 1, inclusive.

    line_first and line_last are lines of the extracted text. file_line_first and file_line_last are lines of the file itself,
    as an editor numbers them: None for formats that have none (office files, PDF). page_first is None for formats without
    pages; page_label is what is printed on that page, '' where it is the same number or nothing. `part` names the part of the
    file (an attachment, a mail of an mbox) that lines and pages are counted in. `confidence` from 0 to 1 is given for text that
    OCR read. `page_breaks` are the characters of the stretch (from 0) at which its later pages begin, and what is printed there.
    """

    char_first: int
    char_last: int
    line_first: int
    line_last: int
    page_first: int | None = None
    page_last: int | None = None
    file_line_first: int | None = None
    file_line_last: int | None = None
    page_label: str = ""
    part: str = ""
    confidence: float | None = None
    page_breaks: tuple[tuple[int, str], ...] = ()

    @property
    def place(self) -> str:
        """Page or lines, as a user would say them; lines of the file itself unless it says otherwise."""
        if self.page_first is not None:
            last = self.page_last or self.page_first
            place = f"p. {self.page_first}" if last == self.page_first else f"p. {self.page_first}-{last}"
            if printed := self._printed(last):
                place += f", printed {printed}"
        elif self.file_line_first is not None:
            place = _lines(self.file_line_first, self.file_line_last or self.file_line_first)
        elif self.part:
            place = ""
        else:
            place = f"{_lines(self.line_first, self.line_last)} of the extracted text"
        if self.confidence is not None:
            place += f", read by OCR ({self.confidence:.0%} sure)"
        return ", ".join(said for said in (self.part, place.removeprefix(", ")) if said)

    def _printed(self, last: int) -> str:
        """The numbers printed on the pages, '' where they are the same or not known."""
        ending = self.page_breaks[-1][1] if self.page_breaks else ""
        if not self.page_label or self.page_label == str(self.page_first):
            return ""
        return f"{self.page_label}-{ending}" if ending and last != self.page_first else self.page_label

    def through(self, last: Span) -> Span:
        """The stretch from the beginning of this one to the end of `last`, which follows it or is part of it."""
        shift = last.char_first - self.char_first
        begun = [(shift, last.page_label), *((at + shift, label) for at, label in last.page_breaks)]
        known = (
            (self.page_last or 0) - (last.page_first or 0) + 1
        )  # pages of the other that this one has reached
        return replace(
            self,
            page_breaks=(*self.page_breaks, *(begun[max(0, known) :] if self.page_first else ())),
            char_last=max(self.char_last, last.char_last),
            line_last=max(self.line_last, last.line_last),
            page_last=_later(self.page_last, last.page_last),
            file_line_last=_later(self.file_line_last, last.file_line_last),
            confidence=min((c for c in (self.confidence, last.confidence) if c is not None), default=None),
        )

    def cut(self, text: str, first: int, last: int) -> Span:
        """The stretch from character `first` to `last`, exclusive, of `text`, over which this span stands.

        Lines of the file follow where they run with those of the text; otherwise they stay those of the whole.
        """
        before, inside = text.count("\n", 0, first), text.count("\n", first, last)
        cut = replace(
            self,
            char_first=self.char_first + first,
            char_last=self.char_first + last,
            line_first=self.line_first + before,
            line_last=self.line_first + before + inside,
        )
        if self.page_first is not None and self.page_breaks:
            passed = [one for one in self.page_breaks if one[0] <= first]
            ahead = tuple((at - first, label) for at, label in self.page_breaks if first < at < last)
            page = self.page_first + len(passed)
            label = passed[-1][1] if passed else self.page_label
            cut = replace(
                cut, page_first=page, page_last=page + len(ahead), page_label=label, page_breaks=ahead
            )
        if self.file_line_first is None or self.file_line_last is None:
            return cut
        if self.file_line_last - self.file_line_first != self.line_last - self.line_first:
            return cut
        line = self.file_line_first + before
        return replace(cut, file_line_first=line, file_line_last=line + inside)


@dataclass(frozen=True, slots=True)
class ChunkDraft:
    """A chunk before it has a number: `text` is exactly the document's text over `span`."""

    text: str
    heading: str
    span: Span


MOST_NAMES = 20
"""Of what was left out of a document; more are counted."""


class LeftOutKind(StrEnum):
    """What a reader may leave out of a document. Each is the singular of what `LeftOut.phrase` says."""

    ATTACHMENT = "attachment"
    PICTURE = "picture"
    PAGE = "page without text"
    HIDDEN_SHEET = "hidden sheet or slide"
    HIDDEN_TEXT = "hidden text"
    DELETED_TEXT = "deleted text"
    COMMENT = "comment"
    NOTE = "note"
    PROPERTY = "property"
    OBJECT = "embedded object"
    SOUND = "sound or video"
    OUTPUT = "output"
    FORM_SCRIPT = "script"
    FURNITURE = "menu, site header or footer"
    NUMBERS = "long list of numbers"
    REST = "unreadable part"

    def counted(self, count: int) -> str:
        """`2 attachments`."""
        if count == 1 or self in (LeftOutKind.HIDDEN_TEXT, LeftOutKind.DELETED_TEXT, LeftOutKind.SOUND):
            return (
                str(self)
                if self in (LeftOutKind.HIDDEN_TEXT, LeftOutKind.DELETED_TEXT)
                else f"{count:,} {self}"
            )
        plural = _PLURALS.get(self.name)
        return f"{count:,} {plural or f'{self}s'}"


_PLURALS = {
    "PAGE": "pages without text",
    "PROPERTY": "properties",
    "HIDDEN_SHEET": "hidden sheets or slides",
    "FURNITURE": "menus, site headers or footers",
    "NUMBERS": "long lists of numbers",
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What of a document was not read: how many of a kind, and the names of some, where they have any."""

    kind: LeftOutKind
    count: int = 1
    names: tuple[str, ...] = ()

    @property
    def phrase(self) -> str:
        """`2 attachments (a.zip, b.exe)`."""
        more = ", …" if MOST_NAMES <= len(self.names) < self.count else ""
        names = f" ({', '.join(self.names)}{more})" if self.names else ""
        return f"{self.kind.counted(self.count)}{names}"


@dataclass(frozen=True, slots=True)
class Section:
    """Where a section begins, and the headings above it, outermost first, its own last. It ends where the next begins.

    `apart`: it is a note of its own and shares no chunk with its sisters, however short it is.
    """

    first: int
    path: tuple[str, ...]
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the text that is a document of its own: an attachment, a mail of an mbox. It ends where the next begins.

    `first` is the character where it begins. `media_type` says how it is cut (`formats.structure_of`). `page_starts` are
    characters of the whole text, beginning with page 1 of the part.
    """

    first: int
    name: str
    media_type: str
    page_starts: tuple[int, ...] = ()
    page_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recognised:
    """A stretch of the text that OCR read, with its confidence from 0 to 1."""

    first: int
    last: int
    confidence: float


@dataclass(frozen=True, slots=True)
class ExtractedText:
    """What a reader made of a file.

    `page_starts[i]` is the character where page i + 1 begins (empty: no pages), `page_labels[i]` what is printed on it (empty:
    nothing known). `source_lines`: its lines are the lines of the file itself; otherwise `file_lines[i]` is the line of the
    file at which line i of the text begins (empty: the file has no such lines). `sections` are its headings where the reader
    knows them; otherwise they are found by the marks of `media_type`. `parts` are documents inside it, in order, behind its own
    text. Invariant: `text` and all names are sanitised; all offsets ascend.
    """

    text: str
    media_type: str
    title: str = ""
    page_starts: tuple[int, ...] = ()
    source_lines: bool = False
    file_lines: tuple[int, ...] = ()
    page_labels: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    parts: tuple[Part, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    recognised: tuple[Recognised, ...] = ()


_SELDOM_TOLD = frozenset((LeftOutKind.PROPERTY, LeftOutKind.FURNITURE))


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
    left_out: tuple[LeftOut, ...] = ()

    @property
    def missing_parts(self) -> tuple[LeftOut, ...]:
        """What was left out and is worth a word: nearly every office file has an author, every web page its menus."""
        return tuple(left for left in self.left_out if left.kind not in _SELDOM_TOLD)

    @property
    def missing_phrase(self) -> str:
        """`without 2 attachments (a.zip, b.exe), 1 picture`; '' when it was read whole."""
        left_out = ", ".join(left.phrase for left in self.missing_parts)
        return f"without {left_out}" if left_out else ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a search found. `rank` counts from 1, a higher `score` is better and is never 0.

    `evidence` is the sentence of the chunk that is relevant to the query most.
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
    found: Span | None = None
    """Where the chunk is that was found, when the passage grew around it; `span` and `text` are those of the passage."""

    @property
    def place(self) -> str:
        """Page or lines, as a user would say them; lines of the file itself unless it says otherwise."""
        return self.narrowed.place

    @property
    def narrowed(self) -> Span:
        """Where it is: the chunk that was found, or its evidence, when that is elsewhere or the chunk runs over several pages."""
        found = self.found or self.span
        if not self.evidence or (at := self.text.find(self.evidence)) < 0:
            return found
        first, last = self.span.char_first + at, self.span.char_first + at + len(self.evidence)
        if not found.page_breaks and found.char_first <= first and last <= found.char_last:
            return found
        return self.span.cut(self.text, at, at + len(self.evidence))

    @property
    def found_text(self) -> str:
        """The text of the chunk that was found, without what the passage grew by."""
        if self.found is None:
            return self.text
        first = self.found.char_first - self.span.char_first
        return self.text[first : first + self.found.char_last - self.found.char_first]

    @property
    def source(self) -> str:
        """The place, and the knowledge base that it is in, if any."""
        return f"{self.place} · {self.knowledge_base}" if self.knowledge_base else self.place


@dataclass(frozen=True, slots=True)
class Citation:
    """A `[n]` that an answer may carry, bound to the passage that stood under this number in the prompt.

    `quote` is the text the citation is based on, word for word from the passage; `used` says whether the answer cites it.
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
    all below them, and document paths of rows, until they are added again. `ocr` are the languages in which pictures are read,
    as Tesseract names them; none: they are not read. `meaning`: its passages are embedded and also found by their meaning.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_file_bytes: int | None = None
    follow_links: bool = False
    forgotten: tuple[str, ...] = ()
    ocr: tuple[str, ...] = ()
    meaning: bool = True

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
