"""What hangs on the chats: presets, compactions, questions for the evaluation, small state of the screen."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from ragchat.store.chat_rows import compaction_of, options_json, options_of, question_of
from ragchat.store.database import fetch, immediate, now
from ragchat.types import ChatOptions, Compaction, EvaluationQuestion


def presets(connection: sqlite3.Connection) -> list[tuple[str, ChatOptions]]:
    """All presets by name."""
    rows = fetch(connection, "SELECT name, options FROM presets ORDER BY name")
    return [(row["name"], options_of(row["options"])) for row in rows]


def save_preset(connection: sqlite3.Connection, name: str, options: ChatOptions) -> None:
    """Store a preset, in place of one of that name."""
    with immediate(connection) as db:
        db.execute("INSERT OR REPLACE INTO presets VALUES (?, ?, ?)", (name, options_json(options), now()))


def delete_preset(connection: sqlite3.Connection, name: str) -> bool:
    """Whether there was one."""
    with immediate(connection) as db:
        return db.execute("DELETE FROM presets WHERE name = ?", (name,)).rowcount > 0


def compactions(connection: sqlite3.Connection, conversation_id: int) -> list[Compaction]:
    """All of a chat, in whichever branch, newest first."""
    rows = fetch(
        connection, "SELECT * FROM compactions WHERE conversation_id = ? ORDER BY id DESC", (conversation_id,)
    )
    return [compaction_of(row) for row in rows]


def add_compaction(
    connection: sqlite3.Connection, conversation_id: int, message_id: int, summary: str, model: str
) -> int:
    """Store a summary that replaces what comes before `message_id` in prompts; its id."""
    with immediate(connection) as db:
        cursor = db.execute(
            "INSERT INTO compactions (conversation_id, message_id, summary, model, created_at) VALUES (?, ?, ?, ?, ?)",
            (conversation_id, message_id, summary, model, now()),
        )
    return int(cursor.lastrowid or 0)


def remove_compaction(connection: sqlite3.Connection, compaction_id: int) -> None:
    """Let prompts hold the messages again."""
    with immediate(connection) as db:
        db.execute("DELETE FROM compactions WHERE id = ?", (compaction_id,))


def questions(connection: sqlite3.Connection) -> list[EvaluationQuestion]:
    """All evaluation questions, oldest first."""
    return [question_of(row) for row in fetch(connection, "SELECT * FROM evaluation_questions ORDER BY id")]


def add_question(
    connection: sqlite3.Connection,
    question: str,
    answers: Sequence[str],
    *,
    source: str,
    quote: str,
    tags: Sequence[str],
    answerable: bool,
    message_id: int,
) -> int:
    """Store an evaluation question; its id."""
    with immediate(connection) as db:
        cursor = db.execute(
            "INSERT INTO evaluation_questions (question, answers, source, quote, tags, answerable, message_id, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                question,
                json.dumps(list(answers), ensure_ascii=False),
                source,
                quote,
                json.dumps(list(tags), ensure_ascii=False),
                int(answerable),
                message_id,
                now(),
            ),
        )
    return int(cursor.lastrowid or 0)


def delete_question(connection: sqlite3.Connection, question_id: int) -> None:
    """Delete an evaluation question."""
    with immediate(connection) as db:
        db.execute("DELETE FROM evaluation_questions WHERE id = ?", (question_id,))


def note(connection: sqlite3.Connection, key: str) -> str:
    """The text kept under `key`; empty if there is none."""
    rows = fetch(connection, "SELECT content FROM notes WHERE key = ?", (key,))
    return str(rows[0]["content"]) if rows else ""


def set_note(connection: sqlite3.Connection, key: str, text: str) -> None:
    """Keep `text` under `key`."""
    with immediate(connection) as db:
        db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (key, text))
