"""`ragchat kb`: knowledge bases from the command line."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.cli.context import data, note, pass_context, remind_of_verdict
from ragchat.cli.kb_arguments import readable
from ragchat.cli.kb_embed import embed, embedding_model
from ragchat.cli.kb_files import check, export, forget, import_, rename
from ragchat.cli.kb_report import describe_embedding, describe_files, embedding_json, left_out_json
from ragchat.cli.kb_search import search
from ragchat.cli.kb_sync import add_table, run_sync
from ragchat.cli.kb_watch import describe, ocr_hint, settings, watch
from ragchat.cli.paths import TypedPath
from ragchat.errors import CancelledError, NotFoundError, RagchatError, StorageError, UsageError
from ragchat.store.knowledge import KnowledgeStore, check_name, knowledge_base_names, remove_knowledge_base
from ragchat.store.watchlock import watcher
from ragchat.text import clean_line, counted, human_bytes


@click.group()
def kb() -> None:
    """Knowledge bases: your indexed documents. ragchat never changes the documents."""


@kb.command()
@click.argument("name")
@click.argument("paths", nargs=-1, type=TypedPath(), metavar="PATH…")
@click.option(
    "--sqlite",
    type=TypedPath(),
    callback=readable,
    metavar="FILE",
    help="SQLite database: the rows of --query become documents.",
)
@click.option(
    "--query",
    default="",
    callback=readable,
    metavar="SELECT…",
    help="SELECT that reads the rows. ragchat never changes the database.",
)
@click.option(
    "--csv",
    type=TypedPath(),
    callback=readable,
    metavar="FILE",
    help="CSV or TSV file with a header: its rows become documents.",
)
@click.option(
    "--key",
    default="",
    callback=readable,
    metavar="COLUMN",
    help="Column that identifies a row, so that ragchat can update it.",
)
@click.option(
    "--label",
    default="",
    callback=readable,
    metavar="NAME",
    help="Name of the query. Default: the table after FROM.",
)
@pass_context
def add(
    context: Context,
    name: str,
    paths: tuple[Path, ...],
    sqlite: Path | None,
    query: str,
    csv: Path | None,
    key: str,
    label: str,
) -> None:
    """Add files and folders, or the rows of a table, to the knowledge base NAME and index them. Creates NAME if needed.

    To update them, run the same command again, `kb sync` or `kb watch`. Only changed files and rows are indexed again.
    """
    check_name(name)
    if not paths and not sqlite and not csv:
        raise UsageError("Choose what to add.", "Use a PATH, --sqlite FILE --query SELECT…, or --csv FILE.")
    _check_table_options(bool(sqlite), bool(csv), of_query=bool(query or label), has_key=bool(key))
    for path in paths:
        _check_path(path)
    context.paths.create()
    made = not (context.paths.kb_dir / f"{name}.db").exists()
    try:
        with KnowledgeStore.create(context.paths.kb_dir, name) as store:
            if csv:
                add_table(context, store, "csv", csv, query="", key=key, label="")
            if sqlite:
                add_table(context, store, "sqlite", sqlite, query=query, key=key, label=label)
            if paths:
                _remember(store, paths)
                run_sync(context, store, paths)
            elif not store.roots() and len(store.sources()) == bool(csv) + bool(sqlite):
                store.mark_synced()  # there is nothing in it that was not read just now
    except (RagchatError, KeyboardInterrupt) as error:
        if not made or _holds_anything(context, name):
            raise
        remove_knowledge_base(context.paths.kb_dir, name)
        if isinstance(error, CancelledError):
            raise CancelledError("Stopped before the first document was indexed.") from error
        raise


def _check_table_options(sqlite: bool, csv: bool, *, of_query: bool, has_key: bool) -> None:
    """Raises UsageError for options that belong to a table that is not given."""
    if of_query and not sqlite:
        raise UsageError("--query and --label belong to --sqlite.")
    if has_key and sqlite == csv:
        raise UsageError("--key belongs to one --sqlite or --csv.")


def _check_path(path: Path) -> None:
    """Raises NotFoundError unless something is there that may be looked at."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{clean_line(str(path))} does not exist.", "Check the path.") from error
    except OSError as error:
        raise NotFoundError(
            f"{clean_line(str(path))} cannot be reached ({error.strerror}).", "Check the path."
        ) from error


def _remember(store: KnowledgeStore, paths: tuple[Path, ...]) -> None:
    if store.options().forgotten:
        from ragchat.ingest.forget import remember

        remember(store, [os.path.realpath(path) for path in paths])


def _holds_anything(context: Context, name: str) -> bool:
    """Whether anything is indexed; what cannot be opened is left to the user."""
    try:
        with KnowledgeStore.open(context.paths.kb_dir, name) as store:
            return store.status().indexed > 0
    except RagchatError:
        return True


