"""The blocks that a page's tree turns into, and the grids of its tables. Runs in the reading process."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ragchat.ingest.blocks import LONGEST_HEADING
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.web.tree import ROLE, Element
from ragchat.types import LeftOutKind

Line = tuple[str, int]
"""A line of text, and the line of the file at which it begins (0: unknown)."""

_WIDEST_SPAN = 60
_LONGEST_REPEATED = 200
"""Characters of a cell that is repeated in each row it covers."""
_SHORT_DEFINITION = 100
_CODE_WITH_NUMBERS = frozenset(["highlighttable", "rouge-table", "lntable"])
"""Tables that set the numbers of lines beside code."""


class Block(NamedTuple):
    """`level` of a heading from 1, of an item from 0; `mark` is what an item begins with, and the language of code."""

    kind: Literal["heading", "paragraph", "item", "code", "table"]
    lines: tuple[Line, ...]
    level: int = 0
    mark: str = ""
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def text(self) -> str:
        """Its lines in one."""
        return self.lines[0][0] if len(self.lines) == 1 else " ".join(text for text, _ in self.lines)


@dataclass
class Page:
    """What was read of a page: its title, its blocks, and what was left out."""

    title: str
    blocks: list[Block]
    left_out: list[tuple[LeftOutKind, str]]


def write_blocks(builder: DocumentBuilder, blocks: list[Block], *, shift: int = 0) -> None:
    """Write blocks into a document; the level of each heading grows by `shift`."""
    for block in blocks:
        kind, lines = block.kind, block.lines
        if kind == "paragraph":
            if len(lines) == 1:
                builder.paragraph(lines[0][0], line=lines[0][1])
            else:
                builder.lines(lines)
        elif kind == "item":
            builder.item(_text_of(lines), depth=block.level, mark=block.mark, line=lines[0][1])
        elif kind == "heading":
            _write_heading(builder, block, shift)
        elif kind == "code":
            builder.code(_text_of(lines), block.mark, line=lines[0][1])
        else:
            builder.table(block.rows, line=lines[0][1], row_lines=[line for _, line in lines])


def _text_of(lines: tuple[Line, ...]) -> str:
    return lines[0][0] if len(lines) == 1 else "\n".join(text for text, _ in lines)


def _write_heading(builder: DocumentBuilder, block: Block, shift: int) -> None:
    text, line = block.lines[0]
    builder.heading(max(1, block.level + shift), text, line=line)
    if len(text) > LONGEST_HEADING:
        builder.paragraph(text, line=line)  # a heading is cut, its text is not


def definition(terms: list[Line], first: list[Line]) -> Block:
    """A term and what it means as one block."""
    term, line = terms[-1]
    if len(first) == 1 and len(term) + len(first[0][0]) <= _SHORT_DEFINITION:
        colon = "" if term.endswith((":", ".", "?", "!", "…")) else ":"
        return Block("paragraph", (*terms[:-1], (f"{term}{colon} {first[0][0]}", line)))
    return Block("paragraph", (*terms, *indented(first)))


def indented(lines: list[Line]) -> list[Line]:
    """The lines, two spaces further in."""
    return [(f"  {text}", line) for text, line in lines]


# --- tables -----------------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """A cell with what is in it."""

    element: Element
    blocks: list[Block]

    @property
    def is_header(self) -> bool:
        """Whether it names a row or column."""
        element = self.element
        return element.tag == "th" or (element.hints & ROLE > 0 and element.get("role") == "columnheader")

    @property
    def text(self) -> str:
        """All of the cell on one line."""
        blocks = self.blocks
        if len(blocks) == 1 and not blocks[0].rows:
            return blocks[0].text
        text = ""
        for block in blocks:
            piece = " ".join(" ".join(row) for row in block.rows) if block.rows else block.text
            if text:
                text += "; " if block.kind == "item" else " "
            text += piece
        return text


@dataclass(slots=True)
class Table:
    """A table that is being read."""

    element: Element
    rows: list[list[Cell]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    caption: list[Block] = field(default_factory=list)

    def blocks(self) -> list[Block]:
        """The table as one block; as prose when it only arranges other things on the page."""
        pairs = [(row, line) for row, line in zip(self.rows, self.lines, strict=True) if row]
        self.rows = [row for row, _ in pairs]
        self.lines = [line for _, line in pairs]
        if not self.rows:
            return self.caption
        if self._arranges():
            return [*self.caption, *(block for row in self.rows for cell in row for block in cell.blocks)]
        grid = _grid(self.rows)
        heads = self._header_rows()
        rows = [_joined(grid[:heads]), *grid[heads:]] if heads > 1 else grid
        lines = [self.lines[0], *self.lines[heads:]] if heads > 1 else self.lines
        table = Block("table", tuple(("", line) for line in lines), rows=tuple(tuple(row) for row in rows))
        return [*self.caption, table]

    def _arranges(self) -> bool:
        cells = [cell for row in self.rows for cell in row if cell.blocks]
        if len(cells) <= 1 or self.element.get("role") in ("presentation", "none"):
            return True
        if not _CODE_WITH_NUMBERS.isdisjoint(self.element.names):
            return True
        if max(sum(1 for cell in row if cell.blocks) for row in self.rows) == 1 and not self.caption:
            return not any(cell.is_header for cell in cells)
        return any(map(_holds_structure, cells)) or (
            not self._has_header(cells) and any(map(_holds_prose, cells))
        )

    def _has_header(self, cells: list[Cell]) -> bool:
        return bool(self.caption) or any(cell.is_header for cell in cells)

    def _header_rows(self) -> int:
        """How many rows on top consist of header cells; all but one row at most."""
        number = 0
        for row in self.rows[:4]:
            if not all(cell.is_header or not cell.blocks for cell in row):
                break
            number += 1
        return min(number, len(self.rows) - 1)


def _holds_structure(cell: Cell) -> bool:
    """What a line of a table cannot hold: headings, code, tables of several rows."""
    if len(cell.blocks) == 1 and cell.blocks[0].kind == "paragraph":
        return False
    return any(
        block.kind == "heading"
        or (block.kind == "code" and len(block.lines) > 2)
        or (block.kind == "table" and len(block.rows) > 1)
        for block in cell.blocks
    )


def _holds_prose(cell: Cell) -> bool:
    if len(cell.blocks) == 1:
        return len(cell.blocks[0].text) > 600
    paragraphs = sum(1 for block in cell.blocks if block.kind == "paragraph")
    items = sum(1 for block in cell.blocks if block.kind == "item")
    return paragraphs >= 3 or items >= 2 or sum(len(block.text) for block in cell.blocks) > 600


def _grid(rows: list[list[Cell]]) -> list[list[str]]:
    """The texts by row and column: a cell over several rows is repeated in each, one over several columns is not."""
    grid: list[list[str]] = []
    covered: dict[int, tuple[int, str]] = {}  # by column: how many rows more, and the text
    for row in rows:
        texts: list[str] = []
        below: dict[int, tuple[int, str]] = {
            column: (rest - 1, text) for column, (rest, text) in covered.items() if rest > 1
        }
        for cell in row:
            while len(texts) in covered:
                texts.append(covered[len(texts)][1])
            text = cell.text
            if "span=" not in cell.element.raw:
                texts.append(text)
                continue
            width, height = _span(cell, "colspan", _WIDEST_SPAN), _span(cell, "rowspan", 65_534)
            repeated = text if len(text) <= _LONGEST_REPEATED else ""
            for number in range(width):
                if height > 1:
                    below[len(texts)] = (height - 1, "" if number else repeated)
                # The cells of a header say what each column is; a wide cell of the body is said once.
                texts.append(text if number == 0 or (cell.is_header and repeated) else "")
        if covered:
            texts += [covered[x][1] for x in range(len(texts), max(covered) + 1) if x in covered]
        grid.append(texts)
        covered = below
    return grid


def _span(cell: Cell, name: str, most: int) -> int:
    value = cell.element.get(name).strip()
    return max(1, min(most, int(value[:6]))) if value.isdecimal() and value.isascii() else 1


def _joined(heads: list[list[str]]) -> list[str]:
    """Several rows of headers as one: "Fees, 2024" where "Fees" spans "2023" and "2024"."""
    width = max(len(row) for row in heads)
    joined = []
    for column in range(width):
        parts: list[str] = []
        for row in heads:
            text = row[column] if column < len(row) else ""
            if text and text not in parts:
                parts.append(text)
        joined.append(", ".join(parts))
    return joined


# --- superscripts -----------------------------------------------------------------------------------------

_NOTE_NUMBERS = re.compile(r"\[?\d{1,3}(?:\s*[,–-]\s*\d{1,3})*\]?")
_ORDINALS = frozenset("st nd rd th er ère re e o a º ª ème eme nde".split())  # noqa: SIM905
_UNITS = frozenset("m km cm mm dm ft in yd mi s sec min h kg µm nm mol K W J N Pa Hz ha".split())  # noqa: SIM905
_SHORT_POWER = re.compile(r"[-−+]?\w{1,2}")
_LAST_WORD = re.compile(r"([^\W\d_]+|\d+)$")


def raised(before: str, text: str, *, is_note: bool) -> str:
    """How a superscript is written behind `before`: "10^3", "1932 [12]", "1st", "Ca2+"."""
    text = text.strip()
    if not text:
        return ""
    if is_note:
        return f" {text if text.startswith(('[', '(')) else f'[{text}]'}"
    last = _LAST_WORD.search(before[-40:])
    if text.lower() in _ORDINALS or text[-1] in "+-−*†‡®™":
        return text
    if last is None:
        is_power = before[-1:] in (")", "]", "}") and bool(_SHORT_POWER.fullmatch(text))
        return f"^{text}" if is_power else _apart(before, text)
    base = last[0]
    # Ten and two are raised to powers; years and other long numbers have notes, and so have words.
    is_power = len(base) <= (3 if base.isdigit() else 2) or base in _UNITS
    if (is_power or not _NOTE_NUMBERS.fullmatch(text)) and _SHORT_POWER.fullmatch(text):
        return f"^{text}"
    return _apart(before, text)


def _apart(before: str, text: str) -> str:
    if before[-1:].strip() and _NOTE_NUMBERS.fullmatch(text):
        return f" {text if text.startswith('[') else f'[{text}]'}"
    return text


def lowered(before: str, text: str) -> str:
    """How a subscript is written: "H2O", but "10_2"."""
    text = text.strip()
    return f"_{text}" if before[-1:].isdigit() and text[:1].isdigit() else text
