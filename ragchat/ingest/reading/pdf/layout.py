"""From the characters of a page and their places to lines of text in reading order.

Characters become pieces (stretches of a line that were set together), pieces become rows of a column or table, columns are read
one after the other. Nothing here knows of PDF; lengths are in points, heights grow upwards. Linear in the number of characters.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

_WIDE_GAP = 0.9
"""A gap of this many letter heights ends a piece: it may lie between columns, or only between words set wide."""
_CELL_GAP = 1.0
"""A gap of this many letter heights in a row lies between cells, which stay apart."""
_WORD_GAP = 0.25
_LEVEL = 0.12
"""Baselines that are less than this many letter heights apart are the same."""
_SCRIPT = 0.86
"""Raised or lowered text is smaller than this share of what it is at."""
_MOST_PIECES = 3_000
_MOST_CUTS = 8
_QUARTERS = 4


def is_solid(codes: np.ndarray) -> np.ndarray:
    """Which characters (as numbers) leave ink: not white space, nor control characters but the hyphen at a line's end."""
    solid: np.ndarray = (codes > 32) & (codes != 0xA0)
    if codes.max() >= 0x2000:
        solid &= ((codes < 0x2000) | (codes > 0x200B)) & (codes != 0x3000)
    if codes.min() <= 2:
        solid |= codes == 2
    return solid


@dataclass
class Glyphs:
    """The characters of a page in the order in which they are drawn.

    `codes` are all of them with their white space; `solid` the places in it of those that leave ink, `boxes` theirs: left, top,
    right, bottom; `bold` whether they are bold. Runs begin at `starts` (places in `solid`); a run has one height: its matrix, its
    size in points and the origin of its first letter.
    """

    codes: np.ndarray
    solid: np.ndarray
    boxes: np.ndarray
    starts: np.ndarray
    matrix: np.ndarray
    sizes: np.ndarray
    origins: np.ndarray
    bold: np.ndarray | None = None

    @cached_property
    def text(self) -> str:
        """All characters, one for each code."""
        return self.codes.astype("<u4").tobytes().decode("utf-32-le", "replace")

    @cached_property
    def run_boxes(self) -> np.ndarray:
        """Left, bottom, right and top of each run."""
        boxes, starts = self.boxes, self.starts
        return np.column_stack(
            (
                np.minimum.reduceat(np.minimum(boxes[:, 0], boxes[:, 2]), starts),
                np.minimum.reduceat(np.minimum(boxes[:, 1], boxes[:, 3]), starts),
                np.maximum.reduceat(np.maximum(boxes[:, 0], boxes[:, 2]), starts),
                np.maximum.reduceat(np.maximum(boxes[:, 1], boxes[:, 3]), starts),
            )
        )

    def spread(self, values: np.ndarray) -> np.ndarray:
        """A value of each run as a value of each character."""
        return np.repeat(values, np.diff(self.starts, append=self.solid.size))

    def only(self, kept: np.ndarray) -> Glyphs | None:
        """The glyphs without those that a mask over `solid` leaves out, or None when none is left."""
        if kept.all():
            return self
        if not kept.any():
            return None
        run = self.spread(np.arange(self.starts.size))[kept]
        starts = np.append(0, np.flatnonzero(run[1:] != run[:-1]) + 1)
        runs = run[starts]
        bold = None if self.bold is None else self.bold[kept]
        return Glyphs(
            self.codes,
            self.solid[kept],
            self.boxes[kept],
            starts,
            self.matrix[runs],
            self.sizes[runs],
            self.origins[runs],
            bold,
        )

    @property
    def quarters(self) -> np.ndarray:
        """How each run is turned: 0 upright, 1 upwards, 2 upside down, 3 downwards, 4 at another angle."""
        a, b = self.matrix[:, 0], self.matrix[:, 1]
        if not b.any() and (a > 0).all():
            return np.zeros(a.size, np.int64)
        flat, steep = np.abs(b) <= 0.05 * np.abs(a), np.abs(a) <= 0.05 * np.abs(b)
        found: np.ndarray = np.select(
            [flat & (a >= 0), steep & (b > 0), flat, steep], [0, 1, 2, 3], default=_QUARTERS
        )
        return found


class Segment(NamedTuple):
    """Characters of one run without a wide gap. `u` runs along the line, `v` is the height of its baseline."""

    u0: float
    u1: float
    v: float
    size: float
    text: str
    spaced: bool
    """White space is before it."""
    bold: bool


