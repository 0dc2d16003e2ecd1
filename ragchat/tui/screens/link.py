"""A link in an answer: its whole address, and the question what to do with it. Nothing opens unasked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar
from urllib.parse import urlsplit

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Static

from ragchat.tui.foreign import shown
from ragchat.tui.screens.dialog import Dialog


class LinkScreen(Dialog[None]):
    """Enter copies the address; `o` opens web addresses only."""

    TITLE_TEXT: ClassVar[str] = "A link in the answer"
    HELP_TEXT: ClassVar[str] = "Enter copies it · o opens it in the browser · Esc closes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "copy", "Copy", id="link.copy"),
        Binding("o", "open", "Open in the browser", id="link.open"),
    ]

    def __init__(self, href: str) -> None:
        super().__init__()
        self._href = href

    def body(self) -> Iterable[Widget]:
        yield Static(shown(self._href, "$text-accent"), classes="link")

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self._href)
        self.notify("The address was copied.", timeout=2, markup=False)
        self.dismiss(None)

    def action_open(self) -> None:
        if not is_web_address(self._href):
            self.notify("Only http and https addresses are opened. Enter copies it.", markup=False)
            return
        self.app.open_url(self._href)
        self.dismiss(None)


def is_web_address(href: str) -> bool:
    """Whether a browser may be given this: http or https, a host, and nothing that is no plain character."""
    try:
        parts = urlsplit(href)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and href.isprintable()
