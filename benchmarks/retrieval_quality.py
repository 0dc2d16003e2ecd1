"""Ranking quality on a question set, beside bm25s (stemmed) and rank_bm25, all computed in this run.

    python benchmarks/retrieval_quality.py DIR [DIR…] [--limit N] [--meaning] [--embedded 0,.1,.5,1]

DIR holds corpus/*.txt and questions.jsonl (question, relevant file names). Units are whole documents: ragchat indexes them
through its own index (one chunk each, and cut into chunks as it would really do it, a document taking the place of its best
chunk). `--meaning` adds rows with vectors of all units; `--embedded` rows where only the first units have one: beside these a
question embeds 20 of what it finds, as in a chat, or ("none made") nothing. Seconds include embedding. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import vectors

from ragchat.evaluation.retrieval_metrics import ndcg_at, recall_at, reciprocal_rank_at
from ragchat.ingest.chunk import split
from ragchat.retrieval.analyzer import detect
from ragchat.retrieval.index import merge_segments, write_document
from ragchat.retrieval.search import DEFAULT, PLAIN, Ranking, Searcher
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, ExtractedText, Span
from ragchat.types.embedding import Embedder

Ranker = Callable[[str], list[str]]
WHOLE = replace(DEFAULT, longest_passage=0)
"""A document that is one chunk has nothing to grow by."""


def index(folder: Path, name: str, documents: dict[str, str], *, cut: bool) -> KnowledgeStore:
    """A knowledge base of the documents, each as one chunk or cut; the caller closes it."""
    store = KnowledgeStore.create(folder, name)
    for path, text in documents.items():
        extracted = ExtractedText(text=text, media_type="text/plain", source_lines=True)
        span = Span(0, len(text), 1, text.count("\n") + 1)
        chunks = split(extracted) if cut else [ChunkDraft(text, "", span)]
        write_document(store, FileRecord(path, len(text), 0, language=detect(text) or "en"), chunks)
    merge_segments(store)
    return store


def ranker(searcher: Searcher, ranking: Ranking, *, cut: bool) -> Ranker:
    """Documents in the order of their best chunk."""

    def rank(question: str) -> list[str]:
        hits = searcher.search(question, 50 if cut else 10, with_evidence=False, ranking=ranking).hits
        return list(dict.fromkeys(hit.path for hit in hits))[:10]

    return rank


def ours(
    folder: Path, documents: dict[str, str], embedder: Embedder | None, shares: list[float]
) -> Iterator[tuple[str, Callable[[], Ranker]]]:
    """(name of the row, what makes its ranker), to be measured in this order: vectors are added from row to row."""

    def words(name: str, ranking: Ranking, *, cut: bool) -> Ranker:
        return ranker(Searcher([index(folder, name, documents, cut=cut)]), ranking, cut=cut)

    yield "ragchat, whole documents", lambda: words("whole", WHOLE, cut=False)
    yield "the same, BM25 alone", lambda: words("plain", PLAIN, cut=False)
    yield "ragchat, chunks", lambda: words("chunks", DEFAULT, cut=True)
    if embedder is None:
        return

    def embedded(
        name: str, ranking: Ranking, *, share: float = 1.0, cut: bool = False, in_time: bool = False
    ) -> Ranker:
        store = KnowledgeStore.open(folder, name)
        vectors.embed_share(store, embedder, share)
        return ranker(vectors.as_embedded([store], embedder, in_time=in_time), ranking, cut=cut)

    for share in shares:
        row = f"meaning, {share:.0%} embedded"
        yield row, partial(embedded, "whole", WHOLE, share=share, in_time=True)
        yield f"{row}, none made", partial(embedded, "whole", WHOLE, share=share)
    yield "meaning, whole documents", lambda: embedded("whole", WHOLE)
    yield "meaning, chunks", lambda: embedded("chunks", DEFAULT, cut=True)


def bm25s_stemmed(documents: dict[str, str]) -> Ranker:
    import bm25s
    import Stemmer

    names = list(documents)
    stemmer = Stemmer.Stemmer("english")
    tokens = bm25s.tokenize(list(documents.values()), stopwords="en", stemmer=stemmer, show_progress=False)
    retriever = bm25s.BM25(k1=1.5, b=0.75)
    retriever.index(tokens, show_progress=False)

    def rank(question: str) -> list[str]:
        query = bm25s.tokenize(question, stopwords="en", stemmer=stemmer, show_progress=False)
        found, scores = retriever.retrieve(query, k=10, show_progress=False)
        return [names[i] for i, score in zip(found[0], scores[0], strict=True) if score > 0]

    return rank


def rank_bm25_plain(documents: dict[str, str]) -> Ranker:
    import numpy as np
    from rank_bm25 import BM25Okapi

    names = list(documents)
    retriever = BM25Okapi([text.lower().split() for text in documents.values()])

    def rank(question: str) -> list[str]:
        scores = retriever.get_scores(question.lower().split())
        return [names[i] for i in np.argsort(-scores, kind="stable")[:10] if scores[i] > 0]

    return rank


def measure(rank: Ranker, questions: list[dict[str, Any]]) -> dict[str, float]:
    rankings = [rank(q["question"]) for q in questions]
    pairs = [(ranking, set(q["relevant"])) for ranking, q in zip(rankings, questions, strict=True)]
    n = len(pairs)
    return {
        "ndcg@10": sum(ndcg_at(10, r, rel) for r, rel in pairs) / n,
        "recall@5": sum(recall_at(5, r, rel) for r, rel in pairs) / n,
        "mrr@10": sum(reciprocal_rank_at(10, r, rel) for r, rel in pairs) / n,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dirs", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, default=0, help="only the first N questions")
    vectors.add_option(parser)
    parser.add_argument(
        "--embedded",
        default="",
        metavar="SHARES",
        help="shares with a vector, with commas (implies --meaning)",
    )
    arguments = parser.parse_args()
    shares = sorted(float(share) for share in arguments.embedded.split(",") if share)
    arguments.meaning = arguments.meaning or bool(shares)
    embedder = vectors.wanted(arguments)
    report: dict[str, dict[str, dict[str, float]]] = {}
    for directory in arguments.dirs:
        documents = {p.name: p.read_text("utf-8") for p in sorted((directory / "corpus").glob("*.txt"))}
        questions = [
            json.loads(line)
            for line in (directory / "questions.jsonl").read_text("utf-8").splitlines()
            if line
        ]
        questions = questions[: arguments.limit or None]
        print(f"\n{directory.name}: {len(documents)} documents, {len(questions)} questions")
        print(f"  {'':34}{'nDCG@10':>9}{'recall@5':>10}{'MRR@10':>9}{'seconds':>9}")
        with tempfile.TemporaryDirectory() as folder:
            engines: dict[str, Callable[[], Ranker]] = {
                **dict(ours(Path(folder), documents, embedder, shares)),
                "bm25s, stemmed": partial(bm25s_stemmed, documents),
                "rank_bm25, lower().split()": partial(rank_bm25_plain, documents),
            }
            results = report.setdefault(directory.name, {})
            for name, build in engines.items():
                started = time.perf_counter()
                results[name] = measure(build(), questions)
                figures = "".join(f"{value:>9.3f} " for value in results[name].values())
                print(f"  {name:34}{figures}{time.perf_counter() - started:>8.1f}", flush=True)
    print(json.dumps({"benchmark": "retrieval_quality", "sets": report}))


if __name__ == "__main__":
    main()
