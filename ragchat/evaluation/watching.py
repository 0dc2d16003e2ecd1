"""Whether answers are still as good as they were: a small fixed sample of an earlier run asked again, judged against noise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ragchat.evaluation import statistics
from ragchat.evaluation.four_ways import MEANING, Answer, Arm, Run
from ragchat.evaluation.sets import Asked
from ragchat.evaluation.statistics import Interval
from ragchat.evaluation.verdict import MEASURES, choose_primary, percent, points

SURE = 0.05


@dataclass(frozen=True, slots=True)
class Watched:
    """One way, then and now, over the same questions. `p` of a difference as large by chance."""

    arm: Arm
    questions: int
    before: float
    now: float
    change: Interval
    p: float
    measure: str

    @property
    def regression(self) -> bool:
        return self.change.mean < 0 and self.p < SURE

    @property
    def sentence(self) -> str:
        name = MEANING[self.arm]
        moved = f"{percent(self.before)} before, {percent(self.now)} now, {points(self.change)} over {self.questions} questions"
        if self.regression:
            return f"{name[:1].upper()}{name[1:]}: worse. {moved} (p = {self.p:.3f})."
        return f"{name[:1].upper()}{name[1:]}: no regression is shown. {moved}."


def sample_of(run: Run, answers: Iterable[Answer], size: int) -> tuple[Asked, ...]:
    """Always the same questions of a run, those first that some way has got right: what was wrong before cannot become worse."""
    primary = choose_primary(run.questions)
    score = MEASURES[primary][1]
    asked = {question.id: question for question in run.questions}
    best: dict[str, float] = {}
    for answer in answers:
        if answer.question in asked and not answer.error:
            value = score(asked[answer.question], answer) or 0.0
            best[answer.question] = max(best.get(answer.question, 0.0), value)
    order = sorted(
        (question for question in run.questions if question.id in best),
        key=lambda q: (best[q.id] < 0.5, hashlib.sha256(q.id.encode()).digest()),
    )
    return tuple(order[:size])


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
                statistics.permutation_test(later, then),
                primary,
            )
        )
    return found
