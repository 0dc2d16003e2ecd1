"""An answer in which the model repeated itself: kept without the repetition, called by its name wherever it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ragchat.errors import UsageError
from ragchat.finetune import from_chats
from ragchat.llm.fake import FakeModel
from ragchat.llm.loading import loaded
from ragchat.plain.chat import Telling
from ragchat.plain.console import Console
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.chat_lines import remarks
from ragchat.session.digest import Digest, Wording
from ragchat.session.events import AnswerFinished
from ragchat.session.replay import Replayed, recorded, replay
from ragchat.store.chats import ChatStore
from ragchat.tui.sentences import answer_footer
from ragchat.types import (
    CancelToken,
    GenerationFinished,
    Message,
    PrefillProgress,
    ReasoningDelta,
    Sampling,
    TextDelta,
)

ONCE, AGAIN = "The pump is low. Refill it.", " Refill it. Refill it. Refill it."


class Looping(FakeModel):
    """Says what it has to say, says its end again and again, and is stopped as the inference process does it."""

    def __init__(self) -> None:
        super().__init__(ONCE + AGAIN)

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
        for event in super().generate(messages, sampling, cancel=cancel):
            if isinstance(event, GenerationFinished):
                yield replace(event, finish_reason="repeats", repeated=AGAIN + " ")
            else:
                yield event


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[ChatStore]:
    with closing(ChatStore(tmp_path / "ragchat.db")) as store:
        yield store


@pytest.fixture
def answered(chats: ChatStore) -> AnswerFinished:
    session = ChatSession(chats, Looping(), [], AskOptions())
    *_, last = session.ask(session.start("Pump?"), "Pump?", cancel=CancelToken())
    assert isinstance(last, AnswerFinished)
    return last


def test_the_answer_is_kept_up_to_the_first_repetition(chats: ChatStore, answered: AnswerFinished) -> None:
    stored = chats.message(answered.answer_id)
    assert (answered.text, answered.finish_reason) == (ONCE, "repeats")
    assert (stored.content, stored.state, stored.finish_reason) == (ONCE, "complete", "repeats")


def test_it_is_called_by_its_name(chats: ChatStore, answered: AnswerFinished) -> None:
    stored = chats.message(answered.answer_id)
    footer = answer_footer(stored.state, finish_reason=stored.finish_reason).plain
    assert footer == "The model repeated itself, so ragchat stopped it. Press r to regenerate this answer."
    [_, answer] = chats.portable(stored.conversation_id).path
    assert remarks(answer) == ["Cut off because the model repeated itself."]


def test_it_cannot_go_on_but_is_made_again_word_for_word(chats: ChatStore, answered: AnswerFinished) -> None:
    session = ChatSession(chats, Looping(), [], AskOptions())
    with pytest.raises(UsageError, match="repeats itself"):
        list(session.continue_answer(answered.answer_id, cancel=CancelToken()))
    *_, again = replay(Looping(), recorded(chats, answered.answer_id), cancel=CancelToken())
    assert isinstance(again, Replayed)
    assert again.verdict == "identical"


def test_it_is_no_example_even_when_it_was_rated_good(chats: ChatStore, answered: AnswerFinished) -> None:
    chats.rate(answered.answer_id, 1)
    assert list(from_chats.read(chats)) == []


def test_summaries_of_parts_are_cut_too() -> None:
    model = Looping()
    digest = Digest(
        loaded(model), Wording("all", "part", "join"), sampling=Sampling(), longest=100, cancel=CancelToken()
    )
    *_, finished = digest.run(["One.", "Two."])
    assert digest.notes == [ONCE, ONCE]
    assert isinstance(finished, GenerationFinished)


def test_the_plain_chat_says_so(answered: AnswerFinished, capsys: pytest.CaptureFixture[str]) -> None:
    Telling(Console(interactive=False)).tell(answered)
    assert "The model repeated itself" in capsys.readouterr().err
