"""The structure of a document's text: blocks (headings, paragraphs, rows, code), each with the headings above it.

One scanner for each kind of structure (`formats.structure_of`). Linear in the length of the text; it cuts and changes nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Literal, NamedTuple

from ragchat.ingest.definitions import Definition, definitions, python_definitions
from ragchat.ingest.formats import structure_of
from ragchat.ingest.tables import (
    TEXT_RULE,
    Table,
    asciidoc_end,
    asciidoc_table,
    directive_end,
    directive_table,
    drawn_table,
    html_table,
    separated_names,
    simple_table_end,
    spaced_table,
)
from ragchat.text import clean_line
from ragchat.types import ExtractedText, Section

Path = tuple[str, ...]
"""Headings from the outermost inwards."""
BlockKind = Literal["heading", "prose", "lines"]
LONGEST_HEADING = 160
PART_MARK = " › "
"""Between the name of a part and that of a part of it."""


class Block(NamedTuple):
    """Stretch of text that belongs together. Blocks of the same `section` stand under the same headings.

    `columns` names the columns of a table whose first rows do so, '' for what is no table; `rows` are where its rows begin, ()
    where each line is one. `part` counts the parts of the document: 0 is its own text. `apart` is that of its section.
    """

    first: int
    last: int
    kind: BlockKind
    path: Path
    section: int
    columns: str = ""
    part: int = 0
    apart: bool = False
    rows: tuple[int, ...] = ()


def first_heading(text: str, media_type: str) -> str:
    """The first heading near the beginning of a text, or ''."""
    match structure_of(media_type):
        case "markdown":
            blocks = _scan_markdown(text[:4000])
        case "rst" | "text":
            blocks = _scan_underlined(text[:4000])  # a numbered title names a section, not the text
        case _:
            return ""
    return next((block.path[-1] for block in blocks if block.kind == "heading" and block.path), "")


def scan_blocks(document: ExtractedText) -> Iterator[Block]:
    """The blocks of a document and of the parts inside it, in order."""
    if not document.parts:
        yield from _scan(document)
        return
    starts = [0, *(part.first for part in document.parts)]
    firsts = [section.first for section in document.sections]
    section = 0
    for number, first in enumerate(starts):
        last = starts[number + 1] if number + 1 < len(starts) else len(document.text)
        part = document.parts[number - 1] if number else None
        known = document.sections[bisect_left(firsts, first) : bisect_left(firsts, last)]
        inside = ExtractedText(
            document.text[first:last],
            part.media_type if part else document.media_type,
            sections=tuple(replace(one, first=one.first - first) for one in known),
        )
        base, section = section + 1, section + 1
        for block in _scan(inside):
            section = base + block.section
            path = (part.name, *_inner(block.path, part.name)) if part else block.path
            yield block._replace(
                first=block.first + first,
                last=block.last + first,
                path=path,
                section=section,
                part=number,
                rows=tuple(row + first for row in block.rows),
            )


def _inner(path: Path, name: str) -> Path:
    """A path without the headings that the name of its part says already: "mail › table.csv" for a part of a part."""
    said = name.split(PART_MARK)
    length = 0
    while length < len(path) and length < len(said) and path[length] == said[length]:
        length += 1
    return path[length:]


def _scan(document: ExtractedText) -> Iterator[Block]:
    text = document.text
    if document.sections:
        return _scan_markdown(text, document.sections, has_bare_rows="tex" in document.media_type)
    match structure_of(document.media_type):
        case "markdown" | "org":
            return _scan_markdown(text)
        case "rst":
            return _scan_underlined(text)
        case "text":
            return _scan_underlined(text, {**_worded_titles(text), **_numbered_titles(text)})
        case "pages":
            return _scan_pages(text)
        case "python":
            return _scan_code(text, python_definitions(text))
        case "code":
            return _scan_code(text, definitions(text))
        case "rows":
            return _scan_rows(text, "\t" if "tab" in document.media_type else ",")
        case "lines":
            return _scan_lines(text)


class _Outline:
    """The headings above the current line."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []
        self.section = 0
        self.path: Path = ()
        self.apart = False

    def enter(self, level: int, title: str) -> None:
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        if title:
            self._open.append((level, title))
        self.section += 1
        self.path = tuple(title for _, title in self._open)

    def stand_under(self, section: Section) -> None:
        """What follows is in this section."""
        self.section += 1
        self.path, self.apart = section.path, section.apart

    def block(self, first: int, last: int, kind: BlockKind, columns: str = "") -> Block:
        return Block(first, last, kind, self.path, self.section, columns, 0, self.apart)

    def table(self, first: int, last: int, table: Table) -> Block:
        """The block of a table, of which the rows count from `first`."""
        rows = tuple(first + row for row in table.rows)
        return self.block(first, last, "lines", _named(table.names))._replace(rows=rows)


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """(offset, line) without the line ends."""
    offset = 0
    for line in text.split("\n"):
        yield offset, line
        offset += len(line) + 1


