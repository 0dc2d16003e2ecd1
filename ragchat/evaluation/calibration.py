"""When to say "not in your documents": false answers against wrong refusals as a curve, on your own questions.

No model is needed: the chat declines by what the search says, the share of the question's weight that the best passage holds
(`match`) and how sure the scores make it (`confidence`); either is enough to answer. Both thresholds move together along one
`strictness` from 0 (answers whatever is found) over 0.5 (as shipped) to 1 (answers next to nothing).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragchat.evaluation.question_sets import Asked
from ragchat.retrieval.search import DEFAULT, Ranking, Searcher
from ragchat.types import CancelToken
from ragchat.types.defaults import HITS, MIN_CONFIDENCE, MIN_MATCH

STEPS = 101
SHIPPED = 0.5
NEEDS_BOTH = "the set must contain answerable and unanswerable questions"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the search says of a question. `answerable` False: the documents hold no answer."""

    question: str
    answerable: bool
    match: float
    confidence: float

    def answered(self, min_match: float, min_confidence: float) -> bool:
        """Whether the chat would answer from the documents with these thresholds."""
        return self.match >= min_match or self.confidence >= min_confidence


@dataclass(frozen=True, slots=True)
class Point:
    """`false_answers`: share of the unanswerable questions that are answered; `wrong_refusals`: of the answerable declined."""

    strictness: float
    min_match: float
    min_confidence: float
    false_answers: float
    wrong_refusals: float

    @property
    def error(self) -> float:
        """Mean of both shares: each kind of question counts alike, however many there are of it."""
        return (self.false_answers + self.wrong_refusals) / 2


@dataclass(frozen=True, slots=True)
class RefusalCurve:
    """`points` of all degrees of strictness, ascending; `now` as the settings are; from so many questions of each kind."""

    points: Sequence[Point]
    now: Point
    answerable: int
    unanswerable: int


def look(
    searcher: Searcher, questions: Sequence[Asked], *, ranking: Ranking = DEFAULT, cancel: CancelToken
) -> Iterator[Judged]:
    """What the search says of each question. Raises StorageError."""
    for question in questions:
        if cancel.cancelled:
            return
        found = searcher.search(question.question, HITS, ranking=ranking)
        hit = bool(found.hits)
        yield Judged(
            question.question,
            question.answerable,
            found.match if hit else -1.0,
            found.confidence if hit else -1.0,
        )


def thresholds(strictness: float) -> tuple[float, float]:
    """(min_match, min_confidence)."""
    return _along(strictness, MIN_MATCH), _along(strictness, MIN_CONFIDENCE)


def _along(strictness: float, shipped: float) -> float:
    if strictness <= SHIPPED:
        return round(shipped * strictness / SHIPPED, 4)
    return round(shipped + (1 - shipped) * (strictness - SHIPPED) / (1 - SHIPPED), 4)


def curve(judged: Sequence[Judged]) -> list[Point]:
    """The points of `STEPS` degrees of strictness, ascending. Raises ValueError unless both kinds of questions are there."""
    steps = [step / (STEPS - 1) for step in range(STEPS)]
    return [point(judged, *thresholds(strictness), strictness=strictness) for strictness in steps]


def point(
    judged: Sequence[Judged], min_match: float, min_confidence: float, *, strictness: float = -1
) -> Point:
    """The errors with these thresholds; strictness -1 means none on the curve. Raises ValueError as `curve` does."""
    there = [one.answered(min_match, min_confidence) for one in judged if one.answerable]
    gone = [one.answered(min_match, min_confidence) for one in judged if not one.answerable]
    if not there or not gone:
        raise ValueError(NEEDS_BOTH)
    return Point(
        strictness, min_match, min_confidence, sum(gone) / len(gone), there.count(False) / len(there)
    )


def choose(points: Sequence[Point], *, most_false_answers: float | None = None) -> Point:
    """The point with the least error; with `most_false_answers` the least strict one that allows no more than these."""
    if most_false_answers is not None:
        allowed = [point for point in points if point.false_answers <= most_false_answers]
        return allowed[0] if allowed else points[-1]
    return min(points, key=lambda point: (point.error, abs(point.strictness - SHIPPED)))
