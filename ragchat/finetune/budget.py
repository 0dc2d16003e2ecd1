"""Whether a run fits this machine, before its first step: steps, memory and disk against what there is. Measures nothing."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from ragchat.errors import FinetuneError
from ragchat.finetune.recipe import EVERY_LINEAR, Recipe
from ragchat.finetune.wire import Samples
from ragchat.llm.gguf import GgufMetadata
from ragchat.text import human_bytes

_LIBRARIES = 1.3e9
"""Resident bytes of torch, transformers and unsloth, imported: 1.2 to 1.4 GB on Linux."""
_RESERVE = 0.6e9
"""What the rest of the machine keeps."""
_PER_ACTIVATION = 4 * 22
"""Bytes per token, layer and unit of width that a step holds for its way back, without checkpointing; fitted to SmolLM2-135M."""

_PER_PAIR = 5
"""Bytes per pair of tokens, layer and head: long examples feel it (8.4 GB measured with four of 719)."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run takes and what there is. `steps_s` is a guess until three steps were timed."""

    training: int
    held_out: int
    tokens: int
    longest: int
    steps: int
    memory_bytes: int
    memory_free: int
    disk_bytes: int
    disk_free: int

    @property
    def fits(self) -> bool:
        """Whether memory and disk are enough."""
        return self.memory_bytes <= self.memory_free and self.disk_bytes <= self.disk_free


def estimate(
    metadata: GgufMetadata, recipe: Recipe, samples: Samples, *, disk: Path, weights_there: bool
) -> Budget:
    """What a run of these samples takes; `disk` is where weights and checkpoints lie."""
    lengths = sorted((len(sample.tokens) for sample in samples.training), reverse=True)
    batch_tokens = sum(lengths[: recipe.batch_size])
    answers = sorted((len(s.tokens) - s.answer_start for s in samples.training), reverse=True)
    vocabulary = 3 * 4 * max(metadata.n_vocab, 1) * sum(answers[: recipe.batch_size])
    share = len(recipe.target_modules) / len(EVERY_LINEAR)
    lora = int(recipe.lora_rank * metadata.n_layers * metadata.n_embd * 18 * share)
    activations = batch_tokens * metadata.n_layers * metadata.n_embd * _PER_ACTIVATION
    heads = max(1, metadata.n_heads)
    attention = _PER_PAIR * metadata.n_layers * heads * sum(n * n for n in lengths[: recipe.batch_size])
    weights = 4 * metadata.n_params
    memory = int(_LIBRARIES + 1.1 * weights + 16 * lora + activations + attention + vocabulary)
    checkpoints = 4 * 12 * lora
    return Budget(
        training=len(samples.training),
        held_out=len(samples.held_out),
        tokens=sum(lengths),
        longest=max(lengths, default=0),
        steps=recipe.max_steps
        or max(1, math.ceil(math.ceil(len(lengths) / recipe.batch_size) * recipe.epochs)),
        memory_bytes=memory,
        memory_free=max(0, int(psutil.virtual_memory().available - _RESERVE)),
        disk_bytes=checkpoints + (0 if weights_there else int(1.1 * weights)),
        disk_free=shutil.disk_usage(_existing(disk)).free,
    )


def check(budget: Budget, metadata: GgufMetadata, recipe: Recipe) -> None:
    """Raise FinetuneError, saying what would fit, when memory or disk do not are enough."""
    if budget.memory_bytes > budget.memory_free:
        raise FinetuneError(
            f"Training {metadata.path.stem} needs about {human_bytes(budget.memory_bytes)} of memory;"
            f" {human_bytes(budget.memory_free)} can be used.",
            _what_would_fit(budget, metadata, recipe),
        )
    if budget.disk_bytes > budget.disk_free:
        raise FinetuneError(
            f"Training {metadata.path.stem} needs about {human_bytes(budget.disk_bytes)} of disk;"
            f" {human_bytes(budget.disk_free)} are free.",
            "Free some space.",
        )


def _what_would_fit(budget: Budget, metadata: GgufMetadata, recipe: Recipe) -> str:
    fixed = _LIBRARIES + 1.1 * 4 * metadata.n_params
    if fixed > budget.memory_free:
        largest = max(0.0, (budget.memory_free - _LIBRARIES - 0.3e9) / 4.4)
        if largest < 50e6:
            return "Close other programs, or use a machine with more memory."
        return f"A model of up to {largest / 1e9:.1f} billion parameters would fit."
    per_example = max(1.0, (budget.memory_bytes - fixed) / recipe.batch_size)
    batch = int((budget.memory_free - fixed) / per_example)
    if batch >= 1:
        return f"--batch-size {batch} would fit."
    return f"--batch-size 1 --max-tokens {max(64, budget.longest // 2)} needs the least memory. Or choose a smaller model."


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
