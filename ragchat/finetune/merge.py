"""A base and adapters made into one GGUF model: dequantised, changed and written as float16, some rows at a time.

Metadata is the base's, tokenizer and chat template included. What quantises the result further is `ragchat.llm.quantize`.
Mind that rounding back to a coarse type can undo what was learned; recall is to be measured on the result.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ragchat.errors import CancelledError, FinetuneError, StorageError
from ragchat.finetune.base_gguf import BaseGguf, dequantized, require_gguf
from ragchat.finetune.gguf_lora import Lora
from ragchat.llm.download import DISK_RESERVE
from ragchat.llm.quantize import check_type, quantize
from ragchat.text import human_bytes
from ragchat.types import CancelToken

Progress = Callable[[float], None]
"""Told the share that is done, 0 to 1."""

_NUMBERS_AT_ONCE = 1 << 24  # 64 MiB of float32
_NOT_COPIED = ("GGUF.", "general.architecture", "general.file_type", "general.name", "general.alignment")


def merged_size(base: BaseGguf) -> int:
    """Bytes of the merged float16 file, to within its padding."""
    return int(base.reader.data_offset) + sum(_bytes_of(base, name) for name in base.tensors)


def merge(
    base: BaseGguf,
    changes: Sequence[tuple[Lora, float]],
    target: Path,
    *,
    name: str,
    on_progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Write `base` with each adapter of `changes` (at its scale) to `target` as float16; norms and biases stay float32.

    `target` is whole or not there; one that exists is replaced. `name` becomes general.name. Holds some hundred MiB at most, or
    one tensor's adapter. Raises StorageError (no room), CancelledError, FinetuneError (numbers that float16 cannot hold),
    OSError.
    """
    check_room(target.parent, merged_size(base))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        _write_header(base, temporary, name)
        with open(temporary, "r+b") as file:
            file.seek(0, os.SEEK_END)
            _write_tensors(base, changes, file, on_progress, cancel)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def export_merged(
    base: BaseGguf,
    changes: Sequence[tuple[Lora, float]],
    target: Path,
    *,
    name: str,
    file_type: str,
    log: Path,
    on_progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """`merge`, and then quantised to `file_type` ("f16" needs nothing more; "q8_0", "q4_k_m" and so on).

    `log` takes what the quantising process says. The float16 file in between lies beside `target` and is removed.
    """
    if file_type.lower() == "f16":
        merge(base, changes, target, name=name, on_progress=on_progress, cancel=cancel)
        return
    check_type(file_type)
    whole = target.with_name(f".{target.name}.{os.getpid()}.f16.tmp")
    # At most as large as float16 again: what is not quantised stays as it is.
    check_room(target.parent, 2 * merged_size(base))
    try:
        merge(base, changes, whole, name=name, on_progress=on_progress, cancel=cancel)
        quantize(whole, target, file_type, log, cancel=cancel)
    finally:
        whole.unlink(missing_ok=True)


def check_room(folder: Path, needed: int) -> None:
    """Raise StorageError unless `folder`'s disk has `needed` bytes and a reserve."""
    free = shutil.disk_usage(folder).free
    if needed + DISK_RESERVE > free:
        raise StorageError(
            f"The disk of {folder} does not have enough space: {human_bytes(needed)} are needed, {human_bytes(free)} are free.",
            "Free some space or choose another folder.",
        )


def _write_header(base: BaseGguf, path: Path, name: str) -> None:
    """Everything before the tensors' data."""
    gguf = require_gguf()
    import numpy as np

    writer = gguf.GGUFWriter(path, base.architecture)
    if "general.alignment" in base.reader.fields:
        writer.add_custom_alignment(base.reader.alignment)
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    for field in base.reader.fields.values():
        if not field.name.startswith(_NOT_COPIED):
            kind, inner = field.types[0], field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), kind, inner)
    for tensor in base.tensors:
        dtype = np.dtype(np.float32 if _stays_float32(base, tensor) else np.float16)
        writer.add_tensor_info(tensor, base.shape(tensor), dtype, _bytes_of(base, tensor))
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()


def _write_tensors(
    base: BaseGguf,
    changes: Sequence[tuple[Lora, float]],
    file: BinaryIO,
    on_progress: Progress | None,
    cancel: CancelToken | None,
) -> None:
    import numpy as np

    total, done = sum(_bytes_of(base, name) for name in base.tensors), 0
    _pad(file, base.reader.alignment)
    for name in base.tensors:
        dtype = np.dtype("<f4" if _stays_float32(base, name) else "<f2")
        for rows in _changed_rows(base, name, changes):
            if cancel is not None and cancel.cancelled:
                raise CancelledError("Merging was stopped.")
            with np.errstate(over="ignore"):
                written = rows.astype(dtype)
            if not np.isfinite(written).all():
                raise FinetuneError(f"Numbers of {name} are too large for float16, so it cannot be merged.")
            file.write(written.tobytes())
            done += written.nbytes
            if on_progress is not None:
                on_progress(done / total)
        _pad(file, base.reader.alignment)


def _changed_rows(base: BaseGguf, name: str, changes: Sequence[tuple[Lora, float]]) -> Iterator[Any]:
    """The tensor as float32 with the changes added, so many rows at a time that memory stays bounded."""
    import numpy as np

    tensor, shape = base.tensors[name], base.shape(name)
    if len(shape) == 1:
        yield dequantized(tensor)
        return
    pairs = [
        (pair, np.float32(scale * lora.scale(pair)))
        for lora, scale in changes
        for pair in lora.pairs
        if pair.tensor == name
    ]
    step = max(1, _NUMBERS_AT_ONCE // int(np.prod(shape[1:])))
    for first in range(0, shape[0], step):
        rows = dequantized(tensor, slice(first, first + step))
        for pair, scale in pairs:
            rows = rows + scale * (pair.b[first : first + step] @ pair.a)
        yield rows


def _stays_float32(base: BaseGguf, name: str) -> bool:
    """As llama.cpp's converter has it: vectors (norms, biases, factors) are too small to save on."""
    return len(base.shape(name)) == 1


def _bytes_of(base: BaseGguf, name: str) -> int:
    return int(base.tensors[name].n_elements) * (4 if _stays_float32(base, name) else 2)


def _pad(file: BinaryIO, alignment: int) -> None:
    file.write(b"\0" * (-file.tell() % alignment))
