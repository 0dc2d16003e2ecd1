"""From a query to hits, over one or several knowledge bases as if they were one.

Document frequencies, counts and lengths are added up over the knowledge bases, so scores compare. BM25 finds the candidates,
exactly; what ranks them better than BM25 alone (`Ranking`) looks at the first of them again.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ragchat.errors import ModelError
from ragchat.retrieval import (
    bm25,
    compounds,
    diversity,
    evidence,
    explanation,
    feedback,
    index,
    passages,
    rerank,
    within,
)
from ragchat.retrieval.aliases import aliases
from ragchat.retrieval.analyzer import QueryWord, query_terms, query_words, shared_dfs, terms
from ragchat.retrieval.confidence import confidence, reachable
from ragchat.retrieval.cross_encoder import MOST, Reread, reread
from ragchat.retrieval.expansion import expand_unknown
from ragchat.retrieval.explanation import Explanation, Move, Part, PartName
from ragchat.retrieval.preference import factor, preferred, question_language
from ragchat.retrieval.rerank import Analysed, Candidate
from ragchat.retrieval.scope import Scoped, holds_excluded
from ragchat.retrieval.slots import SlotSpace
from ragchat.retrieval.spelling import Correction, as_found
from ragchat.retrieval.topk import best_slots
from ragchat.retrieval.vocabulary import Vocabulary
from ragchat.store.inverted import PostingsRow
from ragchat.store.knowledge import IndexStatistics, KnowledgeStore, file_stem, indexed_text
from ragchat.types import Hit
from ragchat.types.defaults import MEANING

if TYPE_CHECKING:
    from ragchat.retrieval.meaning import Meaning
    from ragchat.types.embedding import Embedder
    from ragchat.types.reranking import Reranker


@dataclass(frozen=True, slots=True)
class Ranking:
    """What is done besides BM25; each part was measured (benchmarks/ablation.py).

    `most_per_document` 0: any number. `exhaustive` scores everything, for tests. Parts of `rerank`: proximity, forms, agreement.
    `language`: passages in the question's language come first. `meaning`: the largest share of the vectors in the score, 0 to
    1, where the searcher has an embedding model. `longest_passage`: characters up to which a hit grows in its section; 0: chunks.
    """

    k1: float = bm25.K1
    b: float = bm25.B
    proximity: bool = True
    forms: bool = True
    agreement: bool = True
    feedback: bool = True
    aliases: bool = True
    language: bool = True
    meaning: float = MEANING
    most_per_document: int = 0
    drop_near_duplicates: bool = True
    longest_passage: int = passages.LONGEST
    exhaustive: bool = False

    @property
    def reranks(self) -> bool:
        """Whether candidates are scored again."""
        return self.proximity or self.forms or self.agreement

    @property
    def looks_again(self) -> bool:
        """Whether anything is done besides BM25."""
        return bool(
            self.reranks
            or self.feedback
            or self.aliases
            or self.language
            or self.meaning
            or self.most_per_document
            or self.drop_near_duplicates
            or self.longest_passage
        )


PLAIN = Ranking(
    proximity=False,
    forms=False,
    agreement=False,
    feedback=False,
    aliases=False,
    language=False,
    meaning=0.0,
    drop_near_duplicates=False,
    longest_passage=0,
)
"""BM25 alone."""
DEFAULT = Ranking()
_POOL = 30
"""Candidates that BM25 finds, at least: one in another language may have to give way to a later one."""
_BY_MEANING = 50
"""Candidates whose meaning is looked at."""
_MOST_COMPARED = 800
_FIRST = 3
"""Hits by which a search is judged to have found something."""
_DEEPEST = 1600
"""Candidates that are looked for, at most, until enough of them are no near-duplicates."""
_LEAST_SCORE = 1e-6


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
    """Knowledge bases that another version of the analysis indexed: a sync builds them again."""
    corrections: tuple[Correction, ...] = ()
    """Words of the query that no document holds, and those that were searched for in their place."""
    by_meaning: bool = False
    """Whether vectors had a say in the order."""
    not_by_meaning: str = ""
    """Why they had none although there is a model."""
    unheld: tuple[str, ...] = ()
    """Phrases that the scope demands and that no passage within its other demands holds."""
    explanations: Mapping[tuple[str, int], Explanation] = field(default_factory=dict)
    """Why each hit is where it is, by its knowledge base and chunk, when that was asked for."""
    related: bool = False
    """Whether one of the first hits is about what was asked by its meaning; words may share nothing with it."""
    not_reread: str = ""
    """Why a cross-encoder has not read all of the first hits although there is one."""


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


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query as it is searched: corrected text, its own terms, all terms with their weights, its language ('': unknown)."""

    query: str
    own: Collection[str]
    wanted: Mapping[str, float]
    language: str
    corrections: tuple[Correction, ...] = ()
    words: Sequence[QueryWord] = ()
    """The words of the corrected query with all their variants and compounds, which share a document frequency."""


