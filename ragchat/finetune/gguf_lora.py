"""Adapters between their two forms: a folder as PEFT writes it, and the GGUF LoRA that llama.cpp loads. Needs no torch.

What the other form cannot say is refused by name, never left out. Format of the GGUF: llama.cpp's convert_lora_to_gguf.py and
src/llama-adapter.cpp, which computes `W x + scale * alpha / rank * B (A x)`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragchat.errors import AdapterError, FinetuneError
from ragchat.finetune.base_gguf import (
    BaseGguf,
    check_architecture,
    dequantized,
    field_value,
    open_gguf,
    require_gguf,
)
from ragchat.llm.gguf import read_metadata
from ragchat.text import clean_line

PEFT_CONFIG = "adapter_config.json"
PEFT_WEIGHTS = "adapter_model.safetensors"
BASE_SHA256 = "ragchat.base_model.sha256"
"""Our own key in the GGUF LoRA: the base it was trained on, so that a file that travels alone stays bound."""

_LARGEST_CONFIG = 1 << 20
_LARGEST_ALPHA = 1e6
_KEY = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_(A|B)(?:\.default)?\.weight")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.]+")
_HALVES = (".lora_a", ".lora_b")
_REFUSED = {
    "use_dora": "is a DoRA adapter",
    "lora_bias": "learned biases",
    "modules_to_save": "replaces whole modules (modules_to_save)",
    "trainable_token_indices": "changes embeddings (trainable_token_indices)",
    "layer_replication": "repeats layers (layer_replication)",
    "fan_in_fan_out": "keeps its weights transposed (fan_in_fan_out)",
    "use_qalora": "is a QALoRA adapter",
    "megatron_config": "is of Megatron's parallel layers",
}
_CHANGED_BASE = ("pissa", "olora", "corda", "loftq")


@dataclass(frozen=True, slots=True, eq=False)
class LoraPair:
    """The change of one tensor of the base, in llama.cpp's order of rows, float32: `a` is (rank, columns), `b` (rows, rank)."""

    tensor: str
    a: Any
    b: Any

    @property
    def rank(self) -> int:
        """Rows of A, which are the columns of B."""
        return int(self.a.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Lora:
    """A whole adapter. `alpha` as GGUF means it: alpha / rank is the scale of each pair; 0: the scale is 1.

    `base_sha256` is the base that the file itself names; empty when it names none.
    """

    alpha: float
    pairs: tuple[LoraPair, ...]
    base_sha256: str = ""

    def scale(self, pair: LoraPair) -> float:
        """By what the product B·A is multiplied: alpha / rank."""
        return self.alpha / pair.rank if self.alpha else 1.0

    @property
    def rank(self) -> int:
        """The largest, where they differ."""
        return max(pair.rank for pair in self.pairs)


def read_peft(folder: Path, base: BaseGguf) -> Lora:
    """The PEFT adapter in `folder` for `base`. float32, float16 and bfloat16 are read; all of it ends as float32.

    Raises AdapterError: broken, not a LoRA, of another shape, or with parts that a GGUF cannot hold. FinetuneError: the extra is
    missing, or the architecture is none that can be exported.
    """
    check_architecture(base)
    config = _read_config(folder / PEFT_CONFIG)
    halves: dict[str, dict[str, tuple[str, Any]]] = {}
    names = base.tensor_names()
    for key, array in _read_safetensors(folder / PEFT_WEIGHTS).items():
        module, half = _parse_key(key)
        tensor = names.get_name(f"{module.replace('language_model.', '')}.weight", try_suffixes=(".weight",))
        if tensor is None:
            raise AdapterError(
                f"The adapter changes {clean_line(module)}, for which a {base.architecture} GGUF has no place."
            )
        halves.setdefault(tensor, {})[half] = (module, array)
    pairs, alphas = [], []
    for tensor, both in sorted(halves.items()):  # the same adapter makes the same file
        if set(both) != {"A", "B"}:
            raise AdapterError(f"The adapter has only one half of the change to {tensor}.")
        (module, a), (_, b) = both["A"], both["B"]
        heads = base.permuted_heads(tensor)
        pairs.append(
            LoraPair(tensor, a, permute_rows(b, heads) if heads and len(b) % (2 * heads) == 0 else b)
        )
        alphas.append(_module_alpha(config, module, len(a)))
    return _checked(_with_one_alpha(pairs, alphas), base)


def read_gguf_lora(path: Path, base: BaseGguf) -> Lora:
    """The GGUF LoRA at `path` for `base`. Raises AdapterError as `read_peft` does, ModelFileError for a damaged file."""
    summary = read_metadata(path)
    if summary.general_type != "adapter":
        raise AdapterError(
            f"{path.name} is not an adapter: its type is {clean_line(summary.general_type)!r}."
        )
    reader = open_gguf(path)

    if (kind := field_value(reader, "adapter.type", "")) != "lora":
        raise AdapterError(f"{path.name} is an adapter of the type {clean_line(str(kind))!r}, not a LoRA.")
    if summary.architecture != base.architecture:
        raise AdapterError(
            f"{path.name} is for models of the architecture {clean_line(summary.architecture)!r}, "
            f"and {base.path.name} is {base.architecture!r}.",
            "Choose the model it was made for with --model.",
        )
    if "adapter.alora.invocation_tokens" in reader.fields:
        raise AdapterError(
            f"{path.name} is an aLoRA (it works only after certain words), which the chat does not support."
        )
    halves: dict[str, dict[str, Any]] = {}
    for tensor in reader.tensors:
        name, half = tensor.name[: -len(_HALVES[0])], tensor.name[-len(_HALVES[0]) :]
        if half not in _HALVES:
            raise AdapterError(f"{path.name} holds {clean_line(tensor.name)}, which is not part of a LoRA.")
        halves.setdefault(name, {})[half] = dequantized(tensor)
    if lame := [name for name, both in halves.items() if len(both) != 2]:
        raise AdapterError(f"{path.name} has only one half of the change to {clean_line(lame[0])}.")
    pairs = tuple(LoraPair(name, both[_HALVES[0]], both[_HALVES[1]]) for name, both in sorted(halves.items()))
    return _checked(
        Lora(
            float(field_value(reader, "adapter.lora.alpha", 0.0)),
            pairs,
            str(field_value(reader, BASE_SHA256, "")),
        ),
        base,
    )


def write_gguf_lora(lora: Lora, base: BaseGguf, target: Path, *, name: str, base_sha256: str = "") -> None:
    """Write the adapter as GGUF, float32, so that `target` is whole or not there. Raises OSError."""
    gguf = require_gguf()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    writer = gguf.GGUFWriter(temporary, base.architecture)
    try:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, lora.alpha)
        writer.add_name(name)
        writer.add_file_type(gguf.LlamaFileType.ALL_F32)
        if base.summary.licence:
            writer.add_license(base.summary.licence)
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, base.summary.name or base.path.stem)
        if base_sha256:
            writer.add_string(BASE_SHA256, base_sha256)
        for pair in lora.pairs:
            for half, array in zip(_HALVES, (pair.a, pair.b), strict=True):
                writer.add_tensor(pair.tensor + half, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        writer.close()
        temporary.unlink(missing_ok=True)


def permute_rows(rows: Any, heads: int) -> Any:
    """`rows` in llama.cpp's RoPE order (`LlamaModel.permute` of its converter): row i of a head goes beside row i + half."""
    import numpy as np

    halves = rows.reshape(heads, 2, len(rows) // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))


# --- reading what PEFT wrote ----------------------------------------------------------------------------


def _read_config(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            config = json.loads(file.read(_LARGEST_CONFIG))
    except FileNotFoundError as error:
        raise AdapterError(
            f"{path.parent.name} contains no {PEFT_CONFIG}, so it is not a PEFT adapter."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise AdapterError(f"{path.name} of the adapter cannot be read.") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise AdapterError("The PEFT adapter is not a LoRA.", "GGUF models support only LoRA adapters.")
    for key, what in _REFUSED.items():
        if config.get(key):
            raise AdapterError(f"The adapter {what}; a GGUF cannot hold that.", "Train a plain LoRA instead.")
    start = str(config.get("init_lora_weights", "")).lower()
    if start.startswith(_CHANGED_BASE):
        raise AdapterError(
            f"The adapter began from {start.partition('_')[0]!r}, which also changes the base model.",
            "Convert it to a plain LoRA with PEFT first.",
        )
    return config


def _read_safetensors(path: Path) -> dict[str, Any]:
    """All tensors as float32. bfloat16, which numpy lacks, is the upper half of a float32."""
    import numpy as np

    try:
        from safetensors import SafetensorError, deserialize
    except ImportError as error:
        raise FinetuneError(
            "Training needs the finetune extra: safetensors is not installed.",
            "Install it with `make finetune`.",
        ) from error
    try:
        entries = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except FileNotFoundError as error:
        raise AdapterError(f"{path.parent.name} contains no {PEFT_WEIGHTS}.") from error
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"{path.name} of the adapter cannot be read: it is damaged.") from error
    arrays = {}
    for name, entry in entries:
        data, kind = bytes(entry["data"]), entry["dtype"]
        if kind == "BF16":
            flat = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
        elif kind in ("F32", "F16"):
            flat = np.frombuffer(data, "<f4" if kind == "F32" else "<f2").astype("<f4")
        else:
            raise AdapterError(f"The adapter contains numbers of the unknown kind {kind}.")
        arrays[name] = flat.reshape(entry["shape"])
    return arrays


def _parse_key(key: str) -> tuple[str, str]:
    if match := _KEY.fullmatch(key):
        return match[1], match[2]
    what = "embeddings" if "lora_embedding" in key else "more than a LoRA can change"
    raise AdapterError(f"The adapter changes {what} ({clean_line(key)}); a GGUF cannot hold that.")


def _module_alpha(config: Mapping[str, Any], module: str, rank: int) -> float:
    """The alpha that gives PEFT's scale when divided by `rank`: with rslora that is alpha / sqrt(rank) (arXiv 2312.03732)."""
    alpha = _number(config.get("lora_alpha") or 1)
    patterns = config.get("alpha_pattern")
    for pattern, own in patterns.items() if isinstance(patterns, dict) else ():
        if not _PLAIN_NAME.fullmatch(pattern):  # a foreign regular expression is not run
            raise AdapterError(f"The adapter's alpha_pattern {clean_line(pattern)!r} cannot be read.")
        if f".{module}".endswith(f".{pattern}"):
            alpha = _number(own)
    return alpha * rank**0.5 if config.get("use_rslora") else alpha


def _number(value: object) -> float:
    if isinstance(value, int | float) and 0 < value < _LARGEST_ALPHA:
        return float(value)
    raise AdapterError(
        f"The adapter's lora_alpha is not a valid number: {clean_line(repr(value), limit=40)}."
    )


def _with_one_alpha(pairs: Sequence[LoraPair], alphas: Sequence[float]) -> Lora:
    """A GGUF has one alpha for all: where they differ, the difference goes into `b`."""
    if len(set(alphas)) <= 1:
        return Lora(alphas[0] if alphas else 1.0, tuple(pairs))
    return Lora(
        alphas[0],
        tuple(
            LoraPair(pair.tensor, pair.a, pair.b * pair.b.dtype.type(own / alphas[0]))
            for pair, own in zip(pairs, alphas, strict=True)
        ),
    )


def _checked(lora: Lora, base: BaseGguf) -> Lora:
    """`lora`, if each of its pairs fits the base and is made of numbers. Raises AdapterError."""
    import numpy as np

    if not lora.pairs:
        raise AdapterError("The adapter changes nothing: it contains no tensors.")
    if not 0 <= lora.alpha < _LARGEST_ALPHA:
        raise AdapterError(f"The adapter's alpha is not a valid number: {lora.alpha}.")
    for pair in lora.pairs:
        if pair.tensor not in base.tensors or "embd" in pair.tensor:
            raise AdapterError(
                f"The adapter changes {clean_line(pair.tensor)}, which {base.path.name} does not have as a separate layer.",
                "Choose the model it was made for with --model.",
            )
        rows_columns = pair.b.shape[0], pair.a.shape[-1]
        if pair.a.ndim != 2 or pair.b.ndim != 2 or pair.b.shape[1] != pair.rank or not pair.rank:
            raise AdapterError(f"The two halves of the change to {pair.tensor} do not match.")
        if rows_columns != base.shape(pair.tensor):
            raise AdapterError(
                f"The adapter has a different shape: {pair.tensor} is {_times(rows_columns)} there "
                f"and {_times(base.shape(pair.tensor))} in {base.path.name}.",
                "Choose the model it was made for with --model.",
            )
        if not (np.isfinite(pair.a).all() and np.isfinite(pair.b).all()):
            raise AdapterError(
                f"The change to {pair.tensor} contains invalid numbers (NaN or infinite).",
                "The training failed. Try a lower learning rate.",
            )
    return lora


def _times(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))