_FENCE = re.compile(r"[ \t]*+(?:>[ \t]*+)*+(?:[-*+][ \t]++)?(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]++(.*))?$")
_CLOSING = re.compile(r"(?:^|[ \t])#+[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_ITEM = re.compile(r"[ \t]*+(?:[-*+•]|\d{1,3}[.)])[ \t]")
_INLINE = re.compile(
    r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\])|<(/?[a-zA-Z][^<>]*)>|\{#[\w-]+\}"
)
_EMPHASIS = re.compile(r"(\*{1,3}|__?|`+|~~)(?=\S)([^*_`~]+)(?<=\S)\1(?!\w)")


def plain_heading(markup: str) -> str:
    """A heading without Markdown's marks, on one line."""
    title = _INLINE.sub(lambda match: match[1] or "", markup)
    title = _EMPHASIS.sub(r"\2", title).replace("\\", "").rstrip("¶ \t")
    return clean_line(title, limit=LONGEST_HEADING)


class _Headings:
    """Sections that a reader knew, met one after the other as lines go by."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self._ahead = deque(sections)

    def met_at(self, last: int) -> Section | None:
        """The section that begins at or before `last`, if one does."""
        met = None
        while self._ahead and self._ahead[0].first <= last:
            met = self._ahead.popleft()
        return met


def _is_title(line: str, path: Path) -> bool:
    """Whether a line is the heading that its section begins with, whatever marks stand around it."""
    if not path:
        return False
    title, bare = path[-1].removesuffix("…").strip(), clean_line(line)
    return bool(title) and title in bare and (len(bare) < len(title) + 40 or path[-1].endswith("…"))


_ORG_FACTS = re.compile(r"(?:#\+\w++:[^\n]*+\n?)++|:PROPERTIES:[ \t]*+\n(?::[^\n]*+\n)*+:END:[ \t]*+\n?")


class _Markdown:
    """The state of a scan: the block being read, and where in the outline it stands."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.outline = _Outline()
        self.start, self.end, self.height = -1, 0, 0
        self.kind: BlockKind = "prose"
        self.fence = ""
        self.columns = ""
        self.skip = 0
        self.has_bare_rows = False
        self._closed = True

    def html_table(self, offset: int, line: str) -> Block | None:
        """The table of HTML that begins at a line, which goes to the end of the line that closes it."""
        if not self._closed or line.lstrip()[:6].lower() != "<table":
            return None
        end = self.text.find("</table>", offset)
        if end < 0:
            self._closed = False
            return None
        line_end = self.text.find("\n", end)
        self.skip = len(self.text) if line_end < 0 else line_end
        last = offset + len(self.text[offset : self.skip].rstrip())
        return self.outline.table(offset, last, html_table(self.text[offset:last]))

    def flush(self) -> Iterator[Block]:
        """The block that was being read, if one was."""
        if self.start >= 0 and (block := self.text[self.start : max(self.end, self.start)]).strip():
            yield self._read(block)
        self.start, self.columns = -1, ""

    def _read(self, block: str) -> Block:
        last = max(self.end, self.start)
        lines = block.split("\n")
        is_drawn = not self.columns and len(lines) > 2 and any(map(TEXT_RULE.match, lines[:4]))
        if is_drawn and (table := drawn_table(lines)):
            return self.outline.table(self.start, last, table)
        # What is said of the document or of a headline leads to what follows, as a heading does.
        kind = "heading" if block[0] in "#:" and _ORG_FACTS.fullmatch(block) else self.kind
        if self.has_bare_rows and kind == "prose" and _are_rows(lines):
            return self.outline.block(self.start, last, "lines", _column_names(lines[0], "|"))
        return self.outline.block(self.start, last, kind, self.columns)

    def take(self, offset: int, last: int, line: str, kind: BlockKind) -> Iterator[Block]:
        """Add a line to the block being read, which ends before it when it is of another kind."""
        if self.start >= 0 and kind != self.kind and self.height:
            yield from self.flush()
        if self.start < 0:
            self.start, self.kind, self.height = offset, kind, 0
            if _ITEM.match(line):
                self.height = 3  # an item is no heading, whatever stands below it
        self.end, self.height = last, self.height + 1


