"""Where a run is, for whoever looks from another process, and what they want of it: two small files for each run.

`NAME.json` is what the run says of itself, renewed every few seconds while it lives (`finetune.reporter`); `NAME.wish` is what
someone asks of it. So a training that was begun in a shell shows in the screen and can be paused there, and the other way round.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Literal

import msgspec

from ragchat.paths import write_atomically

State = Literal["running", "paused", "done", "stopped", "failed"]
Value = Literal["pause", "resume", "cancel"]

SILENT_AFTER_S = 20.0
"""A run that has not renewed its file for so long is gone: killed, or the machine was switched off."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`eta_s` in seconds, None while unknown; `held_out` are (step, loss); `sentence` says how it ended, and what helps."""

    name: str
    model: str
    state: State = "running"
    doing: str = "beginning"
    step: int = 0
    total_steps: int = 0
    losses: tuple[float, ...] = ()
    held_out: tuple[tuple[int, float], ...] = ()
    tokens_s: float = 0.0
    eta_s: float | None = None
    rss_mib: int = 0
    sentence: str = ""
    touched_at: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether it neither runs nor waits."""
        return self.state not in ("running", "paused")

    @property
    def silent(self) -> bool:
        """It has neither ended nor been heard of."""
        return not self.ended and abs(time.time() - self.touched_at) > SILENT_AFTER_S


def statuses(folder: Path) -> list[Status]:
    """All runs that have said something of themselves, by name; files that cannot be read are left out."""
    found = []
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        with contextlib.suppress(OSError, msgspec.DecodeError):
            found.append(msgspec.json.decode(file.read_bytes(), type=Status))
    return found


def request(folder: Path, name: str, wanted: Value) -> None:
    """Ask something of a run; it looks twice a second."""
    write_atomically(folder / f"{name}.wish", wanted.encode())


def forget(folder: Path, name: str) -> None:
    """Take the word of a run that has ended away."""
    with contextlib.suppress(OSError):
        (folder / f"{name}.json").unlink(missing_ok=True)
