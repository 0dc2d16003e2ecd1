"""A chat as one value, out of the database and into it: for export, import and forks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from ragchat.store.chat_checks import check_json, check_of
from ragchat.store.chat_rows import (
    GENERATION_COLUMNS,
    QUOTE_COLUMNS,
    attachments_of,
    attachments_text,
    citation_of,
    citation_row,
    generation_of,
    generation_row,
    names_json,
    options_json,
    quote_row,
    quoted_text,
    quotes_of,
)
from ragchat.store.database import fetch, immediate, now
from ragchat.types import Conversation, PortableChat, PortableMessage, Quote

_STATES = ("complete", "cancelled", "interrupted", "error")


def portable(connection: sqlite3.Connection, conversation: Conversation) -> PortableChat:
    """All branches; hidden messages are left out, what follows one hangs on what was before it."""
    of_chat = (conversation.id,)
    rows = fetch(connection, "SELECT * FROM messages WHERE conversation_id = ? ORDER BY id", of_chat)
    where = "message_id IN (SELECT id FROM messages WHERE conversation_id = ?)"
    generations = {
        row["message_id"]: generation_of(row)
        for row in fetch(connection, f"SELECT * FROM generations WHERE {where}", of_chat)
    }
    citations: dict[int, list[sqlite3.Row]] = {}
    for row in fetch(connection, f"SELECT * FROM citations WHERE {where} ORDER BY message_id, n", of_chat):
        citations.setdefault(row["message_id"], []).append(row)
    quotes = quotes_of(
        fetch(connection, f"SELECT * FROM quotes WHERE {where} ORDER BY message_id, n", of_chat)
    )
    hidden = {row["id"]: row["parent_id"] or 0 for row in rows if row["deleted_at"]}

    def seen(message_id: int) -> int:
        while message_id in hidden:
            message_id = hidden[message_id]
        return message_id

    messages = tuple(
        PortableMessage(
            id=row["id"],
            parent_id=seen(row["parent_id"] or 0),
            role=row["role"],
            content=row["content"],
            created_at=row["created_at"],
            state="interrupted" if row["state"] == "streaming" else row["state"],
            finish_reason=row["finish_reason"] or "",
            rating=row["rating"],
            correction=row["correction"],
            reasoning=row["reasoning"],
            generation=generations.get(row["id"]),
            citations=tuple(citation_of(one) for one in citations.get(row["id"], [])),
            notice=row["notice"],
            attachments=attachments_of(row["attachments"]),
            quotes=tuple(quotes.get(row["id"], [])),
            check=check_of(row["checked"], row["content"]),
        )
        for row in rows
        if row["id"] not in hidden
    )
    return PortableChat(
        title=conversation.title,
        created_at=conversation.created_at,
        updated_at=conversation.updated_at,
        messages=messages,
        leaf_id=seen(conversation.leaf_id),
        pinned=conversation.pinned,
        tags=conversation.tags,
        options=conversation.options,
    )


def add(connection: sqlite3.Connection, chat: PortableChat) -> int:
    """Store a chat; its number. Parents must come before their children; an unknown parent is none."""
    numbers: dict[int, int] = {}
    models = [message.generation.model for message in chat.messages if message.generation]
    with immediate(connection) as db:
        cursor = db.execute(
            "INSERT INTO conversations (title, model, knowledge_bases, created_at, updated_at, pinned, tags, options)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                chat.title,
                models[-1] if models else "",
                names_json(chat.options.knowledge_bases),
                chat.created_at or now(),
                chat.updated_at or now(),
                int(chat.pinned),
                json.dumps(list(chat.tags), ensure_ascii=False),
                options_json(chat.options),
            ),
        )
        conversation_id = int(cursor.lastrowid or 0)
        for message in chat.messages:
            parent_id = numbers.get(message.parent_id)
            numbers[message.id] = _add_message(db, conversation_id, parent_id, message)
        leaf_id = numbers.get(chat.leaf_id) or max(numbers.values(), default=None)
        db.execute("UPDATE conversations SET leaf_id = ? WHERE id = ?", (leaf_id, conversation_id))
    return conversation_id


def _add_message(
    db: sqlite3.Connection, conversation_id: int, parent_id: int | None, message: PortableMessage
) -> int:
    state = message.state if message.state in _STATES else "interrupted"
    cursor = db.execute(
        "INSERT INTO messages (conversation_id, parent_id, role, content, state, finish_reason, created_at, finished_at, rating,"
        " correction, reasoning, notice, attachments, quoted, checked)"
        f" VALUES ({', '.join('?' * 15)})",
        (
            *(conversation_id, parent_id, message.role, message.content, state, message.finish_reason),
            *(message.created_at or now(), message.created_at or now()),
            *(message.rating, message.correction, message.reasoning),
            *(message.notice, attachments_text(message.attachments)),
            *(quoted_text(message.quotes), check_json(message.check)),
        ),
    )
    message_id = int(cursor.lastrowid or 0)
    if message.generation:
        row = generation_row(message_id, message.generation)
        db.execute(
            f"INSERT INTO generations ({GENERATION_COLUMNS}) VALUES ({', '.join('?' * len(row))})", row
        )
    db.executemany(
        f"INSERT INTO citations VALUES ({', '.join('?' * 27)})",
        [citation_row(message_id, citation) for citation in message.citations],
    )
    insert_quotes(db, message_id, message.quotes)
    return message_id


def insert_quotes(db: sqlite3.Connection, message_id: int, quotes: Sequence[Quote]) -> None:
    """What the documents say above an answer, in its order, inside a transaction of the caller."""
    db.executemany(
        f"INSERT INTO quotes ({QUOTE_COLUMNS}) VALUES ({', '.join('?' * 28)})",
        [quote_row(message_id, n, quote) for n, quote in enumerate(quotes, 1)],
    )
