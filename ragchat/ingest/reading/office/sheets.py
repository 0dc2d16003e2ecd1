"""Excel workbooks: the cells of each sheet as a user sees them, with notes, text boxes, charts, headers and prompts.

Each block of rows between empty rows is a table whose first row names its columns; single cells above it are its titles.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from ragchat.errors import IngestError
from ragchat.ingest.formats import Kind
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.office.drawing import Shapes, vml_texts
from ragchat.ingest.reading.office.line import TextLine
from ragchat.ingest.reading.office.number_format import BUILT_IN, NumberFormat, number_format
from ragchat.ingest.reading.office.ooxml import (
    Element,
    Package,
    attribute,
    body_text,
    children,
    descendants,
    find,
    is_on,
    local,
    properties,
    relation_id,
    report_rest,
    unescape,
    write_properties,
)
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText, LeftOutKind

_MOST_CHARACTERS = 64 * 1024 * 1024
"""Of all cells together; more is refused."""
_CELL_COST = 3
"""Characters that a cell takes besides its text."""
_MOST_TABLE_CELLS = 4_000_000
_LARGEST_BY_FILLED = 30
"""A larger table that has this many places for each filled cell is written without its empty places."""
_LONGEST_NAME_OF_COLUMN = 80
_LAST_COLUMN = 16_384
_AUTOMATIC = (
    "sheet", "table", "tabelle", "tableau", "tabla", "tabella", "tabela", "tabel", "feuil", "hoja", "foglio", "planilha",
    "blad", "ark", "arkusz", "лист", "таблица", "munka", "sayfa", "list", "taul", "chart", "diagramm",
)  # fmt: skip

_PAGE_WORDS = frozenset("page of p. seite von pagina di página de sur sida av side / - | :".split())  # noqa: SIM905
"""What is left of a header that only numbers the pages."""


def read_sheets(data: bytes, kind: Kind) -> ExtractedText:
    """The text of an Excel file (xlsx, xlsm, xltx, xltm). Raises IngestError."""
    with Package(data) as package:
        workbook = package.main_part("xl/workbook.xml")
        root = package.root(workbook)
        if root is None:
            raise IngestError(Reason.DAMAGED)
        builder = DocumentBuilder(kind.media_type)
        _Workbook(package, workbook, root, builder).read()
        found = properties(package)
        if not builder.is_empty:
            write_properties(found, builder)
        report_rest(package, builder)
        return builder.build(found.title)


class Span(NamedTuple):
    """A range of cells; rows and columns from 1, last inclusive."""

    row: int
    column: int
    last_row: int
    last_column: int


Rows = dict[int, dict[int, str]]
"""What is in the cells that hold anything, by row and column, both from 1."""


@dataclass(slots=True)
class _Sheet:
    """What one pass over a sheet's part finds."""

    rows: Rows = field(default_factory=dict)
    merged: list[Span] = field(default_factory=list)
    declared: list[Span] = field(default_factory=list)
    """Tables and filters: their first row names the columns."""
    prompts: list[str] = field(default_factory=list)
    header_footer: list[str] = field(default_factory=list)
    drawings: list[str] = field(default_factory=list)
    """Ids of relationships, like the next two."""
    old_drawings: list[str] = field(default_factory=list)
    backgrounds: list[str] = field(default_factory=list)


# --- the workbook ---------------------------------------------------------------------------------------


