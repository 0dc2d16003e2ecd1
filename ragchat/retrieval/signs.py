"""The signs of vectors, one bit a dimension: a first look over very many of them, so that few need an exact cosine.

Each dimension counts by how much of the question is in it, in four steps, which finds as much as the question's own numbers
would and costs two counts of bits. Nothing of it is stored: signs are made from the vectors in memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
Quantised = NDArray[np.int8]
Words = NDArray[np.uint64]
Distances = NDArray[np.uint16]

_WORD = 64
_BLOCK = 1 << 15
"""Words at a time, which stay in the cache of a core. Threads gained nothing: each step is too short."""
_GROWTH = 1.05
_LARGE = 0.98
"""Share of the dimensions of a question that weigh less than the heaviest step."""
_STEPS = 3


def signs(vectors: Quantised) -> Words:
    """The signs of int8 vectors, shape (n, dimensions), as bits: shape (dimensions / 64 rounded up, n), one column a vector."""
    packed = np.packbits(vectors > 0, axis=1)
    missing = width(vectors.shape[1]) * 8 - packed.shape[1]
    words: Words = np.ascontiguousarray(np.pad(packed, ((0, 0), (0, missing))).view(np.uint64).T)
    return words


def width(dimensions: int) -> int:
    """How many words of 64 bits hold the signs of a vector."""
    return -(-dimensions // _WORD)


class Signs:
    """The signs of vectors that become more from time to time."""

    def __init__(self, dimensions: int) -> None:
        self._words = np.empty((width(dimensions), 0), np.uint64)
        self._size = 0

    @property
    def size_bytes(self) -> int:
        """Memory that the signs take."""
        return self._words.nbytes

    def of(self, vectors: Quantised) -> Words:
        """The signs of all `vectors`, which begin with those of the last call: only what is new is computed."""
        total = len(vectors)
        if total > self._words.shape[1]:
            larger = np.empty((len(self._words), int(total * _GROWTH)), np.uint64)
            larger[:, : self._size] = self._words[:, : self._size]
            self._words = larger
        for at in range(self._size, total, _BLOCK):
            to = min(total, at + _BLOCK)
            self._words[:, at:to] = signs(vectors[at:to])
        self._size = total
        return self._words[:, :total]


def likely(query: Floats, of: Words, n: int) -> Numbers:
    """Places of the `n` vectors whose signs fit a question best, and of those that fit as well as the last, in ascending order.

    `query` has shape (dimensions,), `of` are `signs` of the vectors.
    """
    found = distances(query, of)
    n = min(n, len(found))
    if n <= 0:
        return np.empty(0, np.int64)
    return np.flatnonzero(found <= np.partition(found, n - 1)[n - 1])


def distances(query: Floats, of: Words) -> Distances:
    """Of each vector, the weight of the dimensions in which its sign is another than the question's: shape (n,)."""
    asked, once, twice = _planes(query)
    found = np.zeros(of.shape[1], np.uint16)
    size = min(_BLOCK, of.shape[1])
    other, part = np.empty(size, np.uint64), np.empty(size, np.uint64)
    ones, twos = np.empty(size, np.uint8), np.empty(size, np.uint8)
    for at in range(0, of.shape[1], _BLOCK):
        own = found[at : at + _BLOCK]
        x, y, c, d = (buffer[: len(own)] for buffer in (other, part, ones, twos))
        for number in range(len(of)):
            np.bitwise_xor(of[number, at : at + _BLOCK], asked[number], out=x)
            np.bitwise_count(np.bitwise_and(x, twice[number], out=y), out=d)
            np.bitwise_count(np.bitwise_and(x, once[number], out=y), out=c)
            c += np.left_shift(d, 1, out=d)
            own += c
    return found


def _planes(query: Floats) -> tuple[Words, Words, Words]:
    """(signs of a question, dimensions that weigh 1 or 3, dimensions that weigh 2 or 3), each of shape (words,)."""
    sizes = np.abs(query)
    large = float(np.quantile(sizes, _LARGE)) or float(sizes.max(initial=0.0)) or 1.0
    weights = np.clip(np.rint(sizes / large * _STEPS), 0, _STEPS).astype(np.int8)
    asked, once, twice = signs(np.stack([np.sign(query).astype(np.int8), weights & 1, weights & 2])).T
    return asked, once, twice
