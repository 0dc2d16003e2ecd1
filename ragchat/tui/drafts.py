"""What was typed and not sent, per chat, until it is in the database. Threads may write it; the newest text wins.

What is attached belongs to the draft, but is kept in memory only, and touched by the screen's thread alone.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ragchat.app.services import Services
from ragchat.tui import tasks
from ragchat.tui.widgets.attachments import Chip, settled

if TYPE_CHECKING:
    from pathlib import Path

    from ragchat.session.sources import Attachment


class Drafts:
    """Chat 0 is the one that does not exist yet. What is held here is newer than what is stored."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._held: dict[int, str] = {}
        self._more: dict[int, str] = {}
        self._attached: dict[int, tuple[Chip, ...]] = {}
        self._lock = threading.Lock()

    def hold(self, conversation_id: int, text: str) -> None:
        with self._lock:
            self._held[conversation_id] = text

    def hold_more(self, conversation_id: int, text: str) -> None:
        """Hold what was typed before it was known what is stored: it comes after that."""
        with self._lock:
            self._more[conversation_id] = text

    def drop(self, conversation_id: int) -> None:
        with self._lock:
            self._held.pop(conversation_id, None)

    def newest(self, conversation_id: int, stored: str) -> str:
        """The held draft, or the stored one."""
        with self._lock:
            return self._held.get(conversation_id, stored)

    def set_aside(self, conversation_id: int, chips: tuple[Chip, ...]) -> None:
        """Keep what is attached in a chat that is left."""
        self._attached[conversation_id] = chips

    def attached(self, conversation_id: int) -> tuple[Chip, ...]:
        """Take what was attached when the chat was left."""
        return self._attached.pop(conversation_id, ())

    def settle(self, path: Path, attachment: Attachment | None) -> bool:
        """A file was read, or (None) could not be; whether it is attached in a chat that was left."""
        waited = any(chip.path == path for chips in self._attached.values() for chip in chips)
        self._attached = {
            number: settled(chips, path, attachment) for number, chips in self._attached.items()
        }
        return waited

    def write(self) -> None:
        """Store what is held. Raises StorageError; then it is held on to."""
        with self._lock:
            if not self._held and not self._more:
                return
            with tasks.chats(self._services) as store:
                for conversation_id, text in self._held.items():
                    store.save_draft(conversation_id, text)
                self._held = {}
                for conversation_id, text in self._more.items():
                    store.save_draft(conversation_id, store.draft(conversation_id) + text)
                self._more = {}