class _Workbook:
    """Reads the sheets in their order."""

    def __init__(self, package: Package, part: str, root: Element, builder: DocumentBuilder) -> None:
        self.package = package
        self.builder = builder
        self.root = root
        self.relations = package.relationships(part)
        self.left = _MOST_CHARACTERS
        self.strings: list[str] = []
        self.formats: dict[str, NumberFormat] = {}
        self.general = number_format("")
        self.persons: dict[str, str] = {}
        self.empty: list[str] = []
        self.hidden_cells = 0

    def read(self) -> None:
        """Write everything to the builder."""
        since_1904 = is_on(attribute(find(self.root, "workbookPr"), "date1904"))
        for part in self._parts("styles"):
            self.formats = _cell_formats(self.package.root(part), since_1904=since_1904)
        for part in self._parts("sharedStrings"):
            self.strings = list(self._shared_strings(part))
        for part in self._parts("person"):
            self._read_persons(part)
        for sheet in children(found) if (found := find(self.root, "sheets")) is not None else ():
            self._read_listed(sheet)
        if self.empty and not self.builder.is_empty:
            self.builder.section(())
            self.builder.paragraph(f"Empty sheets: {', '.join(self.empty)}")
        if self.hidden_cells:
            self.builder.leave_out(
                LeftOutKind.HIDDEN_TEXT, "cells whose format hides them", self.hidden_cells
            )
        for part in self._parts("richValueRel"):
            self.builder.leave_out(
                LeftOutKind.PICTURE, "in cells", count=len(self.package.related(part, "image"))
            )

    def spend(self, characters: int) -> None:
        """Take characters from what the document may hold. Raises IngestError when nothing is left."""
        self.left -= characters
        if self.left < 0:
            raise IngestError(Reason.TOO_MUCH_TEXT)

    def _parts(self, kind: str) -> list[str]:
        return [one.target for one in self.relations.values() if one.type == kind and not one.external]

    def _shared_strings(self, part: str) -> Iterator[str]:
        left = _MOST_CHARACTERS
        for item in self.package.stream(part, ["si"]):
            text = _rich_text(item)
            left -= len(text)
            if left < 0:
                raise IngestError(Reason.TOO_MUCH_TEXT)
            yield text
            _forget(item)

    def _read_persons(self, part: str) -> None:
        root = self.package.root(part)
        for one in root if root is not None else ():
            self.persons[attribute(one, "id")] = attribute(one, "displayName")

    def _read_listed(self, listed: Element) -> None:
        name = attribute(listed, "name")
        if attribute(listed, "state").lower() in ("hidden", "veryhidden"):
            self.builder.leave_out(LeftOutKind.HIDDEN_SHEET, name)
            return
        relation = self.relations.get(relation_id(listed))
        if relation is None or relation.external or relation.target not in self.package:
            self.builder.leave_out(LeftOutKind.REST, name)
            return
        _SheetReader(self, relation.target, name).read()


def _cell_formats(root: Element | None, *, since_1904: bool) -> dict[str, NumberFormat]:
    """The formats of `cellXfs`, which cells refer to by number."""
    codes = dict(BUILT_IN)
    for one in children(found) if (found := find(root, "numFmts")) is not None else ():
        number = attribute(one, "numFmtId")
        if number.isdecimal():
            codes[int(number[:9])] = attribute(one, "formatCode")
    formats: dict[str, NumberFormat] = {}
    for one in children(found) if (found := find(root, "cellXfs")) is not None else ():
        number = attribute(one, "numFmtId")
        code = codes.get(int(number[:9]), "") if number.isdecimal() else ""
        formats[str(len(formats))] = number_format(code, since_1904=since_1904)
    return formats


def _rich_text(item: Element) -> str:
    """The text of an `si`, `is` or `text`: its runs joined, without phonetic guides."""
    if len(item) == 1 and item[0].tag.endswith("}t"):
        return unescape(item[0].text or "")
    line = TextLine()
    for child in item:
        tag = child.tag
        if tag.endswith("}t"):
            line.add(child.text or "")
        elif tag.endswith("}r"):
            add = line.add_raised if _is_raised(child) else line.add
            for one in child:
                if one.tag.endswith("}t"):
                    add(one.text or "")
    return unescape(line.whole)


def _is_raised(run: Element) -> bool:
    return attribute(find(run, "rPr", "vertAlign"), "val") == "superscript"


def _forget(element: Element) -> None:
    """Free an element of a stream and those before it."""
    element.clear(keep_tail=False)
    parent = element.getparent()
    while element.getprevious() is not None:
        del parent[0]


# --- a sheet --------------------------------------------------------------------------------------------

_STREAMED = (
    "row", "mergeCell", "autoFilter", "dataValidation", "headerFooter", "drawing", "legacyDrawing", "legacyDrawingHF", "picture",
)  # fmt: skip


