"""`ragchat setup`: what a first start needs: the default model and the index of the manual."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from ragchat.cli import build
from ragchat.cli.context import Context, cancel_on_interrupt, interactive, note, pass_context
from ragchat.errors import CancelledError
from ragchat.text import human_bytes, human_seconds
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.llm.download import Progress


@click.command()
@click.option("--no-model", is_flag=True, help="Only index the manual.")
@pass_context
def setup(context: Context, no_model: bool) -> None:
    """Fetch the default model, unless one is installed, and index ragchat's own manual."""
    context.paths.create()
    with cancel_on_interrupt() as cancel:
        if not no_model and not any(not model.problem for model in build.library(context).installed()):
            _fetch_default(context, cancel)
        chunks = build.index_manual(context, cancel)
        if cancel.cancelled:
            raise CancelledError("Stopped.", "`ragchat setup` goes on.")
    note(f"Ready: the manual has {chunks} passages. `ragchat` opens the chat.")


def _fetch_default(context: Context, cancel: CancelToken) -> None:
    note("Fetching the default model (SmolLM2-135M-Instruct, 94 MiB)…")
    started = time.monotonic()

    def show(progress: Progress) -> None:
        if interactive():
            click.echo(f"\r{human_bytes(progress.done)} ", nl=False, err=True)

    pulled = build.library(context).pull("", show, cancel)
    note(f"{pulled.path.name}: checksum verified, {human_seconds(time.monotonic() - started)}")
