"""Services for the screen over real databases: the chats and the documents are stored, only the model is an actor.

Run it (`python tests/tui_fakes.py [FOLDER]`) to look at the screen without any model.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import queue
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ragchat import config
from ragchat.app.context import Context
from ragchat.app.documents import Documents
from ragchat.app.evaluations import Evaluation, Evaluations
from ragchat.app.models import ModelChoice, Models, PullProgress, SelectableModel
from ragchat.app.services import Services
from ragchat.app.trainings import TrainingData, Trainings
from ragchat.errors import CancelledError, NotFoundError, RagchatError
from ragchat.evaluation.calibration import RefusalCurve
from ragchat.evaluation.question_sets import Asked, merged
from ragchat.ingest.sync import SyncFinished, SyncProgress
from ragchat.llm.adapters import InstalledAdapter
from ragchat.llm.profile import Profile
from ragchat.llm.tune import Progress, Tuned
from ragchat.paths import Paths
from ragchat.retrieval import index
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.events import (
    AnswerFinished,
    AnswerKind,
    HitsFound,
    MessageStored,
    PromptReady,
    QueryUsed,
    QuotesFound,
    SessionEvent,
)
from ragchat.session.preparing import Foreseen, Plan, Typed
from ragchat.session.sources import Attachment, Sources
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import (
    UNCHECKED,
    AdapterScale,
    AnswerCheck,
    CancelToken,
    ChatOptions,
    ChunkDraft,
    Citation,
    Generation,
    Hit,
    LoadedModel,
    LoadProgress,
    Message,
    ModelInfo,
    PrefillProgress,
    PromptPart,
    PromptPartKind,
    Quote,
    ReadAhead,
    ReasoningDelta,
    Sampling,
    Span,
    StoredMessage,
    TextDelta,
    Timings,
)

if TYPE_CHECKING:
    from textual.app import App
    from textual.pilot import Pilot

    from ragchat.ingest.embedding import EmbeddingEvent
    from ragchat.tui.app import RagchatApp
    from ragchat.types.embedding import Embedder

WAIT_S = 20.0


@dataclass
class Script:
    """How the next answers go. `held` stops before the piece of that number until `release` or a cancel."""

    pieces: list[str] = field(default_factory=lambda: ["Forty-two", " is the answer ", "[1]."])
    citations: tuple[Citation, ...] = ()
    held: int | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    fail_before: Exception | None = None
    fail_after: Exception | None = None
    from_documents: bool = True
    quotes: tuple[Quote, ...] = ()
    check: AnswerCheck = UNCHECKED
    notice: str = ""
    kind: AnswerKind = AnswerKind.ANSWER
    hits: tuple[Hit, ...] = ()
    delay_s: float = 0.0
    thoughts: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    requests: list[tuple[str, int | None]] = field(default_factory=list)
    options: list[ChatOptions] = field(default_factory=list)
    asked_of: list[tuple[str, ...]] = field(default_factory=list)
    files: list[tuple[Attachment, ...]] = field(default_factory=list)
    pinned: list[tuple[Hit, ...]] = field(default_factory=list)

    def release(self) -> None:
        self.gate.set()


class ScriptedSession:
    """Says and stores what `ChatSession.ask` says and stores."""

    def __init__(self, store: ChatStore, names: Sequence[str], script: Script) -> None:
        self._store, self._names, self._script = store, tuple(names), script

    options = AskOptions()

    def foresee(self, typed: Typed, plan: Plan | None, *, cancel: CancelToken) -> Foreseen:
        return Foreseen()

    def warm(
        self, conversation_id: int, *, parent_id: int | None = None, cancel: CancelToken
    ) -> ReadAhead | None:
        return None

    def regenerate(self, answer_id: int, *, cancel: CancelToken) -> Iterator[SessionEvent]:
        question = self._store.message(self._store.message(answer_id).parent_id)
        self._script.requests.append(("regenerate", answer_id))
        yield from self._answer(question.conversation_id, question.content, question.id, cancel)

    def continue_answer(self, answer_id: int, *, cancel: CancelToken) -> Iterator[SessionEvent]:
        answer = self._store.resume_answer(answer_id)
        self._script.requests.append(("continue", answer_id))
        question = self._store.message(answer.parent_id).content
        yield from self._stream(answer, answer.parent_id, question, cancel)

    def ask(
        self,
        conversation_id: int,
        question: str,
        *,
        parent_id: int | None = None,
        attachment: str = "",
        files: Sequence[Attachment] = (),
        pinned: Sequence[Hit] = (),
        plan: Plan | None = None,
        cancel: CancelToken,
    ) -> Iterator[SessionEvent]:
        script, store = self._script, self._store
        script.questions.append(question)
        script.asked_of.append(self._names)
        script.files.append(tuple(files))
        script.pinned.append(tuple(pinned))
        if script.fail_before:
            raise script.fail_before
        sources = Sources.attached(attachment, files, pinned)
        content = "\n\n".join(filter(None, (question, attachment)))
        script.requests.append(("ask", parent_id))
        asked = store.add_user_message(
            conversation_id, content, parent_id=parent_id, attachments=sources.names
        )
        yield from self._answer(conversation_id, question, asked.id, cancel)

    def _answer(
        self, conversation_id: int, question: str, question_id: int, cancel: CancelToken
    ) -> Iterator[SessionEvent]:
        answer = self._store.begin_answer(conversation_id, parent_id=question_id)
        yield from self._stream(answer, question_id, question, cancel)

    def _stream(  # noqa: C901
        self, answer: StoredMessage, question_id: int, question: str, cancel: CancelToken
    ) -> Iterator[SessionEvent]:
        script, store, conversation_id = self._script, self._store, answer.conversation_id
        yield MessageStored(conversation_id, question_id, answer.id)
        citations = script.citations if self._names else ()
        yield QueryUsed(question, (), self._names)
        yield HitsFound(tuple(c.hit for c in citations) or script.hits, bool(citations), 0.004)
        if script.quotes:
            store.save_quotes(answer.id, script.quotes)
            yield QuotesFound(script.quotes)
        time.sleep(script.delay_s * 4)
        offered = tuple(replace(c, used=False) for c in citations)
        generation = Generation(
            *(
                "fake",
                "/models/fake.gguf",
                (),
                self._names,
                question,
                (Message("user", question),),
                (),
                Sampling(),
                0.004,
            )
        )
        store.save_generation(answer.id, generation, offered)
        yield PromptReady((PromptPart(PromptPartKind.QUESTION, 12),), 812, 4096, offered, ())
        for done in (256, 512, 812):
            yield PrefillProgress(done, 812, (812 - done) / 400)
            time.sleep(script.delay_s * 6)
        said = answer.content
        if script.notice:
            store.set_notice(answer.id, script.notice)
        for thought in script.thoughts:
            yield ReasoningDelta(thought)
        for number, piece in enumerate(script.pieces):
            if script.held == number:
                deadline = time.monotonic() + WAIT_S
                while not script.gate.wait(0.01) and not cancel.cancelled and time.monotonic() < deadline:
                    pass
            if cancel.cancelled:
                yield self._finish(conversation_id, answer.id, said, "cancelled", offered)
                return
            said += piece
            if number % 100 == 0 or script.held is not None:
                store.update_answer(answer.id, said)
            yield TextDelta(piece)
            time.sleep(script.delay_s)
        if script.fail_after:
            store.finish_answer(
                answer.id, said, state="error", finish_reason="error", error=str(script.fail_after)
            )
            raise script.fail_after
        yield self._finish(conversation_id, answer.id, said, "stop", citations)

    def _finish(
        self, conversation_id: int, answer_id: int, said: str, reason: str, citations: tuple[Citation, ...]
    ) -> AnswerFinished:
        script, timings = self._script, Timings(0.004, 1.2, 400.0, 34.2, 812, 0, 120)
        cancelled = reason == "cancelled"
        self._store.finish_answer(
            answer_id,
            said,
            state="cancelled" if cancelled else "complete",
            finish_reason=reason,
            used=[c.n for c in citations if c.used],
            timings=timings,
            seed=1,
            check=UNCHECKED if cancelled else script.check,
        )
        from_documents = self._script.from_documents and bool(citations)
        return AnswerFinished(
            *(
                conversation_id,
                answer_id,
                said,
                "cancelled" if cancelled else "stop",
                citations,
                from_documents,
                timings,
                1,
            ),
            notice=script.notice,
            kind=script.kind,
            quotes=script.quotes,
            check=UNCHECKED if cancelled else script.check,
        )


class ActorModel:
    """A model process that only pretends. `gate` cleared: loading waits."""

    def __init__(self, selected: str = "fake", *, delay_s: float = 0.0) -> None:
        self.selected = selected
        self.gate = threading.Event()
        self.gate.set()
        self.suspect = ""
        self.fail: RagchatError | None = None
        self.loads = 0
        self._info: ModelInfo | None = None
        self._delay_s = delay_s

        self.refusal: RagchatError | None = None
        """What adapters are refused with."""
        self.adapters: tuple[AdapterScale, ...] = ()
        self.forgotten: list[str] = []

    def forget(self, owners: Sequence[str]) -> None:
        self.forgotten += owners

    def select(self, name_or_path: str) -> None:
        self.selected, self._info = name_or_path, None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def count_prompt(self, messages: Sequence[Message]) -> int:
        return sum(self.count_tokens([message.content for message in messages]))

    def render_prompt(self, messages: Sequence[Message]) -> str:
        return "\n".join(f"<{message.role}> {message.content}" for message in messages)

    @contextlib.contextmanager
    def apart(self, cancel: CancelToken) -> Iterator[CancelToken]:
        yield cancel

    def suspicion(self) -> str:
        return self.suspect

    def load(
        self,
        cancel: CancelToken | None = None,
        *,
        thinking: bool = False,
        adapters: tuple[AdapterScale, ...] = (),
    ) -> Generator[LoadProgress, None, LoadedModel]:
        if self._info is None:
            yield from self._load(cancel)
        if adapters and self.refusal:
            raise self.refusal
        self.adapters = adapters
        return cast(LoadedModel, self)

    def loaded(self, *, thinking: bool = False) -> LoadedModel | None:
        return cast(LoadedModel, self) if self._info else None

    def _load(self, cancel: CancelToken | None) -> Iterator[LoadProgress]:
        self.loads += 1
        for step in range(1, 11):
            time.sleep(self._delay_s)
            yield LoadProgress(step / 10)
            deadline = time.monotonic() + WAIT_S
            while not self.gate.wait(0.01) and time.monotonic() < deadline:
                if cancel is not None and cancel.cancelled:
                    raise CancelledError("stopped")
        if self.fail:
            raise self.fail
        self._info = ModelInfo(
            *(
                self.selected,
                f"/models/{self.selected}.gguf",
                "llama",
                "",
                4096,
                8192,
                135_000_000,
                100_000_000,
            ),
            *(True, "chat template", 2, 2, False),
        )

    @property
    def info(self) -> ModelInfo | None:
        return self._info


@dataclass
class Stage:
    """Everything a test may look at or change."""

    services: Services
    script: Script
    model: ActorModel
    folder: Path
    pulls: list[str] = field(default_factory=list)
    choices: list[ModelChoice] = field(default_factory=list)
    adapters: list[InstalledAdapter] = field(default_factory=list)
    pull_gate: threading.Event = field(default_factory=threading.Event)
    sync_gate: threading.Event = field(default_factory=threading.Event)
    read_gate: threading.Event = field(default_factory=threading.Event)
    question_sets: dict[str, list[Asked]] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    refusal_curve: Callable[[str], RefusalCurve | None] = lambda _: None
    training_data: TrainingData = field(default_factory=lambda: TrainingData(2, {"guide": 5}, {"guide": 3}))
    trained: list[list[str]] = field(default_factory=list)
    watched: tuple[str, ...] = ()
    sync_at_start: bool = False
    watching: list[str] = field(default_factory=list)
    watch_changes: queue.Queue[Path] = field(default_factory=queue.Queue)

    def write_questions(self, name: str, before: Sequence[Asked], now: Sequence[Asked]) -> None:
        self.question_sets[name] = merged(self.question_sets.get(name, []), before, now)

    def start_training(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        self.trained.append(list(arguments))
        return subprocess.Popen([sys.executable, "-c", ""])

    def use(self, section: str, **values: object) -> None:
        """Other settings of a section, as if the file said so."""
        preferences = self.services.preferences
        changed = msgspec.structs.replace(getattr(preferences.settings, section), **values)
        settings = msgspec.structs.replace(preferences.settings, **{section: changed})
        preferences.context = replace(preferences.context, settings=settings)

    def chats(self) -> contextlib.closing[ChatStore]:
        return contextlib.closing(self.services.open_chats())


def set_stage(folder: Path, *, model: str = "fake", documents: bool = True, delay_s: float = 0.0) -> Stage:
    """Services over databases in `folder`; with `documents` a knowledge base `guide` with one cited document."""
    script, actor = Script(delay_s=delay_s), ActorModel(model, delay_s=delay_s)
    kb_dir = folder / "kb"
    KnowledgeStore.create(kb_dir, "manual").close()
    if documents:
        script.citations = write_guide(folder, kb_dir)
    stage = Stage(cast(Services, None), script, actor, folder)
    stage.choices = [
        ModelChoice("fake", "Fake 135M", 100_000_000, True, 240_000_000, "Apache-2.0"),
        ModelChoice("other", "Other 360M", 390_000_000, True, 700_000_000, "MIT"),
        ModelChoice("distant", "Distant 1.7B", 1_100_000_000, False, 1_900_000_000, "Apache-2.0"),
    ]
    if not model:
        stage.choices = [replace(choice, installed=False) for choice in stage.choices]
    stage.pull_gate.set()
    stage.sync_gate.set()
    stage.read_gate.set()

    paths = Paths(folder, folder, folder, folder, (folder / "models",))
    stage.services = Services(
        Context(paths, config.load(paths.settings_file, {})), cast(SelectableModel, actor)
    )
    stage.services.models = ActorModels(stage)
    stage.services.documents = ActorDocuments(stage)
    stage.services.evaluations = ActorEvaluations(stage)
    stage.services.trainings = ActorTrainings(stage)
    stage.use("ui", theme="textual-dark")

    def open_session(store: ChatStore, options: ChatOptions) -> AbstractContextManager[ChatSession]:
        script.options.append(options)
        documents = stage.services.documents
        chosen = documents.asked_by_default() if options.knowledge_bases is None else options.knowledge_bases
        if gone := [name for name in chosen if name not in documents.names()]:
            raise NotFoundError(f"There is no knowledge base {gone[0]!r}.", "F3 shows those there are.")
        return contextlib.nullcontext(cast(ChatSession, ScriptedSession(store, chosen, script)))

    act(stage.services, open_session=open_session)
    return stage


def act(what: object, **methods: Callable[..., object]) -> None:
    """Let an object do something else when these methods of its are called."""
    for name, method in methods.items():
        assert callable(getattr(what, name)), name
        setattr(what, name, method)


class ActorModels(Models):
    """Models that are fetched from nowhere."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.services.preferences, stage.services.model)
        self._stage = stage

    def choices(self) -> list[ModelChoice]:
        return self._stage.choices

    def check(self, name_or_path: str) -> None:
        if all(choice.name != name_or_path for choice in self.choices() if choice.installed):
            raise NotFoundError(f"There is no model {name_or_path!r}.")

    def adapters(self, model: str = "") -> list[InstalledAdapter]:
        return list(self._stage.adapters)

    def tune(self, name: str, progress: Progress, cancel: CancelToken) -> Tuned:
        progress(0.4, 12.0, "trying settings")
        deadline = time.monotonic() + WAIT_S
        while not self._stage.pull_gate.wait(0.01) and time.monotonic() < deadline:
            if cancel.cancelled:
                raise CancelledError("Stopped. The settings stay as they were.")
        chosen = Profile(2, 2, False, 100.0, 50.0, "")
        return Tuned(name, "Q8_0", 1, chosen, None, 10.0, (), (), ())

    def pull(self, name: str, progress: PullProgress, cancel: CancelToken) -> Path:
        stage = self._stage
        stage.pulls.append(name)
        for percent in range(0, 101, 5):
            progress(percent * 10_000_000, 1_000_000_000, 25e6, (100 - percent) / 2.5)
            time.sleep(stage.script.delay_s * 4)
            deadline = time.monotonic() + WAIT_S
            while percent >= 40 and not stage.pull_gate.wait(0.01) and time.monotonic() < deadline:
                if cancel.cancelled:
                    break
            if cancel.cancelled:
                raise CancelledError("stopped")
        stage.choices = [replace(c, installed=c.installed or c.name == name) for c in stage.choices]
        return stage.folder / "models" / name


