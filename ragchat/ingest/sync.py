"""Bringing a knowledge base up to date with its files: what is new or changed is read, what is gone leaves the index.

A file is looked at by size and time, read only when they changed, and read by a parser only when its content changed. Several
processes read (`ingest.readers`), one writes (`ingest.writer`): a sync that is stopped at any moment keeps what it has
committed, and the next one continues. What lay on a disk that is not mounted stays.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ragchat.errors import IngestError, NotFoundError, StorageError, UsageError
from ragchat.ingest.compare import Comparison, Moves, is_outdated, may_gain
from ragchat.ingest.formats import kind_of
from ragchat.ingest.neighbours import Neighbours
from ragchat.ingest.ocr_languages import check_data
from ragchat.ingest.options import IngestOptions as IngestOptions
from ragchat.ingest.options import SyncProgress as SyncProgress
from ragchat.ingest.readers import ReaderPool, default_readers
from ragchat.ingest.rows import RowsFinished, sync_rows
from ragchat.ingest.scan import UNREAD_PICTURES, FoundFile, ScanRules, Skip
from ragchat.ingest.source import hash_file, stored_path
from ragchat.ingest.wire import (
    READERS,
    UNREAD_SCANS,
    Extracted,
    Failed,
    FileState,
    PageRead,
    Read,
    ReadRequest,
    Reason,
)
from ragchat.ingest.writer import BatchWriter, record_of
from ragchat.retrieval import index
from ragchat.store.files import KnownFile, scan_count
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.store.ocr_pages import OcrPage, any_pages, drop_all_pages, drop_pages, pages_of, put_page
from ragchat.text import clean_line, counted
from ragchat.types import (
    CancelToken,
    Document,
    DocumentState,
    KnowledgeBaseStatus,
    LeftOut,
    LeftOutKind,
    is_row,
)

_SAY_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class SyncFinished:
    """What is in the knowledge base now. `removed` documents of files left it, `unchanged` files were not read.

    `read` files were new or
    changed. `notes` are sentences for the user, such as on documents that were kept although their files are not there.
    """

    status: KnowledgeBaseStatus
    removed: int
    unchanged: int
    seconds: float
    cancelled: bool
    read: int = 0
    notes: tuple[str, ...] = ()


SyncEvent = SyncProgress | RowsFinished | SyncFinished


def sync(
    store: KnowledgeStore,
    options: IngestOptions,
    *,
    cancel: CancelToken,
    add: Sequence[Path] = (),
    only: Collection[Path] | None = None,
    prune: bool = False,
    again: bool = False,
) -> Iterator[SyncEvent]:
    """Bring `store` up to date with its roots, after adding the files and folders of `add` to them.

    `only` looks at just these paths: files or folders, there or gone, and tables whose file is among them; paths under no root
    are passed over. `prune` also takes out what lay in roots that are empty or missing now, which is kept otherwise.
    `again` reads and cuts what has not changed, too.
    Raises NotFoundError for a path of `add` that does not exist, UsageError for one whose name is no text, StorageError.
    Ends with SyncFinished unless it raises; each table gives a RowsFinished before.
    """
    started = time.monotonic()
    _add_roots(store, add)
    tally = _Tally()
    comparison = Comparison()
    ocr = _Ocr(store, options.ocr_data, comparison.notes)
    rules = replace(_rules(store, options), ocr=ocr.name, lacks_ocr_data=ocr.lacks_data)
    options = replace(options, max_file_bytes=rules.max_file_bytes)
    sizes = f"{options.chunk_tokens} tokens with {options.overlap_tokens} repeated"
    fresh = again or not store.statistics().chunk_count
    for met, path in enumerate(comparison.look(store, rules, only, prune=prune, again=again), 1):
        if tally.is_time():
            yield tally.progress(met, 0, path)
        if cancel.cancelled:
            break
    else:
        index.ensure_current(store)
        index.merge_segments(store, stop=lambda: cancel.cancelled)  # what a killed process left, too
        if outdated := sum(is_outdated(known) for _, known in comparison.changed):
            comparison.notes.append(_read_before(outdated))
        yield from _bring_in(store, options, comparison, tally, cancel, ocr, again=again)
    yield from _sync_tables(store, options, only, cancel, again=again)
    if only is None:
        if not cancel.cancelled:
            store.mark_synced(sizes if fresh else "")
            drop_all_pages(store)
            if (cut := store.chunk_sizes()) not in ("", sizes):
                comparison.notes.append(_cut_otherwise(store.name, cut, sizes))
            if not store.options().ocr and (scans := scan_count(store, UNREAD_SCANS)):
                comparison.notes.append(_unread_scans(store.name, scans))
        store.checkpoint()
    yield SyncFinished(
        status=store.status(),
        removed=tally.removed,
        unchanged=tally.unchanged,
        seconds=time.monotonic() - started,
        cancelled=cancel.cancelled,
        read=tally.read,
        notes=tuple(comparison.notes),
    )


def status(store: KnowledgeStore) -> KnowledgeBaseStatus:
    """The status with every file, each held against the disk: what changed or vanished since the last sync says so.

    Such documents are still searched, so they count as they are indexed; `missing` counts the vanished.
    """
    known = store.status(documents=True)
    documents = tuple(_held_against_disk(document) for document in known.documents)
    return replace(known, documents=documents, missing=sum(d.state == "missing" for d in documents))


def _held_against_disk(document: Document) -> Document:
    if is_row(document.path) or document.reason == Skip.UNREADABLE_NAME:
        return document  # no file, or what is stored is not the name that the disk knows
    try:
        stat = os.lstat(document.path)
    except OSError:
        return replace(document, state="missing", reason="gone since the last sync")
    if document.state == "indexed" and (stat.st_size, stat.st_mtime_ns) != (document.size, document.mtime_ns):
        return replace(document, state="changed", reason="changed since the last sync")
    return document


# --- steps of a sync --------------------------------------------------------------------------------------


def _cut_otherwise(name: str, cut: str, wanted: str) -> str:
    return (
        f"Its chunks have {cut}, but your settings say {wanted}."
        f" `ragchat kb sync {name} --again` splits all documents again."
    )


def _read_before(count: int) -> str:
    documents = f"{counted(count, 'document')} {'was' if count == 1 else 'were'}"
    return f"{documents} read again because this version of ragchat reads more of them."


def _unread_scans(name: str, count: int) -> str:
    return (
        f"{counted(count, 'document')} {'has' if count == 1 else 'have'} pages that are pictures, which ragchat does not read."
        f" `ragchat kb settings {name} --ocr eng` turns on OCR (in English)."
    )


def _add_roots(store: KnowledgeStore, add: Sequence[Path]) -> None:
    new_roots = [Path(os.path.realpath(path)) for path in add]
    for path in new_roots:
        stored = stored_path(str(path))
        if not path.exists():
            raise NotFoundError(f"{clean_line(stored)} does not exist.", "Check the path.")
        if stored != str(path):
            raise UsageError(f"The name {clean_line(stored)} is not readable text.", "Rename it.")
    if new_roots:
        store.add_roots(new_roots)


def _rules(store: KnowledgeStore, options: IngestOptions) -> ScanRules:
    """What the settings and the knowledge base itself say."""
    own = store.options()
    return ScanRules(
        max_file_bytes=options.max_file_bytes if own.max_file_bytes is None else own.max_file_bytes,
        include=own.include,
        exclude=(*options.exclude, *own.exclude),
        follow_links=own.follow_links,
        forgotten=own.forgotten,
    )


def _bring_in(
    store: KnowledgeStore,
    options: IngestOptions,
    comparison: Comparison,
    tally: _Tally,
    cancel: CancelToken,
    ocr: _Ocr,
    *,
    again: bool,
) -> Iterator[SyncProgress]:
    """Read what changed, take out what is gone."""
    tally.count_unchanged(comparison.unchanged)
    writer = BatchWriter(store, lambda: cancel.cancelled)
    pool: ReaderPool[_Task] = ReaderPool(
        options.log,
        readers=options.readers or default_readers(),
        timeout_s=options.timeout_s,
        memory_mib=options.memory_mib,
    )
    seen, said = _Seen(""), 0
    try:
        with pool:
            moves = Moves(store, comparison.gone)
            for seen in _read_changed(
                comparison.changed, pool, writer, options, moves, tally, ocr, again=again
            ):
                if (tally.done > said or seen.pages > 1) and tally.is_time():
                    said = tally.done
                    yield tally.progress(said, comparison.found, *seen)
                if cancel.cancelled:
                    break
        for file in comparison.gone.values():
            if cancel.cancelled:
                break
            writer.remove(file.id)
            writer.flush_if_due()
            tally.removed += 1
    except StorageError:
        raise  # what could not be committed now is read again by the next sync
    except BaseException:
        writer.flush()  # Ctrl-C, or nobody is listening any more
        raise
    writer.flush()
    ocr.drop_finished()
    if tally.done > said:
        yield tally.progress(tally.done, comparison.found, seen.path)


class _Seen(NamedTuple):
    """A file that is done, or on a page of which OCR has read; '' when only time has passed."""

    path: str
    page: int = 0
    pages: int = 0


class _Ocr:
    """OCR of one sync: the languages, where their data lies, and the pages that earlier syncs did not finish.

    When there is no data for them, `notes` get a sentence and nothing is read by OCR.
    """

    def __init__(self, store: KnowledgeStore, own_data: Path | None, notes: list[str]) -> None:
        self._store = store
        self.languages = store.options().ocr
        self.folder = ""
        self.lacks_data = False
        try:
            self.folder = str(check_data(self.languages, own_data)) if self.languages else ""
        except UsageError as error:
            self.languages, self.lacks_data = (), True
            notes.append(f"{error} Until you install it, ragchat reads no pictures. {error.remedy}")
        self.name = "+".join(self.languages)
        self._has_pages = bool(self.languages) and any_pages(store)
        self._finished: list[str] = []

    def keep(self, path: str, page: PageRead) -> None:
        """So that no page is read twice, whatever happens to this sync."""
        if self._store.options().is_forgotten(path):
            return
        put_page(self._store, page.content_hash, self.name, OcrPage(page.number, page.text, page.confidence))

    def kept(self, file: FoundFile) -> tuple[PageRead, ...]:
        """The pages of a file that an earlier sync kept."""
        kind = kind_of(file.path)
        if not self._has_pages or kind is None or kind.name in _NO_PICTURES:
            return ()
        content_hash = _hashed(file.path).content_hash
        pages = pages_of(self._store, content_hash, self.name) if content_hash else []
        return tuple(PageRead(content_hash, page.number, 0, 0, page.text, page.confidence) for page in pages)

    def of(self, result: Read | Failed, left_out: tuple[LeftOut, ...] = ()) -> str:
        """What is to be kept of a file that was read, as `FileRecord.ocr`."""
        if result.ocr:
            self._finished.append(result.file.content_hash)
        is_due = isinstance(result, Failed) and result.reason == Reason.OCR_FAILED
        may_hold_pictures = any(left.kind in (LeftOutKind.PAGE, LeftOutKind.ATTACHMENT) for left in left_out)
        return self.name if (result.ocr or may_hold_pictures) and not is_due else ""

    def drop_finished(self) -> None:
        """Call when what was made of the files is committed."""
        if self._finished:
            drop_pages(self._store, self._finished)


_NO_PICTURES = frozenset(("markdown", "text", "rst", "code", "csv", "json", "jsonl", "keyed", "xml", "html"))
"""Kinds of files in which no picture is read."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a file; `unchanged`: it is as it was, and nothing was read."""

    state: DocumentState
    unchanged: bool = False


