"""`ragchat.db`: conversations, messages, what each answer was made from, drafts. Irreplaceable, hence synchronous=FULL.

A message is a node of a tree (`parent_id`), so that branches have their place. Rows are never rewritten except the answer
that is streaming.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragchat.errors import NotFoundError
from ragchat.store.database import connect, fetch, immediate, migrate, now, span_of
from ragchat.types import (
    Citation,
    Conversation,
    Generation,
    Hit,
    Message,
    MessageState,
    Sampling,
    StoredMessage,
    Timings,
)

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

LATEST = 1
_CLOCK_SLACK_S = 3.0
"""The start of a process is known as seconds after a start of the machine, and the system corrects the latter."""


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

    return chat_migrations


class ChatStore:
    """The chats. One instance per thread."""

    def __init__(self, path: Path) -> None:
        """Open or make the database. Raises StorageError."""
        self.path = path
        self._connection = connect(path, synchronous="FULL")
        try:
            if fetch(self._connection, "PRAGMA user_version")[0][0] != LATEST:
                migrate(self._connection, migrations(), LATEST)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    # --- conversations ------------------------------------------------------------------------------

    def create_conversation(
        self, title: str, *, model: str = "", knowledge_bases: Sequence[str] | None = None
    ) -> Conversation:
        """`knowledge_bases` None: the default of the settings; empty: none."""
        at = now()
        names = None if knowledge_bases is None else json.dumps(list(knowledge_bases))
        with immediate(self._connection) as db:
            cursor = db.execute(
                "INSERT INTO conversations (title, model, knowledge_bases, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
                (title, model, names, at, at),
            )
        return self.conversation(int(cursor.lastrowid or 0))

    def conversation(self, conversation_id: int) -> Conversation:
        """Raises NotFoundError."""
        rows = self._fetch("SELECT * FROM conversations WHERE id = ?", (conversation_id,))
        if not rows:
            raise NotFoundError(f"There is no chat {conversation_id}.")
        return _conversation(rows[0])

    def conversations(self, limit: int = 500) -> list[Conversation]:
        """The chats that are not deleted, latest first."""
        rows = self._fetch(
            "SELECT * FROM conversations WHERE deleted_at IS NULL ORDER BY updated_at DESC, id DESC LIMIT ?",
            (limit,),
        )
        return [_conversation(row) for row in rows]

    def rename(self, conversation_id: int, title: str) -> None:
        self._update_conversation(conversation_id, "title", title)

    def set_knowledge_bases(self, conversation_id: int, names: Sequence[str] | None) -> None:
        self._update_conversation(
            conversation_id, "knowledge_bases", None if names is None else json.dumps(list(names))
        )

    def set_model(self, conversation_id: int, model: str) -> None:
        self._update_conversation(conversation_id, "model", model)

    def delete(self, conversation_id: int) -> None:
        """Hide a chat; its rows stay, so that `undelete` brings it back."""
        self._update_conversation(conversation_id, "deleted_at", now())

    def undelete(self, conversation_id: int) -> None:
        self._update_conversation(conversation_id, "deleted_at", None)

    def _update_conversation(self, conversation_id: int, column: str, value: object) -> None:
        with immediate(self._connection) as db:
            db.execute(f"UPDATE conversations SET {column} = ? WHERE id = ?", (value, conversation_id))

    # --- messages -----------------------------------------------------------------------------------

    def add_user_message(self, conversation_id: int, content: str) -> StoredMessage:
        """Store what the person wrote, after the newest message, and clear the draft in the same transaction."""
        with immediate(self._connection) as db:
            message_id = self._insert_message(conversation_id, "user", content, "complete")
            db.execute("DELETE FROM drafts WHERE conversation_id = ?", (conversation_id,))
        return self.message(message_id)

    def begin_answer(self, conversation_id: int) -> StoredMessage:
        """An empty answer that this process streams into."""
        with immediate(self._connection):
            message_id = self._insert_message(conversation_id, "assistant", "", "streaming", writer=_writer())
        return self.message(message_id)

    def update_answer(self, message_id: int, content: str) -> None:
        """What has been streamed so far."""
        with immediate(self._connection) as db:
            db.execute("UPDATE messages SET content = ? WHERE id = ?", (content, message_id))

    def finish_answer(
        self,
        message_id: int,
        content: str,
        *,
        state: MessageState,
        finish_reason: str = "",
        error: str = "",
        used: Sequence[int] = (),
        quotes: Mapping[int, str] | None = None,
        timings: Timings | None = None,
        seed: int | None = None,
    ) -> None:
        """The end of an answer: its text, why it ended, which citations it used, how long it took."""
        with immediate(self._connection) as db:
            db.execute(
                "UPDATE messages SET content = ?, state = ?, finish_reason = ?, error = ?, writer = NULL, finished_at = ?"
                " WHERE id = ?",
                (content, state, finish_reason, error, now(), message_id),
            )
            db.execute(
                "UPDATE citations SET used = n IN (SELECT value FROM json_each(?)) WHERE message_id = ?",
                (json.dumps(list(used)), message_id),
            )
            db.executemany(
                "UPDATE citations SET quote = ? WHERE message_id = ? AND n = ?",
                [(quote, message_id, n) for n, quote in (quotes or {}).items()],
            )
            if timings is not None:
                db.execute(
                    "UPDATE generations SET seed = ?, prompt_tokens = ?, cached_tokens = ?, completion_tokens = ?,"
                    " ttft_s = ?, prefill_tok_s = ?, decode_tok_s = ? WHERE message_id = ?",
                    (
                        seed,
                        timings.prompt_tokens,
                        timings.cached_tokens,
                        timings.completion_tokens,
                        timings.ttft_s,
                        timings.prefill_tok_s,
                        timings.decode_tok_s,
                        message_id,
                    ),
                )

    def save_generation(self, message_id: int, generation: Generation, citations: Sequence[Citation]) -> None:
        """What the answer is about to be made from: the exact prompt, the model, the sampling, the hits."""
        with immediate(self._connection) as db:
            db.execute(
                "INSERT OR REPLACE INTO generations (message_id, model, model_path, adapter, knowledge_bases, query, prompt,"
                " left_out, sampling, seed, retrieval_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    message_id,
                    generation.model,
                    generation.model_path,
                    generation.adapter,
                    json.dumps(list(generation.knowledge_bases)),
                    generation.query,
                    json.dumps(
                        [{"role": m.role, "content": m.content} for m in generation.prompt],
                        ensure_ascii=False,
                    ),
                    json.dumps(list(generation.left_out), ensure_ascii=False),
                    json.dumps(_sampling_row(generation.sampling), ensure_ascii=False),
                    generation.sampling.seed,
                    generation.retrieval_s,
                ),
            )
            db.execute("DELETE FROM citations WHERE message_id = ?", (message_id,))
            db.executemany(
                f"INSERT INTO citations VALUES ({', '.join('?' * 21)})",
                [_citation_row(message_id, citation) for citation in citations],
            )

    def message(self, message_id: int) -> StoredMessage:
        """Raises NotFoundError."""
        rows = self._fetch(f"{_MESSAGES} WHERE m.id = ?", (message_id,))
        if not rows:
            raise NotFoundError(f"There is no message {message_id}.")
        return _message(rows[0])

    def messages(self, conversation_id: int) -> list[StoredMessage]:
        """The messages of a chat, oldest first."""
        rows = self._fetch(f"{_MESSAGES} WHERE m.conversation_id = ? ORDER BY m.id", (conversation_id,))
        return [_message(row) for row in rows]

    def citations(self, message_id: int) -> list[Citation]:
        """The passages that stood in the prompt of an answer, by their number."""
        rows = self._fetch("SELECT * FROM citations WHERE message_id = ? ORDER BY n", (message_id,))
        return [_citation(row) for row in rows]

    def generation(self, message_id: int) -> Generation | None:
        """What an answer was made from, or None for a message that no model wrote."""
        rows = self._fetch("SELECT * FROM generations WHERE message_id = ?", (message_id,))
        return _generation(rows[0]) if rows else None

    def prompt_history(self, limit: int = 200) -> list[str]:
        """What the person asked in chats that are not deleted, newest first, each once."""
        rows = self._fetch(
            "SELECT m.content FROM messages m JOIN conversations c ON c.id = m.conversation_id"
            " WHERE m.role = 'user' AND c.deleted_at IS NULL GROUP BY m.content ORDER BY max(m.id) DESC LIMIT ?",
            (limit,),
        )
        return [row["content"] for row in rows]

    def recover(self) -> int:
        """Mark answers whose process is gone as interrupted; how many there were."""
        import psutil

        lost = []
        for row in self._fetch("SELECT id, writer FROM messages WHERE state = 'streaming'"):
            pid, _, started = (row["writer"] or "").partition(":")
            try:
                alive = abs(psutil.Process(int(pid)).create_time() - float(started)) <= _CLOCK_SLACK_S
            except (psutil.Error, ValueError):
                alive = False
            if not alive:
                lost.append((now(), row["id"]))
        if lost:
            with immediate(self._connection) as db:
                db.executemany(
                    "UPDATE messages SET state = 'interrupted', writer = NULL, finished_at = ? WHERE id = ?",
                    lost,
                )
        return len(lost)

    def check(self) -> str:
        """SQLite's own integrity check: "ok" or what is wrong."""
        return str(self._fetch("PRAGMA quick_check")[0][0])

    def _fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        return fetch(self._connection, sql, parameters)

    # --- drafts -------------------------------------------------------------------------------------

    def draft(self, conversation_id: int) -> str:
        """What was typed and not sent; chat 0 is the one that does not exist yet."""
        rows = self._fetch("SELECT content FROM drafts WHERE conversation_id = ?", (conversation_id,))
        return rows[0]["content"] if rows else ""

    def save_draft(self, conversation_id: int, content: str) -> None:
        with immediate(self._connection) as db:
            if content:
                db.execute(
                    "INSERT OR REPLACE INTO drafts VALUES (?, ?, ?)", (conversation_id, content, now())
                )
            else:
                db.execute("DELETE FROM drafts WHERE conversation_id = ?", (conversation_id,))

    def _insert_message(
        self, conversation_id: int, role: str, content: str, state: MessageState, *, writer: str | None = None
    ) -> int:
        at = now()
        (parent,) = self._connection.execute(
            "SELECT max(id) FROM messages WHERE conversation_id = ?", (conversation_id,)
        ).fetchone()
        cursor = self._connection.execute(
            "INSERT INTO messages (conversation_id, parent_id, role, content, state, writer, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (conversation_id, parent, role, content, state, writer, at),
        )
        self._connection.execute(
            "UPDATE conversations SET updated_at = ? WHERE id = ?", (at, conversation_id)
        )
        return int(cursor.lastrowid or 0)


