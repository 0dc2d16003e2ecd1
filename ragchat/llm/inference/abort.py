"""The flag that stops llama.cpp, and the error of what it refuses."""

from __future__ import annotations

import ctypes
import os

import llama_cpp as lib


class LlamaError(Exception):
    """`kind` as in `wire.Failed`."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class AbortFlag:
    """One byte that llama.cpp looks at between the nodes of its graph.

    The callback is libc's `strlen` on a buffer of two bytes: it returns 0 (go on) or 1 (stop) without ever taking Python's lock,
    which a Python callback would do some hundred times a token.
    """

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(2)
        libc = ctypes.CDLL("msvcrt") if os.name == "nt" else ctypes.CDLL(None)
        self.callback = ctypes.cast(libc.strlen, lib.ggml_abort_callback)
        self.data = ctypes.cast(self._buffer, ctypes.c_void_p)

    def set(self) -> None:
        """Ask for the end."""
        self._buffer[0] = b"\x01"

    def clear(self) -> None:
        """Take the request back."""
        self._buffer[0] = b"\x00"

    @property
    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._buffer[0] != b"\x00"
