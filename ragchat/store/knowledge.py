"""`kb/NAME.db`: one knowledge base in one file: documents, chunks with their offsets, and the BM25 index.

Rebuildable and portable, hence synchronous=NORMAL. The inverted index has tables of its own (`store.inverted`).
Chunk numbers only grow and are never used again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, astuple, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragchat.errors import NotFoundError, StorageError, UsageError
from ragchat.store import inverted
from ragchat.store.database import (
    BUSY_TIMEOUT_S,
    PLACE_COLUMNS,
    SPAN_COLUMNS,
    connect,
    connect_existing,
    explained,
    fetch,
    immediate,
    migrate,
    now,
    snapshot,
    span_from,
    span_of,
    span_row,
)
from ragchat.store.inverted import EncodedSegment
from ragchat.store.vectors import SCHEMA as VECTORS_SCHEMA
from ragchat.store.vectors import VectorTables
from ragchat.text import clean_line
from ragchat.types import (
    ChunkDraft,
    Document,
    DocumentState,
    Hit,
    KnowledgeBaseOptions,
    KnowledgeBaseStatus,
    LeftOut,
    LeftOutKind,
    RowSource,
)

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

LATEST = 7
APPLICATION_ID = 0x52414743
""""RAGC" in the header of the file: what it is, whatever its name."""
NOT_INDEXED = "none"
"""In the place of the version of the analysis: the index is to be built."""
_PAGES_GIVEN_BACK = 4096
"""After merges, to the disk, at the end of each sync."""
PAGE_BYTES = 16384
"""Several pieces of long posting lists to a page, so that little of it is wasted."""
_NAME = re.compile(r"[\w][\w.-]{0,63}", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{3}(_[a-z]{2,8}){0,2}", re.ASCII)
"""As Tesseract names languages: it becomes the name of a file."""
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Not file names on Windows, where a knowledge base may be copied to."""


