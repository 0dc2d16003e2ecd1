"""What the measuring process is asked and what it says: a job, and messages of one JSON object a line."""

from __future__ import annotations

import math

import msgspec

from ragchat.llm.profile import Profile


class Job(msgspec.Struct, frozen=True):
    """Measure the model at `path`, and what it makes of the file `text`. Not `thorough`: with the `present` settings alone.

    `rival`: another file, measured in turn with this one, so that what else the machine does hits both; empty: none.
    """

    path: str
    text: str
    n_batch: int
    present: Profile | None = None
    thorough: bool = True
    rival: str = ""
    batches: tuple[int, ...] = (128, 256, 512, 1024)


class Trial(msgspec.Struct, frozen=True):
    """One setting that was measured: tokens per second (0: not measured), seconds of the processor."""

    setting: str
    value: str
    prefill_tok_s: float
    decode_tok_s: float
    cpu_s: float
    chosen: bool


class Tried(msgspec.Struct, frozen=True, tag=True):
    """How far it is, 0 to 1, and what was measured since the last message."""

    fraction: float
    trials: tuple[Trial, ...]


class Reading(msgspec.Struct, frozen=True, tag=True):
    """What a model makes of a text: its first choice at each position, and the sum of -ln p of the tokens that are there."""

    choices: tuple[int, ...]
    nll: float

    @property
    def perplexity(self) -> float:
        """exp of the mean -ln p."""
        return math.exp(min(700.0, self.nll / max(1, len(self.choices))))

    def agreement(self, other: Reading) -> float:
        """Share of the positions with the same first choice, 0 to 1."""
        same = sum(a == b for a, b in zip(self.choices, other.choices, strict=True))
        return same / max(1, len(self.choices))


class Chosen(msgspec.Struct, frozen=True, tag=True):
    """The settings with their rates; `measured_at` is empty. The last message. `rival`: tokens per second that the rival reads
    and writes, 0 without one.
    """

    profile: Profile
    rival: tuple[float, float] = (0.0, 0.0)


class Failure(msgspec.Struct, frozen=True, tag=True):
    """Why it cannot be measured. The last message."""

    sentence: str


Message = Tried | Reading | Chosen | Failure
decoder = msgspec.json.Decoder(Message)
