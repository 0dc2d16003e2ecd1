"""From Enter to the first quote and the first word, read off the screen: the real program in a pseudo terminal, in an empty home.

    python benchmarks/first_token_screen.py [--set FOLDER] [--questions N] [--model NAME-OR-FILE] [--record FILE.cast]

Questions are typed by the seeded typist, in real time. The program is started twice: as it is, and with reading ahead switched
off; the same keys are pressed. Without --set it asks two documents of its own. --record writes what the first program wrote to
its terminal, as asciinema plays it. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import codecs
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from first_token import questions
from typed_sessions import gap, keys

from tests.helpers.terminal import _DRAWN, Terminal

COLUMNS, ROWS = 120, 36
BORDERS = (0, 27, 81, 120)
"""Columns where the list of chats, the chat, and the sources begin."""
PATIENCE_S = 180.0
WAITING = ("◌", "Ask anything")
"""What an answer without a word begins with: what is being done, or the prompt below."""
READING_S = 2.0
"""An answer is looked at before the next question is typed."""
DOCUMENTS = {
    "lighthouse.md": """# The lighthouse of Skarv

The lighthouse of Skarv was built in 1903. Its keeper is Ilse Brandt, who came to the island from Husum.

The lamp needs forty litres of oil every week. In winter the stairs are cleared of ice before noon.
""",
    "ferry.md": """# The ferry to Skarv

The ferry to Skarv leaves the mainland at 07:40 and at 16:15. A ticket costs twelve crowns.

