"""Ranking quality on a question set, beside bm25s (stemmed) and rank_bm25, all computed in this run.

    python benchmarks/retrieval_quality.py DIR [DIR…] [--limit N]

DIR holds corpus/*.txt and questions.jsonl (question, relevant file names). Units are whole documents: ragchat indexes them
through its own index (one chunk each, and cut into chunks as it would really do it, a document taking the place of its best
chunk). Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ragchat.evaluation.retrieval_metrics import ndcg_at, recall_at, reciprocal_rank_at
from ragchat.ingest.chunk import split
from ragchat.retrieval.analyzer import detect
from ragchat.retrieval.index import merge_segments, write_document
from ragchat.retrieval.search import DEFAULT, PLAIN, Ranking, Searcher
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, ExtractedText, Span

Ranker = Callable[[str], list[str]]


def ours(folder: Path, documents: dict[str, str], *, cut: bool, ranking: Ranking = DEFAULT) -> Ranker:
    store = KnowledgeStore.create(folder, f"{'chunks' if cut else 'whole'}{ranking is DEFAULT:d}")
    for name, text in documents.items():
        extracted = ExtractedText(text=text, media_type="text/plain", source_lines=True)
        span = Span(0, len(text), 1, text.count("\n") + 1)
        chunks = split(extracted) if cut else [ChunkDraft(text, "", span)]
        write_document(store, FileRecord(name, len(text), 0, language=detect(text) or "en"), chunks)
    merge_segments(store)
    searcher = Searcher([store])

    def rank(question: str) -> list[str]:
        hits = searcher.search(question, 50 if cut else 10, with_evidence=False, ranking=ranking).hits
        return list(dict.fromkeys(hit.path for hit in hits))[:10]

    return rank


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


def measure(rank: Ranker, questions: list[dict]) -> dict[str, float]:
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
    arguments = parser.parse_args()
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
        print(f"  {'':28}{'nDCG@10':>9}{'recall@5':>10}{'MRR@10':>9}{'seconds':>9}")
        with tempfile.TemporaryDirectory() as folder:
            engines: dict[str, Callable[[], Ranker]] = {
                "ragchat, whole documents": lambda f=folder, d=documents: ours(Path(f), d, cut=False),
                "the same, BM25 alone": lambda f=folder, d=documents: ours(
                    Path(f), d, cut=False, ranking=PLAIN
                ),
                "ragchat, chunks": lambda f=folder, d=documents: ours(Path(f), d, cut=True),
                "bm25s, stemmed": lambda d=documents: bm25s_stemmed(d),
                "rank_bm25, lower().split()": lambda d=documents: rank_bm25_plain(d),
            }
            results = report.setdefault(directory.name, {})
            for name, build in engines.items():
                started = time.perf_counter()
                results[name] = measure(build(), questions)
                figures = "".join(f"{value:>9.3f} " for value in results[name].values())
                print(f"  {name:28}{figures}{time.perf_counter() - started:>8.1f}")
    print(json.dumps({"benchmark": "retrieval_quality", "sets": report}))


if __name__ == "__main__":
    main()