def _scan_markdown(  # noqa: C901, PLR0915
    text: str, sections: Sequence[Section] = (), *, has_bare_rows: bool = False
) -> Iterator[Block]:
    """Markdown; with `sections` its headings are these and no marks make others.

    `has_bare_rows`: lines whose cells are separated by bars are a table without a rule, too.
    """
    state = _Markdown(text)
    state.has_bare_rows = has_bare_rows
    outline, known = state.outline, _Headings(sections)
    front_matter = not sections and text.startswith("---\n") and "\n---" in text[3:20_000]
    for offset, line in lines_of(text):
        if offset < state.skip:
            continue
        last = offset + len(line.rstrip())
        bare = line.strip()
        if front_matter:
            state.start, state.end, state.kind = (0, last, "heading")
            front_matter = offset == 0 or bare not in ("---", "...")
            continue
        if sections and (met := known.met_at(offset + len(line))) is not None:
            yield from state.flush()
            state.fence = ""
            outline.stand_under(met)
            if _is_title(line, met.path):
                yield outline.block(offset, last, "heading")
                continue
        if state.fence:
            state.end = max(state.end, last)
            if bare.lstrip("> ").startswith(state.fence) and not bare.lstrip("> ").strip(state.fence[0]):
                yield from state.flush()
                state.fence = ""
            continue
        if not bare:
            yield from state.flush()
            continue
        if fenced := _FENCE.match(line):
            yield from state.flush()
            state.start, state.end, state.kind, state.fence = offset, last, "lines", fenced[1]
            continue
        if not sections and not (state.start >= 0 and state.kind == "lines" and bare[0] == "|"):
            if atx := _ATX.match(line):
                yield from state.flush()
                outline.enter(len(atx[1]), plain_heading(_CLOSING.sub("", atx[2] or "")))
                yield outline.block(offset, last, "heading")
                continue
            if (
                state.start >= 0
                and state.kind == "prose"
                and state.height <= 2
                and (setext := _SETEXT.match(line))
            ):
                outline.enter(1 if setext[1][0] == "=" else 2, plain_heading(text[state.start : state.end]))
                yield outline.block(state.start, last, "heading")
                state.start = -1
                continue
        if bare[0] == "<" and (table := state.html_table(offset, line)):
            yield from state.flush()
            yield table
            continue
        cells = bare.lstrip("> \t") or bare
        if state.start >= 0 and not state.columns and "|" in line and _TABLE_RULE.match(cells):
            yield from _begin_table(state, last)
            continue
        is_row = (
            cells[0] == "|"
            or (bare[0] == "+" and bare[1:2] in "-=")
            or (bool(state.columns) and state.kind == "lines" and "|" in bare)
        )
        yield from state.take(offset, last, line, "lines" if is_row else "prose")
    yield from state.flush()


_TABLE_RULE = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:[|+][ \t]*:?-*:?[ \t]*)+$")
"""What is under the names of the columns of a table in Markdown or org."""


def _begin_table(state: _Markdown, last: int) -> Iterator[Block]:
    """The line above a rule names columns; what stood before it is a block of its own."""
    names_from = state.text.rfind("\n", state.start, state.end) + 1
    if state.start < names_from and state.kind == "prose":
        end, state.end = state.end, names_from - 1
        yield from state.flush()
        state.start, state.end = names_from, end
    state.columns = _column_names(state.text[max(state.start, names_from) : state.end], "|")
    state.kind, state.end, state.height = "lines", last, state.height + 1


