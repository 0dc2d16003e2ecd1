"""Who watches a knowledge base: a lock on `kb/NAME.watch`, which the system lets go when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ragchat.errors import RagchatError
from ragchat.store.database import explained


def lock_file(database: Path) -> Path:
    """The file beside `kb/NAME.db` that is locked; it holds the number of the process and may stay behind."""
    return database.with_suffix(".watch")


@contextlib.contextmanager
def watching(database: Path) -> Iterator[None]:
    """Be the one that watches this knowledge base. Raises RagchatError when another process does, StorageError."""
    said = (
        f"Another ragchat process already watches {database.stem}",
        "It indexes the changes. Stop it to watch from here.",
    )
    with alone(lock_file(database), *said):
        yield


@contextlib.contextmanager
def alone(path: Path, sentence: str, remedy: str) -> Iterator[None]:
    """Hold a lock file. Raises RagchatError with the sentence when another process does, StorageError."""
    with explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if not _try_lock(descriptor):
            holder = _holder(path)
            raise RagchatError(sentence + (f" (process {holder})." if holder else "."), remedy)
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def watcher(database: Path) -> int | None:
    """The process that watches this knowledge base (0 if it does not say), or None."""
    path = lock_file(database)
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        return None if _try_lock(descriptor) else _holder(path)
    finally:
        os.close(descriptor)


def _holder(path: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text("ascii"))
    return 0


def _try_lock(descriptor: int) -> bool:
    """Whether the lock could be had; someone who only looks (`watcher`) holds it for an instant."""
    for _ in range(5):
        if _locked(descriptor):
            return True
        time.sleep(0.02)
    return False


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _locked(descriptor: int) -> bool:
        try:
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
