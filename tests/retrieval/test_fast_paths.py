"""What is done fast gives what the plain way gives, to the last bit."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragchat.retrieval import evidence, forms, index, merge, slots
from ragchat.retrieval.analyzer import query_words, terms, token_terms, tokens
from ragchat.retrieval.postings import Bound, LongList, Postings, encode, ranges_in, renumbered
from ragchat.retrieval.search import Searcher
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, Span

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst"]


def drafts(texts: list[str], heading: str = "") -> list[ChunkDraft]:
    return [ChunkDraft(text, heading, Span(0, len(text), i, i)) for i, text in enumerate(texts, 1)]


def stored(store: KnowledgeStore) -> list[object]:
    """All that stands in the lists, whatever their segment is called."""
    (segment,) = store.index.segments()
    lists = store.index.lists_after(segment.id, "", 1_000_000)
    blocks = store.index.blocks((segment.id, number) for number in range(1_000))
    return [lists, blocks, segment.bound, *store.index.segment_chunks(segment.id)]


def test_processes_merge_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_BATCH_CHUNKS", 500)
    rng = random.Random(1)
    weights = [1 / rank for rank in range(1, len(WORDS) + 1)]
    documents = [
        (
            FileRecord(f"/{n}.", 1, 1),
            drafts([f"{' '.join(rng.choices(WORDS, weights, k=20))} id{n}_{i}" for i in range(100)]),
        )
        for n in range(60)
    ]
    found: list[Any] = []
    for workers in (0, 2):
        with KnowledgeStore.create(tmp_path, f"with{workers}") as store:
            assert index.build(store, documents, workers=workers) == 6_000
            found.append(stored(store))
    assert found[0] == found[1]
    assert any(row[2][0] >= 128 for row in found[0][0]), "long lists are among them"


def test_a_stretch_of_terms_is_that_of_the_whole(tmp_path: Path) -> None:
    rng = random.Random(2)
    with KnowledgeStore.create(tmp_path, "a") as store:
        for n in range(5):
            index.write_document(store, FileRecord(f"/{n}.", 1, 1), drafts([" ".join(rng.sample(WORDS, 90))]))
        old = store.index.segments()
        whole = [row for rows in merge._rows(store, old) for row in rows]
        cuts = store.index.parted(old[0].id, 4)
        assert len(cuts) == 4
        assert cuts == sorted(cuts)
        parts = [
            row
            for after, last in pairwise(["", *cuts[:-1], None])
            for rows in merge._rows(store, old, after or "", last)
            for row in rows
        ]
        assert parts == whole


@pytest.mark.parametrize("size", [3_000, 9_000])
def test_blocks_are_numbered_afterwards_as_they_would_have_been(size: int) -> None:
    rng = np.random.default_rng(3)
    held = [np.flatnonzero(rng.random(size) < share).astype(np.int32) for share in (0.001, 0.4, 0.2, 0.95)]
    postings = Postings(
        ["a", "b", "c", "d"],
        np.array([own.size for own in held]),
        np.concatenate(held),
        rng.integers(1, 7, sum(own.size for own in held)).astype(np.uint8),
    )
    lengths, bound = np.full(size, 30, np.uint16), Bound(1.5, 0.6, 30.0)
    lists, blocks = encode(postings, lengths, bound, 70_000)
    first, same_blocks = encode(postings, lengths, bound)
    assert (renumbered(first, 70_000), same_blocks) == (lists, blocks)
    assert renumbered(first, 0) == first
    assert first != lists


def test_cells_of_a_long_list_are_those_of_its_slots() -> None:
    rng = np.random.default_rng(4)
    size = 60_000
    held = np.flatnonzero(rng.random(size) < 0.5).astype(np.int32)
    tfs = rng.integers(1, 9, held.size).astype(np.uint8)
    ((_, df, entries),), blocks = encode(
        Postings(["a"], np.array([held.size]), held, tfs), np.full(size, 9, np.uint16), Bound(1.5, 0.6, 9.0)
    )
    long_list = LongList(entries, df, size)
    ranges = np.flatnonzero(rng.random(ranges_in(size)) < 0.3)
    missing = long_list.missing(ranges)
    assert missing.size > 2
    long_list.fill(missing, [blocks[number] for number in missing])
    assert not long_list.missing(ranges).size
    expected, places = long_list.read(ranges)
    cells, low, same_places = long_list.read_cells(ranges)
    assert expected.tolist() == (cells.astype(np.int64) * 32 + (low & 31)).tolist()
    assert places.tolist() == same_places.tolist()
    assert expected.tolist() == held[np.isin(held >> 8, ranges)].tolist()
    assert long_list.frequencies(places).tolist() == tfs[np.isin(held >> 8, ranges)].tolist()


def test_lists_decoded_together_are_those_decoded_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    held = [np.unique(rng.integers(0, 5_000, n)).astype(np.int32) for n in rng.integers(1, 1_500, 60)]
    postings = Postings(
        [f"{i:02}" for i in range(60)],
        np.array([own.size for own in held]),
        np.concatenate(held),
        rng.integers(1, 6, sum(own.size for own in held)).astype(np.uint8),
    )
    lists, _ = encode(postings, np.full(5_000, 30, np.uint16), Bound(1.5, 0.6, 30.0))
    inline = [(5_120 * i, df, entries) for i, (_, df, entries) in enumerate(lists) if entries[0] < 64]
    given = [inline[:1], [], inline[1:20], inline[20:]]
    together = slots._decoded(given)
    monkeypatch.setattr(slots, "_FEW", 1_000)
    alone = slots._decoded(given)
    assert [(a.tolist(), b.tolist()) for a, b in together] == [(a.tolist(), b.tolist()) for a, b in alone]
    assert together[1][0].size == 0


def test_what_a_search_has_decoded_it_uses_again(tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "a") as store:
        index.write_document(store, FileRecord("/a.", 1, 1), drafts(["lamp oil wick", "oil pump"]))
        with store.reading():
            space = slots.SlotSpace([store])
            rows, formula = store.index.lists(["lamp", "oil"]), (1.5, 0.6, 3.0)
            first = space.query_terms([("oil", 1.0), ("lamp", 2.0)], [rows], [store], formula)
            more = [*rows, *store.index.lists(["pump"])]
            second = space.query_terms([("oil", 0.5), ("pump", 1.0)], [more], [store], formula)
            assert second[0].slots is first[0].slots
            assert (second[0].weight, second[1].slots.tolist()) == (0.5, [1])
            others = store.index.lists(["oil"])  # another state of the index may have other lists
            third = space.query_terms([("oil", 0.5)], [others], [store], formula)
            assert third[0].slots is not first[0].slots
            again = space.query_terms([("oil", 0.5)], [others], [store], (1.5, 0.6, 4.0))
            assert again[0].slots is not third[0].slots


def test_sentences_score_as_with_all_their_words_counted() -> None:
    from rank_bm25 import BM25Plus

    sentences = ["The lamp burns oil.", "Oil and oil and lamps.", "", "Trim the wick.", "# Oil"]
    asked = {"oil", "lamp", "wick"}
    analysed = [terms(sentence) for sentence in sentences]
    plain = BM25Plus([found or [""] for found in analysed]).get_scores(list(asked))
    expected = [
        float(score) * (0.3 if sentence.startswith("#") else 1.0) if asked & set(found) else 0.0
        for sentence, score, found in zip(sentences, plain, analysed, strict=True)
    ]
    assert evidence._scores(asked, sentences, ["en"] * len(sentences)) == expected


def test_the_most_similar_term_is_found_without_comparing_all() -> None:
    held = ["boundary", "boundari", "layer", "bound", "pressures", "x", "1234"]
    missing = {"boundaries": 2.0, "pressure": 1.0, "zeppelin": 5.0}
    expected = sum(
        weight * best
        for term, weight in missing.items()
        if (best := max(forms.similarity(term, other) for other in held)) >= forms.LEAST_SIMILAR
    )
    assert forms.near(missing, held) == pytest.approx(expected, abs=0)
    assert expected > 0


def test_terms_of_a_text_are_those_of_its_tokens() -> None:
    text = "Der Paketdienst schickt os.path.join und " + "x" * 300
    for language in ("en", "de"):
        assert terms(text, language) == [
            term for token in tokens(text) for term in token_terms(token, language)
        ]


def test_the_words_of_a_query_can_be_changed() -> None:
    query_words("lamp oil", ["en"]).clear()
    assert [word.word for word in query_words("lamp oil", ["en"])] == ["lamp", "oil"]


def test_only_the_section_of_a_chunk_is_around_it(tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "a") as store:
        chunks = [*drafts(["a0", "a1", "a2", "a3"], "A"), *drafts(["b4", "b5"], "B"), *drafts(["c6"])]
        index.write_document(store, FileRecord("/a.", 1, 1), chunks)
        ids = [hit.chunk_id for hit in store.chunks_of(1)]

        def around(*places: int, reach: int = 4) -> list[str]:
            return [hit.text for hit in store.around([ids[i] for i in places], reach)]

        assert around(1) == ["a0", "a1", "a2", "a3"]
        assert around(1, reach=1) == ["a0", "a1", "a2"]
        assert around(4) == ["b4", "b5"]
        assert around(6) == ["c6"]
        assert around(1, 2, reach=1) == ["a0", "a1", "a2", "a3"]
        hit = Searcher([store]).search("b5", 1).hits[0]
        assert (hit.heading, hit.content_hash, hit.language) == ("B", "", "en")
