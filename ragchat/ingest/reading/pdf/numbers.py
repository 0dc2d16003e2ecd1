"""Running heads and feet, page numbers and tables of contents: found by what recurs at the edges of pages, and taken out."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ragchat.ingest.reading.pdf.layout import Line

_FEWEST = 3
"""Pages on which a line has to recur before it is taken for a running head."""
_MOST_ROUNDS = 3
"""Lines at each edge that may be running heads."""
_LONGEST = 100
_NEAR = 6
"""Pages before and after between which a running head has to recur."""
_SAME_HEIGHT = 3.0
"""Points."""
_NUMBERS = re.compile(r"\d+")
_ROMAN = re.compile(r"(?=[ivxlc])(?:c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})$", re.IGNORECASE)
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_DECORATION = "-–—|·• ()[]"


def drop_running_lines(pages: list[list[Line]]) -> list[str]:
    """Take out page numbers and lines that recur at the top or bottom; what is printed on each page, '' where nothing is known.

    A line goes when it recurs, numbers aside, at the same edge and height of three pages near each other, or is the number of its
    page. The pages are changed.
    """
    filled = sum(1 for lines in pages if lines)
    offsets = _offsets(pages)
    style, offset = max(offsets, key=lambda one: offsets[one], default=("", 0))
    runs = offsets[style, offset] >= max(_FEWEST, filled // 3)
    labels = _labels(pages, offset if runs and style == "#" else None)
    if filled < _FEWEST:
        return labels
    usual = {key for key, count in offsets.items() if count >= _FEWEST}
    for number in range(_MOST_ROUNDS):
        if not _drop_round(pages, usual, offset if runs and style == "#" else None, outermost=number == 0):
            break
    return labels


def _drop_round(
    pages: list[list[Line]], usual: set[tuple[str, int]], offset: int | None, *, outermost: bool
) -> bool:
    """Take out the lines at the edges that run; whether there were any.

    White space has to part them from the text, unless they are outermost and stand on every second page.
    """
    edges = [list(_edges(lines)) for lines in pages]
    recurring = _recurring(edges)
    dropped = False
    for index, lines in enumerate(pages):
        gone = set()
        for edge, line in edges[index]:
            often = recurring.get((index, edge, _shape(line.text)))
            runs = often is not None or (offset is not None and _holds_number(line, index + offset))
            if (
                _is_number(line.text, index, usual)
                or (often and outermost)
                or (runs and _is_apart(line, lines))
            ):
                gone.add(id(line))
        if gone and len(gone) < len(lines):
            lines[:] = [line for line in lines if id(line) not in gone]
            dropped = True
    return dropped


def _is_apart(line: Line, lines: list[Line]) -> bool:
    """Whether white space parts a line from the text: more than it has within, so that no item of a list is taken away."""
    if _ITEM.match(line.text):
        return False
    steps = [(abs(other.v - line.v), other.size) for other in lines if not other.turned]
    step, size = min((one for one in steps if one[0] > 0.4 * line.size), default=(0.0, 0.0))
    heights = sorted(other.v for other in lines if not other.turned)
    within = sorted(high - low for low, high in pairwise(heights) if high - low > 0.4 * line.size)
    usual = within[len(within) // 2] if len(within) > 2 else 0.0
    return step > 1.45 * max(size, line.size) and step > 1.1 * usual


_ITEM = re.compile(r"[•‣◦▪■●–*-] ")


def _recurring(edges: list[list[tuple[str, Line]]]) -> dict[tuple[int, str, str], bool]:
    """Lines that recur, numbers aside, at the same edge and height of pages near each other.

    By page, edge and shape; the value says whether they do so on every second page of the document.
    """
    places: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for index, page in enumerate(edges):
        for edge, line in page:
            if len(line.text) < _LONGEST:
                places.setdefault((edge, _shape(line.text)), []).append((index, line.v))
    filled = sum(map(bool, edges))
    found = {}
    for (edge, shape), seen in places.items():
        if len(seen) >= _FEWEST:
            often = 2 * len(seen) >= filled
            found.update(
                {(index, edge, shape): often for index, height in seen if _is_among(seen, index, height)}
            )
    return found


def _is_among(seen: list[tuple[int, float]], index: int, height: float) -> bool:
    """Whether enough of these places are near this one; they ascend."""
    first = bisect_left(seen, (index - _NEAR, float("-inf")))
    last = bisect_left(seen, (index + _NEAR + 1, float("-inf")))
    return len({page for page, other in seen[first:last] if abs(other - height) < _SAME_HEIGHT}) >= _FEWEST


def _edges(lines: list[Line]) -> Iterator[tuple[str, Line]]:
    """The lines at the top and the bottom of a page; on one height there may be several."""
    level = [line for line in lines if not line.turned and line.confidence is None]
    if not level:
        return
    top, bottom = max(line.v for line in level), min(line.v for line in level)
    for line in level:
        if line.v > top - 0.4 * line.size:
            yield "top", line
        if line.v < bottom + 0.4 * line.size:
            yield "bottom", line


def _shape(text: str) -> str:
    """A line without its numbers: what recurs in "Chapter 2, page 17"."""
    return _NUMBERS.sub("#", text.strip())


def _number(word: str) -> tuple[str, int] | None:
    """A page number and its style: # for digits, i for Roman ones."""
    word = word.strip(_DECORATION)
    if word.isdecimal() and len(word) < 6:
        return "#", int(word)
    if word and len(word) < 8 and _ROMAN.match(word):
        values = [_ROMAN_VALUES[letter] for letter in word.lower()]
        return "i", sum(-one if one < max(values[n:]) else one for n, one in enumerate(values))
    return None


