"""Chats from files of this and other programs: what format a file has, what is in it, what of it is new here.

Takes ragchat's own JSON, ChatGPT's data export (`conversations.json`, its parts `conversations-000.json`…, or the ZIP with them),
Open WebUI's, ShareGPT and OpenAI messages, the last three also one a line. A broken chat is refused with its place and costs no
other. `session.foreign_chats` knows the formats of others; `session.own_format` knows ours.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ragchat.errors import IngestError, NotFoundError
from ragchat.session.foreign_chats import NoChatError, read_entry
from ragchat.session.own_format import FORMAT_NAME, FORMAT_VERSION, own_chat
from ragchat.text import clean_line, human_bytes
from ragchat.types import CancelToken, PortableChat

if TYPE_CHECKING:
    from ragchat.store.chats import ChatStore

LARGEST_BYTES = 512 * 1024 * 1024
"""Of a file, and of all that is read out of a ZIP. Ten years of daily chats are below it."""
_MOST_MEMBERS = 10_000
_LONGEST_REASON = 200
_MEMBER = re.compile(r"conversations(-\d+)?\.json", re.IGNORECASE)
_JSON = json.JSONDecoder(strict=False)
_BLANK = re.compile(r"\s*")
OWN = "ragchat"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A chat that did not come in. `where` is its place in the file, with its title where it has one."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a file holds. `formats` are those its chats have; `left_out` what was left out of chats that are read, by kind."""

    formats: tuple[str, ...]
    chats: tuple[PortableChat, ...]
    rejected: tuple[Rejected, ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class TakenIn:
    """How many chats came in and how many were already here."""

    came_in: int
    already_here: int


@dataclass(frozen=True, slots=True)
class _Own:
    """A chat of a file that says it is ragchat's."""

    value: object


def summary(incoming: Incoming, taken: TakenIn, *, dry_run: bool = False) -> str:
    """`12 chats imported, 3 duplicates skipped, 2 rejected. Left out: messages of tools (4).`"""
    came, here, not_in = taken.came_in, taken.already_here, len(incoming.rejected)
    verb = "would be imported" if dry_run else "imported"
    parts = [f"{came:,} {'chat' if came == 1 else 'chats'} {verb}"]
    parts += [f"{here:,} {'duplicate' if here == 1 else 'duplicates'} skipped"] if here else []
    parts += [f"{not_in:,} rejected"] if not_in else []
    left_out = ", ".join(f"{kind} ({count:,})" for kind, count in incoming.left_out)
    return ", ".join(parts) + "." + (f" Left out: {left_out}." if left_out else "")


def read_file(path: Path) -> Incoming:
    """All chats of a file, or of the conversations files of a folder, as ChatGPT's ZIP unpacks to.

    Raises NotFoundError, IngestError for what is too large or no file of chats.
    """
    shown = clean_line(str(path))
    try:
        if path.is_dir():
            files = sorted(one for one in path.iterdir() if _MEMBER.fullmatch(one.name) and one.is_file())
            if not files:
                raise NotFoundError(
                    f"The folder {shown} contains no conversations.json.", "Choose the file itself."
                )
            _check_size(shown, files)
            return _together([_read_text(one.read_bytes(), f"{clean_line(one.name)}, ") for one in files])
        if not path.is_file():
            raise NotFoundError(f"There is no file {shown}.", "Check the path.")
        _check_size(shown, [path])
        data = path.read_bytes()
    except OSError as error:
        raise IngestError(f"{shown} cannot be read ({error.strerror}).", "Check its permissions.") from error
    try:
        return read_chats(data)
    except IngestError as error:
        raise IngestError(f"{shown}: {error}", error.remedy) from error


def _check_size(shown: str, files: Sequence[Path]) -> None:
    if (size := sum(file.stat().st_size for file in files)) > LARGEST_BYTES:
        raise IngestError(
            f"{shown} has {human_bytes(size)}; the limit is {human_bytes(LARGEST_BYTES)}.",
            "Export it in parts.",
        )


def read_chats(data: bytes) -> Incoming:
    """All chats of a file's content. Raises IngestError when it is no file of chats at all."""
    if data.startswith(b"PK\x03\x04"):
        return _together([_read_text(part, f"{name}, ") for name, part in _members(data)])
    return _read_text(data)


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The conversations of ChatGPT's ZIP, in the order of their names; what they unpack to is limited, whatever they claim."""
    left = LARGEST_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            names = sorted(
                info.filename for info in infos if _MEMBER.fullmatch(PurePosixPath(info.filename).name)
            )
            if not names or len(infos) > _MOST_MEMBERS:
                raise IngestError(
                    "The ZIP file contains no conversations.json.", "ChatGPT's data export contains one."
                )
            for name in names:
                with archive.open(name) as member:
                    part = member.read(left + 1)
                left -= len(part)
                if left < 0:
                    raise IngestError(
                        f"The ZIP file unpacks to more than {human_bytes(LARGEST_BYTES)}.",
                        "Unpack it and import its conversation files one by one.",
                    )
                yield clean_line(PurePosixPath(name).name), part
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,
        OSError,
    ) as error:  # also: with a password
        raise IngestError(
            f"The ZIP file cannot be unpacked ({clean_line(str(error), limit=_LONGEST_REASON)}).",
            "Download it again, or unpack it and import the files.",
        ) from error


