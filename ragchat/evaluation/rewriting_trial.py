"""Whether it pays to let a model write what else to search for: the same questions searched without and with it.

A question that the first search is sure of is searched once, as in a chat. What the model writes is appended to a file at once;
a run that was stopped continues from there. A hit is right when it is of a document that the question names, or, where it names
none, when it holds an expected answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from ragchat.errors import CancelledError, StorageError, UsageError
from ragchat.evaluation import statistics
from ragchat.evaluation.answer_metrics import contains
from ragchat.evaluation.packing_trial import TrialProgress
from ragchat.evaluation.question_sets import Asked
from ragchat.evaluation.statistics import Interval
from ragchat.retrieval.search import DEFAULT, Ranking, Searcher
from ragchat.session import rewriting
from ragchat.session.packing import model_key
from ragchat.session.rewriting import Averaging, Sought, Worth
from ragchat.text import counted
from ragchat.types import CancelToken, Hit, LoadedModel, ModelInfo
from ragchat.types.defaults import MIN_CONFIDENCE, MIN_MATCH

PLACES = (1, 3, 5)
"""Success is told among the first so many hits."""
FEWEST = 20
_LOOKED_AT = 10

IsRight = Callable[[Asked, Hit], bool]


@dataclass(frozen=True, slots=True)
class Written:
    """What the model wrote for a question, and how long it took."""

    question: str
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One question. `before`, `after` and `second` are ranks of the first right hit, 0: there is none among ten.

    `after` is that in the search that was kept, `second` that in the second search even where it was not. `written` is None
    where the first search was sure.
    """

    question: str
    before: int
    after: int
    second: int
    written: Written | None = None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares of questions with a right hit among the first 1, 3 and 5, without and with rewriting, and the paired gain.

    `seconds` is the mean for those questions that the model wrote for; `written` of the `questions`, `kept` of those.
    """

    questions: int
    written: int
    kept: int
    before: Mapping[int, float]
    after: Mapping[int, float]
    gain: Mapping[int, Interval]
    seconds: float

    def pays(self, passages: int) -> bool:
        """Whether more right hits are among those that a model with so many passages is given, by more than chance explains."""
        return self.gain[decisive(passages)].low > 0


def decisive(passages: int) -> int:
    """The place of `PLACES` that tells for a model that is given so many passages."""
    return next((place for place in PLACES if place >= passages), PLACES[-1])


def is_right(question: Asked, hit: Hit) -> bool:
    """Whether a hit is from a document that the question names, or holds its answer where it names none."""
    if question.sources:
        path, *named = (f"/{one.lstrip('/')}".replace("\\", "/") for one in (hit.path, *question.sources))
        return path.endswith(tuple(named))
    return contains(hit.text, question.answers)


def judged(questions: Sequence[Asked]) -> list[Asked]:
    """Those that hits can be judged by. Raises UsageError when there are too few."""
    found = [one for one in questions if one.answerable and (one.sources or one.answers)]
    if len(found) < FEWEST:
        raise UsageError(
            f"{counted(len(found), 'question')} with a document or an answer: at least {FEWEST} are needed.",
            "Add questions with `ragchat eval questions add` or `ragchat eval questions generate`.",
        )
    return found


def run(  # noqa: PLR0913
    model: LoadedModel,
    searcher: Searcher,
    meant: Averaging | None,
    worth: Worth,
    questions: Sequence[Asked],
    file: Path,
    *,
    cancel: CancelToken,
    right: IsRight = is_right,
    ranking: Ranking = DEFAULT,
    min_match: float = MIN_MATCH,
    min_confidence: float = MIN_CONFIDENCE,
) -> Iterator[TrialProgress | Compared]:
    """Search without and with what the model writes; a Compared for each question, in their order.

    `meant` is the embedder of the searcher. Raises CancelledError, StorageError, UsageError when `file` is of another run.
    """
    known = {one.question: one for one in written(file, model.info)}
    started, fresh = time.monotonic(), 0
    for number, question in enumerate(questions, 1):
        if cancel.cancelled:
            raise CancelledError("Stopped.")
        first = searcher.search(question.question, _LOOKED_AT, ranking=ranking)
        before = _rank(question, first.hits, right)
        done = Compared(question.id, before, before, before)
        if rewriting.unsure(first, min_match=min_match, min_confidence=min_confidence):
            if (one := known.get(question.id)) is None:
                fresh += 1
                one = _write(model, question, file, cancel)
            rank, kept = before, False
            if one.text:
                second = rewriting.search_again(
                    searcher, meant, Sought(question.question), one.text, worth, _LOOKED_AT, ranking
                )
                rank, kept = _rank(question, second.hits, right), rewriting.better(first, second)
            done = Compared(question.id, before, rank if kept else before, rank, one, kept)
        yield done
        each = (time.monotonic() - started) / number
        yield TrialProgress(number, len(questions), each * (len(questions) - number) if fresh else None)


def outcome(rows: Sequence[Compared]) -> Outcome:
    """All questions together. Raises ValueError without any."""
    if not rows:
        raise ValueError("no question was asked")
    before, after = ({k: _within(rows, k, of) for k in PLACES} for of in ("before", "after"))
    tried = [row.written.seconds for row in rows if row.written]
    return Outcome(
        len(rows),
        len(tried),
        sum(row.kept for row in rows),
        {k: fmean(before[k]) for k in PLACES},
        {k: fmean(after[k]) for k in PLACES},
        {k: statistics.difference(after[k], before[k]) for k in PLACES},
        fmean(tried) if tried else 0.0,
    )


def written(file: Path, info: ModelInfo) -> list[Written]:
    """What `file` holds; a last line that was cut off is left out. Raises UsageError when another model wrote it."""
    if not file.exists():
        return []
    try:
        data = file.read_bytes()
        if not data.endswith(b"\n"):  # killed while writing: the rest of that line must not meet the next one
            data = data[: data.rfind(b"\n") + 1]
            file.write_bytes(data)
        first, *rows = [json.loads(line) for line in data.decode().split("\n") if line] or [header(info)]
        if first != header(info):
            raise UsageError(f"{file} contains another run ({first}).", "Remove this file.")
        return [Written(**row) for row in rows]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "Remove this file.") from error


def _write(model: LoadedModel, question: Asked, file: Path, cancel: CancelToken) -> Written:
    began = time.monotonic()
    text = rewriting.rewrite(model, question.question, cancel)
    one = Written(question.id, text, round(time.monotonic() - began, 3))
    try:
        with file.open("a", encoding="utf-8") as out:
            if out.tell() == 0:
                out.write(json.dumps(header(model.info)) + "\n")
            out.write(json.dumps(asdict(one), ensure_ascii=False) + "\n")
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror or error}.") from error
    return one


def header(info: ModelInfo) -> dict[str, object]:
    """The first line of a file with what a model wrote."""
    return {"model": model_key(info), "rewriting": rewriting.REVISION}


def _rank(question: Asked, hits: Sequence[Hit], right: IsRight) -> int:
    return next((rank for rank, hit in enumerate(hits, 1) if right(question, hit)), 0)


def _within(rows: Sequence[Compared], k: int, of: str) -> list[float]:
    return [float(0 < getattr(row, of) <= k) for row in rows]
