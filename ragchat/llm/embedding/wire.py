"""What is said between the application and the embedding process, as MessagePack frames over `ragchat.pipes`."""

from __future__ import annotations

import msgspec


class Command(msgspec.Struct, frozen=True, tag=True):
    """What the parent sends to the embedding process; replies carry the same `id`."""

    id: int


class Load(Command, frozen=True):
    """Load a model, once in the life of a process. `niceness` as of nice(1), 0: that of the application."""

    path: str
    n_ctx: int
    n_threads: int
    niceness: int


class Embed(Command, frozen=True):
    """Texts with their prefixes."""

    texts: tuple[str, ...]


class Rank(Command, frozen=True):
    """How well each of `texts` answers `query`, by a model with a rank head."""

    query: str
    texts: tuple[str, ...]


Commands = Load | Embed | Rank


class Reply(msgspec.Struct, frozen=True, tag=True):
    """What the embedding process answers."""

    id: int


class Beat(Reply, frozen=True):
    """The process is alive and at work on the request."""


class Loaded(Reply, frozen=True):
    """The model is ready; `n_ctx` in tokens."""

    dimensions: int
    n_ctx: int


class Embedded(Reply, frozen=True):
    """float32, little-endian, one row of unit length for each text."""

    vectors: bytes


class Ranked(Reply, frozen=True):
    """float32, little-endian, one for each text; larger is better."""

    scores: bytes


class Failed(Reply, frozen=True):
    """The request failed, told in a sentence."""

    sentence: str


Replies = Beat | Loaded | Embedded | Ranked | Failed

encode = msgspec.msgpack.Encoder().encode
command_decoder = msgspec.msgpack.Decoder(Commands)
reply_decoder = msgspec.msgpack.Decoder(Replies)