class ActorDocuments(Documents):
    """Real knowledge bases; a sync takes the files as text, and waits where a test wants it to."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.services.preferences)
        self._stage = stage

    def sync(
        self, name: str, add: Sequence[Path], cancel: CancelToken
    ) -> Iterator[SyncProgress | SyncFinished]:
        stage = self._stage
        with KnowledgeStore.create(stage.services.paths.kb_dir, name) as store:
            files = [
                p
                for path in add
                for p in (sorted(path.rglob("*")) if path.is_dir() else [path])
                if p.is_file()
            ]
            for done, path in enumerate(files, 1):
                time.sleep(stage.script.delay_s * 4)
                yield SyncProgress(done, len(files), str(path), done, 0, 0, 12.5, (len(files) - done) / 12.5)
                deadline = time.monotonic() + WAIT_S
                while not stage.sync_gate.wait(0.01) and not cancel.cancelled and time.monotonic() < deadline:
                    pass
                if cancel.cancelled:
                    break
                add_document(store, path, path.read_text("utf-8", "replace"))
            yield SyncFinished(store.status(), 0, 0, 0.5, cancel.cancelled)

    def watch(self, name: str, cancel: CancelToken) -> Iterator[object]:
        stage = self._stage
        stage.watching.append(name)
        with self.open(name) as store:
            yield SyncFinished(store.status(), 0, 0, 0.0, False)
            while not cancel.cancelled:
                with contextlib.suppress(queue.Empty):
                    path = stage.watch_changes.get(timeout=0.01)
                    add_document(store, path, path.read_text("utf-8"))
                    yield SyncFinished(store.status(), 0, 0, 0.0, False)
        stage.watching.remove(name)

    @property
    def sync_at_start(self) -> bool:
        return self._stage.sync_at_start

    def watched(self) -> tuple[str, ...]:
        return self._stage.watched

    def set_watched(self, names: Sequence[str]) -> None:
        self._stage.watched = tuple(names)

    def read_attachment(self, path: Path) -> Attachment:
        self._stage.read_gate.wait(WAIT_S)
        return super().read_attachment(path)

    def embedder(self) -> Embedder | None:
        return None

    def embed(self, name: str, cancel: CancelToken, hold: Callable[[], str]) -> Iterator[EmbeddingEvent]:
        return iter(())


class ActorEvaluations(Evaluations):
    """Verdicts and questions that a test puts there."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.services.preferences)
        self._stage = stage

    def newest(self) -> list[Evaluation]:
        return list(self._stage.evaluations)

    def question_sets(self) -> dict[str, list[Asked]]:
        return dict(self._stage.question_sets)

    def write_questions(self, name: str, before: Sequence[Asked], now: Sequence[Asked]) -> None:
        self._stage.write_questions(name, before, now)

    def refusal_curve(self, name: str, cancel: CancelToken) -> RefusalCurve | None:
        return self._stage.refusal_curve(name)

    def stale(self) -> list[str]:
        return [change for one in self._stage.evaluations[:1] for change in one.stale]


