"""The structure of a document's text: blocks (headings, paragraphs, rows, code), each with the headings above it.

One scanner for each kind of structure (`formats.structure_of`). Linear in the length of the text; it cuts and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from ragchat.ingest.definitions import Definition, definitions, python_definitions
from ragchat.ingest.formats import structure_of
from ragchat.text import clean_line
from ragchat.types import ExtractedText

Path = tuple[str, ...]
"""Headings from the outermost inwards."""
BlockKind = Literal["heading", "prose", "lines"]
LONGEST_HEADING = 160


class Block(NamedTuple):
    """Stretch of text that belongs together. Blocks of the same `section` stand under the same headings."""

    first: int
    last: int
    kind: BlockKind
    path: Path
    section: int


def first_heading(text: str, media_type: str) -> str:
    """The first heading near the beginning of a text, or ''."""
    document = ExtractedText(text[:4000], media_type)
    if structure_of(media_type) not in ("markdown", "rst", "text"):
        return ""
    return next(
        (block.path[-1] for block in scan_blocks(document) if block.kind == "heading" and block.path), ""
    )


def scan_blocks(document: ExtractedText) -> Iterator[Block]:
    text = document.text
    match structure_of(document.media_type):
        case "markdown":
            return _scan_markdown(text)
        case "rst" | "text":
            return _scan_underlined(text)
        case "pages":
            return _scan_pages(text)
        case "python":
            return _scan_code(text, python_definitions(text))
        case "code":
            return _scan_code(text, definitions(text))
        case "rows":
            return _scan_rows(text, "\t" if "tab" in document.media_type else ",")
        case "lines":
            return _scan_lines(text)


class _Outline:
    """The headings above the current line."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []
        self.section = 0
        self.path: Path = ()

    def enter(self, level: int, title: str) -> None:
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        if title:
            self._open.append((level, title))
        self.section += 1
        self.path = tuple(title for _, title in self._open)

    def block(self, first: int, last: int, kind: BlockKind) -> Block:
        return Block(first, last, kind, self.path, self.section)


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """(offset, line) without the line ends."""
    offset = 0
    for line in text.split("\n"):
        yield offset, line
        offset += len(line) + 1


_FENCE = re.compile(r"[ \t]*+(?:>[ \t]*+)*+(?:[-*+][ \t]++)?(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]++(.*))?$")
_CLOSING = re.compile(r"(?:^|[ \t])#+[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_ITEM = re.compile(r"[ \t]*+(?:[-*+•]|\d{1,3}[.)])[ \t]")
_INLINE = re.compile(
    r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\])|<(/?[a-zA-Z][^<>]*)>|\{#[\w-]+\}"
)
_EMPHASIS = re.compile(r"(\*{1,3}|__?|`+|~~)(?=\S)([^*_`~]+)(?<=\S)\1(?!\w)")


def plain_heading(markup: str) -> str:
    """A heading without Markdown's marks, on one line."""
    title = _INLINE.sub(lambda match: match[1] or "", markup)
    title = _EMPHASIS.sub(r"\2", title).replace("\\", "").rstrip("¶ \t")
    return clean_line(title, limit=LONGEST_HEADING)


def _scan_markdown(text: str) -> Iterator[Block]:
    outline = _Outline()
    start, end, kind, height = -1, 0, "prose", 0  # the block being read, its number of lines
    fence = ""
    front_matter = text.startswith("---\n") and "\n---" in text[3:20_000]
    for offset, line in lines_of(text):
        last = offset + len(line.rstrip())
        bare = line.strip()
        if front_matter:
            start, end, kind = (0, last, "lines")
            front_matter = offset == 0 or bare not in ("---", "...")
            continue
        if fence:
            end = max(end, last)
            if bare.lstrip("> ").startswith(fence) and not bare.lstrip("> ").strip(fence[0]):
                yield outline.block(start, end, "lines")
                fence, start = "", -1
            continue
        if not bare:
            if start >= 0:
                yield outline.block(start, end, kind)  # type: ignore[arg-type]
                start = -1
            continue
        if fenced := _FENCE.match(line):
            if start >= 0:
                yield outline.block(start, end, kind)  # type: ignore[arg-type]
            start, end, fence = offset, last, fenced[1]
            continue
        if (atx := _ATX.match(line)) and not (start >= 0 and kind == "lines" and bare[0] == "|"):
            if start >= 0:
                yield outline.block(start, end, kind)  # type: ignore[arg-type]
                start = -1
            outline.enter(len(atx[1]), plain_heading(_CLOSING.sub("", atx[2] or "")))
            yield outline.block(offset, last, "heading")
            continue
        if start >= 0 and kind == "prose" and height <= 2 and (setext := _SETEXT.match(line)):
            outline.enter(1 if setext[1][0] == "=" else 2, plain_heading(text[start:end]))
            yield outline.block(start, last, "heading")
            start = -1
            continue
        line_kind = "lines" if bare[0] == "|" else "prose"
        if start >= 0 and line_kind != kind and height:
            yield outline.block(start, end, kind)  # type: ignore[arg-type]
            start = -1
        if start < 0:
            start, kind, height = offset, line_kind, 0
            if _ITEM.match(line):
                height = 3  # an item is no heading, whatever stands below it
        end, height = last, height + 1
    if start >= 0 and text[start:].strip():
        yield outline.block(start, max(end, start), kind if not fence else "lines")  # type: ignore[arg-type]


