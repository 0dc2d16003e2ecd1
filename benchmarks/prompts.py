"""What a prompt holds with each way of packing: questions whose passages are known, over a knowledge base that exists.

    python benchmarks/prompts.py KB.db QUESTIONS.jsonl [--words] [--model MODEL.gguf] [--answers FILE.jsonl [--way NAME]…]

A line of QUESTIONS has `id`, `question`, `gold` (places with `package` and `file`, with which the path ends, and a `string` of a
passage that answers) and `answers` (words of a right answer). For each way: the share of prompts with a gold string and with one
of the words, and the tokens of their passages by the model's vocabulary. With `--answers` the model answers, greedy, and FILE
keeps what it says; the same command goes on where it was stopped. Vectors are those in the file, and those of what a question
finds; `--words` searches by words alone. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import vectors
from answer_in_context import Count, counter

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.cli.eval import figures, table
from ragchat.config import Settings
from ragchat.evaluation import packing_trial
from ragchat.evaluation.answer_metrics import holds
from ragchat.evaluation.corpora import Question, spread
from ragchat.evaluation.packing_trial import Way
from ragchat.llm.loading import loaded
from ragchat.paths import Paths
from ragchat.retrieval.search import DEFAULT, Ranking, Searcher
from ragchat.session.packing import HELPED, Packing, Passage, hits_wanted, pack_hits, render
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken
from ragchat.types.defaults import HITS

NOW = "1 passage"
_ROOM = 4096
"""Tokens for passages: the share of the default model's context that they may have."""
_SHORT = replace(DEFAULT, longest_passage=800)

WAYS: tuple[tuple[Way, Ranking], ...] = (
    (Way(NOW, Packing(1)), DEFAULT),
    *((Way(f"{n} of 800 characters", Packing(n)), _SHORT) for n in (1, 2, 3)),
    *((Way(f"{n} passages", Packing(n)), DEFAULT) for n in (2, 3, 5)),
    *((Way(f"{n} quotes", Packing(n, "quotes")), DEFAULT) for n in (1, 2)),
    (Way("1 quote, copied", HELPED, longest=128), DEFAULT),
    *(
        (Way(f"evidence of {n}, {budget} tokens", Packing(n, "evidence", budget=budget)), DEFAULT)
        for budget in (256, 400, 600, 900)
        for n in (2, 3, 5, 8)
    ),
    *(
        (Way(f"by confidence, {n}, {budget} tokens", Packing(n, "by_confidence", budget=budget)), DEFAULT)
        for budget in (400, 600)
        for n in (2, 3)
    ),
)


def letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.replace("\u00ad", "").casefold())


def in_prompt(passages: Sequence[Passage], gold: Sequence[Mapping[str, str]]) -> bool:
    """Whether a passage of one of the gold files holds its string, but for case, signs and spaces."""
    return any(
        passage.hit.path.endswith(f"{place['package']}/{place['file']}")
        and letters(place["string"]) in letters(f"{passage.hit.heading} {passage.text}")
        for passage in passages
        for place in gold
    )


def measure(
    searcher: Searcher, count: Count, asked: Sequence[Mapping[str, Any]], ways: Sequence[tuple[Way, Ranking]]
) -> dict[str, dict[str, float]]:
    """Of each way the shares of prompts with a gold string and with a word of the answer, tokens, questions won and lost."""
    k = hits_wanted((way.packing for way, _ in ways), HITS)
    rows: dict[str, list[tuple[bool, bool, int]]] = {way.name: [] for way, _ in ways}
    for one in asked:
        question = str(one["question"])
        found = {r: searcher.search(question, k, ranking=r).hits for r in dict.fromkeys(r for _, r in ways)}
        for way, ranking in ways:
            hits = found[ranking][: hits_wanted([way.packing], HITS)]
            passages, sizes, _ = pack_hits(count, question, hits, way.packing, room=_ROOM)
            text = "\n\n".join(render(n, passage) for n, passage in enumerate(passages, 1))
            rows[way.name].append((in_prompt(passages, one["gold"]), holds(text, one["answers"]), sum(sizes)))
    before = [gold for gold, _, _ in rows[ways[0][0].name]]
    return {
        name: {
            "gold": round(fmean(gold for gold, _, _ in own), 4),
            "words": round(fmean(words for _, words, _ in own), 4),
            "tokens": round(fmean(tokens for _, _, tokens in own), 1),
            "won": sum(gold > old for old, (gold, _, _) in zip(before, own, strict=True)),
            "lost": sum(gold < old for old, (gold, _, _) in zip(before, own, strict=True)),
        }
        for name, own in rows.items()
    }


