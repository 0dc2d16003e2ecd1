"""Which settings of the search serve the person's own questions: a bounded search on one half, told of the other half.

What is measured is what counts for the answer: whether an expected answer stands in the first hits, and how early the first hit
with it comes. No model is needed. One setting is changed at a time, and kept when it helps
on the development half; what the other half says of the result is what a person may believe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from ragchat.evaluation import statistics
from ragchat.evaluation.answer_metrics import contains
from ragchat.evaluation.sets import Asked
from ragchat.evaluation.statistics import Interval
from ragchat.retrieval.search import Ranking, Searcher
from ragchat.types import CancelToken

GRID: Mapping[str, tuple[object, ...]] = {
    "k1": (0.8, 1.2, 1.5, 2.0),
    "b": (0.3, 0.45, 0.6, 0.75, 0.9),
    "proximity": (True, False),
    "forms": (True, False),
    "agreement": (True, False),
    "feedback": (True, False),
}
"""What is tried, setting by setting, in this order."""
FEWEST = 20
_LEAST_GAIN = 0.002


@dataclass(frozen=True, slots=True)
class Tried:
    """One setting of the search and what the development half made of it: the mean score."""

    done: int
    total: int
    name: str
    value: object
    score: float
    kept: bool


@dataclass(frozen=True, slots=True)
class Tuned:
    """`gain` of the chosen settings over the present ones, on the half that chose nothing. `settings` are those that changed."""

    settings: Mapping[str, object]
    before: float
    after: float
    gain: Interval
    p: float
    questions: int

    @property
    def shown(self) -> bool:
        return self.p < 0.05 and self.gain.mean > 0


def tune(
    searcher: Searcher,
    questions: Sequence[Asked],
    *,
    now: Ranking,
    passages: int,
    cancel: CancelToken,
) -> Iterator[Tried | Tuned]:
    """Try the grid on every other question; a Tuned about the rest is last. `passages` are packed. Raises ValueError."""
    asked = [q for q in questions if q.answerable]
    if len(asked) < FEWEST:
        raise ValueError(f"{len(asked)} questions with answers are too few; {FEWEST} are the least")
    development, rest = asked[::2], asked[1::2]
    best, best_score = now, fmean(scores(searcher, development, now, passages))
    total, done = sum(len(values) - 1 for values in GRID.values()), 0
    for name, values in GRID.items():
        for value in values:
            if getattr(best, name) == value:
                continue
            if cancel.cancelled:
                return
            done += 1
            candidate = replace(best, **{name: value})  # type: ignore[arg-type]
            score = fmean(scores(searcher, development, candidate, passages))
            kept = score > best_score + _LEAST_GAIN
            if kept:
                best, best_score = candidate, score
            yield Tried(min(done, total), total, name, value, score, kept)
    before, after = scores(searcher, rest, now, passages), scores(searcher, rest, best, passages)
    changed = {name: getattr(best, name) for name in GRID if getattr(best, name) != getattr(now, name)}
    yield Tuned(
        changed,
        fmean(before),
        fmean(after),
        statistics.difference(after, before),
        statistics.permutation_test(after, before),
        len(rest),
    )


def scores(searcher: Searcher, questions: Sequence[Asked], ranking: Ranking, passages: int) -> list[float]:
    """For each question the mean of: its answer stands in the first `passages` hits; reciprocal rank of the first hit with it."""
    found = []
    for question in questions:
        hits = searcher.search(question.question, 10, ranking=ranking, with_evidence=False).hits
        ranks = [hit.rank for hit in hits if contains(hit.text, question.answers)]
        first = min(ranks, default=0)
        found.append(((1.0 if 0 < first <= passages else 0.0) + (1 / first if first else 0.0)) / 2)
    return found
