"""Messages, appointments, contacts and tasks that Outlook saved as .msg (MS-OXMSG). Runs in the reading process."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

from ragchat.errors import IngestError
from ragchat.ingest.encoding import decode, looks_like_text, source_text
from ragchat.ingest.formats import Kind
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.mail.bodies import choose, plain_body
from ragchat.ingest.reading.mail.compound import MAGIC, Storage, open_compound
from ragchat.ingest.reading.mail.messages import (
    LARGE_PICTURE,
    File,
    head_lines,
    mail_date,
    read_mail,
    write_files,
    write_page,
    write_plain,
)
from ragchat.ingest.reading.mail.mime import Entity, decode_charset, parse
from ragchat.ingest.reading.mail.outlook_rtf import html_in_rtf, unpack_rtf
from ragchat.ingest.reading.mail.smime import signed_content
from ragchat.ingest.wire import LONGEST_TITLE, Reason
from ragchat.text import clean_line
from ragchat.types import ExtractedText, LeftOutKind

if TYPE_CHECKING:
    from ragchat.ingest.reading.inside import ReadInside

_DEEPEST = 5
"""Messages in messages in one file."""
_MOST_ITEMS = 5_000
"""Recipients and attachments that are looked at."""

# Properties by their number (MS-OXPROPS).
_CLASS, _SUBJECT, _BODY, _HTML, _RTF, _HEADERS = 0x001A, 0x0037, 0x1000, 0x1013, 0x1009, 0x007D
_SUBMITTED, _DELIVERED = 0x0039, 0x0E06
_MESSAGE_CODE_PAGE, _INTERNET_CODE_PAGE = 0x3FFD, 0x3FDE
_DISPLAY_NAME, _EMAIL, _SMTP, _RECIPIENT_TYPE = 0x3001, 0x3003, 0x39FE, 0x0C15
_DISPLAY_TO, _DISPLAY_CC, _DISPLAY_BCC = 0x0E04, 0x0E03, 0x0E02
_SENDER = ((0x0042, 0x5D02, 0x0065), (0x0C1A, 0x5D01, 0x0C1F))
"""Name, SMTP address, other address: of whom it was sent for, then of who sent it."""
_FILE_DATA, _LONG_NAME, _SHORT_NAME, _FILE_METHOD, _FILE_TYPE = 0x3701, 0x3707, 0x3704, 0x3705, 0x370E
_CONTENT_ID = 0x3712
_OLE = 6

Value = Literal["text", "time", "number", "share"]
_FIELDS: tuple[tuple[str, int, Value], ...] = (
    ("Name", _DISPLAY_NAME, "text"), ("Nickname", 0x3A4F, "text"), ("Company", 0x3A16, "text"), ("Department", 0x3A18, "text"),
    ("Title", 0x3A17, "text"), ("Profession", 0x3A46, "text"), ("Business telephone", 0x3A08, "text"),
    ("Business telephone", 0x3A1B, "text"), ("Home telephone", 0x3A09, "text"), ("Mobile telephone", 0x3A1C, "text"),
    ("Other telephone", 0x3A1F, "text"), ("Fax", 0x3A24, "text"), ("Address", 0x3A15, "text"), ("Web", 0x3A51, "text"),
    ("Birthday", 0x3A42, "time"), ("Spouse", 0x3A48, "text"), ("Manager", 0x3A4E, "text"), ("Assistant", 0x3A30, "text"),
)  # fmt: skip
"""What a contact says; other messages have only some of them, and none is read for those."""
_NAMED: tuple[tuple[str, int, Value], ...] = (
    ("Location", 0x8208, "text"), ("Start", 0x820D, "time"), ("End", 0x820E, "time"), ("Repeats", 0x8232, "text"),
    ("Attendees", 0x8238, "text"), ("Start", 0x8104, "time"), ("Due", 0x8105, "time"), ("Owner", 0x811F, "text"),
    ("Complete", 0x8102, "share"), ("Home address", 0x801A, "text"), ("Business address", 0x801B, "text"),
    ("Other address", 0x801C, "text"), ("E-mail", 0x8083, "text"), ("E-mail", 0x8093, "text"), ("E-mail", 0x80A3, "text"),
    ("Chat", 0x8062, "text"),
)  # fmt: skip
"""Properties with a number of their own in each file, by the number that names them."""


def read_outlook(data: bytes, kind: Kind, read_inside: ReadInside) -> ExtractedText:
    """A message. One that is no compound file but a mail is read as one. Raises IngestError."""
    if not data.startswith(MAGIC):
        mail = parse(data[:20_000])
        if looks_like_text(data) and not {"from", "subject", "date"}.isdisjoint(mail.fields):
            return read_mail(data, kind, read_inside)
        raise IngestError(Reason.DAMAGED)
    root = open_compound(data)
    if root.stream("__properties_version1.0") is None:
        raise IngestError(Reason.OLD_OFFICE if root.stream("encryptedpackage") else Reason.DAMAGED)
    return _Message(root, 32, _names_of(root), 0).read(kind.media_type, read_inside)


# --- properties -----------------------------------------------------------------------------------------


class _Properties:
    """What a folder of the file says of a message, a recipient or an attachment. `head` is the length of its list's head."""

    def __init__(self, storage: Storage, head: int) -> None:
        self.storage = storage
        self._fixed: dict[int, bytes] = {}
        listed = storage.stream("__properties_version1.0") or b""
        for place in range(head, len(listed) - 15, 16):
            self._fixed[int.from_bytes(listed[place + 2 : place + 4], "little")] = listed[
                place + 8 : place + 16
            ]
        self.code_page = self.number(_MESSAGE_CODE_PAGE) or self.number(_INTERNET_CODE_PAGE)

    def number(self, number: int) -> int:
        """A number or a yes (1), 0 when there is none."""
        return int.from_bytes(self._fixed.get(number, b"")[:4], "little")

    def share(self, number: int) -> str:
        """A share of one in percent, '' when there is none."""
        if number not in self._fixed:
            return ""
        value = float(struct.unpack("<d", self._fixed[number])[0])
        return f"{value:.0%}" if 0 < value <= 1 else ""

    def time(self, number: int) -> str:
        """A moment in UTC, '' when there is none."""
        ticks = int.from_bytes(self._fixed.get(number, b""), "little")
        try:
            moment = dt.datetime(1601, 1, 1) + dt.timedelta(microseconds=ticks // 10)
        except OverflowError:
            return ""
        return f"{moment:%Y-%m-%d %H:%M} UTC" if ticks and moment.year < 4000 else ""

    def binary(self, number: int) -> bytes:
        """Bytes, none when there are none."""
        return self.storage.stream(f"__substg1.0_{number:04X}0102") or b""

    def text(self, number: int) -> str:
        """Text, '' when there is none."""
        wide = self.storage.stream(f"__substg1.0_{number:04X}001F")
        if wide is not None:
            return wide[: len(wide) // 2 * 2].decode("utf-16-le", "replace").rstrip("\0")
        narrow = self.storage.stream(f"__substg1.0_{number:04X}001E")
        return _decoded(narrow, self.code_page).rstrip("\0") if narrow else ""

    def texts(self, number: int) -> list[str]:
        """Several texts, as categories are."""
        found = []
        for kind, charset in (("101F", "utf-16-le"), ("101E", "")):
            for index in range(100):
                raw = self.storage.stream(f"__substg1.0_{number:04X}{kind}-{index:08X}")
                if raw is None:
                    break
                text = raw.decode(charset, "replace") if charset else _decoded(raw, self.code_page)
                found.append(text.rstrip("\0"))
        return found


def _decoded(raw: bytes, code_page: int) -> str:
    return decode_charset(raw, _CODE_PAGES.get(code_page) or (f"cp{code_page}" if code_page else "cp1252"))


_CODE_PAGES = {
    65001: "utf-8", 65000: "utf-7", 1200: "utf-16-le", 20127: "us-ascii", 20866: "koi8-r", 21866: "koi8-u", 50220: "iso-2022-jp",
    50221: "iso-2022-jp", 50222: "iso-2022-jp", 50225: "iso-2022-kr", 51932: "euc-jp", 51936: "gb18030", 51949: "euc-kr",
    52936: "hz", 54936: "gb18030", 10000: "macintosh", **{28590 + part: f"iso-8859-{part}" for part in range(1, 17)},
}  # fmt: skip


def _names_of(root: Storage) -> dict[int | str, int]:
    """The properties that have a number of their own in this file, by what names them."""
    names = root.storages.get("__nameid_version1.0")
    if names is None:
        return {}
    entries = names.stream("__substg1.0_00030102") or b""
    texts = names.stream("__substg1.0_00040102") or b""
    found: dict[int | str, int] = {}
    for place in range(0, len(entries) - 7, 8):
        name, flags, index = struct.unpack_from("<IHH", entries, place)
        key = _name_at(texts, name) if flags & 1 else name
        found.setdefault(key, 0x8000 + index)
    return found


def _name_at(texts: bytes, place: int) -> str:
    length = int.from_bytes(texts[place : place + 4], "little")
    return texts[place + 4 : place + 4 + min(length, 1000)].decode("utf-16-le", "replace")


# --- messages -------------------------------------------------------------------------------------------


class _Message:
    """A message of the file, or one inside it."""

    def __init__(self, storage: Storage, head: int, names: dict[int | str, int], depth: int) -> None:
        self._storage, self._names, self._depth = storage, names, depth
        self._own = _Properties(storage, head)
        self._kind = self._own.text(_CLASS).upper()
        self._code_page = self._own.code_page

    @property
    def subject(self) -> str:
        return clean_line(self._own.text(_SUBJECT), limit=LONGEST_TITLE)

    def read(self, media_type: str, read_inside: ReadInside) -> ExtractedText:
        """All of it. Raises IngestError."""
        builder = DocumentBuilder(media_type)
        head = [*self._head(), *self._fields()]
        if head:
            builder.lines((line, 0) for line in head)
        files = self._write_body(builder, read_inside)
        self._write_attachments(builder, files, read_inside)
        document = builder.build(self.subject or self._own.text(_DISPLAY_NAME))
        if self._is_sealed and not document.parts and not self._depth:
            raise IngestError(Reason.ENCRYPTED)
        return document

    # --- the head

    def _head(self) -> list[str]:
        sent = {line.partition(": ")[0]: line for line in head_lines(self._transport)}
        own = self._own
        people = self._recipients()
        values = {
            "From": self._sender(),
            "To": people.get(1) or own.text(_DISPLAY_TO),
            "Cc": people.get(2) or own.text(_DISPLAY_CC),
            "Bcc": people.get(3) or own.text(_DISPLAY_BCC),
            "Date": mail_date(self._transport.field("date")) or own.time(_SUBMITTED) or own.time(_DELIVERED),
            "Subject": own.text(_SUBJECT),
        }
        lines = [
            f"{name}: {clean_line(value)}" if value else sent.get(name, "") for name, value in values.items()
        ]
        return [line for line in lines if line]

    @cached_property
    def _transport(self) -> Entity:
        """The headers with which it was sent, should the file have kept them."""
        return parse(self._own.text(_HEADERS).encode("utf-8", "replace"), has_lines=False)

    def _sender(self) -> str:
        for name, smtp, other in _SENDER:
            address = self._own.text(smtp) or self._own.text(other)
            if person := _person(self._own.text(name), address):
                return person
        return ""

    def _recipients(self) -> dict[int, str]:
        """Who got it, by the type of the recipient: 1 to, 2 a copy, 3 a blind copy."""
        people: dict[int, list[str]] = {}
        for storage in _items(self._storage, "__recip_version1.0_"):
            one = self._under(storage)
            address = one.text(_SMTP) or one.text(_EMAIL)
            if person := _person(one.text(_DISPLAY_NAME), address):
                people.setdefault(one.number(_RECIPIENT_TYPE) & 15 or 1, []).append(person)
        return {kind: ", ".join(of) for kind, of in people.items()}

    def _under(self, storage: Storage) -> _Properties:
        """A recipient or an attachment, which has the code page of its message."""
        one = _Properties(storage, 8)
        one.code_page = one.code_page or self._code_page
        return one

    def _fields(self) -> Iterator[str]:
        """What appointments, contacts and tasks say beside their body."""
        if self._kind.startswith("IPM.CONTACT"):
            yield from self._said(_FIELDS)
        yield from self._said([(label, self._names.get(name, 0), kind) for label, name, kind in _NAMED])
        if categories := self._own.texts(self._names.get("Keywords", 0)):
            yield f"Categories: {clean_line(', '.join(categories))}"

    def _said(self, fields: Iterable[tuple[str, int, Value]]) -> Iterator[str]:
        for label, number, kind in fields:
            value = {"text": self._own.text, "time": self._own.time, "share": self._own.share}[kind](number)
            if number and value.strip():
                yield f"{label}: {clean_line(value)}"

    # --- the body

    def _write_body(self, builder: DocumentBuilder, read_inside: ReadInside) -> list[File]:
        """Write the form of the body that says most; what it gives back are files that stood in it."""
        own = self._own
        plain = source_text(own.text(_BODY))
        page, rtf = self._page()
        body = plain_body(plain, ())
        files: list[File] = []
        wanted = choose(plain, page)
        if rtf and not page and (not plain.strip() or b"\\trowd" in rtf):
            write_page(builder, "", (), read_inside, rtf=rtf)
            return files
        if wanted != "html":
            files = write_plain(builder, body)
        if page and wanted != "plain":
            write_page(builder, page, (), read_inside)
        return files

    def _page(self) -> tuple[str, bytes]:
        """The body in HTML, and in RTF where there is no HTML."""
        own = self._own
        if raw := own.binary(_HTML):
            return _decoded(raw, own.number(_INTERNET_CODE_PAGE)) if own.number(
                _INTERNET_CODE_PAGE
            ) else decode(raw), b""
        if page := own.text(_HTML):
            return page, b""
        packed = own.binary(_RTF)
        rtf = unpack_rtf(packed) if packed else b""
        page = html_in_rtf(rtf)
        return page, b"" if page else rtf

    # --- attachments

    @property
    def _is_sealed(self) -> bool:
        """Whether the message is a signed or encrypted lump, which is its only attachment."""
        return self._kind.startswith("IPM.NOTE.SMIME")

    def _write_attachments(
        self, builder: DocumentBuilder, files: list[File], read_inside: ReadInside
    ) -> None:
        for number, storage in enumerate(_items(self._storage, "__attach_version1.0_"), 1):
            one = self._under(storage)
            if file := self._file(one, number, builder, read_inside):
                files.append(file)
        write_files(builder, files, read_inside)

    def _file(
        self, one: _Properties, number: int, builder: DocumentBuilder, read_inside: ReadInside
    ) -> File | None:
        """An attachment to be read, or None when it is left out."""
        name = one.text(_LONG_NAME) or one.text(_SHORT_NAME) or one.text(_DISPLAY_NAME)
        name = clean_line(name.replace("\\", "/").rpartition("/")[2], limit=LONGEST_TITLE)
        inner = one.storage.storages.get(f"__substg1.0_{_FILE_DATA:04x}000d")
        if inner is not None and one.number(_FILE_METHOD) != _OLE:
            return self._message_in(inner, name or f"attachment-{number}", builder, read_inside)
        name = name or f"attachment-{number}"
        if inner is not None:
            builder.leave_out(LeftOutKind.OBJECT, name)
        elif one.storage.stream(f"__substg1.0_{_FILE_DATA:04x}0102") is None:
            builder.leave_out(LeftOutKind.ATTACHMENT, f"{name} (only a reference)")
        else:
            return self._file_of(one, name, builder)
        return None

    def _message_in(
        self, storage: Storage, name: str, builder: DocumentBuilder, read_inside: ReadInside
    ) -> File | None:
        if self._depth + 1 >= _DEEPEST:
            builder.leave_out(LeftOutKind.ATTACHMENT, f"{name} ({Reason.UNSUPPORTED})")
            return None
        message = _Message(storage, 24, self._names, self._depth + 1)
        name = f"{(message.subject or name).removesuffix('.msg')}.msg"
        read = partial(message.read, builder.media_type, read_inside)
        return File(name, builder.media_type, bytes, document=read)

    def _file_of(self, one: _Properties, name: str, builder: DocumentBuilder) -> File | None:
        """A file that is in the message by value."""
        kind = one.text(_FILE_TYPE).lower().strip()
        content = partial(one.binary, _FILE_DATA)
        in_body = bool(one.text(_CONTENT_ID)) and kind.startswith("image/")
        if self._is_sealed:
            return _unsealed(kind, content(), builder)
        if in_body and len(content()) < LARGE_PICTURE:
            builder.leave_out(LeftOutKind.PICTURE, name)
            return None
        return File(name, kind, content, is_picture=in_body)


def _unsealed(kind: str, content: bytes, builder: DocumentBuilder) -> File | None:
    """What a signed message holds, as a mail; None when it is encrypted."""
    mail = (
        content
        if kind == "multipart/signed" or content[:8].lower() == b"content-"
        else signed_content(content)
    )
    if mail is None:
        builder.leave_out(LeftOutKind.REST, "encrypted message")
        return None
    return File("message.eml", "message/rfc822", lambda: mail)


def _items(storage: Storage, prefix: str) -> list[Storage]:
    """The folders whose names begin so, in the order of their numbers."""
    names = sorted(name for name in storage.storages if name.startswith(prefix))
    return [storage.storages[name] for name in names[:_MOST_ITEMS]]


def _person(name: str, address: str) -> str:
    """Name and address; an address that only Exchange knows says nothing."""
    name, address = clean_line(name).strip("'\""), clean_line(address)
    if not address or address.upper().startswith("/O=") or address.lower() == name.lower():
        return name or address
    return f"{name} <{address}>" if name else address
