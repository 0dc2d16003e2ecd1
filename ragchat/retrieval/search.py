"""From a query to hits, over one or several knowledge bases as if they were one.

Document frequencies, counts and lengths are added up over the knowledge bases, so scores compare. BM25 finds the candidates,
exactly; what ranks them better than BM25 alone (`Ranking`) looks at the first of them again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ragchat.retrieval import bm25, diversity, evidence, feedback, index, rerank
from ragchat.retrieval.analyzer import query_terms, terms, token_terms, tokens
from ragchat.retrieval.confidence import confidence, reachable
from ragchat.retrieval.rerank import Analysed, Candidate
from ragchat.retrieval.slots import SlotSpace
from ragchat.retrieval.topk import best_slots
from ragchat.store.inverted import PostingsRow
from ragchat.store.knowledge import IndexStatistics, KnowledgeStore, file_stem, indexed_text
from ragchat.types import Hit


@dataclass(frozen=True, slots=True)
class Ranking:
    """What is done besides BM25; each part was measured (benchmarks/ablation.py).

    `most_per_document` 0: any number. `exhaustive` scores everything, for tests. Parts of `rerank`: proximity, forms, agreement.
    """

    k1: float = bm25.K1
    b: float = bm25.B
    proximity: bool = True
    forms: bool = True
    agreement: bool = True
    feedback: bool = True
    most_per_document: int = 0
    drop_near_duplicates: bool = True
    exhaustive: bool = False

    @property
    def reranks(self) -> bool:
        return self.proximity or self.forms or self.agreement


PLAIN = Ranking(proximity=False, forms=False, agreement=False, feedback=False, drop_near_duplicates=False)
"""BM25 alone."""
DEFAULT = Ranking()
_MOST_COMPARED = 200
_SHORTEST_BEGINNING = 4
"""Characters of a word that is taken for the beginning of others when no chunk holds it: "postgres" of PostgreSQL."""
_MOST_KNOWN_BESIDE = 1
_MOST_LOOKED_AT = 200
_MOST_COMPLETIONS = 4
_COMPLETION = 0.7
"""The weight of a word that begins with one that was asked for."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first.

    `match` is the share of the query's weight (idf) that the best covered hit holds, `confidence` how sure it is that the
    documents speak of what was asked for, both 0 to 1 (`match` 0 when no evidence was wanted). `unknown` are terms of the query
    that are in no document; `hidden` candidates were left out as near-duplicates of a hit.
    """

    hits: tuple[Hit, ...]
    match: float
    took_s: float
    confidence: float = 0.0
    unknown: tuple[str, ...] = ()
    hidden: int = 0
    outdated: tuple[str, ...] = ()
    """Knowledge bases that another version of the analysis indexed: a sync builds them anew."""


@dataclass(frozen=True, slots=True)
class _Scored:
    """(number of the knowledge base, chunk number, BM25) best first; idf of each term asked for; terms that no chunk holds;
    the lists that were read, of each knowledge base; the idf of a word of one chunk.
    """

    places: Sequence[tuple[int, int, float]] = ()
    idf: Mapping[str, float] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    rows: Sequence[Sequence[PostingsRow]] = ()
    rarest: float = 0.0


class Searcher:
    """Searches some knowledge bases. Belongs to the thread that opened them; keeps chunk lengths between searches."""

    def __init__(self, stores: Sequence[KnowledgeStore]) -> None:
        self._stores = tuple(stores)
        self._version: tuple[tuple[int, int], ...] = ()
        self._space: SlotSpace | None = None
        self._languages: tuple[str, ...] = ("en",)
        self._outdated: tuple[str, ...] = ()

    def search(
        self,
        query: str,
        k: int,
        *,
        weights: Mapping[str, float] | None = None,
        follow_up: bool = False,
        with_evidence: bool = True,
        ranking: Ranking = DEFAULT,
        fill: bool = False,
    ) -> SearchResult:
        """The `k` best chunks. `weights` are further terms with a weight below 1 (the topic of earlier turns).

        `fill` puts near-duplicates behind all others where there is room for them, instead of leaving them out.

        A word that no chunk holds stands for the longer words that begin with it, at a lower weight; chunks that hold neither are
        never returned. For a follow-up the further terms count in `match` as well.
        Raises StorageError.
        """
        started = time.perf_counter()
        with contextlib.ExitStack() as stack:
            if any(store.is_writing for store in self._stores):
                stack.callback(self._forget)
            for store in self._stores:
                stack.enter_context(store.reading())
            self._refresh()
            asked = query_terms(query, self._languages)
            wanted: dict[str, float] = {term: float(count) for term, count in asked.items()}
            for term, weight in (*(weights or {}).items(), *self._completions(query, asked).items()):
                wanted.setdefault(term, weight)
            hits, hidden, scored = self._ranked(query, wanted, k, ranking, fill=fill)
        if with_evidence and hits:
            hits = evidence.mark(query, hits)
        weighed = wanted if follow_up else {term: wanted[term] for term in asked}

        def in_language(of: Mapping[str, float], language: str) -> Mapping[str, float]:
            """Of the terms, one for each language of the documents, those that a text in `language` could hold."""
            if len(self._languages) == 1:
                return of
            own = query_terms(query, (language,))
            return {
                term: weight
                for term, weight in of.items()
                if term in own or (term not in asked and term not in scored.unknown)
            }

        sure = 0.0
        if hits:
            could = in_language(wanted, _best(hits, scored.places[0][1]).language)
            sure = confidence(scored.places[0][2], reachable(could, scored.idf))
        return SearchResult(
            tuple(hits),
            max(
                (
                    _match(in_language(weighed, hit.language), scored.idf, hit, rarest=scored.rarest)
                    for hit in hits[:3]
                ),
                default=0.0,
            )
            if with_evidence
            else 0.0,
            time.perf_counter() - started,
            sure,
            tuple(term for term in scored.unknown if term in asked),
            hidden,
            self._outdated,
        )

    def _completions(self, query: str, asked: Collection[str]) -> dict[str, float]:
        """Terms for the words of a query that are in no chunk: the longer words that begin with them, at a lower weight.

        Only where the query holds hardly another word: beside words that are known a guess costs more than it finds.
        """
        forms = [
            own
            for token in dict.fromkeys(tokens(query))
            if (
                own := [
                    term
                    for language in self._languages
                    for term in token_terms(token, language)
                    if term in asked
                ]
            )
        ]
        every = [term for own in forms for term in own]
        known = {term for store in self._stores for term in store.index.dfs(every)}
        strange = [own for own in forms if known.isdisjoint(own)]
        if len(forms) - len(strange) > _MOST_KNOWN_BESIDE:
            return {}
        prefixes = {
            term for own in strange for term in own if len(term) >= _SHORTEST_BEGINNING and term.isalpha()
        }
        found: dict[str, int] = {}
        for store in self._stores:
            for prefix in sorted(prefixes):
                for term, df in store.index.beginning_with(prefix, _MOST_LOOKED_AT).items():
                    found[term] = found.get(term, 0) + df
        best = sorted((term for term in found if term.isalpha()), key=lambda term: (-found[term], term))
        return dict.fromkeys(best[:_MOST_COMPLETIONS], _COMPLETION)

    def languages(self) -> tuple[str, ...]:
        """Languages of what is searched, the most frequent first."""
        with contextlib.ExitStack() as stack:
            for store in self._stores:
                stack.enter_context(store.reading())
            self._refresh()
        return self._languages

    def _forget(self) -> None:
        """Keep nothing of what was read."""
        self._space, self._version = None, ()

    def _refresh(self) -> None:
        """Take note of what was written since the last search."""
        version = tuple(store.data_version() for store in self._stores)
        if self._space is None or version != self._version:
            self._space = SlotSpace(self._stores, self._space)
            held = dict.fromkeys(code for store in self._stores for code in store.languages())
            self._languages = tuple(held) or ("en",)
            self._outdated = tuple(store.name for store in self._stores if not index.is_current(store))
            self._version = version

    def _ranked(
        self, query: str, wanted: Mapping[str, float], k: int, ranking: Ranking, *, fill: bool = False
    ) -> tuple[list[Hit], int, _Scored]:
        """(hits, how many near-duplicates were left out, what BM25 found)."""
        statistics = _total([store.statistics() for store in self._stores])
        if not wanted or k < 1 or not statistics.chunk_count:
            return [], 0, _Scored()
        looks_again = (
            ranking.reranks or ranking.feedback or ranking.most_per_document or ranking.drop_near_duplicates
        )
        # Near-duplicates that fall out leave room for others.
        n = max(k + k // 2, rerank.CANDIDATES) if looks_again else k
        scored = self._bm25(wanted, n, ranking, statistics)
        hits = self._hits(scored.places)
        if not looks_again or not hits:
            return _numbered(hits[:k]), 0, scored
        analysed = [rerank.analyse(candidate) for candidate in map(_candidate, hits)]
        if ranking.feedback and (more := self._expanded(wanted, hits, analysed, statistics)):
            places = self._bm25(more, n, ranking, statistics, scored.rows).places
            known = {_searched(hit): text for hit, text in zip(hits, analysed, strict=True)}
            hits = self._hits(places)
            analysed = [known.get(_searched(hit)) or rerank.analyse(_candidate(hit)) for hit in hits]
        hits, analysed = _rescored(query, wanted, scored.idf, hits, analysed, ranking)
        # Comparing each with each is for the first of them; what follows keeps its order.
        first = hits[:_MOST_COMPARED]
        order = diversity.thin(
            [(hit.knowledge_base, hit.path) for hit in first],
            [text.order for text in analysed[: len(first)]] if ranking.drop_near_duplicates else None,
            most_per_document=ranking.most_per_document,
        )
        order += range(len(first), len(hits))
        if fill and len(order) < k:
            order += sorted(set(range(len(hits))).difference(order))[: k - len(order)]
        return _numbered([hits[i] for i in order[:k]]), len(hits) - len(order), scored

    def _expanded(
        self,
        wanted: Mapping[str, float],
        hits: Sequence[Hit],
        analysed: Sequence[Analysed],
        statistics: IndexStatistics,
    ) -> dict[str, float] | None:
        def idf(terms: Collection[str]) -> dict[str, float]:
            dfs: dict[str, int] = {}
            for store in self._stores:
                for term, df in store.index.dfs(list(terms)).items():
                    dfs[term] = dfs.get(term, 0) + df
            return {term: bm25.idf(df, statistics.chunk_count) for term, df in dfs.items()}

        top = [(hit.score, text.order) for hit, text in zip(hits, analysed, strict=True)]
        return feedback.expand(wanted, top, idf)

    def _bm25(
        self,
        wanted: Mapping[str, float],
        k: int,
        ranking: Ranking,
        statistics: IndexStatistics,
        known: Sequence[Sequence[PostingsRow]] = (),
    ) -> _Scored:
        """The k best chunks by BM25 alone. `known` are lists of some of the terms, which need not be read again."""
        assert self._space is not None
        n = statistics.chunk_count
        avgdl = max(1.0, statistics.total_length / n)
        rows = self._lists(wanted, known)
        dfs = self._dfs(wanted, rows)
        idf = {term: bm25.idf(dfs.get(term, 0), n) for term in wanted}
        # In the order of the query: equal chunks have equal scores to the last bit, in all knowledge bases.
        weights = [(term, weight * idf[term]) for term, weight in wanted.items() if dfs.get(term, 0) > 0]
        slots, scores = best_slots(
            self._space.query_terms(weights, rows, self._stores, (ranking.k1, ranking.b, avgdl)),
            self._space.lengths,
            self._space.dead,
            k,
            k1=ranking.k1,
            b=ranking.b,
            avgdl=avgdl,
            exhaustive=ranking.exhaustive,
        )
        places = self._space.locate(slots)
        return _Scored(
            [(store, chunk, score) for (store, chunk), score in zip(places, scores.tolist(), strict=True)],
            idf,
            tuple(term for term in wanted if not dfs.get(term, 0)),
            rows,
            bm25.idf(1, n),
        )

    def _lists(
        self, wanted: Collection[str], known: Sequence[Sequence[PostingsRow]]
    ) -> list[list[PostingsRow]]:
        """The lists of all terms in each knowledge base."""
        held = {row.term for own in known for row in own}
        missing = [term for term in wanted if term not in held]
        return [
            [*own, *store.index.lists(missing)]
            for store, own in zip(self._stores, known or [()] * len(self._stores), strict=True)
        ]

    def _dfs(self, wanted: Mapping[str, float], rows: Sequence[Sequence[PostingsRow]]) -> dict[str, int]:
        """In how many live chunks of all knowledge bases each term stands."""
        assert self._space is not None
        dfs: dict[str, int] = {}
        for own in rows:
            for row in own:
                dfs[row.term] = dfs.get(row.term, 0) + row.df
        if self._space.dead.size:
            for store in self._stores:
                for term, dead in store.index.removed_dfs(list(wanted)).items():
                    dfs[term] = max(0, dfs.get(term, 0) - dead)
        return dfs

    def _hits(self, ranked: Sequence[tuple[int, int, float]]) -> list[Hit]:
        """In this order; their ranks are given at the end."""
        found: dict[tuple[int, int], Hit] = {}
        for number, store in enumerate(self._stores):
            if own := [(chunk, score) for owner, chunk, score in ranked if owner == number]:
                found |= {(number, hit.chunk_id): hit for hit in store.hits(own)}
        return [found[number, chunk] for number, chunk, _ in ranked if (number, chunk) in found]


def _total(statistics: Sequence[IndexStatistics]) -> IndexStatistics:
    return IndexStatistics(
        sum(s.chunk_count for s in statistics),
        sum(s.total_length for s in statistics),
        sum(s.revision for s in statistics),
    )


def _numbered(hits: Sequence[Hit]) -> list[Hit]:
    return [replace(hit, rank=rank) for rank, hit in enumerate(hits, 1)]


def _candidate(hit: Hit) -> Candidate:
    return Candidate(hit.score, *_searched(hit))


def _searched(hit: Hit) -> tuple[str, str, str]:
    """(text, other fields, language) as they are searched."""
    return indexed_text(hit.heading, hit.text), f"{hit.title}\n{file_stem(hit.path)}", hit.language


def _rescored(
    query: str,
    wanted: Mapping[str, float],
    idf: Mapping[str, float],
    hits: Sequence[Hit],
    analysed: Sequence[Analysed],
    ranking: Ranking,
) -> tuple[list[Hit], list[Analysed]]:
    """Hits and their texts in the order of their final scores; those behind the first candidates keep their places."""
    if not ranking.reranks:
        return list(hits), list(analysed)
    first = min(len(hits), rerank.CANDIDATES)
    scores = rerank.rescore(
        query,
        {term: weight * idf.get(term, 0.0) for term, weight in wanted.items()},
        [_candidate(hit) for hit in hits[:first]],
        parts=rerank.Parts(ranking.proximity, ranking.forms, ranking.agreement),
        analysed=analysed[:first],
    )
    order = sorted(range(first), key=lambda i: -scores[i])
    ranked = [replace(hits[i], score=scores[i]) for i in order]
    return [*ranked, *hits[first:]], [*(analysed[i] for i in order), *analysed[first:]]


def _match(weighed: Mapping[str, float], idf: Mapping[str, float], hit: Hit, *, rarest: float) -> float:
    """Share of the query's weight (weight times idf) that a hit holds. `weighed` are terms in the language of the hit.

    A word that no chunk holds weighs as one that a single chunk holds: in a collection of a few, where it would weigh several
    times as much, one strange word of a question would drown the others.
    """
    worth = {term: weight * min(rarest, idf.get(term, 0.0)) for term, weight in weighed.items()}
    total = sum(worth.values())
    if not total:
        return 0.0
    held = set(terms(indexed_text(hit.heading, hit.text), hit.language))
    return sum(value for term, value in worth.items() if term in held) / total


def _best(hits: Sequence[Hit], chunk_id: int) -> Hit:
    """The hit of a chunk, or the first where it was left out."""
    return next((hit for hit in hits if hit.chunk_id == chunk_id), hits[0])
