"""A question set on disk: `questions.jsonl` beside `corpus/*.txt`, and a knowledge base of that corpus.

A line of `questions.jsonl` is an object with `question`, and as far as known `answers` (texts, any of which is right) and
`relevant` (names of files that hold the answer).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ragchat.errors import NotFoundError, UsageError
from ragchat.ingest.chunk import split
from ragchat.retrieval.analyzer import detect
from ragchat.retrieval.index import write_documents
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.text import clean
from ragchat.types import ExtractedText


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the answers that count as right, and the names of the documents that hold one."""

    id: str
    text: str
    answers: tuple[str, ...]
    relevant: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions on `documents` (text by file name), both in the order of their files."""

    name: str
    questions: tuple[Question, ...]
    documents: dict[str, str]


def read(folder: Path) -> QuestionSet:
    """The set in `folder`. Raises NotFoundError, UsageError naming the line."""
    file, corpus = folder / "questions.jsonl", folder / "corpus"
    if not file.is_file() or not corpus.is_dir():
        raise NotFoundError(
            f"{folder} is not a question set.",
            "It must contain questions.jsonl and a folder named corpus with .txt files.",
        )
    try:
        lines = file.read_text("utf-8-sig").split("\n")  # not splitlines: JSON holds U+2028 as it is
        documents = {path.name: clean(path.read_text("utf-8")) for path in sorted(corpus.glob("*.txt"))}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The question set in {folder} cannot be read: {error}") from error
    questions = tuple(_question(file, number, line) for number, line in enumerate(lines, 1) if line.strip())
    return QuestionSet(folder.resolve().name, questions, documents)


def spread(questions: tuple[Question, ...], limit: int) -> tuple[Question, ...]:
    """At most `limit` of them (0: all), evenly over the set, since neighbours ask about the same document."""
    if not limit or limit >= len(questions):
        return questions
    return tuple(questions[i * len(questions) // limit] for i in range(limit))


def build_knowledge_base(folder: Path, questions: QuestionSet, name: str = "set") -> KnowledgeStore:
    """The documents of a set, cut and indexed as ragchat does it, in a new knowledge base in `folder`; the caller closes it.

    Knowledge bases that are searched together need names of their own.
    """
    store = KnowledgeStore.create(folder, name)
    language = detect("\n".join(islice(questions.documents.values(), 20)))
    files = [
        (
            FileRecord(name, len(text), 0, language=language),
            split(ExtractedText(text=text, media_type="text/plain", source_lines=True)),
        )
        for name, text in questions.documents.items()
    ]
    write_documents(store, files)
    return store


def _question(file: Path, number: int, line: str) -> Question:
    try:
        row = json.loads(line)
        return Question(
            str(row.get("id", number)),
            clean(row["question"]).strip(),
            tuple(clean(answer) for answer in row.get("answers") or () if answer.strip()),
            tuple(row.get("relevant") or ()),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f'{file}, line {number}: expected {{"question": "…", "answers": ["…"]}}.') from error