def migrations() -> Migrations:  # noqa: C901
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

    @kb_migrations(name="0002_segments_of_many_documents")  # type: ignore[untyped-decorator]
    def _second(db: Database) -> None:
        for table in ("postings", "segments", "terms", "tombstones"):
            db.execute(f"DROP TABLE {table}")
        for statement in inverted.SCHEMA.split(";"):
            db.execute(statement)
        db.execute("ALTER TABLE documents ADD COLUMN language TEXT NOT NULL DEFAULT 'en'")
        db.execute("ALTER TABLE documents ADD COLUMN name TEXT NOT NULL DEFAULT ''")  # as it was indexed
        db.execute("UPDATE meta SET value = 0 WHERE key IN ('chunk_count', 'total_length')")
        db.execute("UPDATE meta SET value = 'none' WHERE key = 'analyzer'")  # its index is to be built anew

    @kb_migrations(name="0003_sources")  # type: ignore[untyped-decorator]
    def _third(db: Database) -> None:
        db.table("sources").create(
            {
                "kind": str,
                "path": str,
                "label": str,
                "query": str,
                "key": str,
                "synced_at": str,
                "note": str,
            },
            pk=("kind", "path", "label"),
        )
        db.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")

    @kb_migrations(name="0004_languages_without_reading_documents")  # type: ignore[untyped-decorator]
    def _fourth(db: Database) -> None:
        db.table("documents").create_index(["state", "language", "chunk_count"])

    @kb_migrations(name="0005_places_and_what_was_left_out")  # type: ignore[untyped-decorator]
    def _fifth(db: Database) -> None:
        for statement in PLACE_COLUMNS:
            db.execute(f"ALTER TABLE chunks ADD COLUMN {statement}")
        db.execute("ALTER TABLE documents ADD COLUMN left_out TEXT NOT NULL DEFAULT '[]'")
        db.execute("ALTER TABLE documents ADD COLUMN readers INTEGER NOT NULL DEFAULT 1")

    @kb_migrations(name="0006_pages_read_by_ocr")  # type: ignore[untyped-decorator]
    def _sixth(db: Database) -> None:
        db.execute(
            "CREATE TABLE ocr_pages (content_hash TEXT NOT NULL, languages TEXT NOT NULL, number INTEGER NOT NULL,"
            " text TEXT NOT NULL, confidence REAL NOT NULL, PRIMARY KEY (content_hash, languages, number)) WITHOUT ROWID"
        )
        db.execute("ALTER TABLE documents ADD COLUMN ocr TEXT NOT NULL DEFAULT ''")

    @kb_migrations(name="0007_vectors")  # type: ignore[untyped-decorator]
    def _seventh(db: Database) -> None:
        for statement in VECTORS_SCHEMA.split(";"):
            db.execute(statement)

    return kb_migrations


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What is kept of a file besides its chunks.

    `ocr`: the languages in which its pictures were read, if it may hold any. `readers`: which version of the readers read it.
    """

    path: str
    size: int
    mtime_ns: int
    content_hash: str = ""
    title: str = ""
    media_type: str = ""
    source_lines: bool = False
    language: str = "en"
    left_out: tuple[LeftOut, ...] = ()
    ocr: str = ""
    readers: int = 0

    @property
    def name(self) -> str:
        """The file name without folders and without its suffix, as it is searched."""
        return file_stem(self.path)


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
        self.index = inverted.InvertedTables(connection)
        self.vectors = VectorTables(connection)

    @classmethod
    def create(cls, folder: Path, name: str) -> KnowledgeStore:
        """Open or make the knowledge base `name`. Raises UsageError on a name that is no plain word, StorageError."""
        check_name(name)
        path = folder / f"{name}.db"
        return cls._migrated(connect(path, synchronous="NORMAL", page_bytes=PAGE_BYTES), path)

    @classmethod
    def open(cls, folder: Path, name: str) -> KnowledgeStore:
        """Open an existing knowledge base, on a read-only medium for searching alone. Raises NotFoundError, StorageError."""
        path = folder / f"{name}.db"
        if not _NAME.fullmatch(name) or not path.is_file():
            raise NotFoundError(
                f"There is no knowledge base {name!r}.",
                f"`ragchat kb list` lists all. `ragchat kb add {name} FOLDER` creates it.",
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
        """Close the database."""
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
        """Sync these folders and files from now on."""
        with immediate(self._connection) as db:
            db.executemany(
                "INSERT OR IGNORE INTO roots VALUES (?, ?)", [(str(path), now()) for path in paths]
            )

    def options(self) -> KnowledgeBaseOptions:
        """What a sync takes in; the defaults until something was set."""
        stored = json.loads(self._meta("options", "{}"))
        return KnowledgeBaseOptions(
            include=tuple(stored.get("include", ())),
            exclude=tuple(stored.get("exclude", ())),
            max_file_bytes=stored.get("max_file_bytes"),
            follow_links=bool(stored.get("follow_links", False)),
            forgotten=tuple(stored.get("forgotten", ())),
            ocr=tuple(filter(_LANGUAGE.fullmatch, stored.get("ocr", ()))),
            meaning=bool(stored.get("meaning", True)),
        )

    def set_options(self, options: KnowledgeBaseOptions) -> None:
        """The next sync applies them."""
        with immediate(self._connection):
            self._set_meta("options", json.dumps(asdict(options), ensure_ascii=False))

    def remove_roots(self, paths: Iterable[Path]) -> None:
        """A sync no longer looks at them; what is indexed of them leaves with the next one."""
        with immediate(self._connection) as db:
            db.executemany("DELETE FROM roots WHERE path = ?", [(str(path),) for path in paths])

    def sources(self) -> tuple[RowSource, ...]:
        """The tables whose rows are documents."""
        rows = self._fetch(
            "SELECT kind, path, label, query, key, synced_at, note FROM sources ORDER BY path, label"
        )
        return tuple(RowSource(*row) for row in rows)

    def put_source(self, source: RowSource) -> None:
        """Add a source, or change what is known of it."""
        with immediate(self._connection) as db:
            db.execute(
                "INSERT OR REPLACE INTO sources (kind, path, label, query, key, synced_at, note) VALUES (?, ?, ?, ?, ?, ?, ?)",
                astuple(source),
            )

    def remove_source(self, source: RowSource) -> None:
        """Forget where rows came from; their documents stay until they are removed."""
        with immediate(self._connection) as db:
            db.execute(
                "DELETE FROM sources WHERE kind = ? AND path = ? AND label = ?",
                (source.kind, source.path, source.label),
            )

    def documents_below(self, prefix: str) -> list[Document]:
        """Documents whose path begins so, in the order of their paths."""
        last = prefix + "\U0010ffff"
        rows = self._fetch(
            "SELECT * FROM documents WHERE path >= ? AND path < ? ORDER BY path", (prefix, last)
        )
        return [_document(row) for row in rows]

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
        """The document of a path, if there is one."""
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

    # --- writing: no transaction leaves half a document ------------------------------------------------

    def write_documents(
        self, documents: Sequence[tuple[FileRecord, Sequence[ChunkDraft]]], segment: EncodedSegment
    ) -> list[int]:
        """Put documents and the postings of all their chunks in, in one transaction; their numbers.

        An earlier version of a document must be removed first.
        """
        with immediate(self._connection) as db:
            first_chunk = chunk_id = int(self._meta("next_chunk", 1))
            at = now()
            document_ids: list[int] = []
            for file, chunks in documents:
                cursor = db.execute(
                    "INSERT INTO documents (path, state, reason, title, media_type, size, mtime_ns, content_hash, source_lines,"
                    " chunk_count, indexed_at, language, name, left_out, ocr, readers)"
                    " VALUES (?, 'indexed', '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(
                            file.path,
                            file.title,
                            file.media_type,
                            file.size,
                            file.mtime_ns,
                            file.content_hash,
                        ),
                        *(int(file.source_lines), len(chunks), at, file.language, file.name),
                        *(_packed_left_out(file.left_out), file.ocr, file.readers),
                    ),
                )
                document_ids.append(int(cursor.lastrowid or 0))
                db.executemany(
                    f"INSERT INTO chunks VALUES ({', '.join('?' * 17)})",
                    _chunk_rows(chunk_id, document_ids[-1], chunks),
                )
                chunk_id += len(chunks)
            if chunk_id > first_chunk:
                self.index.insert_segment(first_chunk, segment)
            self._set_meta("next_chunk", chunk_id)
            self._count(chunk_id - first_chunk, segment.total_length)
        return document_ids

    def record_file(self, file: FileRecord, state: DocumentState, reason: str) -> None:
        """Note a file that is not indexed, with the reason. An earlier version must be removed first."""
        with immediate(self._connection) as db:
            db.execute(
                "INSERT INTO documents (path, state, reason, title, media_type, size, mtime_ns, content_hash, source_lines,"
                " chunk_count, indexed_at, ocr, readers) VALUES (?, ?, ?, '', ?, ?, ?, ?, 0, 0, ?, ?, ?)",
                (
                    file.path,
                    state,
                    reason,
                    file.media_type,
                    file.size,
                    file.mtime_ns,
                    file.content_hash,
                    now(),
                    file.ocr,
                    file.readers,
                ),
            )

    def remove_document(self, document_id: int, dfs: Mapping[str, int], total_length: int) -> None:
        """Take a document out. `dfs` says in how many of its chunks each term stands, `total_length` their terms."""
        with immediate(self._connection) as db:
            if chunk_ids := self._chunk_ids(document_id):
                db.execute("DELETE FROM chunks WHERE document_id = ?", (document_id,))
                self.index.add_tombstones(chunk_ids, dfs)
                self._count(-len(chunk_ids), -total_length)
            db.execute("DELETE FROM documents WHERE id = ?", (document_id,))

    def reindex_document(
        self, document_id: int, file: FileRecord, dfs: Mapping[str, int], segment: EncodedSegment
    ) -> None:
        """Give the chunks of a document, which stay as they are, new postings; `dfs` as in `remove_document`."""
        with immediate(self._connection) as db:
            if chunk_ids := self._chunk_ids(document_id):
                first_chunk = int(self._meta("next_chunk", 1))
                db.execute(
                    "UPDATE chunks SET id = ? + ordinal WHERE document_id = ?", (first_chunk, document_id)
                )
                self.index.add_tombstones(chunk_ids, dfs)
                self.index.insert_segment(first_chunk, segment)
                self._set_meta("next_chunk", first_chunk + len(chunk_ids))
            db.execute(
                "UPDATE documents SET path = ?, size = ?, mtime_ns = ?, name = ? WHERE id = ?",
                (file.path, file.size, file.mtime_ns, file.name, document_id),
            )
            self.note_change()

    def _chunk_ids(self, document_id: int) -> list[int]:
        rows = self._fetch("SELECT id FROM chunks WHERE document_id = ? ORDER BY id", (document_id,))
        return [row[0] for row in rows]

    def touch_document(self, document_id: int, path: str, size: int, mtime_ns: int) -> None:
        """The file was renamed or its time changed; its content did not."""
        with immediate(self._connection) as db:
            db.execute(
                "UPDATE documents SET path = ?, size = ?, mtime_ns = ? WHERE id = ?",
                (path, size, mtime_ns, document_id),
            )

    def indexed_as(self, document_id: int) -> tuple[FileRecord, str, list[ChunkDraft]]:
        """What the index was made from: the file, the name it had then, and its chunks. Raises NotFoundError."""
        rows = self._fetch("SELECT * FROM documents WHERE id = ?", (document_id,))
        if not rows:
            raise NotFoundError("This document is no longer in the knowledge base.", "Sync or ask again.")
        chunks = self._fetch("SELECT * FROM chunks WHERE document_id = ? ORDER BY ordinal", (document_id,))
        return _file_record(rows[0]), rows[0]["name"], [_chunk_draft(row) for row in chunks]

    def _count(self, chunks: int, length: int) -> None:
        self._set_meta("chunk_count", int(self._meta("chunk_count", 0)) + chunks)
        self._set_meta("total_length", int(self._meta("total_length", 0)) + length)
        self._set_meta("revision", int(self._meta("revision", 0)) + 1)

    def note_change(self) -> None:
        """The index changed, though not what is in it. Call inside `writing()`."""
        self._count(0, 0)

    def writing(self) -> AbstractContextManager[object]:
        """One write transaction around several calls."""
        return immediate(self._connection)

    def indexed_documents(self) -> Iterator[tuple[FileRecord, list[ChunkDraft], list[int]]]:
        """(file, chunks, their numbers) of every indexed document, in the order of its chunks."""
        rows = self._connection.execute("SELECT * FROM chunks ORDER BY id")
        for document_id, group in groupby(rows, key=lambda row: int(row["document_id"])):
            first, *rest = group
            file = _file_record(self._fetch("SELECT * FROM documents WHERE id = ?", (document_id,))[0])
            numbers = [first["id"], *(row["id"] for row in rest)]
            yield file, [_chunk_draft(row) for row in (first, *rest)], numbers

    def begin_rebuild(self) -> None:
        """Forget the index; documents and chunks stay. Call inside `writing()`."""
        self.index.clear()
        self._connection.execute("UPDATE documents SET name = ''")
        self._count(-int(self._meta("chunk_count", 0)), -int(self._meta("total_length", 0)))

    def stored_chunks(self) -> int:
        """How many chunks there are, indexed or not."""
        return int(self._fetch("SELECT count(*) FROM chunks")[0][0])

    def add_segment(
        self, files: Sequence[FileRecord], chunk_ids: Sequence[int], segment: EncodedSegment
    ) -> None:
        """Put the postings of stored chunks in, numbered as given, ascending. Call inside `writing()`."""
        self.index.insert_segment(chunk_ids[0], segment, chunk_ids)
        self._connection.executemany(
            "UPDATE documents SET name = ?, language = ? WHERE path = ?",
            ((file.name, file.language, file.path) for file in files),
        )
        self._count(segment.size, segment.total_length)

    # --- reading ----------------------------------------------------------------------------------------

    def reading(self) -> AbstractContextManager[object]:
        """One moment of the database around several reads."""
        return snapshot(self._connection)

    @property
    def is_writing(self) -> bool:
        """Whether a transaction is open on this connection: what is read now may never be committed."""
        return self._connection.in_transaction

    def contents_hash(self) -> str:
        """Of the paths, contents and chunks of all indexed documents, however they lie in the index."""
        made = hashlib.sha256()
        for path, content_hash, size, chunks in self._connection.execute(
            "SELECT path, content_hash, size, chunk_count FROM documents WHERE state = 'indexed' ORDER BY path"
        ):
            made.update(f"{path}\0{content_hash}\0{size}\0{chunks}\n".encode("utf-8", "surrogatepass"))
        return made.hexdigest()[:16]

    def statistics(self) -> IndexStatistics:
        """Counts that BM25 needs."""
        rows = self._fetch(
            "SELECT key, value FROM meta WHERE key IN ('chunk_count', 'total_length', 'revision')"
        )
        meta = {row[0]: int(row[1]) for row in rows}
        return IndexStatistics(
            meta.get("chunk_count", 0), meta.get("total_length", 0), meta.get("revision", 0)
        )

    def languages(self) -> tuple[str, ...]:
        """Languages of the indexed documents, the one with most chunks first."""
        rows = self._fetch(
            "SELECT language FROM documents WHERE state = 'indexed' GROUP BY language ORDER BY sum(chunk_count) DESC, language"
        )
        return tuple(row[0] for row in rows)

    def hits(self, scored: Sequence[tuple[int, float]]) -> list[Hit]:
        """The chunks of (chunk number, score) pairs, in their order, ranks from 1."""
        rows = {
            row[0]: row
            for row in self._fetch(
                f"SELECT {_HIT_COLUMNS} FROM chunks c JOIN documents d ON d.id = c.document_id"
                f" WHERE c.id IN {_LISTED}",
                (json.dumps([chunk_id for chunk_id, _ in scored]),),
            )
        }
        return [
            self._hit(rank, score, rows[chunk_id])
            for rank, (chunk_id, score) in enumerate((pair for pair in scored if pair[0] in rows), 1)
        ]

    def around(self, chunk_ids: Sequence[int], reach: int) -> list[Hit]:
        """The chunks, and of up to `reach` before and after each those of its section, in the order of their numbers."""
        rows = self._fetch(
            f"SELECT {_HIT_COLUMNS} FROM chunks c JOIN documents d ON d.id = c.document_id WHERE c.id IN"
            " (SELECT n.id FROM chunks m JOIN chunks n ON n.document_id = m.document_id"
            " AND n.ordinal BETWEEN m.ordinal - ? AND m.ordinal + ? AND ifnull(n.heading, '') = ifnull(m.heading, '')"
            f" WHERE m.id IN {_LISTED}) ORDER BY c.id",
            (reach, reach, json.dumps(list(chunk_ids))),
        )
        return [self._hit(rank, 1.0, row) for rank, row in enumerate(rows, 1)]

    def chunks_of(self, document_id: int) -> list[Hit]:
        """All chunks of a document in their order, as if each had been found."""
        return self.hits([(chunk_id, 1.0) for chunk_id in self._chunk_ids(document_id)])

    def _hit(self, rank: int, score: float, row: sqlite3.Row) -> Hit:
        """`row` has `_HIT_COLUMNS`; by their places, since a search builds a hundred hits to show ten."""
        chunk_id, document_id, path, title, heading, text, content_hash, language, *span = row
        return Hit(
            rank,
            score,
            self.name,
            chunk_id,
            document_id,
            path,
            title or "",
            heading or "",
            span_from(*span),
            text,
            content_hash,
            language=language,
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
                options=self.options(),
                sources=self.sources(),
            )

    def mark_synced(self, chunk_sizes: str = "") -> None:
        """Note that a sync has seen every root, and the sizes of chunks if it cut everything by them."""
        with immediate(self._connection):
            if chunk_sizes:
                self._set_meta("chunk_sizes", chunk_sizes)
            self._set_meta("synced_at", now())

    def chunk_sizes(self) -> str:
        """What `mark_synced` was told last; empty when no one knows."""
        return str(self._meta("chunk_sizes", ""))

    def analyzer_version(self) -> str:
        """Which analysis the index was built with; empty for a new one."""
        return str(self._meta("analyzer", ""))

    def set_analyzer_version(self, version: str) -> None:
        """Note which analyzer made the index."""
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
            self._connection.execute(f"PRAGMA incremental_vacuum({_PAGES_GIVEN_BACK})").fetchall()
            # Whoever reads just now keeps the log; that is no reason to wait.
            self._connection.execute("PRAGMA busy_timeout = 1000")
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}")
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


_HIT_COLUMNS = ", ".join(
    (
        "c.id, c.document_id, d.path, d.title, c.heading, c.text, d.content_hash, d.language",
        *(f"c.{column}" for column in SPAN_COLUMNS),
    )
)
_LISTED = "(SELECT value FROM json_each(?))"
"""A list of any length as one parameter: SQLite takes no more than some thousands of `?`."""


def _chunk_rows(
    first_chunk: int, document_id: int, chunks: Sequence[ChunkDraft]
) -> Iterator[tuple[object, ...]]:
    for i, chunk in enumerate(chunks):
        span = chunk.span
        yield (
            *(first_chunk + i, document_id, i, chunk.heading, chunk.text),
            *span_row(span),
        )


def _chunk_draft(row: sqlite3.Row) -> ChunkDraft:
    return ChunkDraft(row["text"], row["heading"] or "", span_of(row))


def _file_record(row: sqlite3.Row) -> FileRecord:
    return FileRecord(
        path=row["path"],
        size=row["size"] or 0,
        mtime_ns=row["mtime_ns"] or 0,
        content_hash=row["content_hash"] or "",
        title=row["title"] or "",
        media_type=row["media_type"] or "",
        source_lines=bool(row["source_lines"]),
        language=row["language"],
        left_out=_left_out(row["left_out"]),
        ocr=row["ocr"],
        readers=row["readers"],
    )


def _packed_left_out(left_out: tuple[LeftOut, ...]) -> str:
    return json.dumps([[one.kind, one.count, one.names] for one in left_out], ensure_ascii=False)


def _left_out(packed: str) -> tuple[LeftOut, ...]:
    """What was stored, without what no ragchat of this version writes: a knowledge base may come from elsewhere."""
    if packed == "[]":
        return ()
    found = []
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        for kind, count, names in json.loads(packed):
            if kind in _LEFT_OUT_KINDS:
                texts = tuple(clean_line(str(name), limit=200) for name in names)
                found.append(LeftOut(LeftOutKind(kind), int(count), texts))
    return tuple(found)


_LEFT_OUT_KINDS = frozenset(LeftOutKind)


def file_stem(path: str) -> str:
    """The name of a file without folders and without its suffix, whatever system the path came from."""
    name = re.split(r"[/\\]", path)[-1]
    return name.rpartition(".")[0] or name


def indexed_text(heading: str, text: str) -> str:
    """What of a chunk is searched: its heading path and its text."""
    return f"{heading}\n{text}" if heading else text


def check_name(name: str) -> None:
    """Raises UsageError unless `name` can be a file name everywhere."""
    if not _NAME.fullmatch(name) or name.endswith(".") or _DEVICE.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid name for a knowledge base.",
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
        raise NotFoundError(f"There is no knowledge base {name!r}.", "`ragchat kb list` lists all.")
    try:
        for file in (
            *folder.glob(f"{path.name}.schema-*"),
            *(Path(f"{path}{end}") for end in ("-wal", "-shm", "")),
            path.with_suffix(".watch"),
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
        left_out=_left_out(row["left_out"]),
    )
