"""The folders and the settings that everything is built from, and how the first Ctrl-C asks work to end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ragchat import config
from ragchat.paths import Paths
from ragchat.types import CancelToken


@dataclass(frozen=True, slots=True)
class Context:
    """Where files are and how ragchat is set up. `ctx.obj` of every click command."""

    paths: Paths
    settings: config.Settings


def discover() -> Context:
    """Folders from the environment, settings from file and environment. Raises UsageError."""
    paths = Paths.discover(os.environ)
    return Context(paths, config.load(paths.settings_file, os.environ))


@contextmanager
def cancel_on_interrupt() -> Iterator[CancelToken]:
    """A token that the first Ctrl-C sets, so that what is done is kept; the second interrupts at once."""
    cancel = CancelToken()

    def handle(*_: object) -> None:
        if cancel.cancelled:
            raise KeyboardInterrupt
        cancel.cancel()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)
