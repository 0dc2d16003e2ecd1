"""Embedding the chunks of a knowledge base in the background, after they are searchable.

First those that searches found, then the newest documents. Every second what was made is written in a short transaction, so a
process that is killed loses a second of work and the next one goes on. It gives way: to whoever writes, and to what `hold` says.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ragchat.errors import InferenceDiedError
from ragchat.retrieval.vectors import passage_text, quantise
from ragchat.store.database import BusyError
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.retrieval.vectors import Floats, Quantised
    from ragchat.types.embedding import Embedder

ON_BATTERY = "paused while this computer runs on battery"
INDEXING = "waiting until documents are indexed"
"""Why nothing is embedded at the moment, for the user."""
_BATCH_S = 0.4
"""A batch takes about that long, so that a wish to stop is heard within a second."""
_FIRST_BATCH = 4
_LARGEST_BATCH = 64
_WRITE_EVERY_S = 1.0
_WRITE_WAIT_S = 0.05
_MOST_UNWRITTEN = 512
_LAST_WRITE_WAIT_S = 1.0
_QUIET_S = 2.5
"""After someone else changed the documents: the batches of a sync come more often than that."""
_WAIT_S = 0.2
_POWER_EVERY_S = 10.0
_SPEED_OVER_S = 30.0
_MOST_DEATHS = 2
"""Of the model, over the texts of one batch one by one; more say that it is not the texts."""


@dataclass(frozen=True, slots=True)
class EmbeddingProgress:
    """`done` of `total` chunks, those in languages that the model reads, have a vector.

    `eta_s` None: unknown. `waiting` says why nothing happens now; empty: it does.
    """

    done: int
    total: int
    chunks_per_s: float
    eta_s: float | None
    waiting: str = ""


@dataclass(frozen=True, slots=True)
class EmbeddingFinished:
    """How many of all chunks have a vector now, and how many were `made` in this run."""

    done: int
    total: int
    made: int
    seconds: float
    cancelled: bool


EmbeddingEvent = EmbeddingProgress | EmbeddingFinished


def embed(
    store: KnowledgeStore,
    embedder: Embedder,
    *,
    cancel: CancelToken,
    hold: Callable[[], str] = lambda: "",
    most: int = 0,
) -> Iterator[EmbeddingEvent]:
    """Give every chunk of `store` that has none a vector; `most` of them, 0: all. Ends with EmbeddingFinished unless it raises.

    `hold` is asked before each batch: a sentence why to wait now, or ''. Raises ModelError, StorageError; what was made is kept.
    """
    started = time.monotonic()
    run = _Run(store, embedder, most)
    try:
        run.look()
        yield run.progress()
        while run.left and not cancel.cancelled:
            if waiting := hold() or run.busy():
                run.write(_WRITE_WAIT_S)
                yield run.progress(waiting)
                time.sleep(_WAIT_S)
                continue
            run.step()
            yield run.progress()
    finally:
        run.write(_LAST_WRITE_WAIT_S)
    yield EmbeddingFinished(
        store.vectors.count(embedder.model), run.total, run.made, time.monotonic() - started, cancel.cancelled
    )


def on_battery() -> bool:
    """Whether this computer has a battery and lives on it; False where the system does not say."""
    import psutil

    look = getattr(psutil, "sensors_battery", None)  # not on every system
    try:
        battery = look() if look else None
    except (OSError, NotImplementedError):
        return False
    return battery is not None and battery.power_plugged is False


class PowerWatch:
    """`hold` for a computer on battery; looks every few seconds."""

    def __init__(self, look: Callable[[], bool] = on_battery) -> None:
        self._look = look
        self._looked_at = -_POWER_EVERY_S
        self._on_battery = False

    def __call__(self) -> str:
        """Why to wait; empty when work may continue."""
        if time.monotonic() - self._looked_at >= _POWER_EVERY_S:
            self._looked_at, self._on_battery = time.monotonic(), self._look()
        return ON_BATTERY if self._on_battery else ""


@dataclass(slots=True)
class _Speed:
    """Chunks a second of work over the last half minute; waiting does not count."""

    steps: deque[tuple[int, float]] = field(default_factory=deque)
    chunks: int = 0
    seconds: float = 0.0

    def note(self, chunks: int, seconds: float) -> None:
        self.steps.append((chunks, seconds))
        self.chunks += chunks
        self.seconds += seconds
        while self.seconds > _SPEED_OVER_S and len(self.steps) > 1:
            gone, took = self.steps.popleft()
            self.chunks -= gone
            self.seconds -= took

    @property
    def per_s(self) -> float:
        return self.chunks / self.seconds if self.seconds > 0 else 0.0


def _embedded(embedder: Embedder, texts: list[str]) -> Floats:
    """The vectors of some texts. One that kills the model alone gets zeros, which are near nothing. Raises ModelError.

    Without this a single such text would end every run at the same place.
    """
    try:
        return embedder.embed_passages(texts)
    except InferenceDiedError:
        if len(texts) == 1:
            raise
    found = np.zeros((len(texts), embedder.model.dimensions), np.float32)
    deaths = 0
    for place, text in enumerate(texts):
        try:
            found[place] = embedder.embed_passages([text])[0]
        except InferenceDiedError:
            deaths += 1
            if deaths > _MOST_DEATHS or deaths == len(texts):
                raise
    return found


class _Run:
    """What is left to do, what was made and not written yet, and how fast it goes."""

    def __init__(self, store: KnowledgeStore, embedder: Embedder, most: int) -> None:
        self._store, self._embedder, self._most = store, embedder, most
        self._model = embedder.model
        self._waiting: deque[int] = deque()
        self._done: set[int] = set()
        self._ids: list[int] = []
        self._vectors: list[Quantised] = []
        self._written_at = time.monotonic()
        self._speed = _Speed()
        self._batch = _FIRST_BATCH
        self._revision = -1
        self._changed_at = -_QUIET_S
        self._stale = False
        self.total = 0
        self.made = 0

    @property
    def left(self) -> bool:
        if not self._waiting and self._stale:
            self.look()
        return bool(self._waiting) and (not self._most or self.made < self._most)

    def look(self) -> None:
        """See which chunks have no vector."""
        statistics = self._store.statistics()
        self._revision, self._stale = statistics.revision, False
        missing = self._store.vectors.missing_ids(self._model)
        own = set(self._ids)
        self._waiting = deque(chunk_id for chunk_id in missing if chunk_id not in own)
        self._done = set()
        self.total = self._store.vectors.readable(self._model)

    def busy(self) -> str:
        """Why to wait because of others: documents are being indexed, or what was made cannot be written."""
        revision = self._store.statistics().revision
        if revision != self._revision:
            self._revision, self._stale, self._changed_at = revision, True, time.monotonic()
        if time.monotonic() - self._changed_at < _QUIET_S or len(self._ids) >= _MOST_UNWRITTEN:
            return INDEXING
        if self._stale:
            self.look()
        return ""

    def step(self) -> None:
        """Embed a batch; write when it is time."""
        batch = self._store.vectors.texts(self._next())
        if batch:
            started = time.perf_counter()
            made = _embedded(
                self._embedder, [passage_text(one.title, one.heading, one.text) for one in batch]
            )
            took = time.perf_counter() - started
            self._ids += [one.chunk_id for one in batch]
            self._vectors.append(quantise(made))
            self.made += len(batch)
            self._speed.note(len(batch), took)
            self._batch = max(
                1, min(_LARGEST_BATCH, 2 * self._batch, round(len(batch) * _BATCH_S / max(took, 1e-6)))
            )
        if time.monotonic() - self._written_at >= _WRITE_EVERY_S or not self._waiting:
            self.write(_WRITE_WAIT_S)

    def _next(self) -> list[int]:
        """The chunks of the next batch: what searches found since the last one comes first."""
        size = min(self._batch, self._most - self.made) if self._most else self._batch
        held = set(self._ids)
        found = [one for one in self._store.vectors.first_ids(self._model, size) if one not in held]
        chosen = dict.fromkeys(found)
        while self._waiting and len(chosen) < size:
            if (chunk_id := self._waiting.popleft()) not in self._done:
                chosen[chunk_id] = None
        self._done.update(found)
        return list(chosen)

    def write(self, wait_s: float) -> None:
        """Store what was made, unless someone else writes for longer than `wait_s`: then it is kept for the next time."""
        if not self._ids:
            return
        try:
            self._store.vectors.write(self._model, self._ids, np.concatenate(self._vectors), wait_s=wait_s)
        except BusyError:
            return
        self._ids, self._vectors = [], []
        self._written_at = time.monotonic()

    def progress(self, waiting: str = "") -> EmbeddingProgress:
        left = len(self._waiting)
        speed = self._speed.per_s
        return EmbeddingProgress(
            max(0, self.total - left),
            self.total,
            speed,
            left / speed if speed and not waiting else None,
            waiting,
        )
