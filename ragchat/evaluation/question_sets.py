"""The user's question sets: `sets/NAME.jsonl`, a question a line, read and written whole; and imported files of others.

A set may be edited by hand. The questions that were kept in chats are a set of their own (`CHAT_SET`), held by the chats.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ragchat.errors import NotFoundError, StorageError, UsageError
from ragchat.ingest.encoding import decode
from ragchat.paths import is_file, write_atomically
from ragchat.text import clean, clean_line, human_bytes
from ragchat.types import EvaluationQuestion

CHAT_SET = "chat"
"""Name of the set of questions that were kept in chats."""
WATCHED = ".watch"
"""What the name of a set ends with whose run was a watch's."""
LARGEST_FILE = 256 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ANSWERS = ("answers", "answer", "expected", "expected_answer", "reference", "ground_truth", "output")
_SOURCES = ("sources", "source", "relevant", "document", "documents", "file")


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question to measure with. Any of `answers` is right; `answerable` False: the documents hold none.

    `sources` are the documents that hold it, by path or the end of one; empty when no one said. `origin` is how it came in.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    answerable: bool = True
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is no question, by line (or place) of its file."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file held. `format` is what it was taken for."""

    questions: tuple[Asked, ...]
    refused: tuple[Refused, ...]
    format: str


class _RowError(ValueError):
    """The reason why a row is no question."""


