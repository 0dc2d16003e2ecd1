"""Exact search by meaning against the one that looks at signs first: time, and how much of the first 10 and 50 it finds.

`python benchmarks/vectors.py KB.db QUESTIONS.jsonl` takes the vectors of an embedded knowledge base and questions ({"question"} a
line); copies of the vectors with noise make more of them. Benchmarks that measure search by meaning share what is below: the
embedding model, and vectors for a share of a knowledge base.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.config import EmbeddingSettings, Settings
from ragchat.evaluation.vectors import Remembering
from ragchat.paths import Paths
from ragchat.retrieval import vectors as searching
from ragchat.retrieval.meaning import Meaning
from ragchat.retrieval.search import Searcher
from ragchat.retrieval.signs import Signs
from ragchat.retrieval.vectors import inverse_lengths, nearest, passage_text, quantise
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types.embedding import Embedder

if TYPE_CHECKING:
    from ragchat.retrieval.vectors import Floats, Quantised
    from ragchat.types.embedding import Vectors

_BATCH = 16
_FOUND = 50


def add_option(parser: argparse.ArgumentParser) -> None:
    """`--meaning`, which every one of these benchmarks has."""
    parser.add_argument(
        "--meaning",
        action="store_true",
        help="also with vectors of everything, by the default embedding model",
    )
    parser.add_argument("--embedding-model", default="", metavar="NAME", help="another model for --meaning")


def wanted(arguments: argparse.Namespace) -> Embedder | None:
    """The model where `--meaning` asks for one; ends the benchmark where there is none."""
    if not arguments.meaning:
        return None
    settings = Settings(embedding=EmbeddingSettings(model=arguments.embedding_model))
    found = build.embedder(Context(Paths.discover(os.environ), settings))
    if found is None:
        raise SystemExit("No embedding model is installed. `ragchat model pull minilm-l6` downloads one.")
    return _Remembering(found)


class _Remembering(Remembering):
    """Embeds each passage once, too, however many rows of a table need its vector."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder)
        self._passages: dict[str, Vectors] = {}

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        if new := [text for text in dict.fromkeys(texts) if text not in self._passages]:
            self._passages |= zip(new, super().embed_passages(new), strict=True)
        return np.stack([self._passages[text] for text in texts])


def embed_share(store: KnowledgeStore, embedder: Embedder, share: float = 1.0) -> int:
    """Give the first chunks, in their order, a vector, up to a share of all that the model reads; how many have one then."""
    ids = sorted(store.vectors.missing_ids(embedder.model))
    there = store.vectors.count(embedder.model)
    ids = ids[: max(0, round(share * (there + len(ids))) - there)]
    for at in range(0, len(ids), _BATCH):
        chunks = store.vectors.texts(ids[at : at + _BATCH])
        vectors = embedder.embed_passages([passage_text(one.title, one.heading, one.text) for one in chunks])
        store.vectors.write(embedder.model, [one.chunk_id for one in chunks], quantise(vectors))
    return store.vectors.count(embedder.model)


def as_embedded(stores: Sequence[KnowledgeStore], embedder: Embedder, *, in_time: bool = False) -> Searcher:
    """A searcher that keeps no vector, so that a share of them stays what it is.

    `in_time`: a question embeds the best of what it finds, as in a chat, on a machine that is fast enough for all of these.
    """
    searcher = Searcher(stores, embedder)
    searcher._meaning = Meaning(embedder, stores, budget_s=math.inf if in_time else 0.0)
    searching._keep = lambda *_: None
    return searcher


def more_vectors(vectors: Quantised, size: int, noise: float) -> Quantised:
    """`size` vectors: the given ones, then copies of them with noise of that length (the vectors count as of length 1)."""
    random = np.random.default_rng(0)
    unit = vectors[:size] * inverse_lengths(vectors[:size])[:, None]
    every = [vectors[:size]]
    for _ in range(len(vectors), size, len(vectors)):
        moved = random.standard_normal(unit.shape, np.float32) * np.float32(noise / math.sqrt(unit.shape[1]))
        every.append(quantise(unit + moved))
    return np.concatenate(every)[:size]


def compare(vectors: Quantised, questions: Sequence[Floats]) -> dict[str, Any]:
    """Milliseconds of both searches (medians), their ratio, and the share of the first 10 and 50 that the fast one finds."""
    inverse = inverse_lengths(vectors)
    began = time.perf_counter()
    bits = Signs(vectors.shape[1]).of(vectors)
    signs_s = time.perf_counter() - began
    exact_ms, fast_ms, of_10, of_50 = [], [], [], []
    for question in questions:
        began = time.perf_counter()
        exact, _ = nearest(question, vectors, _FOUND, inverse)
        between = time.perf_counter()
        fast, _ = nearest(question, vectors, _FOUND, inverse, bits)
        exact_ms.append((between - began) * 1000)
        fast_ms.append((time.perf_counter() - between) * 1000)
        of_10.append(np.isin(exact[:10], fast[:10]).mean())
        of_50.append(np.isin(exact, fast).mean())
    slow, quick = statistics.median(exact_ms), statistics.median(fast_ms)
    return {
        "vectors": len(vectors),
        "exact_ms": round(slow, 2),
        "signs_ms": round(quick, 2),
        "ratio": round(slow / quick, 1),
        "recall@10": round(float(np.mean(of_10)), 4),
        "recall@50": round(float(np.mean(of_50)), 4),
        "recall@50_worst": round(float(min(of_50)), 2),
        "making_signs_ms": round(signs_s * 1000),
        "bytes_each": round((vectors.nbytes + inverse.nbytes + bits.nbytes) / len(vectors)) + 16,
    }


def main() -> None:
    """Measure each size; a line of JSON for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="kb/NAME.db of an embedded knowledge base")
    parser.add_argument("questions", type=Path, nargs="+", help='{"question"} a line')
    parser.add_argument(
        "--sizes", default="0,100000,200000,1000000", help="numbers of vectors; 0: as they are"
    )
    parser.add_argument("--noise", type=float, default=0.3)
    parser.add_argument("--most", type=int, default=90, metavar="N", help="questions")
    parser.add_argument("--embedding-model", default="", metavar="NAME")
    arguments = parser.parse_args()
    embedder = wanted(argparse.Namespace(meaning=True, embedding_model=arguments.embedding_model))
    assert embedder
    lines = [line for path in arguments.questions for line in path.read_text("utf-8").splitlines()]
    asked = [embedder.embed_query(json.loads(line)["question"]) for line in lines if line.strip()]
    embedder.close()
    with KnowledgeStore.open(arguments.file.parent, arguments.file.stem) as store:
        vectors = store.vectors.after(embedder.model).vectors
    for size in map(int, arguments.sizes.split(",")):
        found = compare(more_vectors(vectors, size or len(vectors), arguments.noise), asked[: arguments.most])
        print(json.dumps({"benchmark": "vectors", "noise": arguments.noise if size else 0.0} | found))


if __name__ == "__main__":
    main()
