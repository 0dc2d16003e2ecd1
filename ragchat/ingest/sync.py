"""Bringing a knowledge base up to date with its files: what is new or changed is read, what is gone leaves the index.

A file is looked at by size and time, read only when they changed, and read by a parser only when its content changed. One
transaction per file: a sync that is stopped at any moment keeps what it has done, and the next one goes on. A root that cannot
be reached (an unmounted disk) keeps its documents.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ragchat.errors import IngestError, NotFoundError, UsageError
from ragchat.ingest.chunk import first_heading, split
from ragchat.ingest.extract import Extractor, hash_file
from ragchat.ingest.scan import FoundFile, Skip, scan
from ragchat.ingest.wire import Reason
from ragchat.retrieval import analyzer, index
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.text import clean_line
from ragchat.types import CancelToken, Document, KnowledgeBaseStatus

_SAY_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """Limits and sizes; see the settings in section [knowledge]."""

    log: Path
    max_file_bytes: int = 50 * 1024 * 1024
    exclude: tuple[str, ...] = ()
    chunk_tokens: int = 220
    overlap_tokens: int = 30
    timeout_s: float = 60.0
    memory_mib: int = 2048


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """`done` of `total` files; `total` 0 while they are still being looked for. `eta_s` None while unknown."""

    done: int
    total: int
    path: str
    indexed: int
    skipped: int
    failed: int
    files_per_s: float
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class SyncFinished:
    """What is in the knowledge base now. `removed` documents left it, `unchanged` files were not read."""

    status: KnowledgeBaseStatus
    removed: int
    unchanged: int
    seconds: float
    cancelled: bool


def sync(
    store: KnowledgeStore, options: IngestOptions, *, cancel: CancelToken, add: Sequence[Path] = ()
) -> Iterator[SyncProgress | SyncFinished]:
    """Bring `store` up to date with its roots, after adding the files and folders of `add` to them.

    Raises NotFoundError for a path of `add` that does not exist, UsageError for one whose name is no text, StorageError.
    Ends with SyncFinished unless it raises.
    """
    started = time.monotonic()
    new_roots = [Path(os.path.realpath(path)) for path in add]
    for path in new_roots:
        shown = clean_line(_stored_path(path))
        if not path.exists():
            raise NotFoundError(f"{shown} does not exist.", "Check the path.")
        if _stored_path(path) != str(path):
            raise UsageError(f"The name {shown} is not readable text.", "Rename it.")
    if new_roots:
        store.add_roots(new_roots)
    tally = _Tally(started)
    found: list[FoundFile] = []
    for file in scan(store.roots(), max_file_bytes=options.max_file_bytes, exclude=options.exclude):
        found.append(file)
        if tally.is_time():
            yield tally.progress(len(found), 0, file.path)
        if cancel.cancelled:
            break
    complete = not cancel.cancelled
    known = {document.path: document for document in store.documents()}
    if store.analyzer_version() not in ("", analyzer.VERSION):
        index.rebuild(store)
    store.set_analyzer_version(analyzer.VERSION)
    gone = _gone(known, found) if complete else {}
    with Extractor(
        options.log,
        timeout_s=options.timeout_s,
        memory_mib=options.memory_mib,
        max_file_bytes=options.max_file_bytes,
    ) as extractor:
        writer = _Writer(store, extractor, options, gone)
        for number, file in enumerate(found):
            if cancel.cancelled:
                break
            tally.count(writer.bring_in(file, known.get(_stored_path(file.path))))
            if tally.is_time() or number + 1 == len(found):
                yield tally.progress(number + 1, len(found), file.path)
    if not cancel.cancelled:
        for document in list(gone.values()):
            index.remove_document(store, document.id)
            tally.removed += 1
        index.merge_segments(store)
        store.mark_synced()
    store.checkpoint()
    yield SyncFinished(
        status=store.status(),
        removed=tally.removed,
        unchanged=tally.unchanged,
        seconds=time.monotonic() - started,
        cancelled=cancel.cancelled,
    )


def status(store: KnowledgeStore) -> KnowledgeBaseStatus:
    """The status with every file, each held against the disk: what changed or vanished since the last sync says so.

    Such documents are still searched, so they count as they are indexed; `missing` counts the vanished.
    """
    known = store.status(documents=True)
    documents = tuple(_held_against_disk(document) for document in known.documents)
    return replace(known, documents=documents, missing=sum(d.state == "missing" for d in documents))


def _held_against_disk(document: Document) -> Document:
    if document.reason == Skip.UNREADABLE_NAME:
        return document  # what is stored is not the name that the disk knows
    try:
        stat = os.lstat(document.path)
    except OSError:
        return replace(document, state="missing", reason="gone since the last sync")
    if document.state == "indexed" and (stat.st_size, stat.st_mtime_ns) != (document.size, document.mtime_ns):
        return replace(document, state="changed", reason="changed since the last sync")
    return document


def _gone(known: dict[str, Document], found: Sequence[FoundFile]) -> dict[str, Document]:
    """Known documents that are not there any more, by path, except those in folders that cannot be reached."""
    seen = {_stored_path(file.path) for file in found}
    unreachable = tuple(
        _stored_path(file.path) + os.sep
        for file in found
        if file.reason in (Skip.MISSING, Skip.NO_PERMISSION, Skip.UNREADABLE)
    )
    return {
        path: document
        for path, document in known.items()
        if path not in seen and not path.startswith(unreachable)
    }


def _stored_path(path: Path) -> str:
    """A path as it is stored: its text, or, where its bytes are no text, those bytes spelled out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class _Writer:
    """Brings one file at a time into the store."""

    def __init__(
        self, store: KnowledgeStore, extractor: Extractor, options: IngestOptions, gone: dict[str, Document]
    ) -> None:
        self._store, self._extractor, self._options = store, extractor, options
        self._gone = gone
        self._gone_by_hash = {
            document.content_hash: document for document in gone.values() if document.content_hash
        }

    def bring_in(self, file: FoundFile, known: Document | None) -> str:
        """What became of the file: "indexed", "skipped", "failed", or "unchanged" in front of one of them."""
        record = FileRecord(_stored_path(file.path), file.size, file.mtime_ns)
        if file.reason:
            if known and (known.state, known.reason) == ("skipped", file.reason):
                return "unchanged skipped"
            self._note(record, "skipped", file.reason)
            return "skipped"
        # Without a hash its content was never read: it was ignored, or could not be opened, and now it may.
        same = known and known.content_hash and (known.size, known.mtime_ns) == (file.size, file.mtime_ns)
        if known and same:
            return f"unchanged {known.state}"
        try:
            content_hash, size, mtime_ns = hash_file(file.path)
            record = replace(record, content_hash=content_hash, size=size, mtime_ns=mtime_ns)
            if self._is_content_known(record, known):
                return "unchanged indexed"
            self._index(record)
        except IngestError as error:
            state = "skipped" if str(error) in _NOTHING_TO_READ else "failed"
            self._note(record, state, str(error))
            return state
        index.merge_segments(self._store)
        return "indexed"

    def _is_content_known(self, record: FileRecord, known: Document | None) -> bool:
        """The file was touched or renamed: its document is kept."""
        if known and known.state == "indexed" and known.content_hash == record.content_hash:
            self._store.touch_document(known.id, record.path, record.size, record.mtime_ns)
            return True
        moved = self._gone_by_hash.get(record.content_hash)
        if (
            moved
            and not known
            and moved.state == "indexed"
            and Path(moved.path).suffix == Path(record.path).suffix
        ):
            self._store.touch_document(moved.id, record.path, record.size, record.mtime_ns)
            del self._gone[moved.path], self._gone_by_hash[record.content_hash]
            return True
        return False

    def _index(self, record: FileRecord) -> None:
        text = self._extractor.extract(Path(record.path))
        chunks = split(
            text, chunk_tokens=self._options.chunk_tokens, overlap_tokens=self._options.overlap_tokens
        )
        if not chunks:
            raise IngestError(Reason.NO_TEXT)
        title = clean_line(text.title or first_heading(text.text, text.media_type), limit=200)
        record = replace(record, title=title, media_type=text.media_type, source_lines=text.source_lines)
        index.write_document(self._store, record, chunks)

    def _note(self, record: FileRecord, state: str, reason: str) -> None:
        with self._store.writing():
            if earlier := self._store.document_at(record.path):
                index.remove_document(self._store, earlier.id)
            self._store.record_file(record, "skipped" if state == "skipped" else "failed", reason)