_UNCHANGED = _Outcome("indexed", unchanged=True)


@dataclass(frozen=True, slots=True)
class _Task:
    """A file that is being read."""

    file: FoundFile
    known: KnownFile | None


def _read_changed(
    changed: Sequence[tuple[FoundFile, KnownFile | None]],
    pool: ReaderPool[_Task],
    writer: BatchWriter,
    options: IngestOptions,
    moves: Moves,
    tally: _Tally,
    ocr: _Ocr,
    *,
    again: bool,
) -> Iterator[_Seen]:
    """Bring every changed file in; yields whenever someone may want to look: when a file or page is done, or time has passed."""
    waiting = iter(changed)
    upcoming = next(waiting, None)
    neighbours = Neighbours()
    while upcoming or not pool.idle:
        while upcoming and pool.has_room(upcoming[0].size):
            file, known = upcoming
            anew = again or may_gain(known, ocr.name) or is_outdated(known)
            outcome = _without_reading(file, known, moves, writer, again=anew)
            if outcome is None:
                pool.submit(_Task(file, known), _request(file, options, ocr, neighbours), file.size)
            else:
                tally.count(outcome)
                writer.flush_if_due()
                yield _Seen(file.path)
            upcoming = next(waiting, None)
        if pool.idle:
            continue
        seen = _Seen("")
        for task, result in pool.results(min(_SAY_EVERY_S, writer.due_in_s)):
            if isinstance(result, PageRead):
                ocr.keep(task.file.path, result)
                seen = _Seen(task.file.path, result.page, result.pages)
            else:
                tally.count(_take(task, result, writer, ocr))
                if isinstance(result, Read):
                    neighbours.note(task.file.path, result.language)
                seen = _Seen(task.file.path)
            writer.flush_if_due()
            yield seen
        writer.flush_if_due()
        yield _Seen(seen.path)


