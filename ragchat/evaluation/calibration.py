"""When to say "not in your documents": false answers against wrong refusals as a curve, on your own questions.

No model is needed: the chat declines by what the search says, the share of the question's weight that the best passage holds
(`match`) and how sure the scores make it (`confidence`); either is enough to answer. Both thresholds move together along one
`strictness` from 0 (answers whatever is found) over 0.5 (as shipped) to 1 (answers next to nothing).

The chance that the documents answer (`session.answerability`) has a threshold of its own: below it a strict chat declines, and
an answer has "The passages do not say." below it. With enough questions its scale is fitted to them as well (Platt, Probabilistic
outputs for support vector machines, 1999).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ragchat.evaluation.question_sets import Asked
from ragchat.retrieval import quoting
from ragchat.retrieval.search import DEFAULT, Ranking, Searcher
from ragchat.session import answerability
from ragchat.session.answerability import AS_SHIPPED, Own, Worth
from ragchat.types import CancelToken
from ragchat.types.defaults import HITS, MIN_CONFIDENCE, MIN_MATCH

if TYPE_CHECKING:
    from ragchat.types.embedding import Embedder

STEPS = 101
SHIPPED = 0.5
NEEDS_BOTH = "the set must contain answerable and unanswerable questions"
FEWEST_TO_REFIT = 40
"""Questions of each kind from which the scale of the chance is fitted to them; with fewer only its threshold is chosen."""
_PULL = 1.0
"""How strongly a refit is drawn to what is shipped."""
_FLATTEST = 0.2
_SURE = 1e-6
_STEPS_OF_FIT = 100
_LONGEST_STEP = 0.5
"""Of slope and intercept: far from the shipped scale a whole step of Newton's method would leap over the best one."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the search says of a question. `answerable` False: the documents hold no answer.

    `chance` is the shipped one that they do, from 0 to 1, as it is known before a model writes.
    """

    question: str
    answerable: bool
    match: float
    confidence: float
    chance: float = 0.0

    def answered(self, min_match: float, min_confidence: float) -> bool:
        """Whether the chat would answer from the documents with these thresholds."""
        return self.match >= min_match or self.confidence >= min_confidence


class _Errors:
    """Both kinds of errors; who inherits has the two fields."""

    __slots__ = ()
    false_answers: float
    wrong_refusals: float

    @property
    def error(self) -> float:
        """Mean of both shares: each kind of question counts alike, however many there are of it."""
        return (self.false_answers + self.wrong_refusals) / 2


@dataclass(frozen=True, slots=True)
class Point(_Errors):
    """`false_answers`: share of the unanswerable questions that are answered; `wrong_refusals`: of the answerable declined."""

    strictness: float
    min_match: float
    min_confidence: float
    false_answers: float
    wrong_refusals: float


@dataclass(frozen=True, slots=True)
class RefusalCurve:
    """`points` of all degrees of strictness, ascending; `now` as the settings are; from so many questions of each kind.

    `judged` are the questions, `own` is what an earlier calibration stored of the chance.
    """

    points: Sequence[Point]
    now: Point
    answerable: int
    unanswerable: int
    judged: Sequence[Judged] = ()
    own: Own = AS_SHIPPED


@dataclass(frozen=True, slots=True)
class ChancePoint(_Errors):
    """The errors when what has a chance below `least` counts as declined."""

    least: float
    false_answers: float
    wrong_refusals: float


@dataclass(frozen=True, slots=True)
class ChanceFit:
    """What a set makes of the chance: `own` is what to store, `chosen` and `now` the errors with it and without.

    `refitted`: the scale was fitted, too, not only the threshold chosen. `points` ascend from a threshold of 0.
    """

    own: Own
    chosen: ChancePoint
    now: ChancePoint
    points: Sequence[ChancePoint]
    refitted: bool


def look(
    searcher: Searcher,
    questions: Sequence[Asked],
    *,
    ranking: Ranking = DEFAULT,
    worth: Worth | None = None,
    embedder: Embedder | None = None,
    cancel: CancelToken,
) -> Iterator[Judged]:
    """What the search says of each question; `worth` and `embedder` as the chat has them for the chance. Raises StorageError."""
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
            answerability.before(
                answerability.search_signals(
                    question.question,
                    found,
                    quoting.quote(question.question, found.hits),
                    worth,
                    embedder,
                )
            ),
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


# --- the chance -------------------------------------------------------------------------------------------


def fit_chance(
    judged: Sequence[Judged], own: Own = AS_SHIPPED, *, most_false_answers: float | None = None
) -> ChanceFit:
    """The threshold for these questions, and with `FEWEST_TO_REFIT` of each kind the scale; `own` is what is stored so far.

    Raises ValueError as `curve` does.
    """
    kinds = [one.answerable for one in judged]
    fewest = min(kinds.count(True), kinds.count(False))
    refitted = fewest >= FEWEST_TO_REFIT
    scale = refit(judged) if refitted else AS_SHIPPED
    points = chance_curve(judged, scale)
    chosen = choose_chance(points, most_false_answers=most_false_answers)
    now = chance_point(judged, own, answerability.thresholds(own).before)
    return ChanceFit(replace(scale, least=chosen.least), chosen, now, points, refitted)


def chance_curve(judged: Sequence[Judged], own: Own = AS_SHIPPED) -> list[ChancePoint]:
    """The errors of each threshold in hundredths, ascending. Raises ValueError as `curve` does."""
    return [chance_point(judged, own, step / (STEPS - 1)) for step in range(STEPS)]


def chance_point(judged: Sequence[Judged], own: Own, least: float) -> ChancePoint:
    """The errors with this scale and threshold. Raises ValueError as `curve` does."""
    there, gone = (
        [answerability.rescaled(one.chance, own) >= least for one in judged if one.answerable is kind]
        for kind in (True, False)
    )
    if not there or not gone:
        raise ValueError(NEEDS_BOTH)
    return ChancePoint(least, sum(gone) / len(gone), there.count(False) / len(there))


def choose_chance(points: Sequence[ChancePoint], *, most_false_answers: float | None = None) -> ChancePoint:
    """The point with the least error, the middle one of several; or the least strict with no more false answers than these."""
    if most_false_answers is not None:
        allowed = [point for point in points if point.false_answers <= most_false_answers]
        return allowed[0] if allowed else points[-1]
    least = min(point.error for point in points)
    best = [point for point in points if point.error <= least + _SURE]
    return best[len(best) // 2]


def refit(judged: Sequence[Judged]) -> Own:
    """Slope and intercept of the log-odds that fit these questions best, each kind counting alike; no threshold.

    Newton's method on the logistic loss, with a pull towards the shipped scale so that a set that is told apart without a fault
    does not make every chance 0 or 1.
    """
    import numpy as np

    told_apart = [one for one in judged if one.chance > 0]  # where nothing was found, there is no scale
    truth = np.array([one.answerable for one in told_apart], float)
    if not 0 < truth.sum() < len(truth):
        return AS_SHIPPED
    chances = np.clip([one.chance for one in told_apart], _SURE, 1 - _SURE)
    weights = np.where(truth > 0, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    columns = np.stack([np.log(chances / (1 - chances)), np.ones(len(chances))], axis=1)
    shipped = np.array([1.0, 0.0])
    fitted = shipped.copy()
    for _ in range(_STEPS_OF_FIT):
        told = 1 / (1 + np.exp(-np.clip(columns @ fitted, -30, 30)))
        slope = columns.T @ (weights * (told - truth)) + _PULL * (fitted - shipped)
        curvature = (columns * (weights * told * (1 - told))[:, None]).T @ columns + _PULL * np.eye(2)
        fitted -= np.clip(np.linalg.solve(curvature, slope), -_LONGEST_STEP, _LONGEST_STEP)
    return Own(round(max(_FLATTEST, float(fitted[0])), 4), round(float(fitted[1]), 4))
