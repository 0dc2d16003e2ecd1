"""What the status bar and the screens watch: small frozen values that the app replaces as facts come in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ragchat.text import human_bytes, human_seconds
from ragchat.types import CancelToken, Timings

ModelPhase = Literal["none", "idle", "loading", "measuring", "ready", "failed", "suspect"]


@dataclass(frozen=True, slots=True)
class ModelState:
    """The model process as the screen knows it. `n_ctx` 0 until it is loaded."""

    phase: ModelPhase = "idle"
    name: str = ""
    fraction: float = 0.0
    n_ctx: int = 0
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class UsageState:
    """Context and speed of the last answer. 0: not known."""

    used: int = 0
    n_ctx: int = 0
    timings: Timings | None = None

    @property
    def facts(self) -> list[str]:
        """For the status bar, the most important first."""
        facts = [f"ctx {self.used}/{self.n_ctx}"] if self.n_ctx else []
        if self.timings and self.timings.decode_tok_s:
            facts.append(f"{self.timings.decode_tok_s:.0f} tok/s")
        if self.timings and self.timings.ttft_s:
            facts.append(f"ttft {human_seconds(self.timings.ttft_s)}")
        return facts


@dataclass(frozen=True, slots=True)
class JobState:
    """Work behind the chat, one run of a `kind` at a time ("pull", "sync" and what else there is).

    `total` 0: not known yet. `unit` is what is counted, in the plural; "bytes" are shown as such. `doing` is the verb of the
    job in its ing-form, `detail` what it is at, `curve` a line of bars, `sentence` how it ended.
    """

    kind: str
    name: str
    unit: str
    done: int = 0
    total: int = 0
    rate: float = 0.0
    eta_s: float | None = None
    detail: str = ""
    running: bool = True
    failed: bool = False
    sentence: str = ""
    cancel: CancelToken = field(default_factory=CancelToken)
    doing: str = "working"
    curve: str = ""
    paused: bool = False

    @property
    def fraction(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def title(self) -> str:
        """What is being done to what: "Indexing guide"."""
        return f"{self.doing[:1].upper()}{self.doing[1:]} {self.name}".strip()

    @property
    def short(self) -> str:
        """For the status bar."""
        if self.paused:
            return f"{self.doing} paused"
        return f"{self.doing} {self.fraction:.0%}" if self.total else self.doing

    @property
    def line(self) -> str:
        """Amount, rate and time left."""
        if self.unit == "bytes":
            amount = (
                f"{human_bytes(self.done)} of {human_bytes(self.total)}"
                if self.total
                else human_bytes(self.done)
            )
            rate = f"{human_bytes(self.rate)}/s" if self.rate else ""
        else:
            amount = (
                f"{self.done:,} of {self.total:,} {self.unit}" if self.total else f"{self.done:,} {self.unit}"
            )
            rate = f"{self.rate:.1f} {self.unit}/s" if self.rate else ""
        left = f"{human_seconds(self.eta_s)} left" if self.eta_s is not None else ""
        return " · ".join(part for part in (amount, rate, left) if part)