_MESSAGES = (
    "SELECT m.*, g.prompt_tokens, g.cached_tokens, g.completion_tokens, g.retrieval_s, g.ttft_s, g.prefill_tok_s,"
    " g.decode_tok_s, (SELECT count(*) FROM citations c WHERE c.message_id = m.id) AS citation_count"
    " FROM messages m LEFT JOIN generations g ON g.message_id = m.id"
)


def _writer() -> str:
    import psutil

    return f"{os.getpid()}:{psutil.Process().create_time():.0f}"


def _conversation(row: sqlite3.Row) -> Conversation:
    names = None if row["knowledge_bases"] is None else tuple(json.loads(row["knowledge_bases"]))
    return Conversation(
        row["id"], row["title"], row["model"] or "", names, row["created_at"], row["updated_at"]
    )


def _message(row: sqlite3.Row) -> StoredMessage:
    timings = None
    if row["ttft_s"] is not None:
        timings = Timings(
            retrieval_s=row["retrieval_s"] or 0.0,
            ttft_s=row["ttft_s"],
            prefill_tok_s=row["prefill_tok_s"],
            decode_tok_s=row["decode_tok_s"],
            prompt_tokens=row["prompt_tokens"],
            cached_tokens=row["cached_tokens"],
            completion_tokens=row["completion_tokens"],
        )
    return StoredMessage(
        id=row["id"],
        conversation_id=row["conversation_id"],
        role=row["role"],
        content=row["content"],
        state=row["state"],
        finish_reason=row["finish_reason"] or "",
        error=row["error"] or "",
        created_at=row["created_at"],
        citation_count=row["citation_count"],
        timings=timings,
    )


