"""What is said between the application and the inference process, as MessagePack frames over `ragchat.pipes`.

One request runs at a time. `Cancel` names the request that it means, so that a late one cannot hit the next.
"""

from __future__ import annotations

import msgspec


class Turn(msgspec.Struct, frozen=True, array_like=True):
    role: str
    content: str


class Command(msgspec.Struct, frozen=True, tag=True):
    pass


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


class Count(Command, frozen=True):
    id: int
    texts: tuple[str, ...]


class CountPrompt(Command, frozen=True):
    id: int
    turns: tuple[Turn, ...]
    thinking: bool


class Generate(Command, frozen=True):
    id: int
    turns: tuple[Turn, ...]
    thinking: bool
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    seed: int
    max_tokens: int
    stop: tuple[str, ...]


class UseAdapters(Command, frozen=True):
    """Switch these on, each (path, scale), and all others off."""

    id: int
    adapters: tuple[tuple[str, float], ...]


class Encode(Command, frozen=True):
    """Tokens of chats that end with an answer."""

    id: int
    chats: tuple[tuple[Turn, ...], ...]


class ScoreAnswers(Command, frozen=True):
    """How likely each answer is: `samples` are (tokens, where the answer starts)."""

    id: int
    samples: tuple[tuple[tuple[int, ...], int], ...]


class ReadLogits(Command, frozen=True):
    """The logits after the last of these tokens."""

    id: int
    tokens: tuple[int, ...]


class Cancel(Command, frozen=True):
    id: int


Commands = Load | Count | CountPrompt | Generate | UseAdapters | Encode | ScoreAnswers | ReadLogits | Cancel


class Reply(msgspec.Struct, frozen=True, tag=True):
    id: int


class Beat(Reply, frozen=True):
    """The process is alive and at work on the request."""


class Loading(Reply, frozen=True):
    fraction: float
    stage: str


class Loaded(Reply, frozen=True):
    architecture: str
    description: str
    n_ctx: int
    n_ctx_train: int
    n_params: int
    size_bytes: int
    has_chat_template: bool
    prompt_format: str
    thinks: bool
    n_threads: int
    n_threads_batch: int
    flash_attention: bool
    measured: bool
    measured_prefill_tok_s: float
    measured_decode_tok_s: float


class Counted(Reply, frozen=True):
    counts: tuple[int, ...]
    rendered: str = ""


class AdaptersUsed(Reply, frozen=True):
    pass


class Encoded(Reply, frozen=True):
    """(tokens, where the answer starts) of each chat."""

    samples: tuple[tuple[tuple[int, ...], int], ...]


class Scored(Reply, frozen=True):
    """(sum of -ln p, tokens, of these the model's first choice) of each sample."""

    scores: tuple[tuple[float, int, int], ...]


class LogitsRead(Reply, frozen=True):
    """float32, little-endian, one for each token of the vocabulary."""

    logits: bytes


class Prefilled(Reply, frozen=True):
    done: int
    total: int
    eta_s: float | None


class Delta(Reply, frozen=True):
    text: str
    reasoning: bool


class Finished(Reply, frozen=True):
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    ttft_s: float
    prefill_tok_s: float
    decode_tok_s: float
    reasoning_tokens: int
    reasoning_s: float


class Failed(Reply, frozen=True):
    """`kind` is "model", "memory", "template", "format", "adapter", "too_long" or "internal"."""

    kind: str
    sentence: str
    remedy: str = ""


Ends = Loaded | Counted | AdaptersUsed | Encoded | Scored | LogitsRead | Finished | Failed
"""Each request has exactly one of these, its last reply."""
Replies = Beat | Loading | Prefilled | Delta | Ends

encode = msgspec.msgpack.Encoder().encode
command_decoder = msgspec.msgpack.Decoder(Commands)
reply_decoder = msgspec.msgpack.Decoder(Replies)
