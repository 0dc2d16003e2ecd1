"""Text to terms. What is a word decides more than the formula (docs/decisions/0004-analyzer.md).

A word is letters, digits and the marks that combine with them. Identifiers stand whole as well as in parts: `snake_case`,
`camelCase`, `os.path`, `v1.2.3`, `E-1042`, `a@b.org`. Words are folded to lower case and stemmed (English); identifiers
with connectors are not stemmed. It does not know other languages yet: their words are kept unstemmed where the English
stemmer leaves them alone.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import regex

from ragchat.text import normalise

VERSION = "en-3"
"""Stored with an index: a new version means that the index must be built again."""

LONGEST_TERM = 64
"""Longer words are cut; they are hashes and encoded data, which nobody types."""
_LONGEST_CACHED = 256

_WORD = r"[\p{L}\p{M}\p{N}]+"
# Possessive, and never entered in the middle of a run of underscores: linear on forms to fill in ("Name______").
_TOKEN = regex.compile(
    rf"\b\p{{L}}(?:\+\+|#)(?![\p{{L}}\p{{N}}])|(?<!_)_*+{_WORD}+(?:[_.:/@+#'’\-]++{_WORD}+)*+|\p{{So}}"
)
_PART = regex.compile(_WORD)
_UPPER, _LOWER, _CASELESS = r"(?:\p{Lu}\p{M}*)", r"(?:\p{Ll}\p{M}*)", r"(?:[\p{Lo}\p{Lm}\p{Lt}]\p{M}*)"
_CAMEL = regex.compile(
    rf"{_UPPER}+(?={_UPPER}{_LOWER})|{_UPPER}?{_LOWER}+|{_UPPER}+|{_CASELESS}+|(?:\p{{N}}\p{{M}}*)+|\p{{M}}+"
)
_APOSTROPHE = regex.compile(r"['’](?:s|S)?(?=$|[^\p{L}\p{M}\p{N}])")
_HAS_CAMEL = regex.compile(r"\p{Ll}\p{M}*\p{Lu}|\p{L}\p{M}*\p{N}|\p{N}\p{M}*\p{L}")
# Soft hyphens and joiners stand inside words and are not seen. The zero-width non-joiner parts words in Persian, not in Hindi.
_INSIDE_WORD = regex.compile(r"[\u00ad\u200d\u2060]+|(?<=\p{M})\u200c+")

STOP_WORDS = frozenset(
    """
    a an and are as at be been being but by can could did do does doing for from had has have having he
    her hers him his how i if in into is it its itself just may me might must my no nor not of off on
    once only or our ours out over own same shall she should so some such than that the their theirs
    them then there these they this those through to too under until up upon us very was we were what
    when where which while who whom whose why will with would you your yours about after again all also
    am any because before between both during each few more most other please tell explain describe give
    """.split()  # noqa: SIM905
)
"""Words that carry a question and not its topic. They are indexed; a query drops them unless nothing else is left."""


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802


@functools.cache
def _stemmer() -> _Stemmer:
    import Stemmer

    stemmer: _Stemmer = Stemmer.Stemmer("english")
    return stemmer


def _terms_of_token(token: str) -> tuple[str, ...]:
    """All terms of one token: its parts, and the whole where it is an identifier."""
    return _cached_terms(token) if len(token) <= _LONGEST_CACHED else _split(token)


@functools.lru_cache(maxsize=65536)
def _cached_terms(token: str) -> tuple[str, ...]:
    return _split(token)


def _split(token: str) -> tuple[str, ...]:
    stem = _stemmer().stemWord
    if token[-1] in "+#":  # C++, C#
        return (token.lower(), token[0].lower())
    parts = _PART.findall(token) or [token]  # an emoji is its own part
    terms: list[str] = []
    for part in parts:
        lower = part.lower()
        pieces = _CAMEL.findall(part) if _HAS_CAMEL.search(part) else ()
        # The whole is stemmed as well: whoever types it in lower case types a plain word.
        terms.append(stem(lower)[:LONGEST_TERM])
        if len(pieces) > 1:
            terms.extend(stem(piece.lower())[:LONGEST_TERM] for piece in pieces)
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


def _tokens(text: str) -> list[str]:
    plain = normalise(text)
    if not plain.isascii():
        plain = _INSIDE_WORD.sub("", plain)
    tokens: list[str] = _TOKEN.findall(_APOSTROPHE.sub("", plain))
    return tokens


def terms(text: str) -> list[str]:
    """The terms of a text in their order, repeated as often as they stand."""
    found: list[str] = []
    for token in _tokens(text):
        found.extend(_terms_of_token(token))
    return found


def query_terms(query: str) -> Counter[str]:
    """The terms of a query and how often each stands; question and stop words only when there is nothing else."""
    tokens = _tokens(query)
    kept = [token for token in tokens if token.lower() not in STOP_WORDS] or tokens
    return Counter(term for token in kept for term in _terms_of_token(token))


@functools.cache
def _stop_terms() -> frozenset[str]:
    return frozenset(term for word in STOP_WORDS for term in _terms_of_token(word))


def length(found: Sequence[str]) -> int:
    """Length of a text for BM25, given its terms: stop words do not count, since a query does not ask for them."""
    stop_terms = _stop_terms()
    return sum(term not in stop_terms for term in found)
