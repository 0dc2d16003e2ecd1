"""Training data from files: JSON Lines or JSON (OpenAI messages, ShareGPT, Alpaca, prompt and completion, question and answer)
and CSV with such columns. The format is recognised row by row; a row that cannot be learned from is kept with its reason.

Nothing is trusted: every text passes the sanitiser, every field may be missing or of another type.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ragchat.errors import NotFoundError, UsageError
from ragchat.finetune.examples import Example, Rejected
from ragchat.ingest.encoding import decode
from ragchat.paths import is_file
from ragchat.text import clean, clean_line, human_bytes
from ragchat.types import Message, Role

LARGEST_FILE = 512 * 1024 * 1024
_ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
_PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("instruction", "output"),
    ("input", "output"),
)
_GROUPS = ("group", "conversation_id", "document", "source")
"""Fields that say which rows belong together, so that they are not parted between training and held-out data."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """What a file holds. `formats` counts the rows of each format by its name."""

    path: Path
    examples: tuple[Example, ...]
    rejected: tuple[Rejected, ...]
    formats: dict[str, int]


class _RowError(ValueError):
    """This row cannot be learned from; the message says why."""


def read(path: Path) -> DataFile:
    """The examples of a file. Raises NotFoundError, UsageError when it is no such file or nothing in it can be used."""
    shown = clean_line(str(path))
    if not is_file(path):
        raise NotFoundError(f"There is no file {shown}.")
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise UsageError(
                f"{shown} has {human_bytes(size)}; the limit is {human_bytes(LARGEST_FILE)}.",
                "Split it into several files.",
            )
        text = decode(path.read_bytes()).removeprefix("\ufeff")
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror or error}.") from error
    source = f"file:{clean_line(path.name)}"
    rows = _csv_rows(text, path) if path.suffix.casefold() in (".csv", ".tsv") else _json_rows(text)
    examples: list[Example] = []
    rejected: list[Rejected] = []
    formats: dict[str, int] = {}
    for line, row in rows:
        try:
            name, example = _example(row, source, line)
        except _RowError as error:
            rejected.append(Rejected(source, line, str(error)))
        else:
            examples.append(example)
            formats[name] = formats.get(name, 0) + 1
    if not examples:
        reason = f" First problem: line {rejected[0].line}, {rejected[0].reason}." if rejected else ""
        raise UsageError(
            f"{shown} contains no training examples.{reason}",
            "A row is a JSON object with messages, conversations, instruction and output, prompt and completion, or question"
            " and answer. A CSV file needs such columns.",
        )
    return DataFile(path, tuple(examples), tuple(rejected), formats)


def _json_rows(text: str) -> Iterator[tuple[int, object]]:
    """(line, value) of each row; a line that is no JSON is given as an error."""
    if text.lstrip().startswith("["):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield 1, _RowError(f"the list is not valid JSON: {error}")
            return
        yield from enumerate(values, 1)
        return
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON holds U+2028 as it is
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, _RowError("it is not valid JSON")


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, object]]:
    delimiter = "\t" if path.suffix.casefold() == ".tsv" else _delimiter(text)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        if reader.fieldnames:
            reader.fieldnames = [name.strip().casefold() for name in reader.fieldnames]
        while True:
            line = reader.line_num + 1
            row = next(reader, None)
            if row is None:
                return
            yield line, {key: value for key, value in row.items() if isinstance(key, str)}
    except csv.Error as error:
        yield reader.line_num, _RowError(f"the table is broken here: {error}")


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return max(",;\t|", key=header.count)


def _example(row: object, source: str, line: int) -> tuple[str, Example]:
    if isinstance(row, _RowError):
        raise row
    if not isinstance(row, dict):
        raise _RowError("it is not a JSON object")
    name, messages = _messages(row)
    last = max((n for n, message in enumerate(messages) if message.role == "assistant"), default=-1)
    if last < 0:
        raise _RowError("it contains no assistant message")
    messages = messages[: last + 1]
    question = next((m.content for m in reversed(messages[:-1]) if m.role == "user"), "")
    if not question.strip():
        raise _RowError("there is no question before the answer")
    if not messages[-1].content.strip():
        raise _RowError("the answer is empty")
    group = next((str(row[key]) for key in _GROUPS if isinstance(row.get(key), str | int)), "")
    return name, Example(
        tuple(messages),
        source,
        f"{source}#{clean_line(group, limit=200) or line}",
        clean(question),
        expected=_expected(row),
    )


def _expected(row: dict[str, object]) -> tuple[str, ...]:
    """What a right answer contains, where a row says it."""
    said = row.get("expected", row.get("answers"))
    texts = said if isinstance(said, list) else [said]
    plain = [_plain(text, "expected") for text in texts if isinstance(text, str | int | float)]
    return tuple(text for text in plain if text)


def _messages(row: dict[str, object]) -> tuple[str, list[Message]]:
    """(name of the format, its messages). Raises _RowError."""
    if isinstance(said := row.get("messages"), list):
        return "OpenAI messages", _turns(said, "role", "content")
    if isinstance(said := row.get("conversations") or row.get("conversation"), list):
        return "ShareGPT", _turns(said, "from", "value")
    for asked, answered in _PAIRS:
        prompt, answer = row.get(asked), row.get(answered)
        if prompt is None or answer is None:
            continue
        if isinstance(prompt, list) and isinstance(answer, list):
            return "prompt and completion", _turns([*prompt, *answer], "role", "content")
        return _pair(row, asked, _plain(prompt, asked), _plain(answer, answered))
    known = ", ".join(sorted(clean_line(str(key), limit=30) for key in row)[:6]) or "none"
    raise _RowError(f"its format is unknown (fields: {known})")


def _plain(value: object, field: str) -> str:
    """A text, a number or true and false as text. Raises _RowError."""
    if isinstance(value, str):
        return clean(value).strip()
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    kind = "a list" if isinstance(value, list) else "an object"
    raise _RowError(f"{field} is {kind}, not text")


def _pair(row: dict[str, object], asked: str, prompt: str, answer: str) -> tuple[str, list[Message]]:
    name = {"instruction": "Alpaca", "question": "question and answer"}.get(asked, "prompt and completion")
    more = row.get("input")
    if asked == "instruction" and isinstance(more, str) and more.strip():
        prompt = f"{prompt}\n\n{clean(more).strip()}"
    system = row.get("system")
    before = [Message("system", clean(system).strip())] if isinstance(system, str) and system.strip() else []
    return name, [*before, Message("user", prompt), Message("assistant", answer)]


def _turns(said: list[object], role_key: str, text_key: str) -> list[Message]:
    """The turns in order; system messages only at the beginning. Raises _RowError."""
    messages: list[Message] = []
    for turn in said:
        if not isinstance(turn, dict):
            raise _RowError("a message is not a JSON object")
        other_role, other_text = ("from", "value") if role_key == "role" else ("role", "content")
        role = _ROLES.get(str(turn.get(role_key, turn.get(other_role, ""))).casefold())
        text = turn.get(text_key, turn.get(other_text))
        if role is None:
            raise _RowError(
                f"the role {clean_line(str(turn.get(role_key)), limit=30)!r} cannot be used for training"
            )
        if isinstance(text, list):
            text = _parts(text)
        if text is None:
            raise _RowError("a message has no text")
        text = _plain(text, text_key)
        if role == "system" and messages:
            raise _RowError("a system message comes after other messages")
        if messages and messages[-1].role == role:
            raise _RowError("two messages in a row have the same role")
        messages.append(Message(role, text))
    return messages


def _parts(parts: list[object]) -> str:
    """The text of a message in parts. Raises _RowError when a part is a picture or the like."""
    texts = []
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            raise _RowError("a part of a message is not text")
        texts.append(part["text"])
    return "\n".join(texts)
