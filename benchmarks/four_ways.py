"""Which way serves best, on real questions: base, RAG, fine-tuned and both, with an adapter trained on other documents.

    python benchmarks/four_ways.py DIR --home FOLDER --adapter NAME [--limit N] [--arms LIST]

DIR holds corpus/*.txt and questions.jsonl (question, answers, relevant); file names begin with the number of their article.
The adapter is one that `benchmarks/raft.py DIR --home FOLDER --adapter NAME` has trained on questions about every other article;
asked are questions about the rest, over the documents of all. Everything goes through `ragchat eval run`. A run that was stopped
goes on. Ends with one JSON line.
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

from ragchat.evaluation import corpora
from ragchat.evaluation.question_sets import Asked, SetLibrary
from ragchat.paths import Paths


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set_dir", type=Path)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--arms", default="")
    parser.add_argument("--max-tokens", type=int, default=64)
    wanted = parser.parse_args()
    environment = {**os.environ, "RAGCHAT_HOME": str(wanted.home)}
    paths = Paths.discover(environment)
    paths.create()
    found = corpora.read(wanted.set_dir)
    asked = [
        Asked(id=q.id, question=q.text, answers=q.answers, sources=q.relevant, origin="imported")
        for q in corpora.spread(tuple(halves(found)[1]), wanted.limit)
    ]
    SetLibrary(paths.question_sets_dir).write("unseen", asked)

    def ragchat(*arguments: str) -> str:
        command = [sys.executable, "-m", "ragchat", *arguments]
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    if not (paths.kb_dir / "articles.db").exists():
        ragchat("kb", "add", "articles", str((wanted.set_dir / "corpus").resolve()))
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
