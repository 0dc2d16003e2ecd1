"""Whether an exported adapter does in llama.cpp what was trained: same loss, same answers, and not nothing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ragchat.finetune import wire
from ragchat.types import LoadedModel, TokenSample

LARGEST_DIFFERENCE = 0.05
"""Of the loss per token, in nats: llama.cpp multiplies a quantised base in fewer bits than the trainer."""
FEWEST_EQUAL = 0.5
_SCORED = 64


class Parity(msgspec.Struct, frozen=True):
    """`loss_trained` is what the trainer measured at its best step (-1: nothing), `loss` the same in llama.cpp, `loss_off`
    that without the adapter. `answers_equal` of `answers` are word for word what the trained weights said.
    """

    loss_trained: float
    loss: float
    loss_off: float
    answers: int
    answers_equal: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what is not as it should be."""
        said = []
        if abs(self.loss - self.loss_off) < 1e-4:
            said.append("The adapter changes nothing in llama.cpp: the export failed.")
        if self.loss_trained >= 0 and self.loss - self.loss_trained > LARGEST_DIFFERENCE:
            said.append(
                f"The exported adapter is worse than the trained one: loss {self.loss:.3f} instead of {self.loss_trained:.3f}."
            )
        if self.answers and self.answers_equal < FEWEST_EQUAL * self.answers:
            said.append(f"Only {self.answers_equal} of {self.answers} answers match the trained weights.")
        return tuple(said)


def measure(base: LoadedModel, tuned: LoadedModel, samples: Sequence[TokenSample], done: wire.Done) -> Parity:
    """Compare a model with and without the adapter. `samples` are those that the trainer measured with. Raises ModelError."""
    some = samples[:_SCORED]
    off = _loss(base, some)
    # Asked greedily, the model would write these tokens and no others when each is its first choice.
    said = [
        TokenSample(sample.tokens[: sample.answer_start] + tuple(tokens), sample.answer_start)
        for sample, tokens in zip(samples, done.answers, strict=False)
        if tokens
    ]
    equal = sum(score.greedy == score.tokens for score in tuned.score(said))
    return Parity(
        loss_trained=round(done.best_loss, 4),
        loss=round(_loss(tuned, samples if done.best_loss >= 0 else some), 4),
        loss_off=round(off, 4),
        answers=len(said),
        answers_equal=equal,
    )


def _loss(model: LoadedModel, samples: Sequence[TokenSample]) -> float:
    scores = model.score(samples)
    return sum(score.nll for score in scores) / max(1, sum(score.tokens for score in scores))
