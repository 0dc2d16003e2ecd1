"""Tidies the Markdown that kreuzberg writes. Runs in the extraction process."""

from __future__ import annotations

import re

from ragchat.text import clean

_LINK = re.compile(r"(!?)\[([^\[\]]{0,500})\]\((?:<[^<>]*>|[^()\s]*)(?:\s+\"[^\"]*\")?\)")
_PADDING = re.compile(r"(?<=\S)[ \t]{2,}|(?<=\|)[ \t]{2,}")
_RULER = re.compile(r"-{4,}")
_EMPTY_ITEM = re.compile(r"[ \t>]*+(?:[-*+]|\d{1,3}[.)])?[ \t]*$")
_MANY_BLANK = re.compile(r"\n{3,}")
_ESCAPED = re.compile(r"\\([_*#\[\]()<>~`|.!+&={}\"'-])")


def tidy(markdown: str) -> str:
    """Markdown without link targets, pictures, permalinks, padding and empty items, outside of code."""
    lines = []
    fence = ""
    for line in clean(markdown).split("\n"):
        bare = line.strip()
        opening = bare.lstrip("> ")[:3]
        if opening in ("```", "~~~") and fence in ("", opening):
            fence = "" if fence else opening
        elif not fence:
            line = _tidy_line(line)
            if bare and _EMPTY_ITEM.match(line):
                continue
        lines.append(line.rstrip())
    return _MANY_BLANK.sub("\n\n", "\n".join(lines)).strip("\n")


def _tidy_line(line: str) -> str:
    if "](" in line:
        line = _LINK.sub(lambda match: "" if match[1] else match[2], line)
    if "¶" in line:
        line = line.replace("¶", "")
    if line.lstrip().startswith("|"):
        line = _RULER.sub("---", _PADDING.sub(" ", line))
    if "\\" in line:
        line = _ESCAPED.sub(r"\1", line)
    return line
