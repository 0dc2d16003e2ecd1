"""How well "not in these documents" is told from scores: AUC and what passes at thresholds, beside the share of words (`match`).

    python benchmarks/confidence.py DIR [DIR…] [--limit N] [--meaning]

DIR holds corpus/*.txt and questions.jsonl (question, relevant); file names begin with the number of their article. Of each set
every other article is taken out of the documents: its questions are not answered there, though they are of the same kind. The
constants of `retrieval.confidence` are fitted on half of the questions of the first two sets, and shown; all figures are of the
other half and of the other sets, with the constants as they are in the package. `as asked` is what
passes as the chat judges it (match or confidence, thresholds as shipped); `--meaning` says it again with vectors of all chunks.
Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import vectors
from numpy.typing import NDArray

from ragchat.evaluation import corpora
from ragchat.evaluation.corpora import QuestionSet
from ragchat.ingest.chunk import split
from ragchat.retrieval import search
from ragchat.retrieval.analyzer import detect, query_terms, terms
from ragchat.retrieval.bm25 import idf
from ragchat.retrieval.confidence import confidence, reachable
from ragchat.retrieval.search import Searcher, SearchResult
from ragchat.types import ExtractedText
from ragchat.types.defaults import MIN_CONFIDENCE, MIN_MATCH
from ragchat.types.embedding import Embedder

THRESHOLDS = (0.1, 0.2, 0.3, 0.5)
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """One question: what its search gave, and whether the documents hold its answer.

    `passes`: whether the chat would answer, by words alone and, where there is a model, with meaning.
    """

    top_score: float
    reachable: float
    match: float
    answered: bool
    passes: tuple[bool, ...] = ()


def article(name: str) -> str:
    return name.partition("_")[0]


def halved(found: QuestionSet) -> QuestionSet:
    """The set without the documents of every other article."""
    articles = list(dict.fromkeys(map(article, found.documents)))
    kept = set(articles[::2])
    return replace(found, documents={n: t for n, t in found.documents.items() if article(n) in kept})


def would_answer(result: SearchResult) -> bool:
    """As the chat judges it."""
    return bool(result.hits) and (result.match >= MIN_MATCH or result.confidence >= MIN_CONFIDENCE)


@contextlib.contextmanager
def given() -> Iterator[list[tuple[float, float]]]:
    """What a search gives to `confidence`: the best plain score and the reachable one, so that the fit is on these."""
    seen: list[tuple[float, float]] = []

    def noting(top_score: float, reachable: float) -> float:
        seen.append((top_score, reachable))
        return confidence(top_score, reachable)

    vars(search)["confidence"] = noting
    try:
        yield seen
    finally:
        vars(search)["confidence"] = confidence


def judge(found: QuestionSet, limit: int, embedder: Embedder | None) -> list[Judged]:
    language = detect("\n".join(list(found.documents.values())[:20]))
    dfs: Counter[str] = Counter()
    n = 0
    for text in found.documents.values():
        for chunk in split(ExtractedText(text=text, media_type="text/plain", source_lines=True)):
            dfs.update(set(terms(chunk.text, language)))
            n += 1
    judged = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        corpora.build_knowledge_base(Path(scratch), found) as store,
    ):
        searcher = Searcher([store])
        searchers = [searcher]
        if embedder:
            vectors.embed_share(store, embedder)
            searchers.append(Searcher([store], embedder))
        for question in corpora.spread(found.questions, limit):
            with given() as scores:
                hits = searcher.search(question.text, 3, with_evidence=False).hits
            wanted = {term: float(count) for term, count in query_terms(question.text, (language,)).items()}
            rarity = {term: idf(dfs[term], n) for term in wanted}
            worth = {term: weight * rarity[term] for term, weight in wanted.items()}
            most = reachable(wanted, rarity)
            held = [set(terms(hit.text, language)) for hit in hits]
            shares = [
                sum(value for term, value in worth.items() if term in own) / most for own in held if most
            ]
            judged.append(
                Judged(
                    *(scores[-1] if scores else (0.0, most)),
                    max(shares, default=0.0),
                    any(name in found.documents for name in question.relevant),
                    tuple(would_answer(one.search(question.text, 8)) for one in searchers),
                )
            )
    return judged


def auc(scores: Array, answered: NDArray[np.bool_]) -> float:
    """Chance that an answered question scores above an unanswered one; equal scores count half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    yes = int(answered.sum())
    return float((ranks[answered].sum() - yes * (yes + 1) / 2) / (yes * (len(scores) - yes)))


def fitted(judged: list[Judged]) -> list[float]:
    """REACHED, SCORE and BIAS by logistic regression (Newton's method, a touch of ridge)."""
    seen = [j for j in judged if j.top_score > 0]
    x = np.array([[min(1.0, j.top_score / j.reachable), np.log(j.top_score), 1.0] for j in seen])
    y = np.array([j.answered for j in seen], float)
    weights = np.zeros(3)
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 0.01 * np.eye(3)
        weights -= np.linalg.solve(hessian, x.T @ (p - y) + 0.01 * weights)
    return [round(float(w), 2) for w in weights]


def figures(judged: list[Judged]) -> dict[str, object]:
    answered = np.array([j.answered for j in judged])
    sure = np.array([confidence(j.top_score, j.reachable) for j in judged])
    match = np.array([j.match for j in judged])

    def passing(values: Array, threshold: float) -> list[float]:
        return [round(float(np.mean(values[which] >= threshold)), 3) for which in (answered, ~answered)]

    as_asked = {}
    for name, passes in zip(
        ("words", "meaning"), np.array([j.passes for j in judged], float).T, strict=False
    ):
        as_asked[f"as asked, {name}"] = passing(passes, 1.0)
    return {
        "questions": len(judged),
        "auc": round(auc(sure, answered), 4),
        "auc of match": round(auc(match, answered), 4),
        f"match {MIN_MATCH}": passing(match, MIN_MATCH),
        **{str(threshold): passing(sure, threshold) for threshold in THRESHOLDS},
        **as_asked,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dirs", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, default=0, help="at most N questions of each set, evenly spread")
    vectors.add_option(parser)
    arguments = parser.parse_args()
    embedder = vectors.wanted(arguments)
    report: dict[str, dict[str, object]] = {}
    fitting: list[Judged] = []
    for number, folder in enumerate(arguments.dirs):
        judged = judge(halved(corpora.read(folder)), arguments.limit, embedder)
        if number < 2:
            fitting += judged[::2]
            judged = judged[1::2]
        report[folder.name] = figures(judged)
    print("share that passes, of questions answered in the documents / not answered there")
    for name, row in report.items():
        print(f"{name}\n  " + "  ".join(f"{key} {value}" for key, value in row.items()))
    weights = fitted(fitting)
    print(f"fitted here: REACHED, SCORE, BIAS = {weights}")
    print(json.dumps({"benchmark": "confidence", "fitted": weights, "sets": report}))


if __name__ == "__main__":
    main()
