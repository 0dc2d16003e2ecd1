"""An answer that is being written: filled by the worker, shown by the screen. It belongs to a chat, not to a widget.

Only the buffer of text is shared between threads; every other attribute is the screen's.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ragchat.text import StreamCleaner
from ragchat.types import CancelToken, ChatOptions, Citation, Omission, Quote

if TYPE_CHECKING:
    from pathlib import Path

    from ragchat.session.preparing import Plan
    from ragchat.tui.widgets.attachments import Chip


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be written: an answer to a question, another answer beside a stored one, the rest of a stored one, or the
    summary of a document, which is a file (`path`) or indexed (`document_id` in `knowledge_base`).

    `parent_id` is the message that a question comes after: None for the branch that is shown, 0 for the beginning of another.
    """

    kind: Literal["ask", "regenerate", "continue", "summarise"]
    question: str
    parent_id: int | None = None
    answer_id: int = 0
    path: Path | None = None
    knowledge_base: str = ""
    document_id: int = 0


class LiveAnswer:
    """`conversation_id` 0: the chat is not stored yet. `visit` is the stay at the screen that the question came from.

    `model` is the one that is to answer; empty: the one that is selected. `title` is that of the chat.
    `plan` is the one with which the question was read ahead.
    """

    def __init__(
        self,
        conversation_id: int,
        request: Request,
        *,
        options: ChatOptions,
        visit: int,
        model: str = "",
        chips: tuple[Chip, ...] = (),
        title: str = "",
        plan: Plan | None = None,
    ) -> None:
        self.conversation_id = conversation_id
        self.request = request
        self.options = options
        self.visit = visit
        self.model = model
        self.chips = chips
        self.title = title
        self.cancel = CancelToken()
        self.plan = plan
        self.question_id = 0
        self.answer_id = 0
        self.text = ""
        self.progress = "Getting ready"
        self.citations: tuple[Citation, ...] = ()
        self.quotes: tuple[Quote, ...] = ()
        self.nearest: tuple[Citation, ...] = ()
        """The passages that the search found, where none is relevant."""
        self.left_out: tuple[Omission, ...] = ()
        self.asked_documents = False
        self.searched_also = ""
        self.missed = False
        self._lock = threading.Lock()
        self._pending = ""
        self._thought = ""
        self._announced = False
        self._cleaner = StreamCleaner()

    @property
    def question(self) -> str:
        return self.request.question

    @property
    def stored(self) -> bool:
        """Whether the question is safe in the database."""
        return self.question_id > 0

    def append(self, piece: str) -> bool:
        """Worker: more text. True when the screen has to be told; it has been told already otherwise."""
        with self._lock:
            self._pending += self._cleaner.feed(piece)
            tell = bool(self._pending) and not self._announced
            self._announced = self._announced or tell
            return tell

    def think(self, piece: str) -> bool:
        """Worker: more of what the model thinks before it answers; as `append`."""
        with self._lock:
            self._thought += piece
            tell = not self._announced
            self._announced = True
            return tell

    def take(self) -> str:
        """Screen: what came of the answer since the last call."""
        with self._lock:
            piece, self._pending, self._announced = self._pending, "", False
        self.text += piece
        return piece

    def take_thought(self) -> str:
        """Screen: what was thought since the last call. Before `take`, which says that all was taken."""
        with self._lock:
            piece, self._thought = self._thought, ""
        return piece
