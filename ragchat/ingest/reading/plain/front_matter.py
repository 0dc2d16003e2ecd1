"""The title that the head of a Markdown file names: YAML, TOML, JSON, or the lines of MultiMarkdown and Pandoc."""

from __future__ import annotations

import json
import re

from ragchat.ingest.wire import LONGEST_TITLE
from ragchat.text import clean_line

_WITHIN = 20_000
"""Characters of the file."""
_YAML = re.compile(r"(?:---|\.\.\.)[ \t]*$")
_KEY = re.compile(r"[\"']?title[\"']?[ \t]*+[:=][ \t]*+(.*)$", re.IGNORECASE)
_META = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,40}:(?:[ \t]|$)")
_BLOCK = re.compile(r"[|>][-+0-9]{0,2}$")
_COMMENT = re.compile(r"[ \t]#.*$")
_QUOTED = re.compile(r"\"((?:[^\"\\]++|\\.)*+)\"|'((?:[^']|'')*+)'")


def front_matter_title(text: str) -> str:
    """The title in the front matter of a Markdown text; '' where it has none."""
    head = text[:_WITHIN].lstrip("\ufeff")
    if head.startswith("{"):
        return _json_title(head)
    lines = head.split("\n")
    first = lines[0].rstrip()
    if first == "---":
        return _title(_until(lines[1:], _YAML))
    if first == "+++":
        return _title(_until(lines[1:], re.compile(r"\+\+\+[ \t]*$")))
    if first.startswith("% "):  # Pandoc
        return _line(first[2:])
    return _title(_until(lines, re.compile(r"[ \t]*$"))) if _META.match(first) else ""


def _until(lines: list[str], end: re.Pattern[str]) -> list[str]:
    """The lines before the first that matches; none without it, as then there is no front matter."""
    for number, line in enumerate(lines):
        if end.match(line):
            return lines[:number]
    return []


def _json_title(head: str) -> str:
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(head)
    except (ValueError, RecursionError):
        return ""
    title = (
        next((value[key] for key in value if str(key).lower() == "title"), "")
        if isinstance(value, dict)
        else ""
    )
    return _line(title) if isinstance(title, str) else ""


def _title(lines: list[str]) -> str:
    """The value of the key `title` that is at the margin, with what is indented below it."""
    for number, line in enumerate(lines):
        if found := _KEY.match(line):
            value = found[1].strip()
            below = []
            for following in lines[number + 1 :]:
                if not following.startswith((" ", "\t")):
                    break
                below.append(following.strip())
            return _scalar(value, below)
    return ""


def _scalar(value: str, below: list[str]) -> str:
    if _BLOCK.match(value):
        return _line(" ".join(below))
    if value.startswith(("{", "[", "&", "*")):
        return ""
    whole = " ".join([value, *below]).strip().removeprefix('""').removesuffix('""')
    if quoted := _QUOTED.match(whole):
        if quoted[1] is None:
            return _line((quoted[2] or "").replace("''", "'"))
        try:
            return _line(str(json.loads(f'"{quoted[1]}"', strict=False)))
        except ValueError:
            return _line(quoted[1].replace("\\", ""))
    return _line(_COMMENT.sub("", whole))


def _line(title: str) -> str:
    return clean_line(title, limit=LONGEST_TITLE)