class SetLibrary:
    """The sets in a folder. Sets are small; every change writes the file again, to a temporary name first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """By name."""
        files = self._folder.glob("*.jsonl") if self._folder.is_dir() else ()
        return sorted(file.stem for file in files if _NAME.fullmatch(file.stem) and not _reserved(file.stem))

    def file(self, name: str) -> Path:
        """Where a set lies. Raises UsageError for what cannot be a name."""
        if not _NAME.fullmatch(name) or _reserved(name):
            raise UsageError(
                f"{clean_line(name, limit=80)!r} is not a valid name for a question set.",
                f"Use letters, digits, '.', '_' and '-'; {CHAT_SET}, and names ending in {WATCHED}, are reserved.",
            )
        return self._folder / f"{name}.jsonl"

    def read(self, name: str) -> list[Asked]:
        """The questions of a set. Raises NotFoundError, UsageError naming the line."""
        file = self.file(name)
        if not file.is_file():
            there = ", ".join((CHAT_SET, *self.names()))
            raise NotFoundError(
                f"There is no question set {clean_line(name, limit=80)!r}. Available: {there}.",
                "Create one with `ragchat eval questions import NAME FILE`, or press E in a chat to keep a question.",
            )
        try:
            lines = file.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
        except OSError as error:
            raise StorageError(f"{file} cannot be read: {error.strerror or error}.") from error
        found: dict[str, Asked] = {}
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    one = _cleaned(msgspec.json.decode(line, type=Asked))
                except (msgspec.DecodeError, UnicodeError) as error:
                    raise UsageError(f"{file}, line {number} is not a question: {error}.") from error
                if one.id in found:
                    raise UsageError(
                        f"{file}, line {number}: another question already has the id {one.id!r}.",
                        "Change the id.",
                    )
                found[one.id] = one
        return list(found.values())

    def write(self, name: str, questions: Iterable[Asked]) -> None:
        """Put these in the place of a set. Raises StorageError."""
        file = self.file(name)
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(file, b"".join(msgspec.json.encode(one) + b"\n" for one in questions))
        except OSError as error:
            raise StorageError(f"{file} cannot be written: {error.strerror or error}.") from error

    def add(self, name: str, questions: Sequence[Asked]) -> int:
        """Append those that are not in the set yet (by question and answers); how many came in."""
        there = self.read(name) if self.file(name).is_file() else []
        known = {(one.question, one.answers) for one in there}
        ids = {one.id for one in there}
        fresh: list[Asked] = []
        for one in questions:
            if (one.question, one.answers) in known:
                continue
            if one.id in ids:  # files number their rows from 1
                own = _id_of(one.question, one.answers)
                one = msgspec.structs.replace(one, id=own if own not in ids else f"{own}-{len(ids)}")
            known.add((one.question, one.answers))
            ids.add(one.id)
            fresh.append(one)
        if fresh or not there:
            self.write(name, [*there, *fresh])
        return len(fresh)

    def change(self, name: str, before: Sequence[Asked], now: Sequence[Asked]) -> None:
        """Do to the set what turned `before` into `now`; what came in meanwhile stays. Raises UsageError, StorageError."""
        there = self.read(name) if self.file(name).is_file() else []
        self.write(name, merged(there, before, now))

    def remove(self, name: str) -> None:
        """Delete a set. Raises NotFoundError, StorageError."""
        self.read(name)
        try:
            self.file(name).unlink()
        except OSError as error:
            raise StorageError(f"{self.file(name)} cannot be deleted: {error.strerror or error}.") from error


def new(
    question: str,
    answers: Iterable[str] = (),
    *,
    sources: Iterable[str] = (),
    tags: Iterable[str] = (),
    answerable: bool = True,
    origin: str = "added",
) -> Asked:
    """A question, cleaned, with a number made from its words. Raises UsageError without a question or an answer to it."""
    asked = clean_line(question)
    expected = tuple(dict.fromkeys(text for answer in answers if (text := clean(answer).strip())))
    if not asked:
        raise UsageError("The question is empty.")
    if answerable and not expected:
        raise UsageError(
            "The expected answer is missing.",
            "Add one, or mark the question as unanswerable (--unanswerable).",
        )
    return Asked(
        id=_id_of(asked, expected),
        question=asked,
        answers=expected if answerable else (),
        sources=tuple(dict.fromkeys(clean_line(source) for source in sources if source)),
        tags=tuple(dict.fromkeys(clean_line(tag) for tag in tags if tag.strip())),
        answerable=answerable,
        origin=origin,
    )


def merged(there: Sequence[Asked], before: Sequence[Asked], now: Sequence[Asked]) -> list[Asked]:
    """`there` with what turned `before` into `now`: questions taken out, changed and added, by their ids."""
    old, new_ = {one.id: one for one in before}, {one.id: one for one in now}
    gone = old.keys() - new_.keys()
    changed = {key: one for key, one in new_.items() if old.get(key) != one}
    kept = [changed.pop(one.id, one) for one in there if one.id not in gone]
    return [*kept, *changed.values()]


def _id_of(question: str, answers: Sequence[str]) -> str:
    return hashlib.sha256("\0".join((question, *answers)).encode()).hexdigest()[:12]


def _reserved(name: str) -> bool:
    return name == CHAT_SET or name.endswith(WATCHED)


def _cleaned(one: Asked) -> Asked:
    """Sets may be written by hand, or by others."""
    return msgspec.structs.replace(
        one,
        id=clean_line(one.id, limit=80),
        question=clean_line(one.question),
        answers=tuple(map(clean, one.answers)),
        sources=tuple(map(clean_line, one.sources)),
        tags=tuple(map(clean_line, one.tags)),
    )


def from_chats(kept: Iterable[EvaluationQuestion]) -> list[Asked]:
    """Questions that were kept in chats."""
    return [
        Asked(
            id=f"chat-{one.id}",
            question=one.question,
            answers=one.answers,
            sources=(one.source,) if one.source else (),
            tags=one.tags,
            answerable=one.answerable,
            origin="chat",
        )
        for one in kept
    ]


def read_file(path: Path) -> Imported:
    """Questions of a JSON, JSONL, CSV or SQuAD file; other rows are kept with the reason. Raises NotFoundError, UsageError."""
    shown = clean_line(str(path))
    if not is_file(path):
        raise NotFoundError(f"There is no file {shown}.")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(
                f"{shown} is larger than {human_bytes(LARGEST_FILE)}.", "Split it into several files."
            )
        text = decode(path.read_bytes()).removeprefix("\ufeff")
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror or error}.") from error
    kind, rows = _rows(text, path)
    questions: list[Asked] = []
    refused: list[Refused] = []
    for line, row in rows:
        try:
            questions.append(_asked(row))
        except (_RowError, UsageError) as error:
            refused.append(Refused(line, str(error).rstrip(".")))
    if not questions:
        first = f" First problem: line {refused[0].line}, {refused[0].reason}." if refused else ""
        raise UsageError(
            f"{shown} contains no questions.{first}",
            'Each line must be {"question": "…", "answers": ["…"]}. CSV files need these columns. SQuAD files work as they are.',
        )
    return Imported(tuple(questions), tuple(refused), kind)


def _rows(text: str, path: Path) -> tuple[str, Iterator[tuple[int, object]]]:
    if path.suffix.casefold() in (".csv", ".tsv"):
        return "CSV", _csv_rows(text, "\t" if path.suffix.casefold() == ".tsv" else "")
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return "JSON lines", _json_lines(text)
    if isinstance(whole, dict) and isinstance(whole.get("data"), list):
        return "SQuAD", _squad_rows(whole["data"])
    if isinstance(whole, dict) and isinstance(whole.get("questions"), list):
        whole = whole["questions"]
    return ("JSON", enumerate(whole, 1)) if isinstance(whole, list) else ("JSON lines", _json_lines(text))


def _json_lines(text: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON holds U+2028 as it is
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, "it is not valid JSON"


def _csv_rows(text: str, delimiter: str) -> Iterator[tuple[int, object]]:
    first = text.partition("\n")[0]
    delimiter = delimiter or max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    reader.fieldnames = [name.strip().casefold() for name in reader.fieldnames or ()]
    try:
        for row in reader:
            yield (
                reader.line_num,
                {
                    key: split_list(value) if key in (*_ANSWERS, *_SOURCES, "tags") else value
                    for key, value in row.items()
                    if isinstance(key, str) and isinstance(value, str) and value.strip()
                },
            )
    except csv.Error as error:
        yield reader.line_num, f"it is not valid CSV: {error}"


def _squad_rows(articles: Sequence[object]) -> Iterator[tuple[int, object]]:
    """Rajpurkar, Jia and Liang, Know What You Don't Know (2018): articles, paragraphs, questions with spans or without any."""
    number = 0
    for article in articles:
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        for paragraph in paragraphs if isinstance(paragraphs, list) else ():
            asked = paragraph.get("qas") if isinstance(paragraph, dict) else None
            for row in asked if isinstance(asked, list) else ():
                number += 1
                yield number, row


