"""SHA-256 of large files, remembered by path, size and time of the last change."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from ragchat.errors import ModelFileError
from ragchat.paths import write_atomically

_PIECE = 8 * 1024 * 1024


def sha256_of(
    path: Path, cache: Path | None = None, *, on_progress: Callable[[float], None] = lambda _: None
) -> str:
    """Hexadecimal. About 1 s for 500 MB; with `cache` (a JSON file) only once per file. Raises ModelFileError."""
    try:
        path = path.resolve()
        status = path.stat()
        key = f"{path}:{status.st_size}:{status.st_mtime_ns}"
        known = _read(cache)
        if key in known:
            return known[key]
        digest, done = hashlib.sha256(), 0
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                done += len(piece)
                on_progress(done / max(1, status.st_size))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    if cache is not None:
        others = {k: v for k, v in known.items() if not k.startswith(f"{path}:")}
        with contextlib.suppress(OSError):  # without it, it is only slower the next time
            write_atomically(cache, msgspec.json.encode({**others, key: digest.hexdigest()}))
    return digest.hexdigest()


def _read(cache: Path | None) -> dict[str, str]:
    if cache is None:
        return {}
    try:
        return msgspec.json.decode(cache.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return {}
