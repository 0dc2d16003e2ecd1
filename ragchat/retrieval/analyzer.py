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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from ragchat.retrieval import folding, variants
from ragchat.retrieval.languages import detect as detect
from ragchat.retrieval.patterns import lazy
from ragchat.retrieval.stopwords import stop_words
from ragchat.retrieval.tokenizer import GRAM, SIGNS
from ragchat.retrieval.tokenizer import tokens as tokens

VERSION = "multi-3"
"""Stored with an index: a new version means that the index must be built again."""

LONGEST_TERM = 64
"""Longer words are cut; they are hashes and encoded data, which no one types."""
_LONGEST_CACHED = 256
_MOST_PIECES = 8
"""Of a word in camel case; what has more is encoded data."""

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
COMPOUNDING = frozenset("da de et fi hu is nl no sv".split())  # noqa: SIM905
"""Languages that write compounds as one word."""
_UNSTEMMED = frozenset("bg bn gu ka kn lv ml mr or pa si sl sq te uk".split())  # noqa: SIM905
_WITH_BEGINNING = COMPOUNDING | _UNSTEMMED | {"tr"}
"""Languages whose long words also stand with their first characters, as "paket*"."""

_BESIDE = "*"
"""The last character of a term that is beside the word itself."""
_BARE = "~*"
"""Behind the stem of a word without its accents, where accents make another word of it: "viet~*" of "việt"."""
_BACKWARD = "^"
"""Before the stem of a long word read backwards: "^pmupemraw*", so that all words that end in "pump" are neighbours."""
_SHORTEST_COMPOUND = 7

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
_DOTTED = re.compile(r"[A-Z][a-z]?(?:\.[A-Z][a-z]?)+|[a-z](?:\.[a-z])+")
_APOSTROPHE = re.compile("['’]")
_FEWEST_BEHIND_APOSTROPHE = 3


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