class _SheetReader:
    """Reads one sheet: its cells first, then what hangs on it."""

    def __init__(self, book: _Workbook, part: str, name: str) -> None:
        self.book = book
        self.package = book.package
        self.builder = book.builder
        self.part = part
        self.name = name
        self.relations = self.package.relationships(part)
        self.sheet = _Sheet()
        self.row = 0
        self.has_heading = False

    def read(self) -> None:
        """Write the sheet to the builder."""
        for element in self.package.stream(self.part, _STREAMED):
            self._take(element)
        sheet = self.sheet
        self._repeat_merged()
        self._add_comments()
        tables = list(self._tables())
        above: Block = []
        for name, block in blocks_of_rows(sheet.rows, sheet.declared, dict(tables)):
            self._heading()
            if name:
                self.builder.paragraph(f"Table {name}")
            is_declared = block[0][0] in {one.row for one in sheet.declared}
            above = write_block(block, self.builder, is_declared=is_declared, above=above)
        self._write_drawings()
        for text in dict.fromkeys([*sheet.prompts, *sheet.header_footer]):
            self._heading()
            self.builder.paragraph(text)
        if not self.has_heading and not is_automatic(self.name):
            self.book.empty.append(self.name)

    def _heading(self) -> None:
        if not self.has_heading:
            self.builder.heading(1, self.name)
            self.has_heading = True

    def _take(self, element: Element) -> None:
        name = local(element)
        if name == "row":
            parent = element.getparent()
            if parent is not None and local(parent) == "sheetData":
                self._take_row(element)
                _forget(element)
        else:
            getattr(self, f"_take_{name}")(element)

    def _take_mergeCell(self, element: Element) -> None:  # noqa: N802 (named after the element)
        span = span_of(attribute(element, "ref"))
        if span is not None and span.last_row > span.row:
            self.sheet.merged.append(span)

    def _take_autoFilter(self, element: Element) -> None:  # noqa: N802
        span = span_of(attribute(element, "ref"))
        if span is not None:
            self.sheet.declared.append(span)

    def _take_dataValidation(self, element: Element) -> None:  # noqa: N802
        for title, text in (("promptTitle", "prompt"), ("errorTitle", "error")):
            words = [unescape(attribute(element, one)) for one in (title, text)]
            if any(words):
                self.sheet.prompts.append(": ".join(word for word in words if word))
        choices = "".join(one.text or "" for one in descendants(element, "formula1", "f")).strip()
        if attribute(element, "type") == "list" and choices.startswith('"'):
            self.sheet.prompts.append(f"Choices: {', '.join(choices.strip(chr(34)).split(','))}")

    def _take_headerFooter(self, element: Element) -> None:  # noqa: N802
        self.sheet.header_footer.extend(text for one in element if (text := _header_text(one.text or "")))

    def _take_drawing(self, element: Element) -> None:
        self.sheet.drawings.append(relation_id(element))

    def _take_legacyDrawing(self, element: Element) -> None:  # noqa: N802
        self.sheet.old_drawings.append(relation_id(element))

    def _take_legacyDrawingHF(self, element: Element) -> None:  # noqa: N802
        self.sheet.backgrounds.append(relation_id(element))

    def _take_picture(self, element: Element) -> None:
        self.sheet.backgrounds.append(relation_id(element))

    # --- cells --------------------------------------------------------------------------------------------

    def _take_row(self, row: Element) -> None:
        number = row.get("r")
        self.row = int(number) if number and number.isdecimal() and len(number) < 9 else self.row + 1
        cells: dict[int, str] = {}
        column = 0
        for cell in row:
            reference = cell.get("r")
            column = _column(reference.rstrip("0123456789")) if reference else column + 1
            if len(cell) and (text := self._shown(cell)):
                cells[column] = text
        if cells:
            self.book.spend(sum(map(len, cells.values())) + _CELL_COST * len(cells))
            known = self.sheet.rows.setdefault(self.row, cells)
            if known is not cells:
                known.update(cells)

    def _shown(self, cell: Element) -> str:
        """What a user sees in a cell."""
        child = cell[0]
        if len(cell) == 1:  # nearly all cells that are no formulas
            tag = child.tag
            if tag.endswith("}v"):
                value = child.text
                return self._typed(cell.get("t"), value, cell) if value else ""
            if tag.endswith("}is"):
                return self._as_text(_rich_text(child), cell)
        return self._shown_other(cell)

    def _shown_other(self, cell: Element) -> str:
        parts = {local(child): child for child in cell}
        kind = cell.get("t")
        value = parts["v"].text if "v" in parts else ""
        if not value and kind != "str" and "f" in parts:
            formula = parts["f"].text
            return f"={formula}" if formula else ""
        if "is" in parts:
            return self._as_text(_rich_text(parts["is"]), cell)
        return self._typed(kind, value, cell) if value else ""

    def _typed(self, kind: str | None, value: str, cell: Element) -> str:
        book = self.book
        form = book.formats.get(cell.get("s", "0"), book.general)
        if kind is None or kind == "n":
            return form.shown(value) or self._seen("", value)
        if kind == "s":
            number = int(value) if value.isdecimal() and len(value) < 10 else -1
            value = book.strings[number] if 0 <= number < len(book.strings) else ""
        elif kind == "b":
            value = "TRUE" if is_on(value) else "FALSE"
        elif kind == "d":
            return _iso(value)
        else:
            value = unescape(value)
        return value if form.text_section is None else self._seen(form.text(value), value)

    def _as_text(self, text: str, cell: Element) -> str:
        form = self.book.formats.get(cell.get("s", "0"), self.book.general)
        return text if form.text_section is None else self._seen(form.text(text), text)

    def _seen(self, shown: str, value: str) -> str:
        """`shown`; a value that its format hides is counted. A zero that is not shown is meant to look empty."""
        if not shown and value.strip("0.-E+ \n"):
            self.book.hidden_cells += 1
        return shown

    def _repeat_merged(self) -> None:
        """Cells merged over several rows are in each of them, so that each row tells all by itself."""
        rows = self.sheet.rows
        numbers = sorted(rows) if self.sheet.merged else []
        for span in self.sheet.merged:
            text = rows.get(span.row, {}).get(span.column, "")
            if not text:
                continue
            for number in numbers[bisect_right(numbers, span.row) : bisect_right(numbers, span.last_row)]:
                self.book.spend(len(text) + _CELL_COST)
                rows[number].setdefault(span.column, text)

    # --- what hangs on a sheet ----------------------------------------------------------------------------

    def _related(self, kind: str) -> list[str]:
        return [one.target for one in self.relations.values() if one.type == kind and not one.external]

    def _add_comments(self) -> None:
        for reference, author, text in [*self._notes(), *self._threads()]:
            span = span_of(reference)
            text = " ".join(text.removeprefix(f"{author}:").split())
            if span is None or not text:
                continue
            mark = f"[Comment by {author}: {text}]" if author else f"[Comment: {text}]"
            self.book.spend(len(mark))
            row = self.sheet.rows.setdefault(span.row, {})
            row[span.column] = f"{row[span.column]} {mark}" if span.column in row else mark

    def _notes(self) -> Iterator[tuple[str, str, str]]:
        """Cell, author and text of notes; those that only point to a thread are left to it."""
        for part in self._related("comments"):
            root = self.package.root(part)
            authors = (
                [(one.text or "").strip() for one in descendants(root, "author")] if root is not None else []
            )
            for comment in descendants(root, "comment") if root is not None else ():
                number = attribute(comment, "authorId")
                author = authors[int(number)] if number.isdecimal() and int(number[:9]) < len(authors) else ""
                text = find(comment, "text")
                if text is not None and not author.startswith("tc={"):
                    yield attribute(comment, "ref"), author, _rich_text(text)

    def _threads(self) -> Iterator[tuple[str, str, str]]:
        for part in self._related("threadedComment"):
            root = self.package.root(part)
            for comment in descendants(root, "threadedComment") if root is not None else ():
                text = find(comment, "text")
                author = self.book.persons.get(attribute(comment, "personId"), "")
                yield attribute(comment, "ref"), author, (text.text or "") if text is not None else ""

    def _tables(self) -> Iterator[tuple[int, str]]:
        """First rows and names of the tables on this sheet, which count as declared."""
        for part in self._related("table"):
            root = self.package.root(part)
            span = span_of(attribute(root, "ref"))
            if root is None or span is None:
                continue
            self.sheet.declared.append(span)
            if attribute(root, "headerRowCount") == "0":
                self._name_columns(root, span)
            name = attribute(root, "displayName") or attribute(root, "name")
            yield span.row, "" if is_automatic(name) else name

    def _name_columns(self, table: Element, span: Span) -> None:
        """A table without a row of names has them in its part; the row above takes them if it is free."""
        if span.row == 1 or span.row - 1 in self.sheet.rows:
            return
        names = [attribute(one, "name") for one in descendants(table, "tableColumn")][:_LAST_COLUMN]
        if len({one.rstrip("0123456789") for one in names}) == 1:  # "Column1", "Column2": nobody chose them
            return
        self.book.spend(sum(map(len, names)))
        self.sheet.rows[span.row - 1] = {span.column + n: name for n, name in enumerate(names) if name}
        self.sheet.declared[-1] = span._replace(row=span.row - 1)

    def _write_drawings(self) -> None:
        known: set[str] = set()
        for relation in self.sheet.drawings:
            part = self._part(relation)
            tree = self.package.root(part)
            if tree is not None:
                self._heading()
                Shapes(self.package, part, self.builder).write(tree)
                known.update(" ".join(body_text(one).split()) for one in descendants(tree, "txBody"))
        for relation in self.sheet.old_drawings:
            root = self.package.root(self._part(relation))
            for text in vml_texts(root) if root is not None else ():
                if text not in known:
                    self._heading()
                    self.builder.paragraph(text)
        for _ in self.sheet.backgrounds:
            self.builder.leave_out(LeftOutKind.PICTURE, f"background or header of {self.name}")

    def _part(self, relation: str) -> str:
        found = self.relations.get(relation)
        return found.target if found is not None and not found.external else ""