def _request(file: FoundFile, options: IngestOptions, ocr: _Ocr, neighbours: Neighbours) -> ReadRequest:
    return ReadRequest(
        os.fsencode(file.path),
        options.max_file_bytes,
        options.chunk_tokens,
        options.overlap_tokens,
        ocr.languages,
        ocr.folder,
        ocr.kept(file),
        neighbours.language(file.path),
    )


def _without_reading(
    file: FoundFile, known: KnownFile | None, moves: Moves, writer: BatchWriter, *, again: bool
) -> _Outcome | None:
    """What became of a file that no parser has to see; None for others."""
    record = _record(file)
    if file.reason in UNREAD_PICTURES and known is not None and known.ocr and known.state == "indexed":
        same = moves.find(known, record.path, file.size, _hashed(file.path).content_hash)
        if same is not None:  # what OCR read once stays as long as the picture is the same
            writer.touch(same, record)
            return _UNCHANGED
    if file.reason:
        writer.note(record, "skipped", file.reason)
        return _Outcome("skipped")
    if known is None:
        may_be_old = moves.is_possible(record.path, file.size)
    else:
        may_be_old = not again and known.state == "indexed" and known.size == file.size
    if not may_be_old:
        return None
    try:
        content_hash, size, mtime_ns = hash_file(file.path)
    except IngestError as error:
        return _give_up(record, str(error), writer)
    same = moves.find(known, record.path, size, content_hash)
    if same is None:
        return None
    writer.touch(same, replace(record, size=size, mtime_ns=mtime_ns))
    return _UNCHANGED


