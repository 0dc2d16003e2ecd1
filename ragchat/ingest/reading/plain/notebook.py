"""Jupyter notebooks: the cells in order, prose as it is, code in fences, and what the code put out."""

from __future__ import annotations

import json
import re
from typing import Any

from ragchat.errors import IngestError
from ragchat.ingest.blocks import plain_heading
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.wire import Reason
from ragchat.text import clean, clean_line
from ragchat.types import ExtractedText, LeftOutKind

_LONGEST_OUTPUT = 20_000
"""Characters."""
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]++(.*?))?(?:[ \t]++#++)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=++|-++)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_PLAIN_LINE = re.compile(r" {0,3}[^\s#>|*+\-=`~\d]")
_FIGURE = re.compile(r"<[\w.]*(?:Figure|Axes|Image|SVG|HTML|Markdown|IPython)\b[^<>]*>?$")
_KINDS = ("text/html", "text/markdown", "text/latex", "text/plain", "application/json")
"""What an output is read from, the first that it has; Markdown and HTML hold what plain text draws."""


def read_notebook(text: str) -> ExtractedText:
    """A notebook of version 3 or 4. Raises IngestError."""
    try:
        notebook: Any = json.loads(text.lstrip("\ufeff"), strict=False)
        cells = _cells(notebook)
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise IngestError(Reason.DAMAGED) from error
    metadata = _dict(notebook.get("metadata"))
    builder = DocumentBuilder("application/x-ipynb+json")
    language = str(
        _dict(metadata.get("language_info")).get("name")
        or _dict(metadata.get("kernelspec")).get("language")
        or "python"
    )
    for cell in cells:
        _read_cell(_dict(cell), clean_line(language, limit=20), builder)
    _read_properties(metadata, builder)
    title = metadata.get("title")
    return builder.build(title if isinstance(title, str) else "")


def _cells(notebook: Any) -> list[Any]:
    cells = notebook.get("cells")
    if cells is None:
        cells = [cell for sheet in notebook["worksheets"] for cell in sheet.get("cells", [])]
    if not isinstance(cells, list):
        raise TypeError
    return cells


def _read_properties(metadata: dict[str, Any], builder: DocumentBuilder) -> None:
    authors = metadata.get("authors")
    for author in authors if isinstance(authors, list) else []:
        builder.leave_out(LeftOutKind.PROPERTY, str(_dict(author).get("name") or author)[:200])


# --- cells ------------------------------------------------------------------------------------------------


def _read_cell(cell: dict[str, Any], language: str, builder: DocumentBuilder) -> None:
    source = _joined(cell.get("source", cell.get("input", "")))
    match cell.get("cell_type"):
        case "code":
            builder.code(source, str(cell.get("language") or language))
            outputs = cell.get("outputs")
            for output in outputs if isinstance(outputs, list) else []:
                _read_output(_dict(output), builder)
        case "heading":  # version 3
            level = cell.get("level")
            builder.heading(level if isinstance(level, int) else 1, source)
        case "markdown":
            _write_markdown(source, builder)
        case _:
            _write_verbatim(source, builder)
    attachments = _dict(cell.get("attachments"))
    for name in attachments:
        builder.leave_out(LeftOutKind.PICTURE, str(name))


def _write_markdown(source: str, builder: DocumentBuilder) -> None:
    """Prose as it is; its headings head sections."""
    held: list[str] = []
    fence = ""
    for line in clean(source).split("\n"):
        if fence:
            fence = "" if line.strip().startswith(fence) and not line.strip().strip(fence[0]) else fence
        elif opened := _FENCE.match(line):
            fence = opened[1]
        elif (atx := _ATX.match(line)) and (title := plain_heading(atx[2] or "")):
            _flush(held, builder)
            builder.heading(len(atx[1]), title)
            continue
        elif held and (setext := _SETEXT.match(line)) and _is_title(held):
            title = plain_heading(held.pop())
            _flush(held, builder)
            builder.heading(1 if setext[1][0] == "=" else 2, title)
            continue
        held.append(line)
    _flush(held, builder)


def _is_title(held: list[str]) -> bool:
    return bool(_PLAIN_LINE.match(held[-1])) and (len(held) == 1 or not held[-2].strip())


def _flush(held: list[str], builder: DocumentBuilder) -> None:
    _write_verbatim("\n".join(held), builder)
    held.clear()


def _write_verbatim(text: str, builder: DocumentBuilder) -> None:
    """Lines as they are, blank ones between them too."""
    body = clean(text).strip("\n")
    if body.strip():
        builder.lines((line, 0) for line in body.split("\n"))


# --- outputs ----------------------------------------------------------------------------------------------


def _read_output(output: dict[str, Any], builder: DocumentBuilder) -> None:
    match output.get("output_type"):
        case "stream":
            _write_output(_joined(output.get("text", "")), builder)
        case "error" | "pyerr":
            words = (_joined(output.get(key, "")).strip() for key in ("ename", "evalue"))
            _write_output(": ".join(word for word in words if word), builder)
        case _:
            data = output.get("data")
            _read_data(_dict(data) if data is not None else _data_of_version_3(output), builder)


def _data_of_version_3(output: dict[str, Any]) -> dict[str, Any]:
    """The same by the names of version 4."""
    names = {
        "text": "text/plain",
        "html": "text/html",
        "latex": "text/latex",
        "json": "application/json",
        "svg": "image/svg+xml",
    }
    data = {names[key]: value for key, value in output.items() if key in names}
    return data | {f"image/{key}": output[key] for key in ("png", "jpeg") if key in output}


def _read_data(data: dict[str, Any], builder: DocumentBuilder) -> None:
    """What a cell shows: the richest of its forms that is text; pictures are counted."""
    plain = _joined(data.get("text/plain", ""))
    pictures = [kind for kind in data if str(kind).startswith("image/")]
    if pictures:
        builder.leave_out(LeftOutKind.PICTURE, pictures[0])
    for kind in _KINDS:
        if kind in data and _read_form(kind, data[kind], plain, builder, has_picture=bool(pictures)):
            return
    if not pictures and data:
        builder.leave_out(LeftOutKind.OUTPUT, str(next(iter(data))))


def _read_form(kind: str, value: Any, plain: str, builder: DocumentBuilder, *, has_picture: bool) -> bool:
    """Write one form of an output and say whether it held any text."""
    match kind:
        case "text/html":
            return _read_page(_joined(value), builder)
        case "text/markdown":
            _write_markdown(_cut(_joined(value), builder), builder)
            return bool(_joined(value).strip())
        case "application/json":
            _write_output(json.dumps(value, ensure_ascii=False, indent=1), builder)
            return True
        case "text/plain":
            if _FIGURE.match(plain.strip()):
                return has_picture
    _write_output(_joined(value), builder)
    return bool(_joined(value).strip())


def _read_page(page: str, builder: DocumentBuilder) -> bool:
    """A table or the like of HTML; False when there is no text in it (a widget, a plot made by a script)."""
    if "<" not in page:
        return False
    from ragchat.ingest.reading.web.page import read_html

    try:
        document = read_html(page[:2_000_000])
    except IngestError:
        return False
    text = document.text.strip()
    for left in document.left_out:
        for name in left.names:
            builder.leave_out(left.kind, name)
        builder.leave_out(left.kind, count=left.count - len(left.names))
    if text:
        _write_verbatim(_cut(text, builder), builder)
    return bool(text)


def _write_output(text: str, builder: DocumentBuilder) -> None:
    """What a program printed; a line that it wrote over and over counts as it was in the end."""
    if "\r" in text or "\b" in text:
        text = "\n".join(
            line.rstrip("\r").rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")
        )
    builder.code(_cut(clean(text), builder), "output")


def _cut(text: str, builder: DocumentBuilder) -> str:
    if len(text) <= _LONGEST_OUTPUT:
        return text
    builder.leave_out(LeftOutKind.OUTPUT, f"{len(text) - _LONGEST_OUTPUT:,} characters")
    return text[:_LONGEST_OUTPUT] + "…"


def _joined(value: Any) -> str:
    """Text, which notebooks write as one string or as a list of lines."""
    if isinstance(value, str):
        return value
    return "".join(map(str, value)) if isinstance(value, list) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
