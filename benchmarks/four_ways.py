"""Which way serves best, on real questions: base, RAG, fine-tuned and both, with an adapter trained on other documents, beside
documents alone.

    python benchmarks/four_ways.py DIR --home FOLDER --adapter NAME [--limit N] [--without N] [--arms LIST]

DIR holds corpus/*.txt and questions.jsonl (question, answers, relevant); file names begin with the number of their article.
The adapter is one that `benchmarks/raft.py DIR --home FOLDER --adapter NAME` has trained on questions about every other article;
asked are questions about the rest, over the documents of all. `--without N` asks N more, each about a document of its own that
is taken out of the documents, so that nothing answers it. Everything goes through `ragchat eval run`. A run that was stopped goes
on. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from raft import halves

from ragchat.evaluation.corpora import QuestionSet, read, spread
from ragchat.evaluation.question_sets import Asked, SetLibrary
from ragchat.paths import Paths


def chosen(found: QuestionSet, limit: int, without: int) -> tuple[list[Asked], frozenset[str]]:
    """Questions about articles that were not learned from, and the documents that have to go for `without` more."""
    unseen = tuple(halves(found)[1])
    names = sorted({question.relevant[0] for question in unseen})
    taken = frozenset(names[i * len(names) // without] for i in range(without))
    there = tuple(question for question in unseen if not taken & set(question.relevant))
    first = {question.relevant[0]: question for question in reversed(unseen) if question.relevant[0] in taken}
    asked = [
        Asked(id=q.id, question=q.text, answers=q.answers, sources=q.relevant, origin="imported")
        for q in spread(there, limit)
    ]
    gone = [
        Asked(id=q.id, question=q.text, answerable=False, origin="imported") for _, q in sorted(first.items())
    ]
    return [*asked, *gone], taken


def documents(found: QuestionSet, gone: frozenset[str], folder: Path) -> Path:
    """The documents of the set without these, in a folder."""
    folder.mkdir(exist_ok=True)
    for name, text in found.documents.items():
        if name not in gone:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set_dir", type=Path)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--without", type=int, default=0)
    parser.add_argument("--arms", default="")
    parser.add_argument("--max-tokens", type=int, default=64)
    wanted = parser.parse_args()
    environment = {**os.environ, "RAGCHAT_HOME": str(wanted.home)}
    paths = Paths.discover(environment)
    paths.create()
    found = read(wanted.set_dir)
    asked, gone = chosen(found, wanted.limit, wanted.without)
    SetLibrary(paths.question_sets_dir).write("unseen", asked)
    corpus = documents(found, gone, wanted.home / "corpus") if gone else wanted.set_dir / "corpus"

    def ragchat(*arguments: str) -> str:
        command = [sys.executable, "-m", "ragchat", *arguments]
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    if not (paths.kb_dir / "articles.db").exists():
        ragchat("kb", "add", "articles", str(corpus.resolve()))
    began = time.monotonic()
    arms = ["--arms", wanted.arms] if wanted.arms else []
    print(
        ragchat(
            "eval",
            "run",
            "unseen",
            "--adapter",
            wanted.adapter,
            "--kb",
            "articles",
            "--max-tokens",
            str(wanted.max_tokens),
            *arms,
        )
    )
    seconds = time.monotonic() - began
    figures = json.loads(ragchat("eval", "report", "unseen", "--json"))
    print(json.dumps({"benchmark": "four_ways", "took_s": round(seconds), **figures}))


if __name__ == "__main__":
    main()
