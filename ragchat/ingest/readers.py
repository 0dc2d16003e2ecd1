"""A pool of reading processes: files in, what the index needs of them or one reason each out, in the order they are ready.

No foreign file is parsed here. Each child (`ingest.reading.process`) works under limits of time, memory and size; when one
crashes or hangs, that costs the file it was reading, with a reason, and the files behind it go to another child. What is under
way is bounded: `has_room` says when the next file may be given.
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec

from ragchat.errors import RagchatError
from ragchat.ingest.wire import (
    MEMORY_VARIABLE,
    Extracted,
    Failed,
    PageRead,
    Read,
    ReadRequest,
    Ready,
    Reason,
    Reply,
    Request,
)
from ragchat.pipes import Child, ChildGoneError, ChildSilentError

T = TypeVar("T")
Result = Extracted | Read | Failed | PageRead
"""Of a file; a `PageRead` comes before the others, for each page that OCR reads."""

_FILES_PER_CHILD = 4000
_FILES_AHEAD = 4
"""Files that a child has been given and not answered, so that it never waits for the next."""
_BYTES_AHEAD = 1 << 20
"""Bytes of files that a child may be given beyond the first."""
_BYTES_UNDER_WAY = 64 << 20
"""Bytes of files that all children together may be given beyond the first."""
_START_TIMEOUT_S = 60.0
_OCR_TIMEOUT_S = 120.0
"""A full page takes seconds, a bad one a minute."""
_MOST_READERS = 4


def default_readers() -> int:
    """As many children as there are processor cores for us, at most 4."""
    import psutil

    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_READERS, ours, psutil.cpu_count(logical=False) or ours))


@dataclass(slots=True)
class _Job(Generic[T]):
    what: T
    request: Request
    size: int


@dataclass(slots=True, eq=False)
class _Reader(Generic[T]):
    """A child and what it was given, oldest first. It works on the oldest since `since` (monotonic seconds)."""

    child: Child
    since: float
    files_left: int
    ready: bool = False
    jobs: deque[_Job[T]] = field(default_factory=deque)

    @property
    def bytes_given(self) -> int:
        return sum(job.size for job in self.jobs)


class ReaderPool(Generic[T]):
    """For one thread at a time. Children start when they are needed and are renewed now and then.

    `readers` is the most children at a time, `timeout_s` per file, and per page where OCR reads, then at least two minutes;
    `memory_mib` is the address space of a child (Linux; 0: no limit).
    """

    def __init__(self, log: Path, *, readers: int, timeout_s: float, memory_mib: int) -> None:
        self._log = log
        self._most = max(1, readers)
        self._timeout_s = timeout_s
        self._memory_mib = memory_mib
        self._readers: list[_Reader[T]] = []
        self._again: deque[_Job[T]] = deque()
        self._failed: deque[tuple[T, Result]] = deque()
        self._arrived: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._decoder = msgspec.msgpack.Decoder(Reply)

    # --- giving ---------------------------------------------------------------------------------------

    def has_room(self, size: int) -> bool:
        """Whether a file of `size` bytes may be given now."""
        return not self._again and self._reader_for(size) is not None

    def submit(self, what: T, request: Request, size: int) -> None:
        """Give a file. Its result comes out of `results` with `what`. Raises RagchatError when no child can be started."""
        self._again.append(_Job(what, request, size))
        self._dispatch()

    @property
    def idle(self) -> bool:
        """Whether every file that was given has come out."""
        return not (self._again or self._failed or any(reader.jobs for reader in self._readers))

    def _reader_for(self, size: int) -> _Reader[T] | int | None:
        """The child that can take a file, or a number when one is to be started, or None: no one can now."""
        under_way = sum(reader.bytes_given for reader in self._readers)
        if under_way and under_way + size > _BYTES_UNDER_WAY:
            return None
        free = [reader for reader in self._readers if not reader.jobs]
        if free:
            return free[0]
        if len(self._readers) < self._most:
            return len(self._readers)
        fitting = [
            reader
            for reader in self._readers
            if len(reader.jobs) < min(_FILES_AHEAD, reader.files_left)
            and reader.bytes_given + size <= _BYTES_AHEAD
        ]
        return min(fitting, key=lambda reader: len(reader.jobs), default=None)

    def _dispatch(self) -> None:
        while self._again and (found := self._reader_for(self._again[0].size)) is not None:
            reader = self._start() if isinstance(found, int) else found
            if not reader.jobs and (reader.files_left <= 0 or not reader.child.alive):
                self._drop(reader)
                continue
            job = self._again.popleft()
            if not reader.jobs and reader.ready:
                reader.since = time.monotonic()
            reader.jobs.append(job)
            reader.files_left -= 1
            with contextlib.suppress(
                ChildGoneError
            ):  # its end arrives in `results`, which knows whose fault it was
                reader.child.send(msgspec.msgpack.encode(job.request))

    def _start(self) -> _Reader[T]:
        environment = {
            MEMORY_VARIABLE: str(self._memory_mib),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "OMP_THREAD_LIMIT": "1",
            "KREUZBERG_CACHE_DIR": str(self._log.parent / "kreuzberg"),  # stays empty, but is made
        }
        child = Child("ragchat.ingest.reading.process", self._log, environment, arrived=self._arrived)
        reader: _Reader[T] = _Reader(child, time.monotonic(), _FILES_PER_CHILD)
        self._readers.append(reader)
        return reader

    # --- taking ---------------------------------------------------------------------------------------

    def results(self, timeout_s: float) -> Iterator[tuple[T, Result]]:
        """What has come out, after waiting up to `timeout_s` for the first; nothing when there was nothing.

        Raises RagchatError when a child does not start.
        """
        patience = time.monotonic() + timeout_s
        while True:
            while self._failed:
                yield self._failed.popleft()
            try:
                child = self._arrived.get(
                    timeout=max(0.0, min(patience, self._deadline()) - time.monotonic())
                )
            except queue.Empty:
                self._end_the_silent()
                self._dispatch()
                if not self._failed and time.monotonic() >= patience:
                    return
                continue
            if (result := self._take(child)) is not None:
                patience = 0.0
                yield result
            self._dispatch()

    def _deadline(self) -> float:
        return min(
            (self._deadline_of(reader) for reader in self._readers if reader.jobs), default=float("inf")
        )

    def _deadline_of(self, reader: _Reader[T]) -> float:
        if not reader.ready:
            return reader.since + _START_TIMEOUT_S
        request = reader.jobs[0].request
        reads_pictures = isinstance(request, ReadRequest) and request.ocr
        return reader.since + (max(self._timeout_s, _OCR_TIMEOUT_S) if reads_pictures else self._timeout_s)

    def _take(self, child: Child) -> tuple[T, Result] | None:
        """What a child has said, if that is the result of a file."""
        reader = next((reader for reader in self._readers if reader.child is child), None)
        if reader is None:
            return None  # it was ended meanwhile
        try:
            reply = self._decoder.decode(child.receive(0))
        except (ChildGoneError, ChildSilentError, msgspec.DecodeError):
            self._drop(reader)
            return self._blame(reader, Reason.CRASHED)
        reader.since = time.monotonic()
        if isinstance(reply, Ready):
            reader.ready = True
            return None
        job = reader.jobs[0] if isinstance(reply, PageRead) else reader.jobs.popleft()
        return job.what, reply

    def _end_the_silent(self) -> None:
        now = time.monotonic()
        for reader in [
            reader for reader in self._readers if reader.jobs and self._deadline_of(reader) <= now
        ]:
            self._drop(reader)
            if result := self._blame(reader, Reason.TIMEOUT):
                self._failed.append(result)

    def _blame(self, reader: _Reader[T], reason: Reason) -> tuple[T, Result] | None:
        """The failure of the file that an ended child was reading; those behind it are read again."""
        if not reader.ready:
            raise RagchatError("The process that reads documents did not start.", f"See {self._log}.")
        if not reader.jobs:
            return None
        job = reader.jobs.popleft()
        self._again.extend(reader.jobs)
        return job.what, Failed(reason)

    # --- ending ---------------------------------------------------------------------------------------

    def close(self) -> None:
        """End all children at once, whatever they are at; the pool can be used again."""
        for reader in list(self._readers):
            self._drop(reader)
        self._again.clear()
        self._failed.clear()

    def _drop(self, reader: _Reader[T]) -> None:
        self._readers.remove(reader)
        reader.child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