def _offsets(pages: list[list[Line]]) -> Counter[tuple[str, int]]:
    """By how much numbers at the edges of pages differ from the number (from 0) of the page, and on how many pages."""
    found: Counter[tuple[str, int]] = Counter()
    for index, lines in enumerate(pages):
        here = set()
        for _, line in _edges(lines):
            words = line.text.split()
            for word in words[:1] + words[-1:]:
                if (number := _number(word)) and (number[0] == "#" or len(words) == 1):
                    here.add((number[0], number[1] - index))
        found.update(here)
    return found


def _is_number(text: str, index: int, usual: set[tuple[str, int]]) -> bool:
    """Whether a line is nothing but the number of its page."""
    number = _number(text)
    return number is not None and (number[0], number[1] - index) in usual


def _holds_number(line: Line, number: int) -> bool:
    """Whether a line begins or ends with the number of its page: "4.6. The Debian archive 23"."""
    words = line.text.split()
    return len(line.text) < _LONGEST and str(number) in (words[0], words[-1])


def _labels(pages: list[list[Line]], offset: int | None) -> list[str]:
    """What is printed on the pages from the first to the last that carry a number, where numbers run with the pages."""
    labels = [""] * len(pages)
    if offset is None or offset == 1:
        return labels
    numbered = [
        index
        for index, lines in enumerate(pages)
        if any(_carries(line.text, index + offset) for _, line in _edges(lines))
    ]
    for index in range(numbered[0], numbered[-1] + 1) if numbered else ():
        if index + offset > 0:
            labels[index] = str(index + offset)
    return labels


def _carries(text: str, number: int) -> bool:
    words = text.split()
    return ("#", number) in (_number(words[0]), _number(words[-1]))


_LEADERS = re.compile(r"(?:[ \t]{0,3}[.…]){5,}+")
_FEWEST_ENTRIES = 5


def without_contents(lines: Sequence[Line]) -> list[Line]:
    """The lines of a page without entries such as "2.1 Title . . . . 5", which every search for a title would find first."""
    led = [".." in line.text or ". ." in line.text or "…" in line.text for line in lines]
    if not any(led):
        return list(lines)
    led = [maybe and bool(_LEADERS.search(line.text)) for maybe, line in zip(led, lines, strict=True)]
    if sum(led) >= _FEWEST_ENTRIES:
        return [line for line, is_led in zip(lines, led, strict=True) if not is_led]
    for line, is_led in zip(lines, led, strict=True):
        if is_led:
            line.text = _LEADERS.sub(" …", line.text)
    return list(lines)
