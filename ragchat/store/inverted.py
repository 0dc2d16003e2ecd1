"""The inverted index inside `kb/NAME.db`: segments, posting lists, blocks of long lists, tombstones.

What the blobs mean is the business of `retrieval.postings`. A segment covers a stretch of chunk numbers; the stretches of live
segments never overlap. A segment is written once and never changed: what is removed is noted beside it (`tombstones`: the
chunks, `removed`: in how many of them each term stood, so that document frequencies stay exact) until a merge leaves it out.
A merge writes its segment in many short transactions while no one sees it, and swaps it in with one.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ragchat.store.database import fetch

SegmentState = Literal["live", "building", "garbage"]

SCHEMA = """
CREATE TABLE segments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  state TEXT NOT NULL,
  owner TEXT NOT NULL DEFAULT '',
  touched_at REAL NOT NULL DEFAULT 0,
  first_chunk INTEGER NOT NULL,
  last_chunk INTEGER NOT NULL,
  size INTEGER NOT NULL,
  dead INTEGER NOT NULL DEFAULT 0,
  bound TEXT NOT NULL
);
CREATE TABLE segment_chunks (segment_id INTEGER PRIMARY KEY, lengths BLOB NOT NULL, chunk_ids BLOB);
CREATE TABLE postings (
  segment_id INTEGER NOT NULL, term TEXT NOT NULL, df INTEGER NOT NULL, entries BLOB NOT NULL,
  PRIMARY KEY (segment_id, term)
) WITHOUT ROWID;
CREATE TABLE blocks (id INTEGER PRIMARY KEY, entries BLOB NOT NULL);
CREATE TABLE tombstones (chunk_id INTEGER PRIMARY KEY);
CREATE TABLE removed (
  segment_id INTEGER NOT NULL, term TEXT NOT NULL, df INTEGER NOT NULL, PRIMARY KEY (segment_id, term)
) WITHOUT ROWID;
"""
TABLES = ("segments", "segment_chunks", "postings", "blocks", "tombstones", "removed")
_LISTED = "(SELECT value FROM json_each(?))"
_ROWS_AT_ONCE = 20_000
_BLOCKS_AT_ONCE = 4_000
_BLOCK_BITS = 24
"""A block's row number is its segment's number and, in this many low bits, its own number in the segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored segment of `size` slots, `dead` of them removed. `bound` says for which formula its upper bounds were made."""

    id: int
    first_chunk: int
    last_chunk: int
    size: int
    dead: int
    bound: str


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """A segment ready to be stored. `lists` are (term, df, entries) by term; the entries of long lists count blocks from 0.

    `lengths` holds a uint16 per slot, `total_length` their sum.
    """

    size: int
    lengths: bytes
    total_length: int
    bound: str
    lists: Sequence[tuple[str, int, bytes]]
    blocks: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class PostingsRow:
    """The postings of one term in one segment; `entries` is decoded by `retrieval.postings`."""

    segment_id: int
    term: str
    df: int
    entries: bytes


class InvertedTables:
    """The index tables on one connection. Writing methods run inside the transaction of their caller."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    # --- reading ------------------------------------------------------------------------------------

    def segments(self) -> list[Segment]:
        """Live segments in the order of their chunks."""
        rows = fetch(
            self._connection,
            "SELECT id, first_chunk, last_chunk, size, dead, bound FROM segments"
            " WHERE state = 'live' ORDER BY first_chunk",
        )
        return [Segment(*row) for row in rows]

    def segment_chunks(self, segment_id: int) -> tuple[bytes, bytes | None]:
        """(lengths: uint16 per slot, chunk numbers: uint32 offsets from the first, or None when there are no holes)."""
        row = fetch(self._connection, "SELECT * FROM segment_chunks WHERE segment_id = ?", (segment_id,))[0]
        return row["lengths"], row["chunk_ids"]

    def lists(self, terms: Sequence[str]) -> list[PostingsRow]:
        """The posting lists of some terms in all live segments, in the order of chunks."""
        rows = fetch(
            self._connection,
            "SELECT s.id, p.term, p.df, p.entries FROM segments s CROSS JOIN json_each(?) j"
            " CROSS JOIN postings p ON p.segment_id = s.id AND p.term = j.value"
            " WHERE s.state = 'live' ORDER BY s.first_chunk",
            (json.dumps(list(terms)),),
        )
        return [PostingsRow(*row) for row in rows]

    def dfs(self, terms: Sequence[str]) -> dict[str, int]:
        """In how many live chunks each term stands; terms that are in none are left out."""
        found: dict[str, int] = {}
        listed = (json.dumps(list(terms)),)
        for term, df in self._connection.execute(
            "SELECT p.term, sum(p.df) FROM segments s CROSS JOIN json_each(?) j"
            " CROSS JOIN postings p ON p.segment_id = s.id AND p.term = j.value WHERE s.state = 'live' GROUP BY p.term",
            listed,
        ):
            found[term] = df
        for term, df in self.removed_dfs(terms).items():
            found[term] = found.get(term, 0) - df
        return {term: df for term, df in found.items() if df > 0}

    def beginning_with(self, prefix: str, most: int) -> dict[str, int]:
        """Terms longer than `prefix` that begin with it, of each segment the first `most` in the order of the alphabet, and dfs.

        Chunks that were removed since the last merge still count.
        """
        rows = self._connection.execute(
            "SELECT term, sum(df) FROM"
            " (SELECT p.term, p.df, row_number() OVER (PARTITION BY p.segment_id ORDER BY p.term) AS place"
            " FROM segments s CROSS JOIN postings p ON p.segment_id = s.id AND p.term > ? AND p.term < ?"
            " WHERE s.state = 'live') WHERE place <= ? GROUP BY term",
            (prefix, prefix + "\U0010ffff", most),
        )
        return {row[0]: row[1] for row in rows}

    def of_length(self, prefix: str, shortest: int, longest: int, most: int) -> dict[str, int]:
        """Terms of some characters that begin with `prefix`, at most so many, and their dfs: the most frequent ones.

        Chunks that were removed since the last merge still count.
        """
        rows = self._connection.execute(
            "SELECT p.term, sum(p.df) AS df FROM segments s"
            " CROSS JOIN postings p ON p.segment_id = s.id AND p.term >= ? AND p.term < ?"
            " WHERE s.state = 'live' AND length(p.term) BETWEEN ? AND ?"
            " GROUP BY p.term ORDER BY df DESC, p.term LIMIT ?",
            (prefix, prefix + "\U0010ffff", shortest, longest, most),
        )
        return {row[0]: row[1] for row in rows}

    def removed_dfs(self, terms: Sequence[str]) -> dict[str, int]:
        """How many of the chunks in the live lists of each term are dead."""
        if not fetch(self._connection, "SELECT 1 FROM removed LIMIT 1"):
            return {}
        rows = self._connection.execute(
            "SELECT r.term, sum(r.df) FROM segments s CROSS JOIN json_each(?) j"
            " CROSS JOIN removed r ON r.segment_id = s.id AND r.term = j.value WHERE s.state = 'live' GROUP BY r.term",
            (json.dumps(list(terms)),),
        )
        return {row[0]: row[1] for row in rows}

    def blocks(self, wanted: Iterable[tuple[int, int]]) -> list[bytes]:
        """What is in some blocks, given by (segment, number), which must ascend."""
        rows = fetch(
            self._connection,
            f"SELECT entries FROM blocks WHERE id IN {_LISTED} ORDER BY id",
            (json.dumps([(segment_id << _BLOCK_BITS) + number for segment_id, number in wanted]),),
        )
        return [row[0] for row in rows]

    def tombstones(self, segment: Segment | None = None) -> list[int]:
        """Numbers of chunks that were removed and still stand in a segment (in this one), ascending."""
        first, last = (segment.first_chunk, segment.last_chunk) if segment else (0, (1 << 63) - 1)
        rows = fetch(
            self._connection,
            "SELECT chunk_id FROM tombstones WHERE chunk_id BETWEEN ? AND ? ORDER BY chunk_id",
            (first, last),
        )
        return [row[0] for row in rows]

    def lists_after(
        self, segment_id: int, term: str, limit: int, last: str | None = None
    ) -> list[tuple[str, int, bytes]]:
        """(term, df, entries) of a segment, by term, those after `term` up to `last`; `limit` rows at most."""
        cursor = self._connection.cursor()
        cursor.row_factory = None  # plain tuples
        until, bounds = ("", ()) if last is None else (" AND term <= ?", (last,))
        rows: list[tuple[str, int, bytes]] = cursor.execute(
            f"SELECT term, df, entries FROM postings WHERE segment_id = ? AND term > ?{until} ORDER BY term LIMIT ?",
            (segment_id, term, *bounds, limit),
        ).fetchall()
        return rows

    def parted(self, segment_id: int, count: int) -> list[str]:
        """Terms that part the lists of a segment into about `count` stretches of as many lists; ascending."""
        rows = self._connection.execute(
            "SELECT max(term) FROM (SELECT term, ntile(?) OVER (ORDER BY term) AS part FROM postings"
            " WHERE segment_id = ?) GROUP BY part ORDER BY part",
            (count, segment_id),
        )
        return [row[0] for row in rows]

    def removed_of(self, segment_ids: Sequence[int]) -> dict[str, int]:
        """In how many dead chunks of some segments each term stands."""
        rows = self._connection.execute(
            f"SELECT term, sum(df) FROM removed WHERE segment_id IN {_LISTED} GROUP BY term",
            (json.dumps(list(segment_ids)),),
        )
        return {row[0]: row[1] for row in rows}

    # --- writing whole segments -----------------------------------------------------------------------

    def insert_segment(self, first_chunk: int, segment: EncodedSegment, chunk_ids: Sequence[int] = ()) -> int:
        """Store a segment; its number. Its chunks are numbered on from `first_chunk`, or as `chunk_ids` says, ascending."""
        last_chunk = chunk_ids[-1] if chunk_ids else first_chunk + segment.size - 1
        segment_id = self._insert("live", first_chunk, last_chunk, segment.size, segment.bound, "")
        offsets = None
        if last_chunk - first_chunk + 1 != segment.size:
            offsets = struct.pack(f"<{len(chunk_ids)}I", *(chunk_id - first_chunk for chunk_id in chunk_ids))
        self._connection.execute(
            "INSERT INTO segment_chunks VALUES (?, ?, ?)", (segment_id, segment.lengths, offsets)
        )
        self.append_lists(segment_id, segment.lists, segment.blocks, 0)
        return segment_id

    def append_lists(
        self,
        segment_id: int,
        lists: Iterable[tuple[str, int, bytes]],
        blocks: Sequence[bytes],
        first_block: int,
    ) -> None:
        """Add posting lists, and blocks numbered from `first_block`, to a segment."""
        self._connection.executemany(
            "INSERT INTO postings VALUES (?, ?, ?, ?)",
            ((segment_id, term, df, entries) for term, df, entries in lists),
        )
        self._connection.executemany(
            "INSERT INTO blocks VALUES (?, ?)", enumerate(blocks, (segment_id << _BLOCK_BITS) + first_block)
        )

    def _insert(
        self, state: SegmentState, first_chunk: int, last_chunk: int, size: int, bound: str, owner: str
    ) -> int:
        cursor = self._connection.execute(
            "INSERT INTO segments (state, owner, touched_at, first_chunk, last_chunk, size, bound) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (state, owner, time.time(), first_chunk, last_chunk, size, bound),
        )
        return int(cursor.lastrowid or 0)

    # --- removing ---------------------------------------------------------------------------------------

    def add_tombstones(self, chunk_ids: Sequence[int], dfs: Mapping[str, int]) -> None:
        """Note that the chunks of one document, all of one segment, are gone. `dfs`: in how many of them each term stood."""
        row = self._connection.execute(
            "SELECT id, size, dead FROM segments WHERE state = 'live' AND first_chunk <= ? ORDER BY first_chunk DESC LIMIT 1",
            (chunk_ids[0],),
        ).fetchone()
        if row is None:
            return
        segment_id, size, dead = row
        if dead + len(chunk_ids) >= size:
            self.discard([segment_id])
            return
        self._connection.execute(
            "UPDATE segments SET dead = ? WHERE id = ?", (dead + len(chunk_ids), segment_id)
        )
        self._connection.executemany(
            "INSERT INTO tombstones VALUES (?)", ((chunk_id,) for chunk_id in chunk_ids)
        )
        self._connection.executemany(
            "INSERT INTO removed VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET df = df + excluded.df",
            ((segment_id, term, df) for term, df in sorted(dfs.items())),
        )

    def discard(self, segment_ids: Sequence[int]) -> None:
        """Take segments out of sight, with their tombstones. `sweep` deletes their lists."""
        listed = (json.dumps(list(segment_ids)),)
        self._connection.execute(
            "DELETE FROM tombstones WHERE EXISTS (SELECT 1 FROM segments s WHERE s.state = 'live' AND s.id IN"
            f" {_LISTED} AND chunk_id BETWEEN s.first_chunk AND s.last_chunk)",
            listed,
        )
        self._connection.execute(f"UPDATE segments SET state = 'garbage' WHERE id IN {_LISTED}", listed)
        self._connection.execute(f"DELETE FROM removed WHERE segment_id IN {_LISTED}", listed)

    def garbage(self) -> list[int]:
        """Segments whose lists wait to be deleted."""
        rows = fetch(self._connection, "SELECT id FROM segments WHERE state = 'garbage' ORDER BY id")
        return [row[0] for row in rows]

    def sweep(self, segment_id: int) -> bool:
        """Delete some lists of a segment that is garbage; whether any are left."""
        db = self._connection
        if not fetch(db, "SELECT 1 FROM segments WHERE id = ? AND state = 'garbage'", (segment_id,)):
            return False
        last = db.execute(
            "SELECT term FROM postings WHERE segment_id = ? ORDER BY term LIMIT 1 OFFSET ?",
            (segment_id, _ROWS_AT_ONCE),
        ).fetchone()
        if last is not None:
            db.execute("DELETE FROM postings WHERE segment_id = ? AND term <= ?", (segment_id, last[0]))
            return True
        db.execute("DELETE FROM postings WHERE segment_id = ?", (segment_id,))
        first_block = segment_id << _BLOCK_BITS
        gone = db.execute(
            "DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE id >= ? AND id < ? LIMIT ?)",
            (first_block, first_block + (1 << _BLOCK_BITS), _BLOCKS_AT_ONCE),
        )
        if gone.rowcount == _BLOCKS_AT_ONCE:
            return True
        db.execute("DELETE FROM segment_chunks WHERE segment_id = ?", (segment_id,))
        db.execute("DELETE FROM segments WHERE id = ?", (segment_id,))
        return False

    def clear(self) -> None:
        """Forget the whole index."""
        for table in TABLES:
            self._connection.execute(f"DELETE FROM {table}")

    # --- merging ----------------------------------------------------------------------------------------

    def begin_merge(self, old: Sequence[Segment], size: int, bound: str, owner: str) -> int:
        """Reserve a segment in the place of `old`, seen by no one yet; its number."""
        return self._insert("building", old[0].first_chunk, old[-1].last_chunk, size, bound, owner)

    def abandoned(self, seconds: float) -> list[int]:
        """Segments that are being built, but by no one: not touched for so long."""
        rows = fetch(
            self._connection,
            "SELECT id FROM segments WHERE state = 'building' AND touched_at NOT BETWEEN ? AND ?",
            (time.time() - seconds, time.time() + seconds),  # a clock may have been set back
        )
        return [row[0] for row in rows]

    def is_merging(self) -> bool:
        """Whether a merge is under way, here or in another process."""
        return bool(fetch(self._connection, "SELECT 1 FROM segments WHERE state = 'building'"))

    def touch(self, segment_id: int, owner: str) -> bool:
        """Say that the merge continues; False when it was taken for abandoned and is no longer wanted."""
        cursor = self._connection.execute(
            "UPDATE segments SET touched_at = ? WHERE id = ? AND owner = ? AND state = 'building'",
            (time.time(), segment_id, owner),
        )
        return cursor.rowcount == 1

    def finish_merge(
        self,
        segment_id: int,
        old: Sequence[Segment],
        *,
        lengths: bytes,
        chunk_ids: bytes | None,
        buried: Sequence[int],
        removed: Mapping[str, int],
    ) -> bool:
        """Swap the merged segment in. `buried` and `removed` are what the merge left out; what was removed since is carried over.

        False when one of `old` is no longer there; the new segment is then garbage.
        """
        db = self._connection
        ids = [segment.id for segment in old]
        live = fetch(
            db, f"SELECT count(*) FROM segments WHERE state = 'live' AND id IN {_LISTED}", (json.dumps(ids),)
        )[0][0]
        if live != len(ids):
            db.execute("UPDATE segments SET state = 'garbage' WHERE id = ?", (segment_id,))
            return False
        since = {term: df - removed.get(term, 0) for term, df in self.removed_of(ids).items()}
        db.executemany("DELETE FROM tombstones WHERE chunk_id = ?", ((chunk_id,) for chunk_id in buried))
        first, last = old[0].first_chunk, old[-1].last_chunk
        dead = fetch(db, "SELECT count(*) FROM tombstones WHERE chunk_id BETWEEN ? AND ?", (first, last))[0][
            0
        ]
        db.execute(f"UPDATE segments SET state = 'garbage' WHERE id IN {_LISTED}", (json.dumps(ids),))
        db.execute(f"DELETE FROM removed WHERE segment_id IN {_LISTED}", (json.dumps(ids),))
        db.execute("INSERT INTO segment_chunks VALUES (?, ?, ?)", (segment_id, lengths, chunk_ids))
        db.execute(
            "UPDATE segments SET state = 'live', owner = '', dead = ? WHERE id = ?", (dead, segment_id)
        )
        db.executemany(
            "INSERT INTO removed VALUES (?, ?, ?)",
            ((segment_id, term, df) for term, df in sorted(since.items()) if df > 0),
        )
        return True
