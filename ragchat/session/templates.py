"""Prompts that are kept, with fields to fill in: `{{name}}` or `{{name: what stands there when nothing is filled in}}`.

A template is a file NAME.md; its first line may be `# what it is for`. Those in your own folder win over the ones that
ragchat brings along. Files are only read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragchat.text import clean, clean_line

LARGEST_FILE = 256 * 1024
_FIELD = re.compile(r"\{\{\s*([^\W\d][\w -]*?)\s*(?::\s*((?:(?!\{\{|\}\})[^\n])*?)\s*)?\}\}")
_BRACES = re.compile(r"\{\{[^{}\n]*\}\}")


@dataclass(frozen=True, slots=True)
class Field:
    """A place to fill in. `default` is there when it is left empty."""

    name: str
    default: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """Invariant: `text` is sanitised. `own`: it is in the user's folder."""

    name: str
    meaning: str
    text: str
    path: Path
    own: bool = True

    @property
    def fields(self) -> tuple[Field, ...]:
        """Each once, in the order in which they first occur; of several defaults the first counts."""
        found: dict[str, str] = {}
        for match in _FIELD.finditer(self.text):
            found[match[1]] = found.get(match[1]) or match[2] or ""
        return tuple(Field(name, default) for name, default in found.items())

    def fill(self, values: Mapping[str, str]) -> str:
        """The prompt. What is filled in stands as it is: braces in it are no fields."""
        defaults = {field.name: field.default for field in self.fields}
        return _FIELD.sub(lambda match: values.get(match[1], "").strip() or defaults[match[1]], self.text)


@dataclass(frozen=True, slots=True)
class WrongFile:
    """A file that is no template, and why."""

    path: Path
    reason: str


def load(own: Path, shipped: Path) -> tuple[list[Template], list[WrongFile]]:
    """All templates by name, and the files that are none. A folder that is not there holds none."""
    templates: dict[str, Template] = {}
    wrong: list[WrongFile] = []
    for folder, is_own in ((shipped, False), (own, True)):
        for path in _files(folder, wrong):
            read = _read(path, own=is_own)
            if isinstance(read, WrongFile):
                wrong.append(read)
            else:
                templates[read.name] = read
    return sorted(templates.values(), key=lambda template: template.name), wrong


def named(templates: Sequence[Template], name: str) -> Template | None:
    """The template of this name; capital letters count as small ones."""
    return next((one for one in templates if one.name.casefold() == name.strip().casefold()), None)


def _files(folder: Path, wrong: list[WrongFile]) -> Iterable[Path]:
    try:
        return sorted(
            path for path in folder.iterdir() if path.suffix.lower() == ".md" and path.name[0] != "."
        )
    except FileNotFoundError:
        return []
    except OSError as error:
        wrong.append(WrongFile(folder, f"it cannot be read: {error.strerror}"))
        return []


def _read(path: Path, *, own: bool) -> Template | WrongFile:
    if path.stem != clean_line(path.stem) or not path.stem:
        return WrongFile(path, "its name contains characters that you cannot type")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        text = clean(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return WrongFile(path, "it is not UTF-8 text")
    except OSError as error:
        return WrongFile(path, f"it cannot be read: {error.strerror}")
    if len(data) > LARGEST_FILE:
        return WrongFile(path, f"it is larger than {LARGEST_FILE // 1024} KiB")
    first, _, rest = text.partition("\n")
    meaning, body, line_first = (clean_line(first[2:]), rest, 2) if first.startswith("# ") else ("", text, 1)
    if not body.strip():
        return WrongFile(path, "it contains no prompt")
    for number, line in enumerate(body.split("\n"), line_first):
        for braces in _BRACES.findall(line):
            if not _FIELD.fullmatch(braces):
                return WrongFile(
                    path,
                    f"line {number}: {braces} is not a field; write {{{{name}}}} or {{{{name: default}}}}",
                )
    return Template(path.stem, meaning, body.strip(), path, own)
