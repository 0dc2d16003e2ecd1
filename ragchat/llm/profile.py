"""What was measured to be best per model and machine: threads, flash attention and more. Kept in the cache folder.

The inference process measures a little at the first load (`llm.inference.tuning`), `ragchat model tune` thoroughly
(`llm.tune`). A changed file, processor or llama.cpp measures again.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from ragchat.paths import write_atomically

_WHAT = 2
"""Changes with what is measured, so that a profile that lacks some of it is not used."""


class Profile(msgspec.Struct, frozen=True):
    """Choices for one model on this machine, with the rates that were measured (tokens per second).

    `n_batch` 0: as set. `lookup_costs`: tokens in a batch and its cost in single tokens; empty: not measured. `thorough`: by
    `model tune`. `busy`: other programs needed the processor then, so that it is measured again when they do not.
    """

    n_threads: int
    n_threads_batch: int
    flash_attention: bool
    prefill_tok_s: float
    decode_tok_s: float
    measured_at: str
    n_batch: int = 0
    kv_type: str = "f16"
    lookup_costs: tuple[tuple[int, float], ...] = ()
    thorough: bool = False
    busy: bool = False


def read(profiles_file: Path, model_path: Path) -> Profile | None:
    """The profile of a model, or None when there is none that fits this file and machine."""
    return _read_all(profiles_file).get(_key(model_path))


def write(profiles_file: Path, model_path: Path, profile: Profile) -> None:
    """Keep a profile. A cache that cannot be written is no error: it is measured again."""
    profiles = {**_read_all(profiles_file), _key(model_path): profile}
    try:
        write_atomically(profiles_file, msgspec.json.format(msgspec.json.encode(profiles), indent=1))
    except OSError:
        return


def is_busy() -> bool:
    """Whether programs use more than half of the processor now. Takes a fifth of a second."""
    import psutil

    return psutil.cpu_percent(0.2) > 50


def _read_all(profiles_file: Path) -> dict[str, Profile]:
    try:
        return msgspec.json.decode(profiles_file.read_bytes(), type=dict[str, Profile])
    except (OSError, msgspec.DecodeError):
        return {}


def _key(model_path: Path) -> str:
    try:
        stat = model_path.stat()
        file = f"{model_path.name}:{stat.st_size}:{stat.st_mtime_ns}"
    except OSError:
        file = model_path.name
    try:
        runtime = version("llama-cpp-python")
    except PackageNotFoundError:
        runtime = "?"
    return f"{_WHAT}:{file}:{platform.machine()}:{os.cpu_count()}:{runtime}"
