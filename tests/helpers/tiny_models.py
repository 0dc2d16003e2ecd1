"""Tiny models with random weights, of each architecture that can be trained, as GGUF files that llama.cpp loads.

What is written follows llama.cpp's own converter: names of `gguf.get_tensor_name_map`, rows of q and k permuted for llama,
norms of gemma stored plus one. The weights are large enough that logits differ by whole numbers, so that a tolerance of
thousandths means something. Numbers that a loader might take from a default instead of the file (theta, head size, the
sliding window) are unlike any default.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3", "phi3", "mistral")

_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>", "<s>", "</s>")
"""ChatML's, and those that llama.cpp looks up in every model whose name has "phi3" in it."""
_MERGES = ("Ġ t", "h e", "Ġt he", "i n", "e r", "o n", "a n")
_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_SHAPE = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 3e-6,
    "rope_theta": 37_000.0,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_OWN: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": True},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 32, "tie_word_embeddings": False},
    "gemma3": {
        "head_dim": 32,
        "num_hidden_layers": 7,
        "sliding_window": 8,
        "query_pre_attn_scalar": 32,
        "tie_word_embeddings": True,
    },
    "phi3": {"tie_word_embeddings": False},
    "mistral": {"tie_word_embeddings": False, "sliding_window": None},
}
STRETCHED: dict[str, dict[str, Any]] = {
    # Llama 3.1 and later
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    # Gemma 3 from 4B on
    "linear": {"rope_type": "linear", "factor": 8.0},
    # Phi-3 with 128k, Phi-4-mini
    "longrope": {
        "rope_type": "longrope",
        "short_factor": [1.0, 1.5, 2.0, 3.0],
        "long_factor": [1.0, 4.0, 8.0, 16.0],
        "partial_rotary_factor": 0.5,
        "original_max_position_embeddings": 300,
    },
}
_CLASSES = {
    "llama": "Llama",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "gemma3": "Gemma3Text",
    "phi3": "Phi3",
    "mistral": "Mistral",
}


def make_tiny(architecture: str, path: Path, *, seed: int = 0, stretched: str = "") -> Any:
    """Write the model to `path` (float32) and return it as transformers knows it.

    `stretched` is a key of `STRETCHED`: a context made longer in one of the ways that models of this family know.
    """
    import torch
    import transformers

    options = {**_SHAPE, **_OWN[architecture], "attn_implementation": "eager"}
    if stretched:
        options["rope_scaling"] = dict(STRETCHED[stretched])
    if stretched == "longrope":
        options["original_max_position_embeddings"] = 300
    name = _CLASSES[architecture]
    config = getattr(transformers, f"{name}Config")(**options)
    torch.manual_seed(seed)
    model = getattr(transformers, f"{name.removesuffix('Text')}ForCausalLM")(config).eval().float()
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            spread = 0.3 if "norm" in key or "bias" in key else 2.0 / tensor.shape[-1] ** 0.5
            tensor.normal_(1.0 if "norm" in key and architecture != "gemma3" else 0.0, spread)
    _write(architecture, model, path)
    return model


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows in llama.cpp's RoPE order: pairs side by side instead of halves (convert_hf_to_gguf.py, `permute`)."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _write(architecture: str, model: Any, path: Path) -> None:
    config = model.config
    family = "llama" if architecture == "mistral" else architecture
    writer = gguf.GGUFWriter(path, family)
    _write_metadata(writer, config, name=f"Tiny {architecture}")
    names = gguf.get_tensor_name_map(
        {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[family], config.num_hidden_layers
    )
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = tensor.detach().numpy().astype(np.float32)
        if family == "llama" and ".q_proj." in key:
            array = permuted(array, config.num_attention_heads)
        elif family == "llama" and ".k_proj." in key:
            array = permuted(array, config.num_key_value_heads)
        elif family == "gemma3" and key.endswith("norm.weight"):
            array = array + 1
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert name, key
        writer.add_tensor(name, np.ascontiguousarray(array))
    if config.rope_parameters.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", _llama3_factors(config))
    if config.rope_parameters.get("rope_type") == "longrope":
        for kind in ("long", "short"):
            factors = np.array(config.rope_parameters[f"{kind}_factor"], np.float32)
            writer.add_tensor(f"rope_factors_{kind}.weight", factors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_metadata(writer: gguf.GGUFWriter, config: Any, *, name: str) -> None:
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_type("model")
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if writer.arch in ("llama", "phi3"):
        writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1)))
    if writer.arch in ("qwen3", "gemma3"):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if writer.arch == "gemma3":
        writer.add_sliding_window(config.sliding_window)
    if writer.arch == "phi3":
        original = rope.get("original_max_position_embeddings", config.max_position_embeddings)
        writer.add_rope_scaling_orig_ctx_len(original)
        if rope["rope_type"] == "longrope":  # as the converter computes it
            ratio = config.max_position_embeddings / original
            writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(ratio) / math.log(original)))
    _write_tokenizer(writer, config.vocab_size)


def _write_tokenizer(writer: gguf.GGUFWriter, size: int) -> None:
    """Every byte a token, a few merges, the special tokens of ChatML; the rest is filled up with unused ones."""
    tokens = [*_SPECIALS, *_byte_tokens(), *(merge.replace(" ", "") for merge in _MERGES)]
    kinds = [gguf.TokenType.CONTROL] * len(_SPECIALS) + [gguf.TokenType.NORMAL] * (
        len(tokens) - len(_SPECIALS)
    )
    unused = [f"<|unused{number}|>" for number in range(size - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens + unused)
    writer.add_token_types(kinds + [gguf.TokenType.UNUSED] * len(unused))
    writer.add_token_merges(list(_MERGES))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(_TEMPLATE)


def _byte_tokens() -> list[str]:
    """How byte-level BPE writes the 256 bytes: as themselves where they can be seen, above U+0100 otherwise (GPT-2)."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(byte if byte in seen else next(hidden)) for byte in range(256)]


def _llama3_factors(config: Any) -> np.ndarray:
    """By what each frequency is divided (transformers' `_compute_llama3_parameters`), as the converter stores it."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    head_dim = config.head_dim
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = config.rope_parameters["rope_theta"] ** -(np.arange(0, head_dim, 2) / head_dim)
    factors: np.ndarray = (plain / scaled.numpy()).astype(np.float32)
    return factors
