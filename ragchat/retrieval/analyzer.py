"""Text to terms. What is a word decides more than the formula (docs/decisions/0004-analyzer.md).

A word is letters, digits and the marks that combine with them. Identifiers stand whole as well as in parts: `snake_case`,
`camelCase`, `os.path`, `v1.2.3`, `E-1042`, `a@b.org`. Words are folded to lower case and stemmed (English); identifiers
are not stemmed. It does not know other languages yet: their words are kept unstemmed where the English stemmer leaves
them alone.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import regex

from ragchat.text import normalise

VERSION = "en-2"
"""Stored with an index: a new version means that the index must be built again."""

LONGEST_TERM = 64
"""Longer words are cut; they are hashes and encoded data, which nobody types."""

_WORD = r"[\p{L}\p{M}\p{N}]+"
_TOKEN = regex.compile(
    rf"\b\p{{L}}(?:\+\+|#)(?![\p{{L}}\p{{N}}])|_*{_WORD}(?:(?:[_.:/@+#'’\-]|::|__)+{_WORD})*|\p{{So}}"
)
_PART = regex.compile(_WORD)
_CAMEL = regex.compile(r"\p{Lu}+(?=\p{Lu}\p{Ll})|\p{Lu}?\p{Ll}+|\p{Lu}+|\p{N}+|\p{M}+")
_APOSTROPHE = regex.compile(r"['’](?:s|S)?(?=$|[^\p{L}\p{M}\p{N}])")
_HAS_CAMEL = regex.compile(r"\p{Ll}\p{Lu}|\p{L}\p{N}|\p{N}\p{L}")

STOP_WORDS = frozenset(
    "a an and are as at be been being but by can could did do does doing for from had has have having he her hers him his how i if"
    " in into is it its itself just may me might must my no nor not of off on once only or our ours out over own same shall she"
    " should so some such than that the their theirs them then there these they this those through to too under until up upon us"
    " very was we were what when where which while who whom whose why will with would you your yours about after again all also"
    " am any because before between both during each few more most other please tell explain describe give".split()
)
"""Words that carry a question and not its topic. They are indexed; a query drops them unless nothing else is left."""


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802


@functools.cache
def _stemmer() -> _Stemmer:
    import Stemmer

    stemmer: _Stemmer = Stemmer.Stemmer("english")
    return stemmer


@functools.lru_cache(maxsize=65536)
def _terms_of_token(token: str) -> tuple[str, ...]:
    """All terms of one token: its parts, and the whole where it is an identifier."""
    stem = _stemmer().stemWord
    if token[-1] in "+#":  # C++, C#
        return (token.lower(), token[0].lower())
    parts = _PART.findall(token)
    terms: list[str] = []
    for part in parts:
        lower = part.lower()
        pieces = _CAMEL.findall(part) if _HAS_CAMEL.search(part) else ()
        if len(pieces) > 1:
            terms.append(lower[:LONGEST_TERM])
            terms.extend(stem(piece.lower())[:LONGEST_TERM] for piece in pieces)
        else:
            terms.append(stem(lower)[:LONGEST_TERM])
    if len(parts) > 1 and _is_identifier(token):
        terms.append(token.lower()[:LONGEST_TERM])
    return tuple(terms)


def _is_identifier(token: str) -> bool:
    """Whether a token with connectors is a name rather than words that happen to be joined ("well-known", "and/or")."""
    if "'" in token or "’" in token:
        return False
    if any(mark in token for mark in "_.:@#+"):
        return True
    return any(character.isdigit() for character in token)


def terms(text: str) -> list[str]:
    """The terms of a text in their order, repeated as often as they stand."""
    found: list[str] = []
    for token in _TOKEN.findall(_APOSTROPHE.sub("", normalise(text))):
        found.extend(_terms_of_token(token))
    return found


def query_terms(query: str) -> Counter[str]:
    """The terms of a query and how often each stands; question and stop words only when there is nothing else."""
    tokens = _TOKEN.findall(_APOSTROPHE.sub("", normalise(query)))
    kept = [token for token in tokens if token.lower() not in STOP_WORDS] or tokens
    return Counter(term for token in kept for term in _terms_of_token(token))


@functools.cache
def _stop_terms() -> frozenset[str]:
    return frozenset(term for word in STOP_WORDS for term in _terms_of_token(word))


def length(found: Sequence[str]) -> int:
    """Length of a text for BM25, given its terms: stop words do not count, since a query does not ask for them."""
    stop_terms = _stop_terms()
    return sum(term not in stop_terms for term in found)
