"""Search by meaning where something is measured: which model has a say, and vectors for what the questions find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.errors import ModelFileError, NotFoundError
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.evaluation.vectors import Prepared
    from ragchat.retrieval.search import Ranking, Searcher
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.types.embedding import Embedder


def meant(context: Context, stores: Sequence[KnowledgeStore], ranking: Ranking) -> Embedder | None:
    """The embedding model that has a say in searches like this; None: words alone. Raises NotFoundError, StorageError."""
    from ragchat.evaluation.vectors import usable

    try:
        embedder = build.embedder(context) if stores else None
    except (NotFoundError, ModelFileError) as error:
        raise NotFoundError(f"The embedding model cannot be used: {error}", error.remedy) from error
    return embedder if usable(stores, embedder, ranking) else None


def prepared(
    context: Context,
    stores: Sequence[KnowledgeStore],
    questions: Sequence[str],
    ranking: Ranking,
    cancel: CancelToken,
    say: Callable[[Prepared], None] = lambda _: None,
) -> Searcher:
    """A searcher as the chat has it, with vectors of what these questions find.

    Raises ModelError, NotFoundError, StorageError.
    """
    from ragchat.evaluation.vectors import Remembering, prepare
    from ragchat.retrieval.search import Searcher

    embedder = meant(context, stores, ranking)
    if embedder is None:
        return Searcher(stores)
    for step in prepare(stores, embedder, questions, ranking=ranking, cancel=cancel):
        say(step)
    return Searcher(stores, Remembering(embedder))
