"""What all small windows over the chat have in common: a frame, a title, a line of help, Esc closes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from ragchat.text import clean_line

Result = TypeVar("Result")


class Line(Input):
    """One line of input; what is pasted is cleaned and comes in as one line.

    The space bar is left to the window while `passes_space` says so. It is asked here, and not by a binding with priority, so
    that letters typed before are in the line already.
    """

    def __init__(
        self, value: str = "", *, placeholder: str = "", passes_space: Callable[[], bool] | None = None
    ) -> None:
        super().__init__(clean_line(value), placeholder=placeholder, select_on_focus=False)
        self._passes_space = passes_space

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "space" and self._passes_space is not None and self._passes_space():
            event.prevent_default()  # it goes on to the bindings of the window

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return not (self._passes_space and key == "space") and super().check_consume_key(key, character)

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.insert_text_at_cursor(clean_line(event.text))


class Leaving(Screen[Result]):
    """A screen that is left once: a second key that was already on its way closes nothing below it."""

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Leave with a result; nothing happens while another screen is on top, or after the first time."""
        return super().dismiss(result) if self.is_active else AwaitComplete()


class Dialog(Leaving[Result], ModalScreen[Result]):
    """Subclasses say their `TITLE_TEXT`, their `HELP_TEXT` and what is between."""

    TITLE_TEXT: ClassVar[str] = ""
    HELP_TEXT: ClassVar[str] = "Esc closes"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (22, "-high")]  # noqa: RUF012 - no ClassVar in the base class
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="dialog.close", show=False)
    ]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(self.title_text()), classes="dialog-title")
            yield from self.body()
            yield Static(Content.styled(self.HELP_TEXT, "$foreground 62%"), classes="dialog-help")

    def title_text(self) -> str:
        return self.TITLE_TEXT

    def body(self) -> Iterable[Widget]:
        """The widgets between title and help."""
        return ()

    def action_close(self) -> None:
        self.dismiss(None)
