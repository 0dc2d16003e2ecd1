"""PDF as the text of its pages in reading order: with form values and notes, without running heads, page numbers and tables of
contents. Runs in the extraction process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ragchat.errors import IngestError
from ragchat.ingest.blocks import LONGEST_HEADING
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.inside import ReadInside
from ragchat.ingest.reading.pdf import headings as page_headings
from ragchat.ingest.reading.pdf import numbers as page_numbers
from ragchat.ingest.reading.pdf.layout import Line, Piece, Segment, goes_on, lines_of, pieces_of, turned_box
from ragchat.ingest.wire import LONGEST_TITLE, Reason
from ragchat.text import clean, clean_line
from ragchat.types import ExtractedText, LeftOutKind, Recognised, Section

if TYPE_CHECKING:
    from ragchat.ingest.reading.pdf.pdfium import PageContent, Pdf, Widget

MEDIA_TYPE = "application/pdf"

Recognise = Callable[[int], tuple[str, float]]
"""Reads a page (from 1) that is a picture: its text ('' for none) and a confidence from 0 to 1."""


@dataclass(slots=True)
class PdfPage:
    """A page as it was read. `is_picture`: it has something drawn on it and no text, or next to none."""

    lines: list[Line] = field(default_factory=list)
    label: str = ""
    is_picture: bool = False


def read_pdf(
    data: bytes, recognise: Recognise | None = None, read_inside: ReadInside | None = None
) -> ExtractedText:
    """The text of a PDF with the places where its pages begin. Raises IngestError."""
    if data[:1024].find(b"%PDF-") < 0:
        raise IngestError(Reason.DAMAGED)
    from ragchat.ingest.reading.pdf.pdfium import Pdf

    with Pdf(data) as pdf:
        return _Reader(pdf, recognise, read_inside).read()


class _Reader:
    """Reads one document; `report` collects what is left out."""

    def __init__(self, pdf: Pdf, recognise: Recognise | None, read_inside: ReadInside | None) -> None:
        self.pdf = pdf
        self.report = DocumentBuilder(MEDIA_TYPE)
        self._recognise = recognise
        self._read_inside = read_inside
        self._bookmarks = page_headings.useful(pdf.bookmarks())
        self._attached: list[tuple[str, bytes]] = []
        self._notes: dict[int, list[Line]] = {}
        self._unreadable: list[int] = []

    def read(self) -> ExtractedText:
        pages = [self.page(number) for number in range(self.pdf.page_count)]
        if len(self._unreadable) == len(pages):
            raise IngestError(Reason.DAMAGED)
        self._fill_in(pages)
        self._read_form(pages)
        title = self._title(pages)
        labels = page_numbers.drop_running_lines([page.lines for page in pages])
        for number, page in enumerate(pages):
            page.label = self.pdf.label(number) or labels[number]
            page.lines = page_numbers.without_contents(page.lines)
        join_hyphens([page.lines for page in pages])
        if self._bookmarks:
            page_headings.mark_bookmarks([page.lines for page in pages], self._bookmarks)
        else:
            page_headings.mark_by_type([page.lines for page in pages], title)
        for number, notes in self._notes.items():
            pages[number].lines += notes
        self._add_properties(pages)
        self._report_pages(pages)
        document = self._with_attachments(assemble(pages, title))
        if not document.text.strip():
            has_pictures = any(page.is_picture for page in pages)
            raise IngestError(Reason.NO_TEXT_LAYER if has_pictures else Reason.NO_TEXT)
        return document

    # --- pages --------------------------------------------------------------------------------------------

    def page(self, number: int) -> PdfPage:
        """A page (from 0) with its lines in reading order."""
        content = self.pdf.page(number, with_fonts=not self._bookmarks)
        if content is None:
            self._unreadable.append(number + 1)
            return PdfPage()
        self._attached += content.attached
        if content.hidden:
            self.report.leave_out(LeftOutKind.HIDDEN_TEXT, f"p. {number + 1}", content.hidden)
        if content.unread:
            self.report.leave_out(LeftOutKind.REST, f"annotations on p. {number + 1}", content.unread)
        self._take_notes(number, content)
        return PdfPage(self._lines(number, content), is_picture=content.is_picture)

    def _lines(self, number: int, content: PageContent) -> list[Line]:
        turned = pieces_of(content.glyphs) if content.glyphs else [(content.rotation, [])]
        widgets = [widget for widget in content.widgets if not widget.is_hidden]
        if hidden := len(content.widgets) - len(widgets):
            self.report.leave_out(LeftOutKind.HIDDEN_TEXT, f"form field on p. {number + 1}", hidden)
        place_widgets(widgets, *turned[0])
        lines: list[Line] = []
        for place, (_, pieces) in enumerate(turned):
            found = [line for line in lines_of(pieces) if line.text]
            if place and found:
                found[0].opens = True
                for line in found:
                    line.turned = True
            lines += found
        for line in lines:
            line.text = clean(line.text)
        return lines

    def _take_notes(self, number: int, content: PageContent) -> None:
        for note in content.notes:
            if note.is_hidden:
                self.report.leave_out(LeftOutKind.HIDDEN_TEXT, f"note on p. {number + 1}")
                continue
            author = clean_line(note.author, limit=80)
            text = (
                f"[Note by {author}: {clean_line(note.text)}]"
                if author
                else f"[Note: {clean_line(note.text)}]"
            )
            self._notes.setdefault(number, []).append(_plain_line(text, opens=True))

    def _fill_in(self, pages: list[PdfPage]) -> None:
        """Have pages that are pictures read by OCR."""
        for number, page in enumerate(pages):
            if page.is_picture and self._recognise is not None:
                text, confidence = self._recognise(number + 1)
                lines = list(_recognised_lines(text, confidence))
                page.is_picture = not lines
                page.lines += lines

    # --- the document -------------------------------------------------------------------------------------

    def _read_form(self, pages: list[PdfPage]) -> None:
        """The values of an XFA form, which is no part of the pages."""
        if self.pdf.form_type not in _XFA_FORMS:
            return
        values = xfa_values(self.pdf.form_packet("datasets"))
        seen = "\n".join(line.text for page in pages for line in page.lines)
        fresh = [value for value in values if value.partition(": ")[2] not in seen]
        if pages:
            pages[-1].lines += [_plain_line(value, opens=number == 0) for number, value in enumerate(fresh)]
        if not values:
            self.report.leave_out(LeftOutKind.REST, "XFA form")

    def _title(self, pages: list[PdfPage]) -> str:
        title = clean_line(self.pdf.property("Title"), limit=LONGEST_TITLE)
        return title if is_title(title) else page_headings.largest(pages[0].lines if pages else [])

    def _add_properties(self, pages: list[PdfPage]) -> None:
        said = [
            f"{name}: {value}"
            for name in ("Subject", "Keywords")
            if (value := clean_line(self.pdf.property(name))) and value not in _NOTHING
        ]
        if said and pages and any(page.lines for page in pages):
            pages[-1].lines += [_plain_line(text, opens=number == 0) for number, text in enumerate(said)]
        if (author := self.pdf.property("Author")) and author not in _NOTHING:
            self.report.leave_out(LeftOutKind.PROPERTY, "author")

    def _report_pages(self, pages: list[PdfPage]) -> None:
        pictures = [number for number, page in enumerate(pages, 1) if page.is_picture]
        if pictures:
            self.report.leave_out(LeftOutKind.PAGE, ranges(pictures), len(pictures))
        if self._unreadable:
            self.report.leave_out(LeftOutKind.REST, ranges(self._unreadable), len(self._unreadable))

    def _with_attachments(self, document: ExtractedText) -> ExtractedText:
        for name, content in [*self.pdf.attachments(), *self._attached]:
            try:
                if self._read_inside is None or not content:
                    raise IngestError(Reason.UNSUPPORTED)
                self.report.part(name, self._read_inside(name, content))
            except IngestError:
                self.report.leave_out(LeftOutKind.ATTACHMENT, name or "attachment")
        return _joined(document, self.report.build())


_XFA_FORMS = (2, 3)
_NOTHING = frozenset({"", "(unspecified)", "(anonymous)", "unspecified", "anonymous", "unknown", "user"})


def _plain_line(text: str, *, opens: bool, confidence: float | None = None) -> Line:
    return Line(text, 0.0, 0.0, 0.0, 0.0, bold=False, opens=opens, confidence=confidence)


def _recognised_lines(text: str, confidence: float) -> Iterator[Line]:
    opens = True
    for line in clean(text).split("\n"):
        if line.strip():
            yield _plain_line(line.strip(), opens=opens, confidence=confidence)
        opens = not line.strip()


def ranges(numbers: Sequence[int]) -> str:
    """Pages as a user would list them: "p. 3, 7-9". They ascend."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    said = ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)
    return f"p. {said}"


