"""Vectors that stand for the meaning of chunks, in the file of their knowledge base: one row of int8 for each chunk.

A chunk has one vector at most. Vectors of another model are never returned; each stays until the chunk gets one of the new model.
Rows leave with their chunks and follow them when chunks are numbered again (foreign keys), as after a renaming. Row numbers only
grow and are never used again, so whoever has read all rows up to one needs only those behind it (`retrieval.vectors`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ragchat.store.database import BUSY_TIMEOUT_S, BusyError, explained, fetch, immediate
from ragchat.text import clean_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragchat.types.embedding import EmbeddingModel

    Numbers = NDArray[np.int64]
    Quantised = NDArray[np.int8]

SCHEMA = """
CREATE TABLE embedding_models (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, name TEXT NOT NULL, dimensions INTEGER NOT NULL);
CREATE TABLE vectors (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chunk_id INTEGER NOT NULL UNIQUE REFERENCES chunks (id) ON DELETE CASCADE ON UPDATE CASCADE,
    model_id INTEGER NOT NULL REFERENCES embedding_models (id),
    vector BLOB NOT NULL);
CREATE INDEX vectors_of_model ON vectors (model_id, chunk_id);
CREATE TABLE vectors_first (
    chunk_id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE ON UPDATE CASCADE,
    found_at INTEGER NOT NULL)
