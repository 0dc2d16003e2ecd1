"""A web page's own content: the tree of the page is walked once and written block by block.

Navigation, scripts, permalinks and link targets go; what a user cannot see is left out and reported.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.web.blocks import (
    Block,
    Cell,
    Line,
    Page,
    Table,
    definition,
    indented,
    lowered,
    raised,
    write_blocks,
)
from ragchat.ingest.reading.web.parts import CHROME, DELETED, HIDDEN, NAMED, Parts
from ragchat.ingest.reading.web.tree import ROLE, SPACES, WORD_LIST, Element, parse_all
from ragchat.text import clean_line
from ragchat.types import ExtractedText, LeftOutKind

_INLINE = frozenset(
    """
    a abbr acronym audio b bdi bdo big blink button canvas cite code data datalist del dfn em embed font i img image input ins kbd
    label map area mark math meter nobr object output picture progress q rb rp rt rtc ruby s samp select slot small span
    spacer strike strong sub sup svg textarea time tt u var video wbr iframe basefont
    """.split()  # noqa: SIM905
)
_ENDS_HEADING = frozenset(
    "p ul ol dl table pre blockquote section article form hr h1 h2 h3 h4 h5 h6 details figure".split()  # noqa: SIM905
)
_LONGEST_TITLE_BLOCK = 300
"""Letters of a heading that is taken whole; a longer one is one whose end tag is missing."""
_DEEPEST = 40
"""Tables, cells and terms in each other; below, their text is written as if it stood in plain boxes."""
_SIGNATURE_LISTS = frozenset("py c cpp js std rst go php rb".split())  # noqa: SIM905
_JOINED = re.compile("[\u00ad\u200b\u2060\ufeff]")
_JOINING = str.maketrans("", "", "\u00ad\u200b\u2060\ufeff")
"""Soft hyphens and what else is in words unseen."""
_ONLY_BOXES = re.compile(r"(?:\[[x ]\] ?)+")
"""Boxes to tick without a word: a style sheet folds menus by them."""
_ROLES = {
    "heading": "heading",
    "table": "table",
    "grid": "table",
    "row": "tr",
    "cell": "td",
    "gridcell": "td",
    "columnheader": "th",
    "rowheader": "th",
}
_PRE_TAGS = frozenset(["pre", "listing", "xmp", "plaintext"])
_NOTE_NAMES = frozenset(["footnote-ref", "footnote-reference", "noteref"])
_TOLD_BY_TITLE = frozenset(["abbr", "acronym"])


def read_html(page: str) -> ExtractedText:
    """The page's own content, without navigation, scripts, permalinks and link targets."""
    builder = DocumentBuilder("text/html")
    read = read_page(page)
    write_page(builder, read)
    return builder.build(read.title)


def read_page(
    page: str,
    *,
    with_lines: bool = True,
    whole: bool = False,
    titles: Mapping[str, tuple[int, str]] | None = None,
) -> Page:
    """What is to be read of a page.

    `whole`: only menus are furniture. `titles` are headings, as (level, title), that the page lacks, by the id of the element in
    front of which they stand; "" represents the beginning.
    """
    with _without_collection():
        return _read(page, with_lines, whole, titles or {})


