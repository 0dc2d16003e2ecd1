"""Embedding behind the chat, as a job: one knowledge base after the other, while ragchat is open.

It waiting for the answer, a model loads, documents are indexed, the computer is on battery, or the user says so.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

from textual import on, work
from textual.message import Message
from textual.widget import Widget

from ragchat.errors import RagchatError
from ragchat.tui import tasks
from ragchat.tui.state import JobState, ModelState
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.ingest.embedding import EmbeddingProgress

KIND = "embed"
"""Of the job."""
PAUSED = "paused: press p to continue"
STOPPING = "stopping"
ANSWERING = "waiting for the answer"
LOADING = "waiting for the model to load"
LOOKING = "waiting while your question is looked up"
_SETTLE_S = 1.0
"""Before it begins, so that it takes nothing from the start of ragchat, and a sync may bring more."""
_SHOWN_FROM = 64
"""Chunks that are left; fewer are embedded without a word."""


class _Pane(Protocol):
    live: object | None


class _Reading(Protocol):
    @property
    def looking(self) -> bool: ...


class _Chat(Protocol):
    pane: _Pane

    @property
    def reading(self) -> _Reading: ...


class Host(Protocol):
    """What this needs of the app."""

    jobs: dict[str, JobState]
    model_state: ModelState

    @property
    def chat(self) -> _Chat: ...


class Embeddings(Widget):
    """Invisible. `embed` may be called at any time; what is embedded already costs nothing."""

    class Advanced(Message):
        """A job made some vectors."""

        def __init__(self, name: str, progress: EmbeddingProgress) -> None:
            super().__init__()
            self.name = name
            self.progress = progress

    class Ended(Message):
        """All that was asked for is done, or it went wrong, as `sentence` says, or it was stopped."""

        def __init__(self, sentence: str, *, failed: bool = False) -> None:
            super().__init__()
            self.sentence = sentence
            self.failed = failed

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.display = False
        self._services = services
        self._waiting: dict[str, None] = {}
        self._guard = threading.Lock()
        self._at_work = False
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._kept_off: set[str] = set()
        self._stop = CancelToken()
        self._over = threading.Event()
        self._on_battery_too = False
        self.paused = False

    def on_unmount(self) -> None:
        self.stop()

    # --- what the screens ask for -------------------------------------------------------------------

    def embed(self, names: Sequence[str]) -> None:
        """Embed what is missing in these knowledge bases, after those that wait already. Not after the user stopped it."""
        with self._guard:
            self._waiting |= dict.fromkeys(names)
            if self._at_work or self._stop.cancelled or not self._waiting:
                return
            self._at_work = True
        self._work_off()

    def pause_or_resume(self) -> None:
        """The one that applies. To continue also means: on battery, too."""
        self.paused = not self.paused
        self._on_battery_too = not self.paused
        if job := self.host.jobs.get(KIND):
            self._show(replace(job, paused=self.paused, detail=PAUSED if self.paused else ""))

    def stop(self) -> None:
        """End it, as when ragchat ends."""
        self._stop.cancel()
        self._over.set()

    @contextmanager
    def keeping_off(self, name: str) -> Iterator[None]:
        """Any thread: this knowledge base is not open here meanwhile; afterwards `embed` it again."""
        self._kept_off.add(name)
        try:
            with self._turns[name]:
                yield
        finally:
            self._kept_off.discard(name)

    # --- the work -----------------------------------------------------------------------------------

    @property
    def host(self) -> Host:
        return cast(Host, self.app)

    @work(thread=True, exit_on_error=False, group="embed", description="embed documents")
    def _work_off(self) -> None:
        sentence, failed = "", False
        self._over.wait(_SETTLE_S)
        while (name := self._next()) and not sentence:
            try:
                with self._turns[name]:
                    sentence = self._embed_one(name)
            except RagchatError as error:
                sentence, failed = f"{error} {error.remedy}".strip(), True
            except Exception:  # noqa: BLE001 - the boundary of a worker
                sentence, failed = tasks.record_unexpected(self._services, f"embedding {name}"), True
        if sentence:
            with self._guard:
                self._at_work = False
        self.post_message(self.Ended(sentence or "All documents can be found by meaning.", failed=failed))

    def _next(self) -> str:
        """The next knowledge base; '' when there is none, and then no one works any more."""
        with self._guard:
            name = next(iter(self._waiting), "") if not self._stop.cancelled else ""
            self._waiting.pop(name, None)
            self._at_work = bool(name)
            return name

    def _embed_one(self, name: str) -> str:
        """Embed a knowledge base; why nothing more is to be done, or ''."""
        from ragchat.ingest.embedding import EmbeddingProgress, PowerWatch

        cancel = CancelToken()
        power = PowerWatch()

        def hold() -> str:
            if self._stop.cancelled or name in self._kept_off:
                cancel.cancel()
                return STOPPING
            if self.paused:
                return PAUSED
            if self.host.chat.pane.live is not None:
                return ANSWERING
            if self.host.chat.reading.looking:
                return LOOKING
            if self.host.model_state.phase in ("loading", "measuring"):
                return LOADING
            return "" if self._on_battery_too else power()

        for event in self._services.documents.embed(name, cancel, hold):
            if isinstance(event, EmbeddingProgress):
                self.post_message(self.Advanced(name, event))
        return (
            "Stopped. Embedded chunks are kept. ragchat continues the next time you start it."
            if self._stop.cancelled
            else ""
        )

    # --- the job ------------------------------------------------------------------------------------

    @on(Advanced)
    def _advance(self, event: Advanced) -> None:
        event.stop()
        progress = event.progress
        shown = self.host.jobs.get(KIND)
        if not (shown and shown.running) and progress.total - progress.done < _SHOWN_FROM:
            return
        self._show(
            JobState(
                KIND,
                event.name,
                "chunks",
                done=progress.done,
                total=progress.total,
                rate=progress.chunks_per_s if not progress.waiting else 0.0,
                eta_s=progress.eta_s,
                detail=progress.waiting or "so that the search can find it by meaning",
                doing="embedding",
                cancel=self._stop,
                paused=self.paused,
            )
        )

    @on(Ended)
    def _end(self, event: Ended) -> None:
        event.stop()
        job = self.host.jobs.get(KIND)
        if job is None and event.failed:
            job = JobState(KIND, "", "chunks", doing="embedding")
        if job is not None and job.running and not self._at_work:
            self._show(replace(job, running=False, failed=event.failed, sentence=event.sentence))

    def _show(self, job: JobState) -> None:
        self.host.jobs = {**self.host.jobs, KIND: job}
