"""The run's side of `finetune.status`: says where it is, and passes on what is asked of it."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from types import TracebackType

import msgspec

from ragchat.errors import RagchatError
from ragchat.finetune import wire
from ragchat.finetune.client import TrainingRun
from ragchat.finetune.run import Learned, Planned, RunEvent, Stage
from ragchat.finetune.status import Status
from ragchat.paths import write_atomically
from ragchat.text import counted
from ragchat.types import CancelToken

_RENEWED_S = 3.0
_LOOKED_S = 0.5
_LOSSES = 400


class Reporter:
    """Says where a run is as long as it is entered, and passes on what is asked of it. An error that goes through ends it.

    `cancel` ends what comes before the training. A folder that cannot be written to disturbs nothing.
    """

    def __init__(self, folder: Path, name: str, model: str, cancel: CancelToken) -> None:
        self._file, self._request = folder / f"{name}.json", folder / f"{name}.wish"
        self._cancel = cancel
        self._status = Status(name=name, model=model)
        self._run: TrainingRun | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True, name="training status")

    def __enter__(self) -> Reporter:
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._request.unlink(missing_ok=True)
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        with self._lock:
            if isinstance(error, RagchatError):
                self._status = msgspec.structs.replace(
                    self._status, state="failed", sentence=f"{error} {error.remedy}".strip()
                )
            elif error is not None:
                self._status = msgspec.structs.replace(
                    self._status, state="stopped", sentence="Stopped. Run the same command to continue."
                )
            elif not self._status.ended:
                self._status = msgspec.structs.replace(self._status, state="done")
        self._write()

    def take(self, event: RunEvent) -> None:
        """What the run says."""
        with self._lock:
            before = self._status
            self._status = _after(before, event)
            turned = before.state != self._status.state or before.doing != self._status.doing
        if turned:
            self._write()

    def steer(self, run: TrainingRun) -> None:
        """This process is paused and cancelled from now on."""
        self._run = run

    def left(self) -> None:
        """The user continues another time."""
        with self._lock:
            self._status = msgspec.structs.replace(
                self._status, state="stopped", sentence="Paused. Run the same command to continue."
            )

    def _look(self) -> None:
        written = time.monotonic()
        while not self._over.wait(_LOOKED_S):
            with contextlib.suppress(OSError):
                request = self._request.read_text("utf-8").strip()
                if (
                    self._run is not None or request == "cancel"
                ):  # a pause waits until there is something to pause
                    self._request.unlink()
                    self._obey(request)
            if time.monotonic() - written > _RENEWED_S:
                self._write()
                written = time.monotonic()

    def _obey(self, request: str) -> None:
        if request == "cancel":
            self._cancel.cancel()
        if self._run is None:
            return
        match request:
            case "pause":
                self._run.pause()
            case "resume":
                self._run.resume()
            case "cancel":
                self._run.cancel()

    def _write(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            now = msgspec.structs.replace(self._status, touched_at=time.time())
            write_atomically(self._file, msgspec.json.encode(now))


def _after(status: Status, event: RunEvent) -> Status:  # noqa: C901
    change = msgspec.structs.replace
    match event:
        case Stage(doing=doing, fraction=fraction):
            return change(status, doing=f"{doing} {fraction * 100:.0f} %" if fraction else doing)
        case Planned(budget=plan):
            return change(status, total_steps=plan.steps)
        case wire.Converting(stage=stage, fraction=fraction):
            return change(status, doing=f"{stage} {fraction * 100:.0f} %")
        case wire.Started():
            return change(status, doing="training", step=event.resumed_at, total_steps=event.total_steps)
        case wire.Stepped():
            return change(
                status,
                doing="training",
                state="running",
                step=event.step,
                total_steps=event.total_steps,
                losses=(*status.losses, round(event.loss, 4))[-_LOSSES:],
                tokens_s=event.tokens_s,
                eta_s=event.eta_s,
                rss_mib=event.rss_mib,
            )
        case wire.Measured(step=step, loss=loss):
            return change(status, held_out=(*status.held_out, (step, round(loss, 4))))
        case wire.Paused():
            return change(status, state="paused", doing="paused")
        case wire.Resumed():
            return change(status, state="running", doing="training")
        case wire.Done():
            return change(status, eta_s=None, rss_mib=max(status.rss_mib, event.peak_rss_mib))
        case wire.Timed():
            return change(
                status, sentence=f"{event.step_s:.2f} s per step, {counted(event.total_steps, 'step')}."
            )
        case Learned():
            return change(status, state="done", sentence=_learned(event))
    return status


def _learned(event: Learned) -> str:
    said = [f"The adapter {event.manifest.name} is ready."]
    if event.after.answers:
        said.append(
            f"Held-out questions: {event.before.share * 100:.0f} % right before, {event.after.share * 100:.0f} % after."
        )
    return " ".join([*said, *(f"Warning: {warning}" for warning in event.warnings)])