@contextmanager
def _without_collection() -> Iterator[None]:
    """No search for garbage while a tree of many small objects is made, none of which can go yet."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(page: str, with_lines: bool, whole: bool, titles: Mapping[str, tuple[int, str]]) -> Page:
    parts = Parts(parse_all(page, with_lines=with_lines), page, whole=whole)
    walk = _Walk(parts, with_lines=with_lines, titles=titles)
    blocks = walk.blocks()
    if not blocks and parts.root.letters:
        walk = _Walk(parts, with_lines=with_lines, titles=titles, reads_buttons=True)
        blocks = walk.blocks()
    title = parts.title if parts.title.strip() else parts.meta.get("og:title", "")
    if not title.strip():
        title = next((b.text for b in blocks if b.kind == "heading" and b.level == 1), "")
    left_out = walk.left_out
    parts.forget()
    if not whole:
        blocks += _description(parts.meta, blocks)
        left_out += [
            (LeftOutKind.PROPERTY, name)
            for name in ("author", "copyright")
            if parts.meta.get(name, "").strip()
        ]
    return Page(title.translate(_JOINING), blocks, left_out)


def write_page(builder: DocumentBuilder, page: Page, *, shift: int = 0) -> None:
    """Write a page that was read; the level of each heading grows by `shift`."""
    write_blocks(builder, page.blocks, shift=shift)
    for kind, name in page.left_out:
        builder.leave_out(kind, name)


def _description(meta: Mapping[str, str], blocks: list[Block]) -> Iterator[Block]:
    """What the head says of the page, where the page does not say it itself."""
    said = ""
    for label, names in (
        ("Description", ("description", "og:description", "dc.description")),
        ("Keywords", ("keywords",)),
    ):
        text = clean_line(next((meta[name] for name in names if meta.get(name, "").strip()), ""))
        if text:
            said = said or "\n".join(block.text for block in blocks)
            if text not in said:
                yield Block("paragraph", ((f"{label}: {text}", 0),))


@dataclass(slots=True)
class _Sink:
    """Where blocks go: the page, a cell, a term. Lists begin again in each."""

    owner: Element
    blocks: list[Block] = field(default_factory=list)
    lists: list[_List] = field(default_factory=list)
    mark: tuple[int, str] | None = None
    terms: list[Line] = field(default_factory=list)
    defines: bool = False
    """The last block is a definition to which another may be added."""
    adds: bool = False


@dataclass(slots=True)
class _List:
    element: Element
    number: int
    style: str
    step: int


class _Walk:
    """One walk over the tree, from the first element to the last; deep pages need no deep stack."""

    def __init__(
        self,
        parts: Parts,
        *,
        with_lines: bool,
        titles: Mapping[str, tuple[int, str]],
        reads_buttons: bool = False,
    ) -> None:
        self.left_out: list[tuple[LeftOutKind, str]] = []
        self._parts = parts
        self._with_lines = with_lines
        self._reads_buttons = reads_buttons
        self._titles = dict(titles)
        self._due: list[tuple[int, str]] = []
        self._line = 0
        self._pieces: list[str] = []
        self._starts = [0]
        self._sinks = [_Sink(parts.root)]
        self._tables: list[Table] = []
        self._signatures: list[Element] = []
        self._heading: Element | None = None
        self._heading_level = 0
        self._keeps_lines = 0
        self._behind_link = -1
        self._explained: set[str] = set()
        self._last_picture = ""

    def blocks(self) -> list[Block]:
        """The blocks of the page."""
        if "" in self._titles:
            self._due.append(self._titles.pop(""))
        element = self._parts.root
        children = iter(element.children)
        above: list[tuple[Element, Iterator[Element | str]]] = []
        while True:
            for child in children:
                if isinstance(child, str):
                    self._text(child, element)
                elif self._enter(child):
                    if child.hints and _keeps_lines(child):
                        self._keeps_lines += 1
                    above.append((element, children))
                    element, children = child, iter(child.children)
                    break
            else:
                self._leave(element)
                if element.hints and _keeps_lines(element):
                    self._keeps_lines -= 1
                if not above:
                    break
                element, children = above.pop()
        self._flush()
        self._emit_terms()
        return self._sinks[0].blocks

    # --- text ---------------------------------------------------------------------------------------------

    def _text(self, text: str, parent: Element) -> None:
        lines = text.count("\n") if self._with_lines else 0
        if text.isspace():
            if self._pieces and self._keeps_lines and "\n" in text:
                self._break_line()
            elif self._pieces:
                self._pieces.append(" ")
        elif parent.unseen:
            self._leave_out(LeftOutKind.HIDDEN_TEXT)
        else:
            if not self._starts[-1]:
                self._starts[-1] = self._line + (_lines_in_front(text) if lines else 0)
            if self._keeps_lines:
                self._add_lines(text)
            else:
                self._pieces.append(text.replace("\n", " "))
        self._line += lines

    def _add_lines(self, text: str) -> None:
        first, *rest = text.split("\n")
        self._pieces.append(first)
        for number, part in enumerate(rest, 1):
            self._break_line(self._line + number if self._with_lines else 0)
            self._pieces.append(part)

    def _break_line(self, line: int = 0) -> None:
        self._pieces.append("\n")
        self._starts.append(line)

    def _add(self, text: str) -> None:
        """A piece within a line that is not the page's own text as it stands."""
        if text.strip() and not self._starts[-1]:
            self._starts[-1] = self._line
        self._pieces.append(text.replace("\n", " "))

    def _before(self) -> str:
        """The end of what is in the line so far."""
        return "".join(self._pieces[-8:])

    def _taken(self) -> list[Line]:
        """What was collected, by lines; '' where a line was empty. White space is folded."""
        text = "".join(self._pieces)
        if not text.isascii() and _JOINED.search(text):
            text = text.translate(_JOINING)
        starts = self._starts
        if len(starts) == 1:
            lines = [(" ".join(text.split()), starts[0])]
        else:
            parts = text.split("\n")
            lines = [(" ".join(line.split()), start) for line, start in zip(parts, starts, strict=True)]
        self._pieces, self._starts = [], [0]
        self._behind_link = -1
        return lines

    # --- blocks -------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """End the block that is being collected."""
        if not self._pieces:
            return
        lines = self._taken()
        full = [line for line in lines if line[0]] if len(lines) > 1 or not lines[0][0] else lines
        if not full:
            return
        sink = self._sinks[-1]
        if self._heading is not None:
            self._emit(
                Block("heading", ((" ".join(text for text, _ in full), full[0][1]),), self._heading_level)
            )
            self._heading = None
        elif sink.mark is not None:
            depth, mark = sink.mark
            self._emit(Block("item", tuple(full), depth, mark))
        elif len(lines) == 1:
            self._emit_paragraph(lines)
        else:
            for group in _groups(lines):
                self._emit_paragraph(group)

    def _emit_paragraph(self, lines: list[Line]) -> None:
        sink = self._sinks[-1]
        if len(self._sinks) == 1 and len(lines) == 1 and _ONLY_BOXES.fullmatch(lines[0][0]):
            return
        if sink.terms:
            terms, sink.terms = sink.terms, []
            self._emit(definition(terms, lines))
            sink.defines = True
        elif sink.adds:
            last = sink.blocks.pop()
            sink.blocks.append(last._replace(lines=(*last.lines, *indented(lines))))
            sink.adds, sink.defines = False, True
        else:
            self._emit(Block("paragraph", tuple(lines)))

    def _emit(self, block: Block) -> None:
        sink = self._sinks[-1]
        sink.mark, sink.adds, sink.defines = None, False, False
        if sink.terms:
            self._emit_terms()
        if self._due and len(self._sinks) == 1:
            block = self._with_titles(block)
        sink.blocks.append(block)

    def _emit_terms(self) -> None:
        sink = self._sinks[-1]
        if sink.terms:
            sink.blocks.append(Block("paragraph", tuple(sink.terms)))
            sink.terms = []

    def _with_titles(self, block: Block) -> Block:
        """The headings that are due go in front of a block, unless it is one of them, in other marks."""
        due, self._due = self._due, []
        for level, title in due:
            if _same(title, block.text) and block.kind in ("paragraph", "heading"):
                return Block("heading", ((block.text, block.lines[0][1]),), level)
            self._sinks[-1].blocks.append(Block("heading", ((title, block.lines[0][1]),), level))
        return block

    def _boundary(self, element: Element | None = None) -> None:
        """A block begins or ends here."""
        if self._heading is None:
            if self._pieces:
                self._flush()
        elif element is not None and element.tag in _ENDS_HEADING and self._ends_heading():
            self._flush()
            self._heading = None
        else:
            self._pieces.append(" ")

    def _ends_heading(self) -> bool:
        has_text = any(not piece.isspace() for piece in self._pieces if piece)
        return has_text or (self._heading is not None and self._heading.letters > _LONGEST_TITLE_BLOCK)

    def _leave_out(self, kind: LeftOutKind, name: str = "") -> None:
        self.left_out.append((kind, name))

    # --- elements -----------------------------------------------------------------------------------------

    def _enter(self, element: Element) -> bool:
        """Begin an element; whether its children are walked."""
        if element.line and self._with_lines:
            self._line = element.line
        if element.skip and not self._parts.is_read(element):
            self._skip(element)
            return False
        if self._titles:
            self._look_for_title(element)
        tag = _tag_of(element) if element.hints & ROLE else element.tag
        return _ENTER.get(tag, _Walk._enter_box)(self, element)

    def _enter_inline(self, element: Element) -> bool:
        if element.is_block:
            self._boundary(element)
        return not element.hints & WORD_LIST or self._enter_word_item(element)

    def _enter_box(self, element: Element) -> bool:
        tag = element.tag
        if "-" in tag:
            self._pieces.append(" ")  # a custom element: nobody knows whether it is a box
        elif (self._pieces or self._heading is not None) and ":" not in tag:
            self._boundary(element)
        return not element.hints & WORD_LIST or self._enter_word_item(element)

    def _leave(self, element: Element) -> None:
        if element is self._heading:
            self._flush()
            self._heading = None
        else:
            tag = _tag_of(element) if element.hints & ROLE else element.tag
            _LEAVE.get(tag, _Walk._leave_box)(self, element)

    def _leave_inline(self, element: Element) -> None:
        if element.is_block:
            self._boundary()

    def _leave_box(self, element: Element) -> None:
        tag = element.tag
        if "-" in tag:
            self._pieces.append(" ")
        elif (self._pieces or self._heading is not None) and ":" not in tag:
            self._boundary()

    def _enter_word_item(self, element: Element) -> bool:
        """Items of lists in pages that Word wrote: paragraphs with a level, and their marks in a box of their own."""
        style = element.get("style").lower()
        depth = (self._sinks[-1].mark or (0, "-"))[0]
        if "mso-list:ignore" in style:
            text = " ".join(_all_text(element).split())
            self._sinks[-1].mark = (depth, text if any(map(str.isalnum, text[:4])) and len(text) < 8 else "-")
            return False
        if level := re.search(r"\blevel(\d)\b", style):
            self._sinks[-1].mark = (max(0, int(level[1]) - 1), "-")
        return True

    def _look_for_title(self, element: Element) -> None:
        title = self._titles.pop(element.get("id") or element.get("name"), None)
        if title is not None:
            self._flush()
            self._due.append(title)

    def _skip(self, element: Element) -> None:
        if element.skip in (HIDDEN, DELETED):
            if any(True for _ in _strings(element)):
                self._leave_out(
                    LeftOutKind.HIDDEN_TEXT if element.skip == HIDDEN else LeftOutKind.DELETED_TEXT
                )
        elif element.skip in (CHROME, NAMED) and element.letters:
            self._leave_out(LeftOutKind.FURNITURE)
        elif element.tag == "svg":
            for below in element.elements():
                if below.tag == "image" and _picture_kind(below, "") == "untold":
                    self._leave_out(LeftOutKind.PICTURE, _file_name(_source_of(below)))
        elif element.tag in ("video", "audio"):
            self._leave_out(LeftOutKind.SOUND, _file_name(element.get("src")))
        elif element.tag == "script" and element.get("type").startswith("math/tex"):
            self._add(f" {_all_text(element)} ")
        if element.tag not in _INLINE:
            self._boundary()

    # --- headings and paragraphs --------------------------------------------------------------------------

    def _enter_heading(self, element: Element) -> bool:
        self._boundary(element)
        if self._heading is None and not _is_box_title(element):
            level = element.get("aria-level")
            self._heading = element
            if element.tag[1:].isdigit():
                self._heading_level = int(element.tag[1:])
            else:
                self._heading_level = int(level) if level in "123456" and level else 2
        return True

    def _enter_break(self, element: Element) -> bool:
        if self._heading is not None:
            self._pieces.append(" ")
        else:
            self._break_line()
        return False

    def _enter_pre(self, element: Element) -> bool:
        self._boundary(element)
        self._flush()
        text = _preformatted(element)
        lines = text.split("\n")
        first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
        start = element.line + first if self._with_lines else 0
        kept = lines[first:]
        while kept and not kept[-1].strip():
            kept.pop()
        if kept:
            self._emit(
                Block(
                    "code", tuple((line, start + n) for n, line in enumerate(kept)), mark=_language(element)
                )
            )
        if self._with_lines:
            self._line += text.count("\n")
        return False

    # --- lists --------------------------------------------------------------------------------------------

    def _enter_list(self, element: Element) -> bool:
        self._boundary(element)
        start = element.get("start").strip()
        is_reversed = "reversed" in element.attributes
        number = _number_of_items(element) if is_reversed else 1
        if start.lstrip("-").isdecimal():
            number = int(start[:9])
        style = _list_style(element) if element.tag == "ol" else "-"
        self._sinks[-1].lists.append(_List(element, number, style, -1 if is_reversed else 1))
        return True

    def _leave_list(self, element: Element) -> None:
        self._boundary()
        lists = self._sinks[-1].lists
        if lists and lists[-1].element is element:
            lists.pop()

    def _enter_item(self, element: Element) -> bool:
        self._boundary(element)
        sink = self._sinks[-1]
        if not sink.lists:
            sink.mark = (0, "-")
            return True
        one = sink.lists[-1]
        value = element.get("value").strip()
        if value.isdecimal():
            one.number = int(value[:9])
        sink.mark = (len(sink.lists) - 1, _mark(one.number, one.style))
        one.number += one.step
        return True

    def _leave_item(self, element: Element) -> None:
        self._boundary()
        self._sinks[-1].mark = None

    # --- definitions --------------------------------------------------------------------------------------

    def _enter_definitions(self, element: Element) -> bool:
        self._boundary(element)
        if not _SIGNATURE_LISTS.isdisjoint(element.names):
            self._signatures.append(element)
        return True

    def _leave_definitions(self, element: Element) -> None:
        self._boundary()
        self._emit_terms()
        self._sinks[-1].defines = False
        if self._signatures and self._signatures[-1] is element:
            self._signatures.pop()

    def _enter_term(self, element: Element) -> bool:
        self._boundary(element)
        if element.parent is self._top_signature() and any("sig" in name for name in element.names):
            # The signature of a function or a class heads what is said of it, methods below their class.
            self._heading, self._heading_level = element, min(6, 4 + len(self._signatures))
        else:
            self._open(element)
        return True

    def _top_signature(self) -> Element | None:
        return self._signatures[-1] if self._signatures else None

    def _leave_term(self, element: Element) -> None:
        self._boundary()
        blocks = self._close(element)
        if blocks is None:
            return
        sink = self._sinks[-1]
        sink.defines = False
        if all(block.kind in ("paragraph", "item") for block in blocks):
            sink.terms += [line for block in blocks for line in block.lines]
        else:
            for block in blocks:
                self._emit(block)

    def _enter_definition(self, element: Element) -> bool:
        self._boundary(element)
        sink = self._sinks[-1]
        sink.adds = sink.defines and not sink.terms
        return True

    def _leave_definition(self, element: Element) -> None:
        self._boundary()
        self._sinks[-1].adds = False

    # --- tables -------------------------------------------------------------------------------------------

    def _open(self, element: Element) -> bool:
        """Collect the blocks of an element by themselves."""
        if len(self._sinks) >= _DEEPEST:
            return False
        self._sinks.append(_Sink(element))
        return True

    def _close(self, element: Element) -> list[Block] | None:
        """The blocks of an element; None when it does not collect any."""
        if self._sinks[-1].owner is not element or len(self._sinks) == 1:
            return None
        self._emit_terms()
        return self._sinks.pop().blocks

    def _enter_table(self, element: Element) -> bool:
        self._boundary(element)
        self._flush()
        self._heading = None
        if len(self._sinks) < _DEEPEST:
            self._tables.append(Table(element))
        return True

    def _leave_table(self, element: Element) -> None:
        self._boundary()
        if not self._tables or self._tables[-1].element is not element:
            return
        for block in self._tables.pop().blocks():
            self._emit(block)

    def _enter_row(self, element: Element) -> bool:
        self._boundary(element)
        if self._tables and len(self._sinks) < _DEEPEST:
            self._tables[-1].rows.append([])
            self._tables[-1].lines.append(self._line)
        return True

    def _enter_cell(self, element: Element) -> bool:
        self._boundary(element)
        if self._tables:
            self._open(element)
        return True

    def _leave_cell(self, element: Element) -> None:
        self._boundary()
        blocks = self._close(element)
        if blocks is None:
            return
        table = self._tables[-1]
        if element.tag == "caption":
            table.caption += blocks
            return
        if not table.rows:
            table.rows.append([])
            table.lines.append(self._line)
        table.rows[-1].append(Cell(element, blocks))

    # --- within a line ------------------------------------------------------------------------------------

    def _enter_link(self, element: Element) -> bool:
        if self._behind_link == len(self._pieces):
            self._pieces.append(" ")
        if element.is_block:
            self._boundary(element)
        if element.raw and _is_note_mark(element) and (mark := _short_text(element)):
            self._add(raised(self._before(), mark, is_note=True))
            return False
        return True

    def _leave_link(self, element: Element) -> None:
        if element.is_block:
            self._boundary()
        self._behind_link = len(self._pieces)

    def _enter_raised(self, element: Element) -> bool:
        text = _short_text(element)
        if text is None:
            return True
        if text.strip():
            written = raised if element.tag == "sup" else None
            before = self._before()
            if written is None:
                self._add(lowered(before, text))
            else:
                self._add(written(before, text, is_note=_holds_note_mark(element)))
        return False

    def _enter_quote(self, element: Element) -> bool:
        self._add("“")
        return True

    def _leave_quote(self, element: Element) -> None:
        self._add("”")

    def _leave_abbreviation(self, element: Element) -> None:
        meaning = clean_line(element.get("title"))
        short = " ".join(_all_text(element).split())
        if not meaning or short in self._explained or len(meaning) > 120 or not any(map(str.isalpha, short)):
            return
        self._explained.add(short)
        if meaning.casefold() != short.casefold() and meaning[:1].isalpha():
            self._add(f" ({meaning})")

    def _enter_ruby(self, element: Element) -> bool:
        base = "".join(
            text for text, above in _strings_with_parent(element) if above not in ("rt", "rp", "rtc")
        )
        reading = "".join(text for text, above in _strings_with_parent(element) if above in ("rt", "rtc"))
        base, reading = base.strip(), reading.strip()
        self._add(f"{base}({reading})" if reading else base)
        return False

    def _enter_math(self, element: Element) -> bool:
        self._add(f" {_formula(element)} ")
        return False

    def _enter_svg(self, element: Element) -> bool:
        texts = [
            " ".join(_all_text(e).split()) for e in element.elements() if e.tag in ("text", "title", "desc")
        ]
        foreign = [e for e in element.elements() if e.tag.lower() == "foreignobject"]
        texts += [" ".join(_all_text(e).split()) for e in foreign]
        self._add(f" [Picture: {'; '.join(text for text in texts if text)}] ")
        return False

    def _enter_image(self, element: Element) -> bool:
        alternative = " ".join((element.get("alt") or element.get("title")).split())
        kind = _picture_kind(element, alternative)
        if kind == "told" and alternative != self._last_picture:
            self._add(f" [Picture: {alternative}] ")
            self._last_picture = alternative
        elif kind == "text":
            self._add(alternative)
        elif kind == "untold":
            self._leave_out(LeftOutKind.PICTURE, _file_name(_source_of(element)))
        return False

    def _enter_embedded(self, element: Element) -> bool:
        source = element.get("data") or element.get("src")
        if source and not element.children and element.get("width") not in ("0", "1"):
            self._leave_out(LeftOutKind.OBJECT, element.get("title") or _file_name(source))
        if element.tag == "iframe":
            self._boundary(element)
        return True

    # --- forms --------------------------------------------------------------------------------------------

    def _enter_button(self, element: Element) -> bool:
        if element.is_block:
            self._boundary(element)
        self._pieces.append(" ")
        return self._heading is not None or self._reads_buttons or _is_content(element)

    def _leave_spaced(self, element: Element) -> None:
        self._pieces.append(" ")
        if element.is_block:
            self._boundary()

    def _enter_label(self, element: Element) -> bool:
        self._pieces.append(" ")
        return True

    def _enter_input(self, element: Element) -> bool:
        kind = element.get("type").lower()
        if kind in ("checkbox", "radio") and element.get("role") != "button":
            self._add(" [x] " if "checked" in element.attributes else " [ ] ")
        elif kind not in ("checkbox", "hidden", "submit", "button", "reset", "image", "password", "file"):
            self._add(f" {element.get('value')} ")
        return False

    def _enter_select(self, element: Element) -> bool:
        options: list[str] = []
        for below in element.elements():
            if below.tag == "optgroup" and below.get("label"):
                options.append(f"{below.get('label')}:")
            elif below.tag == "option":
                options.append(" ".join(_all_text(below).split()) or below.get("label") or below.get("value"))
        self._add(f" {', '.join(option for option in options if option)} ".replace(":,", ":"))
        return False

    def _enter_textarea(self, element: Element) -> bool:
        self._boundary(element)
        lines = _all_text(element).split("\n")
        for number, text in enumerate(lines):
            if number:
                self._break_line()
            self._add(text)
            self._line += self._with_lines and number < len(lines) - 1
        self._boundary()
        return False

    def _enter_option_group(self, element: Element) -> bool:
        self._boundary(element)
        self._add(element.get("label"))
        return True


