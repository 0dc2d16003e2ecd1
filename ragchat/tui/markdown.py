"""Markdown that a model wrote, as blocks of lines. Raw HTML is text, links only ask, `[n]` stands out; nothing can act.

Streaming needs no more than the last block to be read again: each block knows the source line it begins at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content, Span
from textual.style import Style

from ragchat.session.marked import plain_signs
from ragchat.text import clean
from ragchat.tui.lines import CODE, EMPTY, HEADING, INLINE_CODE, LINK, QUIET, Block, Element, Line
from ragchat.tui.tables import Table
from ragchat.tui.verdicts import cited, marks, with_marks

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

    from ragchat.tui.verdicts import CodeMark

_LONGEST_COLOURED = 20_000
_PART_LINES = 40
_BULLETS = "•◦▪"
_BLANKS = re.compile(r"\s+")
_STYLES = {"em_open": "italic", "strong_open": "bold", "s_open": "strike"}


class CodeBlock(NamedTuple):
    """A fenced or indented block as the model wrote it; `language` is empty when none was named."""

    language: str
    code: str


@cache
def parser() -> MarkdownIt:
    """A parser of GitHub's Markdown; HTML stays text."""
    from markdown_it import MarkdownIt

    return MarkdownIt("gfm-like", {"html": False})


def blocks(
    source: str,
    *,
    first_line: int = 0,
    growing: bool = False,
    ansi: bool = False,
    dark: bool = True,
    code_marks: Mapping[int, CodeMark] | None = None,
) -> list[Block]:
    """The blocks of `source`, which begins at line `first_line` of the whole text.

    `growing`: more is to come. Long code is then coloured in parts, which a string over many lines may spoil for the moment.
    `code_marks`: statements are marked in `source` (`annotations`), and these belong behind code blocks; None: they are not.
    """
    built: list[Block] = []
    for group in _groups(parser().parse(source)):
        builder = _Builder(growing=growing, ansi=ansi, dark=dark, code_marks=code_marks)
        elements = builder.build(group)
        items = builder.items or [(group[0].map[0] if group[0].map else 0, 0)]
        for number, ((line, begin), (_, end)) in enumerate(pairwise([*items, (0, len(elements))])):
            built.append(Block(first_line + line, elements[begin:end], gap=number == 0))
    return built


def code_blocks(source: str) -> list[CodeBlock]:
    """All code of `source`, in its order."""
    return [
        CodeBlock(token.info.split()[0] if token.info.split() else "", token.content)
        for token in parser().parse(source)
        if token.type in ("fence", "code_block")
    ]


def links(source: str) -> list[str]:
    """The addresses of all links and pictures, each once."""
    inline = (child for token in parser().parse(source) for child in token.children or ())
    hrefs = (str(child.attrs.get("href") or child.attrs.get("src") or "") for child in inline)
    return list(dict.fromkeys(href for href in hrefs if href))


