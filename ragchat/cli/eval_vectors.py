"""How far `ragchat eval` is with embedding what its questions find, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ragchat.cli.context import interactive, note
from ragchat.text import counted, human_seconds

if TYPE_CHECKING:
    from ragchat.evaluation.vectors import Prepared

_EVERY = 50
_WIDTH = 78


def line(step: Prepared) -> str:
    """How far it is, for the user."""
    left = f", {human_seconds(step.eta_s)} left" if step.eta_s is not None else ""
    return f"Embedding what they find: {step.done} of {counted(step.total, 'question')}{left}"


@contextmanager
def shown() -> Iterator[Callable[[Prepared], None]]:
    """Says on standard error how far it is: a line that changes, or one for every so many questions."""
    live, began = interactive(), False

    def say(step: Prepared) -> None:
        nonlocal began
        if live:
            began = True
            click.echo(f"\r{line(step)}".ljust(_WIDTH), nl=False, err=True)
        elif step.done % _EVERY == 0:
            note(line(step))

    try:
        yield say
    finally:
        if began:
            click.echo(err=True)
