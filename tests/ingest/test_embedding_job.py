"""Embedding in the background: it goes on where it stopped, gives way to everybody, and is heard to stop at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from ragchat.errors import InferenceDiedError, ModelError
from ragchat.ingest import embedding
from ragchat.ingest.embedding import (
    INDEXING,
    ON_BATTERY,
    EmbeddingEvent,
    EmbeddingFinished,
    EmbeddingProgress,
    PowerWatch,
    embed,
)
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken
from tests.helpers.embedders import Vectors, WordEmbedder
from tests.helpers.small_kb import put
from tests.retrieval.test_vectors import chunk_ids


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path, "a") as opened:
        put(opened, "/d/old.txt", *(f"old text {i}" for i in range(30)))
        put(opened, "/d/new.txt", *(f"new text {i}" for i in range(30)))
        yield opened


def run(
    store: KnowledgeStore,
    embedder: WordEmbedder,
    *,
    hold: Callable[[], str] = lambda: "",
    after: Callable[[EmbeddingEvent], object] = lambda event: None,
    cancel: CancelToken | None = None,
    most: int = 0,
) -> list[EmbeddingEvent]:
    events = []
    for event in embed(store, embedder, cancel=cancel or CancelToken(), hold=hold, most=most):
        events.append(event)
        after(event)
    return events


def finished(events: list[EmbeddingEvent]) -> EmbeddingFinished:
    assert isinstance(events[-1], EmbeddingFinished)
    return events[-1]


def test_everything_gets_a_vector_and_a_second_run_makes_nothing(store: KnowledgeStore) -> None:
    embedder = WordEmbedder(seconds_each=0.002)
    events = run(store, embedder)
    done = finished(events)
    assert (done.done, done.total, done.made, done.cancelled) == (60, 60, 60, False)
    progress = [event for event in events if isinstance(event, EmbeddingProgress)]
    assert [one.done for one in progress] == sorted(one.done for one in progress)
    assert progress[0].eta_s is None
    assert progress[-1].eta_s == 0
    assert 0 < progress[1].eta_s < 2  # type: ignore[operator]
    assert finished(run(store, WordEmbedder())).made == 0
    assert len(set(embedder.read)) == 60


def test_new_documents_come_first_and_what_a_search_finds_before_them(store: KnowledgeStore) -> None:
    embedder = WordEmbedder()
    sought = chunk_ids(store, "/d/old.txt")[17]

    def search(event: EmbeddingEvent) -> None:
        if isinstance(event, EmbeddingProgress) and event.done == 4:
            with KnowledgeStore.open(store.path.parent, "a") as other:
                other.vectors.put_first([sought])

    run(store, embedder, after=search)
    assert embedder.read[0] == "new text 0"
    assert embedder.read.index("old text 17") == 4
    assert len(embedder.read) == 60


def test_a_part_is_made_when_a_part_is_asked_for(store: KnowledgeStore) -> None:
    assert finished(run(store, WordEmbedder(), most=7)).made == 7
    assert store.vectors.count(WordEmbedder().model) == 7


def test_it_stops_within_a_second_and_keeps_what_it_made(store: KnowledgeStore) -> None:
    cancel = CancelToken()
    asked: list[float] = []

    def stop(event: EmbeddingEvent) -> None:
        if isinstance(event, EmbeddingProgress) and event.done >= 10 and not asked:
            asked.append(time.monotonic())
            cancel.cancel()

    events = run(store, WordEmbedder(seconds_each=0.03), after=stop, cancel=cancel)
    assert time.monotonic() - asked[0] < 1.0
    done = finished(events)
    assert done.cancelled
    assert 10 <= done.made < 60
    assert done.done == done.made == store.vectors.count(WordEmbedder().model)


def test_a_batch_takes_less_than_a_second_whatever_the_speed(store: KnowledgeStore) -> None:
    class Watched(WordEmbedder):
        longest = 0.0

        def embed_passages(self, texts: Sequence[str]) -> Vectors:
            started = time.monotonic()
            made = super().embed_passages(texts)
            self.longest = max(self.longest, time.monotonic() - started)
            return made

    slow = Watched(seconds_each=0.1)
    run(store, slow, most=20)
    assert slow.longest < 0.9


def test_what_was_written_stays_when_the_run_is_dropped(store: KnowledgeStore) -> None:
    """As after a kill: the generator is never asked again."""
    running = embed(store, WordEmbedder(), cancel=CancelToken())
    for _ in range(3):
        next(running)
    del running
    embedder = WordEmbedder()
    assert finished(run(store, embedder)).done == 60
    assert len(embedder.read) < 60


def test_it_waits_as_long_as_it_is_told_and_says_why(store: KnowledgeStore) -> None:
    answers = iter(["an answer is being written"] * 3)
    embedder = WordEmbedder()
    events = run(store, embedder, hold=lambda: next(answers, ""))
    waiting = [event for event in events if isinstance(event, EmbeddingProgress) and event.waiting]
    assert [one.waiting for one in waiting] == ["an answer is being written"] * 3
    assert all(one.eta_s is None and one.done == 0 for one in waiting)
    assert finished(events).done == 60


def test_it_gives_way_to_a_sync_and_takes_its_documents_afterwards(
    store: KnowledgeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_QUIET_S", 0.5)
    with KnowledgeStore.open(store.path.parent, "a") as other:

        def sync(event: EmbeddingEvent) -> None:
            if isinstance(event, EmbeddingProgress) and event.done == 4 and not other.document_at("/d/x.txt"):
                put(other, "/d/x.txt", "just indexed")

        embedder = WordEmbedder()
        events = run(store, embedder, after=sync)
    waited = [event for event in events if isinstance(event, EmbeddingProgress) and event.waiting]
    assert {one.waiting for one in waited} == {INDEXING}
    assert finished(events).done == finished(events).total == 61
    assert embedder.read[4] == "just indexed"


def test_nobody_who_writes_waits_for_it_and_nothing_is_lost(store: KnowledgeStore) -> None:
    """Another process holds the write lock for a while: the vectors are kept until they can be written."""
    held, release = threading.Event(), threading.Event()

    def write_long() -> None:
        with KnowledgeStore.open(store.path.parent, "a") as other, other.writing():
            held.set()
            release.wait(20)

    writer = threading.Thread(target=write_long)

    def block(event: EmbeddingEvent) -> None:
        if isinstance(event, EmbeddingProgress) and event.done >= 4 and not held.is_set():
            writer.start()
            held.wait(5)
            threading.Timer(1.5, release.set).start()

    embedder = WordEmbedder(seconds_each=0.05)
    events = run(store, embedder, after=block)
    writer.join()
    assert finished(events).done == 60
    assert len(embedder.read) == 60


def test_a_text_that_kills_the_model_does_not_end_every_run(store: KnowledgeStore) -> None:
    class Fragile(WordEmbedder):
        def embed_passages(self, texts: Sequence[str]) -> Vectors:
            if "old text 5" in texts:
                raise InferenceDiedError("The embedding process was killed.")
            return super().embed_passages(texts)

    assert finished(run(store, Fragile())).done == 60
    (poisoned,) = [
        one for one in chunk_ids(store, "/d/old.txt") if store.vectors.texts([one])[0][3] == "old text 5"
    ]
    assert not np.any(store.vectors.of(Fragile().model, [poisoned]).vectors)


def test_a_model_that_always_fails_ends_the_run_and_writes_nothing(store: KnowledgeStore) -> None:
    class Broken(WordEmbedder):
        def embed_passages(self, texts: Sequence[str]) -> Vectors:
            raise InferenceDiedError("The embedding process was killed.")

    with pytest.raises(ModelError):
        run(store, Broken())
    assert store.vectors.count(Broken().model) == 0


def test_nothing_is_embedded_on_battery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_POWER_EVERY_S", 0.0)
    plugged = [True]
    hold = PowerWatch(lambda: not plugged[0])
    assert hold() == ""
    plugged[0] = False
    assert hold() == ON_BATTERY


def test_a_computer_that_does_not_say_is_on_mains(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setattr(psutil, "sensors_battery", lambda: None, raising=False)
    assert not embedding.on_battery()
    monkeypatch.setattr(
        psutil, "sensors_battery", lambda: type("B", (), {"power_plugged": False})(), raising=False
    )
    assert embedding.on_battery()
    monkeypatch.delattr(psutil, "sensors_battery")
    assert not embedding.on_battery()
