"""What is done for a question before it is sent: searched while it is typed, and read ahead as far as that is worth it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragchat.session.sources import Attachment
from ragchat.types import Citation, Hit, ReadAhead


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


def owners_of(conversation_id: int, citations: Sequence[Citation]) -> tuple[str, ...]:
    """Whose text a prompt has: "chat 3", "documents notes"; 0 is a chat that is not stored."""
    chat = (f"chat {conversation_id}",) if conversation_id else ()
    return (*chat, *dict.fromkeys(f"documents {citation.hit.source}" for citation in citations))
