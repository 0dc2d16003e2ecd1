"""What an adapter costs: how well the model still predicts plain prose and answers general questions, with it and without.

Perplexity is exp(mean -ln p) over the tokens of all texts (Jelinek et al., Perplexity: a measure of the difficulty of speech
recognition tasks, 1977). A question is answered by the choice whose tokens are the likeliest on average, given the question.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources

import msgspec

from ragchat.session.prompt import PLAIN_INSTRUCTIONS
from ragchat.types import LoadedModel, Message, Score

REVISION = "1"
"""Changes with the texts and questions below."""
WORST_PERPLEXITY = 1.05
"""From this ratio of the perplexities with and without on, a user is warned."""
WORST_ACCURACY_LOSS = 0.05


class Abilities(msgspec.Struct, frozen=True):
    """`accuracy` is the share of `questions` that were answered rightly; chance is one in four."""

    perplexity: float
    accuracy: float
    tokens: int
    questions: int


class Forgetting(msgspec.Struct, frozen=True):
    """The same model without and with its adapters."""

    base: Abilities
    tuned: Abilities

    @property
    def perplexity_ratio(self) -> float:
        """Above 1: plain prose is predicted worse than before."""
        return self.tuned.perplexity / self.base.perplexity

    @property
    def warning(self) -> str:
        """What was lost and what to change; empty when little was."""
        said = []
        if self.perplexity_ratio > WORST_PERPLEXITY:
            said.append(f"perplexity of plain prose is {100 * (self.perplexity_ratio - 1):.0f} % worse")
        if self.base.accuracy - self.tuned.accuracy > WORST_ACCURACY_LOSS:
            said.append(
                f"{100 * self.tuned.accuracy:.0f} % of general questions answered correctly"
                f" instead of {100 * self.base.accuracy:.0f} %"
            )
        if not said:
            return ""
        return (
            f"The adapter reduces general abilities: {', '.join(said)}. Train with a lower learning rate, fewer epochs"
            " or a smaller rank, or switch the adapter on at a smaller scale."
        )


@dataclass(frozen=True, slots=True)
class _Material:
    texts: tuple[tuple[Message, ...], ...]
    questions: tuple[tuple[tuple[Message, ...], ...], ...]


def measure(model: LoadedModel, *, on_progress: Callable[[float], None] = lambda _: None) -> Abilities:
    """The abilities of a model with its adapters; some seconds. Raises ModelError."""
    material = _material()
    scores = model.score(model.encode(material.texts))
    tokens = sum(score.tokens for score in scores)
    perplexity = math.exp(sum(score.nll for score in scores) / tokens)
    right = 0
    for done, choices in enumerate(material.questions, 1):
        right += _best(model.score(model.encode(choices))) == 0
        on_progress(done / len(material.questions))
    return Abilities(perplexity, right / len(material.questions), tokens, len(material.questions))


def _best(scores: Sequence[Score]) -> int:
    return min(range(len(scores)), key=lambda n: scores[n].nll / scores[n].tokens)


def _material() -> _Material:
    with resources.files(__package__).joinpath("general.toml").open("rb") as file:
        read = tomllib.load(file)

    def chat(asked: str, answer: str) -> tuple[Message, ...]:
        return Message("system", PLAIN_INSTRUCTIONS), Message("user", asked), Message("assistant", answer)

    return _Material(
        tuple(chat(item["ask"], item["text"]) for item in read["texts"]),
        tuple(tuple(chat(item["ask"], choice) for choice in item["choices"]) for item in read["questions"]),
    )
