"""Where a passage has signs of Markdown, so that headings and code look like it and the signs are not shown.

It reads line by line and knows no blocks: a passage is a piece of a document, and may begin anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from textual.content import Content

from ragchat.ingest.formats import kind_of, structure_of
from ragchat.tui.lines import INLINE_CODE

_HEADING = re.compile(r"^(#{1,6}[ \t]+)(\S.*?)([ \t]+#+)?[ \t]*$", re.MULTILINE)
_CODE = re.compile(r"(?<![`\\])(`{1,2})(?!`)([^`\n]+?)\1(?!`)")
_BOLD = re.compile(r"(\*\*)(?=\S)([^*\n]+?)(?<=\S)\1")
_KINDS = {"heading": _HEADING, "code": _CODE, "bold": _BOLD}
_STYLES = {"heading": "bold", "code": INLINE_CODE, "bold": "bold"}


class Mark(NamedTuple):
    """Characters from `first` to `last`, exclusive. `kind`: heading, code or bold; empty: a sign, which is not shown."""

    first: int
    last: int
    kind: str


def is_markdown(path: str) -> bool:
    """Whether the text of this file is read as Markdown; in code and plain text `#` and backticks are what they are."""
    kind = kind_of(path)
    return kind is not None and structure_of(kind.media_type) == "markdown"


def marks(text: str) -> Iterator[Mark]:
    """What is a heading, code or bold in `text`, and the signs that say so. Signs that belong to nothing are text."""
    for kind, pattern in _KINDS.items():
        for match in pattern.finditer(text):
            first, last = match.span(2)
            yield Mark(first, last, kind)
            yield from (Mark(a, b, "") for a, b in ((match.start(), first), (last, match.end())) if a < b)


def unmarked(content: Content) -> Content:
    """A text without the signs, its styles kept."""
    found = list(marks(content.plain))
    for first, last, kind in found:
        if kind:
            content = content.stylize(_STYLES[kind], first, last)
    pieces, at = [], 0
    for first, last, _ in sorted(mark for mark in found if not mark.kind):
        if first >= at:
            pieces.append(content[at:first])
        at = max(at, last)
    return Content("").join([*pieces, content[at:]]) if at else content
