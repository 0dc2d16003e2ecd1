"""Compounds that a word of a query is a part of, and the parts of a compound, looked up in the collection's own vocabulary.

German, Dutch, the Nordic languages, Finnish, Estonian and Hungarian write compounds as one word: "Pumpe" is also asked of
"Wärmepumpe", and "Wärmepumpe" of a text that has "Pumpe". Compounds are found by their last part, since the index holds long
stems read backwards as well; a compound of the query is split where both parts are words of the collection, with a linking
letter or without (Koehn and Knight, Empirical Methods for Compound Splitting, EACL 2003).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ragchat.retrieval.analyzer import COMPOUNDING, QueryWord, backward, is_beside, part_terms

Dfs = Callable[[Sequence[str]], Mapping[str, int]]
"""In how many chunks each of some terms stands; those that are in none may be left out."""
Beginning = Callable[[str, int], Mapping[str, int]]
"""Terms longer than a string that begin with it, so many at most, and their dfs."""

COMPOUND = 0.5
"""Weight of a compound of a word that was asked for."""
PART = 0.3
"""Weight of each part of a compound that was asked for."""
_SHORTEST_PART = 4
"""Letters of the stem of the last part: "Ei" is not asked of "Partei"."""
_SHORTEST_REST = 3
_MOST_LOOKED_AT = 200
_MOST_COMPOUNDS = 20
_LINKS = ("", "s", "es", "n", "en", "er", "e", "o", "a", "u", "i")
"""Letters between two parts of a compound that belong to neither, in one of the languages."""
_VOWELS = frozenset("aeiouyäöüåøæéáíóúőű")


def compounds(
    words: Sequence[QueryWord], languages: Sequence[str], beginning: Beginning
) -> dict[str, list[str]]:
    """Word of the query -> terms of compounds that end in it, most frequent first, in the languages that have compounds.

    For the formula they are the same word with the weight `COMPOUND`: all terms together have one document frequency.
    """
    found: dict[str, dict[str, int]] = {}
    for word in words:
        stems = [
            term for term, own in word.terms.items() if own & COMPOUNDING & set(languages) and _is_word(term)
        ]
        for stem in stems:
            held = {term: df for term, df in _ending(stem, beginning).items() if term not in word.terms}
            if held:
                found.setdefault(word.word, {}).update(held)
    return {
        word: sorted(held, key=lambda term: (-held[term], term))[:_MOST_COMPOUNDS]
        for word, held in found.items()
    }


def with_compounds(words: Sequence[QueryWord], found: Mapping[str, Sequence[str]]) -> list[QueryWord]:
    """The words of a query with the terms that `compounds` found for them, which share their document frequency."""
    return [
        replace(word, terms={**dict.fromkeys(found.get(word.word, ()), frozenset()), **word.terms})
        for word in words
    ]


def _is_word(term: str) -> bool:
    return len(term) >= _SHORTEST_PART and term.isalpha() and not is_beside(term)


def _ending(stem: str, beginning: Beginning) -> dict[str, int]:
    """Stems of the collection that end in this one, behind something that may be a word."""
    prefix = backward(stem)[:-1]
    return {
        term[1:-1][::-1]: df
        for term, df in beginning(prefix, _MOST_LOOKED_AT).items()
        if len(rest := term[len(prefix) : -1]) >= _SHORTEST_REST and not _VOWELS.isdisjoint(rest)
    }


def parts(words: Sequence[QueryWord], languages: Sequence[str], dfs: Dfs) -> list[str]:
    """Terms of the two parts of each compound of a query that can be split; each is a word of its own, weight `PART`."""
    found: dict[str, None] = {}
    for word in words:
        for language in languages:
            if language in COMPOUNDING and any(language in own for own in word.terms.values()):
                found.update(dict.fromkeys(_split(word.word, language, dfs)))
    asked = {term for word in words for term in word.terms}
    return [term for term in found if term not in asked]


def _split(word: str, language: str, dfs: Dfs) -> tuple[str, ...]:
    """The stems of the two parts, of all splits that where the rarer part is most frequent; () for what is no compound."""
    if len(word) < _SHORTEST_REST + _SHORTEST_PART or not word.isalpha():
        return ()
    places = range(_SHORTEST_REST, len(word) - _SHORTEST_PART + 1)
    heads = {place: tuple(_heads(word[:place], language)) for place in places}
    tails = {place: part_terms(word[place:], language)[0] for place in places}
    held = dfs(list(dict.fromkeys([*tails.values(), *(head for own in heads.values() for head in own)])))
    splits: list[tuple[int, str, str]] = []
    for place in places:
        head = max(heads[place], key=lambda term: held.get(term, 0))
        if rarer := min(held.get(head, 0), held.get(tails[place], 0)):
            splits.append((rarer, head, tails[place]))
    return max(splits, key=lambda split: split[0])[1:] if splits else ()


def _heads(part: str, language: str) -> Iterator[str]:
    """Stems that the first part may have, with its linking letters and without."""
    for link in _LINKS:
        bare = part.removesuffix(link)
        if part.endswith(link) and len(bare) >= _SHORTEST_REST:
            yield part_terms(bare, language)[0]
