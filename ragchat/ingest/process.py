"""The extraction process: reads foreign files under limits, one request and one reply at a time.

The only module that imports kreuzberg, and the only one that runs parsers over files that came from
elsewhere. It has no network to talk to, writes no file but its log, does no OCR, and keeps nothing between
files. When a parser crashes, hangs or eats memory, this process dies and `ingest.extract` goes on with
another.
"""

from __future__ import annotations

import html
import json
import logging
import lzma
import os
import re
import struct
import sys
import zipfile
import zlib
from collections import Counter
from io import BytesIO
from typing import Any

import msgspec

from ragchat.errors import IngestError
from ragchat.ingest.chunk import first_heading
from ragchat.ingest.extract import read_source
from ragchat.ingest.formats import PLAIN, UNSUPPORTED, Kind, kind_of, looks_binary, suffix_of
from ragchat.ingest.wire import MEMORY_VARIABLE, Extracted, ExtractRequest, Failed, Ready, Reason, Reply
from ragchat.pipes import child_pipes, read_frame, write_frame
from ragchat.text import clean, clean_line

_LARGEST_TEXT = 64 * 1024 * 1024
"""Characters of one document; more is refused."""
_LARGEST_LOG = 8 * 1024 * 1024
_HEAD_BYTES = 4096
_MINIFIED_FROM = 20_000
"""Characters above which code with lines of 1,000 characters on average is taken for a machine's."""
_LONGEST_TITLE = 200

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

_log = logging.getLogger("ragchat.extraction")


def main() -> None:
    """Serve requests until standard input closes."""
    commands, replies = child_pipes()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s")
    _limit_self(int(os.environ.get(MEMORY_VARIABLE) or 0))
    decoder = msgspec.msgpack.Decoder(ExtractRequest)
    write_frame(replies, msgspec.msgpack.encode(Ready()))
    while (frame := read_frame(commands)) is not None:
        write_frame(replies, msgspec.msgpack.encode(answer(decoder.decode(frame))))


def answer(request: ExtractRequest) -> Reply:
    """The text of the file, or why there is none. Never raises an Exception."""
    path = os.fsdecode(request.path)
    try:
        extracted = _extract(path, read_source(path, request.max_file_bytes))
    except IngestError as error:
        return Failed(Reason(str(error)))
    except MemoryError:
        return Failed(Reason.TOO_MUCH_MEMORY)
    except Exception:  # noqa: BLE001 (the boundary: whatever a parser raises is one failed file)
        _log.exception("failed on %r", path)
        return Failed(Reason.DAMAGED)
    if not extracted.text.strip():
        return Failed(Reason.NO_TEXT)
    if len(extracted.text) > _LARGEST_TEXT:
        return Failed(Reason.TOO_MUCH_TEXT)
    return extracted


def _limit_self(memory_mib: int) -> None:
    """Limits that hold for this process from here on, where the platform has them."""
    try:
        import resource
    except ImportError:  # pragma: no cover (Windows)
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The log is the one file it may write to; Python ignores SIGXFSZ, so more is a mere error.
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_LOG, _LARGEST_LOG))
    if memory_mib and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_mib << 20, memory_mib << 20))


def _extract(path: str, data: bytes) -> Extracted:
    kind = kind_of(path)
    if kind is None:
        if suffix_of(os.path.basename(path)) in UNSUPPORTED:  # noqa: PTH119
            raise IngestError(Reason.UNSUPPORTED)
        kind = PLAIN
    if not data:
        raise IngestError(Reason.EMPTY)
    if kind.name == "extracted":
        return _extract_foreign(kind, data)
    if looks_binary(data[:_HEAD_BYTES]):
        raise IngestError(Reason.BINARY)
    text = decode(data)
    if kind.name == "html":
        return _extract_html(text)
    if kind.name == "notebook":
        return _extract_notebook(text)
    text = _source_text(text)
    if kind.name == "code" and len(text) > _MINIFIED_FROM and text.count("\n") < len(text) // 1000:
        raise IngestError(Reason.MINIFIED)
    return Extracted(text, kind.media_type, first_heading(text, kind.media_type), source_lines=True)


# --- text -----------------------------------------------------------------------------------------------

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


