"""What speaks for a sentence being the answer: signs of its words, of what is around it, of its hit, and of what it adds.

A sign is a number for each sentence; `quoting` adds them up. Those of words are cheap and are made for every sentence, those
that look at the text are made for the likely ones alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragchat.retrieval import asking
from ragchat.retrieval.analyzer import QueryWord, query_words, stop_terms, terms
from ragchat.retrieval.asking import Kind
from ragchat.retrieval.blocks import block_spans, whole
from ragchat.retrieval.preference import factor, question_language
from ragchat.retrieval.sentences import piece_spans, sentence_spans
from ragchat.types import Hit

LONGEST_PIECE = 400
"""Characters. A longer sentence (a listing, a script without stops) is looked at in parts."""
_COMMON = 1.0
"""What any word weighs, in units of idf: what a question is about is in most of what was found for it."""
_OPENING = 4
"""Terms with which a sentence says what it is about."""

Floats = NDArray[np.float64]
Columns = dict[str, Floats]

_ITEM = re.compile(r"\s*(?:[-*+•‣◦]|\d{1,3}[.)])\s")
_ENTRY = re.compile(r"[^\n.!?]{1,60}(?::\s|\n\s+\S| [—–-] )")
_ENDED = re.compile(r"[.!?…:。！？｡：][\"'”’»)\]*_`」』]*\Z")
_PRONOUN = re.compile(
    r"\W*(?:he|she|it|they|this|these|that|those|his|her|its|their|er|sie|es|dies\w*|sein\w*|ihr\w*|ils?|elles?|él|ella|esto"
    r"|este|esta|questo|questa|ele|ela|isto)\b|\W*(?:他|她|它|这|此|該|该|เขา|มัน)",
    re.IGNORECASE,
)
_REFERS = re.compile(
    r"\W*(?:see(?: also)?|siehe(?: auch)?|voir(?: aussi)?|véase|vedi|next:|previous:|\[\d+\])\s|[^\n]*\[Page \d+\]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, or a part of a long one: `hits[hit].text[first:last]`, which is `said`.

    `place` from 0 to 1 is where in its passage it is. `back` is how many pieces before it the block begins that it is in.
    """

    hit: int
    first: int
    last: int
    said: str
    terms: Sequence[str]
    place: float
    back: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """A hit, cut into its pieces and blocks."""

    pieces: Sequence[Piece]
    blocks: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Seen:
    """Pieces and their signs. `held`, shape (pieces, words of the question): which has which; `worth` of a word, together 1."""

    pieces: Sequence[Piece]
    columns: Columns
    held: Floats
    worth: Floats


def cut(hits: Sequence[Hit]) -> list[Passage]:
    """The hits in their order, each cut into pieces."""
    return [_passage(number, hit) for number, hit in enumerate(hits)]


def look(question: str, hits: Sequence[Hit], passages: Sequence[Passage]) -> Seen | None:
    """The signs of words, for every piece; None where there is nothing to look for or to look at."""
    pieces = [piece for passage in passages for piece in passage.pieces]
    words = query_words(question, tuple(dict.fromkeys(hit.language for hit in hits)) or ("en",))
    if not pieces or not words:
        return None
    of = np.array([piece.hit for piece in pieces])
    held = _held([piece.terms for piece in pieces], words)
    rare = _rarity(held)
    columns = _shared(held, rare, _around(held, pieces), _above(held, pieces, words, hits))
    columns["opens"] = _held([piece.terms[:_OPENING] for piece in pieces], words) @ rare / rare.sum()
    columns |= _ranked(_scores(question, hits), of) | _shape(pieces, words, hits)
    return Seen(pieces, columns, held, rare / rare.sum())


def look_closely(question: str, seen: Seen, likely: Sequence[int]) -> Seen:
    """The likely pieces alone, with the signs of their texts besides."""
    kinds, asked = asking.kinds(question), asking.words(question)
    rows = [
        dict(_signs(seen.pieces[i], question, asked, kinds, float(seen.columns["before"][i]))) for i in likely
    ]
    names = sorted({name for row in rows for name in row})
    columns = {name: column[likely] for name, column in seen.columns.items()}
    columns |= {name: np.array([row.get(name, 0.0) for row in rows]) for name in names}
    return Seen([seen.pieces[i] for i in likely], columns, seen.held[likely], seen.worth)


