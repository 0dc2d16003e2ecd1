"""The first hits read again, each together with the question, by a cross-encoder: what it says is their order.

Its order counts alone, not a sum with the order before: it has read the words as well, its scores have a scale of their own, and
no weight could be fitted, since no such model was at hand to be measured. The scores of the hits change places with them, so that
they keep their scale.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ragchat.errors import ModelError
from ragchat.retrieval.explanation import Move

if TYPE_CHECKING:
    from ragchat.types import Hit
    from ragchat.types.reranking import Reranker

MOST = 20
"""Hits that are read."""
BUDGET_S = 2.0
"""Seconds that a search may spend on it, besides loading the model once."""
_BATCH = 4


@dataclass(frozen=True, slots=True)
class Reread:
    """Hits in their order; how each one moved that was read, by knowledge base and chunk; why not all were read."""

    hits: Sequence[Hit]
    moves: Mapping[tuple[str, int], Move] = field(default_factory=dict)
    note: str = ""


def reread(
    reranker: Reranker, query: str, hits: Sequence[Hit], texts: Sequence[Hit], budget_s: float = BUDGET_S
) -> Reread:
    """The hits in the order that `reranker` gives to the first `MOST` of them, as far as `budget_s` allows, best first before.

    `texts` are the same hits with the text that is read. Hits in languages that the model does not read, and what there was no
    time for, keep their places. A model that fails leaves all as they are and says so in the note.
    """
    places = [i for i, hit in enumerate(hits[:MOST]) if reranker.model.reads(hit.language)]
    try:
        scores = _scores(reranker, query, [texts[i] for i in places], budget_s)
    except ModelError as error:
        return Reread(hits, note=str(error))
    read = places[: len(scores)]
    best = sorted(range(len(read)), key=lambda i: -scores[i])
    ordered, moves = list(hits), {}
    for place, i in zip(read, best, strict=True):
        moved = hits[read[i]]
        gained = hits[place].score - moved.score
        ordered[place] = replace(moved, score=hits[place].score)
        moves[moved.knowledge_base, moved.chunk_id] = Move(read[i] + 1, place + 1, gained)
    return Reread(ordered, moves, _cut_short(len(read), len(places), budget_s))


def _scores(reranker: Reranker, query: str, texts: Sequence[Hit], budget_s: float) -> list[float]:
    """What the model says of the texts from the first on, while there is time for some more. Raises ModelError."""
    from ragchat.retrieval.vectors import passage_text

    if texts:
        reranker.start()
    scores: list[float] = []
    started = time.perf_counter()
    while len(scores) < len(texts):
        spent = time.perf_counter() - started
        batch = texts[len(scores) : len(scores) + _BATCH]
        if spent + (spent / len(scores) * len(batch) if scores else 0.0) >= budget_s:
            break
        found = reranker.rank(query, [passage_text(one.title, one.heading, one.text) for one in batch])
        scores += map(float, found)
    return scores


def _cut_short(read: int, wanted: int, budget_s: float) -> str:
    if read == wanted:
        return ""
    return (
        f"The cross-encoder read {read} of {wanted} passages in {budget_s:g} s. The others keep their rank."
    )