def _source_text(text: str) -> str:
    """Clean text whose lines are those that an editor numbers."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii() or "\x0b" in text or "\x0c" in text:
        text = text.translate(_NOT_LINE_ENDS)
    return clean(text)


def _extract_notebook(text: str) -> Extracted:
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


# --- HTML -----------------------------------------------------------------------------------------------

_TAG = re.compile(r"<(/?)([a-zA-Z][\w:-]*)((?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+)>")
_MAIN = re.compile(r"<(?:main\b|[a-z]+\b[^<>]*\brole\s*=\s*[\"']?main\b)[^<>]*>", re.IGNORECASE)
_TITLE = re.compile(r"<title\b[^<>]*>([^<>]{0,1000})", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"\b(class|role|id|aria-hidden)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE
)
_RAW = frozenset(["script", "style", "noscript", "template", "svg", "canvas", "iframe", "object"])
_FURNITURE_TAGS = frozenset(["nav", "head", "form", "button", "select", "dialog"])
_FURNITURE_NAMES = frozenset(
    """
    headerlink permalink viewcode-link viewcode-back heading-anchor anchor-link anchorjs-link edit-link
    edit-this-page related sphinxsidebar sphinxsidebarwrapper breadcrumb breadcrumbs navheader navfooter
    navbar nav-links navigation sidebar toc toc-wrapper table-of-contents skip-link sr-only
    mw-editsection mw-jump-link noprint catlinks cookie-banner cookie-consent footer-text site-footer
    site-header page-footer prev-next-area wy-nav-side rst-footer-buttons bd-sidebar bd-header
    """.split()  # noqa: SIM905
)
_FURNITURE_ROLES = frozenset(["navigation", "banner", "contentinfo", "search", "menu", "menubar"])
# Marks within a line: their text stays, without stars and link targets in it.
_INLINE_TAGS = frozenset(
    """
    a em strong i b u span font img small big cite dfn var abbr acronym mark wbr label
    """.split()  # noqa: SIM905
)
_SIGNATURES = re.compile(r"\bclass\s*=\s*[\"']?(?:py|c|cpp|js|std|rst|go|php|rb)\b")
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())  # noqa: SIM905


def _extract_html(page: str) -> Extracted:
    """The page's own content as Markdown, without navigation, scripts, permalinks and link targets."""
    title = _TITLE.search(page[:100_000])
    name = clean_line(html.unescape(title[1]), limit=_LONGEST_TITLE) if title else ""
    content = _tidy(_convert(_main_content(page).encode("utf-8", "replace"), "text/html")["content"])
    return Extracted(content, "text/html", name or first_heading(content, "text/markdown"))


def _main_content(page: str) -> str:
    """The HTML of the main part, cut out by its tags in one pass."""
    page = _without_comments(page)
    main = _MAIN.search(page)
    start = main.start() if main else 0
    kept: list[str] = []
    position = start
    open_main = 0
    main_tag = main[0][1:].split(None, 1)[0].rstrip(">").lower() if main else ""
    skipping, depth = "", 0
    signatures: list[str] = []  # what each open <dt> became
    lists: list[bool] = []  # for each open <dl>, whether it holds signatures
    for tag in _TAG.finditer(page, start):
        closing, name = bool(tag[1]), tag[2].lower()
        if skipping:
            if name == skipping and name not in _RAW:
                depth += -1 if closing else 1
            if (depth == 0 or name in _RAW) and name == skipping and closing:
                skipping, position = "", tag.end()
            continue
        if name == main_tag:
            open_main += -1 if closing else 1
            if open_main == 0:
                kept.append(page[position : tag.start()])
                position = len(page)
                break
        if not closing and (name in _RAW or _is_furniture(name, tag[3])) and name not in _VOID:
            kept.append(page[position : tag.start()])
            position = tag.end()
            if not tag[3].endswith("/"):
                skipping, depth = name, 1
        elif name in _INLINE_TAGS:
            kept.append(page[position : tag.start()])
            position = tag.end()
        elif name == "dl":
            if closing:
                del lists[-1:]
            else:
                lists.append(bool(_SIGNATURES.search(tag[3])))
        elif name == "dt":
            # The signature of a function or a class heads what is said of it, methods below their class.
            if closing:
                heading = signatures.pop() if signatures else ""
            else:
                heading = f"h{min(6, 4 + sum(lists))}" if lists and lists[-1] and "sig" in tag[3] else ""
                signatures.append(heading)
            if heading:
                kept.append(page[position : tag.start()] + f"<{tag[1]}{heading}>")
                position = tag.end()
    if not skipping:
        kept.append(page[position:])
    return "".join(kept)


