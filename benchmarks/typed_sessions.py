"""A person at the keyboard, from a seed: when each key comes. And a driver that does at each pause what the screen does."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ragchat.session.chat import ChatSession
from ragchat.session.preparing import Plan, Typed
from ragchat.types import CancelToken

PAUSE_S = 0.25
"""As `tui.reading_ahead`."""


@dataclass(frozen=True)
class Key:
    """After `wait_s` the prompt has `text`."""

    wait_s: float
    text: str


def keys(question: str, rng: random.Random, *, per_second: float = 4.0) -> Iterator[Key]:
    """Keys of a question: slower between words, with a slip of the finger now and then; the last one is followed by Enter."""
    typed = ""
    for character in question:
        if character.isalpha() and rng.random() < 0.02:
            yield Key(_gap(rng, per_second), typed + rng.choice("aeinrst"))
            yield Key(_gap(rng, per_second) * 1.5, typed)
        between_words = typed.endswith(" ") or character == " "
        typed += character
        yield Key(_gap(rng, per_second) * (1.6 if between_words else 0.85), typed)


def _gap(rng: random.Random, per_second: float) -> float:
    """Log-normal with this mean, as measured of people who write: many short ones, few long ones."""
    return rng.lognormvariate(-0.125, 0.5) / per_second


class Typist:
    """Types questions. Time is virtual: a wait in which nothing is being prepared is skipped, since nothing would happen."""

    def __init__(self, session: Callable[[], AbstractContextManager[ChatSession]]) -> None:
        self._session = session
        self._cancel = CancelToken()
        self._worker: threading.Thread | None = None
        self.looks = 0

    def type(
        self, conversation_id: int, question: str, rng: random.Random, *, per_second: float = 4.0
    ) -> None:
        """Type it, pause after each key as long as it takes; at the end Enter may be pressed."""
        plan = Plan()
        for key in keys(question, rng, per_second=per_second):
            self._wait(key.wait_s, conversation_id, plan)
            self._cancel.cancel()
            self._text = key.text
        self._wait(_gap(rng, per_second) * 1.6, conversation_id, plan)
        self._cancel.cancel()

    def _wait(self, seconds: float, conversation_id: int, plan: Plan) -> None:
        if not hasattr(self, "_text"):
            self._text = ""
        self._busy(min(seconds, PAUSE_S))
        if seconds > PAUSE_S and self._text.strip():
            self._begin(Typed(conversation_id, self._text), plan)
            self._busy(seconds - PAUSE_S)

    def _busy(self, seconds: float) -> None:
        """Wait so long, or until nothing is being prepared."""
        if self._worker is not None:
            self._worker.join(seconds)

    def _begin(self, typed: Typed, plan: Plan) -> None:
        self._cancel = cancel = CancelToken()
        before = self._worker

        def look() -> None:
            if before is not None:
                before.join()
            if cancel.cancelled:
                return
            with self._session() as session:
                session.foresee(typed, plan, cancel=cancel)

        self.looks += 1
        self._worker = threading.Thread(target=look, daemon=True)
        self._worker.start()

    def rest(self, conversation_id: int, seconds: float = 3.0) -> None:
        """Read an answer for a while: the next prompt is read ahead meanwhile."""
        cancel = CancelToken()

        def warm() -> None:
            with self._session() as session:
                session.warm(conversation_id, cancel=cancel)

        self._worker = threading.Thread(target=warm, daemon=True)
        self._worker.start()
        self._worker.join(seconds)
        cancel.cancel()
        self._worker.join()
        self._worker = None
        self._text = ""
