"""Child processes that speak frames over their standard input and output: no socket, no shared memory, no pickle.

A frame is a 4-byte little-endian length and that many bytes of MessagePack. The child's standard error goes to a log
file. A child ends when its standard input closes, hence with its parent, however that dies. What the frames mean is
the business of `llm.wire` and `ingest.wire`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from ragchat.paths import PACKAGE, make_private_dir

_LENGTH = struct.Struct("<I")
LARGEST_FRAME = 512 * 1024 * 1024
WRITE_S = 10.0
_PIPE_HOLDS = 32 * 1024
_LARGEST_LOG = 2 * 1024 * 1024


class ChildGoneError(Exception):
    """The process is no longer there. `reason` is a phrase for a user: "was killed (SIGKILL)"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ChildSilentError(Exception):
    """Nothing came within the time allowed."""


class Child:
    """A running child process. `send` and `receive` may be called from different threads.

    Whoever waits for several children gives them one queue: a child puts itself into `arrived` for each frame that `receive`
    then has at once, and for its end.
    """

    def __init__(
        self,
        module: str,
        log: Path,
        env: Mapping[str, str] | None = None,
        *,
        arrived: queue.SimpleQueue[Child] | None = None,
    ) -> None:
        make_private_dir(log.parent)
        with contextlib.suppress(OSError):
            if log.stat().st_size > _LARGEST_LOG:
                log.replace(log.with_suffix(".old.log"))
        with open(log, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as stderr:
            self._process = subprocess.Popen(
                # -P: the folder the person stands in is no place to import from.
                [sys.executable, "-P", "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), "PYTHONUTF8": "1", **(env or {})},
                # Ctrl-C is for the parent, which then tells the child what to do.
                start_new_session=os.name == "posix",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        assert self._process.stdin
        assert self._process.stdout
        self._stdin: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self._stdout: BinaryIO = self._process.stdout  # type: ignore[assignment]
        self._writing = threading.Lock()
        self._frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._arrived = arrived
        self._reader = threading.Thread(target=self._read, name=f"{module} reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def send(self, frame: bytes) -> None:
        """Raises ChildGoneError, also for a child that does not read within `WRITE_S` and is ended for it."""
        # What is larger than a pipe holds waits for the child; a hung one must not hold us.
        patience = threading.Timer(WRITE_S, self._process.kill) if len(frame) > _PIPE_HOLDS else None
        try:
            with self._writing:
                if patience:
                    patience.start()
                write_frame(self._stdin, frame)
        except (OSError, ValueError) as error:
            raise ChildGoneError(self._ending()) from error
        finally:
            if patience:
                patience.cancel()

    def receive(self, timeout_s: float) -> bytes:
        """The next frame. Raises ChildSilentError after `timeout_s`, ChildGoneError at the end."""
        try:
            frame = self._frames.get(timeout=timeout_s)
        except queue.Empty:
            raise ChildSilentError from None
        if frame is None:
            self._frames.put(None)
            raise ChildGoneError(self._ending())
        return frame

    def kill(self) -> None:
        """End the process at once and wait for it."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError, ValueError):
                pipe.close()

    def close(self, timeout_s: float = 2.0) -> None:
        """Let the process end by closing its input; kill it if it does not, or if someone is still writing to it."""
        if self._writing.acquire(timeout=timeout_s):
            try:
                with contextlib.suppress(OSError, ValueError):
                    self._stdin.close()
            finally:
                self._writing.release()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=timeout_s)
        self.kill()

    def _read(self) -> None:
        try:
            while (frame := read_frame(self._stdout)) is not None:
                self._put(frame)
        except (OSError, ValueError):
            pass  # closed under us, or a torn frame: both are the end
        finally:
            self._put(None)

    def _put(self, frame: bytes | None) -> None:
        self._frames.put(frame)
        if self._arrived is not None:
            self._arrived.put(self)

    def _ending(self) -> str:
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


def write_frame(pipe: BinaryIO, frame: bytes) -> None:
    """Raises OSError."""
    pipe.write(_LENGTH.pack(len(frame)) + frame)
    pipe.flush()


def read_frame(pipe: BinaryIO) -> bytes | None:
    """The next frame, or None at the end. Raises ValueError on a torn or absurd one."""
    head = pipe.read(_LENGTH.size)
    if not head:
        return None
    if len(head) < _LENGTH.size:
        raise ValueError("torn frame")
    (size,) = _LENGTH.unpack(head)
    if size > LARGEST_FRAME:
        raise ValueError("frame too large")
    body = pipe.read(size)
    if len(body) < size:
        raise ValueError("torn frame")
    return body


class Parent:
    """The child's end: frames to the parent from any thread, and the two threads that most children need."""

    def __init__(self, commands: BinaryIO, replies: BinaryIO) -> None:
        """On the two ends that `child_pipes` gives."""
        self._commands, self._replies = commands, replies
        self._writing = threading.Lock()

    def send(self, frame: bytes) -> None:
        """Raises OSError when the parent is gone."""
        with self._writing:
            write_frame(self._replies, frame)

    def receive(self) -> bytes | None:
        """The next frame, or None at the end. Raises ValueError. Not while a thread listens."""
        return read_frame(self._commands)

    def listen(self, take: Callable[[bytes], None]) -> None:
        """From now on a thread gives each frame to `take`. The process ends with its parent, and when `take` raises."""

        def listening() -> None:
            try:
                while (frame := self.receive()) is not None:
                    take(frame)
            finally:
                os._exit(0)

        threading.Thread(target=listening, name="commands", daemon=True).start()

    def beat(self, every_s: float, sign: Callable[[], bytes | None]) -> None:
        """From now on a thread sends what `sign` gives, if anything, every `every_s` seconds.

        `sign` is called when nothing else can be sent, so that what it says is never older than what was sent before.
        """

        def beating() -> None:
            pause = threading.Event()
            while not pause.wait(every_s):
                with self._writing, contextlib.suppress(OSError):
                    if frame := sign():
                        write_frame(self._replies, frame)

        threading.Thread(target=beating, name="beat", daemon=True).start()


def child_pipes() -> tuple[BinaryIO, BinaryIO]:
    """For the child: (commands in, replies out) on descriptors of their own.

    Standard output is then the log, so that a library that prints cannot tear the frames.
    """
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    commands = os.fdopen(os.dup(0), "rb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    if os.name == "nt":  # pragma: no cover
        import msvcrt

        for pipe in (commands, replies):
            msvcrt.setmode(pipe.fileno(), os.O_BINARY)  # type: ignore[attr-defined]
    return commands, replies