def _is_furniture(name: str, attributes: str) -> bool:
    if name in _FURNITURE_TAGS:
        return True
    if name in ("body", "html", "main", "article") or "=" not in attributes:
        return False
    for match in _ATTRIBUTE.finditer(attributes):
        key, value = match[1].lower(), (match[2] or match[3] or match[4] or "").lower()
        if key in ("class", "id") and not _FURNITURE_NAMES.isdisjoint(value.split()):
            return True
        if (key == "role" and value in _FURNITURE_ROLES) or (key == "aria-hidden" and value == "true"):
            return True
    return False


def _without_comments(page: str) -> str:
    kept = []
    position = 0
    while (start := page.find("<!--", position)) >= 0 and (end := page.find("-->", start + 4)) >= 0:
        kept.append(page[position:start])
        position = end + 3
    return "".join([*kept, page[position:]])


# --- kreuzberg ------------------------------------------------------------------------------------------


def _convert(data: bytes, media_type: str, *, pages: bool = False) -> dict[str, Any]:
    """Content, metadata and pages of a file, by kreuzberg. Raises IngestError with the reason."""
    import kreuzberg

    config = kreuzberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        disable_ocr=True,
        output_format="plain" if pages else "markdown",
        pages=kreuzberg.PageConfig(extract_pages=True) if pages else None,
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
    )
    try:
        result = kreuzberg.extract_bytes_sync(data, media_type, config)
    except kreuzberg.KreuzbergError as error:
        said = str(error).lower()
        _log.warning("%s: %s", media_type, clean_line(said, limit=300))
        if "password" in said or "encrypt" in said:
            raise IngestError(Reason.ENCRYPTED) from error
        if "unsupported" in said or isinstance(error, kreuzberg.MissingDependencyError):
            raise IngestError(Reason.UNSUPPORTED) from error
        raise IngestError(Reason.DAMAGED) from error
    return {"content": result.content, "metadata": dict(result.metadata or {}), "pages": result.pages or []}


def _extract_foreign(kind: Kind, data: bytes) -> Extracted:
    if data.startswith(b"\xd0\xcf\x11\xe0") and kind.media_type != "application/vnd.ms-outlook":
        raise IngestError(Reason.OLD_OFFICE)
    if kind.zipped:
        _check_archive(data)
    if kind.media_type == "application/pdf":
        return _extract_pdf(data)
    is_docx = kind.media_type.endswith("wordprocessingml.document")
    result = _convert(_mark_references(data) if is_docx else data, kind.media_type)
    if is_docx:
        result["content"] = _restore_references(result["content"])
    title = clean_line(str(result["metadata"].get("title") or ""), limit=_LONGEST_TITLE)
    if kind.media_type == "message/rfc822":
        subject = clean_line(str(result["metadata"].get("subject") or ""), limit=_LONGEST_TITLE)
        return Extracted(clean(result["content"]).strip("\n"), kind.media_type, title or subject)
    content = _tidy(result["content"])
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


_LEADERS = re.compile(r"(?:[ \t]?\.){5,}+")


def _extract_pdf(data: bytes) -> Extracted:
    start = data[:1024].find(b"%PDF-")
    if start < 0:
        raise IngestError(Reason.DAMAGED)
    result = _convert(data, "application/pdf", pages=True)
    metadata = result["metadata"]
    pages = _pages_of(result["pages"])
    if not any(page.strip() for page in pages):
        if result["content"].strip():
            pages = [clean(result["content"])]
        else:
            raise IngestError(Reason.NO_TEXT_LAYER)
    pages = _without_running_lines(pages)
    starts: list[int] = []
    length = 0
    for page in pages:
        starts.append(length)
        length += len(page) + 1
    blank = sum(1 for page in pages if not page.strip())
    note = f"{blank} of {len(pages)} pages hold no text" if blank > len(pages) // 3 else ""
    title = clean_line(str(metadata.get("title") or ""), limit=_LONGEST_TITLE)
    return Extracted("\n".join(pages), "application/pdf", title, tuple(starts), note=note)


