"""Arguments and options that are paths: what can be no path is refused before a command begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ragchat.app.typed_paths import typed_path
from ragchat.paths import expanded


class TypedPath(click.Path):
    """Gives a `Path`, with the home folder in place of `~`. Raises UsageError as `typed_path`."""

    def __init__(self, *, dir_okay: bool = True, allow_dash: bool = False) -> None:
        super().__init__(dir_okay=dir_okay, allow_dash=allow_dash, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path with `~` and the like written out; a usage error when it cannot be one."""
        text = str(value)
        if not (self.allow_dash and text == "-"):
            typed_path(text)
        return Path(str(super().convert(expanded(text), param, ctx)))
