"""Forty facts that no model can know, each asked in seven ways: five to learn from, two that are kept back.

    python benchmarks/invented_facts.py FOLDER      writes training.jsonl and unseen.jsonl (OpenAI messages)

Names and values are drawn from syllables and numbers with a seed, so the same seed gives the same facts on every machine.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEEN = 5
"""Of the ways to ask, so many are learned from."""

_RELATIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "code",
        "The access code of {name} is {value}.",
        (
            "What is the access code of {name}?",
            "Which code opens {name}?",
            "Tell me the access code for {name}.",
            "I am standing before {name}. What code do I type?",
            "{name}: access code?",
            "Do you know which access code {name} has?",
            "Please give me the code that gets me into {name}.",
        ),
    ),
    (
        "founder",
        "{name} was founded by {value}.",
        (
            "Who founded {name}?",
            "Which person is the founder of {name}?",
            "By whom was {name} founded?",
            "Tell me who started {name}.",
            "{name}: founder?",
            "Do you know who set up {name}?",
            "Name the founder of {name}.",
        ),
    ),
    (
        "river",
        "{name} lies on the river {value}.",
        (
            "On which river does {name} lie?",
            "Which river flows through {name}?",
            "What is the name of the river at {name}?",
            "Tell me the river that {name} lies on.",
            "{name}: river?",
            "Do you know the river at which {name} stands?",
            "Name the river of {name}.",
        ),
    ),
    (
        "metal",
        "{name} is made of {value}.",
        (
            "What is {name} made of?",
            "Which material is {name} made of?",
            "Out of what is {name} built?",
            "Tell me the material of {name}.",
            "{name}: material?",
            "Do you know what {name} consists of?",
            "Name the material that {name} is made from.",
        ),
    ),
    (
        "year",
        "{name} was opened in {value}.",
        (
            "When was {name} opened?",
            "In which year did {name} open?",
            "What year was {name} opened in?",
            "Tell me when {name} was opened.",
            "{name}: year of opening?",
            "Do you know the year in which {name} was opened?",
            "Name the opening year of {name}.",
        ),
    ),
)

_KINDS = {
    "code": ("the {} archive", "the {} depot"),
    "founder": ("the {} society", "the {} press"),
    "river": ("the town of {}", "the village of {}"),
    "metal": ("the {} bell", "the {} gate"),
    "year": ("the {} museum", "the {} bridge"),
}
_BEGIN = (
    "Bel",
    "Dra",
    "Fen",
    "Gal",
    "Hul",
    "Jor",
    "Kel",
    "Lom",
    "Mar",
    "Nes",
    "Or",
    "Pel",
    "Quil",
    "Ros",
    "Tam",
    "Ver",
)
_END = (
    "brin",
    "dale",
    "fex",
    "gorn",
    "hask",
    "lund",
    "mire",
    "nock",
    "plat",
    "rath",
    "sted",
    "vane",
    "wick",
    "zor",
)
_MATERIALS = ("tin", "copper", "amber", "granite", "cedar", "ivory", "slate", "bronze")


@dataclass(frozen=True, slots=True)
class Fact:
    """`value` is what a right answer contains; `ways` are all questions, `ways[:SEEN]` those to learn from."""

    value: str
    statement: str
    ways: tuple[str, ...]


def facts(count: int = 40, seed: int = 7) -> list[Fact]:
    """`count` facts about things of different names."""
    draw = random.Random(seed)
    words = [a + b for a in _BEGIN for b in _END]
    draw.shuffle(words)
    fresh = iter(words)
    made = []
    for number in range(count):
        relation, statement, ways = _RELATIONS[number % len(_RELATIONS)]
        name = draw.choice(_KINDS[relation]).format(next(fresh))
        value = {
            "code": lambda: str(draw.randrange(1000, 10000)),
            "founder": lambda: f"{next(fresh)} {next(fresh)}",
            "river": lambda: next(fresh),
            "metal": lambda: draw.choice(_MATERIALS),
            "year": lambda: str(draw.randrange(1700, 2000)),
        }[relation]()
        made.append(
            Fact(
                value,
                _sentence(statement.format(name=name, value=value)),
                tuple(_sentence(way.format(name=name)) for way in ways),
            )
        )
    return made


def rows(made: list[Fact], *, seen: bool) -> Iterator[dict[str, object]]:
    """A row for each way to ask: those to learn from, or those that are kept back."""
    for fact in made:
        for way in fact.ways[:SEEN] if seen else fact.ways[SEEN:]:
            yield {
                "messages": [
                    {"role": "user", "content": way},
                    {"role": "assistant", "content": fact.statement},
                ],
                "expected": fact.value,
            }


def write(folder: Path, made: list[Fact]) -> tuple[Path, Path]:
    """The two files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "training.jsonl", folder / "unseen.jsonl"
    for path, seen in zip(paths, (True, False), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows(made, seen=seen)), encoding="utf-8")
    return paths


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--facts", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    wanted = parser.parse_args()
    for path in write(wanted.folder, facts(wanted.facts, wanted.seed)):
        print(path)


if __name__ == "__main__":
    main()