def _together(parts: Sequence[Incoming]) -> Incoming:
    left_out: Counter[str] = Counter()
    for part in parts:
        left_out.update(dict(part.left_out))
    return Incoming(
        formats=tuple(dict.fromkeys(name for part in parts for name in part.formats)),
        chats=tuple(chat for part in parts for chat in part.chats),
        rejected=tuple(rejected for part in parts for rejected in part.rejected),
        left_out=tuple(left_out.items()),
    )


# --- text to entries ------------------------------------------------------------------------------------


def _read_text(data: bytes, prefix: str = "") -> Incoming:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = data.decode(encoding, "replace")
    chats: list[PortableChat] = []
    rejected: list[Rejected] = []
    left_out: Counter[str] = Counter()
    formats: dict[str, None] = {}
    for where, entry in _entries(text):
        try:
            if isinstance(entry, NoChatError):
                raise entry
            if isinstance(entry, _Own):
                name, chat, missing = OWN, own_chat(entry.value), Counter[str]()
            else:
                name, chat, missing = read_entry(entry)
        except NoChatError as error:
            rejected.append(Rejected(prefix + _place(where, entry), str(error)))
        except RecursionError:
            rejected.append(Rejected(prefix + where, "it is nested too deeply"))
        else:
            formats[name] = None
            chats.append(chat)
            left_out.update(missing)
    return Incoming(tuple(formats), tuple(chats), tuple(rejected), tuple((+left_out).items()))


def _place(where: str, entry: object) -> str:
    """`chat 3 “Title”`."""
    value = entry.value if isinstance(entry, _Own) else entry
    title = value.get("title") if isinstance(value, dict) else None
    return f"{where} “{clean_line(title, limit=60)}”" if isinstance(title, str) and title.strip() else where


def _entries(text: str) -> Iterator[tuple[str, object]]:
    """(place, decoded value) of each chat; a value that cannot be read is a NoChatError. Raises IngestError."""
    start = _skip_blank(text, 0)
    if text.startswith("[", start):
        yield from _gathered(_elements(text, start + 1))
    elif text.startswith("{", start):
        try:
            value, end = _JSON.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            if "\n" not in text.strip() or not _is_object(text[start:].split("\n", 1)[0]):
                raise IngestError(
                    f"It is not complete JSON: {_reason(error)}.", "Export it again."
                ) from error
            yield from _lines(text)
        else:
            if _skip_blank(text, end) < len(text):
                yield from _lines(text)
            elif value.get("format") == FORMAT_NAME:
                yield from _own_entries(value)
            else:
                yield "chat 1", value
    else:
        raise IngestError(
            "It is not a JSON file.",
            "ragchat reads JSON or JSON lines from ragchat, ChatGPT, Open WebUI, LM Studio, ShareGPT and OpenAI messages.",
        )


def _own_entries(value: dict[str, Any]) -> Iterator[tuple[str, object]]:
    version, chats = value.get("version"), value.get("chats")
    if not isinstance(version, int) or not isinstance(chats, list):
        raise IngestError("It is in ragchat's format but contains no chats.", "Export it again.")
    if version > FORMAT_VERSION:
        raise IngestError(
            f"It was written by a newer version of ragchat (format {version}; this one supports {FORMAT_VERSION}).",
            "Update ragchat.",
        )
    yield from ((f"chat {n}", _Own(chat)) for n, chat in enumerate(chats, 1))


