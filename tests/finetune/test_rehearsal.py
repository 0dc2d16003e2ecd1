"""The model's own answers to general questions: kept as they come, few in a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ragchat.finetune import rehearsal
from ragchat.llm.fake import FakeModel
from ragchat.llm.loading import loaded
from ragchat.types import CancelToken, Message


def test_few_for_a_dry_run_and_the_rest_later(tmp_path: Path) -> None:
    asked: list[str] = []

    def says(messages: Sequence[Message]) -> str:
        asked.append(messages[-1].content)
        return f"Answer to {messages[-1].content}"

    model = loaded(FakeModel(says))
    told: list[float] = []
    few = rehearsal.chats(model, "0" * 64, tmp_path, cancel=CancelToken(), most=4, on_progress=told.append)
    assert len(few) == len(asked) == 4
    assert told == [0.25, 0.5, 0.75, 1.0]
    everything = rehearsal.chats(model, "0" * 64, tmp_path, cancel=CancelToken())
    assert len(everything) == len(asked) == len(set(asked)) > 20, "none is asked twice"
    assert everything[:4] == few
    assert len(rehearsal.chats(model, "0" * 64, tmp_path, cancel=CancelToken(), most=2)) == 2


def test_what_was_answered_before_a_cancel_is_kept(tmp_path: Path) -> None:
    cancel, asked = CancelToken(), []

    def says(messages: Sequence[Message]) -> str:
        asked.append(messages[-1].content)
        return "Yes."

    model = loaded(FakeModel(says))
    stop = lambda fraction: cancel.cancel() if fraction > 0.2 else None  # noqa: E731
    assert rehearsal.chats(model, "0" * 64, tmp_path, cancel=cancel, on_progress=stop) == []
    before = len(asked)
    everything = rehearsal.chats(model, "0" * 64, tmp_path, cancel=CancelToken())
    assert len(everything) >= before
    assert len(asked) <= len(everything) + 1, "only the one that was interrupted is asked again"
