"""The settings as they are now: read again when they change, so that an open chat takes them up."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ragchat import config
from ragchat.app.context import Context


class Preferences:
    """`context` is what everything is built from; it is replaced as a whole. Safe to read from any thread."""

    def __init__(self, context: Context) -> None:
        self.context = context

    @property
    def settings(self) -> config.Settings:
        """The settings that hold now."""
        return self.context.settings

    def all(self) -> list[config.Setting]:
        """Every setting with its value, read again from the file. Raises UsageError when the file is wrong."""
        self._take_up(lambda _: None)
        return list(config.describe(self.context.paths.settings_file, os.environ))

    def set(self, key: str, text: str) -> None:
        """Write one setting (`section.key`) into the file. Raises UsageError."""
        self._take_up(lambda file: config.set_value(file, key, text))

    def unset(self, key: str) -> None:
        """Put the default of a setting back. Raises UsageError."""
        self._take_up(lambda file: config.unset_value(file, key))

    def _take_up(self, change: Callable[[Path], object]) -> None:
        file = self.context.paths.settings_file
        change(file)
        self.context = replace(self.context, settings=config.load(file, os.environ))
