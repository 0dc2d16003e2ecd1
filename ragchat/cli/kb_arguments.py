"""What arguments of `ragchat kb` have in common."""

from __future__ import annotations

from typing import Any

import click

from ragchat.errors import UsageError
from ragchat.text import clean_line


def readable(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """A click callback: texts and paths as they are. Raises UsageError for bytes that are no text, which nothing can store."""
    for part in value if isinstance(value, tuple) else (value,):
        try:
            str(part).encode()
        except UnicodeEncodeError:
            raise UsageError(f"{clean_line(str(part))!r} is not readable text.", "Rename it.") from None
    return value
