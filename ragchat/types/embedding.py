"""Vectors that stand for the meaning of a text, and the seam to whatever computes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """What is known of an embedding model. Vectors of two models compare only when their `fingerprint` is the same.

    `fingerprint` covers the file, the pooling and the prefixes. `n_ctx`: tokens of a text that are read; the rest is cut.
    `languages`: those that it was made for, ISO 639-1; empty: any. `related`: the cosine from which a passage is about what was
    asked, as measured for this model; 0: not measured.
    """

    name: str
    fingerprint: str
    dimensions: int
    n_ctx: int
    languages: tuple[str, ...] = ()
    related: float = 0.0

    def reads(self, language: str) -> bool:
        """Whether it was made for texts in this language."""
        return not self.languages or language in self.languages


class Embedder(Protocol):
    """Texts to vectors of unit length, so that the dot product is the cosine. Belongs to one thread at a time."""

    @property
    def model(self) -> EmbeddingModel:
        """What is known of the model."""

    def embed_query(self, text: str) -> Vectors:
        """The vector of a question, shape (dimensions,). Raises ModelError."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """The vectors of passages, shape (texts, dimensions). Raises ModelError."""
        ...

    def close(self) -> None:
        """End the process and free its memory."""
