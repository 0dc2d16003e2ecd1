"""Opening a file at a line in your own editor. No shell is involved; which editor takes which arguments is here."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePath

from ragchat.errors import NotFoundError, RagchatError

FALLBACKS = ("editor", "nano", "vim", "nvim", "vi", "micro", "hx", "emacs", "notepad")
_COLON = {"hx", "helix", "subl", "zed", "lapce"}
_PLUS = {
    *(
        "vi",
        "vim",
        "nvim",
        "view",
        "vimx",
        "elvis",
        "nano",
        "pico",
        "emacs",
        "emacsclient",
        "micro",
        "kak",
        "joe",
        "ne",
    ),
    *("mg", "jed", "jove", "gvim", "mvim", "gedit", "less", "editor", "kate", "mcedit"),
}
_GOTO = {"code", "code-insiders", "codium", "vscodium", "cursor", "windsurf"}


def choose_editor(setting: str, environment: Mapping[str, str]) -> list[str]:
    """The editor's command: the setting, $VISUAL, $EDITOR, or the first of the usual ones. Raises RagchatError."""
    for candidate in (setting, environment.get("VISUAL", ""), environment.get("EDITOR", "")):
        if candidate.strip():
            try:
                command = shlex.split(candidate)
            except ValueError as error:
                raise RagchatError(f"The editor {candidate!r} cannot be understood: {error}.") from error
            if shutil.which(command[0]) is None:
                raise NotFoundError(
                    f"The editor {command[0]!r} is not installed.",
                    "Set $EDITOR or the setting ui.editor.",
                )
            return command
    for name in FALLBACKS:
        if shutil.which(name):
            return [name]
    raise NotFoundError("No editor is installed.", "Set $EDITOR or the setting ui.editor.")


def editor_command(editor: Sequence[str], path: Path, line: int) -> list[str]:
    """The whole command that opens `path` at `line`; an editor that is not known gets the path alone."""
    name, file = PurePath(editor[0]).stem, str(path.absolute())
    if name in _GOTO:
        waiting = [] if "--wait" in editor or "-w" in editor else ["--wait"]
        return [*editor, *waiting, "--goto", f"{file}:{line}"]
    if name in _COLON:
        return [*editor, f"{file}:{line}"]
    if name in _PLUS:
        return [*editor, f"+{line}", file]
    return [*editor, file]


def run_editor(
    setting: str,
    environment: Mapping[str, str],
    path: Path,
    *,
    line: int,
    suspend: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> None:
    """Give the terminal to the editor until it ends. Raises RagchatError."""
    command = editor_command(choose_editor(setting, environment), path, line)
    with suspend():
        try:
            code = subprocess.run(command, check=False).returncode
        except OSError as error:
            raise RagchatError(f"{command[0]} could not be started: {error.strerror}.") from error
    if code:
        raise RagchatError(f"{command[0]} ended with code {code}.")
