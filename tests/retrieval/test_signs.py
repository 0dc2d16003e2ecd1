"""The signs of vectors: counted rightly, kept up to date, and enough to find what an exact search finds."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.retrieval import signs as looking
from ragchat.retrieval import vectors
from ragchat.retrieval.signs import Signs, distances, likely, signs, width
from ragchat.retrieval.vectors import Floats, MeaningIndex, inverse_lengths, nearest, quantise
from ragchat.store.knowledge import KnowledgeStore
from tests.helpers.embedders import WordEmbedder
from tests.helpers.small_kb import put, take_out


def unit(rows: int, dimensions: int, seed: int = 0) -> Floats:
    made: Floats = np.random.default_rng(seed).standard_normal((rows, dimensions)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


@given(st.integers(0, 50), st.integers(1, 200), st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_distances_are_the_weights_of_the_dimensions_whose_signs_differ(
    rows: int, dimensions: int, n: int
) -> None:
    passages, query = quantise(unit(rows, dimensions)), unit(1, dimensions, seed=2)[0]
    sizes = np.abs(query)
    weights = np.clip(np.rint(3 * sizes / np.quantile(sizes, 0.98)), 0, 3).astype(int)
    expected = (((passages > 0) != (query > 0)) * weights).sum(axis=1)
    of = signs(passages)
    assert of.shape == (width(dimensions), rows)
    assert distances(query, of).tolist() == expected.tolist()
    places = likely(query, of, n).tolist()
    assert len(places) >= min(n, rows)
    assert places == sorted(places)
    assert set(np.argsort(expected, kind="stable")[:n].tolist()) <= set(places)


def test_distances_of_more_than_a_block_and_of_many_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    passages, query = quantise(unit(40, 4096)), unit(1, 4096, seed=1)[0]
    whole = distances(query, signs(passages))
    monkeypatch.setattr(looking, "_BLOCK", 7)
    assert distances(query, signs(passages)).tolist() == whole.tolist()
    assert Signs(4096).of(passages).tolist() == signs(passages).tolist()


@pytest.mark.parametrize("query", [np.zeros(384, np.float32), np.eye(1, 384, dtype=np.float32)[0]])
def test_a_question_without_direction_still_finds_the_nearest(query: Floats) -> None:
    passages = quantise(unit(9000, 384))
    places, cosines = nearest(query, passages, 5, bits=signs(passages))
    exact = nearest(query, passages, 5)
    assert places.tolist() == exact[0].tolist()
    assert cosines.tolist() == exact[1].tolist()


def test_signs_find_nearly_all_of_the_nearest_and_never_a_wrong_cosine() -> None:
    centres = unit(200, 384)
    passages = quantise(np.repeat(centres, 100, axis=0) + 0.8 * unit(20_000, 384, seed=1))
    bits, inverse, shares = signs(passages), inverse_lengths(passages), []
    for query in centres[:30] + 0.5 * unit(30, 384, seed=2):
        query /= np.linalg.norm(query)
        exact, values = nearest(query, passages, 50, inverse)
        places, found = nearest(query, passages, 50, inverse, bits)
        shares.append(np.isin(exact, places).mean())
        known = dict(zip(exact.tolist(), values.tolist(), strict=True))
        for place, cosine in zip(places.tolist(), found.tolist(), strict=True):
            assert cosine == pytest.approx(known.get(place, cosine), abs=1e-6)
        assert (np.diff(found) <= 0).all()
    assert np.mean(shares) > 0.99


def test_few_vectors_are_compared_without_their_signs(tmp_path: Path) -> None:
    words = WordEmbedder()
    with KnowledgeStore.create(tmp_path, "a") as store:
        put(store, "/d/a.txt", "red stone", "blue stone")
        store.vectors.write(words.model, [1, 2], quantise(words.embed_passages(["red stone", "blue stone"])))
        index = MeaningIndex([store], words.model)
        index.nearest(words.embed_query("red"), 2)
        loaded = index._loaded[0]
        assert loaded
        assert loaded.bits is None
        assert loaded._signs.size_bytes == 0


def test_signs_follow_the_vectors_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "EXACT_UP_TO", 0)
    words, dice = WordEmbedder(), random.Random(3)
    query = words.embed_query("a b c")
    with KnowledgeStore.create(tmp_path, "a") as store:
        kept = MeaningIndex([store], words.model)
        paths: list[str] = []
        for step in range(60):
            if len(paths) > 4 and dice.random() < 0.3:
                take_out(store, paths.pop(dice.randrange(len(paths))))
            else:
                paths.append(f"/d/{step}.txt")
                put(store, paths[-1], *(" ".join(dice.choices("abcdef", k=4)) for _ in range(3)))
                missing = store.vectors.missing_ids(words.model)
                texts = [one.text for one in store.vectors.texts(missing)]
                store.vectors.write(words.model, missing, quantise(words.embed_passages(texts)))
            assert kept.nearest(query, 500) == MeaningIndex([store], words.model).nearest(query, 500)
            loaded = kept._loaded[0]
            assert loaded
            assert loaded.bits is not None
            assert loaded.bits.tolist() == signs(loaded.vectors).tolist()
