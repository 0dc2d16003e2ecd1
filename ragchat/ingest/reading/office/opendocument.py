"""OpenDocument texts, spreadsheets and presentations, zipped or flat: all that a user sees of them, in order.

Notes, comments, text boxes and pictures follow the paragraph or table that refers to them. Runs in the reading process.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lxml import etree

from ragchat.errors import IngestError
from ragchat.ingest.formats import Kind
from ragchat.ingest.reading.archive import check_archive, open_archive, read_member
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.office.flow import (
    DEEPEST,
    Block,
    Line,
    add_code,
    all_after,
    flat_text,
    is_code_style,
    mark_first,
    numeral,
    write_blocks,
)
from ragchat.ingest.reading.office.mathml import mathml_text
from ragchat.ingest.reading.office.number_format import number_format
from ragchat.ingest.reading.office.ooxml import PARSER_OPTIONS, Element, is_file_name, local
from ragchat.ingest.reading.office.sheets import Block as RowBlock
from ragchat.ingest.reading.office.sheets import Span, blocks_of_rows, is_automatic, span_of, write_block
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText, LeftOutKind

_NAMES = "{urn:oasis:names:tc:opendocument:xmlns:"
_TEXT = _NAMES + "text:1.0}"
_TABLE = _NAMES + "table:1.0}"
_DRAW = _NAMES + "drawing:1.0}"
_STYLE = _NAMES + "style:1.0}"
_OFFICE = _NAMES + "office:1.0}"
_SHOW = _NAMES + "presentation:1.0}"
_FORM = _NAMES + "form:1.0}"
_CHART = _NAMES + "chart:1.0}"
_NUMBER = _NAMES + "datastyle:1.0}"
_META = _NAMES + "meta:1.0}"
_FO = _NAMES + "xsl-fo-compatible:1.0}"
_LINK = "{http://www.w3.org/1999/xlink}"
_XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
_CELL = _TABLE + "table-cell"
_COVERED = _TABLE + "covered-table-cell"
_SPREADS = {f"{_TABLE}number-{name}" for name in ("columns-repeated", "columns-spanned", "rows-spanned")}
_PARAGRAPH = _TEXT + "p"
_TITLE_FIELD = _TEXT + "title"
_HIDDEN_PARAGRAPH = _TEXT + "hidden-paragraph"
_MOST_ROWS = 100
"""Times that a row is written which the file says to be repeated."""
_MOST_CELLS = 3_000_000
_MOST_FILLED = 2_000_000
"""Cells of a document, and characters that merged and repeated cells add, so that no file can grow without end."""
_VALIDATION = _TABLE + "content-validation"
_RANGE = re.compile(r"\$?(?:'((?:[^']|'')+)'|([^.']+))\.(\$?[A-Z]+\$?\d+):(?:.*\.)?(\$?[A-Z]+\$?\d+)")
""""Sheet 1".A1:"Sheet 1".B5"""


def read_opendocument(data: bytes, kind: Kind) -> ExtractedText:
    """The text of an OpenDocument file. Raises IngestError."""
    builder = DocumentBuilder(kind.media_type)
    source = _Flat(data) if kind.media_type.endswith("-flat-xml") else _Zipped(data)
    with source:
        content = source.part("content.xml")
        if content is None:  # a template may be nothing but styles
            content = source.part("styles.xml")
        if content is None:
            raise IngestError(Reason.DAMAGED)
        reader = _Reader(source, content, builder)
        reader.write(content)
        title = _write_properties(source.part("meta.xml"), builder)
        for part in dict.fromkeys(source.damaged):
            builder.leave_out(LeftOutKind.REST, part)
        if source.has_macros:
            builder.leave_out(LeftOutKind.FORM_SCRIPT, "macros")
    return builder.build(title or reader.title)


# --- the package ----------------------------------------------------------------------------------------


class _Zipped:
    """An OpenDocument package. `damaged` collects parts whose XML broke off."""

    def __init__(self, data: bytes) -> None:
        self.damaged: list[str] = []
        self._archive: zipfile.ZipFile = open_archive(data)
        self._names = {name.replace("\\", "/"): name for name in self._archive.namelist()}
        if b"encryption-data" in self._read("META-INF/manifest.xml"):
            self._archive.close()
            raise IngestError(Reason.ENCRYPTED)

    def __enter__(self) -> _Zipped:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    @property
    def has_macros(self) -> bool:
        """Whether a script of the document's own is in the package."""
        return any(
            name.startswith(("Basic/", "Scripts/")) and not name.endswith(("/", "-lc.xml", "-lb.xml"))
            for name in self._names
        )

    def part(self, name: str) -> Element | None:
        """The root element of a part; None when there is none."""
        data = self._read(name)
        return _parsed(data, name, self.damaged) if data.strip() else None

    def _read(self, name: str) -> bytes:
        return read_member(self._archive, self._names[name]) if name in self._names else b""


class _Flat:
    """An OpenDocument file that is one XML document."""

    has_macros = False

    def __init__(self, data: bytes) -> None:
        if data.startswith(b"PK"):
            check_archive(data)
            raise IngestError(Reason.DAMAGED)
        if b"<!ENTITY" in data[:4096]:
            raise IngestError(Reason.ENTITIES)
        self.damaged: list[str] = []
        data = re.sub(rb"<office:binary-data>[^<]*+</office:binary-data>", b"", data)
        self._root = _parsed(data, "document", self.damaged)
        if self._root is None or not local(self._root).startswith("document"):
            raise IngestError(Reason.DAMAGED)

    def __enter__(self) -> _Flat:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def part(self, name: str) -> Element | None:
        """The document itself, which is all parts in one."""
        return self._root if name in ("content.xml", "styles.xml", "meta.xml") else None


def _parsed(data: bytes, name: str, damaged: list[str]) -> Element | None:
    parser = etree.XMLParser(**PARSER_OPTIONS)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        root = None
    if root is None or any(entry.level >= etree.ErrorLevels.FATAL for entry in parser.error_log):
        damaged.append(name)
    return root


def _child(element: Element | None, name: str) -> Element | None:
    if element is not None:
        for one in element:
            if local(one) == name:
                return one
    return None


def _number(value: str | None, default: int = 1) -> int:
    return int(value) if value and value.isdecimal() and len(value) < 10 else default


def _has_text(element: Element) -> bool:
    return any(text.strip() for text in element.itertext())


# --- properties -----------------------------------------------------------------------------------------

_READ_PROPERTIES = {"subject": "Subject", "keyword": "Keywords", "description": "Description"}
_SILENT_PROPERTIES = frozenset(
    """
    title generator creation-date date editing-cycles editing-duration document-statistic language print-date
    template auto-reload hyperlink-behaviour
    """.split()  # noqa: SIM905
)


