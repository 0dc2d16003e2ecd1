"""Which way of packing serves a model: the same questions answered by the model with each, greedy, and what came of it.

The right paragraph alone is one of the ways: what the model could reach if retrieval and packing were perfect. Ways take turns
at each question, so that a part of a run compares them as fairly as the whole. Every answer is appended to a file at once; a
run that was stopped continues from there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev

from ragchat.errors import CancelledError, StorageError, UsageError
from ragchat.evaluation.answer_metrics import contains, f1, holds
from ragchat.evaluation.corpora import Question, QuestionSet
from ragchat.ingest.chunk import estimate_tokens, split
from ragchat.retrieval.search import DEFAULT, Ranking, Searcher
from ragchat.session import prompt, statements
from ragchat.session.packing import HELPED, Packing, hits_wanted, model_key
from ragchat.session.sources import Sources
from ragchat.types import (
    CancelToken,
    ExtractedText,
    GenerationFinished,
    Hit,
    LoadedModel,
    ModelInfo,
    Sampling,
    Span,
    TextDelta,
)
from ragchat.types.answers import Verdict

ANSWER_TOKENS = 48
"""Longest answer. Questions of such sets are answered in a sentence."""
_SHARE = 0.75
"""Most of the context that passages take."""
_LONGEST_PARAGRAPH = 500
"""Tokens, estimated. Of a longer document, its chunk with the answer is the right paragraph."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way of packing by name. `right`: instead of what was found, the paragraph with the answer alone.

    `longest` answers have so many tokens.
    """

    name: str
    packing: Packing
    right: bool = False
    longest: int = ANSWER_TOKENS


RIGHT = Way("right paragraph", Packing(), right=True)
WAYS = (
    RIGHT,
    Way("1 chunk", Packing(1)),
    Way("1 chunk, example", Packing(1, example=True)),
    Way("1 chunk, short", Packing(1, wording="short")),
    Way("2 chunks", Packing(2)),
    Way("3 chunks", Packing(3)),
    Way("3 chunks, best last", Packing(3, order="best_last")),
    Way("5 chunks", Packing(5)),
    Way("evidence, 1 passage, 128 tokens", Packing(1, "evidence", budget=128)),
    Way("evidence, 3 passages", Packing(3, "evidence", budget=384)),
    Way("evidence, 256 tokens", Packing(8, "evidence", budget=256)),
    Way("evidence, 1000 tokens", Packing(12, "evidence", budget=1000)),
    Way("by confidence, 2 passages", Packing(2, "by_confidence", budget=400)),
    Way("by confidence, 3 passages", Packing(3, "by_confidence", budget=400)),
    Way("1 chunk, 2 sentences", Packing(1, answer="few")),
    Way("1 chunk, cited sentences", Packing(1, answer="cited")),
    Way("2 quotes", Packing(2, "quotes")),
    Way("1 quote, copied sentence", HELPED, longest=128),
    Way("1 chunk, copied sentence", Packing(1, answer="copied"), longest=128),
    Way("1 chunk, copied words", Packing(1, answer="words"), longest=128),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer. `in_context`: the expected one was in the prompt's passages. Of its `statements` so many are supported."""

    way: str
    question: str
    said: str
    contains: bool
    f1: float
    in_context: bool
    prompt_tokens: int
    seconds: float
    tokens: int = 0
    statements: int = 0
    supported: int = 0


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """`done` of `total` answers are there, `eta_s` until the rest is (None while unknown)."""

    done: int
    total: int
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """One way over the questions that every way has answered. Shares and means; `error` is the standard error of `contains`.

    `supported` is the share of all statements that a passage supports, `confirmed` the share of right answers with a supported
    statement, `misleading` that of others with one.
    """

    way: Way
    questions: int
    contains: float
    error: float
    f1: float
    in_context: float
    prompt_tokens: float
    seconds: float
    tokens: float = 0.0
    statements: float = 0.0
    supported: float = 0.0
    confirmed: float = 0.0
    misleading: float = 0.0


def run(  # noqa: PLR0913
    model: LoadedModel,
    searcher: Searcher,
    name: str,
    asked: Sequence[Question],
    ways: Sequence[Way],
    file: Path,
    *,
    cancel: CancelToken,
    right: Callable[[Question], Hit | None] = lambda _: None,
    ranking: Ranking = DEFAULT,
    also: Mapping[str, object] | None = None,
) -> Iterator[TrialProgress]:
    """Answer what `file` does not hold yet. The model is loaded. Raises CancelledError, ModelError, StorageError, UsageError.

    `name` is that of the questions, `right` says what a way with `right` is given, `also` is what else a file must agree in.
    """
    info = model.info
    header = {**_header(info, name), **(also or {})}
    done = {(row.way, row.question) for row in answers(file, header)}
    todo = [(question, way) for question in asked for way in ways if (way.name, question.id) not in done]
    total = len(asked) * len(ways)
    k = hits_wanted((way.packing for way in ways), 0)
    started = time.monotonic()
    hits: tuple[Hit, ...] = ()
    last = None
    yield TrialProgress(total - len(todo), total, None)
    try:
        with file.open("a", encoding="utf-8") as out:
            if out.tell() == 0:
                out.write(json.dumps(header) + "\n")
            for number, (question, way) in enumerate(todo, 1):
                if question is not last:
                    result = searcher.search(question.text, k, with_evidence=False, ranking=ranking)
                    hits, last = result.hits, question
                paragraph = right(question) if way.right else None
                given = (paragraph,) if paragraph else () if way.right else hits
                out.write(
                    json.dumps(asdict(_answer(model, info, question, way, given, cancel)), ensure_ascii=False)
                    + "\n"
                )
                out.flush()
                each = (time.monotonic() - started) / number
                yield TrialProgress(total - len(todo) + number, total, each * (len(todo) - number))
    except OSError as error:
        raise StorageError(f"The answers cannot be written to {file}: {error}.") from error


