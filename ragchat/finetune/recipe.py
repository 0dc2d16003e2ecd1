"""How a run trains: every number of it, with defaults by mode and size of the model. All of it is recorded in the card."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from ragchat.errors import UsageError

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
    rehearsal: float = 1.0
    """Weight of holding on to what the base says to general questions; 0 leaves it out, and saves a third of
    the time."""
    rehearsal_batch: int = 1
    seed: int = 3407


_DEFAULTS: dict[Mode, dict[str, Any]] = {
    # Form needs little: attention alone, few epochs, and the held-out loss says when it is enough.
    "style": {"lora_rank": 8, "target_modules": ATTENTION, "epochs": 3.0, "learning_rate": 2e-4},
    "task": {"lora_rank": 16, "target_modules": EVERY_LINEAR, "epochs": 4.0, "learning_rate": 2e-4},
    # Facts are learned by repetition, and facts that are held out cannot be learned, so nothing ends it early.
    "knowledge": {
        "lora_rank": 16,
        "target_modules": EVERY_LINEAR,
        "epochs": 8.0,
        "learning_rate": 4e-4,
        "patience": 0,
        "measurements_per_epoch": 0.5,
    },
    "rag": {
        "lora_rank": 16,
        "target_modules": EVERY_LINEAR,
        "epochs": 2.0,
        "learning_rate": 2e-4,
        "measurements_per_epoch": 2.0,
    },
}
_REFERENCE = 135e6
"""Parameters of the model on which the learning rates were tried; larger ones get less, by the fourth root."""


def default_recipe(mode: Mode, n_params: int) -> Recipe:
    """What is sensible for a mode and a model of this size."""
    chosen = _DEFAULTS[mode]
    scale = min(1.0, (_REFERENCE / max(n_params, 1)) ** 0.25)
    rate = float(f"{chosen['learning_rate'] * scale:.2g}")
    large = n_params > 1e9
    return Recipe(
        mode=mode,
        lora_alpha=2 * chosen["lora_rank"],
        batch_size=4 if mode == "rag" or large else 8,
        **{**chosen, "learning_rate": rate},
    )


def changed(recipe: Recipe, **changes: Any) -> Recipe:
    """With those that are not None. Another rank takes alpha along, unless that is given. Raises UsageError."""
    given = {name: value for name, value in changes.items() if value is not None}
    if "lora_rank" in given and "lora_alpha" not in given:
        given["lora_alpha"] = 2 * given["lora_rank"]
    new = msgspec.structs.replace(recipe, **given)
    for name in ("lora_rank", "lora_alpha", "batch_size", "epochs", "max_tokens", "learning_rate"):
        if getattr(new, name) <= 0:
            raise UsageError(f"{name} must be above 0.")
    if not math.isfinite(new.learning_rate) or new.learning_rate > 0.01:
        raise UsageError(
            f"A learning rate of {new.learning_rate:g} destroys the model. Usual values are 1e-5 to 1e-3."
        )
    if not 0 <= new.warmup < 1 or not 0 <= new.lora_dropout < 1:
        raise UsageError("Warm-up and dropout must be at least 0 and below 1.")
    unknown = set(new.target_modules) - set(EVERY_LINEAR)
    if unknown or not new.target_modules:
        raise UsageError(
            f"There is no module {', '.join(sorted(unknown)) or '(none given)'}.",
            f"Modules that can be trained: {', '.join(EVERY_LINEAR)}.",
        )
    return new