_Enter = Callable[[_Walk, Element], bool]
_Leave = Callable[[_Walk, Element], None]
_ENTER: dict[str, _Enter] = {
    **dict.fromkeys(_INLINE, _Walk._enter_inline),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), _Walk._enter_heading),
    **dict.fromkeys(_PRE_TAGS, _Walk._enter_pre),
    **dict.fromkeys(("ul", "ol", "menu", "dir"), _Walk._enter_list),
    **dict.fromkeys(("td", "th", "caption"), _Walk._enter_cell),
    **dict.fromkeys(("sup", "sub"), _Walk._enter_raised),
    **dict.fromkeys(("img", "image"), _Walk._enter_image),
    **dict.fromkeys(("object", "embed", "iframe", "frame"), _Walk._enter_embedded),
    **dict.fromkeys(("select", "datalist"), _Walk._enter_select),
    "heading": _Walk._enter_heading,
    "br": _Walk._enter_break,
    "li": _Walk._enter_item,
    "dl": _Walk._enter_definitions,
    "dt": _Walk._enter_term,
    "dd": _Walk._enter_definition,
    "table": _Walk._enter_table,
    "tr": _Walk._enter_row,
    "a": _Walk._enter_link,
    "q": _Walk._enter_quote,
    "ruby": _Walk._enter_ruby,
    "math": _Walk._enter_math,
    "svg": _Walk._enter_svg,
    "button": _Walk._enter_button,
    "label": _Walk._enter_label,
    "input": _Walk._enter_input,
    "textarea": _Walk._enter_textarea,
    "optgroup": _Walk._enter_option_group,
}
_LEAVE: dict[str, _Leave] = {
    **dict.fromkeys(_INLINE, _Walk._leave_inline),
    **dict.fromkeys(("ul", "ol", "menu", "dir"), _Walk._leave_list),
    **dict.fromkeys(("td", "th", "caption"), _Walk._leave_cell),
    **dict.fromkeys(_TOLD_BY_TITLE, _Walk._leave_abbreviation),
    "li": _Walk._leave_item,
    "dl": _Walk._leave_definitions,
    "dt": _Walk._leave_term,
    "dd": _Walk._leave_definition,
    "table": _Walk._leave_table,
    "a": _Walk._leave_link,
    "q": _Walk._leave_quote,
    "button": _Walk._leave_spaced,
    "label": _Walk._leave_spaced,
}


