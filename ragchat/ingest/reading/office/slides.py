"""PowerPoint presentations: the slides in their order with titles, lists, tables, charts, notes and comments.

A slide is a page, and its title a heading. Hidden slides and shapes are reported; footers, layouts and masters come once.
"""

from __future__ import annotations

from ragchat.errors import IngestError
from ragchat.ingest.blocks import LONGEST_HEADING
from ragchat.ingest.formats import Kind
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.office.drawing import Shapes, is_hidden, shapes_in
from ragchat.ingest.reading.office.flow import numeral
from ragchat.ingest.reading.office.ooxml import (
    Element,
    Package,
    Paragraph,
    attribute,
    body_text,
    children,
    descendants,
    find,
    is_on,
    local,
    paragraphs,
    properties,
    relation_id,
    report_rest,
    write_properties,
)
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText, LeftOutKind

_TITLES = ("title", "ctrTitle")
_FOOTERS = ("ftr", "dt", "hdr")
_NO_TEXT = ("sldNum", "sldImg")
_MOST_FOOTERS = 1000
_DEFAULT_SECTIONS = ("default section", "untitled section")


def read_slides(data: bytes, kind: Kind) -> ExtractedText:
    """The text of a PowerPoint file (pptx, pptm, potx, potm, ppsx, ppsm). Raises IngestError."""
    with Package(data) as package:
        part = package.main_part("ppt/presentation.xml")
        root = package.root(part)
        if root is None:
            raise IngestError(Reason.DAMAGED)
        builder = DocumentBuilder(kind.media_type)
        deck = _Deck(package, part, root, builder)
        deck.read()
        found = properties(package)
        if not builder.is_empty:
            write_properties(found, builder)
        report_rest(package, builder)
        return builder.build(deck.title if _is_default_title(found.title) else found.title)


def _is_default_title(title: str) -> bool:
    """Whether a program gave this title: "PowerPoint Presentation" in any language."""
    return not title or ("powerpoint" in title.lower() and len(title.replace("-", " ").split()) == 2)


class _Deck:
    """Reads the slides in their order. `title` is that of the first slide that has one."""

    def __init__(self, package: Package, part: str, root: Element, builder: DocumentBuilder) -> None:
        self.package = package
        self.builder = builder
        self.root = root
        self.relations = package.relationships(part)
        self.title = ""
        self.footers: dict[str, None] = {}
        """In the order in which they come."""
        self.backdrops: dict[str, None] = {}
        """Layouts and masters that the slides use."""
        self.authors = self._authors()
        self.sections = self._section_names()
        self.section = ""
        """The name of a section that begins with the next slide that is read."""
        size = find(root, "sldSz")
        self.size = _number(attribute(size, "cx")), _number(attribute(size, "cy"))

    def read(self) -> None:
        """Write everything to the builder."""
        level = 2 if self.sections else 1
        listed = find(self.root, "sldIdLst")
        slides = (one for one in children(listed) if local(one) == "sldId") if listed is not None else ()
        for number, one in enumerate(slides, 1):
            self.builder.page()
            self._read_slide(one, number, level)
        self._write_once()

    def _read_slide(self, listed: Element, number: int, level: int) -> None:
        relation = self.relations.get(relation_id(listed))
        root = self.package.root(relation.target) if relation is not None and not relation.external else None
        if relation is None or root is None:
            self.builder.leave_out(LeftOutKind.REST, f"slide {number}")
            return
        slide = _Slide(self, relation.target, number)
        title = slide.title(root)
        self.section = self.sections.get(attribute(listed, "id"), self.section)
        if not is_on(attribute(root, "show") or "1"):
            self.builder.leave_out(LeftOutKind.HIDDEN_SHEET, title or f"slide {number}")
            return
        self.title = self.title or title
        self.builder.heading(1, self.section)
        self.section = ""
        self.builder.heading(level, title or f"Slide {number}")
        slide.read(root)

    def _section_names(self) -> dict[str, str]:
        """Names of sections by the ids of the slides that they begin with."""
        names = {}
        for section in descendants(self.root, "section"):
            first = next(descendants(section, "sldId"), None)
            name = attribute(section, "name")
            if first is not None and name.lower() not in _DEFAULT_SECTIONS:
                names[attribute(first, "id")] = name
        return names

    def _authors(self) -> dict[str, str]:
        """Names of those who comment, by their ids."""
        names = {}
        for one in self.relations.values():
            root = self.package.root(one.target) if one.type in ("commentAuthors", "authors") else None
            for author in descendants(root, "cmAuthor", "author") if root is not None else ():
                names[attribute(author, "id")] = attribute(author, "name")
        return names

    def _write_once(self) -> None:
        """What is on many slides, once: layouts and masters, then footers."""
        trees = [(part, find(self.package.root(part), "cSld", "spTree")) for part in self.backdrops]
        own = [(part, tree) for part, tree in trees if tree is not None and _has_own_shapes(tree)]
        if own or self.footers:
            self.builder.section(())
        for part, tree in own:
            _Backdrop(self.package, part, self.builder).write(tree)
        for text in self.footers:
            self.builder.paragraph(f"Footer: {text}")