class Piece:
    """Stretch of a line that was set together."""

    __slots__ = ("bold", "order", "parts", "size", "small", "u0", "u1", "v")

    def __init__(self, segment: Segment, order: float) -> None:
        self.u0, self.u1, self.v, self.size = segment.u0, segment.u1, segment.v, segment.size
        self.parts = [segment.text]
        self.bold = segment.bold
        self.order = order
        self.small = False
        """The last part is raised digits."""

    @property
    def text(self) -> str:
        """The text so far."""
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0]

    def takes(self, segment: Segment) -> bool:
        """Join the segment if it continues with the line."""
        larger = self.size if self.size > segment.size else segment.size
        gap = segment.u0 - self.u1
        if not -0.6 * larger < gap < _WIDE_GAP * larger:
            return False
        rise = segment.v - self.v
        if -_LEVEL * larger < rise < _LEVEL * larger:
            self._add_level(segment, gap)
        elif self._is_initial(segment):
            self.parts, self.v, self.size = [self.parts[0], segment.text], segment.v, segment.size
        elif segment.size < _SCRIPT * self.size and -0.45 * self.size < rise < 0.8 * self.size:
            self._add_script(segment, rise, gap)
        elif self.size < _SCRIPT * segment.size and -0.8 * segment.size < rise < 0.45 * segment.size:
            return self._follows_small(segment, rise, gap)
        elif self._is_large_script(segment, rise, gap):
            self._add_script(segment, rise, gap)
        elif self._is_large_mark(segment, rise, gap):
            return self._follows_small(segment, rise, gap)
        elif abs(rise) < 0.3 * larger and -0.3 * larger < gap < 0.05 * larger and not segment.spaced:
            self.parts.append(segment.text)  # as in the logo of TeX
        else:
            return False
        self.u1 = max(self.u1, segment.u1)
        return True

    def _is_large_script(self, segment: Segment, rise: float, gap: float) -> bool:
        """Whether this is a short number, raised or lowered right behind a word, though hardly smaller than it."""
        return (
            len(segment.text) < 4
            and segment.text.isdecimal()
            and not segment.spaced
            and segment.size <= self.size
            and 0.2 * self.size < abs(rise) < 0.7 * self.size
            and abs(gap) < 0.15 * self.size
        )

    def _is_large_mark(self, segment: Segment, rise: float, gap: float) -> bool:
        """Whether this is the text of a note behind its mark, which is hardly smaller."""
        return (
            len(self.parts) == 1
            and len(self.parts[0]) < 4
            and self.parts[0].isdecimal()
            and self.size <= segment.size
            and -0.7 * segment.size < rise < -0.2 * segment.size
            and -0.1 * segment.size < gap < 0.6 * segment.size
        )

    def _add_level(self, segment: Segment, gap: float) -> None:
        if self.small and segment.text[0] in "/⁄":
            self.parts[-1] = " " + self.parts[-1].strip(" []")
        blank = segment.spaced or gap > _WORD_GAP * segment.size
        self.parts.append(" " + segment.text if blank else segment.text)
        self.small = False
        self.bold = self.bold and segment.bold
        if segment.size > self.size:
            self.size = segment.size

    def _add_script(self, segment: Segment, rise: float, gap: float) -> None:
        base = self.text
        blank = segment.spaced and gap > _WORD_GAP * self.size
        if rise > 0:
            said = raised(base, segment.text)
            self.small = said.endswith("]")
        else:
            said = lowered(base, segment.text)
        self.parts.append(" " + said.lstrip() if blank else said)

    def _follows_small(self, segment: Segment, rise: float, gap: float) -> bool:
        """Text behind a small mark that opens the line, as before a footnote."""
        if len(self.parts) > 1 and not self.small:
            return False
        mark = self.text.strip()
        if rise < 0 and mark.isdigit():
            self.parts = [f"[{mark}] "]
        elif gap > 0.15 * segment.size or segment.spaced:
            self.parts.append(" ")
        self.parts.append(segment.text)
        self.v, self.size, self.bold, self.small = segment.v, segment.size, segment.bold, False
        self.u1 = max(self.u1, segment.u1)
        return True

    def _is_initial(self, segment: Segment) -> bool:
        """Whether this is a large first letter, hanging over the lines that follow it."""
        return (
            len(self.parts) == 1
            and len(self.parts[0]) == 1
            and self.parts[0].isupper()
            and self.size > 1.7 * segment.size
            and 0 < segment.v - self.v < 1.2 * self.size
            and segment.text[0].isalpha()
        )


