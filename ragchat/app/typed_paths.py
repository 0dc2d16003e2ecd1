"""Paths as they are typed: completed by Tab, and a name for a knowledge base made of one. Looks at folders, opens no file."""

from __future__ import annotations

import os
import re
from pathlib import Path


def suggested_name(path: Path) -> str:
    """A knowledge base's name made of a folder's: letters, digits, `-`, `_`, `.`."""
    folder = path if path.is_dir() else path.parent
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")[:64].lower() or "documents"


def typed_path(text: str) -> Path:
    """The path that a person means; `~` is their home."""
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:  # ~nobody
        return Path(text).absolute()


def complete_path(text: str) -> tuple[str, list[str]]:
    """The path as far as it is certain, and what may come next when it is not."""
    folder, _, begun = text.rpartition("/")
    try:
        base = Path(f"{folder}/" if folder or text.startswith("/") else ".").expanduser()
        with os.scandir(base) as entries:
            found = sorted(
                entry.name + ("/" if entry.is_dir() else "")
                for entry in entries
                if entry.name.startswith(begun) and (begun.startswith(".") or not entry.name.startswith("."))
            )
    except (OSError, RuntimeError):  # ~nobody
        return text, []
    if not found:
        return text, []
    common = os.path.commonprefix(found)  # noqa: RUF071 - characters, not path parts
    prefix = f"{folder}/" if folder or text.startswith("/") else ""
    return prefix + common, found[:40] if len(found) > 1 else []


def paths_from(begun: str) -> list[str]:
    """The files and folders, whole, that a path may go on to."""
    completed, names = complete_path(begun)
    folder = begun[: begun.rfind("/") + 1]
    return [folder + name for name in names] or ([completed] if completed != begun else [])
