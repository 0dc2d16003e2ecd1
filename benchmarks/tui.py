"""The screen under load: a chat of 5,000 messages, a model that writes 2,000 tokens per second, a pseudo terminal of 120x36.

    python benchmarks/tui.py [--messages N] [--rate TOKENS_PER_S] [--tokens N] [--keys N] [--scrolls N]

The real app over a real database; only the model is a fake, as no real one is that fast here. Times are taken outside the app,
from a key that is written to the terminal to what is drawn for it: the character itself, or the end of the next frame (the app
brackets its frames for terminals that can show them whole, and this one says that it can). A frame is 1/60 s. Memory is the
resident size of the app's process. Needs a POSIX pseudo terminal. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from startup import PROMPT, run_once

from ragchat.llm.fake import FakeModel
from ragchat.types import (
    CancelToken,
    GenerationFinished,
    Message,
    PrefillProgress,
    ReasoningDelta,
    Sampling,
    TextDelta,
)

FRAME_S = 1 / 60
PATIENCE_S = 30.0
_OPENINGS = 5
TITLE = "The long chat"
LAST = "this is the newest answer"
FIRST = "this is the oldest question"
UP, DOWN, TAB, BACK_TAB, PAGE_UP = "\x1b[A", "\x1b[B", "\t", "\x1b[Z", "\x1b[5~"
FRAME_END = b"\x1b[?2026l"
ANSWER = """## What to look at

The boiler switched itself off because the **pressure fell below 1 bar** [1]. It is the most frequent reason, and *usually* a
harmless one; `E10` on the display says the same.

1. Let it cool down, which takes about half an hour.
2. Open the filling loop slowly, under the left cover [2].
   - It turns hard at first.
   - Stop at 1.5 bar.

| reading | meaning | what to do |
|---|---|---|
| below 1.0 bar | off | fill it |
| 1.2 to 1.8 bar | normal | nothing |

```python
def refill(pressure: float) -> bool:
    return pressure < 1.2  # bar
```