_SUPERSCRIPTS = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_POWER = re.compile(r"(?:^|[^\d.,])(?:10|2)$")
_RAISED_NUMBER = re.compile(r"[\d,;–\-−+ ]+$")


def raised(base: str, text: str) -> str:
    """Raised text as it reads behind `base`: a power, a unit, or the mark of a note, which never becomes part of a number."""
    text = text.strip()
    last = base[-1:]
    if _RAISED_NUMBER.match(text) and text.strip(",;–-−+ "):
        if _POWER.search(base[-8:]):
            return f"^{text}"
        if last.isalpha() and len(text) < 3 and _is_short_word(base):
            return text.translate(_SUPERSCRIPTS)
        return f" [{text}]"
    if len(text) == 1 and text.isalpha() and last.isalnum() and not _is_short_word(base):
        return f" [{text}]"
    return text if last.isdigit() or _is_short_word(base) or not text[:1].isalnum() else f" {text}"


def _is_short_word(base: str) -> bool:
    """Whether a text ends with a word of one or two letters: a unit, a variable, an abbreviation."""
    letters = 0
    for letter in reversed(base[-3:]):
        if not letter.isalpha():
            break
        letters += 1
    return 0 < letters < 3


def lowered(base: str, text: str) -> str:
    """Lowered text as it reads behind `base`: "H2O", but a number stays apart from a number."""
    return f"_{text}" if base[-1:].isdigit() and text[:1].isdigit() else text


# --- from characters to pieces --------------------------------------------------------------------------------


def pieces_of(glyphs: Glyphs) -> list[tuple[int, list[Piece]]]:
    """The pieces of a page in the order in which they were drawn, for each quarter that they are turned by: most text first."""
    glyphs = in_reading_order(with_accents(glyphs))
    quarters = glyphs.quarters
    if not quarters.any():
        return [(0, _pieces(glyphs, 0))]
    quarters = glyphs.spread(quarters)
    sizes = np.bincount(quarters, minlength=_QUARTERS + 1)
    found = []
    for quarter in sorted(range(_QUARTERS + 1), key=lambda quarter: (-sizes[quarter], quarter)):
        if part := glyphs.only(quarters == quarter):
            found.append((quarter, _pieces(part, quarter) if quarter < _QUARTERS else _oblique(part)))
    return found


def _pieces(glyphs: Glyphs, quarter: int) -> list[Piece]:
    pieces: list[Piece] = []
    for number, segment in enumerate(_segments(glyphs, quarter)):
        if not (pieces and pieces[-1].takes(segment)):
            pieces.append(Piece(segment, number))
    return pieces


def _oblique(glyphs: Glyphs) -> list[Piece]:
    """Text at odd angles: each of its lines as it was drawn, one below the other."""
    text = glyphs.text
    ends = [*glyphs.starts[1:].tolist(), glyphs.solid.size]
    words: list[str] = []
    last = -1
    for start, end in zip(glyphs.starts.tolist(), ends, strict=True):
        first = int(glyphs.solid[start])
        between = text[last:first] if last >= 0 else "\n"
        part = " ".join(text[first : int(glyphs.solid[end - 1]) + 1].split())
        if "\n" in between or not words:
            words.append(part)
        else:
            words[-1] += (" " if between else "") + part
        last = int(glyphs.solid[end - 1]) + 1
    size = float(glyphs.sizes.max())
    return [
        Piece(Segment(0.0, 1.0, -2.0 * number * size, size, one, False, False), number)
        for number, one in enumerate(words)
    ]


def turned_box(left: float, bottom: float, right: float, top: float, quarter: int) -> tuple[float, ...]:
    """A box of the page as text sees it that is turned by `quarter`: where it begins and ends along a line, its foot, its top."""
    match quarter:
        case 1:
            return bottom, top, -right, -left
        case 2:
            return -right, -left, -top, -bottom
        case 3:
            return -top, -bottom, left, right
        case _:
            return left, right, bottom, top


