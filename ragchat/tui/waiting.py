"""Questions that wait for the answer in another chat; the one that was asked first is answered first. No widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragchat.tui.live import LiveAnswer


class Waiting:
    """At most one question of each chat."""

    def __init__(self) -> None:
        self.questions: list[LiveAnswer] = []

    def __bool__(self) -> bool:
        return bool(self.questions)

    @property
    def chats(self) -> set[int]:
        """Numbers of the chats in which a question waits; 0: of one that is not stored yet."""
        return {live.conversation_id for live in self.questions}

    def next(self) -> LiveAnswer | None:
        """Take the first that has its chat; None when there is none."""
        found = next((live for live in self.questions if live.conversation_id), None)
        if found is not None:
            self.questions.remove(found)
        return found

    def forget(self, conversation_id: int) -> None:
        """Take those of a chat out."""
        self.questions = [live for live in self.questions if live.conversation_id != conversation_id]

    def tell(self, running: LiveAnswer | None) -> None:
        """Say at each question which answer it waits for."""
        before = running
        for live in self.questions:
            if before is not None:
                live.progress = f"Waiting for the answer in “{before.title}”. Press Esc to cancel."
            before = live
