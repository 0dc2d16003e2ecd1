"""Words that no text holds, replaced by words of the collection one edit away, long ones by words two edits away.

An edit adds, drops or changes a letter, or swaps two neighbours (Damerau, A Technique for Computer Detection and Correction of
Spelling Errors, 1964). All words one edit away are written out, stemmed as the texts were, and looked up in the index at once:
no dictionary, no table of its own, and a slip inside an ending is found although the index holds stems. Words two edits away are
too many for that: there the stems that begin alike are compared.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ragchat.retrieval import folding
from ragchat.retrieval.analyzer import is_beside, part_terms, stop_terms, token_terms
from ragchat.retrieval.patterns import lazy
from ragchat.retrieval.stopwords import stop_words
from ragchat.retrieval.tokenizer import words

SHORTEST = 4
"""Letters. Nearly every neighbour of a shorter word is another word."""
LONGEST = 30
"""Letters. Longer runs are hashes and words written without blanks."""
MOST = 3
"""Words that take the place of one; the other words of the query decide which of them counts."""
_MARGIN = 2.5
"""A replacement is left out when it is less likely than the best one by more than this (difference of logarithms)."""
_MOST_LANGUAGES = 3

ACCENT, DOUBLED, SWAPPED, DROPPED, ADDED, CHANGED = 0.0, 0.5, 1.0, 1.5, 1.5, 2.0
"""Cost of each kind of slip: roughly minus the logarithm of how often people make it, relative to the others."""
FIRST_LETTER = 2.0
"""Further cost of a slip in the first letter: it is wrong in few misspelled words (Pollock and Zamora, CACM 27, 1984)."""
_SHORTEST_STEM = 3
_SAFE_LENGTH = 6
"""Letters. A shorter word with one letter changed is more often another word than a misspelled one: kind, king; story, storm."""

_TWO_EDITS = 9
"""Letters of a word that may have two slips, both behind its first `_BEGINNING` letters."""
_BEGINNING = 3
_SHORTEST_COMPARED = 6
_MOST_COMPARED = 1000

_WITHOUT_ACCENTS = "~*"
"""Ends a term of the index that is the stem of a word without its accents (see `analyzer`)."""

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_BEYOND_A_TO_Z = {
    "cs": "áčďéěíňóřšťúůýž", "da": "åæø", "eo": "ĉĝĥĵŝŭ", "et": "äõöüšž", "fi": "äåöšž", "ga": "áéíóú", "hu": "áéíóöőúüű",
    "is": "áæéíðóöþúý", "lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž", "no": "åæø", "pl": "ąćęłńóśźż", "sk": "áäčďéíĺľňóôŕšťúýž",
    "sl": "čšž", "sq": "çë", "sr": "ćčđšž", "sv": "åäö", "tr": "çğıöşü",
    "vi": "àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
}  # fmt: skip
"""Further letters of the languages whose accents are indexed."""
_BLOCKS = (
    (0x03AC, 0x03CE), (0x0430, 0x045F), (0x0561, 0x0586), (0x05D0, 0x05EA), (0x0620, 0x06D2), (0x0901, 0x094D),
    (0x0981, 0x09CD), (0x0A01, 0x0A4D), (0x0A81, 0x0ACD), (0x0B01, 0x0B4D), (0x0B82, 0x0BCD), (0x0C01, 0x0C4D),
    (0x0C82, 0x0CCD), (0x0D02, 0x0D4D), (0x0D82, 0x0DDF), (0x10D0, 0x10FA),
)  # fmt: skip
"""Small letters of other alphabets in Unicode."""

_ASCII_WORD = re.compile(r"[A-Za-z]++(?:['-][A-Za-z]++)*+\Z")
_ASCII_PART = re.compile(r"[A-Za-z]++")
_WORD = lazy(r"[\p{L}\p{M}]++(?:['’-][\p{L}\p{M}]++)*+\Z", properties=True)
_PART = lazy(r"[\p{L}\p{M}]++", properties=True)
_SPELLED = lazy(
    r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}\p{Georgian}\p{Hebrew}\p{Arabic}\p{Devanagari}\p{Bengali}\p{Gurmukhi}"
    r"\p{Gujarati}\p{Oriya}\p{Tamil}\p{Telugu}\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Inherited}]++\Z",
    properties=True,
)
"""Scripts with blanks between words and letters for sounds. Others are indexed by characters, pairs and triples."""


class Vocabulary(Protocol):
    """The terms of some knowledge bases, with the number of chunks that hold them."""

    def dfs(self, terms: Collection[str]) -> Mapping[str, int]:
        """Those of `terms` that any chunk holds."""
        ...

    def of_length(self, prefix: str, shortest: int, longest: int, most: int) -> Mapping[str, int]:
        """The `most` frequent terms of some characters that begin with `prefix`."""
        ...


@dataclass(frozen=True, slots=True)
class Correction:
    """No text holds `word` of a query, which was searched for as `by`; `terms` are the terms that took its place."""

    word: str
    by: str
    terms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word in the place of another: a spelling of it, those of its terms that texts hold, how likely it is (a logarithm)."""

    word: str
    terms: tuple[str, ...]
    likely: float


