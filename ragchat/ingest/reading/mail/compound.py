"""The streams of a compound file (OLE), the container of Outlook's .msg. It follows no chain further than the file is long."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ragchat.errors import IngestError
from ragchat.ingest.wire import Reason

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LAST_SECTOR = 0xFFFFFFFA
"""Numbers above are marks: end of a chain, a free sector and the like."""
_NO_ENTRY = 0xFFFFFFFF
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_MOST_ENTRIES = 200_000
_ENTRY = struct.Struct("<64sHBBIII16sIQQIQ")


@dataclass(slots=True)
class Storage:
    """A folder of a compound file. Names are in lower case. `stream` reads, nothing is kept."""

    _file: _CompoundFile
    storages: dict[str, Storage] = field(default_factory=dict)
    _streams: dict[str, tuple[int, int]] = field(default_factory=dict)

    def stream(self, name: str) -> bytes | None:
        """The bytes of a stream, None when there is none of this name. Raises IngestError."""
        found = self._streams.get(name.lower())
        return None if found is None else self._file.read(*found)


def open_compound(data: bytes) -> Storage:
    """The root folder of a compound file. Raises IngestError."""
    if len(data) < 512 or not data.startswith(MAGIC):
        raise IngestError(Reason.DAMAGED)
    try:
        return _CompoundFile(data).root()
    except (struct.error, ValueError) as error:
        raise IngestError(Reason.DAMAGED) from error


class _CompoundFile:
    """Sectors, the tables that chain them, and the directory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        shift, mini_shift = struct.unpack_from("<HH", data, 30)
        if shift not in (9, 12) or mini_shift != 6:
            raise IngestError(Reason.DAMAGED)
        self._size, self._mini_size = 1 << shift, 1 << mini_shift
        self._count = -(-len(data) // self._size) - 1
        self._may_read = 4 * len(data) + 1_000_000
        first_directory, _, self._cutoff, first_mini, _, first_table, _ = struct.unpack_from("<7I", data, 48)
        self._table = self._load_table(first_table)
        self._mini_table = _numbers(self._chain_bytes(first_mini))
        self._directory = self._chain_bytes(first_directory)
        self._mini = b""

    def root(self) -> Storage:
        """The tree of folders, built without recursion; an entry that is met twice is not followed."""
        *_, first, size = self._entry(0)
        self._mini = self._chain_bytes(first)[:size]
        root = Storage(self)
        met = {0, _NO_ENTRY}
        waiting = [(self._entry(0)[3], root)]
        while waiting:
            number, folder = waiting.pop()
            if number in met or len(met) > _MOST_ENTRIES:
                continue
            met.add(number)
            name, kind, siblings, child, first, size = self._entry(number)
            waiting += [(sibling, folder) for sibling in siblings]
            if kind == _STORAGE:
                folder.storages[name] = Storage(self)
                waiting.append((child, folder.storages[name]))
            elif kind == _STREAM:
                folder._streams[name] = (first, size)
        return root

    def read(self, first: int, size: int) -> bytes:
        """A stream of this many bytes. Raises IngestError when not all of them are there."""
        self._may_read -= size
        if size > len(self._data) or self._may_read < 0:
            raise IngestError(Reason.DAMAGED)
        if size < self._cutoff:
            numbers = _chain(first, self._mini_table, -(-size // self._mini_size))
            content = b"".join(self._mini[n * self._mini_size : (n + 1) * self._mini_size] for n in numbers)
        else:
            content = self._chain_bytes(first, -(-size // self._size))
        if len(content) < size:
            raise IngestError(Reason.DAMAGED)
        return content[:size]

    def _entry(self, number: int) -> tuple[str, int, tuple[int, int], int, int, int]:
        """Name, kind, siblings, child, first sector and size of a directory entry. Raises struct.error."""
        raw, length, kind, _, left, right, child, _, _, _, _, first, size = _ENTRY.unpack_from(
            self._directory, number * _ENTRY.size
        )
        name = raw[: max(0, min(64, length) - 2)].decode("utf-16-le", "replace").lower()
        if self._size == 512:
            size &= 0xFFFFFFFF  # some writers leave garbage in the upper half
        return name, kind, (left, right), child, first, size

    def _sector(self, number: int) -> bytes:
        at = (number + 1) * self._size
        return self._data[at : at + self._size]

    def _chain_bytes(self, first: int, most: int = -1) -> bytes:
        return b"".join(map(self._sector, _chain(first, self._table, most if most >= 0 else self._count)))

    def _load_table(self, first_more: int) -> Sequence[int]:
        """The table of sectors; its own sectors are listed in the header and in a chain of further lists."""
        listed = list(struct.unpack_from("<109I", self._data, 76))
        per_sector = self._size // 4
        more, met = first_more, set[int]()
        while more < self._count and more not in met:
            met.add(more)
            *numbers, more = struct.unpack(f"<{per_sector}I", self._sector(more).ljust(self._size, b"\xff"))
            listed += numbers
        used = dict.fromkeys(number for number in listed if number < self._count)
        return _numbers(b"".join(self._sector(number).ljust(self._size, b"\xff") for number in used))


def _chain(first: int, table: Sequence[int], most: int) -> Iterator[int]:
    """The sectors from `first` on, at most `most`; it ends where the table does."""
    number = first
    for _ in range(most):
        if number >= len(table) or number > _LAST_SECTOR:
            return
        yield number
        number = table[number]


def _numbers(raw: bytes) -> array[int]:
    numbers = array("I", raw[: len(raw) // 4 * 4])
    if sys.byteorder == "big":  # pragma: no cover
        numbers.byteswap()
    return numbers
