"""What every readable form of a chat says of it and of its messages, as clean lines without markup."""

from __future__ import annotations

from collections.abc import Mapping

from ragchat.session import marked
from ragchat.session.quotation import said_lines
from ragchat.text import clean_line
from ragchat.types import (
    AnswerCheck,
    CitedBy,
    PortableChat,
    PortableMessage,
    Quote,
    Statement,
    StoredMessage,
    Verdict,
    text_of,
)

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


def said_by(who: CitedBy) -> str:
    """`, cited by the model`; empty where it is not known."""
    return f", {marked.WHO_CITED[who]}" if who else ""


def quote_place(quote: Quote, *, file: str = "") -> str:
    """`/home/anna/guide.md, lines 4-5 · docs` on one line, with `file` in the place of the path."""
    hit = quote.hit
    where = ", ".join(filter(None, (clean_line(file or hit.path), clean_line(quote.place))))
    return f"{where} · {clean_line(hit.knowledge_base)}" if hit.knowledge_base else where


def quote_lines(quote: Quote) -> list[str]:
    """The lines of a quotation: those of lists, tables and code as they are, those of a wrapped paragraph joined."""
    return said_lines(quote.text, fences=True)


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
