"""Rows as documents: the rows of a query of a SQLite file, or of a CSV or TSV file with a header.

A row's document is `column: value` lines under a path that ends with its key, so the next sync knows it again; only rows whose
text changed are indexed again. All rows are read at once and compared by hash, those that changed wait in a temporary file: the
database is free again before the first of them is indexed. The sources themselves are only ever read.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Literal

import msgspec

from ragchat.errors import IngestError, NotFoundError, UsageError
from ragchat.ingest.chunk import split
from ragchat.ingest.options import IngestOptions, SyncProgress
from ragchat.ingest.source import read_source, stored_path
from ragchat.retrieval import index
from ragchat.store.database import now
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.store.sources import Value, best_key, column_names, read_query
from ragchat.text import clean, clean_line, counted
from ragchat.types import CancelToken, ChunkDraft, Document, ExtractedText, RowSource

MEDIA_TYPE = "application/json"
"""Of a row's text: lines that belong together, which is how JSON is cut, too."""
LARGEST_CELL = 1_000_000
"""Characters of one value that are indexed; what is longer is cut."""
MOST_ROWS = 2_000_000
_LONGEST_KEY = 150
_BATCH_ROWS = 500
_BATCH_CHARS = 1_000_000
_LARGEST_C_INT = 2**31 - 1
_IN_MEMORY = 32 * 1024 * 1024
"""Bytes of changed rows above which they wait on the disk."""

