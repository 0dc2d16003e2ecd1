"""What a model has read, kept on disk so that it need not be read again: a folder of files, the longest unused go first.

A file has the tokens that were read, the state of the KV cache after them, whose texts these are, and the key of the model and
the settings that it holds for. It is as private as the chats. Whatever cannot be trusted (torn, changed, of another user, a
link) is removed and counts as missing: a snapshot saves time, and nothing else depends on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import struct
import tempfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ragchat.paths import make_private_dir, write_atomically

_MAGIC = b"ragchat snapshot 2\n"
_LENGTH = struct.Struct("<I")
_SUFFIX = ".snapshot"
_LONGEST_HEADER = 1 << 20
_MOST_TOKENS = 1 << 22
_USES = "uses.json"
_LEAST_FREE = 512 << 20
"""Bytes that stay free on the disk: chats and documents need them more."""
_NEW = ".new-"
"""Beginning of the name of a file that is being written."""


class _Header(msgspec.Struct, frozen=True):
    """`n_tokens` 32-bit numbers and `n_bytes` of state follow; `checksum` is the CRC-32 of both."""

    key: str
    owners: tuple[str, ...]
    n_tokens: int
    n_bytes: int
    checksum: int


class Uses(msgspec.Struct, frozen=True):
    """How often a snapshot was restored, and how many tokens were not read for it."""

    restored: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A snapshot whose tokens begin a prompt."""

    path: Path
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """What the folder holds."""

    files: int
    size_bytes: int
    uses: Uses


class Snapshots:
    """A folder with at most `limit` bytes. Any process may use it at the same time; no method raises for what is in it."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._known: dict[tuple[str, int, int], tuple[_Header, tuple[int, ...]] | None] = {}

    def find(self, key: str, tokens: Sequence[int], *, beyond: int) -> Found | None:
        """The longest snapshot of this key that `tokens` begin with, if it has more than `beyond` of them."""
        best: Found | None = None
        wanted, least = tuple(tokens), beyond
        for path in self._files(_prefix(key)):
            known = self._look(path)
            if known is None or known[0].key != key or not least < len(known[1]) <= len(wanted):
                continue
            if wanted[: len(known[1])] == known[1]:
                best, least = Found(path, known[1]), len(known[1])
        return best

    def state(self, found: Found) -> bytes | None:
        """The state of a snapshot, which counts as used now; None: it is gone or damaged."""
        data = _contents(found.path)
        parts = _parts(data) if data is not None else None
        if parts is None:
            self._remove(found.path)
            return None
        header, tokens, state = parts
        if header.checksum != zlib.crc32(state, zlib.crc32(tokens)):
            self._remove(found.path)
            return None
        with contextlib.suppress(OSError):
            os.utime(found.path)
        self._count(header.n_tokens)
        return bytes(state)

    def has(self, key: str, tokens: Sequence[int]) -> bool:
        """Whether these very tokens are kept."""
        return (self._folder / _name(key, tokens)).is_file()

    def save(self, key: str, tokens: Sequence[int], state: bytes, owners: Sequence[str]) -> bool:
        """Keep a state, unless it alone is too large; whether it is kept."""
        if len(state) > self._limit // 2:
            return False
        numbers = array("i", tokens).tobytes()
        header = msgspec.msgpack.encode(
            _Header(key, tuple(owners), len(tokens), len(state), zlib.crc32(state, zlib.crc32(numbers)))
        )
        name = ""
        try:
            make_private_dir(self._folder)
            if shutil.disk_usage(self._folder).free < len(state) + _LEAST_FREE:
                return False
            number, name = tempfile.mkstemp(prefix=_NEW, dir=self._folder)  # 0600
            with os.fdopen(number, "wb") as file:
                for part in (_MAGIC, _LENGTH.pack(len(header)), header, numbers, state):
                    file.write(part)
            Path(name).replace(self._folder / _name(key, tokens))
        except OSError:  # a full disk, above all: nothing half stays
            if name:
                self._remove(Path(name))
            return False
        self._prune()
        return True

    def drop(self, owners: Sequence[str]) -> int:
        """Remove every snapshot that has text of one of these; how many."""
        gone = 0
        for path in self._files(""):
            known = self._look(path)
            if known is None or set(known[0].owners) & set(owners):
                self._remove(path)
                gone += 1
        return gone

    def clear(self) -> int:
        """Remove all of them; how many."""
        files = [*self._files("")]
        for path in files:
            self._remove(path)
        with contextlib.suppress(OSError):
            (self._folder / _USES).unlink()
        return len(files)

    def usage(self) -> Usage:
        """How many there are, how large, and how often they were of use."""
        sizes = [size for path in self._files("") if (size := _size(path)) is not None]
        return Usage(len(sizes), sum(sizes), self._uses())

    # --- inside -------------------------------------------------------------------------------------

    def _files(self, prefix: str) -> Iterator[Path]:
        try:
            paths = sorted(self._folder.iterdir())
        except OSError:
            return
        for path in paths:
            if path.name.startswith(prefix) and (path.suffix == _SUFFIX or path.name.startswith(_NEW)):
                yield path

    def _look(self, path: Path) -> tuple[_Header, tuple[int, ...]] | None:
        try:
            status = path.lstat()
        except OSError:
            return None
        mark = (path.name, status.st_size, status.st_mtime_ns)
        if mark not in self._known:
            if path.suffix != _SUFFIX:
                return None
            head = _head(path)
            if head is None:
                self._remove(path)
            self._known[mark] = head
        return self._known[mark]

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink()

    def _prune(self) -> None:
        """The one that was used longest ago goes first."""
        files = []
        for path in self._files(""):
            with contextlib.suppress(OSError):
                status = path.lstat()
                files.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._limit:
                break
            self._remove(path)
            total -= size

    def _uses(self) -> Uses:
        try:
            return msgspec.json.decode((self._folder / _USES).read_bytes(), type=Uses)
        except (OSError, msgspec.DecodeError):
            return Uses()

    def _count(self, tokens: int) -> None:
        uses = self._uses()
        with contextlib.suppress(OSError):
            more = Uses(uses.restored + 1, uses.tokens + tokens)
            write_atomically(self._folder / _USES, msgspec.json.encode(more))


def key_of(*parts: object) -> str:
    """The key of a model with its settings: another for anything that changes what is read."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def _prefix(key: str) -> str:
    return f"{key[:16]}-"


