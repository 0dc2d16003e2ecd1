"""Keep a question of the chat for evaluation: its words, the expected answer, the document with the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Checkbox, OptionList, Static
from textual.widgets.option_list import Option

from ragchat.text import clean_line
from ragchat.tui.safe_content import shown_line
from ragchat.tui.screens.dialog import Dialog, Line
from ragchat.tui.screens.edit_text import TextBox
from ragchat.tui.widgets.toggles import Check
from ragchat.types import Citation


@dataclass(frozen=True, slots=True)
class Kept:
    """`answers`: any of them counts as right; empty when the documents hold no answer (`answerable` False)."""

    question: str
    answers: tuple[str, ...]
    source: str
    quote: str
    answerable: bool


class KeepQuestion(Dialog[Kept]):
    """Gives what was filled in, or None."""

    TITLE_TEXT: ClassVar[str] = "Keep as a question for the evaluation"
    HELP_TEXT: ClassVar[str] = "Tab moves on · Ctrl+S saves · Esc cancels"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "keep", "Keep", id="keep_question.keep", priority=True),
    ]

    def __init__(self, question: str, answer: str, citations: Sequence[Citation]) -> None:
        super().__init__()
        self._question, self._answer = question, answer
        self._sources = list({citation.hit.path: citation for citation in citations}.values())

    def body(self) -> Iterable[Widget]:
        yield Static(Content("Question"), classes="label")
        yield Line(self._question)
        yield Static(Content("Expected answers, one per line"), classes="label")
        yield TextBox(clean_line(self._answer), soft_wrap=True, show_line_numbers=False, tab_behavior="focus")
        yield Static(Content("Document with the answer"), classes="label")
        rows = [Option(shown_line(one.hit.path), id=str(n)) for n, one in enumerate(self._sources)]
        yield OptionList(*rows, Option(Content.styled("none of these", "$foreground 62%"), id="none"))
        yield Check("The documents contain no answer", id="unanswerable")
        yield Static(Content(""), id="note")

    def on_mount(self) -> None:
        self.query_one(OptionList).highlighted = 0

    def action_keep(self) -> None:
        self.call_later(self._keep)

    def _keep(self) -> None:
        question = clean_line(self.query_one(Line).value)
        lines = (clean_line(line) for line in self.query_one(TextBox).text.split("\n"))
        answers = tuple(dict.fromkeys(line for line in lines if line))
        answerable = not self.query_one(Checkbox).value
        if not question or (answerable and not answers):
            missing = "a question" if not question else "an expected answer"
            self.query_one("#note", Static).update(Content.styled(f"It needs {missing}.", "$text-error"))
            return
        option = self.query_one(OptionList).highlighted_option
        chosen = self._sources[int(option.id)] if option and option.id and option.id != "none" else None
        quote = (chosen.quote or chosen.hit.evidence) if chosen and answerable else ""
        source = chosen.hit.path if chosen and answerable else ""
        self.dismiss(Kept(question, answers if answerable else (), source, quote, answerable))
