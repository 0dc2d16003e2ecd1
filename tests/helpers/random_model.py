"""A tiny model with random weights, as a GGUF file, made without torch: for how answers are sampled, not for what they say."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from tests.helpers.tiny_models import _write_tokenizer

_VOCAB, _WIDTH, _LAYERS, _HEADS, _INNER = 320, 64, 2, 4, 96


def make_random(path: Path, *, seed: int = 0) -> None:
    """Write it to `path`: llama architecture, float32, context 512, byte-level tokens and ChatML."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_name("Random")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(512)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(_VOCAB)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    _write_tokenizer(writer, _VOCAB)
    random = np.random.default_rng(seed)
    for name, rows, columns in _matrices():
        writer.add_tensor(name, random.normal(0, 2 / columns**0.5, (rows, columns)).astype(np.float32))
    norms = ("output_norm", *(f"blk.{n}.{kind}_norm" for n in range(_LAYERS) for kind in ("attn", "ffn")))
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(_WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _matrices() -> list[tuple[str, int, int]]:
    """(name, rows, columns) of each."""
    own = [
        *((f"attn_{kind}", _WIDTH, _WIDTH) for kind in ("q", "k", "v", "output")),
        *((f"ffn_{kind}", _INNER, _WIDTH) for kind in ("gate", "up")),
        ("ffn_down", _WIDTH, _INNER),
    ]
    return [
        ("token_embd.weight", _VOCAB, _WIDTH),
        ("output.weight", _VOCAB, _WIDTH),
        *((f"blk.{n}.{name}.weight", rows, columns) for n in range(_LAYERS) for name, rows, columns in own),
    ]
