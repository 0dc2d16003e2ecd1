"""`ragchat kb`: knowledge bases from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragchat.cli import build
from ragchat.cli.batch import read_batch
from ragchat.cli.context import Context, cancel_on_interrupt, data, interactive, note, pass_context
from ragchat.errors import CancelledError, NotFoundError, RagchatError, StorageError, UsageError
from ragchat.store.knowledge import KnowledgeStore, check_name, knowledge_base_names, remove_knowledge_base
from ragchat.text import clean_line, human_bytes, human_seconds

if TYPE_CHECKING:
    from ragchat.ingest.sync import SyncFinished
    from ragchat.retrieval.search import Searcher, SearchResult
    from ragchat.types import Hit


@click.group()
def kb() -> None:
    """Knowledge bases: your documents, indexed. The documents themselves are only ever read."""


@kb.command()
@click.argument("name")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")
@pass_context
def add(context: Context, name: str, paths: tuple[Path, ...]) -> None:
    """Add files and folders to the knowledge base NAME, which is made when new, and index them."""
    check_name(name)
    for path in paths:
        if not path.exists():
            raise NotFoundError(f"{clean_line(str(path))} does not exist.", "Check the path.")
    context.paths.create()
    with KnowledgeStore.create(context.paths.kb_dir, name) as store:
        _sync(context, store, paths)


@kb.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@pass_context
def sync(context: Context, names: tuple[str, ...]) -> None:
    """Bring knowledge bases up to date with their files (all of them without NAME)."""
    chosen = names or tuple(knowledge_base_names(context.paths.kb_dir))
    if not chosen:
        note("There is no knowledge base yet: ragchat kb add NAME FOLDER makes one.")
    for name in chosen:
        with KnowledgeStore.open(context.paths.kb_dir, name) as store:
            _sync(context, store, ())


@kb.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """All knowledge bases with their size and age."""
    rows: list[dict[str, Any]] = []
    for name in knowledge_base_names(context.paths.kb_dir):
        try:
            with KnowledgeStore.open(context.paths.kb_dir, name) as store:
                status = store.status()
        except RagchatError as error:
            note(f"{name}: {error} {error.remedy}")
            continue
        rows.append(
            {
                "name": name,
                "documents": status.indexed,
                "chunks": status.chunks,
                "size_bytes": status.size_bytes,
                "synced_at": status.synced_at,
                "roots": list(status.roots),
                "path": status.path,
            }
        )
    if as_json:
        data(rows, indent=2)
        return
    if not rows:
        note("There is no knowledge base yet: ragchat kb add NAME FOLDER makes one.")
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        click.echo(
            f"{row['name']:{width}}  {row['documents']:>7,} documents  {row['chunks']:>9,} chunks"
            f"  {human_bytes(row['size_bytes']):>10}  {clean_line(', '.join(row['roots']))}"
        )


@kb.command()
@click.argument("query", required=False, default="")
@click.option(
    "--kb", "names", multiple=True, metavar="NAME", help="Knowledge base to search; may be repeated."
)
@click.option("-k", type=click.IntRange(1, 1000), help="Number of hits.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--batch",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.jsonl",
    help='One {"id", "question"} a line in, JSON lines out.',
)
@pass_context
def search(
    context: Context, query: str, names: tuple[str, ...], k: int | None, as_json: bool, batch: str | None
) -> None:
    """Search without a model: the passages that speak to QUERY, best first."""
    from ragchat.retrieval.search import Searcher

    if bool(query.strip()) == bool(batch):
        raise UsageError("Give a query, or --batch with a file of them.")
    chosen = tuple(dict.fromkeys(names)) or build.default_knowledge_bases(context)
    if not chosen:
        raise NotFoundError("There is no knowledge base yet.", "`ragchat kb add NAME FOLDER` makes one.")
    hits = k or context.settings.retrieval.k
    with build.knowledge_bases(context, chosen) as stores:
        searcher = Searcher(stores)
        if batch:
            for row in read_batch(batch):
                found = _search_json(searcher, row.question, hits)
                data({"id": row.id, **found})
        elif as_json:
            data(_search_json(searcher, query, hits), indent=2)
        else:
            _show_hits(searcher.search(query, hits))


@kb.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--all", "show_all", is_flag=True, help="List indexed files, too.")
@pass_context
def status(context: Context, name: str, as_json: bool, show_all: bool) -> None:
    """Every file of NAME: indexed, skipped or failed and why, changed or missing since the last sync."""
    from ragchat.ingest.sync import status as compare

    with KnowledgeStore.open(context.paths.kb_dir, name) as store:
        found = compare(store)
    if as_json:
        data(
            {
                "found": found.found,
                "indexed": found.indexed,
                "skipped": found.skipped,
                "failed": found.failed,
                "chunks": found.chunks,
                "files": [{"path": d.path, "state": d.state, "reason": d.reason} for d in found.documents],
            },
            indent=2,
        )
        return
    changed = sum(document.state == "changed" for document in found.documents)
    click.echo(f"{found.name}: {clean_line(', '.join(found.roots))}")
    click.echo(
        f"  found {found.found:,} = indexed {found.indexed:,} + skipped {found.skipped:,} + failed {found.failed:,}"
    )
    click.echo(
        f"  {found.chunks:,} chunks, {human_bytes(found.size_bytes)}, synced {found.synced_at or 'never to the end'}"
    )
    if changed or found.missing:
        click.echo(
            f"  since then {changed:,} changed and {found.missing:,} gone: ragchat kb sync {found.name}"
        )
    for document in found.documents:
        if show_all or document.state != "indexed":
            reason = f": {document.reason}" if document.reason else ""
            click.echo(f"  {document.state:8} {clean_line(document.path)}{clean_line(reason)}")


@kb.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_context
def remove(context: Context, name: str, yes: bool) -> None:
    """Delete the index NAME. Your documents stay as they are."""
    try:
        with KnowledgeStore.open(context.paths.kb_dir, name) as store:
            held = f"of {store.status().indexed:,} documents"
    except StorageError as error:  # all the more reason to remove it
        held = f"{name}, which cannot be read ({error})"
    if not yes:
        click.confirm(f"Delete the index {held}? (The documents stay.)", abort=True, err=True)
    remove_knowledge_base(context.paths.kb_dir, name)
    note(f"Removed {name}.")


def _sync(context: Context, store: KnowledgeStore, paths: tuple[Path, ...]) -> None:
    from ragchat.ingest.sync import SyncFinished, SyncProgress
    from ragchat.ingest.sync import sync as bring_up_to_date

    finished = None
    with cancel_on_interrupt() as cancel, _bar(store.name) as update:
        for event in bring_up_to_date(store, build.ingest_options(context), cancel=cancel, add=paths):
            match event:
                case SyncProgress():
                    update(event)
                case SyncFinished():
                    finished = event
    assert finished
    _report(finished)
    if finished.cancelled:
        raise CancelledError("Stopped; what was indexed is kept.", f"`ragchat kb sync {store.name}` goes on.")


class _bar:  # noqa: N801  used like a function
    """A progress bar on standard error when that is a terminal."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._name = name
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not interactive(),
        )
        self._task = self._progress.add_task(f"{name}: looking for files", total=None, rate="")

    def __enter__(self) -> Any:
        self._progress.start()
        return self._update

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _update(self, event: Any) -> None:
        doing = f"{self._name}: {'indexing' if event.total else 'looking for files'}"
        rate = f"{event.files_per_s:.0f} files/s" if event.files_per_s else ""
        self._progress.update(
            self._task, description=doing, completed=event.done, total=event.total or None, rate=rate
        )


