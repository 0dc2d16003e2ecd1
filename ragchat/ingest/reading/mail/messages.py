"""Mails (.eml), mailboxes (mbox) and web pages saved as one file (MHTML). Runs in the reading process.

A mail is its head (who, whom, when, what about), its body, and its attachments as parts. Headers that are there for programs
are not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_tz
from functools import partial
from typing import TYPE_CHECKING

from ragchat.errors import IngestError
from ragchat.ingest.encoding import looks_like_text
from ragchat.ingest.formats import UNSUPPORTED, Kind, kind_of, suffix_of
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.mail.bodies import PlainBody, choose, crude_text, enriched_text, plain_body
from ragchat.ingest.reading.mail.calendars import calendar_lines
from ragchat.ingest.reading.mail.mime import Entity, decode_words, parse
from ragchat.ingest.reading.mail.smime import signed_content
from ragchat.ingest.wire import LONGEST_TITLE, Reason
from ragchat.text import clean_line
from ragchat.types import ExtractedText, LeftOutKind

if TYPE_CHECKING:
    from ragchat.ingest.reading.inside import ReadInside

MOST_ATTACHMENTS = 500
_LARGEST_TEXT = 64 * 1024 * 1024
"""Characters of a mailbox."""
LARGE_PICTURE = 32_768
"""Bytes from which a picture in a body is more than decoration: it may be a scan."""
_DEEPEST = 40


def read_mail(data: bytes, kind: Kind, read_inside: ReadInside) -> ExtractedText:
    """A mail. Raises IngestError."""
    mail = parse(data)
    if not mail.fields and not looks_like_text(data):
        raise IngestError(Reason.DAMAGED)
    found = _Found()
    _gather(mail, found, is_main=True)
    document = _write(mail, found, kind.media_type, read_inside)
    if found.is_encrypted and not found.bodies and not document.parts:
        raise IngestError(Reason.ENCRYPTED)
    return document


# --- the head -------------------------------------------------------------------------------------------

_HEAD = (
    "From", "Sender", "Reply-To", "To", "Newsgroups", "Cc", "Bcc", "Date", "Subject", "Organization", "Keywords", "Comments",
)  # fmt: skip
_QUOTED_NAME = re.compile(r'"((?:[^"\\]|\\.){0,300})"')


def head_lines(mail: Entity) -> list[str]:
    """The headers that a user reads, "Name: value" each."""
    sender = _unquoted_names(mail.field("from"))
    lines = []
    for name in _HEAD:
        value = mail.field(name.lower())
        if name == "Date":
            value = mail_date(value)
        elif name != "Subject":
            value = _unquoted_names(value)
        is_said = name in ("Sender", "Reply-To") and value in sender
        if (value := clean_line(value)) and not is_said:
            lines.append(f"{name}: {value}")
    return lines


def _unquoted_names(value: str) -> str:
    return _QUOTED_NAME.sub(lambda match: re.sub(r"\\(.)", r"\1", match[1]), value)


def mail_date(value: str) -> str:
    """The date of a mail as "2026-05-14 15:30", in the zone that it names; as it stands where it is none."""
    try:
        found = parsedate_tz(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        found = None
    if not found:
        return value
    year, month, day, hour, minute = found[:5]
    if not (1900 <= year <= 2200 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60):
        return value
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}"


# --- what a mail consists of ----------------------------------------------------------------------------

_FORMS = {
    "text/plain": "plain", "text/html": "html", "application/xhtml+xml": "html", "text/enriched": "enriched",
    "text/richtext": "enriched", "text/calendar": "calendar", "text/vcard": "calendar", "text/x-vcard": "calendar",
    "text/directory": "calendar", "message/delivery-status": "plain", "message/disposition-notification": "plain",
    "message/feedback-report": "plain", "message/partial": "plain", "text/rtf": "rtf", "application/rtf": "rtf",
}  # fmt: skip
_SMIME = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_TNEF = ("application/ms-tnef", "application/vnd.ms-tnef")
_FOR_PROGRAMS = (
    "application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature", "application/applefile",
    "application/pgp-encrypted", "text/css", "text/javascript", "application/javascript", "application/x-javascript",
)  # fmt: skip
_LOOKS_LIKE_HTML = re.compile(rb"\s{0,200}<(?:!doctype html|html)\b", re.IGNORECASE)


@dataclass(slots=True)
class _Body:
    """A part that is text of the mail itself. `form` is a value of `_FORMS`.

    `numbers[i]` is the line of the file at which line i + 1 of its text begins.
    """

    form: str
    entity: Entity
    text: str
    numbers: Sequence[int]


@dataclass(slots=True)
class _Found:
    """What a mail consists of, in order; `pictures` are in its bodies."""

    bodies: list[_Body] = field(default_factory=list)
    attached: list[Entity] = field(default_factory=list)
    pictures: list[Entity] = field(default_factory=list)
    left_out: list[tuple[LeftOutKind, str]] = field(default_factory=list)
    is_encrypted: bool = False

    def take(self, other: _Found, bodies: Sequence[_Body]) -> None:
        """Everything of another but the bodies, of which only these."""
        self.bodies += bodies
        self.attached += other.attached
        self.pictures += other.pictures
        self.left_out += other.left_out
        self.is_encrypted |= other.is_encrypted

    def has(self, form: str) -> bool:
        return any(body.form == form for body in self.bodies)

    def text(self, form: str) -> str:
        return "\n".join(body.text for body in self.bodies if body.form == form)

    def leave_out(self, kind: LeftOutKind, name: str) -> None:
        self.left_out.append((kind, name))


def _gather(entity: Entity, found: _Found, depth: int = 0, *, is_main: bool = False) -> None:
    """Sort an entity and what is in it. `is_main`: text is the body here, even with a file name."""
    if entity.is_cut:
        found.leave_out(LeftOutKind.REST, "parts of the mail")
    if entity.outside and not re.search(r"MIME|multi-?part", entity.outside[:2000]):
        found.leave_out(LeftOutKind.HIDDEN_TEXT, "text outside the parts")
    if entity.kind.startswith("multipart/"):
        _gather_parts(entity, found, depth + 1)
    elif entity.kind in _SMIME and not entity.kind.endswith("signature"):
        _gather_smime(entity, found, depth + 1)
    elif entity.kind in _FOR_PROGRAMS and entity.disposition != "attachment":
        return
    elif (form := _form(entity, is_main)) != "":
        text, numbers = entity.page() if form == "html" else ("", ())
        if form not in ("html", "rtf"):
            text, numbers = entity.text(), entity.line_numbers()
        found.bodies.append(_Body(form, entity, text, numbers))
    elif (
        entity.kind.startswith("image/") and entity.disposition != "attachment" and entity.field("content-id")
    ):
        found.pictures.append(entity)
    else:
        found.attached.append(entity)


def _form(entity: Entity, is_main: bool) -> str:
    """How an entity is read as text of the mail itself, '' when it is an attachment."""
    if entity.disposition == "attachment" or (entity.filename and not is_main):
        return ""
    form = _FORMS.get(entity.kind, "plain" if entity.kind.startswith("text/") else "")
    if form == "plain" and _LOOKS_LIKE_HTML.match(entity.content()[:1000]):
        return "html"
    return form


def _gather_parts(entity: Entity, found: _Found, depth: int) -> None:
    kind = entity.kind.partition("/")[2]
    if kind == "encrypted":
        found.is_encrypted = True
        found.leave_out(LeftOutKind.REST, "encrypted message")
    elif kind == "alternative":
        _gather_alternatives(entity, found, depth)
    elif kind == "related":
        root = related_root(entity)
        for part in entity.parts:
            if part is root or not part.kind.startswith("image/"):
                _gather(part, found, depth, is_main=part is root)
            else:
                found.pictures.append(part)
    else:
        for part in entity.parts:
            _gather(part, found, depth)


def related_root(entity: Entity) -> Entity | None:
    """The part of a multipart/related that the others belong to."""
    start = entity.parameters.get("start", "").strip("<> ")
    named = [part for part in entity.parts if start and part.field("content-id").strip("<> ") == start]
    return next(iter(named or entity.parts), None)


def _gather_alternatives(entity: Entity, found: _Found, depth: int) -> None:
    """Of forms of the same text the one that says most; attachments and appointments of all of them."""
    forms = []
    for part in entity.parts:
        forms.append(_Found())
        _gather(part, forms[-1], depth, is_main=True)
    plain = [form for form in forms if not form.has("html")]
    pages = [form for form in forms if form.has("html")]
    best = _best_of(plain)
    wanted = choose("\n".join(form.text("plain") for form in plain), pages[-1].text("html") if pages else "")
    for form in forms:
        is_wanted = (form is best and wanted != "html") or (
            pages != [] and form is pages[-1] and wanted != "plain"
        )
        found.take(form, [body for body in form.bodies if is_wanted or body.form == "calendar"])


def _best_of(forms: list[_Found]) -> _Found | None:
    """Of the forms without HTML: plain text, else what is nearest to it."""
    for name in ("plain", "enriched", "rtf"):
        for form in forms:
            if form.has(name) and (name == "rtf" or form.text(name).strip()):
                return form
    return None


def _gather_smime(entity: Entity, found: _Found, depth: int) -> None:
    """A signed message that is wrapped whole, or an encrypted one."""
    content = signed_content(entity.content()) if depth < _DEEPEST else None
    if content is not None:
        _gather(parse(content, has_lines=False), found, depth + 1, is_main=True)
        return
    found.is_encrypted = True
    found.leave_out(LeftOutKind.REST, "encrypted message")


# --- writing --------------------------------------------------------------------------------------------


def _write(mail: Entity, found: _Found, media_type: str, read_inside: ReadInside) -> ExtractedText:
    builder = DocumentBuilder(media_type)
    has_lines = any(body.form in ("plain", "html") and body.entity.has_lines for body in found.bodies[:1])
    head_line = mail.lines.at(mail.header_first) if mail.lines and has_lines else 0
    head = head_lines(mail)
    if head:
        builder.lines((line, head_line) for line in head)
    files = [_file(entity, number) for number, entity in enumerate(found.attached, 1)]
    files += _write_bodies(builder, found, read_inside)
    for kind, name in found.left_out:
        builder.leave_out(kind, name)
    files += _large_pictures(builder, found.pictures)
    write_files(builder, files, read_inside)
    return builder.build(mail.field("subject"))


@dataclass(frozen=True, slots=True)
class File:
    """A file in a mail, `kind` its media type. `is_picture`: it is in the body. `document`, where given, reads it."""

    name: str
    kind: str
    content: Callable[[], bytes]
    is_picture: bool = False
    document: Callable[[], ExtractedText] | None = None


def _write_bodies(builder: DocumentBuilder, found: _Found, read_inside: ReadInside) -> list[File]:
    """Write the bodies; what it gives back are the files that stood in them. An appointment that comes twice is written once."""
    files, said, is_below_page = [], set[str](), False
    pictures = _content_ids([*found.pictures, *found.attached])
    for body in found.bodies:
        if body.form == "calendar" and body.text in said:
            continue
        said.add(body.text)
        if is_below_page and body.text.strip():
            builder.section(())
        files += _write_body(builder, body, read_inside, pictures)
        is_below_page = body.form in ("html", "rtf")
    return files


def _write_body(
    builder: DocumentBuilder, body: _Body, read_inside: ReadInside, pictures: frozenset[str]
) -> list[File]:
    """Write a body; what it gives back are the files that stood in it."""
    entity, text = body.entity, body.text
    if body.form == "html":
        write_page(builder, text, body.numbers, read_inside, pictures=pictures)
    elif body.form == "rtf":
        write_page(builder, "", (), read_inside, rtf=entity.content())
    elif body.form == "calendar":
        builder.lines((line, 0) for line in calendar_lines(text))
    elif body.form == "enriched":
        write_plain(builder, plain_body(enriched_text(text), ()))
    else:
        flowed = entity.parameters.get("format", "").lower() == "flowed"
        spaced = entity.parameters.get("delsp", "").lower() == "yes"
        plain = plain_body(text, body.numbers, flowed=flowed, delete_space=spaced)
        return write_plain(builder, plain)
    return []


def write_plain(builder: DocumentBuilder, body: PlainBody) -> list[File]:
    """Write plain text; what it gives back are the files that stood in it."""
    if body.lines:
        builder.lines(body.lines)
    for kind, name in body.left_out:
        builder.leave_out(kind, name)
    return [File(name, "application/octet-stream", partial(bytes, content)) for name, content in body.files]


def write_page(
    builder: DocumentBuilder,
    page: str,
    numbers: Sequence[int],
    read_inside: ReadInside,
    *,
    rtf: bytes = b"",
    pictures: frozenset[str] = frozenset(),
) -> None:
    """Write a body in HTML or RTF as its own reader reads it; where none can, the words that are in the HTML.

    `numbers[i]` is the line of the file at which line i + 1 of the page begins. `pictures` are the addresses of those that the
    mail has as parts, which are told of by themselves.
    """
    try:
        document = (
            read_inside("body.rtf", rtf) if rtf else read_inside("body.html", page.encode("utf-8", "replace"))
        )
    except IngestError as error:
        if rtf:
            builder.leave_out(LeftOutKind.REST, f"body in RTF ({error})")
        document = ExtractedText("", "text/html")
    document = _without(document, pictures)
    if document.text.strip():
        builder.include(document, line_numbers=_numbers_of(page, numbers))
    elif not document.left_out:
        words = re.sub(r"(?<!\s)\s*+\n\s*+", "\n", crude_text(page))
        write_plain(builder, plain_body(words, ()))


def _content_ids(entities: Sequence[Entity]) -> frozenset[str]:
    """The addresses by which a page shows these parts of its mail."""
    ids = (entity.field("content-id").strip("<> ") for entity in entities)
    return frozenset(f"cid:{one}" for one in ids if one)


def _without(document: ExtractedText, addresses: frozenset[str]) -> ExtractedText:
    """The document without word of what it shows from these addresses; those without a name are taken to be like the others."""
    left_out = []
    for one in document.left_out:
        names = tuple(name for name in one.names if name not in addresses)
        if names == one.names:
            left_out.append(one)
        elif names:
            left_out.append(replace(one, count=one.count - len(one.names) + len(names), names=names))
    return replace(document, left_out=tuple(left_out))


def _numbers_of(text: str, numbers: Sequence[int]) -> Sequence[int]:
    """The numbers of the lines of a text; none when there are not as many."""
    return numbers if len(numbers) == text.count("\n") + 1 else ()


def write_files(builder: DocumentBuilder, files: Sequence[File], read_inside: ReadInside) -> None:
    """Attachments as parts, each read by its own reader; what cannot be read is left out, with the reason."""
    size = 0
    for number, file in enumerate(files):
        if number >= MOST_ATTACHMENTS:
            builder.leave_out(LeftOutKind.ATTACHMENT, file.name)
            continue
        if file.kind.startswith(("audio/", "video/")):
            builder.leave_out(LeftOutKind.SOUND, file.name)
            continue
        if file.kind == "message/external-body":
            builder.leave_out(LeftOutKind.ATTACHMENT, f"{file.name} (only a reference)")
            continue
        if file.kind in _TNEF or file.name.lower() == "winmail.dat":
            builder.leave_out(LeftOutKind.ATTACHMENT, f"{file.name} ({Reason.UNSUPPORTED})")
            continue
        kind = LeftOutKind.PICTURE if file.is_picture else LeftOutKind.ATTACHMENT
        document = _read_file(file, read_inside)
        if isinstance(document, str):
            builder.leave_out(kind, f"{file.name} ({document})")
            continue
        builder.part(file.name, document)
        size += len(document.text)
        if size > _LARGEST_TEXT:
            raise IngestError(Reason.TOO_MUCH_TEXT)


def _read_file(file: File, read_inside: ReadInside) -> ExtractedText | str:
    """The document in a file, or why there is none."""
    try:
        document = file.document() if file.document else read_inside(_name_for_reading(file), file.content())
    except (IngestError, MemoryError) as error:
        if isinstance(error, MemoryError):
            raise
        return str(error)
    except Exception:  # noqa: BLE001 (one attachment that breaks its reader must not take the mail with it)
        return str(Reason.DAMAGED)
    return document if document.text.strip() else str(Reason.NO_TEXT)


_SUFFIXES = {
    "application/pdf": "pdf", "application/msword": "doc", "application/rtf": "rtf", "text/rtf": "rtf", "text/plain": "txt",
    "text/html": "html", "application/xhtml+xml": "html", "text/csv": "csv", "text/markdown": "md", "text/xml": "xml",
    "application/xml": "xml", "application/json": "json", "message/rfc822": "eml", "application/epub+zip": "epub",
    "application/gzip": "gz", "application/x-gzip": "gz", "application/zip": "zip", "application/x-zip-compressed": "zip",
    "application/vnd.ms-excel": "xls", "application/vnd.ms-powerpoint": "ppt", "application/vnd.ms-outlook": "msg",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt", "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.presentation": "odp", "image/jpeg": "jpg", "image/png": "png", "image/tiff": "tif",
    "image/gif": "gif", "image/bmp": "bmp", "image/webp": "webp", "image/svg+xml": "svg", "text/calendar": "ics",
    "text/vcard": "vcf", "text/x-vcard": "vcf", "application/ms-tnef": "dat", "application/mbox": "mbox",
}  # fmt: skip


def _file(entity: Entity, number: int, *, is_picture: bool = False) -> File:
    """An attachment, named by its sender, its subject or its type."""
    name = clean_line(entity.filename, limit=LONGEST_TITLE)
    suffix = _SUFFIXES.get(entity.kind, "")
    if entity.kind in ("message/rfc822", "message/global") and not name.lower().endswith(".eml"):
        inner = Entity(_file_content(entity)[:100_000], 0, 100_000, None)
        name = clean_line(name or inner.field("subject"), limit=LONGEST_TITLE - 4).replace("/", "-")
        name, suffix = (f"{name}.eml" if name else ""), "eml"
    if not name:
        name = f"attachment-{number}" + (f".{suffix}" if suffix else "")
    is_calendar = _FORMS.get(entity.kind) == "calendar"
    return File(
        name,
        entity.kind,
        partial(_file_content, entity),
        is_picture=is_picture,
        document=partial(_calendar, entity) if is_calendar else None,
    )


def _calendar(entity: Entity) -> ExtractedText:
    builder = DocumentBuilder(entity.kind)
    builder.lines((line, 0) for line in calendar_lines(entity.text()))
    return builder.build()


def _name_for_reading(file: File) -> str:
    """The name with the suffix of the type where its own says nothing."""
    suffix = _SUFFIXES.get(file.kind, "")
    known = kind_of(file.name) is not None or suffix_of(file.name) in UNSUPPORTED
    return file.name if known or not suffix else f"{file.name}.{suffix}"


def _file_content(entity: Entity) -> bytes:
    """The bytes of an attachment; text that declares its character set comes as UTF-8."""
    content = entity.content()
    if entity.kind.startswith("text/") and entity.kind != "text/xml" and entity.parameters.get("charset"):
        return entity.text().encode("utf-8", "replace")
    return content


def _large_pictures(builder: DocumentBuilder, pictures: Sequence[Entity]) -> list[File]:
    """The pictures in a body that may hold text; the small ones are left out."""
    large = []
    for number, entity in enumerate(pictures, 1):
        file = _file(entity, number, is_picture=True)
        if entity.last - entity.first < LARGE_PICTURE:
            builder.leave_out(LeftOutKind.PICTURE, file.name)
        else:
            large.append(file)
    return large


# --- mailboxes ------------------------------------------------------------------------------------------

_FROM_LINE = re.compile(rb"^From [^\n]{1,400}\n", re.MULTILINE)
_FROM_WITH_DATE = re.compile(rb"From \S.{0,300}?\d\d:\d\d(?::\d\d)?.{0,40}?\d{4}")
_HEADER = re.compile(rb"[!-9;-~]{1,80}:|>From ")
_QUOTED_FROM = re.compile(rb"^>(>*+From )", re.MULTILINE)


def read_mbox(data: bytes, kind: Kind, read_inside: ReadInside) -> ExtractedText:
    """A mailbox, each mail a part. What is none is read as text. Raises IngestError."""
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    if not data.lstrip(b"\xef\xbb\xbf\r\n").startswith(b"From "):
        return read_inside("mailbox.txt", data)
    builder = DocumentBuilder(kind.media_type)
    size = 0
    for number, content in enumerate(_mails(data), 1):
        mail = parse(content)
        found = _Found()
        _gather(mail, found, is_main=True)
        document = _write(mail, found, "message/rfc822", read_inside)
        builder.part(_mail_name(mail, number), document)
        size += len(document.text)
        if size > _LARGEST_TEXT:
            raise IngestError(Reason.TOO_MUCH_TEXT)
    return replace(builder.build(), title="")


def _mails(data: bytes) -> Iterator[bytes]:
    """The mails of a mailbox without the lines between them."""
    begin = -1
    for line in _FROM_LINE.finditer(data):
        if begin < 0 or _separates(data, line):
            if begin >= 0:
                yield _unquoted(data[begin : line.start()])
            begin = line.end()
    if begin >= 0:
        yield _unquoted(data[begin:])


def _separates(data: bytes, line: re.Match[bytes]) -> bool:
    """Whether a line that begins with "From " begins a mail; some programs forget to quote such lines of a text."""
    has_date = _FROM_WITH_DATE.match(line[0]) is not None
    has_header = _HEADER.match(data, line.end()) is not None
    follows_blank = data[max(0, line.start() - 3) : line.start()].replace(b"\r", b"").endswith(b"\n\n")
    return has_date + has_header + follows_blank >= 2


def _unquoted(mail: bytes) -> bytes:
    return _QUOTED_FROM.sub(rb"\1", mail) if b">From " in mail else mail


def _mail_name(mail: Entity, number: int) -> str:
    subject = clean_line(mail.field("subject"), limit=100) or f"Mail {number}"
    date = mail_date(mail.field("date"))[:10]
    return f"{subject}, {date}" if re.match(r"\d{4}-\d\d-\d\d$", date) else subject


# --- saved web pages ------------------------------------------------------------------------------------


def read_mhtml(data: bytes, kind: Kind, read_inside: ReadInside) -> ExtractedText:
    """A web page saved with all that belongs to it: the page itself, then its frames as parts. Raises IngestError."""
    if data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return read_inside("page.html", data)
    saved = parse(data)
    pages = [entity for entity in _leaves(saved) if entity.kind in ("text/html", "application/xhtml+xml")]
    if not pages or saved.kind in ("multipart/mixed", "multipart/alternative"):
        return read_mail(data, kind, read_inside)
    root = _page_root(saved, pages)
    frames = [entity for entity in pages if entity is not root]
    builder = DocumentBuilder(kind.media_type)
    text, numbers = root.page()
    try:
        page = _without(read_inside("page.html", text.encode("utf-8", "replace")), _content_ids(frames))
        builder.include(page, line_numbers=_numbers_of(text, numbers))
    except IngestError:
        if not frames:
            raise
        page = ExtractedText("", "text/html")
    write_files(builder, [_frame(entity, number) for number, entity in enumerate(frames, 1)], read_inside)
    return builder.build(page.title or saved.field("subject"))


def _page_root(saved: Entity, pages: list[Entity]) -> Entity:
    place = saved.field("content-location") or saved.field("snapshot-content-location")
    named = [page for page in pages if place and page.field("content-location") == place]
    root = related_root(saved)
    return root if root in pages else (named or pages)[0]


def _leaves(entity: Entity) -> Iterator[Entity]:
    if not entity.parts:
        yield entity
    for part in entity.parts:
        yield from _leaves(part)


def _frame(entity: Entity, number: int) -> File:
    place = entity.field("content-location").split("?")[0].rstrip("/").rpartition("/")[2]
    name = clean_line(entity.filename or decode_words(place), limit=LONGEST_TITLE) or f"frame-{number}"
    return File(name, "text/html", partial(_file_content, entity))
