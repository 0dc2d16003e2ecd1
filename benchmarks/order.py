"""Does an answer suffer where the passages behind the best one are in another order, since they were read in that?

    python benchmarks/order.py SET [--model FILE.gguf] [--questions N] [--passages N]

The same questions with passages as they are ranked, and with those behind the first one reversed: how many answers contain an
expected word. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.config import Settings
from ragchat.ingest.sync import sync
from ragchat.llm.loading import loaded
from ragchat.paths import Paths
from ragchat.session.packing import Packing, model_key
from ragchat.session.preparing import Plan
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, Hit, Sampling, TextDelta


class Reversed(Plan):
    """As if the passages behind the best one had been read the other way round."""

    def in_order(self, hits: Sequence[Hit], passages: int) -> tuple[Hit, ...]:
        return (*hits[:1], *hits[1:passages][::-1], *hits[passages:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", type=Path)
    parser.add_argument("--model", default="")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--passages", type=int, default=3)
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in (arguments.set / "questions.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row.get("answers")]
    random.Random(2).shuffle(rows)
    rows = rows[: arguments.questions]
    with tempfile.TemporaryDirectory() as folder:
        context = Context(Paths.discover({"RAGCHAT_HOME": folder}), Settings())
        context.paths.create()
        with KnowledgeStore.create(context.paths.kb_dir, "set") as store:
            corpus = sorted((arguments.set / "corpus").glob("*.txt"))
            for _ in sync(store, build.ingest_options(context), cancel=CancelToken(), add=corpus):
                pass
        model = build.model(context, arguments.model)
        options = replace(
            build.ask_options(context),
            sampling=Sampling(temperature=0, max_tokens=48),
            packings={model_key(loaded(model).info): Packing(arguments.passages)},
        )
        held: dict[str, list[bool]] = {"as ranked": [], "reversed": []}
        with build.chat_session(context, None, model, ("set",), options) as session:
            for row in rows:
                for name, plan in (("as ranked", None), ("reversed", Reversed())):
                    events = session.ask(0, row["question"], plan=plan, cancel=CancelToken())
                    said = "".join(event.text for event in events if isinstance(event, TextDelta)).casefold()
                    held[name].append(any(one.casefold() in said for one in row["answers"]))
        model.close()
    lost = sum(a and not b for a, b in zip(*held.values(), strict=True))
    won = sum(b and not a for a, b in zip(*held.values(), strict=True))
    shares = {name: sum(found) / len(found) for name, found in held.items()}
    # The sign test, of two sides: how likely is a difference like this by chance?
    n, k = lost + won, max(lost, won)
    chance = min(1.0, 2 * sum(math.comb(n, i) for i in range(k, n + 1)) / 2**n) if n else 1.0
    print(
        f"{arguments.set.name}, {len(rows)} questions, {arguments.passages} passages: "
        + ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
        + f"; {lost} lost, {won} won (p {chance:.2f})"
    )
    print(
        json.dumps(
            {"benchmark": "order", "set": arguments.set.name, **shares, "lost": lost, "won": won, "p": chance}
        )
    )


if __name__ == "__main__":
    main()
