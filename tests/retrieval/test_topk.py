"""Pruning is exact: the best slots and their scores are those of adding up everything, to the last bit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.retrieval import bm25, index, postings
from ragchat.retrieval.merge import merge_all
from ragchat.retrieval.search import PLAIN, Searcher
from ragchat.retrieval.topk import LongPart, QueryTerm, best_slots
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, Span

AVGDL = 20.0


def query_term(
    rng: np.random.Generator, lengths: np.ndarray, share: float, bound: postings.Bound
) -> tuple[QueryTerm, np.ndarray, np.ndarray]:
    slots = np.flatnonzero(rng.random(lengths.size) < share).astype(np.int32)
    if not slots.size:
        slots = rng.integers(0, lengths.size, 1).astype(np.int32)
    tfs = np.minimum(rng.geometric(0.5, slots.size), 255).astype(np.uint8)
    made = postings.Postings(["t"], np.array([slots.size]), slots, tfs)
    ((_, df, entries),), blocks = postings.encode(made, lengths, bound)
    weight = float(rng.random() * 5 + 0.01)
    if not postings.is_long(entries):
        return QueryTerm(weight, slots.astype(np.int64), tfs, []), slots, tfs
    part = LongPart(
        postings.LongList(entries, df, lengths.size),
        0,
        bound.stretch(bm25.K1, bm25.B, AVGDL),
        lambda numbers: [blocks[number] for number in numbers.tolist()],
    )
    return QueryTerm(weight, np.empty(0, np.int64), np.empty(0, np.uint8), [part]), slots, tfs


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([256, 5120, 102_400]),
    st.lists(st.sampled_from([0.0002, 0.003, 0.03, 0.2, 0.6]), min_size=1, max_size=6),
    st.integers(1, 60),
    st.sampled_from([5.0, 20.0, 40.0]),
)
@settings(max_examples=80, deadline=None)
def test_the_best_are_those_of_the_whole(
    seed: int, size: int, shares: list[float], k: int, built_for: float
) -> None:
    """Also when bounds were computed for another average length."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 60, size).astype(np.uint16)
    bound = postings.Bound(bm25.K1, bm25.B, built_for)
    dead = np.flatnonzero(rng.random(size) < 0.02)
    made = [query_term(rng, lengths, share, bound) for share in shares]
    expected = np.zeros(size, np.float32)
    for term, slots, tfs in made:
        norm = bm25.length_norm(lengths[slots], AVGDL)
        expected[slots] += np.float32(term.weight) * bm25.saturation(tfs, norm)
    expected[dead] = 0
    order = np.lexsort((np.arange(size), -expected))[:k]
    order = order[expected[order] > 0]
    slots_found, scores = best_slots(
        [term for term, _, _ in made], lengths, dead, k, avgdl=AVGDL, k1=bm25.K1, b=bm25.B
    )
    assert slots_found.tolist() == order.tolist()
    assert scores.tolist() == expected[order].tolist(), "to the last bit"


@pytest.mark.parametrize("seed", range(3))
def test_a_large_index_answers_as_bm25s_does(tmp_path: Path, seed: int) -> None:
    """Large enough for long lists; built whole, then changed, then merged."""
    rng = random.Random(seed)
    words = [f"{a}{b}" for a in "bcdfghklmn" for b in ("ab", "el", "ik", "om", "ur")]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    documents = [
        [" ".join(rng.choices(words, weights, k=rng.randint(5, 40))) for _ in range(rng.randint(1, 60))]
        for _ in range(400)
    ]
    live: dict[int, list[str]] = {}
    with KnowledgeStore.create(tmp_path, "a") as store:
        drafted = [(FileRecord(f"/{n}.", 1, 1), drafts(texts)) for n, texts in enumerate(documents)]
        index.build(store, drafted[:300], workers=0)
        index.write_documents(store, drafted[300:350])
        for file, chunks in drafted[350:]:
            index.write_document(store, file, chunks)
            index.merge_segments(store)
        live = dict(enumerate(documents))
        for n in rng.sample(range(400), 60):
            found = store.document_at(f"/{n}.")
            assert found
            index.remove_document(store, found.id)
            del live[n]
        check_against_bm25s(store, live, rng, words)
        merge_all(store)
        assert len(store.index.segments()) == 1
        check_against_bm25s(store, live, rng, words)
        assert store.check() == "ok"


def drafts(texts: list[str]) -> list[ChunkDraft]:
    return [ChunkDraft(text, "", Span(0, len(text), i, i)) for i, text in enumerate(texts, 1)]


def check_against_bm25s(
    store: KnowledgeStore, live: dict[int, list[str]], rng: random.Random, words: list[str]
) -> None:
    texts = [text for chunks in live.values() for text in chunks]
    reference = bm25s.BM25(method="lucene", k1=bm25.K1, b=bm25.B)
    reference.index([text.split() for text in texts], show_progress=False)
    searcher = Searcher([store])
    for _ in range(25):
        query = rng.sample(words, rng.randint(1, 6))
        expected = np.sort(reference.get_scores(query))[::-1][:10]
        hits = searcher.search(" ".join(query), 10, with_evidence=False, ranking=PLAIN).hits
        assert [hit.score for hit in hits] == pytest.approx(expected.tolist(), abs=1e-4)
        whole = searcher.search(
            " ".join(query), 10, with_evidence=False, ranking=replace(PLAIN, exhaustive=True)
        ).hits
        assert [(hit.chunk_id, hit.score) for hit in hits] == [(hit.chunk_id, hit.score) for hit in whole]
