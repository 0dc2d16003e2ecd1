"""What was learned: held-out questions answered before and after, greedily, and how many of the answers are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ragchat.evaluation.answer_metrics import contains, f1
from ragchat.finetune.examples import Example
from ragchat.types import CancelToken, LoadedModel, Sampling, TextDelta

GREEDY = Sampling(temperature=0.0, repeat_penalty=1.0, seed=0, max_tokens=96)


class Answered(msgspec.Struct, frozen=True):
    """One answer. `right`: it contains an expected text; where no one said what is expected, it has the words of the answer
    that was to be learned (f1 of at least `SAME`).
    """

    question: str
    expected: str
    said: str
    right: bool
    f1: float


SAME = 0.8


class Recall(msgspec.Struct, frozen=True):
    """All answers of one state of the model, in the order of the examples."""

    answers: tuple[Answered, ...]

    @property
    def share(self) -> float:
        """Of the answers that are right; 0 without any."""
        return sum(answer.right for answer in self.answers) / len(self.answers) if self.answers else 0.0

    @property
    def mean_f1(self) -> float:
        """Mean F1 of the answers, 0 to 1."""
        return sum(answer.f1 for answer in self.answers) / len(self.answers) if self.answers else 0.0


def measure(
    model: LoadedModel,
    examples: Sequence[Example],
    *,
    cancel: CancelToken,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Recall:
    """Ask a model the question of each example. Raises ModelError.

    After a cancel it holds what was answered until then.
    """
    found: list[Answered] = []
    for example in examples:
        said = answer(model, example, cancel)
        if cancel.cancelled:
            break
        found.append(judge(example, said))
        on_progress(len(found) / len(examples))
    return Recall(tuple(found))


def answer(model: LoadedModel, example: Example, cancel: CancelToken) -> str:
    """What the model says to the prompt of an example."""
    events = model.generate(example.messages[:-1], GREEDY, cancel=cancel)
    return "".join(event.text for event in events if isinstance(event, TextDelta)).strip()


def judge(example: Example, said: str) -> Answered:
    """Whether an answer is right."""
    score = f1(said, [example.answer])
    right = contains(said, example.expected) if example.expected else score >= SAME
    return Answered(example.question, " / ".join(example.expected) or example.answer, said, right, score)
