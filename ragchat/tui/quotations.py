"""What documents say, word for word, as the screen shows it above an answer and as it is copied."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from textual.content import Content

from ragchat.text import clean, clean_line, counted
from ragchat.tui.lines import QUIET, Block, Line, label_lines
from ragchat.tui.markdown_marks import is_markdown, unmarked
from ragchat.tui.safe_content import file_name
from ragchat.tui.verdicts import is_used, neutral

if TYPE_CHECKING:
    from ragchat.tui.lines import Element
    from ragchat.types import AnswerCheck, Citation, Hit, Quote

TITLE = "From your documents:"
BAR = "┃ "
_MOST_LINES = 24
"""A longer quotation is shown in part: it can be opened in its document."""
_STRUCTURED = re.compile(
    r"[ \t]*(?:[-*+•◦▪·|>#]|\d{1,3}[.)]|[a-zA-Z][.)])[ \t]|[^\t]*\S(?:\t| {3,})\S|\s{4,}\S"
)
"""A line of a list, a table, a heading or code."""
_FENCE = re.compile(r"[ \t]*(?:```|~~~)[^`]*$")
_LEAD = re.compile(r"\A[ \t]+")


def place_of(hit: Hit, place: str = "") -> str:
    """`guide.md, lines 4-5`, on one clean line."""
    return ", ".join(filter(None, (file_name(hit.path), clean_line(place or hit.place))))


def said_lines(text: str) -> list[str]:
    """The lines of a quotation: those of lists, tables and code as they are, those of a wrapped paragraph
    joined.

    Fences around code are left out.
    """
    shown: list[str] = []
    fenced = False
    for kind, group in groupby(_outdented(clean(text).strip("\n").split("\n")), _kind):
        lines = list(group)
        if kind == "fence":
            fenced ^= len(lines) % 2 == 1
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


def quote_blocks(quotes: Sequence[Quote]) -> list[Block]:
    """Each quotation behind a bar, its place below it."""
    return [block for quote in quotes for block in (_words(quote), _place(quote))]


def _words(quote: Quote) -> Block:
    text = neutral("\n".join(said_lines(quote.text)))
    content = Content(text)
    if is_markdown(quote.hit.path):
        content = unmarked(content)
    lines = content.split("\n", allow_blank=True)
    bar = Content.styled(BAR, "$text-primary bold")
    elements: list[Element] = [Line(line, bar, bar) for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        more = f"… {counted(len(lines) - _MOST_LINES, 'more line')} (q opens the document there)"
        elements.append(Line(Content.styled(more, QUIET), bar, bar, kind="label"))
    return Block(0, elements, gap=False)


def _place(quote: Quote) -> Block:
    return Block(0, label_lines(Content.styled(f"  {place_of(quote.hit, quote.place)}", QUIET)), gap=False)


def quotes_text(quotes: Iterable[Quote]) -> str:
    """The quotations as text, under their title; empty without any."""
    parts = []
    for quote in quotes:
        lines = [f"> {line}".rstrip() for line in said_lines(quote.text)]
        parts.append("\n".join([*lines, f"({place_of(quote.hit, quote.place)})"]))
    return "\n\n".join([TITLE, *parts]) if parts else ""


def to_look_at(
    quotes: Sequence[Quote], citations: Sequence[Citation], check: AnswerCheck
) -> tuple[Citation, ...]:
    """What a reader may want to look at in the documents: the quotes, else the passages of an answer that rests on none."""
    if quotes:
        return tuple(quote.citation(n) for n, quote in enumerate(quotes, 1))
    none_used = not any(is_used(citation, check) for citation in citations)
    return tuple(citations) if none_used or not check.says else ()