def _has_own_shapes(tree: Element) -> bool:
    return any(local(shape) != "grpSp" and _placeholder(shape) is None for shape in shapes_in(tree))


def _number(text: str) -> int:
    digits = text.removeprefix("-")
    return int(text) if digits.isdecimal() and len(digits) < 15 else 0


def _placeholder(shape: Element) -> str | None:
    """The type of placeholder that a shape is ("obj" where it names none); None when it is none."""
    for child in shape:
        if local(child).startswith("nv"):
            found = find(child, "nvPr", "ph")
            return None if found is None else attribute(found, "type") or "obj"
    return None


# --- a slide --------------------------------------------------------------------------------------------


class _Slide(Shapes):
    """Writes one slide with its notes and comments."""

    def __init__(self, deck: _Deck, part: str, number: int) -> None:
        super().__init__(deck.package, part, deck.builder)
        self.deck = deck
        self.number = number
        self._title_shape: Element | None = None

    def title(self, root: Element) -> str:
        """The title of the slide, "" without one."""
        tree = find(root, "cSld", "spTree")
        for shape in shapes_in(tree) if tree is not None else ():
            if _placeholder(shape) in _TITLES and not is_hidden(shape):
                title = " ".join(body_text(find(shape, "txBody")).split())
                if title:
                    self._title_shape = shape if len(title) <= LONGEST_HEADING else None
                    return title
        return ""

    def read(self, root: Element) -> None:
        """Write what is under the heading of the slide."""
        tree = find(root, "cSld", "spTree")
        if tree is not None:
            self.write(tree)
        self._report_unread(root)
        for kind, write in (
            ("notesSlide", self._write_notes),
            ("slideLayout", self._note_layout),
            ("comments", self._write_comments),
        ):
            for relation in self.relations.values():
                if relation.type == kind and not relation.external:
                    write(relation.target)

    def _report_unread(self, root: Element) -> None:
        if find(root, "cSld", "bg", "bgPr", "blipFill") is not None:
            self.builder.leave_out(LeftOutKind.PICTURE, f"background of slide {self.number}")
        for transition in children(root):
            if local(transition) == "transition" and any(True for _ in descendants(transition, "snd")):
                self.builder.leave_out(LeftOutKind.SOUND, f"slide {self.number}")

    def is_invisible(self, shape: Element) -> bool:
        """Whether a shape is hidden, or lies beside the slide."""
        return is_hidden(shape) or (_is_outermost(shape) and _lies_beside(shape, self.deck.size))

    def text(self, shape: Element) -> None:
        """The text of a shape: lists in placeholders for them, footers kept for the end."""
        if shape is self._title_shape:
            return
        kind = _placeholder(shape)
        body = find(shape, "txBody")
        if kind in _FOOTERS:
            text = " ".join(body_text(body).split())
            if text and len(self.deck.footers) < _MOST_FOOTERS:
                self.deck.footers[text] = None
        elif kind not in _NO_TEXT:
            is_list = kind not in (None, "subTitle", *_TITLES)
            _write_paragraphs(paragraphs(body), self.builder, is_list=is_list)

    def _write_notes(self, part: str) -> None:
        tree = find(self.package.root(part), "cSld", "spTree")
        notes = []
        for shape in shapes_in(tree) if tree is not None else ():
            if is_hidden(shape) or _placeholder(shape) in (*_NO_TEXT, *_FOOTERS):
                continue
            notes.append(body_text(find(shape, "txBody")))
        text = "\n".join(filter(None, notes)).strip()
        if text:
            self.builder.paragraph(f"Notes: {text}")

    def _write_comments(self, part: str) -> None:
        root = self.package.root(part)
        for comment in descendants(root, "cm", "reply") if root is not None else ():
            text = body_text(find(comment, "txBody")) or _plain(find(comment, "text"))
            author = self.deck.authors.get(attribute(comment, "authorId"), "")
            if text.strip():
                self.builder.paragraph(
                    f"[Comment{f' by {author}' if author else ''}: {' '.join(text.split())}]"
                )

    def _note_layout(self, layout: str) -> None:
        if layout not in self.deck.backdrops:
            self.deck.backdrops[layout] = None
            for master in self.package.related(layout, "slideMaster"):
                self.deck.backdrops[master] = None


