"""XML as text: manuals (DocBook, TEI, DITA, FictionBook) as headings and paragraphs, data as records of "name: value" lines."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.entities import html5
from typing import Any

from lxml import etree

from ragchat.errors import IngestError
from ragchat.ingest.encoding import decode, source_text
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.plain.records import RANK_OF_IDS, Record, is_encoded, rank_of
from ragchat.ingest.wire import LONGEST_TITLE
from ragchat.text import clean_line
from ragchat.types import ExtractedText, LeftOutKind

_DECLARATION = re.compile(r"\s*+<\?xml[^<>]{0,300}\?>")
_ENTITY = re.compile(r"<!ENTITY\s++([\w.:-]{1,100})\s++(?:\"([^\"<&%]{0,500})\"|'([^'<&%]{0,500})')\s*+>")
_OWN_REFERENCE = re.compile(r"&([A-Za-z_][\w.:-]{0,100});")
_MOST_GROWTH = 1_000_000
"""Characters by which entities may make a text longer."""
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,30});")
_XML_NAMES = frozenset({"amp", "lt", "gt", "quot", "apos"})
_STRAY = re.compile(r"&(?!(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[A-Za-z_:][\w:.-]{0,60});)|<(?![A-Za-z_/!?])")
_TAG = re.compile(r"<[^<>]*+>")
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[A-Za-z]\w{1,30});")
_HTML = re.compile(
    r"</?(?:p|br|div|a|b|i|em|strong|ul|ol|li|img|h[1-6]|table|span|blockquote|pre|code)\b[^<>]{0,2000}>",
    re.I,
)
_BESIDE_MARK = re.compile(r"\s?\x00\s?")
_BLANKS = re.compile(r"\s+")
_WRAPPER = "fragment"
_BREAK = "\u2028"
"""Where a block ends in a text that is gathered; no text has it, `source_text` sees to that."""
_LEAST_KEPT = 0.97
"""Of what a broken file holds; with less in the tree it is kept as it is."""
_DEEPEST_PREFIX = 8
_LONGEST_LABEL = 120

_PROSE_ROOTS = frozenset(
    """
    article book chapter section sect1 part appendix preface refentry set topic concept task reference dita TEI TEI.2
    FictionBook html rfc teiCorpus
    """.split()  # noqa: SIM905
)
_PARAGRAPHS = frozenset(
    "para simpara p formalpara ab subtitle v text-author t shortdesc lg l abstract".split()  # noqa: SIM905
)
_ITEMS = frozenset("listitem li item step callout member cmd".split())  # noqa: SIM905
_VERBATIM = frozenset(
    "programlisting screen literallayout pre codeblock sourcecode artwork synopsis msgblock address".split()  # noqa: SIM905
)
_TITLES = frozenset({"title", "head"})
_TABLES = frozenset({"table", "informaltable"})
_ROWS = frozenset({"row", "tr", "strow", "sthead"})
_CELLS = frozenset({"entry", "td", "th", "cell", "stentry"})
_BLOCKS = _PARAGRAPHS | _ITEMS | _VERBATIM | _TITLES | _ROWS | {"br", "lb", "empty-line", "entry", "td", "th"}
_ASIDES = frozenset({"footnote", "fn", "note"})
"""What stands within a text without being part of its sentences."""
_READINGS = frozenset({"corr", "reg", "expan"})
"""The second of two readings in TEI."""
_NUMBERED_LISTS = frozenset({"orderedlist", "ol", "procedure", "steps", "substeps"})
_BOXES = frozenset(
    """
    figure table example informalfigure note tip warning caution important sidebar procedure equation variablelist
    itemizedlist orderedlist blockquote poem stanza cite fig biblioentry bibliomixed biblioset qandaset
    """.split()  # noqa: SIM905
)
"""What has a title that heads no section."""
_PICTURES = frozenset({"imagedata", "graphic", "image", "inlinegraphic"})
_HEAD_PARTS = frozenset(
    {"info", "bookinfo", "articleinfo", "chapterinfo", "sectioninfo", "description", "title-info"}
)
_TEXT_ATTRIBUTES = frozenset("alt title label summary caption name value text desc description".split())  # noqa: SIM905
_NO_ATTRIBUTES = frozenset({"schemaLocation", "noNamespaceSchemaLocation", "space", "base"})
_SVG = "{http://www.w3.org/2000/svg}"
_NAMING = ("name", "key", "id")
"""Attributes that say which of its kind an element with text is."""
_TOGETHER = frozenset({"tuv", "seg", "source", "target", "note"})
"""Elements that are no records although there are several: the languages of one sentence."""


def read_xml(data: bytes) -> ExtractedText:
    """The text of an XML file.

    Entities that it defines as plain text are read as that text; others stay as their names, since what is built of others can
    grow without end. A file that is too broken is kept as it is, with its tags.
    """
    text = source_text(decode(data)).lstrip("\ufeff")
    if "<!ENTITY" in text:
        text = _with_plain_entities(text)
    if "&" in text:
        text = _NAMED.sub(_character, text)
    root = _parsed(text)
    if root is None:
        return _as_it_is(text)
    builder = DocumentBuilder("application/xml")
    for comment in _comments_around(root):
        builder.lines(comment)
    if _is_prose(root):
        _ProseReader(builder).read(root)
        return _unless_empty(builder.build(_title_of_prose(root)), text)
    _DataReader(builder, has_escapes=_name(root) == "resources").read(root)
    return _unless_empty(replace(builder.build(), title=_title_of_data(root)), text)


_ANDROID = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
"""Escapes in the texts of Android's programs."""


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else {"n": "\n", "t": " "}.get(match[2], match[2])


