"""How a small model is helped: answers right, and statements that a passage supports, with wordings, examples and grammars.

    python benchmarks/helped.py DIR --out FILE.jsonl [--limit N] [--model MODEL.gguf] [--way NAME]…

DIR holds corpus/*.txt and questions.jsonl (question, answers, relevant). Real model, greedy, one passage as searched, through
the inference process. FILE keeps every answer; the same command goes on where it was stopped. Ends with one JSON line.
`confirmed` and `misleading` are the shares of right and of other answers in which a statement is shown as supported.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ragchat.app.context import Context
from ragchat.cli.eval import measure
from ragchat.config import Settings
from ragchat.evaluation.packing_trial import Result, Way
from ragchat.paths import Paths
from ragchat.session.packing import HELPED, Packing

_LONGEST = 128
WAYS = tuple(
    Way(name, packing, longest=_LONGEST)
    for name, packing in (
        ("as it was", Packing(1)),
        ("short", Packing(1, wording="short")),
        ("example", Packing(1, example=True)),
        ("short, example", Packing(1, wording="short", example=True)),
        ("two sentences", Packing(1, answer="few")),
        ("cited sentences", Packing(1, answer="cited")),
        ("copied sentence", Packing(1, answer="copied")),
        ("copied words", Packing(1, answer="words")),
        ("short, example, copied sentence", Packing(1, wording="short", example=True, answer="copied")),
        ("1 quote", Packing(1, "quotes")),
        ("2 quotes", Packing(2, "quotes")),
        ("2 quotes, copied sentence", Packing(2, "quotes", answer="copied")),
        ("1 quote, copied words", Packing(1, "quotes", answer="words")),
        ("1 quote, copied sentence", HELPED),
        ("short, example, copied words", Packing(1, wording="short", example=True, answer="words")),
    )
)


def figures(result: Result) -> dict[str, float]:
    """What is kept of a way: shares and means."""
    shown = {
        "contains": result.contains,
        "error": result.error,
        "f1": result.f1,
        "statements": result.statements,
        "supported": result.supported,
        "confirmed": result.confirmed,
        "misleading": result.misleading,
        "tokens": result.tokens,
    }
    return {name: round(value, 4) for name, value in shown.items()}


def table(found: Sequence[Result]) -> str:
    """The card."""
    rows = [(result.way.name, figures(result)) for result in found]
    lines = [f"{'':34}" + "".join(f"{name:>12}" for name in (rows[0][1] if rows else ()))]
    lines += [f"{name:34}" + "".join(f"{value:>12.3f}" for value in own.values()) for name, own in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--limit", type=int, default=200, help="questions, evenly spread over the set")
    parser.add_argument("--model", default="", help="a GGUF file (default: the default model)")
    parser.add_argument("--threads", type=int, default=0, help="for the model (default: measured)")
    parser.add_argument("--way", action="append", choices=[way.name for way in WAYS], help="may be repeated")
    arguments = parser.parse_args()
    settings = Settings()
    model = msgspec.structs.replace(
        settings.model, threads=arguments.threads, threads_batch=arguments.threads
    )
    context = Context(Paths.discover(os.environ), msgspec.structs.replace(settings, model=model))
    ways = tuple(way for way in WAYS if not arguments.way or way.name in arguments.way)
    info, found = measure(
        context, arguments.dir, ways, limit=arguments.limit, model_name=arguments.model, out=arguments.out
    )
    print(table(found))
    report = {"benchmark": "helped", "set": arguments.dir.name, "model": info.name}
    ways_told = {result.way.name: figures(result) for result in found}
    print(json.dumps({**report, "questions": found[0].questions if found else 0, "ways": ways_told}))


if __name__ == "__main__":
    main()