def _write_properties(root: Element | None, builder: DocumentBuilder) -> str:
    """Write the properties that are read, report the others. The title of the document."""
    read: dict[str, list[str]] = {name: [] for name in ("title", *_READ_PROPERTIES)}
    for one in _child(root, "meta") if _child(root, "meta") is not None else ():  # type: ignore[union-attr]
        name = local(one)
        value = " ".join("".join(one.itertext()).split())
        if not value:
            continue
        if name in read:
            read[name].append(value)
        elif name not in _SILENT_PROPERTIES:
            builder.leave_out(LeftOutKind.PROPERTY, one.get(_META + "name") or name)
    lines = [f"{label}: {', '.join(read[name])}" for name, label in _READ_PROPERTIES.items() if read[name]]
    if lines:
        builder.section(())
        builder.paragraph("\n".join(lines))
    return " ".join(read["title"])


# --- styles ---------------------------------------------------------------------------------------------


class _Look(NamedTuple):
    """What of the look of text makes a difference: whether it is seen, and whether it is raised."""

    is_hidden: bool = False
    is_white: bool = False
    is_tiny: bool = False
    is_shaded: bool = False
    is_raised: bool = False

    @property
    def is_unseen(self) -> bool:
        """Whether no one sees it on a white page."""
        return self.is_hidden or self.is_tiny or (self.is_white and not self.is_shaded)


_PLAIN = _Look()
_SHADED = _Look(is_shaded=True)


class _Level(NamedTuple):
    """A level of a list or of the headings; `format` "-" is a bullet, "" no label."""

    format: str = ""
    before: str = ""
    behind: str = ""
    levels: int = 1
    start: int = 1


_FORMATS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}


class _Styles:
    """The styles of a document; those of the content go before those of the same name elsewhere."""

    def __init__(self, *roots: Element | None) -> None:
        self._elements: dict[tuple[str, str], Element] = {}
        self._lists: dict[str, Element] = {}
        self._list_levels: dict[str, dict[int, _Level]] = {}
        self._looks: dict[tuple[str, str, _Look], _Look] = {}
        self._titles: dict[str, bool] = {}
        self._codes: dict[str, bool] = {}
        self._formats: dict[str, Element] = {}
        self.outline: dict[int, _Level] = {}
        for root in roots:
            for holder in root if root is not None else ():
                if local(holder) in ("styles", "automatic-styles"):
                    self._take(holder)

    def _take(self, holder: Element) -> None:
        for one in holder:
            name = one.get(_STYLE + "name") or ""
            match local(one):
                case "style":
                    self._elements.setdefault((one.get(_STYLE + "family") or "", name), one)
                case "list-style":
                    self._lists.setdefault(name, one)
                case "date-style" | "percentage-style":
                    self._formats.setdefault(name, one)
                case "outline-style":
                    self.outline = _levels(one)

    def look(self, family: str, name: str | None, look: _Look) -> _Look:
        """A look with that of a style laid over it."""
        if not name:
            return look
        key = (family, name, look)
        if key not in self._looks:
            applied = look
            for element in self._chain(family, name):
                applied = _applied(element, applied)
            self._looks[key] = applied
        return self._looks[key]

    def is_title(self, name: str) -> bool:
        """Whether a paragraph of this style is the title of the document."""
        if name not in self._titles:
            chain = self._chain("paragraph", name)
            self._titles[name] = name == "Title" or any(one.get(_STYLE + "name") == "Title" for one in chain)
        return self._titles[name]

    def is_code(self, name: str) -> bool:
        """Whether paragraphs of this style are lines of source code."""
        if name not in self._codes:
            parents = (one.get(_STYLE + "parent-style-name") or "" for one in self._chain("paragraph", name))
            self._codes[name] = any(map(is_code_style, (name, *parents)))
        return self._codes[name]

    def setting(self, family: str, name: str | None, attribute: str) -> str:
        """A setting of a style, inherited where it has none of its own; "" when there is none."""
        value = ""
        for element in self._chain(family, name or ""):
            for settings in element:
                value = settings.get(attribute) or value
        return value

    def data_style(self, chart_style: str) -> Element | None:
        """How numbers are shown by an axis of this style."""
        found = self._elements.get(("chart", chart_style))
        return self._formats.get(found.get(_STYLE + "data-style-name") or "") if found is not None else None

    def levels(self, name: str) -> dict[int, _Level]:
        """The levels of a list style, from 1."""
        if name not in self._list_levels:
            self._list_levels[name] = _levels(self._lists[name]) if name in self._lists else {}
        return self._list_levels[name]

    def list_of(self, paragraph_style: str | None) -> str:
        """The list style that a paragraph style brings along."""
        name = ""
        for element in self._chain("paragraph", paragraph_style or ""):
            name = element.get(_STYLE + "list-style-name") or name
        return name

    def _chain(self, family: str, name: str) -> list[Element]:
        chain: list[Element] = []
        seen: set[str] = set()
        while (family, name) in self._elements and name not in seen and len(seen) < 20:
            seen.add(name)
            chain.append(self._elements[family, name])
            name = chain[-1].get(_STYLE + "parent-style-name") or ""
        return chain[::-1]


_WITH_BACKGROUND = frozenset(
    (
        "text-properties",
        "paragraph-properties",
        "table-properties",
        "table-row-properties",
        "table-cell-properties",
    )
)


def _applied(element: Element, look: _Look) -> _Look:
    for settings in element:
        name = local(settings)
        if name not in _WITH_BACKGROUND:
            continue
        background = settings.get(_FO + "background-color")
        if background is not None and background != "transparent":
            look = look._replace(is_shaded=background.lower() != "#ffffff")
        if name == "text-properties":
            look = _with_text_settings(settings, look)
    return look


def _with_text_settings(settings: Element, look: _Look) -> _Look:
    display = settings.get(_TEXT + "display")
    colour = settings.get(_FO + "color")
    size = settings.get(_FO + "font-size")
    position = settings.get(_STYLE + "text-position")
    if display is not None:
        look = look._replace(is_hidden=display == "none")
    if colour is not None:
        look = look._replace(is_white=re.fullmatch("#(f[def]){3}", colour.lower()) is not None)
    if size is not None:
        look = look._replace(is_tiny=re.fullmatch(r"(0(\.\d{1,9})?|1(\.0{1,9})?)pt", size) is not None)
    if position is not None:
        look = look._replace(
            is_raised=position.startswith("super") or re.match(r"[1-9]", position) is not None
        )
    return look


def _levels(holder: Element) -> dict[int, _Level]:
    levels: dict[int, _Level] = {}
    for one in holder:
        number = _number(one.get(_TEXT + "level"), 0)
        if local(one) in ("list-level-style-bullet", "list-level-style-image"):
            levels[number] = _Level("-")
        elif number:
            levels[number] = _Level(
                one.get(_STYLE + "num-format") or "",
                one.get(_STYLE + "num-prefix") or "",
                one.get(_STYLE + "num-suffix") or "",
                _number(one.get(_TEXT + "display-levels")),
                _number(one.get(_TEXT + "start-value")),
            )
    return levels


