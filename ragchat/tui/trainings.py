"""Trainings as jobs: begun here or in a shell, each runs in a process of its own and continues when ragchat closes.

What they are at is read from the files that they keep (`finetune.status`); a worker looks once a second.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

from textual import work
from textual.widget import Widget

from ragchat.errors import RagchatError
from ragchat.text import curve
from ragchat.tui import messages
from ragchat.tui.state import JobState

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.finetune.status import Status, Value

_LOOKED_S = 1.0
_GONE = "Its process has ended. Start the same training again to continue from its last checkpoint."


class Host(Protocol):
    """What this needs of the app."""

    jobs: dict[str, JobState]

    def take_training(self, job: JobState) -> None: ...


class Trainings(Widget):
    """Invisible; it is in the chat screen, which is always there."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.display = False
        self._services = services
        self._over = threading.Event()
        self._seen: dict[str, Status] = {}
        self._silent: set[str] = set()
        self._looks = 0

    def on_mount(self) -> None:
        self._look()
        self.set_interval(_LOOKED_S, self._look)

    def on_unmount(self) -> None:
        self._over.set()

    def begin(self, arguments: Sequence[str], name: str) -> None:
        """Start `ragchat finetune NAME …` in a process of its own."""
        self._start(tuple(arguments), name)

    def ask(self, name: str, wanted: Value) -> None:
        """Pause, resume or cancel a training."""
        from ragchat.finetune import status

        try:
            status.request(self._services.trainings.folder, name, wanted)
        except (OSError, RagchatError) as error:
            self.post_message(messages.TroubleReported(f"The training did not receive this: {error}", ""))

    def pause_or_resume(self, name: str) -> None:
        """The one that applies."""
        seen = self._seen.get(name)
        self.ask(name, "resume" if seen is not None and seen.state == "paused" else "pause")

    def forget_ended(self) -> None:
        """Take the files of what has ended away."""
        from ragchat.finetune import status

        for name, seen in list(self._seen.items()):
            if seen.ended or seen.silent:
                status.forget(self._services.trainings.folder, name)
                self._seen.pop(name, None)

    @work(thread=True, exit_on_error=False, group="begin training", description="start a training")
    def _start(self, arguments: tuple[str, ...], name: str) -> None:
        try:
            process = self._services.trainings.start(arguments)
        except RagchatError as error:
            self.post_message(messages.TroubleReported(str(error), error.remedy))
            return
        while process.poll() is None and not self._over.wait(0.5):
            pass
        if process.poll():
            seen = self._seen.get(name)
            if seen is None or not seen.ended:
                said = self._services.trainings.output(name)
                self.post_message(messages.TroubleReported(f"The training {name} ended: {said}", ""))

    @work(
        thread=True, exclusive=True, exit_on_error=False, group="trainings", description="look at trainings"
    )
    def _look(self) -> None:
        folder = self._services.trainings.folder
        if folder.is_dir() and any(folder.glob("*.json")):
            from ragchat.finetune import status

            for found in status.statuses(folder):
                if self._seen.get(found.name) != found or found.silent != (found.name in self._silent):
                    news = found.name in self._seen or not found.ended or self._looks
                    self._seen[found.name] = found
                    (self._silent.add if found.silent else self._silent.discard)(found.name)
                    if news:  # what ended while nobody looked is none
                        self.app.call_from_thread(self._show, job_of(found))
        self._looks += 1

    def _show(self, job: JobState) -> None:
        cast(Host, self.app).take_training(job)


def job_of(status: Status) -> JobState:
    """How a training shows among the jobs."""
    held_out = f" · held out {status.held_out[-1][1]:.3f}" if status.held_out else ""
    loss = f"loss {status.losses[-1]:.3f}{held_out}" if status.losses else ""
    memory = f"{status.rss_mib:,} MiB" if status.rss_mib else ""
    speed = f"{status.tokens_s:.0f} tokens/s" if status.tokens_s else ""
    doing = "" if status.doing == "training" else status.doing
    running = not (status.ended or status.silent)
    return JobState(
        kind=f"{KIND}{status.name}",
        name=status.name,
        unit="steps",
        done=status.step,
        total=status.total_steps if status.step else 0,
        eta_s=status.eta_s if running else None,
        detail=" · ".join(part for part in (doing, loss, speed, memory) if part),
        curve=curve(status.losses, 44),
        running=running,
        failed=status.state == "failed" or (status.silent and not status.ended),
        paused=status.state == "paused",
        sentence=_GONE if status.silent else status.sentence,
        doing="training",
    )


KIND = "train:"
"""What the kind of such a job begins with; the rest is its name."""
