"""The seam to a cross-encoder, which reads a question and a passage together and says how well they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ragchat.types.embedding import EmbeddingModel, Vectors


class Reranker(Protocol):
    """Slower than an `Embedder` by far: it reads every passage again for each question. Belongs to one thread at a time."""

    @property
    def model(self) -> EmbeddingModel:
        """What is known of the model."""

    def start(self) -> None:
        """Load the model, unless it is loaded. Raises ModelError."""
        ...

    def rank(self, query: str, texts: Sequence[str]) -> Vectors:
        """How well each text answers `query`, shape (texts,); larger is better, on the model's own scale. Raises ModelError."""
        ...

    def close(self) -> None:
        """End the process and free its memory."""
