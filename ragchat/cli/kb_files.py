"""`ragchat kb rename, forget, check, export, import`: care for the files of knowledge bases."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ragchat import config
from ragchat.app import build
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli.context import data, note, pass_context
from ragchat.cli.kb_arguments import readable
from ragchat.cli.paths import TypedPath
from ragchat.errors import CancelledError, NotFoundError, RagchatError, StorageError
from ragchat.store.knowledge import KnowledgeStore, knowledge_base_names
from ragchat.text import clean_line, counted, human_bytes
from ragchat.types import CancelToken


@click.command()
@click.argument("name")
@click.argument("new_name")
@pass_context
def rename(context: Context, name: str, new_name: str) -> None:
    """Rename the knowledge base NAME to NEW_NAME. Chats and settings use the new name."""
    from ragchat.store.maintenance import rename_knowledge_base

    with build.dropping_read(context, [f"documents {name}"]):  # they name the knowledge base as it was called
        rename_knowledge_base(context.paths.kb_dir, name, new_name)
    note(f"{name} is now called {new_name}.")
    if chats := _rename_in_chats(context, name, new_name):
        note(f"Also renamed in {counted(chats, 'chat')}.")
    for setting, chosen in (
        ("chat.knowledge_bases", context.settings.chat.knowledge_bases),
        ("knowledge.watch", context.settings.knowledge.watch),
    ):
        if name in chosen:
            names = ",".join(new_name if one == name else one for one in chosen)
            config.set_value(context.paths.settings_file, setting, names)
            note(f"The setting {setting} now uses the new name.")


def _rename_in_chats(context: Context, old: str, new: str) -> int:
    """How many chats named it. The prompts and citations of old answers keep the name that was true then."""
    from ragchat.store.chats import ChatStore

    if not context.paths.chat_database.exists():
        return 0
    store = ChatStore(context.paths.chat_database)
    try:
        using = [c for c in store.conversations(limit=1_000_000) if old in (c.knowledge_bases or ())]
        for conversation in using:
            names = [new if one == old else one for one in conversation.knowledge_bases or ()]
            store.set_knowledge_bases(conversation.id, names)
    finally:
        store.close()
    return len(using)


@click.command()
@click.argument("name")
@click.argument("path", callback=readable)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_context
def forget(context: Context, name: str, path: str, yes: bool) -> None:
    """Remove PATH from NAME permanently: a file, a folder, a row or a table. Also erases its text from the database on disk.

    A folder takes the tables with it whose file is in it. The next sync does not add PATH again; `kb add` does, and for one row
    `kb settings NAME --remember ROW`. Your file stays as it is. Answers in chats keep their quotes from it; to remove those, use
    `ragchat chats delete --for-good` (deleting a chat in the list only hides it).
    """
    from ragchat.ingest.forget import forget as forget_path

    with KnowledgeStore.open(context.paths.kb_dir, name) as store:
        if not yes:
            click.confirm(f"Remove {clean_line(path)} from {name}? (Your file stays.)", abort=True, err=True)
        with build.dropping_read(context, [f"documents {name}"]):
            gone = forget_path(store, path)
    for left in (context.paths.cache_dir / "scratch").glob("*.txt"):  # texts that were opened in an editor
        left.unlink(missing_ok=True)
    documents = counted(gone.documents, "document")
    note(f"Removed: {documents}. {name} no longer contains the text.")
    for copy in gone.copies[:20]:
        note(f"  The same content is still in {clean_line(copy)}.")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option(
    "--read-data",
    is_flag=True,
    help="Read everything: compare each text with the index and each file with its hash.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_context
def check(context: Context, names: tuple[str, ...], read_data: bool, as_json: bool) -> None:
    """Check the integrity of knowledge bases. Without NAME, check all. Exits with code 6 if one is damaged.

    \b
    --json: [{"name", "sound", "problems": [sentence], "notes": [sentence]}]
    """
    chosen = names or tuple(knowledge_base_names(context.paths.kb_dir))
    reports: list[dict[str, Any]] = []
    with cancel_on_interrupt() as cancel:
        for name in chosen:
            report = _check_one(context, name, read_data, cancel)
            reports.append(report)
            if not as_json:
                _show_check(report)
            if cancel.cancelled:
                raise CancelledError("Stopped. Nothing was changed.")
    if as_json:
        data(reports, indent=2)
    if unsound := [report["name"] for report in reports if not report["sound"]]:
        raise StorageError(
            f"Not sound: {', '.join(unsound)}.",
            "Remove it and add its folders again. Your documents are not affected.",
        )


def _check_one(context: Context, name: str, read_data: bool, cancel: CancelToken) -> dict[str, Any]:
    from ragchat.retrieval.index import is_current
    from ragchat.store.maintenance import problems

    notes: list[str] = []
    path = context.paths.kb_dir / f"{name}.db"
    try:
        with KnowledgeStore.open(context.paths.kb_dir, name) as store:
            current = is_current(store)
            found = problems(path, thorough=read_data, indexed=current)
            if not current:
                notes.append("Its index is from another version of ragchat. The next sync builds it again.")
            if read_data and not found:
                found, more = _read_everything(store, cancel)
                notes += more
    except NotFoundError:
        raise
    except RagchatError as error:
        found = [str(error)]
    return {"name": name, "sound": not found, "problems": found, "notes": notes}


def _read_everything(store: KnowledgeStore, cancel: CancelToken) -> tuple[list[str], list[str]]:
    """(problems, notes) of texts against the index and of files against their hashes."""
    from ragchat.ingest.audit import audit_files

    found = _index_problems(store, stop=lambda: cancel.cancelled)
    notes = []
    files = audit_files(store, stop=lambda: cancel.cancelled)
    found += [f"{clean_line(path)} changed, but its size and time did not." for path in files.altered]
    if files.outdated:
        notes.append(f"{counted(len(files.outdated), 'file')} changed since the last sync.")
    if files.missing:
        notes.append(f"{counted(len(files.missing), 'file')} deleted or moved since the last sync.")
    return found, notes


def _show_check(report: dict[str, Any]) -> None:
    click.echo(f"{report['name']}: {'sound' if report['sound'] else 'NOT sound'}")
    for sentence in (*report["problems"], *report["notes"]):
        click.echo(f"  {clean_line(sentence)}")


@click.command()
@click.argument("name")
@click.argument("file", type=TypedPath(), metavar="FILE.ragkb")
@pass_context
def export(context: Context, name: str, file: Path) -> None:
    """Write NAME to one file for another machine: its texts, its index and its settings."""
    from ragchat.store.portable import export_knowledge_base

    with KnowledgeStore.open(context.paths.kb_dir, name) as store:
        size = export_knowledge_base(store, file)
        roots = store.roots()
    note(f"{clean_line(str(file))}: {human_bytes(size)}. It contains the text of all documents in {name}.")
    if roots:
        note(f"  and the names of their folders: {clean_line(', '.join(map(str, roots)), limit=200)}")


@click.command("import")
@click.argument("file", type=TypedPath(), metavar="FILE.ragkb")
@click.option("--name", help="Name of the knowledge base. Default: the name of the file.")
@pass_context
def import_(context: Context, file: Path, name: str | None) -> None:
    """Check and import a knowledge base from FILE, which `kb export` wrote."""
    from ragchat.retrieval import index
    from ragchat.store.portable import import_knowledge_base

    context.paths.create()
    with import_knowledge_base(
        context.paths.kb_dir, file, name or file.stem, verify=_index_problems
    ) as store:
        if store.analyzer_version() != index.VERSION:
            note("Its index is from another version of ragchat and is being built again.")
            index.rebuild(store)
        status = store.status()
    note(
        f"{status.name}: {counted(status.indexed, 'document')}, {counted(status.chunks, 'chunk')},"
        f" {human_bytes(status.size_bytes)}."
    )
    if places := [*status.roots, *(source.path for source in status.sources)]:
        here = [place for place in places if Path(place).exists()]
        note(f"  It was made from {clean_line(', '.join(places), limit=200)}.")
        note(
            f"  Of these, a sync here reads {clean_line(', '.join(here), limit=200)}."
            if here
            else "  None of these exists on this machine. Its documents stay as they are."
        )


def _index_problems(store: KnowledgeStore, *, stop: Callable[[], bool] = lambda: False) -> list[str]:
    """What is wrong with an index that may hold anything, a damaged or a foreign one: every list is read and compared."""
    from ragchat.retrieval.check import wrong_segments

    try:
        return wrong_segments(store, stop=stop)
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError, struct.error):
        return ["Its index cannot be read."]