def _character(match: re.Match[str]) -> str:
    """A character by the name that HTML gives it, which XML does not know."""
    return match[0] if match[1] in _XML_NAMES else html5.get(f"{match[1]};", match[0])


def _unless_empty(document: ExtractedText, text: str) -> ExtractedText:
    return document if document.text.strip() or document.left_out else _as_it_is(text)


def _as_it_is(text: str) -> ExtractedText:
    decoded = _REFERENCE.sub(lambda match: _BLANKS.sub(" ", html.unescape(match[0])), text)
    return ExtractedText(source_text(decoded), "application/xml", source_lines=True)


# --- parsing ------------------------------------------------------------------------------------------------


def _with_plain_entities(text: str) -> str:
    """The text with its own entities as what they stand for; a name that represents no plain text is kept as it is written."""
    values = {match[1]: match[2] or match[3] or "" for match in _ENTITY.finditer(text)}
    begins = text.rfind("<!ENTITY")
    head, body = text[:begins], text[begins:]
    room = _MOST_GROWTH

    def value(match: re.Match[str]) -> str:
        nonlocal room
        name = match[1]
        if name in _XML_NAMES or (name not in values and f"{name};" in html5):
            return match[0]
        known = values.get(name)
        if known is None or len(known) > room:
            return f"&amp;{name};"
        room -= len(known)
        return known

    return head + _OWN_REFERENCE.sub(value, body)


def _parser(*, recover: bool) -> Any:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        recover=recover,
        remove_pis=True,
        load_dtd=False,
    )


def _parsed(text: str) -> Any:
    """The root of the tree; None for what is no XML, or loses too much on the way."""
    try:
        return etree.fromstring(text.encode(), _parser(recover=False))
    except etree.XMLSyntaxError:
        pass
    declaration = _DECLARATION.match(text)
    body = text[declaration.end() :] if declaration else text
    lines_above = text[: declaration.end()].count("\n") if declaration else 0
    if "<!DOCTYPE" not in body:
        body = f"<{_WRAPPER}>{body}</{_WRAPPER}>"  # there may be many roots, as in logs
    try:
        root = etree.fromstring(("\n" * lines_above + _repaired(body)).encode(), _parser(recover=True))
    except etree.XMLSyntaxError:
        return None
    if root is None or not len(root):
        return None
    kept = sum(len("".join(part.split())) for part in _texts(root))
    whole = len("".join(html.unescape(_TAG.sub("", _without_comments(body))).split()))
    if kept < _LEAST_KEPT * whole:
        return None
    return root[0] if root.tag == _WRAPPER and len(root) == 1 and not (root[0].tail or "").strip() else root


def _repaired(text: str) -> str:
    """Bare ampersands and angle brackets as references, outside of CDATA."""
    kept = []
    position = 0
    while (start := text.find("<![CDATA[", position)) >= 0 and (end := text.find("]]>", start)) >= 0:
        kept += [_STRAY.sub(_reference, text[position:start]), text[start : end + 3]]
        position = end + 3
    return "".join([*kept, _STRAY.sub(_reference, text[position:])])


