"""What is learned from: chats that end with the answer to learn, and where each comes from. Reads and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ragchat.types import Message


@dataclass(frozen=True, slots=True)
class Example:
    """One answer to learn. `messages` end with it; what is before is the prompt, as the chat would send it.

    `source` is where it comes from, for the counts of the card: "chats", "file:NAME", "kb:NAME". `group` is what must not be
    parted between training and held-out data: a document's path, a conversation, a file's row when there is nothing else.
    `question` is what was asked, without the passages a prompt brings; `kind` says what it teaches: "answer", "cited",
    "refusal". `expected` are texts any of which a right answer contains; empty: no one said.
    """

    messages: tuple[Message, ...]
    source: str
    group: str
    question: str
    kind: str = "answer"
    expected: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """The last message, which is learned."""
        return self.messages[-1].content


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is not learned from, and why, in a phrase. `line` counts from 1; 0 when there are no lines."""

    source: str
    line: int
    reason: str
