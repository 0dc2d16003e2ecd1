"""How the words of a query are written in a text, beside what stemming makes equal.

Two bonuses: a word that is there exactly as it was typed (stemming also finds other words), and for a word that does not
stand there at all the most similar one (stemming does not find compounds and irregular forms). Similar is: shares trigrams,
by Dice's coefficient, as in Adamson and Boreham (Information Storage and Retrieval 10, 1974). No dictionary.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from zlib import crc32

from ragchat.retrieval.proximity import is_gram

LEAST_SIMILAR = 0.5
"""Dice's coefficient below which words have nothing to do with each other."""
SHORTEST = 4
"""Characters: shorter words share trigrams by chance."""
_BITS = 256


def exact(words: Mapping[str, float], written: Collection[str]) -> float:
    """Sum of the weights of the `words` that are among `written`, the text's words; both in lower case and not stemmed."""
    return sum(weight for word, weight in words.items() if word in written)


def near(missing: Mapping[str, float], terms: Collection[str]) -> float:
    """Sum over the `missing` terms of weight * similarity of the most similar of `terms`, from `LEAST_SIMILAR` upwards."""
    sought = [(*_trigrams(term), weight) for term, weight in missing.items() if _trigrams(term)[1]]
    if not sought:
        return 0.0
    comparable = [masked for masked in map(_trigrams, terms) if masked[1]]
    total = 0.0
    for mask, size, weight in sought:
        # Most share no trigram, or too few to be similar: the division is for the others.
        best = max(
            [
                2 * common / (size + n)
                for other, n in comparable
                if (shared := mask & other)
                and 2 * (common := shared.bit_count()) >= LEAST_SIMILAR * (size + n)
            ],
            default=0.0,
        )
        if best >= LEAST_SIMILAR:
            total += weight * best
    return total


def similarity(first: str, second: str) -> float:
    """Dice's coefficient of the trigrams of two terms, 0 to 1; 0 for numbers, short terms and scripts without spaces."""
    (a, m), (b, n) = _trigrams(first), _trigrams(second)
    return 2 * (a & b).bit_count() / (m + n) if m and n else 0.0


@functools.lru_cache(maxsize=32768)
def _trigrams(term: str) -> tuple[int, int]:
    """(trigrams of a term as a set of bits, how many bits), the beginning marked; (0, 0) where they say nothing.

    Terms with an asterisk are beginnings of words, which are beside the word itself.
    """
    if (
        len(term) < SHORTEST
        or not term[0].isalpha()
        or is_gram(term)
        or any(c in "*" or c.isdigit() for c in term)
    ):
        return 0, 0
    marked = "^" + term
    mask = 0
    for i in range(len(marked) - 2):
        mask |= 1 << crc32(marked[i : i + 3].encode("utf-8", "replace")) % _BITS
    return mask, mask.bit_count()
