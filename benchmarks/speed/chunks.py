"""The corpus as every engine gets it (made by `benchmarks/corpus.py`), streamed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Chunk:
    """`row` is its line in chunks.jsonl, from 0: what all engines return, so that their answers compare."""

    row: int
    document: int
    title: str
    path: str
    text: str

    @property
    def searched(self) -> str:
        """What the peers index; ragchat indexes title and file name as fields beside the text."""
        return f"{self.title}\n{self.text}"


def read_chunks(corpus: Path, count: int) -> Iterator[Chunk]:
    """The first `count` chunks."""
    with (corpus / "chunks.jsonl").open("rb") as lines:
        for row, line in enumerate(islice(lines, count)):
            yield Chunk(row, **json.loads(line))


def documents(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """The chunks of one document after another."""
    for _, group in groupby(chunks, key=lambda chunk: chunk.document):
        yield list(group)


def read_questions(corpus: Path, count: int) -> list[str]:
    return (corpus / "questions.txt").read_text(encoding="utf-8").splitlines()[:count]


def new_documents(chunks: Sequence[Chunk], first_row: int, count: int) -> Iterator[Chunk]:
    """One-chunk documents that are in no index yet: half of one chunk and half of another, real text all the same."""
    draw = random.Random(3)
    for i in range(count):
        one, other = draw.choice(chunks), draw.choice(chunks)
        text = one.text[: len(one.text) // 2] + " " + other.text[len(other.text) // 2 :]
        row = first_row + i
        yield Chunk(row, 10_000_000 + i, one.title, f"new/{row}.txt", text)
