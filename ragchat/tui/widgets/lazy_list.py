"""A list of any length: only the rows that are on the screen are ever drawn. Keys and clicks are those of `OptionList`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from ragchat.tui.jumping import Spot

_KEPT = 400
"""Drawn rows that are remembered."""


@dataclass(frozen=True, slots=True)
class Row:
    """`height` lines. `key` empty: a heading with `text`, which cannot be highlighted."""

    key: str
    height: int = 1
    text: str = ""


class LazyList(ScrollView, can_focus=True):
    """`draw(key, width)` makes the lines of a row when they are needed; what it gave is kept until `set_rows` or `redraw`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "lazy-list--row",
        "lazy-list--heading",
        "lazy-list--highlighted",
        "lazy-list--hover",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor_up", "Up", id="list.up", show=False),
        Binding("down,j", "cursor_down", "Down", id="list.down", show=False),
        Binding("pageup", "page_up", "Page up", id="list.page_up", show=False),
        Binding("pagedown", "page_down", "Page down", id="list.page_down", show=False),
        Binding("home,g", "first", "First", id="list.first", show=False),
        Binding("end,G,shift+g", "last", "Last", id="list.last", show=False),
        Binding("enter", "select", "Open", id="list.select", show=False),
    ]

    highlighted: reactive[int | None] = reactive(None)
    """The number of a row, counted from 0, headings included."""
    _hover: reactive[int | None] = reactive(None)

    class Highlighted(Message):
        """Another row is highlighted; an empty `key`: there is none."""

        def __init__(self, sender: LazyList, key: str) -> None:
            super().__init__()
            self.list = sender
            self.key = key

    class Chosen(Message):
        """Enter or a click on a row."""

        def __init__(self, sender: LazyList, key: str) -> None:
            super().__init__()
            self.list = sender
            self.key = key

    def __init__(self, draw: Callable[[str, int], Content]) -> None:
        super().__init__()
        self._draw = draw
        self._rows: Sequence[Row] = ()
        self._ends: list[int] = []
        self._index: dict[str, int] = {}
        self._strips: dict[tuple[int, str], list[Strip]] = {}

    @property
    def option_count(self) -> int:
        """Rows, headings included."""
        return len(self._rows)

    @property
    def key(self) -> str:
        """Of the highlighted row, or empty."""
        return self._rows[self.highlighted].key if self.highlighted is not None else ""

    def set_rows(self, rows: Sequence[Row], *, highlight: str = "") -> None:
        """Show these. The highlight goes to `highlight`, stays with its row, or goes to the nearest one that is left."""
        before, number = self.key, self.highlighted
        self._rows = rows
        self._ends = list(accumulate(row.height for row in rows))
        self._index = {row.key: number for number, row in enumerate(rows) if row.key}
        self.virtual_size = Size(self.size.width, self._ends[-1] if rows else 0)
        wanted = self._index.get(highlight, self._index.get(before))
        if wanted is None and number is not None:
            wanted = self._nearest(number)
        self.set_reactive(LazyList.highlighted, wanted)
        self._hover = None
        self.redraw()
        if self.key != before:
            self.post_message(self.Highlighted(self, self.key))
        self.call_after_refresh(self.scroll_to_highlight)

    def highlight(self, key: str) -> None:
        """Move to the row of this key, if there is one."""
        self.highlighted = self._index.get(key, self.highlighted)

    def redraw(self) -> None:
        """What rows show may have changed."""
        self._strips.clear()
        self.refresh()

    def _nearest(self, number: int) -> int | None:
        return min(self._index.values(), key=lambda index: abs(index - number), default=None)

    def _row_at(self, line: int) -> int | None:
        """The row that this line of the whole list belongs to."""
        row = bisect_right(self._ends, line)
        return row if line >= 0 and row < len(self._rows) else None

    def _top(self, row: int) -> int:
        return self._ends[row] - self._rows[row].height

    # --- moving -------------------------------------------------------------------------------------

    def watch_highlighted(self, before: int | None, now: int | None) -> None:
        self.refresh()
        if before != now:
            self.post_message(self.Highlighted(self, self.key))
            self.scroll_to_highlight()

    def scroll_to_highlight(self) -> None:
        """Bring the highlighted row onto the screen, with the heading over it."""
        row = self.highlighted
        if row is None or row >= len(self._rows) or not self.is_mounted:
            return
        first = row
        while first and not self._rows[first - 1].key:
            first -= 1
        top, height = self._top(first), max(1, self.scrollable_content_region.height)
        if self._top(row) < self.scroll_offset.y or top < self.scroll_offset.y <= self._top(row):
            self.scroll_to(y=top, animate=False, force=True)
        elif self._ends[row] > self.scroll_offset.y + height:
            y = self._ends[row] - height
            cut = self._row_at(y)
            if cut is not None and self._top(cut) < y and self._ends[cut] <= self._top(row):
                y = self._ends[cut]  # no row is cut in two at the top
            self.scroll_to(y=y, animate=False, force=True)

    def _step(self, start: int, step: int) -> None:
        """The first row from `start` on, in this direction, that can be highlighted."""
        while 0 <= start < len(self._rows):
            if self._rows[start].key:
                self.highlighted = start
                return
            start += step

    def action_cursor_up(self) -> None:
        self._step((len(self._rows) if self.highlighted is None else self.highlighted) - 1, -1)

    def action_cursor_down(self) -> None:
        self._step((-1 if self.highlighted is None else self.highlighted) + 1, 1)

    def action_first(self) -> None:
        self._step(0, 1)

    def action_last(self) -> None:
        self._step(len(self._rows) - 1, -1)

    def action_page_up(self) -> None:
        self._page(-1)

    def action_page_down(self) -> None:
        self._page(1)

    def _page(self, direction: int) -> None:
        if self.highlighted is None:
            return self.action_first() if direction > 0 else self.action_last()
        lines = max(1, self.scrollable_content_region.height - self._rows[self.highlighted].height)
        target = self._row_at(self._top(self.highlighted) + direction * lines)
        if target is None:
            return self.action_last() if direction > 0 else self.action_first()
        before = self.highlighted
        self._step(target, direction)
        if self.highlighted == before:
            self._step(before + direction, direction)
        return None

    def action_select(self) -> None:
        if self.key:
            self.post_message(self.Chosen(self, self.key))
        else:
            self.action_first()

    # --- mouse and jump mode ------------------------------------------------------------------------

    def _pointed(self, event: events.MouseEvent) -> int | None:
        row = self._row_at(event.get_content_offset_capture(self).y + self.scroll_offset.y)
        return row if row is not None and self._rows[row].key else None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hover = self._pointed(event)

    def on_leave(self) -> None:
        self._hover = None

    def on_click(self, event: events.Click) -> None:
        row = self._pointed(event)
        if row is not None and event.button == 1:
            self._press(row)

    def _press(self, row: int) -> None:
        if row < len(self._rows):
            self.highlighted = row
            self.action_select()

    def jump_spots(self) -> Iterable[Spot]:
        region, top = self.screen.find_widget(self).visible_region, self.scroll_offset.y
        content = self.content_region
        for line in range(content.height):
            row, y = self._row_at(top + line), content.y + line
            if (
                row is not None
                and self._rows[row].key
                and self._top(row) == top + line
                and region.contains(content.x, y)
            ):
                yield Spot(content.x, y, partial(self._press, row))

    # --- drawing ------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._strips.clear()
        self.virtual_size = Size(self.size.width, self._ends[-1] if self._ends else 0)
        self.call_after_refresh(self.scroll_to_highlight)

    def notify_style_update(self) -> None:
        self._strips.clear()
        super().notify_style_update()

    def watch_has_focus(self, has_focus: bool) -> None:
        self._strips.clear()
        super().watch_has_focus(has_focus)

    def render_line(self, y: int) -> Strip:
        line, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        row = self._row_at(line)
        if row is None or width < 1:
            return Strip.blank(max(0, width), self.rich_style)
        strips = self._drawn(row, width)
        number = line - self._top(row)
        return strips[number] if number < len(strips) else Strip.blank(width, self.rich_style)

    def _drawn(self, number: int, width: int) -> list[Strip]:
        row = self._rows[number]
        kind = "heading" if not row.key else "row"
        if row.key and number == self.highlighted:
            kind = "highlighted"
        elif row.key and number == self._hover:
            kind = "hover"
        if (strips := self._strips.get((number, kind))) is None:
            if len(self._strips) > _KEPT:
                self._strips.clear()
            content = self._draw(row.key, width) if row.key else Content(row.text)
            style = self.get_visual_style("lazy-list--row", f"lazy-list--{kind}")
            strips = Visual.to_strips(self, content, width, row.height, style, pad=True)
            strips = [strip.adjust_cell_length(width, style.rich_style) for strip in strips]
            strips += [Strip.blank(width, style.rich_style)] * (row.height - len(strips))
            self._strips[number, kind] = strips
        return strips
