"""The links of an answer: their whole addresses, and the question what to do with one. Nothing opens unasked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar
from urllib.parse import urlsplit

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import OptionList

from ragchat.tui.clipboard import copy
from ragchat.tui.safe_content import shown
from ragchat.tui.screens.dialog import Dialog


class LinkScreen(Dialog[None]):
    """Enter copies the address that is marked; `o` opens it, if it is a web address."""

    TITLE_TEXT: ClassVar[str] = "Links in the answer"
    HELP_TEXT: ClassVar[str] = "Enter copies · o opens in the browser · Esc closes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open", "Open in the browser", id="link.open"),
    ]

    def __init__(self, hrefs: Sequence[str]) -> None:
        super().__init__()
        self._hrefs = tuple(hrefs)

    def body(self) -> Iterable[Widget]:
        yield OptionList(*[shown(href, "$text-accent") for href in self._hrefs])

    @property
    def _href(self) -> str:
        return self._hrefs[self.query_one(OptionList).highlighted or 0]

    @on(OptionList.OptionSelected)
    def _copy(self) -> None:
        copy(self.app, self._href, "The address")
        self.dismiss(None)

    def action_open(self) -> None:
        if not is_web_address(self._href):
            self.notify("ragchat opens only http and https addresses. Press Enter to copy it.", markup=False)
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
