"""Meaning beside words: how near the passages that words found are to the question, by their vectors.

The words find the candidates and order them; a weighted sum of both orders the first of them again. Vectors that are missing are
made within the time of a question, those of the best candidates first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ragchat.retrieval.vectors import MeaningIndex, Place, cosines, embed_missing

if TYPE_CHECKING:
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.types import Hit
    from ragchat.types.embedding import Embedder

Floats = NDArray[np.float64]
_COMPARED = 5
_ALIKE = 0.8
_FEWEST = 3
_FLAT = 1e-6
BUDGET_S = 2.0
"""Seconds that a question may spend on vectors of passages that have none yet."""


class Meaning:
    """The cosines of passages with a question. Belongs to the thread of its searcher."""

    def __init__(
        self, embedder: Embedder, stores: Sequence[KnowledgeStore], budget_s: float = BUDGET_S
    ) -> None:
        self._embedder, self._stores, self._budget_s = embedder, tuple(stores), budget_s
        self._index: MeaningIndex | None = None
        self._question: tuple[str, np.ndarray] = ("", np.empty(0, np.float32))

    @property
    def index(self) -> MeaningIndex:
        """The vectors of all stores, opened at first use."""
        if self._index is None:
            self._index = MeaningIndex(self._stores, self._embedder.model)
        return self._index

    def reads(self, language: str) -> bool:
        """Whether the model was made for this language."""
        return self._embedder.model.reads(language)

    def nearest(self, query: str, n: int) -> list[Place]:
        """The chunks nearest to a question of all that have a vector. Raises ModelError, StorageError."""
        if not self.index.has_any():
            return []
        wanted = [store.options().meaning for store in self._stores]
        return [place for place in self.index.nearest(self._vector(query), n) if wanted[place.store]]

    def cosines(self, query: str, stores: Sequence[int], hits: Sequence[Hit]) -> list[float]:
        """How near each hit is to the question, -1 to 1; NaN where it has no vector and none could be made in time.

        `stores` has the number of each hit's knowledge base. Call it outside of `reading()`, so that new vectors can be kept.
        Raises ModelError, StorageError.
        """
        vector = self._vector(query)
        found = np.full(len(hits), np.nan, np.float32)
        left = self._budget_s
        for number, store in enumerate(self._stores):
            own = [i for i, hit in enumerate(hits) if stores[i] == number and self.reads(hit.language)]
            if not own or not store.options().meaning:
                continue
            ids = [hits[i].chunk_id for i in own]
            began = time.perf_counter()
            made = embed_missing(store, ids, self._embedder, left)
            left -= time.perf_counter() - began if made.chunk_ids else 0.0
            known = dict(zip(made.chunk_ids, cosines(vector, made.vectors).tolist(), strict=True))
            stored = self.index.cosines_of(number, ids, vector)
            for i, chunk_id, cosine in zip(own, ids, stored.tolist(), strict=True):
                found[i] = known.get(chunk_id, cosine)
        return [float(value) for value in found]

    def _vector(self, query: str) -> np.ndarray:
        if self._question[0] != query or not self._question[1].size:
            self._question = (query, self._embedder.embed_query(query))
        return self._question[1]


def share_of_meaning(words: Sequence[float], most: float) -> float:
    """How much meaning counts, at most `most`: all of that where the first candidates of the words score alike, else less.

    A name or a code that a single passage holds tells more than any vector. The fifth score is compared with the first; below
    `_ALIKE` of it the share falls in proportion.
    """
    best = sorted((score for score in words if score > 0), reverse=True)[:_COMPARED]
    if len(best) < 2:
        return 0.0
    return most * min(1.0, best[-1] / best[0] / _ALIKE)


def blend(words: Sequence[float], meaning: Sequence[float], weight: float) -> list[float]:
    """(1 - weight) * words / the largest of them + weight * cosine, for each candidate.

    A candidate without a vector counts as near as its words let expect; without any vector the order of the words stays.
    """
    near = np.asarray(meaning, np.float64)
    known = ~np.isnan(near)
    top = max(words, default=0.0)
    if not known.any() or top <= 0:
        return list(words)
    share = np.asarray(words, np.float64) / top
    near = np.where(known, near, _expected(share, near, known))
    return [float(value) for value in (1 - weight) * share + weight * near]


def _expected(share: Floats, near: Floats, known: NDArray[np.bool_]) -> Floats:
    """The cosine that a candidate's words let expect: a line through those that words found and that have a vector.

    Counting them as the farthest instead ranked a knowledge base that is embedded in part below words alone.
    """
    fitting = known & (share > 0)
    x, y = share[fitting], near[fitting]
    if len(x) < _FEWEST or np.ptp(x) < _FLAT:
        return np.full(len(share), near[known].mean())
    slope = max(0.0, float(np.cov(x, y)[0, 1] / x.var(ddof=1)))
    expected: Floats = np.minimum(1.0, y.mean() + slope * (share - x.mean()))
    return expected