def _turned(glyphs: Glyphs, quarter: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where characters begin and end along their line, and the height of the baseline of each run."""
    left, top, right, bottom = (glyphs.boxes[:, n] for n in range(4))
    x, y = glyphs.origins[:, 0], glyphs.origins[:, 1]
    match quarter:
        case 1:
            ends, height = (bottom, top), -x
        case 2:
            ends, height = (-right, -left), -y
        case 3:
            ends, height = (-top, -bottom), x
        case _:
            ends, height = (left, right), y
    return np.minimum(*ends), np.maximum(*ends), height


def _segments(glyphs: Glyphs, quarter: int) -> Iterator[Segment]:
    u0, u1, heights = _turned(glyphs, quarter)
    solid, starts, sizes = glyphs.solid, glyphs.starts, _sizes(glyphs, quarter)
    size = glyphs.spread(sizes)[1:]
    gap = _gaps(glyphs.codes[solid], u0, u1) / size
    touching = np.diff(solid) == 1
    begins = np.ones(solid.size, bool)
    begins[1:] = (gap > _WIDE_GAP) | (gap < -0.8)
    leaps = np.abs(np.diff(heights)) > _LEVEL * sizes[1:]
    begins[starts[1:]] |= leaps | (np.abs(np.diff(sizes)) > 0.02 * sizes[1:])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], solid.size) - 1
    run = np.searchsorted(starts, first, "right") - 1
    bold = np.zeros(first.size, bool) if glyphs.bold is None else np.logical_and.reduceat(glyphs.bold, first)
    columns = zip(
        first.tolist(),
        last.tolist(),
        solid[first].tolist(),
        (solid[last] + 1).tolist(),
        np.minimum.reduceat(u0, first).tolist(),
        np.maximum.reduceat(u1, first).tolist(),
        heights[run].tolist(),
        sizes[run].tolist(),
        bold.tolist(),
        np.append(True, ~touching)[first].tolist(),
        strict=True,
    )
    text = glyphs.text
    for one, other, start, end, begin, close, height, letter, is_bold, spaced in columns:
        said = text[start:end]
        if _SPREAD.search(said):
            said = _closed_up(text, solid[one : other + 1], gap[one:other])
        yield Segment(begin, close, height, letter, tidy(said), spaced, is_bold)


_SPREAD = re.compile(r"(?<!\S)(?:[^\W_] ){4,}[^\W_](?!\S)")


def _closed_up(text: str, places: np.ndarray, gaps: np.ndarray) -> str:
    """Text set with spaces between the letters, with spaces between the words alone: "R e s u l t s".

    It is left as it is where the gaps between letters are as wide as between words that stand apart.
    """
    usual = float(np.median(gaps))
    wide = gaps > 1.5 * usual + 0.06
    said = "".join(
        letter + (" " if is_wide else "")
        for letter, is_wide in zip(
            [text[place] for place in places.tolist()], [*wide.tolist(), False], strict=True
        )
    )
    longest = max(map(len, said.split()))
    return (
        said if longest > 4 and wide.sum() < 0.5 * gaps.size else text[int(places[0]) : int(places[-1]) + 1]
    )


def _sizes(glyphs: Glyphs, quarter: int) -> np.ndarray:
    """The size of each run; what its boxes say where the font says nothing of use."""
    boxes = glyphs.run_boxes
    side = 0 if quarter % 2 else 1
    tall = boxes[:, side + 2] - boxes[:, side]
    doubtful = (glyphs.sizes < 0.3 * tall) | (glyphs.sizes < 0.5)
    return np.asarray(np.where(doubtful, np.maximum(0.8 * tall, 1.0), glyphs.sizes))


def _gaps(codes: np.ndarray, u0: np.ndarray, u1: np.ndarray) -> np.ndarray:
    """The gap before each character but the first; scripts that run from right to left are measured that way."""
    gap = np.where((u0[1:] == u0[:-1]) & (u1[1:] == u1[:-1]), 0.0, u0[1:] - u1[:-1])  # parts of a ligature
    if codes.max() < 0x590:
        return gap
    leftwards = (codes >= 0x590) & (codes < 0x900) | (codes >= 0xFB1D) & (codes < 0xFF00)
    if leftwards.any():
        back = leftwards[1:] & leftwards[:-1] & (gap < 0)
        gap = np.where(back, u0[:-1] - u1[1:], gap)
    return gap


_ODD = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u2000-\u200b\u2010\u2011\u2028\u2029\u3000\ue000-\uf8ff\ufb00-\ufb06\ufffe]|  "
)
_AS = {
    0x02: "-", 0xFFFE: "-", 0x2010: "-", 0x2011: "-", 0x00: "",
    0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st",
    0xF0B7: "•", 0xF0A7: "•", 0xF0D8: "•", 0xF076: "•", 0xF0FC: "✓", 0xF02D: "-", 0xF020: " ",
}  # fmt: skip


def tidy(text: str) -> str:
    """Text with plain spaces and hyphens, without ligatures and without soft hyphens but one at its end."""
    if not _ODD.search(text):
        return text
    text = " ".join(text.translate(_AS).split()) or " "
    return text if "\xad" not in text[:-1] else text[:-1].replace("\xad", "") + text[-1:]


_ACCENTS = dict(
    zip(
        map(ord, "´`¨ˆ˜˚ˇ˘˙¯¸˝"),
        "\u0301\u0300\u0308\u0302\u0303\u030a\u030c\u0306\u0307\u0304\u0327\u030b",
        strict=True,
    )
)
_IS_ACCENT = np.zeros(0x300, bool)
_IS_ACCENT[list(_ACCENTS)] = True
_MOST_ACCENTS = 2_000


def with_accents(glyphs: Glyphs) -> Glyphs:
    """Glyphs with accents that are drawn by themselves joined to the letters that they stand over, as old TeX fonts need."""
    letters = glyphs.codes[glyphs.solid]
    marks = np.flatnonzero((letters < 0x300) & _IS_ACCENT[np.minimum(letters, 0x2FF)])
    if not 0 < marks.size <= _MOST_ACCENTS:
        return glyphs
    codes, kept = glyphs.codes.copy(), np.ones(letters.size, bool)
    for mark in marks.tolist():
        bearer = _bearer(glyphs, mark)
        made = bearer is not None and _accented(int(letters[bearer]), int(letters[mark]))
        if made:
            codes[glyphs.solid[bearer]] = ord(made)
            kept[mark] = False
            _close_gap(glyphs, codes, mark)
    joined = replace(glyphs, codes=codes).only(kept)
    return joined or glyphs


def _bearer(glyphs: Glyphs, mark: int) -> int | None:
    """The letter over or under which an accent stands: one of its neighbours, else any on the page."""
    boxes = glyphs.boxes
    middle, foot = (boxes[mark, 0] + boxes[mark, 2]) / 2, boxes[mark, 3]
    tall = abs(boxes[mark, 1] - foot)

    def stands_over(one: int) -> bool:
        edge = 0.15 * (boxes[one, 2] - boxes[one, 0])
        level = abs(boxes[one, 3] - foot) < 0.6 * tall
        return bool(level and boxes[one, 0] + edge < middle < boxes[one, 2] - edge)

    for one in (mark + 1, mark - 1):
        if 0 <= one < len(boxes) and stands_over(one):
            return one
    near = np.flatnonzero(
        (boxes[:, 0] < middle) & (middle < boxes[:, 2]) & (np.abs(boxes[:, 3] - foot) < 0.6 * tall)
    )
    return next((one for one in near.tolist() if one != mark and stands_over(one)), None)


def _accented(letter: int, mark: int) -> str:
    """The letter with its accent, or '' when there is none such."""
    base = {0x131: "i", 0x237: "j"}.get(letter, chr(letter))
    made = unicodedata.normalize("NFC", base + _ACCENTS[mark])
    return made if len(made) == 1 and base.isalpha() else ""


def _close_gap(glyphs: Glyphs, codes: np.ndarray, mark: int) -> None:
    """Take out the accent, with the white space around it unless there is a gap between its neighbours."""
    solid, boxes = glyphs.solid, glyphs.boxes
    if not 0 < mark < solid.size - 1:
        return
    gap = boxes[mark + 1, 0] - boxes[mark - 1, 2]
    if -0.5 < gap / max(1.0, abs(boxes[mark, 1] - boxes[mark, 3])) < 0.12:
        codes[solid[mark - 1] + 1 : solid[mark + 1]] = 0
    else:
        codes[solid[mark]] = 0


# --- scripts that run from right to left ----------------------------------------------------------------------


def _leftwards(codes: np.ndarray) -> np.ndarray:
    found: np.ndarray = ((codes >= 0x590) & (codes < 0x900)) | ((codes >= 0xFB1D) & (codes < 0xFF00))
    return found & ((codes < 0x660) | (codes > 0x669)) & ((codes < 0x6F0) | (codes > 0x6F9))


def in_reading_order(glyphs: Glyphs) -> Glyphs:
    """Glyphs whose Hebrew and Arabic letters are in the order in which they are read, where a file has them as they are seen."""
    letters = glyphs.codes[glyphs.solid]
    if letters.max() < 0x590:
        return glyphs
    leftwards = _leftwards(letters)
    if not leftwards.any():
        return glyphs
    solid, left = glyphs.solid, glyphs.boxes[:, 0]
    level = np.abs(np.diff(glyphs.boxes[:, 3])) < 2 * np.abs(glyphs.boxes[1:, 1] - glyphs.boxes[1:, 3]) + 4
    joined = leftwards[1:] & leftwards[:-1] & (np.diff(solid) <= 2) & (np.diff(left) > 0) & level
    edges = np.diff(np.concatenate(([0], joined.astype(np.int8), [0])))
    codes = glyphs.codes.copy()
    for first, last in zip(
        np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True
    ):
        begin, end = int(solid[first]), int(solid[last]) + 1
        codes[begin:end] = codes[begin:end][::-1]
    return replace(glyphs, codes=codes)


# --- from pieces to rows --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Line:
    """A line of text as it is read. `opens`: white space above it or an indent says that a paragraph begins here."""

    text: str
    u0: float
    u1: float
    v: float
    size: float
    bold: bool
    opens: bool = False
    turned: bool = False
    """It does not run as most of the page does."""
    confidence: float | None = None
    """From 0 to 1 where OCR read it."""
    level: int = 0
    """From 1 on: it is a heading, 1 the outermost; `title` is what it is called in paths, '' its own text."""
    title: str = ""


def lines_of(pieces: list[Piece]) -> list[Line]:
    """The lines of pieces that are turned the same way, in reading order."""
    if len(pieces) > _MOST_PIECES:
        return _rows(pieces)
    lines: list[Line] = []
    for region in _regions(sorted(_with_initials(pieces), key=_height), _MOST_CUTS):
        rows = _rows(region)
        if rows and lines:
            rows[0].opens = not goes_on(lines[-1].text, rows[0].text)
        lines += rows
    return lines


def _with_initials(pieces: list[Piece]) -> list[Piece]:
    """The pieces with large first letters put before the line at whose top they hang."""
    initials = [piece for piece in pieces if len(piece.text) == 1 and piece.text.isalpha()]
    for initial in initials[:_MOST_INITIALS]:
        lines = [
            piece
            for piece in pieces
            if initial.size > 1.7 * piece.size
            and 0 < piece.v - initial.v < 1.2 * initial.size
            and -0.3 * piece.size < piece.u0 - initial.u1 < initial.size
            and piece.text[:1].isalpha()
        ]
        if lines:
            top = max(lines, key=lambda piece: piece.v)
            top.parts.insert(0, initial.text if top.text[0].islower() else f"{initial.text} ")
            top.u0 = initial.u0
            pieces = [piece for piece in pieces if piece is not initial]
    return pieces


_MOST_INITIALS = 20


def goes_on(before: str, after: str) -> bool:
    """Whether a sentence runs on from one line to the next."""
    return before[-1:] not in ".!?:;" and after[:1].islower()


def _rows(pieces: list[Piece]) -> list[Line]:
    """Rows of pieces from top to bottom, their cells from left to right."""
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=_height):
        if rows and rows[-1][0].v - piece.v < 0.3 * max(piece.size, rows[-1][0].size):
            rows[-1].append(piece)
        else:
            rows.append([piece])
    lines, aside = [], []
    for row in rows:
        beside = _beside(row) if len(row) > 1 else None
        if beside:
            row.remove(beside)
            aside.append(beside)
        lines.append(_line(row))
    _mark_paragraphs(lines)
    return lines if not aside else _with_asides(lines, [_line([piece]) for piece in aside])


def _height(piece: Piece) -> float:
    return -piece.v


def _beside(row: list[Piece]) -> Piece | None:
    """A note in the margin of running text: drawn at another time, right or left of a long line."""
    row.sort(key=_left)
    for note, line, gap in (
        (row[-1], row[-2], row[-1].u0 - row[-2].u1),
        (row[0], row[1], row[1].u0 - row[0].u1),
    ):
        apart = gap > 0.8 * line.size and abs(note.order - line.order) > len(row)
        runs_on = len(line.text) >= 40 and line.text.count(" ") >= 5
        if apart and runs_on and len(note.text) < 0.6 * len(line.text):
            return note
    return None


def _left(piece: Piece) -> float:
    return piece.u0


def _with_asides(lines: list[Line], aside: list[Line]) -> list[Line]:
    """The lines with notes of the margin put behind the paragraph that they are at."""
    result: list[Line] = []
    waiting = list(reversed(aside))
    for line in lines:
        if line.opens:
            while waiting and waiting[-1].v > line.v + 0.5 * line.size:
                result.append(waiting.pop())
                result[-1].opens = True
        result.append(line)
    for note in reversed(waiting):
        note.opens = True
        result.append(note)
    return result


def _line(row: list[Piece]) -> Line:
    first = row[0]
    if len(row) == 1:
        return Line(first.text.strip(), first.u0, first.u1, first.v, first.size, first.bold)
    row.sort(key=_left)
    if _runs_leftwards(row):
        row.reverse()
    parts = [row[0].text.strip()]
    for before, after in pairwise(row):
        parts += [_between(before, after), after.text.strip()]
    longest = max(row, key=lambda piece: len(piece.text))
    return Line(
        "".join(parts).strip(),
        min(piece.u0 for piece in row),
        max(piece.u1 for piece in row),
        longest.v,
        longest.size,
        all(piece.bold for piece in row),
    )


def _runs_leftwards(row: list[Piece]) -> bool:
    letters = "".join(piece.text for piece in row)
    return not letters.isascii() and 2 * sum("\u0590" <= letter < "\u0900" for letter in letters) > len(
        letters
    )


def _between(before: Piece, after: Piece) -> str:
    """What parts two pieces of a row: nothing, a blank, or the two blanks between cells."""
    gap = max(after.u0 - before.u1, before.u0 - after.u1)
    size = max(before.size, after.size)
    if gap > _CELL_GAP * size:
        return "  "
    follows = after.order > before.order and -0.2 * size < gap < 0.1 * size
    return "" if follows and before.text[-1:].isalpha() and after.text[:1].isalpha() else " "


def _mark_paragraphs(lines: list[Line]) -> None:
    """Say where paragraphs begin: by the space above, another size of letters, or an indent."""
    if len(lines) < 2:
        return
    steps = [before.v - after.v for before, after in pairwise(lines)]
    usual = sorted(steps)[len(steps) // 2]
    margin = min(line.u0 for line in lines)
    for before, line, step in zip(lines, lines[1:], steps, strict=False):
        size = max(before.size, line.size)
        resized = step > 1.05 * usual and not 0.87 < line.size / before.size < 1.15
        if resized or step > 1.4 * max(usual, 0.9 * size):
            line.opens = True
        elif 0.8 * size < line.u0 - margin < 4 * size and before.u0 - margin < 0.3 * size:
            line.opens = before.text[-1:] in ".!?:"


# --- columns --------------------------------------------------------------------------------------------------


class _Gutter(NamedTuple):
    """The left edge of a column, and the heights between which nothing crosses it."""

    edge: float
    top: float
    bottom: float


def _regions(pieces: list[Piece], cuts: int) -> list[list[Piece]]:
    """Parts of the page in reading order; each is read from top to bottom, row by row. Pieces come from top to bottom."""
    if cuts and len(pieces) > 3 and _stand_side_by_side(pieces) and (gutter := _gutter(pieces)):
        above = [piece for piece in pieces if piece.v > gutter.top]
        below = [piece for piece in pieces if piece.v < gutter.bottom]
        within = [piece for piece in pieces if gutter.bottom <= piece.v <= gutter.top]
        left = [piece for piece in within if piece.u0 < gutter.edge]
        right = [piece for piece in within if piece.u0 >= gutter.edge]
        return [region for part in (above, left, right, below) if part for region in _regions(part, cuts - 1)]
    return [pieces] if pieces else []


def _stand_side_by_side(pieces: list[Piece]) -> bool:
    """Whether at least two pieces have another beside them."""
    count = 0
    for before, after in pairwise(pieces):
        apart = after.u0 > before.u1 or before.u0 > after.u1
        if apart and before.v - after.v < 0.9 * max(before.size, after.size):
            count += 1
    return count > 1


def _gutter(pieces: list[Piece]) -> _Gutter | None:
    """The left edge at which the most text is in columns, if there is one."""
    best, best_count = None, 0
    for edge in _edges(pieces):
        for band in _bands(pieces, edge):
            if len(band) > best_count and (gutter := _as_columns(band, edge)):
                best, best_count = gutter, len(band)
    return best


def _edges(pieces: list[Piece]) -> list[float]:
    """Places at which several pieces begin, those of most pieces first."""
    leftmost = min(piece.u0 for piece in pieces)
    groups: list[list[float]] = []
    for piece in sorted(pieces, key=_left):
        if piece.u0 < leftmost + 3 * piece.size:
            continue
        if groups and piece.u0 - groups[-1][0] < 0.3 * piece.size:
            groups[-1].append(piece.u0)
        else:
            groups.append([piece.u0])
    groups = sorted((group for group in groups if len(group) > 1), key=len, reverse=True)
    return [group[0] for group in groups[:10]]


def _bands(pieces: list[Piece], edge: float) -> Iterator[list[Piece]]:
    """Stretches of the page, from top to bottom, in which no piece crosses the space left of `edge`."""
    band: list[Piece] = []
    crossed = float("inf")
    for piece in pieces:
        if piece.u0 < edge - 0.1 and piece.u1 > edge - 0.6 * piece.size:
            while band and band[-1].v - piece.v < 0.3 * piece.size:
                band.pop()
            if len(band) > 3:
                yield band
            band, crossed = [], piece.v
        elif crossed - piece.v > 0.3 * piece.size:
            band.append(piece)
    if len(band) > 3:
        yield band


def _as_columns(band: list[Piece], edge: float) -> _Gutter | None:
    """The part of a band in which both sides are columns of text, rather than the cells of a table."""
    band = _trimmed(band, edge)
    left = [piece for piece in band if piece.u0 < edge]
    right = [piece for piece in band if piece.u0 >= edge]
    if min(len(left), len(right)) < 2 or not _are_columns(left, right):
        return None
    return _Gutter(edge, band[0].v, band[-1].v)


def _trimmed(band: list[Piece], edge: float) -> list[Piece]:
    """The band without what is at its ends on one side only, behind a gap."""
    steps = sorted(step for one, other in pairwise(band) if (step := one.v - other.v) > 0.5 * one.size)
    if not steps:
        return band
    wide = 1.8 * steps[len(steps) // 2]
    cuts = [n for n, (one, other) in enumerate(pairwise(band), 1) if one.v - other.v > wide]
    parts = [band[one:other] for one, other in pairwise([0, *cuts, len(band)])]

    def is_other(part: list[Piece]) -> bool:
        """Whether it is on one side only, or is a table."""
        left = [piece for piece in part if piece.u0 < edge]
        sides = (left, [piece for piece in part if piece.u0 >= edge])
        rows = 1 + sum(one.v - other.v > 0.5 * one.size for one, other in pairwise(part))
        has_cells = max(map(len, sides)) > 1.4 * rows
        return not all(sides) or (has_cells and ((rows == 1 and len(part) < 8) or any(map(_figures, sides))))

    while len(parts) > 1 and is_other(parts[0]):
        del parts[0]
    while len(parts) > 1 and is_other(parts[-1]):
        del parts[-1]
    return [piece for part in parts for piece in part]


def _are_columns(left: list[Piece], right: list[Piece]) -> bool:
    if _figures(left) or _figures(right):
        return False
    count = min(len(left), len(right))
    drawn = sorted([(piece.order, True) for piece in left] + [(piece.order, False) for piece in right])
    changes = sum(one[1] != other[1] for one, other in pairwise(drawn))
    in_turn = changes <= max(1, 0.4 * count)
    prose = min(_prose(left), _prose(right))
    level = _level_share(left, right)
    if in_turn:
        return prose > 0.5 or (level < 0.6 and count > 2) or (count >= 8 and _alike(left, right))
    return prose > 0.7 and count > 3 and (level > 0.85 or level < 0.3)


def _figures(side: list[Piece]) -> bool:
    """Whether most cells are numbers."""
    return 2 * sum(not any(letter.isalpha() for letter in piece.text) for piece in side) > len(side)


def _prose(side: list[Piece]) -> float:
    """From 0 to 1 by how much the pieces look like lines of running text: words enough, and lines that fill the column."""
    width = max(piece.u1 for piece in side) - min(piece.u0 for piece in side)
    words = sum(piece.text.count(" ") + 1 for piece in side) / len(side)
    rows = 1 + sum(one.v - other.v > 0.3 * one.size for one, other in pairwise(side))
    fill = sum(piece.u1 - piece.u0 for piece in side) / rows / max(width, 1.0)
    return min(1.0, words / 3.5) * min(1.0, fill / 0.65)


def _level_share(left: list[Piece], right: list[Piece]) -> float:
    """Which share of the shorter side is on a line with a piece of the other."""
    shorter, longer = sorted((left, right), key=len)
    heights = sorted(piece.v for piece in longer)
    level = 0
    for piece in shorter:
        place = bisect_left(heights, piece.v - 0.15 * piece.size)
        level += place < len(heights) and heights[place] < piece.v + 0.15 * piece.size
    return level / len(shorter)


def _alike(left: list[Piece], right: list[Piece]) -> bool:
    """Whether both sides are about equally wide, as columns are and labels with their values are not."""
    widths = [max(piece.u1 for piece in side) - min(piece.u0 for piece in side) for side in (left, right)]
    return min(widths) > 0.6 * max(widths)
