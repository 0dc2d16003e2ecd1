"""The list over the prompt of what a slash command may continue with. It never has the keyboard: the prompt moves in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from textual import on
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ragchat.app.commands import Offer
from ragchat.text import clean_line

ROWS = 8
_WIDEST_NAME = 34
_AROUND = 4
"""Cells beside a row: the padding and the scrollbar."""


class Completions(OptionList, can_focus=False):
    """Invariant: it is displayed exactly when it has offers. It lies over what is above the prompt and moves nothing."""

    def __init__(self, take: Callable[[Offer], None]) -> None:
        """`take` is called with the offer that was clicked."""
        super().__init__()
        self._take = take
        self._offers: Sequence[Offer] = ()
        self.display = False

    @property
    def is_open(self) -> bool:
        return bool(self._offers)

    @property
    def highlighted_offer(self) -> Offer | None:
        return self._offers[self.highlighted] if self.is_open and self.highlighted is not None else None

    @property
    def first(self) -> Offer | None:
        """What Tab takes: the highlighted offer, else the first."""
        return self.highlighted_offer or (self._offers[0] if self._offers else None)

    def offer(self, offers: Sequence[Offer], *, highlight: bool) -> None:
        """Show these; none closes the list. `highlight`: Enter takes the first."""
        if offers == self._offers and highlight == (self.highlighted is not None):
            return
        self._offers = offers
        self.display = bool(offers)
        if not offers:
            return
        widths = [cell_len(_name(offer)) for offer in offers]
        column = min(max(widths), _WIDEST_NAME)
        self.set_options([Option(_row(offer, column)) for offer in offers])
        self.highlighted = 0 if highlight else None
        rows = min(len(offers), ROWS)
        self.styles.height = rows
        # Beside long lists the conversation is narrow: the list may be as wide as the screen.
        self.styles.width = column + 2 + max(cell_len(offer.meaning) for offer in offers) + _AROUND
        self.styles.offset = (0, -rows)

    def close(self) -> None:
        self.offer((), highlight=False)

    def move(self, step: int) -> None:
        """Highlight the next offer below (1) or above (-1); round at the ends."""
        if self.highlighted is None:
            self.highlighted = 0 if step > 0 else len(self._offers) - 1
        else:
            self.highlighted = (self.highlighted + step) % len(self._offers)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._take(self._offers[event.option_index])

    @on(OptionList.OptionHighlighted)
    def _moved(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()  # nobody else's business


def _name(offer: Offer) -> str:
    return clean_line(f"{offer.label} {offer.argument}")


def _row(offer: Offer, column: int) -> Content:
    """Names may be those of files and models: they are shown as plain text."""
    label = clean_line(offer.label)
    argument = _name(offer)[len(label) :]
    gap = " " * max(0, column - cell_len(label + argument)) + "  "
    return Content.assemble(
        label,
        (argument, "$foreground 62%"),
        (f"{gap}{offer.meaning}" if offer.meaning else "", "$foreground 62%"),
    )
