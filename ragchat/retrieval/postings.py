"""The bytes of posting lists: which slots of a segment hold a term, and how often.

A slot is the place of a chunk in its segment, counted from 0. Slots fall into ranges of 256, and these into cells of 32, for
which long lists hold upper bounds. Three forms:

    short list   byte 0: width of a gap in bytes (1, 2 or 3; 0: patched), plus 8 when every term frequency is 1
                 gaps: the first slot, then differences, little endian; patched: low bytes, then a bit for each with a high byte
                 frequencies: two bits each, 0 to 2 for one to three, 3 for more; left out when every one is 1
                 the high bytes of patched gaps, then uint8 for each frequency above three
    spread list  byte 0 as above plus 64, uint32: number of its first block in the segment, uint16: how many blocks; these hold
                 the rest of what would be a short list, cut into pieces, since a page has room for small rows only
    long list    byte 0: 128, plus 16 when counts are uint16
                 uint32: number of its first block in the segment, float32: highest saturation in the list
                 for each range: postings in it (uint8 or uint16)
                 for each cell: an upper bound of their saturation (four bits, 15 represents the highest, 0: no postings)
      its blocks each hold the ranges that begin in a stretch of `BLOCK` postings: the low byte of each slot; two bits for each
                 frequency as above; for those above three the place in the block (uint16 each), then the frequencies (uint8 each)

So a reader of a long list knows from its first row which cells can matter, and decodes the postings of their ranges alone.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ragchat.retrieval import bm25

RANGE_BITS = 8
RANGE = 1 << RANGE_BITS
CELL_BITS = 5
CELL = 1 << CELL_BITS
_CELLS = RANGE // CELL
_BLOCK_BITS = 12
BLOCK = 1 << _BLOCK_BITS
"""Postings; three blocks of them fit on a page."""
PIECE = 2000
"""Bytes. Several pieces or blocks fit on a page of the database, so little of it is wasted."""
_LONGEST_INLINE = 1200
LONG = 2048
"""Shorter lists are always short lists."""
PER_CELL = 0.5
"""A long list has at least so many postings per cell on average: below, its bounds would cost more than they save."""
LARGEST_TF = 255
LARGEST_LENGTH = 65535
LARGEST_SEGMENT = 1 << 24
"""Slots: what three bytes can tell apart."""

_ONES, _WIDE, SPREAD, LONG_FLAG = 8, 16, 64, 128
_HEADER = struct.Struct("<BIf")
_SPREAD_HEADER = struct.Struct("<BIH")
_FIRST_BLOCK = struct.Struct("<I")
"""Behind the first byte of either."""

Slots = NDArray[np.int32]
Frequencies = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Postings:
    """Posting lists, one behind the other: `counts[i]` postings of `terms[i]`. Terms ascend, and slots within a term.

    Shapes: counts (terms,), slots and tfs (sum of counts,).
    """

    terms: list[str]
    counts: NDArray[np.int64]
    slots: Slots
    tfs: Frequencies


@dataclass(frozen=True, slots=True)
class Bound:
    """The formula for which upper bounds of saturation were computed."""

    k1: float
    b: float
    avgdl: float

    def __str__(self) -> str:
        return f"{self.k1!r} {self.b!r} {self.avgdl!r}"

    @classmethod
    def parse(cls, text: str) -> Bound:
        """The bound that `str` wrote."""
        return cls(*map(float, text.split()))

    def stretch(self, k1: float, b: float, avgdl: float) -> float | None:
        """By what the bounds must be multiplied to hold for another avgdl; None when they say nothing of this formula.

        Saturation is tf / (tf + k1 (1 - b + b dl / avgdl)): with a greater avgdl it grows, at most in proportion.
        """
        if (k1, b) != (self.k1, self.b) or self.avgdl <= 0:
            return None
        return max(1.0, avgdl / self.avgdl)


def encode(
    postings: Postings, lengths: NDArray[np.uint16], bound: Bound, first_block: int = 0
) -> tuple[list[tuple[str, int, bytes]], list[bytes]]:
    """((term, df, entries) by term, blocks of the long lists). `lengths` of the whole segment, shape (size,)."""
    if not postings.terms:
        return [], []
    long = postings.counts >= max(LONG, PER_CELL * _CELLS * ranges_in(lengths.size))
    starts = np.cumsum(postings.counts) - postings.counts
    entries = _encode_short(postings, starts)
    blocks: list[bytes] = []
    for i in np.flatnonzero(long | (postings.counts >= _LONGEST_INLINE // 4)).tolist():
        if not long[i]:
            entries[i], own = _spread_out(entries[i], first_block + len(blocks))
            blocks += own
            continue
        here = slice(int(starts[i]), int(starts[i] + postings.counts[i]))
        head, own = _encode_long(
            postings.slots[here], postings.tfs[here], lengths, bound, first_block + len(blocks)
        )
        entries[i] = head
        blocks += own
    return list(zip(postings.terms, postings.counts.tolist(), entries, strict=True)), blocks


def renumbered(lists: Sequence[tuple[str, int, bytes]], first_block: int) -> list[tuple[str, int, bytes]]:
    """Lists that were encoded with blocks from 0, as they are with blocks from `first_block`."""
    if not first_block:
        return list(lists)
    return [
        row if row[2][0] < SPREAD else (row[0], row[1], _with_blocks_from(row[2], first_block))
        for row in lists
    ]


def _with_blocks_from(entries: bytes, first_block: int) -> bytes:
    (number,) = _FIRST_BLOCK.unpack_from(entries, 1)
    return entries[:1] + _FIRST_BLOCK.pack(number + first_block) + entries[1 + _FIRST_BLOCK.size :]


def ranges_in(size: int) -> int:
    """Ranges of a segment with so many slots."""
    return (size + RANGE - 1) >> RANGE_BITS


def is_long(entries: bytes) -> bool:
    """Whether the entries of a term lie in blocks of their own."""
    return entries[0] >= LONG_FLAG


def _spread_out(entries: bytes, first_block: int) -> tuple[bytes, list[bytes]]:
    """A short list as a spread list and its blocks; as it is when it is short enough."""
    if len(entries) <= _LONGEST_INLINE:
        return entries, []
    pieces = [entries[i : i + PIECE] for i in range(1, len(entries), PIECE)]
    return _SPREAD_HEADER.pack(entries[0] | SPREAD, first_block, len(pieces)), pieces


def spread_blocks(entries: bytes) -> range | None:
    """The blocks of a spread list; None when it is none."""
    if entries[0] >= LONG_FLAG or not entries[0] & SPREAD:
        return None
    _, first, count = _SPREAD_HEADER.unpack(entries)
    return range(first, first + count)


def gathered(entries: bytes, contents: Sequence[bytes]) -> bytes:
    """A spread list as a short list, given what is in its blocks."""
    return b"".join((_FLAG[entries[0] & ~SPREAD], *contents))


def _encode_short(postings: Postings, starts: NDArray[np.int64]) -> list[bytes]:
    """All lists as short lists. They are put together in one buffer, from which each is cut: numpy's price is per call."""
    counts = postings.counts
    gaps = np.diff(postings.slots, prepend=np.int32(0))
    gaps[starts] = postings.slots[starts]
    widest = np.maximum.reduceat(gaps, starts)
    widths = 1 + (widest >= 1 << 8) + (widest >= 1 << 16).astype(np.int64)
    high = gaps > 255
    highs = np.add.reduceat(high, starts, dtype=np.int64)
    widths[(widths == 2) & (counts + (counts + 7) // 8 + highs < 2 * counts)] = 0
    patched = widths == 0
    coded = np.maximum.reduceat(postings.tfs, starts) > 1
    more = np.add.reduceat(postings.tfs > 3, starts, dtype=np.int64)
    # 1. Where each part of each list stands.
    gap_bytes = counts * np.maximum(widths, 1)
    mask_bytes = np.where(patched, (counts + 7) // 8, 0)
    code_bytes = np.where(coded, (counts + 3) // 4, 0)
    high_bytes = np.where(patched, highs, 0)
    sizes = 1 + gap_bytes + mask_bytes + code_bytes + high_bytes + more
    ends = np.cumsum(sizes)
    begins = ends - sizes
    masks_at = begins + 1 + gap_bytes
    codes_at = masks_at + mask_bytes
    highs_at = codes_at + code_bytes
    # 2. The parts.
    buffer = np.empty(int(ends[-1]), np.uint8)
    buffer[begins] = widths + np.where(coded, 0, _ONES)
    raw = gaps.astype("<u4").view(np.uint8).reshape(-1, 4)
    of_posting = np.repeat(widths, counts)
    for width in range(4):
        of = widths == width
        if of.any():
            own = raw[of_posting == width, : max(1, width)]
            buffer[spread(begins[of] + 1, gap_bytes[of])] = own.ravel()
    is_patched = of_posting == 0
    buffer[spread(masks_at[patched], mask_bytes[patched])] = _packed_bits(high[is_patched], counts[patched])
    buffer[spread(highs_at[patched], high_bytes[patched])] = raw[is_patched & high, 1]
    of_coded = postings.tfs[np.repeat(coded, counts)]
    buffer[spread(codes_at[coded], code_bytes[coded])] = _packed_codes(of_coded, counts[coded])
    buffer[spread(highs_at + high_bytes, more)] = postings.tfs[postings.tfs > 3]
    # 3. The lists.
    whole = buffer.tobytes()
    return [whole[i:j] for i, j in zip(begins.tolist(), ends.tolist(), strict=True)]


def _packed_bits(bits: NDArray[np.bool_], counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Bits of lists one behind the other, each list padded to whole bytes."""
    sizes = (counts + 7) // 8
    padded = np.zeros(8 * int(sizes.sum()), bool)
    padded[spread(8 * (np.cumsum(sizes) - sizes), counts)] = bits
    return np.packbits(padded, bitorder="little")


def _packed_codes(tfs: Frequencies, counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Two bits for each frequency of lists one behind the other, each list padded to whole bytes."""
    sizes = (counts + 3) // 4
    padded = np.zeros(4 * int(sizes.sum()), np.uint8)
    padded[spread(4 * (np.cumsum(sizes) - sizes), counts)] = np.minimum(tfs, 4) - 1
    four = padded.reshape(-1, 4)
    return (four[:, 0] | four[:, 1] << 2 | four[:, 2] << 4 | four[:, 3] << 6).astype(np.uint8)


_SHIFTS = np.array([0, 2, 4, 6], np.uint8)


def _code_bytes(count: int) -> int:
    return (count + 3) // 4


def _unpacked(codes: NDArray[np.uint8], count: int, more: NDArray[np.uint8]) -> Frequencies:
    tfs: Frequencies = (((codes[:, None] >> _SHIFTS) & 3).ravel()[:count] + 1).astype(np.uint8)
    if more.size:
        tfs[tfs == 4] = more
    return tfs


_FLAG = [bytes((flag,)) for flag in range(256)]


def _encode_long(
    slots: Slots, tfs: Frequencies, lengths: NDArray[np.uint16], bound: Bound, first_block: int
) -> tuple[bytes, list[bytes]]:
    n_ranges = ranges_in(lengths.size)
    counts = np.bincount(slots >> RANGE_BITS, minlength=n_ranges)
    wide = bool(counts.max() > 255)
    saturation = bm25.saturation(tfs, bm25.length_norm(lengths[slots], bound.avgdl, k1=bound.k1, b=bound.b))
    cells = slots >> CELL_BITS
    first = np.flatnonzero(np.diff(cells, prepend=-1))
    # Rounded up, with room for what float32 rounds down.
    peak = np.float32(saturation.max() * (1 + 1e-6))
    levels = np.zeros(n_ranges * _CELLS, np.uint8)
    highest = np.maximum.reduceat(saturation, first)
    levels[cells[first]] = np.minimum(np.ceil(highest.astype(np.float64) / float(peak) * 15), 15)
    head = (
        _HEADER.pack(LONG_FLAG | (_WIDE if wide else 0), first_block, peak)
        + counts.astype("<u2" if wide else "u1").tobytes()
        + (levels[::2] | levels[1::2] << 4).tobytes()
    )
    begins = np.append(np.cumsum(counts) - counts, slots.size)
    cuts = [*begins[np.searchsorted(begins, np.arange(0, slots.size, BLOCK))].tolist(), slots.size]
    low = (slots & (RANGE - 1)).astype(np.uint8)
    # Only in the last stretch it can be that no range begins.
    return head, [_encode_block(low[a:b], tfs[a:b]) for a, b in pairwise(cuts) if b > a]


def _encode_block(low: NDArray[np.uint8], tfs: Frequencies) -> bytes:
    codes = _packed_codes(tfs, np.array([tfs.size]))
    places = np.flatnonzero(tfs > 3)
    return low.tobytes() + codes.tobytes() + places.astype("<u2").tobytes() + tfs[places].tobytes()


def decode_short(entries: bytes, df: int) -> tuple[Slots, Frequencies]:
    """Slots and term frequencies of one short list, both of shape (df,)."""
    width, raw = entries[0] & 3, np.frombuffer(entries, np.uint8)
    at = 1 + df * max(1, width)
    gaps = _widened(raw[1:at], max(1, width))
    high = None
    if not width:
        high = np.unpackbits(raw[at : at + (df + 7) // 8], count=df, bitorder="little").astype(bool)
        at += (df + 7) // 8
    codes = raw[at:at] if entries[0] & _ONES else raw[at : at + _code_bytes(df)]
    at += codes.size
    if high is not None:
        gaps = gaps.astype(np.int32)
        n_high = int(np.count_nonzero(high))
        gaps[high] += raw[at : at + n_high].astype(np.int32) << 8
        at += n_high
    slots = np.cumsum(gaps, dtype=np.int32)
    return slots, np.ones(df, np.uint8) if not codes.size else _unpacked(codes, df, raw[at:])


def decode_many(entries: Sequence[bytes], dfs: NDArray[np.int64]) -> tuple[Slots, Frequencies]:
    """Slots and term frequencies of many short lists, one behind the other: shape (sum of dfs,)."""
    total = int(dfs.sum())
    flags = np.fromiter((entry[0] for entry in entries), np.uint8, len(entries))
    starts = np.cumsum(dfs) - dfs
    gaps, tfs = np.zeros(total, np.int32), np.ones(total, np.uint8)
    for flag in np.unique(flags).tolist():
        of = np.flatnonzero(flags == flag)
        _decode_alike(
            flag, [entries[i] for i in of.tolist()], dfs[of], spread(starts[of], dfs[of]), gaps, tfs
        )
    running = np.cumsum(gaps, dtype=np.int64)
    before = np.where(starts > 0, running[starts - 1], 0)
    return (running - np.repeat(before, dfs)).astype(np.int32), tfs


def _decode_alike(
    flag: int,
    entries: Sequence[bytes],
    dfs: NDArray[np.int64],
    target: NDArray[np.int64],
    gaps: NDArray[np.int32],
    tfs: Frequencies,
) -> None:
    """Lists of one flag: put their gaps and frequencies into gaps[target] and tfs[target]."""
    width = flag & 3
    ones = bool(flag & _ONES)
    gap_bytes = dfs * max(1, width)
    mask_bytes = (dfs + 7) // 8 if not width else np.zeros_like(dfs)
    code_bytes = np.zeros_like(dfs) if ones else (dfs + 3) // 4
    sizes = np.fromiter(map(len, entries), np.int64, len(entries))
    begins = np.cumsum(sizes) - sizes
    raw = np.frombuffer(b"".join(entries), np.uint8)
    at = begins + 1
    low = _widened(raw[spread(at, gap_bytes)], max(1, width))
    at = at + gap_bytes
    n_high = np.zeros_like(dfs)
    high = None
    if not width:
        bits = np.unpackbits(raw[spread(at, mask_bytes)], bitorder="little")
        before = np.cumsum(mask_bytes) - mask_bytes
        high = bits[spread(8 * before, dfs)].astype(bool)
        n_high = np.diff(np.append(0, np.cumsum(high))[np.append(0, np.cumsum(dfs))])
        at = at + mask_bytes
    tail = at + code_bytes
    if high is None:
        gaps[target] = low
    else:
        wide = low.astype(np.int32)
        wide[high] += raw[spread(tail, n_high)].astype(np.int32) << 8
        gaps[target] = wide
    if not ones:
        codes = raw[spread(at, code_bytes)]
        before = np.cumsum(code_bytes) - code_bytes
        own = ((codes[:, None] >> _SHIFTS) & 3).ravel()[spread(4 * before, dfs)] + np.uint8(1)
        more = begins + sizes - (tail + n_high)
        own[own == 4] = raw[spread(tail + n_high, more)]
        tfs[target] = own


def spread(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """starts[i], starts[i] + 1, … counts[i] times, for each i in turn."""
    total = int(counts.sum())
    before = np.cumsum(counts) - counts
    places: NDArray[np.int64] = np.arange(total) + np.repeat(starts - before, counts)
    return places


def _widened(raw: NDArray[np.uint8], width: int) -> NDArray[np.integer]:
    if width == 1:
        return raw
    if width == 2:
        return raw.view("<u2")
    triples = raw.reshape(-1, 3)
    full = np.zeros((triples.shape[0], 4), np.uint8)
    full[:, :3] = triples
    return full.view("<u4").ravel().astype(np.int32)


_NO_BLOCKS = np.empty(0, np.int64)
_STRIDE = (BLOCK + RANGE) // 4 + 1
"""Bytes that the codes of one block take at most: its last range may reach beyond `BLOCK`."""


class LongList:
    """A long list of a segment of `size` slots: what its first row tells, and its postings as far as they were fetched.

    `levels` are bounds for each cell, 0 to 15: saturation there is at most levels * peak / 15. Frequencies stay packed until
    they are asked for.
    """

    __slots__ = (
        "_begins",
        "_codes",
        "_fetched",
        "_firsts",
        "_low",
        "_more",
        "counts",
        "df",
        "first_block",
        "levels",
        "peak",
    )

    def __init__(self, entries: bytes, df: int, size: int) -> None:
        flags, self.first_block, self.peak = _HEADER.unpack_from(entries)
        n_ranges = ranges_in(size)
        width = 2 if flags & _WIDE else 1
        at = _HEADER.size
        self.counts = np.frombuffer(entries, "<u2" if width == 2 else "u1", n_ranges, offset=at).astype(
            np.int64
        )
        pairs = np.frombuffer(entries, np.uint8, n_ranges * _CELLS // 2, offset=at + n_ranges * width)
        self.levels = np.empty(n_ranges * _CELLS, np.uint8)
        np.bitwise_and(pairs, 15, out=self.levels[::2])
        np.right_shift(pairs, 4, out=self.levels[1::2])
        self.df = df
        self._begins = np.zeros(n_ranges + 1, np.int64)
        np.cumsum(self.counts, out=self._begins[1:])
        blocks = np.arange(df // BLOCK + 2)
        at_block = np.minimum(np.searchsorted(self._begins, blocks * BLOCK), n_ranges)
        self._firsts = self._begins[at_block]
        self._fetched = np.zeros(blocks.size, bool)
        self._low = np.empty(df, np.uint8)
        self._codes = np.empty((blocks.size, _STRIDE), np.uint8)
        self._more = (np.empty(0, np.int64), np.empty(0, np.uint8))

    def missing(self, ranges: NDArray[np.integer]) -> NDArray[np.int64]:
        """The blocks that must be filled in before the postings of these ranges can be read; numbers in the segment."""
        own = self._begins[ranges[self.counts[ranges] > 0]] // BLOCK
        if self._fetched[own].all():
            return _NO_BLOCKS
        needed = np.zeros(self._fetched.size, bool)
        needed[own] = True
        blocks: NDArray[np.int64] = np.flatnonzero(needed & ~self._fetched) + self.first_block
        return blocks

    def fill(self, blocks: NDArray[np.int64], contents: Sequence[bytes]) -> None:
        """Take in what is in some blocks."""
        numbers = blocks - self.first_block
        firsts, lasts = self._firsts[numbers], self._firsts[numbers + 1]
        places, values, counts = [], [], []
        # A query reads hundreds of blocks: as little as can be is done for each.
        for number, first, last, content in zip(
            numbers.tolist(), firsts.tolist(), lasts.tolist(), contents, strict=True
        ):
            count = last - first
            tail = count + _code_bytes(count)
            more = (len(content) - tail) // 3
            self._low[first:last] = np.frombuffer(content, np.uint8, count)
            self._codes[number, : tail - count] = np.frombuffer(content, np.uint8, tail - count, count)
            places.append(content[tail : tail + 2 * more])
            values.append(content[tail + 2 * more :])
            counts.append(more)
        self._fetched[numbers] = True
        new = np.frombuffer(b"".join(places), "<u2") + np.repeat(firsts, counts)
        where = np.concatenate([self._more[0], new])
        order = np.argsort(where, kind="stable")
        self._more = (
            where[order],
            np.concatenate([self._more[1], np.frombuffer(b"".join(values), np.uint8)])[order],
        )

    def read(self, ranges: NDArray[np.integer]) -> tuple[Slots, NDArray[np.int64]]:
        """Slots in some ascending ranges, whose blocks are filled in, and the places of their postings, for `frequencies`."""
        counts = self.counts[ranges]
        places = spread(self._begins[ranges], counts)
        return np.repeat((ranges << RANGE_BITS).astype(np.int32), counts) + self._low[places], places

    def read_cells(
        self, ranges: NDArray[np.integer]
    ) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int64]]:
        """As `read`, with the cell of each posting and the low byte of its slot, which holds its place in the cell."""
        counts = self.counts[ranges]
        places = spread(self._begins[ranges], counts)
        low = self._low[places]
        cells = np.repeat((ranges << (RANGE_BITS - CELL_BITS)).astype(np.int32), counts) + (low >> CELL_BITS)
        return cells, low, places

    def frequencies(self, places: NDArray[np.int64]) -> Frequencies:
        """Term frequencies of some postings, by their places in the list."""
        # A range that begins in one stretch of `BLOCK` postings may end in the next, not in a later one.
        block = places >> _BLOCK_BITS
        block -= places < self._firsts[block]
        inside = places - self._firsts[block]
        shift = ((inside & 3) << 1).astype(np.uint8)
        tfs: Frequencies = ((self._codes[block, inside >> 2] >> shift) & 3) + np.uint8(1)
        large = np.flatnonzero(tfs == 4)
        if large.size:
            tfs[large] = self._more[1][np.searchsorted(self._more[0], places[large])]
        return tfs