_UNDERLINE = re.compile(r"([=\-~^*+#\"'`:._])\1{2,}$")
_ASCIIDOC = re.compile(r"(={1,5}) +(\S.*?)(?: +=+)?$")
_MAN_SECTION = re.compile(r"[A-Z][A-Z0-9 /,&-]{2,50}$")


def _scan_underlined(text: str) -> Iterator[Block]:
    """reStructuredText and plain text: underlined titles, AsciiDoc's `== Title`, sections of man pages."""
    outline = _Outline()
    levels: dict[str, int] = {}
    paragraph: list[tuple[int, str]] = []

    def flush() -> Iterator[Block]:
        if paragraph:
            yield outline.block(paragraph[0][0], paragraph[-1][0] + len(paragraph[-1][1].rstrip()), "prose")
            paragraph.clear()

    def level_of(style: str) -> int:
        return levels.setdefault(style, len(levels) + 1)

    lines = text.split("\n")
    offset = 0
    for number, line in enumerate(lines):
        bare = line.rstrip()
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if not bare.strip():
            yield from flush()
        elif len(paragraph) in (1, 2) and _underlines(bare, paragraph):
            style = bare[0] + ("+" if len(paragraph) == 2 else "")
            outline.enter(level_of(style), _plain_title(paragraph[-1][1]))
            yield outline.block(paragraph[0][0], offset + len(bare), "heading")
            paragraph.clear()
        elif not paragraph and (asciidoc := _ASCIIDOC.match(bare)):
            outline.enter(level_of("=-~^+"[len(asciidoc[1]) - 1]), _plain_title(asciidoc[2]))
            yield outline.block(offset, offset + len(bare), "heading")
        elif not paragraph and below.startswith(("   ", "\t")) and below.strip() and _MAN_SECTION.match(bare):
            outline.enter(level_of("NAME"), clean_line(bare))
            yield outline.block(offset, offset + len(bare), "heading")
        else:
            paragraph.append((offset, line))
        offset += len(line) + 1
    yield from flush()


_ROLE = re.compile(r":[\w:+-]{1,40}:`~?([^`<]*)(?: <[^`]*>)?`|``?([^`]+)``?")


def _plain_title(line: str) -> str:
    """A title in plain text without the marks of reStructuredText and AsciiDoc."""
    return clean_line(_ROLE.sub(lambda match: match[1] or match[2] or "", line), limit=LONGEST_HEADING)


def _underlines(line: str, paragraph: list[tuple[int, str]]) -> bool:
    """Whether `line` makes a heading of the paragraph above: one line, or one with the same line on top."""
    if not _UNDERLINE.match(line):
        return False
    title = paragraph[-1][1].rstrip()
    if len(paragraph) == 2:
        return paragraph[0][1].rstrip() == line and bool(title.strip()) and len(title) <= len(line) + 2
    return title[:1].strip() != "" and abs(len(title) - len(line)) <= 2 and not _UNDERLINE.match(title)


_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){1,5})\.?[ \t]+([^\W\d_].{1,100})$")
_CHAPTER = re.compile(
    r"(?:chapter|part|appendix|kapitel|anhang)[ \t]+[\w.]{1,8}(?:[ \t:.].{0,80})?$", re.IGNORECASE
)
_BULLET = re.compile(r"[ \t]*+[•‣◦▪■●–][ \t]")


_PAGE_CHAPTER = re.compile(
    r"(?:CHAPTER|APPENDIX|PART)\n[ \t]*[A-Z0-9]{1,12}[ \t]*\n(?P<title>[^\n]{2,120})(?=\n|\Z)"
)
"""As LaTeX sets it: the word, its number and the title on lines of their own."""