# --- pieces -----------------------------------------------------------------------------------------------


def _passage(number: int, hit: Hit) -> Passage:
    spans = piece_spans(hit.text, LONGEST_PIECE)
    blocks = block_spans(hit.text, sentence_spans(hit.text))
    end = max(1, len(spans) - 1)
    pieces = []
    for place, (first, last) in enumerate(spans):
        said = hit.text[first:last]
        back = _back(spans, place, blocks)
        pieces.append(Piece(number, first, last, said, terms(said, hit.language), place / end, back))
    return Passage(pieces, blocks)


def _back(spans: Sequence[tuple[int, int]], place: int, blocks: Sequence[tuple[int, int]]) -> int:
    begin, _ = whole(*spans[place], blocks)
    return next(back for back in range(place + 1) if spans[place - back][0] <= begin or back == place)


# --- signs of words ---------------------------------------------------------------------------------------


def _held(texts: Sequence[Sequence[str]], words: Sequence[QueryWord]) -> Floats:
    """1 where a text has a word, shape (texts, words)."""
    places: dict[str, list[int]] = {}
    for number, word in enumerate(words):
        for term in word.terms:
            places.setdefault(term, []).append(number)
    held = np.zeros((len(texts), len(words)))
    for row, own in zip(held, texts, strict=True):
        for term in own:
            if term in places:
                row[places[term]] = 1.0
    return held


def _rarity(held: Floats) -> Floats:
    """What each word weighs, by its idf among the pieces."""
    count, having = len(held), held.sum(0)
    idf: Floats = np.log1p((count - having + 0.5) / (having + 0.5))
    return idf + _COMMON


def _around(held: Floats, pieces: Sequence[Piece]) -> tuple[Floats, Floats]:
    """(The words of the piece before and of the one that leads to it, those of the piece after), within the passage."""
    before, after = np.zeros_like(held), np.zeros_like(held)
    for i in range(1, len(pieces)):
        if pieces[i].hit == pieces[i - 1].hit:
            before[i], after[i - 1] = np.maximum(held[i - 1], held[i - pieces[i].back]), held[i]
    return before, after


def _above(
    held: Floats, pieces: Sequence[Piece], words: Sequence[QueryWord], hits: Sequence[Hit]
) -> tuple[Floats, Floats]:
    """(The words of the headings above each piece, those of all its passage)."""
    titles = _held([terms(f"{hit.heading}\n{hit.title}", hit.language) for hit in hits], words)
    above, everything = np.zeros_like(held), titles.copy()
    heading, own = -1, titles[:1]
    for i, piece in enumerate(pieces):
        if piece.hit != heading:
            heading, own = piece.hit, titles[piece.hit]
        above[i] = own
        if piece.said.startswith("#"):
            own = np.maximum(titles[piece.hit], held[i])
        everything[piece.hit] = np.maximum(everything[piece.hit], held[i])
    return above, everything[[piece.hit for piece in pieces]]


def _shared(
    held: Floats, rare: Floats, around: tuple[Floats, Floats], above: tuple[Floats, Floats]
) -> Columns:
    """Shares of the question in a piece itself, and of the rest before it, after it, in headings above it, in its passage."""
    before, after = around
    headings, everything = above
    rest = 1 - held
    share = rare / rare.sum()
    own = held @ share
    columns = {
        "own": own,
        "behind": own - own.max(),
        "weight": np.log1p(held @ rare),
        "before": (rest * before) @ share,
        "after": (rest * after) @ share,
    }
    rest = rest * (1 - before) * (1 - after)
    columns["above"] = (rest * headings) @ share
    columns["near"] = (rest * (1 - headings) * everything) @ share
    return columns


def _scores(question: str, hits: Sequence[Hit]) -> Floats:
    """The scores of the hits as they rank them: one in another language counts less, none more than the one before it."""
    languages = list(dict.fromkeys(hit.language for hit in hits))
    language = question_language(question, languages)
    return np.minimum.accumulate([hit.score * factor(hit, language) for hit in hits])


