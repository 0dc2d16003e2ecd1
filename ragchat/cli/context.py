"""What every command gets: the folders and the settings. Built once, in the composition root."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from ragchat import config
from ragchat.paths import Paths
from ragchat.types import CancelToken, Span


@dataclass(frozen=True, slots=True)
class Context:
    """`ctx.obj` of every click command."""

    paths: Paths
    settings: config.Settings


_UNSAFE = re.compile(
    "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
pass_context = click.make_pass_decorator(Context)


def build() -> Context:
    """Folders from the environment, settings from file and environment. Raises UsageError."""
    paths = Paths.discover(os.environ)
    return Context(paths, config.load(paths.settings_file, os.environ))


def note(sentence: str) -> None:
    """A diagnostic for the person, on standard error; data goes to standard output."""
    click.echo(sentence, err=True)


def data(value: object, *, indent: int | None = None) -> None:
    """JSON on standard output."""
    click.echo(to_json(value, indent=indent))


def to_json(value: object, *, indent: int | None = None) -> str:
    """JSON for a terminal: what that would obey and JSON need not escape is escaped, so that nothing is cleaned away."""
    return _UNSAFE.sub(_escape, json.dumps(value, ensure_ascii=False, indent=indent))


def place_json(span: Span) -> dict[str, object]:
    """Where a passage stands, as all commands print it. `lines` are lines of the file, null where it has none."""
    return {
        "page": span.page_first,
        "page_last": span.page_last,
        "page_label": span.page_label or None,
        "lines": None if span.file_line_first is None else [span.file_line_first, span.file_line_last],
        "text_lines": [span.line_first, span.line_last],
        "part": span.part or None,
        "ocr_confidence": None if span.confidence is None else round(span.confidence, 3),
    }


def _escape(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1]


def interactive() -> bool:
    """Whether standard error is a terminal, so that progress may be drawn there."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


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
