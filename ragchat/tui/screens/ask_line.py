"""A question that one line answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from ragchat.text import clean_line
from ragchat.tui.screens.dialog import Dialog, Line


class AskLine(Dialog[str]):
    """Gives the line, or None."""

    HELP_TEXT: ClassVar[str] = "Enter saves · Esc cancels"

    def __init__(self, title: str, value: str = "", *, limit: int = 200) -> None:
        """The line is cut to `limit` characters (0: never)."""
        super().__init__()
        self._limit = limit
        self._title = title
        self._value = value

    def title_text(self) -> str:
        return self._title

    def body(self) -> Iterable[Widget]:
        yield Line(self._value)

    @on(Input.Submitted)
    def _keep(self, event: Input.Submitted) -> None:
        self.dismiss(clean_line(event.value, limit=self._limit) or None)
