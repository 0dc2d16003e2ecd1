"""Trying a question out on a copy of the chat: everything counts there, nothing is stored here, and one can be kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ragchat.errors import InferenceDiedError, StorageError
from ragchat.llm.fake import FakeModel
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.compare import Trial, keep, try_out
from ragchat.session.events import AnswerFinished
from ragchat.session.prompt import SUMMARY_OPENING
from ragchat.session.replay import Replayed, recorded, replay
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, ChatOptions, Message, TextDelta
from tests.helpers.small_kb import put


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[ChatStore]:
    with contextlib.closing(ChatStore(tmp_path / "ragchat.db")) as store:
        yield store


@pytest.fixture
def zoo(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path / "kb", "zoo") as store:
        put(store, "otters.md", "Otters hold hands while they sleep. They live in rivers and eat fish.")
        yield store


class Stage:
    """Sessions over one fake model, in whatever store they are given."""

    def __init__(self, model: FakeModel, stores: Sequence[KnowledgeStore] = ()) -> None:
        self.model, self.stores = model, stores
        self.copies: list[Path] = []

    @contextlib.contextmanager
    def __call__(self, store: ChatStore) -> Iterator[ChatSession]:
        self.copies.append(store.path)
        yield ChatSession(store, self.model, self.stores, AskOptions())

    def ask(self, chats: ChatStore, chat: int, question: str) -> AnswerFinished:
        *_, last = ChatSession(chats, self.model, self.stores, AskOptions()).ask(
            chat, question, cancel=CancelToken()
        )
        assert isinstance(last, AnswerFinished)
        return last

    def attempt(self, chats: ChatStore, chat: int, question: str) -> Trial:
        *_, last = try_out(chats, chat, question, self, cancel=CancelToken())
        assert isinstance(last, Trial)
        return last


def test_the_earlier_turns_count_and_nothing_is_stored(chats: ChatStore) -> None:
    stage = Stage(FakeModel("Yes."))
    chat = chats.create_conversation("Chat").id
    stage.ask(chats, chat, "first?")
    before = (chats.conversations(), chats.messages(chat))
    trial = stage.attempt(chats, chat, "second?")
    assert [m.content for m in stage.model.asked[-1][1:]] == ["first?", "Yes. ", "second?"]
    assert (chats.conversations(), chats.messages(chat)) == before
    assert (trial.question, trial.answer.content) == ("second?", "Yes. ")
    assert not any(path.exists() for path in stage.copies)
    assert stage.copies[0] != chats.path


def test_the_copy_lies_where_it_is_told_and_is_gone_afterwards(chats: ChatStore, tmp_path: Path) -> None:
    stage, folder = Stage(FakeModel("Yes.")), tmp_path / "scratch"
    with pytest.raises(StorageError, match="cannot be copied"):
        list(try_out(chats, 0, "?", stage, folder=folder, cancel=CancelToken()))
    folder.mkdir()
    events = try_out(chats, 0, "?", stage, folder=folder, cancel=CancelToken())
    next(events)
    assert stage.copies[-1].is_relative_to(folder)
    assert stage.copies[-1].parent.stat().st_mode & 0o077 == 0
    events.close()  # type: ignore[attr-defined]
    assert list(folder.iterdir()) == []


def test_a_summary_stands_for_the_beginning_there_too(chats: ChatStore) -> None:
    stage = Stage(FakeModel("Yes."))
    chat = chats.create_conversation("Chat").id
    elsewhere = stage.ask(chats, chat, "elsewhere?")
    answers = [stage.ask(chats, chat, f"question {n}?") for n in (1, 2)]
    chats.add_user_message(chat, "another branch", parent_id=elsewhere.answer_id)
    chats.show_branch(answers[1].answer_id)
    chats.add_compaction(chat, answers[0].answer_id, "They said yes.", model="fake")
    stage.attempt(chats, chat, "third?")
    system, *rest = stage.model.asked[-1]
    assert system.content.endswith(f"{SUMMARY_OPENING}\nThey said yes.")
    assert [message.content for message in rest] == ["question 2?", "Yes. ", "third?"]


def test_what_is_kept_is_as_if_it_had_been_asked(chats: ChatStore, zoo: KnowledgeStore) -> None:
    stage = Stage(FakeModel("Otters hold hands while they sleep."), [zoo])
    chat = chats.create_conversation("Chat").id
    trial = stage.attempt(chats, chat, "How do otters sleep?")
    stored = keep(chats, chat, trial, options=ChatOptions())
    question, answer = chats.messages(chat)
    assert (stored.question_id, stored.answer_id) == (question.id, answer.id)
    asked = stage.ask(chats, chats.create_conversation("Other").id, "How do otters sleep?")
    same = chats.message(asked.answer_id)
    assert (answer.content, answer.state, answer.finish_reason) == (same.content, "complete", "stop")
    assert chats.citations(answer.id) == chats.citations(same.id)
    assert chats.citations(answer.id)[0].used
    kept, direct = chats.generation(answer.id), chats.generation(same.id)
    assert kept
    assert direct
    assert (kept.prompt, kept.parts, kept.knowledge_bases) == (direct.prompt, direct.parts, ("zoo",))
    assert answer.timings
    assert same.timings
    assert answer.timings.completion_tokens == same.timings.completion_tokens
    *_, again = replay(stage.model, recorded(chats, answer.id), cancel=CancelToken())
    assert isinstance(again, Replayed)
    assert again.identical


def test_what_is_kept_of_a_new_chat_begins_it(chats: ChatStore) -> None:
    stage = Stage(FakeModel("Yes."))
    trial = stage.attempt(chats, 0, "Is it raining?")
    stored = keep(chats, 0, trial, options=ChatOptions(strict=True, knowledge_bases=()))
    conversation = chats.conversation(stored.conversation_id)
    assert (conversation.title, conversation.options.strict) == ("Is it raining?", True)
    assert conversation.knowledge_bases == ()
    assert conversation.model == "fake"


def test_a_stopped_answer_can_be_kept_and_one_that_failed_leaves_nothing(chats: ChatStore) -> None:
    stage, cancel, trial = Stage(FakeModel("one two three four")), CancelToken(), None
    for event in try_out(chats, 0, "Count.", stage, cancel=cancel):
        if isinstance(event, TextDelta):
            cancel.cancel()
        if isinstance(event, Trial):
            trial = event
    assert trial
    answer = chats.message(keep(chats, 0, trial, options=ChatOptions()).answer_id)
    assert (answer.content, answer.state) == ("one ", "cancelled")

    def dies(messages: Sequence[Message]) -> str:
        raise InferenceDiedError("It was killed.")

    broken = Stage(FakeModel(dies))
    with pytest.raises(InferenceDiedError):
        broken.attempt(chats, 0, "?")
    assert not any(path.parent.exists() for path in broken.copies)
    assert len(chats.conversations()) == 1
