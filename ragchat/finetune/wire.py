"""What is said between the application and the training process, as MessagePack frames over `ragchat.pipes`."""

from __future__ import annotations

import msgspec

from ragchat.finetune.recipe import Recipe
from ragchat.types import TokenSample


class Command(msgspec.Struct, frozen=True, tag=True):
    """What the parent sends to the training process."""


class Train(Command, frozen=True):
    """Begin, or continue from the newest whole checkpoint in `run_dir`.

    Paths are absolute. `weights_dir` is a cache below which the weights of this base are kept; `samples_file` holds
    MessagePack `Samples`; `engine` is "auto", "unsloth" or "peft"; `threads` 0: all but one core; `nice` 0 to 19.
    `dry_steps` > 0: time so many steps, then end with `Timed`, keeping nothing.
    """

    base_path: str
    base_sha256: str
    weights_dir: str
    run_dir: str
    samples_file: str
    recipe: Recipe
    engine: str = "auto"
    threads: int = 0
    nice: int = 0
    dry_steps: int = 0


class Samples(msgspec.Struct, frozen=True):
    """`rehearsal` is what the base says to general questions; the training holds on to how it says it."""

    training: list[TokenSample]
    held_out: list[TokenSample]
    rehearsal: list[TokenSample] = []


class Pause(Command, frozen=True):
    """Stop after this step and wait."""


class Resume(Command, frozen=True):
    """Continue after a pause."""


class Cancel(Command, frozen=True):
    """End after this step; the best weights so far are written."""


Commands = Train | Pause | Resume | Cancel


class Event(msgspec.Struct, frozen=True, tag=True):
    """What the training process sends to its parent."""


class Beat(Event, frozen=True):
    """Alive and at work."""


class Converting(Event, frozen=True):
    """The base's weights are being made trainable; `fraction` 0 to 1."""

    stage: str
    fraction: float


class Started(Event, frozen=True):
    """`resumed_at` is the step of the checkpoint that it continues from, 0 for none. `versions` by package."""

    engine: str
    engine_reason: str
    architecture: str
    versions: dict[str, str]
    total_steps: int
    trainable_params: int
    resumed_at: int


class Stepped(Event, frozen=True):
    """One optimizer step. `tokens_s` counts all tokens of the batch, `eta_s` the rest of the run."""

    step: int
    total_steps: int
    loss: float
    learning_rate: float
    tokens_s: float
    step_s: float
    eta_s: float
    rss_mib: int


class Measured(Event, frozen=True):
    """Mean loss per answer token of the held-out examples; `best`: none before was as low."""

    step: int
    loss: float
    best: bool


class Paused(Event, frozen=True):
    """The training waits after `step`."""

    step: int


class Resumed(Event, frozen=True):
    """The training continues after `step`."""

    step: int


class Timed(Event, frozen=True):
    """What a dry run measured: seconds per step, peak memory, trainable parameters."""

    step_s: float
    total_steps: int
    peak_rss_mib: int
    trainable_params: int
    engine: str


class Done(Event, frozen=True):
    """`reason` is "finished", "early" (held-out loss no longer fell) or "cancelled". `adapter_dir` holds the PEFT adapter of
    the best step: adapter_config.json and adapter_model.safetensors.
    """

    reason: str
    step: int
    best_step: int
    best_loss: float
    adapter_dir: str
    seconds: float
    peak_rss_mib: int
    held_out: list[tuple[int, float]]
    answers: list[list[int]]
    """What the trained weights say to the first held-out prompts, greedily, as tokens."""


class Failed(Event, frozen=True):
    """`kind` is "architecture", "weights", "memory", "disk", "data", "checkpoint" or "internal"."""

    kind: str
    sentence: str
    remedy: str = ""


Events = Beat | Converting | Started | Stepped | Measured | Paused | Resumed | Timed | Done | Failed

encode = msgspec.msgpack.Encoder().encode
command_decoder = msgspec.msgpack.Decoder(Commands)
event_decoder = msgspec.msgpack.Decoder(Events)
