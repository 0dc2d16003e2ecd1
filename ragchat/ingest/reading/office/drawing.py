"""Shapes of slides and sheets: text boxes, pictures, charts, diagrams, tables and embedded objects, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.office.ooxml import (
    Element,
    Package,
    attribute,
    attribute_any,
    body_text,
    children,
    descendants,
    find,
    is_on,
    local,
    picture_name,
    relation_id,
    write_chart,
    write_diagram,
    write_picture,
)
from ragchat.types import LeftOutKind

_GROUPS = (
    "grpSp",
    "wsDr",
    "oneCellAnchor",
    "twoCellAnchor",
    "absoluteAnchor",
    "relSizeAnchor",
    "absSizeAnchor",
)
_SHAPES = ("sp", "cxnSp", "pic", "graphicFrame", "contentPart")
_MOST_TABLE_CELLS = 1_000_000


def settings_of(shape: Element) -> Element | None:
    """The `cNvPr` of a shape: its name, description, and whether it is hidden."""
    for child in shape:
        if local(child).startswith("nv") and (found := find(child, "cNvPr")) is not None:
            return found
    return None


def is_hidden(shape: Element) -> bool:
    """Whether a shape or group is switched off."""
    return is_on(attribute(settings_of(shape), "hidden"))


def shapes_in(tree: Element, is_invisible: Callable[[Element], bool] = is_hidden) -> Iterator[Element]:
    """Shapes and groups in their order; what is in a group follows it, unless the group is invisible."""
    stack = [children(tree)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
        elif local(child) in _GROUPS:
            yield child
            if not is_invisible(child):
                stack.append(children(child))
        elif local(child) in _SHAPES:
            yield child


class Shapes:
    """Writes the shapes of one part (a slide, the drawing of a sheet). Subclasses may write text in their own way."""

    def __init__(self, package: Package, part: str, builder: DocumentBuilder) -> None:
        self.package = package
        self.builder = builder
        self.relations = package.relationships(part)

    def write(self, tree: Element) -> None:
        """Everything in a `p:spTree`, an `xdr:wsDr` or a `c:userShapes`."""
        for shape in shapes_in(tree, self.is_invisible):
            if self.is_invisible(shape):
                self.report_hidden(shape)
            else:
                self.shape(shape)

    def is_invisible(self, shape: Element) -> bool:
        """Whether no one sees this shape."""
        return is_hidden(shape)

    def report_hidden(self, shape: Element) -> None:
        """Report a shape that no one sees, if it holds anything."""
        if any((one.text or "").strip() for one in descendants(shape, "t")) or local(shape) != "sp":
            self.builder.leave_out(LeftOutKind.HIDDEN_TEXT, attribute(settings_of(shape), "name"))

    def shape(self, shape: Element) -> None:
        """One shape; a group: its description alone."""
        match local(shape):
            case "sp" | "cxnSp":
                self.text(shape)
                self.fill(shape)
            case "pic":
                self.picture(shape)
            case "graphicFrame":
                self.frame(shape)
            case "contentPart":
                write_picture(settings_of(shape), self.builder)
            case _:
                self.description(shape)

    def text(self, shape: Element) -> None:
        """The text of a shape."""
        body = find(shape, "txBody")
        self.builder.paragraph(body_text(body))

    def fill(self, shape: Element) -> None:
        """The description of a shape; a picture that fills it."""
        if find(shape, "spPr", "blipFill") is not None:
            write_picture(settings_of(shape), self.builder)
        elif picture_name(settings_of(shape)) != " ".join(body_text(find(shape, "txBody")).split()):
            self.description(shape)

    def description(self, shape: Element) -> None:
        """The alternative text of what is no picture."""
        if described := picture_name(settings_of(shape)):
            self.builder.paragraph(f"[Picture: {described}]")

    def picture(self, shape: Element) -> None:
        """A picture, or the picture that represents a sound or a film."""
        media = next(descendants(shape, "videoFile", "audioFile", "wavAudioFile", "quickTimeFile"), None)
        settings = settings_of(shape)
        if media is None:
            write_picture(settings, self.builder)
            return
        self.description(shape)
        self.builder.leave_out(LeftOutKind.SOUND, attribute(settings, "name"))

    def frame(self, shape: Element) -> None:
        """A table, chart, diagram or embedded object."""
        self.description(shape)
        data = find(shape, "graphic", "graphicData")
        for content in children(data) if data is not None else ():
            match local(content):
                case "tbl":
                    self.builder.table(table_rows(content))
                case "chart":
                    self.chart(relation_id(content))
                case "relIds":
                    self.diagram(relation_id(content, "dm"))
                case "oleObj" | "control":
                    self.embedded(content)

    def embedded(self, content: Element) -> None:
        """An embedded object: the description of its picture is read, itself it is reported at the end of the file."""
        for picture in descendants(content, "pic"):
            self.description(picture)
        target = self.relations.get(relation_id(content))
        if target is None or target.external or target.target not in self.package:
            self.builder.leave_out(
                LeftOutKind.OBJECT, attribute(content, "name") or attribute(content, "progId")
            )

    def chart(self, relation: str) -> None:
        """A chart, and the text boxes that were drawn onto it."""
        part, root = self._root(relation)
        if root is None:
            return
        write_chart(root, self.builder)
        for drawn in self.package.related(part, "chartUserShapes"):
            tree = self.package.root(drawn)
            if tree is not None:
                Shapes(self.package, drawn, self.builder).write(tree)

    def diagram(self, relation: str) -> None:
        """A SmartArt diagram."""
        _, root = self._root(relation)
        if root is not None:
            write_diagram(root, self.builder)

    def _root(self, relation: str) -> tuple[str, Element | None]:
        target = self.relations.get(relation)
        if target is None or target.external:
            return "", None
        return target.target, self.package.root(target.target)


def table_rows(table: Element) -> list[list[str]]:
    """The cells of an `a:tbl` row by row. A cell that spans rows is in each of them, one that spans columns once."""
    rows: list[list[str]] = []
    left = _MOST_TABLE_CELLS
    for row in (one for one in children(table) if local(one) == "tr"):
        cells: list[str] = []
        for cell in (one for one in children(row) if local(one) == "tc"):
            covered_above = is_on(attribute(cell, "vMerge")) and not is_on(attribute(cell, "hMerge"))
            above = rows[-1][len(cells)] if covered_above and rows and len(cells) < len(rows[-1]) else ""
            left -= 1 + len(above)
            cells.append(body_text(find(cell, "txBody")) or (above if left > 0 else ""))
        rows.append(cells)
    return rows


def vml_texts(root: Element) -> list[str]:
    """Texts of form controls and text boxes in an old VML drawing; those of notes stand elsewhere."""
    texts = []
    for shape in descendants(root, "shape", "rect", "roundrect", "oval"):
        kind = attribute_any(find(shape, "ClientData"), "ObjectType")
        box = find(shape, "textbox")
        if box is not None and kind != "Note":
            texts.append(" ".join("".join(box.itertext()).split()))
    return [text for text in texts if text]