def answers(file: Path, header: dict[str, object] | None = None) -> list[Answered]:
    """The answers in a file; a last line that was cut off is left out. Raises UsageError when it is of another run."""
    if not file.exists():
        return []
    try:
        data = file.read_bytes()
        if not data.endswith(b"\n"):  # killed while writing: the rest of that line must not meet the next one
            data = data[: data.rfind(b"\n") + 1]
            file.write_bytes(data)
        first, *rows = [json.loads(line) for line in data.decode().split("\n") if line] or [header]
        if header is not None and first != header:
            raise UsageError(
                f"{file} contains the answers of another run ({first}).",
                "Choose another file or remove this one.",
            )
        return [Answered(**row) for row in rows]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{file} does not contain answers: {error}", "Choose another file.") from error


def results(rows: Sequence[Answered], ways: Sequence[Way]) -> list[Result]:
    """Each way over the questions that all of them have answered, in the order of `ways`; empty without such a question."""
    by_way = {way.name: {row.question: row for row in rows if row.way == way.name} for way in ways}
    shared = set.intersection(*(set(own) for own in by_way.values())) if by_way else set()
    found = []
    for way in ways:
        own = [row for question, row in by_way[way.name].items() if question in shared]
        if not own:
            continue
        right = [float(row.contains) for row in own]
        found.append(
            Result(
                way,
                len(own),
                fmean(right),
                stdev(right) / len(own) ** 0.5 if len(own) > 1 else 0.0,
                fmean(row.f1 for row in own),
                fmean(row.in_context for row in own),
                fmean(row.prompt_tokens for row in own),
                fmean(row.seconds for row in own),
                fmean(row.tokens for row in own),
                fmean(row.statements for row in own),
                sum(row.supported for row in own) / max(1, sum(row.statements for row in own)),
                fmean(row.contains and row.supported > 0 for row in own),
                fmean(not row.contains and row.supported > 0 for row in own),
            )
        )
    return found


def best(found: Sequence[Result]) -> Result | None:
    """The way with most right answers; of equals the better F1, then the shorter prompt. Never the right paragraph."""
    able = [result for result in found if not result.way.right]
    return max(able, key=lambda r: (r.contains, r.f1, -r.prompt_tokens), default=None)


def _header(info: ModelInfo, name: str) -> dict[str, object]:
    return {"set": name, "model": model_key(info), "prompt": prompt.REVISION, "max_tokens": ANSWER_TOKENS}


def _answer(
    model: LoadedModel,
    info: ModelInfo,
    question: Question,
    way: Way,
    hits: Sequence[Hit],
    cancel: CancelToken,
) -> Answered:
    started = time.monotonic()
    packed = prompt.pack(
        model,
        question.text,
        Sources(tuple(hits)),
        prompt.Layout(info.n_ctx, way.packing, passage_share=_SHARE, answer_tokens=way.longest),
    )
    greedy = Sampling(
        temperature=0, repeat_penalty=1.0, max_tokens=way.longest, seed=0, grammar=packed.grammar
    )
    events = list(model.generate(packed.messages, greedy, cancel=cancel))
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    if cancel.cancelled:  # half an answer is none
        raise CancelledError("Stopped. The answers so far are kept.")
    checked = statements.check(said, packed.citations, question.text)
    return Answered(
        way.name,
        question.id,
        said,
        contains(said, question.answers),
        round(f1(said, question.answers), 4),
        holds("\n\n".join(packed.passages), question.answers),
        packed.prompt_tokens,
        round(time.monotonic() - started, 3),
        sum(event.completion_tokens for event in events if isinstance(event, GenerationFinished)),
        len(checked),
        sum(statement.verdict is Verdict.SUPPORTED for statement in checked),
    )


def right_paragraph(question: Question, found: QuestionSet) -> Hit | None:
    """The document with the answer, or of a long one its first chunk that holds it; None when there is none to be judged by."""
    for name in question.relevant:
        text = found.documents.get(name, "")
        pieces = [text]
        if estimate_tokens(text) > _LONGEST_PARAGRAPH:
            pieces = [
                chunk.text
                for chunk in split(ExtractedText(text=text, media_type="text/plain", source_lines=True))
            ]
        for piece in pieces:
            if holds(piece, question.answers):
                span = Span(0, len(piece), 1, piece.count("\n") + 1)
                return Hit(1, 1.0, "set", 0, 0, name, "", "", span, piece, "")
    return None
