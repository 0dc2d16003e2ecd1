"""The files of a tiny random BERT encoder, as `ragchat.llm.embedding.convert` reads them; safetensors written by hand."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, LAYERS, FEED_FORWARD, CONTEXT = 64, 2, 128, 40
WORDS = (
    [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "[",
        "]",
        ".",
        "sep",
        "cls",
        "cafe",
        "red",
        "blue",
        "stone",
    ]
    + [f"w{number}" for number in range(50)]
    + ["##s", "##ing"]
)
CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": FEED_FORWARD,
    "max_position_embeddings": CONTEXT,
    "layer_norm_eps": 1e-12,
    "type_vocab_size": 2,
    "vocab_size": len(WORDS),
    "position_embedding_type": "absolute",
}


def random_weights(seed: int = 1, *, head: bool = False) -> dict[str, np.ndarray]:
    """Weights by their names in a BertModel; `head`: with those of a cross-encoder."""
    rng = np.random.default_rng(seed)

    def array(*shape: int) -> np.ndarray:
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)

    def linear(name: str, rows: int, columns: int) -> dict[str, np.ndarray]:
        return {f"{name}.weight": array(rows, columns), f"{name}.bias": array(rows)}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}.weight": 1 + array(WIDTH), f"{name}.bias": array(WIDTH)}

    weights = {
        "embeddings.word_embeddings.weight": array(len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": array(CONTEXT, WIDTH),
        "embeddings.token_type_embeddings.weight": array(2, WIDTH),
        **norm("embeddings.LayerNorm"),
    }
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            weights |= linear(f"{layer}.attention.self.{part}", WIDTH, WIDTH)
        weights |= linear(f"{layer}.attention.output.dense", WIDTH, WIDTH)
        weights |= norm(f"{layer}.attention.output.LayerNorm")
        weights |= linear(f"{layer}.intermediate.dense", FEED_FORWARD, WIDTH)
        weights |= linear(f"{layer}.output.dense", WIDTH, FEED_FORWARD)
        weights |= norm(f"{layer}.output.LayerNorm")
    if head:
        weights |= linear("pooler.dense", WIDTH, WIDTH) | linear("classifier", 1, WIDTH)
    return weights


def write_encoder(
    folder: Path, weights: Mapping[str, np.ndarray] | None = None, *, pooling: str = "mean_tokens"
) -> Path:
    """The folder with all files of the model."""
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{pooling}": True}))
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS), "utf-8")
    write_safetensors(folder / "model.safetensors", weights or random_weights())
    return folder


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    kinds, table, data = {"float32": "F32", "float16": "F16"}, {}, b""
    for name, array in arrays.items():
        raw = array.tobytes()
        table[name] = {
            "dtype": kinds[str(array.dtype)],
            "shape": array.shape,
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    header = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
