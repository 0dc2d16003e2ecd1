"""How well "the documents do not answer this" is told, before the model and after it, on questions whose document was taken out.

    python benchmarks/answerable.py DIR [DIR…] --signals FILE.jsonl [--limit N] [--asked N] [--meaning] [--fit N]

Each DIR holds corpus/*.txt and questions.jsonl (question, relevant); file names begin with the number of their article. Each
question is asked twice: of one half of the documents, which has its answer, and of the other half, which has not. The halves are
every other document ("documents": what else is written of the subject stays) and every other article ("articles"). "few" are
small collections of 1 to 32 documents. `--fit N` writes session/answerability.toml from the first N sets; their figures are then
those of weights that were fitted to the other half of the articles, while the other sets have no part in the fit. `--asked N`
lets the model answer N questions of each set, in both states; `--meaning` compares question and quotes by an embedding model.
FILE keeps what is known of each question, so that the same command goes on where it was stopped. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import vectors
from confidence import article, auc, would_answer
from numpy.typing import NDArray

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.config import Settings
from ragchat.evaluation import corpora
from ragchat.evaluation.answer_metrics import contains
from ragchat.evaluation.corpora import Question, QuestionSet
from ragchat.llm.loading import loaded
from ragchat.paths import Paths
from ragchat.retrieval import quoting
from ragchat.retrieval.search import Searcher
from ragchat.retrieval.vocabulary import Vocabulary
from ragchat.session import answerability, citations, packing, prompt
from ragchat.session.answerability import Signals
from ragchat.session.sources import Sources
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, GenerationFinished, LoadedModel, Sampling, TextDelta
from ragchat.types.defaults import HITS
from ragchat.types.embedding import Embedder

WAYS = ("documents", "articles", "few")
BEFORE = ("sure", "match", "common", "grams", "sentence", "names", "quote")
NEAR = ("before", "near")
AFTER = ("before", "borrowed", "likely")
_SIZES = (1, 2, 4, 8, 16, 32)
_COLLECTIONS = 60
_QUESTIONS_EACH = 6
_READ = 3
MOST_WRONG_REFUSALS = 0.08
_RIDGE = 2.0
_LONGEST_ANSWER = 48
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """One question in one state. `answered`: the documents hold its answer; `passes`: the chat gives passages to the model.

    `part` is the half, or the number of the small collection; `article` its number in the set; `asked` whether the model was.
    `elsewhere`: one of the first passages has the words of an answer, though no document that is known to answer is there.
    """

    set: str
    way: str
    part: int
    id: str
    article: int
    answered: bool
    passes: bool
    asked: bool
    elsewhere: bool = False
    signals: dict[str, float | None] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, int, str, bool]:
        return self.set, self.way, self.part, self.id, self.asked

    @property
    def known(self) -> Signals:
        return Signals(**self.signals)


Kept = dict[tuple[str, str, int, str, bool], Row]


# --- what is known of each question -----------------------------------------------------------------------


Part = tuple[int, dict[str, str], Sequence[Question]]
"""Its number, the documents that stay, and what is asked of them."""


def parts(found: QuestionSet, way: str, limit: int) -> Iterator[Part]:
    """The collections of a way. Each question of a half, or some with and without an answer of a small collection."""
    questions = [q for q in corpora.spread(found.questions, limit) if q.relevant]
    if way == "few":
        yield from _small(found, questions)
        return
    names = list(found.documents)
    groups = names if way == "documents" else list(dict.fromkeys(map(article, names)))
    for half in (0, 1):
        stay = set(groups[half::2])
        kept = {n: t for n, t in found.documents.items() if (n if way == "documents" else article(n)) in stay}
        yield half, kept, questions


def _small(found: QuestionSet, questions: Sequence[Question]) -> Iterator[Part]:
    """Of one article or of any, by turns. Those without an answer are about the same articles."""
    draw = random.Random(7)
    names = list(found.documents)
    for number in range(_COLLECTIONS):
        one = article(draw.choice(names))
        pool = [name for name in names if article(name) == one] if number % 2 else names
        held = set(draw.sample(pool, min(len(pool), _SIZES[number // 2 % len(_SIZES)])))
        about = {article(name) for name in held}
        inside = [q for q in questions if held & set(q.relevant)]
        outside = [q for q in questions if not held & set(q.relevant) and article(q.relevant[0]) in about]
        some = [q for own in (inside, outside) for q in draw.sample(own, min(len(own), _QUESTIONS_EACH))]
        yield number, {name: found.documents[name] for name in names if name in held}, some


class Looker:
    """Searches one half of a set, and asks the model where there is one."""

    def __init__(self, store: KnowledgeStore, model: LoadedModel | None, embedder: Embedder | None) -> None:
        self._searcher, self._worth = Searcher([store]), Vocabulary([store]).idf
        self._model, self._embedder = model, embedder

    def look(self, asked: Question) -> tuple[Signals, bool, bool]:
        """What is known; whether the chat would give passages to the model, and whether these have the words of an answer."""
        question, result = asked.text, self._searcher.search(asked.text, HITS)
        passes = would_answer(result)
        held = any(contains(hit.text, asked.answers) for hit in result.hits[:_READ])
        quotes = quoting.quote(question, result.hits)
        known = answerability.search_signals(question, result, quotes, self._worth, self._embedder)
        if self._model is None or not result.hits:
            return known, passes, held
        offered = prompt.pack(self._model, question, Sources().found(result.hits), _layout(self._model))
        greedy = Sampling(temperature=0.0, seed=0, max_tokens=_LONGEST_ANSWER)
        events = list(self._model.generate(offered.messages, greedy, cancel=CancelToken()))
        said = "".join(event.text for event in events if isinstance(event, TextDelta))
        finished = next((event for event in events if isinstance(event, GenerationFinished)), None)
        bound = citations.bind(said, offered.citations, question)
        borrowed = answerability.borrowed(bound.text, offered.citations, question)
        return answerability.after_signals(known, finished, bound.statements, borrowed), passes, held


def _layout(model: LoadedModel) -> prompt.Layout:
    info = model.info
    return prompt.Layout(
        n_ctx=info.n_ctx,
        packing=packing.for_model(info, {}),
        passage_share=0.5,
        answer_tokens=_LONGEST_ANSWER,
    )


def collect(
    found: QuestionSet, way: str, limit: int, kept: Kept, readers: tuple[LoadedModel | None, Embedder | None]
) -> Iterator[Row]:
    """The rows of a set that are not kept yet."""
    articles = list(dict.fromkeys(map(article, found.documents)))
    asked = readers[0] is not None
    for number, documents, questions in parts(found, way, limit):
        wanted = [q for q in questions if (found.name, way, number, q.id, asked) not in kept]
        if not wanted:
            continue
        held = replace(found, documents=documents)
        with (
            tempfile.TemporaryDirectory() as scratch,
            corpora.build_knowledge_base(Path(scratch), held) as store,
        ):
            looker = Looker(store, *readers)
            for q in wanted:
                known, passes, said = looker.look(q)
                there = any(name in documents for name in q.relevant)
                about = articles.index(article(q.relevant[0]))
                yield Row(
                    found.name,
                    way,
                    number,
                    q.id,
                    about,
                    there,
                    passes,
                    asked,
                    said and not there,
                    asdict(known),
                )


def read_rows(file: Path) -> Kept:
    if not file.is_file():
        return {}
    rows = (Row(**json.loads(line)) for line in file.read_text("utf-8").splitlines())
    return {row.key: row for row in rows}


def append(file: Path, rows: Iterable[Row], kept: Kept) -> None:
    with file.open("a", encoding="utf-8") as out:
        for row in rows:
            kept[row.key] = row
            out.write(json.dumps(asdict(row)) + "\n")
            out.flush()


# --- fitting ----------------------------------------------------------------------------------------------


def values_of(row: Row, *, near: bool) -> Mapping[str, float | None]:
    """With the log-odds by words alone, or with meaning where it is known."""
    known = row.known if near else replace(row.known, near=None)
    return row.signals | {"before": answerability.log_odds(known)}


def logistic(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """Bias and weights by logistic regression (Newton's method, ridge); all sets, ways and both states count alike."""
    values = np.array(
        [[_number(values_of(row, near="near" not in names).get(name)) for name in names] for row in rows]
    )
    truth = np.array([row.answered for row in rows], float)
    mean, deviation = np.nanmean(values, 0), np.nanstd(values, 0) + 1e-9
    columns = np.column_stack([np.nan_to_num((values - mean) / deviation), np.ones(len(rows))])
    groups = [(row.set, row.way, row.answered) for row in rows]
    counts = np.array([len(rows) / (len(set(groups)) * groups.count(group)) for group in groups])
    ridge = _RIDGE * np.eye(len(names) + 1)
    ridge[-1, -1] = 0
    weights = np.zeros(len(names) + 1)
    for _ in range(30):
        told = 1 / (1 + np.exp(-columns @ weights))
        curvature = (columns * (counts * told * (1 - told))[:, None]).T @ columns + ridge
        weights -= np.linalg.solve(curvature, columns.T @ (counts * (told - truth)) + ridge @ weights)
    return {
        "bias": round(float(weights[-1]), 4),
        "signals": {
            name: {
                "weight": round(float(weights[at]), 4),
                "mean": round(float(mean[at]), 4),
                "deviation": round(float(deviation[at]), 4),
            }
            for at, name in enumerate(names)
        },
    }


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


_UNCHANGED = {"bias": 0.0, "signals": {"before": {"weight": 1.0, "mean": 0.0, "deviation": 1.0}}}


def fit(rows: Sequence[Row]) -> None:
    """Write session/answerability.toml, each part with the ones before it."""
    searched = [row for row in rows if not row.asked]
    near = [row for row in searched if row.signals["near"] is not None]
    told = [row for row in rows if row.asked and row.signals["borrowed"] is not None]
    least = {"before": 0.5, "after": 0.5}
    shipped = {"before": logistic(searched, BEFORE), "near": _UNCHANGED, "after": _UNCHANGED}
    for name, some, signals in (("near", near, NEAR), ("after", told, AFTER)):
        _write(shipped, least)
        if some:
            shipped[name] = logistic(some, signals)
    _write(shipped, least)
    least = dict.fromkeys(
        least,
        threshold([answerability.before(row.known) for row in searched], searched, MOST_WRONG_REFUSALS),
    )
    if told:
        shipped["after"]["bias"] = round(shipped["after"]["bias"] + _aligned(told, least["before"]), 4)
    _write(shipped, least)


def _aligned(told: Sequence[Row], least: float) -> float:
    """What brings the log-odds after the model to the scale of those before it, which more kinds of questions gave: of the same
    answered questions, as many are below the threshold."""
    refused = np.mean([answerability.before(row.known) < least for row in told if row.answered])
    same = threshold([answerability.after(row.known) for row in told], told, float(refused))
    return math.log(least / (1 - least)) - math.log(same / (1 - same))


Chances = dict[tuple[str, str, int, str, bool], float]


def chances_of(rows: Iterable[Row], chance: Callable[[Signals], float]) -> Chances:
    return {row.key: chance(row.known) for row in rows}


def crossed(rows: Sequence[Row]) -> tuple[Chances, Chances]:
    """The chances before and after of each row, by weights that were fitted to the other half of the articles."""
    before: Chances = {}
    after: Chances = {}
    for half in (0, 1):
        fit([row for row in rows if row.article % 2 != half])
        own = [row for row in rows if row.article % 2 == half]
        before |= chances_of(own, answerability.before)
        after |= chances_of([row for row in own if row.asked], answerability.after)
    return before, after


def threshold(chances: Sequence[float], rows: Sequence[Row], refusals: float) -> float:
    """The chance below which such a share of the answered questions is, in hundredths."""
    answered = [chance for chance, row in zip(chances, rows, strict=True) if row.answered]
    return float(np.floor(100 * np.quantile(answered, refusals)) / 100)


def _write(shipped: Mapping[str, Any], least: Mapping[str, float]) -> None:
    lines = [
        "# The weights of `ragchat.session.answerability`: benchmarks/answerable.py --fit writes this file.",
        "[thresholds]",
        *(f"{name} = {value}" for name, value in least.items()),
    ]
    for name in ("before", "near", "after"):
        lines += ["", f"[{name}]", f"bias = {shipped[name]['bias']}", f"[{name}.signals]"]
        for signal, one in shipped[name]["signals"].items():
            inside = ", ".join(f"{key} = {value}" for key, value in one.items())
            lines.append(f"{signal} = {{ {inside} }}")
    place = Path(str(resources.files("ragchat.session").joinpath("answerability.toml")))
    place.write_text("\n".join(lines) + "\n", "utf-8")
    answerability._weights.cache_clear()


# --- how well ---------------------------------------------------------------------------------------------


def false_answers(chances: Array, answered: NDArray[np.bool_], refusals: float) -> float:
    """Share of the unanswered questions that pass where at most such a share of the answered ones does not."""
    return float(np.mean(chances[~answered] >= np.quantile(chances[answered], refusals)))


def calibration_error(chances: Array, answered: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins of equal width."""
    place = np.minimum((chances * 10).astype(int), 9)
    return float(
        sum(
            abs(chances[place == one].mean() - answered[place == one].mean()) * np.mean(place == one)
            for one in set(place.tolist())
        )
    )


def figures(rows: Sequence[Row], told: Chances, least: float) -> dict[str, float]:
    """Of the rows of one set and way. What is shown as an answer passes the search and has at least this chance."""
    chances = np.array([told[row.key] for row in rows])
    answered = np.array([row.answered for row in rows])
    passes = np.array([row.passes for row in rows])
    shown = passes & (chances >= least)
    nowhere = ~answered & ~np.array([row.elsewhere for row in rows])
    found = {
        "questions": len(rows),
        "auc": auc(chances, answered),
        "false answers at 8 % wrong refusals": false_answers(chances, answered, MOST_WRONG_REFUSALS),
        "false answers": float(shown[~answered].mean()),
        "of these, answer nowhere": float(shown[nowhere].mean()),
        "wrong refusals": float(1 - shown[answered].mean()),
        "false answers of the search": float(passes[~answered].mean()),
        "wrong refusals of the search": float(1 - passes[answered].mean()),
        "brier": float(np.mean((chances - answered) ** 2)),
        "ece": calibration_error(chances, answered),
    }
    return {name: round(value, 3) for name, value in found.items()}


def report(rows: Sequence[Row], before: Chances, after: Chances) -> dict[str, dict[str, float]]:
    """Figures of each set and way, before the model and after it; of questions without an answer and with, both alike."""
    limits = answerability.thresholds()
    told: dict[str, dict[str, float]] = {}
    for name, way, asked in dict.fromkeys((row.set, row.way, row.asked) for row in rows):
        own = [row for row in rows if (row.set, row.way, row.asked) == (name, way, asked)]
        if len({row.answered for row in own}) < 2:
            continue
        label = f"{name}, {way}{', asked' if asked else ''}"
        told[f"{label}, before"] = figures(own, before, limits.before)
        if asked:
            told[f"{label}, after"] = figures(own, after, limits.after)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dirs", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--signals", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--limit", type=int, default=0, help="at most N questions of each set, evenly spread")
    parser.add_argument("--asked", type=int, default=0, metavar="N", help="questions that the model answers")
    parser.add_argument("--model", default="", help="a GGUF file (default: the default model)")
    parser.add_argument("--fit", type=int, default=0, metavar="N", help="write the weights from N sets")
    vectors.add_option(parser)
    wanted = parser.parse_args()
    embedder = vectors.wanted(wanted)
    kept = read_rows(wanted.signals)
    sets = [corpora.read(folder) for folder in wanted.dirs]
    for found in sets:
        for way in WAYS:
            append(wanted.signals, collect(found, way, wanted.limit, kept, (None, embedder)), kept)
    if wanted.asked:
        model = build.model(Context(Paths.discover(os.environ), Settings()), wanted.model)
        try:
            reader = loaded(model)
            for found in sets:
                append(wanted.signals, collect(found, WAYS[0], wanted.asked, kept, (reader, embedder)), kept)
        finally:
            model.close()
    names = [found.name for found in sets]
    rows = [row for row in kept.values() if row.set in names]
    first = [row for row in rows if row.set in names[: wanted.fit]]
    own = crossed(first) if wanted.fit else ({}, {})
    if wanted.fit:
        fit(first)
    asked = [row for row in rows if row.asked]
    told = report(
        rows,
        chances_of(rows, answerability.before) | own[0],
        chances_of(asked, answerability.after) | own[1],
    )
    columns = list(next(iter(told.values())))
    print(f"| set | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, one in told.items():
        print(f"| {name} | {' | '.join(str(one[column]) for column in columns)} |")
    print(json.dumps({"benchmark": "answerable", "fitted": wanted.fit, "sets": told}))


if __name__ == "__main__":
    main()
