"""Chats as text for people and programs: Markdown, HTML, our own JSON and JSON lines of OpenAI messages; and into files.

Only our JSON (`session.own_format`) holds everything, all branches, passages, prompts and ratings, and comes in again unchanged;
the others hold the branch that is shown. `session.chat_html` makes the HTML, `session.importing` reads files.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ragchat.errors import StorageError, UsageError
from ragchat.paths import write_atomically
from ragchat.session.chat_lines import (
    about,
    check_lines,
    heading,
    quote_lines,
    quote_place,
    remarks,
    said_text,
    source_lines,
)
from ragchat.session.marked import DO_NOT_SAY, SIGNS, Style, without_struck
from ragchat.session.own_format import as_json
from ragchat.session.quotation import FROM_DOCUMENTS
from ragchat.text import clean, clean_line
from ragchat.types import Conversation, PortableChat, PortableMessage, Quote, text_of

Format = Literal["markdown", "json", "jsonl", "html"]
SUFFIXES: dict[Format, str] = {"markdown": ".md", "json": ".json", "jsonl": ".jsonl", "html": ".html"}
MANY = "ragchat-chats"
"""Name of a file or folder of several chats."""
_LONGEST_SLUG = 60
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~])")
_LINE_SIGN = re.compile(r"^(\s*)(?:(\d+)([.)])|([-+=]))")
"""What begins a list, a rule or an underlined heading."""
_STYLE = Style(SIGNS, struck="~~")


@dataclass(frozen=True, slots=True)
class Written:
    """Files that an export wrote: their paths, and the folder when there are several."""

    files: tuple[Path, ...]
    folder: Path | None = None


class TargetExistsError(UsageError):
    """A file of the export is there already."""


def format_of(target: Path) -> Format | None:
    """The format that the ending of a name asks for."""
    return next((format for format, suffix in SUFFIXES.items() if target.suffix.lower() == suffix), None)


def export_text(chats: Sequence[PortableChat], format: Format) -> str:
    """The chats in one text, which ends in a newline."""
    match format:
        case "markdown":
            return "\n---\n\n".join(map(as_markdown, chats))
        case "json":
            return as_json(chats)
        case "jsonl":
            return "".join(map(as_openai_line, chats))
        case "html":
            from ragchat.session.chat_html import as_html

            return as_html(chats)


# --- for programs ---------------------------------------------------------------------------------------


def as_openai_line(chat: PortableChat) -> str:
    """`{"messages": [{"role", "content"}…]}` of the branch that is shown, the chat's own system prompt first.

    An answer is what stays of the model's words without those that were struck out; without any, what the documents say.
    """
    said = [(one.role, clean(_told(one))) for one in chat.path]
    messages = [{"role": role, "content": text} for role, text in said if text.strip()]
    if chat.options.system_prompt:
        messages.insert(0, {"role": "system", "content": clean(chat.options.system_prompt)})
    return f"{json.dumps({'messages': messages}, ensure_ascii=False)}\n"


def _told(message: PortableMessage) -> str:
    content = without_struck(message.content, message.check)
    if not content.strip() and message.quotes:
        return "\n\n".join(quote.text for quote in message.quotes)
    return text_of(content, notice=message.notice, attachments=message.attachments)


# --- for people -----------------------------------------------------------------------------------------


def as_markdown(chat: PortableChat) -> str:
    """The branch that is shown: a heading for each question and answer, below an answer the sources that it cites."""
    parts = [f"# {escaped(clean_line(chat.title))}", _escaped_line(about(chat))]
    for message in chat.path:
        parts += _markdown_message(message)
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_message(message: PortableMessage) -> Iterator[str]:
    yield f"## {escaped(heading(message))}"
    if message.reasoning:
        thought = "\n".join(f"> {line}".rstrip() for line in clean(message.reasoning).splitlines())
        yield f"> **Reasoning**\n>\n{thought}"
    if message.quotes:
        yield f"**{FROM_DOCUMENTS}**"
        yield from map(_markdown_quote, message.quotes)
    if not message.check.says:
        yield f"*{DO_NOT_SAY}*"
    yield clean(said_text(message, _STYLE)).strip()
    yield from (f"*{_escaped_line(remark)}*" for remark in remarks(message))
    if lines := check_lines(message.check):
        yield f"*{_escaped_line(lines[0])}*"
        yield "\n".join(f"- {escaped(line)}" for line in lines[1:])
    if message.correction:
        yield f"**Corrected:**\n\n{clean(message.correction).strip()}"
    if sources := source_lines(message):
        yield "**Sources**"
        yield "\n".join(f"- {escaped(line)}" for line in sources)


def _markdown_quote(quote: Quote) -> str:
    """A block quote; what has lines of its own (a list, a table) is code in it, so that they stay as they are."""
    lines = quote_lines(quote)
    if len(lines) == 1:
        lines = [_LINE_SIGN.sub(r"\1\2\\\3\4", escaped(lines[0].strip()))]
    else:
        longest = max((len(run) for run in re.findall("`+", "\n".join(lines))), default=0)
        fence = "`" * max(3, longest + 1)
        lines = [fence, *lines, fence]
    return "\n".join(f"> {line}".rstrip() for line in [*lines, "", f"({escaped(quote_place(quote))})"])


def escaped(line: str) -> str:
    """A line that Markdown shows as it stands."""
    return _MARKUP.sub(r"\\\1", line)


def _escaped_line(line: str) -> str:
    return escaped(clean_line(line))


# --- into files -----------------------------------------------------------------------------------------


def file_stem(chat: PortableChat | Conversation) -> str:
    """A name for a chat's file that every file system takes: the day it began, and letters and digits of its title, in
    small letters, since some file systems do not tell cases apart.
    """
    title = unicodedata.normalize("NFC", clean_line(chat.title))
    slug = "-".join(re.findall(r"\w+", title)).lower()[:_LONGEST_SLUG]
    while len(slug.encode()) > 3 * _LONGEST_SLUG:
        slug = slug[:-1]
    day = chat.created_at[:10] if re.fullmatch(r"\d{4}-\d\d-\d\d", chat.created_at[:10]) else "chat"
    return f"{day}-{slug.strip('-_')}".rstrip("-")


def targets(chats: Sequence[PortableChat], format: Format, target: Path) -> list[tuple[Path, str]]:
    """(path, text) of each file that an export to `target` writes. Several chats in Markdown make a folder with a file each."""
    if format == "markdown" and len(chats) > 1:
        return [
            (target / f"{name}{SUFFIXES[format]}", as_markdown(chat))
            for name, chat in zip(_unique_stems(chats), chats, strict=True)
        ]
    if target.is_dir():
        target /= f"{file_stem(chats[0]) if len(chats) == 1 else MANY}{SUFFIXES[format]}"
    return [(target, export_text(chats, format))]


def _unique_stems(chats: Sequence[PortableChat]) -> Iterator[str]:
    taken: set[str] = set()
    for chat in chats:
        stem = name = file_stem(chat)
        n = 1
        while name in taken:
            n += 1
            name = f"{stem}-{n}"
        taken.add(name)
        yield name


def write_export(
    chats: Sequence[PortableChat], format: Format, target: Path, *, overwrite: bool = False
) -> Written:
    """Write the chats to a file or into a folder, for their owner only. Each file has its old or its whole new content.

    Raises TargetExistsError when a file is there already and `overwrite` is not set (then nothing is written), UsageError,
    StorageError.
    """
    if not chats:
        raise UsageError("There is no chat to export.")
    files = targets(chats, format, target)
    folder = files[0][0].parent
    several = format == "markdown" and len(chats) > 1
    try:
        if not folder.is_dir():
            if not several:
                raise UsageError(
                    f"There is no folder {clean_line(str(folder))}.", "Create it or choose another."
                )
            folder.mkdir(mode=0o700)
        if not overwrite and (there := [path for path, _ in files if path.exists()]):
            more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
            raise TargetExistsError(
                f"{clean_line(str(there[0]))}{more} already exists.", "Choose another name."
            )
        for path, text in files:
            write_atomically(path, text.encode())
    except OSError as error:
        raise StorageError(
            f"{clean_line(str(target))} cannot be written ({error.strerror}).", "Choose another place."
        ) from error
    return Written(tuple(path for path, _ in files), folder if several else None)
