"""The frames between the reader pool (parent) and `ingest.process` (child), and the closed list of reasons.

MessagePack through msgspec. No behaviour, no I/O.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

MEMORY_VARIABLE = "RAGCHAT_EXTRACTION_MEMORY_MIB"
"""Environment variable that tells the child how much address space it may have."""
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
    NO_TEXT_LAYER = "no text layer: its pages are pictures"
    MINIFIED = "minified or generated code"
    NO_TEXT = "holds no text"
    BOMB = "would unpack to more than the limit"
    ENTITIES = "defines XML entities, which are not expanded"
    TOO_MUCH_TEXT = "holds more text than the limit"
    TOO_MUCH_MEMORY = "needs more memory than the limit"
    TIMEOUT = "took longer than the limit"
    CRASHED = "ended the process that read it"


class ExtractRequest(msgspec.Struct, frozen=True, tag=True):
    """The text of this file. `path` is the file system's own bytes; sizes in bytes."""

    path: bytes
    max_file_bytes: int


class ReadRequest(msgspec.Struct, frozen=True, tag=True):
    """This file ready for the index; sizes of chunks in estimated tokens, as for `chunk.split`."""

    path: bytes
    max_file_bytes: int
    chunk_tokens: int
    overlap_tokens: int


Request = ExtractRequest | ReadRequest


class Extracted(msgspec.Struct, frozen=True, tag=True):
    """What was read; the fields are those of `types.ExtractedText`."""

    text: str
    media_type: str
    title: str = ""
    page_starts: tuple[int, ...] = ()
    source_lines: bool = False
    note: str = ""


class FileState(msgspec.Struct, frozen=True):
    """What the bytes were that the child read: size in bytes, time in ns, SHA-256 in hex ('' when they could not be read)."""

    size: int = 0
    mtime_ns: int = 0
    content_hash: str = ""


class WireChunk(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `types.ChunkDraft`, its span spelled out."""

    text: str
    heading: str
    char_first: int
    char_last: int
    line_first: int
    line_last: int
    page_first: int | None
    page_last: int | None


class WireInversion(msgspec.Struct, frozen=True, array_like=True):
    """A `retrieval.invert.Inversion`: numbers as the bytes of uint16, int64, int32 and uint8, in the order of this machine."""

    lengths: bytes
    terms: list[str]
    counts: bytes
    slots: bytes
    tfs: bytes


class Read(msgspec.Struct, frozen=True, tag=True):
    """A file ready for the index; it has at least one chunk."""

    file: FileState
    title: str
    media_type: str
    source_lines: bool
    language: str
    chunks: list[WireChunk]
    inversion: WireInversion


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It could not be read, for this reason."""

    reason: Reason
    file: FileState = FileState()


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The child's first frame: it has started and waits for a request."""


Reply = Extracted | Read | Failed | Ready
