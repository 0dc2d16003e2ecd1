"""Word documents (DOCX, DOCM and their templates): all that a user sees of them, in order. Runs in the reading process.

Notes, comments, text boxes and pictures follow the paragraph or table that refers to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ragchat.errors import IngestError
from ragchat.ingest.formats import Kind
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.inside import ReadInside
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
from ragchat.ingest.reading.office.ooxml import (
    Element,
    Package,
    attribute,
    attribute_any,
    children,
    descendants,
    is_file_name,
    local,
    math_text,
    properties,
    relation_id,
    write_chart,
    write_diagram,
    write_properties,
)
from ragchat.ingest.reading.office.symbols import PRIVATE, plain_text, symbol
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText, LeftOutKind

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_MOST_COLUMNS = 63
_MOST_FILLED = 2_000_000
"""Characters of merged cells that are repeated in one document, so that no file can grow without end."""


# --- attributes -----------------------------------------------------------------------------------------


def _get(element: Element | None, name: str = "val") -> str:
    """An attribute of WordprocessingML; "" when there is none."""
    if element is None:
        return ""
    value = element.get(_W + name)
    if value is None:
        value = element.get(_STRICT + name)
    return value or ""


def _number(element: Element | None, name: str = "val") -> int | None:
    value = _get(element, name)
    return int(value) if value.isdecimal() and len(value) < 10 else None


def _is_on(element: Element) -> bool:
    return _get(element).lower() not in ("0", "false", "off", "none")


class _Names(dict[object, str]):
    """The local names of tags; kept, since a document has few of them and each very often."""

    def __missing__(self, tag: object) -> str:
        if len(self) > 5_000:
            self.clear()
        name = self[tag] = tag.rpartition("}")[2] if isinstance(tag, str) else ""
        return name


_NAMES = _Names()


def _child(element: Element | None, name: str) -> Element | None:
    if element is not None:
        for one in element:
            if _NAMES[one.tag] == name:
                return one
    return None


def _alternative(alternatives: Element) -> Element:
    """The one of `mc:AlternateContent` that is read: the first choice, or what represents it in older programs."""
    choice = next((one for one in alternatives if local(one) == "Choice" and len(one)), None)
    return (
        choice if choice is not None else next((one for one in alternatives if local(one) == "Fallback"), ())
    )


# --- styles ---------------------------------------------------------------------------------------------


class _Look(NamedTuple):
    """What of the look of a run makes a difference: whether it is seen, and what its characters mean."""

    is_vanished: bool = False
    is_white: bool = False
    is_tiny: bool = False
    is_shaded: bool = False
    is_raised: bool = False
    font: str = ""


class _Style(NamedTuple):
    """A paragraph style with what it inherits. `level` is that of a heading, 0 for the title, None for other text."""

    name: str = ""
    level: int | None = None
    list_id: str = ""
    list_level: int | None = None
    look: _Look = _Look()


_NO_STYLE = _Style()
_HEADING_WORDS = frozenset(
    """
    heading überschrift berschrift titre título titulo titolo kop rubrik overskrift otsikko nagłówek nagwek nadpis
    címsor cmsor başlık заголовок επικεφαλίδα 見出し 标题 標題 제목
    """.split()  # noqa: SIM905
)
_LEVELLED = re.compile(r"(\D{2,30}?) ?([1-9])")


def heading_level(name: str) -> int | None:
    """1 for "heading 1", "Heading1", "Überschrift 1"; 0 for "Title"; None for other names of styles."""
    name = name.strip().lower()
    if name == "title":
        return 0
    found = _LEVELLED.fullmatch(name)
    return int(found[2]) if found and found[1] in _HEADING_WORDS else None


class _Styles:
    """The styles of a document, by their ids."""

    def __init__(self, root: Element | None) -> None:
        self._elements: dict[str, Element] = {}
        self._styles: dict[str, _Style] = {}
        self._shaded_tables: dict[str, bool] = {}
        self.default = ""
        for one in root if root is not None else ():
            if local(one) == "style":
                style_id = _get(one, "styleId")
                self._elements.setdefault(style_id, one)
                if _get(one, "type") == "paragraph" and _get(one, "default") in ("1", "true", "on"):
                    self.default = style_id

    def style(self, style_id: str) -> _Style:
        """The style of a paragraph."""
        if style_id not in self._styles:
            self._styles[style_id] = self._resolved(style_id)
        return self._styles[style_id]

    def look(self, style_id: str, look: _Look) -> _Look:
        """How a run of this character style looks."""
        for element in self._chain(style_id):
            look = self.applied(_child(element, "rPr"), look)
        return look

    def applied(self, settings: Element | None, look: _Look) -> _Look:
        """A look with the settings of a run (`w:rPr`) laid over it."""
        for one in settings if settings is not None else ():
            match _NAMES[one.tag]:
                case "rStyle":
                    look = self.look(_get(one), look)
                case "vanish":
                    look = look._replace(is_vanished=_is_on(one))
                case "color":
                    look = look._replace(is_white=_is_white(_get(one)))
                case "sz":
                    look = look._replace(is_tiny=(_number(one) or 99) <= 2)
                case "vertAlign":
                    look = look._replace(is_raised=_get(one) == "superscript")
                case "shd" | "highlight":
                    look = look._replace(is_shaded=_has_shade(one))
                case "rFonts":
                    look = look._replace(font=(_get(one, "ascii") or _get(one, "hAnsi")).lower())
        return look

    def shades_table(self, style_id: str) -> bool:
        """Whether cells of a table of this style may have a background."""
        if style_id not in self._shaded_tables:
            self._shaded_tables[style_id] = any(
                _has_shade(shade)
                for element in self._chain(style_id)
                for shade in descendants(element, "shd")
            )
        return self._shaded_tables[style_id]

    def _chain(self, style_id: str) -> list[Element]:
        """The style and those it is based on, the most basic first."""
        chain: list[Element] = []
        seen: set[str] = set()
        while style_id in self._elements and style_id not in seen and len(seen) < 20:
            seen.add(style_id)
            chain.append(self._elements[style_id])
            style_id = _get(_child(chain[-1], "basedOn"))
        return chain[::-1]

    def _resolved(self, style_id: str) -> _Style:
        chain = self._chain(style_id)
        style = _Style(style_id, heading_level(style_id)) if not chain else _NO_STYLE
        for element in chain:
            style = self._inherited(style, element)
        return style

    def _inherited(self, style: _Style, element: Element) -> _Style:
        name = _get(_child(element, "name")) or _get(element, "styleId")
        level = heading_level(name)
        style = style._replace(name=name.lower(), level=style.level if level is None else level)
        settings = _child(element, "pPr")
        outline = _child(settings, "outlineLvl")
        if outline is not None and level != 0:
            style = style._replace(level=_outline(outline))
        numbers = _child(settings, "numPr")
        if numbers is not None:
            list_id = _get(_child(numbers, "numId")) or style.list_id
            own_level = _number(_child(numbers, "ilvl"))
            style = style._replace(
                list_id=list_id, list_level=style.list_level if own_level is None else own_level
            )
        look = self.applied(_child(element, "rPr"), style.look)
        shade = _child(settings, "shd")
        return style._replace(look=look if shade is None else look._replace(is_shaded=_has_shade(shade)))


def _outline(element: Element) -> int | None:
    level = _number(element)
    return level + 1 if level is not None and level < 9 else None


def _is_white(colour: str) -> bool:
    return len(colour) == 6 and all(pair in ("FD", "FE", "FF") for pair in re.findall("..", colour.upper()))


def _has_shade(element: Element) -> bool:
    """Whether a shade or highlight gives a background that white text is seen on."""
    if local(element) == "highlight":
        return _get(element).lower() not in ("none", "white", "")
    fill = _get(element, "fill")
    has_pattern = _get(element) not in ("", "clear", "nil")
    return (
        has_pattern or bool(_get(element, "themeFill")) or (fill not in ("", "auto") and not _is_white(fill))
    )


# --- numbering ------------------------------------------------------------------------------------------


class _Level(NamedTuple):
    """A level of a list: its pattern ("%1.%2"), the format of its numbers, where they start and restart."""

    pattern: str
    style: str
    start: int
    restarts: bool
    is_legal: bool
    paragraph_style: str


_NO_LEVEL = _Level("", "bullet", 1, True, False, "")


class _Numbering:
    """The lists of a document, which count as the text continues."""

    def __init__(self, root: Element | None) -> None:
        self._abstract: dict[str, Element] = {}
        self._by_style: dict[str, str] = {}
        self._numbers: dict[str, Element] = {}
        self._levels: dict[str, list[_Level]] = {}
        self._counts: dict[str, list[int | None]] = {}
        self._started: set[str] = set()
        for one in root if root is not None else ():
            if local(one) == "abstractNum":
                self._abstract[_get(one, "abstractNumId")] = one
                link = _get(_child(one, "styleLink"))
                if link:
                    self._by_style[link] = _get(one, "abstractNumId")
            elif local(one) == "num":
                self._numbers[_get(one, "numId")] = one

    def level_of(self, list_id: str, style_id: str) -> int:
        """The level of a list that belongs to a paragraph style."""
        levels = self._levels_of(list_id)
        return next((n for n, level in enumerate(levels) if level.paragraph_style == style_id), 0)

    def label(self, list_id: str, level: int) -> str | None:
        """The next label of a list: "-" for a bullet, "" for a level without one, None when there is no such list."""
        levels = self._levels_of(list_id)
        if not levels or not 0 <= level < 9:
            return None
        counts = self._counts.setdefault(self._abstract_id(list_id), [None] * 9)
        self._restart(list_id, counts)
        current = counts[level]
        counts[level] = levels[level].start if current is None else current + 1
        for deeper in range(level + 1, 9):
            if levels[deeper].restarts:
                counts[deeper] = None
        if levels[level].style == "bullet":
            return "-" if levels[level].pattern != " " else ""
        return _label(levels, level, counts)

    def _restart(self, list_id: str, counts: list[int | None]) -> None:
        """A list that says where to start again does so once."""
        if list_id in self._started:
            return
        self._started.add(list_id)
        for override in self._numbers[list_id]:
            start = _number(_child(override, "startOverride"))
            level = _number(override, "ilvl")
            if start is not None and level is not None and level < 9:
                counts[level] = start - 1

    def _abstract_id(self, list_id: str) -> str:
        found = _get(_child(self._numbers.get(list_id), "abstractNumId"))
        link = _get(_child(self._abstract.get(found), "numStyleLink"))
        return self._by_style.get(link, found) if link else found

    def _levels_of(self, list_id: str) -> list[_Level]:
        if list_id not in self._numbers:
            return []
        if list_id not in self._levels:
            levels = [_NO_LEVEL] * 9
            self._take_levels(levels, self._abstract.get(self._abstract_id(list_id)))
            for override in self._numbers[list_id]:
                self._take_levels(levels, override)
            self._levels[list_id] = levels
        return self._levels[list_id]

    def _take_levels(self, levels: list[_Level], holder: Element | None) -> None:
        for one in holder if holder is not None else ():
            number = _number(one, "ilvl") if local(one) == "lvl" else None
            if number is not None and number < 9:
                levels[number] = _level(one)


def _level(element: Element) -> _Level:
    start = _number(_child(element, "start"))
    style = _get(_child(element, "numFmt")) or "decimal"
    legal = _child(element, "isLgl")
    return _Level(
        _get(_child(element, "lvlText")),
        style,
        1 if start is None else start,
        _get(_child(element, "lvlRestart")) != "0",
        legal is not None and _is_on(legal),
        _get(_child(element, "pStyle")),
    )


def _label(levels: list[_Level], level: int, counts: list[int | None]) -> str:
    def number(match: re.Match[str]) -> str:
        at = int(match[1]) - 1
        count = counts[at]
        style = "decimal" if levels[level].is_legal else levels[at].style
        return numeral(levels[at].start if count is None else count, style)

    text = re.sub(r"%([1-9])", number, levels[level].pattern)
    return PRIVATE.sub("-", text).strip()


# --- fields ---------------------------------------------------------------------------------------------

PAGE_FIELDS = frozenset(("PAGE", "NUMPAGES", "SECTIONPAGES"))
PAGE_WORDS = frozenset(
    """
    page pages seite seiten sida sidan side strana strona pagina página pág p pg of von av af di de sur z
    """.split()  # noqa: SIM905
)


_GUIDE = re.compile(
    r"\\o(?:\\a[a-z])? ?\( ?\\s\\up ?\d{0,4} ?\(([^()]*+)\) ?[,;] ?([^()]*+)\)", re.IGNORECASE
)
_RATIO = re.compile(r"\\f ?\(([^()\\,;]*+)[,;]([^()\\]*+)\)", re.IGNORECASE)
_ROOT = re.compile(r"\\r ?\(([^()\\]*+)\)", re.IGNORECASE)
_SWITCH = re.compile(r'\\\* ?(?:"[^"]*+"|[^\\\s]++)|\\[a-z]{1,2} ?\d{0,4}', re.IGNORECASE)


def equation(code: str) -> str:
    """What an EQ field shows, on one line: fractions, roots, and readings beside the words that they stand over."""
    text = " ".join(code.split()[1:])
    text = _GUIDE.sub(r"\2(\1)", text)
    text = _ROOT.sub(r"√(\1)", _RATIO.sub(r"\1/\2", text))
    return " ".join(_SWITCH.sub("", text).split())


@dataclass(slots=True)
class _Field:
    """A field that is open: its instruction, and whether its result has begun."""

    code: str = ""
    has_result: bool = False

    @property
    def name(self) -> str:
        return self.code.split(maxsplit=1)[0].upper() if self.code.strip() else ""


# --- the reader -----------------------------------------------------------------------------------------


def read_word(data: bytes, kind: Kind, read_inside: ReadInside | None = None) -> ExtractedText:
    """The text of a Word document. `read_inside` reads documents that are inserted whole. Raises IngestError."""
    builder = DocumentBuilder(kind.media_type)
    with Package(data) as package:
        part = package.main_part("word/document.xml")
        root = package.root(part)
        if root is None:
            raise IngestError(Reason.DAMAGED)
        reader = _Reader(package, part, builder, read_inside)
        reader.write(root)
        found = properties(package)
        write_properties(found, builder)
        reader.report_rest()
    return builder.build(found.title or reader.title)


_FURNITURE = frozenset(
    """
    pPr rPr tblPr tblGrid trPr tcPr sdtPr sdtEndPr sectPr proofErr bookmarkStart bookmarkEnd commentRangeStart
    commentRangeEnd lastRenderedPageBreak softHyphen annotationRef footnoteRef endnoteRef separator
    continuationSeparator permStart permEnd tblPrEx smartTagPr customXmlPr ffData fldData bdoPr
    """.split()  # noqa: SIM905
)
_BREAKS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_INLINE = frozenset(("r", "hyperlink", "fldSimple", "oMath", "oMathPara", "ruby", "dir", "bdo"))


class _Reader:
    """Walks the parts of one document and writes what it finds."""

    def __init__(
        self, package: Package, part: str, builder: DocumentBuilder, read_inside: ReadInside | None
    ) -> None:
        self._package = package
        self._main = part
        self._part = part
        self._relations = {part: package.relationships(part)}
        self._builder = builder
        self._read_inside = read_inside
        self._styles = _Styles(self._related_root("styles"))
        self._numbering = _Numbering(self._related_root("numbering"))
        self._notes = {kind: _Notes(self._related_root(f"{kind}s"), kind) for kind in ("footnote", "endnote")}
        self._comments = _by_id(self._related_root("comments"))
        self._fields: list[_Field] = []
        self._look = _Look()
        self._in_contents = 0
        self._in_header = False
        self._depth = 0
        self._is_lit = False
        self._known_embedded: set[str] = set()
        self._merged = _Merged()
        self.title = ""
        self._runs: dict[str, Callable[[Element, Line], None]] = {
            "t": self._text,
            "AlternateContent": self._alternatives,
            "r": self._run,
            "sym": self.symbol,
            "fldChar": self._field_mark,
            "instrText": self._instruction,
            "fldSimple": self._simple_field,
            "sdt": self._inline_control,
            "del": self._deleted,
            "delText": self._deleted,
            "moveFrom": self._moved_away,
            "footnoteReference": self._note_mark,
            "endnoteReference": self._note_mark,
            "commentReference": self._comment_mark,
            "drawing": self._drawing,
            "pict": self._drawing,
            "object": self._drawing,
            "ruby": self._ruby,
            "oMath": self._formula,
            "oMathPara": self._formula,
            "delInstrText": self._nothing,
            "pgNum": self._nothing,
            "subDoc": self._sub_document,
        }

    # The document, its headers, its rest

    def write(self, root: Element) -> None:
        """Write the body and what stands outside it."""
        background = _child(root, "background")
        self._is_lit = background is not None and not _is_white(_get(background, "color"))
        self._take_note_styles(root)
        body = _child(root, "body")
        write_blocks(self._builder, self._blocks(body if body is not None else root))
        write_blocks(self._builder, self._left_comments())
        for notes in self._notes.values():
            if notes.unread:
                self._builder.leave_out(LeftOutKind.NOTE, count=len(notes.unread))
        self._write_headers(root)

    def report_rest(self) -> None:
        """Report macros, parts that broke off, and embedded files."""
        for part in dict.fromkeys(self._package.damaged):
            self._builder.leave_out(LeftOutKind.REST, part)
        for name in self._package.names:
            folder, _, base = name.rpartition("/")
            if base == "vbaproject.bin":
                self._builder.leave_out(LeftOutKind.FORM_SCRIPT, "macros")
            elif folder.endswith("/embeddings") and name not in self._known_embedded:
                self._builder.leave_out(LeftOutKind.OBJECT, base)

    def _write_headers(self, root: Element) -> None:
        lines: dict[str, list[Block]] = {}
        for reference in root.iter("{*}headerReference", "{*}footerReference"):
            relation = self._relations[self._main].get(relation_id(reference))
            if relation is None or relation.external:
                continue
            place = "Header" if local(reference) == "headerReference" else "Footer"
            for text, after in self._header_texts(relation.target):
                lines.setdefault(f"{place}: {text}" if text else "", []).extend(after)
        if lines:
            self._builder.section(())
        for text, after in lines.items():
            self._builder.paragraph(text)
            write_blocks(self._builder, after)

    def _header_texts(self, part: str) -> list[tuple[str, list[Block]]]:
        """The text of a header or footer, once for all sections that show it, and its boxes and pictures."""
        if part in self._relations:
            return []
        root = self._package.root(part)
        if root is None:
            return []
        self._in_header = True
        blocks = self._in_part(part, root)
        self._in_header = False
        text = flat_text(blocks)
        return [(text, all_after(blocks))] if text or all_after(blocks) else []

    def _in_part(self, part: str, root: Element) -> list[Block]:
        """The blocks of another part, whose relationships are its own."""
        before, self._part = self._part, part
        if part not in self._relations:
            self._relations[part] = self._package.relationships(part)
        try:
            return self._apart(root)
        finally:
            self._part = before

    def _apart(self, container: Element) -> list[Block]:
        """Blocks that are no part of the text around them: fields that are open there do not reach into them."""
        fields, look = self._fields, self._look
        self._fields = []
        try:
            return self._blocks(container)
        finally:
            self._fields, self._look = fields, look

    def _related_part(self, kind: str) -> str:
        relations = self._relations[self._main].values()
        return next((one.target for one in relations if one.type == kind and not one.external), "")

    def _related_root(self, kind: str) -> Element | None:
        part = self._related_part(kind)
        return self._package.root(part) if part else None

    def _take_note_styles(self, root: Element) -> None:
        settings = self._related_root("settings")
        for holder in (settings, root):
            for kind, notes in self._notes.items():
                for one in holder.iter(f"{{*}}{kind}Pr") if holder is not None else ():
                    notes.style = _get(_child(one, "numFmt")) or notes.style
        if self._notes["endnote"].style == self._notes["footnote"].style and self._notes["footnote"].unread:
            self._notes["endnote"].style = "lowerRoman"

    # Blocks

    def _blocks(self, container: Element) -> list[Block]:
        if self._depth >= DEEPEST:
            self._builder.leave_out(LeftOutKind.REST, "nested too deeply")
            return []
        self._depth += 1
        found = self._read_blocks(container)
        self._depth -= 1
        return found

    def _read_blocks(self, container: Element) -> list[Block]:
        found: list[Block] = []
        carried = Line()
        for child in container:
            name = _NAMES[child.tag]
            if name == "p":
                carried = self._paragraph(child, carried, found)
            elif name in _FURNITURE:
                continue
            else:
                if carried.pieces:
                    found.append(Block("paragraph", carried.text, after=carried.after))
                    carried = Line()
                other = self._other_block(name, child)
                found.extend(other[1:] if _repeats(other, found) else other)
        if carried.text or carried.after:
            found.append(Block("paragraph", carried.text, after=carried.after))
        return found

    def _other_block(self, name: str, element: Element) -> list[Block]:
        if name == "tbl":
            return self._table(element)
        if name == "sdt":
            return self._block_control(element)
        if name == "altChunk":
            return self._inserted_document(element)
        if name == "AlternateContent":
            return self._blocks(_alternative(element))
        if name in _INLINE:
            line = Line()
            self._runs.get(name, self._inside)(element, line)
            return [Block("paragraph", line.text, after=line.after)]
        if name in self._runs:
            self._runs[name](element, Line())
            return []
        return self._blocks(element)

    def _block_control(self, control: Element) -> list[Block]:
        settings = _child(control, "sdtPr")
        content = _child(control, "sdtContent")
        if content is None or _shows_placeholder(settings):
            return []
        gallery = _get(_child(_child(settings, "docPartObj"), "docPartGallery"))
        is_contents = gallery.lower() == "table of contents"
        self._in_contents += is_contents
        blocks = self._blocks(content)
        self._in_contents -= is_contents
        return blocks

    def _inserted_document(self, element: Element) -> list[Block]:
        """A document that is here as a file of its own."""
        relation = self._relations[self._part].get(relation_id(element))
        name = relation.target.rpartition("/")[2] if relation else ""
        try:
            if self._read_inside is None or relation is None or relation.external:
                raise IngestError(Reason.UNSUPPORTED)
            inner = self._read_inside(name, self._package.read(relation.target))
        except IngestError:
            self._builder.leave_out(LeftOutKind.OBJECT, name)
            return []
        for left in inner.left_out:
            self._builder.leave_out(left.kind, count=left.count)
        return list(_blocks_of(inner))

    # Paragraphs

    def _paragraph(self, paragraph: Element, carried: Line, found: list[Block]) -> Line:
        """Add a paragraph to `found`; one whose end was deleted is carried into the next instead."""
        settings = _child(paragraph, "pPr")
        style_id = _get(_child(settings, "pStyle")) or self._styles.default
        style = self._styles.style(style_id)
        look = style.look
        shade = _child(settings, "shd")
        if shade is not None:
            look = look._replace(is_shaded=_has_shade(shade))
        line = carried
        self._look = look
        in_contents = self._is_contents
        start = len(line.pieces)
        for child in paragraph:
            self._inline(child, line)
            self._look = look
        self._fields = [one for one in self._fields if one.has_result]
        if (in_contents or self._is_contents) and _is_entry(paragraph, style.name):
            del line.pieces[start:]
        marks = _child(settings, "rPr")
        if (
            _child(marks, "del") is not None
            or _child(marks, "moveFrom") is not None
            or _is_drop_cap(settings)
        ):
            return line
        self._finish(line, settings, style_id, style, found)
        return Line()

    def _finish(
        self, line: Line, settings: Element | None, style_id: str, style: _Style, found: list[Block]
    ) -> None:
        text = line.text
        if line.is_hidden:
            self._builder.leave_out(LeftOutKind.HIDDEN_TEXT)
        if self._in_header and self._is_page_number(text):
            text = ""
        label, depth = self._label(settings, style_id, style)
        if not text and not line.after:
            return
        if label is None and text and is_code_style(style.name):
            add_code(line.whole.rstrip(), line.after, found)
            return
        outline = _child(settings, "outlineLvl")
        level = style.level if outline is None or style.level == 0 else _outline(outline)
        block = Block("paragraph", text, after=line.after)
        if level is not None and text:
            block = Block(
                "heading", f"{label} {text}" if label not in (None, "-") else text, level, after=line.after
            )
            if level == 0 and not self.title:
                self.title = text
        elif label and text:
            block = Block("item", text, depth, label, after=line.after)
        elif label == "" and found and found[-1].kind == "item" and found[-1].level == depth:
            found[-1].text += f"\n{text}"
            found[-1].after.extend(line.after)
            return
        found.append(block)

    def _label(self, settings: Element | None, style_id: str, style: _Style) -> tuple[str | None, int]:
        """The label of a paragraph in a list, and how deep it stands."""
        numbers = _child(settings, "numPr")
        own_id = _get(_child(numbers, "numId"))
        list_id = own_id or style.list_id
        if not list_id or list_id == "0":
            return None, 0
        level = _number(_child(numbers, "ilvl"))
        if level is None:
            level = 0 if own_id else style.list_level
        if level is None or (not own_id and level == 0):
            level = self._numbering.level_of(list_id, style_id)
        return self._numbering.label(list_id, level), level

    @property
    def _is_contents(self) -> bool:
        return self._in_contents > 0 or any(one.name == "TOC" and one.has_result for one in self._fields)

    def _is_page_number(self, text: str) -> bool:
        """Whether a line of a header says nothing but the page; the numbers themselves were left away."""
        words = re.findall(r"\w+", text.lower())
        return all(word in PAGE_WORDS or word.isdigit() for word in words)

    # What is in a paragraph

    def _inline(self, element: Element, line: Line) -> None:
        name = _NAMES[element.tag]
        handler = self._runs.get(name)
        if handler is not None:
            handler(element, line)
        elif name in _BREAKS:
            if not self._is_muted:
                line.add(_BREAKS[name])
        elif name not in _FURNITURE and not name.endswith("Change"):
            self._inside(element, line)

    def _inside(self, element: Element, line: Line) -> None:
        for child in element:
            self._inline(child, line)

    def _alternatives(self, element: Element, line: Line) -> None:
        self._inside(_alternative(element), line)

    def _nothing(self, element: Element, line: Line) -> None:
        pass

    @property
    def _is_muted(self) -> bool:
        return bool(self._fields) and any(
            not one.has_result or (self._in_header and one.name in PAGE_FIELDS) for one in self._fields
        )

    def _run(self, run: Element, line: Line) -> None:
        outer = look = self._look
        has_note = False
        for one in run:
            name = _NAMES[one.tag]
            if name == "rPr" and len(one):
                self._look = look = self._styles.applied(one, outer)
            elif name in ("footnoteReference", "endnoteReference"):
                has_note = True
        is_white = look.is_white and not look.is_shaded and not self._is_lit
        if look.is_vanished or look.is_tiny or is_white:
            self._hidden_run(run, line)
        elif has_note:
            self._note_run(run, line)
        else:
            self._inside(run, line)
        self._look = outer

    def _hidden_run(self, run: Element, line: Line) -> None:
        for one in descendants(run, "t", "sym", "fldChar", "instrText", "docPr"):
            name = local(one)
            if name in ("fldChar", "instrText"):
                self._runs[name](one, line)
            elif not self._is_muted and (name != "t" or (one.text or "").strip()):
                line.is_hidden = True

    def _text(self, element: Element, line: Line) -> None:
        if self._is_muted:
            return
        text = plain_text(element.text or "", self._look.font)
        if self._look.is_raised:
            line.add_raised(text)
        else:
            line.add(text)

    def symbol(self, element: Element, line: Line) -> None:
        if not self._is_muted:
            code = _get(element, "char")
            line.add(
                symbol(int(code, 16), _get(element, "font")) if re.fullmatch("[0-9A-Fa-f]{1,6}", code) else ""
            )

    def _formula(self, element: Element, line: Line) -> None:
        if not self._is_muted:
            line.add(math_text(element))

    def _ruby(self, element: Element, line: Line) -> None:
        reading = Line()
        self._inside(found if (found := _child(element, "rt")) is not None else (), reading)
        self._inside(found if (found := _child(element, "rubyBase")) is not None else (), line)
        if reading.text:
            line.add(f"({reading.text})")

    def _inline_control(self, control: Element, line: Line) -> None:
        content = _child(control, "sdtContent")
        if content is not None and not _shows_placeholder(_child(control, "sdtPr")):
            self._inside(content, line)

    def _deleted(self, element: Element, line: Line) -> None:
        if any((one.text or "").strip() for one in element.iter("{*}delText", "{*}t")):
            self._builder.leave_out(LeftOutKind.DELETED_TEXT)

    def _moved_away(self, element: Element, line: Line) -> None:
        """What was moved away is read where it was moved to."""

    def _sub_document(self, element: Element, line: Line) -> None:
        relation = self._relations[self._part].get(relation_id(element))
        self._builder.leave_out(LeftOutKind.OBJECT, relation.target if relation else "")

    # Fields

    def _field_mark(self, element: Element, line: Line) -> None:
        match _get(element, "fldCharType"):
            case "begin":
                if not self._is_muted:
                    line.add(_form_value(_child(element, "ffData")))
                if len(self._fields) < 100:
                    self._fields.append(_Field())
            case "separate" if self._fields:
                self._fields[-1].has_result = True
            case "end" if self._fields:
                ended = self._fields.pop()
                if not ended.has_result and ended.name == "EQ" and not self._is_muted:
                    line.add(equation(ended.code))

    def _instruction(self, element: Element, line: Line) -> None:
        if self._fields and not self._fields[-1].has_result and len(self._fields[-1].code) < 2000:
            self._fields[-1].code += element.text or ""

    def _simple_field(self, element: Element, line: Line) -> None:
        line.add("" if self._is_muted else _form_value(_child(element, "ffData")))
        self._fields.append(_Field(_get(element, "instr"), True))
        depth = len(self._fields)
        self._inside(element, line)
        del self._fields[depth - 1 :]

    # Notes and comments

    def _note_run(self, run: Element, line: Line) -> None:
        """A run with the mark of a note; a mark of its own is the text of the run."""
        self._look = self._look._replace(is_raised=False)
        custom = next((one for one in run if _get(one, "customMarkFollows") in ("1", "true", "on")), None)
        if custom is None:
            self._inside(run, line)
            return
        mark = Line()
        for one in run:
            if local(one) in ("t", "sym"):
                self._inline(one, mark)
        self._note(custom, line, mark.text)

    def _note_mark(self, element: Element, line: Line) -> None:
        self._note(element, line, "")

    def _note(self, element: Element, line: Line, label: str) -> None:
        if self._is_muted:
            return
        notes = self._notes[local(element).removesuffix("Reference")]
        label, body = notes.take(_get(element, "id"), label)
        line.add_note(label)
        if body is not None:
            part = self._related_part(f"{notes.kind}s")
            line.after.extend(mark_first(self._in_part(part, body), f"[{label}]"))

    def _comment_mark(self, element: Element, line: Line) -> None:
        comment = self._comments.pop(_get(element, "id"), None)
        if comment is not None:
            line.after.extend(self._comment(comment))

    def _comment(self, comment: Element) -> list[Block]:
        blocks = self._in_part(self._related_part("comments"), comment)
        author = _get(comment, "author").strip()
        text = flat_text(blocks)
        by = f" by {author}" if author else ""
        return (
            [Block("paragraph", f"[Comment{by}: {text}]", after=all_after(blocks))]
            if text
            else all_after(blocks)
        )

    def _left_comments(self) -> list[Block]:
        """Comments on what is no longer there."""
        left = list(self._comments.values())
        self._comments.clear()
        return [block for comment in left for block in self._comment(comment)]

    # Drawings

    def _drawing(self, element: Element, line: Line) -> None:
        """Text boxes, charts, diagrams and pictures; whatever of them has no text is reported."""
        if self._is_muted:
            return
        seen = _Drawn()
        stack = [children(element)]
        while stack:
            child = next(stack[-1], None)
            if child is None:
                stack.pop()
            elif not self._drawn(child, seen, line) and len(child):
                stack.append(children(child))
        if seen.lines:
            line.after.append(Block("paragraph", "\n".join(seen.lines)))
        if seen.pictures and not seen.alternatives and not seen.objects:
            self._builder.leave_out(LeftOutKind.PICTURE, seen.name, seen.pictures)
        for text in dict.fromkeys(seen.alternatives):
            line.after.append(Block("paragraph", f"[Picture: {text}]"))

    def _drawn(self, element: Element, seen: _Drawn, line: Line) -> bool:
        """Take an element of a drawing; True when what is in it was taken as well."""
        match local(element):
            case "txbxContent":
                line.after.extend(self._box(element))
                return True
            case "docPr":
                seen.take_alternative(element)
                seen.name = attribute(element, "name")
            case "cNvPr":
                seen.take_alternative(element)
            case "pic" | "imagedata":
                seen.pictures += 1
                seen.take_alternative(element)
            case "shape" | "rect" | "oval" | "roundrect" | "line" | "group":
                seen.take_alternative(element)
            case "textpath":
                seen.take_line(attribute(element, "string"))
            case "p" | "chart" | "relIds":
                return self._drawn_text(element, seen, line)
            case "OLEObject" | "objectEmbed" | "objectLink" | "control":
                self._object(element, seen)
        return False

    def _drawn_text(self, element: Element, seen: _Drawn, line: Line) -> bool:
        if local(element) == "p":
            seen.take_line("".join(one.text or "" for one in descendants(element, "t")))
            return True
        is_chart = local(element) == "chart"
        relation = self._relations[self._part].get(relation_id(element, "id" if is_chart else "dm"))
        root = self._package.root(relation.target) if relation and not relation.external else None
        if relation is None or root is None:
            return False
        self._known_embedded.update(
            name.lower() for name in self._package.related(relation.target, "package")
        )
        draw = write_chart if is_chart else write_diagram
        line.after.append(Block("drawing", draw=lambda builder: draw(root, builder)))
        return True

    def _object(self, element: Element, seen: _Drawn) -> None:
        seen.objects += 1
        relation = self._relations[self._part].get(relation_id(element))
        name = attribute_any(element, "ProgID") or attribute_any(element, "progId") or _get(element, "name")
        target = relation.target if relation else ""
        self._known_embedded.add(target.lower())
        base = target.rpartition("/")[2]
        self._builder.leave_out(LeftOutKind.OBJECT, f"{name} ({base})" if name and base else name or base)

    def _box(self, content: Element) -> list[Block]:
        """The text of a box, whose background no one knows."""
        lit, self._is_lit = self._is_lit, True
        blocks = self._apart(content)
        self._is_lit = lit
        return blocks

    # Tables

    def _table(self, table: Element) -> list[Block]:
        settings = _child(table, "tblPr")
        about = " ".join(
            text
            for name in ("tblCaption", "tblDescription")
            if (text := _get(_child(settings, name)).strip())
        )
        lead = [Block("paragraph", f"[Table: {about}]")] if about else []
        lit = self._is_lit
        self._is_lit = lit or self._styles.shades_table(_get(_child(settings, "tblStyle")))
        rows = [row for one in _wrapped(table, "tr") if (row := self._row(one)) is not None]
        self._is_lit = lit
        return [*lead, *_as_blocks(rows)] if _is_layout(rows) else [*lead, self._filled_table(rows)]

    def _row(self, row: Element) -> _Row | None:
        settings = _child(row, "trPr")
        if _child(settings, "del") is not None:
            self._deleted(row, Line())
            return None
        hidden = _child(settings, "hidden")
        if hidden is not None and _is_on(hidden):
            self._builder.leave_out(LeftOutKind.HIDDEN_TEXT)
            return None
        header = _child(settings, "tblHeader")
        before = min(_number(_child(settings, "gridBefore")) or 0, _MOST_COLUMNS)
        cells = [_Cell([], before)] if before else []
        cells += [cell for one in _wrapped(row, "tc") if (cell := self._cell(one)) is not None]
        return _Row(cells, header is not None and _is_on(header))

    def _cell(self, cell: Element) -> _Cell | None:
        settings = _child(cell, "tcPr")
        if _child(settings, "cellDel") is not None:
            self._deleted(cell, Line())
            return None
        shade = _child(settings, "shd")
        lit = self._is_lit
        if shade is not None:
            self._is_lit = _has_shade(shade) or (lit and _get(shade, "fill") in ("", "auto"))
        blocks = self._blocks(cell)
        self._is_lit = lit
        down = _child(settings, "vMerge")
        across = _child(settings, "hMerge")
        return _Cell(
            blocks,
            max(1, min(_number(_child(settings, "gridSpan")) or 1, _MOST_COLUMNS)),
            down is not None and _get(down) != "restart",
            across is not None and _get(across) != "restart",
        )

    def _filled_table(self, rows: list[_Row]) -> Block:
        """A table with the text of merged cells in each cell that they cover."""
        texts: list[list[str]] = []
        for row in rows:
            above = texts[-1] if texts else []
            texts.append(self._merged.row(row, above))
        after = [block for row in rows for cell in row.cells for block in all_after(cell.blocks)]
        heads = next((n for n, row in enumerate(rows) if not row.is_header), len(rows))
        if 1 < heads <= 4 and heads < len(rows):
            texts = [_one_header(texts[:heads]), *texts[heads:]]
        return Block("table", rows=texts, after=after)


# --- parts of the reader that need no state ---------------------------------------------------------------


@dataclass(slots=True)
class _Drawn:
    """What was found in one drawing."""

    name: str = ""
    pictures: int = 0
    objects: int = 0
    alternatives: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def take_alternative(self, element: Element) -> None:
        """The description of a picture or shape."""
        text = attribute(element, "descr") or attribute(element, "alt") or attribute_any(element, "title")
        if text.strip() and not is_file_name(text):
            self.alternatives.append(" ".join(text.split()))

    def take_line(self, text: str) -> None:
        if text.strip():
            self.lines.append(text.strip())


@dataclass(slots=True)
class _Cell:
    """A cell: its blocks, how many columns it covers, whether it continues from the one above or to the left."""

    blocks: list[Block]
    span: int = 1
    is_below: bool = False
    is_beside: bool = False


@dataclass(slots=True)
class _Row:
    cells: list[_Cell]
    is_header: bool = False


class _Merged:
    """Repeats the text of merged cells, as far as a document may grow by that."""

    def __init__(self) -> None:
        self._left = _MOST_FILLED

    def row(self, row: _Row, above: list[str]) -> list[str]:
        """The texts of a row, one a column of the grid."""
        texts: list[str] = []
        repeats = sum(1 for cell in row.cells if cell.blocks) > 1
        for cell in row.cells:
            text = flat_text(cell.blocks)
            if not text and cell.is_below and len(texts) < len(above):
                text = self._again(above[len(texts)])
            elif not text and cell.is_beside and texts:
                text = self._again(texts[-1])
            texts.append(text)
            for _ in range(cell.span - 1):
                texts.append(self._again(text) if repeats else "")
        return texts

    def _again(self, text: str) -> str:
        self._left -= len(text)
        return text if self._left > 0 else ""


class _Notes:
    """Footnotes or endnotes, numbered as the text refers to them."""

    def __init__(self, root: Element | None, kind: str) -> None:
        self.kind = kind
        self.style = "decimal" if kind == "footnote" else "lowerRoman"
        self.unread = {
            note_id: one
            for note_id, one in _by_id(root).items()
            if _get(one, "type") in ("", "normal")
            and any((t.text or "").strip() for t in descendants(one, "t"))
        }
        self._count = 0
        self._labels: dict[str, str] = {}

    def take(self, note_id: str, label: str) -> tuple[str, Element | None]:
        """The label of a note (its own, or else the next number), and the note itself where it was not taken before."""
        if note_id in self._labels:
            return self._labels[note_id], None
        if not label:
            self._count += 1
            label = numeral(self._count, self.style)
        self._labels[note_id] = label
        return label, self.unread.pop(note_id, None)


def _by_id(root: Element | None) -> dict[str, Element]:
    return {_get(one, "id"): one for one in (root if root is not None else ()) if _get(one, "id")}


def _wrapped(element: Element, name: str) -> Iterator[Element]:
    """Rows of a table or cells of a row, also those in controls and marks around them."""
    stack = [children(element)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
        elif local(child) == name:
            yield child
        elif local(child) not in _FURNITURE and local(child) != "p" and len(child):
            stack.append(children(child))


def _shows_placeholder(settings: Element | None) -> bool:
    shows = _child(settings, "showingPlcHdr")
    return shows is not None and _is_on(shows)


def _is_drop_cap(settings: Element | None) -> bool:
    frame = _child(settings, "framePr")
    return frame is not None and _get(frame, "dropCap") in ("drop", "margin")


def _is_entry(paragraph: Element, style: str) -> bool:
    """Whether a paragraph of a table of contents is an entry of it, or its heading: they repeat what is below."""
    if style.startswith(("toc ", "table of figures")) or re.fullmatch("toc[1-9]|toc ?heading", style):
        return True
    links = (_get(one, "anchor") for one in descendants(paragraph, "hyperlink"))
    return any(anchor.startswith("_Toc") for anchor in links)


def _form_value(form: Element | None) -> str:
    """What a form field shows that has no text: a box, or the chosen entry."""
    box = _child(form, "checkBox")
    if box is not None:
        checked = _child(box, "checked")
        checked = _child(box, "default") if checked is None else checked
        return "☒" if checked is not None and _is_on(checked) else "☐"
    choice = _child(form, "ddList")
    if choice is not None:
        entries = [_get(one) for one in choice if local(one) == "listEntry"]
        number = _number(_child(choice, "result")) or _number(_child(choice, "default")) or 0
        return entries[number] if number < len(entries) else ""
    return ""


def _is_layout(rows: list[_Row]) -> bool:
    """Whether a table only arranges text: it has one column, or headings are in it."""
    if all(len(row.cells) <= 1 for row in rows):
        return True
    return any(block.kind == "heading" for row in rows for cell in row.cells for block in cell.blocks)


def _repeats(blocks: list[Block], before: list[Block]) -> bool:
    """Whether what a table says of itself is the caption that is above it."""
    return bool(blocks and before) and blocks[0].text == f"[Table: {before[-1].text}]"


def _as_blocks(rows: list[_Row]) -> list[Block]:
    return [block for row in rows for cell in row.cells for block in cell.blocks]


def _one_header(rows: list[list[str]]) -> list[str]:
    """Several rows of column names as one."""
    width = max(map(len, rows))
    columns = ([row[x] for row in rows if x < len(row) and row[x]] for x in range(width))
    return [" ".join(dict.fromkeys(column)) for column in columns]


def _blocks_of(document: ExtractedText) -> Iterator[Block]:
    """A document that another reader read, as blocks."""
    starts = {section.first for section in document.sections if section.path}
    at = 0
    for text in document.text.split("\n\n"):
        head = re.match(r"(#{1,6}) (.+)", text)
        if head and (at in starts or at + 1 in starts):
            yield Block("heading", head[2], len(head[1]))
            text = text[head.end() :]
        if text.strip():
            yield Block("paragraph", text)
        at += len(text) + 2
