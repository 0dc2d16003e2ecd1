"""The parent's side of extraction: one file in, clean text or one reason out; and safe reading.

No foreign file is parsed here. The child (`ingest.process`) works under limits of time, memory and size;
when it crashes or hangs, that costs one file with a reason, and the next file gets a new child.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from ragchat.errors import IngestError, RagchatError
from ragchat.ingest.wire import MEMORY_VARIABLE, ExtractRequest, Failed, Ready, Reason, Reply
from ragchat.pipes import Child, ChildGoneError, ChildSilentError
from ragchat.types import ExtractedText

_FILES_PER_CHILD = 1000
_START_TIMEOUT_S = 60.0
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
)


class Extractor:
    """Reads files in a child process, which starts with the first file and is renewed now and then.

    For one thread at a time. `timeout_s` is per file, `memory_mib` the child's address space (Linux; 0: no
    limit).
    """

    def __init__(self, log: Path, *, timeout_s: float, memory_mib: int, max_file_bytes: int) -> None:
        self._log = log
        self._timeout_s = timeout_s
        self._memory_mib = memory_mib
        self._max_file_bytes = max_file_bytes
        self._child: Child | None = None
        self._files_left = 0
        self._decoder = msgspec.msgpack.Decoder(Reply)

    def extract(self, path: Path) -> ExtractedText:
        """The text of the file.

        Raises IngestError, whose sentence is one of `wire.Reason`; RagchatError when no child can be started.
        """
        request = msgspec.msgpack.encode(ExtractRequest(os.fsencode(path), self._max_file_bytes))
        child = self._ready_child()
        try:
            child.send(request)
            reply = self._decoder.decode(child.receive(self._timeout_s))
        except ChildSilentError:
            self._drop_child()
            raise IngestError(Reason.TIMEOUT, f"The limit is {self._timeout_s:g} s.") from None
        except ChildGoneError as error:
            self._drop_child()
            raise IngestError(Reason.CRASHED, f"It {error.reason}; {self._log} may say more.") from error
        except msgspec.DecodeError as error:
            self._drop_child()
            raise IngestError(Reason.CRASHED, "Its reply could not be read.") from error
        except BaseException:
            self._drop_child()  # its reply, still to come, must not be taken for the next file's
            raise
        if isinstance(reply, Failed):
            raise IngestError(reply.reason)
        return ExtractedText(**msgspec.structs.asdict(reply))

    def close(self) -> None:
        """End the child; the extractor can be used again."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ready_child(self) -> Child:
        if self._child is not None and (self._files_left <= 0 or not self._child.alive):
            self.close()
        if self._child is None:
            self._child = self._start_child()
            self._files_left = _FILES_PER_CHILD
        self._files_left -= 1
        return self._child

    def _start_child(self) -> Child:
        child = Child("ragchat.ingest.process", self._log, {MEMORY_VARIABLE: str(self._memory_mib)})
        try:
            msgspec.msgpack.decode(child.receive(_START_TIMEOUT_S), type=Ready)
        except (ChildSilentError, ChildGoneError, msgspec.DecodeError) as error:
            child.kill()
            raise RagchatError(
                "The process that reads documents does not start.", f"See {self._log}."
            ) from error
        except BaseException:
            child.kill()
            raise
        return child

    def _drop_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None


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


def read_source(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """The bytes of a regular file. Raises IngestError, also when it holds more than `max_bytes`."""
    with open_source(path) as (file, status):
        if status.st_size > max_bytes:
            raise IngestError(Reason.TOO_LARGE)
        data = bytearray()
        while block := file.read(min(1 << 20, max_bytes + 1 - len(data))):
            data += block
            if len(data) > max_bytes:
                raise IngestError(Reason.TOO_LARGE)
        return bytes(data)


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
