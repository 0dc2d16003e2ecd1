"""Vectors of the passages that questions find, made before anything is measured.

A search embeds some passages within the time of its question and keeps their vectors, so the same question asked again may be
answered from others. What compares searches makes these vectors first; all ways and settings then see the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from ragchat.retrieval.search import Ranking, Searcher
from ragchat.retrieval.vectors import MOST_IN_A_QUESTION, embed_missing
from ragchat.types import CancelToken, Hit

if TYPE_CHECKING:
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.types.embedding import Embedder, EmbeddingModel, Vectors

STEPS = 4
"""Steps in which `shares` tells how much is embedded."""
_CANDIDATES = 60
"""Of each question: as many as words find for the order by meaning, and some that other settings would find."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """`done` of `total` questions have vectors for what they find; `eta_s` until all have, None while unknown."""

    done: int
    total: int
    eta_s: float | None


class Remembering:
    """An embedder that embeds each question once, however often it is asked. The other one stays with whoever opened it."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, Vectors] = {}

    @property
    def model(self) -> EmbeddingModel:
        """The model behind it."""
        return self._embedder.model

    def embed_query(self, text: str) -> Vectors:
        """The vector of a question, computed once."""
        if text not in self._known:
            self._known[text] = self._embedder.embed_query(text)
        return self._known[text]

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """One vector of unit length for each text."""
        return self._embedder.embed_passages(texts)

    def close(self) -> None:
        """Nothing to do here."""


def usable(stores: Sequence[KnowledgeStore], embedder: Embedder | None, ranking: Ranking) -> bool:
    """Whether vectors have a say in a search: there is a model, a weight, a store that wants them. Raises StorageError."""
    return bool(embedder is not None and ranking.meaning and any(store.options().meaning for store in stores))


def prepare(
    stores: Sequence[KnowledgeStore],
    embedder: Embedder,
    questions: Sequence[str],
    *,
    ranking: Ranking,
    cancel: CancelToken,
) -> Iterator[Prepared]:
    """Embed what each question finds by its words and has no vector yet. Raises ModelError, StorageError."""
    searcher = Searcher(stores)
    words = replace(ranking, meaning=0.0, longest_passage=0, drop_near_duplicates=False)
    names = {store.name: store for store in stores}
    began = time.monotonic()
    for number, question in enumerate(questions, 1):
        if cancel.cancelled:
            return
        hits = searcher.search(question, _CANDIDATES, ranking=words, with_evidence=False).hits
        for name, chunk_ids in _readable(hits, embedder.model).items():
            _embed(names[name], chunk_ids, embedder)
        each = (time.monotonic() - began) / number
        yield Prepared(number, len(questions), each * (len(questions) - number))


def _readable(hits: Sequence[Hit], model: EmbeddingModel) -> Mapping[str, list[int]]:
    """Chunk numbers in the order of the hits, by knowledge base, of those that the model reads."""
    found: dict[str, list[int]] = {}
    for hit in hits:
        if model.reads(hit.language):
            found.setdefault(hit.knowledge_base, []).append(hit.chunk_id)
    return found


def _embed(store: KnowledgeStore, chunk_ids: Sequence[int], embedder: Embedder) -> None:
    # Not until nothing is missing: where another process writes, nothing can be kept.
    for _ in range(0, len(chunk_ids), MOST_IN_A_QUESTION):
        if not embed_missing(store, chunk_ids, embedder, inf).chunk_ids:
            return


def shares(stores: Sequence[KnowledgeStore], model: EmbeddingModel) -> dict[str, float | None]:
    """How much of each knowledge base has a vector, of what the model reads, to the nearest quarter; None: none are wanted.

    Searches embed what they find, so an exact share would be another after each of them. A quarter of the vectors moves figures
    less than a hundred questions can show, and is passed four times in the life of a knowledge base. Raises StorageError.
    """
    return {store.name: _share(store, model) for store in stores}


def _share(store: KnowledgeStore, model: EmbeddingModel) -> float | None:
    if not store.options().meaning:
        return None
    return round(STEPS * share([store], model)) / STEPS


def share(stores: Sequence[KnowledgeStore], model: EmbeddingModel) -> float:
    """How much of some knowledge bases has a vector, of what is wanted and the model reads, 0 to 1. Raises StorageError."""
    wanted = [store.vectors for store in stores if store.options().meaning]
    readable = sum(vectors.readable(model) for vectors in wanted)
    return min(1.0, sum(vectors.count(model) for vectors in wanted) / readable) if readable else 1.0