def _report(finished: SyncFinished) -> None:
    status = finished.status
    note(
        f"{status.name}: found {status.found:,} = indexed {status.indexed:,} + skipped {status.skipped:,}"
        f" + failed {status.failed:,}; {finished.unchanged:,} unchanged, {finished.removed:,} removed; {status.chunks:,} chunks,"
        f" {human_bytes(status.size_bytes)}, {human_seconds(finished.seconds)}"
    )
    if status.skipped + status.failed:
        note(f"  ragchat kb status {status.name} says why files were skipped or failed.")


def _search_json(searcher: Searcher, query: str, k: int) -> dict[str, Any]:
    result = searcher.search(query, k)
    return {
        "query": query,
        "hits": [_hit_json(hit) for hit in result.hits],
        "took_s": round(result.took_s, 6),
    }


def _hit_json(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "path": hit.path,
        "page": hit.span.page_first,
        "lines": [hit.span.line_first, hit.span.line_last],
        "heading": hit.heading,
        "text": hit.text,
        "evidence": hit.evidence,
    }


def _show_hits(result: SearchResult) -> None:
    if not result.hits:
        note("Nothing found.")
    for hit in result.hits:
        heading = f"  {hit.heading}" if hit.heading else ""
        click.echo(
            click.style(f"{hit.rank}. {clean_line(hit.path)} ({hit.place})", bold=True) + clean_line(heading)
        )
        click.echo(f"   {clean_line(hit.evidence or hit.text, limit=400)}")
    note(f"{len(result.hits)} hits in {result.took_s * 1000:.1f} ms")