def _take(task: _Task, result: Extracted | Read | Failed, writer: BatchWriter, ocr: _Ocr) -> _Outcome:
    """Hand the result of a file to the writer; what became of the file."""
    record = _record(task.file)
    if isinstance(result, Read):
        writer.put(replace(record_of(record, result), ocr=ocr.of(result, result.left_out)), result)
        return _Outcome("indexed")
    assert isinstance(result, Failed)
    record = replace(record, ocr=ocr.of(result))
    state = result.file
    if not state.content_hash and result.reason in (Reason.CRASHED, Reason.TIMEOUT, Reason.TOO_MUCH_MEMORY):
        state = _hashed(task.file.path)
    if state.content_hash:
        record = replace(record, size=state.size, mtime_ns=state.mtime_ns, content_hash=state.content_hash)
    return _give_up(record, result.reason, writer)


def _record(file: FoundFile) -> FileRecord:
    return FileRecord(stored_path(file.path), file.size, file.mtime_ns, readers=READERS)


def _hashed(path: str) -> FileState:
    """What a file holds that ended the process that read it, so that it is not read again until it changes."""
    try:
        content_hash, size, mtime_ns = hash_file(path)
    except IngestError:
        return FileState()
    return FileState(size, mtime_ns, content_hash)


def _give_up(record: FileRecord, reason: str, writer: BatchWriter) -> _Outcome:
    state: DocumentState = "skipped" if reason in _NOTHING_TO_READ else "failed"
    writer.note(record, state, reason)
    return _Outcome(state)


