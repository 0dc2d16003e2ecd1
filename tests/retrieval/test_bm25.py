"""BM25: the formula against values by hand, the whole index against two implementations that share nothing with it.

The first is `bm25s` (method "lucene"), the second the exhaustive loop below. After any history of additions, replacements,
removals and merges the index must be the one that a fresh build gives.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import bm25s
import numpy as np
import pytest

from ragchat.retrieval import bm25, index
from ragchat.retrieval.analyzer import length, query_terms, terms
from ragchat.retrieval.merge import read_list, slot_tables
from ragchat.retrieval.search import PLAIN, Searcher
from ragchat.retrieval.stopwords import stop_words
from ragchat.store.knowledge import KnowledgeStore
from tests.helpers.small_kb import put, take_out

# Skewed like a language: some words are everywhere, most are rare.
VOCABULARY = [
    f"{a}{b}" for a in ("ka", "lo", "mi", "ru", "ve", "zu") for b in ("ban", "dor", "fip", "gat", "nok")
]
WEIGHTS = [1 / rank for rank in range(1, len(VOCABULARY) + 1)]

Corpus = Mapping[str, Sequence[str]]
"""Path -> chunks."""


def test_idf_by_hand() -> None:
    assert bm25.idf(1, 1) == pytest.approx(math.log(4 / 3))
    assert bm25.idf(1, 10) == pytest.approx(math.log(1 + 9.5 / 1.5))
    assert bm25.idf(0, 10) == pytest.approx(math.log(22))
    assert bm25.idf(10, 10) > 0, "a word that is everywhere still counts for something"


def test_length_norm_by_hand() -> None:
    norm = bm25.length_norm(np.array([0, 5, 10, 20], np.uint16), 10.0, k1=1.5, b=0.6)
    assert norm.tolist() == pytest.approx([1.5 * 0.4, 1.5 * 0.7, 1.5, 1.5 * 1.6])
    assert norm.dtype == np.float32


def test_saturation_by_hand() -> None:
    tf = np.array([1, 3, 255], np.uint8)
    norm = np.full(3, 1.5, np.float32)
    assert bm25.saturation(tf, norm).tolist() == pytest.approx([0.4, 3 / 4.5, 255 / 256.5])


def test_one_search_by_hand(tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "a") as store:
        put(store, "1", "lamp lamp oil")
        put(store, "2", "oil")
        put(store, "3", "water water water water water")
        (first,) = Searcher([store]).search("lamp", 10, ranking=PLAIN).hits
    assert first.path == "1"
    norm = 1.5 * (1 - 0.6 + 0.6 * 3 / 3)  # 9 words in 3 chunks
    assert first.score == pytest.approx(math.log(1 + 2.5 / 1.5) * 2 / (2 + norm))


# --- against others -------------------------------------------------------------------------------------


def exhaustive(corpus: Corpus, query: Mapping[str, float]) -> dict[tuple[str, int], float]:
    """Scores above 0 by (path, ordinal), the plain way."""
    # The name of the file is searched as well; its words are not in the texts and do not count in lengths.
    chunks = {(path, i): terms(text) for path, texts in corpus.items() for i, text in enumerate(texts)}
    lengths = {key: length(found) for key, found in chunks.items()}
    average = max(1.0, sum(lengths.values()) / len(chunks)) if chunks else 1.0
    scores: dict[tuple[str, int], float] = {}
    for term, weight in query.items():
        df = sum(term in found for found in chunks.values())
        idf = math.log(1 + (len(chunks) - df + 0.5) / (df + 0.5))
        for key, found in chunks.items():
            if tf := found.count(term):
                share = tf / (tf + bm25.K1 * (1 - bm25.B + bm25.B * lengths[key] / average))
                scores[key] = scores.get(key, 0.0) + weight * idf * share
    return scores


def check_search(stores: Sequence[KnowledgeStore], corpus: Corpus, query: str, k: int = 10) -> None:
    """The best `k` of the stores are the best `k` of the corpus; chunks of equal score may change places."""
    expected = exhaustive(corpus, query_terms(query))
    hits = Searcher(stores).search(query, k, ranking=PLAIN).hits
    assert [hit.score for hit in hits] == pytest.approx(sorted(expected.values(), reverse=True)[:k], abs=1e-4)
    for hit in hits:
        assert hit.text == corpus[hit.path][hit.span.line_first - 1]
        assert expected[hit.path, hit.span.line_first - 1] == pytest.approx(hit.score, abs=1e-4)
    assert len({(hit.path, hit.span.line_first) for hit in hits}) == len(hits)


def texts(rng: random.Random, chunks: int) -> list[str]:
    return [" ".join(rng.choices(VOCABULARY, WEIGHTS, k=rng.randint(1, 40))) for _ in range(chunks)]


def queries(rng: random.Random, n: int) -> Iterable[str]:
    for _ in range(n):
        yield " ".join(rng.choices(VOCABULARY, k=rng.randint(1, 6)))


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_bm25s(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    corpus = {str(n): texts(rng, rng.randint(1, 5)) for n in range(60)}
    chunks = [(path, i) for path, found in corpus.items() for i in range(len(found))]
    reference = bm25s.BM25(method="lucene", k1=bm25.K1, b=bm25.B)
    # Lengths are the same on both sides: no word of these texts is a stop word.
    analysed = [terms(corpus[path][i]) for path, i in chunks]
    assert not stop_words("en") & {term for found in analysed for term in found}
    reference.index(analysed, show_progress=False)
    with KnowledgeStore.create(tmp_path, "a") as store:
        for path, found in corpus.items():
            put(store, path, *found)
            index.merge_segments(store, fan_out=5)
        for query in queries(rng, 25):
            asked = sorted(set(query_terms(query)) & {term for found in analysed for term in found})
            expected = np.sort(reference.get_scores(asked))[::-1]
            hits = Searcher([store]).search(" ".join(dict.fromkeys(query.split())), 10, ranking=PLAIN).hits
            assert [hit.score for hit in hits] == pytest.approx(
                expected[expected > 0][:10].tolist(), abs=1e-4
            )


@pytest.mark.parametrize("seed", range(8))
def test_any_history_leaves_the_index_of_a_fresh_build(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    fan_out = rng.choice([2, 3, 4])
    corpus: dict[str, list[str]] = {}
    with KnowledgeStore.create(tmp_path, "a") as store:
        for _step in range(60):
            path = str(rng.randint(0, 12))
            if path in corpus and rng.random() < 0.45:
                take_out(store, path)
                del corpus[path]
            else:
                corpus[path] = texts(rng, rng.choice([1, 1, 2, 5, 9]))
                put(store, path, *corpus[path])
            if rng.random() < 0.5:
                index.merge_segments(store, fan_out=fan_out)
            check_index(store, corpus)
            for query in queries(rng, 2):
                check_search([store], corpus, query, k=rng.choice([1, 3, 10, 1000]))
        assert index.merge_segments(store, fan_out=2) >= 0
        check_index(store, corpus)
        for path in list(corpus):
            take_out(store, path)
        assert (store.statistics().chunk_count, store.statistics().total_length) == (0, 0)
        assert store.index.segments() == []
        assert store.index.tombstones() == []


def check_index(store: KnowledgeStore, corpus: Corpus) -> None:
    """Counts, document frequencies and every posting of a live chunk are those of the texts."""
    analysed = [terms(text) for found in corpus.values() for text in found]
    dfs = Counter(term for found in analysed for term in set(found))
    statistics = store.statistics()
    assert statistics.chunk_count == len(analysed)
    assert statistics.total_length == sum(map(length, analysed))
    assert store.index.dfs([*VOCABULARY, "elsewhere"]) == dfs
    dead = set(store.index.tombstones())
    tables = {segment.id: (segment, *slot_tables(store, segment)) for segment in store.index.segments()}
    found_terms: dict[int, dict[str, int]] = {}
    for row in store.index.lists(VOCABULARY):
        segment, _, chunk_ids = tables[row.segment_id]
        for slot, tf in zip(*read_list(store, segment, row.entries, row.df), strict=True):
            if (number := int(chunk_ids[slot])) not in dead:
                found_terms.setdefault(number, {})[row.term] = int(tf)
    for _, lengths, chunk_ids in tables.values():
        for number, held in zip(chunk_ids.tolist(), lengths.tolist(), strict=True):
            if number in found_terms:
                assert held == sum(found_terms[number].values())
    as_set = sorted(sorted(found.items()) for found in found_terms.values())
    assert as_set == sorted(sorted(Counter(found).items()) for found in analysed)
    for left, right in pairwise(store.index.segments()):
        assert left.last_chunk < right.first_chunk, "segments overlap"


def test_removing_two_documents_of_a_merged_segment_leaves_the_third(tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "a") as store:
        for name in ("lamp", "oil", "water"):
            put(store, name, *[f"{name} {name}"] * 3)
        index.merge_segments(store, fan_out=3)
        take_out(store, "lamp")
        take_out(store, "oil")
        assert {hit.path for hit in Searcher([store]).search("water", 10).hits} == {"water"}
        assert not Searcher([store]).search("lamp oil", 10).hits


@pytest.mark.parametrize("seed", range(3))
def test_several_knowledge_bases_are_searched_as_one(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    corpus = {str(n): texts(rng, rng.randint(1, 4)) for n in range(40)}
    stores = [KnowledgeStore.create(tmp_path, name) for name in ("a", "b", "empty", "c")]
    for path, found in corpus.items():
        put(stores[rng.choice([0, 1, 1, 3])], path, *found)
    for query in queries(rng, 20):
        check_search(stores, corpus, query)
    for store in stores:
        store.close()
