"""A long read-only text, wrapped, scrolled to a passage. Only the rows on the screen are ever built.

Laying out 10 MB takes a moment, so a thread does it; until then the rows of the last width are shown.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar

from rich.segment import Segment
from textual import events, on, work
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ragchat.tui.markdown_marks import Mark, marks
from ragchat.tui.messages import RowsWrapped
from ragchat.tui.wrapping import TAB, Rows, wrap_rows

_LONGEST_LINE = 4000
_AT_ONCE = 100_000
"""Characters that are laid out without a thread."""


class DocumentText(ScrollView, can_focus=True):
    """Offsets are characters of `text`. Later marks lie over earlier ones."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "document--passage",
        "document--evidence",
        "document--match",
        "document--word",
        "document--gutter",
        "document--heading",
        "document--code",
        "document--bold",
    }

    class Ready(Message):
        """The text is laid out for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.rows: Rows | None = None
        self._numbered = self._markdown = False
        self._marks: list[tuple[int, int, str]] = []
        self._pattern: re.Pattern[str] | None = None
        self._wanted = 0
        self._at: int | None = None
        self._centred = False

    def load(
        self,
        text: str,
        *,
        passage: tuple[int, int] | None,
        evidence: tuple[int, int] | None,
        numbered: bool,
        words: Iterable[tuple[int, int]] = (),
        markdown: bool = False,
    ) -> None:
        """Show `text` from the evidence on. `numbered`: its lines have numbers worth showing. `words` stand out in it.

        `markdown`: headings, code and bold words are drawn as such, without their signs.
        """
        self.text, self._numbered, self._markdown = text, numbered, markdown
        self._marks = [(*span, name) for span, name in ((passage, "passage"), (evidence, "evidence")) if span]
        self._marks += [(*span, "word") for span in words]
        self._at = (evidence or passage or (0, 0))[0]
        self._wanted = 0
        self.rows = None
        self._lay_out()

    # --- layout -------------------------------------------------------------------------------------

    @property
    def _gutter(self) -> int:
        return len(str(self.text.count("\n") + 1)) + 2 if self._numbered else 0

    def _lay_out(self) -> None:
        width = max(8, self.scrollable_content_region.width - self._gutter_width() - 1)
        if self.text and width != self._wanted:
            self._wanted = width
            if len(self.text) <= _AT_ONCE:
                self._take_rows(RowsWrapped(wrap_rows(self.text, width), width))
            else:
                self._wrap(self.text, width)

    def _gutter_width(self) -> int:
        if self.rows is not None and self._numbered:
            return len(str(self.rows.lines[-1])) + 2
        return self._gutter

    @work(thread=True, exclusive=True, exit_on_error=False, group="wrap", description="lay out a document")
    def _wrap(self, text: str, width: int) -> None:
        self.post_message(RowsWrapped(wrap_rows(text, width), width))

    @on(RowsWrapped)
    def _take_rows(self, event: RowsWrapped) -> None:
        event.stop()
        if event.width != self._wanted or not isinstance(event.rows, Rows):
            return
        first = self.rows is None
        if self.rows is not None and self._at is None:
            self._at = self.rows.starts[min(self.scroll_offset.y, len(self.rows.starts) - 1)]
        self.rows = event.rows
        self.virtual_size = Size(self.size.width, len(self.rows.starts))
        self.refresh(layout=False)
        self._centred = self._centred or first
        self.call_after_refresh(self._arrive)
        if first:
            self.post_message(self.Ready())

    def _arrive(self) -> None:
        # The scrollbar may have come between, and with it another layout: only now is the place reached.
        at, self._at = self._at, None
        centred, self._centred = self._centred, False
        if at is not None:
            self.go_to(at, centred=centred)

    def on_resize(self, event: events.Resize) -> None:
        self._lay_out()

    # --- moving -------------------------------------------------------------------------------------

    def go_to(self, offset: int, *, centred: bool = True) -> None:
        """Scroll to a character."""
        if self.rows is not None:
            y = self.rows.row_at(offset) - (self.size.height // 3 if centred else 0)
            self.scroll_to(y=max(0, y), animate=False, force=True)

    @property
    def top_offset(self) -> int:
        """The first character on the screen."""
        if self.rows is None:
            return 0
        return self.rows.starts[min(self.scroll_offset.y, len(self.rows.starts) - 1)]

    @property
    def searching(self) -> bool:
        """Whether there is something to find."""
        return self._pattern is not None

    def search(self, words: str) -> None:
        """What is marked as found from now on; empty: nothing."""
        self._pattern = re.compile(re.escape(words), re.IGNORECASE) if words else None
        self.refresh()

    def find(self, start: int, *, backwards: bool = False) -> tuple[int, int] | None:
        """The next or previous match from `start`, round the end; None when there is none."""
        if self._pattern is None:
            return None
        if not backwards:
            match = self._pattern.search(self.text, start) or self._pattern.search(self.text)
            return match.span() if match else None
        spans = [match.span() for match in self._pattern.finditer(self.text)]
        return spans[bisect_left(spans, (start, 0)) - 1] if spans else None

    # --- rendering ----------------------------------------------------------------------------------

    def _signs(self, first: int, last: int) -> list[Mark]:
        """The marks of Markdown in the line that a row belongs to; in the row alone where the line is very long."""
        if not self._markdown:
            return []
        begin, end = self.text.rfind("\n", 0, first) + 1, self.text.find("\n", first)
        end = len(self.text) if end < 0 else end
        if end - begin > _LONGEST_LINE:
            begin, end = first, last
        return [Mark(a + begin, b + begin, kind) for a, b, kind in marks(self.text[begin:end])]

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        row = y + self.scroll_offset.y
        base = self.rich_style
        if self.rows is None or row >= len(self.rows.starts):
            return Strip.blank(width, base)
        starts, lines = self.rows.starts, self.rows.lines
        first = starts[row]
        last = starts[row + 1] if row + 1 < len(starts) else len(self.text)
        piece = self.text[first:last].rstrip("\n")
        segments = []
        if self._numbered:
            gutter = self._gutter_width()
            new_line = row == 0 or lines[row] != lines[row - 1]
            number = f"{lines[row]:>{gutter - 2}}  " if new_line else " " * gutter
            segments.append(Segment(number, self.get_component_rich_style("document--gutter")))
        signs = self._signs(first, last)
        spans: list[tuple[int, int, str]] = [mark for mark in signs if mark.kind] + self._marks
        if self._pattern is not None:
            spans += [(first + m.start(), first + m.end(), "match") for m in self._pattern.finditer(piece)]
        cuts = sorted(
            {
                first,
                first + len(piece),
                *(p for a, b, _ in [*spans, *signs] for p in (a, b) if first < p < first + len(piece)),
            }
        )
        for begin, end in pairwise(cuts):
            if any(a <= begin < b for a, b, kind in signs if not kind):
                continue
            style = base
            for a, b, name in spans:
                if a <= begin < b:
                    style = base + self.get_component_rich_style(f"document--{name}")
            segments.append(Segment(self.text[begin:end].replace("\t", " " * TAB), style))
        return Strip(segments).adjust_cell_length(width, base)
