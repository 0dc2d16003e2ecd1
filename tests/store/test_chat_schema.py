"""A `ragchat.db` from before notices, attachments and omissions had places of their own: it opens, and nothing is lost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlite_utils

from ragchat.store import chat_former
from ragchat.store.chat_schema import migrations
from ragchat.store.chats import ChatStore
from ragchat.types import AdapterScale, Omission, OmissionKind, PromptPart, PromptPartKind

AT = "2026-11-23T02:01:51.000Z"
UNMATCHED = "Nothing in your documents matches this question, so this answer is not from them."
NO_ROOM = (
    "What your documents say about this did not fit beside the question, so this answer is not from them."
)
LEFT_OUT = (
    "2 of 3 passages did not fit into the context of 2048 tokens.",
    "The 6 oldest messages of this chat did not fit into the context of 2048 tokens.",
    "1 of 4 pinned passages did not fit.",
    "Of lamp, 2 of 9.md, 3 of 9 passages went in: the rest did not fit, or says less about the question.",
    "Of the attached text, 2 of 9 passages went in: no word of the question stands in it, so those at its beginning.",
    "Only 2 of 5 parts were read.",
    "Ten pages were too dark.",
)
MESSAGES = (
    (1, None, "user", "How long?\n\nsome piped text\n\n(attached: lamp.md, line 1)\n\n(attached: a (b).pdf)"),
    (2, 1, "assistant", f"{UNMATCHED}\n\nSeven years, (attached: no)"),
    (3, 2, "user", "And (attached: x) then?"),
    (4, 3, "assistant", f"{NO_ROOM}\n\n"),
    (5, 4, "user", "Grüße 🔥"),
    (6, 5, "assistant", f"It says: {UNMATCHED}"),
)


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A database as the version before made it, with rows as it wrote them."""
    path = tmp_path / "ragchat.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrations().apply(sqlite_utils.Database(db), stop_before="0004_notices_attachments_and_omissions")
        db.execute("PRAGMA user_version = 3")
        db.execute(
            "INSERT INTO conversations (id, title, created_at, updated_at, leaf_id, options) VALUES (1, 'Lamps', ?, ?, 6, ?)",
            (AT, AT, json.dumps({"adapter": "facts+style:0.5", "strict": True})),
        )
        db.executemany(
            "INSERT INTO messages (id, conversation_id, parent_id, role, content, state, created_at)"
            " VALUES (?, 1, ?, ?, ?, 'complete', ?)",
            [(*message, AT) for message in MESSAGES],
        )
        db.execute(
            "INSERT INTO messages (id, conversation_id, parent_id, role, content, state, created_at, deleted_at)"
            " VALUES (7, 1, 5, 'assistant', ?, 'interrupted', ?, ?)",
            (f"{UNMATCHED}\n\nhidden", AT, AT),
        )
        db.execute(
            "INSERT INTO generations (message_id, model, model_path, adapter, knowledge_bases, query, prompt, left_out, sampling,"
            " seed, retrieval_s, parts, n_ctx) VALUES (2, 'm', '/m.gguf', 'facts:2', '[\"docs\"]', 'q', '[]', ?,"
            " '{\"stop\": []}', 1, 0.5, ?, 2048)",
            (json.dumps(LEFT_OUT), json.dumps([["attached text", 5], ["passage 12", 7], ["colour", 1]])),
        )
    return path


@pytest.fixture
def opened(before: Path) -> Iterator[ChatStore]:
    with closing(ChatStore(before)) as store:
        yield store


def test_every_message_reads_as_before(opened: ChatStore) -> None:
    texts = [message.text for message in opened.messages(1)]
    assert texts == [text.removesuffix("\n\n") for *_, text in MESSAGES]
    assert [m.text for m in opened.portable(1).path] == texts