def _scan_pages(text: str) -> Iterator[Block]:
    """Text of pages: numbered headings ("4.2 Title"); paragraphs end with a short line and cross pages."""
    outline = _Outline()
    start, end, widest = -1, 0, 0
    chapter_end = 0
    for offset, line in lines_of(text):
        if offset < chapter_end:
            continue
        bare = line.strip()
        last = offset + len(line.rstrip())
        if bare in ("CHAPTER", "APPENDIX", "PART") and (chapter := _PAGE_CHAPTER.match(text, offset)):
            if start >= 0:
                yield outline.block(start, end, "prose")
            start, chapter_end = -1, chapter.end()
            outline.enter(1, clean_line(chapter["title"], limit=LONGEST_HEADING))
            yield outline.block(
                offset, chapter_end - len(chapter["title"]) + len(chapter["title"].rstrip()), "heading"
            )
            continue
        heading = _NUMBERED.match(bare)
        if heading and bare[-1] not in ".,;:" and "…" not in bare and not bare[-1].isdigit():
            if start >= 0:
                yield outline.block(start, end, "prose")
            start = -1
            outline.enter(heading[1].count(".") + 1, clean_line(bare, limit=LONGEST_HEADING))
            yield outline.block(offset, last, "heading")
        elif _CHAPTER.match(bare) and bare[-1] not in ".,;":
            if start >= 0:
                yield outline.block(start, end, "prose")
            start = -1
            outline.enter(1, clean_line(bare, limit=LONGEST_HEADING))
            yield outline.block(offset, last, "heading")
        elif not bare or _BULLET.match(line):
            if start >= 0:
                yield outline.block(start, end, "prose")
            start, end, widest = (offset if bare else -1), last, len(line)
        else:
            if start < 0:
                start, widest = offset, 0
            end, widest = last, max(widest, len(line))
            if bare[-1] in ".!?:" and len(line) < 0.75 * widest:
                yield outline.block(start, end, "prose")
                start = -1
    if start >= 0:
        yield outline.block(start, end, "prose")


def _scan_code(text: str, definitions: Iterable[Definition]) -> Iterator[Block]:
    """Source code: a section for each definition, its comments above included; blocks between blank lines."""
    lines = text.split("\n")
    starts: dict[int, Path] = {}
    for line, path in definitions:
        while line > 0 and _COMMENT.match(lines[line - 1]) and line - 1 not in starts:
            line -= 1
        starts[line] = path
    outline = _Outline()
    start, end, offset = -1, 0, 0
    for number, line_text in enumerate(lines):
        if number in starts or not line_text.strip():
            if start >= 0:
                yield outline.block(start, end, "lines")
                start = -1
            if number in starts:
                outline.section += 1
                outline.path = starts[number]
        if line_text.strip():
            if start < 0:
                start = offset
            end = offset + len(line_text.rstrip())
        offset += len(line_text) + 1
    if start >= 0:
        yield outline.block(start, end, "lines")


_COMMENT = re.compile(r"[ \t]*+(?:#|//|/\*|\*|--|;;|@\w|%)")


def _scan_rows(text: str, separator: str) -> Iterator[Block]:
    """Rows of a table, whole even with line breaks in quoted fields; the heading names the columns."""
    path: Path = ()
    start, end, open_quotes, height = -1, 0, False, 0
    for offset, line in lines_of(text):
        if start < 0:
            if not line.strip():
                continue
            if not path and offset + len(line) < 20_000 and not text[:offset].strip():
                path = _columns(line, separator)
            start, open_quotes, height = offset, False, 0
        if line.strip():
            end = offset + len(line.rstrip())
        open_quotes ^= line.count('"') % 2 == 1
        height += 1
        if not open_quotes or height > 50:
            yield Block(start, end, "lines", path, 0)
            start = -1
    if start >= 0:
        yield Block(start, end, "lines", path, 0)


def _columns(line: str, separator: str) -> Path:
    counted = max((separator, ";", "\t", "|"), key=lambda mark: (line.count(mark), mark == separator))
    names = [name.strip().strip("\"'") for name in line.split(counted)]
    if any(not name or name.replace(".", "").replace("-", "").isdigit() for name in names[:20]):
        return ()
    return (clean_line(", ".join(names), limit=LONGEST_HEADING),)


def _scan_lines(text: str) -> Iterator[Block]:
    """Data without prose: blocks between blank lines."""
    start, end = -1, 0
    for offset, line in lines_of(text):
        if line.strip():
            start, end = (offset if start < 0 else start), offset + len(line.rstrip())
        elif start >= 0:
            yield Block(start, end, "lines", (), 0)
            start = -1
    if start >= 0:
        yield Block(start, end, "lines", (), 0)
