"""What is searched for in the place of words that no text holds: longer words that begin with them, words one edit away."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ragchat.retrieval import spelling
from ragchat.retrieval.analyzer import token_terms, tokens
from ragchat.retrieval.spelling import Correction
from ragchat.retrieval.tokenizer import words
from ragchat.store.knowledge import KnowledgeStore

_SHORTEST_BEGINNING = 4
"""Characters of a word that is taken for the beginning of others when no chunk holds it: "postgres" of PostgreSQL."""
_MOST_KNOWN_BESIDE = 1
_MOST_LOOKED_AT = 200
_MOST_COMPLETIONS = 4
COMPLETION = 0.7
"""The weight of a word that begins with one that was asked for."""
CORRECTION = 0.8
"""The weight of the likeliest word one edit away."""
OTHER_CORRECTION = 0.4


@dataclass(frozen=True, slots=True)
class Expansion:
    """`query` with corrected words in the place of those that no text holds, and terms to search for with their weights.

    `weights` has the terms of corrections, also of those in `query`, and of longer words.
    """

    query: str
    weights: Mapping[str, float] = field(default_factory=dict)
    corrections: tuple[Correction, ...] = ()


def expand_unknown(
    query: str,
    asked: Collection[str],
    stores: Sequence[KnowledgeStore],
    languages: Sequence[str],
    *,
    correct: bool = True,
) -> Expansion:
    """What to search for beside the terms `asked` of a query. Raises StorageError."""

    def frequencies(terms: Collection[str]) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for store in stores:
            for term, df in store.index.dfs(list(terms)).items():
                found[term] = found.get(term, 0) + df
        return found

    forms = _forms(query, asked, languages)
    known = frequencies([term for own in forms.values() for term in own])
    strange = {token: own for token, own in forms.items() if known.keys().isdisjoint(own)}
    weights: dict[str, float] = {}
    if strange and len(forms) - len(strange) <= _MOST_KNOWN_BESIDE:
        weights = _completions(strange.values(), stores)
    corrected = _corrections(query, asked, known, languages, frequencies) if correct else {}
    for found in corrected.values():
        for rank, candidate in enumerate(found):
            weight = OTHER_CORRECTION if rank else CORRECTION
            for term in candidate.terms:
                weights[term] = max(weight, weights.get(term, 0.0))
    return Expansion(
        _replaced(query, corrected),
        weights,
        tuple(Correction(word, found[0].word) for word, found in corrected.items()),
    )


def _forms(query: str, asked: Collection[str], languages: Sequence[str]) -> dict[str, list[str]]:
    """The terms asked for of each token that has any."""
    forms = {
        token: [
            term for language in languages for term in token_terms(token, language) if term in asked
        ]
        for token in dict.fromkeys(tokens(query))
    }
    return {token: own for token, own in forms.items() if own}


def _completions(strange: Collection[Sequence[str]], stores: Sequence[KnowledgeStore]) -> dict[str, float]:
    """Longer words that begin with words that are in no chunk, at a lower weight.

    Only where the query holds hardly another word: beside words that are known a guess costs more than it finds.
    """
    prefixes = {
        term for own in strange for term in own if len(term) >= _SHORTEST_BEGINNING and term.isalpha()
    }
    found: dict[str, int] = {}
    for store in stores:
        for prefix in sorted(prefixes):
            for term, df in store.index.beginning_with(prefix, _MOST_LOOKED_AT).items():
                found[term] = found.get(term, 0) + df
    best = sorted((term for term in found if term.isalpha()), key=lambda term: (-found[term], term))
    return dict.fromkeys(best[:_MOST_COMPLETIONS], COMPLETION)


def _corrections(
    query: str,
    asked: Collection[str],
    known: Collection[str],
    languages: Sequence[str],
    frequencies: spelling.Frequencies,
) -> dict[str, list[spelling.Candidate]]:
    shouted = query == query.upper()
    unknown = [
        part
        for token in dict.fromkeys(words(query))
        for part in spelling.parts(token, shouted=shouted)
        if _is_unknown(part, asked, known, languages)
    ]
    return spelling.corrections(list(dict.fromkeys(unknown)), languages, frequencies) if unknown else {}


def _is_unknown(
    part: str, asked: Collection[str], known: Collection[str], languages: Sequence[str]
) -> bool:
    """Whether a word was asked for and stands in no text; its beginning ("paket*") may stand in one."""
    own = {term for language in languages for term in token_terms(part, language) if term[-1] != "*"}
    return not own.isdisjoint(asked) and own.isdisjoint(known)


def _replaced(query: str, corrected: Mapping[str, Sequence[spelling.Candidate]]) -> str:
    """The query with the best word in the place of each that was corrected, in capitals as it was typed."""
    if not corrected:
        return query
    pieces: list[str] = []
    at = 0
    for token in words(query):
        first = query.find(token, at)
        if first < 0:  # written in another Unicode form than it is read in
            continue
        pieces += [query[at:first], _corrected(token, corrected)]
        at = first + len(token)
    return "".join([*pieces, query[at:]])


def _corrected(token: str, corrected: Mapping[str, Sequence[spelling.Candidate]]) -> str:
    for word, found in corrected.items():
        if word in token:
            token = token.replace(word, _as_written(found[0].word, word))
    return token


def _as_written(word: str, typed: str) -> str:
    if typed.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if typed[0].isupper() else word
