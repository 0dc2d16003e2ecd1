"""Follow-up questions: recall@1 and @5 with and without the question before, and what unrelated history costs.

    python benchmarks/follow_ups.py DIR [DIR…] [--show N]

DIR holds corpus/*.txt and questions.jsonl (question, relevant). Dialogues are made by rule (dialogues.py).
`asked in full` is the same question before it was shortened: the most that history can win back. For `unrelated`, each question
of the set stands after one on another document; a `new subject` is a short one of that kind ("What is NAME?"). `turns` are the
invented ones, told by their words alone. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from dialogues import TURNS, Dialogue, dialogues, new_subjects

from ragchat.evaluation import corpora
from ragchat.evaluation.corpora import Question
from ragchat.evaluation.retrieval_metrics import recall_at
from ragchat.retrieval.analyzer import detect
from ragchat.retrieval.search import Searcher
from ragchat.retrieval.vocabulary import Vocabulary
from ragchat.session import query

K = 5
Worth = Callable[[Collection[str]], Mapping[str, float]]


def recall(
    searcher: Searcher, idf: Worth, asked: str, earlier: Sequence[str], question: Question, language: str
) -> tuple[float, float]:
    """Recall@1 and recall@K."""
    built = query.build(asked, earlier, (language,), idf)
    hits = searcher.search(built.text, 3 * K, weights=built.weights, with_evidence=False).hits
    paths = list(dict.fromkeys(hit.path for hit in hits))
    return recall_at(1, paths, question.relevant), recall_at(K, paths, question.relevant)


def mean(found: list[float]) -> float:
    return round(sum(found) / len(found), 4) if found else 0.0


def is_seen(asked: str, earlier: str, language: str) -> bool:
    return bool(query.build(asked, [earlier], (language,)).topic)


def measure(folder: Path, show: int) -> dict[str, dict[str, float]]:
    found = corpora.read(folder)
    made: dict[str, list[Dialogue]] = {}
    language = detect(" ".join(question.text for question in found.questions[:50]))
    asked = found.questions
    others = [asked[(i + len(asked) // 2) % len(asked)] for i in range(len(asked))]
    for dialogue in (*dialogues(asked, language), *new_subjects(asked, language)):
        made.setdefault(dialogue.kind, []).append(dialogue)
    made["unrelated"] = [Dialogue("new subject", o, q, q.text) for q, o in zip(asked, others, strict=True)]
    report: dict[str, dict[str, float]] = {}
    with (
        tempfile.TemporaryDirectory() as scratch,
        corpora.build_knowledge_base(Path(scratch), found) as store,
    ):
        searcher = Searcher([store])

        def idf(terms: Collection[str]) -> Mapping[str, float]:
            return Vocabulary([store]).idf(terms)

        for kind, own in made.items():
            report[kind] = {
                "dialogues": len(own),
                "seen as follow-up": mean([is_seen(d.follow_up, d.first.text, language) for d in own]),
            }
            for name in ("without history", "with history", "asked in full"):
                both = [
                    recall(
                        searcher,
                        idf,
                        d.second.text if name == "asked in full" else d.follow_up,
                        [d.first.text] if name == "with history" else [],
                        d.second,
                        language,
                    )
                    for d in own
                ]
                report[kind][f"{name} @1"] = mean([first for first, _ in both])
                report[kind][f"{name} @{K}"] = mean([most for _, most in both])
            for dialogue in own[:show]:
                print(f"    {dialogue.first.text}\n      {dialogue.follow_up}")
    print(f"\n{found.name}, recall")
    for kind, row in report.items():
        print(f"  {kind:12}" + "  ".join(f"{name} {value:g}" for name, value in row.items()))
    return report


def turns(show: int) -> dict[str, float]:
    """How many of the invented turns are told apart."""
    wrong = [turn for turn in TURNS if is_seen(turn.said, turn.first, turn.language) != turn.goes_on]
    for turn in wrong if show else ():
        print(f"    {turn.language} {'follow-up' if turn.goes_on else 'new subject'}: {turn.said}")
    report: dict[str, float] = {}
    for name, goes_on in (("follow-ups", True), ("new subjects", False)):
        own = [turn for turn in TURNS if turn.goes_on is goes_on]
        report[name] = len(own)
        report[f"{name} told"] = sum(turn not in wrong for turn in own)
    print("turns " + "  ".join(f"{name} {value}" for name, value in report.items()))
    return report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dirs", nargs="*", type=Path, metavar="DIR")
    parser.add_argument("--show", type=int, default=0, help="print the first N dialogues of each kind")
    arguments = parser.parse_args()
    told = turns(arguments.show)
    report = {folder.name: measure(folder, arguments.show) for folder in arguments.dirs}
    print(json.dumps({"benchmark": "follow_ups", "k": K, "turns": told, "sets": report}))


if __name__ == "__main__":
    main()