"""


class SteadyModel(FakeModel):
    """Writes `ANSWER` over and over, `tokens` words at `rate` words per second, as near as the clock allows."""

    selected = "fake"

    def __init__(self, *, tokens: int, rate: float) -> None:
        super().__init__("", n_ctx=1_000_000)
        self._tokens, self._rate = tokens, rate

    def select(self, name_or_path: str) -> None:
        pass

    def suspicion(self) -> str:
        return ""

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
        words = [
            word for line in ANSWER.splitlines(keepends=True) for word in line.replace(" ", " \0").split("\0")
        ]
        started, said = time.perf_counter(), 0
        while said < self._tokens and not cancel.cancelled:
            due = int((time.perf_counter() - started) * self._rate)
            for _ in range(min(due, self._tokens) - said):
                yield TextDelta(words[said % len(words)])
                said += 1
            time.sleep(0.0005)
        took = time.perf_counter() - started
        yield GenerationFinished("stop", 10, 0, said, 0.0, 0.0, said / took, 0)


def serve(tokens: int, rate: float) -> None:
    """The app with the fake model, until it is ended."""
    from ragchat.app import build
    from ragchat.cli import main

    build.model = lambda *_arguments, **_options: SteadyModel(tokens=tokens, rate=rate)  # type: ignore[assignment]
    sys.argv = ["ragchat", "chat"]
    main()


class Terminal:
    """The app in a pseudo terminal; keeps what it draws."""

    def __init__(self, command: list[str], home: str) -> None:
        environment = {**os.environ, "RAGCHAT_HOME": home, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        self.drawn = b""
        self._answered = False

    def write(self, keys: str) -> float:
        """Send keys; when that was. What was drawn before is forgotten."""
        self.drawn = b""
        os.write(self._terminal, keys.encode())
        return time.perf_counter()

    def read(self, wait_s: float) -> None:
        if select.select([self._terminal], [], [], wait_s)[0]:
            self.drawn += os.read(self._terminal, 1 << 20)
        if not self._answered and b"\x1b[?2026$p" in self.drawn:
            self._answered = True
            os.write(self._terminal, b"\x1b[?2026;2$y")

    def until(self, what: bytes, patience_s: float = PATIENCE_S) -> float:
        """Wait until it is drawn; when that was."""
        deadline = time.perf_counter() + patience_s
        while what not in self.drawn:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{what!r} was not drawn within {patience_s:.0f} s")
            self.read(0.05)
        return time.perf_counter()

    def rest(self, seconds: float) -> None:
        """Take what is drawn for a while."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            self.read(left)

    @property
    def memory_mb(self) -> float:
        return psutil.Process(self.pid).memory_info().rss / 1e6

    def close(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        with contextlib.suppress(OSError):
            while os.read(self._terminal, 65536):
                pass
        os.waitpid(self.pid, 0)
        os.close(self._terminal)


def write_chat(home: Path, messages: int) -> None:
    """The long chat, as an import writes it."""
    from ragchat.paths import Paths
    from ragchat.store.chats import ChatStore
    from ragchat.types import PortableChat, PortableMessage

    def content(n: int) -> str:
        if n == 1:
            return FIRST
        if n == messages:
            return f"{ANSWER}{LAST}"
        return f"Question {n}: why does it switch itself off?" if n % 2 else f"Answer {n}\n\n{ANSWER}"

    said = tuple(
        PortableMessage(n, n - 1, "user" if n % 2 else "assistant", content(n), "2026-01-01T00:00:00+00:00")
        for n in range(1, messages + 1)
    )
    paths = Paths.discover({"RAGCHAT_HOME": str(home)})
    paths.create()
    store = ChatStore(paths.chat_database)
    at = "2026-01-01T00:00:00+00:00"
    store.add_portable(PortableChat(TITLE, at, at, said, leaf_id=messages))
    store.close()


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def open_chat(terminal: Terminal) -> float:
    """Seconds from Enter in the list of chats to the end of the newest answer on the screen."""
    terminal.until(PROMPT)
    terminal.until(TITLE.encode())
    terminal.rest(1.5)
    terminal.write(BACK_TAB)
    terminal.rest(0.2)
    terminal.write(DOWN)
    terminal.rest(0.3)
    started = terminal.write("\r")
    return terminal.until(LAST.encode()) - started


def echo_times(terminal: Terminal, keys: int) -> list[float]:
    """Seconds from each key to its character, while an answer streams."""
    terminal.write("tell me\r")
    terminal.until(b"What to look at")
    terminal.rest(0.3)
    took = []
    for n in range(keys):
        character = chr(0x100 + n % 128)  # none of them is in the answer
        started = terminal.write(character)
        took.append(terminal.until(character.encode()) - started)
        terminal.rest(0.03)
    return took


def scroll_times(terminal: Terminal, scrolls: int) -> list[float]:
    """Seconds from each page key to the end of the frame that shows it."""
    took = []
    for _ in range(scrolls):
        started = terminal.write(PAGE_UP)
        took.append(terminal.until(FRAME_END) - started)
        terminal.rest(0.05)
    return took


def scroll_to_top(terminal: Terminal) -> int:
    """Hold the page key down until the oldest question is seen; how many presses that took."""
    for presses in range(20_000):
        terminal.write(PAGE_UP)
        terminal.rest(0.02)
        if FIRST.encode() in terminal.drawn:
            return presses
    raise SystemExit("the beginning was not reached")


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """All figures. Seconds, MB, and frames of 1/60 s."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        ragchat = [str(Path(sys.executable).with_name("ragchat"))]
        starts = [run_once(ragchat, home) for _ in range(6)][1:]  # the first makes the folders
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        written = Path(folder) / "written"
        write_chat(written, arguments.messages)
        command = [
            sys.executable,
            __file__,
            "--serve",
            "--tokens",
            str(arguments.tokens),
            "--rate",
            str(arguments.rate),
        ]
        opened = []
        for round_ in range(_OPENINGS):
            # A copy: the app remembers which chats were open.
            copy = shutil.copytree(written, Path(folder) / str(round_))
            terminal = Terminal(command, str(copy))
            try:
                opened.append(open_chat(terminal))
                if round_ + 1 < _OPENINGS:
                    continue
                memory = terminal.memory_mb
                scrolls = scroll_times(terminal, arguments.scrolls)
                presses = scroll_to_top(terminal)
                grown = terminal.memory_mb - memory
                terminal.write("G")
                terminal.rest(1.0)
                terminal.write("\x1b")
                terminal.rest(0.5)
                echoes = echo_times(terminal, arguments.keys)
                streamed = terminal.memory_mb - memory
            finally:
                terminal.close()
    late = [max(0.0, took / FRAME_S - 1) for took in scrolls]
    return {
        "first_key_s": statistics.median(key for _, key in starts),
        "open_s": statistics.median(opened),
        "open_worst_s": max(opened),
        "echo_p50_ms": 1000 * quantile(echoes, 0.5),
        "echo_p99_ms": 1000 * quantile(echoes, 0.99),
        "scroll_p50_ms": 1000 * quantile(scrolls, 0.5),
        "scroll_p99_ms": 1000 * quantile(scrolls, 0.99),
        "late_frames_p50": quantile(late, 0.5),
        "late_frames_p99": quantile(late, 0.99),
        "scroll_presses": presses,
        "memory_growth_mb": grown,
        "memory_growth_after_streaming_mb": streamed,
    }


_LINES = (
    ("first accepted key, s", "first_key_s", 0.4),
    ("opening the chat, s", "open_s", 0.3),
    ("key echo while streaming, p50 ms", "echo_p50_ms", None),
    ("key echo while streaming, p99 ms", "echo_p99_ms", 50),
    ("page key to whole frame, p50 ms", "scroll_p50_ms", None),
    ("page key to whole frame, p99 ms", "scroll_p99_ms", None),
    ("frames late, p50", "late_frames_p50", 1),
    ("frames late, p99", "late_frames_p99", 1),
    ("memory, scrolled to the top, MB more", "memory_growth_mb", 50),
    ("memory, and after streaming, MB more", "memory_growth_after_streaming_mb", None),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=2000.0)
    parser.add_argument("--tokens", type=int, default=16_000)
    parser.add_argument("--keys", type=int, default=120)
    parser.add_argument("--scrolls", type=int, default=200)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.tokens, arguments.rate)
        return
    figures = measure(arguments)
    print(
        f"{arguments.messages} messages, {arguments.rate:.0f} tokens/s, 120x36\n{'':38}{'measured':>10}{'wanted':>9}"
    )
    for label, key, limit in _LINES:
        print(f"{label:38}{figures[key]:>10.2f}{f'< {limit}' if limit else '':>9}")
    rounded = {key: round(value, 3) for key, value in figures.items()}
    print(json.dumps({"benchmark": "tui", "messages": arguments.messages, "rate": arguments.rate, **rounded}))


if __name__ == "__main__":
    main()