def _sampling_row(sampling: Sampling) -> dict[str, Any]:
    return {name: getattr(sampling, name) for name in Sampling.__slots__}


def _generation(row: sqlite3.Row) -> Generation:
    sampling = json.loads(row["sampling"])
    sampling["stop"] = tuple(sampling["stop"])
    sampling["seed"] = row["seed"]
    return Generation(
        model=row["model"],
        model_path=row["model_path"],
        adapter=row["adapter"],
        knowledge_bases=tuple(json.loads(row["knowledge_bases"])),
        query=row["query"],
        prompt=tuple(Message(m["role"], m["content"]) for m in json.loads(row["prompt"])),
        left_out=tuple(json.loads(row["left_out"])),
        sampling=Sampling(**sampling),
        retrieval_s=row["retrieval_s"] or 0.0,
    )


def _citation_row(message_id: int, citation: Citation) -> tuple[object, ...]:
    hit, span = citation.hit, citation.hit.span
    return (
        *(message_id, citation.n, hit.rank, hit.score, hit.knowledge_base, hit.chunk_id, hit.document_id),
        *(hit.path, hit.title, hit.heading, span.char_first, span.char_last, span.line_first, span.line_last),
        *(
            span.page_first,
            span.page_last,
            hit.text,
            hit.content_hash,
            hit.evidence,
            citation.quote,
            int(citation.used),
        ),
    )


def _citation(row: sqlite3.Row) -> Citation:
    hit = Hit(
        rank=row["rank"],
        score=row["score"],
        knowledge_base=row["knowledge_base"],
        chunk_id=row["chunk_id"],
        document_id=row["document_id"],
        path=row["path"],
        title=row["title"],
        heading=row["heading"],
        span=span_of(row),
        text=row["text"],
        content_hash=row["content_hash"],
        evidence=row["evidence"],
    )
    return Citation(row["n"], hit, row["quote"], bool(row["used"]))
