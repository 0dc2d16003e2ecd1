"""Which reader reads a file, by its name and first bytes; parts of files (attachments, what a .gz holds) come here again."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from ragchat.errors import IngestError
from ragchat.ingest.blocks import first_heading
from ragchat.ingest.encoding import decode, looks_like_text, source_text
from ragchat.ingest.formats import PLAIN, UNSUPPORTED, Kind, kind_of, suffix_of
from ragchat.ingest.reading.inside import ReadInside
from ragchat.ingest.reading.plain.front_matter import front_matter_title
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText

if TYPE_CHECKING:
    from ragchat.ingest.reading.ocr.pages import Ocr

_log = logging.getLogger("ragchat.extraction")

_DEEPEST = 4
"""Files in files in files: a mail in a mail in a .gz."""
_MINIFIED_FROM = 20_000
"""Characters above which code with lines of 1,000 characters on average is taken for a machine's."""
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"


def read(name: str, data: bytes, depth: int = 0, *, ocr: Ocr | None = None) -> ExtractedText:
    """The text of a file of this name; pictures need `ocr`. Raises IngestError, whose sentence is one of `wire.Reason`."""
    kind = kind_of(name)
    if kind is None:
        if suffix_of(name) in UNSUPPORTED:
            raise IngestError(Reason.UNSUPPORTED)
        kind = _kind_by_content(data)
    if not data:
        raise IngestError(Reason.EMPTY)

    def read_inside(inner: str, content: bytes) -> ExtractedText:
        if depth >= _DEEPEST:
            raise IngestError(Reason.UNSUPPORTED)
        try:
            return read(inner, content, depth + 1, ocr=ocr)
        except (IngestError, MemoryError):
            raise
        except Exception as error:  # whatever a parser raises costs this part, not the file around it
            _log.exception("failed on a part")
            raise IngestError(Reason.DAMAGED) from error

    if kind.name in ("pdf", "picture"):
        return _read_pages(kind, data, ocr, read_inside)
    return _read_kind(kind, name, data, read_inside)


_HEADER = re.compile(
    rb"(?:return-path|received|delivered-to|message-id|mime-version|from|to|date|subject): ?\S", re.IGNORECASE
)
_FOLDED = (b" ", b"\t")


def _kind_by_content(data: bytes) -> Kind:
    """What a file is whose name does not say: mail programs keep mailboxes and mails without a suffix; else it is text."""
    first, _, rest = data[:4096].partition(b"\n")
    is_mailbox = first.startswith(b"From ") and _HEADER.match(rest) is not None
    lines = [line for line in data[:4096].split(b"\n")[:12] if not line.startswith(_FOLDED)]
    headers = 0
    for line in lines:
        if not _HEADER.match(line) and not re.match(rb"[A-Za-z][\w-]{1,40}:", line):
            break
        headers += _HEADER.match(line) is not None
    if not is_mailbox and headers < _FEWEST_HEADERS:
        return PLAIN
    return kind_of("x.mbox" if is_mailbox else "x.eml") or PLAIN


_FEWEST_HEADERS = 3


def _read_pages(kind: Kind, data: bytes, ocr: Ocr | None, read_inside: ReadInside) -> ExtractedText:
    if kind.name == "picture":
        if ocr is None:
            raise IngestError(Reason.PICTURE)
        from ragchat.ingest.reading.ocr.pages import read_picture

        return read_picture(data, kind, ocr)
    from ragchat.ingest.reading.pdf.reader import read_pdf

    if ocr is None:
        return read_pdf(data, None, read_inside)
    from ragchat.ingest.reading.ocr.pages import page_reader

    return read_pdf(data, page_reader(data, ocr), read_inside)


def _read_kind(kind: Kind, name: str, data: bytes, read_inside: ReadInside) -> ExtractedText:  # noqa: C901
    match kind.name:
        case "word" | "slides" | "sheets" | "opendocument" if data.startswith(_OLD_OFFICE):
            raise IngestError(Reason.OLD_OFFICE)
        case "slides":
            from ragchat.ingest.reading.office.slides import read_slides

            return read_slides(data, kind)
        case "sheets":
            from ragchat.ingest.reading.office.sheets import read_sheets

            return read_sheets(data, kind)
        case "word":
            from ragchat.ingest.reading.office.word import read_word

            return read_word(data, kind, read_inside)
        case "opendocument":
            from ragchat.ingest.reading.office.opendocument import read_opendocument

            return read_opendocument(data, kind)
        case "epub":
            from ragchat.ingest.reading.web.epub import read_epub

            return read_epub(data, kind)
        case "rtf":
            if data.startswith(_OLD_OFFICE):
                raise IngestError(Reason.OLD_OFFICE)
            from ragchat.ingest.reading.office.rtf import read_rtf

            return read_rtf(data)
        case "mail" | "mbox" | "mhtml" | "outlook":
            return _read_message(kind, data, read_inside)
        case "gzip":
            from ragchat.ingest.reading.gzipped import read_gzip

            return read_gzip(name, data, read_inside)
        case _:
            return _read_text(kind, data)


def _read_message(kind: Kind, data: bytes, read_inside: ReadInside) -> ExtractedText:
    from ragchat.ingest.reading.mail.messages import read_mail, read_mbox, read_mhtml
    from ragchat.ingest.reading.mail.outlook import read_outlook

    match kind.name:
        case "mbox":
            return read_mbox(data, kind, read_inside)
        case "mhtml":
            return read_mhtml(data, kind, read_inside)
        case "mail" if not data.startswith(_OLD_OFFICE):
            return read_mail(data, kind, read_inside)
        case _:
            return read_outlook(data, kind, read_inside)


def _read_text(kind: Kind, data: bytes) -> ExtractedText:  # noqa: C901
    if not looks_like_text(data):
        raise IngestError(Reason.BINARY)
    text = decode(data)
    match kind.name:
        case "html":
            from ragchat.ingest.reading.web.page import read_html

            return read_html(text)
        case "calendar" | "contacts":
            from ragchat.ingest.reading.mail.calendar_file import read_calendar

            return read_calendar(text, kind)
        case "notebook":
            from ragchat.ingest.reading.plain.notebook import read_notebook

            return read_notebook(text)
        case "json":
            from ragchat.ingest.reading.plain.json_text import read_json

            return read_json(text, kind)
        case "jsonl":
            from ragchat.ingest.reading.plain.json_text import read_jsonl

            return read_jsonl(text, kind)
        case "keyed":
            from ragchat.ingest.reading.plain.keyed import read_keyed

            return read_keyed(text, kind)
        case "xml":
            from ragchat.ingest.reading.plain.xml_text import read_xml

            return read_xml(data)
        case "subtitles":
            from ragchat.ingest.reading.plain.subtitles import read_subtitles

            return read_subtitles(text)
        case "org":
            from ragchat.ingest.reading.plain.orgmode import read_org

            return read_org(text)
        case "latex":
            from ragchat.ingest.reading.plain.latex import read_latex

            return read_latex(text)
    text = source_text(text)
    if kind.name == "code" and len(text) > _MINIFIED_FROM and text.count("\n") < len(text) // 1000:
        raise IngestError(Reason.MINIFIED)
    title = front_matter_title(text) if kind.name == "markdown" else ""
    return ExtractedText(
        text, kind.media_type, title or first_heading(text, kind.media_type), source_lines=True
    )
