"""Paths as they are typed: understood, checked, and completed by Tab. Every front end reads a typed path here.

Looks at files and folders, but opens none.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from ragchat.errors import NotFoundError, RagchatError, UsageError
from ragchat.text import clean_line

_SHOWN = 120
"""Characters of a path that an error repeats."""


def suggested_name(path: Path) -> str:
    """A knowledge base's name made of a folder's: letters, digits, `-`, `_`, `.`."""
    folder = path if path.is_dir() else path.parent
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")[:64].lower() or "documents"


def typed_path(text: str) -> Path:
    """The absolute path that `text` means; `~` and `~name` are home folders. Nothing needs to exist there.

    Raises UsageError for what can be no path: empty, an unknown user, a name that is too long, characters that no path has.
    """
    shown = clean_line(text, limit=_SHOWN)
    if not text.strip():
        raise UsageError("The path is empty.", "Type the path of a file or folder.")
    try:
        path = Path(text).expanduser().absolute()
        os.lstat(path)
    except RuntimeError:
        user = clean_line(text.partition("/")[0], limit=_SHOWN)
        raise UsageError(
            f"There is no user for {user}.", f"For a file of that name, type ./{user}."
        ) from None
    except ValueError:  # NUL, or half of a surrogate pair
        raise UsageError(
            f"{shown} contains characters that a path cannot contain.", "Check the path."
        ) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(f"The path {shown} is too long.", "Check the path.") from None
        if not text.startswith(("/", "~")) and not _has_current_folder():
            raise UsageError(
                "The current folder no longer exists.", "Type a path that begins with / or ~."
            ) from None
    return path


def existing_path(text: str) -> Path:
    """The file or folder that `text` means. Raises UsageError as `typed_path`, NotFoundError when it cannot be reached."""
    path, shown = typed_path(text), clean_line(text, limit=_SHOWN)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{shown} does not exist.", "Check the path.") from None
    except OSError as error:
        raise NotFoundError(f"{shown} cannot be reached ({error.strerror}).", "Check the path.") from None
    if not os.access(path, os.R_OK):
        raise NotFoundError(f"You do not have permission to read {shown}.", "Check its permissions.")
    return path


def existing_file(text: str) -> Path:
    """The file that `text` means. Raises UsageError, NotFoundError as `existing_path`, UsageError for a folder."""
    path = existing_path(text)
    if stat.S_ISDIR(path.stat().st_mode):
        raise UsageError(f"{clean_line(text, limit=_SHOWN)} is a folder.", "Type the path of a file.")
    return path


def is_file(text: str) -> bool:
    """Whether `text` is the path of a file that you may read."""
    try:
        return existing_file(text).is_file()
    except RagchatError:
        return False


def _has_current_folder() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True


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
    except (OSError, RuntimeError, ValueError):  # ~nobody, a name that is too long, NUL
        return text, []
    if not found:
        return text, []
    common = os.path.commonprefix(found)  # noqa: RUF071 - characters, not path parts
    prefix = f"{folder}/" if folder or text.startswith("/") else ""
    return prefix + common, found[:40] if len(found) > 1 else []


def paths_from(begun: str) -> list[str]:
    """The files and folders, whole, that a path may continue to."""
    completed, names = complete_path(begun)
    folder = begun[: begun.rfind("/") + 1]
    return [folder + name for name in names] or ([completed] if completed != begun else [])
