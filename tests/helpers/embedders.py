"""An embedding model for tests: each word has a direction of its own, so texts with common words have similar vectors."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ragchat.types.embedding import EmbeddingModel

Vectors = NDArray[np.float32]


class WordEmbedder:
    """Deterministic and fast. `seconds_each` is how long a text takes; `read` holds every passage that was embedded."""

    def __init__(self, name: str = "words", dimensions: int = 64, seconds_each: float = 0.0) -> None:
        self.model = EmbeddingModel(name, f"fingerprint of {name}", dimensions, 256)
        self.seconds_each = seconds_each
        self.read: list[str] = []
        self.closed = False

    def embed_query(self, text: str) -> Vectors:
        return self._vector(text)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.read += texts
        time.sleep(self.seconds_each * len(texts))
        return np.stack([self._vector(text) for text in texts])

    def close(self) -> None:
        self.closed = True

    def _vector(self, text: str) -> Vectors:
        total = np.zeros(self.model.dimensions, np.float32)
        for word in text.lower().split():
            seed = zlib.crc32(word.strip(".,?").encode())
            total += np.random.default_rng(seed).standard_normal(self.model.dimensions, np.float32)
        length = max(1e-9, float(np.linalg.norm(total)))
        unit: Vectors = total / np.float32(length)
        return unit
