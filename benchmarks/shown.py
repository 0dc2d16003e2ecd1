"""What a reader meets on the screen: quotes, the model's words, and marks, for questions whose answers are known.

    python benchmarks/shown.py KB.db QUESTIONS.jsonl [--model MODEL.gguf] [--adapter NAME] [--limit N] [--out FILE.jsonl]

A line of QUESTIONS has `id`, `question` and `answers` (words of a right answer). Each is asked as a chat asks it, greedy; nothing
is stored. Shares: an expected word in the quotes, in the model's words, in either; answers with a citation, with one but without
an expected word; answers below which "The passages do not say." is shown. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.config import Settings
from ragchat.evaluation.answer_metrics import holds
from ragchat.paths import Paths
from ragchat.session.chat import ChatSession
from ragchat.session.events import AnswerFinished
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import AdapterScale, CancelToken, Sampling, Verdict

GREEDY = Sampling(temperature=0.0, seed=0, max_tokens=128)


def ask(session: ChatSession, question: str) -> AnswerFinished:
    *_, finished = session.ask(0, question, cancel=CancelToken())
    assert isinstance(finished, AnswerFinished)
    return finished


def row(one: dict[str, object], finished: AnswerFinished) -> dict[str, object]:
    answers = [str(word) for word in one["answers"]]  # type: ignore[attr-defined]
    verdicts = [statement.verdict for statement in finished.check.statements]
    cited = any(citation.used for citation in finished.citations)
    quoted = holds("\n".join(quote.text for quote in finished.quotes), answers)
    said = holds(finished.text, answers)
    return {
        "id": one["id"],
        "kind": finished.kind,
        "quoted": quoted,
        "said": said,
        "shown": quoted or said,
        "cited": cited,
        "misleading": cited and not said,
        "says": finished.check.says,
        "answered": finished.check.answered,
        "statements": len(verdicts),
        "supported": verdicts.count(Verdict.SUPPORTED),
        "not_found": verdicts.count(Verdict.NOT_FOUND),
        "quotes": [[quote.hit.path, quote.place, quote.text, quote.chance] for quote in finished.quotes],
        "text": finished.text,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kb", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--model", default="")
    parser.add_argument("--adapter", default="")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--out", type=Path)
    wanted = parser.parse_args()
    asked = [json.loads(line) for line in wanted.questions.read_text().splitlines() if line.strip()]
    asked = asked[: wanted.limit or None]
    context = Context(Paths.discover(os.environ), Settings())
    options = replace(build.ask_options(context, sampled=GREEDY), adapters=AdapterScale.parse(wanted.adapter))
    model, embedder = build.model(context, wanted.model), build.embedder(context)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(wanted.kb, Path(scratch) / wanted.kb.name)
        try:
            with KnowledgeStore.open(Path(scratch), wanted.kb.stem) as store:
                session = ChatSession(None, model, [store], options, embedder)
                for number, one in enumerate(asked, 1):
                    rows.append(row(one, ask(session, one["question"])))
                    if number % 10 == 0:
                        print(f"  {number} of {len(asked)}", flush=True)
        finally:
            model.close()
    if wanted.out:
        wanted.out.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows))
    n = len(rows)
    figures = {
        name: sum(bool(one[name]) for one in rows)
        for name in ("quoted", "said", "shown", "cited", "misleading")
    } | {"do_not_say": sum(not one["says"] for one in rows)}
    statements = sum(int(str(one["statements"])) for one in rows)
    supported = sum(int(str(one["supported"])) for one in rows)
    for name, count in figures.items():
        print(f"{name:12}{count:5} of {n}   {count / n:.3f}")
    print(f"statements  {statements:5}, {supported} supported")
    print(
        json.dumps(
            {
                "benchmark": "shown",
                "kb": wanted.kb.stem,
                "set": wanted.questions.stem,
                "questions": n,
                **figures,
                "statements": statements,
                "supported": supported,
            }
        )
    )


if __name__ == "__main__":
    main()
