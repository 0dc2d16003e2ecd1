"""Whether the one or two sentences that are shown above an answer hold what was expected; `--fit` makes their weights.

    python benchmarks/evidence.py DIR [DIR…] [--limit N] [--real KB.db QUESTIONS.jsonl] [--cache FOLDER]
    python benchmarks/evidence.py DIR [DIR…] --fit quoting.json [--cache FOLDER]

DIR holds corpus/*.txt and questions.jsonl (question, answers, relevant); file names begin with the number of their article. "As
marked" is the sentence that the search marks in its first hit, and in its first two; "quoted" is what `retrieval.quoting` takes.
Of `--real` (`answers` are words any of which is expected) the documents are not known to hold an answer. AUC: how well `chance`
tells quotes that answer from others, and from those of a search that has lost the documents with the answer. `--fit` learns from
questions about every other article of all DIRs, and judges on the rest. `--cache` keeps what was found, for the next run. Ends
with one JSON line.
"""

from __future__ import annotations

import argparse
import functools
import json
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import vectors
from numpy.typing import NDArray

from ragchat.evaluation import corpora
from ragchat.evaluation.answer_metrics import holds
from ragchat.evaluation.corpora import Question
from ragchat.retrieval import quoting, worth
from ragchat.retrieval.search import Searcher
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import Hit
from ragchat.types.embedding import Embedder

Floats = NDArray[np.float64]
_FOUND = 14
"""Hits that are searched for: some are left when the documents with the answer are taken out."""
_STRENGTH = 5e-4
"""Of the pull towards 0; with a tenth and with ten times as much no figure moves by a point."""
_LEAST_SCALE = 0.1
"""A sign that few sentences have gets no large weight."""
GIVEN = {
    "above": 1.0,
    "asks": -1.0,
    "heading": -1.5,
    "item": 0.0,
    "open": -0.5,
    "refers": -2.0,
    "table": 0.0,
    "way:code": 0.6,
    "way:step": 0.4,
    "command:code": 0.6,
    "command:step": 0.3,
    "topic:code": 0.5,
    "topic:step": 0.4,
    "topic:meaning": 0.3,
    "topic:entry": 0.8,
    "meaning:entry": 0.8,
}
"""Weights of signs of which sets of articles say little: manuals have headings, commands and steps. By judgement,
with questions about manuals in view: figures on those are not of questions that no one has seen."""


@dataclass(frozen=True, slots=True)
class Found:
    """A question and the hits of its search."""

    question: Question
    hits: tuple[Hit, ...]

    @property
    def without(self) -> Found:
        """The same where the documents that hold the answer are gone."""
        left = [hit for hit in self.hits if hit.path not in self.question.relevant]
        return replace(self, hits=tuple(replace(hit, rank=n) for n, hit in enumerate(left, 1)))

    @property
    def learned_from(self) -> bool:
        """Whether its article is one of those that `--fit` reads."""
        return int(self.question.relevant[0].split("_")[0]) % 2 == 0 if self.question.relevant else False

    def holds(self, texts: Sequence[str]) -> bool:
        """Whether one of the texts has an expected answer."""
        return any(holds(text, self.question.answers) for text in texts)


# --- searching --------------------------------------------------------------------------------------------


def of_set(folder: Path, limit: int, embedder: Embedder | None) -> list[Found]:
    questions = corpora.read(folder)
    asked = corpora.spread(tuple(q for q in questions.questions if q.answers), limit)
    with (
        tempfile.TemporaryDirectory() as scratch,
        corpora.build_knowledge_base(Path(scratch), questions) as store,
    ):
        if embedder:
            vectors.embed_share(store, embedder)
        return searched(Searcher([store], embedder), asked)


def of_real(file: Path, questions: Path) -> list[Found]:
    rows = [json.loads(line) for line in questions.read_text("utf-8").splitlines() if line.strip()]
    asked = [Question(row["id"], row["question"], tuple(row["answers"]), ()) for row in rows]
    with KnowledgeStore.open(file.parent, file.stem) as store:
        return searched(Searcher([store]), asked)


def searched(searcher: Searcher, asked: Sequence[Question]) -> list[Found]:
    return [Found(question, searcher.search(question.text, _FOUND).hits) for question in asked]


def kept(cache: Path | None, name: str, make: Callable[[], list[Found]]) -> list[Found]:
    """What was found, from the cache where it is there. The cache is a pickle: your own alone."""
    file = cache / f"{name}.pickle" if cache else None
    if file and file.is_file():
        held: list[Found] = pickle.loads(file.read_bytes())
        return held
    found = make()
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(found))
    return found


# --- measuring --------------------------------------------------------------------------------------------


