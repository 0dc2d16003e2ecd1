"""Running a sync for a command: a progress bar on standard error, a sentence at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ragchat.app import build
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli.context import interactive, note
from ragchat.errors import CancelledError, IngestError
from ragchat.store.knowledge import KnowledgeStore
from ragchat.text import clean_line, counted, human_bytes, human_seconds

if TYPE_CHECKING:
    from ragchat.ingest.rows import RowsFinished
    from ragchat.ingest.sync import SyncFinished
    from ragchat.types import RowSource


def run_sync(
    context: Context,
    store: KnowledgeStore,
    paths: tuple[Path, ...] = (),
    *,
    prune: bool = False,
    again: bool = False,
) -> None:
    """Bring a knowledge base up to date, with `paths` added; `prune` and `again` as in `ingest.sync`. Raises RagchatError."""
    from ragchat.ingest.rows import RowsFinished
    from ragchat.ingest.sync import SyncFinished, SyncProgress, sync

    finished = None
    with cancel_on_interrupt() as cancel, _bar(store.name) as update:
        options = build.ingest_options(context)
        for event in sync(store, options, cancel=cancel, add=paths, prune=prune, again=again):
            match event:
                case SyncProgress():
                    update(event)
                case RowsFinished():
                    report_rows(store.name, event)
                case SyncFinished():
                    finished = event
    assert finished
    if finished.removed:
        build.drop_read(context, [f"documents {store.name}"])
    _report(finished)
    if finished.cancelled:
        raise CancelledError(
            "Stopped. Indexed documents are kept.", f"Continue with `ragchat kb sync {store.name}`."
        )


def add_table(
    context: Context,
    store: KnowledgeStore,
    kind: Literal["sqlite", "csv"],
    path: Path,
    *,
    query: str,
    key: str,
    label: str,
) -> None:
    """Make the rows of a table documents, and index them. Raises RagchatError; nothing is stored of a table that fails."""
    from ragchat.ingest.rows import RowsFinished, new_source, sync_rows
    from ragchat.ingest.sync import SyncProgress

    options = build.ingest_options(context)
    with cancel_on_interrupt() as cancel, _bar(store.name) as update:
        source = new_source(
            store, kind, path, query=query, key=key, label=label, options=options, cancel=cancel
        )
        _tell_key(source)
        with _kept_if_it_works(store, source):
            for event in sync_rows(store, source, options, cancel=cancel):
                match event:
                    case SyncProgress():
                        update(event)
                    case RowsFinished(failed=True):
                        raise IngestError(f"{clean_line(source.path)} was not read: {event.source.note}")
                    case RowsFinished():
                        report_rows(store.name, event)
                        if kind == "csv":
                            note(f"  Columns from its first line: {', '.join(event.columns)}")
        store.checkpoint()
        if cancel.cancelled:
            raise CancelledError(
                "Stopped. Indexed documents are kept.", f"Continue with `ragchat kb sync {store.name}`."
            )


@contextmanager
def _kept_if_it_works(store: KnowledgeStore, source: RowSource) -> Iterator[None]:
    """Store a table while its rows are read; a new one that fails before any row was indexed does not stay."""
    is_new = all(known.prefix != source.prefix for known in store.sources())
    store.put_source(source)
    try:
        yield
    except BaseException:
        if is_new and not store.documents_below(source.prefix):
            store.remove_source(source)
        raise


def _tell_key(source: RowSource) -> None:
    if source.key:
        note(f"Rows are identified by {source.key!r}.")


def report_rows(name: str, done: RowsFinished) -> None:
    """One line for a table, and what a user should know of it."""
    source = done.source
    what = clean_line(f"{source.label} of {source.path}" if source.label else source.path)
    if done.failed:
        note(f"{name}: {what} was not read: {clean_line(source.note)}")
        return
    note(
        f"{name}: {what}: {counted(done.found, 'row')} = indexed {done.indexed:,} + unchanged {done.unchanged:,}"
        f" + empty or forgotten {done.empty:,}; {done.removed:,} removed"
    )
    if source.note:
        note(f"  {clean_line(source.note)}")


@contextmanager
def _bar(name: str) -> Iterator[Callable[[Any], None]]:
    """A progress bar on standard error when that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not interactive()) as progress:
        task = progress.add_task(f"{name}: looking for files", total=None, rate="")

        def update(event: Any) -> None:
            doing = f"{name}: {'indexing' if event.total else 'looking for files'}"
            if event.pages:
                doing = f"{name}: {clean_line(event.what, limit=60)}"
            rate = f"{event.files_per_s:.0f} files/s" if event.files_per_s else ""
            progress.update(
                task, description=doing, completed=event.done, total=event.total or None, rate=rate
            )

        yield update


def _report(finished: SyncFinished) -> None:
    status = finished.status
    note(
        f"{status.name}: found {status.found:,} = indexed {status.indexed:,} + skipped {status.skipped:,}"
        f" + failed {status.failed:,}; {finished.read:,} read, {finished.unchanged:,} unchanged, {finished.removed:,} removed;"
        f" {counted(status.chunks, 'chunk')}, {human_bytes(status.size_bytes)}, {human_seconds(finished.seconds)}"
    )
    if not status.found and not status.sources:
        note(
            f"  It contains nothing that ragchat can read. Delete it with `ragchat kb remove {status.name}`."
        )
    for sentence in finished.notes:
        note(f"  {clean_line(sentence)}")
    if status.skipped + status.failed:
        note(f"  `ragchat kb status {status.name}` shows why files were skipped or failed.")