class _KnownTerms(dict[str, tuple[str, ...]]):
    """Token -> its terms in one language, for texts as a whole: looking in a dict is half of the price of a call."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __missing__(self, token: str) -> tuple[str, ...]:
        found = token_terms(token, self.language)
        if len(token) <= _LONGEST_CACHED:
            if len(self) >= _MOST_KNOWN:
                self.clear()
            self[token] = found
        return found


_MOST_KNOWN = 32768


@functools.lru_cache(maxsize=8)
def _known_terms(language: str) -> _KnownTerms:
    return _KnownTerms(language)


def split(token: str, language: str) -> tuple[Sequence[str], Sequence[str]]:
    """(The parts of a token, whose terms `part_terms` tells; terms that only the whole has.) `invert` remembers parts."""
    if token.isascii() and token.isalnum():
        return (token,), ()
    parts, wholes = _split(token, language)
    return parts, [term for _, term in wholes]


def part_terms(part: str, language: str) -> list[str]:
    """The terms of one part of a token."""
    return [term for _, term in _part(part, language)]


def _units(token: str, language: str) -> list[tuple[str, str]]:
    """(What is there, its term) for each part of a token, for the pieces of a part, and for the whole."""
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
        return (), ((token, simplified(token)[:LONGEST_TERM]),)
    if token[0] in SIGNS:
        return (), ((token, token[:LONGEST_TERM]),)
    pattern = _ASCII_PART if token.isascii() else _PART
    parts = pattern.findall(folding.elided(token, language)) or [token]  # an emoji is its own part
    if token[0] == ".":  # .NET; its parts stand without the dot as well
        return (), ((token.lower(), token.lower()[:LONGEST_TERM]),)
    if len(parts) == 1:
        return parts, ()
    if _DOTTED.fullmatch(token):
        return _dotted(token, parts, language)
    wholes = [(whole, whole[:LONGEST_TERM]) for whole in _wholes(token)]
    if len(parts) == 2 and _is_one_word(token, parts):
        joined = folding.lowered("".join(parts), language)  # e-mail is email
        wholes.extend((joined, stem[:LONGEST_TERM]) for stem in _stems(joined, language))
    return parts, wholes


def _dotted(
    token: str, letters: Sequence[str], language: str
) -> tuple[Sequence[str], Sequence[tuple[str, str]]]:
    """Of "U.S" and "e.g", which are "US" and "eg"; what is in lower case may be code as well: "x.y"."""
    whole = "".join(letters)
    joined = _emphatic(whole.upper(), language) or [(whole.lower(), whole.lower()[:LONGEST_TERM])]
    return (
        ((), joined)
        if token.isupper()
        else (letters, [(token.lower(), token.lower()[:LONGEST_TERM]), *joined])
    )


def _is_one_word(token: str, parts: Sequence[str]) -> bool:
    """Whether a hyphen parts two words, or an apostrophe a name: "e-mail", "O'Brien"."""
    if "-".join(parts) == token:
        return token.replace("-", "").isalpha()
    return len(parts[1]) >= _FEWEST_BEHIND_APOSTROPHE and len(_APOSTROPHE.split(token)) == 2


def _emphatic(word: str, language: str) -> list[tuple[str, str]]:
    """The unit of a word in capitals that would be a stop word: "US", "IT", "NOT" of SQL."""
    is_stop = 1 < len(word) < _LONGEST_EMPHATIC and word.isupper() and word.lower() in _stops(language)
    return [(word, word)] if is_stop else []


_LONGEST_EMPHATIC = 6


def simplified(token: str) -> str:
    """Chinese with simplified characters for traditional ones, as many as there were."""
    if token[0] < "\u2e80":
        return token
    from ragchat.retrieval.han import simplified

    return token.translate(simplified())


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
    elif part.isupper():
        units += _emphatic(part, language)
    return units


@functools.lru_cache(maxsize=65536)
def _cached_part(part: str, language: str) -> list[tuple[str, str]]:
    """Remembered: identifiers are many, what they are made of is not."""
    return _part(part, language)


def _word(word: str, language: str) -> list[tuple[str, str]]:
    if language == "en" and word.isascii():  # what follows comes to this
        return [_english(word[:LONGEST_TERM].lower())]
    lower = folding.lowered(word[:LONGEST_TERM], language)
    if not lower:  # nothing but marks that are not read
        return [(word, word[:LONGEST_TERM])]
    if "\uac00" <= lower[0] <= "\ud7a3":
        return [(lower, term[:LONGEST_TERM]) for term in folding.korean(lower)]
    found = _stems(lower, language)
    if folding.loses_accents(lower, language):
        found = [*found, *(stem + _BARE for stem in _stems(folding.bare(lower), language))]
    if language in _WITH_BEGINNING and not any(map(str.isdigit, lower)):
        if language in COMPOUNDING and len(found[0]) >= _SHORTEST_COMPOUND:
            found = [*found, backward(found[0])]
        if len(lower) >= _BEGINNING:
            found = [*found, folding.bare(lower)[:_BEGINNING] + _BESIDE]
    return [(lower, term[:LONGEST_TERM]) for term in found]


def _english(lower: str) -> tuple[str, str]:
    stemmer = _stemmer("en")
    assert stemmer
    return lower, (stemmer.stemWord(variants.english(lower)) or lower)[:LONGEST_TERM]


def backward(stem: str) -> str:
    """The term by which words are found that end in `stem`; without its last character it is what such terms begin with."""
    return _BACKWARD + stem[: LONGEST_TERM - 2][::-1] + _BESIDE


def is_beside(term: str) -> bool:
    """Whether a term is beside the word itself: its beginning, its stem read backwards, its stem without accents."""
    return term[-1] == _BESIDE and len(term) > 1 and term[0] not in SIGNS


def is_second(term: str) -> bool:
    """Whether a term repeats a word in another spelling, so that it does not count in a length. Beginnings do count."""
    return is_beside(term) and (term[0] == _BACKWARD or term.endswith(_BARE))


def _stems(lower: str, language: str) -> list[str]:
    """The stem; two where it depends on whether the accents were typed. Latin words in a text of another script are English."""
    if lower[0] <= "\u024f" and language not in folding.LATIN:
        language = "en"
    plain = folding.folded(lower, language)
    stemmer = _stemmer(language)
    if stemmer is None:
        return [plain]
    if language == "en":  # its endings have no accents
        return [stemmer.stemWord(variants.english(plain)) or plain]
    stem = stemmer.stemWord(plain) or plain
    if plain == lower:
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
    known = _known_terms(language)
    return list(chain.from_iterable([known[token] for token in tokens(text)]))


@dataclass(frozen=True, slots=True)
class QueryWord:
    """A word of a query, or a part of an identifier, that is there `count` times.

    `terms` are its written variants, each with the languages whose documents hold it: one word, and so one document frequency.
    """

    word: str
    count: int
    terms: Mapping[str, frozenset[str]]


def query_words(query: str, languages: Sequence[str] = ("en",)) -> list[QueryWord]:
    """The words of a query, analysed for each of `languages` (those of the documents, most first), in their order.

    Question and stop words of the query's own language go, unless nothing else is left. The beginning of a word ("paket*")
    is a word of its own, since many share it. Where no word has an accent, words are also looked for without.
    """
    return list(_query_words(query, tuple(languages)))


@functools.lru_cache(maxsize=256)
def _query_words(query: str, languages: tuple[str, ...]) -> tuple[QueryWord, ...]:
    """Remembered, since every part of a search asks for the words of the same query."""
    asked = tokens(query.lower() if _shouts(query) else query)
    stops = _stops(_language_of(asked, languages)) if languages else frozenset()
    is_bare = folding.is_bare(query)
    found = _words_without(asked, languages, stops, is_bare=is_bare)
    return tuple(found or _words_without(asked, languages, frozenset(), is_bare=is_bare))


def query_terms(query: str, languages: Sequence[str] = ("en",)) -> Counter[str]:
    """The terms of a query and how often each stands; see `query_words`."""
    found: Counter[str] = Counter()
    for word in query_words(query, languages):
        for term in word.terms:
            found[term] += word.count
    return found


def shared_dfs(words: Sequence[QueryWord], dfs: Mapping[str, int], most: int) -> dict[str, int]:
    """Term -> the document frequency of its word, `most` at most, given those of the terms.

    The variants of a word are added up: each is in documents of another language, or where the other does not.
    """
    found: dict[str, int] = {}
    for word in words:
        together = min(most, sum(dfs.get(term, 0) for term in word.terms))
        for term in word.terms:
            if dfs.get(term):
                found[term] = max(together, found.get(term, 0))
    return found


def _shouts(query: str) -> bool:
    return query.isupper() and len(query.split()) > _MOST_IN_CAPITALS


_MOST_IN_CAPITALS = 3
"""Words in capitals that may be names; more are a query in capitals."""


def _language_of(asked: Sequence[str], languages: Sequence[str]) -> str:
    """The one of `languages` that has most of a query's words on its list; the first where that does not tell."""
    words = [token.lower().replace("’", "'") for token in asked]
    return max(languages, key=lambda language: sum(word in _stops(language) for word in words))