def _reference(match: re.Match[str]) -> str:
    return "&amp;" if match[0] == "&" else "&lt;"


def _without_comments(text: str) -> str:
    kept = []
    position = 0
    while (start := text.find("<!--", position)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[position:start])
        position = end + 3
    return "".join([*kept, text[position:]])


def _texts(root: Any) -> Iterator[str]:
    for node in root.iter():
        if isinstance(node.tag, str):
            yield node.text or ""
        elif node.tag is etree.Entity:
            yield html.unescape(node.text or "")
        if node is not root:
            yield node.tail or ""


# --- what elements say ----------------------------------------------------------------------------------------


def _name(node: Any) -> str:
    """The element's name without its namespace; '' for comments and the like."""
    tag = node.tag
    if not isinstance(tag, str):
        return ""
    return tag.rpartition("}")[2] if tag[0] == "{" else tag


def _kids(element: Any) -> list[Any]:
    return [kid for kid in element if isinstance(kid.tag, str)]


def _totals(element: Any) -> dict[str, int] | None:
    """How many children of each name have more than text in them; None for an element that is read as one text."""
    if not len(element) or (element.text and not element.text.isspace()):
        return None
    totals: dict[str, int] = {}
    has_kids = False
    for kid in element:
        tag = kid.tag
        if kid.tail and not kid.tail.isspace():
            return None
        if isinstance(tag, str):
            has_kids = True
            if len(kid) or kid.keys():
                totals[tag] = totals.get(tag, 0) + 1
    return totals if has_kids else None


def _is_mixed(element: Any) -> bool:
    """Whether text and elements alternate in it, so that its elements are marks within a text."""
    return bool((element.text or "").strip()) or any((kid.tail or "").strip() for kid in element)


def _gathered(element: Any, *, verbatim: bool = False) -> str:
    """All text in an element; white space is folded except in listings, blocks in it are lines of their own."""
    if not len(element):
        text: str = element.text or ""
        return text.strip("\n") if verbatim else text
    pieces: list[str] = []
    exact = int(verbatim)
    has_exact = verbatim
    asides = 0
    for event, node in etree.iterwalk(element, events=("start", "end", "comment", "pi")):
        name = _name(node) if node is not element else ""
        if name in _ASIDES or (name in _READINGS and _name(node.getparent()) == "choice"):
            asides += 1 if event == "start" else -1
            pieces.append(" [\x00" if event == "start" else "\x00]")
        elif name == "lb" and node.get("break") == "no":
            _join_word(pieces)
        elif name in _BLOCKS:
            pieces.append(" " if asides else _BREAK)
        if event == "start":
            exact += name in _VERBATIM
            has_exact = has_exact or name in _VERBATIM
            pieces.append(_folded(node.text, exact))
            continue
        exact -= name in _VERBATIM and event == "end"
        if node is not element:
            pieces.append(_folded(node.tail, exact))
    text = _BESIDE_MARK.sub("", "".join(pieces)).replace(_BREAK, "\n")
    if verbatim:
        return text.strip("\n")
    if not has_exact:
        text = _MANY_BLANKS.sub(" ", text)
    return "\n".join(line for line in text.split("\n") if line.strip()).strip()


_MANY_BLANKS = re.compile(r"  +")


def _join_word(pieces: list[str]) -> None:
    """Take away the hyphen and the space with which a word was broken."""
    if pieces and pieces[-1]:
        pieces[-1] = pieces[-1].rstrip().removesuffix("-")


def _folded(text: str | None, exact: int) -> str:
    if not text:
        return ""
    return text if exact else _BLANKS.sub(" ", text)


def _comment_lines(comment: Any) -> list[tuple[str, int]]:
    """What a comment says, each line with its line in the file."""
    lines = (comment.text or "").split("\n")
    return [
        (words, comment.sourceline - len(lines) + 1 + number if comment.sourceline else 0)
        for number, line in enumerate(lines)
        if (words := line.strip().strip("-=*~#").strip())
    ]


