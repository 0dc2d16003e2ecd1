"""What commands print with: diagnostics on standard error, data as JSON on standard output."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys

import click

from ragchat.app.context import Context
from ragchat.errors import RagchatError
from ragchat.types import Span

_UNSAFE = re.compile(
    "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
pass_context = click.make_pass_decorator(Context)


def note(sentence: str) -> None:
    """A diagnostic for the user, on standard error; data goes to standard output."""
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


def remind_of_verdict(context: Context) -> None:
    """After a sync or a training: say when the newest verdict no longer holds, and how to look. Raises nothing."""
    if not context.paths.evaluation_runs_dir.is_dir():
        return  # nothing was ever measured, so nothing is imported for it
    from ragchat.app.evaluations import newest, verdict_stale

    with contextlib.suppress(RagchatError, OSError):
        if newest(context) and (changed := verdict_stale(context)):
            note(
                f"Your verdict is out of date. Changed since: {'; '.join(changed)}. `ragchat eval watch` checks a sample."
            )
