"""A GGUF file in another type of numbers, by llama.cpp, in a process of its own (`quantize_process`), since llama.cpp ends the
process on some inputs.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from ragchat.errors import CancelledError, FinetuneError, StorageError, UsageError
from ragchat.paths import PACKAGE, make_private_dir
from ragchat.types import CancelToken

TYPES = {
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q8_0": 7,
    "q5_0": 8,
    "q5_1": 9,
    "q3_k_m": 12,
    "q4_k_s": 14,
    "q4_k_m": 15,
    "q5_k_s": 16,
    "q5_k_m": 17,
    "q6_k": 18,
    "bf16": 32,
    "f32": 0,
}
"""Numbers of llama.cpp's `llama_ftype` by their names."""


def check_type(name: str) -> str:
    """The name in lower case. Raises UsageError."""
    if name.casefold() not in TYPES:
        raise UsageError(f"There is no quantisation called {name!r}.", f"Available: {', '.join(TYPES)}.")
    return name.casefold()


def quantize(
    source: Path, target: Path, type_name: str, log: Path, *, cancel: CancelToken | None = None
) -> None:
    """Write `source` as `target` in another type; whole or not at all. Raises UsageError, FinetuneError, StorageError,
    CancelledError.
    """
    number = TYPES[check_type(type_name)]
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    make_private_dir(log.parent)
    try:
        with open(log, "ab") as out:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "ragchat.llm.inference.quantize",
                    str(source),
                    str(temporary),
                    str(number),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), "PYTHONUTF8": "1"},
            )
            try:
                while process.poll() is None:
                    if cancel is not None and cancel.cancelled:
                        raise CancelledError("Stopped. No file was written.")
                    time.sleep(0.05)
            finally:  # Ctrl-C, too
                process.kill()
                process.wait()
        if process.returncode:
            raise FinetuneError(f"llama.cpp cannot write {target.name} as {type_name}.", f"The log is {log}.")
        temporary.replace(target)
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
