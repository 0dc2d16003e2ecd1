"""Electronic books: each chapter is read once, in the order of the book, as a web page is. EPUB 2 and 3."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from lxml import etree

from ragchat.errors import IngestError
from ragchat.ingest.encoding import decode
from ragchat.ingest.formats import Kind
from ragchat.ingest.reading.archive import open_archive, read_member
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.web.page import read_page, write_page
from ragchat.ingest.reading.web.tree import Element, parse
from ragchat.ingest.wire import Reason
from ragchat.text import clean_line
from ragchat.types import ExtractedText, LeftOutKind

_PAGES = frozenset(
    [
        "application/xhtml+xml",
        "text/html",
        "application/x-dtbook+xml",
        "text/x-oeb1-document",
        "image/svg+xml",
    ]
)
_PAGE_SUFFIXES = (".xhtml", ".html", ".htm", ".xht")
_FONT_ALGORITHMS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""They make fonts useless elsewhere and hide no text."""
_DEEPEST = 8
"""Levels of a table of contents."""
_MOST_PAGES = 10_000


@dataclass
class _Entry:
    """A line of the table of contents. `file` is '' for one that leads nowhere."""

    depth: int
    title: str
    file: str
    fragment: str
    above: _Entry | None = None
    is_written: bool = False


@dataclass
class _Item:
    """A file of the book, as the package lists it."""

    name: str
    media_type: str
    properties: str = ""


