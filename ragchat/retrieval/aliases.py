"""Short and long forms that the documents themselves define, "polymyalgia rheumatica (PMR)": who asks for one means the other.

Definitions are looked for in the first texts that a query finds, so nothing is stored. How a pair is told: Schwartz and Hearst, A
Simple Algorithm for Identifying Abbreviation Definitions in Biomedical Text (PSB 2003).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ragchat.retrieval.analyzer import query_terms
from ragchat.retrieval.stopwords import LANGUAGES, stop_words

WEIGHT = 0.5
"""Of a form of one word; the words of a longer one share it (divided by the root of their number)."""
MOST = 2
"""Forms that are added to a query."""
_LONGEST_SHORT = 10
_LOOKED_BACK = 160
"""Characters before a bracket."""
_BRACKETS = re.compile(r"\(([^()]{2,100})\)")
_END = re.compile(r"[.;:!?()\n]")
_WORD = re.compile(r"\w++")


def definitions(text: str) -> Iterator[tuple[str, str]]:
    """(short form, long form) of each definition in a text: "long form (SF)" and "SF (long form)"."""
    for bracket in _BRACKETS.finditer(text):
        inside = _END.split(bracket[1], maxsplit=1)[0].split(",")[0].strip()
        start = max(0, bracket.start() - _LOOKED_BACK)
        before = _END.split(text[start : bracket.start()])[-1].split()
        if not before:
            continue
        if _is_short(inside):
            short, words = inside, before[-min(len(inside) + 5, 2 * len(inside)) :]
        elif _is_short(before[-1]):
            short, words = before[-1], inside.split()
        else:
            continue
        if long := _long_form(short, " ".join(words)):
            yield short, long


def _is_short(word: str) -> bool:
    """Whether a word may be a short form: at most ten characters, two of them capitals."""
    return (
        2 <= len(word) <= _LONGEST_SHORT
        and word[0].isalnum()
        and " " not in word
        and sum(map(str.isupper, word)) >= 2
    )


def _long_form(short: str, words: str) -> str:
    """The end of `words` that has the characters of a short form in their order, its first at the beginning of a word; or ''."""
    at = len(words)
    letters = [letter.lower() for letter in short if letter.isalnum()]
    for number, letter in enumerate(reversed(letters), 1):
        at -= 1
        while at >= 0 and not _fits(words, at, letter, begins=number == len(letters)):
            at -= 1
        if at < 0:
            return ""
    long = words[at:].strip(" \"'“”‘’")
    count = len(long.split())
    is_long = len(long) > len(short) and 2 <= count <= min(len(short) + 5, 2 * len(short))
    return long if is_long and short not in long else ""


def _fits(words: str, at: int, letter: str, *, begins: bool) -> bool:
    return words[at].lower() == letter and not (begins and at and words[at - 1].isalnum())


def aliases(query: str, texts: Iterable[tuple[str, str]], languages: Sequence[str]) -> dict[str, float]:
    """Terms of the other form of what a query asks for, with weights below 1; none where no text defines one.

    `texts`: (text, language) of the first that the query found, best first. `languages` of all documents.
    """
    spoken = [word.lower() for word in _WORD.findall(query)]
    phrase = f" {' '.join(spoken)} "
    found: dict[str, tuple[str, str]] = {}
    for text, language in texts:
        for short, long in definitions(text) if len(found) < MOST else ():
            if _asks_for(short, query, spoken, language):
                found.setdefault(long.lower(), (long, language))
            elif f" {' '.join(_WORD.findall(long.lower()))} " in phrase:
                found.setdefault(short.lower(), (short, language))
    asked = query_terms(query, languages)
    return _weighed(list(found.values())[:MOST], asked)


def _asks_for(short: str, query: str, spoken: Sequence[str], language: str) -> bool:
    """Whether a query holds a short form: as it is written, or in other letters where that is no common word."""
    lower = short.lower()
    if lower not in spoken:
        return False
    stops = stop_words(language) if language in LANGUAGES else frozenset()
    return short in query or (len(short) > 2 and lower not in stops)


def _weighed(forms: Sequence[tuple[str, str]], asked: Mapping[str, int]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for form, language in forms:
        new = [term for term in query_terms(form, (language,)) if term not in asked]
        for term in new:
            weights.setdefault(term, WEIGHT / len(new) ** 0.5)
    return weights
