"""What the documents say above an answer, and what its check found, in `ragchat.db`: kept, carried along, found, deleted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlite_utils

from ragchat.store.chat_schema import migrations
from ragchat.store.chats import ChatStore
from ragchat.types import (
    UNCHECKED,
    AnswerCheck,
    Hit,
    Quote,
    Reason,
    ReasonKind,
    Span,
    Statement,
    Verdict,
)

AT = "2026-11-23T02:01:51.000Z"
PASSAGE = "The lamp is lit at dusk.\nIts keeper counts 215 steps.\nThe door stays shut."
HIT = Hit(
    rank=1,
    score=2.5,
    knowledge_base="docs",
    chunk_id=3,
    document_id=4,
    path="/home/anna/lamp.md",
    title="Lamp",
    heading="Lighting",
    span=Span(10, 10 + len(PASSAGE), 3, 5, file_line_first=3, file_line_last=5),
    text=PASSAGE,
    content_hash="a" * 64,
    evidence="The lamp is lit at dusk.",
)
PAGED = replace(
    HIT,
    rank=2,
    path="/home/anna/lamp.pdf",
    span=Span(0, len(PASSAGE), 1, 3, 7, 8, page_label="v", page_breaks=((25, "vi"),), confidence=0.5),
)
QUOTES = (Quote(HIT, 25, 54, 0.75), Quote(PAGED, 0, 24))
ANSWER = "The keeper counts 215 steps [1]. He has a dog."
CHECK = AnswerCheck(
    statements=(
        Statement(
            "The keeper counts 215 steps [1].",
            0,
            32,
            Verdict.SUPPORTED,
            Reason(ReasonKind.SAID),
            citation=1,
            compared="Its keeper counts 215 steps.",
            cited_by="model",
            second=0.5,
        ),
        Statement(
            "He has a dog.", 33, 46, Verdict.NOT_FOUND, Reason(ReasonKind.WORDS, ("dog",), ("door", "dusk"))
        ),
    ),
    answered=0.625,
    says=False,
    strict=True,
)


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[ChatStore]:
    with closing(ChatStore(tmp_path / "ragchat.db")) as store:
        yield store


def answered(chats: ChatStore) -> tuple[int, int]:
    """A chat, and its answer with quotes and a check."""
    chat = chats.create_conversation("Lamps")
    chats.add_user_message(chat.id, "How many steps?")
    answer = chats.begin_answer(chat.id)
    chats.save_quotes(answer.id, QUOTES)
    chats.finish_answer(answer.id, ANSWER, state="complete", check=CHECK)
    return chat.id, answer.id


def tamper(chats: ChatStore, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(chats.path, isolation_level=None)) as db:
        db.execute(statement, values)


def test_quotes_and_check_come_back_as_they_were(chats: ChatStore) -> None:
    chat, answer = answered(chats)
    for message in (chats.message(answer), chats.messages(chat)[-1], chats.branch_to(answer)[-1]):
        assert message.quotes == QUOTES
        assert message.check == CHECK
    asked = chats.messages(chat)[0]
    assert (asked.quotes, asked.check) == ((), UNCHECKED)
    assert [quote.text for quote in chats.message(answer).quotes] == [
        "Its keeper counts 215 steps.\n",
        "The lamp is lit at dusk.",
    ]
    assert chats.message(answer).quotes[0].place == "lines 4-5"


def test_quotes_are_safe_before_the_model_writes(chats: ChatStore) -> None:
    chat = chats.create_conversation("Lamps")
    chats.add_user_message(chat.id, "How many steps?")
    answer = chats.begin_answer(chat.id)
    chats.save_quotes(answer.id, QUOTES[:1])
    with closing(ChatStore(chats.path)) as other:
        assert other.message(answer.id).quotes == QUOTES[:1]
        assert other.message(answer.id).state == "streaming"
    chats.finish_answer(answer.id, "", state="error", error="The model is gone.")
    assert chats.message(answer.id).quotes == QUOTES[:1]
    assert chats.message(answer.id).check == UNCHECKED


def test_new_quotes_replace_the_old_ones(chats: ChatStore) -> None:
    chat, answer = answered(chats)
    chats.save_quotes(answer, QUOTES[1:])
    assert chats.message(answer).quotes == QUOTES[1:]
    chats.save_quotes(answer, ())
    assert chats.message(answer).quotes == ()
    assert chats.search("keeper counts", conversation_id=chat), "the answer says it as well"
    assert chats.search("dusk") == []


def test_an_answer_that_continues_loses_the_check_of_its_old_text(chats: ChatStore) -> None:
    _, answer = answered(chats)
    resumed = chats.resume_answer(answer)
    assert resumed.check == UNCHECKED
    assert resumed.quotes == QUOTES
    chats.finish_answer(answer, f"{ANSWER} And a cat.", state="complete")
    assert chats.message(answer).check == UNCHECKED


def test_a_check_of_another_text_is_no_check(chats: ChatStore) -> None:
    _, answer = answered(chats)
    chats.update_answer(answer, "Something else entirely, and longer than the answer was.")
    assert chats.message(answer).check == UNCHECKED


def test_forks_and_copies_keep_them(chats: ChatStore, tmp_path: Path) -> None:
    chat, answer = answered(chats)
    forked = chats.fork(chat, answer)
    copy = chats.messages(forked.id)[-1]
    assert (copy.quotes, copy.check) == (QUOTES, CHECK)
    with closing(ChatStore(tmp_path / "other.db")) as other:
        added = other.add_portable(chats.portable(chat))
        there = other.messages(added.id)[-1]
        assert (there.quotes, there.check) == (QUOTES, CHECK)
        assert other.portable(added.id).path == chats.portable(chat).path
        assert [hit.message_id for hit in other.search("dusk")] == [there.id]


def test_what_the_documents_say_is_found_and_leaves_with_its_chat(chats: ChatStore) -> None:
    chat, answer = answered(chats)
    for words in ("lamp lit dusk", "at dusk", "it", "215 dusk"):
        (hit,) = chats.search(words)
        assert hit.message_id == answer
        assert any(hit.snippet[first:last].casefold() in words for first, last in hit.marks)
    chats.erase(chat)
    assert chats.search("dusk") == []
    with closing(sqlite3.connect(chats.path)) as db:
        assert db.execute("SELECT count(*) FROM quotes").fetchone() == (0,)
        assert b"lit at dusk" not in chats.path.read_bytes()
    assert chats.check() == "ok"


@pytest.mark.parametrize(
    "stored",
    [
        "{",
        "[]",
        "null",
        "1",
        b"\xff\xfe",
        17,
        2.5,
        "[" * 100_000,
        '{"statements": {}}',
        '{"statements": [{"text": 1}]}',
        '{"statements": [{"text": "The", "first": 0, "last": 3, "verdict": "true", "reason": {"kind": "said"}}]}',
        '{"statements": [{"text": "The", "first": 0, "last": 3, "verdict": "partly", "reason": {"kind": "lies"}}]}',
        '{"statements": [{"text": "The", "first": -46, "last": 3, "verdict": "partly", "reason": {"kind": "said"}}]}',
        '{"statements": [{"text": "He", "first": 0, "last": 2, "verdict": "partly", "reason": {"kind": "said"}}]}',
        '{"statements": [{"text": "The", "first": 0, "last": 3, "verdict": "partly", "reason": {"kind": "said"},'
        f' "citation": {10**40}}}]}}',
        '{"answered": 1e999}',
        '{"answered": 2}',
        '{"answered": "very"}',
        '{"says": 3}',
    ],
)
def test_a_broken_check_is_no_check(chats: ChatStore, stored: object) -> None:
    chat, answer = answered(chats)
    tamper(chats, "UPDATE messages SET checked = ? WHERE id = ?", stored, answer)
    assert chats.message(answer).check == UNCHECKED
    assert chats.portable(chat).path[-1].check == UNCHECKED


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("quote_first", "a"),
        ("quote_first", -1),
        ("quote_last", None),
        ("quote_last", 10**9),
        ("quote_first", 60),
        ("text", None),
        ("text", b"\xff"),
        ("chance", "sure"),
        ("chance", 7),
        ("path", 3),
        ("char_first", "x"),
        ("page_breaks", "{"),
    ],
)
def test_a_broken_quote_ends_in_no_traceback(chats: ChatStore, column: str, value: object) -> None:
    _, answer = answered(chats)
    tamper(chats, f"UPDATE quotes SET {column} = ? WHERE message_id = ? AND n = 1", value, answer)
    for quote in chats.message(answer).quotes:
        assert isinstance(quote.text, str)
        assert isinstance(quote.place, str)
        assert 0 <= quote.chance <= 1


def test_a_long_chat_takes_no_query_for_each_message(chats: ChatStore) -> None:
    chat = chats.create_conversation("Long")
    for n in range(100):
        chats.add_user_message(chat.id, f"Question {n}")
        answer = chats.begin_answer(chat.id)
        chats.save_quotes(answer.id, QUOTES)
        chats.finish_answer(answer.id, ANSWER, state="complete", check=CHECK)
    statements: list[str] = []
    chats._connection.set_trace_callback(statements.append)
    messages = chats.messages(chat.id)
    assert sum(message.quotes == QUOTES and message.check == CHECK for message in messages) == 100
    assert len(statements) < 10


# --- of before ------------------------------------------------------------------------------------------


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A database of version 4, with rows as it wrote them."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrations().apply(sqlite_utils.Database(db), stop_before="0005_quotes_and_checks")
        db.execute("PRAGMA user_version = 4")
        db.execute(
            "INSERT INTO conversations (id, title, created_at, updated_at, leaf_id) VALUES (1, 'Lamps', ?, ?, 2)",
            (AT, AT),
        )
        db.executemany(
            "INSERT INTO messages (id, conversation_id, parent_id, role, content, state, created_at, notice, attachments)"
            " VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?)",
            [
                (1, None, "user", "How many steps?", "complete", AT, "", "roof.md"),
                (2, 1, "assistant", "Seven [1].", "complete", AT, "Mind the gap.", ""),
                (3, 1, "assistant", "Half a wor", "streaming", AT, "", ""),
            ],
        )
    return path


def test_a_database_of_before_opens_and_loses_nothing(before: Path) -> None:
    with closing(ChatStore(before)) as chats:
        asked, old = chats.messages(1)
        assert (asked.content, asked.attachments) == ("How many steps?", ("roof.md",))
        assert (old.content, old.notice, old.quotes, old.check) == (
            "Seven [1].",
            "Mind the gap.",
            (),
            UNCHECKED,
        )
        for words, found in (("seven", [2]), ("mind gap", [2]), ("roof.md", [1]), ("wor", [])):
            assert [hit.message_id for hit in chats.search(words)] == found
        chats.recover()
        assert [hit.message_id for hit in chats.search("half")] == [3]
        chats.save_quotes(2, QUOTES)
        assert [hit.message_id for hit in chats.search("dusk")] == [2]
        assert chats.check() == "ok"
    assert before.with_name("old.db.schema-4.bak").exists()


def test_the_json_of_a_check_is_what_scripts_read(chats: ChatStore) -> None:
    _, answer = answered(chats)
    with closing(sqlite3.connect(chats.path)) as db:
        (stored,) = db.execute("SELECT checked FROM messages WHERE id = ?", (answer,)).fetchone()
    assert json.loads(stored) == {
        "statements": [
            {
                "text": "The keeper counts 215 steps [1].",
                "verdict": "supported",
                "citation": 1,
                "reason": {
                    "kind": "said",
                    "words": [],
                    "found": [],
                    "sentence": "The passage says it in other words.",
                },
                "cited_by": "model",
                "compared": "Its keeper counts 215 steps.",
                "first": 0,
                "last": 32,
                "second": 0.5,
            },
            {
                "text": "He has a dog.",
                "verdict": "not found",
                "citation": 0,
                "reason": {
                    "kind": "words",
                    "words": ["dog"],
                    "found": ["door", "dusk"],
                    "sentence": "Not in the passage: “dog”.",
                },
                "cited_by": "",
                "compared": "",
                "first": 33,
                "last": 46,
                "second": None,
            },
        ],
        "answered": 0.625,
        "says": False,
        "strict": True,
    }