@kb.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option(
    "--prune", is_flag=True, help="Also remove documents from folders that are now empty or missing."
)
@click.option(
    "--again",
    is_flag=True,
    help="Also read and split unchanged files and rows, for example after a change of chunk size.",
)
@pass_context
def sync(context: Context, names: tuple[str, ...], prune: bool, again: bool) -> None:
    """Update knowledge bases from their files and tables. Without NAME, update all."""
    chosen = names or tuple(knowledge_base_names(context.paths.kb_dir))
    if not chosen:
        note("There are no knowledge bases yet. Create one with `ragchat kb add NAME FOLDER`.")
    for name in chosen:
        with KnowledgeStore.open(context.paths.kb_dir, name) as store:
            run_sync(context, store, prune=prune, again=again)
    if chosen:
        remind_of_verdict(context)


@kb.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """List all knowledge bases with their size and age."""
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
                "sources": [source.prefix.rstrip("#") for source in status.sources],
            }
        )
    if as_json:
        data(rows, indent=2)
        return
    if not rows:
        note("There are no knowledge bases yet. Create one with `ragchat kb add NAME FOLDER`.")
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        click.echo(
            f"{row['name']:{width}}  {counted(row['documents'], 'document'):>17}  {counted(row['chunks'], 'chunk'):>16}"
            f"  {human_bytes(row['size_bytes']):>10}  {clean_line(', '.join(row['roots'] + row['sources']))}"
        )


@kb.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--all", "show_all", is_flag=True, help="List every file instead of groups.")
@pass_context
def status(context: Context, name: str, as_json: bool, show_all: bool) -> None:
    """Show what NAME contains, which files are not indexed and why, and which parts of documents were left out.

    \b
    --json: {"found", "indexed", "skipped", "failed", "chunks",
    "files": [{"path", "state", "reason", "left_out": [{"kind", "count", "names"}]}],
    "roots", "sources": [{"kind", "path", "label", "query", "key", "synced_at", "note"}],
    "options" (as in `kb settings --json`), "size_bytes", "synced_at", "watched_by": process or null,
    "embedding": {"model": that made the vectors or null, "embedded": chunks that have one, "of": chunks that can have one,
    "current": whether the model is the one that is used now, "wanted": that one or null}}
    """
    from ragchat.ingest.sync import status as compare

    with KnowledgeStore.open(context.paths.kb_dir, name) as store:
        found = compare(store)
        watched_by = watcher(store.path)
        model = embedding_model(context)
        embedded = store.vectors.embedded(model)
    if as_json:
        data(
            {
                "found": found.found,
                "indexed": found.indexed,
                "skipped": found.skipped,
                "failed": found.failed,
                "chunks": found.chunks,
                "files": [
                    {"path": d.path, "state": d.state, "reason": d.reason, "left_out": left_out_json(d)}
                    for d in found.documents
                ],
                "roots": list(found.roots),
                "sources": [asdict(source) for source in found.sources],
                "options": asdict(found.options),
                "size_bytes": found.size_bytes,
                "synced_at": found.synced_at,
                "watched_by": watched_by,
                "embedding": embedding_json(embedded, model),
            },
            indent=2,
        )
        return
    changed = sum(document.state == "changed" for document in found.documents)
    click.echo(f"{found.name}: {clean_line(', '.join(found.roots)) or 'no folders'}")
    click.echo(
        f"  found {found.found:,} = indexed {found.indexed:,} + skipped {found.skipped:,} + failed {found.failed:,}"
    )
    click.echo(
        f"  {counted(found.chunks, 'chunk')}, {human_bytes(found.size_bytes)}, synced {found.synced_at or 'never completely'}"
    )
    for line in describe(found.options):
        click.echo(line)
    if found.options.meaning:
        click.echo(f"  embedded      {describe_embedding(name, embedded, model)}")
    if not found.options.ocr and (hint := ocr_hint(found.name, found.documents)):
        click.echo(f"  {hint}")
    for source in found.sources:
        key = f"by {source.key!r}" if source.key else "by their content"
        trouble = f"; {source.note}" if source.note else ""
        click.echo("  " + clean_line(f"rows {key} from {source.prefix.rstrip('#')}{trouble}"))
    if watched_by is not None:
        click.echo(f"  watched by process {watched_by}")
    if changed or found.missing:
        click.echo(
            f"  since then {changed:,} changed and {found.missing:,} gone: ragchat kb sync {found.name}"
        )
    for line in describe_files(found.name, found.documents, show_all=show_all):
        click.echo(f"  {line}")


@kb.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_context
def remove(context: Context, name: str, yes: bool) -> None:
    """Delete the knowledge base NAME. Your documents stay as they are."""
    try:
        with KnowledgeStore.open(context.paths.kb_dir, name) as store:
            held = f"of {counted(store.status().indexed, 'document')}"
    except StorageError as error:  # all the more reason to remove it
        held = f"{name}, which cannot be read ({error})"
    if not yes:
        click.confirm(f"Delete the index {held}? (Your documents stay.)", abort=True, err=True)
    with build.dropping_read(context, [f"documents {name}"]):
        remove_knowledge_base(context.paths.kb_dir, name)
    note(f"Removed {name}.")


for command in (search, embed, watch, settings, rename, forget, check, export, import_):
    kb.add_command(command)
