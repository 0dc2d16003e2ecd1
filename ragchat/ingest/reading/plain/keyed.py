"""YAML, TOML, INI and Java properties: the lines of the file, escapes decoded, a section for each key, table or head.

No parser builds objects from them; what the file says stands where it stood.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise

from ragchat.ingest.blocks import LONGEST_HEADING
from ragchat.ingest.encoding import source_text
from ragchat.ingest.formats import Kind
from ragchat.text import clean, clean_line
from ragchat.types import ExtractedText, Section

Head = tuple[int, tuple[str, ...]]
"""A line, counted from 0, and the path of the section that begins with it."""

_LARGE_BLOCK = 60
"""Lines of a top-level block of YAML above which its own keys are sections too."""
_NAME_WITHIN = 12
"""Lines of a record in which its name is looked for."""

_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_BLANKS = {
    "n": " ",
    "t": "\t",
    "r": " ",
    "b": "",
    "f": " ",
    "v": " ",
    "0": "",
    "a": "",
    "e": "",
    "N": " ",
    "L": " ",
    "P": " ",
}


def read_keyed(text: str, kind: Kind) -> ExtractedText:
    """The file as it is, with the escapes of its quoted strings decoded and its structure as sections. Never raises."""
    lines = source_text(text).split("\n")
    decode, heads = _FORMATS[kind.media_type]
    decoded = [clean(line).replace("\n", " ") for line in decode(lines)]
    return ExtractedText(
        "\n".join(decoded), kind.media_type, source_lines=True, sections=_sections(decoded, heads(decoded))
    )


def _sections(lines: Sequence[str], heads: list[Head]) -> tuple[Section, ...]:
    """Sections from the lines that head them; comments right above a head belong to it."""
    starts = []
    offset = 0
    for line in lines:
        starts.append(offset)
        offset += len(line) + 1
    found = {0: Section(0, ())}
    last = -1
    for number, path in heads:
        at = number
        while at - 1 > last and lines[at - 1].lstrip()[:1] in ("#", ";") and lines[at - 1].strip():
            at -= 1
        last = number
        titles = tuple(title for part in path if (title := clean_line(part, limit=LONGEST_HEADING)))
        found[starts[at]] = Section(starts[at], titles)
    return tuple(found.values())


def _unescape(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code:
        number = int(code, 16)
        return chr(number) if number < 0x110000 else "\ufffd"
    return _BLANKS.get(match[4], match[4])


def _decode_escapes(text: str) -> str:
    if "\\" not in text:
        return text
    return _PAIR.sub(
        lambda match: match[0].encode("utf-16", "surrogatepass").decode("utf-16"),
        _ESCAPE.sub(_unescape, text),
    )


# --- YAML -------------------------------------------------------------------------------------------------

_DOUBLE_QUOTED = re.compile(r'(?<![\w\\])"((?:[^"\\]++|\\.)*+)"')
_REST_OF_STRING = re.compile(r'((?:[^"\\]++|\\.|\\$)*+)')
_OPENED = re.compile(r'(?:^|[:\-,\[{]|[!&]\S{1,60}) *+"((?:[^"\\]++|\\.|\\$)*+)$')
_BLOCK_SCALAR = re.compile(r"(?:^|[:\-] )[ \t]*+(?:[!&][^\s]++[ \t]++)*+[|>][-+0-9]{0,2}[ \t]*+(?:#.*)?$")
_YAML_KEY = re.compile(
    r"(?:- +)?(\"(?:[^\"\\]|\\.){1,200}\"|'[^']{1,200}'|[^\s#&*!|>'\"%@`{}\[\],:-][^:#]{0,200}?) *:(?: |$)"
)
_YAML_NAME = re.compile(r"[ \t-]*+(?:name|title|id|key|label) *: *(\S.*)", re.IGNORECASE)


def _decode_yaml(lines: list[str]) -> list[str]:
    decoded = []
    verbatim = -1  # the indentation of the key whose block scalar is being read
    is_open = False  # whether a quoted string goes on from the line before
    for line in lines:
        indent = _indent(line)
        if verbatim >= 0 and line.strip() and indent <= verbatim:
            verbatim = -1
        if verbatim < 0 and (is_open or '"' in line):
            line, is_open = _decode_yaml_line(line, is_open=is_open)
        decoded.append(line)
        if verbatim < 0 and not is_open and _ends_in_block(line):
            verbatim = indent
    return decoded


def _decode_yaml_line(line: str, *, is_open: bool) -> tuple[str, bool]:
    """The line with its quoted strings decoded, and whether the last of them continues in the next line."""
    kept = ""
    if is_open:
        inner = _REST_OF_STRING.match(line)
        kept = _decode_open(inner[1]) if inner else line
        if inner is None or inner.end() >= len(line):
            return kept, True
        kept, line = kept + '"', line[inner.end() + 1 :]
    line = _DOUBLE_QUOTED.sub(lambda match: f'"{_decode_escapes(match[1])}"', line)
    if opened := _OPENED.search(line):
        return f"{kept}{line[: opened.start(1)]}{_decode_open(opened[1])}", True
    return kept + line, False


def _decode_open(text: str) -> str:
    """A part of a string that continues: the backslash at its end stays, as does the one that keeps a blank."""
    bare = text.removesuffix("\\")
    return _decode_escapes(bare) + text[len(bare) :]


def _ends_in_block(line: str) -> bool:
    return ("|" in line or ">" in line) and bool(_BLOCK_SCALAR.search(line[-300:]))


def _heads_yaml(lines: list[str]) -> list[Head]:
    marks = [
        number for number, line in enumerate(lines) if line.startswith("---") and not line[3:].strip(" -")
    ]
    bounds = sorted({0, *marks, len(lines)})
    documents = [(first, last) for first, last in pairwise(bounds) if _holds_text(lines[first:last])]
    heads: list[Head] = []
    for number, (first, last) in enumerate(documents, 1):
        above = (_document_name(lines[first:last]) or str(number),) if len(documents) > 1 else ()
        if above:
            heads.append((first, above))
        heads += _heads_yaml_document(lines, first, last, above)
    return heads


def _holds_text(lines: Sequence[str]) -> bool:
    return any(line.strip("- \t") and not line.startswith("#") for line in lines)


def _document_name(lines: Sequence[str]) -> str:
    """A name for one of many documents: its kind and its name."""
    kind = next((line[5:].strip() for line in lines[:40] if line.startswith("kind:")), "")
    named = next((found[1] for line in lines[:40] if (found := _YAML_NAME.match(line))), "")
    return " ".join(part.strip("\"' ") for part in (kind, named) if part)


def _heads_yaml_document(lines: list[str], first: int, last: int, above: tuple[str, ...]) -> list[Head]:
    heads: list[Head] = []
    outer = _level(lines, first, last)
    for here, (number, name) in enumerate(outer):
        end = outer[here + 1][0] if here + 1 < len(outer) else last
        path = (*above, name)
        if not any(line.strip() and line.lstrip()[0] != "#" for line in lines[number + 1 : end]):
            if not heads or heads[-1][1] != above:  # keys with a value on their line stand together
                heads.append((number, above))
            continue
        heads.append((number, path))
        if end - number > _LARGE_BLOCK:
            heads += [(inner, (*path, title)) for inner, title in _level(lines, number + 1, end)]
    return heads


def _level(lines: list[str], first: int, last: int) -> list[tuple[int, str]]:
    """The outermost keys and items of a stretch of lines, with their names."""
    level = next((_indent(lines[number]) for number in range(first, last) if _is_entry(lines[number])), -1)
    found: list[tuple[int, str]] = []
    items = 0
    verbatim = -1
    for number in range(first, last):
        line = lines[number]
        if not line.strip():
            continue
        indent = _indent(line)
        if verbatim >= 0 and indent > verbatim:
            continue
        verbatim = indent if _ends_in_block(line) else -1
        if indent != level or not _is_entry(line):
            continue
        if line[level:].startswith("- "):
            if found and not items:
                continue  # an item of the key above it, at the same margin
            items += 1
            found.append((number, _item_name(lines, number, last, level) or str(items)))
        elif key := _YAML_KEY.match(line, level):
            found.append((number, key[1].strip("\"'")))
    return found


def _is_entry(line: str) -> bool:
    bare = line.strip()
    return bool(bare) and bare[0] not in "#%" and not bare.startswith(("---", "..."))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _item_name(lines: list[str], number: int, last: int, level: int) -> str:
    for at in range(number, min(last, number + _NAME_WITHIN)):
        if at > number and lines[at].strip() and _indent(lines[at]) <= level:
            break
        if _indent(lines[at]) <= level + 4 and (found := _YAML_NAME.match(lines[at])):
            return found[1].strip("\"' ")
    return ""


# --- TOML -------------------------------------------------------------------------------------------------

_TOML_STRING = re.compile(r"\"\"\"|'''|\"((?:[^\"\\]++|\\.)*+)\"|'[^']*+'|#.*")
_TOML_HEAD = re.compile(r"[ \t]*+(\[\[?)[ \t]*+([^\[\]=]{1,200}?)[ \t]*+\]\]?[ \t]*+(?:#.*)?$")
_TOML_KEY = re.compile(r"[ \t]*+(\"(?:[^\"\\]++|\\.)*+\"|'[^']*+'|[^.\"'\s]++)[ \t]*+(?:\.|$)")
_TOML_NAME = re.compile(r"[ \t]*+(?:name|title|id|key|label) *= *[\"']([^\"']{1,120})", re.IGNORECASE)


def _decode_toml(lines: list[str]) -> list[str]:
    decoded = []
    quotes = ""  # the marks of the string over several lines that is being read
    for line in lines:
        line, quotes = (
            _decode_toml_line(line, quotes)
            if quotes or "\\" in line or "'''" in line or '"""' in line
            else (line, "")
        )
        decoded.append(line)
    return decoded


