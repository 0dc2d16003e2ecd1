"""Reading the files of a user safely: never blocking, never through a link, never more than a limit. It changes nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from ragchat.errors import IngestError
from ragchat.ingest.wire import Reason

_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
)


@contextlib.contextmanager
def open_source(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """Open a user's file for reading, and what the system says of it. Never blocks, never follows a link.

    Raises IngestError unless it is a regular file that may be read, and when reading it fails.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError as error:
        raise IngestError(Reason.NOT_FOUND) from error
    except PermissionError as error:
        raise IngestError(Reason.NO_PERMISSION) from error
    except (OSError, ValueError) as error:
        is_link = os.path.islink(path)  # noqa: PTH114 (path may be anything path-like)
        raise IngestError(Reason.LINK if is_link else Reason.NOT_REGULAR) from error
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise IngestError(Reason.NOT_REGULAR)
        file = stack.enter_context(open(descriptor, "rb", buffering=0, closefd=False))
        try:
            yield file, status
        except OSError as error:
            raise IngestError(Reason.READ_ERROR) from error


def read_file(path: str | os.PathLike[str], max_bytes: int) -> tuple[bytes, int, int]:
    """(content, size in bytes, mtime in ns) of a regular file.

    Raises IngestError, also when it holds more than `max_bytes` or changes meanwhile.
    """
    with open_source(path) as (file, before):
        if before.st_size > max_bytes:
            raise IngestError(Reason.TOO_LARGE)
        data = bytearray()
        while block := file.read(min(1 << 20, max_bytes + 1 - len(data))):
            data += block
            if len(data) > max_bytes:
                raise IngestError(Reason.TOO_LARGE)
        after = os.fstat(file.fileno())
    if (len(data), after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise IngestError(Reason.CHANGED)
    return bytes(data), len(data), before.st_mtime_ns


def read_source(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """The bytes of a regular file; raises as `read_file` does."""
    return read_file(path, max_bytes)[0]


def hash_file(path: str | os.PathLike[str]) -> tuple[str, int, int]:
    """(SHA-256 in hex, size in bytes, mtime in ns) of a file. Raises IngestError, also if it changes."""
    digest = hashlib.sha256()
    with open_source(path) as (file, before):
        size = 0
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
            if size > before.st_size:
                raise IngestError(Reason.CHANGED)
        after = os.fstat(file.fileno())
    if (size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise IngestError(Reason.CHANGED)
    return digest.hexdigest(), size, before.st_mtime_ns


def stored_path(path: str) -> str:
    """A path as it is stored: its text, or, where its bytes are no text, those bytes spelled out."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")
