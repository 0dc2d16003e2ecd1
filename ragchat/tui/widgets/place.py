"""Where a long scrolled list stands: it follows its end, or what is on the screen stays where it is, whatever comes above.

Textual's own anchor only knows the end, hangs short content from it, and moves what is read when something is put above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.scrollbar import ScrollBar
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.layout import DockArrangeResult


class PlaceKeeper(VerticalScroll):
    """Invariant: unless it follows its end, the child at the top of the window keeps its row there through every layout."""

    follows_end = True
    """Whether reaching the end means to stay there."""

    def __init__(self) -> None:
        super().__init__()
        self.following = True
        self._pin: tuple[Widget, int] | None = None
        self._children_at: list[tuple[int, int, Widget]] = []

    def holds(self, child: Widget) -> bool:
        """Whether a child may be what stays where it is."""
        return True

    def stay_at(self, child: Widget, row: int = 0) -> None:
        """From the next layout on, `child` begins `row` rows above the top of the window."""
        self.following = False
        self._pin = child, row
        self.refresh(layout=True)

    def follow(self) -> None:
        """Go to the end and stay there while it grows, until someone scrolls up."""
        self.following = True
        self.refresh(layout=True)

    def span_of(self, child: Widget) -> tuple[int, int] | None:
        """First row and the row after the last one, as last laid out."""
        return next(((top, bottom) for top, bottom, widget in self._children_at if widget is child), None)

    def arrange(self, size: Size, optimal: bool = False) -> DockArrangeResult:
        arranged = super().arrange(size, optimal)
        if not optimal and size.height:
            before, self._children_at = (
                self._children_at,
                [
                    (placement.region.y, placement.region.bottom, placement.widget)
                    for placement in arranged.placements
                    if not placement.fixed and not placement.overlay
                ],
            )
            self._keep_place(arranged.total_region.bottom, size.height)
            if before != self._children_at:
                self.call_later(self.moved)
        return arranged

    def _keep_place(self, total: int, height: int) -> None:
        end = max(0, total - height)
        wanted = self.scroll_y
        if self.following:
            wanted = end
        elif self._pin is not None and (span := self.span_of(self._pin[0])) is not None:
            wanted = span[0] + self._pin[1]
        wanted = min(max(wanted, 0), end)
        if wanted != self.scroll_y:
            # Before anything is painted, and without the watchers: they would ask for another layout.
            self.set_reactive(Widget.scroll_y, wanted)
            self.set_reactive(Widget.scroll_target_y, wanted)
            self.vertical_scrollbar.set_reactive(ScrollBar.position, wanted)
            self.call_later(self.moved)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.following = self.follows_end and new_value >= self.max_scroll_y
        self._pin = self._topmost(round(new_value))
        self.moved()

    def _topmost(self, row: int) -> tuple[Widget, int] | None:
        """The child at a row, and how many rows of it are above."""
        spans = (
            (top, child) for top, bottom, child in self._children_at if bottom > row and self.holds(child)
        )
        return next(((child, row - top) for top, child in spans), None)

    def moved(self) -> None:
        """It stands elsewhere now, or there is more or less of it."""
