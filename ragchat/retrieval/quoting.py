"""The one or two sentences of the documents that answer a question, word for word.

Every sentence of the first hits gets a score, a weighted sum of its signs (`worth`). The weights lie in `quoting.json`, which
`benchmarks/evidence.py --fit` makes. A sentence of a small table, list, fence or entry brings all of it.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from ragchat.retrieval.blocks import whole
from ragchat.retrieval.worth import Columns, Floats, Passage, Seen, cut, look, look_closely
from ragchat.types import Hit
from ragchat.types.answers import Quote

REVISION = 1
"""Of what decides which quotes are shown; figures of evaluations depend on it."""
HITS = 8
"""Hits that are read."""
_HEADING_LINE = re.compile(r"#{1,6}[ \t][^\n]*\n\s*")
_LIKELY = 24
"""Sentences that are looked at closely: the first ones by the words they share."""

Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights of the signs of a sentence; of what a second one is to the first; of what tells whether they answer."""

    sentence: Weights
    second: Weights
    chance: Weights


@dataclass(frozen=True, slots=True)
class Ranked:
    """The likely pieces with their scores, in the order of the text, and `chosen` among them, best first."""

    passages: Sequence[Passage]
    seen: Seen
    scores: Floats
    chosen: Sequence[int]


def quote(question: str, hits: Sequence[Hit]) -> tuple[Quote, ...]:
    """At most two quotes in order of worth; none where there are no hits or the question has no words to look for.

    They do not overlap. All carry the same `chance`: how sure it is that one of them answers.
    """
    weights = fitted()
    ranked = rank(question, hits[:HITS], weights)
    if ranked is None:
        return ()
    told = sum(weights.chance[name] * fact for name, fact in facts(ranked, hits[:HITS]).items())
    chance = 1 / (1 + math.exp(-told))
    return tuple(
        Quote(hits[number], _behind_heading(hits[number].text, first, last), last, chance)
        for number, first, last in spans(ranked)
    )


def _behind_heading(text: str, first: int, last: int) -> int:
    """Where a quote begins without the headings at its beginning; `first` where there is nothing else in it."""
    at = first
    while heading := _HEADING_LINE.match(text, at, last):
        at = heading.end()
    return at if text[at:last].strip() else first


def rank(question: str, hits: Sequence[Hit], weights: Fitted) -> Ranked | None:
    """The pieces of the hits and which of them to quote; None where there is nothing to look for or to look at."""
    passages = cut(hits)
    seen = look(question, hits, passages)
    if seen is None:
        return None
    first = np.argsort(-weighed(seen.columns, weights.sentence), kind="stable")[:_LIKELY]
    close = look_closely(question, seen, sorted(first.tolist()))
    scores = weighed(close.columns, weights.sentence)
    return Ranked(passages, close, scores, _chosen(passages, close, scores, weights.second))


def spans(ranked: Ranked) -> list[tuple[int, int, int]]:
    """What is quoted as (number of the hit, first, last)."""
    return [_whole(ranked.passages, ranked.seen, i) for i in ranked.chosen]


def beside(seen: Seen, first: int) -> Columns:
    """What each piece is to the first quote."""
    chosen = seen.pieces[first]
    own = [piece.hit == chosen.hit for piece in seen.pieces]
    gaps = [
        piece.first - chosen.last if piece.first >= chosen.last else piece.last - chosen.first
        for piece in seen.pieces
    ]
    of_it = set(chosen.terms)
    alike = [len(of_it & set(piece.terms)) / max(1, len(set(piece.terms))) for piece in seen.pieces]
    return {
        "same": np.array(own, float),
        "follows": np.array(
            [is_own and 0 <= gap <= _SEAM for is_own, gap in zip(own, gaps, strict=True)], float
        ),
        "precedes": np.array(
            [is_own and -_SEAM <= gap < 0 for is_own, gap in zip(own, gaps, strict=True)], float
        ),
        "alike": np.array(alike),
        "adds": (seen.held * (1 - seen.held[first])) @ seen.worth,
    }


_SEAM = 4
"""Characters of white space between two sentences that follow each other."""


def facts(ranked: Ranked, hits: Sequence[Hit]) -> dict[str, float]:
    """What tells whether the quotes answer."""
    seen, chosen = ranked.seen, list(ranked.chosen)
    shares = np.exp(ranked.scores - ranked.scores.max())
    shares /= shares.sum()
    first = chosen[0]
    return {
        "constant": 1.0,
        "best": float(ranked.scores[first]),
        "sure": float(shares[first]),
        "two": float(shares[chosen].sum()),
        "own": float(seen.held[first] @ seen.worth),
        "score": math.log(max(1e-6, max(hit.score for hit in hits))),
        "words": math.log(seen.held.shape[1]),
    }


def weighed(columns: Mapping[str, Floats], weights: Weights) -> Floats:
    """The sum of columns times weights; what has no weight does not count. `columns` has at least one."""
    total = np.zeros(len(next(iter(columns.values()))))
    for name, column in columns.items():
        total += weights.get(name, 0.0) * column
    return total


@functools.cache
def fitted() -> Fitted:
    """The weights that come with the program."""
    held = json.loads((files("ragchat.retrieval") / "quoting.json").read_text("utf-8"))
    return Fitted(held["sentence"], held["second"], held["chance"])


def _chosen(passages: Sequence[Passage], seen: Seen, scores: Floats, second: Weights) -> list[int]:
    """The numbers of the pieces to quote, best first."""
    best = int(np.argmax(scores))
    taken = _whole(passages, seen, best)
    following = scores + weighed(beside(seen, best), second)
    for i in np.argsort(-following, kind="stable").tolist():
        if not _overlap(taken, _whole(passages, seen, i)):
            return [best, i]
    return [best]


def _whole(passages: Sequence[Passage], seen: Seen, number: int) -> tuple[int, int, int]:
    piece = seen.pieces[number]
    return piece.hit, *whole(piece.first, piece.last, passages[piece.hit].blocks)


def _overlap(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]
