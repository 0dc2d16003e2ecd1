"""`kb/NAME.db`: one knowledge base in one file: documents, chunks with their offsets, and the BM25 index.

Rebuildable and portable, hence synchronous=NORMAL. The inverted index is `terms` (term, df), `postings` ((term, segment) ->
blob), `segments` (chunk lengths) and `tombstones`; what the blobs mean is the business of `retrieval.postings`.
Chunk numbers only grow and are never used again; a segment covers one stretch of them, segments never overlap.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragchat.errors import NotFoundError, StorageError, UsageError
from ragchat.store.database import (
    connect,
    connect_existing,
    explained,
    fetch,
    immediate,
    migrate,
    now,
    snapshot,
    span_of,
)
from ragchat.types import ChunkDraft, Document, DocumentState, Hit, KnowledgeBaseStatus

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

LATEST = 1
_NAME = re.compile(r"[\w][\w.-]{0,63}", re.ASCII)
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Not file names on Windows, where a knowledge base may be copied to."""


def migrations() -> Migrations:
    """All schema changes of a knowledge base, oldest first; only ever appended to."""
    from sqlite_utils import Migrations

    kb_migrations = Migrations("ragchat.knowledge")

    @kb_migrations(name="0001_documents_chunks_index")  # type: ignore[untyped-decorator]
    def _first(db: Database) -> None:
        db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID")
        db.table("roots").create({"path": str, "added_at": str}, pk="path")
        db.table("documents").create(
            {
                "id": int,
                "path": str,
                "state": str,
                "reason": str,
                "title": str,
                "media_type": str,
                "size": int,
                "mtime_ns": int,
                "content_hash": str,
                "source_lines": int,
                "chunk_count": int,
                "indexed_at": str,
            },
            pk="id",
            not_null={"path", "state"},
        )
        db.table("documents").create_index(["path"], unique=True)
        db.table("documents").create_index(["content_hash"])
        db.table("chunks").create(
            {
                "id": int,
                "document_id": int,
                "ordinal": int,
                "heading": str,
                "text": str,
                "char_first": int,
                "char_last": int,
                "line_first": int,
                "line_last": int,
                "page_first": int,
                "page_last": int,
            },
            pk="id",
            foreign_keys=[("document_id", "documents", "id")],
        )
        db.table("chunks").create_index(["document_id", "ordinal"])
        db.table("segments").create(
            {
                "id": int,
                "level": int,
                "first_chunk": int,
                "chunk_span": int,  # chunk numbers covered, holes included
                "lengths": bytes,  # uint16 per chunk number: terms in the chunk
            },
            pk="id",
        )
        db.table("segments").create_index(["level"])
        db.execute(
            "CREATE TABLE terms (id INTEGER PRIMARY KEY, term TEXT NOT NULL UNIQUE, df INTEGER NOT NULL)"
        )
        db.execute(
            "CREATE TABLE postings (term_id INTEGER NOT NULL, segment_id INTEGER NOT NULL, df INTEGER NOT NULL,"
            " entries BLOB NOT NULL, PRIMARY KEY (term_id, segment_id)) WITHOUT ROWID"
        )
        db.execute("CREATE INDEX postings_segment ON postings (segment_id)")
        db.execute("CREATE TABLE tombstones (chunk_id INTEGER PRIMARY KEY)")

    return kb_migrations


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What is kept of a file besides its chunks."""

    path: str
    size: int
    mtime_ns: int
    content_hash: str = ""
    title: str = ""
    media_type: str = ""
    source_lines: bool = False


@dataclass(frozen=True, slots=True)
class SegmentDraft:
    """Postings of the chunks of one document. `postings` maps a term to (df, entries); chunk numbers count from 0.

    `lengths` holds a uint16 per chunk, `total_length` their sum.
    """

    lengths: bytes
    total_length: int
    postings: Mapping[str, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored segment: `lengths` holds a uint16 for each chunk number from `first_chunk` on."""

    id: int
    level: int
    first_chunk: int
    chunk_span: int
    lengths: bytes


