"""What a sync has to know of the files that a knowledge base holds: lean rows, for there may be a million of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ragchat.store.database import explained
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import LeftOutKind, is_row


class KnownFile(NamedTuple):
    """A file that is known, indexed or not. `is_hashed`: its content was read once; its size and time are of then.

    `readers` is the version of the readers that judged it. `ocr` are the languages in which its pictures were read, if it may
    hold any; `holds_more`: pages or attachments of it were left out, which may be pictures.
    """

    path: str
    id: int
    state: str
    reason: str
    size: int
    mtime_ns: int
    is_hashed: bool
    readers: int = 0
    ocr: str = ""
    holds_more: bool = False


_COLUMNS = (
    "path, id, state, ifnull(reason, ''), ifnull(size, 0), ifnull(mtime_ns, 0), ifnull(content_hash, '') <> '', readers, ocr,"
    f" instr(left_out, '\"{LeftOutKind.PAGE}\"') OR instr(left_out, '\"{LeftOutKind.ATTACHMENT}\"')"
)


def known_files(store: KnowledgeStore) -> Iterator[KnownFile]:
    """Every file, rows of tables left out. Raises StorageError."""
    for row in _rows(store, f"SELECT {_COLUMNS} FROM documents"):
        if not is_row(row[0]):
            yield KnownFile._make(row)


def known_files_below(store: KnowledgeStore, places: Iterable[str]) -> Iterator[KnownFile]:
    """The files at or below some paths, none of which is below another. Raises StorageError."""
    after_separator = chr(ord(os.sep) + 1)
    for place in places:
        top = place.rstrip(os.sep)
        yield from map(
            KnownFile._make,
            _rows(
                store,
                f"SELECT {_COLUMNS} FROM documents WHERE path = ? OR (path > ? AND path < ?)",
                (place, top + os.sep, top + after_separator),
            ),
        )


def scan_count(store: KnowledgeStore, reasons: Sequence[str]) -> int:
    """How many documents have pages that are pictures and were not read, for one of the reasons or in part.

    Raises StorageError.
    """
    page = f'"{LeftOutKind.PAGE}"'
    sql = (
        "SELECT count(*) FROM documents WHERE reason IN (SELECT value FROM json_each(?))"
        " OR (ocr = '' AND instr(left_out, ?))"
    )
    return int(next(_rows(store, sql, (json.dumps(list(reasons)), page)))[0])


def content_hashes(store: KnowledgeStore, document_ids: Sequence[int]) -> dict[int, str]:
    """SHA-256 in hex of what some documents were read from. Raises StorageError."""
    rows = _rows(
        store,
        "SELECT id, content_hash FROM documents WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(document_ids)),),
    )
    return {row[0]: row[1] for row in rows}


def _rows(store: KnowledgeStore, sql: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
    """Rows as they come, as plain tuples: a million of them are not gathered first."""
    with explained(store.path):
        cursor = store._connection.cursor()
        cursor.row_factory = None
        yield from cursor.execute(sql, parameters)
