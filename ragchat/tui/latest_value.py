"""A place for one request: whoever works always gets the newest, and no one ever waits in a queue."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Value = TypeVar("Value")


class LatestValue(Generic[Value]):
    """`put` never waits; `take` waits for a request and gives None once it is closed. Safe across threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: dict[str, Value] = {}
        self._closed = False

    def put(self, kind: str, request: Value) -> None:
        """Value for something; an older request of this kind that no one has taken is forgotten."""
        with self._changed:
            self._requests.pop(kind, None)
            self._requests[kind] = request
            self._changed.notify()

    def take(self, seconds: float | None = None) -> Value | None:
        """The request that waits longest, each kind's newest; None: closed. Raises TimeoutError after `seconds` without one."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._requests or self._closed, seconds):
                raise TimeoutError
            return None if self._closed else self._requests.pop(next(iter(self._requests)))

    def close(self) -> None:
        """No more requests: whoever waits goes home."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
