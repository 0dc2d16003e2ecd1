"""When to say "not in your documents": the curve on one half of the questions, and what its chosen points are worth on the other.

    python benchmarks/calibration.py DIR [--documents] [--limit N]

DIR holds corpus/*.txt and questions.jsonl (question, answers, relevant); file names begin with the number of their article.
Every other article is taken out of the documents, so its questions have no answer there though they are of the same kind.
With --documents every other document alone: what else is written of its subject stays, so that its questions look answered.
Points are chosen on every other question and measured on the rest. The chance that the documents answer, below which a strict
chat declines, is shown as shipped, and as `eval calibrate` fits it to the questions. No model is asked. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from confidence import halved

from ragchat.evaluation import corpora
from ragchat.evaluation.calibration import Judged, choose, curve, fit_chance, look
from ragchat.evaluation.question_sets import Asked
from ragchat.retrieval.search import Searcher
from ragchat.retrieval.vocabulary import Vocabulary
from ragchat.session import answerability
from ragchat.session.answerability import AS_SHIPPED, Own
from ragchat.types import CancelToken
from ragchat.types.defaults import MIN_CONFIDENCE, MIN_MATCH


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set_dir", type=Path)
    parser.add_argument("--documents", action="store_true", help="take out every other document, not article")
    parser.add_argument("--limit", type=int, default=0)
    wanted = parser.parse_args()
    found = corpora.read(wanted.set_dir)
    kept = (
        replace(found, documents=dict(list(found.documents.items())[::2]))
        if wanted.documents
        else halved(found)
    )
    asked = [
        Asked(
            id=q.id,
            question=q.text,
            answers=q.answers,
            answerable=any(name in kept.documents for name in q.relevant),
        )
        for q in corpora.spread(found.questions, wanted.limit)
        if q.relevant
    ]
    with (
        tempfile.TemporaryDirectory() as scratch,
        corpora.build_knowledge_base(Path(scratch), kept) as store,
    ):
        worth = Vocabulary([store]).idf
        judged = list(look(Searcher([store]), asked, worth=worth, cancel=CancelToken()))
    chosen_on, rest = judged[::2], judged[1::2]
    points = curve(chosen_on)
    picks = {
        "as shipped": points[50],
        "least error": choose(points),
        "at most 5 % false answers": choose(points, most_false_answers=0.05),
    }
    print(f"{len(asked)} questions, {sum(not q.answerable for q in asked)} of them without an answer\n")
    print("| strictness | match | confidence | false answers | wrong refusals |\n|---|---|---|---|---|")
    for point in points[::10]:
        print(
            f"| {point.strictness:.1f} | {point.min_match:.2f} | {point.min_confidence:.2f} | {point.false_answers:.1%}"
            f" | {point.wrong_refusals:.1%} |"
        )
    print(
        "\nOn the other half:\n\n| point | strictness | false answers | wrong refusals |\n|---|---|---|---|"
    )
    figures = {}
    for name, point in picks.items():
        false, wrong = shares(rest, point.min_match, point.min_confidence)
        figures[name] = {"strictness": point.strictness, "false_answers": false, "wrong_refusals": wrong}
        print(f"| {name} | {point.strictness:.2f} | {false:.1%} | {wrong:.1%} |")
    for name, own in {"strict chat": AS_SHIPPED, "strict chat, fitted": fit_chance(chosen_on).own}.items():
        false, wrong = strict_shares(rest, own)
        figures[name] = {"false_answers": false, "wrong_refusals": wrong}
        print(f"| {name} | | {false:.1%} | {wrong:.1%} |")
    print(
        json.dumps(
            {
                "benchmark": "calibration",
                "set": found.name,
                "taken_out": "documents" if wanted.documents else "articles",
                "questions": len(asked),
                "points": figures,
            }
        )
    )


def shares(judged: list[Judged], min_match: float, min_confidence: float) -> tuple[float, float]:
    """(false answers, wrong refusals)."""
    gone = [one for one in judged if not one.answerable]
    there = [one for one in judged if one.answerable]
    return (
        sum(one.answered(min_match, min_confidence) for one in gone) / len(gone),
        sum(not one.answered(min_match, min_confidence) for one in there) / len(there),
    )


def strict_shares(judged: list[Judged], own: Own) -> tuple[float, float]:
    """(false answers, wrong refusals) of a strict chat: what passes the search must have a chance, too."""
    least = answerability.thresholds(own).before
    passes = [
        one.answered(MIN_MATCH, MIN_CONFIDENCE) and answerability.rescaled(one.chance, own) >= least
        for one in judged
    ]
    gone = [answers for answers, one in zip(passes, judged, strict=True) if not one.answerable]
    there = [answers for answers, one in zip(passes, judged, strict=True) if one.answerable]
    return sum(gone) / len(gone), there.count(False) / len(there)


if __name__ == "__main__":
    main()
