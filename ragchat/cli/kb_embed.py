"""`ragchat kb embed`: giving passages vectors, so that they are also found by their meaning."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli.context import data, interactive, note, pass_context
from ragchat.errors import CancelledError, NotFoundError, RagchatError, UsageError
from ragchat.store.knowledge import KnowledgeStore, knowledge_base_names
from ragchat.text import clean_line, counted, human_seconds

if TYPE_CHECKING:
    from ragchat.ingest.embedding import EmbeddingFinished, EmbeddingProgress
    from ragchat.types import CancelToken
    from ragchat.types.embedding import Embedder, EmbeddingModel


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--forget", is_flag=True, help="Delete the vectors instead.")
@click.option("--json", "as_json", is_flag=True, help="A JSON line for each step on standard output.")
@pass_context
def embed(context: Context, names: tuple[str, ...], forget: bool, as_json: bool) -> None:
    """Embed the remaining chunks of knowledge bases, so that the search finds them by meaning. Without NAME, embed all.

    Ctrl-C stops it and keeps the vectors; run the same command to continue. The open chat embeds chunks too.

    \b
    --json: {"kb", "event": "progress", "done", "total", "chunks_per_s", "eta_s": number or null, "waiting": why, or ""} and
    {"kb", "event": "finished", "done", "total", "made", "seconds", "cancelled"}
    """
    chosen = names or tuple(knowledge_base_names(context.paths.kb_dir))
    if not chosen:
        raise NotFoundError(
            "There are no knowledge bases yet.", "Create one with `ragchat kb add NAME FOLDER`."
        )
    if forget:
        for name in chosen:
            _forget(context, name)
        return
    with closing(open_background_embedder(context)) as embedder, cancel_on_interrupt() as cancel:
        for name in chosen:
            with KnowledgeStore.open(context.paths.kb_dir, name) as store:
                if store.options().meaning:
                    _embed_one(store, embedder, cancel, as_json)
                elif names:
                    raise UsageError(
                        f"Search by meaning is off for {name}.",
                        f"Turn it on with `ragchat kb settings {name} --meaning`.",
                    )


def open_background_embedder(context: Context) -> Embedder:
    """The model that the settings name, at a low priority, with all cores. Raises NotFoundError where there is none."""
    from ragchat.llm.embedding import NO_MODEL_REMEDY, NO_MODEL_SENTENCE, open_embedder

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    model = context.settings.embedding.model
    embedder = open_embedder(context.paths, model, threads=cores, background=True)
    if embedder is None and model:
        raise NotFoundError(
            "Search by meaning is off in the settings.",
            "Turn it on with `ragchat config unset embedding.model`.",
        )
    if embedder is None:
        raise NotFoundError(NO_MODEL_SENTENCE, NO_MODEL_REMEDY)
    return embedder


def embedding_model(context: Context) -> EmbeddingModel | None:
    """The model that vectors are made with; None where there is none or it cannot be used."""
    from ragchat.llm.embedding import open_embedder

    try:
        embedder = open_embedder(context.paths, context.settings.embedding.model)
    except RagchatError:
        return None
    if embedder is None:
        return None
    with closing(embedder):
        return embedder.model


def _forget(context: Context, name: str) -> None:
    with KnowledgeStore.open(context.paths.kb_dir, name) as store:
        count = store.vectors.embedded().embedded
        store.vectors.forget()
        store.checkpoint()
    note(f"{name}: {counted(count, 'vector')} deleted.")


def _embed_one(store: KnowledgeStore, embedder: Embedder, cancel: CancelToken, as_json: bool) -> None:
    from ragchat.ingest.embedding import EmbeddingFinished, EmbeddingProgress
    from ragchat.ingest.embedding import embed as embed_chunks

    finished = None
    with _bar(store.name, shown=not as_json) as update:
        for event in embed_chunks(store, embedder, cancel=cancel):
            if as_json:
                _print(store.name, event)
            match event:
                case EmbeddingProgress():
                    update(event)
                case EmbeddingFinished():
                    finished = event
    assert finished
    store.checkpoint()
    if finished.cancelled:
        raise CancelledError(
            f"Stopped. {finished.done:,} of {finished.total:,} chunks are embedded.",
            f"Continue with `ragchat kb embed {store.name}`.",
        )
    rate = f", {finished.made / finished.seconds:.0f} chunks/s" if finished.made and finished.seconds else ""
    note(
        f"{store.name}: {finished.done:,} of {finished.total:,} chunks are embedded by {clean_line(embedder.model.name)}"
        f" ({finished.made:,} now, {human_seconds(finished.seconds)}{rate})"
    )


def _print(name: str, event: EmbeddingProgress | EmbeddingFinished) -> None:
    values = {
        key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(event).items()
    }
    data({"kb": name, "event": "finished" if "made" in values else "progress", **values})


@contextmanager
def _bar(name: str, *, shown: bool) -> Iterator[Callable[[EmbeddingProgress], None]]:
    """A progress bar on standard error when that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rest]}", markup=False),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not (shown and interactive())
    ) as progress:
        task = progress.add_task(f"{name}: embedding", total=None, rest="")

        def update(event: EmbeddingProgress) -> None:
            left = f"{human_seconds(event.eta_s)} left" if event.eta_s is not None else ""
            speed = f"{event.chunks_per_s:.0f} chunks/s" if event.chunks_per_s else ""
            rest = event.waiting or " · ".join(part for part in (speed, left) if part)
            progress.update(task, completed=event.done, total=event.total or None, rest=rest)

        yield update