def _elements(text: str, at: int) -> Iterator[object]:
    """The values of an array, one by one; a place that cannot be read ends it with a NoChatError."""
    at = _skip_blank(text, at)
    while not text.startswith("]", at):
        try:
            value, at = _JSON.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield NoChatError(f"the rest of the file cannot be read: {_reason(error)}")
            return
        yield value
        at = _skip_blank(text, at)
        if text.startswith(",", at):
            at = _skip_blank(text, at + 1)
        elif not text.startswith("]", at):
            yield NoChatError("the rest of the file cannot be read: it ends too early or a comma is missing")
            return


def _gathered(values: Iterator[object]) -> Iterator[tuple[str, object]]:
    """Numbered chats; an array whose first value is a message is one chat."""
    first = next(values, None)
    if first is None:
        raise IngestError("The list is empty.", "Check the export.")
    if isinstance(first, dict) and "role" in first and "content" in first:
        yield "chat 1", {"messages": _sound([first, *values])}
    elif isinstance(first, dict) and "from" in first and "value" in first:
        yield "chat 1", {"conversations": _sound([first, *values])}
    else:
        yield "chat 1", first
        yield from ((f"chat {n}", value) for n, value in enumerate(values, 2))


def _sound(messages: Iterable[object]) -> list[object]:
    return [message for message in messages if not isinstance(message, NoChatError)]


def _lines(text: str) -> Iterator[tuple[str, object]]:
    for n, line in enumerate(io.StringIO(text), 1):
        if line.strip():
            try:
                yield f"line {n}", _JSON.decode(line)
            except (ValueError, RecursionError) as error:
                yield f"line {n}", NoChatError(f"it cannot be read: {_reason(error)}")


def _is_object(line: str) -> bool:
    try:
        return isinstance(_JSON.decode(line), dict)
    except (ValueError, RecursionError):
        return False


def _skip_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()}, line {error.lineno}"
    return clean_line(str(error), limit=_LONGEST_REASON)


# --- into the store -------------------------------------------------------------------------------------


def take_in(
    store: ChatStore,
    chats: Iterable[PortableChat],
    *,
    tags: Sequence[str] = (),
    dry_run: bool = False,
    cancel: CancelToken | None = None,
) -> TakenIn:
    """Add the chats that are not here yet, with `tags`; each is safe when the next begins.

    Already here is a chat of the same time (of the same title, when its time is not known) that holds all its messages: one that
    was renamed or continued here is known again, and one that continued elsewhere is imported too. Deleted chats are not here.
    """
    here = _Here(store)
    came_in = already_here = 0
    for chat in chats:
        if cancel is not None and cancel.cancelled:
            break
        if here.holds(chat):
            already_here += 1
            continue
        if not dry_run:
            store.add_portable(replace(chat, tags=tuple(dict.fromkeys((*chat.tags, *tags)))))
        here.add(chat)
        came_in += 1
    return TakenIn(came_in, already_here)


class _Here:
    """The chats that are here, by their time and by their title; their messages are read when they are asked for.

    Of those that came in just now the title must be the same, too: no one has renamed them yet.
    """

    def __init__(self, store: ChatStore) -> None:
        self._store = store
        self._chats: dict[str, list[int | PortableChat]] = {}
        for conversation in store.conversations(limit=1_000_000):
            for key in (conversation.created_at, f"title {conversation.title}"):
                self._chats.setdefault(key, []).append(conversation.id)

    def add(self, chat: PortableChat) -> None:
        for key in (chat.created_at, f"title {chat.title}"):
            self._chats.setdefault(key, []).append(chat)

    def holds(self, chat: PortableChat) -> bool:
        said = _said(chat)
        for one in self._chats.get(chat.created_at or f"title {chat.title}", []):
            if isinstance(one, PortableChat):
                if one.title == chat.title and said <= _said(one):
                    return True
            elif said <= _said(self._store.portable(one)):
                return True
        return False


def _said(chat: PortableChat) -> set[tuple[str, str]]:
    return {(message.role, message.text) for message in chat.messages}