def is_automatic(name: str) -> bool:
    """Whether a program gave this name: "Sheet1", "Tabelle2"."""
    stem = name.rstrip("0123456789")
    return not name or (stem != name and stem.strip().lower() in _AUTOMATIC)


def _iso(value: str) -> str:
    """ "2026-05-14T00:00:00" without what says nothing."""
    day, _, time = value.partition("T")
    time = time.removesuffix("Z").partition(".")[0]
    return (
        day
        if time in ("", "00:00:00")
        else f"{day} {time.removesuffix(':00') if time.count(':') == 2 else time}"
    )


# --- references -----------------------------------------------------------------------------------------


@lru_cache(maxsize=20_000)
def _column(letters: str) -> int:
    number = 0
    for letter in letters.replace("$", "")[:4].upper():
        number = number * 26 + ord(letter) - 64
    return max(1, min(_LAST_COLUMN, number))


def span_of(reference: str) -> Span | None:
    """A range such as "A1:C7" or "B2"; None for what is none."""
    first, _, last = reference.replace("$", "").partition(":")
    corners = []
    for corner in (first, last or first):
        letters = corner.rstrip("0123456789")
        digits = corner[len(letters) :]
        if not letters.isascii() or not letters.isalpha() or not digits or len(digits) > 8:
            return None
        corners.append((int(digits), _column(letters)))
    (row, column), (last_row, last_column) = corners
    return Span(row, column, last_row, last_column)