def _tag_of(element: Element) -> str:
    """The tag that an element represents: a box may have the role of a cell or a heading."""
    return _ROLES.get(element.get("role"), element.tag)


# --- what an element says ---------------------------------------------------------------------------------


def _strings_with_parent(element: Element) -> Iterator[tuple[str, str]]:
    """The texts below an element that are read, each with the tag it is in."""
    for below, text in _walked(element):
        yield text, below.tag


def _walked(element: Element) -> Iterator[tuple[Element, str]]:
    stack: list[tuple[Element, Iterator[Element | str]]] = [(element, iter(element.children))]
    while stack:
        above, children = stack[-1]
        for child in children:
            if isinstance(child, str):
                yield above, child
            elif not child.skip or child.tag == "rp":
                stack.append((child, iter(child.children)))
                break
        else:
            stack.pop()


def _all_text(element: Element) -> str:
    return "".join(text for _, text in _walked(element))


def _strings(element: Element) -> Iterator[str]:
    """Texts below an element that are more than white space."""
    return (text for _, text in _walked(element) if not text.isspace())


def _short_text(element: Element) -> str | None:
    """The text of a small element without pictures and breaks; None for others."""
    text = ""
    for number, below in enumerate(element.elements()):
        if number > 8 or below.tag in ("img", "br", "math", "p", "div"):
            return None
        if below.skip == HIDDEN or below.skip == DELETED or below.unseen:
            return None
    text = _all_text(element)
    return text if len(text) <= 40 else None