def _comments_around(root: Any) -> Iterator[list[tuple[str, int]]]:
    """The comments before and behind the root."""
    around = [*reversed(list(root.itersiblings(preceding=True))), *root.itersiblings()]
    for node in around:
        if node.tag is etree.Comment and (lines := _comment_lines(node)):
            yield lines


def _attributes(element: Any, *, only_texts: bool = False) -> dict[str, str]:
    """The attributes that say something, by their names without namespaces."""
    found: dict[str, str] = {}
    if isinstance(element.tag, str) and element.tag.startswith(_SVG):
        return found  # places, paths and colours
    for key, value in element.items():
        name = key.rpartition("}")[2]
        is_text = name in _TEXT_ATTRIBUTES or (" " in value.strip() and any(map(str.isalpha, value)))
        if (
            value.strip()
            and name not in _NO_ATTRIBUTES
            and (is_text or not only_texts)
            and not is_encoded(value)
        ):
            found[name] = clean_line(value)
    return found


# --- manuals ------------------------------------------------------------------------------------------------


def _is_prose(root: Any) -> bool:
    """Whether it is a text to read from top to bottom rather than data."""
    if _name(root) in _PROSE_ROOTS:
        return True
    counts = Counter(_name(node) for node in root.iter(etree.Element))
    paragraphs = sum(counts[name] for name in _PARAGRAPHS)
    return paragraphs >= 3 and paragraphs * 4 >= sum(counts.values())


