"""What every readable form of a chat says of it and of its messages, as clean lines without markup."""

from __future__ import annotations

from ragchat.text import clean_line
from ragchat.types import PortableChat, PortableMessage

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


def remarks(message: PortableMessage) -> list[str]:
    """Sentences on a message: how it ended, how it was rated."""
    rated = {1: "Rated good.", -1: "Rated bad."}.get(message.rating, "")
    cut = _WHY_CUT.get(message.finish_reason, "")
    return [remark for remark in (_HOW_IT_ENDED.get(message.state, ""), cut, rated) if remark]


def source_lines(message: PortableMessage) -> list[str]:
    """`[1] /home/anna/guide.md, p. 3: “quote”` for each source that the answer cites."""
    return [
        f"[{citation.n}] {clean_line(citation.hit.path)}, {citation.hit.source}"
        + (f": “{clean_line(citation.quote)}”" if citation.quote else "")
        for citation in message.citations
        if citation.used
    ]
