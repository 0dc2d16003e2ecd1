"""The schema of `ragchat.db`: named changes, oldest first; only ever appended to.

The full-text index over messages has no text of its own: triggers keep it level with the table, except for an answer that is
still streaming, which enters when it is finished. It covers the messages and the notices, the names of attachments and the words
of documents beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ragchat.store.chat_former import omission, split_answer, split_question
from ragchat.store.chat_rows import attachments_text, omissions_json
from ragchat.store.database import PLACE_COLUMNS

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

LATEST = 6


def migrations() -> Migrations:
    """All schema changes of `ragchat.db`, oldest first; only ever appended to."""
    from sqlite_utils import Migrations

    chat_migrations = Migrations("ragchat.chats")

    @chat_migrations(name="0001_conversations_messages_generations_citations_drafts")  # type: ignore[untyped-decorator]
    def _first(db: Database) -> None:
        db.table("conversations").create(
            {
                "id": int,
                "title": str,
                "model": str,
                "knowledge_bases": str,  # JSON array of names; null: the default
                "created_at": str,
                "updated_at": str,
                "deleted_at": str,
            },
            pk="id",
            not_null={"title", "created_at", "updated_at"},
        )
        db.table("messages").create(
            {
                "id": int,
                "conversation_id": int,
                "parent_id": int,
                "role": str,
                "content": str,
                "state": str,  # complete, streaming, cancelled, interrupted, error
                "finish_reason": str,
                "error": str,
                "writer": str,  # process that streams into it
                "created_at": str,
                "finished_at": str,
            },
            pk="id",
            not_null={"conversation_id", "role", "content", "state", "created_at"},
            foreign_keys=[("conversation_id", "conversations", "id"), ("parent_id", "messages", "id")],
        )
        db.table("messages").create_index(["conversation_id", "id"])
        db.table("generations").create(
            {
                "message_id": int,
                "model": str,
                "model_path": str,
                "adapter": str,
                "knowledge_bases": str,
                "query": str,
                "prompt": str,  # JSON array of {role, content}: exactly what was sent
                "left_out": str,  # JSON array of sentences
                "sampling": str,
                "seed": int,
                "prompt_tokens": int,
                "cached_tokens": int,
                "completion_tokens": int,
                "retrieval_s": float,
                "ttft_s": float,
                "prefill_tok_s": float,
                "decode_tok_s": float,
            },
            pk="message_id",
            foreign_keys=[("message_id", "messages", "id")],
        )
        db.table("citations").create(
            {
                "message_id": int,
                "n": int,
                "rank": int,
                "score": float,
                "knowledge_base": str,
                "chunk_id": int,
                "document_id": int,
                "path": str,
                "title": str,
                "heading": str,
                "char_first": int,
                "char_last": int,
                "line_first": int,
                "line_last": int,
                "page_first": int,
                "page_last": int,
                "text": str,
                "content_hash": str,
                "evidence": str,
                "quote": str,
                "used": int,
            },
            pk=("message_id", "n"),
            foreign_keys=[("message_id", "messages", "id")],
        )
        db.table("drafts").create(
            {"conversation_id": int, "content": str, "updated_at": str}, pk="conversation_id"
        )

    @chat_migrations(name="0002_branches_options_reasoning_ratings_search")  # type: ignore[untyped-decorator]
    def _second(db: Database) -> None:
        _run(db, _SECOND)

    @chat_migrations(name="0003_places_of_citations")  # type: ignore[untyped-decorator]
    def _third(db: Database) -> None:
        for column in PLACE_COLUMNS:
            db.conn.execute(f"ALTER TABLE citations ADD COLUMN {column}")

    @chat_migrations(name="0004_notices_attachments_and_omissions")  # type: ignore[untyped-decorator]
    def _fourth(db: Database) -> None:
        _run(db, _FOURTH_BEFORE)
        db.conn.executemany("UPDATE messages SET notice = ?, content = ? WHERE id = ?", [*_notices(db)])
        db.conn.executemany("UPDATE messages SET attachments = ?, content = ? WHERE id = ?", [*_names(db)])
        db.conn.executemany("UPDATE generations SET left_out = ? WHERE message_id = ?", [*_omissions(db)])
        _run(db, _FOURTH_AFTER)

    @chat_migrations(name="0005_quotes_and_checks")  # type: ignore[untyped-decorator]
    def _fifth(db: Database) -> None:
        _run(db, _FIFTH)

    @chat_migrations(name="0006_reading_ahead")  # type: ignore[untyped-decorator]
    def _sixth(db: Database) -> None:
        db.conn.execute(
            "ALTER TABLE generations ADD COLUMN ahead TEXT"
        )  # JSON: how the reading went beside the prompt

    return chat_migrations


def _run(db: Database, statements: Sequence[str]) -> None:
    for statement in statements:
        db.conn.execute(statement)


def _notices(db: Database) -> Iterator[tuple[str, str, int]]:
    """(notice, own words, message) of answers that begin with a notice."""
    for number, text in db.conn.execute("SELECT id, content FROM messages WHERE role = 'assistant'"):
        notice, own_words = split_answer(text)
        if notice:
            yield notice, own_words, number


def _names(db: Database) -> Iterator[tuple[str, str, int]]:
    """(attachments, question, message) of questions that had something attached."""
    for number, text in db.conn.execute(
        "SELECT id, content FROM messages WHERE role = 'user' AND instr(content, '(attached: ') > 0"
    ):
        question, names = split_question(text)
        if names:
            yield attachments_text(names), question, number


def _omissions(db: Database) -> Iterator[tuple[str, int]]:
    """(what was left out, message) of answers that had no room for everything."""
    for number, sentences in db.conn.execute(
        "SELECT message_id, left_out FROM generations WHERE left_out <> '[]'"
    ):
        yield omissions_json([omission(str(sentence)) for sentence in json.loads(sentences)]), number


_SECOND = (
    "ALTER TABLE conversations ADD COLUMN leaf_id INTEGER",  # last message of the branch that is shown
    "ALTER TABLE conversations ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE conversations ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE conversations ADD COLUMN options TEXT NOT NULL DEFAULT '{}'",  # ChatOptions without knowledge_bases
    "ALTER TABLE messages ADD COLUMN deleted_at TEXT",
    "ALTER TABLE messages ADD COLUMN rating INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE messages ADD COLUMN correction TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE messages ADD COLUMN reasoning TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE messages ADD COLUMN reasoning_s REAL NOT NULL DEFAULT 0",
    "ALTER TABLE messages ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE generations ADD COLUMN parts TEXT NOT NULL DEFAULT '[]'",  # JSON array of [name, tokens]
    "ALTER TABLE generations ADD COLUMN n_ctx INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX messages_by_parent ON messages (conversation_id, parent_id)",
    "UPDATE conversations SET leaf_id = (SELECT max(id) FROM messages m WHERE m.conversation_id = conversations.id)",
    "CREATE TABLE presets (name TEXT PRIMARY KEY, options TEXT NOT NULL, updated_at TEXT NOT NULL)",
    "CREATE TABLE notes (key TEXT PRIMARY KEY, content TEXT NOT NULL)",  # small state of the screen
    "CREATE TABLE compactions (id INTEGER PRIMARY KEY, conversation_id INTEGER NOT NULL REFERENCES conversations (id),"
    " message_id INTEGER NOT NULL REFERENCES messages (id), summary TEXT NOT NULL, model TEXT NOT NULL,"
    " created_at TEXT NOT NULL)",
    "CREATE INDEX compactions_by_conversation ON compactions (conversation_id)",
    "CREATE TABLE evaluation_questions (id INTEGER PRIMARY KEY, question TEXT NOT NULL, answers TEXT NOT NULL,"
    " source TEXT NOT NULL, quote TEXT NOT NULL, tags TEXT NOT NULL, answerable INTEGER NOT NULL,"
    " message_id INTEGER NOT NULL, created_at TEXT NOT NULL)",
    "CREATE VIRTUAL TABLE messages_found USING fts5"
    " (content, content = 'messages', content_rowid = 'id', tokenize = 'trigram')",
    "INSERT INTO messages_found (rowid, content) SELECT id, content FROM messages WHERE state <> 'streaming'",
    "CREATE TRIGGER messages_found_insert AFTER INSERT ON messages WHEN new.state <> 'streaming' BEGIN"
    " INSERT INTO messages_found (rowid, content) VALUES (new.id, new.content); END",
    "CREATE TRIGGER messages_found_leave BEFORE UPDATE OF content, state ON messages WHEN old.state <> 'streaming' BEGIN"
    " INSERT INTO messages_found (messages_found, rowid, content) VALUES ('delete', old.id, old.content); END",
    "CREATE TRIGGER messages_found_enter AFTER UPDATE OF content, state ON messages WHEN new.state <> 'streaming' BEGIN"
    " INSERT INTO messages_found (rowid, content) VALUES (new.id, new.content); END",
    "CREATE TRIGGER messages_found_delete BEFORE DELETE ON messages WHEN old.state <> 'streaming' BEGIN"
    " INSERT INTO messages_found (messages_found, rowid, content) VALUES ('delete', old.id, old.content); END",
)

_FOUND = "content, notice, attachments"
_NEW = "new.id, new.content, new.notice, new.attachments"
_OLD = "'delete', old.id, old.content, old.notice, old.attachments"
_ENTER = f"INSERT INTO messages_found (rowid, {_FOUND}) VALUES ({_NEW})"
_LEAVE = f"INSERT INTO messages_found (messages_found, rowid, {_FOUND}) VALUES ({_OLD})"

_FOURTH_BEFORE = (
    "DROP TRIGGER messages_found_insert",
    "DROP TRIGGER messages_found_leave",
    "DROP TRIGGER messages_found_enter",
    "DROP TRIGGER messages_found_delete",
    "DROP TABLE messages_found",
    "ALTER TABLE messages ADD COLUMN notice TEXT NOT NULL DEFAULT ''",  # above an answer, as it was shown
    "ALTER TABLE messages ADD COLUMN attachments TEXT NOT NULL DEFAULT ''",  # names, one on each line
)
_FOURTH_AFTER = (
    f"CREATE VIRTUAL TABLE messages_found USING fts5"
    f" ({_FOUND}, content = 'messages', content_rowid = 'id', tokenize = 'trigram')",
    f"INSERT INTO messages_found (rowid, {_FOUND})"
    f" SELECT id, {_FOUND} FROM messages WHERE state <> 'streaming'",
    f"CREATE TRIGGER messages_found_insert AFTER INSERT ON messages WHEN new.state <> 'streaming' BEGIN {_ENTER}; END",
    f"CREATE TRIGGER messages_found_leave BEFORE UPDATE OF {_FOUND}, state ON messages WHEN old.state <> 'streaming'"
    f" BEGIN {_LEAVE}; END",
    f"CREATE TRIGGER messages_found_enter AFTER UPDATE OF {_FOUND}, state ON messages WHEN new.state <> 'streaming'"
    f" BEGIN {_ENTER}; END",
    f"CREATE TRIGGER messages_found_delete BEFORE DELETE ON messages WHEN old.state <> 'streaming' BEGIN {_LEAVE}; END",
)

_FOUND_5 = "content, notice, attachments, quoted"
_ENTER_5 = (
    f"INSERT INTO messages_found (rowid, {_FOUND_5})"
    " VALUES (new.id, new.content, new.notice, new.attachments, new.quoted)"
)
_LEAVE_5 = (
    f"INSERT INTO messages_found (messages_found, rowid, {_FOUND_5})"
    " VALUES ('delete', old.id, old.content, old.notice, old.attachments, old.quoted)"
)

_FIFTH = (
    *_FOURTH_BEFORE[:5],  # what kept the search level with the messages
    "ALTER TABLE messages ADD COLUMN checked TEXT NOT NULL DEFAULT ''",  # JSON of an AnswerCheck; empty: unchecked
    "ALTER TABLE messages ADD COLUMN quoted TEXT NOT NULL DEFAULT ''",  # the words of its quotes, for the search
    "CREATE TABLE quotes (message_id INTEGER NOT NULL REFERENCES messages (id), n INTEGER NOT NULL, rank INTEGER,"
    " score REAL, knowledge_base TEXT, chunk_id INTEGER, document_id INTEGER, path TEXT, title TEXT, heading TEXT,"
    " char_first INTEGER, char_last INTEGER, line_first INTEGER, line_last INTEGER, page_first INTEGER,"
    " page_last INTEGER, text TEXT, content_hash TEXT, evidence TEXT, file_line_first INTEGER,"
    " file_line_last INTEGER, page_label TEXT, part TEXT, confidence REAL, page_breaks TEXT, quote_first INTEGER,"
    " quote_last INTEGER, chance REAL, PRIMARY KEY (message_id, n))",
    f"CREATE VIRTUAL TABLE messages_found USING fts5"
    f" ({_FOUND_5}, content = 'messages', content_rowid = 'id', tokenize = 'trigram')",
    f"INSERT INTO messages_found (rowid, {_FOUND_5})"
    f" SELECT id, {_FOUND_5} FROM messages WHERE state <> 'streaming'",
    f"CREATE TRIGGER messages_found_insert AFTER INSERT ON messages WHEN new.state <> 'streaming' BEGIN {_ENTER_5}; END",
    f"CREATE TRIGGER messages_found_leave BEFORE UPDATE OF {_FOUND_5}, state ON messages WHEN old.state <> 'streaming'"
    f" BEGIN {_LEAVE_5}; END",
    f"CREATE TRIGGER messages_found_enter AFTER UPDATE OF {_FOUND_5}, state ON messages WHEN new.state <> 'streaming'"
    f" BEGIN {_ENTER_5}; END",
    f"CREATE TRIGGER messages_found_delete BEFORE DELETE ON messages WHEN old.state <> 'streaming' BEGIN {_LEAVE_5}; END",
)
