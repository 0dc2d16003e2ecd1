"""Care for the file of a knowledge base: is it sound, what was deleted is gone from it, it gets another name.

Each works on the file with a connection of its own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from ragchat.errors import NotFoundError, StorageError, UsageError
from ragchat.store.database import connect_existing, explained, fetch
from ragchat.store.knowledge import check_name
from ragchat.store.vectors import MOST_DIMENSIONS
from ragchat.store.watchlock import lock_file, watching

_OF_DOCUMENTS = (
    (
        "chunks belong to no document",
        "SELECT count(*) FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)",
    ),
    (
        "documents have a different number of chunks than recorded",
        "SELECT count(*) FROM documents d WHERE coalesce(chunk_count, 0)"
        " <> (SELECT count(*) FROM chunks c WHERE c.document_id = d.id)",
    ),
    (
        "documents that are not indexed have chunks",
        "SELECT count(*) FROM documents WHERE state <> 'indexed' AND coalesce(chunk_count, 0) > 0",
    ),
)
_OF_INDEX = (
    (
        "chunks are not counted, or are counted but missing",
        "SELECT abs((SELECT count(*) FROM chunks) - coalesce((SELECT value FROM meta WHERE key = 'chunk_count'), 0))",
    ),
    (
        "chunk numbers may be used twice",
        "SELECT count(*) FROM chunks WHERE id >= coalesce((SELECT value FROM meta WHERE key = 'next_chunk'), 1)",
    ),
    (
        "segments overlap",
        "SELECT count(*) FROM segments a JOIN segments b ON a.id < b.id AND a.state = 'live' AND b.state = 'live'"
        " AND a.first_chunk <= b.last_chunk AND b.first_chunk <= a.last_chunk",
    ),
    (
        "chunks are in no segment, or a segment contains missing chunks",
        "SELECT abs((SELECT coalesce(sum(size - dead), 0) FROM segments WHERE state = 'live') - (SELECT count(*) FROM chunks))",
    ),
    (
        "segments have a wrong count of removed chunks",
        "SELECT count(*) FROM segments s WHERE state = 'live' AND dead"
        " <> (SELECT count(*) FROM tombstones WHERE chunk_id BETWEEN s.first_chunk AND s.last_chunk)",
    ),
    (
        "removed chunks still exist",
        "SELECT count(*) FROM tombstones WHERE chunk_id IN (SELECT id FROM chunks)",
    ),
    (
        "segments have a table of the wrong size",
        "SELECT count(*) FROM segments s JOIN segment_chunks c ON c.segment_id = s.id WHERE s.state = 'live'"
        " AND (length(c.lengths) <> 2 * s.size OR coalesce(length(c.chunk_ids), 4 * s.size) <> 4 * s.size)",
    ),
    (
        "segments have no table of their chunks",
        "SELECT count(*) FROM segments WHERE state = 'live' AND id NOT IN (SELECT segment_id FROM segment_chunks)",
    ),
)
_OF_VECTORS = (
    (
        "vectors belong to no chunk",
        "SELECT (SELECT count(*) FROM vectors WHERE chunk_id NOT IN (SELECT id FROM chunks))"
        " + (SELECT count(*) FROM vectors_first WHERE chunk_id NOT IN (SELECT id FROM chunks))",
    ),
    (
        "vectors belong to no model",
        "SELECT count(*) FROM vectors WHERE model_id NOT IN (SELECT id FROM embedding_models)",
    ),
    (
        "embedding models have an impossible number of dimensions",
        f"SELECT count(*) FROM embedding_models WHERE dimensions NOT BETWEEN 1 AND {MOST_DIMENSIONS:d}",
    ),
    (
        "vectors have a different length than their model",
        "SELECT count(*) FROM vectors v JOIN embedding_models m ON m.id = v.model_id WHERE length(v.vector) <> m.dimensions",
    ),
)
"""(what is wrong, a query that counts it)."""


def problems(path: Path, *, thorough: bool = False, indexed: bool = True) -> list[str]:
    """What is wrong with the file of a knowledge base, as sentences; none when it is sound.

    SQLite's quick check, or with `thorough` its full one, and the counts that must agree; without `indexed` not those of the
    index, which is about to be built again. Raises StorageError when nothing can be read at all.
    """
    with contextlib.closing(connect_existing(path, synchronous="NORMAL")) as connection:
        pragma = "integrity_check" if thorough else "quick_check"
        found = [str(row[0]) for row in fetch(connection, f"PRAGMA {pragma}(20)")]
        if found != ["ok"]:
            return [f"SQLite: {sentence}" for sentence in found]
        return disagreements(connection, indexed=indexed)


def disagreements(connection: sqlite3.Connection, *, indexed: bool = True) -> list[str]:
    """Counts that must agree and do not, as sentences; without `indexed` not those of the index. Raises StorageError."""
    queries = (*_OF_DOCUMENTS, *(_OF_INDEX if indexed else ()), *_OF_VECTORS)
    counted = ((sentence, fetch(connection, query)[0][0]) for sentence, query in queries)
    return [f"{count:,} {sentence}" for sentence, count in counted if count]


def wipe_deleted(path: Path) -> None:
    """Remove all that was deleted from the files of a knowledge base: it is written again, its log emptied, backups removed.

    Raises StorageError, also when another process still reads an older state, which the log must then keep.
    """
    with contextlib.closing(connect_existing(path, synchronous="NORMAL")) as connection, explained(path):
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("VACUUM")
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StorageError(
                f"{path} is being read by another process, so removed text is still in its log.",
                "Close the other ragchat process and run the command again.",
            )
        for backup in path.parent.glob(f"{path.name}.schema-*"):
            backup.unlink()


def rename_knowledge_base(folder: Path, old: str, new: str) -> None:
    """Give a knowledge base another name. No one else may have it open: their changes would go to a file without a name.

    Raises UsageError for a name that is taken or none, NotFoundError, StorageError.
    """
    check_name(new)
    source, target = folder / f"{old}.db", folder / f"{new}.db"
    if not source.is_file():
        raise NotFoundError(f"There is no knowledge base {old!r}.", "`ragchat kb list` lists all.")
    if target.exists():
        raise UsageError(f"A knowledge base named {new!r} already exists.", "Choose another name.")
    with watching(source):
        _fold_log(source)
        with explained(target):
            try:
                os.link(source, target)  # never overwrites, unlike a rename
            except FileExistsError:
                raise UsageError(
                    f"A knowledge base named {new!r} already exists.", "Choose another name."
                ) from None
            except OSError:  # a file system without hard links
                source.rename(target)
            source.unlink(missing_ok=True)
            for backup in folder.glob(f"{source.name}.schema-*"):
                backup.rename(backup.with_name(target.name + backup.name.removeprefix(source.name)))
    lock_file(source).unlink(missing_ok=True)


def _fold_log(path: Path) -> None:
    """Make one file of the database and its log, which only works while no one else has it open. Raises StorageError."""
    with contextlib.closing(connect_existing(path, synchronous="NORMAL")) as connection:
        connection.execute("PRAGMA busy_timeout = 2000")
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError:
            mode = "wal"
    if mode != "delete":
        raise StorageError(
            f"{path.stem} is open in another ragchat process.",
            "Close the chat or stop `kb watch`, then try again.",
        )