class ActorTrainings(Trainings):
    """Trainings that only begin."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.services.preferences)
        self._stage = stage

    def data(self) -> TrainingData:
        return self._stage.training_data

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        return self._stage.start_training(arguments)

    def output(self, name: str) -> str:
        return "nothing"


async def until(pilot: Pilot[None], condition: Callable[[], object], *, deadline_s: float = WAIT_S) -> None:
    """Let the app run until `condition` holds."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {deadline_s} s: {inspect.getsource(condition).strip()}")
        await asyncio.sleep(0.01)
    await pilot.pause()


@contextlib.asynccontextmanager
async def running(
    stage: Stage, *, size: tuple[int, int] = (120, 36)
) -> AsyncIterator[tuple[RagchatApp, Pilot[None]]]:
    """The app over `stage`, its first workers done."""
    from ragchat.tui.app import RagchatApp

    app = RagchatApp(stage.services)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.model_state.phase not in ("idle", "loading") and app.chat.pane.visit)
        await until(pilot, lambda: app.chat._default_knowledge and app.looked_around)
        yield app, pilot


async def ask(app: RagchatApp, pilot: Pilot[None], question: str) -> None:
    """Type a question, send it, wait for the end of the answer."""
    await send(app, pilot, question)
    await until(pilot, lambda: app.chat.pane.live is None)