Rows = Iterator[tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class RowsFinished:
    """One source was looked at. Invariant: rows found = indexed + unchanged + empty.

    `source.note` says what went wrong or what a user should know; after a failure all counts are 0 and the rows stay. `columns`
    are the names of the columns.
    """

    source: RowSource
    found: int = 0
    indexed: int = 0
    unchanged: int = 0
    empty: int = 0
    removed: int = 0
    failed: bool = False
    columns: tuple[str, ...] = ()


class _Row(msgspec.Struct, array_like=True):
    """A row on its way into the index."""

    path: str
    title: str
    text: str
    content_hash: str


# --- what a source is -----------------------------------------------------------------------------------


def new_source(
    store: KnowledgeStore,
    kind: Literal["sqlite", "csv"],
    path: Path,
    *,
    query: str = "",
    key: str = "",
    label: str = "",
    options: IngestOptions,
    cancel: CancelToken,
) -> RowSource:
    """Look at a table once and settle how it is called and what names its rows; nothing is stored.

    Without `key` the table's primary key does, else its first column if its values are unique, else a hash of the row. Raises
    NotFoundError, UsageError for a query or a column that does not work, IngestError.
    """
    real = Path(os.path.realpath(path))
    if stored_path(str(real)) != str(real):
        raise UsageError(f"The name {clean_line(stored_path(str(real)))} is not readable text.", "Rename it.")
    try:
        is_file = stat.S_ISREG(os.stat(real).st_mode)  # noqa: PTH116
    except OSError as error:
        raise NotFoundError(f"{clean_line(str(path))} {_unreachable(error)}.", "Check the path.") from error
    if not is_file:
        raise NotFoundError(f"{clean_line(str(path))} is not a file.", "Check the path.")
    if kind == "sqlite" and not query.strip():
        raise UsageError("A database needs a query.", 'Add --query "SELECT …".')
    known = [source for source in store.sources() if (source.kind, source.path) == (kind, str(real))]
    source = RowSource(kind, str(real), _label(kind, query, label, known), query.strip())
    same = next((one for one in known if (one.label, one.query) == (source.label, source.query)), None)
    if same and key.lower() in ("", same.key.lower()):
        return same
    columns: list[str] = []
    first_is_unique = False

    def look(names: Sequence[str], rows: Rows) -> None:
        nonlocal first_is_unique
        columns[:] = names
        first_is_unique = _is_unique(rows)

    _read(source, options, cancel, look)
    if key:
        return replace(source, key=_column(key, columns))
    best = best_key(real, source.query, columns) if kind == "sqlite" else ""
    return replace(source, key=best or (columns[0] if first_is_unique else ""))


def _label(kind: str, query: str, label: str, known: Sequence[RowSource]) -> str:
    """What tells the queries of one file apart: as it was named, else the table after FROM. A CSV file needs none."""
    if kind == "csv":
        return ""
    if label:
        return re.sub(r"[#?/\\]", "_", clean_line(label, limit=60))
    if same := next((source for source in known if source.query == query.strip()), None):
        return same.label
    table = re.search(r"\bfrom\s+[\"'`\[]?([\w.-]+)", query, re.IGNORECASE)
    base = name = table[1][:60] if table else "rows"
    taken = {source.label for source in known}
    number = 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def _column(key: str, columns: Sequence[str]) -> str:
    for column in columns:
        if column.lower() == key.lower():
            return column
    raise UsageError(f"There is no column {key!r}.", f"The columns are {', '.join(columns[:30])}.")


def _is_unique(rows: Rows) -> bool:
    """Whether the first values of all rows differ and none is empty. Reads all rows."""
    seen: set[str] = set()
    unique = True
    for row in rows:
        shown = _shown(row[0]) if row else ""
        unique = unique and bool(shown) and shown not in seen
        if unique:
            seen.add(shown)
    return unique and bool(seen)


# --- reading --------------------------------------------------------------------------------------------


def _read(
    source: RowSource,
    options: IngestOptions,
    cancel: CancelToken,
    take: Callable[[Sequence[str], Rows], None],
) -> None:
    """Hand column names and rows to `take`. Raises IngestError, UsageError, CancelledError."""
    if source.kind == "sqlite":
        read_query(
            Path(source.path), source.query, timeout_s=options.query_timeout_s, cancel=cancel, rows=take
        )
    else:
        take(*_read_csv(Path(source.path), options.max_file_bytes))


def _read_csv(path: Path, max_bytes: int) -> tuple[list[str], Rows]:
    """(names in the header, rows). Comma, semicolon, tab or bar: what the header holds most of. Raises IngestError."""
    from ragchat.ingest.encoding import decode

    try:
        text = decode(read_source(path, max_bytes))
    except IngestError as error:
        raise IngestError(f"{path}: {error}.", error.remedy) from error
    # A cell that is never closed reaches to the end of the file; what is too long of one is cut when it is shown.
    csv.field_size_limit(min(max(len(text), csv.field_size_limit()), _LARGEST_C_INT))
    head = text[: max(text.find("\n"), 0) or len(text)]
    delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else max(",;\t|", key=head.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = next((line for line in lines if any(cell.strip() for cell in line)), [])
    except csv.Error as error:
        raise IngestError(f"{path} is not a table: {error}.") from error
    if not header:
        raise IngestError(f"{path} has no header.", "The first line must contain the column names.")
    return column_names(header), _csv_rows(path, lines, len(header))


def _csv_rows(path: Path, lines: Iterator[list[str]], width: int) -> Rows:
    try:
        for line in lines:
            if any(line):
                # What a line holds beyond the header is kept with its last column.
                cells = line if len(line) <= width else [*line[: width - 1], " ".join(line[width - 1 :])]
                yield tuple(cells)
    except csv.Error as error:
        raise IngestError(f"{path} is not a table: {error}.") from error


# --- a row as a document --------------------------------------------------------------------------------


def _shown(value: Value) -> str:
    """A value as it is searched; NULL and binary values are nothing."""
    if isinstance(value, str):
        return clean(value[:LARGEST_CELL]).strip()
    if isinstance(value, float):
        return format(value, ".15g")
    return str(value) if isinstance(value, int) else ""


def row_text(columns: Sequence[str], row: Sequence[Value]) -> tuple[str, str]:
    """(title, text) of a row: a line for each value, and as title the first that holds a letter."""
    title, lines = "", []
    for column, value in zip(columns, row, strict=False):
        if shown := _shown(value):
            lines.append(f"{column}: {shown}")
            if not title and isinstance(value, str) and any(map(str.isalpha, shown[:200])):
                title = clean_line(shown, limit=200)
    return title, "\n".join(lines)


def _key_text(value: Value, content_hash: str) -> str:
    """A key as it is in a path; what would be cut or cleaned gets a hash, so that it stays unique."""
    shown = _shown(value)
    if not shown:
        return content_hash[:16]
    key = clean_line(shown, limit=_LONGEST_KEY)
    exact = key == (value if isinstance(value, str) else shown)
    return key if exact else f"{key}~{hashlib.sha256(str(value).encode('utf-8', 'replace')).hexdigest()[:8]}"


def _free_name(key: str, taken: dict[str, int]) -> str:
    """`key`, or with a number that makes it another: two rows of the same key are two documents. `taken` counts names given."""
    name = key
    while name in taken:
        taken[key] += 1
        name = f"{key}~{taken[key]}"
    taken[name] = 1
    return name


@dataclass(slots=True)
class _Reading:
    """All rows of a source, held against what is indexed: what changed goes to `changed`, `gone` keeps the rest."""

    source: RowSource
    known: dict[str, Document]
    forgotten: frozenset[str]
    changed: SpooledTemporaryFile[bytes]
    again: bool = False
    gone: dict[str, Document] = field(default_factory=dict)
    found: int = 0
    unchanged: int = 0
    empty: int = 0
    repeated: int = 0
    sample: str = ""
    columns: tuple[str, ...] = ()

    def take(self, columns: Sequence[str], rows: Rows) -> None:
        """Read all rows; may be called again, and then begins again."""
        self.gone, self.sample, self.columns = dict(self.known), "", tuple(columns)
        self.found = self.unchanged = self.empty = self.repeated = 0
        self.changed.seek(0)
        self.changed.truncate()
        taken: dict[str, int] = {}
        position = columns.index(_column(self.source.key, columns)) if self.source.key else -1
        for row in rows:
            if self.found == MOST_ROWS:
                raise IngestError(
                    f"{self.source.path} contains more than {MOST_ROWS:,} rows.", "Narrow the query."
                )
            self.found += 1
            title, text = row_text(columns, row)
            if not text:
                self.empty += 1
                continue
            content_hash = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
            key = _key_text(row[position] if 0 <= position < len(row) else None, content_hash)
            name = _free_name(key, taken)
            self.repeated += name != key
            self._sort(_Row(self.source.prefix + name, title, text, content_hash))

    def _sort(self, row: _Row) -> None:
        if row.path in self.forgotten:
            self.empty += 1
            return
        known = self.gone.pop(row.path, None)
        same = known and known.state == "indexed" and known.content_hash == row.content_hash
        if same and not self.again:
            self.unchanged += 1
            return
        if len(self.sample) < 4000:
            self.sample += row.text + "\n"
        frame = msgspec.msgpack.encode(row)
        self.changed.write(len(frame).to_bytes(4, "big") + frame)

    def rows(self) -> Iterator[_Row]:
        """What changed, in the order of the source."""
        self.changed.seek(0)
        decoder = msgspec.msgpack.Decoder(_Row)
        while size := self.changed.read(4):
            yield decoder.decode(self.changed.read(int.from_bytes(size, "big")))

    @property
    def note(self) -> str:
        if not self.source.key and self.found:
            return "no column identifies its rows, so a changed row counts as a new one; choose one with --key COLUMN"
        return f"{counted(self.repeated, 'row')} with the key of another row" if self.repeated else ""


# --- sync -----------------------------------------------------------------------------------------------


def sync_rows(
    store: KnowledgeStore,
    source: RowSource,
    options: IngestOptions,
    *,
    cancel: CancelToken,
    again: bool = False,
) -> Iterator[SyncProgress | RowsFinished]:
    """Bring the documents of one source up to date; ends with RowsFinished unless it raises.

    `again`: unchanged ones, too. A source that cannot be read keeps its rows, and its note says why.
    Raises CancelledError, StorageError.
    """
    started = time.monotonic()
    with SpooledTemporaryFile(max_size=_IN_MEMORY) as changed:
        known = {document.path: document for document in store.documents_below(source.prefix)}
        reading = _Reading(source, known, frozenset(store.options().forgotten), changed, again)
        try:
            mtime_ns = os.stat(source.path).st_mtime_ns  # noqa: PTH116
            _read(source, options, cancel, reading.take)
        except (IngestError, UsageError, OSError) as error:
            yield RowsFinished(_noted(store, source, _sentence(source, error)), failed=True)
            return
        indexed, goes_on = 0, True
        for batch in _batches(reading, options, mtime_ns):
            goes_on = not cancel.cancelled and _write(store, source, batch)
            if not goes_on:
                break
            indexed += len(batch)
            yield _progress(source, reading, indexed, time.monotonic() - started)
        removed = 0
        if goes_on and not cancel.cancelled:
            removed = _remove(store, list(reading.gone.values()))
            source = _noted(store, replace(source, synced_at=now()), reading.note)
    if indexed or removed:
        index.merge_segments(store)
    yield RowsFinished(
        source,
        found=reading.found,
        indexed=indexed,
        unchanged=reading.unchanged,
        empty=reading.empty,
        removed=removed,
        columns=reading.columns,
    )


def _sentence(source: RowSource, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{clean_line(source.path)} {_unreachable(error)}; its rows stay as they are"
    return clean_line(str(error))


def _unreachable(error: OSError) -> str:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "does not exist"
    return f"cannot be reached ({clean_line(error.strerror or str(error))})"


def _noted(store: KnowledgeStore, source: RowSource, note: str) -> RowSource:
    noted = replace(source, note=note)
    with store.writing():
        if _is_stored(store, source):
            store.put_source(noted)
    return noted


def _is_stored(store: KnowledgeStore, source: RowSource) -> bool:
    """Whether the knowledge base still reads this table: another process may have forgotten it."""
    return any(
        (known.prefix, known.query, known.key) == (source.prefix, source.query, source.key)
        for known in store.sources()
    )


def _write(
    store: KnowledgeStore, source: RowSource, batch: Sequence[tuple[FileRecord, list[ChunkDraft]]]
) -> bool:
    """Index rows, unless they or their table were forgotten since they were read; whether the table still counts."""
    with store.writing():
        if not _is_stored(store, source):
            return False
        forgotten = frozenset(store.options().forgotten)
        if kept := [(file, chunks) for file, chunks in batch if file.path not in forgotten]:
            index.write_documents(store, kept)
    return True


def _batches(
    reading: _Reading, options: IngestOptions, mtime_ns: int
) -> Iterator[list[tuple[FileRecord, list[ChunkDraft]]]]:
    """The changed rows with their chunks, as many at once as one transaction should hold."""
    from ragchat.retrieval.analyzer import detect

    language = detect(reading.sample) or "en"
    batch: list[tuple[FileRecord, list[ChunkDraft]]] = []
    chars = 0
    for row in reading.rows():
        chunks = split(
            ExtractedText(row.text, MEDIA_TYPE, row.title),
            chunk_tokens=options.chunk_tokens,
            overlap_tokens=options.overlap_tokens,
        )
        record = FileRecord(
            path=row.path,
            size=len(row.text.encode("utf-8", "replace")),
            mtime_ns=mtime_ns,
            content_hash=row.content_hash,
            title=row.title,
            media_type=MEDIA_TYPE,
            language=language,
        )
        batch.append((record, chunks))
        chars += len(row.text)
        if len(batch) == _BATCH_ROWS or chars > _BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _remove(store: KnowledgeStore, gone: Sequence[Document]) -> int:
    for first in range(0, len(gone), _BATCH_ROWS):
        with store.writing():
            for document in gone[first : first + _BATCH_ROWS]:
                with contextlib.suppress(NotFoundError):  # another process was faster
                    index.remove_document(store, document.id)
    return len(gone)


def remove_source(store: KnowledgeStore, source: RowSource) -> int:
    """Take a source and its rows out; how many rows there were."""
    store.remove_source(source)
    return _remove(store, store.documents_below(source.prefix))


def _progress(source: RowSource, reading: _Reading, indexed: int, passed_s: float) -> SyncProgress:
    total = reading.found - reading.empty
    rate = indexed / passed_s if passed_s > 0 else 0.0
    left = total - reading.unchanged - indexed
    return SyncProgress(
        done=reading.unchanged + indexed,
        total=total,
        path=clean_line(source.prefix.rstrip("#")),
        indexed=reading.unchanged + indexed,
        skipped=0,
        failed=0,
        files_per_s=rate,
        eta_s=left / rate if rate else None,
    )
