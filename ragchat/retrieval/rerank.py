"""The first candidates of BM25 looked at again: nearness of words, their written form, agreement with each other.

    score = BM25 + PAIRS * proximity.bonus + EXACT * forms.exact + NEAR * forms.near + AGREEMENT * feedback.agreement

Every part is a sum of idf-like weights, so the factors mean the same in any collection; with all parts off the scores stay
as they are. Factors were chosen on half of the questions of some sets and lie on plateaus (benchmarks/ablation.py). Texts are
analysed again, since the index holds no positions: `CANDIDATES` of them, not the collection.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from ragchat.retrieval import feedback, forms, proximity
from ragchat.retrieval.analyzer import stop_terms, token_terms, tokens

CANDIDATES = 20
"""So many are looked at; 30 and 50 ranked no better."""
PAIRS = 0.3
EXACT = 0.2
NEAR = 0.3
AGREEMENT = 0.4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text and its score by BM25. `text` is heading and text, `fields` what else of it is searched: title and file name."""

    score: float
    text: str
    fields: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parts of the formula count."""

    proximity: bool = True
    forms: bool = True
    agreement: bool = True


@dataclass(frozen=True, slots=True)
class Analysed:
    """A text as the parts see it.

    `order`: terms as they follow each other, without stop words and without what joins neighbours to one (`in_order`).
    `held`: all terms of text and fields. `written`: their words in lower case.
    """

    order: list[str]
    held: frozenset[str]
    written: frozenset[str]


class _Words(dict[str, tuple[tuple[str, ...], tuple[str, ...], str]]):
    """Token -> (its terms that follow each other, without stop words; all its terms; the token in lower case)."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __missing__(self, token: str) -> tuple[tuple[str, ...], tuple[str, ...], str]:
        stop = stop_terms(self.language)
        ordered = tuple(term for term in in_order(token, self.language) if term not in stop)
        if len(self) >= _MOST_WORDS_KNOWN:
            self.clear()
        self[token] = known = (ordered, token_terms(token, self.language), token.lower())
        return known


_MOST_WORDS_KNOWN = 50_000


@functools.lru_cache(maxsize=8)
def _words(language: str) -> _Words:
    return _Words(language)


def analyse(candidate: Candidate) -> Analysed:
    """The terms and words of a candidate."""
    known = _words(candidate.language)
    words = tokens(candidate.text)
    distinct = [known[word] for word in {*words, *tokens(candidate.fields)}]
    return Analysed(
        list(chain.from_iterable([known[word][0] for word in words])),
        frozenset(chain.from_iterable([terms for _, terms, _ in distinct])),
        frozenset([lower for _, _, lower in distinct]),
    )


def in_order(token: str, language: str) -> tuple[str, ...]:
    """The terms of a token that follow each other: not its beginning ("haupt*"), nor the whole beside its parts ("thinwing")."""
    terms = [term for term in token_terms(token, language) if not term.endswith("*")]
    return tuple(
        term for term in terms if not any(term != other and term.startswith(other) for other in terms)
    )


def rescore(
    query: str,
    weights: Mapping[str, float],
    candidates: Sequence[Candidate],
    *,
    parts: Parts = Parts(),
    analysed: Sequence[Analysed] | None = None,
) -> list[float]:
    """The score of each candidate with the bonuses of `parts`; sort by it, of equal ones the earlier first.

    `weights` are the idf of the query's terms, without those that no text holds if that is easier; what is not in it counts as
    nothing. `analysed` saves analysing the candidates again.
    """
    analysed = analysed or [analyse(candidate) for candidate in candidates]
    words = tokens(query)
    orders: dict[str, tuple[dict[tuple[str, str], float], dict[str, float]]] = {}
    scores = [candidate.score for candidate in candidates]
    for i, (candidate, found) in enumerate(zip(candidates, analysed, strict=True)):
        if candidate.language not in orders:
            orders[candidate.language] = _asked(words, candidate.language, weights)
        worth, written = orders[candidate.language]
        if parts.proximity:
            scores[i] += PAIRS * proximity.bonus(worth, found.order)
        if parts.forms:
            missing = {term: weight for term, weight in weights.items() if term not in found.held}
            scores[i] += EXACT * forms.exact(written, found.written) + NEAR * forms.near(missing, found.held)
    # Terms of scripts without spaces overlap, so unlike texts look alike.
    if parts.agreement and len(candidates) > 1 and not any(map(proximity.is_gram, weights)):
        agreed = feedback.agreement(
            [candidate.score for candidate in candidates], [found.order for found in analysed]
        )
        scores = [score + AGREEMENT * bonus for score, bonus in zip(scores, agreed, strict=True)]
    return scores


def _asked(
    words: Sequence[str], language: str, weights: Mapping[str, float]
) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
    """(pairs of the query and their worth, its words in lower case and their weight) in one language."""
    order: list[str] = []
    written: dict[str, float] = {}
    for word in words:
        if held := [term for term in token_terms(word, language) if term in weights]:
            order += [term for term in in_order(word, language) if term in weights]
            if not proximity.is_gram(word):
                written[word.lower()] = max(weights[term] for term in held)
    return proximity.pairs(order, weights), written
