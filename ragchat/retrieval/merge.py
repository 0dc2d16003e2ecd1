"""Merging segments: small ones become one larger one, and what was removed falls out.

Segments form levels by their size; `FAN_OUT` neighbours of a level, or a segment that is half dead, are merged. A merge
reads term by term, a bounded number of lists at a time, and writes in short transactions, so that readers never wait and
other writers hardly do. Whoever dies in a merge leaves a half-built segment, which the next one clears away.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import uuid
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ragchat.errors import RagchatError
from ragchat.retrieval import bm25
from ragchat.retrieval.postings import (
    LARGEST_SEGMENT,
    LONG_FLAG,
    SPREAD,
    Bound,
    LongList,
    Postings,
    decode_many,
    decode_short,
    encode,
    gathered,
    is_long,
    ranges_in,
    renumbered,
    spread_blocks,
)
from ragchat.store.inverted import Segment
from ragchat.store.knowledge import KnowledgeStore

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor
    from pathlib import Path

FAN_OUT = 8
LARGEST_MERGED = 1 << 20
"""Slots. Larger segments are left alone, unless half of them is dead."""
_ROWS_AT_ONCE = 4_000
"""Of all segments together: more of them leave the processor's cache."""
_FEWEST_ROWS = 32
_POSTINGS_AT_ONCE = 500_000
_MOST_MERGED = 256
"""Segments; more of them wait for the next merge."""
_ABANDONED_AFTER_S = 60.0
_SMALL = 4096
"""Slots."""
_SLOTS_TO_A_STRETCH = 16384
"""Of the merged segment, for each stretch of terms that a process merges."""
_FEWEST_STRETCHES, _MOST_STRETCHES = 4, 64

Encoded = tuple[list[tuple[str, int, bytes]], list[bytes]]
"""Lists of the merged segment and their blocks, numbered from 0."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Processes that merge beside the one that writes."""

    pool: ProcessPoolExecutor
    count: int


Row = tuple[str, int, int, bytes]
"""(term, place of the segment among those merged, df, entries)"""


def merge_segments(
    store: KnowledgeStore, *, fan_out: int = FAN_OUT, stop: Callable[[], bool] = lambda: False
) -> int:
    """Merge until nothing is left to merge, or `stop` says so; how many merges there were. Raises StorageError."""
    merges = 0
    _clear_abandoned(store)
    while not stop() and (old := _to_merge(store.index.segments(), fan_out)):
        if not merge(store, old, stop=stop):
            break
        merges += 1
    _sweep(store, stop)
    return merges


def merge_all(
    store: KnowledgeStore,
    *,
    stop: Callable[[], bool] = lambda: False,
    processes: Processes | None = None,
) -> None:
    """After an index was built as a whole: as few segments as their largest size allows."""
    segments = store.index.segments()
    while segments:
        run = [segments.pop(0)]
        while segments and sum(s.size for s in run) + segments[0].size <= LARGEST_MERGED:
            run.append(segments.pop(0))
        if len(run) > 1 and not merge(store, run, stop=stop, processes=processes):
            return
    _sweep(store, stop)


def merge(
    store: KnowledgeStore,
    old: Sequence[Segment],
    *,
    stop: Callable[[], bool] = lambda: False,
    processes: Processes | None = None,
) -> bool:
    """Merge neighbouring segments; whether it is complete. What is small is merged in one transaction."""
    if sum(segment.size for segment in old) > _SMALL:
        return _merge(store, old, stop, processes)
    with store.writing():
        done = _merge(store, old, stop, None)
        for segment in old if done else ():
            while store.index.sweep(segment.id):
                pass
        return done


def _sweep(store: KnowledgeStore, stop: Callable[[], bool]) -> None:
    """Delete the lists of segments that are gone, some at a time; not while someone merges, who may still read them."""
    if store.index.is_merging():
        return
    for segment_id in store.index.garbage():
        while not stop():
            with store.writing():
                if not store.index.sweep(segment_id):
                    break


def _clear_abandoned(store: KnowledgeStore) -> None:
    if lost := store.index.abandoned(_ABANDONED_AFTER_S):
        with store.writing():
            store.index.discard(lost)


