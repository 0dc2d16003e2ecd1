"""What trains: unsloth where it can be imported, else peft alone. Both get the same weights and the same adapters to train.

Runs in the training process. Offline and quiet by environment variables that must be set before anything is imported.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ragchat.errors import FinetuneError
from ragchat.finetune.recipe import Recipe
from ragchat.finetune.training.architectures import own_modules

Engine = Literal["unsloth", "peft"]

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DO_NOT_TRACK": "1",
    "UNSLOTH_DISABLE_STATISTICS": "1",
    "UNSLOTH_COMPILE_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "WANDB_DISABLED": "true",
    "ACCELERATE_DISABLE_RICH": "1",
}
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "unsloth", "unsloth_zoo")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model with fresh adapters. `reason` says why it is not unsloth, empty when it is."""

    model: Any
    engine: Engine
    reason: str
    trainable_params: int
    versions: dict[str, str] = field(default_factory=dict)


def be_quiet(*, threads: int) -> None:
    """Set the environment of this process; nothing of the extra may be imported before."""
    os.environ.update(QUIET)
    socket.has_ipv6 = (
        False  # urllib3, which transformers imports, would bind a socket to see whether there is IPv6
    )
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)


def prepare(weights: Path, recipe: Recipe, *, architecture: str, wanted: str, threads: int) -> Prepared:
    """Load the weights and put adapters to train beside them. Raises FinetuneError when the extra is missing.

    The adapters begin the same for the same seed and engine. float32 on a CPU, bfloat16 or float16 on a GPU.
    """
    reason = "you chose peft" if wanted == "peft" else ""
    if not reason and not (weights / "tokenizer.json").is_file():
        reason = "unsloth cannot use its tokenizer"
    if not reason:
        reason = _import_unsloth()
    if wanted == "unsloth" and reason:
        raise FinetuneError(f"unsloth cannot be used: {reason}.", "Use `--engine peft` instead.")
    try:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise FinetuneError(
            f"Training needs the finetune extra: {error.name} is not installed.",
            "Install it with `make finetune`.",
        ) from error
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    dtype = _dtype(torch)
    modules = list(own_modules(architecture, recipe.target_modules))
    if not reason:
        from unsloth import FastLanguageModel

        model, _ = FastLanguageModel.from_pretrained(
            str(weights), max_seq_length=recipe.max_tokens, dtype=dtype, load_in_4bit=False
        )
        torch.manual_seed(recipe.seed)
        model = FastLanguageModel.get_peft_model(
            model,
            r=recipe.lora_rank,
            lora_alpha=recipe.lora_alpha,
            lora_dropout=recipe.lora_dropout,
            target_modules=modules,
            bias="none",
            use_gradient_checkpointing=torch.cuda.is_available() and "unsloth",
            random_state=recipe.seed,
        )
    else:
        model = AutoModelForCausalLM.from_pretrained(str(weights), dtype=dtype)
        if torch.cuda.is_available():
            model = model.to("cuda")
        torch.manual_seed(recipe.seed)
        model = get_peft_model(
            model,
            LoraConfig(
                r=recipe.lora_rank,
                lora_alpha=recipe.lora_alpha,
                lora_dropout=recipe.lora_dropout,
                target_modules=modules,
                bias="none",
                task_type="CAUSAL_LM",
            ),
        )
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Prepared(model, "peft" if reason else "unsloth", reason, trainable, _versions())


def _import_unsloth() -> str:
    """Why unsloth cannot be used; empty: it can. It must come before transformers, which it changes."""
    try:
        import unsloth  # noqa: F401
    except ImportError as error:
        return f"it is not installed ({error.name or error})"
    except Exception as error:  # noqa: BLE001  it looks for hardware when it is imported
        return f"it does not run on this machine ({type(error).__name__}: {error})"
    return ""


def _dtype(torch: Any) -> Any:
    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _versions() -> dict[str, str]:
    from importlib import metadata

    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
