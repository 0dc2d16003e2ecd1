"""Pages that OCR has read of documents that are not finished: reading them takes seconds a page, so a stopped sync keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ragchat.store.database import fetch, immediate
from ragchat.store.knowledge import KnowledgeStore


class OcrPage(NamedTuple):
    """What OCR read on a page. `number` as in `ingest.wire.PageRead`; `confidence` from 0 to 1."""

    number: int
    text: str
    confidence: float


def put_page(store: KnowledgeStore, content_hash: str, languages: str, page: OcrPage) -> None:
    """Keep a page of the file with this content, read in these languages. Raises StorageError."""
    with immediate(store._connection) as db:
        db.execute(
            "INSERT OR REPLACE INTO ocr_pages (content_hash, languages, number, text, confidence) VALUES (?, ?, ?, ?, ?)",
            (content_hash, languages, *page),
        )


def pages_of(store: KnowledgeStore, content_hash: str, languages: str) -> list[OcrPage]:
    """The pages that were kept of a file, in their order. Raises StorageError."""
    rows = fetch(
        store._connection,
        "SELECT number, text, confidence FROM ocr_pages WHERE content_hash = ? AND languages = ? ORDER BY number",
        (content_hash, languages),
    )
    return [OcrPage(row[0], row[1] or "", min(1.0, max(0.0, row[2] or 0.0))) for row in rows]


def any_pages(store: KnowledgeStore) -> bool:
    """Whether pages of any file are kept. Raises StorageError."""
    return bool(fetch(store._connection, "SELECT 1 FROM ocr_pages LIMIT 1"))


def drop_pages(store: KnowledgeStore, content_hashes: Iterable[str]) -> None:
    """The files with these contents are finished. Raises StorageError."""
    with immediate(store._connection) as db:
        db.executemany("DELETE FROM ocr_pages WHERE content_hash = ?", ((one,) for one in content_hashes))


def drop_all_pages(store: KnowledgeStore) -> None:
    """No file is unfinished any more, or nothing of one may stay. Raises StorageError."""
    if any_pages(store):
        with immediate(store._connection) as db:
            db.execute("DELETE FROM ocr_pages")
