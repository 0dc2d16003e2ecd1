"""Checkpoints that are whole or not there: written under a temporary name, hashed, the manifest last, then renamed.

Knows nothing of what is in them. After a `kill -9` or a power cut the newest whole one is found, and torn ones are removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

MANIFEST = "manifest.json"
KEPT = 2
_NAME = re.compile(r"step-(\d{8})")


def save(folder: Path, step: int, write: Callable[[Path], None]) -> Path:
    """Make the checkpoint of `step`; `write` puts its files into the folder it is given. Raises OSError.

    Of the older ones one stays, in case that the disk has lied.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    final = folder / f"step-{step:08d}"
    temporary = folder / f".{final.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(mode=0o700)
    try:
        write(temporary)
        files = {str(file.relative_to(temporary)): _hash(file) for file in _files(temporary)}
        for file in _files(temporary):
            _sync(file)
        manifest = temporary / MANIFEST
        manifest.write_text(json.dumps({"step": step, "files": files}))
        _sync(manifest)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        _sync(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in sorted(_whole(folder))[:-KEPT]:
        shutil.rmtree(folder / f"step-{old:08d}", ignore_errors=True)
    return final


def newest(folder: Path) -> tuple[int, Path] | None:
    """(step, folder) of the newest whole checkpoint; torn ones are removed. None: there is none."""
    for step in sorted(_whole(folder), reverse=True):
        path = folder / f"step-{step:08d}"
        if is_whole(path):
            return step, path
        shutil.rmtree(path, ignore_errors=True)
    return None


def clear(folder: Path) -> None:
    """Remove what a killed process left unfinished."""
    with contextlib.suppress(OSError):
        for path in folder.glob(".step-*"):
            shutil.rmtree(path, ignore_errors=True)


def is_whole(path: Path) -> bool:
    """Whether every file is there with the hash it was written with."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        return all(_hash(path / name) == digest for name, digest in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _whole(folder: Path) -> list[int]:
    try:
        return [int(m[1]) for path in folder.iterdir() if (m := _NAME.fullmatch(path.name))]
    except OSError:
        return []


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """To the disk; folders cannot be synchronised everywhere."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
