"""A program in a pseudo terminal, seen through a terminal emulator (pyte): keys in, the screen as text out. Unix only."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pyte

KEYS = {
    "enter": "\r",
    "tab": "\t",
    "esc": "\x1b",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "shift+tab": "\x1b[Z",
    "f1": "\x1bOP",
    "f2": "\x1bOQ",
    "f3": "\x1bOR",
    "f4": "\x1bOS",
    "f5": "\x1b[15~",
    "f6": "\x1b[17~",
    "f7": "\x1b[18~",
    "f8": "\x1b[19~",
    "f9": "\x1b[20~",
}
"""What a terminal sends for a key; "ctrl+x" and "alt+x" are made, anything else is typed as it stands."""

_UNKNOWN_TO_PYTE = re.compile(rb"\x1b\[[<>=?][0-9;]*(?:[mu]|\$p)|\x1b_[^\x1b]*\x1b\\|\x1b\[\?2026[hl]")
"""Sequences that pyte takes for others: of the keyboard protocols, queries, synchronised output."""
_DRAWN = re.compile(r"[\s\u2500-\u259f]+")
_UNFINISHED = re.compile(rb"\x1b(?:\[[<>=?0-9;$]*|_[^\x1b]*\x1b?)?\Z")


class Terminal:
    """Runs a program until `close`. Every step that waits fails with the screen as it was."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        columns: int = 120,
        rows: int = 36,
        borders: Sequence[int] = (),
    ) -> None:
        """`borders`: the columns between which text is wrapped."""
        self._borders = borders
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._rest = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=dict(env),
            cwd=cwd,
        )
        os.close(slave)

    @property
    def text(self) -> str:
        """The screen, without white space at the ends of its lines."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def words(self) -> str:
        """What is written, line by line over the whole width, then column by column: text that is wrapped in a box is found.

        Every run of white space, and of the lines of boxes, is one blank.
        """
        lines = self._screen.display
        bands = [lines, *([line[a:b] for line in lines] for a, b in pairwise(self._borders))]
        return " ".join(_DRAWN.sub(" ", " ".join(band)) for band in bands)

    def press(self, *keys: str) -> None:
        """Keys by name, one after the other."""
        for key in keys:
            os.write(self._master, _encoded(key).encode())

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, what: str, fulfilled: Callable[[], bool], *, seconds: float) -> None:
        """Read what the program writes until `fulfilled`."""
        deadline = time.monotonic() + seconds
        while not fulfilled():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {what}\n{self.text}")
            self._read(0.05)

    def wait(self, *wanted: str, gone: str = "", seconds: float = 20) -> None:
        """Until the screen shows all that is `wanted`, and `gone` no more. White space does not count."""

        def shown() -> bool:
            words = self.words
            return all(part in words for part in wanted) and not (gone and gone in words)

        self.until(f"{wanted} shown{f', {gone!r} gone' if gone else ''}", shown, seconds=seconds)

    def settle(self, *, quiet_s: float = 0.3, seconds: float = 3) -> None:
        """Until nothing was written for a moment, or, while something is always written, for so long."""
        deadline = time.monotonic() + seconds
        while self._read(quiet_s) and time.monotonic() < deadline:
            pass

    def ended(self, *, seconds: float = 10) -> int:
        """Its exit code, when it ends."""
        self.until("the program ends", lambda: self._process.poll() is not None, seconds=seconds)
        return self._process.wait()

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._master)

    def _read(self, seconds: float) -> bool:
        """Take in what the program writes; whether it wrote within the time."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = self._rest + os.read(self._master, 65536)
        except OSError:  # the program has closed its end
            time.sleep(seconds)
            return False
        cut = match.start() if (match := _UNFINISHED.search(data)) else len(data)
        self._rest = data[cut:]
        self._stream.feed(_UNKNOWN_TO_PYTE.sub(b"", data[:cut]))
        return True


def _encoded(key: str) -> str:
    if key in KEYS:
        return KEYS[key]
    if key.startswith("ctrl+"):
        return chr(ord(key[-1]) & 0x1F)
    if key.startswith("alt+"):
        return f"\x1b{key[-1]}"
    assert len(key) == 1, f"no key {key!r}"
    return key
