"""What reaches the model: share of questions whose answer stands in the packed passages, at budgets in tokens.

    python benchmarks/answer_in_context.py DIR [DIR…] [--limit N] [--model MODEL.gguf] [--meaning]

DIR holds corpus/*.txt and questions.jsonl (question, answers). Documents are cut and searched as ragchat does it. Tokens are
those of the model's own vocabulary, with the numbers and headings of the passages, without instructions and question.
`naive` packs the chunks in the order of their rank until the next does not fit; `naive, cut` also fills what is left with the
beginning of that one; `ragchat` packs evidence. With `--meaning` the rows come twice, by words alone and with vectors of all
chunks. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import vectors

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.config import Settings
from ragchat.evaluation import corpora
from ragchat.evaluation.answer_metrics import holds
from ragchat.paths import Paths
from ragchat.retrieval.search import Searcher
from ragchat.session.packing import Packing, Passage, pack_hits, render
from ragchat.types import Hit
from ragchat.types.embedding import Embedder

BUDGETS = (256, 512, 1000, 2000)
HITS = 16
"""Enough chunks of the usual size to fill the largest budget."""

Count = Callable[[Sequence[str]], list[int]]


def counter(model: Path) -> Count:
    """Tokens of texts by the vocabulary of a model file."""
    from llama_cpp import Llama

    vocabulary = Llama(str(model), vocab_only=True, verbose=False)
    known: dict[str, int] = {}

    def count(texts: Sequence[str]) -> list[int]:
        for text in texts:
            if text not in known:
                known[text] = len(vocabulary.tokenize(text.encode(), add_bos=False, special=False))
        return [known[text] for text in texts]

    return count


def naive(count: Count, hits: Sequence[Hit], room: int, *, cut: bool) -> str:
    """Whole chunks by rank while they fit; with `cut` the next one's beginning as well."""
    packed: list[str] = []
    for n, hit in enumerate(hits, 1):
        text = render(n, Passage(hit, hit.text, hit.text))
        (size,) = count([text])
        if size + 2 > room:
            if cut and room > 2:
                packed.append(text[: len(text) * (room - 2) // size])
            break
        room -= size + 2
        packed.append(text)
    return "\n\n".join(packed)


def ours(count: Count, question: str, hits: Sequence[Hit], room: int) -> str:
    passages, _, _ = pack_hits(count, question, hits, Packing(HITS, "evidence"), room=room)
    packed = "\n\n".join(render(n, passage) for n, passage in enumerate(passages, 1))
    assert count([packed])[0] <= room
    return packed


def measure(folder: Path, count: Count, limit: int, embedder: Embedder | None) -> dict[str, dict[str, float]]:
    found = corpora.read(folder)
    asked = corpora.spread(tuple(q for q in found.questions if q.answers), limit)
    print(f"\n{found.name}: {len(found.documents)} documents, {len(asked)} questions")
    ways = ("naive", "naive, cut", "ragchat")
    kinds = ("", ", meaning") if embedder else ("",)
    right: dict[str, dict[str, int]] = {
        f"{name}{kind}": {str(b): 0 for b in BUDGETS} for kind in kinds for name in ways
    }
    took = 0.0
    with (
        tempfile.TemporaryDirectory() as scratch,
        corpora.build_knowledge_base(Path(scratch), found) as store,
    ):
        searchers = {"": Searcher([store])}
        if embedder:
            vectors.embed_share(store, embedder)
            searchers[", meaning"] = Searcher([store], embedder)
        for question, (kind, searcher) in itertools.product(asked, searchers.items()):
            hits = searcher.search(question.text, HITS, with_evidence=False).hits
            for budget in BUDGETS:
                started = time.perf_counter()
                mine = ours(count, question.text, hits, budget)
                took += time.perf_counter() - started
                for name, packed in (
                    ("naive", naive(count, hits, budget, cut=False)),
                    ("naive, cut", naive(count, hits, budget, cut=True)),
                    ("ragchat", mine),
                ):
                    right[f"{name}{kind}"][str(budget)] += holds(packed, question.answers)
    shares = {name: {b: round(n / len(asked), 4) for b, n in row.items()} for name, row in right.items()}
    print(f"  {'answer in context':20}" + "".join(f"{budget:>8}" for budget in BUDGETS))
    for name, row in shares.items():
        print(f"  {name:20}" + "".join(f"{share:>8.3f}" for share in row.values()))
    print(f"  packing takes {1000 * took / len(asked) / len(BUDGETS) / len(kinds):.1f} ms")
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dirs", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, default=0, help="at most N questions of each set, evenly spread")
    parser.add_argument("--model", default="", help="a GGUF file (default: the default model)")
    vectors.add_option(parser)
    arguments = parser.parse_args()
    embedder = vectors.wanted(arguments)
    context = Context(Paths.discover(os.environ), Settings())
    model = build.library(context).resolve(arguments.model)
    count = counter(model)
    report = {folder.name: measure(folder, count, arguments.limit, embedder) for folder in arguments.dirs}
    print(json.dumps({"benchmark": "answer_in_context", "model": model.name, "hits": HITS, "sets": report}))


if __name__ == "__main__":
    main()
