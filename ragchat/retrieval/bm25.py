"""The BM25 formula as Lucene has it since version 8, one function per part.

Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009); the variants are compared in Kamphuis,
de Vries, Boytsov and Lin, Which BM25 Do You Mean? (ECIR 2020), where this one is "Lucene (accurate)".
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ragchat.types.defaults import BM25_B, BM25_K1

K1 = BM25_K1
B = BM25_B
"""Chunks are cut to about one length, so length says less than it does of whole documents (where 0.75 is usual)."""


def idf(df: int, n: int) -> float:
    """Inverse document frequency of a term that is in `df` of `n` chunks: ln(1 + (n - df + 0.5) / (df + 0.5)) > 0."""
    return math.log(1 + (n - df + 0.5) / (df + 0.5))


def length_norm(
    lengths: NDArray[np.integer], avgdl: float, *, k1: float = K1, b: float = B
) -> NDArray[np.float32]:
    """k1 (1 - b + b dl / avgdl) for each chunk, shape of `lengths` (terms per chunk)."""
    return (k1 * (1 - b + b * lengths / avgdl)).astype(np.float32)


def saturation(tf: NDArray[np.integer], norm: NDArray[np.float32]) -> NDArray[np.float32]:
    """tf / (tf + norm): between 0 and 1, both arguments of the same shape."""
    frequency = tf.astype(np.float32)
    return frequency / (frequency + norm)
