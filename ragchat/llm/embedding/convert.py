"""Turns the files of a BERT sentence encoder (safetensors, vocabulary, configuration) into one GGUF, q8_0, with numpy alone.

Formats: https://github.com/huggingface/safetensors#format and https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the
names and the vocabulary are those of llama.cpp's own converter, `convert_hf_to_gguf.py`. Every step is exact arithmetic, so the
same files give the same bytes on every machine.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ragchat.errors import ModelFileError, StorageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

WEIGHTS, VOCABULARY, CONFIG, POOLING = (
    "model.safetensors",
    "vocab.txt",
    "config.json",
    "1_Pooling/config.json",
)
"""What the folder of a model holds."""

_ARCHITECTURE = "bert"
_ALIGNMENT = 32
_BLOCK = 32
_LARGEST_HEADER = 1 << 24
_F32, _Q8_0, _MOSTLY_Q8_0 = 0, 8, 7
_U32, _I32, _FLOAT, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_POOLINGS = {"pooling_mode_mean_tokens": 1, "pooling_mode_cls_token": 2, "pooling_mode_lasttoken": 3}
_NORMAL, _CONTROL = 1, 3
_SPECIAL = {
    "[PAD]": ("padding",),
    "[UNK]": ("unknown",),
    "[CLS]": ("cls", "bos"),
    "[SEP]": ("seperator",),  # so llama.cpp spells it
    "[MASK]": ("mask",),
}
_TABLES = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_UNQUANTISED = {"position_embd.weight", "token_types.weight"}
"""Small tables that llama.cpp's quantiser leaves alone, too."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor of the GGUF: `source` is its name in the safetensors, `shape` as numpy has it."""

    name: str
    source: str
    shape: tuple[int, ...]

    @property
    def quantised(self) -> bool:
        return len(self.shape) == 2 and self.name not in _UNQUANTISED and self.shape[1] % _BLOCK == 0

    @property
    def n_bytes(self) -> int:
        elements = 1
        for length in self.shape:
            elements *= length
        return elements // _BLOCK * (_BLOCK + 2) if self.quantised else 4 * elements


def convert(folder: Path, target: Path, *, name: str, licence: str) -> None:
    """Write the model in `folder` as `target`, whole or not at all. Raises ModelFileError, StorageError.

    Only plain BERT encoders with absolute positions and a lower-case WordPiece vocabulary are taken.
    """
    config = _read_json(folder / CONFIG)
    vocabulary = _read_vocabulary(folder / VOCABULARY, config)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        weights = _Safetensors(folder / WEIGHTS)
        tensors = [_Tensor(new, old, weights.shape(old)) for old, new in _names(config)]
        values = _metadata(config, _pooling(folder), name=name, licence=licence)
        with open(part, "xb") as file:
            _write_header(file, values, vocabulary, tensors)
            for tensor in tensors:
                _pad(file)
                array = weights.read(tensor.source)
                file.write(quantise_q8_0(array) if tensor.quantised else array.tobytes())
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)


def quantise_q8_0(array: Floats) -> bytes:
    """Blocks of 32 numbers: a float16 scale and 32 int8 each, as ggml's `quantize_row_q8_0_ref`."""
    import numpy as np

    blocks = np.ascontiguousarray(array, "<f4").reshape(-1, _BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0)
    scaled = blocks * inverse
    whole = np.trunc(scaled + np.copysign(np.float32(0.5), scaled))  # halves away from zero, as C's roundf
    packed = np.empty((len(blocks), _BLOCK + 2), np.uint8)
    packed[:, :2] = scale.astype("<f2").view(np.uint8)
    packed[:, 2:] = whole.astype(np.int8).view(np.uint8)
    return packed.tobytes()


# --- reading --------------------------------------------------------------------------------------------


