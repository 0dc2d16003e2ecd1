"""What the documents say stands on its own: before the model writes, without one, and when its words are not supported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ragchat.errors import NotFoundError
from ragchat.llm.fake import FakeModel
from ragchat.paths import Paths
from ragchat.retrieval import index
from ragchat.session import answerability, record
from ragchat.session.answerability import Own
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.events import AnswerFinished, AnswerKind, QuotesFound
from ragchat.session.without_model import DECLINED, NO_MODEL, NoModel
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import CancelToken, ChunkDraft, LoadProgress, ReasonKind, Span, Verdict

QUESTION = "How long is the warranty of the Zephyr pump?"
TEXTS = {
    "/notes/zephyr.md": "The Zephyr pump must be primed for forty seconds before use. The warranty of the Zephyr pump lasts"
    " seven years. Keep the receipt.",
    "/notes/orion.md": "The Orion lamp runs on two batteries. The warranty of the Orion lamp lasts eleven months.",
    "/notes/garden.md": "Tomatoes are planted in May. Beans follow in June. Water them each morning.",
}


@pytest.fixture
def store(paths: Paths) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(paths.kb_dir, "notes") as made:
        for path, text in TEXTS.items():
            chunk = ChunkDraft(text, Path(path).stem, Span(0, len(text), 1, 1))
            index.write_document(made, FileRecord(path, 1, 1, content_hash=path), [chunk])
        yield made


@pytest.fixture
def chats(paths: Paths) -> Iterator[ChatStore]:
    opened = ChatStore(paths.chat_database)
    yield opened
    opened.close()


def asked(session: ChatSession, question: str = QUESTION) -> tuple[list[object], AnswerFinished]:
    events = list(session.ask(session.start("q"), question, cancel=CancelToken()))
    assert isinstance(events[-1], AnswerFinished)
    return list(events), events[-1]


def kinds(events: list[object]) -> list[type]:
    return [type(event) for event in events]


def test_the_documents_speak_before_the_model_is_even_loaded(chats: ChatStore, store: KnowledgeStore) -> None:
    session = ChatSession(chats, FakeModel("It lasts seven years [1]."), [store], AskOptions())
    events, finished = asked(session)
    order = kinds(events)
    assert order.index(QuotesFound) < order.index(LoadProgress)
    (said,) = [event for event in events if isinstance(event, QuotesFound)]
    first = said.quotes[0]
    assert "lasts seven years" in first.text
    assert first.text in TEXTS[first.hit.path], "word for word"
    assert finished.quotes == said.quotes
    stored = chats.message(finished.answer_id)
    assert [quote.text for quote in stored.quotes] == [quote.text for quote in said.quotes]
    assert stored.check == finished.check


def test_a_model_that_fails_leaves_what_the_documents_say(chats: ChatStore, store: KnowledgeStore) -> None:
    session = ChatSession(chats, FakeModel("Never said."), [store], AskOptions())
    events = session.ask(session.start("q"), QUESTION, cancel=CancelToken())
    for event in events:
        if isinstance(event, QuotesFound):
            break
    events.close()  # type: ignore[attr-defined]
    (_, answer) = chats.messages(chats.conversations()[0].id)
    assert answer.state == "interrupted"
    assert "lasts seven years" in answer.quotes[0].text


def test_without_a_model_the_documents_answer(chats: ChatStore, store: KnowledgeStore) -> None:
    events, finished = asked(ChatSession(chats, NoModel(), [store], AskOptions()))
    assert finished.kind is AnswerKind.QUOTED
    assert finished.notice.startswith(NO_MODEL)
    assert (finished.text, finished.from_documents) == ("", True)
    assert "lasts seven years" in finished.quotes[0].text
    assert LoadProgress not in kinds(events)


def test_without_a_model_and_documents_the_error_stays(chats: ChatStore) -> None:
    session = ChatSession(chats, NoModel(), [], AskOptions())
    with pytest.raises(NotFoundError):
        asked(session)


def test_quotes_only_asks_no_model(chats: ChatStore, store: KnowledgeStore) -> None:
    model = FakeModel("Never said.")
    session = ChatSession(chats, model, [store], AskOptions(quote_only=True))
    _, finished = asked(session)
    assert (model.asked, model.info) == ([], None)
    assert (finished.kind, finished.notice) == (AnswerKind.QUOTED, "")
    _, finished = asked(session, "Which treaty ended the Franco-Prussian war?")
    assert (finished.kind, finished.text, finished.quotes) == (AnswerKind.DECLINED, DECLINED, ())


def test_a_marker_is_a_citation_only_where_the_passage_says_it(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    said = "The warranty of the Zephyr pump lasts seven years [1]. The Zephyr pump was built by Ada Pell in 1871 [1]."
    _, finished = asked(ChatSession(chats, FakeModel(said), [store], AskOptions()))
    true, invented = finished.check.statements
    assert (true.verdict, true.citation, true.cited_by) == (Verdict.SUPPORTED, 1, "model")
    assert invented.verdict is Verdict.NOT_FOUND
    assert finished.text.count("[1]") == 1
    assert finished.check.line == "2 statements: 1 supported, 1 not found in your documents"
    for statement in finished.check.statements:
        assert finished.text[statement.first : statement.last] == statement.text


def test_strict_keeps_what_is_struck_out_from_the_next_prompt(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    said = "The warranty of the Zephyr pump lasts seven years. The Zephyr pump was built by Ada Pell in 1871."
    model = FakeModel(said)
    session = ChatSession(chats, model, [store], AskOptions(strict=True))
    conversation = session.start("q")
    finished = [*session.ask(conversation, QUESTION, cancel=CancelToken())][-1]
    assert isinstance(finished, AnswerFinished)
    assert [one.text for one in finished.check.struck] == ["The Zephyr pump was built by Ada Pell in 1871."]
    assert "Ada Pell" in chats.message(finished.answer_id).content, "the record keeps it"
    list(session.ask(conversation, QUESTION, cancel=CancelToken()))
    history = "\n".join(message.content for message in model.asked[-1][:-1])
    assert "seven years" in history
    assert "Ada Pell" not in history


def test_an_answer_that_only_quotes_is_told_to_the_next_prompt(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    first = ChatSession(chats, NoModel(), [store], AskOptions())
    conversation = first.start("q")
    list(first.ask(conversation, QUESTION, cancel=CancelToken()))
    model = FakeModel("Seven years.")
    session = ChatSession(chats, model, [store], AskOptions())
    list(session.ask(conversation, "And what must be kept for it?", cancel=CancelToken()))
    assert any(m.role == "assistant" and "seven years" in m.content for m in model.asked[0])


def test_a_strict_chat_declines_where_the_search_gives_little_hope(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    model = FakeModel("Seven years.")
    certain = AskOptions(strict=True, own=Own(least=0.0))
    _, finished = asked(ChatSession(chats, model, [store], certain))
    assert finished.kind is AnswerKind.ANSWER
    _, finished = asked(ChatSession(chats, model, [store], AskOptions(strict=True, own=Own(least=1.1))))
    assert (finished.kind, finished.text) == (AnswerKind.DECLINED, DECLINED)
    assert len(model.asked) == 1


def test_the_answer_says_when_the_passages_do_not(chats: ChatStore, store: KnowledgeStore) -> None:
    model = FakeModel("The warranty of the Zephyr pump lasts seven years.", logprobs=(-0.1, -0.2))
    _, hopeful = asked(ChatSession(chats, model, [store], AskOptions(own=Own(least=0.0))))
    assert hopeful.check.answered is not None
    assert hopeful.check.says
    _, doubtful = asked(ChatSession(chats, model, [store], AskOptions(own=Own(least=1.1))))
    assert not doubtful.check.says
    assert answerability.thresholds().after < 1


def test_a_stopped_answer_is_checked_as_far_as_it_goes(chats: ChatStore, store: KnowledgeStore) -> None:
    cancel = CancelToken()
    said = "The warranty of the Zephyr pump lasts seven years. " + "And so on. " * 50
    session = ChatSession(chats, FakeModel(said, pause_s=0.001), [store], AskOptions())
    finished = None
    for number, event in enumerate(session.ask(session.start("q"), QUESTION, cancel=cancel)):
        if number > 18:
            cancel.cancel()
        finished = event
    assert isinstance(finished, AnswerFinished)
    assert finished.finish_reason == "cancelled"
    assert finished.check.statements[0].verdict is Verdict.SUPPORTED
    assert finished.quotes


def test_a_copied_sentence_that_may_not_answer_is_no_citation(
    chats: ChatStore, store: KnowledgeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "The warranty of the Zephyr pump lasts seven years. [1]"
    small = FakeModel(said, n_params=10**8)
    _, finished = asked(ChatSession(chats, small, [store], AskOptions()))
    assert small.samplings[-1].grammar, "a small model may only copy"
    chance = finished.quotes[0].chance
    monkeypatch.setattr(record, "CERTAIN", 1.1)
    monkeypatch.setattr(record, "SURE", chance)
    _, sure = asked(ChatSession(chats, small, [store], AskOptions()))
    assert [one.verdict for one in sure.check.statements] == [Verdict.SUPPORTED]
    assert "[1]" in sure.text
    monkeypatch.setattr(record, "SURE", chance + 0.001)
    _, unsure = asked(ChatSession(chats, small, [store], AskOptions()))
    assert [one.reason.kind for one in unsure.check.statements] == [ReasonKind.BESIDE]
    assert "[1]" not in unsure.text
    assert unsure.check.line == "1 statement: 1 in your documents, but perhaps not the answer"
    monkeypatch.setattr(record, "CERTAIN", 0.0)
    _, certain = asked(ChatSession(chats, small, [store], AskOptions()))
    assert [one.verdict for one in certain.check.statements] == [Verdict.SUPPORTED]
