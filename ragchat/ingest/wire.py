"""The frames between `ingest.extract` (parent) and `ingest.process` (child), and the closed list of reasons.

MessagePack through msgspec. No behaviour, no I/O.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

MEMORY_VARIABLE = "RAGCHAT_EXTRACTION_MEMORY_MIB"
"""Environment variable that tells the child how much address space it may have."""


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
    """Read this file. `path` is the file system's own bytes; sizes in bytes."""

    path: bytes
    max_file_bytes: int


class Extracted(msgspec.Struct, frozen=True, tag=True):
    """What was read; the fields are those of `types.ExtractedText`."""

    text: str
    media_type: str
    title: str = ""
    page_starts: tuple[int, ...] = ()
    source_lines: bool = False
    note: str = ""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It could not be read, for this reason."""

    reason: Reason


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The child's first frame: it has started and waits for a request."""


Reply = Extracted | Failed
