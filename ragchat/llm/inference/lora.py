"""LoRA adapters of the loaded model, in the inference process: read once, then switched on and off in a few milliseconds.

Reading an adapter takes tens of milliseconds, putting it into a context a few; so what was read stays until the model goes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp as lib

Key = tuple[str, int, int]


class LoraError(Exception):
    """llama.cpp refuses an adapter; the message is a phrase."""


class Adapters:
    """Belongs to one model, and is closed before it is freed."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._read: dict[Key, Any] = {}

    def use(self, context: Any, wanted: Sequence[tuple[str, float]]) -> None:
        """Put these files with their scales into a context, in place of what is there. Raises LoraError, OSError."""
        pointers = [self._pointer(path) for path, _ in wanted]
        array = (lib.llama_adapter_lora_p_ctypes * max(1, len(pointers)))(*pointers)
        scales = (ctypes.c_float * max(1, len(wanted)))(*(scale for _, scale in wanted))
        if lib.llama_set_adapters_lora(context, array, len(pointers), scales):
            raise LoraError("llama.cpp cannot add it to the context")

    def close(self) -> None:
        """Free all of them."""
        for pointer in self._read.values():
            lib.llama_adapter_lora_free(pointer)
        self._read.clear()

    def _pointer(self, path: str) -> Any:
        status = Path(path).stat()  # llama.cpp says nothing of a file that is missing
        key = (path, status.st_size, status.st_mtime_ns)
        if key not in self._read:
            pointer = lib.llama_adapter_lora_init(self._model, path.encode())
            if not pointer:
                raise LoraError("llama.cpp cannot load it for this model (see inference.log)")
            self._read[key] = pointer
        return self._read[key]