def parts(token: str, *, capitals: bool = False) -> list[str]:
    """The words of a token that may be misspelled.

    Identifiers, numbers, words in camel case, short words and abbreviations in capitals are none. `capitals`: the whole query is
    in capitals, so capitals say nothing.
    """
    is_ascii = token.isascii()
    if not (_ASCII_WORD if is_ascii else _WORD).match(token):
        return []
    found: list[str] = (_ASCII_PART if is_ascii else _PART).findall(token)
    return [part for part in found if _is_word(part, capitals=capitals)]


def _is_word(part: str, *, capitals: bool) -> bool:
    if not SHORTEST <= len(part) <= LONGEST or not (part.isascii() or _SPELLED.match(part)):
        return False
    return part[1:] == part[1:].lower() or (capitals and part == part.upper())


def candidates(
    unknown: Sequence[str], languages: Sequence[str], vocabulary: Vocabulary
) -> dict[str, list[Candidate]]:
    """The likeliest words in the place of each of the `unknown` ones, best first, at most `MOST`; nothing where there is none.

    `languages` of the texts, those that matter most first: some of them are looked at.
    """
    languages = languages[:_MOST_LANGUAGES]
    near = {word: _near(word, languages) for word in unknown}
    known = vocabulary.dfs({term for forms in near.values() for _, terms in forms.values() for term in terms})
    ranked = {
        word: _ranked(forms, known) or _farther(word, languages, vocabulary) for word, forms in near.items()
    }
    return {word: found for word, found in ranked.items() if found}


def _near(word: str, languages: Sequence[str]) -> dict[str, tuple[float, tuple[str, ...]]]:
    """Each word one edit away, what the edit costs, and its terms in all languages."""
    found: dict[str, tuple[float, tuple[str, ...]]] = {}
    for language in languages:
        lower = folding.lowered(word, language)
        for form, cost in edited(lower, alphabet(language, lower[:1])).items():
            terms = _terms(form, language)
            known = found.get(form, (cost, ()))[1]
            found[form] = cost, terms if terms == known else tuple(dict.fromkeys((*known, *terms)))
    return found


def _terms(form: str, language: str) -> tuple[str, ...]:
    """The stems of a word; where it has no accents, also as those of words with accents are indexed beside them.

    A made-up form of a stop word ("anded" of "and") is none.
    """
    stops = stop_terms(language) if form not in stop_words(language) else frozenset()
    stems = tuple(term for term in part_terms(form, language) if not is_beside(term) and term not in stops)
    if folding.keeps_accents(language) and folding.is_bare(form):
        return stems + tuple(stem + _WITHOUT_ACCENTS for stem in stems)
    return stems


def _ranked(near: Mapping[str, tuple[float, tuple[str, ...]]], known: Mapping[str, int]) -> list[Candidate]:
    """The likeliest spellings of each stem, by frequency and cost: a noisy channel (Kernighan, Church and Gale, COLING 1990)."""
    best: dict[str, Candidate] = {}
    for form, (cost, terms) in near.items():
        held = [term for term in terms if len(term) >= _SHORTEST_STEM and term in known]
        if held:
            held.sort(key=lambda term: -known[term])
            candidate = Candidate(form, tuple(held), math.log(known[held[0]]) - cost)
            if held[0] not in best or candidate.likely > best[held[0]].likely:
                best[held[0]] = candidate
    return _likeliest(best.values())


def _likeliest(found: Iterable[Candidate]) -> list[Candidate]:
    ranked = sorted(found, key=lambda candidate: (-candidate.likely, candidate.word))
    return [candidate for candidate in ranked[:MOST] if candidate.likely >= ranked[0].likely - _MARGIN]


def _farther(word: str, languages: Sequence[str], vocabulary: Vocabulary) -> list[Candidate]:
    """The likeliest of the stems at most two edits away from that of a long word."""
    best: dict[str, Candidate] = {}
    for language in languages if len(word) >= _TWO_EDITS else ():
        for stem in part_terms(word, language):
            if len(stem) < _SHORTEST_COMPARED or is_beside(stem):
                continue
            alike = vocabulary.of_length(stem[:_BEGINNING], len(stem) - 2, len(stem) + 2, _MOST_COMPARED)
            for term, df in alike.items():
                edits = _edits_between(stem, term)
                if edits <= 2 and term.isalpha() and (form := _form(term, word, language)):
                    best[term] = Candidate(form, (term,), math.log(df) - edits * CHANGED)
    return _likeliest(best.values())