def _decode_toml_line(line: str, quotes: str) -> tuple[str, str]:
    kept = []
    position = 0
    while position < len(line):
        if quotes:
            end = line.find(quotes, position)
            end = len(line) if end < 0 else end
            inner = line[position:end]
            kept.append(_decode_open(inner) if quotes == '"""' else inner)
            kept.append(line[end : end + 3])
            quotes = quotes if end == len(line) else ""
            position = end + 3
            continue
        found = _TOML_STRING.search(line, position)
        if found is None:
            kept.append(line[position:])
            break
        kept.append(line[position : found.start()])
        kept.append(f'"{_decode_escapes(found[1])}"' if found[1] is not None else found[0])
        quotes = found[0] if found[0] in ('"""', "'''") else ""
        position = found.end()
    return "".join(kept), quotes


def _heads_toml(lines: list[str]) -> list[Head]:
    numbers: dict[str, int] = {}
    heads: list[Head] = []
    found = [
        (number, match)
        for number, line in enumerate(lines)
        if "[" in line and (match := _TOML_HEAD.match(line))
    ]
    starts = [number for number, _ in found]
    for number, match in found:
        path = tuple(key[1].strip("\"'") for key in _TOML_KEY.finditer(match[2])) or (match[2],)
        if match[1] == "[[":
            numbers[match[2]] = numbers.get(match[2], 0) + 1
            following = bisect_left(starts, number + 1)
            last = starts[following] if following < len(starts) else len(lines)
            named = (
                _TOML_NAME.match(line) for line in lines[number + 1 : min(last, number + 1 + _NAME_WITHIN)]
            )
            path = (*path, next((name[1] for name in named if name), str(numbers[match[2]])))
        heads.append((number, path))
    return heads


# --- INI and properties ----------------------------------------------------------------------------------

_INI_HEAD = re.compile(r"[ \t]*+\[([^\[\]]{1,200})\][ \t]*+(?:[#;].*)?$")


def _as_they_are(lines: list[str]) -> list[str]:
    return lines


def _heads_ini(lines: list[str]) -> list[Head]:
    return [
        (number, (match[1].strip(),)) for number, line in enumerate(lines) if (match := _INI_HEAD.match(line))
    ]


def _decode_properties(lines: list[str]) -> list[str]:
    return [line if line.lstrip()[:1] in ("#", "!") else _decode_escapes(line) for line in lines]


def _no_heads(lines: list[str]) -> list[Head]:
    return []


_FORMATS: dict[str, tuple[Callable[[list[str]], list[str]], Callable[[list[str]], list[Head]]]] = {
    "application/yaml": (_decode_yaml, _heads_yaml),
    "application/toml": (_decode_toml, _heads_toml),
    "text/x-java-properties": (_decode_properties, _no_heads),
    "text/x-ini": (_as_they_are, _heads_ini),
}
