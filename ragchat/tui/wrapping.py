"""Where a long text breaks into screen rows: offsets only, so that a document of 10 MB stays small and quick to show.

Rows break at blanks; a word that is wider than the screen is cut. Tabs are TAB cells. No widget here.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass

from rich.cells import cell_len, get_character_cell_size

TAB = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """`starts[i]` is the character where row i begins, `lines[i]` the line it belongs to, from 1. Never empty."""

    starts: array[int]
    lines: array[int]

    def row_at(self, offset: int) -> int:
        """The row that holds a character."""
        return max(0, bisect_right(self.starts, offset) - 1)


def wrap_rows(text: str, width: int) -> Rows:
    """Lay `text` out for `width` cells."""
    starts, lines = array("q"), array("q")
    position, width = 0, max(1, width)
    for number, line in enumerate(text.split("\n"), 1):
        starts.append(position)
        lines.append(number)
        if len(line) > width // 2:  # a character takes at most two cells, apart from tabs
            for cut in _cuts(line, width):
                starts.append(position + cut)
                lines.append(number)
        elif "\t" in line:
            for cut in _wide_cuts(line, width):
                starts.append(position + cut)
                lines.append(number)
        position += len(line) + 1
    return Rows(starts, lines)


def _cuts(line: str, width: int) -> list[int]:
    if "\t" in line:
        return _wide_cuts(line, width)
    if not line.isascii() and cell_len(line) != len(line):
        return _wide_cuts(line, width)
    cuts, start = [], 0
    while len(line) - start > width:
        blank = line.rfind(" ", start + 1, start + width + 1)
        start = blank + 1 if blank > 0 else start + width
        cuts.append(start)
    return cuts if start < len(line) else cuts[:-1]


def _wide_cuts(line: str, width: int) -> list[int]:
    cuts: list[int] = []
    start = used = after_blank = 0
    for i, character in enumerate(line):
        cells = TAB if character == "\t" else get_character_cell_size(character)
        if used + cells > width and i > start and not character.isspace():
            if after_blank > start:
                start = after_blank
                cuts.append(start)
                used = cell_len(line[start:i].replace("\t", " " * TAB))
            if used + cells > width and i > start:
                start, used = i, 0
                cuts.append(start)
        used += cells
        if character.isspace():
            after_blank = i + 1
    return cuts