def _asked(row: object) -> Asked:
    if not isinstance(row, dict):
        raise _RowError(row if isinstance(row, str) else "it is not an object")
    question = row.get("question", row.get("query", row.get("prompt")))
    if not isinstance(question, str) or not question.strip():
        raise _RowError("the question is missing")
    impossible = _truth(row.get("is_impossible"), False) or not _truth(row.get("answerable"), True)
    answers = _texts(row, _ANSWERS)
    made = new(
        question,
        answers,
        sources=_texts(row, _SOURCES),
        tags=_texts(row, ("tags", "tag", "category")),
        answerable=not impossible,
        origin="imported",
    )
    given = row.get("id")
    return msgspec.structs.replace(made, id=clean_line(str(given), limit=80)) if given else made


def join_list(values: Sequence[str]) -> str:
    """Several texts in one field of CSV, separated by |; what is in them is escaped."""
    return "|".join(value.replace("\\", "\\\\").replace("|", "\\|") for value in values)


def split_list(text: str) -> list[str]:
    """The other way round. A backslash before anything but | and itself represents itself."""
    parts = re.findall(r"((?:\\[\\|]|[^|])*)(?:\||$)", text)
    return [re.sub(r"\\([\\|])", r"\1", part) for part in parts if part]


def _truth(value: object, usual: bool) -> bool:
    """What a field says in any of the ways people write it; `usual` where it says nothing."""
    if isinstance(value, (bool, int, float)):
        return bool(value)
    said = str(value or "").strip().casefold()
    return said in ("true", "yes", "1", "y", "t") if said else usual


def _texts(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The texts of the first of these fields that is there, in any of the shapes that people use."""
    for name in names:
        value = row.get(name)
        if isinstance(value, dict):  # {"text": [...]}, as the hub writes SQuAD
            value = value.get("text")
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return [str(value)]
        if isinstance(value, list) and value:
            texts = [each.get("text") if isinstance(each, dict) else each for each in value]
            return [str(text) for text in texts if isinstance(text, (str, int, float)) and str(text).strip()]
    return []
