"""Where the indexed documents lie and when their files changed, and the chunks of some of them: what a scope is made from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from ragchat.store.database import explained
from ragchat.store.knowledge import KnowledgeStore


class Place(NamedTuple):
    """An indexed document: its number, its path, the modification time of its file (nanoseconds, UTC; 0: unknown)."""

    id: int
    path: str
    mtime_ns: int


def places(store: KnowledgeStore) -> list[Place]:
    """All indexed documents. Raises StorageError."""
    with explained(store.path):
        cursor = store._connection.cursor()
        cursor.row_factory = None
        return [
            Place._make(row)
            for row in cursor.execute(
                "SELECT id, path, ifnull(mtime_ns, 0) FROM documents WHERE state = 'indexed'"
            )
        ]


def chunk_ids(store: KnowledgeStore, document_ids: Iterable[int]) -> list[int]:
    """The numbers of all chunks of some documents, ascending. Raises StorageError."""
    with explained(store.path):
        cursor = store._connection.cursor()
        cursor.row_factory = None
        rows = cursor.execute(
            "SELECT id FROM chunks WHERE document_id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (json.dumps(list(document_ids)),),
        )
        return [row[0] for row in rows]


def chunk_ids_with(store: KnowledgeStore, text: str) -> list[int]:
    """The numbers of the chunks in which these characters stand, ascending; reads every chunk. Raises StorageError."""
    with explained(store.path):
        cursor = store._connection.cursor()
        cursor.row_factory = None
        return [
            row[0]
            for row in cursor.execute("SELECT id FROM chunks WHERE instr(text, ?) ORDER BY id", (text,))
        ]
