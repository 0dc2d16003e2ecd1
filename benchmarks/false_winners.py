"""How often the verdict names a winner where there is nothing to find: ways that answer equally well, by chance alone.

    python benchmarks/false_winners.py [--seeds N] [--questions N] [--draws N]

Every way is right on a question with probability one half, on its own. Whole verdicts are few, so the tests alone that decide
them (McNemar, Holm) are drawn many times besides: how often any difference counts as shown. No model is asked. Ends with one
JSON line.
"""

from __future__ import annotations

import argparse
import json
import random
from itertools import combinations

from ragchat.evaluation.four_ways import ARMS, MODEL_ARMS, Answer, Arm, Run
from ragchat.evaluation.question_sets import Asked
from ragchat.evaluation.statistics import holm, mcnemar
from ragchat.evaluation.verdict import SHOWN, judge


def winner(seed: int, questions: int, arms: tuple[Arm, ...]) -> str:
    draw = random.Random(seed)
    asked = tuple(Asked(id=str(n), question="?", answers=(f"word{n}",)) for n in range(questions))
    run = Run(id="r", set_name="s", arms=arms, inputs={}, questions=asked)
    answers = [
        Answer(
            question=one.id,
            arm=arm,
            said=one.answers[0] if draw.random() < 0.5 else "no",
            refused=False,
            from_documents=False,
        )
        for one in asked
        for arm in arms
    ]
    return judge(run, answers).winner


def shown_by_chance(draws: int, questions: int, ways: int) -> float:
    """Share of the draws in which any of the differences between the ways counts as shown."""
    found = 0
    for seed in range(draws):
        draw = random.Random(seed)
        right = [[float(draw.random() < 0.5) for _ in range(questions)] for _ in range(ways)]
        p_values = {f"{i}|{j}": mcnemar(right[i], right[j]) for i, j in combinations(range(ways), 2)}
        found += any(p < SHOWN for p in holm(p_values).values())
    return found / draws


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--draws", type=int, default=4000)
    wanted = parser.parse_args()
    found = {}
    choices: tuple[tuple[Arm, ...], ...] = (("base", "rag"), MODEL_ARMS, ARMS)
    for arms in choices:
        named = sum(bool(winner(seed, wanted.questions, arms)) for seed in range(wanted.seeds))
        found[f"{len(arms)} ways"] = named / wanted.seeds
        print(
            f"{len(arms)} ways that are equally good: {named} winners in {wanted.seeds} runs of {wanted.questions} questions"
        )
    for ways in (2, 4):
        share = shown_by_chance(wanted.draws, wanted.questions, ways)
        found[f"any difference shown, {ways} ways"] = share
        print(f"{ways} ways: any difference counts as shown in {share:.1%} of {wanted.draws} draws")
    print(
        json.dumps(
            {"benchmark": "false_winners", "questions": wanted.questions, "seeds": wanted.seeds, **found}
        )
    )


if __name__ == "__main__":
    main()