def _header_text(code: str) -> str:
    """The text of a header or footer: without fonts, sizes, colours and fields, its three parts one a line."""
    parts: list[str] = [""]
    position = 0
    while position < len(code):
        mark = code[position + 1 : position + 2].upper() if code[position] == "&" else ""
        if not mark:
            parts[-1] += code[position] if code[position] != "&" else ""
            position += 1
            continue
        position = _after_code(code, position + 1, mark)
        if mark in "LCR":
            parts.append("")
        elif mark == "&":
            parts[-1] += "&"
    texts = (" ".join(unescape(part).split()) for part in parts)
    return "\n".join(text for text in texts if not set(text.lower().split()) <= _PAGE_WORDS)


def _after_code(code: str, position: int, mark: str) -> int:
    """Where the text continues behind a code whose mark is at `position`."""
    if mark == '"':
        end = code.find('"', position + 1)
        return len(code) if end < 0 else end + 1
    if mark == "K":
        return position + 7
    end = position + 1
    if mark.isdecimal():
        while end < len(code) and end < position + 3 and code[end].isdecimal():
            end += 1
    return end


# --- blocks of rows -------------------------------------------------------------------------------------

Block = list[tuple[int, dict[int, str]]]
"""Rows that follow each other, with their numbers."""


def blocks_of_rows(rows: Rows, declared: list[Span], names: dict[int, str]) -> Iterator[tuple[str, Block]]:
    """Blocks of rows between empty rows, and the name of the table that begins with a block.

    A declared table begins a block of its own, and empty rows in it do not end it.
    """
    covered = _Covered(declared)
    block: Block = []
    for number in sorted(rows):
        if block and covered.is_cut(block[-1][0], number):
            yield names.get(block[0][0], ""), block
            block = []
        block.append((number, rows[number]))
    if block:
        yield names.get(block[0][0], ""), block