def measure(found: Sequence[Found]) -> dict[str, float]:
    """Shares of the questions, by the way the sentences are chosen, and how well `chance` tells them apart."""
    started = time.process_time()
    quoted = [quoting.quote(one.question.text, one.hits) for one in found]
    took = time.process_time() - started
    right = [one.holds([quote.text for quote in quotes]) for one, quotes in zip(found, quoted, strict=True)]
    chances = [quotes[0].chance if quotes else 0.0 for quotes in quoted]
    count = len(found)
    figures = {
        "questions": count,
        "marked_one": sum(one.holds([hit.evidence for hit in one.hits[:1]]) for one in found) / count,
        "marked_two": sum(one.holds([hit.evidence for hit in one.hits[:2]]) for one in found) / count,
        "quoted_one": sum(
            one.holds([q.text for q in quotes[:1]]) for one, quotes in zip(found, quoted, strict=True)
        )
        / count,
        "quoted_two": sum(right) / count,
        "in_a_hit": sum(one.holds([hit.text for hit in one.hits[: quoting.HITS]]) for one in found) / count,
        "characters": sum(len(quote.text) for quotes in quoted for quote in quotes) / count,
        "ms": 1000 * took / count,
        "chance": sum(chances) / count,
        "auc_right": auc(chances, right),
    }
    if any(one.question.relevant for one in found):
        gone = [quoting.quote(one.question.text, one.without.hits) for one in found]
        there = [chance for chance, is_right in zip(chances, right, strict=True) if is_right]
        lost = [quotes[0].chance if quotes else 0.0 for quotes in gone]
        figures["auc_gone"] = auc([*there, *lost], [True] * len(there) + [False] * len(lost))
        figures["chance_gone"] = sum(lost) / count
    return {name: round(value, 4) for name, value in figures.items()}


def use(weights: quoting.Fitted) -> None:
    """From now on quote with these weights."""

    def fitted() -> quoting.Fitted:
        return weights

    quoting.fitted = functools.cache(fitted)


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """The share of pairs of a true and a false one that the score orders rightly; ties count half. .5 without pairs."""
    order = np.argsort(scores, kind="stable")
    ordered = np.array(scores)[order]
    first, last = (np.searchsorted(ordered, ordered, side) for side in ("left", "right"))
    ranks = np.empty(len(ordered))
    ranks[order] = (first + last + 1) / 2
    true = np.array(labels, bool)
    pairs = true.sum() * (~true).sum()
    return float((ranks[true].sum() - true.sum() * (true.sum() + 1) / 2) / pairs) if pairs else 0.5


def show(name: str, figures: Mapping[str, float]) -> None:
    print(
        f"  {name:28}{figures['marked_one']:>7.3f}{figures['marked_two']:>7.3f}"
        f"{figures['quoted_one']:>9.3f}{figures['quoted_two']:>7.3f}{figures['in_a_hit']:>8.3f}"
        f"{figures['characters']:>7.0f}{figures['ms']:>6.1f}{figures['chance']:>8.2f}{figures['auc_right']:>6.2f}"
        f"{figures.get('auc_gone', float('nan')):>6.2f}",
        flush=True,
    )


# --- fitting ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Example:
    """What was seen of the pieces of a question's hits, and which of them are right."""

    found: Found
    passages: Sequence[worth.Passage]
    seen: worth.Seen
    right: NDArray[np.bool_]


def examples(found: Sequence[Found]) -> Iterator[Example]:
    for one in found:
        hits = one.hits[: quoting.HITS]
        passages = worth.cut(hits)
        if (seen := worth.look(one.question.text, hits, passages)) is None:
            continue
        seen = worth.look_closely(one.question.text, seen, range(len(seen.pieces)))
        right = [
            hits[piece.hit].path in one.question.relevant and one.holds([piece.said]) for piece in seen.pieces
        ]
        yield Example(one, passages, seen, np.array(right, bool))


def fit(learned: Sequence[Found]) -> quoting.Fitted:
    """Weights of the sentences, then of the second given the first, then of what tells whether they answer."""
    all_of = list(examples(learned))
    names = sorted({name for example in all_of for name in example.seen.columns}.difference(GIVEN))
    columns = [table(example.seen.columns, names) for example in all_of]
    offsets = [quoting.weighed(example.seen.columns, GIVEN) for example in all_of]
    sentence = GIVEN | listwise(columns, [example.right for example in all_of], names, offsets)
    second = fit_second(all_of, sentence)
    weights = quoting.Fitted(sentence, second, {})
    return replace(weights, chance=fit_chance(learned, weights))


def fit_second(all_of: Sequence[Example], sentence: Mapping[str, float]) -> dict[str, float]:
    columns, right, offsets = [], [], []
    for example in all_of:
        scores = quoting.weighed(example.seen.columns, sentence)
        best = int(np.argmax(scores))
        if example.right[best]:
            continue
        others = np.arange(len(scores)) != best
        beside = quoting.beside(example.seen, best)
        names = list(beside)
        columns.append(table(beside, names)[others])
        right.append(example.right[others])
        offsets.append(scores[others])
    return listwise(columns, right, names, offsets)


