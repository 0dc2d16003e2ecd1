"""A .gz file: read as what it holds, unpacked within bounds. Runs in the reading process."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ragchat.errors import IngestError
from ragchat.ingest.formats import UNSUPPORTED, kind_of, suffix_of
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText

if TYPE_CHECKING:
    from ragchat.ingest.reading.inside import ReadInside

_MAGIC = b"\x1f\x8b"
_LARGEST_UNPACKED = 200 * 1000 * 1000
_LARGEST_RATIO = 120
"""Unpacked to packed bytes of what unpacks to more than 20 MB."""
_RATIO_FROM = 20_000_000
_STEP_IN, _STEP_OUT = 1 << 15, 1 << 20
_HAS_EXTRA, _HAS_NAME = 4, 8


def read_gzip(name: str, data: bytes, read_inside: ReadInside) -> ExtractedText:
    """The document inside as it is; its lines are those that `zless` shows. Raises IngestError."""
    content = unpack(data)
    return read_inside(_inner_name(name, data), content)


def unpack(data: bytes) -> bytes:
    """All members of a gzip file, one after the other; what is behind the last is left. Raises IngestError."""
    if not data.startswith(_MAGIC):
        raise IngestError(Reason.DAMAGED)
    pieces, size = [], 0
    try:
        for piece in _pieces(data):
            size += len(piece)
            if size > _LARGEST_UNPACKED or (size > _RATIO_FROM and size > _LARGEST_RATIO * len(data)):
                raise IngestError(Reason.BOMB)
            pieces.append(piece)
    except zlib.error as error:
        raise IngestError(Reason.DAMAGED) from error
    return b"".join(pieces)


def _pieces(data: bytes) -> Iterator[bytes]:
    """The unpacked bytes, some at a time. Raises IngestError at an end that comes too early, zlib.error."""
    place, held = 0, b""
    while True:
        if len(held) < len(_MAGIC):
            held, place = held + data[place : place + _STEP_IN], place + _STEP_IN
        if not held.startswith(_MAGIC):
            return
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        while not member.eof:
            if not held:
                held, place = data[place : place + _STEP_IN], place + _STEP_IN
            piece = member.decompress(held, _STEP_OUT)
            if not piece and not held and not member.eof:
                raise IngestError(Reason.DAMAGED)
            held = member.unconsumed_tail
            yield piece
        held = member.unused_data


def _inner_name(name: str, data: bytes) -> str:
    """The name without .gz; that in the header where the outer one does not say what it is."""
    outer = name[:-3] if name.lower().endswith(".gz") else name
    inner = _name_in_header(data)
    return inner if not _says_kind(outer) and _says_kind(inner) else outer


def _says_kind(name: str) -> bool:
    return kind_of(name) is not None or suffix_of(name) in UNSUPPORTED


def _name_in_header(data: bytes) -> str:
    flags, place = data[3], 10
    if not flags & _HAS_NAME:
        return ""
    if flags & _HAS_EXTRA:
        place += 2 + int.from_bytes(data[10:12], "little")
    end = data.find(b"\0", place, place + 1000)
    return data[place : max(place, end)].decode("latin-1").replace("\\", "/").rpartition("/")[2]
