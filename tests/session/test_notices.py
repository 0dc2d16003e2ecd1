"""What ragchat says above an answer, and names of what was attached: shown, remembered and never taken for the model's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragchat.llm.fake import FakeModel
from ragchat.retrieval.search import Searcher
from ragchat.session import compare
from ragchat.session.chat import NOT_FROM_DOCUMENTS, AskOptions, ChatSession
from ragchat.session.chat_html import as_html
from ragchat.session.events import AnswerFinished, AnswerKind, SessionEvent
from ragchat.session.exporting import as_markdown, as_openai_line
from ragchat.session.sources import Attachment, Sources
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, ChatOptions, ExtractedText
from tests.helpers.small_kb import put

UNKNOWN = "Who wrote Faust?"
BILL = Attachment("/papers/bill.txt", "hash", ExtractedText("The pump was bought in May.", "text/plain"))


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[ChatStore]:
    with contextlib.closing(ChatStore(tmp_path / "ragchat.db")) as store:
        yield store


@pytest.fixture
def zoo(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path / "kb", "zoo") as store:
        put(store, "otters.md", "Otters hold hands while they sleep. They live in rivers and eat fish.")
        yield store


def finish(events: Iterator[SessionEvent]) -> AnswerFinished:
    *_, last = events
    assert isinstance(last, AnswerFinished)
    return last


def test_the_next_prompt_and_the_exports_hold_the_whole_messages(
    chats: ChatStore, zoo: KnowledgeStore
) -> None:
    model = FakeModel("No idea.")
    session = ChatSession(chats, model, [zoo], AskOptions())
    chat = session.start("q")
    assert finish(session.ask(chat, UNKNOWN, cancel=CancelToken())).kind is AnswerKind.UNMATCHED
    finish(session.ask(chat, "When was it bought?", files=[BILL], cancel=CancelToken()))
    finish(session.ask(chat, "And then?", cancel=CancelToken()))
    history = [message.content for message in model.asked[-1][1:-1]]
    assert history[1].startswith(f"{NOT_FROM_DOCUMENTS}\n\nNo idea.")
    assert history[2] == "When was it bought?\n\n(attached: bill.txt)"
    portable = chats.portable(chat)
    for text in (as_markdown(portable), as_html([portable]), as_openai_line(portable)):
        assert NOT_FROM_DOCUMENTS in text
        assert "(attached: bill.txt)" in text


def test_an_answer_that_goes_on_keeps_its_notice(chats: ChatStore, zoo: KnowledgeStore) -> None:
    model = FakeModel("one two three four five six")
    session = ChatSession(chats, model, [zoo], AskOptions())
    chat = session.start("q")
    cancel = CancelToken()
    events = session.ask(chat, UNKNOWN, cancel=cancel)
    for event in events:
        if getattr(event, "text", "").startswith("two"):
            cancel.cancel()
    answer = chats.messages(chat)[-1]
    assert (answer.state, answer.notice) == ("cancelled", NOT_FROM_DOCUMENTS)
    done = finish(session.continue_answer(answer.id, cancel=CancelToken()))
    assert model.asked[-1][-1].content == answer.content, "the model goes on from its own words"
    assert done.text.split() == ["one", "two", "three", "four", "five", "six"]
    assert done.shown == chats.message(answer.id).text == f"{NOT_FROM_DOCUMENTS}\n\n{done.text}"


def test_a_question_with_something_attached_is_answered_again_from_its_prompt(
    chats: ChatStore, zoo: KnowledgeStore
) -> None:
    model = FakeModel("In May.")
    session = ChatSession(chats, model, [zoo], AskOptions())
    chat = session.start("q")
    done = finish(session.ask(chat, "When was the pump bought?", files=[BILL], cancel=CancelToken()))
    finish(session.regenerate(done.answer_id, cancel=CancelToken()))
    assert model.asked[-1] == model.asked[0]
    typed = "What is a pump?\n\n(attached: nothing at all)"  # words of a question are only words
    done = finish(session.ask(chat, typed, cancel=CancelToken()))
    before = len(chats.messages(chat))
    finish(session.regenerate(done.answer_id, cancel=CancelToken()))
    assert chats.messages(chat)[-2].content == typed
    assert len(chats.messages(chat)) == before


def test_what_was_tried_is_kept_with_its_notice(chats: ChatStore, zoo: KnowledgeStore) -> None:
    @contextlib.contextmanager
    def open_session(store: ChatStore) -> Iterator[ChatSession]:
        yield ChatSession(store, FakeModel("No idea."), [zoo], AskOptions())

    *_, trial = compare.try_out(chats, 0, UNKNOWN, open_session, cancel=CancelToken())
    assert isinstance(trial, compare.Trial)
    kept = compare.keep(chats, 0, trial, options=ChatOptions())
    answer = chats.message(kept.answer_id)
    assert (answer.notice, answer.content.strip()) == (NOT_FROM_DOCUMENTS, "No idea.")


def test_pinned_passages_take_the_place_of_hits(zoo: KnowledgeStore) -> None:

    hits = Searcher([zoo]).search("otters", 2).hits
    sources = Sources.attached("a\x1b[2Jb", [BILL], hits[:1])
    assert sources.found(hits).hits == ()
    assert sources.names == ("otters.md, line 1", "bill.txt")
    assert sources.text == "ab"
    assert Sources().found(hits).first_attached(1) == 2
    assert Sources().found(hits).first_attached(9) == len(hits) + 1
    assert not Sources().brings_text
