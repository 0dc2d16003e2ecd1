"""Office files, e-books and e-mail as Markdown, after a look at the archive they come in. Runs in the extraction process."""

from __future__ import annotations

import html
import re
import zipfile
from io import BytesIO

from ragchat.errors import IngestError
from ragchat.ingest.blocks import first_heading
from ragchat.ingest.formats import Kind
from ragchat.ingest.reading.archive import ZIP_ERRORS, check_archive
from ragchat.ingest.reading.conversion import convert
from ragchat.ingest.reading.markup import tidy
from ragchat.ingest.wire import LONGEST_TITLE, Reason
from ragchat.text import clean, clean_line
from ragchat.types import ExtractedText


def read_office(data: bytes, kind: Kind) -> ExtractedText:
    """The text of a file that kreuzberg reads whole. Raises IngestError."""
    if kind.zipped:
        check_archive(data)
    is_docx = kind.media_type.endswith("wordprocessingml.document")
    result = convert(_mark_references(data) if is_docx else data, kind.media_type)
    if is_docx:
        result["content"] = _restore_references(result["content"])
    title = clean_line(str(result["metadata"].get("title") or ""), limit=LONGEST_TITLE)
    if kind.media_type == "message/rfc822":
        subject = clean_line(str(result["metadata"].get("subject") or ""), limit=LONGEST_TITLE)
        return ExtractedText(clean(result["content"]).strip("\n"), kind.media_type, title or subject)
    content = tidy(result["content"])
    return ExtractedText(content, kind.media_type, title or first_heading(content, "text/markdown"))


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
    except ZIP_ERRORS as error:
        raise IngestError(Reason.DAMAGED) from error
    return marked.getvalue()


def _stand_in(reference: re.Match[bytes]) -> bytes:
    character = clean(html.unescape(reference[0].decode("ascii")))
    return _STAND_INS.get(character, character).encode("utf-8", "ignore")


def _restore_references(content: str) -> str:
    return content.translate(_ORIGINALS)