def shown(measured: Mapping[str, Mapping[str, float]]) -> str:
    """The card."""
    usual = next(iter(measured.values()))["tokens"]
    lines = [f"{'':34}{'gold':>7}{'words':>7}{'tokens':>8}{'ratio':>7}{'won':>5}{'lost':>5}"]
    lines += [
        f"{name:34}{own['gold']:>7.3f}{own['words']:>7.3f}{own['tokens']:>8.0f}{own['tokens'] / usual:>7.2f}"
        f"{own['won']:>5.0f}{own['lost']:>5.0f}"
        for name, own in measured.items()
    ]
    return "\n".join(lines)


def answered(
    context: Context,
    model_name: str,
    searcher: Searcher,
    name: str,
    asked: Sequence[Question],
    ways: Sequence[Way],
    file: Path,
) -> dict[str, Any]:
    """Let the model answer with each of the ways; prints how they did."""
    cancel = CancelToken()
    model = build.model(context, model_name)
    try:
        reader = loaded(model, cancel)
        also = {"meaning": searcher.has_meaning}
        for step in packing_trial.run(reader, searcher, name, asked, ways, file, cancel=cancel, also=also):
            if step.done % 20 == 0:
                print(f"  {step.done} of {step.total} answers", flush=True)
        ids = {question.id for question in asked}
        rows = [row for row in packing_trial.answers(file) if row.question in ids]
        found = packing_trial.results(rows, ways)
        print(table(found))
        return figures(reader.info, found)
    finally:
        model.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("knowledge_base", type=Path, metavar="KB.db", help="is copied, not changed")
    parser.add_argument("questions", type=Path, metavar="QUESTIONS.jsonl")
    parser.add_argument("--words", action="store_true", help="search by words alone")
    parser.add_argument("--model", default="", help="a GGUF file (default: the default model)")
    parser.add_argument("--limit", type=int, default=0, help="at most N questions, evenly spread")
    parser.add_argument("--answers", type=Path, metavar="FILE.jsonl", help="let the model answer, too")
    parser.add_argument("--way", action="append", metavar="NAME", help="only this way; may be repeated")
    arguments = parser.parse_args()
    lines = arguments.questions.read_text("utf-8").split("\n")
    every = {str(one["id"]): one for one in map(json.loads, filter(str.strip, lines))}
    asked = spread(
        tuple(Question(key, one["question"], tuple(one["answers"]), ()) for key, one in every.items()),
        arguments.limit,
    )
    chosen = [pair for pair in WAYS if not arguments.way or pair[0].name in (NOW, *arguments.way)]
    context = Context(Paths.discover(os.environ), Settings())
    model = build.library(context).resolve(arguments.model)
    embedder = vectors.wanted(argparse.Namespace(meaning=not arguments.words, embedding_model=""))
    report: dict[str, Any] = {"benchmark": "prompts", "set": arguments.questions.stem, "model": model.name}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shutil.copy(arguments.knowledge_base, scratch)
        store = stack.enter_context(KnowledgeStore.open(scratch, arguments.knowledge_base.stem))
        searcher = vectors.as_embedded([store], embedder, in_time=True) if embedder else Searcher([store])
        report["prompts"] = measure(
            searcher, counter(model), [every[question.id] for question in asked], chosen
        )
        print(shown(report["prompts"]), flush=True)
        if arguments.answers:
            ways = [way for way, ranking in chosen if ranking is DEFAULT]
            name = arguments.questions.stem
            report["answers"] = answered(
                context, arguments.model, searcher, name, asked, ways, arguments.answers
            )
    if embedder:
        embedder.close()
    print(json.dumps({**report, "questions": len(asked), "meaning": embedder is not None}))


if __name__ == "__main__":
    main()
