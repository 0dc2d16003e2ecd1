"""A message as a text to move about in: read-only, with a cursor, with vim's keys for moving, selecting and copying."""

from __future__ import annotations

import re
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import Selection

_WORD = re.compile(r"\w+|[^\w\s]+")
_HEIGHT = 30

Location = tuple[int, int]


class TextCursor(TextArea, inherit_bindings=False):
    """`v` selects characters (the one under the cursor belongs to it), `V` lines, `y` copies and leaves, Esc leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "step('left')", "Left", id="text.left", show=False),
        Binding("l,right", "step('right')", "Right", id="text.right", show=False),
        Binding("j,down", "step('down')", "Down", id="text.down", show=False),
        Binding("k,up", "step('up')", "Up", id="text.up", show=False),
        Binding("w", "step('word')", "Next word", id="text.word", show=False),
        Binding("b", "step('back')", "Word before", id="text.back", show=False),
        Binding("0,home", "step('start')", "Start of the line", id="text.start", show=False),
        Binding("$,dollar_sign,end", "step('end')", "End of the line", id="text.end", show=False),
        Binding("g", "step('first')", "First line", id="text.first", show=False),
        Binding("G,shift+g", "step('last')", "Last line", id="text.last", show=False),
        Binding("ctrl+d", "step('half_down')", "Half a page down", id="text.half_down", show=False),
        Binding("ctrl+u", "step('half_up')", "Half a page up", id="text.half_up", show=False),
        Binding("v", "select('characters')", "Select", id="text.select"),
        Binding("V,shift+v", "select('lines')", "Select lines", id="text.select_lines"),
        Binding("y", "copy", "Copy and leave", id="text.copy"),
        Binding("escape", "leave", "Leave", id="text.leave"),
    ]

    class Left(Message):
        """The user is done; `text` is to be copied, None: nothing is."""

        def __init__(self, text: str | None) -> None:
            super().__init__()
            self.text = text

    def __init__(self, text: str) -> None:
        super().__init__(text, read_only=True, soft_wrap=True, show_line_numbers=False, compact=True)
        self.styles.height = "auto"
        self.styles.max_height = _HEIGHT
        self._mode = ""
        self._anchor: Location = (0, 0)

    async def _on_key(self, event: events.Key) -> None:
        # Keys that mean nothing here must not reach the transcript, where they would do something.
        if event.is_printable and event.key not in self._bindings.key_to_bindings:
            event.stop()
            event.prevent_default()

    # --- moving -------------------------------------------------------------------------------------

    def action_step(self, where: str) -> None:
        """Move the cursor, and the end of the selection with it."""
        target = self._target(where)
        self.cursor_location = target
        self._show_selection()

    def _target(self, where: str) -> Location:  # noqa: C901
        row, column = self.cursor_location
        last = self.document.line_count - 1
        half = max(1, self.size.height // 2)
        match where:
            case "left":
                return row, max(0, column - 1)
            case "right":
                return row, min(len(self.document[row]), column + 1)
            case "down" | "up":
                if self._mode != "lines":
                    return (
                        self.get_cursor_down_location() if where == "down" else self.get_cursor_up_location()
                    )
                return min(max(row + (1 if where == "down" else -1), 0), last), column
            case "half_down" | "half_up":
                return min(max(row + (half if where == "half_down" else -half), 0), last), 0
            case "start":
                return row, 0
            case "end":
                return row, max(0, len(self.document[row]) - 1)
            case "first":
                return 0, 0
            case "last":
                return last, 0
            case "word":
                return self._next_word(row, column)
            case _:
                return self._word_before(row, column)

    def _next_word(self, row: int, column: int) -> Location:
        for line in range(row, self.document.line_count):
            starts = (match.start() for match in _WORD.finditer(self.document[line]))
            if (start := next((s for s in starts if line > row or s > column), None)) is not None:
                return line, start
        return row, len(self.document[row])

    def _word_before(self, row: int, column: int) -> Location:
        for line in range(row, -1, -1):
            starts = [match.start() for match in _WORD.finditer(self.document[line])]
            if before := [s for s in starts if line < row or s < column]:
                return line, before[-1]
        return 0, 0

    # --- selecting ----------------------------------------------------------------------------------

    def action_select(self, mode: str) -> None:
        """Begin a selection here, change its kind, or end it."""
        if not self._mode:
            self._anchor = self.cursor_location
        self._mode = "" if self._mode == mode else mode
        self._show_selection()

    def _span(self) -> tuple[Location, Location] | None:
        """What is selected, the end exclusive."""
        if not self._mode:
            return None
        first, last = sorted((self._anchor, self.cursor_location))
        if self._mode == "lines":
            return (first[0], 0), (last[0], len(self.document[last[0]]))
        return first, (last[0], min(len(self.document[last[0]]), last[1] + 1))

    def _show_selection(self) -> None:
        (row, _), anchor = self.cursor_location, self._anchor[0]
        match self._mode:
            case "lines" if row >= anchor:
                self.selection = Selection((anchor, 0), (row, len(self.document[row])))
            case "lines":
                self.selection = Selection((anchor, len(self.document[anchor])), (row, 0))
            case "characters":
                self.selection = Selection(self._anchor, self.cursor_location)
            case _:
                self.selection = Selection.cursor(self.cursor_location)

    def action_copy(self) -> None:
        """What is selected, or all of it."""
        span = self._span()
        self.post_message(self.Left(self.get_text_range(*span) if span else self.text))

    def action_leave(self) -> None:
        """End the selection, or leave."""
        if self._mode:
            self._mode = ""
            self._show_selection()
        else:
            self.post_message(self.Left(None))
