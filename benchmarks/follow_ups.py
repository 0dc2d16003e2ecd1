"""Follow-up questions: recall@5 with and without the question before, and what unrelated history costs.

    python benchmarks/follow_ups.py DIR [DIR…] [--show N]

DIR holds corpus/*.txt and questions.jsonl (question, relevant). Dialogues are made by rule (ragchat/evaluation/follow_ups.py).
`asked in full` is the same question before it was shortened: the most that history can win back. For `unrelated`, each question
of the set stands after one on another document. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ragchat.evaluation import question_sets
from ragchat.evaluation.follow_ups import Dialogue, dialogues
from ragchat.evaluation.question_sets import Question
from ragchat.evaluation.retrieval_metrics import recall_at
from ragchat.retrieval.analyzer import detect
from ragchat.retrieval.search import Searcher
from ragchat.session import query

K = 5


def recall(
    searcher: Searcher, asked: str, earlier: Sequence[str], question: Question, language: str
) -> float:
    built = query.build(asked, earlier, (language,))
    hits = searcher.search(built.text, 3 * K, weights=built.weights, with_evidence=False).hits
    return recall_at(K, list(dict.fromkeys(hit.path for hit in hits)), question.relevant)


def mean(found: list[float]) -> float:
    return round(sum(found) / len(found), 4) if found else 0.0


def measure(folder: Path, show: int) -> dict[str, dict[str, float]]:
    found = question_sets.read(folder)
    made: dict[str, list[Dialogue]] = {}
    language = detect(" ".join(question.text for question in found.questions[:50]))
    for dialogue in dialogues(found.questions, language):
        made.setdefault(dialogue.kind, []).append(dialogue)
    report: dict[str, dict[str, float]] = {}
    with (
        tempfile.TemporaryDirectory() as scratch,
        question_sets.build_knowledge_base(Path(scratch), found) as store,
    ):
        searcher = Searcher([store])
        for kind, own in made.items():
            report[kind] = {
                "dialogues": len(own),
                "seen as follow-up": mean(
                    [bool(query.build(d.follow_up, [d.first.text], (language,)).topic) for d in own]
                ),
                "without history": mean([recall(searcher, d.follow_up, [], d.second, language) for d in own]),
                "with history": mean(
                    [recall(searcher, d.follow_up, [d.first.text], d.second, language) for d in own]
                ),
                "asked in full": mean([recall(searcher, d.second.text, [], d.second, language) for d in own]),
            }
            for dialogue in own[:show]:
                print(f"    {dialogue.first.text}\n      {dialogue.follow_up}")
        asked = found.questions
        others = [asked[(i + len(asked) // 2) % len(asked)] for i in range(len(asked))]
        report["unrelated"] = {
            "questions": len(asked),
            "seen as follow-up": mean(
                [
                    bool(query.build(q.text, [o.text], (language,)).topic)
                    for q, o in zip(asked, others, strict=True)
                ]
            ),
            "without history": mean([recall(searcher, q.text, [], q, language) for q in asked]),
            "with history": mean(
                [recall(searcher, q.text, [o.text], q, language) for q, o in zip(asked, others, strict=True)]
            ),
        }
    print(f"\n{found.name}, recall@{K}")
    for kind, row in report.items():
        print(f"  {kind:12}" + "  ".join(f"{name} {value:g}" for name, value in row.items()))
    return report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dirs", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--show", type=int, default=0, help="print the first N dialogues of each kind")
    arguments = parser.parse_args()
    report = {folder.name: measure(folder, arguments.show) for folder in arguments.dirs}
    print(json.dumps({"benchmark": "follow_ups", "k": K, "sets": report}))


if __name__ == "__main__":
    main()
