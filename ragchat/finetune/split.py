"""What is held out to measure with, and what must not be learned: whole groups go to one side, never a row alone, and
near-duplicates of evaluation questions go to none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ragchat.evaluation.leakage import near_duplicates
from ragchat.finetune.examples import Example

HELD_OUT = 0.1
"""Share of the groups that are held out."""
FEWEST_HELD_OUT = 2
MOST_HELD_OUT = 200
"""Measuring takes time, too, and more examples than this make it hardly any surer."""


@dataclass(frozen=True, slots=True)
class Split:
    """`left_out` are near-duplicates of evaluation questions; `repeated` how many examples were there twice.

    Invariant: no group is on both sides, unless someone said himself what is held out.
    """

    training: tuple[Example, ...]
    held_out: tuple[Example, ...]
    left_out: tuple[Example, ...]
    repeated: int


def split(
    examples: Sequence[Example],
    *,
    held_out: Sequence[Example] | None = None,
    evaluation_questions: Iterable[str] = (),
    seed: int = 0,
) -> Split:
    """Part `examples` by their groups; `held_out` says what is held out instead. The same input gives the same parts."""
    fresh, left_out = _without(_distinct(examples), list(evaluation_questions))
    repeated = len(examples) - len(fresh) - len(left_out)
    if held_out is not None:
        return Split(tuple(fresh), tuple(held_out[:MOST_HELD_OUT]), tuple(left_out), repeated)
    groups = sorted({example.group for example in fresh}, key=lambda group: _order(group, seed))
    wanted = 0 if len(groups) < 2 * FEWEST_HELD_OUT else max(FEWEST_HELD_OUT, round(len(groups) * HELD_OUT))
    kept_back = set(groups[: min(wanted, MOST_HELD_OUT)])
    return Split(
        tuple(example for example in fresh if example.group not in kept_back),
        tuple(example for example in fresh if example.group in kept_back)[:MOST_HELD_OUT],
        tuple(left_out),
        repeated,
    )


def _without(examples: Sequence[Example], questions: list[str]) -> tuple[list[Example], list[Example]]:
    near = near_duplicates([example.question for example in examples], questions)
    kept = [example for example, is_near in zip(examples, near, strict=True) if not is_near]
    return kept, [example for example, is_near in zip(examples, near, strict=True) if is_near]


def _distinct(examples: Sequence[Example]) -> list[Example]:
    """Each (prompt, answer) once, in order."""
    return list({example.messages: example for example in reversed(examples)}.values())[::-1]


def _order(group: str, seed: int) -> bytes:
    """A place in line that hangs on nothing but the group and the seed."""
    return hashlib.sha256(f"{seed}\0{group}".encode()).digest()
