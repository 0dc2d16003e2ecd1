"""Whether an index says what its texts say: every chunk is analysed again and held against the stored posting lists.

A segment is compared by one number, the sum (mod 2^64) over a mix of each (term, chunk, frequency) and (chunk, length): the order
does not matter, so neither side is ever in memory as a whole. The bounds of long lists must hold for what is in them: where
one is too low, a search passes over chunks that it should find.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ragchat.retrieval import bm25, index
from ragchat.retrieval.merge import read_list, slot_tables
from ragchat.retrieval.postings import CELL_BITS, Bound, LongList, is_long
from ragchat.store.inverted import Segment
from ragchat.store.knowledge import KnowledgeStore

_LISTS_AT_ONCE = 5_000
_BATCH_CHUNKS = 2_048


def wrong_segments(
    store: KnowledgeStore,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda chunks: None,
) -> list[str]:
    """A sentence for each segment whose lists differ from the texts they were made of, or whose bounds do not hold.

    `progress` gets chunks done.

    Reads everything; raises StorageError. An index of another version of the analysis is not compared: a sync builds it again.
    """
    if not index.is_current(store):
        return []
    found: list[str] = []
    with store.reading():
        segments = store.index.segments()
        expected = _expected(store, segments, stop, progress)
        for segment in segments:
            if stop():
                break
            total, bounded = _stored(store, segment)
            chunks = f"chunks {segment.first_chunk} to {segment.last_chunk}"
            if total != expected[segment.id]:
                found.append(f"The index of {chunks} does not match their text.")
            elif not bounded:
                found.append(f"The index of {chunks} has wrong score bounds, so a search may miss some.")
    return found


def _expected(
    store: KnowledgeStore,
    segments: Sequence[Segment],
    stop: Callable[[], bool],
    progress: Callable[[int], None],
) -> dict[int, int]:
    """What each segment should sum up to, from the texts."""
    sums = {segment.id: 0 for segment in segments}
    done = 0
    for segment, documents, chunk_ids in _batches(store, segments):
        if stop():
            break
        inversion = index.analyse(documents)
        ids = np.array(chunk_ids, np.uint64)
        postings = inversion.postings
        keys = np.repeat(
            np.fromiter(map(_term_key, postings.terms), np.uint64, len(postings.terms)), postings.counts
        )
        total = _sum_postings(keys, ids[postings.slots], postings.tfs) + _sum_lengths(ids, inversion.lengths)
        sums[segment.id] = (sums[segment.id] + total) % (1 << 64)
        done += len(chunk_ids)
        progress(done)
    return sums


def _batches(
    store: KnowledgeStore, segments: Sequence[Segment]
) -> Iterator[tuple[Segment, list[index.DocumentChunks], list[int]]]:
    """Whole documents of one segment at a time, with the numbers of their chunks."""
    left = iter(segments)
    segment = next(left, None)
    batch: list[index.DocumentChunks] = []
    numbers: list[int] = []
    for file, chunks, chunk_ids in store.indexed_documents():
        while segment and chunk_ids[0] > segment.last_chunk:
            if batch:
                yield segment, batch, numbers
                batch, numbers = [], []
            segment = next(left, None)
        if segment is None:
            return
        batch.append((file, chunks))
        numbers += chunk_ids
        if len(numbers) >= _BATCH_CHUNKS:
            yield segment, batch, numbers
            batch, numbers = [], []
    if segment and batch:
        yield segment, batch, numbers


def _stored(store: KnowledgeStore, segment: Segment) -> tuple[int, bool]:
    """What the stored lists of a segment sum up to, the dead left out; and whether the bounds of all its long lists hold."""
    lengths, ids = slot_tables(store, segment)
    alive = ~np.isin(ids, np.array(store.index.tombstones(), np.int64))
    chunk_ids = ids.astype(np.uint64)
    total = _sum_lengths(chunk_ids[alive], lengths[alive])
    bound, bounded = Bound.parse(segment.bound), True
    norms = bm25.length_norm(lengths, bound.avgdl, k1=bound.k1, b=bound.b)
    after = ""
    while rows := store.index.lists_after(segment.id, after, _LISTS_AT_ONCE):
        for term, df, entries in rows:
            slots, tfs = read_list(store, segment, entries, df)
            if is_long(entries):
                bounded &= _holds(
                    LongList(entries, df, segment.size), slots, bm25.saturation(tfs, norms[slots])
                )
            kept = alive[slots]
            keys = np.full(int(kept.sum()), _term_key(term), np.uint64)
            total += _sum_postings(keys, chunk_ids[slots[kept]], tfs[kept])
        after = rows[-1][0]
    return total % (1 << 64), bounded


def _holds(long_list: LongList, slots: NDArray[np.int32], saturation: NDArray[np.float32]) -> bool:
    """Whether nothing in a long list exceeds the bound of its cell, but for what float32 rounds."""
    bounds = long_list.levels * (long_list.peak / 15)
    return bool((saturation <= bounds[slots >> CELL_BITS] * (1 + 1e-5)).all())


def _term_key(term: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


def _sum_postings(keys: NDArray[np.uint64], chunks: NDArray[np.uint64], tfs: NDArray[np.uint8]) -> int:
    return int(_mixed(keys ^ _mixed(chunks * np.uint64(256) + tfs.astype(np.uint64))).sum(dtype=np.uint64))


def _sum_lengths(chunks: NDArray[np.uint64], lengths: NDArray[np.uint16]) -> int:
    return int(_mixed(chunks * np.uint64(1 << 16) + lengths.astype(np.uint64)).sum(dtype=np.uint64))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (https://prng.di.unimi.it/splitmix64.c): every bit depends on every other."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
