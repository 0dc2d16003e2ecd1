"""Archives that documents come in (office files, e-books), looked at before any of it is unpacked."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from io import BytesIO

from ragchat.errors import IngestError
from ragchat.ingest.wire import Reason

_HEAD_BYTES = 4096
_LARGEST_UNPACKED = 200 * 1000 * 1000
_LARGEST_RATIO = 120
"""Unpacked to packed bytes of an archive that unpacks to more than 20 MB."""
ZIP_ERRORS = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    struct.error,
    lzma.LZMAError,
)
"""What `zipfile` raises on damaged archives."""
_MOST_ENTRIES = 20_000
_MOST_PARTS_PEEKED = 3_000


def open_archive(data: bytes) -> zipfile.ZipFile:
    """The archive, once it was found harmless. Close it. Raises IngestError."""
    check_archive(data)
    return zipfile.ZipFile(BytesIO(data))


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A file in the archive; b"" when there is none of this name. Raises IngestError."""
    try:
        return archive.read(name)
    except KeyError:
        return b""
    except ZIP_ERRORS as error:
        raise IngestError(Reason.DAMAGED) from error


def check_archive(data: bytes) -> None:
    """Refuse what unpacks to too much, is encrypted, or defines XML entities. Raises IngestError."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            packed = sum(entry.compress_size for entry in entries)
            if unpacked > _LARGEST_UNPACKED or len(entries) > _MOST_ENTRIES:
                raise IngestError(Reason.BOMB)
            if unpacked > 20_000_000 and unpacked > _LARGEST_RATIO * max(1, packed):
                raise IngestError(Reason.BOMB)
            if any(entry.flag_bits & 1 or entry.filename == "META-INF/rights.xml" for entry in entries):
                raise IngestError(Reason.ENCRYPTED)
            parts = [
                e
                for e in entries
                if e.filename.lower().endswith((".xml", ".xhtml", ".html", ".rels", ".opf"))
            ]
            for entry in parts[:_MOST_PARTS_PEEKED]:
                with archive.open(entry) as part:
                    if b"<!ENTITY" in part.read(_HEAD_BYTES):
                        raise IngestError(Reason.ENTITIES)
    except ZIP_ERRORS as error:
        raise IngestError(Reason.DAMAGED) from error