def _form(term: str, word: str, language: str) -> str:
    """A spelling that has this stem, with the ending of `word` where it needs one; '' where there is none."""
    endings = ("", *(word[-length:].lower() for length in range(1, len(word) // 2)))
    return next((term + end for end in endings if term in part_terms(term + end, language)), "")


def _edits_between(word: str, other: str) -> int:
    """How many edits lie between two words, 3 for all that are more (optimal string alignment, two cells beside the diagonal)."""
    if len(set(word) ^ set(other)) > 4:
        return 3
    far = 3
    before: list[int] = [far] * (len(other) + 3)
    above: list[int] = [*range(3), *[far] * len(other)]
    for i, letter in enumerate(word, 1):
        row: list[int] = [far] * (len(other) + 3)
        row[0] = i
        for j in range(max(1, i - 2), min(len(other), i + 2) + 1):
            row[j] = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != other[j - 1]))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == other[j - 1]:
                row[j] = min(row[j], before[j - 2] + 1)
        if min(row) >= far:
            return far
        before, above = above, row
    return min(far, above[len(other)])


@functools.lru_cache(maxsize=64)
def edited(word: str, letters: str) -> dict[str, float]:
    """All words one edit away from a `word` in lower case, each with the cost of the edit. `letters` may be added."""
    found: dict[str, float] = {}
    for form, cost, at in _edits(word, letters):
        whole = cost + (FIRST_LETTER if at == 0 and cost > ACCENT else 0.0)
        if whole < found.get(form, math.inf):
            found[form] = whole
    found.pop(word, None)
    found.pop("", None)
    return found


def _edits(word: str, letters: str) -> Iterator[tuple[str, float, int]]:
    """(word, cost, where the edit is)"""
    for i, letter in enumerate(word):
        head, rest = word[:i], word[i + 1 :]
        yield head + rest, DOUBLED if letter in (head[-1:], rest[:1]) else ADDED, i
        if rest and rest[0] != letter:
            yield head + rest[0] + letter + rest[1:], SWAPPED, i
        for other in letters:
            is_accent = _plain(other) == _plain(letter)
            if is_accent or len(word) >= _SAFE_LENGTH:
                yield head + other + rest, ACCENT if is_accent else CHANGED, i
    for i in range(len(word) + 1):
        beside = word[max(0, i - 1) : i + 1]
        for other in letters:
            yield word[:i] + other + word[i:], DOUBLED if other in beside else DROPPED, i


@functools.cache
def _plain(letter: str) -> str:
    return unicodedata.normalize("NFD", letter)[0]


@functools.cache
def alphabet(language: str, first: str) -> str:
    """The letters that a word beginning with `first` may have in a text of this language, as they are indexed."""
    if first <= "\u024f":  # Latin words in a text of another script are English
        return _LATIN + _BEYOND_A_TO_Z.get(language, "")
    return "".join(
        letter
        for begin, end in _BLOCKS
        if begin <= ord(first) <= end
        for letter in map(chr, range(begin, end + 1))
        if unicodedata.category(letter) in ("Ll", "Lo", "Mn", "Mc")
        and folding.lowered(letter, language) == letter
    )


def as_found(corrections: Sequence[Correction], texts: Iterable[tuple[str, str]]) -> tuple[Correction, ...]:
    """The corrections that the texts hold, `by` as it is written there. `texts`: (text, language), best first.

    The index knows stems alone, and a reader wants to see a word.
    """
    written: dict[tuple[str, str], None] = {}
    for text, language in texts if corrections else ():
        written |= dict.fromkeys((word, language) for word in words(text))
    found: list[Correction] = []
    for correction in corrections:
        held = [
            word
            for word, language in written
            if not set(correction.terms).isdisjoint(token_terms(word, language))
        ]
        if held:
            found.append(replace(correction, by=min(held, key=functools.partial(_unlike, correction.by))))
    return tuple(found)


def _unlike(word: str, other: str) -> int:
    """How many letters lie between what two words have in common at their beginnings and at their ends, whatever the case."""
    word, other = word.lower(), other.lower()
    shorter = min(len(word), len(other))
    head = _alike(word, other, shorter)
    return max(len(word), len(other)) - head - _alike(word[::-1], other[::-1], shorter - head)


def _alike(word: str, other: str, most: int) -> int:
    return next((i for i in range(most) if word[i] != other[i]), most)
