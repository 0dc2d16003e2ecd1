"""Files of questions: one {"id", "question"} a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ragchat.errors import UsageError


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A question of a batch; `id` is any JSON value, by default the number of its line."""

    id: Any
    question: str


def read_batch(path: str) -> Iterator[BatchRow]:
    """The questions of a file, in its order. Raises UsageError naming the line, before anything is asked."""
    rows = []
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().split("\n")  # not splitlines: JSON holds U+2028 and its like as they are
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            question = row["question"]
        except (ValueError, TypeError, KeyError):
            question = None
        if not isinstance(question, str) or not question.strip():
            raise UsageError(f'{path}, line {number}: expected {{"id": …, "question": "…"}}.')
        rows.append(BatchRow(row.get("id", number), question))
    yield from rows
