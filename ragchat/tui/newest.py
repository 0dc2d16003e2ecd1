"""A place for one wish: whoever works always gets the newest, and nobody ever waits in a queue."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Wish = TypeVar("Wish")


class Newest(Generic[Wish]):
    """`put` never waits; `take` waits for a wish and gives None once it is closed. Safe across threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wishes: dict[str, Wish] = {}
        self._closed = False

    def put(self, kind: str, wish: Wish) -> None:
        """Wish for something; an older wish of this kind that nobody has taken is forgotten."""
        with self._changed:
            self._wishes.pop(kind, None)
            self._wishes[kind] = wish
            self._changed.notify()

    def take(self, seconds: float | None = None) -> Wish | None:
        """The wish that waits longest, each kind's newest; None: closed. Raises TimeoutError after `seconds` without one."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._wishes or self._closed, seconds):
                raise TimeoutError
            return None if self._closed else self._wishes.pop(next(iter(self._wishes)))

    def close(self) -> None:
        """No more wishes: whoever waits goes home."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