def test_notices_and_names_have_places_of_their_own(opened: ChatStore) -> None:
    asked, unmatched, typed, no_room, _, quoting = opened.messages(1)
    assert asked.content == "How long?\n\nsome piped text"
    assert asked.attachments == ("lamp.md, line 1", "a (b).pdf")
    assert (unmatched.notice, unmatched.content) == (UNMATCHED, "Seven years, (attached: no)")
    assert (typed.content, typed.attachments) == ("And (attached: x) then?", ())
    assert (no_room.notice, no_room.content) == (NO_ROOM, "")
    assert (quoting.notice, quoting.content) == ("", f"It says: {UNMATCHED}")
    assert opened.message(7).content == "hidden", "what is deleted can come back"


def test_what_was_left_out_is_counted(opened: ChatStore) -> None:
    generation = opened.generation(2)
    assert generation
    assert generation.left_out == (
        Omission(OmissionKind.PASSAGES, 2, 3, 2048),
        Omission(OmissionKind.MESSAGES, 6, n_ctx=2048),
        Omission(OmissionKind.PINNED, 1, 4),
        Omission(OmissionKind.ATTACHED, 6, 9, name="lamp, 2 of 9.md"),
        Omission(OmissionKind.UNRELATED, 7, 9),
        Omission(OmissionKind.PARTS, 3, 5),
        Omission(OmissionKind.OTHER, name="Ten pages were too dark."),
    )
    assert generation.adapters == (AdapterScale("facts", 2.0),)
    assert generation.parts == (
        PromptPart(PromptPartKind.ATTACHED, 5),
        PromptPart(PromptPartKind.PASSAGE, 7, 12),
        PromptPart(PromptPartKind.OTHER, 1),
    )
    options = opened.conversation(1).options
    assert (options.adapters, options.strict) == ((AdapterScale("facts"), AdapterScale("style", 0.5)), True)


def test_the_file_of_before_is_kept_beside(before: Path, opened: ChatStore) -> None:
    with closing(sqlite3.connect(before.with_name("ragchat.db.schema-3.bak"))) as kept:
        rows = kept.execute("SELECT content FROM messages WHERE id <= 6 ORDER BY id").fetchall()
    assert [text for (text,) in rows] == [text for *_, text in MESSAGES]
    assert opened.check() == "ok"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Nothing in your documents matches", [6, 2]),
        ("did not fit beside", [4]),
        ("lamp.md", [1]),
        ("seven years", [2]),
        ("piped lamp.md", [1]),
        ("a (b", [1]),
        ("pdf", [1]),
        ("Grüße 🔥", [5]),
    ],
)
def test_everything_is_found_that_was_found_before(opened: ChatStore, query: str, found: list[int]) -> None:
    hits = opened.search(query)
    assert [hit.message_id for hit in hits] == found
    for hit in hits:
        assert any(word.casefold() in hit.snippet.casefold() for word in query.split())


def test_new_notices_and_names_are_found_and_leave_with_their_message(opened: ChatStore) -> None:
    asked = opened.add_user_message(1, "Why?", attachments=["vault.html", "roof.md, line 4"])
    answer = opened.begin_answer(1, parent_id=asked.id)
    opened.set_notice(answer.id, "Mind the gap.")
    assert opened.search("gap") == [], "an answer that is being written is not searched"
    opened.finish_answer(answer.id, "Because.", state="complete")
    assert [hit.message_id for hit in opened.search("mind because")] == [answer.id]
    assert [hit.message_id for hit in opened.search("roof.md")] == [asked.id]
    assert opened.message(asked.id).attachments == ("vault.html", "roof.md, line 4")
    assert opened.message(asked.id).text == "Why?\n\n(attached: vault.html)\n\n(attached: roof.md, line 4)"
    assert opened.message(answer.id).text == "Mind the gap.\n\nBecause."
    opened.erase(1)
    assert opened.search("roof.md") == opened.search("gap") == []
    assert opened.check() == "ok"


@pytest.mark.parametrize("sentence", LEFT_OUT)
def test_a_sentence_of_before_becomes_a_value_that_says_as_much(sentence: str) -> None:
    omission = chat_former.omission(sentence)
    numbers = [word.strip(".:,") for word in sentence.split() if word.strip(".:,").isdigit()]
    assert all(number in omission.sentence for number in numbers)
