"""All segments of some knowledge bases laid end to end: one space of slots in which a query is scored.

Each segment begins at a multiple of `RANGE`, so that its ranges are ranges of the whole. Belongs to one state of the databases;
what does not change (a segment's lengths and chunk numbers) is carried over from one state to the next.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from ragchat.retrieval.merge import slot_tables
from ragchat.retrieval.postings import (
    CELL_BITS,
    RANGE_BITS,
    Bound,
    LongList,
    decode_many,
    decode_short,
    gathered,
    is_long,
    ranges_in,
    spread_blocks,
)
from ragchat.retrieval.topk import LongPart, QueryTerm
from ragchat.store.inverted import PostingsRow, Segment
from ragchat.store.knowledge import KnowledgeStore

_FEW = 24
"""Lists up to so many are decoded one by one."""
_SMALL = 400
"""Postings of a list that is decoded together with others: a call costs more than the postings."""


@dataclass(frozen=True, slots=True)
class PlacedSegment:
    """A segment and where its slots begin. `chunk_ids` has shape (size,), `dead_slots` count from 0."""

    segment: Segment
    store: int
    first_slot: int
    bound: Bound
    lengths: NDArray[np.uint16]
    chunk_ids: NDArray[np.int64]
    dead_slots: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What some rows of a term add, by a formula."""

    rows: Sequence[PostingsRow]
    formula: tuple[float, float, float]
    found: QueryTerm


def _are_same(known: _Decoded, rows: Sequence[PostingsRow], formula: tuple[float, float, float]) -> bool:
    """Whether these are the very rows, not others that look alike."""
    return (
        known.formula == formula and len(known.rows) == len(rows) and all(map(operator.is_, known.rows, rows))
    )


class SlotSpace:
    """The slots of all live segments. `lengths` in terms and `dead` slots are as `topk.best_slots` wants them."""

    def __init__(self, stores: Sequence[KnowledgeStore], earlier: SlotSpace | None = None) -> None:
        """Reads the segments of `stores`; call inside a snapshot of each."""
        known = {(p.store, p.segment.id): p for p in earlier.segments} if earlier else {}
        self.segments: list[PlacedSegment] = []
        dead: list[NDArray[np.int64]] = []
        first = 0
        for number, store in enumerate(stores):
            for segment in store.index.segments():
                old = known.get((number, segment.id))
                # A write that was rolled back frees its number for another segment.
                same = old and replace(old.segment, dead=segment.dead) == segment
                lengths, chunk_ids = (
                    (old.lengths, old.chunk_ids) if old and same else slot_tables(store, segment)
                )
                dead_slots = old.dead_slots if old and same and old.segment.dead == segment.dead else None
                if dead_slots is None:
                    buried = store.index.tombstones(segment) if segment.dead else []
                    dead_slots = np.searchsorted(chunk_ids, np.array(buried, np.int64))
                placed = PlacedSegment(
                    segment, number, first, Bound.parse(segment.bound), lengths, chunk_ids, dead_slots
                )
                self.segments.append(placed)
                dead.append(first + dead_slots)
                first += ranges_in(segment.size) << RANGE_BITS
        self.lengths = np.zeros(first, np.uint16)
        for placed in self.segments:
            self.lengths[placed.first_slot : placed.first_slot + placed.segment.size] = placed.lengths
        self.dead = np.concatenate(dead) if dead else np.empty(0, np.int64)
        self._by_id = {(placed.store, placed.segment.id): placed for placed in self.segments}
        self._firsts = np.array([placed.first_slot for placed in self.segments], np.int64)

        self._decoded: dict[str, _Decoded] = {}

    def locate(self, slots: NDArray[np.int64]) -> list[tuple[int, int]]:
        """(number of the knowledge base, chunk number) of some slots."""
        owners = np.searchsorted(self._firsts, slots, side="right") - 1
        found = []
        for slot, owner in zip(slots.tolist(), owners.tolist(), strict=True):
            placed = self.segments[owner]
            found.append((placed.store, int(placed.chunk_ids[slot - placed.first_slot])))
        return found

    def query_terms(
        self,
        weights: Sequence[tuple[str, float]],
        rows: Sequence[Sequence[PostingsRow]],
        stores: Sequence[KnowledgeStore],
        formula: tuple[float, float, float],
    ) -> list[QueryTerm]:
        """What each (term, weight) adds; `rows` are their lists in each knowledge base, `formula` (k1, b, avgdl).

        What was decoded for the call before is used again where its very rows are given again: one search scores twice.
        """
        own: dict[str, list[PostingsRow]] = {term: [] for term, _ in weights}
        for row in chain.from_iterable(rows):
            if row.term in own:
                own[row.term].append(row)
        known = {
            term: self._decoded[term]
            for term, rows_now in own.items()
            if term in self._decoded and _are_same(self._decoded[term], rows_now, formula)
        }
        new = [pair for pair in weights if pair[0] not in known]
        decoded = {
            term: _Decoded(own[term], formula, found)
            for (term, _), found in zip(new, self._decode(new, rows, stores, formula), strict=True)
        }
        self._decoded = known | decoded
        return [replace(self._decoded[term].found, weight=weight) for term, weight in weights]

    def _decode(
        self,
        weights: Sequence[tuple[str, float]],
        rows: Sequence[Sequence[PostingsRow]],
        stores: Sequence[KnowledgeStore],
        formula: tuple[float, float, float],
    ) -> list[QueryTerm]:
        short: dict[str, list[tuple[int, int, bytes]]] = {term: [] for term, _ in weights}
        longs: dict[str, list[LongPart]] = {term: [] for term, _ in weights}
        for number, (own, store) in enumerate(zip(rows, stores, strict=True)):
            pieces = _spread_pieces([row for row in own if row.term in short], store)
            for row in own:
                if row.term not in short:
                    continue
                placed = self._by_id[number, row.segment_id]
                if is_long(row.entries):
                    longs[row.term].append(_long_part(row, placed, store, formula))
                else:
                    entries = pieces.get((row.segment_id, row.term), row.entries)
                    short[row.term].append((placed.first_slot, row.df, entries))
        found = _decoded([short[term] for term, _ in weights])
        return [
            QueryTerm(weight, *own, longs[term]) for (term, weight), own in zip(weights, found, strict=True)
        ]


