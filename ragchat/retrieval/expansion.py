"""What is searched for in the place of words that no text holds: words one edit away, and longer words that begin with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ragchat.retrieval import compounds, spelling
from ragchat.retrieval.analyzer import is_beside, is_second, query_terms, query_words, tokens
from ragchat.retrieval.preference import question_language
from ragchat.retrieval.spelling import Correction
from ragchat.retrieval.tokenizer import words
from ragchat.retrieval.vocabulary import Vocabulary, added
from ragchat.store.knowledge import KnowledgeStore

_SHORTEST_BEGINNING = 4
"""Characters of a word that is taken for the beginning of others when no chunk holds it: "postgres" of PostgreSQL."""
_SHORTEST_WHOLE = 5
_MOST_KNOWN_BESIDE = 1
_MOST_LOOKED_AT = 200
_MOST_COMPLETIONS = 4
COMPLETION = 0.7
"""The weight of a word that begins with one that was asked for."""
CORRECTION = 0.8
"""The weight of the likeliest word one edit away."""
OTHER_CORRECTION = 0.4
"""The weight of the next likely ones."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """A query as it is searched for.

    `query` has corrected words in the place of those that no text holds, `asked` its terms with their weights. `weights` are
    the terms of all corrections and of longer words, which are below 1.
    """

    query: str
    asked: Mapping[str, float]
    weights: Mapping[str, float] = field(default_factory=dict)
    corrections: tuple[Correction, ...] = ()


def expand_unknown(
    query: str,
    asked: Mapping[str, int],
    stores: Sequence[KnowledgeStore],
    languages: Sequence[str],
    *,
    correct: bool = True,
    phrases: Sequence[str] = (),
) -> Expansion:
    """What to search for, given a query and its terms (`analyzer.query_terms`). Raises StorageError.

    Words of `phrases`, which the query wants word for word, are not corrected.
    """
    vocabulary = Vocabulary(stores)
    forms = _forms(query, asked, languages)
    known = vocabulary.dfs({term for own in forms.values() for term in own})
    strange = [own for own in forms.values() if known.keys().isdisjoint(own)]
    more: dict[str, float] = {}
    if strange and len(forms) - len(strange) <= _MOST_KNOWN_BESIDE:
        more = _completions(strange, vocabulary)
    exact = {word for phrase in phrases for word in words(phrase)}
    unknown = _misspelled(query, asked, known, languages, vocabulary, exact) if correct else []
    found = spelling.candidates(unknown, _ordered(languages, query), vocabulary) if unknown else {}
    # A word that stands beside its neighbour in the query is not a slip of it.
    found = {
        word: other
        for word, own in found.items()
        if (other := [one for one in own if asked.keys().isdisjoint(one.terms)])
    }
    if not found:
        return Expansion(query, {term: float(count) for term, count in asked.items()}, more)
    for own in found.values():
        for rank, candidate in enumerate(own):
            more |= dict.fromkeys(candidate.terms, OTHER_CORRECTION if rank else CORRECTION)
    corrected = _replaced(query, found)
    now_asked = query_terms(corrected, languages)
    return Expansion(
        corrected,
        {term: float(count) if term in asked else CORRECTION for term, count in now_asked.items()},
        more,
        tuple(
            Correction(word, own[0].word, tuple(dict.fromkeys(t for one in own for t in one.terms)))
            for word, own in found.items()
        ),
    )


def _ordered(languages: Sequence[str], query: str) -> list[str]:
    """The language of the query first, where that can be told."""
    spoken = question_language(query, languages)
    return sorted(languages, key=lambda language: language != spoken)


def _forms(query: str, asked: Collection[str], languages: Sequence[str]) -> dict[str, list[str]]:
    """The terms asked for of each token that has any."""
    forms = {
        token: [term for term in query_terms(token, languages) if term in asked]
        for token in dict.fromkeys(tokens(query))
    }
    return {token: own for token, own in forms.items() if own}


def _completions(strange: Collection[Sequence[str]], vocabulary: Vocabulary) -> dict[str, float]:
    """Longer words that begin with words that are in no chunk, at a lower weight.

    Only where the query holds hardly another word: beside words that are known a guess costs more than it finds.
    """
    prefixes = {
        term for own in strange for term in own if len(term) >= _SHORTEST_BEGINNING and term.isalpha()
    }
    found = added(vocabulary.beginning_with(prefix, _MOST_LOOKED_AT) for prefix in sorted(prefixes))
    best = sorted((term for term in found if term.isalpha()), key=lambda term: (-found[term], term))
    return dict.fromkeys(best[:_MOST_COMPLETIONS], COMPLETION)


def _misspelled(
    query: str,
    asked: Collection[str],
    known: Collection[str],
    languages: Sequence[str],
    vocabulary: Vocabulary,
    exact: Collection[str],
) -> list[str]:
    """The words of a query that no text holds and that may be misspelled."""
    capitals = query == query.upper()
    found = dict.fromkeys(
        part
        for token in words(query)
        if token not in exact
        for part in spelling.parts(token, capitals=capitals)
    )
    return [
        part
        for part in found
        if _is_unknown(part, asked, known, languages)
        and not _is_compound(part, languages, vocabulary)
        and not _begins_others(part, vocabulary)
    ]


def _begins_others(part: str, vocabulary: Vocabulary) -> bool:
    """Whether longer words of the texts begin with a word: "Paket" is no slip where they hold "Paketdienst"."""
    return len(part) >= _SHORTEST_WHOLE and bool(vocabulary.beginning_with(part.casefold(), 1))


def _is_unknown(part: str, asked: Collection[str], known: Collection[str], languages: Sequence[str]) -> bool:
    """Whether a word was asked for and is in no text, neither with accents; its beginning ("paket*") may be in one."""
    own = {term for term in query_terms(part, languages) if not is_beside(term) or is_second(term)}
    return not own.isdisjoint(asked) and own.isdisjoint(known)


def _is_compound(part: str, languages: Sequence[str], vocabulary: Vocabulary) -> bool:
    """Whether a word is the last part of compounds in the texts, or a compound of words that are there."""
    own = query_words(part, languages)
    return bool(
        compounds.compounds(own, languages, vocabulary.beginning_with)
        or compounds.parts(own, languages, vocabulary.dfs)
    )


def _replaced(query: str, corrected: Mapping[str, Sequence[spelling.Candidate]]) -> str:
    """The query with the best word in the place of each that was corrected, in capitals as it was typed."""
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
