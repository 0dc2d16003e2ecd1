"""What every readable form of a chat says of it and of its messages, as clean lines without markup."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby

from ragchat.session import marked
from ragchat.text import clean, clean_line
from ragchat.types import (
    AnswerCheck,
    PortableChat,
    PortableMessage,
    Quote,
    Statement,
    StoredMessage,
    Verdict,
    text_of,
)

FROM_DOCUMENTS = "From your documents:"
"""The title of the quotes."""
_BY = {"model": "cited by the model", "ragchat": "found by ragchat"}
_STRUCTURED = re.compile(
    r"[ \t]*(?:[-*+•◦▪·|>#]|\d{1,3}[.)]|[a-zA-Z][.)])[ \t]|[^\t]*\S(?:\t| {3,})\S|\s{4,}\S|```|~~~"
)
"""A line of a list, a table, a heading or code."""
_LEAD = re.compile(r"\A[ \t]+")
_HOW_IT_ENDED = {
    "cancelled": "Stopped early.",
    "interrupted": "Interrupted.",
    "error": "Failed with an error.",
}
_WHY_CUT = {
    "length": "Cut off at the maximum length.",
    "repeats": "Cut off because the model repeated itself.",
}


def about(chat: PortableChat) -> str:
    """When a chat began and last continued, and its tags, in one line."""
    times = [
        f"{verb} {said_time(at)}"
        for verb, at in (("Started", chat.created_at), ("last changed", chat.updated_at))
        if at
    ]
    tags = [f"tags: {', '.join(map(clean_line, chat.tags))}"] if chat.tags else []
    return " · ".join([*times, *tags])


def said_time(at: str) -> str:
    """`2026-11-23T02:01:51.000Z` as `2026-11-23 02:01 UTC`."""
    return f"{clean_line(at)[:16].replace('T', ' ')} UTC" if at else ""


def heading(message: PortableMessage) -> str:
    """What stands over a message: the side, and the model where it is known."""
    if message.role != "assistant":
        return "Question"
    model = message.generation.model if message.generation else ""
    return f"Answer ({clean_line(model)})" if model else "Answer"


def said_text(message: PortableMessage | StoredMessage, style: marked.Style) -> str:
    """A message as it is shown; the statements of an answer have their marks."""
    content = message.content
    if message.check.statements or message.quotes:
        content = marked.marked(content, message.check, style)
    return text_of(content, notice=message.notice, attachments=message.attachments)


def remarks(message: PortableMessage) -> list[str]:
    """Sentences on a message: how it ended, how it was rated."""
    rated = {1: "Rated good.", -1: "Rated bad."}.get(message.rating, "")
    cut = _WHY_CUT.get(message.finish_reason, "")
    return [remark for remark in (_HOW_IT_ENDED.get(message.state, ""), cut, rated) if remark]


def source_lines(message: PortableMessage) -> list[str]:
    """`[1] /home/anna/guide.md, p. 3, cited by the model: “quote”` for each source that the answer cites."""
    by = marked.cited_by(message.check)
    return [
        f"[{one.n}] {clean_line(one.hit.path)}, {one.hit.source}{said_by(by.get(one.n, ''))}"
        + (f": “{clean_line(one.quote)}”" if one.quote else "")
        for one in marked.cited(message.citations, message.check)
    ]


def said_by(who: str) -> str:
    """`, cited by the model`; empty where it is not known."""
    return f", {_BY[who]}" if who in _BY else ""


def quote_place(quote: Quote, *, file: str = "") -> str:
    """`/home/anna/guide.md, lines 4-5 · docs` on one line, with `file` in the place of the path."""
    hit = quote.hit
    where = ", ".join(filter(None, (clean_line(file or hit.path), clean_line(quote.place))))
    return f"{where} · {clean_line(hit.knowledge_base)}" if hit.knowledge_base else where


def quote_lines(quote: Quote) -> list[str]:
    """The lines of a quotation: those of lists, tables and code as they are, those of a wrapped paragraph joined."""
    shown: list[str] = []
    for says, group in groupby(_outdented(clean(quote.text).strip("\n").split("\n")), bool):
        lines = list(group)
        if not says:
            shown.append("")
        elif any(_STRUCTURED.match(line) for line in lines):
            shown += lines
        else:
            shown.append(clean_line(" ".join(lines)))
    return shown


def _outdented(lines: Sequence[str]) -> list[str]:
    """Lines without the blanks that all of them begin with; the first may begin within its line."""
    first, *rest = [_LEAD.sub(lambda found: found[0].expandtabs(4), line.rstrip()) for line in lines]
    shift = min((_indent(line) for line in rest if line), default=len(first))
    return [first[min(shift, _indent(first)) :], *(line[shift:] for line in rest)]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def check_lines(check: AnswerCheck, signs: Mapping[Verdict, str] = marked.SIGNS) -> list[str]:
    """`4 statements: 3 supported, 1 not found in your documents`, then those that are not supported, with the reason,
    each once.

    Empty for an answer that was not checked.
    """
    doubted = [one for one in check.statements if one.verdict is not Verdict.SUPPORTED]
    lines = (check.line, *(statement_line(one, signs) for one in doubted))
    return [line for line in dict.fromkeys(lines) if line]


def statement_line(statement: Statement, signs: Mapping[Verdict, str] = marked.SIGNS) -> str:
    """`✗ He has a dog. – Not in the passage: “dog”.` on one line."""
    text = marked.plain_signs(clean_line(statement.text))
    return f"{signs[statement.verdict]} {text} – {clean_line(statement.reason.sentence)}"
