"""Which sentences of the hits are relevant to the question: rank-bm25 over the sentences of all of them.

`BM25Plus`, because its idf stays above 0 in collections as small as this one. `mark` picks one sentence for each hit, `weigh`
gives every piece of every hit its share of the hope that the answer is there; what is made of that is up to the caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ragchat.retrieval.analyzer import detect, query_terms, terms
from ragchat.retrieval.sentences import piece_spans, sentence_spans
from ragchat.types import Hit

_HEADING_WORTH = 0.3
LONGEST_EVIDENCE = 400
"""Characters. A longer sentence (a table, a list without stops) is cut around the words that were asked for."""
_SAMPLE = 400
"""Characters by which a hit's language is known."""
_NEIGHBOUR = 0.25
"""Share of a sentence's weight that spreads to each of its neighbours: the answer often is beside the words asked for."""
_EVERYWHERE = 0.3
"""Share of a hit's weight that is spread evenly over its text: the answer may share no word with the question."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, or a part of a long one: `hits[hit].text[first:last]`. All weights together make 1."""

    hit: int
    first: int
    last: int
    weight: float


def mark(query: str, hits: Sequence[Hit]) -> list[Hit]:
    """The hits with `evidence` set, word for word from their text; the first sentence where none is relevant to the query."""
    languages = _languages(hits)
    asked = set(query_terms(query, tuple(dict.fromkeys(languages))))
    spans = [(number, *span) for number, hit in enumerate(hits) for span in sentence_spans(hit.text)]
    sentences = [hits[number].text[first:last] for number, first, last in spans]
    scores = _scores(asked, sentences, [languages[number] for number, _, _ in spans])
    best: dict[int, tuple[float, str]] = {}
    for (number, first, last), score in zip(spans, scores, strict=True):
        if number not in best or score > best[number][0]:
            best[number] = (score, hits[number].text[first:last])
    return [
        replace(
            hit, evidence=_cut(best[number][1], asked, languages[number]) if number in best else hit.evidence
        )
        for number, hit in enumerate(hits)
    ]


def weigh(query: str, hits: Sequence[Hit]) -> list[Piece]:
    """All pieces of all hits, in order, each with its share of the hope for the answer.

    BM25 adds up log-odds, so the hits share the hope as exp(score); in a hit its pieces share it by their own scores, smoothed
    over their neighbours. The constants were chosen once and matter little: halved or doubled, answer-in-context
    (benchmarks/answer_in_context.py) moves by less than two points.
    """
    languages = _languages(hits)
    asked = set(query_terms(query, tuple(dict.fromkeys(languages))))
    spans = [piece_spans(hit.text, LONGEST_EVIDENCE) for hit in hits]
    sentences = [hit.text[a:b] for hit, own in zip(hits, spans, strict=True) for a, b in own]
    spoken = [language for language, own in zip(languages, spans, strict=True) for _ in own]
    scores = iter(_scores(asked, sentences, spoken))
    hope = _softmax(np.array([hit.score for hit in hits], float)) if hits else np.zeros(0)
    pieces: list[Piece] = []
    for number, own in enumerate(spans):
        if not own:
            continue
        speaks = _softmax(np.array([next(scores) for _ in own]))
        spread = speaks.copy()
        spread[1:] += _NEIGHBOUR * speaks[:-1]
        spread[:-1] += _NEIGHBOUR * speaks[1:]
        size = np.array([last - first for first, last in own], float)
        weights = hope[number] * ((1 - _EVERYWHERE) * spread / spread.sum() + _EVERYWHERE * size / size.sum())
        pieces += [Piece(number, a, b, float(w)) for (a, b), w in zip(own, weights, strict=True)]
    return pieces


def _languages(hits: Sequence[Hit]) -> list[str]:
    """The language of each hit, judged by its beginning."""
    return [detect(hit.text[:_SAMPLE]) for hit in hits]


def _scores(asked: AbstractSet[str], sentences: Sequence[str], languages: Sequence[str]) -> list[float]:
    """BM25Plus of each sentence among these; 0 where no word was asked for."""
    from rank_bm25 import BM25Plus

    analysed = [terms(sentence, language) for sentence, language in zip(sentences, languages, strict=True)]
    if not any(analysed):
        return [0.0] * len(sentences)
    scores = BM25Plus([_Counted(found or [""], asked) for found in analysed]).get_scores(list(asked))
    # BM25Plus gives a constant to every document; a sentence without a word of the query shall not win by it.
    # A heading names the topic, a sentence says something of it.
    return [
        float(score) * (_HEADING_WORTH if sentence.startswith("#") else 1.0)
        if not asked.isdisjoint(found)
        else 0.0
        for sentence, score, found in zip(sentences, scores, analysed, strict=True)
    ]


class _Counted:
    """A sentence as BM25Plus reads it: as long as it is, but only the words that were asked for are counted."""

    __slots__ = ("_asked", "_terms")

    def __init__(self, terms: Sequence[str], asked: AbstractSet[str]) -> None:
        self._terms, self._asked = terms, asked

    def __len__(self) -> int:
        return len(self._terms)

    def __iter__(self) -> Iterator[str]:
        return filter(self._asked.__contains__, self._terms)


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.exp(scores - scores.max())
    shares /= shares.sum()
    return shares


def _cut(sentence: str, asked: AbstractSet[str], language: str) -> str:
    if len(sentence) <= LONGEST_EVIDENCE:
        return sentence
    step = LONGEST_EVIDENCE // 4
    windows = range(0, len(sentence) - LONGEST_EVIDENCE + step, step)

    def asked_for(first: int) -> int:
        return len(asked & set(terms(sentence[first : first + LONGEST_EVIDENCE], language)))

    first = max(windows, key=lambda i: (asked_for(i), -i))
    return sentence[first : first + LONGEST_EVIDENCE].strip()
