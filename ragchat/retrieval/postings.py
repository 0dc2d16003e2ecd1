"""The bytes of a posting list: which chunks of a segment hold a term, and how often.

    byte 0            width of a gap in bytes (1, 2 or 4), plus 8 when every term frequency is 1
    gaps              first chunk number, then differences, little endian
    term frequencies  uint8 each, at most 255; left out when every one is 1

Chunk numbers count from the segment's first chunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ragchat.retrieval.analyzer import length
from ragchat.store.knowledge import SegmentDraft

_DTYPES: dict[int, np.dtype[np.unsignedinteger]] = {
    1: np.dtype("u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
}
_ALL_ONE = 8
LARGEST_TF = 255
LARGEST_LENGTH = 65535


def encode(chunks: NDArray[np.integer], tfs: NDArray[np.integer]) -> bytes:
    """Ascending chunk numbers, shape (df,), and term frequencies of the same shape."""
    gaps = np.diff(chunks.astype(np.int64), prepend=0)
    widest = int(gaps.max())
    width = 1 if widest < 256 else 2 if widest < 65536 else 4
    body: bytes = gaps.astype(_DTYPES[width]).tobytes()
    if int(tfs.max()) == 1:
        return bytes((width | _ALL_ONE,)) + body
    frequencies: bytes = np.minimum(tfs, LARGEST_TF).astype(np.uint8).tobytes()
    return bytes((width,)) + body + frequencies


def decode(entries: bytes, df: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Chunk numbers and term frequencies, both of shape (df,)."""
    width = entries[0] & ~_ALL_ONE
    chunks = np.cumsum(np.frombuffer(entries, _DTYPES[width], df, offset=1), dtype=np.int64)
    if entries[0] & _ALL_ONE:
        return chunks, np.ones(df, np.uint8)
    return chunks, np.frombuffer(entries, np.uint8, df, offset=1 + df * width)


def build_segment(chunk_terms: Sequence[Sequence[str]]) -> SegmentDraft:
    """The postings of consecutive chunks from their terms."""
    lists: dict[str, tuple[list[int], list[int]]] = {}
    for number, terms in enumerate(chunk_terms):
        for term, tf in Counter(terms).items():
            chunks, tfs = lists.setdefault(term, ([], []))
            chunks.append(number)
            tfs.append(tf)
    lengths = np.fromiter(
        (min(length(terms), LARGEST_LENGTH) for terms in chunk_terms), np.uint16, len(chunk_terms)
    )
    return SegmentDraft(
        lengths=lengths.astype("<u2").tobytes(),
        total_length=int(lengths.sum(dtype=np.int64)),
        postings={
            term: (len(chunks), _encode_short(chunks, tfs) or encode(np.array(chunks), np.array(tfs)))
            for term, (chunks, tfs) in lists.items()
        },
    )


def _encode_short(chunks: list[int], tfs: list[int]) -> bytes | None:
    """`encode` without numpy for the short lists that most terms of one document have."""
    if chunks[-1] > 255:
        return None
    gaps = bytes([chunks[0], *(b - a for a, b in pairwise(chunks))])
    if max(tfs) == 1:
        return bytes((1 | _ALL_ONE,)) + gaps
    return b"\x01" + gaps + bytes(min(tf, LARGEST_TF) for tf in tfs)