@dataclass(frozen=True, slots=True)
class PostingsRow:
    """The postings of one term in one segment; `entries` is decoded by `retrieval.postings`."""

    term_id: int
    segment_id: int
    df: int
    entries: bytes


@dataclass(frozen=True, slots=True)
class IndexStatistics:
    """What scoring needs of the whole: live chunks and the sum of their lengths in terms."""

    chunk_count: int
    total_length: int
    revision: int


class KnowledgeStore:
    """One knowledge base. One instance per thread; any number of readers beside one writer."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        self.name = path.stem

    @classmethod
    def create(cls, folder: Path, name: str) -> KnowledgeStore:
        """Open or make the knowledge base `name`. Raises UsageError on a name that is no plain word, StorageError."""
        check_name(name)
        path = folder / f"{name}.db"
        return cls._migrated(connect(path, synchronous="NORMAL"), path)

    @classmethod
    def open(cls, folder: Path, name: str) -> KnowledgeStore:
        """Open an existing knowledge base, on a read-only medium for searching alone. Raises NotFoundError, StorageError."""
        path = folder / f"{name}.db"
        if not _NAME.fullmatch(name) or not path.is_file():
            raise NotFoundError(
                f"There is no knowledge base {name!r}.",
                f"`ragchat kb list` shows all; `ragchat kb add {name} FOLDER` makes it.",
            )
        return cls._migrated(connect_existing(path, synchronous="NORMAL"), path)

    @classmethod
    def _migrated(cls, connection: sqlite3.Connection, path: Path) -> KnowledgeStore:
        try:
            if fetch(connection, "PRAGMA user_version")[0][0] != LATEST:
                migrate(connection, migrations(), LATEST)
        except BaseException:
            connection.close()
            raise
        return cls(connection, path)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> KnowledgeStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- roots and files ----------------------------------------------------------------------------

    def roots(self) -> tuple[Path, ...]:
        """The files and folders that a sync looks at."""
        return tuple(Path(row["path"]) for row in self._fetch("SELECT path FROM roots ORDER BY path"))

    def add_roots(self, paths: Iterable[Path]) -> None:
        with immediate(self._connection) as db:
            db.executemany(
                "INSERT OR IGNORE INTO roots VALUES (?, ?)", [(str(path), now()) for path in paths]
            )

    def documents(self) -> list[Document]:
        """Every file that is known, in the order of its path."""
        return [_document(row) for row in self._fetch("SELECT * FROM documents ORDER BY path")]

    def document(self, document_id: int) -> Document:
        """Raises NotFoundError."""
        rows = self._fetch("SELECT * FROM documents WHERE id = ?", (document_id,))
        if not rows:
            raise NotFoundError("This document is no longer in the knowledge base.", "Sync or ask again.")
        return _document(rows[0])

    def document_at(self, path: str) -> Document | None:
        rows = self._fetch("SELECT * FROM documents WHERE path = ?", (path,))
        return _document(rows[0]) if rows else None

    def document_text(self, document_id: int) -> str:
        """The text as it was indexed, put together from its chunks; white space between chunks becomes newlines or blanks."""
        parts: list[str] = []
        end, line = 0, 1
        for row in self._fetch("SELECT * FROM chunks WHERE document_id = ? ORDER BY ordinal", (document_id,)):
            gap = row["char_first"] - end
            if gap > 0:
                newlines = min(gap, max(0, row["line_first"] - line))
                parts.append("\n" * newlines + " " * (gap - newlines))
                parts.append(row["text"])
            else:
                parts.append(row["text"][-gap:] if gap else row["text"])
            if row["char_last"] > end:
                end, line = row["char_last"], row["line_last"]
        return "".join(parts)

    # --- writing: one transaction per document --------------------------------------------------------

    def write_document(self, file: FileRecord, chunks: Sequence[ChunkDraft], segment: SegmentDraft) -> int:
        """Put a document and its postings in, in one transaction; its number. An earlier version must be removed first."""
        with immediate(self._connection) as db:
            first_chunk = int(self._meta("next_chunk", 1))
            cursor = db.execute(
                "INSERT INTO documents (path, state, reason, title, media_type, size, mtime_ns, content_hash, source_lines,"
                " chunk_count, indexed_at) VALUES (?, 'indexed', '', ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(file.path, file.title, file.media_type, file.size, file.mtime_ns, file.content_hash),
                    *(int(file.source_lines), len(chunks), now()),
                ),
            )
            document_id = int(cursor.lastrowid or 0)
            db.executemany(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        *(first_chunk + i, document_id, i, chunk.heading, chunk.text),
                        *(
                            chunk.span.char_first,
                            chunk.span.char_last,
                            chunk.span.line_first,
                            chunk.span.line_last,
                        ),
                        *(chunk.span.page_first, chunk.span.page_last),
                    )
                    for i, chunk in enumerate(chunks)
                ),
            )
            if chunks:
                self._insert_postings(first_chunk, len(chunks), segment)
            self._set_meta("next_chunk", first_chunk + len(chunks))
            self._count(len(chunks), segment.total_length)
        return document_id

    def _insert_postings(self, first_chunk: int, chunk_count: int, segment: SegmentDraft) -> None:
        segment_id = self._insert_segment(0, first_chunk, chunk_count, segment.lengths)
        self._connection.executemany(
            "INSERT INTO terms (term, df) VALUES (?, ?) ON CONFLICT (term) DO UPDATE SET df = df + excluded.df",
            ((term, df) for term, (df, _) in segment.postings.items()),
        )
        self._connection.executemany(
            "INSERT INTO postings SELECT id, ?, ?, ? FROM terms WHERE term = ?",
            ((segment_id, df, entries, term) for term, (df, entries) in segment.postings.items()),
        )

    def record_file(self, file: FileRecord, state: DocumentState, reason: str) -> None:
        """Note a file that is not indexed, with the reason. An earlier version must be removed first."""
        with immediate(self._connection) as db:
            db.execute(
                "INSERT INTO documents (path, state, reason, title, media_type, size, mtime_ns, content_hash, source_lines,"
                " chunk_count, indexed_at) VALUES (?, ?, ?, '', ?, ?, ?, ?, 0, 0, ?)",
                (
                    file.path,
                    state,
                    reason,
                    file.media_type,
                    file.size,
                    file.mtime_ns,
                    file.content_hash,
                    now(),
                ),
            )

    def remove_document(self, document_id: int, postings_df: Mapping[str, int], total_length: int) -> None:
        """Take a document out. `postings_df` says in how many of its chunks each term stands, `total_length` their terms."""
        with immediate(self._connection) as db:
            chunk_ids = [
                row[0]
                for row in db.execute(
                    "SELECT id FROM chunks WHERE document_id = ? ORDER BY id", (document_id,)
                )
            ]
            if chunk_ids:
                db.executemany(
                    "UPDATE terms SET df = df - ? WHERE term = ?",
                    ((n, term) for term, n in postings_df.items()),
                )
                db.execute("DELETE FROM chunks WHERE document_id = ?", (document_id,))
                self._bury(chunk_ids)
                self._count(-len(chunk_ids), -total_length)
            db.execute("DELETE FROM documents WHERE id = ?", (document_id,))

    def touch_document(self, document_id: int, path: str, size: int, mtime_ns: int) -> None:
        """The file was renamed or its time changed; its content did not."""
        with immediate(self._connection) as db:
            db.execute(
                "UPDATE documents SET path = ?, size = ?, mtime_ns = ? WHERE id = ?",
                (path, size, mtime_ns, document_id),
            )

    def chunk_texts(self, document_id: int) -> list[str]:
        """Heading and text of each chunk of a document, as they were indexed."""
        rows = self._fetch(
            "SELECT heading, text FROM chunks WHERE document_id = ? ORDER BY ordinal", (document_id,)
        )
        return [indexed_text(row["heading"], row["text"]) for row in rows]

    def _bury(self, chunk_ids: Sequence[int]) -> None:
        """Tombstone the chunks of one document, which are deleted already; a segment that has nothing left goes whole."""
        db = self._connection
        row = db.execute(
            "SELECT * FROM segments WHERE first_chunk <= ? ORDER BY first_chunk DESC LIMIT 1", (chunk_ids[0],)
        ).fetchone()
        first, last = row["first_chunk"], row["first_chunk"] + row["chunk_span"] - 1
        if db.execute("SELECT 1 FROM chunks WHERE id BETWEEN ? AND ? LIMIT 1", (first, last)).fetchone():
            db.executemany("INSERT INTO tombstones VALUES (?)", ((chunk_id,) for chunk_id in chunk_ids))
        else:
            self._drop_segments([row["id"]])
            db.execute("DELETE FROM tombstones WHERE chunk_id BETWEEN ? AND ?", (first, last))

    def _drop_segments(self, segment_ids: Sequence[int]) -> None:
        listed = (json.dumps(list(segment_ids)),)
        self._connection.execute(f"DELETE FROM postings WHERE segment_id IN {_LISTED}", listed)
        self._connection.execute(f"DELETE FROM segments WHERE id IN {_LISTED}", listed)

    def _insert_segment(self, level: int, first_chunk: int, chunk_span: int, lengths: bytes) -> int:
        cursor = self._connection.execute(
            "INSERT INTO segments (level, first_chunk, chunk_span, lengths) VALUES (?, ?, ?, ?)",
            (level, first_chunk, chunk_span, lengths),
        )
        return int(cursor.lastrowid or 0)

    def _count(self, chunks: int, length: int) -> None:
        self._set_meta("chunk_count", int(self._meta("chunk_count", 0)) + chunks)
        self._set_meta("total_length", int(self._meta("total_length", 0)) + length)
        self._set_meta("revision", int(self._meta("revision", 0)) + 1)

    # --- merging --------------------------------------------------------------------------------------

    def level_to_merge(self, fan_out: int) -> int | None:
        """The lowest level that holds at least `fan_out` segments."""
        rows = self._fetch(
            "SELECT level FROM segments GROUP BY level HAVING count(*) >= ? ORDER BY level LIMIT 1",
            (fan_out,),
        )
        return rows[0]["level"] if rows else None

    def segments(self, level: int | None = None) -> list[Segment]:
        """Segments in the order of their chunks."""
        where = "" if level is None else f"WHERE level = {level:d}"
        rows = self._fetch(f"SELECT * FROM segments {where} ORDER BY first_chunk")
        return [
            Segment(row["id"], row["level"], row["first_chunk"], row["chunk_span"], row["lengths"])
            for row in rows
        ]

    def postings_of_segments(self, segment_ids: Sequence[int]) -> Iterable[PostingsRow]:
        """All postings of some segments, by term. Call inside `writing()`."""
        query = f"SELECT * FROM postings WHERE segment_id IN {_LISTED} ORDER BY term_id, segment_id"
        for row in self._connection.execute(query, (json.dumps(list(segment_ids)),)):
            yield PostingsRow(*row)

    def replace_segments(
        self,
        old: Sequence[Segment],
        *,
        level: int,
        lengths: bytes,
        postings: Iterable[tuple[int, int, bytes]],
    ) -> None:
        """Put one segment in the place of `old`; `postings` are (term_id, df, entries). Call inside `writing()`."""
        first = old[0].first_chunk
        span = old[-1].first_chunk + old[-1].chunk_span - first
        rows = list(postings)
        self._drop_segments([segment.id for segment in old])
        segment_id = self._insert_segment(level, first, span, lengths)
        self._connection.executemany(
            "INSERT INTO postings VALUES (?, ?, ?, ?)",
            ((term_id, segment_id, df, entries) for term_id, df, entries in rows),
        )
        self._connection.execute(
            "DELETE FROM tombstones WHERE chunk_id BETWEEN ? AND ?", (first, first + span - 1)
        )
        self._set_meta("revision", int(self._meta("revision", 0)) + 1)

    def writing(self) -> AbstractContextManager[object]:
        """One write transaction around several calls."""
        return immediate(self._connection)

    def indexed_documents(self) -> Iterator[tuple[int, list[str]]]:
        """First chunk number and the searched text of each chunk, for every indexed document, in the order of chunks."""
        rows = self._connection.execute("SELECT id, document_id, heading, text FROM chunks ORDER BY id")
        for _, group in groupby(rows, key=lambda row: row["document_id"]):
            first, *rest = group
            yield first["id"], [indexed_text(row["heading"], row["text"]) for row in (first, *rest)]

    def empty_index(self) -> None:
        """Forget terms, postings and segments; documents and chunks stay. Call inside `writing()`."""
        for table in ("postings", "segments", "terms", "tombstones"):
            self._connection.execute(f"DELETE FROM {table}")
        self._count(-int(self._meta("chunk_count", 0)), -int(self._meta("total_length", 0)))

    def add_segment(self, first_chunk: int, chunk_count: int, segment: SegmentDraft) -> None:
        """Put the postings of stored chunks in. Call inside `writing()`."""
        self._insert_postings(first_chunk, chunk_count, segment)
        self._count(chunk_count, segment.total_length)

    # --- reading ----------------------------------------------------------------------------------------

    def reading(self) -> AbstractContextManager[object]:
        """One moment of the database around several reads."""
        return snapshot(self._connection)

    def statistics(self) -> IndexStatistics:
        return IndexStatistics(
            int(self._meta("chunk_count", 0)),
            int(self._meta("total_length", 0)),
            int(self._meta("revision", 0)),
        )

    def term_dfs(self, terms: Sequence[str]) -> dict[str, tuple[int, int]]:
        """(term id, df) of the terms that the index holds."""
        rows = self._fetch(
            f"SELECT term, id, df FROM terms WHERE term IN {_LISTED} AND df > 0", (json.dumps(list(terms)),)
        )
        return {row["term"]: (row["id"], row["df"]) for row in rows}

    def postings(self, term_ids: Sequence[int]) -> list[PostingsRow]:
        """All postings of some terms."""
        rows = self._fetch(
            f"SELECT * FROM postings WHERE term_id IN {_LISTED}", (json.dumps(list(term_ids)),)
        )
        return [PostingsRow(*row) for row in rows]

    def tombstones(self) -> list[int]:
        """Numbers of chunks that were removed and still stand in a segment, ascending."""
        return [row[0] for row in self._fetch("SELECT chunk_id FROM tombstones ORDER BY chunk_id")]

    def hits(self, scored: Sequence[tuple[int, float]]) -> list[Hit]:
        """The chunks of (chunk number, score) pairs, in their order, ranks from 1."""
        rows = {
            row["id"]: row
            for row in self._fetch(
                "SELECT c.*, d.path, d.title, d.content_hash FROM chunks c JOIN documents d ON d.id = c.document_id"
                f" WHERE c.id IN {_LISTED}",
                (json.dumps([chunk_id for chunk_id, _ in scored]),),
            )
        }
        return [
            self._hit(rank, score, rows[chunk_id])
            for rank, (chunk_id, score) in enumerate((pair for pair in scored if pair[0] in rows), 1)
        ]

    def _hit(self, rank: int, score: float, row: sqlite3.Row) -> Hit:
        return Hit(
            rank=rank,
            score=score,
            knowledge_base=self.name,
            chunk_id=row["id"],
            document_id=row["document_id"],
            path=row["path"],
            title=row["title"] or "",
            heading=row["heading"] or "",
            span=span_of(row),
            text=row["text"],
            content_hash=row["content_hash"],
        )

    # --- status -----------------------------------------------------------------------------------------

    def status(self, *, documents: bool = False) -> KnowledgeBaseStatus:
        """Counts, and with `documents` every file with its state and reason."""
        with snapshot(self._connection):
            counts = dict(map(tuple, self._fetch("SELECT state, count(*) FROM documents GROUP BY state")))
            statistics = self.statistics()
            indexed, skipped, failed = (counts.get(state, 0) for state in ("indexed", "skipped", "failed"))
            return KnowledgeBaseStatus(
                name=self.name,
                path=str(self.path),
                roots=tuple(str(root) for root in self.roots()),
                found=indexed + skipped + failed,
                indexed=indexed,
                skipped=skipped,
                failed=failed,
                missing=0,
                chunks=statistics.chunk_count,
                revision=statistics.revision,
                size_bytes=self.path.stat().st_size,
                synced_at=str(self._meta("synced_at", "")),
                documents=tuple(self.documents()) if documents else (),
            )

    def mark_synced(self) -> None:
        """Note that a sync has seen every root."""
        with immediate(self._connection):
            self._set_meta("synced_at", now())

    def analyzer_version(self) -> str:
        """Which analysis the index was built with; empty for a new one."""
        return str(self._meta("analyzer", ""))

    def set_analyzer_version(self, version: str) -> None:
        if self.analyzer_version() != version:
            with immediate(self._connection):
                self._set_meta("analyzer", version)

    def data_version(self) -> tuple[int, int]:
        """Changes when anyone commits: other connections (SQLite's counter) or this one (its own)."""
        (others,) = self._fetch("PRAGMA data_version")[0]
        return others, self._connection.total_changes

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file, so that the file alone can be copied."""
        with explained(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute("PRAGMA optimize")

    def check(self) -> str:
        """SQLite's own integrity check: "ok" or what is wrong."""
        return str(self._fetch("PRAGMA quick_check")[0][0])

    def _fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        return fetch(self._connection, sql, parameters)

    def _meta(self, key: str, default: Any) -> Any:
        rows = self._fetch("SELECT value FROM meta WHERE key = ?", (key,))
        return rows[0][0] if rows else default

    def _set_meta(self, key: str, value: object) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


_LISTED = "(SELECT value FROM json_each(?))"
"""A list of any length as one parameter: SQLite takes no more than some thousands of `?`."""


def indexed_text(heading: str, text: str) -> str:
    """What of a chunk is searched: its heading path and its text."""
    return f"{heading}\n{text}" if heading else text


def check_name(name: str) -> None:
    """Raises UsageError unless `name` can be a file name everywhere."""
    if not _NAME.fullmatch(name) or name.endswith(".") or _DEVICE.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a knowledge base.",
            "Use letters, digits, `-`, `_` and `.`, at most 64, starting with a letter or digit.",
        )


