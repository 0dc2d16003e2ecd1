"""A text drawn by one widget: only the rows on the screen are ever built. The mouse selects its text, not its wrapping.

Mounting a widget for each paragraph, cell and bullet costs tens of milliseconds for an answer; this costs one.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from rich.segment import Segment
from textual.content import Content
from textual.geometry import Size
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget

from ragchat.tui.lines import EMPTY, FOUND, Block, Row
from ragchat.tui.verdicts import drawn, unmarked

_BLANK = Row(EMPTY, EMPTY, 0, -1, "")


class TextRows(Widget):
    """Shows `_blocks`, with a blank line between them."""

    DEFAULT_CSS = """
    TextRows { width: 1fr; height: auto; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[Block] = []
        self._width = -1
        self._height = 0
        self._row_starts: list[int] = []
        self._text_starts: list[int] = []
        self._found: re.Pattern[str] | None = None

    def on_unmount(self) -> None:
        # Textual remembers the last 1,024 of these for ever, and with each all rows that it has drawn.
        self._styles_cache.clear()
        self._blocks = []

    def show_blocks(self, blocks: list[Block]) -> None:
        """Replace everything."""
        self._blocks = blocks
        self._changed()

    def _changed(self) -> None:
        self._width = -1
        self.refresh(layout=True)

    def highlight(self, pattern: re.Pattern[str] | None) -> None:
        """Let all matches stand out; None: nothing does."""
        if pattern is not self._found:
            self._found = pattern
            self.refresh()

    # --- layout -------------------------------------------------------------------------------------

    def _lay_out(self, width: int) -> None:
        if width != self._width:
            self._width = width
            self._row_starts, self._text_starts = [], []
            rows = texts = 0
            for number, block in enumerate(self._blocks):
                gap = number > 0 and block.gap  # a blank row, and a blank line of text
                laid = block.laid(width)
                self._row_starts.append(rows + gap)
                self._text_starts.append(texts + gap)
                rows += gap + len(laid.rows)
                texts += gap + len(laid.texts)
            self._height = rows

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        self._lay_out(max(1, width))
        return self._height

    def _row(self, y: int) -> tuple[Row, str]:
        """A row with its logical line counted over the whole text, and that line."""
        number = bisect_right(self._row_starts, y) - 1
        if number < 0:
            return _BLANK, ""
        laid = self._blocks[number].laid(self._width)
        within = y - self._row_starts[number]
        first = self._text_starts[number]
        if within >= len(laid.rows):
            return _BLANK, ""
        row = laid.rows[within]
        if row.y < 0:
            return row, ""
        return row._replace(y=first + row.y), laid.texts[row.y]

    def row_of(self, pattern: re.Pattern[str]) -> int:
        """The row on which the first match begins; 0 when there is none."""
        for y in range(self._height):
            row, text = self._row(y)
            end = row.x + len(row.content.plain) + (len(row.prefix.plain) if row.x == 0 else 0)
            if row.y >= 0 and any(row.x <= match.start() < end for match in pattern.finditer(text)):
                return y
        return 0

    # --- text ---------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """What is shown, without its wrapping."""
        width = max(self._width, 1)
        parts = (
            ("\n\n" if block.gap else "\n") + "\n".join(block.laid(width).texts) for block in self._blocks
        )
        return "".join(parts).lstrip("\n")

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return unmarked(selection.extract(self.text)), "\n"

    # --- rendering ----------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        self._lay_out(max(1, width))
        row, text = self._row(y)
        base = self.visual_style
        if row.fill:
            base += self._get_style(row.fill)
        content, prefix = row.content, row.prefix
        if row.y >= 0:
            shift = len(prefix.plain) if row.x == 0 else row.x
            prefix, content = self._marked(row, text, shift)
            segments = self._segments(prefix, base, 0 if row.x == 0 else None, row.y)
            segments += self._segments(content, base, shift, row.y)
        else:
            segments = [*self._segments(prefix, base, None, 0), *self._segments(content, base, None, 0)]
        return Strip(segments).adjust_cell_length(width, base.rich_style)

    def _marked(self, row: Row, text: str, shift: int) -> tuple[Content, Content]:
        """Prefix and content with what was found and what is selected."""
        prefix, content = row.prefix, row.content
        end = shift + len(content.plain)
        if self._found is not None:
            for match in self._found.finditer(text):
                if match.start() < end and match.end() > shift:
                    content = content.stylize(FOUND, max(0, match.start() - shift), match.end() - shift)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(row.y)) is not None:
            style = Style.from_styles(self.screen.get_component_styles("screen--selection"))
            first, last = span[0], span[1] if span[1] >= 0 else len(text)
            if last > shift and first < end:
                content = content.stylize(style, max(0, first - shift), last - shift)
            if row.x == 0 and first < shift:
                prefix = prefix.stylize(style, first, min(last, shift))
        return prefix, content

    def _segments(self, content: Content, base: Style, x: int | None, y: int) -> list[Segment]:
        """`x` None: these characters belong to no text."""
        segments = []
        for text, text_style in content.render(base, end="", parse_style=self._get_style):
            style = base + text_style
            if x is None:
                segments.append(Segment(text, style.rich_style))
            else:
                segments.append(Segment(drawn(text), style.rich_style_with_offset(x, y)))
                x += len(text)
        return segments
