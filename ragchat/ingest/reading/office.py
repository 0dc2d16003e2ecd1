"""Office files, e-books and e-mail as Markdown, after a look at the archive they come in. Runs in the extraction process."""

from __future__ import annotations

import html
import lzma
import re
import struct
import zipfile
import zlib
from io import BytesIO

from ragchat.errors import IngestError
from ragchat.ingest.blocks import first_heading
from ragchat.ingest.conversion import convert
from ragchat.ingest.formats import Kind
from ragchat.ingest.markdown import tidy
from ragchat.ingest.wire import LONGEST_TITLE, Extracted, Reason
from ragchat.text import clean, clean_line

_HEAD_BYTES = 4096
_LARGEST_UNPACKED = 200 * 1000 * 1000
_LARGEST_RATIO = 120
"""Unpacked to packed bytes of an archive that unpacks to more than 20 MB."""
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    struct.error,
    lzma.LZMAError,
)
"""What `zipfile` raises on damaged archives."""
_MOST_ENTRIES = 20_000
_MOST_PARTS_PEEKED = 3_000


def extract_office(kind: Kind, data: bytes) -> Extracted:
    """The text of a file that kreuzberg reads whole. Raises IngestError."""
    if kind.zipped:
        _check_archive(data)
    is_docx = kind.media_type.endswith("wordprocessingml.document")
    result = convert(_mark_references(data) if is_docx else data, kind.media_type)
    if is_docx:
        result["content"] = _restore_references(result["content"])
    title = clean_line(str(result["metadata"].get("title") or ""), limit=LONGEST_TITLE)
    if kind.media_type == "message/rfc822":
        subject = clean_line(str(result["metadata"].get("subject") or ""), limit=LONGEST_TITLE)
        return Extracted(clean(result["content"]).strip("\n"), kind.media_type, title or subject)
    content = tidy(result["content"])
    return Extracted(content, kind.media_type, title or first_heading(content, "text/markdown"))


def _check_archive(data: bytes) -> None:
    """Refuse what unpacks to too much, is encrypted, or defines XML entities. Raises IngestError."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            packed = sum(entry.compress_size for entry in entries)
            if unpacked > _LARGEST_UNPACKED or len(entries) > _MOST_ENTRIES:
                raise IngestError(Reason.BOMB)
            if unpacked > 20_000_000 and unpacked > _LARGEST_RATIO * max(1, packed):
                raise IngestError(Reason.BOMB)
            if any(entry.flag_bits & 1 or entry.filename == "META-INF/rights.xml" for entry in entries):
                raise IngestError(Reason.ENCRYPTED)
            parts = [
                e
                for e in entries
                if e.filename.lower().endswith((".xml", ".xhtml", ".html", ".rels", ".opf"))
            ]
            for entry in parts[:_MOST_PARTS_PEEKED]:
                with archive.open(entry) as part:
                    if b"<!ENTITY" in part.read(_HEAD_BYTES):
                        raise IngestError(Reason.ENTITIES)
    except _ZIP_ERRORS as error:
        raise IngestError(Reason.DAMAGED) from error


# kreuzberg 4.10 leaves character references out of DOCX: "R&amp;D" comes as "RD". Characters that no document
# uses stand in for them on the way through it.
_REFERENCE = re.compile(rb"&(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
_STAND_INS = {mark: chr(0xF0F00 + number) for number, mark in enumerate("&<>\"'")}
_ORIGINALS = str.maketrans({stand_in: mark for mark, stand_in in _STAND_INS.items()})


def _mark_references(data: bytes) -> bytes:
    """The archive of a DOCX with stand-ins for the character references in its text. Raises IngestError."""
    marked = BytesIO()
    try:
        with zipfile.ZipFile(BytesIO(data)) as source, zipfile.ZipFile(marked, "w") as target:
            for entry in source.infolist():
                part = source.read(entry)
                if entry.filename.startswith("word/") and entry.filename.endswith(".xml"):
                    part = _REFERENCE.sub(_stand_in, part)
                target.writestr(entry.filename, part)
    except _ZIP_ERRORS as error:
        raise IngestError(Reason.DAMAGED) from error
    return marked.getvalue()


def _stand_in(reference: re.Match[bytes]) -> bytes:
    character = clean(html.unescape(reference[0].decode("ascii")))
    return _STAND_INS.get(character, character).encode("utf-8", "ignore")


def _restore_references(content: str) -> str:
    return content.translate(_ORIGINALS)
