"""How a run trains: every number of it, with defaults by mode and size of the model. All of it is recorded in the card."""

from __future__ import annotations

from typing import Literal

import msgspec

Mode = Literal["style", "task", "knowledge", "rag"]
MODES: tuple[Mode, ...] = ("style", "task", "knowledge", "rag")

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
EVERY_LINEAR = (*ATTENTION, "gate_proj", "up_proj", "down_proj")


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """Invariants: lora_rank, batch_size, epochs > 0; 0 <= warmup < 1. `max_steps` 0: as the epochs say.

    `patience` is how many held-out measurements without a better one end the run; 0 never ends it early. `max_tokens` is the
    longest example in tokens: longer ones are left out and counted.
    """

    mode: Mode
    lora_rank: int
    lora_alpha: int
    target_modules: tuple[str, ...]
    learning_rate: float
    epochs: float
    batch_size: int
    lora_dropout: float = 0.0
    warmup: float = 0.06
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    patience: int = 3
    measurements_per_epoch: float = 1.0
    max_tokens: int = 1024
    max_steps: int = 0
    seed: int = 3407
