"""The words of a document as they are shown: clean lines, in the shape that they have there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby, pairwise

from ragchat.text import clean

FROM_DOCUMENTS = "From your documents:"
"""The title of the quotes."""
_STRUCTURED = re.compile(
    r"[ \t]*(?:[-*+•◦▪·|>#]|\d{1,3}[.)]|[a-zA-Z][.)])[ \t]|[^\t]*\S(?:\t| {3,})\S|\s{4,}\S"
)
"""A line of a list, a table, a heading or code."""
_FENCE = re.compile(r"[ \t]*(?:```|~~~)[^`]*$")
_LEAD = re.compile(r"\A[ \t]+")


def said_lines(text: str, *, fences: bool = False) -> list[str]:
    """The lines of a quotation: those of lists, tables and code as they are, those of a wrapped paragraph joined.

    Fences around code are left out, unless `fences` are wanted.
    """
    shown: list[str] = []
    fenced = False
    for kind, group in groupby(_outdented(clean(text).strip("\n").split("\n")), _kind):
        lines = list(group)
        if kind == "fence":
            fenced ^= len(lines) % 2 == 1
            shown += lines if fences else []
        elif kind == "blank":
            shown.append("")
        elif fenced or any(_STRUCTURED.match(line) for line in lines):
            shown += lines
        else:
            shown += _joined(lines)
    return "\n".join(shown).strip("\n").split("\n")


def _joined(lines: Sequence[str]) -> list[str]:
    """Prose without the ends of lines at which it was only wrapped: there the next word had no room."""
    width = max(map(len, lines))
    joined: list[str] = []
    for before, line in pairwise(["", *lines]):
        said = " ".join(line.split())
        # The first line may begin in the middle of one.
        goes_on = len(joined) == 1 and before is lines[0] and " " in before and line[:1].islower()
        if joined and (goes_on or len(before) + 1 + len(line.split()[0]) > width):
            joined[-1] += f" {said}"
        else:
            joined.append(said)
    return joined


def _kind(line: str) -> str:
    """What a line of a quotation is: blank, a fence, or text."""
    if not line:
        return "blank"
    return "fence" if _FENCE.match(line) else "text"


def _outdented(lines: Sequence[str]) -> list[str]:
    """Lines without the blanks that all of them begin with; the first may begin within its line."""
    first, *rest = [_LEAD.sub(lambda found: found[0].expandtabs(4), line.rstrip()) for line in lines]
    shift = min((len(line) - len(line.lstrip()) for line in rest if line), default=len(first))
    indent = len(first) - len(first.lstrip())
    if rest and not rest[0]:  # the first line is a paragraph of its own, so what follows is indented
        shift = min(shift, indent)
    return [first[min(shift, indent) :], *(line[shift:] for line in rest)]
