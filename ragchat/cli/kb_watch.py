"""`ragchat kb watch` and `kb settings`: what a knowledge base takes in, and keeping it fresh."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from ragchat.app import build
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli.context import data, note, pass_context
from ragchat.cli.kb_arguments import readable
from ragchat.cli.kb_sync import report_rows
from ragchat.errors import NotFoundError, UsageError
from ragchat.store.knowledge import KnowledgeStore, knowledge_base_names
from ragchat.text import clean_line, counted, human_bytes, human_seconds
from ragchat.types import CancelToken, Document, KnowledgeBaseOptions, LeftOutKind

LARGEST_FILE_MB = 1024 * 1024


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--json", "as_json", is_flag=True, help="A JSON line for each event on standard output.")
@click.option(
    "--poll", is_flag=True, help="Check for changes every second instead of waiting for system events."
)
@pass_context
def watch(context: Context, names: tuple[str, ...], as_json: bool, poll: bool) -> None:
    """Watch knowledge bases and index changes a moment later. Without NAME, watch all.

    Press Ctrl-C to stop.

    \b
    --json: {"kb", "event": "started" | "changed" | "synced" | "rows" | "problem", …}; "synced" has
    "indexed", "skipped", "failed", "removed", "chunks", "seconds", "notes": [sentence]; "rows" has
    "source", "found", "indexed", "removed", "note", "failed": true when the table could not be read.
    """
    chosen = names or tuple(knowledge_base_names(context.paths.kb_dir))
    if not chosen:
        raise NotFoundError(
            "There are no knowledge bases yet.", "Create one with `ragchat kb add NAME FOLDER`."
        )
    events: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()
    with cancel_on_interrupt() as cancel:
        threads = [
            threading.Thread(
                target=_watch_one, args=(context, name, poll, cancel, events), name=f"watch {name}"
            )
            for name in dict.fromkeys(chosen)
        ]
        for thread in threads:
            thread.start()
        try:
            failure = _report(threads, events, cancel, as_json)
        finally:  # whoever read us may have gone
            cancel.cancel()
            for thread in threads:
                thread.join()
    if failure:
        raise failure
    note("Stopped watching.")


def _watch_one(
    context: Context,
    name: str,
    poll: bool,
    cancel: CancelToken,
    events: queue.SimpleQueue[tuple[str, object]],
) -> None:
    """Watch one knowledge base in this thread; whatever happens goes into `events`."""
    from ragchat.ingest.watch import watch as watched

    try:
        for event in watched(
            lambda: KnowledgeStore.open(context.paths.kb_dir, name),
            build.ingest_options(context),
            cancel=cancel,
            ignore=(context.paths.data_dir, context.paths.state_dir, context.paths.cache_dir),
            polling=True if poll else None,
        ):
            if getattr(event, "removed", 0):
                build.drop_read(context, [f"documents {name}"])
            events.put((name, event))
    except Exception as error:  # noqa: BLE001  the boundary of the thread; the command raises it
        events.put((name, error))


def _report(
    threads: list[threading.Thread],
    events: queue.SimpleQueue[tuple[str, object]],
    cancel: CancelToken,
    as_json: bool,
) -> Exception | None:
    """Show events until all threads have ended; what ended one of them early ends all."""
    failure: Exception | None = None
    while any(thread.is_alive() for thread in threads) or not events.empty():
        try:
            name, event = events.get(timeout=0.2)
        except queue.Empty:
            continue
        if isinstance(event, Exception):
            failure = failure or event
            cancel.cancel()
        elif as_json:
            if line := _json(name, event):
                data(line)
        else:
            _show(name, event)
    return failure


def _json(name: str, event: object) -> dict[str, Any]:
    from ragchat.ingest.rows import RowsFinished
    from ragchat.ingest.sync import SyncFinished
    from ragchat.ingest.watch import ChangesSeen, WatchProblem, WatchStarted

    match event:
        case WatchStarted():
            return {"kb": name, "event": "started", **asdict(event)}
        case ChangesSeen():
            return {"kb": name, "event": "changed", "paths": event.paths}
        case WatchProblem():
            return {"kb": name, "event": "problem", "sentence": event.sentence, "remedy": event.remedy}
        case RowsFinished():
            counts = {"found": event.found, "indexed": event.indexed, "removed": event.removed}
            return {
                "kb": name,
                "event": "rows",
                "source": event.source.prefix,
                **counts,
                "note": event.source.note,
                "failed": event.failed,
            }
        case SyncFinished():
            status = event.status
            counts = {"indexed": status.indexed, "skipped": status.skipped, "failed": status.failed}
            rest = {"removed": event.removed, "chunks": status.chunks, "seconds": round(event.seconds, 3)}
            return {"kb": name, "event": "synced", **counts, **rest, "notes": list(event.notes)}
    return {}


def _show(name: str, event: object) -> None:
    from ragchat.ingest.rows import RowsFinished
    from ragchat.ingest.sync import SyncFinished
    from ragchat.ingest.watch import ChangesSeen, WatchProblem, WatchStarted

    match event:
        case WatchStarted():
            places = [*event.roots, *(f"the rows of {table.rstrip('#')}" for table in event.tables)]
            watched = clean_line(", ".join(places), limit=200) or "for its first folder or table"
            note(f"{name}: watching {watched}. Press Ctrl-C to stop.")
            if event.note:
                note(f"  {event.note}")
        case ChangesSeen():
            note(f"{name}: {event.paths:,} changed")
        case WatchProblem():
            note(f"{name}: {clean_line(event.sentence)} {clean_line(event.remedy)}")
        case RowsFinished() if event.failed or event.indexed or event.removed:
            report_rows(name, event)
        case SyncFinished():
            status = event.status
            note(
                f"{name}: {counted(status.indexed, 'document')}, {counted(status.chunks, 'chunk')}, {event.removed:,} removed,"
                f" {human_seconds(event.seconds)}"
            )
            for sentence in event.notes:
                note(f"  {clean_line(sentence)}")


@click.command()
@click.argument("name")
@click.option(
    "--include",
    multiple=True,
    callback=readable,
    metavar="PATTERN",
    help="Include only what matches; '' includes everything.",
)
@click.option(
    "--exclude",
    multiple=True,
    callback=readable,
    metavar="PATTERN",
    help="Exclude what matches; '' excludes nothing.",
)
@click.option(
    "--max-file-mb",
    type=click.FloatRange(min=0),
    metavar="N",
    help="Skip larger files; 0 uses your settings.",
)
@click.option("--follow-links/--no-follow-links", default=None, help="Follow links to files and folders.")
@click.option(
    "--remember",
    multiple=True,
    callback=readable,
    metavar="PATH",
    help="Allow a file, folder or row again that you removed with `kb forget`.",
)
@click.option(
    "--ocr",
    callback=readable,
    metavar="LANGUAGES",
    help="Read pictures and scans in languages such as eng+deu; off stops it. Text that OCR read stays until its file changes.",
)
@click.option(
    "--meaning/--no-meaning",
    default=None,
    help="Embed chunks and search by meaning too. Existing vectors stay.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def settings(
    context: Context,
    name: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    max_file_mb: float | None,
    follow_links: bool | None,
    remember: tuple[str, ...],
    ocr: str | None,
    meaning: bool | None,
    as_json: bool,
) -> None:
    """Show or change what a sync of NAME includes and how the search works. Write patterns as in .gitignore.

    \b
    --json: {"include": [], "exclude": [], "max_file_bytes": number or null, "follow_links", "forgotten": [],
    "ocr": ["eng", …], "meaning": true or false}
    """
    from ragchat.ingest.ignore import compile_patterns
    from ragchat.ingest.ocr_languages import check_data, parse_languages

    with KnowledgeStore.open(context.paths.kb_dir, name) as store:
        before = store.options()
        after = _changed(before, include, exclude, max_file_mb, follow_links, remember)
        compile_patterns((*after.include, *after.exclude), strict=True)  # raises on what is no pattern
        if ocr is not None:
            after = replace(after, ocr=parse_languages(ocr))
            if after.ocr:
                check_data(after.ocr, context.paths.ocr_data_dir)
        if meaning is not None:
            after = replace(after, meaning=meaning)
        if after != before:
            store.set_options(after)
    if as_json:
        data(asdict(after), indent=2)
    else:
        for line in describe(after):
            click.echo(line)
    if before.ocr and not after.ocr:
        note("Text that OCR read stays until its file changes.")
    if replace(after, meaning=before.meaning) != before:
        note(f"Apply it with `ragchat kb sync {name}`.")


def _changed(
    options: KnowledgeBaseOptions,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    max_file_mb: float | None,
    follow_links: bool | None,
    remember: tuple[str, ...],
) -> KnowledgeBaseOptions:
    if include:
        options = replace(options, include=tuple(pattern for pattern in include if pattern))
    if exclude:
        options = replace(options, exclude=tuple(pattern for pattern in exclude if pattern))
    if max_file_mb is not None:
        if not max_file_mb <= LARGEST_FILE_MB:  # nor for what is no number
            raise UsageError(f"--max-file-mb is at most {LARGEST_FILE_MB:,}.")
        options = replace(options, max_file_bytes=int(max_file_mb * 1024 * 1024) or None)
    if follow_links is not None:
        options = replace(options, follow_links=follow_links)
    for path in remember:
        spellings = {path, str(Path(path).resolve())}
        if not spellings & set(options.forgotten):
            raise NotFoundError(
                f"{clean_line(path)} was not removed with `kb forget`.",
                "`ragchat kb settings NAME` lists removed paths.",
            )
        options = replace(options, forgotten=tuple(p for p in options.forgotten if p not in spellings))
    return options


def ocr_hint(name: str, documents: Sequence[Document]) -> str:
    """How to switch OCR on, where files are not read without it; else ''."""
    from ragchat.ingest.scan import Skip
    from ragchat.ingest.wire import UNREAD_SCANS

    pictures = sum(document.reason == Skip.PICTURE for document in documents)
    scans = sum(
        document.reason in UNREAD_SCANS or any(left.kind is LeftOutKind.PAGE for left in document.left_out)
        for document in documents
    )
    if not pictures + scans:
        return ""
    waiting = [
        f"{count:,} {what}" if count > 1 else f"1 {what.removesuffix('s')}"
        for count, what in ((pictures, "pictures"), (scans, "scans"))
        if count
    ]
    return f"OCR can read {' and '.join(waiting)}: `ragchat kb settings {name} --ocr eng` (in English)"


def describe(options: KnowledgeBaseOptions) -> list[str]:
    """The settings of a knowledge base, one a line, for a user."""
    from ragchat.ingest.ocr_languages import named

    size = human_bytes(options.max_file_bytes) if options.max_file_bytes else "from knowledge.max_file_mib"
    return [
        f"  includes      {clean_line(', '.join(options.include)) or 'everything'}",
        f"  excludes      {clean_line(', '.join(options.exclude)) or 'nothing'}",
        f"  largest file  {size}",
        f"  links         {'followed' if options.follow_links else 'not followed'}",
        f"  OCR           {', '.join(map(named, options.ocr)) or 'off (pictures and scans are not read)'}",
        f"  by meaning    {'on' if options.meaning else 'off (the search uses words only)'}",
        *(f"  removed       {clean_line(path)}" for path in options.forgotten),
    ]
