"""Words that no text holds, replaced by words of the collection one edit away.

An edit puts in, leaves out or changes a letter, or swaps two neighbours (Damerau, A Technique for Computer Detection and
Correction of Spelling Errors, 1964). All words one edit away are written out, stemmed as the texts were, and looked up in the
index in one go: no dictionary, no table of its own, and a slip inside an ending is found although the index holds stems.
"""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ragchat.retrieval import folding
from ragchat.retrieval.analyzer import part_terms
from ragchat.retrieval.patterns import lazy

SHORTEST = 4
"""Letters. Of shorter words nearly every neighbour is another word."""
LONGEST = 30
"""Letters. Longer runs are names of genes, hashes and words without blanks."""
MOST = 3
"""So many words take the place of one; which of them is meant, the other words of the query decide."""
_MARGIN = 2.5
"""A replacement this much less likely than the best one (a difference of logarithms) is left out."""
_MOST_LANGUAGES = 6

ACCENT, DOUBLED, SWAPPED, LEFT_OUT, PUT_IN, CHANGED = 0.0, 0.5, 1.0, 1.5, 1.5, 2.0
"""What each kind of slip costs: about minus the logarithm of how often it is made, beside the others."""
FIRST_LETTER = 2.0
"""Further cost of a slip in the first letter, which is wrong in 1 to 3 of 100 misspelled words (Pollock and Zamora, 1984)."""

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_BEYOND_A_TO_Z = {
    "cs": "áčďéěíňóřšťúůýž", "da": "åæø", "eo": "ĉĝĥĵŝŭ", "et": "äõöüšž", "fi": "äåöšž", "ga": "áéíóú", "hu": "áéíóöőúüű",
    "is": "áæéíðóöþúý", "lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž", "no": "åæø", "pl": "ąćęłńóśźż", "sk": "áäčďéíĺľňóôŕšťúýž",
    "sl": "čšž", "sq": "çë", "sr": "ćčđšž", "sv": "åäö", "tr": "çğıöşü",
    "vi": "àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
}  # fmt: skip
"""Of languages whose accents stand in the index."""
_BLOCKS = (
    (0x03AC, 0x03CE), (0x0430, 0x045F), (0x0561, 0x0586), (0x05D0, 0x05EA), (0x0620, 0x06D2), (0x0901, 0x094D),
    (0x0981, 0x09CD), (0x0A01, 0x0A4D), (0x0A81, 0x0ACD), (0x0B01, 0x0B4D), (0x0B82, 0x0BCD), (0x0C01, 0x0C4D),
    (0x0C82, 0x0CCD), (0x0D02, 0x0D4D), (0x0D82, 0x0DDF), (0x10D0, 0x10FA),
)  # fmt: skip
"""Where the small letters of other alphabets stand in Unicode."""

_PARTS = lazy(r"[\p{L}\p{M}]+", properties=True)
_WORDLIKE = lazy(r"[\p{L}\p{M}]+(?:['’-][\p{L}\p{M}]+)*+\Z", properties=True)
_SPELLED = lazy(
    r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}\p{Georgian}\p{Hebrew}\p{Arabic}\p{Devanagari}\p{Bengali}\p{Gurmukhi}"
    r"\p{Gujarati}\p{Oriya}\p{Tamil}\p{Telugu}\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Inherited}]+\Z",
    properties=True,
)
"""Scripts with letters for sounds and blanks between words. The others are indexed by characters, pairs and triples."""

Frequencies = Callable[[Collection[str]], Mapping[str, int]]
"""In how many chunks each of some terms stands, without those that stand in none; asked once for a query."""


