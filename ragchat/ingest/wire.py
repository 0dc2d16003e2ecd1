"""The frames between the reader pool (parent) and `ingest.reading.process` (child), and the closed list of reasons.

MessagePack through msgspec. No behaviour, no I/O.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ragchat.types import ChunkDraft, ExtractedText, LeftOut

MEMORY_VARIABLE = "RAGCHAT_EXTRACTION_MEMORY_MIB"
"""Environment variable that tells the child how much address space it may have."""
READERS = 2
"""Which readers these are; stored with each file. The next sync reads again what earlier ones read, since these read more."""
LONGEST_TITLE = 200
"""Characters."""


class Reason(StrEnum):
    """Why a file could not be read. Each is a phrase that continues "not indexed: "."""

    NOT_FOUND = "no longer there"
    NO_PERMISSION = "no permission"
    NOT_REGULAR = "not a regular file"
    LINK = "a link"
    READ_ERROR = "could not be read from the disk"
    CHANGED = "changed while it was read"
    TOO_LARGE = "larger than the limit"
    EMPTY = "empty"
    BINARY = "binary"
    UNSUPPORTED = "kind not supported"
    DAMAGED = "damaged, or not what its name says"
    ENCRYPTED = "encrypted or protected by a password"
    OLD_OFFICE = "encrypted, or in an old office format"
    PICTURE = "a picture: switch on OCR to read it"
    NO_TEXT_LAYER = "no text layer, its pages are pictures: switch on OCR to read them"
    NO_OCR_TEXT = "a picture without text that OCR could read"
    OCR_FAILED = "OCR does not work here"
    MINIFIED = "minified or generated code"
    NO_TEXT = "holds no text"
    BOMB = "would unpack to more than the limit"
    ENTITIES = "defines XML entities, which are not expanded"
    TOO_MUCH_TEXT = "holds more text than the limit"
    TOO_MUCH_MEMORY = "needs more memory than the limit"
    TIMEOUT = "took longer than the limit"
    CRASHED = "ended the process that read it"


UNREAD_SCANS = (Reason.NO_TEXT_LAYER, "no text layer: its pages are pictures")
"""Reasons of documents whose pages are pictures, today's and that of a former version: knowledge bases keep them."""


class ExtractRequest(msgspec.Struct, frozen=True, tag=True):
    """The text of this file. `path` is the file system's own bytes; sizes in bytes."""

    path: bytes
    max_file_bytes: int


class PageRead(msgspec.Struct, frozen=True, tag=True):
    """OCR has read a page; more will follow, and at last the reply. It is also a sign of life.

    `number` counts the pages that OCR read of this file, from 1: the same at every attempt. `page` of `pages` says it to a
    person. `confidence` from 0 to 1; `text` is '' for a page on which nothing could be read.
    """

    content_hash: str
    number: int
    page: int
    pages: int
    text: str
    confidence: float


class ReadRequest(msgspec.Struct, frozen=True, tag=True):
    """This file ready for the index; sizes of chunks in estimated tokens, as for `chunk.split`.

    `ocr` are the languages in which pictures are read, as Tesseract names them (none: they are not), `ocr_data` the folder where
    its data lies. `pages_read` are what an earlier attempt reported of the file with this content. `language` is that of its
    neighbours ('': not known), for a text that does not tell its own.
    """

    path: bytes
    max_file_bytes: int
    chunk_tokens: int
    overlap_tokens: int
    ocr: tuple[str, ...] = ()
    ocr_data: str = ""
    pages_read: tuple[PageRead, ...] = ()
    language: str = ""


Request = ExtractRequest | ReadRequest


class Extracted(msgspec.Struct, frozen=True, tag=True):
    """What was read."""

    document: ExtractedText


class FileState(msgspec.Struct, frozen=True):
    """What the bytes were that the child read: size in bytes, time in ns, SHA-256 in hex ('' when they could not be read)."""

    size: int = 0
    mtime_ns: int = 0
    content_hash: str = ""


class WireInversion(msgspec.Struct, frozen=True, array_like=True):
    """A `retrieval.invert.Inversion`: numbers as the bytes of uint16, int64, int32 and uint8, in the order of this machine."""

    lengths: bytes
    terms: list[str]
    counts: bytes
    slots: bytes
    tfs: bytes


class Read(msgspec.Struct, frozen=True, tag=True):
    """A file ready for the index; it has at least one chunk. `ocr`: pages of it went through OCR, with or without success."""

    file: FileState
    title: str
    media_type: str
    source_lines: bool
    language: str
    left_out: tuple[LeftOut, ...]
    chunks: list[ChunkDraft]
    inversion: WireInversion
    ocr: bool = False


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It could not be read, for this reason. `ocr` as in `Read`."""

    reason: Reason
    file: FileState = FileState()
    ocr: bool = False


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The child's first frame: it has started and waits for a request."""


Reply = Extracted | Read | Failed | PageRead | Ready