def _are_rows(lines: list[str]) -> bool:
    return len(lines) > 2 and all(" | " in line for line in lines)


def _column_names(row: str, mark: str) -> str:
    """The names in the first row of a table as one line, '' where it names none."""
    return _named(row.strip(" \t>").strip(mark).split(mark))


def _named(names: Iterable[str]) -> str:
    """The names of columns as one line, without the marks of markup."""
    cleaned = (_ROLE.sub(lambda match: match[1] or match[2] or "", plain_heading(name)) for name in names)
    return clean_line(", ".join(name for name in cleaned if name), limit=LONGEST_HEADING)


_UNDERLINE = re.compile(r"([=\-~^*+#\"'`:._])\1{2,}$")
_ASCIIDOC = re.compile(r"(={1,5}) +(\S.*?)(?: +=+)?$")
_MAN_SECTION = re.compile(r"[A-Z][A-Z0-9 /,&-]{2,50}$")


def _scan_underlined(  # noqa: C901
    text: str, numbered: Mapping[int, tuple[int | str, str]] = MappingProxyType({})
) -> Iterator[Block]:
    """reStructuredText and plain text: underlined titles, AsciiDoc's `== Title`, sections of man pages.

    `numbered` are lines (from 0) that are known to be titles, with their level and text.
    """
    outline = _Outline()
    levels: dict[str, int] = {}
    paragraph: list[tuple[int, str]] = []
    ruled: list[int] = []  # lines of the paragraph that part columns

    def flush() -> Iterator[Block]:
        if paragraph:
            first, last = paragraph[0][0], paragraph[-1][0] + len(paragraph[-1][1].rstrip())
            said = [line for _, line in paragraph]
            table = drawn_table(said) if ruled else spaced_table(said)
            yield outline.table(first, last, table) if table else outline.block(first, last, "prose")
            paragraph.clear()
            ruled.clear()

    def level_of(style: str) -> int:
        return levels.setdefault(style, len(levels) + 1)

    lines = text.split("\n")
    offset = end = 0
    for number, line in enumerate(lines):
        if number < end:
            offset += len(line) + 1
            continue
        bare = line.rstrip()
        if bare.lstrip()[:2] in _BEGINS_TABLE and (found := _table_at(lines, number)):
            end, table = found
            yield from flush()
            yield outline.table(offset, offset + len("\n".join(lines[number:end]).rstrip()), table)
            offset += len(line) + 1
            continue
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if not bare.strip():
            yield from flush()
        elif len(paragraph) in (1, 2) and _underlines(bare, paragraph):
            style = bare[0] + ("+" if len(paragraph) == 2 else "")
            outline.enter(level_of(style), _plain_title(paragraph[-1][1]))
            yield outline.block(paragraph[0][0], offset + len(bare), "heading")
            paragraph.clear()
        elif not paragraph and number in numbered and not _UNDERLINE.match(below.strip()):
            level, title = numbered[number]
            outline.enter(level_of(f"numbered {level}"), title)
            yield outline.block(offset, offset + len(bare), "heading")
        elif not paragraph and not TEXT_RULE.match(bare) and (asciidoc := _ASCIIDOC.match(bare)):
            outline.enter(level_of("=-~^+"[len(asciidoc[1]) - 1]), _plain_title(asciidoc[2]))
            yield outline.block(offset, offset + len(bare), "heading")
        elif not paragraph and below.startswith(("   ", "\t")) and below.strip() and _MAN_SECTION.match(bare):
            outline.enter(level_of("NAME"), clean_line(bare))
            yield outline.block(offset, offset + len(bare), "heading")
        else:
            paragraph.append((offset, line))
            if ("--" in line or "==" in line) and TEXT_RULE.match(line):
                ruled.append(number)
        offset += len(line) + 1
    yield from flush()


_BEGINS_TABLE = frozenset(("|=", "!=", ",=", "..", "=="))


def _table_at(lines: list[str], number: int) -> tuple[int, Table] | None:
    """The line behind a table that may hold blank lines, and the table, if one begins at this line."""
    bare = lines[number].strip()
    table: Table | None = None
    if bare[:4] in ("|===", "!===", ",==="):
        if end := asciidoc_end(lines, number):
            options = lines[number - 1] if number else ""
            table = asciidoc_table(lines[number:end], options if options.startswith("[") else "")
    elif bare.startswith(".. "):
        if end := directive_end(lines, number):
            table = directive_table(lines[number:end])
    elif bare.startswith("==") and " " in bare and (end := simple_table_end(lines, number)):
        table = drawn_table(lines[number:end])
    return (end, table) if table else None


