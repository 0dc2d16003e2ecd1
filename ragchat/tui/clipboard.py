"""Copying: the system's own tool, else the terminal (OSC 52), else a file; and it says which. Never waits on the screen's thread.

Tools like wl-copy and xclip stay behind as the owners of the clipboard, so their pipes are never waited for, and what they
complain about must not reach the screen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from ragchat.text import clean

if TYPE_CHECKING:
    from textual.app import App

PATIENCE_S = 2.0
LONGEST_OSC52 = 74_994
"""Bytes of text; many terminals drop longer sequences (100,000 characters in base64)."""
_MUTE_TERMINALS = ("", "dumb", "linux", "vt100", "vt220")
_TOOLS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("WAYLAND_DISPLAY", ("wl-copy",)),
    ("DISPLAY", ("xclip", "-selection", "clipboard")),
    ("DISPLAY", ("xsel", "--clipboard", "--input")),
    ("TERMUX_VERSION", ("termux-clipboard-set",)),
    ("WSL_DISTRO_NAME", ("clip.exe",)),
)


def find_tool(environment: Mapping[str, str], platform: str = sys.platform) -> tuple[str, ...]:
    """The command that takes text for the clipboard of this machine; empty: there is none, or the user sits elsewhere."""
    if environment.get("SSH_TTY") or environment.get("SSH_CONNECTION"):
        return ()
    path = environment.get("PATH")
    named = {"darwin": ("pbcopy",), "win32": ("clip.exe",)}.get(platform)
    if named:
        return named if shutil.which(named[0], path=path) else ()
    return next(
        (
            command
            for name, command in _TOOLS
            if environment.get(name) and shutil.which(command[0], path=path)
        ),
        (),
    )


def run_tool(command: tuple[str, ...], text: str, environment: Mapping[str, str]) -> bool:
    """Give it the text; whether it took it."""
    try:
        done = subprocess.run(
            command,
            input=text.encode("utf-16-le" if command[0] == "clip.exe" else "utf-8"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            timeout=PATIENCE_S,
            start_new_session=True,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def takes_osc52(text: str, environment: Mapping[str, str]) -> bool:
    """Whether it is worth sending the text to the terminal; whether it arrives, no one can know."""
    return environment.get("TERM", "") not in _MUTE_TERMINALS and len(text.encode()) <= LONGEST_OSC52


def write_file(text: str, folder: Path | None = None) -> Path:
    """Keep the text in a new file that only its owner may read. Raises OSError."""
    with NamedTemporaryFile(
        "w", encoding="utf-8", prefix="ragchat-copied-", suffix=".txt", dir=folder, delete=False
    ) as file:
        file.write(text)
    return Path(file.name)


def copy(app: App[Any], text: str, what: str = "", *, environment: Mapping[str, str] = os.environ) -> None:
    """Copy `text`; a notification says how it went. `what` ("The address") begins its sentence.

    Call it on the screen's thread; it returns at once.
    """
    app.run_worker(
        partial(_copy, app, clean(text), what, dict(environment)),
        thread=True,
        exit_on_error=False,
        group="clipboard",
        description="copy",
    )


def _copy(app: App[Any], text: str, what: str, environment: Mapping[str, str]) -> None:
    command = () if app.is_headless else find_tool(environment)
    if command and run_tool(command, text, environment):
        app.call_from_thread(setattr, app, "_clipboard", text)  # for pasting inside ragchat
        _say(app, what, f"Copied with {Path(command[0]).stem}.")
    elif app.is_headless or takes_osc52(text, environment):
        app.call_from_thread(app.copy_to_clipboard, text)
        _say(app, what, f"Sent to the terminal (OSC 52). If it does not arrive, {_reason(environment)}", 5)
    else:
        try:
            sentence = f"There is no clipboard here. Written to {write_file(text)}."
        except OSError as error:
            sentence = (
                f"Not copied. There is no clipboard here, and the file cannot be written ({error.strerror})."
            )
        _say(app, what, sentence, 10)


def _reason(environment: Mapping[str, str]) -> str:
    if environment.get("TMUX"):
        return "tmux needs “set -g set-clipboard on”."
    return "the terminal does not allow it."


def _say(app: App[Any], what: str, sentence: str, timeout: float = 2.5) -> None:
    said = f"{what}: {sentence[0].lower()}{sentence[1:]}" if what else sentence
    app.notify(said, timeout=timeout, markup=False)
