"""How likely the loaded model finds given tokens, in the inference process: one pass, nothing is generated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import llama_cpp as lib
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def logits(
    context: Any, vocab: Any, tokens: Sequence[int], wanted: range, *, n_batch: int, kept: int = 0
) -> Iterator[Floats]:
    """The logits (n_vocab,) after each of the positions `wanted`, in order.

    The first `kept` tokens are in the KV cache already, and none of them is wanted; what else is there is dropped. Raises
    RuntimeError when llama.cpp cannot decode them.
    """
    memory = lib.llama_get_memory(context)
    n_vocab = lib.llama_vocab_n_tokens(vocab)
    batch = lib.llama_batch_init(n_batch, 0, 1)
    if not kept or not lib.llama_memory_seq_rm(memory, 0, kept, -1):
        lib.llama_memory_clear(memory, True)
        kept = 0
    try:
        for first in range(kept, len(tokens), n_batch):
            piece = tokens[first : first + n_batch]
            batch.n_tokens = len(piece)
            for at, token in enumerate(piece):
                batch.token[at], batch.pos[at] = token, first + at
                batch.n_seq_id[at] = 1
                batch.seq_id[at][0] = 0
                batch.logits[at] = first + at in wanted
            if code := lib.llama_decode(context, batch):
                raise RuntimeError(f"llama_decode failed with code {code}")
            for at in range(len(piece)):
                if first + at in wanted:
                    row = lib.llama_get_logits_ith(context, at)
                    yield np.ctypeslib.as_array(row, shape=(n_vocab,)).copy()
    finally:
        lib.llama_batch_free(batch)


def score(rows: Iterator[Floats], answer: Sequence[int]) -> tuple[float, int]:
    """(sum of -ln p over the answer's tokens, how many of them are the first choice); `rows` are the logits before each."""
    nll, greedy = 0.0, 0
    for row, token in zip(rows, answer, strict=True):
        wide = row.astype(np.float64)
        top = wide.max()
        nll += float(top + np.log(np.exp(wide - top).sum()) - wide[token])
        greedy += int(wide.argmax() == token)
    return nll, greedy
