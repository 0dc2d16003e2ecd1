"""Merging while others write: nothing is lost, nobody's lists are deleted under him, and who dies is cleared away."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ragchat.retrieval import index, merge
from ragchat.retrieval.check import wrong_segments
from ragchat.retrieval.search import PLAIN, Searcher
from ragchat.store.knowledge import KnowledgeStore
from tests.helpers.small_kb import put, take_out


@pytest.fixture
def many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merges of many short transactions, even for small segments."""
    monkeypatch.setattr(merge, "_SMALL", 0)
    monkeypatch.setattr(merge, "_ROWS_AT_ONCE", 20)


def fill(store: KnowledgeStore, documents: int, *, first: int = 0) -> None:
    rng = random.Random(first)
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]
    for n in range(first, first + documents):
        put(store, f"/{n}.", *[" ".join(rng.choices(words, k=12)) for _ in range(5)])


def during(monkeypatch: pytest.MonkeyPatch, act: object) -> None:
    """Call `act` in the middle of the next merge."""
    plain, calls = merge._merged, iter(range(10_000))

    def merged(*given: object) -> object:
        if next(calls) == 0:
            act()  # type: ignore[operator]
        return plain(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(merge, "_merged", merged)


def sound(store: KnowledgeStore, documents: set[str]) -> None:
    assert {document.path for document in store.documents()} == documents
    assert wrong_segments(store) == []
    assert store.check() == "ok"
    assert store.statistics().chunk_count == 5 * len(documents)
    searcher = Searcher([store])
    found = {hit.path for hit in searcher.search("bal dem fin gor kut", 500, ranking=PLAIN).hits}
    assert found <= documents


@pytest.mark.usefixtures("many_steps")
def test_what_is_removed_and_added_during_a_merge_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with KnowledgeStore.create(tmp_path, "a") as store, KnowledgeStore.open(tmp_path, "a") as other:
        fill(store, 64)
        index.merge_segments(store)  # one segment, in which one document may go
        fill(store, 7, first=64)

        def act() -> None:
            take_out(other, "/3.")
            put(other, "/new.", *["amber birch cedar"] * 5)

        during(monkeypatch, act)
        assert merge.merge(store, store.index.segments())
        sound(store, {*(f"/{n}." for n in range(71) if n != 3), "/new."})


@pytest.mark.usefixtures("many_steps")
def test_a_segment_that_is_emptied_during_a_merge_ends_it_without_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KnowledgeStore.create(tmp_path, "a") as store, KnowledgeStore.open(tmp_path, "a") as other:
        fill(store, 8)

        def act() -> None:
            take_out(other, "/0.")  # a whole segment
            index.merge_segments(other)  # sweeps nothing: somebody may still read it

        during(monkeypatch, act)
        index.merge_segments(store)
        index.merge_segments(store)
        sound(store, {f"/{n}." for n in range(1, 8)})
        assert not store.index.garbage()
        assert not store.index.is_merging()


@pytest.mark.usefixtures("many_steps")
def test_an_error_in_a_merge_leaves_nothing_half_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KnowledgeStore.create(tmp_path, "a") as store:
        fill(store, 8)

        def act() -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            during(patched, act)
            with pytest.raises(KeyboardInterrupt):
                index.merge_segments(store)
        assert not store.index.is_merging()
        assert len(store.index.segments()) == 8
        assert index.merge_segments(store) == 1
        sound(store, {f"/{n}." for n in range(8)})
        assert not store.index.garbage()


@pytest.mark.usefixtures("many_steps")
def test_two_do_not_merge_at_once_and_who_died_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KnowledgeStore.create(tmp_path, "a") as store, KnowledgeStore.open(tmp_path, "a") as other:
        fill(store, 8)
        assert merge._begin(store, store.index.segments()), "and then its process dies"
        assert index.merge_segments(other) == 0
        monkeypatch.setattr(merge, "_ABANDONED_AFTER_S", -1.0)
        assert index.merge_segments(other) == 1
        sound(other, {f"/{n}." for n in range(8)})
        assert not other.index.garbage()