class _Backdrop(Shapes):
    """A layout or a master: what is no placeholder is on every slide."""

    def is_invisible(self, shape: Element) -> bool:
        """Whether a shape is hidden. Placeholders hold prompts, which no slide shows."""
        return is_hidden(shape) or _placeholder(shape) is not None

    def report_hidden(self, shape: Element) -> None:
        """Report what is hidden but no prompt."""
        if _placeholder(shape) is None:
            super().report_hidden(shape)


def _plain(element: Element | None) -> str:
    return (element.text or "") if element is not None else ""


def _write_paragraphs(found: list[Paragraph], builder: DocumentBuilder, *, is_list: bool) -> None:
    numbers: dict[int, int] = {}
    for one in found:
        numbers = {level: number for level, number in numbers.items() if level <= one.level}
        if one.bullet == "number":
            numbers[one.level] = numbers.get(one.level, one.start - 1) + 1
            builder.item(one.text, depth=one.level, mark=_label(numbers[one.level], one.scheme))
        elif one.bullet == "sign" or (is_list and one.bullet != "none"):
            builder.item(one.text, depth=one.level)
            numbers.pop(one.level, None)
        else:
            builder.paragraph(one.text)
            numbers.pop(one.level, None)


_NUMERALS = {
    "alphaLc": "lowerLetter",
    "alphaUc": "upperLetter",
    "romanLc": "lowerRoman",
    "romanUc": "upperRoman",
}


def _label(number: int, scheme: str) -> str:
    """A number as a slide shows it; `scheme` is "alphaLcParenR" and the like."""
    text = numeral(number, _NUMERALS.get(scheme[:7], "decimal"))
    if scheme.endswith("ParenBoth"):
        return f"({text})"
    return f"{text})" if scheme.endswith("ParenR") else f"{text}."


def _is_outermost(shape: Element) -> bool:
    holders = (local(above) for above in shape.iterancestors())
    return next((name for name in holders if name in ("spTree", "grpSp")), "") != "grpSp"


def _lies_beside(shape: Element, size: tuple[int, int]) -> bool:
    """Whether a shape says of itself that all of it is outside the slide."""
    place = next((child for child in shape if local(child) in ("spPr", "grpSpPr")), shape)
    place = find(place, "xfrm")
    offset, extent = find(place, "off"), find(place, "ext")
    if offset is None or extent is None:
        return False
    for axis, length, limit in (("x", "cx", size[0]), ("y", "cy", size[1])):
        first = _number(attribute(offset, axis))
        if limit and (first >= limit or (first < 0 and first + _number(attribute(extent, length)) <= 0)):
            return True
    return False