def _level(size: int, fan_out: int) -> int:
    level = 0
    while size >= fan_out:
        size //= fan_out
        level += 1
    return level


def _to_merge(segments: Sequence[Segment], fan_out: int) -> list[Segment]:
    """What to merge next: neighbours of the lowest level that has enough, else a segment that is half dead."""
    levels = [_level(segment.size, fan_out) for segment in segments]
    for level in sorted(set(levels)):
        run: list[Segment] = []
        size = 0
        for segment, own in zip(segments, levels, strict=True):
            if own <= level and size + segment.size <= LARGEST_MERGED and len(run) < _MOST_MERGED:
                run.append(segment)
                size += segment.size
                continue
            if len(run) >= fan_out:
                return run
            run, size = ([segment], segment.size) if own <= level else ([], 0)
        if len(run) >= fan_out:
            return run
    return next(([segment] for segment in segments if 2 * segment.dead > segment.size), [])


@dataclass(frozen=True, slots=True)
class _Plan:
    """A merge as of the moment it began: what stays, with its new slots, and what is left out."""

    segment_id: int
    owner: str
    old: Sequence[Segment]
    bound: Bound
    lengths: NDArray[np.uint16]
    chunk_ids: NDArray[np.int64]
    new_slot: Sequence[NDArray[np.int32]]
    buried: NDArray[np.int64]
    removed: Mapping[str, int]


def _merge(
    store: KnowledgeStore, old: Sequence[Segment], stop: Callable[[], bool], processes: Processes | None
) -> bool:
    """Whether the merge is complete."""
    plan = _begin(store, old)
    if plan is None:
        return False
    try:
        return _write(store, plan, stop, processes) and _swap(store, plan)
    except BaseException:
        with contextlib.suppress(RagchatError), store.writing():
            store.index.discard([plan.segment_id])
        raise


def _begin(store: KnowledgeStore, old: Sequence[Segment]) -> _Plan | None:
    """What is to be merged, as of one moment; None when someone else merges or was faster."""
    owner = uuid.uuid4().hex
    with store.writing():
        if store.index.is_merging() or not set(old) <= set(store.index.segments()):
            return None
        lengths, chunk_ids, new_slot, buried = _slots(store, old)
        removed = store.index.removed_of([segment.id for segment in old])
        bound = Bound(bm25.K1, bm25.B, max(float(lengths.mean()) if lengths.size else 1.0, 1.0))
        segment_id = store.index.begin_merge(old, lengths.size, str(bound), owner)
    return _Plan(segment_id, owner, old, bound, lengths, chunk_ids, new_slot, buried, removed)


def _write(store: KnowledgeStore, plan: _Plan, stop: Callable[[], bool], processes: Processes | None) -> bool:
    """List by list, a transaction for some of them; whether it is complete."""
    blocks = 0
    encoded = _by_processes(store, plan, processes) if processes else _encoded(store, plan)
    with contextlib.closing(encoded):
        for lists, contents in encoded:
            with store.writing():
                if stop() or not store.index.touch(plan.segment_id, plan.owner):
                    store.index.discard([plan.segment_id])
                    return False
                store.index.append_lists(plan.segment_id, renumbered(lists, blocks), contents, blocks)
            blocks += len(contents)
    return True


def _encoded(
    store: KnowledgeStore, plan: _Plan, after: str = "", last: str | None = None
) -> Generator[Encoded]:
    """The merged lists of the terms after `after` up to `last`, in portions."""
    for rows in _rows(store, plan.old, after, last):
        yield encode(_merged(store, plan.old, rows, plan.new_slot), plan.lengths, plan.bound)