async def send(app: RagchatApp, pilot: Pilot[None], question: str) -> None:
    """Type a question and send it."""
    from ragchat.tui.widgets.message import NoticeView

    app.chat.pane.prompt.focus()
    app.chat.pane.prompt.put(question)
    await pilot.press("enter")
    await until(
        pilot, lambda: app.chat.pane.prompt.text != question or app.chat.pane.transcript.query(NoticeView)
    )


def screen_text(app: App[Any]) -> str:
    """What stands on the screen, as plain text."""
    height = app.size.height
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in lines[:height])


def screen_segments(app: App[Any]) -> str:
    """Every character that is sent to the terminal for what is on the screen, control characters included."""
    return "".join(segment.text for strip in app.screen._compositor.render_strips() for segment in strip)


GUIDE = "\n".join(
    itertools.chain(
        ["# Boiler guide", ""],
        (
            f"Paragraph {n} of the guide speaks of valves and pipes, and of nothing else that matters here."
            for n in range(60)
        ),
        [
            "",
            "## Pressure",
            "",
            "The boiler wants a working pressure between 1.2 and 1.8 bar. Below 1 bar it switches itself off."
            " Refill it slowly, with the filling loop under the left cover, until the needle stands at 1.5 bar.",
            "",
        ],
        (f"Afterwards, in paragraph {n}, the guide goes on about the yearly service." for n in range(60)),
    )
)
PRESSURE = GUIDE[GUIDE.index("The boiler wants") : GUIDE.index("Afterwards, in paragraph 0")].strip()