class _Covered:
    """Which rows declared tables cover: their rows as stretches that do not overlap."""

    def __init__(self, declared: Iterable[Span]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for span in sorted(declared):
            if self._lasts and span.row <= self._lasts[-1]:
                self._lasts[-1] = max(self._lasts[-1], span.last_row)
            else:
                self._firsts.append(span.row)
                self._lasts.append(span.last_row)

    def is_cut(self, before: int, row: int) -> bool:
        """Whether a block ends between two rows that follow each other."""
        place = bisect_right(self._firsts, row) - 1
        if place >= 0 and before < self._firsts[place]:
            return True
        inside = place >= 0 and row <= self._lasts[place]
        return row > before + 1 and not inside


def write_block(block: Block, builder: DocumentBuilder, *, is_declared: bool, above: Block) -> Block:
    """A block as a table, with the titles above it as paragraphs; the table that was written.

    A block that continues the table `above` it, behind an empty row, gets its column names.
    """
    widest = max(len(row) for _, row in block)
    first = 0
    if widest > 1 and not is_declared:
        table = next(place for place, (_, row) in enumerate(block) if len(row) > 1)
        while first < table and _is_title(block[first][1], block[table][1]):
            first += 1
    elif widest == 1 and not is_declared and _is_running_text(block):
        first = len(block)
    for _, row in block[:first]:
        builder.paragraph(next(iter(row.values())))
    table_rows = block[first:]
    if not table_rows:
        return []
    if not is_declared and _goes_on(table_rows, above):
        table_rows = [above[0], *table_rows]
    _write_table(table_rows, builder)
    return table_rows


def _goes_on(block: Block, above: Block) -> bool:
    """Whether a block has no names of columns: its first row has numbers where the table above has them below its names."""
    if len(above) < 2 or len(above[0][1]) < 2:
        return False
    names, first = above[0][1], block[0][1]
    if not first.keys() <= names.keys():
        return False
    numbered = {column for _, row in above[1:] for column, text in row.items() if _is_number(text)}
    numbered -= {column for column, text in names.items() if _is_number(text)}
    return any(column in numbered and _is_number(text) for column, text in first.items())


def _is_number(text: str) -> bool:
    return text[:1].isdecimal() or text[1:2].isdecimal()


def _is_title(row: dict[int, str], table: dict[int, str]) -> bool:
    """Whether a single cell stands over a table: at the left edge of its first row, or above words alone."""
    at_edge = next(iter(row)) <= min(table)
    return at_edge or not any(text[:1].isdecimal() for text in table.values())


def _is_running_text(block: Block) -> bool:
    """Whether rows of one cell each are lines of a text rather than a column with a name."""
    texts = [text for _, row in block for text in row.values()]
    columns = {column for _, row in block for column in row}
    return len(texts) < 3 or len(columns) > 1 or any(len(text) > _LONGEST_NAME_OF_COLUMN for text in texts)


def _write_table(block: Block, builder: DocumentBuilder) -> None:
    columns = sorted({column for _, row in block for column in row})
    filled = sum(len(row) for _, row in block)
    places = len(columns) * len(block)
    if places > _MOST_TABLE_CELLS and places > _LARGEST_BY_FILLED * filled:
        for _, row in block:
            builder.paragraph(" | ".join(text for _, text in sorted(row.items())))
        return
    builder.table([_in_columns(row, columns) for _, row in block])


def _in_columns(row: dict[int, str], columns: list[int]) -> list[str]:
    cells = list(row)
    return list(row.values()) if cells == columns else [row.get(column, "") for column in columns]
