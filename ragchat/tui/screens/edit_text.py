"""A text of several lines, to be written or changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static, TextArea

from ragchat.text import clean
from ragchat.tui.screens.dialog import Dialog


class TextBox(TextArea):
    """Several lines; what is pasted is cleaned."""

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        if result := self._replace_via_keyboard(clean(event.text), *self.selection):
            self.move_cursor(result.end_location)


class EditText(Dialog[str]):
    """Gives the text, or None when the user left."""

    HELP_TEXT: ClassVar[str] = "Ctrl+S saves · Esc cancels"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "keep", "Keep", id="edit_text.keep", priority=True),
    ]

    def __init__(self, title: str, text: str, intro: str = "") -> None:
        super().__init__()
        self._title, self._text, self._intro = title, text, intro

    def title_text(self) -> str:
        return self._title

    def body(self) -> Iterable[Widget]:
        if self._intro:
            yield Static(Content.styled(self._intro, "$foreground 62%"), classes="intro")
        yield TextBox(clean(self._text), soft_wrap=True, show_line_numbers=False, tab_behavior="focus")

    def action_keep(self) -> None:
        # After letters that are still queued for the text.
        self.call_later(self._keep)

    def _keep(self) -> None:
        self.dismiss(self.query_one(TextBox).text.strip())
