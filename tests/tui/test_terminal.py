"""The real program in a pseudo terminal: what it leaves behind when it ends, and that it ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo terminals of Unix", allow_module_level=True)

import fcntl
import pty
import struct
import termios

LEFT_ALTERNATE_SCREEN = b"\x1b[?1049l"


class Terminal:
    """The interface over fake services, and the far end of its terminal."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 110, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.tui_fakes", str(folder)],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            cwd=Path(__file__).parents[2],
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )

    def read(self, wanted: bytes = b"\0", *, seconds: float) -> bool:
        """Read until `wanted` was seen or the time is up."""
        deadline = time.monotonic() + seconds
        while wanted not in self.seen and time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.02)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.master, 65536)
        return wanted in self.seen

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def ended_within(self, seconds: float) -> int | None:
        """The exit code, or None when it is still running."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(seconds=0.02) if self.master >= 0 else time.sleep(0.02)
        return self.process.poll()

    def hang_up(self) -> None:
        for end in (self.master, self.slave):
            if end >= 0:
                os.close(end)
        self.master = self.slave = -1


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    started = Terminal(tmp_path, VISUAL="sh -c 'sleep 60'")
    try:
        assert started.read(b"Ask anything", seconds=20) or started.read(b"Ask", seconds=1)
        yield started
    finally:
        started.process.kill()
        started.process.wait()
        started.hang_up()


def test_quitting_and_terminating_restore_the_terminal(terminal: Terminal) -> None:
    terminal.read(b"fake", seconds=10)
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ended_within(4) == 0
    terminal.read(LEFT_ALTERNATE_SCREEN, seconds=1)
    assert LEFT_ALTERNATE_SCREEN in terminal.seen
    assert termios.tcgetattr(terminal.slave) == terminal.before


def test_a_hang_up_in_mid_answer_ends_it(terminal: Terminal) -> None:
    terminal.read(b"fake", seconds=10)
    terminal.type(b"question\r")
    assert terminal.read(b"boiler", seconds=20)
    terminal.hang_up()
    assert terminal.ended_within(4) is not None


def test_a_hang_up_while_an_editor_has_the_terminal_ends_it(terminal: Terminal) -> None:
    terminal.read(b"fake", seconds=10)
    terminal.type(b"question\r")
    assert terminal.read(b"first token", seconds=40)
    for _ in range(4):  # on a busy machine the sources may not be there yet at the first Tab
        terminal.type(b"\t")
        terminal.read(seconds=0.5)
        terminal.type(b"1")  # to the first source, from the answer
        terminal.read(seconds=0.5)
        terminal.seen = b""
        terminal.type(b"e")
        if terminal.read(LEFT_ALTERNATE_SCREEN, seconds=5):
            break
    assert LEFT_ALTERNATE_SCREEN in terminal.seen
    terminal.hang_up()
    assert terminal.ended_within(4) is not None
