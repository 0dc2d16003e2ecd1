"""A Markdown table as lines: columns share the width; where they cannot, every row becomes "header: value" lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.content import Content

from ragchat.tui.lines import EMPTY, HEADING, RULE, Line
from ragchat.tui.wrapping import wrap_rows

_GAP = " │ "
_NARROWEST, _READABLE = 6, 12


@dataclass(frozen=True, slots=True)
class Table:
    """Cells in rows, the first row the header. `aligns` has "left", "right" or "center" for each column."""

    rows: tuple[tuple[Content, ...], ...]
    aligns: tuple[str, ...]
    prefix: Content = EMPTY

    def lines(self, width: int) -> Iterable[Line]:
        """Fits the width whatever it is."""
        room = max(_NARROWEST, width - self.prefix.cell_length)
        widths = self._widths(room)
        return self._as_grid(widths) if widths else self._as_records()

    def _widths(self, room: int) -> list[int]:
        """Cells for each column; empty when they do not fit side by side."""
        columns = len(self.aligns)
        natural = [max(1, *(row[i].cell_length for row in self.rows)) for i in range(columns)]
        left = room - len(_GAP) * (columns - 1)
        if sum(natural) <= left:
            return natural
        # Narrow columns keep their width, the wide ones share what is left.
        widths, open_columns = [0] * columns, set(range(columns))
        while open_columns:
            share = max(0, left) // len(open_columns)
            small = {i for i in open_columns if natural[i] <= share}
            if not small and share < _READABLE:
                return []
            if not small:
                for number, i in enumerate(sorted(open_columns)):
                    widths[i] = share + (number < left - share * len(open_columns))
                break
            for i in small:
                widths[i] = natural[i]
                left -= natural[i]
            open_columns -= small
        return widths

    def _as_grid(self, widths: list[int]) -> Iterable[Line]:
        wrapped = [[_wrap(cell, width) for cell, width in zip(row, widths, strict=True)] for row in self.rows]
        ruled = any(len(cell) > 1 for row in wrapped for cell in row)
        rule = Line(
            Content.styled("─┼─".join("─" * width for width in widths), RULE), self.prefix, kind="label"
        )
        for number, row in enumerate(wrapped):
            if number == 1 or (ruled and number):
                yield rule
            for height in range(max(len(cell) for cell in row)):
                pieces = [cell[height] if height < len(cell) else EMPTY for cell in row]
                cells = [_align(*triple) for triple in zip(pieces, widths, self.aligns, strict=True)]
                content = Content.styled(_GAP, RULE).join(cells).rstrip()
                yield Line(
                    content.stylize(HEADING) if number == 0 else content, self.prefix, self.prefix, "code"
                )

    def _as_records(self) -> Iterable[Line]:
        header, *body = self.rows
        if not body:
            yield Line(Content(", ").join(header), self.prefix, self.prefix)
        for number, row in enumerate(body):
            if number:
                yield Line(EMPTY, self.prefix, kind="rule")
            for name, cell in zip(header, row, strict=True):
                yield Line(Content.assemble(name.stylize(HEADING), ": ", cell), self.prefix, self.prefix)


def _wrap(cell: Content, width: int) -> list[Content]:
    starts = wrap_rows(cell.plain, width).starts.tolist()
    return [piece.rstrip() for piece in cell.divide(starts[1:])] if len(starts) > 1 else [cell]


def _align(piece: Content, width: int, align: str) -> Content:
    spare = max(0, width - piece.cell_length)
    before = spare if align == "right" else spare // 2 if align == "center" else 0
    return Content.assemble(" " * before, piece, " " * (spare - before))