def numbered_span(first: int, text: str, line: int) -> Span:
    """Where a text stands whose lines are lines of its file."""
    last = line + text.count("\n")
    return Span(first, first + len(text), line, last, file_line_first=line, file_line_last=last)


def add_document(store: KnowledgeStore, path: Path, text: str, *, source_lines: bool = True) -> int:
    """Write a document of one chunk per paragraph."""
    chunks, position, line = [], 0, 1
    for part in text.split("\n\n"):
        if part:
            span = numbered_span(position, part, line)
            chunks.append(ChunkDraft(part, "", span))
        position += len(part) + 2
        line += part.count("\n") + 2
    stat = path.stat() if path.exists() else None
    record = FileRecord(
        str(path),
        stat.st_size if stat else 0,
        stat.st_mtime_ns if stat else 0,
        content_hash="abc",
        source_lines=source_lines,
    )
    return index.write_document(store, record, chunks)


def make_citation(
    n: int,
    *,
    document_id: int = 1,
    path: str = "/nowhere/guide.md",
    text: str = PRESSURE,
    used: bool = True,
    quote: str = "",
) -> Citation:
    first = max(0, GUIDE.find(text))
    line = GUIDE.count("\n", 0, first) + 1
    span = numbered_span(first, text, line)
    hit = Hit(
        n,
        7.5 / n,
        "guide",
        n,
        document_id,
        path,
        "Boiler guide",
        "Boiler guide > Pressure",
        span,
        text,
        "abc",
        quote,
    )
    return Citation(n, hit, quote, used)


