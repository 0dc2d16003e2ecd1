"""Words of the query that stand together in a text as they are in the query: a bonus beside BM25.

The ordered-bigram part of the sequential dependence model (Metzler and Croft, A Markov Random Field Model for Term Dependencies,
SIGIR 2005), in the idf-weighted, saturated form that Rasolofo and Savoy gave it for BM25 (ECIR 2003). Neighbours in any order
and shortest distances gained less when measured, so they are not here.

It knows no languages: stop words are taken out of both sides by the caller, so that "history of Rome" finds "Rome's history"
no better, and "University of Chicago" as one phrase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from ragchat.retrieval.patterns import lazy

HALF = 1.5
"""A pair that stands so often has half of what it can have: the k1 of BM25."""

_UNSPACED = lazy(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]", properties=True)


def is_gram(term: str) -> bool:
    """Whether a term is a stretch of a script without spaces rather than a word: its terms overlap, so nearness says nothing."""
    return not term.isascii() and _UNSPACED.match(term) is not None


def pairs(query: Sequence[str], weights: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """Neighbouring words of the query and what they are worth together: the sum of their weights. Each pair once."""
    return {
        (first, second): weights[first] + weights[second]
        for first, second in pairwise(query)
        if first != second
        and first in weights
        and second in weights
        and not (is_gram(first) or is_gram(second))
    }


def bonus(worth: Mapping[tuple[str, str], float], terms: Sequence[str]) -> float:
    """Sum over the pairs of worth * n / (n + HALF), where n is how often the pair is in `terms`, in this order, adjacent.

    `worth` comes from `pairs`; `terms` are those of the text in their order. 0 where no pair stands; at most the sum of `worth`.
    """
    if not worth:
        return 0.0
    asked = {word for pair in worth for word in pair}
    counts = dict.fromkeys(worth, 0)
    previous = ""
    for term in terms:
        if term in asked:
            if (pair := (previous, term)) in counts:
                counts[pair] += 1
            previous = term
        else:
            previous = ""
    return sum(worth[pair] * n / (n + HALF) for pair, n in counts.items() if n)
