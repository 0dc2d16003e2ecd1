"""The tables of an RTF file: rows as they come, and the grid that the edges of their cells make."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from ragchat.ingest.reading.office.flow import Block, all_after, flat_text

_MOST_COLUMNS = 63
_SAME_EDGE = 30
"""Twips between edges that a user sees as one."""


@dataclass(slots=True)
class CellDefinition:
    """How a cell stands: its right edge in twips; whether it continues from the one on its left or above."""

    right: int
    is_beside: bool = False
    is_below: bool = False
    is_deleted: bool = False


@dataclass(slots=True)
class RowDefinition:
    """How the cells of a row stand. `next_cell` gathers what is said of the next one."""

    left: int = 0
    is_header: bool = False
    is_shaded: bool = False
    cells: list[CellDefinition] = field(default_factory=list)
    next_cell: CellDefinition = field(default_factory=lambda: CellDefinition(0))

    def end_cell(self, right: int) -> None:
        """The next cell has its right edge here."""
        self.next_cell.right = right
        self.cells.append(self.next_cell)
        self.next_cell = CellDefinition(0)


@dataclass(slots=True)
class _Row:
    cells: list[list[Block]]
    definition: RowDefinition


@dataclass(slots=True)
class Budget:
    """How many characters of merged cells may still be repeated, so that no file can grow without end."""

    left: int = 2_000_000

    def again(self, text: str) -> str:
        """The text once more, or nothing."""
        self.left -= len(text)
        return text if self.left > 0 else ""


class Table:
    """A table while its rows arrive. `cell` gathers the blocks of the cell that is open."""

    def __init__(self) -> None:
        self.cell: list[Block] = []
        self._cells: list[list[Block]] = []
        self._rows: list[_Row] = []

    def end_cell(self) -> None:
        """The open cell ends."""
        self._cells.append(self.cell)
        self.cell = []

    def end_row(self, definition: RowDefinition) -> None:
        """The row ends; what is behind its last cell is one more."""
        if self.cell:
            self.end_cell()
        if self._cells:
            self._rows.append(_Row(self._cells, definition))
        self._cells = []

    def blocks(self, budget: Budget) -> list[Block]:
        """The table as a block, or as the blocks in it when it only arranges them."""
        self.end_row(RowDefinition())
        return [block for rows in _apart(self._rows) for block in _table_blocks(rows, budget)]


def _apart(rows: list[_Row]) -> list[list[_Row]]:
    """The rows of each table: those that share no edge between cells are in tables that follow each other."""
    found: list[list[_Row]] = [[]]
    edges: list[int] = []
    for row in rows:
        inner = [cell.right for cell in row.definition.cells[:-1]][:_MOST_COLUMNS]
        if inner and edges and not any(abs(one - other) <= _SAME_EDGE for one in inner for other in edges):
            found.append([])
        edges = inner or edges
        found[-1].append(row)
    return found


def _table_blocks(rows: list[_Row], budget: Budget) -> list[Block]:
    every = [block for row in rows for cell in row.cells for block in cell]
    if all(len(row.cells) <= 1 for row in rows) or any(one.kind == "heading" for one in every):
        return every
    grid = _grid(rows)
    texts: list[list[str]] = []
    for row in rows:
        texts.append(_row_texts(row, texts[-1] if texts else [], grid, budget))
    heads = next((n for n, row in enumerate(rows) if not row.definition.is_header), len(texts))
    if 1 < heads <= 4 and heads < len(texts):
        texts = [_one_header(texts[:heads]), *texts[heads:]]
    return [Block("table", rows=texts, after=all_after(every))]


def _grid(rows: list[_Row]) -> list[int]:
    """The edges of all columns, left to right; none when they make no sense."""
    edges = {row.definition.left for row in rows}
    for row in rows:
        edges.update(cell.right for cell in row.definition.cells[: len(row.cells)])
    grid: list[int] = []
    for edge in sorted(edges):
        if not grid or edge - grid[-1] > _SAME_EDGE:
            grid.append(edge)
    return grid if len(grid) <= _MOST_COLUMNS + 1 else []


def _row_texts(row: _Row, above: list[str], grid: list[int], budget: Budget) -> list[str]:
    """The texts of a row, one for each column of the grid that it covers."""
    definition = row.definition
    at = bisect_right(grid, definition.left) - 1
    texts = [""] * max(0, at)
    repeats = sum(1 for cell in row.cells if cell) > 1
    for number, cell in enumerate(row.cells):
        text = flat_text(cell)
        how = definition.cells[number] if number < len(definition.cells) else None
        if how and not text and how.is_below and len(texts) < len(above):
            text = budget.again(above[len(texts)])
        elif how and not text and how.is_beside and texts:
            text = budget.again(texts[-1])
        texts.append(text)
        if how and grid:
            last = bisect_right(grid, how.right) - 1
            while len(texts) < last:
                texts.append(budget.again(text) if repeats else "")
    return texts


def _one_header(rows: list[list[str]]) -> list[str]:
    """Several rows of column names as one."""
    width = max(map(len, rows))
    columns = ([row[x] for row in rows if x < len(row) and row[x]] for x in range(width))
    return [" ".join(dict.fromkeys(column)) for column in columns]
