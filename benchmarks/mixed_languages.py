"""Documents of several languages in one knowledge base: ranking, and what passes as relevant, beside each language alone.

    python benchmarks/mixed_languages.py DIR DIR [DIR…] [--limit N] [--meaning]

Question sets as for `benchmarks/confidence.py`; every other article is taken out of the documents, so that half of the questions
have no answer there. Each set is asked of its own documents and of those of all sets together. `answered` and `not answered` are
the shares of the questions that pass as the chat judges it (match or confidence, thresholds as shipped). With `--meaning`
each set comes again with vectors of all chunks that the model reads. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import vectors

from ragchat.evaluation import corpora, retrieval_metrics
from ragchat.evaluation.corpora import QuestionSet
from ragchat.retrieval.search import Searcher
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types.defaults import MIN_CONFIDENCE, MIN_MATCH


@dataclass(frozen=True, slots=True)
class Figures:
    """nDCG@10 of the questions whose documents are there, and shares of questions that pass."""

    ndcg: float
    answered: float
    not_answered: float


def article(name: str) -> str:
    return name.partition("_")[0]


def halved(found: QuestionSet) -> QuestionSet:
    """The set without the documents of every other article."""
    kept = set(list(dict.fromkeys(map(article, found.documents)))[::2])
    return replace(found, documents={n: t for n, t in found.documents.items() if article(n) in kept})


def measure(searcher: Searcher, found: QuestionSet, own: str, limit: int) -> Figures:
    """Ask the questions of a set, whose documents are in the knowledge base `own`.

    Translations of a set have the same file names, so a document of another knowledge base is never one that answers.
    """
    ndcgs: list[float] = []
    passed: dict[bool, list[float]] = {True: [], False: []}
    for question in corpora.spread(found.questions, limit):
        result = searcher.search(question.text, 10)
        there = any(name in found.documents for name in question.relevant)
        passes = bool(result.hits) and (result.match >= MIN_MATCH or result.confidence >= MIN_CONFIDENCE)
        passed[there].append(float(passes))
        if there:
            places = dict.fromkeys((hit.knowledge_base, hit.path) for hit in result.hits)
            ranking = [path if name == own else f"{name}/{path}" for name, path in places]
            ndcgs.append(retrieval_metrics.ndcg_at(10, ranking, question.relevant))
    return Figures(fmean(ndcgs), fmean(passed[True]), fmean(passed[False]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, default=300)
    vectors.add_option(parser)
    wanted = parser.parse_args()
    embedder = vectors.wanted(wanted)
    sets = [halved(corpora.read(folder)) for folder in wanted.sets]
    report: dict[str, dict[str, dict[str, float]]] = {}
    with ExitStack() as stack:
        stores: list[KnowledgeStore] = []
        for found in sets:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            store = corpora.build_knowledge_base(folder, found, f"set{len(stores)}")
            stores.append(stack.enter_context(store))
        if embedder:
            for store in stores:
                vectors.embed_share(store, embedder)
        print(f"{'':20}{'nDCG@10':>18}{'answered passes':>22}{'not answered passes':>24}")
        for kind, model in (("", None), ("meaning, ", embedder)) if embedder else (("", None),):
            together = Searcher(stores, model)
            for number, found in enumerate(sets):
                alone = measure(Searcher([stores[number]], model), found, stores[number].name, wanted.limit)
                mixed = measure(together, found, stores[number].name, wanted.limit)
                row = report.setdefault(found.name, {})
                row |= {f"{kind}alone": vars_of(alone), f"{kind}together": vars_of(mixed)}
                print(
                    f"{kind + found.name:20}{alone.ndcg:>9.3f} → {mixed.ndcg:.3f}{alone.answered:>13.3f} → {mixed.answered:.3f}"
                    f"{alone.not_answered:>15.3f} → {mixed.not_answered:.3f}",
                    flush=True,
                )
    print(json.dumps({"benchmark": "mixed_languages", "sets": report}))


def vars_of(figures: Figures) -> dict[str, float]:
    return {
        "ndcg": round(figures.ndcg, 4),
        "answered": round(figures.answered, 4),
        "not_answered": round(figures.not_answered, 4),
    }


if __name__ == "__main__":
    main()
