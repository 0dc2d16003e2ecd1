"""Text to terms. What is a word decides more than the formula (docs/decisions/0004-analyzer.md).

A word is letters, digits and the marks that combine with them. Words are folded to lower case and stemmed in the language
of their document (Snowball), with their beginning as a second term where languages compound or have no stemmer. Chinese and
Japanese become characters and pairs of them, Thai, Lao, Khmer and Burmese triples, Korean words pairs and the word without
its particle, whatever the document's language. Identifiers stand whole as well as in parts: `snake_case`, `camelCase`,
`os.path`, `v1.2.3`, `E-1042`, `a@b.org`, `/usr/lib/x.so`. There is no dictionary, and so there are no synonyms.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from ragchat.retrieval import folding
from ragchat.retrieval.languages import detect as detect
from ragchat.retrieval.patterns import lazy
from ragchat.retrieval.stopwords import stop_words
from ragchat.retrieval.tokenizer import GRAM
from ragchat.retrieval.tokenizer import tokens as tokens

VERSION = "multi-2"
"""Stored with an index: a new version means that the index must be built again."""

LONGEST_TERM = 64
"""Longer words are cut; they are hashes and encoded data, which nobody types."""
_LONGEST_CACHED = 256
_MOST_PIECES = 8
"""Of a word in camel case; what has more is encoded data."""

STOP_WORDS = stop_words("en")
"""English words that carry a question and not its topic."""

_STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french",
    "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "ms": "indonesian", "ne": "nepali", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sk": "czech", "sr": "serbian", "st": "sesotho", "sv": "swedish", "ta": "tamil",
    "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
"""By ISO 639-1 code. Slovak and Malay take the stemmer of their next relative."""

_BEGINNING = 5
"""Characters; trunc-5 of McNamee, Nicholas and Mayfield, Addressing Morphological Variation in Alphabetic Languages (2009)."""
_COMPOUNDING = frozenset("da de et fi hu is nl no sv tr".split())  # noqa: SIM905
_UNSTEMMED = frozenset("bg bn gu ka kn lv ml mr or pa si sl sq te uk".split())  # noqa: SIM905
_WITH_BEGINNING = _COMPOUNDING | _UNSTEMMED
"""Languages whose long words also stand with their first characters, as "paket*"."""

_PART = lazy(
    r"([\p{L}\p{M}\p{N}]++)(?:['’][sS](?![\p{L}\p{M}\p{N}]))?+", properties=True
)  # without the possessive
_UPPER, _LOWER, _CASELESS = r"(?:\p{Lu}\p{M}*)", r"(?:\p{Ll}\p{M}*)", r"(?:[\p{Lo}\p{Lm}\p{Lt}]\p{M}*)"
_CAMEL = lazy(
    rf"{_UPPER}+(?={_UPPER}{_LOWER})|{_UPPER}?{_LOWER}+|{_UPPER}+|{_CASELESS}+|(?:\p{{N}}\p{{M}}*)+|\p{{M}}+",
    properties=True,
)
_HAS_CAMEL = lazy(r"\p{Ll}\p{M}*\p{Lu}|\p{L}\p{M}*\p{N}|\p{N}\p{M}*\p{L}", properties=True)
# The same three for ASCII, several times as fast with `re`: most of what a documentation has, it has once, in ASCII.
_ASCII_PART = re.compile(r"([A-Za-z0-9]++)(?:'[sS](?![A-Za-z0-9]))?+")
_ASCII_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_ASCII_HAS_CAMEL = re.compile(r"[a-z][A-Z]|[A-Za-z][0-9]|[0-9][A-Za-z]")
_NAME_MARK = re.compile(r"[_.:@#+\\\d]|/.*/", re.DOTALL)
_SECTION = re.compile(r"[/\\@:#]+")


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802


@functools.cache
def _stemmer(language: str) -> _Stemmer | None:
    import Stemmer

    if language not in _STEMMERS:
        return None
    stemmer: _Stemmer = Stemmer.Stemmer(_STEMMERS[language], 0)
    return stemmer


def token_terms(token: str, language: str = "en") -> tuple[str, ...]:
    """All terms of one token: its parts, and the whole where it is an identifier."""
    if len(token) > _LONGEST_CACHED:
        return tuple(term for _, term in _units(token, language))
    return _cached_terms(token, language)


@functools.lru_cache(maxsize=65536)
def _cached_terms(token: str, language: str) -> tuple[str, ...]:
    return tuple(term for _, term in _units(token, language))


def split(token: str, language: str) -> tuple[Sequence[str], Sequence[str]]:
    """(The parts of a token, whose terms `part_terms` tells; terms that only the whole has.) `invert` remembers parts."""
    parts, wholes = _split(token, language)
    return parts, [term for _, term in wholes]


def part_terms(part: str, language: str) -> list[str]:
    """The terms of one part of a token."""
    return [term for _, term in _part(part, language)]


def _units(token: str, language: str) -> list[tuple[str, str]]:
    """(What stands there, its term) for each part of a token, for the pieces of a part, and for the whole."""
    parts, wholes = _split(token, language)
    units: list[tuple[str, str]] = []
    for part in parts:
        units += _cached_part(part, language) if len(part) <= LONGEST_TERM else _part(part, language)
    units += wholes
    return units


def _split(token: str, language: str) -> tuple[Sequence[str], Sequence[tuple[str, str]]]:
    """(Parts of a token, units that only the whole has.)"""
    if token.isascii() and token.isalnum():
        return (token,), ()
    if token[-1] in "+#":  # C++, C#
        return (), ((token.lower(), token.lower()), (token[0].lower(), token[0].lower()))
    if not token.isascii() and GRAM.match(token):
        return (), ((token, token[:LONGEST_TERM]),)
    pattern = _ASCII_PART if token.isascii() else _PART
    parts = pattern.findall(folding.elided(token, language)) or [token]  # an emoji is its own part
    if token[0] == ".":  # .NET; its parts stand without the dot as well
        return (), ((token.lower(), token.lower()[:LONGEST_TERM]),)
    if len(parts) == 1:
        return parts, ()
    wholes = [(whole, whole[:LONGEST_TERM]) for whole in _wholes(token)]
    if len(parts) == 2 and "-".join(parts) == token and token.replace("-", "").isalpha():
        joined = folding.lowered("".join(parts), language)  # e-mail is email
        wholes.extend((joined, stem[:LONGEST_TERM]) for stem in _stems(joined, language))
    return parts, wholes


def _part(part: str, language: str) -> list[tuple[str, str]]:
    """The units of a part and of its pieces ("getName")."""
    units = _word(
        part, language
    )  # stemmed as a whole as well: whoever types it in lower case types a plain word
    if part.isascii():
        pieces = _ASCII_CAMEL.findall(part[:_LONGEST_CACHED]) if _ASCII_HAS_CAMEL.search(part) else ()
    else:
        pieces = _CAMEL.findall(part[:_LONGEST_CACHED]) if _HAS_CAMEL.search(part) else ()
    if 1 < len(pieces) <= _MOST_PIECES:
        for piece in pieces:
            units += _word(piece, language)
    return units


@functools.lru_cache(maxsize=65536)
def _cached_part(part: str, language: str) -> list[tuple[str, str]]:
    """Remembered: identifiers are many, what they are made of is not."""
    return _part(part, language)


def _word(word: str, language: str) -> list[tuple[str, str]]:
    lower = folding.lowered(word[:LONGEST_TERM], language)
    if not lower:  # nothing but marks that are not read
        return [(word, word[:LONGEST_TERM])]
    if "\uac00" <= lower[0] <= "\ud7a3":
        return [(lower, term[:LONGEST_TERM]) for term in folding.korean(lower)]
    found = _stems(lower, language)
    if len(lower) >= _BEGINNING and language in _WITH_BEGINNING and not any(map(str.isdigit, lower)):
        found = [*found, folding.folded(lower, language)[:_BEGINNING] + "*"]
    return [(lower, term[:LONGEST_TERM]) for term in found]


def _stems(lower: str, language: str) -> list[str]:
    """The stem; two where it depends on whether the accents were typed. Latin words in a text of another script are English."""
    if lower[0] <= "\u024f" and language not in folding.LATIN:
        language = "en"
    plain = folding.folded(lower, language)
    stemmer = _stemmer(language)
    if stemmer is None:
        return [plain]
    stem = stemmer.stemWord(plain) or plain
    if plain == lower or language == "en":  # English endings have no accents
        return [stem]
    return list(dict.fromkeys((stem, folding.folded(stemmer.stemWord(lower), language) or stem)))


def _wholes(token: str) -> Iterator[str]:
    """The token as one, if it is an identifier, and its sections that are: the file name of a path, the host of an address."""
    whole = token.lower()
    if not _is_identifier(whole):
        return
    yield whole
    sections = _SECTION.split(whole)
    if len(sections) > 1:
        yield from (part for part in sections if _is_identifier(part) and len(_PART.findall(part)) > 1)


def _is_identifier(token: str) -> bool:
    """Whether a token with connectors is a name rather than words that happen to be joined ("well-known", "and/or")."""
    return "'" not in token and "’" not in token and _NAME_MARK.search(token) is not None


@functools.cache
def _stops(language: str) -> frozenset[str]:
    """Stop words as they may be typed: with their accents and without."""
    words = {folding.lowered(word, language) for word in stop_words(language)}
    return frozenset(words | {folding.folded(word, language) for word in words})


@functools.cache
def stop_terms(language: str) -> frozenset[str]:
    """Terms that carry a question, not its topic: they are indexed with a frequency of 1 and do not count in a length."""
    return frozenset(
        term for word in stop_words(language) if "'" not in word for term in token_terms(word, language)
    )


def terms(text: str, language: str = "en") -> list[str]:
    """The terms of a text in their order, repeated as often as they stand."""
    found: list[str] = []
    for token in tokens(text):
        found.extend(token_terms(token, language))
    return found


def query_terms(query: str, languages: Sequence[str] = ("en",)) -> Counter[str]:
    """The terms of a query and how often each stands, analysed for each of `languages` (those of the documents, most first).

    Question and stop words of the query's own language go, unless nothing else is left.
    """
    asked = tokens(query)
    stops = _stops(_language_of(asked, languages)) if languages else frozenset()
    found = _terms_without(asked, languages, stops)
    return found or _terms_without(asked, languages, frozenset())


def _language_of(asked: Sequence[str], languages: Sequence[str]) -> str:
    """The one of `languages` that has most of a query's words on its list; the first where that does not tell."""
    words = [token.lower().replace("’", "'") for token in asked]
    return max(languages, key=lambda language: sum(word in _stops(language) for word in words))


def _terms_without(asked: Sequence[str], languages: Sequence[str], stops: frozenset[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for token in asked:
        if token.lower().replace("’", "'") in stops:
            continue
        units = [unit for language in languages or ("",) for unit in _units(token, language)]
        # Once each, in the order of the query: scores are added up in it, the same in every process.
        found.update(dict.fromkeys((term for word, term in units if word not in stops), 1))
    return found


def length(found: Sequence[str], language: str = "en") -> int:
    """Length of a text for BM25, given its terms: stop words do not count, since a query does not ask for them."""
    stops = stop_terms(language)
    return sum(term not in stops for term in found)