_NOTHING_TO_READ = frozenset(
    (
        Reason.BINARY,
        Reason.UNSUPPORTED,
        Reason.EMPTY,
        Reason.NO_TEXT,
        Reason.NO_TEXT_LAYER,
        Reason.MINIFIED,
        Reason.TOO_LARGE,
    )
)
"""Reasons of the extractor that are no failure: there is nothing to read."""


class _Tally:
    """Counts and the clock of one sync."""

    def __init__(self, started: float) -> None:
        self._started, self._said = started, 0.0
        self.unchanged = self.removed = 0
        self._states = {"indexed": 0, "skipped": 0, "failed": 0}
        self._read, self._reading_since = 0, 0.0

    def count(self, outcome: str) -> None:
        unchanged, _, state = outcome.rpartition(" ")
        self._states[state] += 1
        if unchanged:
            self.unchanged += 1
        else:
            self._reading_since = self._reading_since or time.monotonic()
            self._read += 1

    def is_time(self) -> bool:
        now = time.monotonic()
        if now - self._said < _SAY_EVERY_S:
            return False
        self._said = now
        return True

    def progress(self, done: int, total: int, path: Path) -> SyncProgress:
        passed = time.monotonic() - (self._reading_since or time.monotonic())
        rate = self._read / passed if passed > 0 else 0.0
        eta_s = (total - done) / rate if rate and self._read >= 5 and total else None
        shown = clean_line(os.fsencode(path).decode("utf-8", "replace"))
        return SyncProgress(
            done=done,
            total=total,
            path=shown,
            indexed=self._states["indexed"],
            skipped=self._states["skipped"],
            failed=self._states["failed"],
            files_per_s=rate,
            eta_s=eta_s,
        )