def _is_note_mark(element: Element) -> bool:
    """Whether a link calls a note by a number or a sign."""
    return element.letters <= 6 and (
        not _NOTE_NAMES.isdisjoint(element.names)
        or ("noteref" in element.raw and "noteref" in f"{element.get('epub:type')} {element.get('role')}")
    )


def _holds_note_mark(element: Element) -> bool:
    """Whether a superscript calls a note: it is a link within the page, or says so."""
    for number, below in enumerate(element.elements()):
        if number > 8:
            break
        told = f"{below.get('epub:type')} {below.get('role')} {' '.join(below.names)}"
        if "noteref" in told or "footnote" in told or "reference" in told.split():
            return True
        if below.tag == "a" and "#" in below.get("href"):
            return True
    return element.parent is not None and element.parent.tag == "a" and "#" in element.parent.get("href")


def _preformatted(element: Element) -> str:
    """The text as it is set, with a line for each block in it."""
    parts: list[str] = []
    stack: list[Element | str] = [element]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            parts.append(one)
        elif one.tag == "br":
            parts.append("\n")
        elif not one.skip and (one.tag != "button" or _is_content(one)):
            if one.tag in ("div", "p", "li", "tr") and one is not element:
                if parts and not parts[-1].endswith("\n"):
                    parts.append("\n")
                stack.append("\n")
            stack.extend(reversed(one.children))
    return "".join(parts).replace("\xa0", " ")


