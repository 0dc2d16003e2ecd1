"""What the model makes of it: answers right with each way of packing, and with the right paragraph alone, in the same run.

    python benchmarks/answers.py DIR --out FILE.jsonl [--limit N] [--model MODEL.gguf] [--way NAME]…

DIR holds corpus/*.txt and questions.jsonl (question, answers, relevant). Real model, greedy, through the inference process.
FILE keeps every answer; the same command goes on where it was stopped. `ragchat eval packing` is the same and also keeps the
choice for the model. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from ragchat.app.context import Context
from ragchat.cli.eval import figures, measure, table
from ragchat.config import Settings
from ragchat.evaluation.packing_trial import WAYS
from ragchat.paths import Paths


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--limit", type=int, default=200, help="questions, evenly spread over the set")
    parser.add_argument("--model", default="", help="a GGUF file (default: the default model)")
    parser.add_argument("--way", action="append", choices=[way.name for way in WAYS], help="may be repeated")
    arguments = parser.parse_args()
    context = Context(Paths.discover(os.environ), Settings())
    ways = tuple(way for way in WAYS if not arguments.way or way.name in arguments.way)
    info, found = measure(
        context, arguments.dir, ways, limit=arguments.limit, model_name=arguments.model, out=arguments.out
    )
    print(table(found))
    print(json.dumps({"benchmark": "answers", "set": arguments.dir.name, **figures(info, found)}))


if __name__ == "__main__":
    main()
