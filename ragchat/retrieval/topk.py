"""The k best slots without scoring all: upper bounds per cell decide which cells are looked at (block-max pruning).

Every term has, for each cell of 32 slots, an upper bound of what it can add there. Cells are scored from the highest sum of
bounds downwards; once the k-th best score exceeds what any other cell can reach, the rest is left alone. Exact: the same slots
and the same scores, to the last bit, as adding up everything, since each score is added up in the order of the query's terms
either way.

Ding and Suel, Faster Top-k Document Retrieval Using Block-Max Indexes (SIGIR 2011); Mallia, Suel and Tonellotto, Faster Learned
Sparse Retrieval with Block-Max Pruning (SIGIR 2024). Vectorised over cells here, because numpy's price is per call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragchat.retrieval import bm25
from ragchat.retrieval.postings import CELL, CELL_BITS, LARGEST_LENGTH, RANGE_BITS, LongList, spread

_FIRST_CELLS = 64
_GROWTH = 8
_SLACK = np.float32(1 + 1e-5)
"""Room for what float32 rounds down in the bounds of long lists."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LongPart:
    """The long list of one segment. `first_cell` is the segment's place among all cells; `stretch` see `Bound.stretch`."""

    long_list: LongList
    first_cell: int
    stretch: float | None
    fetch: Callable[[NDArray[np.int64]], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """What one term adds. `weight` = its weight in the query times idf.

    `slots` (ascending, int64) and `tfs` are all postings outside long lists, `longs` the others.
    """

    weight: float
    slots: NDArray[np.int64]
    tfs: NDArray[np.uint8]
    longs: Sequence[LongPart]


def best_slots(
    terms: Sequence[QueryTerm],
    lengths: NDArray[np.uint16],
    dead: NDArray[np.int64],
    k: int,
    *,
    avgdl: float,
    k1: float,
    b: float,
    exhaustive: bool = False,
) -> tuple[NDArray[np.int64], Scores]:
    """The k best slots and their scores, best first, of equal scores the lower slot; slots without any term never.

    `lengths` in terms, shape (slots,), a multiple of 256; `dead` slots, ascending, never count. `exhaustive` scores every cell.
    """
    scorer = _Scorer(terms, lengths, dead, avgdl, k1, b)
    bounds = scorer.bounds()
    best = (np.empty(0, np.int64), np.empty(0, np.float32))
    waiting = np.flatnonzero(bounds)
    take = waiting.size if exhaustive else max(_FIRST_CELLS, k)
    while waiting.size:
        if waiting.size > take:
            cut = np.partition(bounds[waiting], waiting.size - take)[waiting.size - take]
            now = bounds[waiting] >= cut
            cells, waiting = waiting[now], waiting[~now]
        else:
            cells, waiting = waiting, waiting[:0]
        best = _merge(best, scorer.score(cells), k)
        if best[0].size == k and waiting.size:
            # Not smaller: an equal score in a lower slot would come first.
            waiting = waiting[bounds[waiting] >= best[1][-1]]
        take *= _GROWTH
    return best


class _Scorer:
    """Adds up scores cell by cell."""

    def __init__(
        self,
        terms: Sequence[QueryTerm],
        lengths: NDArray[np.uint16],
        dead: NDArray[np.int64],
        avgdl: float,
        k1: float,
        b: float,
    ) -> None:
        self._terms, self._lengths, self._dead = terms, lengths, dead
        self._norms = _norms(avgdl, k1, b)
        self._place = np.full(lengths.size >> CELL_BITS, -1, np.int32)
        self._cells = [term.slots >> CELL_BITS for term in terms]
        self._impacts = [self._impact(term.weight, term.slots, term.tfs) for term in terms]

    def _impact(self, weight: float, slots: NDArray[np.integer], tfs: NDArray[np.uint8]) -> Scores:
        return np.float32(weight) * bm25.saturation(tfs, self._norms[self._lengths[slots]])

    def bounds(self) -> Scores:
        """For each cell, what none of its slots can exceed."""
        bounds = np.zeros(self._place.size, np.float32)
        for term, cells, impacts in zip(self._terms, self._cells, self._impacts, strict=True):
            if term.slots.size:
                first = np.flatnonzero(begins_of_runs(cells))
                bounds[cells[first]] += np.maximum.reduceat(impacts, first)
            for part in term.longs:
                levels = part.long_list.levels
                here = slice(part.first_cell, part.first_cell + levels.size)
                if part.stretch is None:
                    bounds[here] += np.float32(term.weight) * (levels > 0)
                else:
                    table = np.arange(16) * (term.weight * part.stretch * part.long_list.peak / 15)
                    bounds[here] += table.astype(np.float32)[levels]
        if self._dead.size > self._lengths.size >> 1:  # a narrow scope: most cells hold nothing that counts
            bounds[np.bincount(self._dead >> CELL_BITS, minlength=bounds.size) == CELL] = 0
        return bounds * _SLACK

    def score(self, cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], Scores]:
        """(slots, scores) of what scores in some ascending cells."""
        self._place[cells] = np.arange(cells.size)
        scores = np.zeros(cells.size << CELL_BITS, np.float32)
        for term, own_cells, impacts in zip(self._terms, self._cells, self._impacts, strict=True):
            if term.slots.size:
                here, at = self._seen(term.slots, own_cells)
                scores[at] += impacts[here]
            for part in term.longs:
                self._add_long(scores, term.weight, part, cells)
        if self._dead.size:
            begin, end = (np.searchsorted(self._dead, (cells + more) << CELL_BITS) for more in (0, 1))
            dead = self._dead[spread(begin, end - begin)]
            scores[self._seen(dead, dead >> CELL_BITS)[1]] = 0
        self._place[cells] = -1
        held = np.flatnonzero(scores)
        slots = (cells[held >> CELL_BITS] << CELL_BITS) + (held & (CELL - 1))
        return slots, scores[held]

    def _seen(
        self, slots: NDArray[np.integer], cells: NDArray[np.integer]
    ) -> tuple[NDArray[np.intp], NDArray[np.integer]]:
        """Which of some slots, given with their cells, are being scored, and their places among the scores."""
        place = self._place[cells]
        here = np.flatnonzero(place >= 0)
        return here, (place[here] << CELL_BITS) + (slots[here] & (CELL - 1))

    def _add_long(self, scores: Scores, weight: float, part: LongPart, cells: NDArray[np.int64]) -> None:
        long_list = part.long_list
        first, last = np.searchsorted(
            cells, (part.first_cell, part.first_cell + long_list.levels.size)
        ).tolist()
        own = cells[first:last] - part.first_cell
        own = own[long_list.levels[own] > 0] >> (RANGE_BITS - CELL_BITS)
        if not own.size:
            return
        ranges = own[begins_of_runs(own)]
        missing = long_list.missing(ranges)
        if missing.size:
            long_list.fill(missing, part.fetch(missing))
        cells_found, low, places = long_list.read_cells(ranges)
        # Most of what a range holds is in cells that do not matter: only the others are looked at further.
        place = self._place[part.first_cell :][cells_found]
        here = np.flatnonzero(place >= 0)
        inside = low[here] & (CELL - 1)
        slots = ((cells_found[here] + np.int32(part.first_cell)) << CELL_BITS) + inside
        scores[(place[here] << CELL_BITS) + inside] += self._impact(
            weight, slots, long_list.frequencies(places[here])
        )


@functools.lru_cache(maxsize=4)
def _norms(avgdl: float, k1: float, b: float) -> NDArray[np.float32]:
    """`bm25.length_norm` of every length that there can be."""
    return bm25.length_norm(np.arange(LARGEST_LENGTH + 1), avgdl, k1=k1, b=b)


def begins_of_runs(values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it; shape as `values`. `np.diff` takes several times as long."""
    begins = np.ones(values.size, bool)
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    return begins


def _merge(
    best: tuple[NDArray[np.int64], Scores], more: tuple[NDArray[np.int64], Scores], k: int
) -> tuple[NDArray[np.int64], Scores]:
    slots, scores = more
    if best[0].size == k:
        worth = scores >= best[1][-1]
        slots, scores = slots[worth], scores[worth]
    elif scores.size > k:
        worth = scores >= np.partition(scores, scores.size - k)[scores.size - k]
        slots, scores = slots[worth], scores[worth]
    slots, scores = np.concatenate([best[0], slots]), np.concatenate([best[1], scores])
    order = np.lexsort((slots, -scores))[:k]
    return slots[order], scores[order]