_FILE_NAME = re.compile(
    r"\.(?:docx?|dotx?|odt|rtf|pdf|tex|dvi|ps|indd|qxd|fm|xlsx?|pptx?|html?|txt|md|cdr|ai|eps)$"
)
_NO_TITLE = re.compile(
    r"(?:microsoft \w+ - .*|untitled.*|\(?(?:anonymous|unspecified|none|null)\)?|powerpoint.presentation|document\d*|"
    r"title|print|slide \d+|https?://.*|[\W\d_]*)$"
)


def is_title(title: str) -> bool:
    """Whether a title was meant as one: not the name of a file, nor what a program puts there by itself."""
    lower = title.lower()
    return not (_FILE_NAME.search(lower) or _NO_TITLE.match(lower))


# --- from pages to a document -----------------------------------------------------------------------------


def assemble(pages: Sequence[PdfPage], title: str = "") -> ExtractedText:
    """The document that these pages make; what is a heading, and what OCR read, is told by their lines."""
    lines: list[str] = []
    starts: list[int] = []
    sections: list[Section] = []
    read: list[Recognised] = []
    above: list[tuple[int, str]] = []
    length, last = 0, ""
    for page in pages:
        starts.append(length)
        for place, line in enumerate(page.lines):
            opens = line.opens if place else not goes_on(last, line.text)
            if lines and opens and (place or line.level or last):
                lines.append("")
                length += 1
                if not place:
                    starts[-1] = length
            if line.level:
                sections.append(_section(above, line, length))
            if line.confidence is not None:
                _add_recognised(read, length, line.text, line.confidence)
            lines.append(line.text)
            length += len(line.text) + 1
            last = line.text
        if not page.lines:
            lines.append("")
            length += 1
    if sections and sections[0].first:
        sections.insert(0, Section(0, ()))
    labels = tuple(_label(page, number) for number, page in enumerate(pages, 1))
    return ExtractedText(
        text="\n".join(lines),
        media_type=MEDIA_TYPE,
        title=title,
        page_starts=tuple(starts),
        page_labels=labels if any(labels) else (),
        sections=tuple(sections),
        recognised=tuple(read),
    )


