"""The text of a document as a reader writes it: blocks in order, with headings, pages, parts and what was left out.

All readers of structured formats write through it, so a table, a list or a heading looks the same whatever format it came from.
What it makes is Markdown that no one has to parse again: sections are told by their offsets, not by marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ragchat.ingest.blocks import LONGEST_HEADING, PART_MARK
from ragchat.ingest.wire import LONGEST_TITLE
from ragchat.text import clean, clean_line
from ragchat.types import ExtractedText, LeftOut, LeftOutKind, Part, Recognised, Section
from ragchat.types.documents import MOST_NAMES

_LONGEST_NAME = 120


class DocumentBuilder:
    """Blocks are added from the first to the last; `build` gives the text. Everything added is sanitised here.

    `line`, where a method takes it, is the line of the file at which the block stands (from 1); 0: the file has no lines.
    """

    def __init__(self, media_type: str) -> None:
        self.media_type = media_type
        self._lines: list[str] = []
        self._file_lines: list[int] = []
        self._length = 0
        self._open: list[tuple[int, str]] = []
        self._sections: list[Section] = []
        self._page_starts: list[int] = []
        self._page_labels: list[str] = []
        self._parts: list[Part] = []
        self._left_out: dict[LeftOutKind, tuple[int, list[str]]] = {}
        self._recognised: list[Recognised] = []
        self._in_list = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written so far."""
        return not self._lines

    # --- blocks -----------------------------------------------------------------------------------------

    def heading(self, level: int, title: str, *, line: int = 0) -> None:
        """A heading, 1 the outermost; what follows is under it."""
        title = clean_line(title, limit=LONGEST_HEADING)
        if not title:
            return
        self._separate()
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self._open.append((level, title))
        self._sections.append(Section(self._length, tuple(title for _, title in self._open)))
        self._write(f"{'#' * max(1, min(6, level))} {title}", line)

    def section(self, path: Sequence[str], *, apart: bool = False) -> None:
        """What follows is under these headings, which are not written into the text; `apart` as in `types.Section`."""
        self._separate()
        titles = tuple(title for part in path if (title := clean_line(part, limit=LONGEST_HEADING)))
        self._open = list(enumerate(titles, 1))
        self._sections.append(Section(self._length, titles, apart))

    def paragraph(self, text: str, *, line: int = 0) -> None:
        """A paragraph; line breaks in it stay, white space at its ends goes."""
        # Printable text is clean, and on one line.
        parts = [text] if text.isprintable() else clean(text).split("\n")
        lines = [kept for part in parts if (kept := part.rstrip())]
        if not lines:
            return
        self._separate()
        for number, part in enumerate(lines):
            self._write(part, line and line + number)

    def lines(self, lines: Iterable[tuple[str, int]]) -> None:
        """A block of lines, each with its line in the file."""
        self._separate()
        for text, line in lines:
            self._write(clean(text).replace("\n", " ").rstrip(), line)

    def item(self, text: str, *, depth: int = 0, mark: str = "-", line: int = 0) -> None:
        """An item of a list, 0 the outermost; items that follow each other stand close. Its line breaks stay."""
        lines = [part.strip() for part in clean(text).split("\n") if part.strip()]
        if not lines:
            return
        if not self._in_list:
            self._separate()
        indent = "  " * min(depth, 8)
        for number, part in enumerate(lines):
            lead = f"{indent}{mark} " if number == 0 else indent + " " * (len(mark) + 1)
            self._write(lead + part, line)
        self._in_list = True

    def code(self, text: str, language: str = "", *, line: int = 0) -> None:
        """Source code or whatever keeps its spaces and line breaks."""
        body = clean(text).strip("\n")
        if not body.strip():
            return
        self._separate()
        fence = "```" if "```" not in body else "`````"
        self._write(fence + clean_line(language, limit=20), line)
        for number, part in enumerate(body.split("\n")):
            self._write(part.rstrip(), line and line + number)
        self._write(fence, line and line + body.count("\n"))

    def table(self, rows: Sequence[Sequence[str]], *, line: int = 0, row_lines: Sequence[int] = ()) -> None:
        """A table whose first row names the columns; a cell's line breaks become blanks. Empty rows and columns go.

        `row_lines` are the lines of the file at which its rows stand, as many as there are rows.
        """
        cells = [[_cell(cell) for cell in row] for row in rows]
        width = max((len(row) for row in cells), default=0)
        used = [x for x in range(width) if any(x < len(row) and row[x] for row in cells)]
        numbered = [
            ([row[x] if x < len(row) else "" for x in used], row_lines[y] if row_lines else line)
            for y, row in enumerate(cells)
            if any(row)
        ]
        if not numbered:
            return
        self._separate()
        for y, (row, at) in enumerate(numbered):
            self._write("| " + " | ".join(row) + " |", at)
            if y == 0 and len(numbered) > 1:
                self._write("|" + " --- |" * len(used), at)

    # --- what is not a block ------------------------------------------------------------------------------

    def page(self, label: str = "") -> None:
        """A page begins here; `label` is the number printed on it."""
        self._separate()
        self._page_starts.append(self._length)
        self._page_labels.append(clean_line(label, limit=20))

    def leave_out(self, kind: LeftOutKind, name: str = "", count: int = 1) -> None:
        """Say that something was not read."""
        so_far, names = self._left_out.get(kind, (0, []))
        if name and len(names) < MOST_NAMES:
            names.append(clean_line(name, limit=_LONGEST_NAME))
        self._left_out[kind] = (so_far + count, names)

    def recognised(self, text: str, confidence: float) -> None:
        """A paragraph that OCR read."""
        before = self._length
        self.paragraph(text)
        if self._length > before:
            self._recognised.append(Recognised(before, self._length, confidence))

    def include(self, document: ExtractedText, *, line_numbers: Sequence[int] = ()) -> None:
        """The text of a document as this one's own, under the headings that are open here: the HTML body of a mail.

        `line_numbers[i]` is the line of this file at which line i + 1 of that document's file begins. Its pages and parts
        become mere text.
        """
        self._separate()
        shift, above = self._length, tuple(title for _, title in self._open)
        self._sections += [
            replace(section, first=section.first + shift, path=(*above, *section.path))
            for section in document.sections
        ]
        self._recognised += [
            replace(one, first=one.first + shift, last=one.last + shift) for one in document.recognised
        ]
        for left in document.left_out:
            self.leave_out(left.kind, count=left.count - len(left.names))
            for one in left.names:
                self.leave_out(left.kind, one)
        lines = document.text.split("\n")
        numbers = range(1, len(lines) + 1) if document.source_lines else document.file_lines
        for number, text in enumerate(lines):
            at = numbers[number] if number < len(numbers) else 0
            self._write(text, line_numbers[at - 1] if 0 < at <= len(line_numbers) else 0)

    def part(self, name: str, document: ExtractedText) -> None:
        """A document inside this one, under its own name; nothing but parts may follow."""
        self._separate()
        name = clean_line(name, limit=_LONGEST_NAME)
        shift = self._length
        own = tuple(start + shift for start in document.page_starts)
        self._parts.append(Part(shift, name, document.media_type, own, document.page_labels))
        self._sections += [
            replace(section, first=section.first + shift, path=(name, *section.path))
            for section in document.sections
        ]
        self._parts += [
            replace(
                inner,
                first=inner.first + shift,
                name=f"{name}{PART_MARK}{inner.name}",
                page_starts=tuple(start + shift for start in inner.page_starts),
            )
            for inner in document.parts
        ]
        self._recognised += [
            replace(one, first=one.first + shift, last=one.last + shift) for one in document.recognised
        ]
        for left in document.left_out:
            self.leave_out(left.kind, count=left.count - len(left.names))
            for one in left.names:
                self.leave_out(left.kind, f"{one} in {name}")
        lines = document.text.split("\n")
        numbers: Sequence[int] = document.file_lines
        if document.source_lines:
            numbers = range(1, len(lines) + 1)
        for number, text in enumerate(lines):
            self._write(text, numbers[number] if number < len(numbers) else 0)

    def build(self, title: str = "") -> ExtractedText:
        """The document. Without `title` its first heading is its title."""
        first = next((section.path[-1] for section in self._sections if section.path), "")
        return ExtractedText(
            text="\n".join(self._lines),
            media_type=self.media_type,
            title=clean_line(title, limit=LONGEST_TITLE) or first,
            page_starts=tuple(self._page_starts),
            page_labels=tuple(self._page_labels) if any(self._page_labels) else (),
            file_lines=tuple(self._file_lines) if any(self._file_lines) else (),
            sections=tuple(self._sections) or (Section(0, ()),),
            parts=tuple(self._parts),
            left_out=tuple(
                LeftOut(kind, count, tuple(names)) for kind, (count, names) in self._left_out.items() if count
            ),
            recognised=tuple(self._recognised),
        )

    # --- writing ------------------------------------------------------------------------------------------

    def _separate(self) -> None:
        """A blank line between blocks."""
        self._in_list = False
        if self._lines and self._lines[-1]:
            self._write("", self._file_lines[-1])

    def _write(self, line: str, at: int) -> None:
        self._lines.append(line)
        self._file_lines.append(at)
        self._length += len(line) + 1


def _cell(text: str) -> str:
    if text.isprintable() and "  " not in text and "|" not in text:
        return text.strip()  # most cells; the same as below, sooner
    return clean_line(text).replace("|", "\\|")
