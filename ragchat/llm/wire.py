"""What is said between the application and the inference process, as MessagePack frames over `ragchat.pipes`.

A message is a tagged struct; what it carries are the frozen dataclasses of `ragchat.types` themselves. One request runs at a
time. `Cancel` names the request that it means, so that a late one cannot hit the next.
"""

from __future__ import annotations

import msgspec

from ragchat.types import (
    GenerationFinished,
    LoadProgress,
    Message,
    ModelInfo,
    PrefillProgress,
    ReadAhead,
    Sampling,
    Score,
    TokenSample,
)


class Command(msgspec.Struct, frozen=True, tag=True):
    """What the parent sends to the inference process."""


class Load(Command, frozen=True):
    """Load a model in place of the present one. 0 threads or an empty flash_attention: measure first."""

    id: int
    path: str
    n_ctx: int
    n_batch: int
    n_threads: int
    n_threads_batch: int
    flash_attention: str  # "on", "off", ""
    plain_format: str
    lookup: bool = True
    snapshots: str = ""  # the folder; empty: none
    snapshot_bytes: int = 0
    kv_type: str = "f16"  # or "q8_0"
    lookup_costs: tuple[tuple[int, float], ...] = ()  # tokens in a batch, their cost in single tokens


class Count(Command, frozen=True):
    """Count the tokens of each text."""

    id: int
    texts: tuple[str, ...]


class CountPrompt(Command, frozen=True):
    """Render messages with the chat template and count their tokens."""

    id: int
    messages: tuple[Message, ...]
    thinking: bool


class Generate(Command, frozen=True):
    """`sampling` has a seed."""

    id: int
    messages: tuple[Message, ...]
    thinking: bool
    sampling: Sampling
    owners: tuple[str, ...] = ()


class Prepare(Command, frozen=True):
    """Read ahead what every prompt begins with that has these messages and more text behind the last one. Any other command
    stops it. `keep`: what is read then is worth a snapshot.
    """

    id: int
    messages: tuple[Message, ...]
    thinking: bool
    owners: tuple[str, ...] = ()
    keep: bool = False


class Forget(Command, frozen=True):
    """Drop what was read of the texts of these owners, in memory and on disk."""

    id: int
    owners: tuple[str, ...]


class UseAdapters(Command, frozen=True):
    """Switch these on, each (path, scale), and all others off."""

    id: int
    adapters: tuple[tuple[str, float], ...]


class Encode(Command, frozen=True):
    """Tokens of chats that end with an answer."""

    id: int
    chats: tuple[tuple[Message, ...], ...]


class ScoreAnswers(Command, frozen=True):
    """How likely each answer is."""

    id: int
    samples: tuple[TokenSample, ...]


class ReadLogits(Command, frozen=True):
    """The logits after the last of these tokens."""

    id: int
    tokens: tuple[int, ...]


class Cancel(Command, frozen=True):
    """Stop the request `id`."""

    id: int


Commands = (
    Load
    | Count
    | CountPrompt
    | Generate
    | Prepare
    | Forget
    | UseAdapters
    | Encode
    | ScoreAnswers
    | ReadLogits
    | Cancel
)


class Reply(msgspec.Struct, frozen=True, tag=True):
    """What the inference process answers to the request `id`."""

    id: int


class Beat(Reply, frozen=True):
    """The process is alive and at work on the request."""


class Loading(Reply, frozen=True):
    """How far the model is loaded."""

    progress: LoadProgress


class Loaded(Reply, frozen=True):
    """The texts of `model` are the file's own words. The rates are 0 unless threads and flash attention were `measured`; `busy`:
    while other programs needed the processor.
    """

    model: ModelInfo
    measured: bool
    prefill_tok_s: float
    decode_tok_s: float
    lookup_costs: tuple[tuple[int, float], ...] = ()
    busy: bool = False


class Counted(Reply, frozen=True):
    """Tokens of each text; `rendered` is the prompt that was counted."""

    counts: tuple[int, ...]
    rendered: str = ""


class Prepared(Reply, frozen=True):
    """What was read ahead."""

    result: ReadAhead


class Forgotten(Reply, frozen=True):
    """What was read of these owners is dropped."""


class AdaptersUsed(Reply, frozen=True):
    """The adapters are in use."""


class Encoded(Reply, frozen=True):
    """The tokens of chats."""

    samples: tuple[TokenSample, ...]


class Scored(Reply, frozen=True):
    """The scores of answers."""

    scores: tuple[Score, ...]


class LogitsRead(Reply, frozen=True):
    """float32, little-endian, one for each token of the vocabulary."""

    logits: bytes


class Prefilled(Reply, frozen=True):
    """How much of the prompt is read."""

    progress: PrefillProgress


class Delta(Reply, frozen=True):
    """What the model wrote, not sanitised."""

    text: str
    reasoning: bool


class Finished(Reply, frozen=True):
    """The answer is complete."""

    result: GenerationFinished


class Failed(Reply, frozen=True):
    """`kind` is "model", "memory", "template", "format", "adapter", "grammar", "too_long" or "internal"."""

    kind: str
    sentence: str
    remedy: str = ""


Ends = (
    Loaded | Counted | Prepared | Forgotten | AdaptersUsed | Encoded | Scored | LogitsRead | Finished | Failed
)
"""Each request has exactly one of these, its last reply."""
Replies = Beat | Loading | Prefilled | Delta | Ends

encode = msgspec.msgpack.Encoder().encode
command_decoder = msgspec.msgpack.Decoder(Commands)
reply_decoder = msgspec.msgpack.Decoder(Replies)