def _label(page: PdfPage, number: int) -> str:
    label = clean_line(page.label, limit=20)
    return "" if label == str(number) else label


def _section(above: list[tuple[int, str]], line: Line, first: int) -> Section:
    while above and above[-1][0] >= line.level:
        above.pop()
    above.append((line.level, clean_line(line.title or line.text, limit=LONGEST_HEADING)))
    return Section(first, tuple(title for _, title in above))


def _add_recognised(read: list[Recognised], first: int, text: str, confidence: float) -> None:
    """One stretch for lines of a page that follow each other."""
    if read and first - read[-1].last <= 2 and read[-1].confidence == confidence:
        read[-1] = replace(read[-1], last=first + len(text))
    else:
        read.append(Recognised(first, first + len(text), confidence))


def _joined(document: ExtractedText, rest: ExtractedText) -> ExtractedText:
    """The document with the parts and the report of `rest` behind it."""
    if not rest.parts:
        return replace(document, left_out=rest.left_out)
    shift = len(document.text) + 2
    sections = tuple(replace(one, first=one.first + shift) for one in rest.sections if one.path)
    parts = tuple(
        replace(part, first=part.first + shift, page_starts=tuple(one + shift for one in part.page_starts))
        for part in rest.parts
    )
    read = tuple(replace(one, first=one.first + shift, last=one.last + shift) for one in rest.recognised)
    return replace(
        document,
        text=f"{document.text}\n\n{rest.text}",
        sections=document.sections + sections,
        parts=parts,
        recognised=document.recognised + read,
        left_out=rest.left_out,
    )


# --- hyphens ------------------------------------------------------------------------------------------------

_COMPOUND = re.compile(r"[^\W\d_]+-[^\W\d_]+")
_SUSPENDED = frozenset("und oder bzw sowie bis and or to et ou und/oder e o y u en of och eller og".split())  # noqa: SIM905