class _Safetensors:
    """Tensors of a safetensors file, one at a time. Raises ModelFileError for what is not one, or not float32."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
            if length > min(_LARGEST_HEADER, path.stat().st_size):
                raise self._damaged("its header is larger than the file")
            try:
                self._table: dict[str, Any] = json.loads(file.read(length))
            except ValueError as error:
                raise self._damaged("its header is not valid JSON") from error
        self._start = 8 + length

    def shape(self, name: str) -> tuple[int, ...]:
        entry = self._table.get(name)
        if not isinstance(entry, dict) or entry.get("dtype") != "F32":
            raise self._damaged(f"{name} is missing or not float32")
        return tuple(entry["shape"])

    def read(self, name: str) -> Floats:
        import numpy as np

        shape, (first, last) = self.shape(name), self._table[name]["data_offsets"]
        count = int(np.prod(shape))
        if last - first != 4 * count:
            raise self._damaged(f"{name} has a size that does not match its shape")
        array = np.fromfile(self._path, "<f4", count, offset=self._start + first)
        if len(array) < count:
            raise self._damaged(f"{name} is cut short")
        return array.reshape(shape)

    def _damaged(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self._path.name} cannot be converted: {what}.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path.name} of the model cannot be read.") from error
    if not isinstance(found, dict):
        raise ModelFileError(f"{path.name} of the model cannot be read.")
    return found


def _read_vocabulary(path: Path, config: Mapping[str, Any]) -> list[str]:
    try:
        entries = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path.name} of the model cannot be read.") from error
    entries = entries[: config["vocab_size"]]
    if len(entries) < config["vocab_size"] or not set(_SPECIAL) <= set(entries):
        raise ModelFileError(f"{path.name} has fewer entries than the model says.")
    return entries


def _pooling(folder: Path) -> int:
    config = _read_json(folder / POOLING)
    chosen = [number for key, number in _POOLINGS.items() if config.get(key)]
    if len(chosen) != 1:
        raise ModelFileError("The pooling type of the model is unknown.")
    return chosen[0]


def _names(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name in the safetensors, name in the GGUF) of every tensor."""
    yield from _TABLES.items()
    for layer in range(config["num_hidden_layers"]):
        for old, new in _LAYER.items():
            for part in ("weight", "bias"):
                yield f"encoder.layer.{layer}.{old}.{part}", f"blk.{layer}.{new}.{part}"


# --- writing --------------------------------------------------------------------------------------------


def _metadata(
    config: Mapping[str, Any], pooling: int, *, name: str, licence: str
) -> dict[str, tuple[int, Any]]:
    """key -> (type, value), without the vocabulary."""
    if config.get("model_type") != "bert" or config.get("position_embedding_type", "absolute") != "absolute":
        raise ModelFileError("The model is not a plain BERT encoder.")
    own = {
        "block_count": (_U32, config["num_hidden_layers"]),
        "context_length": (_U32, config["max_position_embeddings"]),
        "embedding_length": (_U32, config["hidden_size"]),
        "feed_forward_length": (_U32, config["intermediate_size"]),
        "attention.head_count": (_U32, config["num_attention_heads"]),
        "attention.layer_norm_epsilon": (_FLOAT, config["layer_norm_eps"]),
        "attention.causal": (_BOOL, False),
        "pooling_type": (_U32, pooling),
    }
    return {
        "general.architecture": (_STRING, _ARCHITECTURE),
        "general.type": (_STRING, "model"),
        "general.name": (_STRING, name),
        "general.license": (_STRING, licence),
        "general.file_type": (_U32, _MOSTLY_Q8_0),
        "general.quantization_version": (_U32, 2),
        **{f"{_ARCHITECTURE}.{key}": value for key, value in own.items()},
        "tokenizer.ggml.model": (_STRING, "bert"),
        "tokenizer.ggml.pre": (_STRING, "default"),
        "tokenizer.ggml.token_type_count": (_U32, config["type_vocab_size"]),
    }


def _write_header(
    file: BinaryIO,
    values: Mapping[str, tuple[int, Any]],
    vocabulary: list[str],
    tensors: list[_Tensor],
) -> None:
    special = {
        f"tokenizer.ggml.{kind}_token_id": vocabulary.index(token)
        for token, kinds in _SPECIAL.items()
        for kind in kinds
    }
    n_values = len(values) + len(special) + 2
    file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), n_values))
    for key, (kind, value) in values.items():
        _write_value(file, key, kind, value)
    for key, token in special.items():
        _write_value(file, key, _U32, token)
    file.write(_text("tokenizer.ggml.tokens") + struct.pack("<IIQ", _ARRAY, _STRING, len(vocabulary)))
    file.write(b"".join(_text(_spelling(token)) for token in vocabulary))
    kinds = [_CONTROL if token in _SPECIAL else _NORMAL for token in vocabulary]
    file.write(_text("tokenizer.ggml.token_type") + struct.pack("<IIQ", _ARRAY, _I32, len(kinds)))
    file.write(struct.pack(f"<{len(kinds)}i", *kinds))
    offset = 0
    for tensor in tensors:
        shape = tensor.shape[::-1]  # ggml names the innermost dimension first
        file.write(_text(tensor.name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape))
        file.write(struct.pack("<IQ", _Q8_0 if tensor.quantised else _F32, offset))
        offset += -(-tensor.n_bytes // _ALIGNMENT) * _ALIGNMENT


def _spelling(token: str) -> str:
    """As llama.cpp looks words up: the beginning of a word is marked, not its continuation."""
    if token.startswith("[") and token.endswith("]"):
        return token
    return token[2:] if token.startswith("##") else f"\u2581{token}"


def _write_value(file: BinaryIO, key: str, kind: int, value: Any) -> None:
    packed = (
        _text(value) if kind == _STRING else struct.pack({_U32: "<I", _FLOAT: "<f", _BOOL: "<?"}[kind], value)
    )
    file.write(_text(key) + struct.pack("<I", kind) + packed)


def _text(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % _ALIGNMENT))
