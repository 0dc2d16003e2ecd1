"""Search by meaning where `ragchat eval` measures: which model has a say, and vectors for what the questions find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ragchat.cli import build
from ragchat.cli.context import Context, interactive, note
from ragchat.errors import ModelFileError, NotFoundError
from ragchat.text import human_seconds
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.evaluation.vectors import Prepared
    from ragchat.retrieval.search import Ranking, Searcher
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.types.embedding import Embedder

_EVERY = 50
_WIDTH = 78


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


def line(step: Prepared) -> str:
    """How far it is, for the user."""
    left = f", {human_seconds(step.eta_s)} left" if step.eta_s is not None else ""
    return f"Embedding what they find: {step.done} of {step.total} questions{left}"


@contextmanager
def shown() -> Iterator[Callable[[Prepared], None]]:
    """Says on standard error how far it is: a line that changes, or one for every so many questions."""
    live, began = interactive(), False

    def say(step: Prepared) -> None:
        nonlocal began
        if live:
            began = True
            click.echo(f"\r{line(step)}".ljust(_WIDTH), nl=False, err=True)
        elif step.done % _EVERY == 0:
            note(line(step))

    try:
        yield say
    finally:
        if began:
            click.echo(err=True)