def _words_without(
    asked: Sequence[str], languages: Sequence[str], stops: frozenset[str], *, is_bare: bool
) -> list[QueryWord]:
    counts: Counter[tuple[str, str]] = Counter()
    held: dict[tuple[str, str], dict[str, set[str]]] = {}
    for token in asked:
        if not token.isupper() and token.lower().replace("’", "'") in stops:
            continue
        seen: dict[str, tuple[str, str]] = {}
        for language in languages or ("",):
            for word, term in _query_units(token, language, is_bare=is_bare):
                if word in stops:
                    continue
                # A term counts once for a token: scores are added up in the order of the query, the same in every process.
                key = seen.setdefault(term, (word, _BESIDE if _is_beginning(term) else ""))
                held.setdefault(key, {}).setdefault(term, set()).add(language)
        counts.update(set(seen.values()))
    return [
        QueryWord(key[0] + key[1], counts[key], {term: frozenset(own) for term, own in found.items()})
        for key, found in held.items()
    ]


def _is_beginning(term: str) -> bool:
    return is_beside(term) and not is_second(term)


def _query_units(token: str, language: str, *, is_bare: bool) -> Iterator[tuple[str, str]]:
    """What of a token's units is asked for."""
    for word, term in _units(token, language):
        if is_second(term):
            continue
        yield word, term
        if is_bare and not is_beside(term) and folding.keeps_accents(language) and word.isalpha():
            for stem in _stems(folding.bare(word), language):
                yield word, stem
                yield word, (stem + _BARE)[:LONGEST_TERM]


def length(found: Sequence[str], language: str = "en") -> int:
    """Length of a text for BM25, given its terms.

    Stop words do not count, since a query does not ask for them, nor does a word in another spelling.
    """
    stops = stop_terms(language)
    return sum(term not in stops and not is_second(term) for term in found)
