"""ragchat behind the interface of its peers: its own index, searched plainly and as the application searches.

The text of the chunks lies in the same file as the index and is fetched with each hit, which the peers do not do; the bytes of
the index are the pages of its tables, counted by SQLite's `dbstat`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speed.chunks import Chunk, documents
from speed.engines import K

if TYPE_CHECKING:
    from ragchat.store.knowledge import FileRecord
    from ragchat.types import ChunkDraft

NAME = "speed"


class Ragchat:
    """The k best chunks by BM25 over text, title and file name, nothing else: the job that the peers do."""

    changes = True

    def build(self, chunks: Iterable[Chunk], folder: Path) -> None:
        from ragchat.retrieval.index import build
        from ragchat.store.knowledge import KnowledgeStore

        with KnowledgeStore.create(folder, NAME) as store:
            build(store, (_document(document) for document in documents(chunks)), workers=2)
            store.checkpoint()

    def open(self, folder: Path) -> None:
        from ragchat.retrieval.search import Searcher
        from ragchat.store.knowledge import KnowledgeStore

        self._store = KnowledgeStore.open(folder, NAME)
        self._searcher = Searcher([self._store])
        self._options = self._search_options()

    def search(self, question: str) -> list[int]:
        hits = self._searcher.search(question, K, **self._options).hits
        return [hit.span.line_first - 1 for hit in hits]

    def index_bytes(self, folder: Path) -> int:
        import sqlite3

        from ragchat.store.inverted import TABLES

        connection = sqlite3.connect(f"file:{folder / NAME}.db?mode=ro", uri=True)
        rows = connection.execute(
            "SELECT s.tbl_name, sum(d.pgsize) FROM dbstat d JOIN sqlite_schema s ON s.name = d.name"
            " WHERE d.aggregate = TRUE GROUP BY s.tbl_name"
        )
        return sum(size for table, size in rows if table in TABLES)

    def add(self, chunk: Chunk) -> None:
        from ragchat.retrieval.index import write_document

        write_document(self._store, *_document([chunk]))

    def remove(self, document: Sequence[Chunk]) -> None:
        from ragchat.retrieval.index import remove_document

        known = self._store.document_at(document[0].path)
        if known is None:
            raise LookupError(document[0].path)
        remove_document(self._store, known.id)

    def merge(self) -> int:
        """What the application does behind: small segments into larger ones; how many merges there were."""
        from ragchat.retrieval.index import merge_segments

        return merge_segments(self._store)

    def _search_options(self) -> dict[str, Any]:
        from ragchat.retrieval.search import PLAIN

        return {"ranking": PLAIN, "with_evidence": False}


class RagchatAsItSearches(Ragchat):
    """With everything that a search in the application does: its default ranking, and the evidence of each hit."""

    def _search_options(self) -> dict[str, Any]:
        return {}


def _document(chunks: Sequence[Chunk]) -> tuple[FileRecord, list[ChunkDraft]]:
    """A document as ingest would hand it over. Its lines are those of the corpus file, so that a hit tells its row."""
    from ragchat.store.knowledge import FileRecord
    from ragchat.types import ChunkDraft, Span

    drafts, position = [], 0
    for chunk in chunks:
        end = position + len(chunk.text)
        drafts.append(ChunkDraft(chunk.text, "", Span(position, end, chunk.row + 1, chunk.row + 1)))
        position = end + 1
    first = chunks[0]
    return FileRecord(first.path, position, 0, title=first.title, media_type="text/plain"), drafts
