"""A person at the keyboard, from a seed: when each key comes. And a driver that does at each pause what the screen does."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ragchat.session.chat import ChatSession
from ragchat.session.preparing import Foreseen, Plan, Reading, Typed
from ragchat.types import CancelToken

PAUSE_S = 0.15
PAUSES_S = (PAUSE_S, 0.3, 0.3)
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
            yield Key(gap(rng, per_second), typed + rng.choice("aeinrst"))
            yield Key(gap(rng, per_second) * 1.5, typed)
        between_words = typed.endswith(" ") or character == " "
        typed += character
        yield Key(gap(rng, per_second) * (1.6 if between_words else 0.85), typed)


def gap(rng: random.Random, per_second: float) -> float:
    """Seconds, log-normal with this mean: many short ones, few long ones."""
    return rng.lognormvariate(-0.125, 0.5) / per_second


class Typist:
    """Types questions. Time is virtual: a wait in which nothing is prepared is skipped, since nothing would happen."""

    def __init__(self, session: Callable[[], AbstractContextManager[ChatSession]]) -> None:
        self._session = session
        self._cancel = CancelToken()
        self._looking: threading.Thread | None = None
        self._reading = Reading(self._read)
        self._plan = Plan()
        self._newest: Typed | None = None

    def type(
        self, conversation_id: int, question: str, rng: random.Random, *, per_second: float = 4.0
    ) -> Plan:
        """Type it, with a wait before each key as long as it takes; then Enter may be pressed, with the plan that is returned."""
        self._plan, self._cancel, text = Plan(), CancelToken(), ""
        for key in keys(question, rng, per_second=per_second):
            self._wait(key.wait_s, conversation_id, text)
            text = key.text
        self._wait(1.6 * gap(rng, per_second), conversation_id, text)
        self._cancel.cancel()
        self._reading.stop()
        return self._plan

    def _wait(self, seconds: float, conversation_id: int, text: str) -> None:
        for pause in PAUSES_S:
            if seconds <= pause or not text.strip():
                break
            seconds -= pause
            self._idle(pause)
            self._look(Typed(conversation_id, text))
        self._idle(seconds)

    def _idle(self, seconds: float) -> None:
        """Wait so long, or until nothing is being prepared."""
        until = time.perf_counter() + seconds
        if self._looking is not None:
            self._looking.join(max(0.0, until - time.perf_counter()))
        self._reading.wait(max(0.0, until - time.perf_counter()))

    def _look(self, typed: Typed) -> None:
        """One search at a time, the newest behind it; a key ends none."""
        before, plan = self._looking, self._plan
        self._newest = typed

        def look() -> None:
            if before is not None:
                before.join()
            cancel = self._cancel
            if cancel.cancelled or typed is not self._newest:
                return
            with self._session() as session:
                foreseen = session.foresee(typed, plan, cancel=cancel)
            if foreseen.beginning and not cancel.cancelled:
                self._reading.want(foreseen)

        self._looking = threading.Thread(target=look, daemon=True)
        self._looking.start()

    def _read(self, foreseen: Foreseen, cancel: CancelToken) -> None:
        with self._session() as session:
            session.read_ahead(foreseen, cancel=cancel)

    def rest(self, conversation_id: int, seconds: float = 3.0) -> None:
        """Read an answer for a while: the next prompt is read ahead meanwhile."""
        cancel = CancelToken()

        def warm() -> None:
            with self._session() as session:
                session.warm(conversation_id, cancel=cancel)

        thread = threading.Thread(target=warm, daemon=True)
        thread.start()
        thread.join(seconds)
        cancel.cancel()
        thread.join()
        time.sleep(0.7)  # the snapshot is saved meanwhile