Dogs travel free. In a storm the ferry stays in the harbour, and the tickets stay valid for a week.
""",
}
ASKED = (
    "Who is the keeper of the lighthouse of Skarv?",
    "When does the ferry to Skarv leave the mainland?",
    "How much oil does the lamp need every week?",
    "What does a ticket for the ferry cost?",
)


class Recorded(Terminal):
    """A terminal that keeps when what was written."""

    def record(self) -> None:
        """From now on."""
        self.began = time.monotonic()
        self.written: list[tuple[float, str]] = []
        feed, decoder = self._stream.feed, codecs.getincrementaldecoder("utf-8")("replace")

        def keep(data: bytes) -> None:
            self.written.append((time.monotonic() - self.began, decoder.decode(data)))
            feed(data)

        self._stream.feed = keep  # type: ignore[method-assign]

    def take(self, seconds: float) -> None:
        """What the program writes within this time, or the next of it."""
        self._read(seconds)

    def column(self, number: int) -> str:
        """The text between two of the borders, on one line."""
        left, right = self._borders[number : number + 2]
        return " ".join(_DRAWN.sub(" ", "\n".join(line[left:right] for line in self._screen.display)).split())

    def save(self, path: Path) -> None:
        """As asciinema has it, version 2."""
        head = {
            "version": 2,
            "width": COLUMNS,
            "height": ROWS,
            "title": "ragchat: from Enter to the first word",
        }
        lines = [json.dumps(head), *(json.dumps([round(at, 3), "o", text]) for at, text in self.written)]
        path.write_text("\n".join(lines) + "\n", "utf-8")


def shown(chat: str, question: str, model: str) -> tuple[bool, bool, bool]:
    """Of the answer to a question, in the text of a chat: a quote, a word, all of it."""
    _, asked, turn = chat.rpartition(f"You {' '.join(question.split())}")
    quotes, headed, answer = turn.partition(model)
    answer = answer.strip()
    if not asked or not headed:
        return False, False, False
    return bool(quotes.strip()), bool(answer) and not answer.startswith(WAITING), "to first token" in answer


@dataclass
class Seen:
    """Seconds from Enter, and from a key to its letter on the screen."""

    question: str
    quote_s: float = 0.0
    word_s: float = 0.0
    whole_s: float = 0.0
    echo_s: list[float] = field(default_factory=list)


class Screen:
    """The program, and what it shows."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        env = {
            "HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color",
            "RAGCHAT_HOME": str(home / "ragchat"), "RAGCHAT_SAMPLING__TEMPERATURE": "0", **environment,
        }  # fmt: skip
        self._env, self._home, self._model = env, home, ""

    def add(self, folder: Path) -> None:
        """Make its documents a knowledge base."""
        subprocess.run(
            [sys.executable, "-m", "ragchat", "kb", "add", "set", str(folder)],
            env=self._env, cwd=self._home, check=True, stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip

    def start(self) -> None:
        self.terminal = Recorded(
            [sys.executable, "-m", "ragchat"],
            env=self._env,
            cwd=self._home,
            columns=COLUMNS,
            rows=ROWS,
            borders=BORDERS,
        )
        self.terminal.record()
        self.terminal.wait("What would you like to know?", seconds=60)
        loaded = re.compile(r"● (\S+) · set")
        self.terminal.until(
            "the model is loaded", lambda: bool(loaded.search(self.terminal.words)), seconds=180
        )
        found = loaded.search(self.terminal.words)
        assert found
        self._model = found[1]
        self.terminal.settle(seconds=5)

    def type(self, seen: Seen, rng: random.Random, speed: float) -> None:
        """As a hand does; what the program writes meanwhile is taken in."""
        before = ""
        for key in keys(seen.question, rng, per_second=speed):
            self._wait(key.wait_s)
            if len(key.text) < len(before):
                self.terminal.press("backspace")
            else:
                self.terminal.type(key.text[-1])
            if not key.text.endswith(" "):
                seen.echo_s.append(self._until(re.escape(" ".join(key.text.split()[-2:])), seconds=5))
            before = key.text
        self._wait(1.6 * gap(rng, speed))

    def ask(self, question: str, rng: random.Random, speed: float) -> Seen:
        """Type it, press Enter, and look."""
        seen = Seen(question)
        self.type(seen, rng, speed)
        pressed = time.monotonic()
        self.terminal.press("enter")
        while not seen.whole_s and (now := time.monotonic() - pressed) < PATIENCE_S:
            quoted, said, whole = shown(self.terminal.column(1), question, self._model)
            seen.quote_s = seen.quote_s or (now if quoted else 0.0)
            seen.word_s = seen.word_s or (now if said else 0.0)
            seen.whole_s = now if whole else 0.0
            self.terminal.take(0.05)
        self._wait(READING_S)
        return seen

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.terminal.take(left)

    def _until(self, pattern: str, *, seconds: float) -> float:
        began = time.monotonic()
        self.terminal.until(pattern, lambda: bool(re.search(pattern, self.terminal.words)), seconds=seconds)
        return time.monotonic() - began


def run(name: str, asked: list[str], folder: Path, arguments: argparse.Namespace) -> list[Seen]:
    """Ask them of one program; a chat goes on."""
    environment = {"RAGCHAT_MODEL__READ_AHEAD": "true" if name == "read ahead" else "false"}
    if arguments.model:
        environment["RAGCHAT_MODEL__NAME"] = arguments.model
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as home:
        screen = Screen(Path(home), environment)
        screen.add(folder)
        screen.start()
        try:
            found = [screen.ask(question, rng, arguments.speed) for question in asked]
            if arguments.show:
                print(screen.terminal.text)
        finally:
            if arguments.record and name == "read ahead":
                screen.terminal.save(arguments.record)
            screen.terminal.close()
    return found


def prepared(folder: Path, arguments: argparse.Namespace) -> list[str]:
    """The documents are copied there; questions about them."""
    if not arguments.set:
        for name, text in DOCUMENTS.items():
            (folder / name).write_text(text, "utf-8")
        return list(ASKED[: arguments.questions])
    chats, corpus = questions(arguments.set, arguments.questions, arguments.seed)
    for path in corpus:
        shutil.copy(path, folder)
    return [own[0] for own in chats]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", type=Path)
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--model", default="")
    parser.add_argument("--speed", type=float, default=4.0, help="characters per second")
    parser.add_argument("--record", type=Path)
    parser.add_argument("--show", action="store_true", help="the last screen")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    result: dict[str, object] = {"benchmark": "first_token_screen"}
    with tempfile.TemporaryDirectory() as folder:
        asked = prepared(Path(folder), arguments)
        print(
            f"{'milliseconds':16} {'n':>3} {'first quote':>12} {'first word':>11} {'whole':>7} {'key echo median':>16} {'p99':>5}"
        )
        for name in ("read ahead", "nothing read"):
            seen = run(name, asked, Path(folder), arguments)
            echo = sorted(one for row in seen for one in row.echo_s)
            row = {
                "quote": _middle([one.quote_s for one in seen]),
                "word": _middle([one.word_s for one in seen]),
                "whole": _middle([one.whole_s for one in seen]),
                "echo": _middle(echo),
                "echo_p99": round(1000 * echo[min(len(echo) - 1, int(0.99 * len(echo)))]),
            }
            print(
                f"{name:16} {len(seen):3} {row['quote']:12} {row['word']:11} {row['whole']:7}"
                f" {row['echo']:16} {row['echo_p99']:5}"
            )
            result[name] = {**row, "n": len(seen), "keys": len(echo)}
    print(json.dumps(result))


def _middle(seconds: list[float]) -> int:
    """In milliseconds, of what was seen at all."""
    seen = [one for one in seconds if one]
    return round(1000 * statistics.median(seen)) if seen else 0


if __name__ == "__main__":
    main()
