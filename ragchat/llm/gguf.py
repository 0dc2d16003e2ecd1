"""Reads what a GGUF file says of itself: metadata and tensor table. Reads no weights and writes nothing.

The file is foreign: every length is checked against the file before anything is allocated, long arrays are
stepped over, and whatever is wrong becomes a ModelFileError with the reason. Plain reads, no mmap: a file
that shrinks while it is read must not kill the process. Format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ragchat.errors import ModelFileError

Value = int | float | bool | str | tuple[int, ...]

_WINDOW = 1 << 20
_LONGEST_KEY = 65_535
_LONGEST_STRING = 1 << 20
_LONGEST_ARRAY_KEPT = 4_096
_MOST_STRINGS = 1 << 22
_MOST_ENTRIES = 1 << 16
_MOST_DIMENSIONS = 4
_LARGEST_COUNT = 1 << 40
_AGAIN = "Download or copy it again."
_GUESSED = 1024
_DEFAULT_ALIGNMENT = 32
_LARGEST_ALIGNMENT = 1 << 16

_STRING, _ARRAY = 8, 9
_SCALAR_CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SCALARS = {number: struct.Struct("<" + code) for number, code in _SCALAR_CODES.items()}
_U32, _U64 = _SCALARS[4], _SCALARS[10]

_TENSOR_TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}
"""ggml type number -> name, elements in a block, bytes of a block."""

_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
}
"""`general.file_type` -> the name people know the quantisation by."""

_ENCODERS = frozenset(
    {
        "bert",
        "modern-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "neo-bert",
        "jina-bert-v2",
        "jina-bert-v3",
        "gemma-embedding",
    }
)
"""Architectures of embedding models; XLM-R goes by "bert"."""

_POOLINGS = {1: "mean", 2: "cls", 3: "last", 4: "rank"}
POOLING_RANK = 4
"""`pooling_type` of a cross-encoder."""

_NOT_FOR_CHAT = {
    "t5encoder": "an encoder",
    "clip": "the image part (mmproj) of a model",
    "wavtokenizer-dec": "an audio decoder",
}
"""Architectures that llama.cpp can load and that write no text."""


@dataclass(frozen=True, slots=True)
class GgufMetadata:
    """What a GGUF file says of itself. Numbers are 0 and texts empty where the file says nothing.

    `n_kv_heads` has one number per layer (0: a layer without attention). `sliding_window` 0: every layer sees
    the whole context. `general_type` is "model" unless the file says otherwise. `weights_bytes` counts
    tensors only. `pooling` is llama.cpp's number for how the tokens of a text become one vector; 0: they do not.
    """

    path: Path
    architecture: str
    general_type: str
    name: str
    file_type: str
    licence: str
    size_bytes: int
    weights_bytes: int
    n_params: int
    n_tensors: int
    n_ctx_train: int
    n_layers: int
    n_embd: int
    n_heads: int
    n_kv_heads: tuple[int, ...]
    head_dim_k: int
    head_dim_v: int
    n_feed_forward: int
    n_vocab: int
    sliding_window: int
    split_count: int
    tokenizer: str
    chat_template: str | None
    pooling: int = 0

    @property
    def embeds(self) -> bool:
        """Whether the file is an embedding model, or a cross-encoder, whatever it could do besides."""
        return self.general_type == "model" and is_embedding(self.architecture, self.pooling)

    @property
    def pooling_name(self) -> str:
        """ "mean", "cls", "last" or "rank"; an encoder that does not say is averaged."""
        return _POOLINGS.get(self.pooling, "mean")

    @property
    def has_chat_template(self) -> bool:
        """Whether the file says how to write a chat."""
        return bool(self.chat_template)

    @property
    def kv_width(self) -> int:
        """Numbers that one token leaves in the KV cache, all layers together."""
        return sum(self.n_kv_heads) * (self.head_dim_k + self.head_dim_v)


def read_metadata(path: Path) -> GgufMetadata:
    """Metadata of the GGUF file at `path`, of whatever `general.type`.

    Raises ModelFileError: unreadable, not a GGUF, an unknown version, damaged, or cut short (by how many
    bytes).
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = _Header(file, path.name, size)
            n_tensors, n_values = _read_counts(header)
            values, counts = _read_values(header, n_values)
            tensors = _read_tensors(
                header, n_tensors, alignment=values.get("general.alignment", _DEFAULT_ALIGNMENT)
            )
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    return _describe(path, size, values, counts=counts, tensors=tensors)


