"""What of a text is read as one: a fence, a table, a list, an entry of a glossary, each with the sentence that leads to it.

Rules on lines, linear in the length of the text. What is longer than `LONGEST_BLOCK` gives only the parts that are shorter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

LONGEST_BLOCK = 600
"""Characters up to which a block is kept whole."""

Spans = Sequence[tuple[int, int]]
_Kind = Literal["text", "heading", "items", "table", "fence", "rest of a fence"]

_FENCE = re.compile(r"[ \t]*(```|~~~)")
_HEADING = re.compile(r"#{1,6}[ \t]")
_ITEM = re.compile(r"[ \t]*(?:[-*+•‣◦o·]|\(?\d{1,3}[.)]|\(?[a-z][.)])[ \t]+\S")
_NEXT_ITEM = re.compile(rf"\n(?={_ITEM.pattern})")
_ENDED = re.compile(r"[.!?…。！？｡][\"'”’»)\]*_`」』]*\Z")
_COLON = (":", "：")


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """Lines that belong together: `text[first:last]`."""

    first: int
    last: int
    kind: _Kind
    indent: int


def block_spans(text: str, sentences: Spans) -> list[tuple[int, int]]:
    """The blocks of `text` as (first, last) character offsets, last exclusive, in order; `sentences` are its sentence spans.

    A block may hold another. Text without fences, tables, lists and entries has none.
    """
    paragraphs = list(_paragraphs(text))
    found: set[tuple[int, int]] = set()
    number = 0
    while number < len(paragraphs):
        run = _run(paragraphs, number)
        found.update(_blocks(text, run, sentences, paragraphs[number - 1] if number else None))
        number += len(run)
    return sorted(found)


def whole(first: int, last: int, blocks: Spans) -> tuple[int, int]:
    """The smallest block that holds the span, or the span itself."""
    around = [block for block in blocks if block[0] <= first and last <= block[1]]
    return min(around, key=lambda block: block[1] - block[0], default=(first, last))


def _paragraphs(text: str) -> Iterator[_Paragraph]:
    """What is between blank lines, cut where its kind changes; a fence with all that is in it."""
    own: _Paragraph | None = None
    at = 0
    for line, kind in _lines(text):
        last = at + len(line)
        if own and _goes_on(own.kind, kind):
            own = replace(own, last=last)
        else:
            if own:
                yield own
            own = _Paragraph(at, last, kind, len(line) - len(line.lstrip())) if kind else None
        at = last + 1
    if own:
        yield own


def _lines(text: str) -> Iterator[tuple[str, _Kind | None]]:
    """Each line with its kind, None for a blank one; all lines between the marks of a fence are of the fence."""
    opened = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if opened:
            yield line, "rest of a fence"
            opened = "" if mark and mark[1] == opened else opened
        else:
            yield line, _kind(line)
            opened = mark[1] if mark else ""


def _goes_on(own: _Kind, kind: _Kind | None) -> bool:
    """Whether a line of this kind belongs to the paragraph before it."""
    if kind == "rest of a fence":
        return own == "fence"
    if own == "items" and kind == "text":
        return True
    return kind == own and kind in ("text", "items", "table")


def _kind(line: str) -> _Kind | None:
    """What a line begins or goes on with; None for a blank one."""
    bare = line.lstrip()
    if not bare:
        return None
    if _FENCE.match(line):
        return "fence"
    if bare.startswith("|"):
        return "table"
    if _HEADING.match(line):
        return "heading"
    return "items" if _ITEM.match(line) else "text"


def _run(paragraphs: Sequence[_Paragraph], number: int) -> Sequence[_Paragraph]:
    """The paragraph, and all that follow it in the same list: further items, and what is indented below one."""
    end = number + 1
    opening = paragraphs[number]
    if opening.kind == "items":
        while end < len(paragraphs) and (
            paragraphs[end].kind == "items"
            or (paragraphs[end].kind in ("text", "fence") and paragraphs[end].indent > opening.indent)
        ):
            end += 1
    return paragraphs[number:end]


def _blocks(
    text: str, run: Sequence[_Paragraph], sentences: Spans, before: _Paragraph | None
) -> Iterator[tuple[int, int]]:
    """The blocks that a run of paragraphs makes."""
    first, last = run[0].first, run[-1].last
    match run[0].kind:
        case "heading":
            following = next((end for begin, end in sentences if begin >= last), last)
            if last < following <= first + LONGEST_BLOCK:
                yield first, following
        case "text":
            yield from _entry(text, run[0], sentences, before)
        case "items" if last - first > LONGEST_BLOCK:
            yield from _items(text, run)
        case kind:
            yield from _led(text, first, last, sentences, cut=kind == "fence")


def _led(text: str, first: int, last: int, sentences: Spans, *, cut: bool) -> Iterator[tuple[int, int]]:
    """A stretch with the sentence that leads to it where both fit, else alone; `cut`: else its first lines."""
    lead = _lead(text, first, sentences)
    for begin in (lead, first):
        if last - begin <= LONGEST_BLOCK:
            yield begin, last
            return
    end = text.rfind("\n", lead, lead + LONGEST_BLOCK)
    if cut and end > first:
        yield lead, end


def _lead(text: str, first: int, sentences: Spans) -> int:
    """Where the sentence begins that leads to what is at `first`; `first` itself where the one before has ended."""
    before = [span for span in sentences if span[1] <= first]
    if not before:
        return first
    said = text[before[-1][0] : before[-1][1]]
    if said.startswith(("```", "~~~", "|", "#")) or _ENDED.search(said):
        return first
    return before[-1][0]


def _items(text: str, run: Sequence[_Paragraph]) -> Iterator[tuple[int, int]]:
    """The items of a list that is too long to be kept whole, each with what is indented below it."""
    begins = [
        begin
        for one in run
        if one.kind == "items"
        for begin in (
            one.first,
            *(found.start() + 1 for found in _NEXT_ITEM.finditer(text, one.first, one.last)),
        )
    ]
    for begin, end in zip(begins, [*(begin - 1 for begin in begins[1:]), run[-1].last], strict=True):
        if end - begin <= LONGEST_BLOCK:
            yield begin, begin + len(text[begin:end].rstrip())


def _entry(
    text: str, own: _Paragraph, sentences: Spans, before: _Paragraph | None
) -> Iterator[tuple[int, int]]:
    """A term with what is indented below it, or a paragraph that a colon leads to."""
    if own.last - own.first <= LONGEST_BLOCK and _is_entry(text[own.first : own.last].split("\n")):
        yield own.first, own.last
        return
    lead = _lead(text, own.first, sentences)
    if before and text[lead : own.first].rstrip().endswith(_COLON) and own.last - lead <= LONGEST_BLOCK:
        yield lead, own.last


def _is_entry(lines: Sequence[str]) -> bool:
    """Whether all lines but the first one or two are indented more: a term, or an option in two spellings."""
    indents = [len(line) - len(line.lstrip()) for line in lines]
    terms = 2 if len(indents) > 2 and indents[0] == indents[1] else 1
    return len(lines) > terms and min(indents[terms:]) > indents[0]