_NUMBERED_TITLE = re.compile(
    r"\n[ \t]*+\n {0,3}+(\d{1,2}(?:\.\d{1,2}){0,5})\.?[ \t]+(\w[^\n]{0,99})(?=\n[ \t]*(?:\n|\Z)|\n(\S))"
)
_WORDED_TITLE = re.compile(
    r"\n[ \t]*+\n {0,3}+(?:(§|Art\.|Article|Artikel|Section|Abschnitt|Chapter|Kapitel|Part|Teil|ARTICLE|SECTION|CHAPTER)[ \t]?"
    r"(\d{1,3}|[IVXLC]{1,7})\b[.:]?(?:[ \t–-]+([^\W\d_][^\n]{0,79}))?|([IVXLC]{1,7})\.[ \t]+([^\W\d_][^\n]{0,79}))[ \t]*"
    r"(?=\n(?:[ \t]*\n|[^a-zß-öø-ÿ]))"
)
_PAGE_AT_END = re.compile(r"(?:\.[ .]*\.|[ \t]{3,})[ \t]*\d+$")
_ENDS_LIKE_A_SENTENCE = (".", ",", ";", ":", "!", "?")


def _numbered_titles(text: str) -> dict[int, tuple[int, str]]:
    """Lines (from 0) of a plain text that are titles such as "2.1 Scope", with their level and text.

    More than one sign is asked for: alone between blank lines, short, not ending like a sentence, numbers that follow each other,
    and text below all but those that open a deeper level. A list whose items stand apart has no text below them.
    """
    titles: dict[int, tuple[int, str]] = {}
    latest: tuple[int, ...] = ()
    text = f"\n\n{text}"  # the first line, too, stands alone
    line, counted, end = -2, 0, 0
    for found in _NUMBERED_TITLE.finditer(text):
        numbers = tuple(map(int, found[1].split(".")))
        title = found[2].rstrip()
        if not _reads_as_title(title) or not _follows(latest, numbers):
            continue
        if (found[3] and not (title.isupper() or (len(numbers) > 1 and len(title) < 60))) or (
            found[3] or ""
        ).islower():
            continue  # the line below goes on with it
        if latest and len(numbers) <= len(latest) and not text[end : found.start()].strip():
            return {}  # nothing stands below a title: this is a list
        line += text.count("\n", counted, found.start(1))
        latest, counted, end = numbers, found.start(1), found.end()
        titles[line] = (len(numbers), clean_line(found[0], limit=LONGEST_HEADING))
    return titles if len(titles) > 1 and text[end:].strip() else {}


def _worded_titles(text: str) -> dict[int, tuple[str, str]]:
    """Lines (from 0) of a plain text such as "§ 2 Purpose", "Article 4" or "II. Members", with their word and text.

    Of each word there are several, counted without a gap from the first.
    """
    titles: dict[str, list[tuple[int, int, str]]] = {}
    text = f"\n\n{text}\n"
    line, counted = -2, 0
    for found in _WORDED_TITLE.finditer(text):
        begin = found.start() + found[0].index("\n", 1) + 1
        line += text.count("\n", counted, begin)
        counted = begin
        title = found[3] or found[5] or ""
        number = found[2] or found[4]
        value = int(number) if number.isdigit() else _roman(number)
        kept = titles.setdefault(found[1] or "I.", [])
        if not title.endswith(_ENDS_LIKE_A_SENTENCE) and (value == kept[-1][1] + 1 if kept else value == 1):
            kept.append((line, value, clean_line(text[begin : found.end()], limit=LONGEST_HEADING)))
    return {line: (word, title) for word, kept in titles.items() if len(kept) > 1 for line, _, title in kept}


def _roman(number: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[letter] for letter in number]
    return sum(-one if one < max(values[here:]) else one for here, one in enumerate(values))