def is_embedding(architecture: str, pooling: int) -> bool:
    """Whether a model of this architecture and `pooling_type` makes vectors rather than text."""
    return architecture in _ENCODERS or pooling in _POOLINGS


def is_embedding_file(path: Path) -> bool:
    """Whether the file is an embedding model, by its first entries alone: a fraction of a millisecond. Broken files are none."""
    try:
        with open(path, "rb") as file:
            header = _Header(file, path.name, os.fstat(file.fileno()).st_size)
            _, n_values = _read_counts(header)
            values, _ = _read_values(header, n_values, until="tokenizer.")
    except (OSError, ModelFileError):
        return False
    architecture, kind = values.get("general.architecture"), values.get("general.type", "model")
    pooling = values.get(f"{architecture}.pooling_type", 0)
    return kind == "model" and is_embedding(str(architecture), pooling if isinstance(pooling, int) else 0)


def check_embedding_model(metadata: GgufMetadata) -> None:
    """Raise ModelFileError unless the file is a whole embedding model."""
    name = metadata.path.name
    if not metadata.embeds:
        raise ModelFileError(
            f"{name} is not an embedding model.",
            "`ragchat model list` lists the embedding models.",
        )
    if not metadata.n_tensors or not metadata.n_embd:
        raise ModelFileError(f"{name} contains no weights.")


def check_chat_model(metadata: GgufMetadata) -> None:
    """Raise ModelFileError unless the file is a whole language model that can write text."""
    name, kind, architecture = metadata.path.name, metadata.general_type, metadata.architecture
    if kind == "adapter":
        raise ModelFileError(
            f"{name} is an adapter (LoRA), not a model.",
            f"It changes a model of the architecture {architecture!r} and needs that model.",
        )
    if metadata.embeds:
        raise ModelFileError(
            f"{name} cannot chat: it is an embedding model, for search by meaning.",
            "`ragchat config set embedding.model NAME` searches with it; choose a language model to chat with.",
        )
    if kind != "model" or architecture in _NOT_FOR_CHAT:
        what = _NOT_FOR_CHAT.get(architecture, f"of the type {kind!r}")
        raise ModelFileError(f"{name} cannot chat: it is {what}.", "Choose a GGUF of a language model.")
    if metadata.split_count > 1:
        raise ModelFileError(
            f"{name} is one of {metadata.split_count} parts of a model.",
            "Join them with `llama-gguf-split --merge FIRST_PART JOINED.gguf`.",
        )
    if not metadata.n_tensors:
        raise ModelFileError(f"{name} contains a vocabulary but no weights.")
    needed = {
        "general.architecture": architecture,
        "block_count": metadata.n_layers,
        "embedding_length": metadata.n_embd,
        "context_length": metadata.n_ctx_train,
    }
    if missing := [key for key, value in needed.items() if not value]:
        raise ModelFileError(f"{name} lacks {', '.join(missing)}: it is damaged or not a language model.")


# --- reading --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Tensors:
    count: int
    n_params: int
    weights_bytes: int
    dominating: str


