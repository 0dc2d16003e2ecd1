"""The questions of a set, one below the other: add, edit, delete and take back. Every change is stored at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Checkbox, OptionList, Static
from textual.widgets.option_list import Option

from ragchat.errors import RagchatError
from ragchat.evaluation.question_sets import new
from ragchat.text import clean_line, counted
from ragchat.tui.safe_content import shown_line
from ragchat.tui.screens.dialog import Dialog, Leaving, Line
from ragchat.tui.screens.edit_text import TextBox
from ragchat.tui.widgets.status_bar import KeyHints
from ragchat.tui.widgets.toggles import Check

if TYPE_CHECKING:
    from ragchat.evaluation.question_sets import Asked

DIM = "$foreground 62%"


class EditQuestion(Dialog["Asked"]):
    """Gives the question as it was filled in, or None."""

    TITLE_TEXT: ClassVar[str] = "Evaluation question"
    HELP_TEXT: ClassVar[str] = "Tab moves on · Ctrl+S saves · Esc cancels"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "keep", "Keep", id="edit_question.keep", priority=True),
    ]

    def __init__(self, question: Asked | None) -> None:
        super().__init__()
        self._before = question

    def body(self) -> Iterable[Widget]:
        before = self._before
        yield Static(Content("Question"), classes="label")
        yield Line(before.question if before else "")
        yield Static(Content("Expected answers, one per line"), classes="label")
        text = "\n".join(before.answers) if before else ""
        yield TextBox(text, soft_wrap=True, show_line_numbers=False, tab_behavior="focus")
        yield Static(Content("Documents with the answer, separated by commas"), classes="label")
        sources = Line(", ".join(before.sources) if before else "")
        sources.id = "sources"
        yield sources
        yield Static(Content("Tags, separated by commas"), classes="label")
        tags = Line(", ".join(before.tags) if before else "")
        tags.id = "tags"
        yield tags
        yield Check(
            "The documents contain no answer",
            id="unanswerable",
            value=bool(before and not before.answerable),
        )
        yield Static(Content(""), id="note")

    def action_keep(self) -> None:
        before = self._before
        try:
            made = new(
                self.query_one(Line).value,
                self.query_one(TextBox).text.split("\n"),
                sources=_parted(self.query_one("#sources", Line).value),
                tags=_parted(self.query_one("#tags", Line).value),
                answerable=not self.query_one(Checkbox).value,
            )
        except RagchatError as error:
            self.query_one("#note", Static).update(Content.styled(clean_line(str(error)), "$text-error"))
            return
        if (
            before is not None
        ):  # the same question, better said: answers that were measured stay with it only if it is unchanged
            same = (made.question, made.answers, made.answerable) == (
                before.question,
                before.answers,
                before.answerable,
            )
            made = msgspec.structs.replace(made, id=before.id if same else made.id, origin=before.origin)
        self.dismiss(made)


class QuestionsScreen(Leaving[None]):
    """`write` is given the questions before and after a change, and does to the set what was changed; it raises RagchatError."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Back", id="questions.back"),
        Binding("n", "add", "New", id="questions.add"),
        Binding("e", "edit", "Edit", id="questions.edit"),
        Binding("d,delete", "remove", "Delete", id="questions.delete"),
        Binding("u", "undo", "Undo", id="questions.undo"),
    ]

    def __init__(
        self,
        name: str,
        questions: Sequence[Asked],
        write: Callable[[Sequence[Asked], Sequence[Asked]], object],
    ) -> None:
        super().__init__()
        self._of, self._write = name, write
        self.questions = list(questions)
        self._before: list[list[Asked]] = []

    def compose(self) -> ComposeResult:
        yield Static(id="questions-title", markup=False)
        yield OptionList()
        yield KeyHints()

    def on_mount(self) -> None:
        self._show(0)
        self.query_one(OptionList).focus()

    def action_back(self) -> None:
        self.dismiss(None)

    @property
    def at(self) -> int:
        """The highlighted question, -1 for none."""
        number = self.query_one(OptionList).highlighted
        return number if number is not None and number < len(self.questions) else -1

    def action_add(self) -> None:
        self.app.push_screen(EditQuestion(None), lambda made: self._put(len(self.questions), made))

    def action_edit(self) -> None:
        if self.at >= 0:
            number = self.at
            self.app.push_screen(EditQuestion(self.questions[number]), lambda made: self._put(number, made))

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_edit()

    def action_remove(self) -> None:
        if self.at >= 0:
            number = self.at
            self._become([*self.questions[:number], *self.questions[number + 1 :]], number)
            self.notify("Deleted. Press u to undo.", timeout=4, markup=False)

    def action_undo(self) -> None:
        if self._before:
            before = self._before.pop()
            if self._stored(before):
                self.questions = before
                self._show(self.at)

    def _put(self, number: int, made: Asked | None) -> None:
        if made is not None:
            self._become([*self.questions[:number], made, *self.questions[number + 1 :]], number)

    def _become(self, questions: list[Asked], number: int) -> None:
        if self._stored(questions):
            self._before.append(self.questions)
            self.questions = questions
            self._show(number)

    def _stored(self, questions: Sequence[Asked]) -> bool:
        try:
            self._write(self.questions, questions)
        except RagchatError as error:
            self.notify(clean_line(f"{error} {error.remedy}"), severity="error", markup=False)
            return False
        return True

    def _show(self, number: int) -> None:
        title = f"{clean_line(self._of)} · {counted(len(self.questions), 'question')}"
        self.query_one("#questions-title", Static).update(Content(title))
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(_row(one)) for one in self.questions])
        if not self.questions:
            options.add_option(
                Option(Content.styled("No questions yet. Press n to add one.", DIM), disabled=True)
            )
        else:
            options.highlighted = max(0, min(number, len(self.questions) - 1))


def _row(one: Asked) -> Content:
    expected = " | ".join(one.answers) if one.answerable else "the documents contain no answer"
    tags = f"  #{' #'.join(one.tags)}" if one.tags else ""
    return Content.assemble(
        shown_line(one.question, limit=200),
        "\n  ",
        shown_line(f"{expected}{tags}", DIM, limit=200),
    )


def _parted(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