class _Texts(dict[tuple[str, str, int], Analysed]):
    """Texts of candidates, each analysed when it is asked for first."""

    def of(self, hit: Hit) -> Analysed:
        key = hit.knowledge_base, hit.path, hit.chunk_id
        if key not in self:
            self[key] = rerank.analyse(_candidate(hit))
        return self[key]


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Chunks by their words, best first, and what is known of their texts."""

    hits: Sequence[Hit] = ()
    texts: _Texts = field(default_factory=lambda: _Texts())
    scored: _Scored = _Scored()
    best: float = 0.0
    """BM25 of the first of them."""
    by_words: Sequence[Hit] = ()
    """The same chunks as BM25 alone had them."""


@dataclass(frozen=True, slots=True)
class _Meant:
    """Chunks in their final order; the cosines of those that have a vector; why vectors have no say although there is a model."""

    hits: Sequence[Hit]
    cosines: Mapping[tuple[str, int], float] = field(default_factory=dict)
    silent: str = ""


class Searcher:
    """Searches some knowledge bases. Belongs to the thread that opened them; keeps chunk lengths between searches.

    With an `embedder` it looks at the meaning of the candidates as well, with a `reranker` it has the first hits read again.
    Both belong to whoever opened them; neither is used where `Ranking.meaning` is 0.
    """

    def __init__(
        self,
        stores: Sequence[KnowledgeStore],
        embedder: Embedder | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        self._stores = tuple(stores)
        self._vocabulary = Vocabulary(self._stores)
        self._embedder, self._reranker = embedder, reranker
        self.has_meaning = embedder is not None or reranker is not None
        """Whether more than words may have a say."""
        self._meaning: Meaning | None = None
        self._version: tuple[tuple[int, int], ...] = ()
        self._space: SlotSpace | None = None
        self._languages: tuple[str, ...] = ("en",)
        self._outdated: tuple[str, ...] = ()
        self._owners: dict[tuple[str, str], int] = {}
        self._closed: within.Closed | None = None
        """What the scope of the search leaves out."""

    def search(  # noqa: PLR0913
        self,
        query: str,
        k: int,
        *,
        weights: Mapping[str, float] | None = None,
        follow_up: bool = False,
        with_evidence: bool = True,
        ranking: Ranking = DEFAULT,
        fill: bool = False,
        correct: bool = True,
        scope: Scoped | None = None,
        explain: bool = False,
    ) -> SearchResult:
        """The `k` best passages. `weights` are further terms with a weight below 1 (the topic of earlier turns).

        `fill` puts near-duplicates behind all others where there is room for them, instead of leaving them out.

        A word that no chunk holds represents the words one edit away (unless `correct` is off) and the longer words that begin
        with it, at a lower weight. For a follow-up the further terms count in `match` as well. `scope` leaves out what it does
        not allow; its text is not looked at.
        Raises StorageError; NotFoundError when `scope` names a folder, a file or a knowledge base that is not there.
        """
        started = time.perf_counter()
        self._owners = {}
        with self._reading():
            asked = self._asked(query, weights or {}, scope.phrases if scope else (), correct=correct)
            self._close(scope)
            found = (
                self._enough(asked, k, ranking)
                if fill
                else self._candidates(
                    asked, _pool(k, ranking, by_meaning=self._embedder is not None), ranking
                )
            )
        meant = self._by_meaning(asked, found.hits, ranking)
        chunks = meant.hits
        order, hidden = _thinned(chunks, found.texts, k, ranking, fill=fill)
        again = self._reread(asked, [chunks[i] for i in order], k, ranking)
        hits = again.hits
        match = 0.0
        if with_evidence and hits:
            first = _own(hits, chunks) if again.moves else [chunks[i] for i in order]
            match = self._matched(asked, found.scored, first[:_FIRST], follow_up=follow_up)
            hits = evidence.mark(asked.query, hits)
        return SearchResult(
            tuple(_numbered(hits)),
            match,
            time.perf_counter() - started,
            self._confidence(asked, found),
            tuple(term for term in found.scored.unknown if term in asked.own),
            hidden,
            self._outdated,
            as_found(asked.corrections, map(_read, hits)),
            bool(meant.cosines),
            meant.silent,
            self._closed.unheld if self._closed else (),
            self._explained(asked, found, meant, hits, ranking, again.moves) if explain else {},
            self._related(meant.cosines, hits),
            again.note,
        )

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """One state of all knowledge bases, with what is known of them."""
        with contextlib.ExitStack() as stack:
            if any(store.is_writing for store in self._stores):
                stack.callback(self._forget)
            for store in self._stores:
                stack.enter_context(store.reading())
            self._refresh()
            yield

    def _close(self, scope: Scoped | None) -> None:
        """Leave out what `scope` does not allow. Call inside `_reading()`."""
        assert self._space is not None
        if scope is None or not scope.narrows:
            self._closed = None
        else:
            self._closed = within.close(self._space, self._stores, scope, self._languages, self._closed)

    def _enough(self, asked: _Asked, k: int, ranking: Ranking) -> _Candidates:
        """Candidates of which `k` are no near-duplicates, if there are so many."""
        n = _pool(k, ranking, by_meaning=self._embedder is not None)
        found = self._candidates(asked, n, ranking)
        while (
            len(found.hits) == n < _DEEPEST
            and len(_thinned(found.hits, found.texts, k, ranking, fill=False)[0]) < k
        ):
            n *= 4
            found = self._candidates(asked, n, ranking)
        return found

    def _asked(
        self, query: str, weights: Mapping[str, float], phrases: Sequence[str], *, correct: bool
    ) -> _Asked:
        expansion = expand_unknown(
            query,
            query_terms(query, self._languages),
            self._stores,
            self._languages,
            correct=correct,
            phrases=phrases,
        )
        own, wanted = expansion.asked, dict(expansion.asked)
        for term, weight in (*weights.items(), *expansion.weights.items()):
            wanted.setdefault(term, weight)
        words = query_words(expansion.query, self._languages)
        found = compounds.compounds(words, self._languages, self._vocabulary.beginning_with)
        for term in (term for own in found.values() for term in own):
            wanted.setdefault(term, compounds.COMPOUND)
        for term in compounds.parts(words, self._languages, self._vocabulary.dfs):
            wanted.setdefault(term, compounds.PART)
        language = question_language(query, self._languages)
        return _Asked(
            expansion.query,
            own,
            wanted,
            language,
            expansion.corrections,
            compounds.with_compounds(words, found),
        )

    def _in_language(
        self, of: Mapping[str, float], language: str, asked: _Asked, scored: _Scored
    ) -> Mapping[str, float]:
        """Of the terms, one for each language of the documents, those that a text in `language` could hold."""
        if len(self._languages) == 1:
            return of
        own = query_terms(asked.query, (language,))
        return {
            term: weight
            for term, weight in of.items()
            if term in own or (term not in asked.own and term not in scored.unknown)
        }

    def _confidence(self, asked: _Asked, found: _Candidates) -> float:
        if not found.hits:
            return 0.0
        could = _once(
            self._in_language(asked.wanted, found.hits[0].language, asked, found.scored), asked.words
        )
        return confidence(found.best, reachable(could, found.scored.idf))

    def _matched(self, asked: _Asked, scored: _Scored, chunks: Sequence[Hit], *, follow_up: bool) -> float:
        """See `SearchResult.match`."""
        weighed = asked.wanted if follow_up else {term: asked.wanted[term] for term in asked.own}
        return max(
            _match(
                self._in_language(weighed, hit.language, asked, scored),
                scored.idf,
                hit,
                asked.words,
                rarest=scored.rarest,
            )
            for hit in chunks
        )

    def languages(self) -> tuple[str, ...]:
        """Languages of what is searched, the most frequent first."""
        with self._reading():
            return self._languages

    def _forget(self) -> None:
        """Keep nothing of what was read."""
        self._space, self._version = None, ()
        if self._meaning is not None:
            self._meaning.index.forget()

    def _refresh(self) -> None:
        """Take note of what was written since the last search."""
        version = tuple(store.data_version() for store in self._stores)
        if self._space is None or version != self._version:
            self._space = SlotSpace(self._stores, self._space)
            held = dict.fromkeys(code for store in self._stores for code in store.languages())
            self._languages = tuple(held) or ("en",)
            self._outdated = tuple(store.name for store in self._stores if not index.is_current(store))
            self._version = version

    def _candidates(self, asked: _Asked, n: int, ranking: Ranking) -> _Candidates:
        """The first `n` chunks that BM25 finds, in the order of all that words say."""
        statistics = _total([store.statistics() for store in self._stores])
        if not asked.wanted or n < 1 or not statistics.chunk_count:
            return _Candidates()
        scored = self._bm25(asked.wanted, n, ranking, statistics, words=asked.words)
        language = asked.language if ranking.language else ""
        hits = preferred(self._hits(scored.places), language)
        if not ranking.looks_again or not hits:
            return _Candidates(hits, scored=scored, best=scored.places[0][2] if hits else 0.0)
        best = hits[0].score
        texts = _Texts()
        more = self._expanded(asked.wanted, hits, texts) if ranking.feedback else None
        other = (
            aliases(asked.query, map(_read, hits[: rerank.CANDIDATES]), self._languages)
            if ranking.aliases
            else {}
        )
        if more or other:
            asked = replace(asked, wanted=other | dict(asked.wanted))
            every = other | (more or dict(asked.wanted))
            places = self._bm25(every, n, ranking, statistics, scored.rows, asked.words).places
            hits = preferred(self._hits(places), language)
        by_words = hits
        hits = _rescored(asked, scored.idf, hits, texts, ranking)
        hits = [
            hit if (by := factor(hit, language)) == 1.0 else replace(hit, score=hit.score * by)
            for hit in hits
        ]
        return _Candidates(preferred(hits, ""), texts, scored, best, by_words)

    def _means(self, reader: Embedder | Reranker, asked: _Asked, ranking: Ranking) -> bool:
        """Whether a model has a say in this search."""
        return bool(ranking.meaning and reader.model.reads(asked.language or self._languages[0]))

    def _by_meaning(self, asked: _Asked, hits: Sequence[Hit], ranking: Ranking) -> _Meant:
        """Hits in the order of words and vectors."""
        if self._embedder is None or not hits or not self._means(self._embedder, asked, ranking):
            return _Meant(hits)
        from ragchat.retrieval.meaning import Meaning, blend, share_of_meaning

        if self._meaning is None:
            self._meaning = Meaning(self._embedder, self._stores)
        first = list(hits[:_BY_MEANING])
        try:
            near = self._meaning.cosines(asked.query, [self._owners[_document(hit)] for hit in first], first)
            more = self._nearest(self._meaning, asked, hits, _usual(near))
        except ModelError as error:
            return _Meant(hits, silent=str(error))
        # Scores stay on the scale of BM25, which evidence and confidence know.
        top = max(hit.score for hit in first)
        words = [*(hit.score for hit in first), *(0.0 for _ in more)]
        cosines = [*near, *(hit.score for hit in more)]
        scores = blend(words, cosines, share_of_meaning(words, ranking.meaning))
        ranked = [
            replace(hit, score=max(score * top, _LEAST_SCORE))
            for hit, score in zip([*first, *more], scores, strict=True)
        ]
        known = {
            _chunk(hit): cosine for hit, cosine in zip(ranked, cosines, strict=True) if not math.isnan(cosine)
        }
        return _Meant([*sorted(ranked, key=lambda hit: -hit.score), *hits[len(first) :]], known)

    def _related(self, cosines: Mapping[tuple[str, int], float], hits: Sequence[Hit]) -> bool:
        """Whether one of the first hits is about what was asked, as far as the model is known to tell."""
        least = self._embedder.model.related if self._embedder else 0.0
        return least > 0 and any(cosines.get(_chunk(hit), 0.0) >= least for hit in hits[:_FIRST])

    def _nearest(self, meaning: Meaning, asked: _Asked, known: Sequence[Hit], least: float) -> list[Hit]:
        """Chunks that words did not find, nearest first, from a cosine of `least`, which is their score.

        Raises ModelError, StorageError.
        """
        held = {(self._owners[_document(hit)], hit.chunk_id) for hit in known}
        allowed = self._closed and [
            set(self._closed.open_chunks(i).tolist()) for i in range(len(self._stores))
        ]
        with self._reading():
            places = [
                (place.store, place.chunk_id, place.cosine)
                for place in meaning.nearest(asked.query, _BY_MEANING)
                if (place.store, place.chunk_id) not in held
                and place.cosine > least
                and (not allowed or place.chunk_id in allowed[place.store])
            ]
            hits = self._hits(places)
        return [hit for hit in hits if not asked.language or hit.language == asked.language]

    def _explained(
        self,
        asked: _Asked,
        found: _Candidates,
        meant: _Meant,
        hits: Sequence[Hit],
        ranking: Ranking,
        moves: Mapping[tuple[str, int], Move],
    ) -> dict[tuple[str, int], Explanation]:
        """Of each hit, what each part of the ranking added, in the order in which they came."""
        worth = {term: weight * found.scored.idf.get(term, 0.0) for term, weight in asked.wanted.items()}
        gains = _gains(asked, worth, found, ranking)
        alone = {_chunk(hit): hit for hit in found.by_words or found.hits}
        ranked, final = ({_chunk(hit): hit.score for hit in some} for some in (found.hits, meant.hits))
        told = {}
        for hit in hits:
            key = _chunk(hit)
            if (chunk := alone.get(key)) is None:  # found by its meaning
                by_meaning = (Part(PartName.MEANING, final[key]),)
                told[key] = Explanation((), (), by_meaning, final[key], meant.cosines.get(key))
                continue
            parts = [Part(PartName.WORDS, chunk.score)]
            parts += [Part(name, own[key]) for name, own in gains.items() if own.get(key)]
            parts.append(Part(PartName.LANGUAGE, ranked[key] - sum(part.value for part in parts)))
            parts.append(Part(PartName.MEANING, final[key] - ranked[key]))
            text, fields, language = _searched(chunk)
            shares = explanation.added(worth, Counter(terms(f"{fields}\n{text}", language)), chunk.score)
            words, missing = explanation.words(asked.query, self._languages, language, shares)
            told[key] = Explanation(
                words, missing, tuple(p for p in parts if p.value), final[key], meant.cosines.get(key)
            )
        return {key: one.moved_by(moves.get(key)) for key, one in told.items()}

    def _reread(self, asked: _Asked, chunks: Sequence[Hit], k: int, ranking: Ranking) -> Reread:
        """The first `k` passages, in the order of the cross-encoder where there is one."""
        if self._reranker is None or not self._means(self._reranker, asked, ranking):
            return Reread(self._passages(chunks, k, ranking))
        hits = self._passages(chunks, max(k, MOST), ranking)
        again = reread(self._reranker, asked.query, hits, _own(hits, chunks))
        return replace(again, hits=again.hits[:k])

    def _passages(self, chunks: Sequence[Hit], k: int, ranking: Ranking) -> list[Hit]:
        """The first `k` chunks, each grown within its section."""
        if not ranking.longest_passage or not chunks:
            return list(chunks[:k])
        grown: list[Hit] = []
        for enough in (k + k // 2 + _FIRST, len(chunks)):  # some of them grow together
            first = chunks[:enough]
            grown = passages.widen(first, self._around(first), ranking.longest_passage)[:k]
            if len(grown) == k:
                break
        excluded = self._closed.demands.excluded if self._closed else ()
        if not excluded:
            return grown
        alone = {(hit.knowledge_base, hit.chunk_id): hit for hit in chunks}
        return [
            alone[hit.knowledge_base, hit.chunk_id]
            if holds_excluded(hit.text, excluded, hit.language)
            else hit
            for hit in grown
        ]

    def _around(self, hits: Sequence[Hit]) -> passages.Around:
        around: dict[tuple[str, str], list[Hit]] = {}
        with self._reading():
            for number, store in enumerate(self._stores):
                own = [hit.chunk_id for hit in hits if self._owners[_document(hit)] == number]
                for chunk in store.around(own, passages.REACH) if own else ():
                    around.setdefault(_document(chunk), []).append(chunk)
        return around

    def _expanded(
        self,
        wanted: Mapping[str, float],
        hits: Sequence[Hit],
        texts: _Texts,
    ) -> dict[str, float] | None:
        top = [(hit.score, texts.of(hit).order) for hit in hits[: feedback.FEEDBACK_TEXTS]]
        return feedback.expand(wanted, top, self._vocabulary.idf)

    def _bm25(
        self,
        wanted: Mapping[str, float],
        k: int,
        ranking: Ranking,
        statistics: IndexStatistics,
        known: Sequence[Sequence[PostingsRow]] = (),
        words: Sequence[QueryWord] = (),
    ) -> _Scored:
        """The k best chunks by BM25 alone. `known` are lists of some of the terms, which need not be read again."""
        assert self._space is not None
        n = statistics.chunk_count
        avgdl = max(1.0, statistics.total_length / n)
        rows = self._lists(wanted, known)
        dfs = self._dfs(wanted, rows)
        dfs |= shared_dfs(words, dfs, n)
        idf = {term: bm25.idf(dfs.get(term, 0), n) for term in wanted}
        # In the order of the query: equal chunks have equal scores to the last bit, in all knowledge bases.
        weights = [(term, weight * idf[term]) for term, weight in wanted.items() if dfs.get(term, 0) > 0]
        slots, scores = best_slots(
            self._space.query_terms(weights, rows, self._stores, (ranking.k1, ranking.b, avgdl)),
            self._space.lengths,
            self._closed.slots if self._closed else self._space.dead,
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
        self._owners |= {_document(hit): number for (number, _), hit in found.items()}
        return [found[number, chunk] for number, chunk, _ in ranked if (number, chunk) in found]


def _usual(cosines: Sequence[float]) -> float:
    """The mean of the cosines that are known, at least 0: what is farther than that is no answer that words have missed."""
    known = [cosine for cosine in cosines if not math.isnan(cosine)]
    return max(0.0, sum(known) / len(known)) if known else 0.0


def _gains(
    asked: _Asked, worth: Mapping[str, float], found: _Candidates, ranking: Ranking
) -> dict[PartName, dict[tuple[str, int], float]]:
    """What each part of re-ranking adds to the first candidates."""
    first = found.by_words[: rerank.CANDIDATES]
    alone = {
        PartName.PAIRS: rerank.Parts(ranking.proximity, forms=False, agreement=False),
        PartName.FORMS: rerank.Parts(proximity=False, forms=ranking.forms, agreement=False),
        PartName.AGREEMENT: rerank.Parts(proximity=False, forms=False, agreement=ranking.agreement),
    }
    candidates, texts = [_candidate(hit) for hit in first], [found.texts.of(hit) for hit in first]
    gains = {}
    for name, parts in alone.items():
        scores = rerank.rescore(asked.query, worth, candidates, parts=parts, analysed=texts)
        gains[name] = {_chunk(hit): score - hit.score for hit, score in zip(first, scores, strict=True)}
    return gains


def _chunk(hit: Hit) -> tuple[str, int]:
    return hit.knowledge_base, hit.chunk_id


def _own(hits: Sequence[Hit], chunks: Sequence[Hit]) -> list[Hit]:
    """The chunks from which passages have grown."""
    found = {_chunk(chunk): chunk for chunk in chunks}
    return [found[_chunk(hit)] for hit in hits]


def _document(hit: Hit) -> tuple[str, str]:
    return hit.knowledge_base, hit.path


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


def _read(hit: Hit) -> tuple[str, str]:
    """(all that is read of a hit, its language)"""
    return "\n".join((hit.title, hit.heading, hit.text)), hit.language


def _rescored(
    asked: _Asked, idf: Mapping[str, float], hits: Sequence[Hit], texts: _Texts, ranking: Ranking
) -> list[Hit]:
    """Hits with the scores that all parts of the ranking give; those behind the first candidates keep BM25 alone."""
    if not ranking.reranks:
        return list(hits)
    first = hits[: rerank.CANDIDATES]
    scores = rerank.rescore(
        asked.query,
        {term: weight * idf.get(term, 0.0) for term, weight in asked.wanted.items()},
        [_candidate(hit) for hit in first],
        parts=rerank.Parts(ranking.proximity, ranking.forms, ranking.agreement),
        analysed=[texts.of(hit) for hit in first],
    )
    return [
        *(replace(hit, score=score) for hit, score in zip(first, scores, strict=True)),
        *hits[len(first) :],
    ]


def _pool(k: int, ranking: Ranking, *, by_meaning: bool) -> int:
    """How many candidates to look for: what falls out, and passages that grow together, leave room for others."""
    if not ranking.looks_again or k < 1:
        return k
    return max(2 * k, _BY_MEANING if ranking.meaning and by_meaning else _POOL)


def _thinned(
    hits: Sequence[Hit], texts: _Texts, k: int, ranking: Ranking, *, fill: bool
) -> tuple[list[int], int]:
    """(places of the hits to show, in their order; how many near-duplicates were left out)."""
    if not ranking.looks_again:
        return list(range(len(hits))), 0
    # Comparing each with each is for the first of them; what follows keeps its order.
    first = hits[:_MOST_COMPARED]
    order = diversity.thin(
        [(hit.knowledge_base, hit.path) for hit in first],
        (texts.of(hit).order for hit in first) if ranking.drop_near_duplicates else None,
        most_per_document=ranking.most_per_document,
        enough=max(k + k // 2, rerank.CANDIDATES),
    )
    order += range(len(first), len(hits))
    hidden = len(hits) - len(order)
    if fill and len(order) < k:
        order += sorted(set(range(len(hits))).difference(order))[: k - len(order)]
    return order, hidden


def _once(weighed: Mapping[str, float], words: Sequence[QueryWord]) -> dict[str, float]:
    """Of the terms one of each word: a text holds it in one of its spellings, or in a compound."""
    kept = dict(weighed)
    for word in words:
        own = sorted((term for term in word.terms if term in kept), key=lambda term: -kept[term])
        for term in own[1:]:
            del kept[term]
    return kept


def _match(
    weighed: Mapping[str, float],
    idf: Mapping[str, float],
    hit: Hit,
    words: Sequence[QueryWord] = (),
    *,
    rarest: float,
) -> float:
    """Share of the query's weight (weight times idf) that a hit holds. `weighed` are terms in the language of the hit.

    A word that no chunk holds weighs as one that a single chunk holds: in a collection of a few, where it would weigh several
    times as much, one strange word of a question would drown the others.
    """
    variants = {term: word.terms for word in words for term in word.terms}
    worth = {term: weight * min(rarest, idf.get(term, 0.0)) for term, weight in _once(weighed, words).items()}
    total = sum(worth.values())
    if not total:
        return 0.0
    held = set(terms(indexed_text(hit.heading, hit.text), hit.language))
    return (
        sum(value for term, value in worth.items() if not held.isdisjoint(variants.get(term, (term,))))
        / total
    )
