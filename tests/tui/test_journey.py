"""One journey through the real program, from the first start to the second: real keys, real model, real documents.

What the screen showed after each step goes to the file that JOURNEY_LOG names, else to one in the test's folder.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo terminals of Unix", allow_module_level=True)

from tests.helpers.terminal import Terminal

pytestmark = [pytest.mark.real_model, pytest.mark.timeout(240)]

LIGHTHOUSE = """# The lighthouse of Skarv

The lighthouse of Skarv was built in 1903. Its keeper is Ilse Brandt, who came to the island from Husum.

The lamp needs forty litres of oil every week. In winter the stairs are cleared of ice before noon.
"""
FERRY = """# The ferry to Skarv

The ferry to Skarv leaves the mainland at 07:40 and at 16:15. A ticket costs twelve crowns.

Dogs travel free. In a storm the ferry stays in the harbour, and the tickets stay valid for a week.
"""
MODEL = "SmolLM2-135M-Instruct"
ASKED = "Who is the keeper of the lighthouse of Skarv?"
LONG = "Tell a long story about a storm at sea."
EDITED = "When does the ferry to Skarv leave the mainland?"

BORDERS = (0, 27, 81, 120)
"""Columns where the list of chats, the chat, and the sources begin."""


class Journey:
    """The program in its terminal, and the log of what was done and seen."""

    def __init__(self, home: Path, log: Path) -> None:
        folders = {
            f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")
        }
        self.home, self._log = home, log
        self._env = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "RAGCHAT_SAMPLING__TEMPERATURE": "0",
            **folders,
        }
        self._began = time.monotonic()
        self._steps = 0
        self.first_answer = ""
        self.start()

    def start(self) -> None:
        self.terminal = Terminal(
            [sys.executable, "-m", "ragchat"], env=self._env, cwd=self.home, borders=BORDERS
        )

    def press(self, *keys: str) -> None:
        self.terminal.press(*keys)

    def type(self, text: str) -> None:
        """Text, and wait until it is there: a key that follows at once might be faster."""
        self.terminal.type(text)
        self.sees(text)

    def sees(self, *wanted: str, gone: str = "", seconds: float = 30) -> None:
        self.terminal.wait(*wanted, gone=gone, seconds=seconds)

    def sees_words_of_the_story(self, number: int) -> None:
        """The answer that stands last has so many words behind the notice that it begins with."""

        def told() -> bool:
            _, notice, story = self.terminal.words.rpartition("is not from them.")
            return (
                bool(notice)
                and len(re.split("◌|You stopped|The model repeated|Ask anything", story)[0].split()) >= number
            )

        self.terminal.until(f"{number} words of the story", told, seconds=60)

    def sees_answer(self, question: str, *, version: str = "") -> str:
        """Wait until the answer to `question` is whole, with its time beneath it; the text of the answer.

        A missing "answering" says less: the answers above have times as well, and the status line follows the chat.
        """
        quoted = r"(?:From your documents: [^◌]*? )?"
        shown = rf"{re.escape(question)} {quoted}{MODEL}\S* {version and re.escape(version) + ' '}"
        whole = re.compile(rf"{shown}([^◌]+?) [\d.]+ \w+ to first token")
        self.terminal.until(
            f"the whole answer to {question!r} {version}",
            lambda: whole.search(self.terminal.words) is not None and "answering" not in self.terminal.words,
            seconds=60,
        )
        answer = whole.search(self.terminal.words)
        assert answer
        return answer[1]

    def note(self, done: str) -> None:
        """Write down what was done, and the screen after it."""
        self._steps += 1
        self.terminal.settle()
        title = f"{self._steps}. {done}  ({time.monotonic() - self._began:.1f} s)"
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{title}\n{'-' * len(title)}\n{self.terminal.text.rstrip()}\n\n")

    def to_prompt(self) -> None:
        """Move the keyboard to the prompt."""
        self.press("esc")
        self.sees("⏎ Send")

    def to_transcript(self) -> None:
        """Move the keyboard from the prompt to the turns of the chat."""
        self.press("tab")
        self.sees("i Check")


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    home = tmp_path / "home"
    island = home / "island"
    island.mkdir(parents=True)
    (island / "lighthouse.md").write_text(LIGHTHOUSE, "utf-8")
    (island / "ferry.md").write_text(FERRY, "utf-8")
    log = Path(os.environ.get("JOURNEY_LOG", tmp_path / "journey.log"))
    log.write_text("", "utf-8")
    started = Journey(home, log)
    yield started
    started.terminal.close()


def test_from_the_first_start_to_the_second(journey: Journey) -> None:
    the_first_start(journey)
    documents_are_added(journey)
    a_question_is_answered(journey)
    its_source_is_opened(journey)
    an_answer_is_stopped(journey)
    the_question_is_edited(journey)
    the_first_branch_is_still_there(journey)
    another_answer_is_rated(journey)
    the_chat_is_exported(journey)
    the_chats_are_searched(journey)
    all_is_there_at_the_second_start(journey)


def the_first_start(journey: Journey) -> None:
    journey.sees("Welcome to ragchat", "A model", "Your documents", seconds=40)
    journey.note("Started for the first time: three steps are offered")
    journey.press("esc")
    journey.sees("What would you like to know?", gone="Welcome to ragchat")
    journey.sees(f"● {MODEL}", seconds=90)
    journey.note("Esc: the empty chat; the model was loaded meanwhile")


def documents_are_added(journey: Journey) -> None:
    journey.press("f4")
    journey.sees("Add documents", "File or folder")
    journey.type("~/isl")
    journey.press("tab")
    journey.sees("~/island")
    journey.press("enter")
    journey.sees("2 documents", seconds=60)
    journey.note("F4, a folder by its first letters and Tab, Enter: two documents are read")
    journey.press("esc")
    journey.sees(gone="File or folder")


def a_question_is_answered(journey: Journey) -> None:
    journey.type(ASKED)
    journey.press("enter")
    journey.sees("Sources · ", "lighthouse.md", seconds=60)
    journey.note("A question: its passages stand at the side before the answer is there")
    journey.first_answer = journey.sees_answer(ASKED)
    journey.note("The answer, and which of the passages it cites")


def its_source_is_opened(journey: Journey) -> None:
    journey.to_transcript()
    journey.press("enter")
    journey.note("Shift+Tab, Enter: the keyboard is at the sources")
    journey.press("enter")
    journey.sees("The lamp needs forty litres of oil every week.")
    journey.note("Enter: the document, at the passage")
    journey.press("esc")
    journey.sees("Sources · ")


def an_answer_is_stopped(journey: Journey) -> None:
    journey.to_prompt()
    journey.type(LONG)
    journey.press("enter")
    journey.sees_words_of_the_story(3)
    journey.press("esc")
    journey.sees("You stopped this answer.", gone="answering")
    journey.note("A question that the documents do not answer, and Esc in the midst of the answer")


def the_question_is_edited(journey: Journey) -> None:
    journey.to_transcript()
    journey.press("e")
    journey.sees("Send")
    journey.note("Shift+Tab, e: the question stands in the prompt again")
    journey.press("ctrl+u")
    journey.sees("Ask anything")
    journey.type(EDITED)
    journey.press("enter")
    journey.sees("‹ 2/2 ›", "ferry.md", gone="You stopped", seconds=60)
    journey.sees_answer(EDITED)
    journey.note("Written anew and sent: a second branch, with its own answer")


def the_first_branch_is_still_there(journey: Journey) -> None:
    journey.to_transcript()
    journey.press("k")
    journey.press("h")
    journey.sees("‹ 1/2 ›", LONG, "You stopped", gone="leave the mainland?")
    journey.note("k, h: the first branch, as it was")
    journey.press("j", "c")
    journey.sees_words_of_the_story(30)
    journey.press("esc")  # or the model repeats itself before, and is stopped for that
    journey.terminal.until(
        "the answer has ended",
        lambda: (
            re.search("You stopped|The model repeated", journey.terminal.words) is not None
            and "answering" not in journey.terminal.words
        ),
        seconds=60,
    )
    journey.note("j, c: the answer that was stopped goes on; Esc")
    journey.to_prompt()
    journey.to_transcript()
    journey.press("k")
    journey.press("l")
    journey.sees("‹ 2/2 ›", EDITED, gone="You stopped")


def another_answer_is_rated(journey: Journey) -> None:
    journey.press("j")
    journey.press("r")
    journey.sees_answer(EDITED, version="‹ 2/2 ›")
    journey.note("l, j, r: the second branch again, and another answer to it")
    journey.press("+")
    journey.sees("+ good")
    journey.note("+: the answer is good")


def the_chat_is_exported(journey: Journey) -> None:
    journey.press("alt+e")
    journey.sees("Export", "Markdown")
    journey.note("Alt+E: where the chat shall go")
    journey.press("enter")
    journey.sees("1 chat written to")
    journey.note("Enter: it is written")
    (exported,) = journey.home.glob("*.md")
    text = exported.read_text("utf-8")
    assert ASKED in text
    assert EDITED in text
    assert "lighthouse.md" in text


def the_chats_are_searched(journey: Journey) -> None:
    journey.press("f7")
    journey.sees("Type words from a message.")
    journey.type("long story about")
    journey.sees("1 message in 1 chat")
    journey.note("F7: all chats are searched; the branch that is not shown, too")
    journey.press("enter")
    journey.sees(LONG, "You stopped", gone="newest first")
    journey.note("Enter: the message, in its branch")


def all_is_there_at_the_second_start(journey: Journey) -> None:
    journey.press("ctrl+q")
    assert journey.terminal.ended() == 0
    journey.terminal.close()
    journey.start()
    journey.sees("What would you like to know?", "Chats · 1", "island", seconds=40)
    journey.sees(f"● {MODEL}", seconds=60)
    journey.note("Ctrl+Q, and started again: a new chat; the old one is in the list")
    journey.press("shift+tab")
    journey.sees("Chats · 1", gone="⏎ Send")
    journey.press("down", "enter")
    journey.sees(journey.first_answer, LONG)
    journey.note("Shift+Tab, Down, Enter: the chat as it was left")
    journey.to_transcript()
    journey.press("k")
    journey.press("l")
    journey.sees("‹ 2/2 ›", EDITED, "+ good", gone="You stopped")
    journey.note("l: the other branch, with the rating")
    journey.press("ctrl+q")
    assert journey.terminal.ended() == 0
