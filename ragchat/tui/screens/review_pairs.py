"""Questions that were made from documents, one at a time: keep, edit, reject by one key. Everything is stored at once."""

from __future__ import annotations

import sys
from typing import ClassVar

import msgspec
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from ragchat.errors import UsageError
from ragchat.finetune.pairs import Pair, PairFile, Verdict
from ragchat.text import clean_line

DIM = "$foreground 62%"


class ReviewPairs(Screen[None]):
    """Begins at the first pair that no one has looked at."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "judge('kept')", "Keep", id="review.keep"),
        Binding("x", "judge('rejected')", "Reject", id="review.reject"),
        Binding("e", "edit", "Edit", id="review.edit"),
        Binding("u", "undo", "Undo", id="review.undo"),
        Binding("n,down,j", "go(1)", "Next", id="review.next"),
        Binding("p,up", "go(-1)", "Previous", id="review.previous"),
        Binding("escape,q", "leave", "Back", id="review.back"),
    ]

    DEFAULT_CSS = """
    ReviewPairs #pair { padding: 1 2; }
    ReviewPairs Input { margin: 0 2; }
    """

    def __init__(self, name: str, file: PairFile) -> None:
        super().__init__()
        self._of, self._file = name, file
        self._before: list[Pair] = []
        pairs = file.pairs
        self.at = next((n for n, pair in enumerate(pairs) if not pair.reviewed and pair.verdict == "kept"), 0)

    @property
    def pair(self) -> Pair:
        """The one that is shown."""
        return self._file.pairs[self.at]

    def compose(self) -> ComposeResult:
        with VerticalScroll(can_focus=False):
            yield Static(id="pair", markup=False)
        question = Input(id="question", placeholder="The question")
        answer = Input(id="answer", placeholder="The answer, word for word from the sentence")
        question.display = answer.display = False
        yield question
        yield answer
        yield Static(id="note", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self._draw()

    def _draw(self, note: str = "") -> None:
        pairs, pair = self._file.pairs, self.pair
        looked = sum(one.reviewed for one in pairs)
        before, _, after = pair.sentence.partition(pair.answer)
        state = {"kept": "kept", "rejected": f"rejected: {pair.reason or 'by you'}"}[pair.verdict]
        self.query_one("#pair", Static).update(
            Content.assemble(
                Content.styled(f"{clean_line(self._of)} · {self.at + 1} of {len(pairs)}", "bold"),
                f" · {len(self._file.kept)} kept · {looked} reviewed\n",
                Content.styled(f"{clean_line(pair.path)}\n\n", DIM),
                f"{clean_line(before)} " if before.strip() else "",
                Content.styled(clean_line(pair.answer), "$text-accent bold"),
                f" {clean_line(after)}\n\n",
                Content.styled("Question  ", DIM),
                f"{clean_line(pair.question)}\n",
                Content.styled("Answer    ", DIM),
                f"{clean_line(pair.answer)}\n\n",
                Content.styled(state, "$text-success" if pair.verdict == "kept" else "$text-warning"),
            )
        )
        self.query_one("#note", Static).update(Content(f"  {note}" if note else ""))

    def action_judge(self, verdict: Verdict) -> None:
        self._put(msgspec.structs.replace(self.pair, verdict=verdict, reason="", reviewed=True))
        self.action_go(1)

    def action_go(self, step: int) -> None:
        there = self.at + step
        if not 0 <= there < len(self._file.pairs):
            self._draw(
                "This is the last one. Press Esc to go back." if step > 0 else "This is the first one."
            )
            return
        self.at = there
        self._draw()

    def action_undo(self) -> None:
        if not self._before:
            self._draw("There is nothing to undo.")
            return
        pair = self._before.pop()
        self._file.put(pair)
        self.at = next(n for n, one in enumerate(self._file.pairs) if one.id == pair.id)
        self._draw("Undone.")

    def action_edit(self) -> None:
        question, answer = self.query_one("#question", Input), self.query_one("#answer", Input)
        question.value, answer.value = self.pair.question, self.pair.answer
        question.display = answer.display = True
        question.focus()
        self._draw("Enter continues, Esc cancels.")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        question, answer = self.query_one("#question", Input), self.query_one("#answer", Input)
        if event.input is question:
            answer.focus()
            return
        said = answer.value.strip()
        if not question.value.strip() or not said or said not in self.pair.sentence:
            self._draw(
                "The sentence must contain the answer word for word, and the question must not be empty."
            )
            return
        self._put(
            msgspec.structs.replace(
                self.pair,
                question=clean_line(question.value),
                answer=said,
                verdict="kept",
                reason="",
                reviewed=True,
            )
        )
        self._close_inputs()
        self._draw("Changed and kept.")

    def action_leave(self) -> None:
        if self.query_one("#question", Input).display:
            self._close_inputs()
            self._draw()
        else:
            self.app.exit()

    def _close_inputs(self) -> None:
        for name in ("#question", "#answer"):
            self.query_one(name, Input).display = False
        self.set_focus(None)

    def _put(self, pair: Pair) -> None:
        self._before.append(self.pair)
        self._file.put(pair)


class ReviewApp(App[None]):
    """The screen alone, for `ragchat pairs review`."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, name: str, file: PairFile) -> None:
        super().__init__()
        self._review = ReviewPairs(name, file)

    def on_mount(self) -> None:
        self.push_screen(self._review)


def review(name: str, file: PairFile) -> None:
    """Show the pairs of a knowledge base until the user leaves. Raises UsageError where no screen can be drawn."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "This terminal cannot draw a screen.",
            "`ragchat pairs list` and `ragchat pairs export` work in pipes.",
        )
    ReviewApp(name, file).run()
