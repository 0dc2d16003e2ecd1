"""JSON and JSON lines as text: a line for each value, an object of an array as a record under its name.

A tokeniser of its own instead of `json`: it knows the line of each value, keeps numbers as they are written and keys that
occur twice, reads what people write by hand (comments, trailing commas), and needs no memory for a tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from json.decoder import scanstring  # type: ignore[attr-defined]

from ragchat.ingest.encoding import source_text
from ragchat.ingest.formats import Kind
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.plain.records import RANK_OF_IDS, Record, is_encoded
from ragchat.ingest.wire import LONGEST_TITLE
from ragchat.text import clean_line
from ragchat.types import ExtractedText, LeftOutKind

_PAIR = re.compile(
    r"""[\s,]*+"([^"\\]*+)"\s*+:\s*+(?:"([^"\\]*+)"|(-?\d[\d.eE+-]*+|true|false)(?=[\s,}\]]))"""
)
"""A key with a scalar as most files have them; whatever it does not match is read token by token."""
_SKIP = re.compile(r"[\s,]*+")
_WORD = re.compile(r"[^\s,:{}\[\]\"'/]++")
_COMMENT = re.compile(r"//([^\n]*+)|/\*((?:[^*]++|\*(?!/))*+)\*/")
_SINGLE = re.compile(r"'((?:[^'\\\n]++|\\.)*+)'", re.DOTALL)
_DOUBLE = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?|x([0-9a-fA-F]{2})|(.))", re.DOTALL
)
_LETTERS = {"n": "\n", "t": "\t", "r": "\n", "b": "", "f": "\n", "v": "\n", "0": "", "\n": ""}
_NUMBER = re.compile(r"[-+]?(?:\d|\.\d|Infinity$|NaN$|0[xX])[\w.+-]*$")
_LITERALS = frozenset({"true", "false", "NaN", "Infinity", "-Infinity", "+Infinity", "-NaN", "undefined"})

_MOST_NUMBERS = 100
_LONGEST_ROW = 200
"""Characters of a list on one line."""
_DEEPEST_PREFIX = 12
_DEEPEST_ARRAY = 16
_LONGEST_NAME = 120
_LONGEST_PATH = 80
_LINES_BACK = 50
_RICH_KEYS = frozenset({"text", "text_entities", "caption"})
_ASSIGNED = re.compile(
    r"\s*+(?:window\.|var\s|let\s|const\s|module\.exports|export\s+default)[\w.$\s]{0,100}+=?\s*+(?=[{\[])"
)
"""Before the data that a script assigns to a name."""
_STRING = r'"(?:[^"\\]++|\\.)*+"'
_STYLED = (
    rf'\{{\s*+"type"\s*+:\s*+{_STRING}\s*+,\s*+"text"\s*+:\s*+{_STRING}'
    rf"(?:\s*+,\s*+{_STRING}\s*+:\s*+(?:{_STRING}|[\w.+-]++))*+\s*+\}}"
)
_RICH = re.compile(rf"\[\s*+(?:(?:{_STRING}|{_STYLED})\s*+(?:,\s*+|(?=\])))++\]", re.DOTALL)
"""A text of which parts have a style, as Telegram writes it."""
_RICH_PART = re.compile(
    rf'({_STRING})|\{{\s*+"type"\s*+:\s*+{_STRING}\s*+,\s*+"text"\s*+:\s*+({_STRING})[^{{}}]*+\}}', re.DOTALL
)


class _BrokenError(Exception):
    """It is no JSON, however kindly looked at."""


def read_json(text: str, kind: Kind) -> ExtractedText:
    """The values of a JSON file (or several after each other), each on a line behind its key; never raises.

    What is no JSON is kept as it is, escapes decoded.
    """
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    builder = DocumentBuilder(kind.media_type)
    reader = _JsonReader(text, builder)
    assigned = _ASSIGNED.match(text)
    first, last = (assigned.end(), len(text.rstrip("; \n"))) if assigned else (0, len(text))
    try:
        reader.read(first, last)
    except _BrokenError:
        return _as_it_is(text, kind)
    document = replace(builder.build(), title=reader.title)
    return document if document.text.strip() or document.left_out else _as_it_is(text, kind)


def read_jsonl(text: str, kind: Kind) -> ExtractedText:
    """A record for each line of a file of JSON lines; lines that are no JSON are kept as they are. Never raises."""
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not _is_whole(text.strip().partition("\n")[0]):
        return read_json(text, kind)  # one value over many lines
    builder = DocumentBuilder(kind.media_type)
    reader = _JsonReader(text, builder, is_list=True)
    first = 0
    while first < len(text):
        last = text.find("\n", first)
        last = len(text) if last < 0 else last
        reader.read_line(first, last)
        first = last + 1
    return replace(builder.build(), title="")


def _is_whole(line: str) -> bool:
    try:
        return _JsonReader(line, DocumentBuilder("")).read(0, len(line))
    except _BrokenError:
        return False


def _as_it_is(text: str, kind: Kind) -> ExtractedText:
    decoded = _ESCAPE.sub(lambda match: _unescaped(match).replace("\n", " "), source_text(text))
    return ExtractedText(source_text(decoded), kind.media_type, source_lines=True)


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        first = int(match[1], 16)
        if match[2] and 0xD800 <= first < 0xDC00:
            return chr(0x10000 + ((first - 0xD800) << 10) + (int(match[2], 16) - 0xDC00))
        return chr(first) + (chr(int(match[2], 16)) if match[2] else "")
    if match[3]:
        return chr(int(match[3], 16))
    return _LETTERS.get(match[4], match[4])


def _path_within(record: Record, prefix: str) -> str:
    """The keys that lead from a record to what is in it; the last alone where they are many."""
    if record.path and prefix.startswith(f"{record.path[-1]}."):
        prefix = prefix[len(record.path[-1]) + 1 :]
    return prefix if len(prefix) <= _LONGEST_PATH else prefix.rpartition(".")[2]


# --- the reader -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Frame:
    """A container that is being read."""

    is_object: bool
    prefix: str
    record: Record
    owner: Record
    """Of the lines after it."""
    key: str | None = None
    items: list[str] = field(default_factory=list)
    item_lines: list[int] = field(default_factory=list)
    numbers: int = 0
    """Numbers in it, those of arrays in it included; numbers beyond the limit are not kept."""
    texts: int = 0
    records: int = 0
    line: int = 0
    is_shared: bool = False
    has_rows: bool = False


class _JsonReader:
    """Tokens from left to right; the containers that are open lie on a stack, so depth costs no recursion."""

    def __init__(self, text: str, builder: DocumentBuilder, *, is_list: bool = False) -> None:
        self._text = text
        self._builder = builder
        self._is_list = is_list
        self._documents = 0
        self._stack: list[_Frame] = []
        self._root = Record(())
        self._line = 1
        self._counted = 0
        self._end = len(text)
        self._handlers: dict[str, Callable[[int], int]] = {
            '"': self._on_string, "'": self._on_single, "{": self._on_object, "[": self._on_array, "}": self._on_close,
            "]": self._on_close, ":": self._on_colon, "/": self._on_comment,
        }  # fmt: skip

    @property
    def title(self) -> str:
        """What the only value of the file calls itself, or ''."""
        first = self._root if self._documents == 1 else Record(())
        return clean_line(first.name, limit=LONGEST_TITLE) if first.rank < RANK_OF_IDS else ""

    def read(self, first: int, last: int) -> bool:
        """Read the values of a stretch of the text, and say whether all its containers are closed. Raises _BrokenError."""
        position, self._end = first, last
        handlers, text, skip, stack = self._handlers, self._text, _SKIP.match, self._stack
        while position < last:
            if stack and stack[-1].is_object and stack[-1].key is None:
                position = self._read_pairs(position, stack[-1])
            position = skip(text, position, last).end()  # type: ignore[union-attr]
            if position < last:
                position = handlers.get(text[position], self._on_word)(position)
        is_whole = not self._stack
        while self._stack:  # the file ends early
            self._close()
        self._root.flush(self._builder)
        return is_whole

    def _read_pairs(self, position: int, frame: _Frame) -> int:
        """Read keys with scalars while they are plain; where they end."""
        while (pair := _PAIR.match(self._text, position, self._end)) is not None:
            frame.key, value, word = pair.groups()
            self._leaf(word if value is None else value, pair.start(1), is_number=value is None)
            frame.key = None
            position = pair.end()
        return position

    def read_line(self, first: int, last: int) -> None:
        """Read one line of JSON lines; one that is no JSON is kept as it is."""
        documents = self._documents
        try:
            self.read(first, last)
        except _BrokenError:
            self._stack.clear()
            self._root.lines.clear()
            self._documents = documents
            broken = _ESCAPE.sub(lambda match: _unescaped(match).replace("\n", " "), self._text[first:last])
            self._next_document().lines.append((broken, self._line_of(first)))
            self._root.flush(self._builder)

    # --- tokens ---------------------------------------------------------------------------------------------

    def _on_string(self, position: int) -> int:
        try:
            value, end = scanstring(self._text, position + 1, False)
        except ValueError:
            match = _DOUBLE.match(self._text, position, self._end)
            if match is None:
                raise _BrokenError from None
            value, end = _ESCAPE.sub(_unescaped, match[1]), match.end()
        if end > self._end:
            raise _BrokenError
        return self._value_or_key(value, position, end)

    def _on_single(self, position: int) -> int:
        match = _SINGLE.match(self._text, position, self._end)
        if match is None:
            raise _BrokenError
        return self._value_or_key(_ESCAPE.sub(_unescaped, match[1]), position, match.end())

    def _on_word(self, position: int) -> int:
        match = _WORD.match(self._text, position, self._end)
        if match is None:
            raise _BrokenError
        word, end = match[0], match.end()
        if self._expects_key() and word.replace("_", "a").replace("$", "a").replace("-", "a").isalnum():
            return self._value_or_key(word, position, end)
        is_number = bool(_NUMBER.match(word))
        if not is_number and word not in _LITERALS and word != "null":
            raise _BrokenError
        if word not in ("null", "undefined"):
            self._leaf(word, position, is_number=is_number)
        self._value_ends()
        return end

    def _value_or_key(self, value: str, position: int, end: int) -> int:
        if self._expects_key():
            after = _SKIP.match(self._text, end, self._end).end()  # type: ignore[union-attr]
            if self._text[after : after + 1] not in (":", "/"):
                raise _BrokenError
            self._stack[-1].key = value
        else:
            self._leaf(value, position)
            self._value_ends()
        return end

    def _expects_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].is_object and self._stack[-1].key is None

    def _on_colon(self, position: int) -> int:
        if not self._stack or self._stack[-1].key is None:
            raise _BrokenError
        return position + 1

    def _on_comment(self, position: int) -> int:
        match = _COMMENT.match(self._text, position, self._end)
        if match is None:
            raise _BrokenError
        record = self._stack[-1].record if self._stack else self._root
        line = self._line_of(position)
        for number, part in enumerate((match[1] or match[2] or "").split("\n")):
            if words := part.strip().strip("*").strip():
                record.lines.append((f"// {words}", line + number))
        return match.end()

    def _on_object(self, position: int) -> int:
        line = self._line_of(position)
        if self._expects_key():
            raise _BrokenError
        if not self._stack:
            record = self._next_document()
            self._stack.append(_Frame(True, "", record, record))
            return position + 1
        above = self._stack[-1]
        prefix, record = self._prefix(above), above.record
        if not above.is_object:
            self._write_items(above)
            record.flush(self._builder)
            above.records += 1
            record, prefix = Record(record.inside(_path_within(record, above.prefix)), above.records), ""
        elif len(self._stack) == 1 and not above.record.number:
            record.flush(self._builder)
            record = Record((prefix,))
        self._stack.append(_Frame(True, prefix, record, above.record, line=line))
        return position + 1

    def _on_array(self, position: int) -> int:
        line = self._line_of(position)
        if self._expects_key():
            raise _BrokenError
        if not self._stack:
            record = self._next_document()
            self._stack.append(_Frame(False, "", record, record, line=line))
            return position + 1
        above = self._stack[-1]
        if above.key in _RICH_KEYS and (rich := _RICH.match(self._text, position)):
            parts = list(_RICH_PART.finditer(rich[0], 1))
            if any(part[2] for part in parts) and (
                above.key == "text_entities" or any(part[1] for part in parts)
            ):
                return self._on_rich(rich, parts)
        frame = _Frame(False, self._prefix(above), above.record, above.record, line=line)
        if not above.is_object and len(self._stack) > _DEEPEST_ARRAY:
            frame.items, frame.is_shared = above.items, True
        self._stack.append(frame)
        return position + 1

    def _on_rich(self, rich: re.Match[str], parts: list[re.Match[str]]) -> int:
        """A text in parts as one; what is said twice, with and without its styles, is kept once."""
        said = "".join(scanstring(part[1] or part[2], 1, False)[0] for part in parts)
        frame = self._stack[-1]
        seen = "\n".join(text for text, _ in frame.record.lines[-_LINES_BACK:])
        if frame.key != "text_entities" or said not in seen:
            self._leaf(said, rich.start())
        self._value_ends()
        return rich.end()

    def _on_close(self, position: int) -> int:
        if not self._stack or self._stack[-1].is_object != (self._text[position] == "}"):
            raise _BrokenError
        self._close()
        return position + 1

    def _next_document(self) -> Record:
        """The record of the value that begins outside of all containers."""
        self._documents += 1
        if self._is_list or self._documents > 1:
            self._root.flush(self._builder)
            self._root = Record((), self._documents)
        return self._root

    # --- values ---------------------------------------------------------------------------------------------

    def _leaf(self, value: str, position: int, *, is_number: bool = False) -> None:
        if is_encoded(value):
            self._builder.leave_out(LeftOutKind.OBJECT, f"encoded data, {len(value):,} characters")
            return
        if not value.strip():
            return
        if not self._stack:
            self._next_document()
            self._root.lines.append((value, self._line_of(position)))
            return
        frame = self._stack[-1]
        if frame.is_object:
            key = self._prefix(frame)
            frame.record.consider(key, value)
            frame.record.write(f"{key}: {value}" if key else value, self._line_of(position))
        elif not is_number:
            frame.texts += 1
            frame.items.append(value)
            frame.item_lines.append(self._line_of(position))
        else:
            frame.numbers += 1
            if frame.numbers <= _MOST_NUMBERS:
                frame.items.append(value)
                frame.item_lines.append(self._line_of(position))

    def _value_ends(self) -> None:
        if self._stack:
            self._stack[-1].key = None

    def _close(self) -> None:
        frame = self._stack.pop()
        above = self._stack[-1] if self._stack else None
        if not frame.is_object:
            if above is not None and not above.is_object and not frame.records:
                self._give_up(frame, above)
            else:
                self._write_items(frame)
        if frame.record is not frame.owner:
            frame.record.flush(self._builder)
        self._value_ends()

    def _give_up(self, frame: _Frame, above: _Frame) -> None:
        """Make an array that holds no records an item of the array around it."""
        above.texts += frame.texts
        if frame.is_shared:
            above.numbers += frame.numbers
            return
        if not frame.texts:
            above.numbers += frame.numbers
            if above.numbers > _MOST_NUMBERS:
                return
        above.has_rows |= len(frame.items) > 1
        if frame.items:
            above.items.append(frame.items[0] if len(frame.items) == 1 else ", ".join(frame.items))
            above.item_lines.append(frame.line)

    def _write_items(self, frame: _Frame) -> None:
        """The scalars of an array so far."""
        if frame.numbers > _MOST_NUMBERS:
            self._builder.leave_out(
                LeftOutKind.NUMBERS, f"{frame.numbers:,} numbers of {frame.prefix or 'a list'}"
            )
            if not frame.texts:
                frame.items = []
        items, frame.items = frame.items, []
        lines, frame.item_lines = frame.item_lines, []
        frame.numbers = frame.texts = 0
        if not items:
            return
        lead = f"{frame.prefix}: " if frame.prefix else ""
        if sum(map(len, items)) <= _LONGEST_ROW and not any("\n" in item for item in items):
            frame.record.write(lead + ("; " if frame.has_rows else ", ").join(items), frame.line)
            return
        if lead:
            frame.record.write(lead.rstrip(), frame.line)
        numbered = lines if len(lines) == len(items) else [frame.line] * len(items)
        for item, line in zip(items, numbered, strict=True):
            frame.record.write(f"- {item}", line)

    # --- places ---------------------------------------------------------------------------------------------

    def _prefix(self, frame: _Frame) -> str:
        """The keys from the record inwards."""
        if not frame.key:
            return frame.prefix
        if not frame.prefix:
            return frame.key
        if frame.prefix.count(".") >= _DEEPEST_PREFIX or len(frame.prefix) > _LONGEST_ROW:
            return f"{frame.prefix.rpartition('.')[2][-_LONGEST_NAME:]}.{frame.key}"
        return f"{frame.prefix}.{frame.key}"

    def _line_of(self, position: int) -> int:
        self._line += self._text.count("\n", self._counted, position)
        self._counted = position
        return self._line
