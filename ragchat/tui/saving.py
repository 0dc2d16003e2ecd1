"""Saving a text to a file of the user's choice: the name is asked for, nothing is written over unasked, a thread writes."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from textual.app import App

from ragchat.app.typed_paths import typed_path
from ragchat.errors import RagchatError
from ragchat.text import clean_line
from ragchat.tui.screens.ask_line import AskLine
from ragchat.tui.screens.confirm import Confirm


def save_text(app: App[Any], text: str, what: str, name: str) -> None:
    """Ask for a file name, beginning with `name`, and write the text there. `what` is "the prompt"."""
    folder = _current_folder()

    def named(answer: str | None) -> None:
        if answer and (path := _target(app, folder, answer)):
            _in_thread(app, path, text, replace=False)

    title = f"Save {what} as, in {clean_line(str(folder), limit=60)}"
    app.push_screen(AskLine(title, free_name(folder, name), limit=0), named)


def _current_folder() -> Path:
    """Where a file goes whose name is typed; your home, if the current folder was deleted."""
    try:
        return Path.cwd()
    except OSError:
        return Path.home()


def _target(app: App[Any], folder: Path, name: str) -> Path | None:
    """The path that a typed name means in `folder`, or None, after a notice has said why."""
    try:
        return typed_path(name if name.startswith("~") else str(folder / name))
    except RagchatError as error:
        app.notify(f"Not saved. {error} {error.remedy}".strip(), severity="error", markup=False)
        return None


def free_name(folder: Path, name: str) -> str:
    """`name`, or with the first number at its end that makes it new."""
    stem, suffix = Path(name).stem, Path(name).suffix
    names = (f"{stem}{f'-{n}' if n > 1 else ''}{suffix}" for n in range(1, 1000))
    return next((free for free in names if not os.path.lexists(folder / free)), name)


def _in_thread(app: App[Any], path: Path, text: str, *, replace: bool) -> None:
    app.run_worker(
        partial(_write, app, path, text, replace=replace),
        thread=True,
        exit_on_error=False,
        group="save",
        description="save a text",
    )


def _write(app: App[Any], path: Path, text: str, *, replace: bool) -> None:
    try:
        with path.open("w" if replace else "x", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except FileExistsError:
        app.call_from_thread(_ask_to_replace, app, path, text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        app.notify(f"Not saved to {clean_line(str(path))}: {reason}.", severity="error", markup=False)
    else:
        app.notify(f"Saved to {clean_line(str(path))}.", timeout=4, markup=False)


def _ask_to_replace(app: App[Any], path: Path, text: str) -> None:
    def answered(yes: bool | None) -> None:
        if yes:
            _in_thread(app, path, text, replace=True)

    name = clean_line(path.name, limit=40)
    app.push_screen(Confirm(f"{name} already exists.", "This replaces its contents.", "Replace it"), answered)