def join_hyphens(pages: Iterable[list[Line]]) -> None:
    """Put words together again that were divided at the end of a line; the line keeps the whole word.

    A hyphen stays where the document has the word with a hyphen elsewhere, in a chain ("state-of-the-art") and in names of files.
    """
    lists = [lines for lines in pages if lines]
    pairs = list(_divided(lists))
    if not pairs:
        return
    known = {
        word.lower()
        for lines in lists
        for line in lines
        if "-" in line.text
        for word in _COMPOUND.findall(line.text)
    }
    for before, after in pairs:
        _join_word(before, after, known)
    for lines in lists:
        lines[:] = [line for line in lines if line.text]


def _divided(pages: list[list[Line]]) -> Iterator[tuple[Line, Line]]:
    """Neighbouring lines of which the first ends within a word."""
    before: Line | None = None
    for lines in pages:
        for place, line in enumerate(lines):
            if before is not None and before.text[-1:] in ("-", "\xad"):
                if not (place and line.opens) and before.turned == line.turned and line.text[:1].islower():
                    yield before, line
                elif before.text[-1] == "\xad":
                    before.text = before.text[:-1] + "-"
            before = line


def _join_word(before: Line, after: Line, known: set[str]) -> None:
    stem = before.text.rsplit(" ", 1)[-1][:-1]
    tail, _, rest = after.text.partition(" ")
    if not stem[-1:].isalpha() or tail.strip(".,;:") in _SUSPENDED:
        return
    first, second = _LAST_LETTERS.search(stem), _FIRST_LETTERS.match(tail)
    word = f"{first[0] if first else ''}-{second[0] if second else ''}".lower()
    stays = before.text[-1] == "-" and (word in known or not _CHAINED.isdisjoint(stem))
    before.text = before.text[:-1] + ("-" if stays else "") + tail
    after.text = rest.strip()


_CHAINED = frozenset("-_/\\.@:0123456789")
_LAST_LETTERS = re.compile(r"[^\W\d_]++$")
_FIRST_LETTERS = re.compile(r"[^\W\d_]++")


# --- forms --------------------------------------------------------------------------------------------------


def place_widgets(widgets: Iterable[Widget], quarter: int, pieces: list[Piece]) -> None:
    """Put what form fields say among the pieces of their page, each at its place."""
    for number, widget in enumerate(widgets):
        begin, end, foot, top = turned_box(*widget.box, quarter)
        row = [piece for piece in pieces if foot - 2 <= piece.v <= top]
        left = max(
            (piece for piece in row if piece.u1 <= begin + 2), key=lambda piece: piece.u1, default=None
        )
        right = min((piece for piece in row if piece.u0 >= end - 2), key=lambda piece: piece.u0, default=None)
        if any(begin - 2 < piece.u0 < end and piece.text.strip() == widget.value.strip() for piece in row):
            continue
        beside = left or (right if widget.is_mark else None)
        size = beside.size if beside else min(11.0, 0.7 * (top - foot))
        height = beside.v if beside else top - size if top - foot > 2.5 * size else foot + 0.3 * (top - foot)
        over = any(0 <= piece.v - top < 2 * size and piece.u0 < end and piece.u1 > begin for piece in pieces)
        value = clean(widget.value)
        if widget.label and not beside and not over:
            value = f"{widget.label} {value}" if widget.is_mark else f"{widget.label.rstrip(': ')}: {value}"
        if left is not None and left.text.rstrip()[-1:] in ":?":
            begin = left.u1 + 0.3 * size
        order = left.order + 0.5 if left else 1e6 + number
        for place, line in enumerate(part for part in value.split("\n") if part.strip()):
            close = min(max(end, begin + 1), begin + 0.5 * size * len(line))
            segment = Segment(begin, close, height - 1.2 * size * place, size, clean_line(line), True, False)
            pieces.append(Piece(segment, order))


_MOST_VALUES = 5_000


def xfa_values(packet: bytes) -> list[str]:
    """The values of the fields in the data of an XFA form, each as "name: value"; none when it cannot be parsed."""
    if not packet.strip():
        return []
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, recover=True)
    try:
        root = etree.fromstring(packet, parser)
    except (etree.XMLSyntaxError, ValueError):
        return []
    values: list[str] = []
    for element in root.iter(etree.Element) if root is not None else ():
        if len(values) < _MOST_VALUES and not len(element) and (text := clean_line(element.text or "")):
            values.append(f"{etree.QName(element).localname}: {text}")
    return values
