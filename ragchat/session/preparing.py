"""What is done for a question before it is sent: searched while it is typed, and read ahead as far as that is worth it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragchat.session.prompt import PackedPrompt
from ragchat.session.sources import Attachment
from ragchat.types import Citation, Hit, Message, ReadAhead

LEAST_LETTERS = 3
"""A question that is shorter is not looked up yet."""
MOST_TOKENS = 3000
"""Tokens that are read ahead for one question at most: beyond it, what is read is likely to be in vain."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A question as far as it is typed (empty: nothing yet), and what goes with it, as `ChatSession.ask` takes it."""

    conversation_id: int
    text: str = ""
    parent_id: int | None = None
    files: tuple[Attachment, ...] = ()
    pinned: tuple[Hit, ...] = ()


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the question would be answered from if it were sent now: the passages of its prompt, best first; none where the
    documents say nothing. `read` is what was read ahead for it; None: nothing was.
    """

    citations: tuple[Citation, ...] = ()
    relevant: bool = False
    read: ReadAhead | None = None


class Plan:
    """What is worth reading ahead while one question is typed. It belongs to that question; pauses come one after the other.

    Instructions and history are read at the first pause, since whatever is asked begins with them. Of the passages only those are
    read that two pauses in a row found in the same place, the best first: the next word may change the others.
    """

    def __init__(self, *, pauses: int = 2, most_tokens: int = MOST_TOKENS) -> None:
        """`pauses` in a row that have to find a passage in its place."""
        self._pauses, self._most = pauses, most_tokens
        self._seen: list[tuple[tuple[Message, ...], tuple[str, ...]]] = []
        self._read = 0

    def beginning(self, packed: PackedPrompt) -> tuple[Message, ...]:
        """What to read ahead now, where the question as it is typed makes this prompt."""
        self._seen = [*self._seen, (packed.messages[:-1], packed.before)][-self._pauses :]
        return packed.beginning(self._stable() if self._read < self._most else 0)

    def note(self, read: ReadAhead) -> None:
        """So much was read."""
        self._read += read.read

    def _stable(self) -> int:
        """How many pieces in front of the question were the same at the last pauses."""
        head, pieces = self._seen[-1]
        if len(self._seen) < self._pauses or any(other != head for other, _ in self._seen):
            return 0
        same = 0
        for piece, *others in zip(pieces, *(before for _, before in self._seen[:-1]), strict=False):
            if any(other != piece for other in others):
                break
            same += 1
        # Where one is missing that was there, the question may move up to it: the end is not stable either.
        return (
            same
            if all(len(before) == len(pieces) for _, before in self._seen)
            else min(same, len(pieces) - 1)
        )


def long_enough(text: str) -> bool:
    """Whether there is a word to search for."""
    return sum(character.isalnum() for character in text) >= LEAST_LETTERS


def owners_of(conversation_id: int, citations: Sequence[Citation]) -> tuple[str, ...]:
    """Whose text a prompt has: "chat 3", "documents notes"; 0 is a chat that is not stored."""
    chat = (f"chat {conversation_id}",) if conversation_id else ()
    return (*chat, *dict.fromkeys(f"documents {citation.hit.knowledge_base}" for citation in citations))
