"""How well "the documents do not answer this" is told, before the model and after it, on questions whose document was taken out.

    python benchmarks/answerable.py DIR [DIR…] --signals FILE.jsonl [--limit N] [--asked N] [--model MODEL.gguf] [--fit]

Each DIR holds corpus/*.txt and questions.jsonl (question, relevant); file names begin with the number of their article. Each
question is asked twice: of one half of the documents, which has its answer, and of the other half, which has not. The halves are
every other document ("documents": what else is written of the subject stays) and every other article ("articles"). Of the first
DIR every other article is for `--fit`, which writes session/answerability.toml; all figures are of its other articles and of the
other sets, which nothing is fitted to. `--asked N` lets the model answer N questions of each set, in both states. FILE keeps what
is known of each question, so that the same command goes on where it was stopped. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from confidence import article, auc, would_answer
from numpy.typing import NDArray

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.config import Settings
from ragchat.evaluation import corpora
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

WAYS = ("documents", "articles")
BEFORE = ("sure", "match", "sentence", "names", "quote")
AFTER = ("before", "first", "likely", "supported", "found", "silent")
MOST_WRONG_REFUSALS = 0.08
_RIDGE = 2.0
_LONGEST_ANSWER = 48
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """One question in one state. `answered`: the documents hold its answer; `passes`: the chat gives passages to the model.

    `article` is its number in the set, `asked` whether the model was.
    """

    set: str
    way: str
    half: int
    id: str
    article: int
    answered: bool
    passes: bool
    asked: bool
    signals: dict[str, float | None] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, int, str, bool]:
        return self.set, self.way, self.half, self.id, self.asked

    @property
    def known(self) -> Signals:
        return Signals(**self.signals)


Kept = dict[tuple[str, str, int, str, bool], Row]


# --- what is known of each question -----------------------------------------------------------------------


def kept_half(found: QuestionSet, way: str, half: int) -> QuestionSet:
    """The set with every other document, or with those of every other article."""
    names = list(found.documents)
    groups = names if way == "documents" else list(dict.fromkeys(map(article, names)))
    stay = set(groups[half::2])
    kept = {n: t for n, t in found.documents.items() if (n if way == "documents" else article(n)) in stay}
    return replace(found, documents=kept)


class Looker:
    """Searches one half of a set, and asks the model where there is one."""

    def __init__(self, store: KnowledgeStore, model: LoadedModel | None) -> None:
        self._searcher, self._worth, self._model = Searcher([store]), Vocabulary([store]).idf, model

    def look(self, question: str) -> tuple[Signals, bool]:
        """What is known, and whether the chat would give passages to the model."""
        result = self._searcher.search(question, HITS)
        quotes = quoting.quote(question, result.hits)
        known = answerability.search_signals(question, result, quotes, self._worth)
        if self._model is None or not result.hits:
            return known, would_answer(result)
        offered = prompt.pack(self._model, question, Sources().found(result.hits), _layout(self._model))
        greedy = Sampling(temperature=0.0, seed=0, max_tokens=_LONGEST_ANSWER)
        events = list(self._model.generate(offered.messages, greedy, cancel=CancelToken()))
        said = "".join(event.text for event in events if isinstance(event, TextDelta))
        finished = next((event for event in events if isinstance(event, GenerationFinished)), None)
        bound = citations.bind(said, offered.citations, question)
        return answerability.after_signals(known, finished, bound.statements), would_answer(result)


def _layout(model: LoadedModel) -> prompt.Layout:
    info = model.info
    return prompt.Layout(
        n_ctx=info.n_ctx,
        packing=packing.for_model(info, {}),
        passage_share=0.5,
        answer_tokens=_LONGEST_ANSWER,
    )


def collect(found: QuestionSet, way: str, limit: int, model: LoadedModel | None, kept: Kept) -> Iterator[Row]:
    """The rows of a set that are not kept yet."""
    articles = list(dict.fromkeys(map(article, found.documents)))
    questions = [q for q in corpora.spread(found.questions, limit) if q.relevant]
    asked = model is not None

    def missing(half: int) -> list[Question]:
        return [q for q in questions if (found.name, way, half, q.id, asked) not in kept]

    for half in (0, 1):
        if not (wanted := missing(half)):
            continue
        held = kept_half(found, way, half)
        with (
            tempfile.TemporaryDirectory() as scratch,
            corpora.build_knowledge_base(Path(scratch), held) as store,
        ):
            looker = Looker(store, model)
            for q in wanted:
                known, passes = looker.look(q.text)
                there = any(name in held.documents for name in q.relevant)
                number = articles.index(article(q.relevant[0]))
                yield Row(found.name, way, half, q.id, number, there, passes, asked, asdict(known))


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


def values_of(row: Row) -> Mapping[str, float | None]:
    return row.signals | {"before": answerability.log_odds(row.known)}


def logistic(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """Bias and weights by logistic regression (Newton's method, ridge); both ways and both states count alike."""
    values = np.array([[_number(values_of(row).get(name)) for name in names] for row in rows])
    truth = np.array([row.answered for row in rows], float)
    mean, deviation = np.nanmean(values, 0), np.nanstd(values, 0) + 1e-9
    columns = np.column_stack([np.nan_to_num((values - mean) / deviation), np.ones(len(rows))])
    groups = [(row.way, row.answered) for row in rows]
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


def fit(rows: Sequence[Row]) -> None:
    """Write session/answerability.toml from the rows of the articles that are for it."""
    searched = [row for row in rows if not row.asked]
    shipped = {"before": logistic(searched, BEFORE)}
    trivial = {"bias": 0.0, "signals": {"before": {"weight": 1.0, "mean": 0.0, "deviation": 1.0}}}
    _write(shipped | {"after": trivial}, {"before": 0.5, "after": 0.5})
    if asked := [row for row in rows if row.asked]:
        shipped["after"] = logistic(asked, AFTER)
    else:
        shipped["after"] = trivial
    _write(shipped, {"before": 0.5, "after": 0.5})
    own = [row for row in searched if row.way == "documents"]
    least = {
        "before": threshold([answerability.before(row.known) for row in own], own),
        "after": threshold([answerability.after(row.known) for row in asked or own], asked or own),
    }
    _write(shipped, least)


def threshold(chances: Sequence[float], rows: Sequence[Row]) -> float:
    """The chance below which `MOST_WRONG_REFUSALS` of the answered questions are, in hundredths."""
    answered = [chance for chance, row in zip(chances, rows, strict=True) if row.answered]
    return float(np.floor(100 * np.quantile(answered, MOST_WRONG_REFUSALS)) / 100)


def _write(shipped: Mapping[str, Any], least: Mapping[str, float]) -> None:
    lines = [
        "# The weights of `ragchat.session.answerability`: benchmarks/answerable.py --fit writes this file.",
        "[thresholds]",
        *(f"{name} = {value}" for name, value in least.items()),
    ]
    for name in ("before", "after"):
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


def figures(rows: Sequence[Row], chance: Callable[[Signals], float], least: float) -> dict[str, float]:
    chances = np.array([chance(row.known) for row in rows])
    answered = np.array([row.answered for row in rows])
    passes = np.array([row.passes for row in rows])
    shown = passes & (chances >= least)
    found = {
        "questions": len(rows),
        "auc": auc(chances, answered),
        "false answers at 8 % wrong refusals": false_answers(chances, answered, MOST_WRONG_REFUSALS),
        "false answers": float(shown[~answered].mean()),
        "wrong refusals": float(1 - shown[answered].mean()),
        "false answers of the search": float(passes[~answered].mean()),
        "wrong refusals of the search": float(1 - passes[answered].mean()),
        "brier": float(np.mean((chances - answered) ** 2)),
        "ece": calibration_error(chances, answered),
    }
    return {name: round(value, 3) for name, value in found.items()}


def report(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Figures of each set and way, before the model and after it; of questions without an answer and with, both alike."""
    limits = answerability.thresholds()
    told: dict[str, dict[str, float]] = {}
    for name, way, asked in dict.fromkeys((row.set, row.way, row.asked) for row in rows):
        own = [row for row in rows if (row.set, row.way, row.asked) == (name, way, asked)]
        if len({row.answered for row in own}) < 2:
            continue
        told[f"{name}, {way} out, before{' (asked)' if asked else ''}"] = figures(
            own, answerability.before, limits.before
        )
        if asked:
            told[f"{name}, {way} out, after"] = figures(own, answerability.after, limits.after)
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
    parser.add_argument("--fit", action="store_true", help="write the weights")
    wanted = parser.parse_args()
    kept = read_rows(wanted.signals)
    sets = [corpora.read(folder) for folder in wanted.dirs]
    for found in sets:
        for way in WAYS:
            append(wanted.signals, collect(found, way, wanted.limit, None, kept), kept)
    if wanted.asked:
        model = build.model(Context(Paths.discover(os.environ), Settings()), wanted.model)
        try:
            reader = loaded(model)
            for found in sets:
                append(wanted.signals, collect(found, WAYS[0], wanted.asked, reader, kept), kept)
        finally:
            model.close()
    names = [found.name for found in sets]
    rows = [row for row in kept.values() if row.set in names]
    for_fit = [row for row in rows if row.set == names[0] and row.article % 2 == 0]
    if wanted.fit:
        fit(for_fit)
    told = report([row for row in rows if row.set != names[0] or row.article % 2])
    columns = list(next(iter(told.values())))
    print(f"| set | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, one in told.items():
        print(f"| {name} | {' | '.join(str(one[column]) for column in columns)} |")
    print(json.dumps({"benchmark": "answerable", "fitted": wanted.fit, "sets": told}))


if __name__ == "__main__":
    main()
