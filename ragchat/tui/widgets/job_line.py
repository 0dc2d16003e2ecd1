"""How far a download or an indexing run has come: a bar, amounts, rate and time left."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from ragchat.text import clean_line
from ragchat.tui.state import JobState


class JobLine(Widget):
    """Watches the job of one kind ("pull" or "sync") of the app; takes no room while there is none."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind
        self._job: JobState | None = None
        self.display = False

    def on_mount(self) -> None:
        self.watch(self.app, "jobs", self._take)

    def _take(self, jobs: object) -> None:
        self._job = jobs.get(self._kind) if isinstance(jobs, dict) else None
        self.display = self._job is not None
        self.refresh(layout=True)

    def render(self) -> RenderResult:
        job = self._job
        if job is None:
            return Content("")
        if not job.running:
            return Content.styled(clean_line(job.sentence), "$text-error" if job.failed else "$text-success")
        width = max(10, min(40, self.content_size.width - 8))
        filled = round(width * job.fraction)
        bar = Content.assemble(
            Content.styled("━" * filled, "$accent"),
            Content.styled("┄" * (width - filled), "$foreground 40%"),
            f" {job.fraction:4.0%}",
        )
        lines = [Content(clean_line(job.name, limit=60)), bar, Content.styled(job.line, "$foreground 62%")]
        if job.detail:
            lines.append(
                Content.styled(
                    clean_line(job.detail, limit=max(10, self.content_size.width)), "$foreground 62%"
                )
            )
        return Content("\n").join(lines)
