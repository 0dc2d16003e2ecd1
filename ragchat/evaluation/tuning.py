"""Which settings serve your own questions: a bounded search on one half of them, told of the other half.

How the search ranks needs no chat model: what is measured is whether an expected answer is in the first tokens of what is
found, in rooms of three sizes. How many passages a model is given, in how many tokens, from chunks of which size, only its own
answers can tell, since more context can mean fewer right answers. One setting is changed at a time, and kept when it helps on
the development half; what the other half says of the result is what a user may believe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from statistics import fmean

from ragchat.errors import ModelError
from ragchat.evaluation import packing_trial, statistics
from ragchat.evaluation.answer_metrics import contains
from ragchat.evaluation.corpora import Question
from ragchat.evaluation.packing_trial import TrialProgress, Way
from ragchat.evaluation.question_sets import Asked
from ragchat.evaluation.statistics import Interval
from ragchat.ingest.chunk import estimate_tokens
from ragchat.retrieval.search import Ranking, Searcher
from ragchat.session.packing import Packing
from ragchat.types import CancelToken, LoadedModel

PASSAGES = (1, 2, 3, 5, 8)
BUDGETS = (0, 300, 600, 1200)
"""Tokens that several passages may take together; 0: what the context leaves."""
GRID: Mapping[str, tuple[object, ...]] = {
    "meaning": (0.0, 0.3, 0.5, 0.65, 0.8),
    "longest_passage": (0, 1200, 2000),
    "k1": (0.8, 1.2, 1.5, 2.0),
    "b": (0.3, 0.45, 0.6, 0.75, 0.9),
    "proximity": (True, False),
    "forms": (True, False),
    "agreement": (True, False),
    "feedback": (True, False),
}
"""What is tried, setting by setting, in this order: what moves most comes first."""
FEWEST = 20
_LEAST_GAIN = 0.002


@dataclass(frozen=True, slots=True)
class Tried:
    """One setting of the search and what the development half made of it: the mean score. `eta_s` until all are tried."""

    done: int
    total: int
    name: str
    value: object
    score: float
    kept: bool
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class Tuned:
    """`gain` of the chosen settings over the present ones, on the half that chose nothing. `settings` are those that changed."""

    settings: Mapping[str, object]
    before: float
    after: float
    gain: Interval
    p: float
    questions: int

    @property
    def shown(self) -> bool:
        """Whether the gain is more than chance explains (p < 0.05)."""
        return self.p < 0.05 and self.gain.mean > 0


@dataclass(frozen=True, slots=True)
class TunedPacking:
    """The packing that the model answers best with, from chunks of `chunk_tokens`, against what there is.

    `before` and `after`: share of right answers on the half that chose nothing, with `gain` and `p` of the difference. `ways`
    says of each packing that was tried what the development half made of it.
    """

    packing: Packing
    chunk_tokens: int
    ways: tuple[packing_trial.Result, ...]
    before: float
    after: float
    gain: Interval
    p: float
    questions: int

    @property
    def shown(self) -> bool:
        """Whether the gain is more than chance explains (p < 0.05)."""
        return self.p < 0.05 and self.gain.mean > 0


def tune(
    searcher: Searcher,
    questions: Sequence[Asked],
    *,
    now: Ranking,
    passages: int,
    cancel: CancelToken,
    chunk_tokens: int,
    meaning: bool = False,
) -> Iterator[Tried | Tuned]:
    """Try the grid on every other question; a Tuned about the rest is last. `passages` of about `chunk_tokens` are packed.

    `meaning`: the searcher has an embedding model, and vectors of what these questions find (`evaluation.vectors.prepare`).
    Raises ModelError, ValueError.
    """
    development, rest = _halves(questions)
    room = max(1, passages) * chunk_tokens
    grid = {name: values for name, values in GRID.items() if meaning or name != "meaning"}
    best, best_score = now, fmean(scores(searcher, development, now, room))
    total = sum(getattr(now, name) != value for name, values in grid.items() for value in values)
    began, done = time.monotonic(), 0
    for name, values in grid.items():
        before = best
        for value in values:
            if getattr(before, name) == value:
                continue
            if cancel.cancelled:
                return
            done += 1
            candidate = replace(best, **{name: value})  # type: ignore[arg-type]
            score = fmean(scores(searcher, development, candidate, room))
            kept = score > best_score + _LEAST_GAIN
            if kept:
                best, best_score = candidate, score
            left = (time.monotonic() - began) / done * (total - done)
            yield Tried(done, total, name, value, score, kept, left)
    yield _told(searcher, rest, now, best, room)


def _told(searcher: Searcher, rest: Sequence[Asked], now: Ranking, best: Ranking, room: int) -> Tuned:
    """What the half that chose nothing says of the chosen settings."""
    # The settings in use come last: should a search still embed something, it is they that gain by it.
    after = scores(searcher, rest, best, room)
    before = scores(searcher, rest, now, room)
    changed = {name: getattr(best, name) for name in GRID if getattr(best, name) != getattr(now, name)}
    return Tuned(
        changed,
        fmean(before),
        fmean(after),
        statistics.difference(after, before),
        statistics.permutation_test(after, before),
        len(rest),
    )


def scores(searcher: Searcher, questions: Sequence[Asked], ranking: Ranking, room: int) -> list[float]:
    """For each question the share of three rooms (`room` tokens, twice, four times that) in which an expected answer is read.

    Raises ModelError where vectors had no say because the embedding model failed: words alone would be judged in their place.
    """
    found = []
    for question in questions:
        result = searcher.search(question.question, 10, ranking=ranking, with_evidence=False)
        if result.not_by_meaning:
            raise ModelError(result.not_by_meaning)
        texts = [hit.text for hit in result.hits]
        found.append(
            fmean(float(_is_read(texts, question.answers, size)) for size in (room, 2 * room, 4 * room))
        )
    return found


def _is_read(texts: Sequence[str], answers: Sequence[str], tokens: int) -> bool:
    """Whether an answer is in the first `tokens` of these texts, read in their order; the last is cut where they end."""
    for text in texts:
        size = estimate_tokens(text)
        if contains(text if size <= tokens else text[: int(len(text) * tokens / size)], answers):
            return True
        tokens -= size
        if tokens <= 0:
            break
    return False


def choose_packing(  # noqa: PLR0913
    model: LoadedModel,
    searchers: Mapping[int, Searcher],
    name: str,
    questions: Sequence[Asked],
    file: Path,
    *,
    now: Packing,
    ranking: Ranking,
    documents: str,
    cancel: CancelToken,
) -> Iterator[TrialProgress | TunedPacking]:
    """Let the loaded model answer with other packings; a TunedPacking is last.

    `searchers` over the same documents in chunks of so many tokens, as they are now first. Answers are kept in `file`, which
    another run over the same `documents` (any text that tells them apart) goes on from. Raises CancelledError, ModelError,
    StorageError, UsageError, ValueError.
    """
    development, rest = (
        [Question(q.id, q.question, q.answers, q.sources) for q in half] for half in _halves(questions)
    )
    size = next(iter(searchers))
    also = {"documents": documents, "ranking": repr(ranking)}

    def ask(asked: Sequence[Question], choices: Sequence[_Choice]) -> Iterator[TrialProgress]:
        for tokens, group in groupby(choices, key=lambda choice: choice.chunk_tokens):
            ways = [choice.way for choice in group]
            yield from packing_trial.run(
                model,
                searchers[tokens],
                name,
                asked,
                ways,
                file,
                cancel=cancel,
                ranking=ranking,
                also=also,
            )

    tries = _Tries(_Choice(size, now), development, file, ask)
    yield from tries.attempt(_Choice(size, replace(now, passages=passages)) for passages in PASSAGES)
    chosen = tries.best()
    if chosen.packing.passages > 1:
        yield from tries.attempt(_Choice(size, replace(chosen.packing, budget=budget)) for budget in BUDGETS)
        chosen = tries.best()
    for other in list(searchers)[1:]:
        passages = chosen.packing.passages
        in_the_same_room = max(1, round(passages * chosen.chunk_tokens / other))
        yield from tries.attempt(
            _Choice(other, replace(chosen.packing, passages=count)) for count in (passages, in_the_same_room)
        )
    chosen = tries.best()
    yield from ask(rest, list(dict.fromkeys((tries.present, chosen))))
    before, after = (_right(file, rest, choice.way) for choice in (tries.present, chosen))
    yield TunedPacking(
        chosen.packing,
        chosen.chunk_tokens,
        tuple(tries.told()),
        fmean(before),
        fmean(after),
        statistics.difference(after, before),
        statistics.permutation_test(after, before),
        len(rest),
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    """A packing of chunks of a size."""

    chunk_tokens: int
    packing: Packing

    @property
    def way(self) -> Way:
        packing = self.packing
        count = f"{packing.passages} passage{'s' if packing.passages > 1 else ''}"
        budget = f", {packing.budget} tokens" if packing.budget else ""
        return Way(f"{count} of {self.chunk_tokens}{budget}", packing)


_Ask = Callable[[Sequence[Question], Sequence[_Choice]], Iterator[TrialProgress]]


class _Tries:
    """What was tried on the development half, the present choice first."""

    def __init__(self, present: _Choice, questions: Sequence[Question], file: Path, ask: _Ask) -> None:
        self.present, self._questions, self._file, self._ask = present, questions, file, ask
        self._tried = {present: None}

    def attempt(self, choices: Iterable[_Choice]) -> Iterator[TrialProgress]:
        """Answer with these, too."""
        self._tried.update(dict.fromkeys(choices))
        yield from self._ask(self._questions, list(self._tried))

    def told(self) -> list[packing_trial.Result]:
        """How each did."""
        ids = {question.id for question in self._questions}
        rows = [row for row in packing_trial.answers(self._file) if row.question in ids]
        return packing_trial.results(rows, [choice.way for choice in self._tried])

    def best(self) -> _Choice:
        """The best so far; the present one unless another is better."""
        found = {one.way.name: one for one in self.told()}
        ranked = packing_trial.best([found[choice.way.name] for choice in self._tried])
        assert ranked
        if ranked.contains <= found[self.present.way.name].contains:
            return self.present
        return next(choice for choice in self._tried if choice.way == ranked.way)


def _right(file: Path, asked: Sequence[Question], way: Way) -> list[float]:
    """1.0 for each answer that is right, else 0.0, by the order of the questions' ids."""
    ids = {question.id for question in asked}
    rows = sorted(packing_trial.answers(file), key=lambda row: row.question)
    return [float(row.contains) for row in rows if row.question in ids and row.way == way.name]


def _halves(questions: Sequence[Asked]) -> tuple[list[Asked], list[Asked]]:
    """(development half, the rest). Raises ValueError when there are too few."""
    asked = [q for q in questions if q.answerable and q.answers]
    if len(asked) < FEWEST:
        raise ValueError(f"{len(asked)} questions with answers are too few; at least {FEWEST} are needed")
    return asked[::2], asked[1::2]
