"""Records of data (objects of JSON, elements of XML): lines that are under one heading, which is the record's name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ragchat.ingest.reading.builder import DocumentBuilder

_DEEPEST_PATH = 6
_LONGEST_NAME = 120
_NAMES = ("title", "name", "label", "heading", "subject", "question", "caption", "display_name", "full_name")
_IDS = ("id", "key", "code", "slug", "uid", "_id")
RANK_OF_IDS = 20
"""Ranks below it are those of names."""
_ENCODED = re.compile(r"(?:data:[\w/+.;=-]{0,100},)?[A-Za-z0-9+/_=\s-]{800,}+$")
"""Pictures and the like in base64."""


@dataclass(slots=True)
class Record:
    """Lines, each with its line in the file. `number` counts it among its like; 0: it is named by `path` alone.

    Its name is settled when the first of its lines are written.
    """

    path: tuple[str, ...]
    number: int = 0
    name: str = ""
    rank: int = 99
    is_settled: bool = False
    lines: list[tuple[str, int]] = field(default_factory=list)

    def consider(self, key: str, value: str) -> None:
        """Take the value for the record's name if its key, dotted, says so; the best key wins."""
        if self.is_settled or not value or len(value) > _LONGEST_NAME or "\n" in value:
            return
        prefix, _, last = key.rpartition(".")
        rank = rank_of(last.lower()) + 5 * (prefix != "") + 50 * prefix.count(".")
        if rank < min(self.rank, 40):
            self.rank, self.name = rank, value

    @property
    def heading(self) -> tuple[str, ...]:
        """Where it stands, its own name last."""
        self.is_settled = True
        name = self.name or (str(self.number) if self.number else "")
        return (*self.path, name) if self.number and len(self.path) < _DEEPEST_PATH else self.path

    def inside(self, key: str) -> tuple[str, ...]:
        """The path of what is in it under this key."""
        path = self.heading if self.number else self.path
        return (*path, key) if key and len(path) < _DEEPEST_PATH - 1 and path[-1:] != (key,) else path

    def write(self, text: str, line: int) -> None:
        """Add a value, which may have line breaks."""
        if "\n" in text:
            self.lines += [(part, line) for part in text.split("\n")]
        else:
            self.lines.append((text, line))

    def flush(self, builder: DocumentBuilder) -> None:
        """Write the lines so far under its heading."""
        if self.lines:
            builder.section(self.heading)
            builder.lines(self.lines)
            self.lines = []


def rank_of(key: str) -> int:
    """How well a key, in lower case, names what it is in; the lower the better."""
    if key in _NAMES:
        return _NAMES.index(key)
    if key in _IDS:
        return RANK_OF_IDS
    return 10 if key.endswith(("name", "title")) else 99


def is_encoded(value: str) -> bool:
    """Whether a value is no text but a file in base64."""
    return len(value) > 800 and " " not in value[:70] and bool(_ENCODED.match(value))
