"""Work behind the chat: downloads, indexing and what else runs in the background, with how far it is. The chat continues."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol, cast

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from ragchat.text import clean_line
from ragchat.tui.embeddings import KIND as EMBEDDING
from ragchat.tui.embeddings import Embeddings
from ragchat.tui.reading_ahead import KIND as AHEAD
from ragchat.tui.reading_ahead import ReadingAhead
from ragchat.tui.screens.dialog import Dialog
from ragchat.tui.state import JobState
from ragchat.tui.trainings import KIND
from ragchat.tui.widgets.lazy_list import LazyList, Row

DIM = "$foreground 62%"
_HEIGHT = 4
_WITH_CURVE = 5
_NONE = "Nothing is running."
_NONE_MORE = (
    "Downloads, indexing, embedding and training show their progress here. You can chat while they run."
    " Press n to train an adapter."
)


class _Upkeep(Protocol):
    embeddings: Embeddings


class _Chat(Protocol):
    upkeep: _Upkeep
    reading: ReadingAhead


class Host(Protocol):
    """What this window needs of the app, whose `jobs` it watches."""

    @property
    def chat(self) -> _Chat: ...
    def stop_job(self, kind: str) -> None: ...
    def pause_job(self, kind: str) -> bool: ...
    def open_training(self) -> None: ...
    def clear_jobs(self) -> None: ...


class JobsScreen(Dialog[None]):
    """Running jobs first, then those that ended. Closing it stops nothing."""

    TITLE_TEXT: ClassVar[str] = "Jobs"
    HELP_TEXT: ClassVar[str] = (
        "x stops · p pauses · n trains · Del removes finished jobs · Esc closes, jobs continue"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x,ctrl+x", "stop", "Stop", id="jobs.stop", show=False),
        Binding("p", "pause", "Pause or continue", id="jobs.pause", show=False),
        Binding("n", "train", "Train an adapter", id="jobs.train", show=False),
        Binding("delete,d", "clear", "Remove finished jobs", id="jobs.clear", show=False),
        Binding("q", "close", "Close", id="jobs.close", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._jobs: dict[str, JobState] = {}
        self._order: list[str] = []

    def body(self) -> Iterable[Widget]:
        yield Static(Content.assemble(_NONE, Content.styled(f"\n{_NONE_MORE}", DIM)), id="nothing")
        yield LazyList(self._draw)

    def on_mount(self) -> None:
        self.watch(self.app, "jobs", self._take)
        self.rows.focus()

    @property
    def host(self) -> Host:
        return cast(Host, self.app)

    @property
    def rows(self) -> LazyList:
        return self.query_one(LazyList)

    def _take(self, jobs: object) -> None:
        if not isinstance(jobs, dict):
            return
        self._jobs = dict(jobs)
        order = sorted(self._jobs, key=lambda kind: not self._jobs[kind].running)
        if order == self._order and order:
            self.rows.redraw()
            return
        self._order = order
        heights = {kind: _WITH_CURVE if kind.startswith(KIND) else _HEIGHT for kind in order}
        self.query_one("#nothing").display = not order
        self.rows.display = bool(order)
        self.rows.styles.height = max(_HEIGHT, sum(heights.values()))
        self.rows.set_rows([Row(kind, heights[kind]) for kind in order])
        if order and self.rows.highlighted is None:
            self.rows.action_first()

    def _draw(self, key: str, width: int) -> Content:
        return job_content(self._jobs[key], width)

    def action_stop(self) -> None:
        job = self._jobs.get(self.rows.key)
        if job is not None and job.running:
            self.host.stop_job(job.kind)
            self.rows.redraw()
        elif job is not None:
            self.notify("This job has finished. Press Del to remove it.", timeout=3, markup=False)

    def action_pause(self) -> None:
        job = self._jobs.get(self.rows.key)
        if job is not None and job.kind == AHEAD:
            self.host.chat.reading.pause_or_resume()
        elif job is not None and job.running and job.kind == EMBEDDING:
            self.host.chat.upkeep.embeddings.pause_or_resume()
        elif job is None or not job.running or not self.host.pause_job(job.kind):
            self.notify("You can pause only training, embedding and reading ahead.", timeout=3, markup=False)

    def action_train(self) -> None:
        self.host.open_training()

    def action_clear(self) -> None:
        self.host.clear_jobs()

    @on(LazyList.Chosen)
    def _chosen(self, event: LazyList.Chosen) -> None:
        event.stop()


def job_content(job: JobState, width: int) -> Content:
    """Name, bar, amount with rate and time left, what it is at; or how it ended."""
    if job.running:
        mark = Content.styled("◌ ", "$text-accent")
    else:
        mark = Content.styled("✗ ", "$text-error") if job.failed else Content.styled("✓ ", "$text-success")
    lines = [Content.assemble(mark, Content.styled(clean_line(job.title, limit=200), "bold"))]
    if not job.running:
        said = clean_line(job.sentence) or ("Failed." if job.failed else "Done.")
        style = "$text-error" if job.failed else DIM
        lines += Content.styled(said, style).wrap(max(8, width - 2))[:2]
    else:
        lines.append(_bar(job, max(10, min(48, width - 9))))
        detail = "Stopping …" if job.cancel.cancelled else clean_line(job.detail, limit=200)
        facts = [part for part in (job.line, detail, job.curve) if part]
        lines += [Content.styled(fact, DIM).truncate(max(8, width - 2), ellipsis=True) for fact in facts]
    return Content("\n").join([lines[0], *(Content.assemble("  ", line) for line in lines[1:])])


def _bar(job: JobState, cells: int) -> Content:
    if not job.total:
        return Content.styled("total not known yet", DIM)
    filled = round(cells * job.fraction)
    return Content.assemble(
        Content.styled("━" * filled, "$accent"),
        Content.styled("┄" * (cells - filled), "$foreground 40%"),
        f" {job.fraction:4.0%}",
    )
