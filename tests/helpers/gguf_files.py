"""Small GGUF files for tests, written by the `gguf` package, which knows nothing of our reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np


def write_gguf(  # noqa: PLR0913
    path: Path,
    *,
    architecture: str = "llama",
    general_type: str = "model",
    name: str = "Tiny",
    vocabulary: int = 16,
    n_ctx: int = 2048,
    n_layers: int = 2,
    kv_heads: int | Sequence[int] = 2,
    template: str | None = "{{ messages[0].content }}",
    split_count: int = 0,
    sliding_window: int = 0,
    rows: int = 64,
) -> Path:
    """A model with the metadata of a real one and a single tensor of 32 x `rows`."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(general_type)
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(32)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(kv_heads)
    if sliding_window:
        writer.add_sliding_window(sliding_window)
    if split_count:
        writer.add_uint16("split.count", split_count)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token{number}" for number in range(vocabulary)])
    writer.add_token_scores([0.5] * vocabulary)
    writer.add_token_types([1] * vocabulary)
    writer.add_token_merges([f"a{number} b" for number in range(vocabulary)])
    if template is not None:
        writer.add_chat_template(template)
    writer.add_tensor("token_embd.weight", np.ones((rows, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