def _name(key: str, tokens: Sequence[int]) -> str:
    digest = hashlib.sha256(array("i", tokens).tobytes()).hexdigest()[:24]
    return f"{_prefix(key)}{digest}{_SUFFIX}"


def _size(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except OSError:
        return None


def _open(path: Path) -> int | None:
    """A descriptor of a regular file of this user's; None for anything else."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return None
    status = os.fstat(number)
    own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    if stat.S_ISREG(status.st_mode) and own:
        return number
    os.close(number)
    return None


def _contents(path: Path) -> bytes | None:
    if (number := _open(path)) is None:
        return None
    try:
        with os.fdopen(number, "rb") as file:
            return file.read()
    except OSError:
        return None


def _head(path: Path) -> tuple[_Header, tuple[int, ...]] | None:
    """Header and tokens, without the state."""
    if (number := _open(path)) is None:
        return None
    try:
        with os.fdopen(number, "rb") as file:
            begin = file.read(len(_MAGIC) + _LENGTH.size)
            if len(begin) < len(_MAGIC) + _LENGTH.size or not begin.startswith(_MAGIC):
                return None
            (length,) = _LENGTH.unpack(begin[len(_MAGIC) :])
            if length > _LONGEST_HEADER:
                return None
            header = msgspec.msgpack.decode(file.read(length), type=_Header)
            if not 0 < header.n_tokens <= _MOST_TOKENS:
                return None
            tokens = file.read(4 * header.n_tokens)
            whole = len(begin) + length + 4 * header.n_tokens + header.n_bytes
            if len(tokens) < 4 * header.n_tokens or os.fstat(file.fileno()).st_size != whole:
                return None
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None
    return header, tuple(array("i", tokens))


def _parts(data: bytes) -> tuple[_Header, memoryview, memoryview] | None:
    at = len(_MAGIC) + _LENGTH.size
    if len(data) < at or not data.startswith(_MAGIC):
        return None
    (length,) = _LENGTH.unpack(data[len(_MAGIC) : at])
    try:
        header = msgspec.msgpack.decode(data[at : at + length], type=_Header)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    view, begin = memoryview(data), at + length
    middle = begin + 4 * header.n_tokens
    if header.n_tokens < 0 or header.n_bytes < 0 or middle + header.n_bytes != len(data):
        return None
    return header, view[begin:middle], view[middle:]