class _Header:
    """A window that moves forward over the file. Every step is checked against the size of the file first."""

    def __init__(self, file: BinaryIO, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self._file = file
        self._base = 0
        self._window = b""
        self._pos = 0

    @property
    def offset(self) -> int:
        return self._base + self._pos

    def damaged(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self.name} is damaged: {what}.", _AGAIN)

    def cut_short(self, missing: int, least: str = "") -> ModelFileError:
        return ModelFileError(f"{self.name} is incomplete: {least}{missing:,} bytes are missing.", _AGAIN)

    def scalar(self, kind: struct.Struct) -> int | float | bool:
        self._need(kind.size)
        (value,) = kind.unpack_from(self._window, self._pos)
        self._pos += kind.size
        return value  # type: ignore[no-any-return]

    def count(self, kind: struct.Struct = _U64) -> int:
        return int(self.scalar(kind))

    def string(self, longest: int) -> str | None:
        """The next string; None, and stepped over, when it is longer than `longest` bytes."""
        length = self.count()
        if length > longest:
            self.skip(length)
            return None
        self._need(length)
        text = self._window[self._pos : self._pos + length].decode("utf-8", "replace")
        self._pos += length
        return text

    def skip(self, length: int) -> None:
        if length > self.size - self.offset:
            raise self.cut_short(length - (self.size - self.offset), "at least ")
        self._pos += length

    def skip_strings(self, count: int) -> None:
        if count > _MOST_STRINGS:
            raise self.damaged(f"a list of {count:,} texts")
        unpack = _U64.unpack_from
        while count:
            self._need(8)
            window, pos, last = self._window, self._pos, len(self._window) - 8
            while count and pos <= last:
                pos += 8 + unpack(window, pos)[0]
                count -= 1
            self.skip(pos - self._pos)

    def _need(self, length: int) -> None:
        """Have the next `length` bytes in the window."""
        if self._pos + length <= len(self._window):
            return
        start = self.offset
        if length > self.size - start:
            raise self.cut_short(length - (self.size - start), "at least ")
        self._file.seek(start)
        self._window = self._file.read(max(length, _WINDOW))
        self._base, self._pos = start, 0
        if len(self._window) < length:
            raise self.cut_short(length - len(self._window), "at least ")


def _read_counts(header: _Header) -> tuple[int, int]:
    """(number of tensors, number of metadata entries)."""
    if header.size < 4:
        raise ModelFileError(f"{header.name} is not a GGUF file: it contains {header.size} bytes.")
    magic = header.count(_U32).to_bytes(4, "little")
    if magic == b"FUGG":
        raise ModelFileError(f"{header.name} is a big-endian GGUF, which this machine cannot load.")
    if magic != b"GGUF":
        raise ModelFileError(f"{header.name} is not a GGUF file: it begins with {_looks_like(magic)}.")
    version = header.count(_U32)
    if version == 1:
        raise ModelFileError(
            f"{header.name} is GGUF version 1, which llama.cpp no longer loads.", "Get a newer file."
        )
    if version & 0xFFFF == 0:
        raise ModelFileError(f"{header.name} is a big-endian GGUF, which this machine cannot load.")
    if version not in (2, 3):
        raise ModelFileError(f"{header.name} is GGUF version {version}; ragchat supports versions 2 and 3.")
    tensor_count, value_count = header.count(), header.count()
    if tensor_count > _MOST_ENTRIES or value_count > _MOST_ENTRIES:
        raise header.damaged(f"it announces {tensor_count:,} tensors and {value_count:,} entries")
    return tensor_count, value_count


def _read_values(header: _Header, count: int, until: str = "\0") -> tuple[dict[str, Value], dict[str, int]]:
    """(key -> value, key -> number of elements of its array) in front of the first key that begins with `until`.

    Long arrays and texts are counted, not kept.
    """
    values: dict[str, Value] = {}
    counts: dict[str, int] = {}
    for _ in range(count):
        key = header.string(_LONGEST_KEY)
        if not key or key in values or key in counts:
            raise header.damaged("a key is empty, too long or there twice")
        if key.startswith(until):
            break
        kind = header.count(_U32)
        if kind == _STRING:
            text = header.string(_LONGEST_STRING)
            if text is None and key == "tokenizer.chat_template":
                raise header.damaged("its chat template is longer than 1 MiB")
            values[key] = text or ""
        elif kind == _ARRAY:
            numbers, counts[key] = _read_array(header)
            if numbers:
                values[key] = numbers
        elif kind in _SCALARS:
            values[key] = header.scalar(_SCALARS[kind])
        else:
            raise header.damaged(f"an entry of the unknown type {kind}")
    return values, counts


def _read_array(header: _Header) -> tuple[tuple[int, ...], int]:
    """(the numbers when they are few and whole, how many elements)."""
    kind, count = header.count(_U32), header.count()
    if kind == _STRING:
        header.skip_strings(count)
        return (), count
    if kind == _ARRAY:
        raise header.damaged("a list of lists")
    if kind not in _SCALARS:
        raise header.damaged(f"a list of the unknown type {kind}")
    scalar = _SCALARS[kind]
    if count > _LONGEST_ARRAY_KEPT or scalar.format in ("<f", "<d"):
        header.skip(count * scalar.size)
        return (), count
    return tuple(header.count(scalar) for _ in range(count)), count


def _read_tensors(header: _Header, count: int, *, alignment: Value) -> _Tensors:
    if (
        not isinstance(alignment, int)
        or not 0 < alignment <= _LARGEST_ALIGNMENT
        or alignment & (alignment - 1)
    ):
        raise header.damaged(f"an alignment of {alignment!r}")
    n_params = weights_bytes = end = 0
    bytes_by_type: dict[str, int] = {}
    for _ in range(count):
        if header.string(_LONGEST_KEY) is None:
            raise header.damaged("the name of a tensor is too long")
        n_dimensions = header.count(_U32)
        if n_dimensions > _MOST_DIMENSIONS:
            raise header.damaged(f"a tensor of {n_dimensions} dimensions")
        shape = [header.count() for _ in range(n_dimensions)]
        number, offset = header.count(_U32), header.count()
        if number not in _TENSOR_TYPES:
            raise ModelFileError(f"{header.name} stores weights in an unknown format (tensor type {number}).")
        name, block, block_bytes = _TENSOR_TYPES[number]
        elements = 1
        for length in shape:
            elements *= length
        if elements > _LARGEST_COUNT or (shape and shape[0] % block) or offset % alignment:
            raise header.damaged("the shape or place of a tensor is impossible")
        n_bytes = elements // block * block_bytes
        n_params += elements
        weights_bytes += n_bytes
        bytes_by_type[name] = bytes_by_type.get(name, 0) + n_bytes
        end = max(end, offset + n_bytes)
    data = -(-header.offset // alignment) * alignment
    if count and data + end > header.size:
        raise header.cut_short(data + end - header.size)
    dominating = max(bytes_by_type, key=lambda name: bytes_by_type[name], default="")
    return _Tensors(count, n_params, weights_bytes, dominating)


def _looks_like(magic: bytes) -> str:
    known = {b"PK\x03\x04": "a zip archive's mark", b"ggml": "the mark of GGML, its predecessor"}
    if magic[:1] == b"<":
        return "HTML or XML, perhaps a saved error page"
    return known.get(magic, repr(magic)[1:])


# --- meaning --------------------------------------------------------------------------------------------


def _describe(
    path: Path, size: int, values: Mapping[str, Value], *, counts: Mapping[str, int], tensors: _Tensors
) -> GgufMetadata:
    def text(key: str) -> str:
        value = values.get(key)
        return value if isinstance(value, str) else ""

    def numbers(key: str) -> tuple[int, ...]:
        value = values.get(key, ())
        listed = value if isinstance(value, tuple) else (value,)
        whole = tuple(n for n in listed if type(n) is int and 0 <= n <= _LARGEST_COUNT)
        if len(whole) < len(listed):
            raise ModelFileError(f"{path.name} is damaged: {key!r} is not a valid number.", _AGAIN)
        return whole

    def number(key: str, default: int = 0) -> int:
        return max(numbers(key), default=default)

    architecture = text("general.architecture")
    prefix = f"{architecture}."
    n_layers, n_embd = number(prefix + "block_count"), number(prefix + "embedding_length")
    if n_layers > _LONGEST_ARRAY_KEPT:
        raise ModelFileError(f"{path.name} is damaged: it announces {n_layers:,} layers.", _AGAIN)
    n_heads = number(prefix + "attention.head_count")
    kv_heads = numbers(prefix + "attention.head_count_kv") or (n_heads,)
    head_dim = n_embd // n_heads if n_heads else 0
    return GgufMetadata(
        path=path,
        architecture=architecture,
        general_type=text("general.type") or "model",
        name=text("general.name"),
        file_type=_FILE_TYPES.get(number("general.file_type", _GUESSED)) or tensors.dominating,
        licence=text("general.license"),
        size_bytes=size,
        weights_bytes=tensors.weights_bytes,
        n_params=tensors.n_params,
        n_tensors=tensors.count,
        n_ctx_train=number(prefix + "context_length"),
        n_layers=n_layers,
        n_embd=n_embd,
        n_heads=n_heads,
        n_kv_heads=kv_heads if len(kv_heads) > 1 else kv_heads * n_layers,
        head_dim_k=number(prefix + "attention.key_length", head_dim),
        head_dim_v=number(prefix + "attention.value_length", head_dim),
        n_feed_forward=number(prefix + "feed_forward_length"),
        n_vocab=counts.get("tokenizer.ggml.tokens", 0) or number(prefix + "vocab_size"),
        sliding_window=number(prefix + "attention.sliding_window"),
        split_count=number("split.count"),
        tokenizer=text("tokenizer.ggml.model"),
        chat_template=text("tokenizer.chat_template") or None,
        pooling=number(prefix + "pooling_type"),
    )
