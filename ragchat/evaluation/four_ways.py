"""The same questions asked in several ways: the model alone, with documents, with an adapter, with both, and of the documents
alone, without a model. Each through the very session that a chat uses, greedily and with a fixed seed, and every answer is kept
at once.

The ways take turns at each question, and the turn begins with another way each time, so that a part of a run compares them as
fairly as the whole. A run that was stopped or killed continues where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from ragchat.errors import CancelledError, ModelError, PromptTooLongError, StorageError
from ragchat.evaluation.answer_metrics import contains
from ragchat.evaluation.energy import Meter
from ragchat.evaluation.grounding import refuses
from ragchat.evaluation.question_sets import Asked
from ragchat.paths import write_atomically
from ragchat.session.chat import NOTICES, ChatSession
from ragchat.session.events import (
    AnswerFinished,
    AnswerKind,
    HitsFound,
    PromptReady,
    QuotesFound,
    SessionEvent,
)
from ragchat.store import chat_former
from ragchat.store.watchlock import alone
from ragchat.types import AnswerCheck, CancelToken, Citation, Quote, Verdict, text_of

Arm = Literal["base", "rag", "tuned", "rag+tuned", "documents"]
DOCUMENTS: Arm = "documents"
"""The quotes that are shown above an answer, as the whole answer: no model is asked, so a model has to do better than this."""
MODEL_ARMS: tuple[Arm, ...] = ("base", "rag", "tuned", "rag+tuned")
ARMS: tuple[Arm, ...] = (*MODEL_ARMS, DOCUMENTS)
MEANING: Mapping[Arm, str] = {
    "base": "the model alone",
    "rag": "your documents",
    "tuned": "the adapter",
    "rag+tuned": "your documents and the adapter",
    DOCUMENTS: "your documents without a model",
}
ANSWER_TOKENS = 96
"""Longest answer, unless someone says otherwise."""
_LONGEST_PASSAGE = 1200
"""Characters of a cited passage that are kept, to be shown beside the answer."""


def searches(arm: str) -> bool:
    """Whether this way answers from documents."""
    return arm == DOCUMENTS or "rag" in arm


class Passage(msgspec.Struct, frozen=True):
    """A passage that the answer cites."""

    n: int
    path: str
    text: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What the check of an answer found: how many statements of each verdict, and how many supported ones show a citation.

    `answered` is the chance from 0 to 1 that the passages answer the question (None: unknown); `says` False: the reader was told
    that they do not.
    """

    supported: int = 0
    partly: int = 0
    not_found: int = 0
    marked: int = 0
    answered: float | None = None
    says: bool = True

    @property
    def statements(self) -> int:
        """All of them."""
        return self.supported + self.partly + self.not_found


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of one way. `found` are the documents of the hits in their order; `cited` passages are those that it cites.

    `said` are the model's own words (of documents alone: their quotes), `kind` is what ragchat itself decided, `quoted` are the
    quotes above the answer. `refused`: the words, ragchat or its check say that there is no answer. `offered_right`: a passage
    in the prompt (of documents alone: one quoted from) held an expected answer. Times in seconds, memory in MiB, energy in joules
    (0: unknown). `error`: there is no answer, and why.
    """

    question: str
    arm: Arm
    said: str
    refused: bool
    from_documents: bool
    cited: tuple[Passage, ...] = ()
    offered: int = 0
    offered_right: bool = False
    found: tuple[str, ...] = ()
    ttft_s: float = 0.0
    decode_tok_s: float = 0.0
    seconds: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    memory_mib: int = 0
    joules: float = 0.0
    error: str = ""
    kind: AnswerKind | None = None
    """None in files of before it was kept: there a notice is part of what was said."""
    quoted: str = ""
    check: Checked | None = None
    """None where no documents were searched, and in files of before answers were checked."""

    @property
    def shown(self) -> str:
        """The answer as a chat shows it."""
        return text_of(self.said, notice=NOTICES.get(self.kind, "") if self.kind else "")

    @property
    def checked_line(self) -> str:
        """`statements: 3 supported, 1 not found`, and whether the reader was told that the passages do not say."""
        if self.check is None:
            return ""
        counts = {
            "supported": self.check.supported,
            "partly": self.check.partly,
            "not found": self.check.not_found,
        }
        parts = [f"{count} {name}" for name, count in counts.items() if count]
        told = f"statements: {', '.join(parts)}" if parts else ""
        return " · ".join(filter(None, (told, "" if self.check.says else "the passages do not say")))

    @property
    def says(self) -> bool:
        """False: the check of the answer says that the passages do not answer the question."""
        return self.check is None or self.check.says


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is of. `inputs` are all that its figures depend on, by name; the same inputs are the same run.

    `left_out` are questions that the adapter has learned from. `confirmed_at`: when the run was last asked for and whole.
    """

    id: str
    set_name: str
    arms: tuple[Arm, ...]
    inputs: dict[str, Any]
    questions: tuple[Asked, ...]
    left_out: tuple[str, ...] = ()
    facts: dict[str, Any] = {}
    started_at: str = ""
    finished_at: str = ""
    confirmed_at: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` answers are there; `eta_s` until the rest is, None while unknown."""

    done: int
    total: int
    eta_s: float | None
    answer: Answer | None = None


def run_id(set_name: str, inputs: Mapping[str, Any]) -> str:
    """The name of a run with these inputs."""
    packed = json.dumps(inputs, sort_keys=True, ensure_ascii=False).encode()
    return f"{set_name}-{hashlib.sha256(packed).hexdigest()[:10]}"


class RunLibrary:
    """Runs in a folder: `ID/run.json` and `ID/answers.jsonl`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Run]:
        """Those that were asked for last come last; folders that are no runs are left out."""
        found = []
        for file in self._folder.glob("*/run.json") if self._folder.is_dir() else ():
            try:
                found.append(msgspec.json.decode(file.read_bytes(), type=Run))
            except (OSError, msgspec.DecodeError, UnicodeError):
                continue
        return sorted(found, key=lambda run: (run.confirmed_at or run.started_at, run.started_at))

    def find(self, run_id: str) -> Run | None:
        """The run of this id, if there is one."""
        return next((run for run in self.all() if run.id == run_id), None)

    def latest(self, set_name: str = "") -> Run | None:
        """The newest run, or that of a set."""
        return next((run for run in reversed(self.all()) if set_name in ("", run.set_name)), None)

    def keep(self, run: Run) -> None:
        """Write what the run is of. Raises StorageError."""
        try:
            folder = self._folder / run.id
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(folder / "run.json", msgspec.json.encode(run))
        except OSError as error:
            raise StorageError(f"The run cannot be saved: {error.strerror or error}.") from error

    def answers_file(self, run_id: str) -> Path:
        """Where the answers of a run are kept, one JSON object a line."""
        return self._folder / run_id / "answers.jsonl"

    def answers(self, run_id: str) -> list[Answer]:
        """All answers of a run; lines that are none (cut off, damaged) are left out, so that they are asked again."""
        found = []
        with contextlib.suppress(OSError):
            for line in self.answers_file(run_id).read_bytes().split(b"\n"):
                with contextlib.suppress(msgspec.DecodeError, UnicodeError):
                    found.append(_with_kind(msgspec.json.decode(line, type=Answer)))
        return found

    def alone(self, run_id: str) -> contextlib.AbstractContextManager[None]:
        """Be the one that works on this run. Raises RagchatError when another process does, StorageError."""
        said = "Another ragchat process is doing this run"
        return alone(self._folder / run_id / "lock", said, "Wait for it or stop it. Its answers are kept.")


def ask_all(
    run: Run,
    sessions: Mapping[Arm, ChatSession],
    library: RunLibrary,
    *,
    memory: Callable[[], int] = lambda: 0,
    cancel: CancelToken,
) -> Iterator[Progress]:
    """Ask what has no answer yet. `memory` gives the model process's MiB. Raises CancelledError, ModelError, StorageError."""
    there = {(answer.question, answer.arm) for answer in library.answers(run.id) if not answer.error}
    todo = [
        (question, arm)
        for number, question in enumerate(run.questions)
        for arm in _turn(run.arms, number)
        if (question.id, arm) not in there
    ]
    total = len(run.questions) * len(run.arms)
    yield Progress(total - len(todo), total, None)
    file = library.answers_file(run.id)
    began = time.monotonic()
    meter = Meter()
    with _saving():
        _drop_torn_line(file)
    for number, (question, arm) in enumerate(todo, 1):
        answer = ask(sessions[arm], question, arm, memory=memory, meter=meter, cancel=cancel)
        with _saving(), file.open("ab") as out:
            out.write(msgspec.json.encode(answer) + b"\n")
        each = (time.monotonic() - began) / number
        yield Progress(total - len(todo) + number, total, each * (len(todo) - number), answer)


@contextlib.contextmanager
def _saving() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"The answers cannot be saved: {error.strerror or error}.") from error


def ask(
    session: ChatSession,
    question: Asked,
    arm: Arm,
    *,
    memory: Callable[[], int] = lambda: 0,
    meter: Meter | None = None,
    cancel: CancelToken,
) -> Answer:
    """One answer, as a chat would give it. Raises CancelledError, ModelError."""
    before, began = meter.joules() if meter else 0.0, time.monotonic()
    try:
        heard = _listen(session.ask(0, question.question, cancel=cancel), began)
    except PromptTooLongError as error:  # the next question may do better
        return Answer(
            question=question.id, arm=arm, said="", refused=False, from_documents=False, error=str(error)
        )
    finished = heard.finished
    if finished is None or finished.finish_reason == "cancelled":
        raise CancelledError("Stopped. The answers so far are kept. Run the same command to continue.")
    if (
        arm != DOCUMENTS and finished.kind is AnswerKind.QUOTED
    ):  # a chat makes do with the quotes; here it would be no answer
        raise ModelError(finished.notice or "No model has answered.")
    timings, passages = finished.timings, heard.passages(arm)
    said = _joined(finished.quotes) if finished.kind is AnswerKind.QUOTED else finished.text
    return Answer(
        question=question.id,
        arm=arm,
        said=said,
        refused=refuses(said, finished.kind, says=finished.check.says),
        from_documents=finished.from_documents,
        cited=tuple(
            Passage(c.n, c.hit.path, c.hit.text[:_LONGEST_PASSAGE])
            for c in (passages if arm == DOCUMENTS else finished.citations)
            if c.used
        ),
        offered=len(passages),
        offered_right=bool(question.answers)
        and any(contains(c.hit.text, question.answers) for c in passages),
        found=heard.found,
        ttft_s=round(timings.ttft_s or heard.quoted_s, 4),
        decode_tok_s=round(timings.decode_tok_s, 2),
        seconds=round(time.monotonic() - began, 3),
        prompt_tokens=timings.prompt_tokens,
        completion_tokens=timings.completion_tokens,
        memory_mib=0 if arm == DOCUMENTS else memory(),
        joules=round(max(0.0, meter.joules() - before), 2) if meter else 0.0,
        kind=finished.kind,
        quoted="" if arm == DOCUMENTS else _joined(finished.quotes),
        check=_checked(finished.check) if searches(arm) else None,
    )


@dataclass(slots=True)
class _Heard:
    """What a session said while it answered; `quoted_s` from the question to the quotes of the documents."""

    found: tuple[str, ...] = ()
    ready: PromptReady | None = None
    finished: AnswerFinished | None = None
    quoted_s: float = 0.0

    def passages(self, arm: Arm) -> tuple[Citation, ...]:
        """Those in the prompt; of documents alone, those that are quoted."""
        if arm == DOCUMENTS and self.finished:
            return tuple(quote.citation(n) for n, quote in enumerate(self.finished.quotes, 1))
        return self.ready.citations if self.ready else ()


def _listen(events: Iterable[SessionEvent], began: float) -> _Heard:
    heard = _Heard()
    for event in events:
        match event:
            case HitsFound(hits=hits):
                heard.found = tuple(dict.fromkeys(hit.path for hit in hits))
            case QuotesFound():
                heard.quoted_s = time.monotonic() - began
            case PromptReady():
                heard.ready = event
            case AnswerFinished():
                heard.finished = event
    return heard


def _joined(quotes: Sequence[Quote]) -> str:
    return "\n\n".join(quote.text for quote in quotes)


def _checked(check: AnswerCheck) -> Checked:
    return Checked(
        supported=check.count(Verdict.SUPPORTED),
        partly=check.count(Verdict.PARTLY),
        not_found=check.count(Verdict.NOT_FOUND),
        marked=sum(s.verdict is Verdict.SUPPORTED and bool(s.cited_by) for s in check.statements),
        answered=None if check.answered is None else round(check.answered, 4),
        says=check.says,
    )


def _with_kind(answer: Answer) -> Answer:
    """An answer of before its kind was kept, as it would be kept now."""
    if answer.kind is not None:
        return answer
    notice, own_words = chat_former.split_answer(answer.said)
    kind = AnswerKind.NO_ROOM if notice else AnswerKind.ANSWER
    if chat_former.is_unmatched(notice):
        kind = AnswerKind.UNMATCHED
    elif chat_former.is_declined(answer.said):
        kind = AnswerKind.DECLINED
    return msgspec.structs.replace(answer, said=own_words, kind=kind)


def _turn(arms: Sequence[Arm], number: int) -> Sequence[Arm]:
    first = number % len(arms)
    return [*arms[first:], *arms[:first]]


def _drop_torn_line(file: Path) -> None:
    """What was half written when the run was killed must not meet the next line."""
    if file.is_file():
        data = file.read_bytes()
        if data and not data.endswith(b"\n"):
            os.truncate(file, data.rfind(b"\n") + 1)
