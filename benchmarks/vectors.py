"""What benchmarks share that measure search by meaning: the embedding model, and vectors for a share of a knowledge base."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.config import EmbeddingSettings, Settings
from ragchat.evaluation.vectors import Remembering
from ragchat.paths import Paths
from ragchat.retrieval import vectors as searching
from ragchat.retrieval.meaning import Meaning
from ragchat.retrieval.search import Searcher
from ragchat.retrieval.vectors import passage_text, quantise
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types.embedding import Embedder

if TYPE_CHECKING:
    from ragchat.types.embedding import Vectors

_BATCH = 16


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
        raise SystemExit("No embedding model is installed; `ragchat model pull minilm-l6` fetches one.")
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