def _spread_pieces(rows: Sequence[PostingsRow], store: KnowledgeStore) -> dict[tuple[int, str], bytes]:
    """The spread lists among `rows` as short lists."""
    spread = [(row, blocks) for row in rows if (blocks := spread_blocks(row.entries)) is not None]
    if not spread:
        return {}
    wanted = sorted((row.segment_id, number) for row, blocks in spread for number in blocks)
    contents = dict(zip(wanted, store.index.blocks(wanted), strict=True))
    return {
        (row.segment_id, row.term): gathered(row.entries, [contents[row.segment_id, n] for n in blocks])
        for row, blocks in spread
    }


def _long_part(
    row: PostingsRow, placed: PlacedSegment, store: KnowledgeStore, formula: tuple[float, float, float]
) -> LongPart:
    return LongPart(
        LongList(row.entries, row.df, placed.segment.size),
        placed.first_slot >> CELL_BITS,
        placed.bound.stretch(*formula),
        lambda numbers: store.index.blocks((row.segment_id, number) for number in numbers.tolist()),
    )


_Part = tuple[NDArray[np.int64], NDArray[np.uint8]]


def _decoded(short: Sequence[Sequence[tuple[int, int, bytes]]]) -> list[_Part]:
    """Slots and frequencies of each term, given (first slot of the segment, df, entries) of each of its lists."""
    flat = list(chain.from_iterable(short))
    together = [i for i, (_, df, _) in enumerate(flat) if df <= _SMALL]
    parts: dict[int, _Part] = {}
    if len(together) > _FEW:
        dfs = np.array([flat[i][1] for i in together], np.int64)
        found, tfs = decode_many([flat[i][2] for i in together], dfs)
        slots = found.astype(np.int64) + np.repeat(np.array([flat[i][0] for i in together], np.int64), dfs)
        last = np.cumsum(dfs)
        for i, a, b in zip(together, (last - dfs).tolist(), last.tolist(), strict=True):
            parts[i] = slots[a:b], tfs[a:b]
    for i, (first, df, entries) in enumerate(flat):
        if i not in parts:
            own, own_tfs = decode_short(entries, df)
            parts[i] = own.astype(np.int64) + first, own_tfs
    every = (parts[i] for i in range(len(flat)))
    return [_joined(list(islice(every, len(own)))) for own in short]


def _joined(parts: Sequence[_Part]) -> _Part:
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.uint8)
    if len(parts) == 1:
        return parts[0]
    slots, tfs = zip(*parts, strict=True)
    return np.concatenate(slots), np.concatenate(tfs)
