"""A question before something is deleted. Enter alone does nothing: what is deleted was chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ragchat.tui.screens.dialog import Dialog


class Confirm(Dialog[bool]):
    """Gives True when the user says so."""

    HELP_TEXT: ClassVar[str] = "Up, Down and Enter choose · Esc cancels"

    def __init__(self, question: str, consequence: str, yes: str) -> None:
        super().__init__()
        self._question, self._consequence, self._yes = question, consequence, yes

    def title_text(self) -> str:
        return self._question

    def body(self) -> Iterable[Widget]:
        yield Static(Content.styled(self._consequence, "$foreground 62%"), classes="intro")
        yield OptionList(Option(Content("Cancel"), id="no"), Option(Content(self._yes), id="yes"))

    @on(OptionList.OptionSelected)
    def _answer(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id == "yes")
