"""Why a passage stands where it stands, in numbers and in lines that a user reads. It ranks nothing."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from ragchat.retrieval import bm25
from ragchat.retrieval.analyzer import query_terms, token_terms, tokens
from ragchat.text import clean_line

_SMALLEST = 0.005
"""What would be shown as 0.00 is left out."""
_LONGEST_WORD = 40


class PartName(StrEnum):
    """What a score is made of; the values are what `--json` calls them."""

    WORDS = "words"
    PAIRS = "word pairs"
    FORMS = "written form"
    SIMILAR = "similar words"
    AGREEMENT = "agreement"
    PLACE = "title and path"
    NEIGHBOURS = "neighbours"
    MEANING = "meaning"
    LANGUAGE = "language"
    KIND = "form of text"
    CROSS_ENCODER = "cross-encoder"


_MEANINGS = {
    PartName.WORDS: "words of the question, by BM25",
    PartName.PAIRS: "words that are close together, as in the question",
    PartName.FORMS: "words written exactly as you typed them",
    PartName.SIMILAR: "words with the same beginning",
    PartName.AGREEMENT: "similar to other good passages",
    PartName.PLACE: "words in the title, heading or path",
    PartName.NEIGHBOURS: "the passages around it match too",
    PartName.MEANING: "how similar its meaning is to the question",
    PartName.LANGUAGE: "is in the language of the question",
    PartName.KIND: "prose, not a list or an index",
    PartName.CROSS_ENCODER: "read together with the question",
}


@dataclass(frozen=True, slots=True)
class WordWeight:
    """A word of the question, as it was typed, and what it adds to the score.

    `asked` False: the word came from an earlier turn, a correction, or the best passages.
    """

    word: str
    weight: float
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of the ranking adds to the score; below 0 it takes away."""

    name: PartName
    value: float


class Move(NamedTuple):
    """Where a cross-encoder put a hit: its places before and after, from 1, and what its score gained."""

    before: int
    after: int
    gained: float = 0.0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Of one passage: `words` it holds, the heaviest first; `missing` words of the question; `parts` add up to `total`.

    `cosine` tells how near it is to the question by meaning, -1 to 1; None where no vectors were compared. `moved`: where a
    cross-encoder put it; None where none has read it.
    """

    words: tuple[WordWeight, ...] = ()
    missing: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    total: float = 0.0
    cosine: float | None = None
    moved: Move | None = None

    def moved_by(self, move: Move | None) -> Explanation:
        """The same after a cross-encoder has moved the passage."""
        if move is None:
            return self
        part = (Part(PartName.CROSS_ENCODER, move.gained),) if move.gained else ()
        return replace(self, parts=(*self.parts, *part), total=self.total + move.gained, moved=move)

    def as_json(self) -> dict[str, object]:
        """The shape that scripts rely on."""
        return {
            "total": round(self.total, 4),
            "words": [
                {"word": one.word, "weight": round(one.weight, 4), "asked": one.asked} for one in self.words
            ],
            "missing": list(self.missing),
            "parts": {part.name.value: round(part.value, 4) for part in self.parts},
            "cosine": None if self.cosine is None else round(self.cosine, 4),
            **({"cross_encoder": [self.moved.before, self.moved.after]} if self.moved else {}),
        }


def words(
    query: str, languages: tuple[str, ...], language: str, added: Mapping[str, float]
) -> tuple[tuple[WordWeight, ...], tuple[str, ...]]:
    """(words that a passage holds, words of the question that it lacks).

    `added` says what each term adds to the passage's score (weight times idf times saturation), 0 for those it lacks;
    `language` is that of the passage.
    """
    asked = query_terms(query, languages)
    held: list[WordWeight] = []
    missing: list[str] = []
    seen: set[str] = set()
    for token in dict.fromkeys(tokens(query)):
        terms = {term for term in token_terms(token, language) if term in asked} - seen
        if not terms:
            continue
        seen |= terms
        weight = sum(added.get(term, 0.0) for term in terms)
        if weight > 0:
            held.append(WordWeight(token, weight))
        else:
            missing.append(token)
    rest = _others(added, seen | asked.keys())
    return tuple(sorted([*held, *rest], key=lambda one: -one.weight)), tuple(missing)


def added(worth: Mapping[str, float], held: Mapping[str, int], total: float) -> dict[str, float]:
    """How a BM25 score of `total` is shared by the terms that a passage holds, 0 for those it lacks.

    `worth` is weight times idf of each term that was searched for, `held` how often the passage holds each of its terms. The
    shares add up to `total`, so that length and fields, which weigh on all of them alike, need not be known.
    """
    raw = {term: value * held.get(term, 0) / (held.get(term, 0) + bm25.K1) for term, value in worth.items()}
    whole = sum(raw.values())
    return {term: total * value / whole if whole else 0.0 for term, value in raw.items()}


def _others(added: Mapping[str, float], seen: AbstractSet[str]) -> list[WordWeight]:
    return [
        WordWeight(term, weight, asked=False)
        for term, weight in added.items()
        if term not in seen and weight > 0
    ]


def summary(explanation: Explanation, *, most: int = 4) -> str:
    """One line: the heaviest words and what else moved the passage."""
    said = [
        f"{_shown(one.word)} {one.weight:.1f}" for one in explanation.words[:most] if one.weight > _SMALLEST
    ]
    if len(explanation.words) > most:
        said.append(f"{len(explanation.words) - most} more")
    said += [
        f"{part.name} {part.value:+.1f}"
        for part in explanation.parts
        if part.name not in (PartName.WORDS, PartName.CROSS_ENCODER) and abs(part.value) >= _SHOWN_SHORT
    ]
    if explanation.moved:
        said.append(f"{PartName.CROSS_ENCODER} {_move(explanation.moved)}")
    return " · ".join(said)


_SHOWN_SHORT = 0.05


def lines(explanation: Explanation) -> list[str]:
    """Plain lines for a user: the score and its parts, the words with their weights, the words that are missing."""
    found = [f"score {explanation.total:.2f}"]
    for part in explanation.parts:
        if abs(part.value) < _SMALLEST or (part.name is PartName.CROSS_ENCODER and explanation.moved):
            continue
        cosine = ""
        if part.name is PartName.MEANING and explanation.cosine is not None:
            cosine = f", cosine {explanation.cosine:.2f}"
        found.append(f"{part.value:+7.2f}  {part.name}: {_MEANINGS[part.name]}{cosine}")
        if part.name is PartName.WORDS:
            found += [f"           {_worded(one)}" for one in explanation.words if one.weight >= _SMALLEST]
    if explanation.cosine is not None and all(
        part.name is not PartName.MEANING for part in explanation.parts
    ):
        found.append(f"         cosine to the question {explanation.cosine:.2f}")
    if move := explanation.moved:
        meaning = _MEANINGS[PartName.CROSS_ENCODER]
        found.append(f"{move.gained:+7.2f}  {PartName.CROSS_ENCODER} {_move(move)}: {meaning}")
    if explanation.missing:
        found.append("not in it: " + ", ".join(_shown(word) for word in explanation.missing))
    return found


def _move(move: Move) -> str:
    if move.before == move.after:
        return f"{_ordinal(move.after)} as before"
    return f"{_ordinal(move.before)} → {_ordinal(move.after)}"


def _ordinal(number: int) -> str:
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _worded(one: WordWeight) -> str:
    return f"{one.weight:6.2f} {_shown(one.word)}" + ("" if one.asked else " (added)")


def _shown(word: str) -> str:
    return clean_line(word.removesuffix("*"), limit=_LONGEST_WORD)