_LANGUAGE = re.compile(
    r"(?:language|lang|highlight-source|highlight|brush:?|sourcecode)[-:]?([a-z][a-z0-9+#]{0,19})$"
)
_NO_LANGUAGE = frozenset(["default", "none", "text", "plaintext", "plain", "notranslate", "block"])


def _language(element: Element) -> str:
    """The language that a class promises, on the block, in it, or on the two boxes around it."""
    inner = [child for child in element.children[:3] if not isinstance(child, str)]
    around = [element.parent, element.parent.parent if element.parent is not None else None]
    for one in (element, *inner, *around):
        for name in one.names if one is not None else ():
            found = _LANGUAGE.match(name)
            if found and found[1] not in _NO_LANGUAGE:
                return "python" if found[1] in ("python3", "pycon", "ipython3") else found[1]
    return ""


_BOX_TITLES = frozenset(
    """
    note notes tip tips caution warning important danger attention hint remark
    hinweis anmerkung tipp achtung warnung vorsicht wichtig
    remarque astuce avertissement prudence
    nota consejo advertencia precaución atención importante suggerimento avvertenza attenzione
    opmerking waarschuwing tips obs varning uwaga ostrzeżenie wskazówka примечание внимание 注意 注 备注 警告 提示 ヒント 重要
    """.split()  # noqa: SIM905
)
"""What stands over a box within a section. It heads the box alone, not what follows behind it."""
_LONGEST_BOX_TITLE = 16