@dataclass
class _Book:
    """What the package says. `pages` are names in the archive, in the order in which they are read."""

    title: str = ""
    told: list[tuple[str, str]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    sounds: list[str] = field(default_factory=list)


def read_epub(data: bytes, kind: Kind) -> ExtractedText:
    """The book's text. Its headings are the chapters' own, or those of its table of contents where a chapter has none.

    Raises IngestError: damaged, or protected against reading.
    """
    with open_archive(data) as archive:
        files = _Files(archive)
        _refuse_protected(files)
        book = _package(files)
        builder = DocumentBuilder(kind.media_type)
        _write_pages(builder, files, book)
    for label, text in book.told:
        builder.paragraph(f"{label}: {text}")
    for name in book.unread:
        builder.leave_out(LeftOutKind.PROPERTY, name)
    for name in book.sounds:
        builder.leave_out(LeftOutKind.SOUND, posixpath.basename(name))
    return builder.build(book.title)


class _Files:
    """The files in the archive, found whatever the case and the escapes of their names."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.names = archive.namelist()
        self._exact = set(self.names)
        self._folded = {_folded(name): name for name in reversed(self.names)}

    def find(self, path: str, base: str = "") -> str:
        """The name in the archive of a path in a file in folder `base`; '' when there is none."""
        for candidate in (path, unquote(path)):
            name = posixpath.normpath(posixpath.join(base, candidate)).lstrip("/")
            if name in self._exact:
                return name
            if _folded(name) in self._folded:
                return self._folded[_folded(name)]
        return ""

    def read(self, name: str) -> bytes:
        """The content; b"" when there is no such file."""
        return read_member(self._archive, name) if name else b""


def _folded(name: str) -> str:
    return name.replace("\\", "/").lower()


def _refuse_protected(files: _Files) -> None:
    """Raise for books whose text is encrypted; fonts may be."""
    root = _xml(files.read(files.find("META-INF/encryption.xml")))
    for one in _all(root, "EncryptedData"):
        algorithm = next((method.get("Algorithm", "") for method in _all(one, "EncryptionMethod")), "")
        targets = [reference.get("URI", "") for reference in _all(one, "CipherReference")]
        if algorithm not in _FONT_ALGORITHMS and any(
            target.lower().endswith((*_PAGE_SUFFIXES, ".xml", ".opf", ".ncx")) for target in targets
        ):
            raise IngestError(Reason.ENCRYPTED)


# --- the package ------------------------------------------------------------------------------------------


def _package(files: _Files) -> _Book:
    """What is to be read, by the package; without one, all pages by name."""
    name = _package_name(files)
    root = _xml(files.read(name))
    book = _Book()
    if root is not None:
        _read_metadata(root, book)
        _read_spine(root, files, posixpath.dirname(name), book)
    if not book.pages:
        book.pages = sorted(name for name in files.names if name.lower().endswith(_PAGE_SUFFIXES))
    if not book.pages:
        raise IngestError(Reason.DAMAGED)
    book.pages = book.pages[:_MOST_PAGES]
    return book


def _package_name(files: _Files) -> str:
    container = _xml(files.read(files.find("META-INF/container.xml")))
    for one in _all(container, "rootfile"):
        found = files.find(one.get("full-path", ""))
        if found:
            return found
    return next((name for name in files.names if name.lower().endswith(".opf")), "")


def _read_metadata(root: etree._Element, book: _Book) -> None:
    """Title, and what is told at the end; other properties are reported."""
    texts: dict[str, list[str]] = {}
    for metadata in _all(root, "metadata"):
        for one in metadata.iter():
            if isinstance(one.tag, str) and one.tag.startswith("{http://purl.org/dc/"):
                text = " ".join("".join(one.itertext()).split())
                if text:
                    texts.setdefault(_local(one), []).append(text)
    book.title = next(iter(texts.get("title", [])), "")
    subjects = ", ".join(texts.get("subject", []))
    book.told = [("Title", text) for text in texts.get("title", [])[1:] if text != book.title]
    book.told += [(label, text) for label, text in (("Subject", subjects),) if text]
    book.told += [("Description", text) for one in texts.get("description", []) if (text := _plain(one))]
    book.told = [(label, text) for label, text in book.told if text.lower() != "unknown"]
    read = ("title", "subject", "description", "identifier", "language", "date")
    book.unread = [name for name, values in texts.items() if name not in read for _ in values]


def _plain(text: str) -> str:
    """A description, which may be HTML."""
    if "<" not in text:
        return text
    return " ".join(block.text for block in read_page(text, with_lines=False, whole=True).blocks)


def _read_spine(root: etree._Element, files: _Files, base: str, book: _Book) -> None:
    """The pages in the order of the spine, those beside its line behind the others, then what it lacks."""
    items = _items(root, files, base)
    spine = next(iter(_all(root, "spine")), None)
    linear: list[str] = []
    aside: list[str] = []
    for reference in _all(spine, "itemref"):
        item = items.get(reference.get("idref", ""))
        if item is not None and item.media_type in _PAGES:
            (aside if reference.get("linear") == "no" else linear).append(item.name)
    navigation = [item.name for item in items.values() if "nav" in item.properties.split()]
    listed = [
        item.name
        for item in items.values()
        if item.media_type in _PAGES and item.media_type != "image/svg+xml"
    ]
    rest = [name for name in listed if name not in navigation]
    book.pages = list(dict.fromkeys([*linear, *aside, *rest]))
    toc = items.get(spine.get("toc", "")) if spine is not None else None
    ncx = [item.name for item in items.values() if item.media_type == "application/x-dtbncx+xml"]
    book.contents = [*navigation, *([toc.name] if toc is not None else []), *ncx]
    book.sounds = [item.name for item in items.values() if item.media_type.startswith(("audio/", "video/"))]


def _items(root: etree._Element, files: _Files, base: str) -> dict[str, _Item]:
    """The files that the manifest lists and the archive holds, by their ids."""
    items: dict[str, _Item] = {}
    for one in _all(root, "item"):
        name = files.find(one.get("href", "").partition("#")[0], base)
        media_type = one.get("media-type", "").lower()
        if name.lower().endswith(_PAGE_SUFFIXES) and media_type not in _PAGES:
            media_type = "application/xhtml+xml"
        if name:
            items[one.get("id", name)] = _Item(name, media_type, one.get("properties", ""))
    return items


# --- the table of contents --------------------------------------------------------------------------------


def _entries(files: _Files, book: _Book) -> list[_Entry]:
    """The lines of the first table of contents that has any."""
    for name in book.contents:
        content = files.read(name)
        base = posixpath.dirname(name)
        entries = list(_of_ncx(content) if name.lower().endswith(".ncx") else _of_navigation(content))
        if entries:
            return [
                replace(entry, file=files.find(entry.file, base) if entry.file else "") for entry in entries
            ]
    return []


def _of_ncx(content: bytes) -> Iterator[_Entry]:
    root = _xml(content)
    stack = [
        (point, 1) for point in reversed(list(_children(next(iter(_all(root, "navMap")), None), "navPoint")))
    ]
    while stack:
        point, depth = stack.pop()
        label = next(iter(_children(point, "navLabel")), None)
        title = " ".join("".join(label.itertext()).split()) if label is not None else ""
        target = next((one.get("src", "") for one in _children(point, "content")), "")
        yield _entry(depth, title, target)
        if depth < _DEEPEST:
            stack += [(inner, depth + 1) for inner in reversed(list(_children(point, "navPoint")))]


def _of_navigation(content: bytes) -> Iterator[_Entry]:
    """The lists of `<nav epub:type="toc">`; of the first `<nav>` where none is marked."""
    menus = [one for one in parse(decode(content), with_lines=False).elements() if one.tag == "nav"]
    marked = [one for one in menus if "toc" in one.get("epub:type").split() or one.get("role") == "doc-toc"]
    for menu in (marked or menus)[:1]:
        stack: list[tuple[Element, int]] = [(menu, 0)]
        while stack:
            element, depth = stack.pop()
            if element.tag == "li":
                link = next((one for one in _elements(element) if one.tag in ("a", "span")), None)
                own = "".join(child for child in element.children if isinstance(child, str))
                yield _entry(depth, _text(link) if link else own, link.get("href") if link else "")
            inner = depth + 1 if element.tag == "ol" else depth
            if inner <= _DEEPEST:
                stack += [(child, inner) for child in reversed(list(_elements(element)))]


def _entry(depth: int, title: str, target: str) -> _Entry:
    path, _, fragment = target.partition("#")
    return _Entry(depth, clean_line(title), path, unquote(fragment))


def _elements(element: Element) -> Iterator[Element]:
    return (child for child in element.children if not isinstance(child, str))


def _text(element: Element) -> str:
    return " ".join("".join(c for e in element.elements() for c in e.children if isinstance(c, str)).split())


# --- the text ---------------------------------------------------------------------------------------------


def _write_pages(builder: DocumentBuilder, files: _Files, book: _Book) -> None:
    entries = _entries(files, book)
    _tell_parents(entries)
    by_file: dict[str, list[_Entry]] = {}
    for entry in entries:
        if entry.file:
            by_file.setdefault(entry.file, []).append(entry)
    shift = 0
    for name in book.pages:
        page = decode(files.read(name))
        if page.strip():
            shift = _write_one(builder, page, by_file.get(name, []), shift)


def _tell_parents(entries: list[_Entry]) -> None:
    open_entries: list[_Entry] = []
    for entry in entries:
        while open_entries and open_entries[-1].depth >= entry.depth:
            open_entries.pop()
        entry.above = open_entries[-1] if open_entries else None
        open_entries.append(entry)


def _write_one(builder: DocumentBuilder, page: str, entries: list[_Entry], shift: int) -> int:
    """Write a page of the book; by how much the levels of its headings grew, which a page without entries keeps."""
    own = read_page(page, with_lines=False, whole=True)
    levels = [block.level for block in own.blocks if block.kind == "heading"]
    first = min(entries, key=lambda entry: entry.depth) if entries else None
    if first is not None:
        _write_parts_above(builder, first)
        for entry in entries:
            entry.is_written = True
        if levels:
            shift = first.depth - min(levels)
        else:
            own = read_page(page, with_lines=False, whole=True, titles=_titles(entries, page))
            shift = 0
    write_page(builder, own, shift=shift)
    return shift


def _write_parts_above(builder: DocumentBuilder, entry: _Entry) -> None:
    """The headings of the parts that a chapter belongs to and that have no page of their own."""
    missing: list[_Entry] = []
    above = entry.above
    while above is not None and not above.is_written:
        missing.append(above)
        above.is_written = True
        above = above.above
    for part in reversed(missing):
        builder.heading(part.depth, part.title)


def _titles(entries: list[_Entry], page: str) -> dict[str, tuple[int, str]]:
    """The headings that the table of contents has for a page, by the ids at which they stand.

    The first is at the beginning where its id is nowhere; in front of it, a chapter may end that began in another file.
    """
    titles: dict[str, tuple[int, str]] = {}
    for number, entry in enumerate(entries):
        is_there = any(f"{quote}{entry.fragment}{quote}" in page for quote in "\"'")
        titles.setdefault(entry.fragment if number or is_there else "", (entry.depth, entry.title))
    return titles


# --- XML --------------------------------------------------------------------------------------------------


def _xml(content: bytes) -> etree._Element | None:
    if not content.strip():
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, recover=True)
    try:
        return etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _local(element: etree._Element) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _all(element: etree._Element | None, name: str) -> list[etree._Element]:
    """All elements of this local name below an element."""
    return [] if element is None else [one for one in element.iter() if _local(one) == name]


def _children(element: etree._Element | None, name: str) -> Iterator[etree._Element]:
    return iter(()) if element is None else (one for one in element if _local(one) == name)
