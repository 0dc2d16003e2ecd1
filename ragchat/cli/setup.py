"""`ragchat setup`: what a first start needs: the default model and the index of the manual."""

from __future__ import annotations

import click

from ragchat.cli import build
from ragchat.cli.context import Context, cancel_on_interrupt, note, pass_context
from ragchat.errors import CancelledError


@click.command()
@click.option("--no-model", is_flag=True, help="Only index the manual.")
@pass_context
def setup(context: Context, no_model: bool) -> None:
    """Fetch the default model, unless one is installed, and index ragchat's own manual."""
    context.paths.create()
    with cancel_on_interrupt() as cancel:
        if not no_model and not any(not model.problem for model in build.library(context).installed()):
            from ragchat.cli.model import fetch

            fetch(context, "", cancel)
        chunks = build.index_manual(context, cancel)
        if cancel.cancelled:
            raise CancelledError("Stopped.", "`ragchat setup` goes on.")
    note(f"Ready: the manual has {chunks} passages. `ragchat` opens the chat.")
