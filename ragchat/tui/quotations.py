"""What documents say, word for word, as the screen shows it above an answer and as it is copied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from ragchat.session.marked import is_used
from ragchat.session.quotation import FROM_DOCUMENTS, said_lines
from ragchat.text import clean_line, counted
from ragchat.tui.lines import QUIET, Block, Line, label_lines
from ragchat.tui.markdown_marks import is_markdown, unmarked
from ragchat.tui.safe_content import file_name
from ragchat.tui.verdicts import neutral

if TYPE_CHECKING:
    from ragchat.tui.lines import Element
    from ragchat.types import AnswerCheck, Citation, Hit, Quote

BAR = "┃ "
_MOST_LINES = 24
"""A longer quotation is shown in part: it can be opened in its document."""


def place_of(hit: Hit, place: str = "") -> str:
    """`guide.md, lines 4-5`, on one clean line."""
    return ", ".join(filter(None, (file_name(hit.path), clean_line(place or hit.place))))


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
    return "\n\n".join([FROM_DOCUMENTS, *parts]) if parts else ""


def to_look_at(
    quotes: Sequence[Quote], citations: Sequence[Citation], check: AnswerCheck
) -> tuple[Citation, ...]:
    """What a reader may want to look at in the documents: the quotes, else the passages of an answer that rests on none."""
    if quotes:
        return tuple(quote.citation(n) for n, quote in enumerate(quotes, 1))
    none_used = not any(is_used(citation, check) for citation in citations)
    return tuple(citations) if none_used or not check.says else ()
