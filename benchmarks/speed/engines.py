"""ragchat's peers behind one interface. Each is given what makes it good at this task, and the same words to find as ragchat:
English stemming, and no question words and stop words where the engine can leave them out (FTS5 cannot).

Nothing heavy is imported at the top: importing is part of what a fresh process is timed for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from speed.chunks import Chunk

K = 10
STOP_WORDS = """
a about after again all also am an and any are as at be because been before being between both but by can
could did do does doing during each few for from had has have having he her here him his how i if in into is
it its itself just may me might more most must my no nor not of off on once only or other our out over own
same shall she should so some such than that the their them then there these they this those through to too
under until up us very was we were what when where which while who whom whose why will with would you your
""".split()  # noqa: SIM905


class Engine(Protocol):
    """One engine with one index in `folder`. Rows are those of the corpus."""

    changes: bool
    """Whether documents can be added to a finished index and removed from it."""

    def build(self, chunks: Iterable[Chunk], folder: Path) -> None:
        """Make the index, ready to be opened by another process."""

    def open(self, folder: Path) -> None:
        """Open the index, importing what is needed."""

    def search(self, question: str) -> list[int]:
        """Rows of the `K` best chunks, best first."""

    def index_bytes(self, folder: Path) -> int:
        """Bytes on disk without the text of the chunks; 0 for an engine that keeps nothing."""

    def add(self, chunk: Chunk) -> None:
        """Add a document of one chunk, committed and searchable."""

    def remove(self, document: Sequence[Chunk]) -> None:
        """Remove a document, committed."""


class Bm25s:
    """bm25s on numpy: sparse score matrix in memory, loaded whole; a change is a new build."""

    changes = False

    def build(self, chunks: Iterable[Chunk], folder: Path) -> None:
        import bm25s

        tokens = bm25s.tokenize(
            [chunk.searched for chunk in chunks],
            stopwords=STOP_WORDS,
            stemmer=_stemmer(),
            show_progress=False,
        )
        retriever = bm25s.BM25(k1=1.5, b=0.75, backend="numpy")
        retriever.index(tokens, show_progress=False)
        retriever.save(folder, show_progress=False)

    def open(self, folder: Path) -> None:
        import bm25s

        self._bm25s, self._stemmer = bm25s, _stemmer()
        self._retriever = bm25s.BM25.load(folder)
        self._retriever.backend = "numpy"

    def search(self, question: str) -> list[int]:
        tokens = self._bm25s.tokenize(
            question, stopwords=STOP_WORDS, stemmer=self._stemmer, return_ids=False, show_progress=False
        )
        rows, scores = self._retriever.retrieve(tokens, k=K, show_progress=False, backend_selection="numpy")
        return [int(row) for row, score in zip(rows[0], scores[0], strict=True) if score > 0]

    def index_bytes(self, folder: Path) -> int:
        return folder_bytes(folder)

    def add(self, chunk: Chunk) -> None:
        raise NotImplementedError

    def remove(self, document: Sequence[Chunk]) -> None:
        raise NotImplementedError


class RankBm25:
    """rank_bm25: Python dicts; it keeps nothing on disk, so opening is building, from tokens that are stored for it."""

    changes = False

    def build(self, chunks: Iterable[Chunk], folder: Path) -> None:
        import bm25s

        texts = [chunk.searched for chunk in chunks]
        tokens = bm25s.tokenize(
            texts, stopwords=STOP_WORDS, stemmer=_stemmer(), return_ids=False, show_progress=False
        )
        (folder / "tokens.txt").write_text("\n".join(map(" ".join, tokens)), encoding="utf-8")

    def open(self, folder: Path) -> None:
        import bm25s
        import numpy as np
        from rank_bm25 import BM25Okapi

        self._bm25s, self._np, self._stemmer = bm25s, np, _stemmer()
        lines = (folder / "tokens.txt").read_text(encoding="utf-8").split("\n")
        self._ranking = BM25Okapi([line.split(" ") for line in lines])

    def search(self, question: str) -> list[int]:
        tokens = self._bm25s.tokenize(
            question, stopwords=STOP_WORDS, stemmer=self._stemmer, return_ids=False, show_progress=False
        )
        scores = self._ranking.get_scores(tokens[0])
        best = self._np.argpartition(-scores, K)[:K]
        return [int(row) for row in best[self._np.argsort(-scores[best], kind="stable")] if scores[row] > 0]

    def index_bytes(self, folder: Path) -> int:
        return 0

    def add(self, chunk: Chunk) -> None:
        raise NotImplementedError

    def remove(self, document: Sequence[Chunk]) -> None:
        raise NotImplementedError


class Tantivy:
    """tantivy (Rust), two threads, frequencies without positions, nothing stored but the row as a fast field."""

    changes = True
    stop_words = True

    def build(self, chunks: Iterable[Chunk], folder: Path) -> None:
        writer = self._index(folder).writer(heap_size=256 << 20, num_threads=2)
        for chunk in chunks:
            writer.add_document(self._document(chunk))
        writer.commit()
        writer.wait_merging_threads()

    def open(self, folder: Path) -> None:
        self._opened = self._index(folder)
        self._searcher = self._opened.searcher()
        self._writer: Any = None

    def search(self, question: str) -> list[int]:
        # Operators of the query language are words in capitals; what its tokenizer would cut in two becomes a phrase.
        query = self._opened.parse_query(" ".join(re.findall(r"[^\W_]+", question)).lower(), ["body"])
        found = self._searcher.search(query, K, count=False).hits
        rows: list[int] = self._searcher.fast_field_values("row", [place for _, place in found])
        return rows

    def index_bytes(self, folder: Path) -> int:
        return folder_bytes(folder)

    def add(self, chunk: Chunk) -> None:
        self._changing().add_document(self._document(chunk))
        self._commit()

    def remove(self, document: Sequence[Chunk]) -> None:
        self._changing().delete_documents("document", document[0].document)
        self._commit()

    def _changing(self) -> Any:
        if self._writer is None:
            self._writer = self._opened.writer(heap_size=64 << 20, num_threads=1)
        return self._writer

    def _commit(self) -> None:
        self._writer.commit()
        self._opened.reload()
        self._searcher = self._opened.searcher()

    def _index(self, folder: Path) -> Any:
        import tantivy

        self._tantivy = tantivy
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("body", tokenizer_name="english", index_option="freq")
        schema.add_unsigned_field("row", fast=True)
        schema.add_unsigned_field("document", indexed=True)
        index = tantivy.Index(schema.build(), path=str(folder))
        analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).filter(tantivy.Filter.lowercase())
        if self.stop_words:
            analyzer = analyzer.filter(tantivy.Filter.custom_stopword(STOP_WORDS))
        index.register_tokenizer("english", analyzer.filter(tantivy.Filter.stemmer("english")).build())
        return index

    def _document(self, chunk: Chunk) -> Any:
        document = self._tantivy.Document()
        document.add_text("body", chunk.searched)
        document.add_unsigned("row", chunk.row)
        document.add_unsigned("document", chunk.document)
        return document


class TantivyAllWords(Tantivy):
    """The same with all words, as tantivy's own analyzer `en_stem` has it."""

    stop_words = False


