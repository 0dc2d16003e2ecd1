"""What happens between Enter and the first word: nothing is looked up twice, and what can wait does; whose text a prompt has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ragchat.llm.fake import FakeModel
from ragchat.paths import Paths
from ragchat.retrieval import index
from ragchat.retrieval.search import Searcher, SearchResult
from ragchat.session import answerability, compact, replay
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.events import AnswerFinished
from ragchat.session.preparing import Estimated, Looked, Typed, owners_of, state_of
from ragchat.session.prompt import PackedPrompt
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import CancelToken, ChunkDraft, Message, Span, TextDelta

QUESTION = "How long is the warranty of the Zephyr pump?"


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was searched for, each time."""
    found: list[str] = []
    search = Searcher.search

    def counted(self: Searcher, query: str, *args: object, **how: object) -> SearchResult:
        found.append(query)
        return search(self, query, *args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Searcher, "search", counted)
    return found


def ask(session: ChatSession, number: int) -> AnswerFinished:
    *_, last = session.ask(number, QUESTION, cancel=CancelToken())
    assert isinstance(last, AnswerFinished)
    return last


# --- once -------------------------------------------------------------------------------------------------


def test_what_was_searched_while_it_was_typed_is_not_searched_at_enter(
    chats: ChatStore, store: KnowledgeStore, searched: list[str]
) -> None:
    looked = Looked()
    typing = ChatSession(chats, FakeModel("Seven years [1]."), [store], AskOptions(), looked=looked)
    foreseen = typing.foresee(Typed(0, QUESTION), None, cancel=CancelToken())
    asking = ChatSession(chats, FakeModel("Seven years [1]."), [store], AskOptions(), looked=looked)
    answer = ask(asking, asking.start(QUESTION))
    assert len(searched) == 1
    assert answer.citations[0].hit == foreseen.citations[0].hit


def test_it_is_searched_again_when_anything_changed(
    chats: ChatStore, store: KnowledgeStore, paths: Paths, searched: list[str]
) -> None:
    looked = Looked()
    session = ChatSession(chats, FakeModel("no"), [store], AskOptions(), looked=looked)
    session.foresee(Typed(0, QUESTION), None, cancel=CancelToken())
    session.foresee(Typed(0, "What about the Orion lamp?"), None, cancel=CancelToken())
    session.foresee(Typed(0, f"in:notes {QUESTION}"), None, cancel=CancelToken())
    other = ChatSession(chats, FakeModel("no"), [store], replace(AskOptions(), k=3), looked=looked)
    other.foresee(Typed(0, QUESTION), None, cancel=CancelToken())
    with KnowledgeStore.open(paths.kb_dir, "notes") as writer:
        text = "The Zephyr pump now has a warranty of nine years."
        chunk = ChunkDraft(text, "", Span(0, len(text), 1, 1))
        index.write_document(writer, FileRecord("/notes/new.md", 1, 1, content_hash="new"), [chunk])
    found = session.foresee(Typed(0, QUESTION), None, cancel=CancelToken())
    assert len(searched) == 5
    assert "/notes/new.md" in {citation.hit.path for citation in found.citations}


def test_connections_that_only_read_change_nothing(paths: Paths, store: KnowledgeStore) -> None:
    before = state_of([store])
    with KnowledgeStore.open(paths.kb_dir, "notes") as reader:
        Searcher([reader]).search(QUESTION, 3)
    assert state_of([store]) == before
    assert before


def test_only_the_newest_are_remembered() -> None:
    looked, made = Looked(most=2), []

    def make(key: int) -> int:
        made.append(key)
        return key

    for key in (1, 2, 1, 3, 2, 1):
        assert looked.of(key, lambda key=key: make(key), keep=lambda _: True) == key  # type: ignore[misc]
    assert looked.of(9, lambda: make(9), keep=lambda _: False) == 9
    assert looked.of(9, lambda: make(9), keep=lambda _: False) == 9
    assert made == [1, 2, 3, 1, 9, 9]


# --- later ------------------------------------------------------------------------------------------------


def test_the_first_word_does_not_wait_for_the_verdict(
    chats: ChatStore, store: KnowledgeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    weighed: list[str] = []
    weigh = answerability.search_signals

    def recorded(question: str, *args: object) -> answerability.Signals:
        weighed.append(question)
        return weigh(question, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(answerability, "search_signals", recorded)
    session = ChatSession(chats, FakeModel("Seven years [1]."), [store], AskOptions())
    events = session.ask(session.start(QUESTION), QUESTION, cancel=CancelToken())
    next(event for event in events if isinstance(event, TextDelta))
    assert weighed == []
    *_, last = events
    assert isinstance(last, AnswerFinished)
    assert len(weighed) == 1
    assert last.check.answered


def test_an_answer_that_was_stopped_at_once_has_its_verdict(chats: ChatStore, store: KnowledgeStore) -> None:
    session, cancel = ChatSession(chats, FakeModel("Seven years [1]."), [store], AskOptions()), CancelToken()
    cancel.cancel()
    *_, last = session.ask(session.start(QUESTION), QUESTION, cancel=cancel)
    assert isinstance(last, AnswerFinished)
    assert last.check.answered


# --- how much fits ----------------------------------------------------------------------------------------


def test_a_prompt_tells_how_long_tokens_are(store: KnowledgeStore) -> None:
    model, looked = FakeModel("x"), Looked()
    info = list(model.load()) and model.info
    assert info
    text = "word " * 400
    packed = PackedPrompt((Message("user", text),), (), 1000, 2048, (), ())
    assert looked.bytes_per_token(info) == 4
    looked.learn(info, packed)
    assert Estimated(info, looked.bytes_per_token(info)).count_tokens([text]) == [1001]
    looked.learn(info, replace(packed, prompt_tokens=20))
    assert looked.bytes_per_token(info) == 2, "a short prompt is mostly the template"


# --- whose text -------------------------------------------------------------------------------------------


def test_owners_are_the_chat_and_the_documents() -> None:
    assert owners_of(3, (), ["notes", "notes", "", "other"]) == (
        "chat 3",
        "documents notes",
        "documents other",
    )
    assert owners_of(0, ()) == ()


def test_a_prompt_is_of_the_documents_of_earlier_answers_too(chats: ChatStore, store: KnowledgeStore) -> None:
    model = FakeModel("Seven years [1].")
    session = ChatSession(chats, model, [store], AskOptions())
    number = session.start(QUESTION)
    ask(session, number)
    ask(ChatSession(chats, model, [], AskOptions()), number)
    session.warm(number, cancel=CancelToken())
    answer = chats.messages(number)[1]
    list(replay.replay(model, replay.recorded(chats, answer.id), cancel=CancelToken()))
    assert [set(owners) for owners in model.owners] == [{f"chat {number}", "documents notes"}] * 4


def test_a_summary_of_a_chat_is_of_the_chat(chats: ChatStore, store: KnowledgeStore) -> None:
    model = FakeModel("Seven years [1].")
    session = ChatSession(chats, model, [store], AskOptions())
    number = session.start(QUESTION)
    for _ in range(4):
        ask(session, number)
    model.owners.clear()
    list(compact.compact(chats, model, number, keep_turns=1, cancel=CancelToken()))
    assert {frozenset(owners) for owners in model.owners} == {
        frozenset({f"chat {number}", "documents notes"})
    }
