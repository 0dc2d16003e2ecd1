"""A local model as a judge of answers, beside the exact measures, and how far it agrees with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ragchat.evaluation.answer_metrics import contains
from ragchat.evaluation.four_ways import Answer
from ragchat.evaluation.grounding import without_markers
from ragchat.evaluation.question_sets import Asked
from ragchat.types import CancelToken, LoadedModel, Message, Sampling, TextDelta

_SAMPLING = Sampling(temperature=0.0, repeat_penalty=1.0, seed=0, max_tokens=4)
_LONGEST = 1500
_INSTRUCTIONS = (
    "You judge answers. Say yes when the answer means the same as the expected answer, else no. Say one word."
)

Key = tuple[str, str]
"""(question, arm)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of a judge with "the expected answer is in what was said": `share` of the same verdicts, Cohen's `kappa`; `by_arm` is the
    share that the judge finds right.
    """

    judged: int
    share: float
    kappa: float
    by_arm: Mapping[str, float]


def judge_all(
    model: LoadedModel, questions: Sequence[Asked], answers: Sequence[Answer], *, cancel: CancelToken
) -> Iterator[tuple[Key, bool]]:
    """What the model says of each answer to an answerable question. The model is loaded. Raises ModelError."""
    asked = {question.id: question for question in questions if question.answerable}
    for answer in answers:
        if cancel.cancelled:
            return
        if answer.question not in asked or answer.error:
            continue
        question = asked[answer.question]
        said = without_markers(answer.said)[:_LONGEST]
        text = (
            f"Question: {question.question}\nExpected answer: {' or '.join(question.answers)}\nAnswer: {said}\n"
            "Same meaning? yes or no:"
        )
        events = model.generate(
            (Message("system", _INSTRUCTIONS), Message("user", text)), _SAMPLING, cancel=cancel
        )
        words = "".join(event.text for event in events if isinstance(event, TextDelta))
        yield (answer.question, answer.arm), words.strip().casefold().startswith("yes")


def agreement(questions: Sequence[Asked], answers: Sequence[Answer], judged: Mapping[Key, bool]) -> Agreement:
    """Cohen, A Coefficient of Agreement for Nominal Scales (1960)."""
    asked = {question.id: question for question in questions}
    pairs = [
        (judged[a.question, a.arm], contains(without_markers(a.said), asked[a.question].answers))
        for a in answers
        if (a.question, a.arm) in judged
    ]
    if not pairs:
        return Agreement(0, 0.0, 0.0, {})
    same = sum(one == other for one, other in pairs) / len(pairs)
    yes = sum(one for one, _ in pairs) / len(pairs)
    right = sum(other for _, other in pairs) / len(pairs)
    chance = yes * right + (1 - yes) * (1 - right)
    by_arm: dict[str, list[bool]] = {}
    for (_, arm), verdict in judged.items():
        by_arm.setdefault(arm, []).append(verdict)
    return Agreement(
        len(pairs),
        same,
        (same - chance) / (1 - chance) if chance < 1 else 0.0,
        {arm: sum(own) / len(own) for arm, own in by_arm.items()},
    )