def knowledge_base_names(folder: Path) -> list[str]:
    """All knowledge bases in `folder`, sorted."""
    return (
        sorted(path.stem for path in folder.glob("*.db") if _NAME.fullmatch(path.stem))
        if folder.is_dir()
        else []
    )


def remove_knowledge_base(folder: Path, name: str) -> None:
    """Delete the index of `name` and its backups; the documents are not touched. Raises NotFoundError, StorageError."""
    path = folder / f"{name}.db"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise NotFoundError(f"There is no knowledge base {name!r}.", "`ragchat kb list` shows all.")
    try:
        for file in (
            *folder.glob(f"{path.name}.schema-*"),
            *(Path(f"{path}{end}") for end in ("-wal", "-shm", "")),
        ):
            file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be removed: {error.strerror}.") from error


def _document(row: sqlite3.Row) -> Document:
    return Document(
        id=row["id"],
        path=row["path"],
        state=row["state"],
        reason=row["reason"] or "",
        title=row["title"] or "",
        media_type=row["media_type"] or "",
        size=row["size"] or 0,
        mtime_ns=row["mtime_ns"] or 0,
        content_hash=row["content_hash"] or "",
        chunk_count=row["chunk_count"] or 0,
        source_lines=bool(row["source_lines"]),
        indexed_at=row["indexed_at"] or "",
    )