def _ranked(scores: Floats, of: NDArray[np.int64]) -> Columns:
    """What the search says of the hit."""
    best = scores.max()
    return {"share": scores[of] / best, "lag": (scores[of] - best) / 10, "rank": 1 / (1.0 + of)}


def _shape(pieces: Sequence[Piece], words: Sequence[QueryWord], hits: Sequence[Hit]) -> Columns:
    """Where a piece is, how long it is, how much it has that was not asked for."""
    asked = {term for word in words for term in word.terms}
    length = np.array([math.log(len(piece.said) / 100 + 0.05) for piece in pieces])
    place = np.array([piece.place for piece in pieces])
    new = [len(set(piece.terms) - asked - stop_terms(hits[piece.hit].language)) for piece in pieces]
    return {
        "place": place,
        "last": (place == 1).astype(float),
        "length": length,
        "length2": length**2,
        "new": np.log1p(np.array(new, float)),
    }


# --- signs of texts ---------------------------------------------------------------------------------------


_FACTUAL = frozenset((Kind.PERSON, Kind.TIME, Kind.AMOUNT, Kind.PLACE))


@dataclass(frozen=True, slots=True)
class _Has:
    """What a text has that the question has not: how many names, whether a number in figures, whether a date."""

    names: int
    number: bool
    date: bool


def _signs(
    piece: Piece, question: str, asked: AbstractSet[str], kinds: AbstractSet[Kind], before: float
) -> Iterator[tuple[str, float]]:
    """The signs of one text by their names; those that are 0 may be missing."""
    said = piece.said
    numbers, own = asking.new_numbers(said, question), asking.words(said) - asked
    has = _Has(asking.new_names(said, asked), bool(numbers), asking.has_date(numbers, own, said))
    yield "names", math.log1p(has.names)
    yield "number", float(has.number)
    yield "date", float(has.date)
    yield from _form(said, before)
    yield from _facts(said, own, kinds, has)
    yield from _help(said, kinds)


def _form(said: str, before: float) -> Iterator[tuple[str, float]]:
    """What kind of line it is."""
    yield "heading", float(said.startswith("#"))
    yield "asks", float(said.rstrip('"”»)').endswith(("?", "？")))
    yield "item", float(_ITEM.match(said) is not None)
    yield "table", float(said.startswith("|"))
    yield "open", float(_ENDED.search(said) is None)
    yield "refers", float(_REFERS.match(said) is not None)
    if _PRONOUN.match(said):
        yield "pronoun", 1.0
        yield "pronoun:before", before


def _facts(
    said: str, own: AbstractSet[str], kinds: AbstractSet[Kind], has: _Has
) -> Iterator[tuple[str, float]]:
    """Whether it has a name, a date, an amount, a place where one is asked for."""
    if Kind.PERSON in kinds:
        yield "person:name", float(has.names > 0)
        yield "person:names", math.log1p(has.names)
    if Kind.TIME in kinds:
        yield "time:date", float(has.date)
        yield "time:number", float(has.number)
    if Kind.AMOUNT in kinds:
        written = asking.has_amount_word(own, said)
        yield "amount:any", float(has.number or written)
        yield "amount:written", float(written)
        yield "amount:unit", float(has.number and asking.has_unit(said))
    if Kind.PLACE in kinds:
        yield "place:name", float(has.names > 0)
        yield "place:in", float(asking.has_place(said))
    if kinds.isdisjoint(_FACTUAL):
        yield "thing:names", math.log1p(has.names)
        yield "thing:number", float(has.number)


def _help(said: str, kinds: AbstractSet[Kind]) -> Iterator[tuple[str, float]]:
    """Whether it has a reason, a step, a meaning where one is asked for."""
    if Kind.REASON in kinds:
        yield "reason:reason", float(asking.has_reason(said))
    if name := next((kind for kind in (Kind.MEANING, Kind.TOPIC) if kind in kinds), None):
        yield f"{name}:meaning", float(asking.has_meaning(said))
        yield f"{name}:entry", float(_ENTRY.match(said) is not None)
    if name := next((kind for kind in (Kind.WAY, Kind.COMMAND, Kind.TOPIC) if kind in kinds), None):
        yield f"{name}:code", float(asking.has_code(said))
        yield f"{name}:step", float(asking.has_step(said))