def _is_box_title(element: Element) -> bool:
    if element.letters > _LONGEST_BOX_TITLE:
        return False
    return "".join(_all_text(element)).strip(" \n:!").casefold() in _BOX_TITLES


def _keeps_lines(element: Element) -> bool:
    if not element.hints & SPACES:
        return False
    style = element.get("style")
    return bool(re.search(r"white-space\s{0,3}:\s{0,3}pre", style))


def _lines_in_front(text: str) -> int:
    """How many line ends are in front of the first word."""
    return text[: len(text) - len(text.lstrip())].count("\n")


_LIST_STYLES = {
    "lower-alpha": "a",
    "lower-latin": "a",
    "upper-alpha": "A",
    "upper-latin": "A",
    "lower-roman": "i",
    "upper-roman": "I",
}
_LIST_STYLE = re.compile(r"list-style(?:-type)?\s{0,3}:\s{0,3}([a-z-]{1,30})")
_ROMAN = ((100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))


def _list_style(element: Element) -> str:
    styled = _LIST_STYLE.search(element.get("style").lower())
    return _LIST_STYLES.get(styled[1], "") if styled else element.get("type")


def _number_of_items(element: Element) -> int:
    return sum(not isinstance(child, str) and child.tag == "li" for child in element.children)


def _mark(number: int, style: str) -> str:
    if style == "-":
        return "-"
    if style in ("a", "A") and 1 <= number <= 26:
        return f"{chr(ord(style) + number - 1)}."
    if style in ("i", "I") and 1 <= number < 400:
        roman = ""
        for value, sign in _ROMAN:
            count, number = divmod(number, value)
            roman += sign * count
        return f"{roman if style == 'i' else roman.upper()}."
    return f"{number}."


