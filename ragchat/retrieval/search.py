"""From a query to hits, over one or several knowledge bases as if they were one.

Document frequencies, counts and lengths are added up over the knowledge bases, so scores compare. Scoring is exhaustive:
every posting of every query term is read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ragchat.retrieval import bm25, evidence, postings
from ragchat.retrieval.analyzer import query_terms, terms
from ragchat.store.knowledge import IndexStatistics, KnowledgeStore, Segment, indexed_text
from ragchat.types import Hit


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first. `match` is the share of the query's weight (idf) that the best covered hit holds, 0 to 1."""

    hits: tuple[Hit, ...]
    match: float
    took_s: float


class Searcher:
    """Searches some knowledge bases. Belongs to the thread that opened them; keeps chunk lengths between searches."""

    def __init__(self, stores: Sequence[KnowledgeStore]) -> None:
        self._stores = tuple(stores)
        self._lengths: dict[KnowledgeStore, tuple[tuple[int, int], list[_SegmentLengths]]] = {}

    def search(
        self,
        query: str,
        k: int,
        *,
        weights: Mapping[str, float] | None = None,
        follow_up: bool = False,
        with_evidence: bool = True,
    ) -> SearchResult:
        """The `k` best chunks. `weights` are further terms with a weight below 1 (the topic of earlier turns).

        Chunks that hold no query term are never returned. For a follow-up the further terms count in `match` as well.
        """
        started = time.perf_counter()
        asked = query_terms(query)
        wanted: dict[str, float] = {term: float(count) for term, count in asked.items()}
        for term, weight in (weights or {}).items():
            wanted.setdefault(term, weight)
        hits, term_idf = self._score(wanted, k)
        if with_evidence and hits:
            hits = evidence.mark(query, hits)
        weighed = wanted if follow_up else {term: wanted[term] for term in asked}
        return SearchResult(tuple(hits), _match(weighed, term_idf, hits), time.perf_counter() - started)

    def _score(self, wanted: Mapping[str, float], k: int) -> tuple[list[Hit], dict[str, float]]:
        if not wanted or k < 1:
            return [], {}
        names = list(wanted)
        statistics: list[IndexStatistics] = []
        found: list[dict[str, tuple[int, int]]] = []
        for store in self._stores:
            with store.reading():
                statistics.append(store.statistics())
                found.append(store.term_dfs(names))
        n = sum(s.chunk_count for s in statistics)
        if not n:
            return [], {}
        avgdl = max(1.0, sum(s.total_length for s in statistics) / n)
        term_idf = {name: bm25.idf(sum(dfs[name][1] for dfs in found if name in dfs), n) for name in names}
        candidates: list[tuple[float, int, int]] = []
        for number, (store, dfs) in enumerate(zip(self._stores, found, strict=True)):
            weights = {dfs[name][0]: wanted[name] * term_idf[name] for name in names if name in dfs}
            candidates += [
                (score, number, chunk) for chunk, score in self._top_chunks(store, weights, avgdl, k)
            ]
        # Ties go to the chunk that was indexed first, so that the same question has the same answer.
        candidates.sort(key=lambda c: (-c[0], c[1], c[2]))
        hits: list[Hit] = []
        rank_of = {(number, chunk): rank for rank, (_, number, chunk) in enumerate(candidates[:k], 1)}
        for number, store in enumerate(self._stores):
            scored = [(chunk, score) for score, owner, chunk in candidates[:k] if owner == number]
            if scored:
                hits += [replace(hit, rank=rank_of[number, hit.chunk_id]) for hit in store.hits(scored)]
        hits.sort(key=lambda hit: hit.rank)
        return [replace(hit, rank=rank) for rank, hit in enumerate(hits, 1)], term_idf

    def _top_chunks(
        self, store: KnowledgeStore, weights: Mapping[int, float], avgdl: float, k: int
    ) -> list[tuple[int, float]]:
        if not weights:
            return []
        with store.reading():
            segments = {segment.id: segment for segment in self._segment_lengths(store)}
            rows = store.postings(list(weights))
            dead = np.array(store.tombstones(), np.int64)
        # Always added up in the order of the query: equal chunks have equal scores to the last bit, in all knowledge bases.
        order = {term_id: position for position, term_id in enumerate(weights)}
        rows.sort(key=lambda row: order[row.term_id])
        scores: dict[int, NDArray[np.float32]] = {}
        for row in rows:
            segment = segments[row.segment_id]
            chunks, tfs = postings.decode(row.entries, row.df)
            if row.segment_id not in scores:
                scores[row.segment_id] = np.zeros(segment.lengths.size, np.float32)
            norm = bm25.length_norm(segment.lengths[chunks], avgdl)
            scores[row.segment_id][chunks] += np.float32(weights[row.term_id]) * bm25.saturation(tfs, norm)
        best: list[tuple[int, float]] = []
        for segment_id, score in scores.items():
            first = segments[segment_id].first_chunk
            if dead.size:
                inside = dead[(dead >= first) & (dead < first + score.size)] - first
                score[inside] = 0
            best += [(first + int(i), float(score[i])) for i in _top(score, k)]
        best.sort(key=lambda pair: (-pair[1], pair[0]))
        return best[:k]

    def _segment_lengths(self, store: KnowledgeStore) -> list[_SegmentLengths]:
        version = store.data_version()
        cached = self._lengths.get(store)
        if cached is None or cached[0] != version:
            cached = (version, [_SegmentLengths.of(segment) for segment in store.segments()])
            self._lengths[store] = cached
        return cached[1]


@dataclass(frozen=True, slots=True)
class _SegmentLengths:
    id: int
    first_chunk: int
    lengths: NDArray[np.uint16]

    @classmethod
    def of(cls, segment: Segment) -> _SegmentLengths:
        return cls(segment.id, segment.first_chunk, np.frombuffer(segment.lengths, "<u2"))


def _top(score: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Positions of the k highest scores above 0; of equal scores at the border the first ones."""
    if score.size > k:
        border = np.partition(score, score.size - k)[score.size - k]
        above = np.flatnonzero(score > max(border, 0))
        at = np.flatnonzero(score == border) if border > 0 else np.empty(0, np.intp)
        return np.concatenate([above, at[: k - above.size]])
    return np.flatnonzero(score > 0)


def _match(weighed: Mapping[str, float], term_idf: Mapping[str, float], hits: Sequence[Hit]) -> float:
    """Largest share of the query's weight (weight times idf) that one of the first hits holds."""
    worth = {term: weight * term_idf.get(term, 0.0) for term, weight in weighed.items()}
    total = sum(worth.values())
    if not total or not hits:
        return 0.0
    held = (set(terms(indexed_text(hit.heading, hit.text))) for hit in hits[:3])
    return max(sum(value for term, value in worth.items() if term in found) / total for found in held)
