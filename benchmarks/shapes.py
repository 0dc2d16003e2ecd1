"""Model files of real shapes with random weights, for timing alone: what they say is noise.

    python benchmarks/shapes.py FOLDER [1b] [4b] [--like models/SmolLM2-135M-Instruct.Q4_1.gguf]

Vocabulary, tokeniser and chat template are those of `--like`, so that text works. Weights are Q4_0, written as they are drawn.
Needs the package gguf (extra `bench`).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np


@dataclass(frozen=True)
class Shape:
    """A decoder as Llama has it."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    feed_forward: int


SHAPES = {
    "1b": Shape(16, 2048, 32, 8, 64, 8192),
    "4b": Shape(36, 2560, 32, 8, 128, 9728),
}


def tensors(shape: Shape, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Names and sizes, rows first."""
    found: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, shape.width),
        "output_norm.weight": (shape.width,),
    }
    for n in range(shape.layers):
        found |= {
            f"blk.{n}.attn_norm.weight": (shape.width,),
            f"blk.{n}.attn_q.weight": (shape.heads * shape.head, shape.width),
            f"blk.{n}.attn_k.weight": (shape.kv_heads * shape.head, shape.width),
            f"blk.{n}.attn_v.weight": (shape.kv_heads * shape.head, shape.width),
            f"blk.{n}.attn_output.weight": (shape.width, shape.heads * shape.head),
            f"blk.{n}.ffn_norm.weight": (shape.width,),
            f"blk.{n}.ffn_gate.weight": (shape.feed_forward, shape.width),
            f"blk.{n}.ffn_up.weight": (shape.feed_forward, shape.width),
            f"blk.{n}.ffn_down.weight": (shape.width, shape.feed_forward),
        }
    return found


def drawn(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Q4_0: blocks of 32 numbers, a half-precision scale and 16 bytes each."""
    rows, columns = size
    blocks = rng.integers(0, 256, (rows, columns // 32, 18), dtype=np.uint8)
    scale = np.full((rows, columns // 32), 0.02 / 8, np.float16)
    blocks[..., :2] = scale[..., None].view(np.uint8)
    return blocks.reshape(rows, -1)


def write(path: Path, shape: Shape, like: Path) -> None:
    """Write one file; a tensor at a time is in memory."""
    reader = gguf.GGUFReader(str(like))
    writer = gguf.GGUFWriter(str(path), "llama")
    for name, field in reader.fields.items():
        if name.startswith("tokenizer."):
            value = field.contents()
            kind = field.types[0]
            writer.add_key_value(name, value, kind, field.types[1] if len(field.types) > 1 else None)
    vocabulary = len(reader.fields["tokenizer.ggml.tokens"].contents())
    writer.add_context_length(8192)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(1e6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    rng = np.random.default_rng(7)
    sizes = tensors(shape, vocabulary)
    for name, size in sizes.items():
        if len(size) == 1:
            writer.add_tensor_info(name, size, np.dtype(np.float32), 4 * size[0])
        else:
            bytes_ = (size[0], size[1] // 32 * 18)
            writer.add_tensor_info(
                name, bytes_, np.dtype(np.uint8), bytes_[0] * bytes_[1], gguf.GGMLQuantizationType.Q4_0
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for size in sizes.values():
        writer.write_tensor_data(np.ones(size, np.float32) if len(size) == 1 else drawn(rng, size))
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("shapes", nargs="*", choices=[[], *SHAPES], default=[])
    parser.add_argument("--like", type=Path, default=Path("models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    arguments = parser.parse_args()
    for name in arguments.shapes or SHAPES:
        path = arguments.folder / f"shape-{name}.Q4_0.gguf"
        write(path, SHAPES[name], arguments.like)
        print(f"{path}: {path.stat().st_size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
