"""Jump mode: a label over everything that can be pressed; typing it presses. What that is, `tui/jumping.py` says."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

from ragchat.tui import jumping
from ragchat.tui.jumping import Spot
from ragchat.tui.screens.dialog import Leaving


class JumpScreen(Leaving[Spot], ModalScreen[Spot]):
    """Gives the spot whose label was typed, or None. The screen behind stays to be seen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", id="jump.leave", show=False),
        Binding("backspace", "again", "Another first letter", id="jump.again", show=False),
    ]

    def __init__(self, spots: list[Spot]) -> None:
        super().__init__()
        self._spots = dict(zip(jumping.labels(len(spots)), spots, strict=False))
        self._typed = ""
        self._shown_at: Size | None = None

    def compose(self) -> ComposeResult:
        for name, spot in self._spots.items():
            label = Static(self._content(name), name=name, classes="jump-label")
            label.styles.offset = (spot.x, spot.y)
            label.styles.width = len(name)
            yield label
        yield Static(Content("Jump: type the letters · Esc cancels"), id="jump-help")

    def _content(self, name: str) -> Content:
        typed = len(self._typed)
        return Content.assemble(Content.styled(name[:typed], "$foreground 50%"), name[typed:])

    def on_key(self, event: events.Key) -> None:
        if event.character is None or not event.is_printable:
            return
        event.stop()
        typed = self._typed + event.character.lower()
        if typed in self._spots:
            self.dismiss(self._spots[typed])
        elif any(name.startswith(typed) for name in self._spots):
            self._typed = typed
            self._show()

    def action_again(self) -> None:
        self._typed = ""
        self._show()

    def _show(self) -> None:
        for label in self.query(".jump-label").results(Static):
            label.update(self._content(label.name or ""))
            label.display = (label.name or "").startswith(self._typed)

    def on_click(self, event: events.Click) -> None:
        spot = self._spots.get(event.widget.name or "") if event.widget else None
        self.dismiss(spot)

    def on_resize(self, event: events.Resize) -> None:
        # What the labels stood over has moved.
        if self._shown_at not in (None, event.size):
            self.dismiss(None)
        self._shown_at = event.size

    def action_leave(self) -> None:
        self.dismiss(None)


def begin(app: App[None]) -> None:
    """Label what can be pressed on the screen that is shown, and press what is chosen; again: leave."""

    def chosen(spot: Spot | None) -> None:
        if spot is not None:
            spot.press()

    if isinstance(app.screen, JumpScreen):
        app.screen.dismiss(None)
    else:
        app.push_screen(JumpScreen(jumping.spots(app.screen)), chosen)
