"""An answer that is being written: filled by the worker, shown by the screen. It belongs to a chat, not to a widget.

Only the buffer of text is shared between threads; every other attribute is the screen's.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ragchat.text import StreamCleaner
from ragchat.types import CancelToken, Citation

if TYPE_CHECKING:
    from ragchat.tui.widgets.attachments import Chip


class LiveAnswer:
    """`conversation_id` 0: the chat is not stored yet. `visit` is the stay at the screen that the question came from."""

    def __init__(
        self,
        conversation_id: int,
        question: str,
        *,
        knowledge_bases: tuple[str, ...] | None,
        visit: int,
        chips: tuple[Chip, ...] = (),
    ) -> None:
        self.conversation_id = conversation_id
        self.question = question
        self.knowledge_bases = knowledge_bases
        self.visit = visit
        self.chips = chips
        self.cancel = CancelToken()
        self.question_id = 0
        self.answer_id = 0
        self.text = ""
        self.progress = "Getting ready"
        self.citations: tuple[Citation, ...] = ()
        self.left_out: tuple[str, ...] = ()
        self.asked_documents = False
        self._lock = threading.Lock()
        self._pending = ""
        self._announced = False
        self._cleaner = StreamCleaner()

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

    def take(self) -> str:
        """Screen: what came since the last call."""
        with self._lock:
            piece, self._pending, self._announced = self._pending, "", False
        self.text += piece
        return piece
