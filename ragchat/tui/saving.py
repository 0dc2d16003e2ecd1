"""Saving a text to a file of the person's choice: the name is asked for, nothing is written over unasked, a thread writes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from textual.app import App

from ragchat.text import clean_line
from ragchat.tui.screens.ask_line import AskLine
from ragchat.tui.screens.confirm import Confirm


def save_text(app: App[Any], text: str, what: str, name: str) -> None:
    """Ask for a file name, beginning with `name`, and write the text there. `what` is "the prompt"."""
    folder = Path.cwd()

    def named(answer: str | None) -> None:
        if answer:
            _in_thread(app, folder / Path(answer).expanduser(), text, replace=False)

    title = f"Save {what} as, in {clean_line(str(folder), limit=60)}"
    app.push_screen(AskLine(title, _free(folder, name)), named)


def _free(folder: Path, name: str) -> str:
    """`name`, or with the first number at its end that makes it new."""
    stem, suffix = Path(name).stem, Path(name).suffix
    names = (f"{stem}{f'-{n}' if n > 1 else ''}{suffix}" for n in range(1, 1000))
    return next((free for free in names if not (folder / free).exists()), name)


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
    app.push_screen(
        Confirm(f"{name} exists already.", "What is in it would be gone.", "Replace it"), answered
    )
