"""An answer's Markdown with the marks of its statements put into it, so that its structure stays what it was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ragchat.text import clean
from ragchat.tui.markdown import parser
from ragchat.tui.verdicts import CITED, CLOSE, MARKS, STRUCK, CodeMark, neutral
from ragchat.types import AnswerCheck, Statement, Verdict

_BLOCK_SIGNS = re.compile(
    r"[ \t]*(?:(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t])|#{1,6}(?=[ \t])|\[[ xX]\](?=[ \t]))[ \t]*)*"
)
"""What begins a line of a list, a heading or a quotation."""
_CELL = re.compile(r"(?:\\.|[^|\\])+")
_SAYS = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Annotated:
    """Markdown with marks in it, and those that belong behind code, by the source line (from 0) at which its block begins."""

    text: str
    code: Mapping[int, CodeMark] = field(default_factory=dict)


class _Blocks(NamedTuple):
    """Source lines, from 0: which code block each belongs to (by its first line), and which are rows of tables."""

    code: dict[int, int]
    table: set[int]


def annotated(text: str, check: AnswerCheck) -> Annotated:
    """Mark every statement of `check`, whose offsets are those of `text`, the model's words."""
    text = neutral(text)
    if not check.statements:
        return Annotated(text)
    lines = _line_spans(text)
    blocks = _blocks(text)
    insertions: list[tuple[int, str]] = []
    code: dict[int, CodeMark] = {}
    end = 0
    for statement in sorted(check.statements, key=lambda one: (one.first, one.last)):
        first, last = max(end, statement.first), min(len(text), statement.last)
        if first >= last:
            continue
        end = last
        struck = statement in check.struck
        segments = list(_segments(text, (first, last), lines, blocks))
        insertions += _ranges(statement, segments, struck=struck)
        ends_in = _line_of(lines, _last_said(text, first, last))
        if ends_in in blocks.code or not segments:
            begun = blocks.code.get(ends_in, ends_in)
            before = code.get(begun, CodeMark((), False))
            code[begun] = CodeMark((*before.verdicts, statement.verdict), before.struck or struck)
        else:
            insertions.append((segments[-1][1], MARKS[statement.verdict]))
    return Annotated(_inserted(text, insertions), code)


def with_notice(text: str, shift: int, check: AnswerCheck) -> Annotated:
    """As `annotated`, clean, for a text whose first `shift` characters are not the model's."""
    made = annotated(text[shift:], check)
    above = clean(neutral(text[:shift]))
    code = {line + above.count("\n"): known for line, known in made.code.items()}
    return Annotated(above + clean(made.text), code)


def _last_said(text: str, first: int, last: int) -> int:
    return first + max(1, len(text[first:last].rstrip())) - 1


def _ranges(
    statement: Statement, segments: Iterable[tuple[int, int]], *, struck: bool
) -> Iterator[tuple[int, str]]:
    """Where what is shown of a statement begins and ends."""
    sign = STRUCK if struck else CITED if statement.verdict is Verdict.SUPPORTED else ""
    for first, last in segments:
        if sign:
            yield first, f"{sign} "
        yield last, f" {CLOSE}"


def _inserted(text: str, insertions: list[tuple[int, str]]) -> str:
    """`text` with pieces at places that ascend."""
    pieces, at = [], 0
    for place, piece in insertions:
        pieces += [text[at:place], piece]
        at = place
    return "".join([*pieces, text[at:]])


def _line_spans(text: str) -> list[tuple[int, int]]:
    spans, at = [], 0
    for line in text.split("\n"):
        spans.append((at, at + len(line)))
        at += len(line) + 1
    return spans


def _line_of(lines: list[tuple[int, int]], place: int) -> int:
    return next((number for number, (_, last) in enumerate(lines) if place <= last), len(lines) - 1)


def _blocks(text: str) -> _Blocks:
    blocks = _Blocks({}, set())
    for token in parser().parse(text):
        if token.map and token.type in ("fence", "code_block"):
            blocks.code.update(dict.fromkeys(range(*token.map), token.map[0]))
        elif token.map and token.type == "table_open":
            blocks.table.update(range(*token.map))
    return blocks


def _segments(
    text: str, statement: tuple[int, int], lines: list[tuple[int, int]], blocks: _Blocks
) -> Iterator[tuple[int, int]]:
    """The stretches of a statement that are prose: of each line, or each cell, what says something."""
    for number, (line_first, line_last) in enumerate(lines):
        first, last = max(statement[0], line_first), min(statement[1], line_last)
        if first >= last or number in blocks.code:
            continue
        if number in blocks.table:
            cells = [found.span() for found in _CELL.finditer(text, first, last)]
        else:
            signs = _BLOCK_SIGNS.match(text, line_first, line_last)
            cells = [(max(first, signs.end() if signs else first), last)]
        for begin, end in cells:
            said = text[begin:end]
            if _SAYS.search(said):
                yield begin + len(said) - len(said.lstrip()), begin + len(said.rstrip())