class Fts5:
    """SQLite's FTS5 without stored text (`content=''`), porter stemming; the words of a question quoted and joined by OR."""

    changes = True

    def build(self, chunks: Iterable[Chunk], folder: Path) -> None:
        self.open(folder)
        self._db.execute(
            "CREATE VIRTUAL TABLE found USING fts5(body, content='', tokenize='porter unicode61')"
        )
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT INTO found (rowid, body) VALUES (?, ?)",
            ((chunk.row + 1, chunk.searched) for chunk in chunks),
        )
        self._db.execute("INSERT INTO found (found) VALUES ('optimize')")
        self._db.execute("COMMIT")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def open(self, folder: Path) -> None:
        import sqlite3

        self._db = sqlite3.connect(folder / "fts5.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")

    def search(self, question: str) -> list[int]:
        words = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", question))
        rows = self._db.execute(
            "SELECT rowid FROM found WHERE found MATCH ? ORDER BY rank LIMIT ?", (words, K)
        )
        return [rowid - 1 for (rowid,) in rows]

    def index_bytes(self, folder: Path) -> int:
        return folder_bytes(folder)

    def add(self, chunk: Chunk) -> None:
        self._db.execute("INSERT INTO found (rowid, body) VALUES (?, ?)", (chunk.row + 1, chunk.searched))

    def remove(self, document: Sequence[Chunk]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT INTO found (found, rowid, body) VALUES ('delete', ?, ?)",
            ((chunk.row + 1, chunk.searched) for chunk in document),
        )
        self._db.execute("COMMIT")


def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