def _groups(lines: list[Line]) -> Iterator[list[Line]]:
    """Paragraphs: runs of lines between empty ones."""
    group: list[Line] = []
    for line in lines:
        if line[0]:
            group.append(line)
        elif group:
            yield group
            group = []
    if group:
        yield group


def _same(one: str, other: str) -> bool:
    return "".join(filter(str.isalnum, one)).casefold() == "".join(filter(str.isalnum, other)).casefold()


_DULL = frozenset(
    "image photo picture img icon logo spacer bullet blank pixel arrow cover note tip warning important caution".split()  # noqa: SIM905
)
_PICTURE_FILE = re.compile(r"[^\s]{1,200}\.(?:jpe?g|png|gif|svg|webp|bmp|tiff?)$", re.IGNORECASE)


def _picture_kind(element: Element, alternative: str) -> str:
    """How a picture is read: "told" by its alternative text, as "text" of the line, "untold" (reported), or not at all."""
    sizes = [element.get(name).removesuffix("px") for name in ("width", "height")]
    if any(size.isdecimal() and int(size[:6]) <= 2 for size in sizes):
        return ""
    is_small = any(size.isdecimal() and int(size[:6]) <= 32 for size in sizes)
    if not alternative:
        is_decoration = (
            "alt" in element.attributes or is_small or element.get("role") in ("presentation", "none")
        )
        return "" if is_decoration else "untold"
    names = " ".join(element.names)
    if len(alternative) == 1 or any(word in names for word in ("emoji", "math", "latex", "tex")):
        return "text"
    if not any(map(str.isalpha, alternative)):
        return "text"
    if alternative.strip("[]()").lower() in _DULL or _PICTURE_FILE.fullmatch(alternative):
        return "" if is_small else "untold"
    return "" if is_small and "icon" in names else "told"


def _source_of(picture: Element) -> str:
    return picture.get("src") or picture.get("href") or picture.get("xlink:href")


def _file_name(source: str) -> str:
    """The name of the file that a source leads to; '' for one that is held in the page."""
    if source.startswith("data:"):
        return ""
    return unquote(source.partition("?")[0].rstrip("/").rpartition("/")[2])[:200]


_OPENS = re.compile(
    r"accordion|collaps|question|faq|spoiler|expand|(?:^|[-_])tabs?(?:$|[-_]|link|button|item)"
)
_SERVES = re.compile(r"nav|menu|close|copy|icon")


def _is_content(button: Element) -> bool:
    """Whether a button opens or holds text; others (Copy, Close) only serve."""
    if "aria-expanded" in button.attributes or "aria-controls" in button.attributes:
        return True
    if button.get("role") == "tab" or any(
        name.startswith(("data-toggle", "data-bs-toggle")) for name in button.attributes
    ):
        return True
    if any(_OPENS.search(name) and not _SERVES.search(name) for name in button.names):
        return True
    above = button.parent
    if above is not None and above.tag in ("summary", "dt", "legend", "caption", "th"):
        return True
    return button.prose > 0 or any(not isinstance(c, str) and c.tag not in _INLINE for c in button.children)


def _formula(element: Element) -> str:
    """A formula as TeX, once: what the author noted, or what the marks of MathML say."""
    for below in element.elements():
        if below.tag == "annotation" and "tex" in below.get("encoding"):
            return " ".join(_all_text(below).split())
    told = element.get("alttext")
    return " ".join(told.split()) if told else " ".join(_linear(element).split())


_BETWEEN = {"msup": "^", "msub": "_", "mfrac": "/", "mover": "^", "munder": "_"}


def _linear(element: Element) -> str:
    """MathML on one line: "x^2", "a/b"."""
    parts: list[str] = []
    stack: list[Element | str] = [element]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            parts.append(one.strip())
        elif one.tag not in ("annotation", "annotation-xml"):
            between = _BETWEEN.get(one.tag, " " if one.tag in ("mtr", "mtd", "mtext") else "")
            children = [child for child in one.children if not isinstance(child, str) or child.strip()]
            for number, child in enumerate(reversed(children)):
                stack.append(child)
                if between and number < len(children) - 1:
                    stack.append(between)
    return "".join(parts)
