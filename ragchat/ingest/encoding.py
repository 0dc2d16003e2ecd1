"""Files that are text already: which encoding, which line ends, and notebooks as Markdown. Runs in the extraction process."""

from __future__ import annotations

import json
import re
from typing import Any

from ragchat.errors import IngestError
from ragchat.ingest.blocks import first_heading
from ragchat.ingest.wire import Extracted, Reason
from ragchat.text import clean, clean_line

_BOMS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_META_CHARSET = re.compile(
    rb"<(?:meta|\?xml)\b[^<>]{0,200}?(?:charset|encoding)\s{0,4}=\s{0,4}[\"']?([\w-]{2,20})", re.I
)
_SAMPLE = 65_536


def decode(data: bytes) -> str:
    """Bytes as text: by byte order mark, as UTF-8, as HTML declares, else by a guess. Never raises."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    declared = _META_CHARSET.search(data[:2048])
    if declared:
        try:
            return data.decode(declared[1].decode("ascii"), "replace")
        except (LookupError, ValueError):
            pass
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    beyond_ascii = sum(1 for byte in data[:_SAMPLE] if byte >= 0xC0)
    if len(data) <= _SAMPLE and beyond_ascii > 5 * broken:
        return text  # UTF-8 with a scar
    return data.decode(_guess_encoding(data), "replace")


def _guess_encoding(data: bytes) -> str:
    """The likeliest encoding of eight-bit text; with few letters beyond ASCII, western European."""
    sample = data[:_SAMPLE]
    beyond_ascii = len(sample) - len(sample.translate(None, bytes(range(128, 256))))
    if beyond_ascii > len(sample) // 25:
        from charset_normalizer import from_bytes

        best = from_bytes(sample).best()
        if best is not None:
            return best.encoding
    return "cp1252"


# What some call a line end and editors do not: they must not become one, or line numbers would be wrong.
_NOT_LINE_ENDS = dict.fromkeys((0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029), " ")


def source_text(text: str) -> str:
    """Clean text whose lines are those that an editor numbers."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii() or "\x0b" in text or "\x0c" in text:
        text = text.translate(_NOT_LINE_ENDS)
    return clean(text)


def extract_notebook(text: str) -> Extracted:
    """The cells of a Jupyter notebook as Markdown. Raises IngestError."""
    try:
        notebook: Any = json.loads(text)
        cells = notebook.get("cells") or [
            c for sheet in notebook.get("worksheets", []) for c in sheet["cells"]
        ]
        language = str(notebook.get("metadata", {}).get("language_info", {}).get("name", "python"))
        parts = []
        for cell in cells:
            source = cell.get("source", cell.get("input", ""))
            body = clean(source if isinstance(source, str) else "".join(map(str, source))).strip("\n")
            if not body.strip():
                continue
            fence = "```" if "```" not in body else "`````"
            is_code = cell.get("cell_type") == "code"
            parts.append(f"{fence}{clean_line(language, limit=20)}\n{body}\n{fence}" if is_code else body)
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise IngestError(Reason.DAMAGED) from error
    content = "\n\n".join(parts)
    return Extracted(content, "application/x-ipynb+json", first_heading(content, "text/markdown"))
