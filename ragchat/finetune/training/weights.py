"""From a GGUF file to weights that can be trained: dequantised once per file by transformers, kept in a cache.

Runs in the training process. The folder is made under another name and renamed when its manifest, the last file, is there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ragchat.errors import FinetuneError, StorageError
from ragchat.finetune.base_gguf import BaseGguf, check_architecture
from ragchat.finetune.training.architectures import check_complete, correct_config
from ragchat.text import human_bytes

DONE = "manifest.json"
VERSION = 1
"""Of what is in such a folder; another number means: make it again."""
_KEPT = 2
"""So many bases are kept; the one that was used longest ago goes first."""


def ready(cache: Path, sha256: str) -> Path | None:
    """The weights of the base of this hash, when they were made already."""
    folder = cache / sha256[:16]
    try:
        manifest = json.loads((folder / DONE).read_bytes())
    except (OSError, ValueError):
        return None
    return folder if manifest == {"version": VERSION, "sha256": sha256} else None


def make(base_path: Path, sha256: str, cache: Path, *, on_progress: Callable[[str, float], None]) -> Path:
    """The folder with `config.json`, `model.safetensors` (float32) and, where there is one, a tokenizer.

    About 15 s and 4 bytes per parameter for each base, the first time. Raises FinetuneError, ModelFileError, StorageError.
    """
    if folder := ready(cache, sha256):
        os.utime(folder)
        return folder
    base = BaseGguf(base_path)
    check_architecture(base)
    needed = 4 * int(base.summary.n_params)
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clear(cache, keep=_KEPT - 1)
        if (free := shutil.disk_usage(cache).free) < needed * 1.1:
            raise StorageError(
                f"The trainable weights of {base_path.name} need {human_bytes(needed)} in {cache}; {human_bytes(free)} are free."
            )
        temporary = cache / f".{sha256[:16]}.{os.getpid()}"
        try:
            temporary.mkdir(mode=0o700)
            _convert(base, temporary, on_progress)
            (temporary / DONE).write_text(json.dumps({"version": VERSION, "sha256": sha256}))
            final = cache / sha256[:16]
            shutil.rmtree(final, ignore_errors=True)
            temporary.rename(final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"The weights cannot be written to {cache}: {error.strerror or error}.") from error
    return final


def _convert(base: BaseGguf, folder: Path, on_progress: Callable[[str, float], None]) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    on_progress("reading the model", 0.1)
    where, name = str(base.path.parent), base.path.name
    config = AutoConfig.from_pretrained(where, gguf_file=name)
    correct_config(config, base)
    model, loaded = AutoModelForCausalLM.from_pretrained(
        where, config=config, gguf_file=name, dtype=torch.float32, output_loading_info=True
    )
    missing = set(loaded["missing_keys"]) - {"lm_head.weight"}
    if missing:
        raise FinetuneError(
            f"{name} lacks weights that its architecture has: {', '.join(sorted(missing)[:3])}."
        )
    check_complete(base, model.state_dict())
    on_progress("writing the weights", 0.6)
    _forget_gguf(model)
    model.save_pretrained(folder)
    on_progress("reading the tokenizer", 0.8)
    _write_tokenizer(base, folder)
    on_progress("ready", 1.0)


def _forget_gguf(model: Any) -> None:
    """transformers will not save what it believes to be quantised (facts of 5.17)."""
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _write_tokenizer(base: BaseGguf, folder: Path) -> None:
    """Only unsloth's loader asks for one: the tokens of a run come from llama.cpp. Without it, peft is used."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(base.path.parent), gguf_file=base.path.name)
        words = base.value("tokenizer.ggml.tokens", [])
        for kind, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown")):
            number = base.value(f"tokenizer.ggml.{key}_token_id")
            if number is not None and int(number) < len(words):
                setattr(tokenizer, f"{kind}_token", words[int(number)])
        tokenizer.save_pretrained(folder)
    except Exception as error:  # noqa: BLE001  whatever a foreign vocabulary brings about, it is only convenience
        (folder / "tokenizer.failed").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")


def _clear(cache: Path, *, keep: int) -> None:
    """Remove what a killed process left, and old bases beyond `keep`."""
    for path in cache.glob(".*"):
        shutil.rmtree(path, ignore_errors=True)
    folders = sorted((path for path in cache.iterdir() if path.is_dir()), key=lambda p: p.stat().st_mtime)
    for path in folders[: max(0, len(folders) - keep)]:
        shutil.rmtree(path, ignore_errors=True)
