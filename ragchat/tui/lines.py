"""Logical lines of a text and how they break into screen rows of a width: what `TextRows` draws. No widget here.

A row knows which characters of which logical line it shows, so that a mouse selection gives the text and not its wrapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple, Protocol

from textual.content import Content

from ragchat.tui.wrapping import TAB, wrap_rows

EMPTY = Content("")
_NARROWEST = 8

# Styles by name, in the theme's colours. Component classes would be worked out anew for every message that is mounted.
QUIET = "$foreground 62%"
RULE = "$foreground 25%"
HEADING = "$text-primary bold"
CITATION = "$text-accent bold"
LINK = "$text-accent underline"
CODE = "on $foreground 7%"
INLINE_CODE = "$text-warning on $foreground 8%"
FAULT = "$text-warning underline"
FOUND = "bold $foreground on $warning 40%"


class Row(NamedTuple):
    """One screen row: `prefix` belongs to the line's text only when `x` is 0. `y` -1: decoration, not part of the text."""

    prefix: Content
    content: Content
    x: int
    y: int
    fill: str


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line. `first` is before its first row, `rest` before the others; `fill` is the style of the whole width.

    "prose" breaks at blanks, "code" anywhere, "rule" is a line across, "label" is prose that belongs to no text.
    """

    content: Content
    first: Content = EMPTY
    rest: Content = EMPTY
    kind: Literal["prose", "code", "rule", "label"] = "prose"
    fill: str = ""

    def lines(self, width: int) -> Iterable[Line]:
        """Itself; a table gives other lines at every width."""
        return (self,)


class Element(Protocol):
    """A line, or what becomes lines when the width is known."""

    def lines(self, width: int) -> Iterable[Line]: ...


@dataclass(slots=True)
class Laid:
    """Elements laid out for `width` cells."""

    width: int
    rows: list[Row] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def lay_out(elements: Sequence[Element], width: int) -> Laid:
    """The rows of all elements, and the text of each logical line."""
    laid = Laid(width)
    for element in elements:
        for line in element.lines(width):
            _add(laid, line, width)
    return laid


def _add(laid: Laid, line: Line, width: int) -> None:
    if line.kind == "rule":
        across = Content.styled("─" * max(1, width - line.first.cell_length), RULE)
        laid.rows.append(Row(line.first, across, 0, -1, line.fill))
        return
    content = line.content.expand_tabs(TAB) if "\t" in line.content.plain else line.content
    text, y = content.plain, -1
    if line.kind != "label":
        y = len(laid.texts)
        laid.texts.append(line.first.plain + text)
    room = max(_NARROWEST, width - max(line.first.cell_length, line.rest.cell_length))
    if len(text) <= room // 2:  # a character takes at most two cells
        laid.rows.append(Row(line.first, content, 0, y, line.fill))
        return
    starts = _cuts(text, room) if line.kind == "code" else wrap_rows(text, room).starts.tolist()
    for number, (begin, end) in enumerate(pairwise([*starts, len(text)])):
        piece = content if len(starts) == 1 else content[begin:end]
        prefix = line.rest if number else line.first
        laid.rows.append(Row(prefix, piece, len(line.first.plain) + begin if number else 0, y, line.fill))


def _cuts(text: str, room: int) -> list[int]:
    """Where a line of code breaks: when it is full."""
    if text.isascii():
        return list(range(0, max(1, len(text)), room))
    starts, used = [0], 0
    from rich.cells import get_character_cell_size

    for i, character in enumerate(text):
        cells = get_character_cell_size(character)
        if used + cells > room and i > starts[-1]:
            starts.append(i)
            used = 0
        used += cells
    return starts


def plain_lines(text: str) -> list[Element]:
    """Text as it was written, wrapped at blanks."""
    return [Line(Content(line)) for line in text.split("\n")]


def label_lines(content: Content) -> list[Element]:
    """What is beside a text: it is shown, and the mouse does not select it."""
    return [Line(line, kind="label") for line in content.split("\n", allow_blank=True)]


@dataclass(slots=True)
class Block:
    """Elements that stand together. `source_line`, from 0, is where they begin in their text; `gap`: a blank row comes first."""

    source_line: int
    elements: list[Element]
    gap: bool = True
    _laid: Laid | None = field(default=None, repr=False)

    def laid(self, width: int) -> Laid:
        """Laid out for a width; the last one is kept."""
        if self._laid is None or self._laid.width != width:
            self._laid = lay_out(self.elements, width)
        return self._laid