def _reads_as_title(title: str) -> bool:
    return (
        not title.endswith(_ENDS_LIKE_A_SENTENCE)
        and not _PAGE_AT_END.search(title)
        and not title[0].islower()
    )


def _follows(latest: tuple[int, ...], numbers: tuple[int, ...]) -> bool:
    """Whether a number comes next after another: 2.1 after 2 or 1.9, 3 after 2.7, 1 at the beginning."""
    if not latest:
        return numbers in ((0,), (1,), (0, 1), (1, 0), (1, 1))
    if len(numbers) > len(latest):
        return numbers[: len(latest)] == latest and all(n in (0, 1) for n in numbers[len(latest) :])
    depth = len(numbers) - 1
    return numbers[:depth] == latest[:depth] and numbers[depth] in (latest[depth] + 1, latest[depth] + 2)


_ROLE = re.compile(r":[\w:+-]{1,40}:`~?([^`<]*)(?: <[^`]*>)?`|``?([^`]+)``?")


def _plain_title(line: str) -> str:
    """A title in plain text without the marks of reStructuredText and AsciiDoc."""
    return clean_line(_ROLE.sub(lambda match: match[1] or match[2] or "", line), limit=LONGEST_HEADING)


def _underlines(line: str, paragraph: list[tuple[int, str]]) -> bool:
    """Whether `line` makes a heading of the paragraph above: one line, or one with the same line on top."""
    if not _UNDERLINE.match(line):
        return False
    title = paragraph[-1][1].rstrip()
    if len(paragraph) == 2:
        return paragraph[0][1].rstrip() == line and bool(title.strip()) and len(title) <= len(line) + 2
    return title[:1].strip() != "" and abs(len(title) - len(line)) <= 2 and not _UNDERLINE.match(title)


_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){1,5})\.?[ \t]+([^\W\d_].{1,100})$")
_CHAPTER = re.compile(
    r"(?:[Cc]hapter|CHAPTER|Part|PART|Appendix|APPENDIX|Kapitel|KAPITEL|Teil|TEIL|Anhang|ANHANG)[ \t]+"
    r"(?:\d{1,3}|[IVXLC]{1,7}|[A-Z]|One|Two|Three|Four|Five|Six|Seven|Eight|Nine|Ten)"
    r"(?:[.:]?[ \t]*$|[ \t]*[.:–—-][ \t]+\S.{0,80}$|[ \t]+[^\W\d_a-zß-öø-ÿ].{0,80}$)"
)
_BULLET = re.compile(r"[ \t]*+[•‣◦▪■●–][ \t]")


_PAGE_CHAPTER = re.compile(
    r"(?:CHAPTER|APPENDIX|PART)\n[ \t]*[A-Z0-9]{1,12}[ \t]*\n(?P<title>[^\n]{2,120})(?=\n|\Z)"
)
"""As LaTeX sets it: the word, its number and the title on lines of their own."""


class _PageTitle(NamedTuple):
    """A heading of paged text. `numbers` are those it begins with, () for chapters."""

    first: int
    last: int
    level: int
    title: str
    numbers: tuple[int, ...] = ()


def _page_titles(text: str) -> dict[int, _PageTitle]:
    """The headings of paged text by where they begin.

    Numbered ones ("4.2 Title") need more signs: they do not end like a sentence, the line below does not go on in lower case, and
    they do not stand out of order between two that are in order.
    """
    found: list[_PageTitle] = []
    skip = 0
    lines = list(lines_of(text))
    for (offset, line), (_, below) in zip(lines, [*lines[1:], (0, "")], strict=True):
        if offset >= skip and (title := _page_title(text, offset, line.rstrip(), below)):
            skip = title.last
            found.append(title)
    numbered = [title for title in found if title.numbers]
    outliers = {
        title.first
        for before, title, after in zip(numbered, numbered[1:], numbered[2:], strict=False)
        if before.numbers < after.numbers and not before.numbers < title.numbers < after.numbers
    }
    return {title.first: title for title in found if title.first not in outliers}