def _groups(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    group: list[Token] = []
    depth = 0
    for token in tokens:
        group.append(token)
        depth += token.nesting
        if depth == 0:
            yield group
            group = []


@dataclass(slots=True)
class _Indent:
    """What is before the lines of a list item or a quotation: `first` once, then `rest`."""

    first: Content
    rest: Content
    used: bool = False


class _Builder:
    """Walks the tokens of one top-level block."""

    def __init__(
        self, *, growing: bool, ansi: bool, dark: bool, code_marks: Mapping[int, CodeMark] | None
    ) -> None:
        self._growing, self._ansi, self._dark, self._code_marks = growing, ansi, dark, code_marks
        self.items: list[tuple[int, int]] = []
        """Where each item of a top-level list begins: its source line and its first element."""
        self._elements: list[Element] = []
        self._indents: list[_Indent] = []
        self._numbers: list[int | None] = []
        self._gap = self._in_heading = False
        self._cells: list[list[Content]] = []
        """The rows of a table that is open."""
        self._aligns: list[str] = []

    def build(self, tokens: Sequence[Token]) -> list[Element]:
        takers: dict[str, Callable[[Token], None]] = {
            "inline": self._take_inline,
            "fence": self._emit_code,
            "code_block": self._emit_code,
            "heading_open": self._open_heading,
            "heading_close": self._close_heading,
            "paragraph_close": self._close_paragraph,
            "bullet_list_open": self._open_list,
            "ordered_list_open": self._open_list,
            "bullet_list_close": self._close_list,
            "ordered_list_close": self._close_list,
            "list_item_open": self._open_item,
            "list_item_close": self._close_item,
            "blockquote_open": self._open_quote,
            "blockquote_close": self._close_quote,
            "hr": self._emit_rule,
            "table_open": self._open_table,
            "tr_open": self._open_row,
            "th_open": self._open_heading_cell,
            "table_close": self._close_table,
        }
        for token in tokens:
            if (take := takers.get(token.type)) is not None:
                take(token)
        return self._elements

    def _take_inline(self, token: Token) -> None:
        content = inline_content(token)
        content = cited(content) if self._code_marks is None else with_marks(content)
        if self._cells:
            self._cells[-1].append(content)
        else:
            self._emit_text(content.stylize(HEADING) if self._in_heading else content)

    def _open_heading(self, _: Token) -> None:
        self._in_heading = True

    def _close_heading(self, _: Token) -> None:
        self._in_heading, self._gap = False, True

    def _close_paragraph(self, token: Token) -> None:
        self._gap = not token.hidden

    def _emit_rule(self, _: Token) -> None:
        self._emit(Line(EMPTY, kind="rule"))
        self._gap = True

    # --- lists and quotations -----------------------------------------------------------------------

    def _open_list(self, token: Token) -> None:
        ordered = token.type == "ordered_list_open"
        self._numbers.append(int(str(token.attrs.get("start", 1))) if ordered else None)

    def _close_list(self, _: Token) -> None:
        self._numbers.pop()
        self._gap = self._gap or not self._numbers

    def _open_item(self, token: Token) -> None:
        if token.level == 1 and token.map:
            self.items.append((token.map[0], len(self._elements)))
        number = self._numbers[-1]
        if number is None:
            depth = sum(other is None for other in self._numbers) - 1
            bullet = Content.styled(f"{_BULLETS[depth % len(_BULLETS)]} ", "$text-primary")
        else:
            self._numbers[-1] = number + 1
            bullet = Content.styled(f"{number}. ", "$text-primary")
        self._indents.append(_Indent(bullet, Content(" " * bullet.cell_length)))

    def _close_item(self, _: Token) -> None:
        if not self._indents[-1].used:
            self._emit(Line(EMPTY))
        self._indents.pop()

    def _open_quote(self, _: Token) -> None:
        bar = Content.styled("▌ ", "$text-primary 60%")
        self._indents.append(_Indent(bar, bar))

    def _close_quote(self, _: Token) -> None:
        self._indents.pop()

    # --- tables ---------------------------------------------------------------------------------------

    def _open_table(self, _: Token) -> None:
        self._cells, self._aligns = [], []

    def _open_row(self, _: Token) -> None:
        self._cells.append([])

    def _open_heading_cell(self, token: Token) -> None:
        self._aligns.append(str(token.attrs.get("style", "")).rpartition(":")[2] or "left")

    def _close_table(self, _: Token) -> None:
        self._emit_table(self._cells, self._aligns)
        self._cells = []

    # --- elements -------------------------------------------------------------------------------------

    def _prefixes(self) -> tuple[Content, Content]:
        if not self._indents:
            return EMPTY, EMPTY
        if self._gap:
            self._gap = False
            self._elements.append(Line(EMPTY, EMPTY.join(i.rest for i in self._indents if i.used).rstrip()))
        first = EMPTY.join(indent.rest if indent.used else indent.first for indent in self._indents)
        for indent in self._indents:
            indent.used = True
        return first, EMPTY.join(indent.rest for indent in self._indents)

    def _emit(self, line: Line) -> None:
        first, rest = self._prefixes()
        self._elements.append(replace(line, first=first, rest=rest))

    def _emit_text(self, content: Content) -> None:
        first, rest = self._prefixes()
        for piece in content.split("\n", allow_blank=True) if "\n" in content.plain else [content]:
            self._elements.append(Line(piece, first, rest))
            first = rest

    def _emit_code(self, token: Token) -> None:
        words = token.info.split()
        language = words[0] if words else ""
        code = clean(token.content).rstrip("\n")
        if not code.strip():
            return  # a fence that a model has only opened
        coloured = coloured_lines(code, language, in_parts=self._growing, ansi=self._ansi, dark=self._dark)
        known = (self._code_marks or {}).get(token.map[0] if token.map else -1)
        if known and known.struck:
            coloured = [line.stylize("strike") for line in coloured]
        self._emit(Line(Content.styled(f" {clean(language)[:40]}", QUIET), kind="label", fill=CODE))
        first, rest = self._prefixes()
        self._elements += [Line(line, first + " ", rest + " ", "code", CODE) for line in coloured]
        self._elements.append(Line(EMPTY, rest, kind="label", fill=CODE))
        if known:
            self._elements.append(Line(marks(known.verdicts), rest, kind="label"))
        self._gap = True

    def _emit_table(self, cells: list[list[Content]], aligns: list[str]) -> None:
        first, rest = self._prefixes()
        if first.plain != rest.plain:
            self._elements.append(Line(EMPTY, first))
        columns = len(aligns)
        rows = tuple((*row, *[EMPTY] * columns)[:columns] for row in cells)
        self._elements.append(Table(rows, tuple(aligns), rest))
        self._gap = True


@lru_cache(maxsize=256)
def _highlighted(code: str, language: str, ansi: bool, dark: bool) -> tuple[Content, ...]:
    from textual import highlight as colours

    theme: type[colours.HighlightTheme] = colours.HighlightTheme
    if ansi:
        theme = colours.ANSIDarkHighlightTheme if dark else colours.ANSILightHighlightTheme
    return tuple(colours.highlight(code, language=language, theme=theme).split("\n", allow_blank=True))


def coloured_lines(
    code: str, language: str, *, in_parts: bool = False, ansi: bool = False, dark: bool = True
) -> Sequence[Content]:
    """The lines of code with its syntax coloured; plain when it is very long or its language was not named."""
    if not language or len(code) > _LONGEST_COLOURED:
        return [Content(line) for line in code.split("\n")]
    if not in_parts:
        return _highlighted(code, language, ansi, dark)
    lines = code.split("\n")
    parts = ("\n".join(lines[i : i + _PART_LINES]) for i in range(0, len(lines), _PART_LINES))
    return [line for part in parts for line in _highlighted(part, language, ansi, dark)]


_BREAKS = {"softbreak": " ", "hardbreak": "\n"}


def inline_content(token: Token) -> Content:
    """Text with its emphasis, code and links. A link only asks: its action is `link(address)` of the widget."""
    pieces: list[str] = []
    spans: list[Span] = []
    opened: list[tuple[Style | str, int]] = []
    position = 0
    for child in token.children or ():
        kind, text = child.type, ""
        if kind == "text":
            text = _BLANKS.sub(" ", child.content)
        elif kind in _BREAKS:
            text = _BREAKS[kind]
        elif kind == "code_inline":
            text = plain_signs(clean(child.content))
            spans.append(Span(position, position + len(text), INLINE_CODE))
        elif kind == "image":
            text = plain_signs(f"🖼 {clean(child.content) or 'picture'}")
            spans += _link_spans(position, position + len(text), str(child.attrs.get("src", "")))
        elif kind in _STYLES:
            opened.append((_STYLES[kind], position))
        elif kind == "link_open":
            opened.append((f"link:{child.attrs.get('href', '')}", position))
        elif kind.endswith("_close") and opened:
            style, start = opened.pop()
            if isinstance(style, str) and style.startswith("link:"):
                spans += _link_spans(start, position, style.removeprefix("link:"))
            else:
                spans.append(Span(start, position, style))
        text = plain_signs(clean(text))
        pieces.append(text)
        position += len(text)
    return Content("".join(pieces), spans=spans)


def _link_spans(start: int, end: int, href: str) -> Iterable[Span]:
    return (Span(start, end, LINK), Span(start, end, Style.from_meta({"@click": f"link({href!r})"})))
