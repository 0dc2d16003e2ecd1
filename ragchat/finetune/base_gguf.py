"""The GGUF file that a run starts from, as training and export look at it: numbers, tensors, and their other names.

Reads only. `ragchat.llm.gguf` reads what the application shows of a file; this one gives the tensors themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ragchat.errors import FinetuneError, ModelFileError
from ragchat.llm.gguf import read_metadata

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3", "phi3")
"""As GGUF names them; Mistral's models are "llama" there. Each is tested from GGUF to adapter."""


def require_gguf() -> Any:
    """The `gguf` package. Raises FinetuneError when the extra is missing."""
    try:
        import gguf
    except ImportError as error:
        raise FinetuneError(
            "Training needs the finetune extra: gguf is not installed.", "Install it with `make finetune`."
        ) from error
    return gguf


def open_gguf(path: Path) -> Any:
    """A `gguf.GGUFReader` of a file that `read_metadata` found sound. Raises ModelFileError."""
    gguf = require_gguf()
    try:
        return gguf.GGUFReader(path)
    except (ValueError, KeyError, IndexError, OverflowError, UnicodeError) as error:
        raise ModelFileError(f"{path.name} is damaged or of an unknown kind.") from error


def field_value(reader: Any, key: str, default: Any = None) -> Any:
    """What a GGUFReader has under `key`. Raises ModelFileError for text that is none."""
    field = reader.fields.get(key)
    try:
        return default if field is None else field.contents()
    except (ValueError, IndexError) as error:
        raise ModelFileError(f"The value of {key} in a GGUF file is damaged.") from error


def dequantized(tensor: Any, rows: slice = slice(None)) -> Any:
    """Those rows of a tensor of a GGUFReader as float32. Raises FinetuneError for a type that `gguf` cannot unpack."""
    import numpy as np

    gguf = require_gguf()
    try:
        return gguf.quants.dequantize(tensor.data[rows], tensor.tensor_type).astype(np.float32)
    except NotImplementedError as error:
        raise FinetuneError(
            f"{tensor.name} is of the type {tensor.tensor_type.name}, which cannot be unpacked.",
            "Use the same model in another quantisation.",
        ) from error


class BaseGguf:
    """An open GGUF model. Shapes are as numpy has them: rows (outputs) first.

    Raises ModelFileError when the file is none, or damaged. Any architecture can be opened: `check_architecture` says which
    can be trained.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.summary = read_metadata(path)  # foreign bytes are checked there first, against the file's size
        self.reader = open_gguf(path)
        self.architecture = self.summary.architecture
        self.tensors: dict[str, Any] = {tensor.name: tensor for tensor in self.reader.tensors}
        self.n_layers = int(self.value("block_count", 0))
        self.n_embd = int(self.value("embedding_length", 0))
        self.n_heads = int(self._one("attention.head_count", 0))
        self.n_kv_heads = int(self._one("attention.head_count_kv", self.n_heads))

    def value(self, key: str, default: Any = None) -> Any:
        """The value of `ARCHITECTURE.key`, or of a whole key such as "general.name"."""
        for name in (f"{self.architecture}.{key}", key):
            if name in self.reader.fields:
                return field_value(self.reader, name)
        return default

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Rows, columns. Raises KeyError for a tensor that the file does not have."""
        return tuple(int(size) for size in reversed(self.tensors[tensor].shape))

    def tensor_names(self) -> Any:
        """`gguf`'s map from the names of transformers to those of GGUF, for this architecture and depth."""
        gguf = require_gguf()
        by_name = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}
        return gguf.get_tensor_name_map(by_name[self.architecture], self.n_layers)

    def permuted_heads(self, tensor: str) -> int:
        """How many heads the rows of `tensor` are permuted by; 0: they lie as transformers has them.

        llama.cpp keeps q and k of the llama architecture with the pairs that rotate together side by side.
        """
        if self.architecture != "llama":
            return 0
        return self.n_heads if ".attn_q." in tensor else self.n_kv_heads if ".attn_k." in tensor else 0

    def _one(self, key: str, default: int) -> Any:
        value = self.value(key, default)
        if not isinstance(value, list):
            return value
        if len(set(value)) != 1:
            raise FinetuneError(
                f"{self.path.name} has layers with different numbers of heads; that cannot be trained."
            )
        return value[0]


def check_architecture(base: BaseGguf) -> None:
    """Raise FinetuneError unless the model is of an architecture that can be trained and exported."""
    known = "llama (Mistral too), qwen2, qwen3, gemma3 and phi3"
    if base.architecture not in ARCHITECTURES:
        raise FinetuneError(
            f"Models of the architecture {base.architecture!r} cannot be fine-tuned.",
            f"Supported architectures: {known}.",
        )
    if int(base.value("expert_count", 0)):
        raise FinetuneError(
            f"{base.path.name} is a mixture of experts, which cannot be fine-tuned.",
            f"Use a dense model of {known}.",
        )
