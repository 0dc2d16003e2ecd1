"""Compaction: which turns a summary stands for, what the next prompt holds then, and that it can be taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from ragchat.errors import CancelledError, ModelError, UsageError
from ragchat.llm.client import InferenceClient
from ragchat.llm.fake import FakeModel
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.compact import WORDING, Compacted, Suggestion, compact, suggest
from ragchat.session.events import PromptReady, SummaryProgress
from ragchat.session.prompt import SUMMARY_OPENING
from ragchat.store.chats import ChatStore
from ragchat.types import CancelToken, Message, Sampling, TextDelta

OPTIONS = AskOptions(sampling=Sampling(max_tokens=40))


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[ChatStore]:
    with closing(ChatStore(tmp_path / "ragchat.db")) as store:
        yield store


def say(chats: ChatStore, chat: int, question: str, answer: str, *, state: str = "complete") -> int:
    chats.add_user_message(chat, question)
    answered = chats.begin_answer(chat)
    chats.finish_answer(answered.id, answer, state=state, finish_reason="stop")  # type: ignore[arg-type]
    return answered.id


def talk(chats: ChatStore, turns: int, words: int = 5) -> int:
    chat = chats.create_conversation("Pumps").id
    for n in range(1, turns + 1):
        say(chats, chat, f"question {n}", f"answer {n} " + "more " * words)
    return chat


def run(chats: ChatStore, model: FakeModel, chat: int, keep_turns: int = 2) -> Compacted:
    *_, last = compact(chats, model, chat, keep_turns=keep_turns, cancel=CancelToken())
    assert isinstance(last, Compacted)
    return last


def next_prompt(chats: ChatStore, chat: int) -> list[str]:
    session = ChatSession(chats, FakeModel(""), [], OPTIONS)
    return [
        m.content for m in session.preview("next", conversation_id=chat, cancel=CancelToken()).prompt.messages
    ]


def test_the_beginning_is_summarised_and_the_end_speaks_for_itself(chats: ChatStore) -> None:
    chat = talk(chats, 5)
    before = chats.messages(chat)
    model = FakeModel("They spoke of pumps.")
    done = run(chats, model, chat)
    assert (done.turns, done.summary) == (3, "They spoke of pumps.")
    assert done.tokens_after == 4 < done.tokens_before
    (asked,) = model.asked
    assert asked[0].content == WORDING.whole
    assert "User: question 3\nAssistant: answer 3" in asked[1].content
    assert "question 4" not in asked[1].content
    system, *turns = next_prompt(chats, chat)
    assert system.endswith(f"{SUMMARY_OPENING}\nThey spoke of pumps.")
    assert [text.split(" more")[0] for text in turns] == [
        "question 4",
        "answer 4",
        "question 5",
        "answer 5",
        "next",
    ]
    assert chats.messages(chat) == before, "the turns stay"
    chats.remove_compaction(done.compaction_id)
    assert next_prompt(chats, chat)[1] == "question 1"


def test_a_later_compaction_takes_up_the_earlier_summary(chats: ChatStore) -> None:
    chat = talk(chats, 4)
    first = run(chats, FakeModel("First summary."), chat)
    say(chats, chat, "question 5", "answer 5")
    say(chats, chat, "question 6", "answer 6")
    model = FakeModel("Second summary.")
    second = run(chats, model, chat)
    assert model.asked[0][1].content.startswith("First summary.\nUser: question 3")
    assert "question 2" not in model.asked[0][1].content
    assert "Second summary." in next_prompt(chats, chat)[0]
    chats.remove_compaction(second.compaction_id)
    assert "First summary." in next_prompt(chats, chat)[0], "taken back step by step"
    chats.remove_compaction(first.compaction_id)
    assert SUMMARY_OPENING not in next_prompt(chats, chat)[0]


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_short_chat_has_nothing_to_compact(chats: ChatStore, turns: int) -> None:
    chat = talk(chats, turns)
    with pytest.raises(UsageError, match="this chat is short"):
        run(chats, FakeModel("no"), chat)


def test_what_is_compacted_is_not_compacted_again(chats: ChatStore) -> None:
    chat = talk(chats, 4)
    run(chats, FakeModel("Summary."), chat)
    with pytest.raises(UsageError, match="is already compacted"):
        run(chats, FakeModel("no"), chat)
    run(chats, FakeModel("All of it."), chat, keep_turns=0)
    with pytest.raises(UsageError, match="is already compacted"):
        run(chats, FakeModel("no"), chat)


def test_turns_that_failed_are_no_turns(chats: ChatStore) -> None:
    chat = talk(chats, 3)
    say(chats, chat, "question 4", "", state="error")
    model = FakeModel("Summary.")
    assert run(chats, model, chat).turns == 1
    assert [text.split(" more")[0] for text in next_prompt(chats, chat)][1::2] == [
        "question 2",
        "question 3",
        "next",
    ]


def test_a_long_chat_is_read_in_parts(chats: ChatStore) -> None:
    chat = talk(chats, 40, words=40)

    def reader(messages: Sequence[Message]) -> str:
        return f"Notes of {messages[1].content.count('User:')} turns."

    model = FakeModel(reader, n_ctx=700)
    events = list(compact(chats, model, chat, cancel=CancelToken()))
    parts = [messages for messages in model.asked if messages[0].content == WORDING.part]
    assert sum(messages[1].content.count("User:") for messages in parts) == 38
    assert all(model.count_prompt(messages) + 64 <= 700 for messages in model.asked)
    assert [event.part for event in events if isinstance(event, SummaryProgress) and event.summary] == list(
        range(1, len(parts) + 1)
    )
    assert isinstance(events[-1], Compacted)
    assert any(isinstance(event, TextDelta) for event in events)


def test_stopped_and_silent_models_leave_the_chat_as_it_was(chats: ChatStore) -> None:
    chat = talk(chats, 5)
    cancel = CancelToken()
    with pytest.raises(CancelledError, match="is unchanged"):
        for event in compact(chats, FakeModel("one two three four"), chat, cancel=cancel):
            if isinstance(event, TextDelta):
                cancel.cancel()
    with pytest.raises(ModelError, match="no summary"):
        run(chats, FakeModel(" "), chat)
    assert chats.compaction(chat) is None


def test_a_branch_that_was_not_compacted_is_not(chats: ChatStore) -> None:
    chat = talk(chats, 4)
    ids = chats.branch_ids(chat)
    run(chats, FakeModel("Summary."), chat)
    chats.add_user_message(chat, "other", parent_id=ids[1])
    answer = chats.begin_answer(chat)
    chats.finish_answer(answer.id, "other answer", state="complete", finish_reason="stop")
    assert SUMMARY_OPENING not in next_prompt(chats, chat)[0]
    chats.show_branch(ids[3])
    assert SUMMARY_OPENING in next_prompt(chats, chat)[0]


def test_it_is_suggested_when_turns_would_fall_out(chats: ChatStore) -> None:
    chat = talk(chats, 12, words=40)
    model = FakeModel("Short.", n_ctx=400)
    assert suggest(chats, model, chat, options=OPTIONS) is None, "no model is loaded"
    list(model.load())
    said = suggest(chats, model, chat, options=OPTIONS)
    assert isinstance(said, Suggestion)
    assert said.turns == 12
    ready = next(
        event
        for event in ChatSession(chats, model, [], OPTIONS).ask(chat, "?", cancel=CancelToken())
        if isinstance(event, PromptReady)
    )
    assert [omission.sentence for omission in ready.left_out] == [
        f"The {2 * said.lost_turns} oldest messages of this chat did not fit in the context of 400 tokens."
    ]
    run(chats, model, chat)
    assert suggest(chats, model, chat, options=OPTIONS) is None
    assert suggest(chats, model, talk(chats, 3), options=OPTIONS) is None


@pytest.mark.real_model
def test_the_real_model_compacts_a_chat(chats: ChatStore, real_model: InferenceClient) -> None:
    chat = chats.create_conversation("Boiler").id
    say(chats, chat, "My boiler is off. What can it be?", "The pressure may have fallen below 1 bar.")
    say(chats, chat, "It stands at 0.6 bar.", "Refill it slowly with the filling loop until 1.5 bar.")
    say(chats, chat, "Thanks.", "You are welcome.")
    *_, done = compact(chats, real_model, chat, keep_turns=1, cancel=CancelToken())
    assert isinstance(done, Compacted)
    assert done.turns == 2
    compaction = chats.compaction(chat)
    assert compaction
    assert compaction.summary == done.summary
    assert len(done.summary) > 10