@dataclass(frozen=True, slots=True)
class Correction:
    """`word` of a query, which no text holds, was searched for as `by`."""

    word: str
    by: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word of the collection in the place of another: as it is written, its terms, and how likely it is (a logarithm)."""

    word: str
    terms: tuple[str, ...]
    likely: float


def parts(token: str, *, shouted: bool = False) -> list[str]:
    """The words in a token that may be misspelled: runs of letters with none but hyphens and apostrophes between them.

    Identifiers, numbers, abbreviations in capitals and words in camel case are as they are, and so are short words. `shouted`: the
    whole query is in capitals.
    """
    if not _WORDLIKE.match(token):
        return []
    return [part for part in _PARTS.findall(token) if _is_word(part, shouted=shouted)]


def _is_word(part: str, *, shouted: bool) -> bool:
    if not SHORTEST <= len(part) <= LONGEST or not _SPELLED.match(part):
        return False
    small = part[1:] == part[1:].lower()
    return small or (shouted and part == part.upper())


def corrections(
    words: Sequence[str], languages: Sequence[str], frequencies: Frequencies
) -> dict[str, list[Candidate]]:
    """For each of `words` that has any the likeliest words of the collection one edit away, best first, at most `MOST`.

    `languages` are those of the texts, those that matter most first.
    """
    near = {word: _near(word, tuple(languages)) for word in words}
    every = {term for forms in near.values() for terms in forms.values() for term in terms}
    known = frequencies(every) if every else {}
    found: dict[str, list[Candidate]] = {}
    for word, forms in near.items():
        if chosen := _chosen(_costs(word, tuple(languages)), forms, known):
            found[word] = chosen
    return found


def _chosen(
    costs: Mapping[str, float], forms: Mapping[str, tuple[str, ...]], known: Mapping[str, int]
) -> list[Candidate]:
    best: dict[str, Candidate] = {}
    for form, terms in forms.items():
        held = [term for term in terms if term in known]
        if not held:
            continue
        stem = max(held, key=lambda term: known[term])
        candidate = Candidate(form, tuple(held), math.log(known[stem]) - costs[form])
        if stem not in best or candidate.likely > best[stem].likely:
            best[stem] = candidate
    ranked = sorted(best.values(), key=lambda candidate: (-candidate.likely, candidate.word))
    return [candidate for candidate in ranked[:MOST] if candidate.likely >= ranked[0].likely - _MARGIN]


def _costs(word: str, languages: tuple[str, ...]) -> dict[str, float]:
    costs: dict[str, float] = {}
    for language in languages[:_MOST_LANGUAGES]:
        costs |= _variants(word, language)
    return costs


def _variants(word: str, language: str) -> dict[str, float]:
    lower = folding.lowered(word, language)
    return variants(lower, alphabet(language, lower[0])) if lower else {}


def _near(word: str, languages: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The terms of all words one edit away."""
    found: dict[str, dict[str, None]] = {}
    for language in languages[:_MOST_LANGUAGES]:
        for form in _variants(word, language):
            terms = found.setdefault(form, {})
            terms.update(dict.fromkeys(t for t in part_terms(form, language) if t[-1] != "*"))
    return {form: tuple(terms) for form, terms in found.items()}


@functools.lru_cache(maxsize=64)
def variants(word: str, letters: str) -> dict[str, float]:
    """All words one edit away from `word`, which is in lower case, each with what the edit costs. `letters` may be put in."""
    found: dict[str, float] = {}
    for form, cost, place in _edits(word, letters):
        cost += FIRST_LETTER if not place and cost > ACCENT else 0.0
        if cost < found.get(form, math.inf):
            found[form] = cost
    found.pop(word, None)
    return found


def _edits(word: str, letters: str) -> Iterator[tuple[str, float, int]]:
    """(word, cost, place of the edit)"""
    for i, letter in enumerate(word):
        rest = word[i + 1 :]
        yield word[:i] + rest, DOUBLED if letter in word[i - 1 : i] + rest[:1] else PUT_IN, i
        if rest and rest[0] != letter:
            yield word[:i] + rest[0] + letter + rest[1:], SWAPPED, i
        for other in letters:
            yield word[:i] + other + rest, ACCENT if _plain(other) == _plain(letter) else CHANGED, i
    for i in range(len(word) + 1):
        for other in letters:
            beside = word[max(0, i - 1) : i + 1]
            yield word[:i] + other + word[i:], DOUBLED if other in beside else LEFT_OUT, i


@functools.cache
def _plain(letter: str) -> str:
    return unicodedata.normalize("NFD", letter)[0]


@functools.cache
def alphabet(language: str, first: str) -> str:
    """The letters that a word which begins with `first` may have in a text of this language, as they stand in the index."""
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