@dataclass(slots=True)
class _Open:
    """An element whose children are being read."""

    kids: Iterator[Any]
    name: str = ""
    level: int = 0
    prefix: str = ""
    record: Record = field(default_factory=lambda: Record(()))
    owner: Record | None = None
    counts: dict[str, int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    label: str = ""


class _ProseReader:
    """Headings, paragraphs, listings, tables and items in their order."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder
        self._pictures: set[str] = set()

    def read(self, root: Any) -> None:
        stack = [_Open(iter([root]), level=0)]
        while stack:
            node = next(stack[-1].kids, None)
            if node is None:
                stack.pop()
            elif (opened := self._visit(node, stack[-1])) is not None:
                stack.append(opened)

    def _visit(self, node: Any, above: _Open) -> _Open | None:  # noqa: C901
        """Write an element, or say what is to be read of it."""
        name = _name(node)
        if node.tag is etree.Comment:
            self._builder.lines(_comment_lines(node))
        if not name:
            return None
        if name in _PICTURES or name == "binary":
            self._leave_out(node, name)
        for key, value in _attributes(node, only_texts=True).items():
            self._builder.paragraph(f"{key}: {value}", line=node.sourceline or 0)
        if name in _TABLES and any(_name(row) in _ROWS for row in node.iter(etree.Element)):
            self._table(node)
        elif name in _TITLES:
            self._title(node, above)
        elif name in _VERBATIM:
            self._builder.code(
                _gathered(node, verbatim=True), node.get("language", ""), line=node.sourceline or 0
            )
        elif name in _ITEMS and not _holds_blocks(node):
            self._builder.item(_gathered(node), mark=_mark(above), line=node.sourceline or 0)
        elif name == "binary":
            return None
        elif not len(node) or _is_mixed(node) or name in _PARAGRAPHS or _is_line(node):
            self._paragraph(node, name, above)
        else:
            is_section = name not in _BOXES and name not in _HEAD_PARTS and _has_title(node)
            label = _mark(above) if name in _ITEMS else ""
            return _Open(iter(node), name, above.level + is_section, label=label)
        self._inner_comments(node)
        return None

    def _title(self, node: Any, above: _Open) -> None:
        title = clean_line(_gathered(node))
        if above.name in _BOXES or len(title) > 300:
            self._builder.paragraph(title, line=node.sourceline or 0)
        else:
            self._builder.heading(max(1, above.level), title, line=node.sourceline or 0)

    def _paragraph(self, node: Any, name: str, above: _Open) -> None:
        if name not in _PARAGRAPHS and not _is_mixed(node):
            text = " ".join(kid.text or "" for kid in node) if len(node) else node.text or ""
        else:
            text = _gathered(node)
        if not len(node):
            text = _BLANKS.sub(" ", text)
        if above.label:  # the first paragraph of an item that holds more
            self._builder.item(text.strip(), mark=above.label, line=node.sourceline or 0)
            above.label = ""
        else:
            self._builder.paragraph(text.strip(), line=node.sourceline or 0)

    def _table(self, node: Any) -> None:
        for kid in node:
            if _name(kid) in _TITLES or _name(kid) in ("caption", "textobject"):
                self._builder.paragraph(_gathered(kid), line=kid.sourceline or 0)
        rows, lines = [], []
        for row in node.iter(etree.Element):
            if _name(row) in _ROWS:
                rows.append([_gathered(cell) for cell in row if _name(cell) in _CELLS])
                lines.append(row.sourceline or 0)
        self._builder.table(rows, row_lines=lines)

    def _leave_out(self, node: Any, name: str) -> None:
        link = next(
            (
                value
                for key, value in node.attrib.items()
                if key.rpartition("}")[2] in ("fileref", "href", "src", "id")
            ),
            "",
        )
        link = link.removeprefix("#")
        if link and link in self._pictures:
            return
        self._pictures.add(link)
        self._builder.leave_out(LeftOutKind.PICTURE, link or name)

    def _inner_comments(self, node: Any) -> None:
        for comment in node.iter(etree.Comment) if len(node) else ():
            self._builder.lines(_comment_lines(comment))


def _mark(above: _Open) -> str:
    """What is before an item: its number in a numbered list."""
    if above.name not in _NUMBERED_LISTS:
        return "-"
    above.counts["item"] = above.counts.get("item", 0) + 1
    return f"{above.counts['item']}."


def _has_title(node: Any) -> bool:
    return any(
        _name(kid) in _TITLES or (_name(kid) in _HEAD_PARTS and any(_name(inner) in _TITLES for inner in kid))
        for kid in node
    )


def _title_of_prose(root: Any) -> str:
    """The title that FictionBook has apart from the text; elsewhere it is the first heading."""
    found = next((node for node in root.iter(etree.Element) if _name(node) == "book-title"), None)
    return "" if found is None else clean_line(_gathered(found))


def _is_line(node: Any) -> bool:
    """Whether an element holds nothing but short parts of one line, as the names of an author."""
    return all(
        isinstance(kid.tag, str)
        and not len(kid)
        and len(kid.text or "") < 80
        and _name(kid) not in _BLOCKS | _PICTURES
        for kid in node
    )


def _holds_blocks(node: Any) -> bool:
    """Whether an item holds more than text: listings, tables, items of its own."""
    names = {_name(inner) for inner in node.iter(etree.Element) if inner is not node}
    return not names.isdisjoint(_ITEMS | _VERBATIM | _TABLES | _PICTURES)


# --- data -----------------------------------------------------------------------------------------------------


class _DataReader:
    """A line for each element that holds a value; elements that occur several times are records."""

    def __init__(self, builder: DocumentBuilder, *, has_escapes: bool = False) -> None:
        self._builder = builder
        self._has_escapes = has_escapes

    def read(self, root: Any) -> None:
        record = Record(())
        stack = [_Open(iter([root]), record=record)]
        while stack:
            node = next(stack[-1].kids, None)
            if node is None:
                done = stack.pop()
                if done.owner is not None and done.record is not done.owner:
                    done.record.flush(self._builder)
            elif (opened := self._visit(node, stack[-1], len(stack))) is not None:
                stack.append(opened)
        record.flush(self._builder)

    def _visit(self, node: Any, above: _Open, depth: int) -> _Open | None:
        if node.tag is etree.Comment:
            above.record.lines += [(f"// {words}", line) for words, line in _comment_lines(node)]
            return None
        name = _name(node)
        if not name or (name in ("style", "script") and node.tag.startswith(_SVG)):
            return None
        if pair := _pair(node):
            self._write(*pair, node, above)
            return None
        totals = _totals(node)
        if totals is not None:
            opened = self._container(node, name, above, depth)
            opened.totals = totals
            return opened
        self._leaf(node, name, above)
        for comment in node.iter(etree.Comment) if len(node) else ():
            above.record.lines += [(f"// {words}", line) for words, line in _comment_lines(comment)]
        return None

    def _container(self, node: Any, name: str, above: _Open, depth: int) -> _Open:
        owner = record = above.record
        label = above.label or name
        prefix = label if not above.prefix else f"{above.prefix}.{label}"
        if prefix.count(".") >= _DEEPEST_PREFIX:
            prefix = ".".join(prefix.split(".")[-_DEEPEST_PREFIX // 2 :])
        if depth == 1:
            prefix = ""
        number = above.counts[name] = above.counts.get(name, 0) + 1
        if above.totals.get(node.tag, 0) > 1 and name not in _TOGETHER and _is_rich(node):
            record.flush(self._builder)
            record, prefix = Record(record.inside(name), number), ""
        elif depth == 2 and not owner.number:
            record.flush(self._builder)
            record = Record((label,))
        attributes = _attributes(node)
        for key, value in attributes.items():
            record.consider(key, value)
        if attributes:
            record.write(f"{prefix or name}: {_listed(attributes)}", node.sourceline or 0)
        above.label = ""
        return _Open(iter(node), name, prefix=prefix, record=record, owner=owner)

    def _write(self, key: str, text: str, node: Any, above: _Open) -> None:
        """A value by the name that is beside it."""
        above.record.consider(key, text)
        key = f"{above.prefix}.{key}" if above.prefix else key
        above.record.write(f"{key}: {text}" if text else key, node.sourceline or 0)

    def _leaf(self, node: Any, name: str, above: _Open) -> None:
        text = _text_of(node)
        if self._has_escapes and "\\" in text:
            text = _ANDROID.sub(_unescaped, text)
        attributes = _attributes(node)
        if is_encoded(text):
            self._builder.leave_out(LeftOutKind.OBJECT, f"encoded data, {len(text):,} characters")
            text = ""
        if name == "key" and not attributes and above.name == "dict":  # a property list
            above.label = clean_line(text, limit=_LONGEST_LABEL)
            return
        if above.name == "dict" and name in ("true", "false"):
            text = name
        label, above.label = above.label or name, ""
        above.record.consider(f"{above.prefix}.{label}" if above.prefix else label, text)
        key = f"{above.prefix}.{label}" if above.prefix else label
        if text and (naming := next((one for one in _NAMING if one in attributes), "")):
            key = f"{key} {attributes.pop(naming)}"
        if not text:
            for one, value in attributes.items():
                above.record.consider(f"{label}.{one}", value)
        if not text and not attributes and node.tag.startswith(_SVG):
            return
        rest = _listed(attributes)
        value = text + (f" ({rest})" if rest else "") if text else rest
        above.record.write(f"{key}: {value}" if value else key, node.sourceline or 0)


_PAIRS = ({"key", "value"}, {"name", "value"})


def _pair(node: Any) -> tuple[str, str] | None:
    """What an element that holds nothing but a key and its value says."""
    if len(node) != 2 or node.keys() or any(len(kid) or not isinstance(kid.tag, str) for kid in node):
        return None
    first, second = node
    if {_name(first).lower(), _name(second).lower()} not in _PAIRS or _name(first).lower() == "value":
        return None
    key = clean_line(first.text or "", limit=_LONGEST_LABEL)
    return (key, _text_of(second)) if key and not (first.keys() or second.keys()) else None


def _is_rich(node: Any) -> bool:
    return len(node) > 1 or any(len(kid) for kid in node)


def _listed(attributes: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in attributes.items())


def _text_of(node: Any) -> str:
    """The text of an element, its lines without the indentation; HTML in it is read as HTML."""
    text = _gathered(node)
    if "<" in text and _HTML.search(text):
        text = _page(text)
    if "\n" not in text:
        return text.strip()
    return "\n".join(stripped for line in text.split("\n") if (stripped := line.strip()))


def _page(text: str) -> str:
    from ragchat.ingest.reading.web.page import read_html

    try:
        return read_html(f"<html><body>{text}</body></html>").text or text
    except IngestError:
        return text


def _title_of_data(root: Any) -> str:
    """What the file calls itself: the title or name right below its root, or below its root's only child."""
    kids = _kids(root)
    tops = (
        [root, kids[0]]
        if kids and (len(kids) == 1 or _name(kids[0]) in ("channel", "header", "info", "head"))
        else [root]
    )
    named = (
        (rank_of(_name(kid).lower()), clean_line(_gathered(kid), limit=LONGEST_TITLE))
        for top in tops
        for kid in _kids(top)
        if not len(kid)
    )
    rank, title = min(named, default=(99, ""), key=lambda one: one[0])
    return title if rank < RANK_OF_IDS else ""
