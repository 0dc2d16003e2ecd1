"""How much memory a model needs at a context length, and the longest context that fits. Loads nothing.

The figure is the peak of the inference process while it reads a prompt that fills the context, in bytes:

    weights  = bytes of all tensors
    kv       = 2 * n_ctx * sum over layers of n_kv_heads * (head_dim_k + head_dim_v)          (16-bit cache)
    compute  = n_batch * n_ctx * (6 * n_heads + 4) + 4 * n_batch * (n_feed_forward + n_embd) + 4 MiB
    process  = 45 MiB + 400 bytes for each entry of the vocabulary

In `compute`, each of n_batch * n_heads rows of attention holds n_ctx scores as 32-bit numbers and their
16-bit copy, and the mask 4 bytes; flash attention keeps the mask only. A sliding window saves nothing, since
llama.cpp keeps the whole context unless told otherwise. Where the CPU wants its own layout of the weights
(repacking), the copy takes the place of the file's pages, which the system may drop: needed once, though both
can show as resident.
Measured against real loads in tests/test_model_memory.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ragchat.errors import ModelTooLargeError
from ragchat.text import human_bytes
from ragchat.types.defaults import N_BATCH

N_CTX_STEP = 256
"""llama.cpp rounds a context up to a multiple of this."""

_MIB = 1 << 20
_KV_BYTES = 2
_SCORE_BYTES = 6
_MASK_BYTES = 4
_GRAPH_BYTES = 4 * _MIB
_PROCESS_BYTES = 45 * _MIB
_VOCABULARY_ENTRY_BYTES = 400


class ModelShape(Protocol):
    """What the estimate needs to know: a GGUF's metadata or an entry of the catalogue."""

    @property
    def weights_bytes(self) -> int:
        """Bytes of all weights."""

    @property
    def n_ctx_train(self) -> int:
        """Tokens of context that it was trained with."""

    @property
    def kv_width(self) -> int:
        """Numbers that one token leaves in the KV cache, all layers together."""

    @property
    def n_heads(self) -> int:
        """Heads of attention in a layer."""

    @property
    def n_embd(self) -> int:
        """Width of a layer."""

    @property
    def n_feed_forward(self) -> int:
        """Width of the feed-forward part."""

    @property
    def n_vocab(self) -> int:
        """Tokens in the vocabulary."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes. `compute`: a step over the prompt; `process`: the interpreter, llama.cpp and the vocabulary."""

    weights: int
    kv: int
    compute: int
    process: int

    @property
    def total(self) -> int:
        """Bytes of all parts together."""
        return self.weights + self.kv + self.compute + self.process


def estimate(
    shape: ModelShape, n_ctx: int, n_batch: int = N_BATCH, *, flash_attention: bool = False
) -> MemoryEstimate:
    """Memory at `n_ctx` tokens of context, the prompt read in steps of `n_batch` tokens."""
    cells = -(-n_ctx // N_CTX_STEP) * N_CTX_STEP
    batch = min(n_batch, cells)
    attention = _MASK_BYTES + (0 if flash_attention else _SCORE_BYTES * shape.n_heads)
    return MemoryEstimate(
        weights=shape.weights_bytes,
        kv=_KV_BYTES * cells * shape.kv_width,
        compute=batch * cells * attention + 4 * batch * (shape.n_feed_forward + shape.n_embd) + _GRAPH_BYTES,
        process=_PROCESS_BYTES + _VOCABULARY_ENTRY_BYTES * shape.n_vocab,
    )


def largest_n_ctx(
    shape: ModelShape, available: int, *, n_batch: int = N_BATCH, flash_attention: bool = False
) -> int:
    """The longest context that fits into `available` bytes: a multiple of 256 up to n_ctx_train; 0 if none.

    A model trained for fewer than 256 tokens has that one length.
    """

    def fits(n_ctx: int) -> bool:
        return estimate(shape, n_ctx, n_batch, flash_attention=flash_attention).total <= available

    if shape.n_ctx_train < N_CTX_STEP:
        return shape.n_ctx_train if fits(shape.n_ctx_train) else 0
    low, high = 0, shape.n_ctx_train // N_CTX_STEP
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle * N_CTX_STEP) else (low, middle - 1)
    return low * N_CTX_STEP


def available_bytes() -> int:
    """Memory that a new process can take without swapping, in bytes."""
    import psutil

    return int(psutil.virtual_memory().available)


def total_bytes() -> int:
    """Memory of this machine, in bytes."""
    import psutil

    return int(psutil.virtual_memory().total)


def check_fits(
    shape: ModelShape,
    n_ctx: int,
    available: int | None = None,
    *,
    n_batch: int = N_BATCH,
    flash_attention: bool = False,
) -> MemoryEstimate:
    """The estimate, when it fits into `available` bytes (None: what is free now).

    Whether n_ctx exceeds n_ctx_train is the caller's business: such a context costs memory like any other.
    Raises ModelTooLargeError with the longest context that fits.
    """
    free = available_bytes() if available is None else available
    needed = estimate(shape, n_ctx, n_batch, flash_attention=flash_attention)
    if needed.total <= free:
        return needed
    longest = largest_n_ctx(shape, free, n_batch=n_batch, flash_attention=flash_attention)
    sentence = (
        f"The model needs about {human_bytes(needed.total)} of memory with {n_ctx} tokens of context; "
        f"{human_bytes(free)} are free."
    )
    if longest:
        remedy = f"{longest} tokens of context fit. Set model.n_ctx to {longest}, or close other programs."
    else:
        remedy = "No context fits. Close other programs or choose a smaller model (`ragchat model list`)."
    raise ModelTooLargeError(sentence, remedy, largest_n_ctx=longest)