def _pages_of(found: list[Any]) -> list[str]:
    """The text of each page, from page 1 on, without the lines of a table of contents."""
    by_number: dict[int, str] = {}
    for page in found:
        get = page.get if isinstance(page, dict) else lambda key, page=page: getattr(page, key)
        number: Any = get("page_number")
        by_number[int(number)] = str(get("content"))
    pages = [by_number.get(number, "") for number in range(1, max(by_number, default=0) + 1)]
    return [_without_contents(clean(page)).strip("\n") for page in pages]


def _without_contents(page: str) -> str:
    """The page without entries such as "2.1 Title . . . . 5", which every search for a title would find
    first.
    """
    lines = page.split("\n")
    led = [bool(_LEADERS.search(line)) for line in lines]
    if sum(led) < 5:
        return _LEADERS.sub(" …", page)
    return "\n".join(line for line, is_led in zip(lines, led, strict=True) if not is_led)


_NUMBERS = re.compile(r"\d+")
_ROMAN = re.compile(r"[ivxlc]{1,7}$")


def _without_running_lines(pages: list[str]) -> list[str]:
    """Pages without page numbers and the lines that recur at their top or bottom."""
    lines = [page.split("\n") for page in pages]
    filled = [page for page in lines if any(page)]
    edges = Counter(_NUMBERS.sub("#", line.strip()) for page in filled for line in {page[0], page[-1]})
    # A number at the page's edge that runs with the pages: "4.6. The Debian archive 23".
    offsets = Counter(
        offset for index, page in enumerate(lines) if any(page) for offset in _number_offsets(page, index)
    )
    offset, count = offsets.most_common(1)[0] if offsets else (0, 0)
    runs = count >= max(3, len(filled) // 3)

    def is_running(line: str, index: int) -> bool:
        bare = line.strip()
        often = edges[_NUMBERS.sub("#", bare)] >= 3 and len(bare) < 100
        numbered = runs and offset in _number_offsets([bare], index)
        return not bare or bare.isdigit() or bool(_ROMAN.match(bare)) or often or numbered

    for index, page in enumerate(lines):
        if len(filled) < 3 or not any(page):
            continue
        if len(page) > 1 and is_running(page[0], index):
            del page[0]
        if len(page) > 1 and is_running(page[-1], index):
            del page[-1]
    return ["\n".join(page).strip("\n") for page in lines]


def _number_offsets(page: list[str], index: int) -> set[int]:
    """By how much a number that begins or ends the first or last line differs from the page's index."""
    found = set()
    for line in (page[0], page[-1]):
        words = line.split()
        found |= {int(word) - index for word in words[:1] + words[-1:] if word.isdecimal() and len(word) < 6}
    return found


# --- Markdown as kreuzberg writes it --------------------------------------------------------------------

_LINK = re.compile(r"(!?)\[([^\[\]]{0,500})\]\((?:<[^<>]*>|[^()\s]*)(?:\s+\"[^\"]*\")?\)")
_PADDING = re.compile(r"(?<=\S)[ \t]{2,}|(?<=\|)[ \t]{2,}")
_RULER = re.compile(r"-{4,}")
_EMPTY_ITEM = re.compile(r"[ \t>]*+(?:[-*+]|\d{1,3}[.)])?[ \t]*$")
_MANY_BLANK = re.compile(r"\n{3,}")
_ESCAPED = re.compile(r"\\([_*#\[\]()<>~`|.!+&={}\"'-])")


def _tidy(markdown: str) -> str:
    """Markdown without link targets, pictures, permalinks, padding and empty items, outside of code."""
    lines = []
    fence = ""
    for line in clean(markdown).split("\n"):
        bare = line.strip()
        opening = bare.lstrip("> ")[:3]
        if opening in ("```", "~~~") and fence in ("", opening):
            fence = "" if fence else opening
        elif not fence:
            line = _tidy_line(line)
            if bare and _EMPTY_ITEM.match(line):
                continue
        lines.append(line.rstrip())
    return _MANY_BLANK.sub("\n\n", "\n".join(lines)).strip("\n")


def _tidy_line(line: str) -> str:
    if "](" in line:
        line = _LINK.sub(lambda match: "" if match[1] else match[2], line)
    if "¶" in line:
        line = line.replace("¶", "")
    if line.lstrip().startswith("|"):
        line = _RULER.sub("---", _PADDING.sub(" ", line))
    if "\\" in line:
        line = _ESCAPED.sub(r"\1", line)
    return line


if __name__ == "__main__":
    main()