def write_guide(folder: Path, kb_dir: Path) -> tuple[Citation, ...]:
    path = folder / "documents" / "guide.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(GUIDE, "utf-8")
    with KnowledgeStore.create(kb_dir, "guide") as store:
        document_id = store.documents()[0].id if store.documents() else add_document(store, path, GUIDE)
    quote = "Below 1 bar it switches itself off."
    other = "Paragraph 3 of the guide speaks of valves and pipes, and of nothing else that matters here."
    return (
        make_citation(1, document_id=document_id, path=str(path), quote=quote),
        make_citation(2, document_id=document_id, path=str(path), text=other, used=False, quote=other[:24]),
    )


DEMO = """Your boiler switched itself off because the **pressure fell below 1 bar** [1].

1. Let it cool down.
2. Open the filling loop *slowly*, under the left cover [1].
3. Stop at `1.5 bar`.

| reading | meaning |
|---|---|
| below 1.0 bar | off |
| 1.2 to 1.8 bar | normal |

```python
def refill(pressure: float) -> bool:
    return pressure < 1.2
```

More at [the maker's page](https://example.org/boiler).
"""


def demo(folder: Path) -> None:
    from ragchat.tui.app import RagchatApp

    stage = set_stage(folder, delay_s=0.03)
    stage.script.pieces = [f"{word} " for word in DEMO.split(" ")]
    RagchatApp(stage.services).run()


if __name__ == "__main__":
    import sys
    import tempfile

    demo(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="ragchat-demo-")))


def answer_for_real(stage: Stage, model: SelectableModel) -> None:
    """Sessions of the stage search its knowledge bases and ask `model`, as the program's own do."""

    @contextlib.contextmanager
    def open_session(chats: ChatStore, options: ChatOptions) -> Iterator[ChatSession]:
        names = (
            stage.services.documents.asked_by_default()
            if options.knowledge_bases is None
            else options.knowledge_bases
        )
        with contextlib.ExitStack() as stack:
            stores = [stack.enter_context(KnowledgeStore.open(stage.folder / "kb", name)) for name in names]
            yield ChatSession(chats, model, stores, AskOptions())

    stage.services.model = model
    act(stage.services, open_session=open_session)