def fit_chance(learned: Sequence[Found], weights: quoting.Fitted) -> dict[str, float]:
    """A logistic regression on questions, and on the same where the documents with the answer are gone."""
    rows, labels = [], []
    for one, is_there in ((one, there) for one in learned for there in (True, False)):
        hits = (one if is_there else one.without).hits[: quoting.HITS]
        if (ranked := quoting.rank(one.question.text, hits, weights)) is None:
            continue
        rows.append(quoting.facts(ranked, hits))
        texts = [hits[number].text[first:last] for number, first, last in quoting.spans(ranked)]
        labels.append(is_there and one.holds(texts))
    names = list(rows[0])
    return logistic(np.array([[row[name] for name in names] for row in rows]), np.array(labels, float), names)


def table(columns: Mapping[str, Floats], names: Sequence[str]) -> Floats:
    count = len(next(iter(columns.values())))
    return np.column_stack([columns.get(name, np.zeros(count)) for name in names])


def listwise(
    columns: Sequence[Floats],
    right: Sequence[NDArray[np.bool_]],
    names: Sequence[str],
    offsets: Sequence[Floats],
) -> dict[str, float]:
    """Weights under which the right ones of each list have the largest share of exp(score), which are added to `offsets`."""
    from scipy.optimize import minimize

    used = [i for i, own in enumerate(right) if own.any()]
    every = np.vstack([columns[i] for i in used])
    true = np.concatenate([right[i] for i in used])
    begins = np.cumsum([0, *(len(right[i]) for i in used[:-1])])
    of = np.repeat(np.arange(len(used)), [len(right[i]) for i in used])
    given = np.concatenate([offsets[i] for i in used])
    scale = np.maximum(every.std(0), _LEAST_SCALE)
    scaled = every / scale

    def loss(weights: Floats) -> tuple[float, Floats]:
        scores = scaled @ weights + given
        shares = np.exp(scores - np.maximum.reduceat(scores, begins)[of])
        total, won = np.add.reduceat(shares, begins), np.add.reduceat(shares * true, begins)
        slope = scaled.T @ (shares / total[of] - shares * true / (won + 1e-30)[of])
        value = -np.log(won / total + 1e-30).mean() + _STRENGTH * (weights**2).sum()
        return float(value), slope / len(used) + 2 * _STRENGTH * weights

    found = (
        minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x / scale
    )
    return {name: round(float(weight), 4) for name, weight in zip(names, found, strict=True)}


def logistic(rows: Floats, labels: Floats, names: Sequence[str]) -> dict[str, float]:
    from scipy.optimize import minimize

    scale = np.abs(rows).max(0)
    scaled = rows / scale

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = scaled @ weights
        chance = 1 / (1 + np.exp(-margin))
        value = (np.logaddexp(0, margin) - labels * margin).mean() + 1e-5 * (weights**2).sum()
        return float(value), scaled.T @ (chance - labels) / len(labels) + 2e-5 * weights

    found = minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
    return {name: round(float(weight), 4) for name, weight in zip(names, found / scale, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dirs", nargs="*", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, default=0, help="at most N questions of each set, evenly spread")
    parser.add_argument(
        "--real", nargs=2, type=Path, action="append", default=[], metavar=("KB", "QUESTIONS")
    )
    parser.add_argument("--fit", type=Path, metavar="FILE", help="learn the weights and write them to FILE")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keep what was found there")
    vectors.add_option(parser)
    arguments = parser.parse_args()
    embedder = vectors.wanted(arguments)
    sets = {
        folder.name: kept(
            arguments.cache, folder.name, functools.partial(of_set, folder, arguments.limit, embedder)
        )
        for folder in arguments.dirs
    }
    if arguments.fit:
        weights = fit([one for found in sets.values() for one in found if one.learned_from])
        arguments.fit.write_text(json.dumps(asdict(weights), indent=1) + "\n", "utf-8")
        use(weights)
        sets = {name: [one for one in found if not one.learned_from] for name, found in sets.items()}
    for file, questions in arguments.real:
        sets[questions.stem] = kept(
            arguments.cache, questions.stem, functools.partial(of_real, file, questions)
        )
    print(
        f"  {'':28}{'marked':>14}{'quoted':>16}{'in a hit':>10}{'chars':>5}{'ms':>6}{'chance':>8}{'AUC':>6}{'gone':>6}"
    )
    report = {}
    for name, found in sets.items():
        report[name] = measure(found)
        show(f"{name} ({len(found)})", report[name])
    print(json.dumps({"benchmark": "evidence", "sets": report}))


if __name__ == "__main__":
    main()