def _by_processes(store: KnowledgeStore, plan: _Plan, processes: Processes) -> Generator[Encoded]:
    """The same portions, made by processes that read for themselves; one more stretch of terms than these is under way."""
    stretches = max(_FEWEST_STRETCHES, min(_MOST_STRETCHES, plan.lengths.size // _SLOTS_TO_A_STRETCH))
    largest = max(plan.old, key=lambda segment: segment.size)
    # Without the last one: behind it may be terms that only other segments have.
    cuts = ["", *store.index.parted(largest.id, stretches)[:-1], None]
    needed = replace(plan, chunk_ids=plan.chunk_ids[:0], buried=plan.buried[:0], removed={})
    waiting: deque[Future[list[Encoded]]] = deque()
    try:
        for after, last in pairwise(cuts):
            waiting.append(processes.pool.submit(_stretch, store.path, needed, after or "", last))
            if len(waiting) > processes.count:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _stretch(path: Path, plan: _Plan, after: str, last: str | None) -> list[Encoded]:
    """What a process does."""
    store = _opened(path)
    with store.reading():
        return list(_encoded(store, plan, after, last))


@functools.lru_cache(maxsize=1)
def _opened(path: Path) -> KnowledgeStore:
    """Kept open until the process ends, which is when the merge has ended."""
    return KnowledgeStore.open(path.parent, path.stem)


def _swap(store: KnowledgeStore, plan: _Plan) -> bool:
    """Put the merged segment in the place of the old ones, in one transaction."""
    first = plan.old[0].first_chunk
    offsets = None
    if not _has_no_holes(plan.chunk_ids, first):
        offsets = (plan.chunk_ids - first).astype("<u4").tobytes()
    with store.writing():
        if not store.index.touch(plan.segment_id, plan.owner):
            return False
        done = store.index.finish_merge(
            plan.segment_id,
            plan.old,
            lengths=plan.lengths.astype("<u2").tobytes(),
            chunk_ids=offsets,
            buried=plan.buried.tolist(),
            removed=plan.removed,
        )
        store.note_change()
    return done


def _has_no_holes(chunk_ids: NDArray[np.int64], first: int) -> bool:
    return bool(chunk_ids.size and chunk_ids[0] == first and chunk_ids[-1] == first + chunk_ids.size - 1)


def _slots(
    store: KnowledgeStore, old: Sequence[Segment]
) -> tuple[NDArray[np.uint16], NDArray[np.int64], list[NDArray[np.int32]], NDArray[np.int64]]:
    """(lengths and chunk numbers of what stays, for each old segment the new slot of each slot or -1, dead chunk numbers)."""
    lengths, chunk_ids, new_slot, buried = [], [], [], []
    size = 0
    for segment in old:
        own_lengths, own_ids = slot_tables(store, segment)
        alive = np.ones(segment.size, bool)
        if segment.dead:
            alive[np.searchsorted(own_ids, store.index.tombstones(segment))] = False
        slots = np.where(alive, np.cumsum(alive) - 1 + size, -1)
        new_slot.append(slots.astype(np.int32))
        lengths.append(own_lengths[alive])
        chunk_ids.append(own_ids[alive])
        buried.append(own_ids[~alive])
        size += int(alive.sum())
    assert size < LARGEST_SEGMENT
    return np.concatenate(lengths), np.concatenate(chunk_ids), new_slot, np.concatenate(buried)


def slot_tables(store: KnowledgeStore, segment: Segment) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Length in terms and chunk number of each slot of a segment, both of shape (size,)."""
    lengths, offsets = store.index.segment_chunks(segment.id)
    if offsets is None:
        ids = np.arange(segment.first_chunk, segment.first_chunk + segment.size, dtype=np.int64)
    else:
        ids = np.frombuffer(offsets, "<u4").astype(np.int64) + segment.first_chunk
    return np.frombuffer(lengths, "<u2").astype(np.uint16, copy=False), ids


def short_entries(store: KnowledgeStore, segment_id: int, entries: bytes) -> bytes:
    """The entries of a short list, gathered from its blocks where it is spread."""
    blocks = spread_blocks(entries)
    return (
        entries
        if blocks is None
        else gathered(entries, store.index.blocks((segment_id, number) for number in blocks))
    )


def _rows(
    store: KnowledgeStore, old: Sequence[Segment], first: str = "", last: str | None = None
) -> Iterator[list[Row]]:
    """Lists of some segments by term, then by segment, of terms after `first` up to `last`; those of a term in one portion."""
    limit = max(_FEWEST_ROWS, _ROWS_AT_ONCE // len(old))
    waiting: list[list[tuple[str, int, bytes]]] = [[] for _ in old]
    exhausted = [False] * len(old)
    after = [first] * len(old)
    while True:
        for i, segment in enumerate(old):
            # All of them, not the one that ran out alone: else a portion would be as small as what one segment has to add.
            if len(waiting[i]) < limit and not exhausted[i]:
                more = store.index.lists_after(segment.id, after[i], limit, last)
                waiting[i] += more
                exhausted[i] = len(more) < limit
                if more:
                    after[i] = more[-1][0]
        # Up to the last term that every segment with more to come has shown.
        ends = [rows[-1][0] for rows, over in zip(waiting, exhausted, strict=True) if rows and not over]
        end = min(ends, default=None)
        portion: list[Row] = []
        for i, rows in enumerate(waiting):
            ready = rows if end is None else rows[: bisect_right(rows, end, key=operator.itemgetter(0))]
            portion += [(term, i, df, entries) for term, df, entries in ready]
            waiting[i] = rows[len(ready) :]
        if not portion:
            return
        portion.sort(key=operator.itemgetter(0))  # stable: each segment's rows came in the order of segments
        yield from _bounded(portion)


def _bounded(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows in portions of not too many postings; every list of a term in the same one."""
    part: list[Row] = []
    postings = 0
    for row in rows:
        if postings > _POSTINGS_AT_ONCE and row[0] != part[-1][0]:
            yield part
            part, postings = [], 0
        part.append(row)
        postings += row[2]
    yield part


def _merged(
    store: KnowledgeStore, old: Sequence[Segment], rows: Sequence[Row], new_slot: Sequence[NDArray[np.int32]]
) -> Postings:
    """The postings of some rows in new slots, the dead left out."""
    names, places, counts, entries = map(list, zip(*rows, strict=True))
    dfs = np.array(counts, np.int64)
    flags = np.fromiter((entry[0] for entry in entries), np.uint8, len(entries))
    for i in np.flatnonzero((flags >= SPREAD) & (flags < LONG_FLAG)).tolist():
        entries[i] = short_entries(store, old[places[i]].id, entries[i])
    long = flags >= LONG_FLAG
    slots, tfs = np.empty(int(dfs.sum()), np.int32), np.empty(int(dfs.sum()), np.uint8)
    starts = np.cumsum(dfs) - dfs
    if not long.all():
        of = np.repeat(~long, dfs)
        short = [entries[i] for i in np.flatnonzero(~long).tolist()] if long.any() else entries
        slots[of], tfs[of] = decode_many(short, dfs[~long])
    for i in np.flatnonzero(long).tolist():
        here = slice(int(starts[i]), int(starts[i] + dfs[i]))
        slots[here], tfs[here] = read_list(store, old[places[i]], entries[i], counts[i])
    table = np.concatenate(new_slot)
    base = np.cumsum([0, *(part.size for part in new_slot)])
    moved = table[slots + np.repeat(base[np.array(places)], dfs)]
    is_new = np.fromiter(map(operator.ne, names, ["", *names[:-1]]), bool, len(names))
    term_of = np.repeat(np.cumsum(is_new) - 1, dfs)
    alive = moved >= 0
    held_by = np.bincount(term_of[alive], minlength=int(is_new.sum()))
    terms = list(compress(names, is_new.tolist()))
    held = held_by > 0
    return Postings(
        terms=terms if held.all() else list(compress(terms, held.tolist())),
        counts=held_by[held],
        slots=moved[alive],
        tfs=tfs[alive],
    )


def read_list(
    store: KnowledgeStore, segment: Segment, entries: bytes, df: int
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Slots and term frequencies of a list of any form."""
    if not is_long(entries):
        return decode_short(short_entries(store, segment.id, entries), df)
    long_list = LongList(entries, df, segment.size)
    ranges = np.arange(ranges_in(segment.size))
    missing = long_list.missing(ranges)
    contents = store.index.blocks((segment.id, number) for number in missing.tolist())
    long_list.fill(missing, contents)
    slots, places = long_list.read(ranges)
    return slots, long_list.frequencies(places)
