"""Whether answers are still as good as they were: a small fixed sample of an earlier run asked again, judged against noise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ragchat.evaluation import statistics
from ragchat.evaluation.four_ways import MEANING, Answer, Arm, Run
from ragchat.evaluation.question_sets import Asked
from ragchat.evaluation.statistics import Interval
from ragchat.evaluation.verdict import MEASURES, choose_primary, percent, points
from ragchat.text import counted

SURE = 0.05


@dataclass(frozen=True, slots=True)
class Watched:
    """One way, then and now, over the same questions. `p` that answers become so much worse by chance, adjusted for the ways."""

    arm: Arm
    questions: int
    before: float
    now: float
    change: Interval
    p: float
    measure: str

    @property
    def regression(self) -> bool:
        """Whether answers became worse by more than chance explains."""
        return self.change.mean < 0 and self.p < SURE

    @property
    def sentence(self) -> str:
        """What changed, for the screen and the report."""
        name = MEANING[self.arm]
        over = f"over {counted(self.questions, 'question')}"
        moved = f"{percent(self.before)} before, {percent(self.now)} now, {points(self.change)} {over}"
        if self.regression:
            return f"{name[:1].upper()}{name[1:]}: worse. {moved} (p = {self.p:.3f})."
        return f"{name[:1].upper()}{name[1:]}: no measurable regression. {moved}."


def sample_of(run: Run, answers: Iterable[Answer], size: int) -> tuple[Asked, ...]:
    """Always the same questions of a run, drawn by their ids alone: choosing them by how they were answered would make them seem
    worse the next time, by chance.
    """
    answered = {answer.question for answer in answers if not answer.error}
    there = [question for question in run.questions if question.id in answered]
    return tuple(sorted(there, key=lambda q: hashlib.sha256(q.id.encode()).digest())[:size])


def compare(
    run: Run, before: Sequence[Answer], now: Sequence[Answer], sample: Sequence[Asked]
) -> list[Watched]:
    """Each way then and now, over the questions of the sample that both have answered."""
    primary = choose_primary(run.questions)
    score = MEASURES[primary][1]
    found = []
    for arm in run.arms:
        old = {a.question: a for a in before if a.arm == arm and not a.error}
        new = {a.question: a for a in now if a.arm == arm and not a.error}
        both = [q for q in sample if q.id in old and q.id in new]
        if not both:
            continue
        then = [score(q, old[q.id]) or 0.0 for q in both]
        later = [score(q, new[q.id]) or 0.0 for q in both]
        found.append(
            Watched(
                arm,
                len(both),
                sum(then) / len(both),
                sum(later) / len(both),
                statistics.difference(later, then),
                _one_sided(later, then),
                primary,
            )
        )
    adjusted = statistics.holm({one.arm: one.p for one in found})
    return [replace(one, p=adjusted[one.arm]) for one in found]


def _one_sided(later: Sequence[float], then: Sequence[float]) -> float:
    """p that the answers become this much worse by chance."""
    p = statistics.permutation_test(later, then)
    return p / 2 if sum(later) < sum(then) else 1 - p / 2
