"""Full-text search over the chats: every word must occur in a message, anywhere in it, in any script.

Words of three characters and more are found by the trigram index, shorter ones by looking. Newest messages come first: a chat
is remembered by when it was.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence

from ragchat.store.chat_rows import attachments_of
from ragchat.store.database import fetch
from ragchat.text import clean_line
from ragchat.types import MessageHit, text_of

_INDEXED_FROM = 3
"""Characters: the length of a trigram."""
_TEXT = " || char(10) || ".join(f"m.{column}" for column in ("content", "notice", "attachments", "quoted"))
_AROUND = 60
"""Characters of a snippet before the first word that was found."""
_SNIPPET = 220


def search(
    connection: sqlite3.Connection, query: str, limit: int, conversation_id: int = 0
) -> list[MessageHit]:
    """Messages that hold all words of `query`, newest first; an empty query finds nothing. Raises StorageError."""
    words = query.split()
    if not words:
        return []
    conditions = ["c.deleted_at IS NULL", "m.deleted_at IS NULL", "m.state <> 'streaming'"]
    parameters: list[object] = []
    source = "messages m"
    long = [word for word in words if len(word) >= _INDEXED_FROM]
    if long:
        source = "messages_found f JOIN messages m ON m.id = f.rowid"
        conditions.append("messages_found MATCH ?")
        parameters.append(" ".join('"' + word.replace('"', '""') + '"' for word in long))
    for word in words:
        if len(word) < _INDEXED_FROM:
            conditions.append(f"instr(lower({_TEXT}), lower(?)) > 0")
            parameters.append(word)
    if conversation_id:
        conditions.append("m.conversation_id = ?")
        parameters.append(conversation_id)
    rows = fetch(
        connection,
        "SELECT m.id, m.conversation_id, c.title, m.role, m.created_at, m.content, m.notice, m.attachments, m.quoted"
        f" FROM {source} JOIN conversations c ON c.id = m.conversation_id"
        f" WHERE {' AND '.join(conditions)} ORDER BY m.id DESC LIMIT ?",
        (*parameters, limit),
    )
    return [_hit(row, words) for row in rows]


def _hit(row: sqlite3.Row, words: Sequence[str]) -> MessageHit:
    pattern = re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)), re.I)
    shown = text_of(row["content"], notice=row["notice"], attachments=attachments_of(row["attachments"]))
    content = "\n\n".join(filter(None, (shown, row["quoted"])))
    found = pattern.search(content)
    first = max(0, found.start() - _AROUND) if found else 0
    if first:  # from the beginning of a word, where there is one near
        blank = content.find(" ", first, first + _AROUND // 2)
        first = blank + 1 if blank >= 0 else first
    snippet = clean_line(content[first : first + _SNIPPET])
    shown = f"{'… ' if first else ''}{snippet}{' …' if first + _SNIPPET < len(content) else ''}"
    return MessageHit(
        message_id=row["id"],
        conversation_id=row["conversation_id"],
        title=row["title"],
        role=row["role"],
        created_at=row["created_at"],
        snippet=shown,
        marks=tuple(match.span() for match in pattern.finditer(shown)),
    )