_NOTHING_TO_READ = frozenset(
    (
        Reason.BINARY,
        Reason.UNSUPPORTED,
        Reason.EMPTY,
        Reason.NO_TEXT,
        Reason.NO_TEXT_LAYER,
        Reason.NO_OCR_TEXT,
        Reason.PICTURE,
        Reason.MINIFIED,
        Reason.TOO_LARGE,
    )
)
"""Reasons of the reading process that are no failure: there is nothing to read."""


def _sync_tables(
    store: KnowledgeStore,
    options: IngestOptions,
    only: Collection[Path] | None,
    cancel: CancelToken,
    *,
    again: bool,
) -> Iterator[SyncProgress | RowsFinished]:
    """Bring the rows of tables up to date, those whose file is among or below `only`."""
    for source in store.sources():
        path = Path(source.path)
        if cancel.cancelled:
            return
        if only is not None and not any(path.is_relative_to(place) for place in only):
            continue
        yield from sync_rows(store, source, options, cancel=cancel, again=again)


class _Tally:
    """Counts and the clock of one sync."""

    def __init__(self) -> None:
        self._said = 0.0
        self.unchanged = self.removed = 0
        self._states: Counter[str] = Counter()
        self._read, self._reading_since = 0, 0.0
        self._pages: dict[str, tuple[int, float]] = {}

    @property
    def done(self) -> int:
        return self._states.total()

    @property
    def read(self) -> int:
        return self._read

    def count_unchanged(self, states: Counter[str]) -> None:
        self._states += states
        self.unchanged += states.total()
        self._reading_since = time.monotonic()

    def count(self, outcome: _Outcome) -> None:
        self._states[outcome.state] += 1
        if outcome.unchanged:
            self.unchanged += 1
        else:
            self._read += 1

    def is_time(self) -> bool:
        now = time.monotonic()
        if now - self._said < _SAY_EVERY_S:
            return False
        self._said = now
        return True

    def progress(self, done: int, total: int, path: str, page: int = 0, pages: int = 0) -> SyncProgress:
        passed = time.monotonic() - self._reading_since
        rate = self._read / passed if passed > 0 else 0.0
        eta_s = (total - done) / rate if rate and self._read >= 5 and total else None
        if pages > 1 and (rest_s := self._rest_of(path, page, pages)) is not None:
            eta_s = max(eta_s or 0.0, rest_s)
        return SyncProgress(
            done=done,
            total=total,
            path=clean_line(os.fsencode(path).decode("utf-8", "replace")),
            indexed=self._states["indexed"],
            skipped=self._states["skipped"],
            failed=self._states["failed"],
            files_per_s=rate,
            eta_s=eta_s,
            page=page if pages > 1 else 0,
            pages=pages if pages > 1 else 0,
        )

    def _rest_of(self, path: str, page: int, pages: int) -> float | None:
        """Seconds for the pages behind `page`, from the second page on that is told of."""
        first, since = self._pages.setdefault(path, (page, time.monotonic()))
        return (pages - page) * (time.monotonic() - since) / (page - first) if page > first else None