class _Counter:
    """Counts the items of a list, or the headings, at all their levels."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def label(self, levels: dict[int, _Level], level: int, start: str | None = None) -> str:
        """The next label at a level from 1: "-" for a bullet, "" for none."""
        own = levels.get(level, _Level())
        first = _number(start, own.start)
        self._counts[level] = self._counts[level] + 1 if level in self._counts and not start else first
        for deeper in [one for one in self._counts if one > level]:
            del self._counts[deeper]
        if own.format in ("", "-"):
            return own.format
        shown = range(max(1, level - own.levels + 1), level + 1)
        return own.before + ".".join(filter(None, (self._one(levels, one) for one in shown))) + own.behind

    def _one(self, levels: dict[int, _Level], level: int) -> str:
        of = levels.get(level, _Level())
        if of.format in ("", "-"):
            return ""
        return numeral(self._counts.get(level, of.start), _FORMATS.get(of.format, "decimal"))


# --- the reader -----------------------------------------------------------------------------------------

_BREAKS = {"tab": "\t", "line-break": "\n"}
_SILENT = frozenset(
    """
    soft-page-break bookmark bookmark-start bookmark-end change change-start change-end reference-mark-start
    reference-mark-end annotation-end number toc-mark toc-mark-start toc-mark-end user-index-mark user-index-mark-start
    user-index-mark-end alphabetical-index-mark alphabetical-index-mark-start alphabetical-index-mark-end
    event-listeners sequence-decls variable-decls user-field-decls dde-connection-decls forms scripts settings
    alphabetical-index-auto-mark-file table-source named-expressions database-ranges content-validations
    calculation-settings data-pilot-tables dde-links consolidation label-ranges table-column table-columns
    table-header-columns table-column-group animations transition-filter par seq glue-point enhanced-geometry
    index-entry-template header-decl footer-decl date-time-decl title desc scenario cell-range-source
    conditional-formats sparkline-groups table-protection protection detective binary-data image-map
    numbered-paragraph-source section-source
    """.split()  # noqa: SIM905
)
_CONTENTS = frozenset(("table-of-content", "illustration-index", "table-index", "object-index"))
"""Lists that repeat the headings and captions of the document."""
_PAGE_FIELDS = frozenset(
    ("page-number", "page-count", "sheet-name", "page-continuation", "date", "time", "file-name")
)
_PAGE_WORDS = frozenset(
    """
    page pages seite seiten sida sidan side pagina página p of von av af di de sur
    """.split()  # noqa: SIM905
)
_SHAPES = frozenset(
    """
    custom-shape rect ellipse circle line polyline polygon regular-polygon path connector measure caption g scene
    """.split()  # noqa: SIM905
)


_FLOATING = frozenset(("frame", "control", *_SHAPES))
"""What lies over the cells of a sheet, although it is in one."""


class _Reader:
    """Walks the parts of one document, or of one inside it, and writes what it finds."""

    def __init__(
        self,
        source: _Zipped | _Flat,
        content: Element,
        builder: DocumentBuilder,
        folder: str = "",
        seen: set[str] | None = None,
    ) -> None:
        self._source = source
        self._builder = builder
        self._folder = folder
        self._seen = set() if seen is None else seen
        styles = source.part(f"{folder}styles.xml")
        self._page_styles = styles
        self._styles = _Styles(content, styles if styles is not content else None)
        self._outline = _Counter()
        self._counters: dict[str, _Counter] = {}
        self._forms = _form_texts(content)
        self._deletions = _deletions_in_text(content)
        self._deleting: set[str] = set()
        self._reported: set[str] = set()
        self._hides_paragraphs = next(content.iter(_HIDDEN_PARAGRAPH), None) is not None
        self._look = _PLAIN
        self._is_lit = _has_dark_pages(styles)
        self._in_header = False
        self._in_sheet = False
        self._in_slides = False
        self._depth = 0
        self._filled = 0
        self._cells = 0
        self.title = ""
        self._inlines: dict[str, Callable[[Element, Line], None]] = {
            "s": self._blanks,
            "span": self._span,
            "note": self._note,
            "annotation": self._annotation,
            "ruby": self._ruby,
            "hidden-text": self._hidden_field,
            "hidden-paragraph": self._nothing,
            "script": self._script,
            "frame": self._frame_in_line,
            "control": self._frame_in_line,
            "thumbnail": self._nothing,
            "page-thumbnail": self._nothing,
            "math": self._math,
            **dict.fromkeys(_SHAPES, self._frame_in_line),
        }
        self._block_readers: dict[str, Callable[[Element], list[Block]]] = {
            "p": self._paragraph,
            "h": self._heading,
            "list": self._list,
            "numbered-paragraph": self._numbered_paragraph,
            "table": self._table,
            "section": self._section,
            "tracked-changes": self._deleted,
            "frame": self._frame,
            "control": self._control,
            "annotation": self._annotation_block,
            **dict.fromkeys(_CONTENTS, lambda _: []),
            **dict.fromkeys(_SHAPES, self._shape),
        }

    # The document

    def write(self, root: Element) -> None:
        """Write the body and the headers."""
        for body in _child(root, "body") if _child(root, "body") is not None else ():  # type: ignore[union-attr]
            match local(body):
                case "presentation":
                    self._write_slides(body)
                case "spreadsheet":
                    self._write_sheets(body)
                case _:
                    write_blocks(self._builder, self._blocks(body))
        if self._reported:
            self._builder.leave_out(LeftOutKind.DELETED_TEXT, count=len(self._reported))
        self._write_headers()

    def _blocks(self, container: Element, without: Sequence[Element] = ()) -> list[Block]:
        if self._depth >= DEEPEST:
            self._builder.leave_out(LeftOutKind.REST, "nested too deeply")
            return []
        self._depth += 1
        found: list[Block] = []
        for child in container:
            name = local(child)
            reader = self._block_readers.get(name)
            if child in without:
                continue
            if name == "p" and self._styles.is_code(child.get(_TEXT + "style-name") or ""):
                self._code(child, found)
            elif reader is not None:
                found.extend(reader(child))
            elif name not in _SILENT and name:
                found.extend(self._blocks(child))
        self._depth -= 1
        return found

    def _write_headers(self) -> None:
        holder = _child(self._page_styles, "master-styles")
        lines: dict[str, list[Block]] = {}
        self._in_header = True
        for page in holder if holder is not None else ():
            for one in page:
                for text, after in self._header(one):
                    lines.setdefault(text, []).extend(after)
        self._in_header = False
        if lines:
            self._builder.section(())
        for text, after in lines.items():
            self._builder.paragraph(text)
            write_blocks(self._builder, after)

    def _header(self, element: Element) -> list[tuple[str, list[Block]]]:
        """What a header or footer says, or a shape that is on all slides."""
        name = local(element)
        is_region = name.startswith(("header", "footer"))
        if not is_region and (name not in ("frame", *_SHAPES) or element.get(_SHOW + "class")):
            return []
        if is_region and element.get(_STYLE + "display") == "false":
            return []
        blocks = self._blocks(element) if is_region else self._block_readers[name](element)
        lines = flat_text(blocks).split("\n")
        text = "\n".join(line for line in lines if not _only_numbers_pages(line))
        after = all_after(blocks)
        return (
            [(f"{'Footer' if name.startswith('footer') else 'Header'}: {text}" if text else "", after)]
            if text or after
            else []
        )

    # Paragraphs

    def _paragraph(self, element: Element) -> list[Block]:
        line = self._line(element)
        text = line.text
        if text and self._styles.is_title(element.get(_TEXT + "style-name") or ""):
            self.title = self.title or text
            return [Block("heading", text, 0, after=line.after)]
        return [Block("paragraph", text, after=line.after)] if text or line.after else []

    def _code(self, element: Element, found: list[Block]) -> None:
        line = self._line(element)
        if line.text:
            add_code(line.whole.rstrip(), line.after, found)
        elif line.after:
            found.append(Block("paragraph", after=line.after))

    def _heading(self, element: Element) -> list[Block]:
        level = max(1, min(_number(element.get(_TEXT + "outline-level")), 10))
        label = _written_number(element)
        if not label and element.get(_TEXT + "is-list-header") != "true":
            restarts = element.get(_TEXT + "restart-numbering") == "true"
            start = element.get(_TEXT + "start-value") if restarts else None
            label = self._outline.label(self._styles.outline, level, start)
        label = "" if label == "-" else label
        line = self._line(element)
        if not line.text:
            return [Block("paragraph", after=line.after)] if line.after else []
        return [Block("heading", f"{label} {line.text}".strip(), level, after=line.after)]

    def _line(self, element: Element) -> Line:
        """The text of a paragraph and what it refers to."""
        line = Line()
        outer = self._look
        base = outer._replace(is_raised=False) if outer.is_raised else outer
        self._look = self._styles.look("paragraph", element.get(_TEXT + "style-name"), base)
        if self._hides_paragraphs and any(_is_hidden(one) for one in element.iter(_HIDDEN_PARAGRAPH)):
            self._look = self._look._replace(is_hidden=True)
        self._inside(element, line)
        self._look = outer
        if line.is_hidden:
            self._builder.leave_out(LeftOutKind.HIDDEN_TEXT)
        return line

    def _inside(self, element: Element, line: Line) -> None:
        if element.text:
            self._add(element.text, line)
        for child in element:
            self._inline(child, line)
            if child.tail:
                self._add(child.tail, line)

    def _inline(self, element: Element, line: Line) -> None:
        name = local(element)
        reader = self._inlines.get(name)
        if reader is not None:
            reader(element, line)
        elif name in _BREAKS:
            line.add(_BREAKS[name])
        elif name in self._block_readers:
            line.after.extend(self._block_readers[name](element))
        elif name in ("change-start", "change-end"):
            self._change(element)
        elif element.tag == _TITLE_FIELD or not (name in _SILENT or self._is_page_field(name)):
            self._inside(element, line)

    def _is_page_field(self, name: str) -> bool:
        """Whether a field numbers the pages, or says of all of them the same in a header."""
        return (self._in_header and name in _PAGE_FIELDS) or (self._in_slides and name == "page-number")

    def _change(self, element: Element) -> None:
        """Text between these marks was deleted, where the change that they name is a deletion."""
        change = element.get(_TEXT + "change-id") or ""
        if change in self._deletions:
            (self._deleting.add if local(element) == "change-start" else self._deleting.discard)(change)

    def _add(self, text: str, line: Line) -> None:
        """Text as it is shown: white space of the XML is one blank, hyphens are such that the search can read them."""
        if self._deleting:
            if text.strip():
                self._reported.update(self._deleting)
            return
        if "\n" in text or "  " in text or "\t" in text or "\r" in text:
            text = re.sub(r"[ \t\r\n]++", " ", text)
        if not text.isascii():
            text = text.replace("\u2011", "-").replace("\u00ad", "")
        if self._look.is_hidden or (self._look.is_unseen and not self._is_lit):
            line.is_hidden = line.is_hidden or bool(text.strip())
        elif self._look.is_raised:
            line.add_raised(text)
        else:
            line.add(text)

    def _nothing(self, element: Element, line: Line) -> None:
        pass

    def _blanks(self, element: Element, line: Line) -> None:
        line.add(" " * min(_number(element.get(_TEXT + "c")), 200))

    def _span(self, element: Element, line: Line) -> None:
        outer = self._look
        self._look = self._styles.look("text", element.get(_TEXT + "style-name"), outer)
        self._inside(element, line)
        self._look = outer

    def _ruby(self, element: Element, line: Line) -> None:
        base, reading = _child(element, "ruby-base"), _child(element, "ruby-text")
        if base is not None:
            self._inside(base, line)
        if reading is not None and _has_text(reading):
            line.add("(")
            self._inside(reading, line)
            line.add(")")

    def _hidden_field(self, element: Element, line: Line) -> None:
        if _is_hidden(element):
            line.is_hidden = True
        else:
            self._inside(element, line)

    def _script(self, element: Element, line: Line) -> None:
        self._builder.leave_out(LeftOutKind.FORM_SCRIPT)

    def _note(self, element: Element, line: Line) -> None:
        if self._look.is_hidden:
            line.is_hidden = True
            return
        citation, body = _child(element, "note-citation"), _child(element, "note-body")
        label = "".join(citation.itertext()).strip() if citation is not None else ""
        label = label or (citation.get(_TEXT + "label") if citation is not None else "") or "*"
        line.add_note(label)
        if body is not None:
            line.after.extend(mark_first(self._apart(body), f"[{label}]"))

    def _annotation(self, element: Element, line: Line) -> None:
        line.after.extend(self._annotation_block(element))

    def _annotation_block(self, element: Element) -> list[Block]:
        outer, self._look = self._look, _PLAIN
        creator = _child(element, "creator")
        author = " ".join("".join(creator.itertext()).split()) if creator is not None else ""
        blocks = [
            block
            for child in element
            if local(child) in ("p", "list", "h")
            for block in self._block_readers[local(child)](child)
        ]
        self._look = outer
        text = flat_text(blocks)
        by = f" by {author}" if author else ""
        after = all_after(blocks)
        return [Block("paragraph", f"[Comment{by}: {text}]", after=after)] if text else after

    def _apart(self, container: Element) -> list[Block]:
        """Blocks whose look is not that of the text around them."""
        outer, self._look = self._look, _PLAIN
        blocks = self._blocks(container)
        self._look = outer
        return blocks

    def _math(self, element: Element, line: Line) -> None:
        line.add(mathml_text(element))

    # Sections, deletions

    def _section(self, element: Element) -> list[Block]:
        name = element.get(_TEXT + "name") or ""
        if element.get(_TEXT + "display") == "none" or _is_hidden(element):
            if _has_text(element):
                self._builder.leave_out(LeftOutKind.HIDDEN_TEXT, name)
            return []
        linked = _child(element, "section-source")
        blocks = self._blocks(element)
        if linked is not None and not blocks and (address := linked.get(_LINK + "href")):
            self._builder.leave_out(LeftOutKind.OBJECT, address)
        return blocks

    def _deleted(self, element: Element) -> list[Block]:
        count = sum(1 for one in element.iter(_TEXT + "deletion", _TABLE + "previous") if _has_text(one))
        if count:
            self._builder.leave_out(LeftOutKind.DELETED_TEXT, count=count)
        return []

    # Lists

    def _list(self, element: Element, depth: int = 0, style: str = "") -> list[Block]:
        outer = style
        style = element.get(_TEXT + "style-name") or style or _first_paragraph_list(element, self._styles)
        goes_on = element.get(_TEXT + "continue-numbering") == "true" or element.get(_TEXT + "continue-list")
        counter = self._counters.get(style)
        if counter is None or (style != outer if depth else not goes_on):
            counter = self._counters[style] = _Counter()
        found: list[Block] = []
        for item in element:
            if local(item) in ("list-item", "list-header"):
                found.extend(self._item(item, depth, style, counter))
        return found

    def _item(self, item: Element, depth: int, style: str, counter: _Counter) -> list[Block]:
        """An item: its paragraphs are one block, headings and inner lists blocks of their own."""
        label = ""
        own = _first_own_list(item, self._styles)
        levels = self._styles.levels(own if own and not self._styles.levels(style) else style)
        if local(item) == "list-item" and len(item) and local(item[0]) != "list":
            label = counter.label(levels, depth + 1, item.get(_TEXT + "start-value"))
            label = _written_number(item) or (label if levels else "-")
        found: list[Block] = []
        for child in item:
            name = local(child)
            if name == "list":
                found.extend(self._list(child, depth + 1, style))
            elif name == "h":
                found.extend(self._listed_heading(child, label))
            elif name == "p":
                self._listed_paragraph(child, label, depth, found)
            elif name in self._block_readers:
                found.extend(self._block_readers[name](child))
        return found

    def _listed_paragraph(self, element: Element, label: str, depth: int, found: list[Block]) -> None:
        for block in self._paragraph(element):
            if found and found[-1].kind == "item" and block.kind == "paragraph" and found[-1].level == depth:
                found[-1].text += f"\n{block.text}"
                found[-1].after.extend(block.after)
            elif block.kind == "paragraph" and label and block.text:
                found.append(Block("item", block.text, depth, label, after=block.after))
            else:
                found.append(block)

    def _listed_heading(self, element: Element, label: str) -> list[Block]:
        level = max(1, min(_number(element.get(_TEXT + "outline-level")), 10))
        line = self._line(element)
        label = "" if label == "-" else label
        return (
            [Block("heading", f"{label} {line.text}".strip(), level, after=line.after)] if line.text else []
        )

    def _numbered_paragraph(self, element: Element) -> list[Block]:
        level = max(1, min(_number(element.get(_TEXT + "level")), 10))
        style = element.get(_TEXT + "style-name") or ""
        counter = self._counters.setdefault(element.get(_TEXT + "list-id") or style, _Counter())
        label = counter.label(self._styles.levels(style), level, element.get(_TEXT + "start-value"))
        found: list[Block] = []
        for child in element:
            if local(child) == "p":
                self._listed_paragraph(child, _written_number(element) or label or "-", level - 1, found)
            elif local(child) == "h":
                found.extend(self._listed_heading(child, label))
        return found

    # Drawings

    def _frame_in_line(self, element: Element, line: Line) -> None:
        if self._look.is_hidden:
            line.is_hidden = line.is_hidden or _has_text(element)
            return
        formula = self._formula_in(element)
        if formula:
            line.add(formula)
        else:
            line.after.extend(self._block_readers[local(element)](element))

    def _formula_in(self, frame: Element) -> str:
        """The formula that a frame holds, which is part of the line; "" for other frames."""
        holder = _child(frame, "object")
        root = self._object_root(holder)[0] if holder is not None else None
        return mathml_text(root) if root is not None and local(root) == "math" else ""

    def _shape(self, element: Element) -> list[Block]:
        """A shape with text, or a group of shapes."""
        if element.get(_SHOW + "placeholder") == "true":
            return []
        blocks = self._lit(element)
        return [*blocks, *_alternative(element)]

    def _lit(self, container: Element) -> list[Block]:
        """Blocks on a background that no one knows."""
        lit, self._is_lit = self._is_lit, True
        blocks = self._apart(container)
        self._is_lit = lit
        return blocks

    def _frame(self, element: Element) -> list[Block]:
        """A frame holds a text box, a table, or an object or picture in several forms, of which one is enough."""
        if element.get(_SHOW + "placeholder") == "true":
            return []
        found: list[Block] = []
        has_picture = is_read = False
        for child in element:
            match local(child):
                case "text-box":
                    found.extend(self._lit(child))
                    is_read = True
                case "table":
                    found.extend(self._table(child))
                    is_read = True
                case "object" | "object-ole":
                    found.extend(self._object(child))
                    is_read = True
                case "plugin" | "applet" | "floating-frame":
                    self._foreign(child)
                    is_read = True
                case "image":
                    has_picture = True
                    found.extend(self._lit(child))
        described = _alternative(element)
        if has_picture and not is_read and not described:
            self._builder.leave_out(LeftOutKind.PICTURE, element.get(_DRAW + "name") or "")
        return [*found, *described]

    def _foreign(self, element: Element) -> None:
        media = element.get(_DRAW + "mime-type") or ""
        is_media = "media" in media or media.startswith(("audio", "video"))
        name = (element.get(_LINK + "href") or "").rpartition("/")[2]
        self._builder.leave_out(LeftOutKind.SOUND if is_media else LeftOutKind.OBJECT, name)

    def _object(self, element: Element) -> list[Block]:
        """A chart, a formula or a document in this one; others are reported."""
        root, target, folder = self._object_root(element)
        self._seen.add(folder)
        if root is None:
            self._builder.leave_out(LeftOutKind.OBJECT, target)
            return []
        if local(root) == "math":
            return [Block("paragraph", mathml_text(root))]
        body = _child(root, "body")
        if body is None:
            self._builder.leave_out(LeftOutKind.OBJECT, target)
            return []
        inner = _Reader(self._source, root, self._builder, folder or f"{self._folder}inner/", self._seen)
        return inner.inner_blocks(body)

    def _object_root(self, element: Element) -> tuple[Element | None, str, str]:
        """What an object holds, unless it was read before; its address, and its folder in the package."""
        target = (element.get(_LINK + "href") or "").removeprefix("./").rstrip("/")
        root = next((one for one in element if local(one) in ("document", "math")), None)
        folder = f"{posixpath.normpath(self._folder + target)}/" if target else ""
        if root is None and target and folder not in self._seen:
            root = self._source.part(f"{folder}content.xml")
        return root, target, folder

    def inner_blocks(self, body: Element) -> list[Block]:
        """The blocks of a document that is in another."""
        self._is_lit = True
        return [
            block
            for one in body
            for block in (self._chart(one) if local(one) == "chart" else self._blocks(one))
        ]

    def _chart(self, element: Element) -> list[Block]:
        """The titles of a chart, and its values as a table."""
        titles = [
            text
            for one in element.iter("{*}title", "{*}subtitle", "{*}footer")
            if (text := " ".join(" ".join("".join(p.itertext()) for p in one).split()))
        ]
        found = [Block("paragraph", "\n".join([f"[Chart: {titles[0]}]", *titles[1:]]))] if titles else []
        labels = [" ".join("".join(one.itertext()).split()) for one in element.iter("{*}data-label")]
        tables = [
            self._chart_table(one, self._chart_formats(element)) for one in element.iter(_TABLE + "table")
        ]
        return [
            *found,
            *tables,
            *(Block("paragraph", text) for text in [chr(10).join(filter(None, labels))] if text),
        ]

    def _chart_formats(self, element: Element) -> dict[str, Element]:
        """How the numbers of each axis ("x", "y") are shown."""
        formats: dict[str, Element] = {}
        for axis in element.iter("{*}axis"):
            name = self._styles.data_style(axis.get(_CHART + "style-name") or "")
            if name is not None:
                formats.setdefault(axis.get(_CHART + "dimension") or "", name)
        return formats

    def _chart_table(self, table: Element, formats: dict[str, Element]) -> Block:
        """The values of a chart. Where a cell lists the levels of a category, its paragraph says them all."""
        rows = []
        for element, _ in _row_elements(table):
            cells: list[str] = []
            for cell in element.iter(_CELL):
                text = " ".join(
                    filter(
                        None,
                        (self._line(one).text for one in cell.iter(_PARAGRAPH) if one.getparent() is cell),
                    )
                )
                cells.append(_as_axis(text, formats.get("y" if cells else "x")))
            rows.append(cells)
        return Block("table", rows=rows)

    def _control(self, element: Element) -> list[Block]:
        text = self._forms.get(element.get(_DRAW + "control") or "", "")
        return [*([Block("paragraph", text)] if text else []), *_alternative(element)]

    # Tables

    def _table(self, element: Element) -> list[Block]:
        """A table of a text or slide; one that only arranges text is read cell by cell."""
        if self._is_hidden_sheet(element):
            return []
        in_sheet, self._in_sheet = self._in_sheet, False
        rows = list(self._rows(element))
        self._in_sheet = in_sheet
        title = [text for name in ("title", "desc") if (text := _own_text(element, name))]
        lead = [Block("paragraph", f"[Table: {' '.join(title)}]")] if title else []
        if all(len(row.cells) <= 1 for row in rows) or any(
            block.kind == "heading" for row in rows for cell in row.cells for block in cell.blocks
        ):
            return [*lead, *(block for row in rows for cell in row.cells for block in cell.blocks)]
        after = [block for row in rows for cell in row.cells for block in all_after(cell.blocks)]
        heads = next((n for n, row in enumerate(rows) if not row.is_header), len(rows))
        texts = [row.texts for row in rows]
        if 1 < heads <= 4 and heads < len(rows):
            texts = [_one_header(texts[:heads]), *texts[heads:]]
        return [*lead, Block("table", rows=texts, after=after)]

    def _is_hidden_sheet(self, table: Element) -> bool:
        style = table.get(_TABLE + "style-name")
        if self._styles.setting("table", style, _TABLE + "display") != "false":
            return False
        self._builder.leave_out(LeftOutKind.HIDDEN_SHEET, table.get(_TABLE + "name") or "")
        return True

    def _rows(self, table: Element) -> Iterator[_Row]:
        """The rows of a table that are not empty. Rows that are repeated come as often, up to a limit."""
        merged: _Merged = {}
        ground = self._styles.look("table", table.get(_TABLE + "style-name"), _PLAIN)
        number = 1
        for element, is_header in _row_elements(table):
            row = self._row(element, merged, ground)
            row.is_header = is_header
            row.number = number
            times = _number(element.get(_TABLE + "number-rows-repeated"))
            number += times
            if not any(row.texts) and not any(cell.blocks for cell in row.cells) and not row.floating:
                continue
            yield row
            for again in range(1, min(times, _MOST_ROWS)):
                if self._may_grow(sum(map(len, row.texts)) + len(row.texts)):
                    yield _Row([], row.texts, is_header, number=row.number + again)

    def _row(self, element: Element, merged: _Merged, ground: _Look) -> _Row:
        ground = self._styles.look("table-row", element.get(_TABLE + "style-name"), ground)
        row = _Row([], [])
        for one in element:
            tag = one.tag
            if tag != _CELL and tag != _COVERED:
                continue
            text = _simple_text(one) if self._in_sheet else None
            if text is None:
                cell = self._cell(one, ground)
                text = flat_text(cell.blocks)
                row.floating += cell.floating
                if cell.blocks:
                    row.cells.append(cell)
            if text:
                row.filled += 1
            if text and _SPREADS.isdisjoint(one.keys()):
                row.texts.append(text)
            else:
                self._add_cell(one, text, row.texts, merged)
        self._end_row(row, merged)
        return row

    def _add_cell(self, cell: Element, text: str, texts: list[str], merged: _Merged) -> None:
        """Add a cell to the texts of its row as often as it is repeated, or what covers it."""
        times = min(_number(cell.get(_TABLE + "number-columns-repeated")), 16_384)
        if cell.tag == _COVERED and not text:
            texts.extend(self._covered(len(texts), times, merged))
            return
        self._merge(cell, len(texts), text, merged)
        if not text:
            texts.extend([""] * (times if self._may_have(times) else 1))
            return
        texts.append(text)
        texts.extend(text for _ in range(times - 1) if self._may_grow(len(text) + 1))

    def _end_row(self, row: _Row, merged: _Merged) -> None:
        texts = row.texts
        while texts and not texts[-1]:
            texts.pop()
        for column in [x for x, (rows, _) in merged.items() if rows <= 1]:
            del merged[column]
        for column, (rows, text) in merged.items():
            merged[column] = (rows - 1, text)
        if row.filled == 1 and len(texts) > 1:  # one merged cell says its text once
            own = next(filter(None, texts))
            row.texts = [own] if all(text in (own, "") for text in texts) and texts[0] else texts

    def _merge(self, cell: Element, column: int, text: str, merged: _Merged) -> None:
        """Note which cells this one covers."""
        rows = _number(cell.get(_TABLE + "number-rows-spanned"))
        columns = _number(cell.get(_TABLE + "number-columns-spanned"))
        if text and (rows > 1 or columns > 1):
            for x in range(column, column + min(columns, 1024)):
                merged[x] = (rows, text)

    def _covered(self, column: int, times: int, merged: _Merged) -> list[str]:
        if not self._may_have(times):
            return [""]
        texts = [merged.get(x, (0, ""))[1] for x in range(column, column + times)]
        return [text if not text or self._may_grow(len(text)) else "" for text in texts]

    def _cell(self, element: Element, ground: _Look) -> _Cell:
        outer = self._look
        look = self._styles.look("table-cell", element.get(_TABLE + "style-name"), ground)
        self._look = _SHADED if look.is_shaded else _PLAIN
        drawn = [one for one in element if local(one) in _FLOATING] if self._in_sheet else []
        floating = [block for one in drawn for block in self._block_readers[local(one)](one)]
        blocks = self._blocks(element, without=drawn)
        self._look = outer
        value = "" if any(local(one) in ("p", "table") for one in element) else _value(element)
        if value:
            blocks.insert(0, Block("paragraph", value))
        if len(blocks) > 1:
            blocks.sort(key=_is_comment)
        return _Cell(blocks, floating)

    def _may_grow(self, characters: int) -> bool:
        self._filled += characters
        return self._filled <= _MOST_FILLED

    def _may_have(self, cells: int) -> bool:
        self._cells += cells
        return self._cells <= _MOST_CELLS

    # Sheets and slides

    def _write_sheets(self, body: Element) -> None:
        self._is_lit = True
        empty: list[str] = []
        for one in body:
            if local(one) == "table":
                self._write_sheet(one, _declared_tables(body, one.get(_TABLE + "name") or ""), empty)
            elif local(one) == "tracked-changes":
                self._deleted(one)
        texts = dict.fromkeys(text for one in body.iter(_VALIDATION) for text in _prompts(one))
        if empty and not self._builder.is_empty:
            texts[f"Empty sheets: {', '.join(empty)}"] = None
        if texts:
            self._builder.section(())
        for text in texts:
            self._builder.paragraph(text)

    def _write_sheet(self, table: Element, declared: dict[Span, str], empty: list[str]) -> None:
        name = table.get(_TABLE + "name") or ""
        if self._is_hidden_sheet(table):
            return
        self._in_sheet = True
        shapes = _child(table, "shapes")
        outside = self._blocks(shapes) if shapes is not None else []
        rows = {row.number: row for row in self._rows(table)}
        if rows or outside:
            self._builder.heading(1, name)
        elif not is_automatic(name):
            empty.append(name)
        texts = {
            number: {x: text for x, text in enumerate(row.texts, 1) if text} for number, row in rows.items()
        }
        names = {span.row: "" if is_automatic(name) else name for span, name in declared.items()}
        filled = {number: row for number, row in texts.items() if row}
        above: RowBlock = []
        for title, block in blocks_of_rows(filled, list(declared), names):
            self._builder.paragraph(f"Table {title}" if title else "")
            above = write_block(block, self._builder, is_declared=block[0][0] in names, above=above)
            self._write_after([rows[number] for number, _ in block])
        self._write_after([row for number, row in rows.items() if number not in filled])
        write_blocks(self._builder, outside)

    def _write_after(self, rows: list[_Row]) -> None:
        """What the cells of rows refer to, and what lies over them."""
        write_blocks(
            self._builder, [one for row in rows for cell in row.cells for one in all_after(cell.blocks)]
        )
        write_blocks(self._builder, [one for row in rows for one in row.floating])

    def _write_slides(self, body: Element) -> None:
        self._is_lit = self._in_slides = True
        pages = [one for one in body if local(one) == "page"]
        shown = 0
        for number, page in enumerate(pages, 1):
            name = page.get(_DRAW + "name") or f"Slide {number}"
            style = page.get(_DRAW + "style-name")
            if self._styles.setting("drawing-page", style, _SHOW + "visibility") == "hidden":
                self._builder.leave_out(LeftOutKind.HIDDEN_SHEET, name)
                continue
            shown += 1
            self._builder.page("" if shown == number else str(number))
            self._write_slide(page, number)
        declared = [one for one in body if local(one) in ("footer-decl", "header-decl") and _has_text(one)]
        if declared:
            self._builder.section(())
        for text in dict.fromkeys(" ".join("".join(one.itertext()).split()) for one in declared):
            self._builder.paragraph(f"Footer: {text}")

    def _write_slide(self, page: Element, number: int) -> None:
        titles = [one for one in page if one.get(_SHOW + "class") == "title"]
        title = [self._frame(one) for one in titles]
        text = " ".join(flat_text(blocks) for blocks in title)
        self._builder.heading(1, text if 0 < len(text) <= 160 else f"Slide {number}")
        if len(text) > 160:
            self._builder.paragraph(text)
        write_blocks(self._builder, [one for blocks in title for one in all_after(blocks)])
        for one in page:
            name = local(one)
            if one in titles or name in _SILENT or name == "notes":
                continue
            reader = self._block_readers.get(name, self._blocks)
            write_blocks(self._builder, reader(one))
        notes = _child(page, "notes")
        if notes is not None:
            self._write_notes(notes)

    def _write_notes(self, notes: Element) -> None:
        blocks = self._blocks(notes)
        text = flat_text(blocks)
        if text:
            self._builder.paragraph(f"Notes: {text}")
        write_blocks(self._builder, all_after(blocks))


# --- parts of the reader that need no state ---------------------------------------------------------------


_Merged = dict[int, tuple[int, str]]
"""Columns that a cell above covers: for how many rows more, and with what text."""


@dataclass(slots=True)
class _Cell:
    blocks: list[Block]
    floating: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class _Row:
    """The cells of a row that hold blocks, and the texts of all its columns; `filled` cells of its own hold text.

    `number` counts from 1. `floating` lies over the cells of a sheet: boxes, charts and pictures.
    """

    cells: list[_Cell]
    texts: list[str] = field(default_factory=list)
    is_header: bool = False
    filled: int = 0
    number: int = 0
    floating: list[Block] = field(default_factory=list)


def _row_elements(table: Element) -> Iterator[tuple[Element, bool]]:
    """The rows of a table, and whether they are header rows; groups of rows may be in each other."""
    stack = [(iter(table), False)]
    while stack:
        children, is_header = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            continue
        name = local(child)
        if name == "table-row":
            yield child, is_header
        elif name in ("table-header-rows", "table-rows", "table-row-group"):
            stack.append((iter(child), is_header or name == "table-header-rows"))


def _simple_text(cell: Element) -> str | None:
    """The text of a cell that is one plain paragraph, or of an empty one; None for others."""
    if len(cell) == 0:
        return "" if cell.get(_OFFICE + "value-type") is None else None
    paragraph = cell[0]
    if len(cell) > 1 or paragraph.tag != _PARAGRAPH or len(paragraph) or paragraph.keys():
        return None
    text: str = (paragraph.text or "").strip()
    return text.replace("\u2011", "-").replace("\u00ad", "") if not text.isascii() else text


def _one_header(rows: list[list[str]]) -> list[str]:
    width = max(map(len, rows))
    columns = ([row[x] for row in rows if x < len(row) and row[x]] for x in range(width))
    return [" ".join(dict.fromkeys(column)) for column in columns]


def _declared_tables(body: Element, sheet: str) -> dict[Span, str]:
    """The tables and filters of a sheet, whose first row names the columns, and their names."""
    found: dict[Span, str] = {}
    for one in body.iter(_TABLE + "database-range"):
        place = _RANGE.fullmatch(one.get(_TABLE + "target-range-address") or "")
        if place is None or (place[1] or place[2]).replace("''", "'") != sheet:
            continue
        span = span_of(f"{place[3]}:{place[4]}")
        name = one.get(_TABLE + "name") or ""
        if span is not None and one.get(_TABLE + "contains-header") != "false":
            found[span] = "" if name.startswith("__") else name
    return found


def _prompts(validation: Element) -> Iterator[str]:
    """What a sheet says to who fills a cell in: hints, complaints, choices."""
    for one in validation:
        if local(one) in ("help-message", "error-message"):
            title = one.get(_TABLE + "title") or ""
            text = " ".join("".join(one.itertext()).split())
            if title or text:
                yield ": ".join(filter(None, (title, text)))
    condition = validation.get(_TABLE + "condition") or ""
    if "cell-content-is-in-list" in condition and (choices := re.findall('"([^"]*)"', condition)):
        yield f"Choices: {', '.join(choices)}"


def _as_axis(text: str, style: Element | None) -> str:
    """A number of a chart as its axis shows it: a day, or a share of a hundred."""
    if text == "NaN":
        return ""
    if style is None or not re.fullmatch(r"-?\d{1,9}(\.\d{1,20})?", text):
        return text
    if local(style) == "date-style" and next(style.iter("{*}year", "{*}month", "{*}day"), None) is not None:
        return number_format("yyyy-mm-dd").shown(text)
    if local(style) == "percentage-style":
        number = _child(style, "number")
        places = _number(number.get(_NUMBER + "decimal-places"), 0) if number is not None else 0
        return number_format(f"0.{'0' * min(places, 9)}%" if places else "0%").shown(text)
    return text


def _only_numbers_pages(line: str) -> bool:
    words = re.findall(r"\w+", line.lower())
    return all(word in _PAGE_WORDS or word.isdigit() for word in words)


def _is_comment(block: Block) -> bool:
    return block.kind == "paragraph" and block.text.startswith("[Comment")


def _value(cell: Element) -> str:
    """What a cell shows whose text is not in the file."""
    value = cell.get(_OFFICE + "value") or ""
    match cell.get(_OFFICE + "value-type"):
        case "percentage":
            return f"{_float(value) * 100:.10g}%"
        case "currency":
            return f"{value} {cell.get(_OFFICE + 'currency') or ''}".strip()
        case "date":
            return (cell.get(_OFFICE + "date-value") or "").removesuffix("T00:00:00").replace("T", " ")
        case "time":
            found = re.fullmatch(
                r"PT(\d{1,6})H(\d{1,2})M(\d{1,2})[\d.,]{0,20}S", cell.get(_OFFICE + "time-value") or ""
            )
            return ":".join(found.groups()) if found else cell.get(_OFFICE + "time-value") or ""
        case "boolean":
            return (cell.get(_OFFICE + "boolean-value") or "").upper()
        case "string":
            return cell.get(_OFFICE + "string-value") or ""
        case None:
            return ""
    return f"{_float(value):.15g}" if value else ""


def _float(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return 0.0


def _is_hidden(element: Element) -> bool:
    return bool(element.get(_TEXT + "is-hidden") == "true")


def _has_dark_pages(styles: Element | None) -> bool:
    """Whether pages have a background, so that white text may be seen on them."""
    pages = styles.iter(_STYLE + "page-layout-properties") if styles is not None else ()
    return any(one.get(_FO + "background-color") not in (None, "transparent", "#ffffff") for one in pages)


def _written_number(element: Element) -> str:
    """The number of a heading or item as the program wrote it; "" when it did not."""
    found = _child(element, "number")
    return "".join(found.itertext()).strip() if found is not None else ""


def _first_paragraph_list(element: Element, styles: _Styles) -> str:
    """The list style that the first paragraph of a list brings along."""
    for item in element:
        return _first_own_list(item, styles)
    return ""


def _first_own_list(item: Element, styles: _Styles) -> str:
    paragraph = _child(item, "p")
    return styles.list_of(paragraph.get(_TEXT + "style-name")) if paragraph is not None else ""


def _own_text(element: Element, name: str) -> str:
    found = _child(element, name)
    return " ".join("".join(found.itertext()).split()) if found is not None else ""


def _alternative(element: Element) -> list[Block]:
    """The description of a picture or shape."""
    found = (_own_text(element, name) for name in ("title", "desc"))
    texts = dict.fromkeys(text for text in found if text and not is_file_name(text))
    return [Block("paragraph", f"[Picture: {': '.join(texts)}]")] if texts else []


def _deletions_in_text(content: Element) -> set[str]:
    """Deletions whose text is still in its place, between marks, as flat files have it."""
    found = set()
    for region in content.iter(_TEXT + "changed-region"):
        deletion = _child(region, "deletion")
        if deletion is not None and not any(local(one) in ("p", "h", "list", "table") for one in deletion):
            found.add(region.get(_TEXT + "id") or region.get(_XML_ID) or "")
    return found


def _form_texts(content: Element) -> dict[str, str]:
    """What the fields of a form show, by their ids."""
    texts: dict[str, str] = {}
    for one in (element for forms in content.iter(_OFFICE + "forms") for element in forms.iter(f"{_FORM}*")):
        name = one.get(_XML_ID) or one.get(_FORM + "id")
        if name:
            shown = [one.get(_FORM + "label"), one.get(_FORM + "current-value") or one.get(_FORM + "value")]
            if local(one) in ("checkbox", "radio"):
                shown.insert(0, "☒" if one.get(_FORM + "current-state") in ("checked", "true") else "☐")
            shown += [
                option.get(_FORM + "label")
                for option in one
                if "true" in (option.get(_FORM + "current-selected"), option.get(_FORM + "selected"))
            ]
            texts[name] = " ".join(filter(None, shown))
    return texts