def _page_title(text: str, offset: int, line: str, below: str) -> _PageTitle | None:
    """The heading that a line is, if it is one."""
    bare = line.strip()
    if bare in ("CHAPTER", "APPENDIX", "PART"):
        chapter = _PAGE_CHAPTER.match(text, offset)
        return chapter and _PageTitle(
            offset, chapter.end(), 1, clean_line(chapter["title"], limit=LONGEST_HEADING)
        )
    if not bare or bare[-1] in ".,;:" or below[:1].islower():
        return None
    last, title = offset + len(line), clean_line(bare, limit=LONGEST_HEADING)
    if heading := _NUMBERED.match(bare):
        if "…" in bare or bare[-1].isdigit() or heading[2][0].islower():
            return None
        numbers = tuple(map(int, heading[1].split(".")))
        return _PageTitle(offset, last, len(numbers), title, numbers)
    return _PageTitle(offset, last, 1, title) if _CHAPTER.match(bare) else None


def _scan_pages(text: str) -> Iterator[Block]:
    """Text of pages: numbered headings ("4.2 Title"); paragraphs end with a short line and cross pages."""
    outline, titles = _Outline(), _page_titles(text)
    start, end, widest, skip = -1, 0, 0, 0
    for offset, line in lines_of(text):
        if offset < skip:
            continue
        bare, last = line.strip(), offset + len(line.rstrip())
        title = titles.get(offset)
        if start >= 0 and (title or not bare or _BULLET.match(line)):
            yield outline.block(start, end, "prose")
            start = -1
        if title:
            skip = title.last
            outline.enter(title.level, title.title)
            yield outline.block(offset, offset + len(text[offset : title.last].rstrip()), "heading")
        elif bare:
            if start < 0:
                start, widest = offset, 0
            end, widest = last, max(widest, len(line))
            if bare[-1] in ".!?:" and len(line) < 0.75 * widest:
                yield outline.block(start, end, "prose")
                start = -1
    if start >= 0:
        yield outline.block(start, end, "prose")


def _scan_code(text: str, definitions: Iterable[Definition]) -> Iterator[Block]:
    """Source code: a section for each definition, its comments above included; blocks between blank lines."""
    lines = text.split("\n")
    starts: dict[int, Path] = {}
    for line, path in definitions:
        while line > 0 and _COMMENT.match(lines[line - 1]) and line - 1 not in starts:
            line -= 1
        starts[line] = path
    outline = _Outline()
    start, end, offset = -1, 0, 0
    for number, line_text in enumerate(lines):
        if number in starts or not line_text.strip():
            if start >= 0:
                yield outline.block(start, end, "lines")
                start = -1
            if number in starts:
                outline.section += 1
                outline.path = starts[number]
        if line_text.strip():
            if start < 0:
                start = offset
            end = offset + len(line_text.rstrip())
        offset += len(line_text) + 1
    if start >= 0:
        yield outline.block(start, end, "lines")


_COMMENT = re.compile(r"[ \t]*+(?:#|//|/\*|\*|--|;;|@\w|%)")


def _scan_rows(text: str, separator: str) -> Iterator[Block]:
    """Rows of a table, whole even with line breaks in quoted fields; the heading names the columns."""
    path: Path = ()
    start, end, open_quotes, height = -1, 0, False, 0
    for offset, line in lines_of(text):
        if start < 0:
            if not line.strip():
                continue
            if not path and not text[:offset].strip():
                names = separated_names(text[offset:20_000].split("\n")[:_MOST_TITLES], separator)
                path = tuple(
                    filter(None, (clean_line(", ".join(filter(None, names)), limit=LONGEST_HEADING),))
                )
            start, open_quotes, height = offset, False, 0
        if line.strip():
            end = offset + len(line.rstrip())
        open_quotes ^= line.count('"') % 2 == 1
        height += 1
        if not open_quotes or height > 50:
            yield Block(start, end, "lines", path, 0)
            start = -1
    if start >= 0:
        yield Block(start, end, "lines", path, 0)


_MOST_TITLES = 30
"""Lines of separated values among which the names of the columns are looked for."""


def _scan_lines(text: str) -> Iterator[Block]:
    """Data without prose: blocks between blank lines."""
    start, end = -1, 0
    for offset, line in lines_of(text):
        if line.strip():
            start, end = (offset if start < 0 else start), offset + len(line.rstrip())
        elif start >= 0:
            yield Block(start, end, "lines", (), 0)
            start = -1
    if start >= 0:
        yield Block(start, end, "lines", (), 0)