"""
_MOST_FIRST = 2000
"""Chunks that searches found and that wait to be embedded; older ones fall out."""
_FIRST_WAIT_S = 0.05
_ROWS_AT_ONCE = 4096
_LISTED = "(SELECT value FROM json_each(?))"
_MISSING = (
    "NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk_id = c.id AND v.model_id = ?) AND (? = '[]' OR EXISTS"
    f" (SELECT 1 FROM documents d WHERE d.id = c.document_id AND d.language IN {_LISTED}))"
)
MOST_DIMENSIONS = 1 << 14


class ChunkText(NamedTuple):
    """A chunk as it is to be embedded: its number, the title of its document, its heading path, its text."""

    chunk_id: int
    title: str
    heading: str
    text: str


class VectorRows(NamedTuple):
    """Some rows of one model. `rows` and `chunk_ids`: int64 of shape (n,); `vectors`: int8 of shape (n, dimensions)."""

    rows: Numbers
    chunk_ids: Numbers
    vectors: Quantised


class Embedded(NamedTuple):
    """How many of the `chunks` of a knowledge base are `embedded`, by the model `name` (empty: none is).

    `readable` chunks are in languages that a model reads.
    """

    name: str
    fingerprint: str
    embedded: int
    chunks: int
    readable: int


class VectorTables:
    """The vectors of one knowledge base, on its connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    # --- reading ------------------------------------------------------------------------------------

    def after(self, model: EmbeddingModel, row: int = 0) -> VectorRows:
        """All vectors of `model` in rows behind `row`, in the order of their rows. Raises StorageError."""
        if (model_id := self._model_id(model)) is None:
            return _nothing(model.dimensions)
        return self._read(
            model,
            "SELECT id, chunk_id, vector FROM vectors NOT INDEXED WHERE id > ? AND model_id = ? AND length(vector) = ?"
            " ORDER BY id",
            (row, model_id, model.dimensions),
            most=self._rows_behind(row),
        )

    def of(self, model: EmbeddingModel, chunk_ids: Sequence[int]) -> VectorRows:
        """The vectors of some chunks, of those that have one of `model`, in no order. Raises StorageError."""
        if (model_id := self._model_id(model)) is None:
            return _nothing(model.dimensions)
        return self._read(
            model,
            f"SELECT id, chunk_id, vector FROM vectors WHERE chunk_id IN {_LISTED} AND model_id = ? AND length(vector) = ?",
            (json.dumps(list(map(int, chunk_ids))), model_id, model.dimensions),
            most=len(chunk_ids),
        )

    def places(self, model: EmbeddingModel) -> tuple[Numbers, Numbers]:
        """(rows, chunk numbers) of all vectors of `model`, by chunk, without their vectors. Raises StorageError."""
        import numpy as np

        model_id = self._model_id(model)
        rows = fetch(
            self._connection,
            "SELECT id, chunk_id FROM vectors WHERE model_id = ? ORDER BY chunk_id",
            (model_id,),
        )
        found = np.fromiter((value for row in rows for value in row), np.int64, 2 * len(rows))
        return found[0::2], found[1::2]

    def totals(self, model: EmbeddingModel) -> tuple[int, int]:
        """(number of vectors of `model`, sum of their chunk numbers): fast, and another after any removal or renumbering."""
        row = fetch(
            self._connection,
            "SELECT count(*), coalesce(sum(chunk_id), 0) FROM vectors WHERE model_id = ?",
            (self._model_id(model),),
        )[0]
        return int(row[0]), int(row[1])

    def count(self, model: EmbeddingModel) -> int:
        """How many chunks have a vector of `model`."""
        return self._count(self._model_id(model))

    def has_any(self, model: EmbeddingModel) -> bool:
        """Whether any chunk has a vector of `model`."""
        query = "SELECT 1 FROM vectors WHERE model_id = ? LIMIT 1"
        return bool(fetch(self._connection, query, (self._model_id(model),)))

    def readable(self, model: EmbeddingModel) -> int:
        """How many chunks are in languages that `model` reads."""
        languages = json.dumps(model.languages)
        row = fetch(
            self._connection,
            "SELECT coalesce(sum(chunk_count), 0) FROM documents WHERE state = 'indexed'"
            f" AND (? = '[]' OR language IN {_LISTED})",
            (languages, languages),
        )[0]
        return int(row[0])

    def embedded(self, model: EmbeddingModel | None = None) -> Embedded:
        """Which model embedded most of the chunks, and how many; what is readable is so for `model`. Raises StorageError."""
        models = fetch(
            self._connection, "SELECT id, fingerprint, name FROM embedding_models ORDER BY id DESC"
        )
        best = max(models, key=lambda row: self._count(row["id"]), default=None)
        chunks = int(fetch(self._connection, "SELECT count(*) FROM chunks")[0][0])
        readable = self.readable(model) if model else chunks
        if best is None or not (count := self._count(best["id"])):
            return Embedded("", "", 0, chunks, readable)
        return Embedded(clean_line(best["name"], limit=100), best["fingerprint"], count, chunks, readable)

    def missing_ids(self, model: EmbeddingModel) -> list[int]:
        """The chunks without a vector of `model`, in languages that it reads: what searches found, then the newest documents."""
        # The chunks of a document are numbered on from its first: id - ordinal.
        rest = fetch(
            self._connection,
            f"SELECT c.id FROM chunks c WHERE {_MISSING} ORDER BY c.id - c.ordinal DESC, c.id",
            self._parameters(model),
        )
        return list(dict.fromkeys((*self.first_ids(model), *(row[0] for row in rest))))

    def first_ids(self, model: EmbeddingModel, limit: int = _MOST_FIRST) -> list[int]:
        """Chunks that searches found, of those that `missing_ids` has; the latest first."""
        rows = fetch(
            self._connection,
            f"SELECT c.id FROM vectors_first f JOIN chunks c ON c.id = f.chunk_id WHERE {_MISSING}"
            " ORDER BY f.found_at DESC LIMIT ?",
            (*self._parameters(model), limit),
        )
        return [row[0] for row in rows]

    def missing(self, model: EmbeddingModel, limit: int, first: Sequence[int] = ()) -> list[ChunkText]:
        """`limit` chunks without a vector of `model`: of `first` in its order, then as `missing_ids` has them."""
        wanted = dict.fromkeys(first)
        if len(wanted) < limit:
            wanted |= dict.fromkeys(self.missing_ids(model))
        return self.texts(self.without(model, list(wanted))[:limit])

    def without(self, model: EmbeddingModel, chunk_ids: Sequence[int]) -> list[int]:
        """Of some chunks those that have no vector of `model`, in their order."""
        rows = fetch(
            self._connection,
            f"SELECT chunk_id FROM vectors WHERE chunk_id IN {_LISTED} AND model_id = ?",
            (json.dumps(list(map(int, chunk_ids))), self._model_id(model)),
        )
        have = {row[0] for row in rows}
        return [chunk_id for chunk_id in chunk_ids if chunk_id not in have]

    def texts(self, chunk_ids: Sequence[int]) -> list[ChunkText]:
        """What there is to embed of some chunks, in their order; those that are gone are left out."""
        rows = fetch(
            self._connection,
            "SELECT c.id, d.title, c.heading, c.text FROM chunks c JOIN documents d ON d.id = c.document_id"
            f" WHERE c.id IN {_LISTED}",
            (json.dumps(list(map(int, chunk_ids))),),
        )
        found = {row[0]: ChunkText(row[0], row[1] or "", row[2] or "", row[3]) for row in rows}
        return [found[chunk_id] for chunk_id in chunk_ids if chunk_id in found]

    # --- writing ------------------------------------------------------------------------------------

    def write(
        self,
        model: EmbeddingModel,
        chunk_ids: Sequence[int],
        vectors: Quantised,
        *,
        wait_s: float = BUSY_TIMEOUT_S,
    ) -> int:
        """Store vectors, int8 of shape (chunks, dimensions); how many were new. Chunks that are gone are left out.

        Raises BusyError when another process writes for longer than `wait_s`, StorageError.
        """
        if vectors.shape != (len(chunk_ids), model.dimensions) or vectors.dtype.name != "int8":
            raise ValueError(f"{len(chunk_ids)} chunks, and vectors {vectors.dtype} {vectors.shape}")
        listed = json.dumps(list(map(int, chunk_ids)))
        with immediate(self._connection, wait_s=wait_s) as db:
            model_id = self._model_id(model) or self._add_model(model)
            db.execute(
                f"DELETE FROM vectors WHERE chunk_id IN {_LISTED} AND model_id <> ?", (listed, model_id)
            )
            before = db.total_changes
            db.executemany(
                "INSERT OR IGNORE INTO vectors (chunk_id, model_id, vector)"
                " SELECT id, ?, ? FROM chunks WHERE id = ?",
                (
                    (model_id, vector.tobytes(), int(chunk_id))
                    for chunk_id, vector in zip(chunk_ids, vectors, strict=True)
                ),
            )
            written = db.total_changes - before
            db.execute(f"DELETE FROM vectors_first WHERE chunk_id IN {_LISTED}", (listed,))
        return written

    def put_first(self, chunk_ids: Sequence[int]) -> bool:
        """Note that a search found these chunks, best first, so that they are embedded first; False when it cannot be noted now.

        Waits for no one: the next search notes it again. Not inside `reading()`.
        """
        listed = json.dumps(list(map(int, reversed(chunk_ids))))
        try:
            with immediate(self._connection, wait_s=_FIRST_WAIT_S) as db:
                (last,) = fetch(db, "SELECT coalesce(max(found_at), 0) FROM vectors_first")[0]
                db.execute(
                    "INSERT INTO vectors_first (chunk_id, found_at)"
                    " SELECT c.id, ? + j.key + 1 FROM json_each(?) j JOIN chunks c ON c.id = j.value WHERE true"
                    " ON CONFLICT (chunk_id) DO UPDATE SET found_at = excluded.found_at",
                    (last, listed),
                )
                db.execute(
                    "DELETE FROM vectors_first WHERE chunk_id NOT IN"
                    " (SELECT chunk_id FROM vectors_first ORDER BY found_at DESC LIMIT ?)",
                    (_MOST_FIRST,),
                )
        except BusyError:
            return False
        return True

    def forget(self) -> None:
        """Delete all vectors and what waits for one. Raises StorageError."""
        with immediate(self._connection) as db:
            for table in ("vectors", "vectors_first", "embedding_models"):
                db.execute(f"DELETE FROM {table}")
            # Whoever keeps vectors in memory looks at this (`retrieval.vectors`).
            db.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision'")

    # --- inside -------------------------------------------------------------------------------------

    def _model_id(self, model: EmbeddingModel) -> int | None:
        rows = fetch(
            self._connection,
            "SELECT id FROM embedding_models WHERE fingerprint = ? AND dimensions = ?",
            (model.fingerprint, model.dimensions),
        )
        return int(rows[0][0]) if rows else None

    def _parameters(self, model: EmbeddingModel) -> tuple[object, ...]:
        """Of `_MISSING`."""
        languages = json.dumps(model.languages)
        return self._model_id(model), languages, languages

    def _add_model(self, model: EmbeddingModel) -> int:
        if not 0 < model.dimensions <= MOST_DIMENSIONS:
            raise ValueError(f"a vector of {model.dimensions} dimensions")
        self._connection.execute(
            "DELETE FROM embedding_models WHERE id NOT IN (SELECT model_id FROM vectors)"
        )
        cursor = self._connection.execute(
            "INSERT INTO embedding_models (fingerprint, name, dimensions) VALUES (?, ?, ?)",
            (model.fingerprint, clean_line(model.name, limit=100), model.dimensions),
        )
        return int(cursor.lastrowid or 0)

    def _count(self, model_id: int | None) -> int:
        return int(
            fetch(self._connection, "SELECT count(*) FROM vectors WHERE model_id = ?", (model_id,))[0][0]
        )

    def _rows_behind(self, row: int) -> int:
        if row:
            return int(fetch(self._connection, "SELECT count(*) FROM vectors WHERE id > ?", (row,))[0][0])
        return int(fetch(self._connection, "SELECT count(*) FROM vectors")[0][0])

    def _read(
        self, model: EmbeddingModel, sql: str, parameters: Sequence[object], *, most: int
    ) -> VectorRows:
        """The rows of a query into arrays, some thousands at a time: rows of Python objects take twice the memory."""
        import numpy as np

        numbers = np.empty((most, 2), np.int64)
        vectors = np.empty((most, model.dimensions), np.int8)
        at = 0
        for rows in _batches(self._connection, sql, parameters):
            ids, chunk_ids, blobs = zip(*rows, strict=True)
            to = at + len(rows)
            numbers[at:to, 0], numbers[at:to, 1] = ids, chunk_ids
            vectors[at:to] = np.frombuffer(b"".join(blobs), np.int8).reshape(-1, model.dimensions)
            at = to
        return VectorRows(numbers[:at, 0].copy(), numbers[:at, 1].copy(), vectors[:at])


def _batches(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[object]
) -> Iterator[list[tuple[int, int, bytes]]]:
    with explained(connection):
        cursor = connection.execute(sql, parameters)
        cursor.row_factory = None
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield rows


def _nothing(dimensions: int) -> VectorRows:
    import numpy as np

    return VectorRows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, dimensions), np.int8))
