"""Whether a search finds more when a model writes what else to search for: success among the first 1, 3 and 5 hits.

    RAGCHAT_HOME=… python benchmarks/rewriting.py KB QUESTIONS.jsonl [--model MODEL.gguf] [--texts TEXTS.json] [--limit N]

QUESTIONS.jsonl has "id", "question" and "gold" ("package", "file", "string") a line, KB is an indexed knowledge base over the
folders of these packages: a hit is right when it is of a gold file and holds its string. With --texts ({id: sentence}) no model
is asked: what sentences written by hand bring shows what the mechanism is worth. Prints a table, with what all second searches
would bring, and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.cli.eval_rewriting import table
from ragchat.config import Settings
from ragchat.evaluation import rewriting_trial
from ragchat.evaluation.question_sets import Asked
from ragchat.evaluation.rewriting_trial import PLACES, Compared, Written, outcome
from ragchat.evaluation.vectors import Remembering
from ragchat.llm.loading import loaded
from ragchat.paths import Paths
from ragchat.retrieval.search import Searcher
from ragchat.retrieval.vocabulary import Vocabulary
from ragchat.session.rewriting import Averaging
from ragchat.types import CancelToken, Hit, LoadedModel

_MARKS = re.compile(r"[\W_]+")


def _plain(text: str) -> str:
    return _MARKS.sub("", text.replace("\u00ad", "").casefold())


class Gold:
    """Judges hits by the strings that a question's files must hold."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._gold = {row["id"]: row["gold"] for row in rows}

    def __call__(self, question: Asked, hit: Hit) -> bool:
        """Whether a hit is of a gold file and holds its string."""
        own = [one for one in self._gold[question.id] if hit.path.endswith(f"{one['package']}/{one['file']}")]
        return any(_plain(one["string"]) in _plain(f"{hit.heading} {hit.text}") for one in own)


def _write_texts(file: Path, texts: Mapping[str, str], model: LoadedModel) -> None:
    """What a run of the model would have kept."""
    rows = [
        rewriting_trial.header(model.info),
        *({"question": i, "text": t, "seconds": 0.0} for i, t in texts.items()),
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def measure(
    kb: str, rows: Sequence[Mapping[str, Any]], model_name: str, texts: Path | None
) -> list[Compared]:
    """Each question, without and with rewriting."""
    context = Context(Paths.discover(os.environ), Settings())
    asked = [Asked(id=row["id"], question=row["question"]) for row in rows]
    found: list[Compared] = []
    with ExitStack() as stack:
        stores = stack.enter_context(build.knowledge_bases(context, [kb]))
        embedder = build.embedder(context)
        meant = Averaging(Remembering(embedder)) if embedder else None
        model = build.model(context, model_name)
        stack.callback(model.close)
        reader = loaded(model)
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "texts.jsonl"
        if texts:
            _write_texts(file, json.loads(texts.read_text("utf-8")), reader)
        for step in rewriting_trial.run(
            reader,
            Searcher(stores, meant),
            meant,
            Vocabulary(stores).idf,
            asked,
            file,
            cancel=CancelToken(),
            right=Gold(rows),
        ):
            if isinstance(step, Compared):
                found.append(step)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kb", metavar="KB")
    parser.add_argument("questions", type=Path, metavar="QUESTIONS.jsonl")
    parser.add_argument("--model", default="", help="a GGUF file (default: the default model)")
    parser.add_argument(
        "--texts", type=Path, metavar="TEXTS.json", help="sentences by question id, instead of the model's"
    )
    parser.add_argument("--limit", type=int, default=0, help="only the first so many questions")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.questions.read_text("utf-8").splitlines() if line.strip()]
    rows = rows[: arguments.limit or len(rows)]
    began = time.monotonic()
    found = measure(arguments.kb, rows, arguments.model, arguments.texts)
    told = outcome(found)
    print(table(told))
    second = {k: sum(0 < row.second <= k for row in found) / len(found) for k in PLACES}
    print("every second search used: " + ", ".join(f"{k}: {share:.1%}" for k, share in second.items()))
    for row in found:
        if isinstance(row.written, Written):
            print(f"{row.before:3} → {row.second:3}{' ' if row.kept else ' (not used)'} {row.written.text}")
    figures = {
        "benchmark": "rewriting",
        "set": arguments.questions.name,
        "questions": told.questions,
        "written": told.written,
        "kept": told.kept,
        "seconds": round(told.seconds, 3),
        "before": told.before,
        "after": told.after,
        "second": second,
        "gain": {k: [gain.mean, gain.low, gain.high] for k, gain in told.gain.items()},
        "took_s": round(time.monotonic() - began, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
