"""What Word, Excel and PowerPoint files have in common: the package, its properties, and DrawingML text, charts and diagrams.

Elements are matched by their local names, so that the strict and the transitional dialect read alike.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple
from urllib.parse import unquote

from lxml import etree

from ragchat.errors import IngestError
from ragchat.ingest.reading.archive import ZIP_ERRORS, open_archive
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.office.line import TextLine
from ragchat.ingest.wire import Reason
from ragchat.types import LeftOutKind

Element = Any
"""An lxml element: its types are not published in a form that mypy reads."""
PARSER_OPTIONS: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "huge_tree": False,
    "recover": True,
    "remove_comments": True,
    "remove_pis": True,
}
_DEEPEST = 200
"""Levels of nesting that are followed; below that the plain text is taken."""
_MOST_ALTERNATIVES = 8


# --- elements -------------------------------------------------------------------------------------------


_LOCAL: dict[str, str] = {}
_MOST_KNOWN = 5000


def local(element: Element) -> str:
    """The name of an element without its namespace; "" for what is no element."""
    tag = element.tag
    name = _LOCAL.get(tag)
    if name is None:
        name = tag.rpartition("}")[2] if isinstance(tag, str) else ""
        if len(_LOCAL) < _MOST_KNOWN:
            _LOCAL[tag] = name
    return name


def children(element: Element) -> Iterator[Element]:
    """The elements in `element`; of `mc:AlternateContent` those of one alternative."""
    if next(element.iterchildren("{*}AlternateContent"), None) is None:
        return iter(element)
    return _with_chosen(element)


def _with_chosen(element: Element) -> Iterator[Element]:
    for child in element:
        if local(child) == "AlternateContent":
            yield from _chosen(child, _MOST_ALTERNATIVES)
        else:
            yield child


def _chosen(alternatives: Element, depth: int) -> Iterator[Element]:
    choice = next((one for one in alternatives if local(one) == "Choice" and len(one)), None)
    if choice is None:
        choice = next((one for one in alternatives if local(one) == "Fallback"), ())
    for child in choice:
        if local(child) == "AlternateContent" and depth:
            yield from _chosen(child, depth - 1)
        else:
            yield child


def descendants(element: Element, *names: str) -> Iterator[Element]:
    """Elements of these local names below `element` in order, of alternatives one; linear, at any depth."""
    if next(element.iter("{*}AlternateContent"), None) is None:
        return iter(element.iterdescendants(*(f"{{*}}{name}" for name in names)))
    return _descendants_chosen(element, names)


def _descendants_chosen(element: Element, names: tuple[str, ...]) -> Iterator[Element]:
    stack = [children(element)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
            continue
        if local(child) in names:
            yield child
        if len(child):
            stack.append(children(child))


def find(element: Element | None, *path: str) -> Element | None:
    """The first element along a path of local names, or None."""
    for name in path:
        if element is None:
            return None
        found = next(element.iterchildren(f"{{*}}{name}"), None)
        if found is None and next(element.iterchildren("{*}AlternateContent"), None) is not None:
            found = next((child for child in _with_chosen(element) if local(child) == name), None)
        element = found
    return element


def attribute(element: Element | None, name: str) -> str:
    """The attribute of this name without a namespace; "" when there is none."""
    return str(element.get(name) or "") if element is not None else ""


def relation_id(element: Element | None, name: str = "id") -> str:
    """The value of `r:id` (or of another attribute of the relationships' namespace); "" when there is none."""
    if element is not None:
        for key, value in element.attrib.items():
            if key.endswith("}" + name) and "relationships" in key:
                return str(value)
    return ""


def is_on(value: str) -> bool:
    """Whether an attribute's value means yes."""
    return value.lower() in ("1", "true", "on", "t")


_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


def unescape(text: str) -> str:
    """`_x000D_` and the like, which stand for characters that XML does not allow, as those characters."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


# --- the package ----------------------------------------------------------------------------------------


class Relation(NamedTuple):
    """A relationship: the last word of its type ("image", "hyperlink"), and a part of the package, or an address outside it."""

    type: str
    target: str
    external: bool = False


class Package:
    """An OOXML file, opened after `check_archive`. Use as a context manager. All methods raise IngestError for damaged zips.

    `damaged` collects the names of parts whose XML broke off: what came before was read.
    """

    def __init__(self, data: bytes) -> None:
        self.archive = open_archive(data)
        self.damaged: list[str] = []
        self._names: dict[str, str] = {}
        for name in self.archive.namelist():
            if not name.endswith("/"):  # folders are no parts
                self._names.setdefault(_key(name), name)

    def __enter__(self) -> Package:
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.close()

    @property
    def names(self) -> list[str]:
        """The names of all parts, in lower case."""
        return list(self._names)

    def __contains__(self, part: str) -> bool:
        return _key(part) in self._names

    def read(self, part: str) -> bytes:
        """The bytes of a part, b"" when there is none; upper and lower case make no difference."""
        name = self._names.get(_key(part))
        if name is None:
            return b""
        try:
            return self.archive.read(name)
        except ZIP_ERRORS as error:
            raise IngestError(Reason.DAMAGED) from error

    def root(self, part: str) -> Element | None:
        """The root element of a part; None when there is none or it is no XML at all."""
        data = self.read(part)
        if not data.strip():
            return None
        parser = etree.XMLParser(**PARSER_OPTIONS)
        try:
            root = etree.fromstring(data, parser)
        except (etree.XMLSyntaxError, ValueError):
            root = None
        if root is None or _broke_off(parser.error_log):
            self.damaged.append(part)
        return root

    def stream(self, part: str, names: Iterable[str]) -> Iterator[Element]:
        """Elements of these local names of a large part, each when it is complete. The caller clears them."""
        name = self._names.get(_key(part))
        if name is None:
            return
        tags = [f"{{*}}{one}" for one in names]
        try:
            with self.archive.open(name) as file:
                yield from self._events(part, file, tags)
        except ZIP_ERRORS as error:
            raise IngestError(Reason.DAMAGED) from error

    def _events(self, part: str, file: IO[bytes], tags: list[str]) -> Iterator[Element]:
        parsed = etree.iterparse(file, events=("end",), tag=tags, **PARSER_OPTIONS)
        try:
            for _, element in parsed:
                yield element
        except etree.XMLSyntaxError:
            self.damaged.append(part)
            return
        if _broke_off(parsed.error_log):
            self.damaged.append(part)

    def relationships(self, part: str = "") -> dict[str, Relation]:
        """What a part (the package itself: "") refers to, by the ids that it uses."""
        folder, _, name = part.rpartition("/")
        root = self.root(f"{folder}/_rels/{name}.rels" if folder else f"_rels/{name}.rels")
        relations: dict[str, Relation] = {}
        for one in root if root is not None else ():
            if local(one) != "Relationship":
                continue
            external = attribute(one, "TargetMode").lower() == "external"
            target = attribute(one, "Target")
            relations[attribute(one, "Id")] = Relation(
                attribute(one, "Type").rstrip("/").rpartition("/")[2],
                target if external else _resolved(folder, target),
                external,
            )
        return relations

    def related(self, part: str, kind: str) -> list[str]:
        """The parts that `part` refers to by relationships of this type."""
        return [
            one.target for one in self.relationships(part).values() if one.type == kind and not one.external
        ]

    def main_part(self, default: str) -> str:
        """The name of the part that is the document, workbook or presentation."""
        found = [part for part in self.related("", "officeDocument") if part in self]
        return found[0] if found else default


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def _resolved(folder: str, target: str) -> str:
    target = unquote(target.partition("#")[0]).replace("\\", "/")
    if target.startswith("/"):
        return target.lstrip("/")
    return posixpath.normpath(posixpath.join(folder, target)).lstrip("/")


def _broke_off(log: Any) -> bool:
    return any(entry.level >= etree.ErrorLevels.FATAL for entry in log)


def report_rest(package: Package, builder: DocumentBuilder) -> None:
    """Report parts that broke off, macros, embedded files and custom XML. Call it once, at the end.

    Workbooks that only hold the values of a chart are no objects of their own.
    """
    for part in dict.fromkeys(package.damaged):
        builder.leave_out(LeftOutKind.REST, part)
    of_charts = {
        _key(one.target)
        for name in package.names
        if "/charts/" in name and not name.endswith(".rels")
        for one in package.relationships(name).values()
    }
    for name in package.names:
        folder, _, base = name.rpartition("/")
        if base == "vbaproject.bin":
            builder.leave_out(LeftOutKind.FORM_SCRIPT, "macros")
        elif folder.endswith(("/embeddings", "/activex")) and not base.endswith((".rels", ".xml")):
            if name not in of_charts:
                builder.leave_out(LeftOutKind.OBJECT, base)
        elif folder == "customxml" and base.startswith("item") and not base.startswith("itemprops"):
            builder.leave_out(LeftOutKind.PROPERTY, base)


# --- properties -----------------------------------------------------------------------------------------

_READ_PROPERTIES = {"subject": "Subject", "keywords": "Keywords", "description": "Description"}
_SILENT_PROPERTIES = {"title", "created", "modified", "revision", "lastPrinted", "language"}
_EXTENDED_PROPERTIES = {"Manager", "Company", "HyperlinkBase"}
"""The rest of docProps/app.xml counts words and names programs."""


class Properties(NamedTuple):
    """Of a document: its title ("" without one), sentences to be read last, and names of what is left out."""

    title: str
    paragraphs: list[str]
    left_out: list[str]


def properties(package: Package) -> Properties:
    """The properties of a document, from its core, extended and custom parts."""
    found = Properties("", [], [])
    title = ""
    for name, value in _core_properties(package):
        if name == "title":
            title = value
        elif name in _READ_PROPERTIES:
            found.paragraphs.append(f"{_READ_PROPERTIES[name]}: {value}")
        elif name not in _SILENT_PROPERTIES:
            found.left_out.append(name)
    for part in package.related("", "extended-properties"):
        found.left_out.extend(name for name, _ in _values(package.root(part)) if name in _EXTENDED_PROPERTIES)
    for part in package.related("", "custom-properties"):
        root = package.root(part)
        found.left_out.extend(
            attribute(one, "name") for one in (root if root is not None else ()) if len(one)
        )
    return found._replace(title=title)


def write_properties(found: Properties, builder: DocumentBuilder) -> None:
    """Write those properties that are read as the last paragraphs, under no heading, and report the others."""
    if found.paragraphs:
        builder.section(())
        builder.paragraph("\n".join(" ".join(one.split()) for one in found.paragraphs))
    for name in found.left_out:
        builder.leave_out(LeftOutKind.PROPERTY, name)


def _core_properties(package: Package) -> list[tuple[str, str]]:
    parts = package.related("", "core-properties") or ["docProps/core.xml"]
    values = [pair for part in parts for pair in _values(package.root(part))]
    return sorted(
        values, key=lambda pair: list(_READ_PROPERTIES).index(pair[0]) if pair[0] in _READ_PROPERTIES else 9
    )


def _values(root: Element | None) -> list[tuple[str, str]]:
    """Name and text of each element with text right below a root."""
    if root is None:
        return []
    texts = ((local(one), "".join(one.itertext())) for one in root)
    return [(name, text.strip()) for name, text in texts if text.strip()]


# --- DrawingML text -------------------------------------------------------------------------------------


class Paragraph(NamedTuple):
    """A paragraph of a text body: its text and the level of its list, 0 the outermost.

    `bullet` is what the paragraph itself says: "none", "sign", "number", or "" when it leaves that to its place. `scheme`
    ("alphaLcPeriod") and `start` are those of a number.
    """

    text: str
    level: int
    bullet: str
    scheme: str = ""
    start: int = 1


_BULLETS = {"buNone": "none", "buChar": "sign", "buBlip": "sign", "buAutoNum": "number"}


def paragraphs(body: Element | None) -> list[Paragraph]:
    """The paragraphs with text in a DrawingML text body (`p:txBody`, `xdr:txBody`, `a:txBody`, `c:rich`, `dgm:t`)."""
    found = []
    for one in children(body) if body is not None else ():
        if local(one) == "p" and (text := paragraph_text(one)).strip():
            settings = find(one, "pPr")
            level = attribute(settings, "lvl")
            mark = next(
                (one for one in (settings if settings is not None else ()) if local(one) in _BULLETS), None
            )
            start = attribute(mark, "startAt")
            found.append(
                Paragraph(
                    text,
                    int(level[:2]) if level.isdecimal() else 0,
                    _BULLETS[local(mark)] if mark is not None else "",
                    attribute(mark, "type"),
                    int(start[:5]) if start.isdecimal() else 1,
                )
            )
    return found


def body_text(body: Element | None) -> str:
    """The paragraphs of a text body, one a line."""
    return "\n".join(one.text for one in paragraphs(body))


def paragraph_text(paragraph: Element) -> str:
    """The text of an `a:p`: runs joined, line breaks kept, formulas on one line, numbers of slides left away."""
    if not any("baseline" in one.attrib for one in paragraph.iter("{*}rPr")):
        return "".join(map(_run_text, children(paragraph)))
    line = TextLine()
    for run in children(paragraph):
        (line.add_raised if _is_raised(run) else line.add)(_run_text(run))
    return line.whole


def _is_raised(run: Element) -> bool:
    baseline = attribute(find(run, "rPr"), "baseline").removesuffix("%")
    return baseline.strip("0.") != "" and not baseline.startswith("-")


def _run_text(run: Element) -> str:
    match local(run):
        case "r":
            return "".join(unescape(one.text or "") for one in run if local(one) == "t")
        case "br":
            return "\n"
        case "tab":
            return "\t"
        case "fld" if not attribute(run, "type").startswith("slidenum"):
            return "".join(unescape(one.text or "") for one in run if local(one) == "t")
        case "m" | "oMath" | "oMathPara":
            return math_text(run)
    return ""


# --- formulas -------------------------------------------------------------------------------------------


def math_text(element: Element) -> str:
    """A formula (`m:oMath`, `m:oMathPara`, `a14:m`) on one line: a/b, x^2, x_i, √(x), ∑_(i=1)^n."""
    return _math(element, 60)


def _math(element: Element, depth: int) -> str:
    if depth == 0:
        return "".join(one.text or "" for one in descendants(element, "t"))

    def part(name: str) -> str:
        found = find(element, name)
        return _inside(found, depth - 1) if found is not None else ""

    match local(element):
        case "t":
            return element.text or ""
        case "f":
            return f"{grouped(part('num'))}/{grouped(part('den'))}"
        case "sSup" | "sSub" | "sSubSup":
            return part("e") + limits(part("sub"), part("sup"))
        case "rad":
            return f"{part('deg')}√({part('e')})"
        case "nary":
            sign = attribute_any(find(element, "naryPr", "chr"), "val") or "∫"
            return f"{sign}{limits(part('sub'), part('sup'))} {part('e')}"
        case "d":
            return _delimited(element, depth)
        case "m" | "eqArr" if find(element, "mr") is not None or find(element, "e") is not None:
            rows = [one for one in children(element) if local(one) in ("mr", "e")]
            return "; ".join(", ".join(_math_cells(row, depth - 1)) for row in rows)
    return _marked(element, part) or _inside(element, depth - 1)


def _marked(element: Element, part: Callable[[str], str]) -> str:
    """What has a mark or words at its side: limits, functions, accents; "" for other parts."""
    match local(element):
        case "limLow":
            return part("e") + limits(part("lim"), "")
        case "limUpp":
            return part("e") + limits("", part("lim"))
        case "sPre":
            return limits(part("sub"), part("sup")) + part("e")
        case "func":
            return f"{part('fName')} {part('e')}"
        case "acc":
            return part("e") + (attribute_any(find(element, "accPr", "chr"), "val") or "\u0302")
    return ""


def limits(below: str, above: str) -> str:
    """What is below and above the sign before it."""
    return (f"_{grouped(below)}" if below else "") + (f"^{grouped(above)}" if above else "")


def _inside(element: Element, depth: int) -> str:
    return "".join(
        _math(child, max(0, depth)) for child in children(element) if not local(child).endswith("Pr")
    )


def _math_cells(row: Element, depth: int) -> Iterator[str]:
    if local(row) == "e":
        yield _inside(row, depth)
        return
    yield from (_inside(cell, depth) for cell in children(row) if local(cell) == "e")


def _delimited(element: Element, depth: int) -> str:
    settings = find(element, "dPr")
    opening = find(settings, "begChr")
    closing = find(settings, "endChr")
    inner = ", ".join(_inside(one, depth - 1) for one in children(element) if local(one) == "e")
    left = attribute_any(opening, "val") if opening is not None else "("
    right = attribute_any(closing, "val") if closing is not None else ")"
    return f"{left}{inner}{right}"


def grouped(text: str) -> str:
    """A part of a formula in brackets where it needs them."""
    return text if len(text) <= 1 or text.isalnum() else f"({text})"


def attribute_any(element: Element | None, name: str) -> str:
    """The attribute of this local name in whatever namespace; "" when there is none."""
    if element is not None:
        for key, value in element.attrib.items():
            if key.rpartition("}")[2] == name:
                return str(value)
    return ""


# --- charts ---------------------------------------------------------------------------------------------


def write_chart(root: Element, builder: DocumentBuilder) -> None:
    """The titles of a chart (`c:chartSpace` or `cx:chartSpace`) as a paragraph, its values as a table, and its labels."""
    titles = [text for one in descendants(root, "title") if (text := _chart_text(one))]
    builder.paragraph("\n".join(f"[Chart: {text}]" if n == 0 else text for n, text in enumerate(titles)))
    rows = _chart_rows(root) if local(root) == "chartSpace" and _is_classic(root) else _extended_rows(root)
    if rows:
        builder.table(rows)
    labels = [
        text
        for label in descendants(root, "dLbl", "dispUnitsLbl", "trendline")
        if (text := _chart_text(label) or _text_of(find(label, "name")))
    ]
    builder.paragraph("\n".join(labels))


def _is_classic(root: Element) -> bool:
    return find(root, "chart", "plotArea", "plotAreaRegion") is None


def _chart_text(holder: Element) -> str:
    """The text of a title or label: written by hand, or the cached value of a cell."""
    bodies = [body_text(one) for one in descendants(holder, "rich")]
    if not any(bodies):
        bodies = [_text_of(one) for one in descendants(holder, "v")]
    return " ".join(" ".join(bodies).split())


def _text_of(element: Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _chart_rows(root: Element) -> list[list[str]]:
    """Names of the series over rows of one category each; series with other categories get columns of their own."""
    columns: list[tuple[str, dict[int, str]]] = []
    of_axis = _own_code(find(root, "chart", "plotArea", "valAx"))
    for series in descendants(root, "ser"):
        code = _own_code(find(series, "dLbls")) or of_axis
        name = _chart_text(found) if (found := find(series, "tx")) is not None else ""
        for role in ("cat", "xVal"):
            values = _points(find(series, role))
            if values and values not in [known for _, known in columns[:1]]:
                columns.append(("", values))
        values = _points(find(series, "val"), code) or _points(find(series, "yVal"), code)
        if values or name:
            columns.append((name, values))
        if sizes := _points(find(series, "bubbleSize")):
            columns.append(("", sizes))
    return _as_rows(columns)


def _as_rows(columns: list[tuple[str, dict[int, str]]]) -> list[list[str]]:
    numbers = sorted({number for _, values in columns for number in values})
    header = [name for name, _ in columns]
    return (
        [header, *([values.get(number, "") for _, values in columns] for number in numbers)]
        if columns
        else []
    )


def _own_code(holder: Element | None) -> str:
    """The number format that labels or an axis have of their own; "" where they take that of the values."""
    found = find(holder, "numFmt")
    return "" if is_on(attribute(found, "sourceLinked")) else attribute(found, "formatCode")


def _points(holder: Element | None, otherwise: str = "") -> dict[int, str]:
    """Cached values by their number; levels of a category are joined, the outermost first.

    `otherwise` is the format of values that have none.
    """
    points: dict[int, str] = {}
    if holder is None:
        return points
    code = _text_of(next(descendants(holder, "formatCode"), None))
    code = otherwise if otherwise and code in ("", "General") else code
    for level in reversed([*descendants(holder, "lvl")] or [holder]):
        last = ""
        for point in descendants(level, "pt"):
            number = attribute(point, "idx")
            last = _shown(_text_of(find(point, "v")), attribute(point, "formatCode") or code)
            if number.isdecimal() and len(number) < 8:
                points[int(number)] = f"{points[int(number)]} {last}" if int(number) in points else last
    return points


def _shown(value: str, code: str) -> str:
    from ragchat.ingest.reading.office.number_format import number_format

    return number_format(code).shown(value)


def _extended_rows(root: Element) -> list[list[str]]:
    """The data of a chart of the newer kind (waterfall, treemap, funnel): one column a dimension."""
    columns: list[tuple[str, dict[int, str]]] = []
    names = [
        _chart_text(one) for series in descendants(root, "series") for one in series if local(one) == "tx"
    ]
    for number, data in enumerate(descendants(root, "data")):
        for dimension in (one for one in children(data) if local(one) in ("strDim", "numDim")):
            name = names[number] if local(dimension) == "numDim" and number < len(names) else ""
            columns.append((name, _extended_points(dimension)))
    if not columns and any(names):
        columns = [(name, {}) for name in names]
    return _as_rows(columns)


def _extended_points(dimension: Element) -> dict[int, str]:
    points: dict[int, str] = {}
    for level in reversed([*descendants(dimension, "lvl")]):
        for point in descendants(level, "pt"):
            number = attribute(point, "idx")
            if number.isdecimal() and len(number) < 8:
                value = _shown(_text_of(point), attribute(level, "formatCode"))
                points[int(number)] = f"{points[int(number)]} {value}" if int(number) in points else value
    return points


# --- SmartArt -------------------------------------------------------------------------------------------


def diagram_items(root: Element) -> list[tuple[int, str]]:
    """Level (0 the outermost) and text of the points of a diagram's data part (`dgm:dataModel`), parents before children."""
    texts: dict[str, str] = {}
    for point in descendants(root, "pt"):
        texts[attribute(point, "modelId")] = body_text(find(point, "t"))
    below: dict[str, list[tuple[int, str]]] = {}
    inner: set[str] = set()
    for link in descendants(root, "cxn"):
        if attribute(link, "type") in ("", "parOf"):
            order = attribute(link, "srcOrd")
            target = attribute(link, "destId")
            below.setdefault(attribute(link, "srcId"), []).append(
                (int(order) if order.isdecimal() else 0, target)
            )
            inner.add(target)
    return _in_order(texts, below, [one for one in texts if one not in inner])


def _in_order(
    texts: dict[str, str], below: dict[str, list[tuple[int, str]]], roots: list[str]
) -> list[tuple[int, str]]:
    items: list[tuple[int, str]] = []
    seen: set[str] = set()
    stack = [(0, one) for one in reversed([*roots, *(one for one in texts if one not in set(roots))])]
    while stack:
        level, one = stack.pop()
        if one in seen:
            continue
        seen.add(one)
        text = texts.get(one, "")
        if text:
            items.append((level, text))
        level += 1 if text else 0
        stack.extend((level, child) for _, child in sorted(below.get(one, ()), reverse=True))
    return items


def write_diagram(root: Element, builder: DocumentBuilder) -> None:
    """A diagram as a list."""
    for level, text in diagram_items(root):
        builder.item(text, depth=level)


_FILE_NAME = re.compile(r"[^\n]{0,200}[\w-]\.(png|jpe?g|gif|svg|emf|wmf|tiff?|bmp|webp)", re.IGNORECASE)


def is_file_name(description: str) -> bool:
    """Whether a program wrote the name of a file where no one described a picture."""
    return _FILE_NAME.fullmatch(description.strip()) is not None


def picture_name(settings: Element | None) -> str:
    """What a picture shows, by its `cNvPr` or `docPr`: its description, else its title; "" when it has none."""
    described = (attribute(settings, one) for one in ("descr", "title"))
    return " ".join(next((one for one in described if one and not is_file_name(one)), "").split())


def write_picture(settings: Element | None, builder: DocumentBuilder) -> None:
    """The description of a picture as a paragraph; one without is reported."""
    described = picture_name(settings)
    if described:
        builder.paragraph(f"[Picture: {described}]")
    else:
        builder.leave_out(LeftOutKind.PICTURE, attribute(settings, "descr") or attribute(settings, "name"))
