"""What a GGUF file says of its model and transformers' reader overlooks. Changes a configuration, loads no weights.

The reader takes several numbers from defaults of the first model of each family: right for that model, silently wrong for its
siblings (transformers 5.17, modeling_gguf_pytorch_utils.py, integrations/ggml.py). What cannot be said in a configuration is
refused by name. tests/test_finetune_architectures.py compares the logits of all of it with llama.cpp's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ragchat.errors import FinetuneError
from ragchat.finetune.base_gguf import BaseGguf, check_architecture

_GEMMA3_27B_LAYERS = 62
_GEMMA3_PATTERN = 6
_ROPE_TENSORS = ("rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight")
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
_LARGEST_DIFFERENCE = 1e-3
_PHI3_FUSED = {
    **dict.fromkeys(("q_proj", "k_proj", "v_proj"), "qkv_proj"),
    **dict.fromkeys(("gate_proj", "up_proj"), "gate_up_proj"),
}


def own_modules(architecture: str, target_modules: Iterable[str]) -> tuple[str, ...]:
    """`target_modules` as this architecture names them: phi3 has q, k and v in one layer, and gate and up in another."""
    fused = _PHI3_FUSED if architecture == "phi3" else {}
    return tuple(dict.fromkeys(fused.get(module, module) for module in target_modules))


def correct_config(config: Any, base: BaseGguf) -> None:
    """Put into `config` (a transformers configuration made from the same file) what the reader left at a default.

    Raises FinetuneError for an architecture or a variant that cannot be trained truthfully.
    """
    check_architecture(base)
    head_dim = _head_dim(base)
    if base.architecture in ("llama", "qwen3", "gemma3"):
        config.head_dim = head_dim
    if base.architecture in ("llama", "qwen3"):
        config.attention_bias = "blk.0.attn_q.bias" in base.tensors
    if base.architecture == "llama":
        config.mlp_bias = "blk.0.ffn_gate.bias" in base.tensors
    if base.architecture == "gemma3":
        _correct_gemma3(config, base, head_dim)
    _correct_rope(config, base, head_dim)


def check_complete(base: BaseGguf, parameters: Iterable[str]) -> None:
    """Raise FinetuneError when the file holds a tensor that none of `parameters` (a model's state_dict keys) takes.

    The reader drops such tensors without a word, and the model would then not be the one that chats.
    """
    names = base.tensor_names()
    taken = {names.get_name(parameter, try_suffixes=(".weight", ".bias")) for parameter in parameters}
    if left := sorted(set(base.tensors) - taken - set(_ROPE_TENSORS)):
        raise FinetuneError(
            f"{base.path.name} has weights that cannot be trained: {', '.join(left[:3])}{' …' if len(left) > 3 else ''}.",
            "Choose a plain model of its family.",
        )


def _head_dim(base: BaseGguf) -> int:
    key = int(base.value("attention.key_length", base.n_embd // base.n_heads))
    if int(base.value("attention.value_length", key)) != key:
        raise FinetuneError(
            f"{base.path.name} has keys and values of different sizes; which cannot be trained."
        )
    return key


def _correct_gemma3(config: Any, base: BaseGguf, head_dim: int) -> None:
    """As llama.cpp does it (src/models/gemma3.cpp): only the 27B scales queries by another number than the head size."""
    scale = base.n_embd // base.n_heads if base.n_layers == _GEMMA3_27B_LAYERS else head_dim
    config.query_pre_attn_scalar = scale
    config.final_logit_softcapping = base.value("final_logit_softcapping")
    if base.value("attention.sliding_window_pattern", _GEMMA3_PATTERN) != _GEMMA3_PATTERN:
        raise FinetuneError(
            f"{base.path.name} mixes its attention windows in an unknown way; it cannot be trained."
        )
    if not base.value("attention.sliding_window", 0):
        config.layer_types = ["full_attention"] * base.n_layers


def _correct_rope(config: Any, base: BaseGguf, head_dim: int) -> None:
    rotated = int(base.value("rope.dimension_count", head_dim))
    if base.architecture != "phi3" and rotated != head_dim:
        raise FinetuneError(f"{base.path.name} rotates only a part of each head; which cannot be trained.")
    rope = dict(config.rope_parameters)
    whole = dict(rope["full_attention"]) if "full_attention" in rope else rope
    whole |= _scaling(base) | _llama3(base, whole["rope_theta"], head_dim) | _longrope(base)
    if base.architecture == "phi3":
        whole["partial_rotary_factor"] = rotated / head_dim
    if "full_attention" in rope:
        local = float(base.value("rope.freq_base_swa", 10_000.0))
        rope = {"full_attention": whole, "sliding_attention": {"rope_type": "default", "rope_theta": local}}
    config.rope_parameters = rope if "full_attention" in rope else whole


def _scaling(base: BaseGguf) -> dict[str, Any]:
    kind = base.value("rope.scaling.type", "none")
    if kind == "linear":
        return {"rope_type": "linear", "factor": float(base.value("rope.scaling.factor"))}
    if kind != "none" and not (kind == "longrope" and base.architecture == "phi3"):
        raise FinetuneError(
            f"{base.path.name} stretches its context by {kind!r}, which cannot be trained.",
            "Choose the same model with its original context length.",
        )
    return {}


def _llama3(base: BaseGguf, theta: float, head_dim: int) -> dict[str, Any]:
    """Llama 3.1 and later: the file holds a divisor for each frequency, transformers wants the four numbers behind them.

    Formula: `_compute_llama3_parameters` of transformers' modeling_rope_utils.py.
    """
    if "rope_freqs.weight" not in base.tensors:
        return {}
    import numpy as np

    divisors = np.asarray(base.tensors["rope_freqs.weight"].data, dtype=np.float64)
    wavelengths = 2 * np.pi * theta ** (np.arange(0, head_dim, 2) / head_dim)
    factor = float(divisors.max())
    low, high = _LLAMA3["low_freq_factor"], _LLAMA3["high_freq_factor"]
    for original in (8192, *(2**power for power in range(5, 21))):
        smooth = np.clip((original / wavelengths - low) / (high - low), 0, 1)
        expected = 1 / ((1 - smooth) / factor + smooth)
        if expected.shape == divisors.shape and np.abs(expected / divisors - 1).max() < _LARGEST_DIFFERENCE:
            return {
                "rope_type": "llama3",
                "factor": factor,
                "original_max_position_embeddings": original,
                **_LLAMA3,
            }
    raise FinetuneError(f"{base.path.name} has frequency factors of an unknown kind; it cannot be trained.")


def _longrope(base: BaseGguf) -> dict[str, Any]:
    """Phi-3 with 128k, Phi-4-mini: two lists of factors. Short texts, such as training's, use the first."""
    if "rope_factors_short.weight" not in base.tensors:
        return {}
    lists = {
        f"{kind}_factor": [float(factor) for factor in base.tensors[f"rope_factors_{kind}.weight"].data]
        for kind in ("short", "long")
    }
    return {
        "rope_type": "longrope",
        "original_max_position_embeddings": int(base.value("rope.scaling.original_context_length")),
        "attention_factor": float(base.value("rope.scaling.attn_factor", 1.0)),
        **lists,
    }
