"""Branches of a chat: in the database and in the session that answers along them; nothing that was written is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragchat.errors import NotFoundError, UsageError
from ragchat.llm.fake import FakeModel
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.events import AnswerFinished, PromptReady, SessionEvent
from ragchat.session.prompt import SUMMARY_OPENING
from ragchat.store.chat_schema import migrations
from ragchat.store.chats import ChatStore
from ragchat.store.database import connect
from ragchat.types import CancelToken, ChatOptions, Message, PortableChat, PortableMessage, Sampling


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[ChatStore]:
    with closing(ChatStore(tmp_path / "ragchat.db")) as store:
        yield store


def say(
    chats: ChatStore, chat: int, question: str, answer: str, *, parent_id: int | None = None
) -> tuple[int, int]:
    asked = chats.add_user_message(chat, question, parent_id=parent_id)
    answered = chats.begin_answer(chat)
    chats.finish_answer(answered.id, answer, state="complete", finish_reason="stop")
    return asked.id, answered.id


def shown(chats: ChatStore, chat: int) -> list[str]:
    return [message.content for message in chats.messages(chat)]


@pytest.fixture
def chat(chats: ChatStore) -> int:
    number = chats.create_conversation("Pumps").id
    say(chats, number, "q1", "a1")
    say(chats, number, "q2", "a2")
    say(chats, number, "q3", "a3")
    return number


# --- the database ---------------------------------------------------------------------------------------


def test_an_edited_question_begins_a_branch_beside_the_old_one(chats: ChatStore, chat: int) -> None:
    _, first_answer, second, *_ = chats.branch_ids(chat)
    edited, _ = say(chats, chat, "q2 edited", "other", parent_id=first_answer)
    assert shown(chats, chat) == ["q1", "a1", "q2 edited", "other"]
    assert chats.message(edited).siblings == (second, edited)
    chats.show_branch(second)
    assert shown(chats, chat) == ["q1", "a1", "q2", "a2", "q3", "a3"]


def test_the_first_question_can_be_edited_too(chats: ChatStore, chat: int) -> None:
    first, *_ = chats.branch_ids(chat)
    edited, _ = say(chats, chat, "q1 edited", "other", parent_id=0)
    assert shown(chats, chat) == ["q1 edited", "other"]
    assert chats.message(first).siblings == (first, edited)


def test_a_deleted_turn_is_hidden_what_follows_stays_and_it_comes_back(chats: ChatStore, chat: int) -> None:
    ids = chats.branch_ids(chat)
    question = chats.delete_turn(ids[3])
    assert question == ids[2]
    assert shown(chats, chat) == ["q1", "a1", "q3", "a3"]
    assert [m.content for m in chats.portable(chat).path] == ["q1", "a1", "q3", "a3"]
    assert chats.search("a2") == []
    chats.undelete_turn(question)
    assert chats.branch_ids(chat) == ids


def test_deleting_an_edited_question_shows_the_one_beside_it(chats: ChatStore, chat: int) -> None:
    edited, _ = say(chats, chat, "q2 edited", "other", parent_id=chats.branch_ids(chat)[1])
    chats.delete_turn(edited)
    assert shown(chats, chat) == ["q1", "a1", "q2", "a2", "q3", "a3"]
    chats.undelete_turn(edited)
    assert shown(chats, chat) == ["q1", "a1", "q2 edited", "other"]


def test_a_fork_is_a_chat_of_its_own(chats: ChatStore, chat: int) -> None:
    chats.set_options(chat, ChatOptions(strict=True, knowledge_bases=("zoo",)))
    fork = chats.fork(chat, chats.branch_ids(chat)[3])
    assert fork.title == "Pumps (fork)"
    assert (fork.options.strict, fork.knowledge_bases) == (True, ("zoo",))
    assert shown(chats, fork.id) == ["q1", "a1", "q2", "a2"]
    say(chats, fork.id, "q4", "a4")
    assert shown(chats, chat)[-1] == "a3"
    with pytest.raises(NotFoundError):
        chats.fork(chat, fork.leaf_id)


def test_pages_of_the_branch(chats: ChatStore, chat: int) -> None:
    ids = chats.branch_ids(chat)
    say(chats, chat, "elsewhere", "no", parent_id=ids[1])
    chats.show_branch(ids[5])

    def numbers(**where: int) -> tuple[list[int], int, int]:
        page = chats.page(chat, limit=2, **where)
        return [m.id for m in page.messages], page.earlier, page.later

    assert numbers() == (ids[4:], 4, 0)
    assert numbers(before=ids[4]) == (ids[2:4], 2, 2)
    assert numbers(before=ids[1]) == (ids[:1], 0, 5)
    assert numbers(after=ids[1]) == (ids[2:4], 2, 2)
    assert numbers(after=ids[5]) == ([], 6, 0)
    assert numbers(around=ids[2]) == (ids[1:3], 1, 3)
    assert numbers(around=999) == (ids[4:], 4, 0)


messages = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages, st.data())
def test_any_tree_goes_out_and_comes_in_unchanged(
    chats: ChatStore, drawn: list[tuple[int, bool]], data: st.DataObject
) -> None:
    tree = tuple(
        PortableMessage(
            n,
            parent % n,
            "user" if asked else "assistant",
            f"text {n}",
            created_at="2026-01-01T00:00:00Z",
            rating=n % 3 - 1,
        )
        for n, (parent, asked) in enumerate(drawn, 1)
    )
    leaf = data.draw(st.sampled_from([m.id for m in tree]))
    chat = PortableChat("Tree", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", tree, leaf, tags=("a",))
    stored = chats.add_portable(chat)
    again = chats.portable(stored.id)
    first = again.messages[0].id - 1
    moved = tuple(replace(m, id=m.id - first, parent_id=max(0, m.parent_id - first)) for m in again.messages)
    assert replace(again, messages=moved, leaf_id=again.leaf_id - first) == chat
    assert [m.id - first for m in chats.messages(stored.id)] == [m.id for m in chat.path]


def test_a_database_of_before_branches_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "ragchat.db"
    with closing(connect(path, synchronous="FULL")) as old:
        import sqlite_utils

        known = migrations()
        known._migrations = known._migrations[:1]
        known.apply(sqlite_utils.Database(old))
        old.execute("PRAGMA user_version = 1")
        old.execute("INSERT INTO conversations VALUES (1, 'Old', 'm', null, 't', 't', null)")
        for n in range(1, 5):
            old.execute(
                "INSERT INTO messages (id, conversation_id, parent_id, role, content, state, created_at)"
                " VALUES (?, 1, ?, ?, ?, 'complete', 't')",
                (n, n - 1 or None, ("assistant", "user")[n % 2], f"valve {n}"),
            )
        old.commit()
    with closing(ChatStore(path)) as store:
        assert [m.content for m in store.messages(1)] == [f"valve {n}" for n in range(1, 5)]
        assert [hit.message_id for hit in store.search("VALVE")] == [4, 3, 2, 1]
        assert store.conversation(1).options == ChatOptions()
    assert (tmp_path / "ragchat.db.schema-1.bak").is_file()


# --- search ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("größe", ["Die GRÖSSE und die Größe der Pumpe"]),
        ("pumpe größe", ["Die GRÖSSE und die Größe der Pumpe"]),
        ("ump", ["A pump", "Die GRÖSSE und die Größe der Pumpe"]),
        ("水泵", ["水泵的压力"]),
        ("压", ["水泵的压力"]),
        ("pump nothing", []),
        ('50 % "off"', ['50 % "off"']),
        ("x_y", ["x_y"]),
        ("", []),
        ("AND", []),
    ],
)
def test_every_word_must_occur(chats: ChatStore, query: str, found: list[str]) -> None:
    chat = chats.create_conversation("All").id
    for text in ("Die GRÖSSE und die Größe der Pumpe", "水泵的压力", '50 % "off"', "x_y", "xzy", "A pump"):
        chats.add_user_message(chat, text)
    hits = chats.search(query)
    assert [hit.snippet for hit in hits] == found
    for hit in hits:
        assert hit.marks
        for first, last in hit.marks:
            assert hit.snippet[first:last].casefold() in query.casefold().split()


def test_search_follows_what_is_written_hidden_and_erased(chats: ChatStore, chat: int) -> None:
    answer = chats.begin_answer(chat)
    chats.update_answer(answer.id, "flamingo")
    assert chats.search("flamingo") == [], "not before it is finished"
    chats.finish_answer(answer.id, "flamingo", state="complete")
    assert [hit.message_id for hit in chats.search("flamingo")] == [answer.id]
    other = chats.fork(chat, answer.id)
    assert len(chats.search("flamingo")) == 2
    assert len(chats.search("flamingo", conversation_id=chat)) == 1
    chats.delete(chat)
    assert [hit.conversation_id for hit in chats.search("flamingo")] == [other.id]
    chats.erase(chat)
    chats.erase(other.id)
    assert chats.conversations() == []
    with closing(sqlite3.connect(chats.path)) as db:
        db.execute("INSERT INTO messages_found (messages_found, rank) VALUES ('integrity-check', 1)")
    chats.close()
    assert not any(b"flamingo" in file.read_bytes() for file in chats.path.parent.iterdir())


def test_a_snippet_begins_near_what_was_found(chats: ChatStore) -> None:
    chat = chats.create_conversation("Long").id
    chats.add_user_message(chat, f"{'word ' * 100}the flamingo{' word' * 100}")
    (hit,) = chats.search("flamingo")
    assert hit.snippet.startswith("… word")
    assert hit.snippet.endswith(" …")
    assert [hit.snippet[first:last] for first, last in hit.marks] == ["flamingo"]


# --- presets, tags, pins --------------------------------------------------------------------------------


def test_options_presets_tags_and_pins_are_kept(chats: ChatStore, chat: int) -> None:
    options = ChatOptions(model="m", knowledge_bases=(), system_prompt="Be brief.", temperature=0.0, seed=7)
    chats.set_options(chat, options)
    assert chats.conversation(chat).options == options
    chats.save_preset("terse", options)
    assert chats.presets() == [("terse", replace(options, preset="terse"))]
    assert chats.delete_preset("terse")
    assert not chats.delete_preset("terse")
    chats.set_tags(chat, ["work", " work ", "", "big  zoo"])
    assert chats.conversation(chat).tags == ("work", "big zoo")
    newer = chats.create_conversation("Newer", tags=["work"]).id
    assert [c.id for c in chats.conversations()] == [newer, chat]
    chats.set_pinned(chat, True)
    assert [c.id for c in chats.conversations()] == [chat, newer]
    assert [c.id for c in chats.conversations(tag="big zoo")] == [chat]
    assert chats.tags() == [("big zoo", 1), ("work", 2)]


def test_sampling_of_a_chat() -> None:
    base = Sampling(temperature=0.4, seed=3)
    assert ChatOptions().sampling(base) == base
    assert ChatOptions(temperature=0.0, seed=-1).sampling(base) == replace(base, temperature=0.0, seed=None)


# --- the session ----------------------------------------------------------------------------------------


def spoken(events: Iterator[SessionEvent]) -> tuple[list[SessionEvent], AnswerFinished]:
    said = list(events)
    assert isinstance(said[-1], AnswerFinished)
    return said, said[-1]


def echo(messages: Sequence[Message]) -> str:
    return f"answer to {messages[-1].content}"


def test_an_edited_question_sees_only_its_own_branch(chats: ChatStore, chat: int) -> None:
    model = FakeModel(echo)
    session = ChatSession(chats, model, [], AskOptions())
    first_answer = chats.branch_ids(chat)[1]
    spoken(session.ask(chat, "q2 edited", parent_id=first_answer, cancel=CancelToken()))
    assert [m.content for m in model.asked[-1][1:]] == ["q1", "a1", "q2 edited"]
    assert shown(chats, chat) == ["q1", "a1", "q2 edited", "answer to q2 edited "]


def test_a_regenerated_answer_stands_beside_the_old_one(chats: ChatStore, chat: int) -> None:
    model = FakeModel(echo)
    session = ChatSession(chats, model, [], AskOptions())
    ids = chats.branch_ids(chat)
    _, finished = spoken(session.regenerate(ids[3], cancel=CancelToken()))
    assert [m.content for m in model.asked[-1][1:]] == ["q1", "a1", "q2"]
    assert chats.message(finished.answer_id).siblings == (ids[3], finished.answer_id)
    assert shown(chats, chat) == ["q1", "a1", "q2", "answer to q2 "]
    chats.show_branch(ids[3])
    assert chats.branch_ids(chat) == ids


def test_a_question_with_an_attachment_is_answered_again_from_its_prompt(chats: ChatStore) -> None:
    model = FakeModel(echo)
    session = ChatSession(chats, model, [], AskOptions())
    chat = session.start("What is this?")
    _, finished = spoken(
        session.ask(chat, "What is this?", attachment="The valve is blue.", cancel=CancelToken())
    )
    spoken(session.regenerate(finished.answer_id, cancel=CancelToken()))
    assert model.asked[0] == model.asked[1]
    assert "The valve is blue." in model.asked[1][-1].content


WORDS = ["one", "two", "three", "four", "five", "six"]


class Cut(FakeModel):
    """Goes on from what it is given, as the contract says."""

    def generate(self, messages, sampling, *, cancel, owners=()):  # type: ignore[no-untyped-def]
        if messages[-1].role != "assistant":
            yield from super().generate(messages, replace(sampling, max_tokens=3), cancel=cancel)
            return
        rest = FakeModel("four five six")
        self.asked.append(tuple(messages))
        yield from rest.generate(messages[:-1], sampling, cancel=cancel)


def test_a_cut_answer_goes_on_where_it_ended(chats: ChatStore) -> None:
    model = Cut("one two three")
    session = ChatSession(chats, model, [], AskOptions(sampling=Sampling(seed=9)))
    chat = session.start("Count")
    _, cut = spoken(session.ask(chat, "Count", cancel=CancelToken()))
    assert cut.finish_reason == "length"
    _, whole = spoken(session.continue_answer(cut.answer_id, cancel=CancelToken()))
    assert (whole.answer_id, whole.text.split()) == (cut.answer_id, WORDS)
    assert model.asked[-1][-1] == Message("assistant", cut.text)
    stored = chats.message(cut.answer_id)
    assert (stored.state, stored.content.split()) == ("complete", whole.text.split())


def test_there_is_nothing_to_go_on_from_in_an_imported_answer(chats: ChatStore, chat: int) -> None:
    session = ChatSession(chats, FakeModel("x"), [], AskOptions())
    with pytest.raises(UsageError):
        list(session.continue_answer(chats.branch_ids(chat)[1], cancel=CancelToken()))


def test_a_compaction_stands_for_earlier_turns_of_its_branch(chats: ChatStore, chat: int) -> None:
    model = FakeModel(echo)
    session = ChatSession(chats, model, [], AskOptions())
    ids = chats.branch_ids(chat)
    number = chats.add_compaction(chat, ids[3], "They spoke of q1 and q2.", model="fake")
    said, _ = spoken(session.ask(chat, "q4", cancel=CancelToken()))
    system, *turns = model.asked[-1]
    assert system.content.endswith(f"{SUMMARY_OPENING}\nThey spoke of q1 and q2.")
    assert [m.content for m in turns] == ["q3", "a3", "q4"]
    ready = next(event for event in said if isinstance(event, PromptReady))
    assert "summary of earlier turns" in [part.name for part in ready.parts]
    assert sum(part.tokens for part in ready.parts) == ready.prompt_tokens
    spoken(session.ask(chat, "elsewhere", parent_id=ids[1], cancel=CancelToken()))
    assert "They spoke" not in model.asked[-1][0].content, "that branch never got so far"
    chats.show_branch(ids[5])
    chats.remove_compaction(number)
    spoken(session.ask(chat, "q5", cancel=CancelToken()))
    assert [m.content for m in model.asked[-1][1:3]] == ["q1", "a1"]


def test_the_record_of_an_answer_holds_its_prompt_by_part(chats: ChatStore, chat: int) -> None:
    session = ChatSession(chats, FakeModel(echo), [], AskOptions())
    said, finished = spoken(session.ask(chat, "q4", cancel=CancelToken()))
    ready = next(event for event in said if isinstance(event, PromptReady))
    kept = chats.generation(finished.answer_id)
    assert kept is not None
    assert (kept.parts, kept.n_ctx) == (ready.parts, ready.n_ctx)
    preview = session.preview("q5", conversation_id=chat, cancel=CancelToken())
    assert [m.content for m in preview.prompt.messages[-3:]] == ["q4", finished.text, "q5"]
