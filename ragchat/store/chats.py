"""`ragchat.db`: conversations, messages, what each answer was made from, drafts. Irreplaceable, hence synchronous=FULL.

A message is a node of a tree (`parent_id`); `leaf_id` of the conversation is the end of the branch that is shown. A deleted turn
is hidden and stays in its place, so that what follows it stays, and so that it can come back. Rows are never rewritten except
the answer that is streaming.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ragchat.errors import NotFoundError
from ragchat.store import chat_extras, chat_search, chat_transfer, chat_tree
from ragchat.store.chat_checks import check_json
from ragchat.store.chat_rows import (
    GENERATION_COLUMNS,
    ahead_json,
    attachments_text,
    citation_of,
    citation_row,
    conversation_of,
    generation_of,
    generation_row,
    message_of,
    names_json,
    options_json,
    quoted_text,
    quotes_of,
)
from ragchat.store.chat_schema import LATEST, migrations
from ragchat.store.database import connect, fetch, immediate, migrate, now
from ragchat.types import (
    UNCHECKED,
    AnswerCheck,
    ChatOptions,
    Citation,
    Compaction,
    Conversation,
    EvaluationQuestion,
    Generation,
    MessageHit,
    MessageState,
    PortableChat,
    Quote,
    StoredMessage,
    Timings,
)

_CLOCK_SLACK_S = 3.0
"""The start of a process is known as seconds after a start of the machine, and the system corrects the latter."""


@dataclass(frozen=True, slots=True)
class MessagePage:
    """A stretch of a branch, oldest first; `earlier` and `later` messages lie outside of it."""

    messages: tuple[StoredMessage, ...]
    earlier: int
    later: int


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
        """Close the database."""
        self._connection.close()

    # --- conversations ------------------------------------------------------------------------------

    def create_conversation(
        self,
        title: str,
        *,
        model: str = "",
        knowledge_bases: Sequence[str] | None = None,
        options: ChatOptions | None = None,
        tags: Sequence[str] = (),
    ) -> Conversation:
        """`knowledge_bases` None: those of `options`, where None means the default of the settings; empty: none."""
        at, options = now(), options or ChatOptions()
        names = options.knowledge_bases if knowledge_bases is None else tuple(knowledge_bases)
        with immediate(self._connection) as db:
            cursor = db.execute(
                "INSERT INTO conversations (title, model, knowledge_bases, created_at, updated_at, tags, options)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (title, model, names_json(names), at, at, names_json(tags), options_json(options)),
            )
        return self.conversation(int(cursor.lastrowid or 0))

    def conversation(self, conversation_id: int) -> Conversation:
        """Raises NotFoundError."""
        rows = self._fetch("SELECT * FROM conversations WHERE id = ?", (conversation_id,))
        if not rows:
            raise NotFoundError(f"There is no chat {conversation_id}.")
        return conversation_of(rows[0])

    def conversations(self, limit: int = 500, *, tag: str = "") -> list[Conversation]:
        """The chats that are not deleted (and have this tag), pinned ones first, then latest first."""
        tagged = "AND EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)" if tag else ""
        rows = self._fetch(
            f"SELECT * FROM conversations WHERE deleted_at IS NULL {tagged}"
            " ORDER BY pinned DESC, updated_at DESC, id DESC LIMIT ?",
            (*([tag] if tag else []), limit),
        )
        return [conversation_of(row) for row in rows]

    def tags(self) -> list[tuple[str, int]]:
        """All tags of chats that are not deleted, with how many chats have them."""
        rows = self._fetch(
            "SELECT t.value AS tag, count(*) AS chats FROM conversations c, json_each(c.tags) t"
            " WHERE c.deleted_at IS NULL GROUP BY t.value ORDER BY t.value"
        )
        return [(row["tag"], row["chats"]) for row in rows]

    def rename(self, conversation_id: int, title: str) -> None:
        """Give a chat another title."""
        self._update_conversation(conversation_id, "title", title)

    def set_pinned(self, conversation_id: int, pinned: bool) -> None:
        """Pin a chat to the top of the list, or unpin it."""
        self._update_conversation(conversation_id, "pinned", int(pinned))

    def set_tags(self, conversation_id: int, tags: Sequence[str]) -> None:
        """Each once, in their order; empty ones are left out."""
        names = list(dict.fromkeys(name for tag in tags if (name := " ".join(tag.split()))))
        self._update_conversation(conversation_id, "tags", names_json(names))

    def set_options(self, conversation_id: int, options: ChatOptions) -> None:
        """Store the options of a chat."""
        with immediate(self._connection) as db:
            db.execute(
                "UPDATE conversations SET options = ?, knowledge_bases = ? WHERE id = ?",
                (options_json(options), names_json(options.knowledge_bases), conversation_id),
            )

    def set_knowledge_bases(self, conversation_id: int, names: Sequence[str] | None) -> None:
        """Which knowledge bases a chat asks; None: the usual ones."""
        self._update_conversation(conversation_id, "knowledge_bases", names_json(names))

    def set_model(self, conversation_id: int, model: str) -> None:
        """The model that answers now."""
        self._update_conversation(conversation_id, "model", model)

    def delete(self, conversation_id: int) -> None:
        """Hide a chat; its rows stay, so that `undelete` brings it back."""
        self._update_conversation(conversation_id, "deleted_at", now())

    def undelete(self, conversation_id: int) -> None:
        """Show a deleted chat again."""
        self._update_conversation(conversation_id, "deleted_at", None)

    def erase(self, conversation_id: int) -> None:
        """Delete a chat for good, hidden or not: rows, search index, drafts; what was there is overwritten."""
        self._connection.execute("PRAGMA secure_delete = ON")
        of_messages = "message_id IN (SELECT id FROM messages WHERE conversation_id = ?)"
        with immediate(self._connection) as db:
            for statement in (
                f"DELETE FROM citations WHERE {of_messages}",
                f"DELETE FROM quotes WHERE {of_messages}",
                f"DELETE FROM generations WHERE {of_messages}",
                f"DELETE FROM evaluation_questions WHERE {of_messages}",
                "DELETE FROM compactions WHERE conversation_id = ?",
                "DELETE FROM drafts WHERE conversation_id = ?",
                "UPDATE conversations SET leaf_id = NULL WHERE id = ?",
                "UPDATE messages SET parent_id = NULL WHERE conversation_id = ?",
                "DELETE FROM messages WHERE conversation_id = ?",
                "DELETE FROM conversations WHERE id = ?",
            ):
                db.execute(statement, (conversation_id,))
            db.execute("INSERT INTO messages_found (messages_found) VALUES ('optimize')")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _update_conversation(self, conversation_id: int, column: str, value: object) -> None:
        with immediate(self._connection) as db:
            db.execute(f"UPDATE conversations SET {column} = ? WHERE id = ?", (value, conversation_id))

    # --- branches -----------------------------------------------------------------------------------

    def branch_ids(self, conversation_id: int) -> list[int]:
        """The messages of the branch that is shown, oldest first."""
        return chat_tree.branch_ids(self._connection, self.conversation(conversation_id).leaf_id)

    def page(
        self, conversation_id: int, *, before: int = 0, after: int = 0, around: int = 0, limit: int = 24
    ) -> MessagePage:
        """At most `limit` messages of the branch that is shown: its end, or what is before, after or around a message.

        A message that is not in the branch counts as its end.
        """
        ids = self.branch_ids(conversation_id)
        first = max(0, len(ids) - limit)
        if before in ids:
            first = max(0, ids.index(before) - limit)
            limit = ids.index(before) - first
        elif after in ids:
            first = ids.index(after) + 1
        elif around in ids:
            first = max(0, min(first, ids.index(around) - limit // 2))
        shown = ids[first : first + limit]
        return MessagePage(tuple(self._messages(shown)), first, len(ids) - first - len(shown))

    def show_branch(self, message_id: int) -> None:
        """Make the newest branch through a message the one that is shown."""
        leaf = chat_tree.newest_leaf(self._connection, message_id)
        self._update_conversation(self.message(message_id).conversation_id, "leaf_id", leaf)

    def delete_turn(self, message_id: int) -> int:
        """Hide a question with its answers; the number of the question, for `undelete_turn`. What follows it stays.

        Where the question is beside others (it was edited), one of these is shown in its place.
        """
        question, turn = chat_tree.turn_of(self._connection, message_id)
        beside = [n for n in chat_tree.siblings(self._connection, [question])[question] if n != question]
        self._hide(turn, now())
        if beside:
            self.show_branch(beside[-1])
        return question

    def undelete_turn(self, question_id: int) -> None:
        """Bring a hidden question back with its answers, and show its branch."""
        question, turn = chat_tree.turn_of(self._connection, question_id)
        self._hide(turn, None)
        if question not in self.branch_ids(self.message(question).conversation_id):
            self.show_branch(question)

    def _hide(self, message_ids: Sequence[int], at: str | None) -> None:
        with immediate(self._connection) as db:
            db.execute(
                "UPDATE messages SET deleted_at = ? WHERE id IN (SELECT value FROM json_each(?))",
                (at, json.dumps(list(message_ids))),
            )

    def fork(self, conversation_id: int, message_id: int) -> Conversation:
        """A new chat with the branch that is shown, up to and with a message of it; the old one stays as it is."""
        whole = self.portable(conversation_id)
        path = whole.path
        places = [n for n, message in enumerate(path, 1) if message.id == message_id]
        if not places:
            raise NotFoundError(f"Message {message_id} is not in the current branch.")
        kept = path[: places[0]]
        linked = [replace(m, parent_id=kept[n - 1].id if n else 0) for n, m in enumerate(kept)]
        at = now()
        return self.add_portable(
            replace(
                whole,
                title=f"{whole.title} (fork)",
                messages=tuple(linked),
                leaf_id=message_id,
                created_at=at,
                updated_at=at,
                pinned=False,
            )
        )

    # --- messages -----------------------------------------------------------------------------------

    def add_user_message(
        self,
        conversation_id: int,
        content: str,
        *,
        parent_id: int | None = None,
        attachments: Sequence[str] = (),
    ) -> StoredMessage:
        """Store what the user wrote and clear the draft in the same transaction.

        It comes after `parent_id`; None: after the branch that is shown; 0: at the beginning of a branch of its own.
        `attachments` are names of what goes with it, each on one line.
        """
        with immediate(self._connection) as db:
            message_id = self._insert_message(
                conversation_id, "user", content, "complete", parent_id=parent_id, attachments=attachments
            )
            db.execute("DELETE FROM drafts WHERE conversation_id = ?", (conversation_id,))
        return self.message(message_id)

    def begin_answer(self, conversation_id: int, *, parent_id: int | None = None) -> StoredMessage:
        """An empty answer that this process streams into, after `parent_id` (None: after the branch that is shown)."""
        with immediate(self._connection):
            message_id = self._insert_message(
                conversation_id, "assistant", "", "streaming", writer=_writer(), parent_id=parent_id
            )
        return self.message(message_id)

    def resume_answer(self, message_id: int) -> StoredMessage:
        """A stored answer that this process continues with; the branch through it is shown.

        What its documents say stays; what was checked was the text so far, so that goes.
        """
        with immediate(self._connection) as db:
            db.execute(
                "UPDATE messages SET state = 'streaming', writer = ?, error = NULL, finished_at = NULL, checked = ''"
                " WHERE id = ?",
                (_writer(), message_id),
            )
        return self.message(message_id)

    def update_answer(self, message_id: int, content: str, reasoning: str = "") -> None:
        """What has been streamed so far."""
        with immediate(self._connection) as db:
            db.execute(
                "UPDATE messages SET content = ?, reasoning = ? WHERE id = ?",
                (content, reasoning, message_id),
            )

    def set_notice(self, message_id: int, notice: str) -> None:
        """What ragchat says above an answer."""
        self._update_message(message_id, "notice", notice)

    def save_quotes(self, message_id: int, quotes: Sequence[Quote]) -> None:
        """What the documents say, in place of what was stored; it is safe before a model writes a word of the answer."""
        with immediate(self._connection) as db:
            db.execute("DELETE FROM quotes WHERE message_id = ?", (message_id,))
            chat_transfer.insert_quotes(db, message_id, quotes)
            db.execute("UPDATE messages SET quoted = ? WHERE id = ?", (quoted_text(quotes), message_id))

    def finish_answer(  # noqa: PLR0913
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
        reasoning: str = "",
        reasoning_s: float = 0.0,
        reasoning_tokens: int = 0,
        check: AnswerCheck = UNCHECKED,
    ) -> None:
        """The end of an answer: its text, why it ended, which citations it used, how long it took, what was thought before.

        `quotes` are those of its citations, by their number. `check` is that of exactly this `content`.
        """
        with immediate(self._connection) as db:
            db.execute(
                "UPDATE messages SET content = ?, state = ?, finish_reason = ?, error = ?, writer = NULL, finished_at = ?,"
                " reasoning = ?, reasoning_s = ?, reasoning_tokens = ?, checked = ? WHERE id = ?",
                (
                    *(content, state, finish_reason, error, now()),
                    *(reasoning, reasoning_s, reasoning_tokens, check_json(check), message_id),
                ),
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
                    " ttft_s = ?, prefill_tok_s = ?, decode_tok_s = ?, ahead = ? WHERE message_id = ?",
                    (
                        seed,
                        timings.prompt_tokens,
                        timings.cached_tokens,
                        timings.completion_tokens,
                        timings.ttft_s,
                        timings.prefill_tok_s,
                        timings.decode_tok_s,
                        ahead_json(timings),
                        message_id,
                    ),
                )

    def save_generation(self, message_id: int, generation: Generation, citations: Sequence[Citation]) -> None:
        """What the answer is about to be made from: the exact prompt, the model, the sampling, the hits."""
        with immediate(self._connection) as db:
            self._insert_generation(message_id, generation)
            db.execute("DELETE FROM citations WHERE message_id = ?", (message_id,))
            self._insert_citations(message_id, citations)

    def _insert_generation(self, message_id: int, generation: Generation) -> None:
        row = generation_row(message_id, generation)
        self._connection.execute(
            f"INSERT OR REPLACE INTO generations ({GENERATION_COLUMNS}) VALUES ({', '.join('?' * len(row))})",
            row,
        )

    def _insert_citations(self, message_id: int, citations: Sequence[Citation]) -> None:
        self._connection.executemany(
            f"INSERT INTO citations VALUES ({', '.join('?' * 27)})",
            [citation_row(message_id, citation) for citation in citations],
        )

    def rate(self, message_id: int, rating: int) -> None:
        """1 good, -1 bad, 0 neither."""
        self._update_message(message_id, "rating", rating)

    def correct(self, message_id: int, text: str) -> None:
        """What the answer should have been; empty takes it back. The answer itself stays."""
        self._update_message(message_id, "correction", text)

    def _update_message(self, message_id: int, column: str, value: object) -> None:
        with immediate(self._connection) as db:
            db.execute(f"UPDATE messages SET {column} = ? WHERE id = ?", (value, message_id))

    def message(self, message_id: int) -> StoredMessage:
        """Raises NotFoundError."""
        found = self._messages([message_id])
        if not found:
            raise NotFoundError(f"There is no message {message_id}.")
        return found[0]

    def messages(self, conversation_id: int) -> list[StoredMessage]:
        """The messages of the branch that is shown, oldest first."""
        return self._messages(self.branch_ids(conversation_id))

    def branch_to(self, message_id: int) -> list[StoredMessage]:
        """The messages of the branch that ends with this one, oldest first; 0: none."""
        return self._messages(chat_tree.branch_ids(self._connection, message_id)) if message_id else []

    def _messages(self, message_ids: Sequence[int]) -> list[StoredMessage]:
        """These messages, in this order."""
        listed = json.dumps(list(message_ids))
        rows = self._fetch(f"{_MESSAGES} WHERE m.id IN (SELECT value FROM json_each(?))", (listed,))
        beside = chat_tree.siblings(self._connection, message_ids)
        quotes = quotes_of(self._fetch(_QUOTES, (listed,)))
        by_id = {row["id"]: message_of(row, beside[row["id"]], quotes.get(row["id"], ())) for row in rows}
        return [by_id[n] for n in message_ids if n in by_id]

    def citations(self, message_id: int) -> list[Citation]:
        """The passages that stood in the prompt of an answer, by their number."""
        rows = self._fetch("SELECT * FROM citations WHERE message_id = ? ORDER BY n", (message_id,))
        return [citation_of(row) for row in rows]

    def cited(self, conversation_id: int) -> list[str]:
        """The knowledge bases whose passages were in prompts of this chat."""
        rows = self._fetch(
            "SELECT DISTINCT c.knowledge_base FROM messages m JOIN citations c ON c.message_id = m.id"
            " WHERE m.conversation_id = ?",
            (conversation_id,),
        )
        return [row["knowledge_base"] for row in rows]

    def generation(self, message_id: int) -> Generation | None:
        """What an answer was made from, or None for a message that no model wrote."""
        rows = self._fetch("SELECT * FROM generations WHERE message_id = ?", (message_id,))
        return generation_of(rows[0]) if rows else None

    def prompt_history(self, limit: int = 200) -> list[str]:
        """What the user asked in chats that are not deleted, newest first, each once."""
        rows = self._fetch(
            "SELECT m.content FROM messages m JOIN conversations c ON c.id = m.conversation_id"
            " WHERE m.role = 'user' AND c.deleted_at IS NULL AND m.deleted_at IS NULL"
            " GROUP BY m.content ORDER BY max(m.id) DESC LIMIT ?",
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

    def newest_draft(self, *, since: str) -> int:
        """The chat in which was typed last and not sent, at `since` (ISO 8601, UTC) or later; 0: none, or the new one."""
        rows = self._fetch(
            "SELECT conversation_id FROM drafts WHERE updated_at >= ? ORDER BY updated_at DESC LIMIT 1",
            (since,),
        )
        return rows[0]["conversation_id"] if rows else 0

    def save_draft(self, conversation_id: int, content: str) -> None:
        """Keep unsent text; empty text deletes the draft."""
        with immediate(self._connection) as db:
            if content:
                db.execute(
                    "INSERT OR REPLACE INTO drafts VALUES (?, ?, ?)", (conversation_id, content, now())
                )
            else:
                db.execute("DELETE FROM drafts WHERE conversation_id = ?", (conversation_id,))

    # --- search, export, import ---------------------------------------------------------------------

    def search(self, query: str, limit: int = 100, *, conversation_id: int = 0) -> list[MessageHit]:
        """Messages that hold all words of `query`, newest first; in one chat, or (0) in all that are not deleted."""
        return chat_search.search(self._connection, query, limit, conversation_id)

    def portable(self, conversation_id: int) -> PortableChat:
        """The whole chat with all its branches, without what is deleted in it. Raises NotFoundError."""
        return chat_transfer.portable(self._connection, self.conversation(conversation_id))

    def add_portable(self, chat: PortableChat) -> Conversation:
        """Store a chat from elsewhere as a new one."""
        return self.conversation(chat_transfer.add(self._connection, chat))

    # --- presets, compactions, questions, notes -----------------------------------------------------

    def presets(self) -> list[tuple[str, ChatOptions]]:
        """Named choices of settings, by name."""
        return chat_extras.presets(self._connection)

    def save_preset(self, name: str, options: ChatOptions) -> None:
        """Store options under a name, in place of what had it."""
        chat_extras.save_preset(self._connection, name, replace(options, preset=name))

    def delete_preset(self, name: str) -> bool:
        """Whether there was one."""
        return chat_extras.delete_preset(self._connection, name)

    def compaction(self, conversation_id: int) -> Compaction | None:
        """The newest one that represents messages of the branch that is shown."""
        return self.compaction_in(conversation_id, self.branch_ids(conversation_id))

    def compaction_in(self, conversation_id: int, message_ids: Sequence[int]) -> Compaction | None:
        """The newest one that represents some of these messages, which are a branch."""
        inside = set(message_ids)
        of_chat = chat_extras.compactions(self._connection, conversation_id)
        return next((one for one in of_chat if one.message_id in inside), None)

    def add_compaction(self, conversation_id: int, message_id: int, summary: str, *, model: str) -> int:
        """Let `summary` stand for the branch up to and with a message; its number, for `remove_compaction`."""
        return chat_extras.add_compaction(self._connection, conversation_id, message_id, summary, model)

    def remove_compaction(self, compaction_id: int) -> None:
        """The messages speak for themselves again."""
        chat_extras.remove_compaction(self._connection, compaction_id)

    def evaluation_questions(self) -> list[EvaluationQuestion]:
        """All evaluation questions, oldest first."""
        return chat_extras.questions(self._connection)

    def add_evaluation_question(
        self,
        question: str,
        answers: Sequence[str],
        *,
        source: str = "",
        quote: str = "",
        tags: Sequence[str] = (),
        answerable: bool = True,
        message_id: int = 0,
    ) -> int:
        """Keep a question to measure with; its number."""
        return chat_extras.add_question(
            self._connection,
            question,
            answers,
            source=source,
            quote=quote,
            tags=tags,
            answerable=answerable,
            message_id=message_id,
        )

    def delete_evaluation_question(self, question_id: int) -> None:
        """Delete an evaluation question."""
        chat_extras.delete_question(self._connection, question_id)

    def note(self, key: str) -> str:
        """Small state of the screen, such as the open tabs; empty when nothing was kept."""
        return chat_extras.note(self._connection, key)

    def set_note(self, key: str, text: str) -> None:
        """Keep small state of the screen under `key`."""
        chat_extras.set_note(self._connection, key, text)

    def _insert_message(
        self,
        conversation_id: int,
        role: str,
        content: str,
        state: MessageState,
        *,
        parent_id: int | None,
        writer: str | None = None,
        attachments: Sequence[str] = (),
    ) -> int:
        at, db = now(), self._connection
        if parent_id is None:
            leaf = db.execute("SELECT leaf_id FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
            parent_id = leaf["leaf_id"] if leaf else None
        cursor = db.execute(
            "INSERT INTO messages (conversation_id, parent_id, role, content, state, writer, created_at, attachments)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(conversation_id, parent_id or None, role, content, state, writer, at),
                attachments_text(attachments),
            ),
        )
        message_id = int(cursor.lastrowid or 0)
        db.execute(
            "UPDATE conversations SET updated_at = ?, leaf_id = ? WHERE id = ?",
            (at, message_id, conversation_id),
        )
        return message_id


_QUOTES = "SELECT * FROM quotes WHERE message_id IN (SELECT value FROM json_each(?)) ORDER BY message_id, n"
_MESSAGES = (
    "SELECT m.*, g.prompt_tokens, g.cached_tokens, g.completion_tokens, g.retrieval_s, g.ttft_s, g.prefill_tok_s,"
    " g.decode_tok_s, g.ahead, (SELECT count(*) FROM citations c WHERE c.message_id = m.id) AS citation_count"
    " FROM messages m LEFT JOIN generations g ON g.message_id = m.id"
)


def _writer() -> str:
    import psutil

    return f"{os.getpid()}:{psutil.Process().create_time():.0f}"
