"""The one door to PDFium, through pypdfium2's plain bindings. Opened in the extraction process only.

Characters come as arrays: PDFium is asked once for each of them, through `map`, since a loop would take most of the time.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Self

import numpy as np
import pypdfium2.raw as pdfium

from ragchat.errors import IngestError
from ragchat.ingest.reading.pdf.headings import Bookmark
from ragchat.ingest.reading.pdf.layout import Glyphs, is_solid
from ragchat.ingest.wire import Reason

_MOST_PAGES = 20_000
_MOST_BOOKMARKS = 20_000
_DEEPEST_BOOKMARK = 12
_MOST_ANNOTATIONS = 2_000
_MOST_OBJECTS = 20_000
_DEEPEST_FORM = 4
_PASSWORD_ERROR = 4
_MOST_LEFTWARDS = 4
"""Steps to the left within runs: more of them are text upside down, or a script that runs leftwards."""
_INVISIBLE, _CLIP_ONLY = 3, 7
"""Modes of drawing text that leave nothing on the page."""
_SMALLEST_TEXT = 2.0
"""Points; text below it is there for machines, not for people."""
_WHITE = 250
"""Of 255, in each colour."""
_FARTHEST = 1e6
_NO_CHARACTER = 0xFFFD
_MOST_OF_THE_PAGE = 0.5
_OVERRUN = 3.0
"""Gaps within what runs over the edge of a page, in letter heights."""
_BOLD_NAMES = (b"bold", b"black", b"heavy", b"cmbx", b"sfbx", b"demi")
_FEW_CHARACTERS = 40
"""A page with fewer characters and a large picture may be a scan with a stamp on it."""

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in points."""


@dataclass(frozen=True, slots=True)
class Widget:
    """A form field on a page: where it stands and what it says."""

    box: Box
    value: str
    label: str
    is_mark: bool
    """A check box or radio button, whose value says only whether it is set."""
    is_hidden: bool


@dataclass(frozen=True, slots=True)
class Note:
    """What someone wrote on a page."""

    author: str
    text: str
    is_hidden: bool


@dataclass(slots=True)
class PageContent:
    """What is on one page. `glyphs` is None where no text is seen or none can be understood."""

    glyphs: Glyphs | None = None
    rotation: int = 0
    """Quarters by which the page is turned clockwise when it is shown."""
    is_picture: bool = False
    """Its text, or most of it, is in what is drawn on it."""
    widgets: list[Widget] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    attached: list[tuple[str, bytes]] = field(default_factory=list)
    hidden: int = 0
    """Stretches of text that no one sees."""
    unread: int = 0
    """Annotations beyond those that are looked at."""


def _function(raw: Any, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of PDFium that takes addresses as plain numbers."""
    address = ctypes.cast(raw, ctypes.c_void_p).value
    assert address is not None
    return ctypes.CFUNCTYPE(result, *arguments)(address)


_pointer, _int = ctypes.c_void_p, ctypes.c_int
_char_box = _function(pdfium.FPDFText_GetLooseCharBox, _int, _pointer, _int, _pointer)
_char_object = _function(pdfium.FPDFText_GetTextObject, _pointer, _pointer, _int)
_char_code = _function(pdfium.FPDFText_GetUnicode, ctypes.c_uint, _pointer, _int)
_char_matrix = _function(pdfium.FPDFText_GetMatrix, _int, _pointer, _int, _pointer)
_char_origin = _function(pdfium.FPDFText_GetCharOrigin, _int, _pointer, _int, _pointer, _pointer)
_char_size = _function(pdfium.FPDFText_GetFontSize, ctypes.c_double, _pointer, _int)
_annotation = _function(pdfium.FPDFPage_GetAnnot, _pointer, _pointer, _int)
_annotation_kind = _function(pdfium.FPDFAnnot_GetSubtype, _int, _pointer)
_close_annotation = _function(pdfium.FPDFPage_CloseAnnot, None, _pointer)
_page_object = _function(pdfium.FPDFPage_GetObject, _pointer, _pointer, _int)
_object_type = _function(pdfium.FPDFPageObj_GetType, _int, _pointer)
_text_mode = _function(pdfium.FPDFTextObj_GetTextRenderMode, _int, _pointer)
_text_font = _function(pdfium.FPDFTextObj_GetFont, _pointer, _pointer)
_fill_colour = _function(
    pdfium.FPDFPageObj_GetFillColor, _int, _pointer, _pointer, _pointer, _pointer, _pointer
)
_font_name = _function(pdfium.FPDFFont_GetBaseFontName, ctypes.c_size_t, _pointer, _pointer, ctypes.c_size_t)


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _exhaust(calls: Iterator[Any]) -> None:
    deque(calls, 0)


def _wide_string(call: Callable[[Any, int], int], limit: int = 1 << 20) -> str:
    """What a function gives that fills a buffer with UTF-16 and says how many bytes it needs."""
    needed = call(None, 0)
    if not 2 < needed <= limit:
        return ""
    buffer = ctypes.create_string_buffer(needed)
    call(ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), needed)
    return buffer.raw.decode("utf-16-le", "replace").split("\0", 1)[0].strip()


class Pdf:
    """An open document. Raises IngestError when it cannot be opened; to be used in a `with` statement."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._document = pdfium.FPDF_LoadMemDocument64(data, len(data), None)
        if not self._document:
            locked = pdfium.FPDF_GetLastError() == _PASSWORD_ERROR
            raise IngestError(Reason.ENCRYPTED if locked else Reason.DAMAGED)
        self._form: Any = None
        self._form_info: Any = None
        self.form_type = int(pdfium.FPDF_GetFormType(self._document))
        self.page_count = min(_MOST_PAGES, int(pdfium.FPDF_GetPageCount(self._document)))
        if self.form_type:
            self._form_info = pdfium.FPDF_FORMFILLINFO(version=2)
            self._form = pdfium.FPDFDOC_InitFormFillEnvironment(self._document, self._form_info)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._form:
            pdfium.FPDFDOC_ExitFormFillEnvironment(self._form)
        pdfium.FPDF_CloseDocument(self._document)

    # --- the document -------------------------------------------------------------------------------------

    def property(self, name: str) -> str:
        """A property of the document such as Title, or ''."""
        key = name.encode()
        return _wide_string(lambda buffer, size: pdfium.FPDF_GetMetaText(self._document, key, buffer, size))

    def label(self, page: int) -> str:
        """What the document calls this page (from 0), or ''."""
        return _wide_string(
            lambda buffer, size: pdfium.FPDF_GetPageLabel(self._document, page, buffer, size), 1000
        )

    def bookmarks(self) -> Iterator[Bookmark]:
        """The outline, in order. Loops and what is nested too deeply are cut."""
        seen: set[int] = set()
        waiting: list[tuple[int, Any]] = [(1, pdfium.FPDFBookmark_GetFirstChild(self._document, None))]
        while waiting and len(seen) < _MOST_BOOKMARKS:
            level, mark = waiting.pop()
            if not mark or _address(mark) in seen:
                continue
            seen.add(_address(mark))
            yield self._bookmark(level, mark)
            waiting.append((level, pdfium.FPDFBookmark_GetNextSibling(self._document, mark)))
            if level < _DEEPEST_BOOKMARK:
                waiting.append((level + 1, pdfium.FPDFBookmark_GetFirstChild(self._document, mark)))

    def _bookmark(self, level: int, mark: Any) -> Bookmark:
        title = _wide_string(lambda buffer, size: pdfium.FPDFBookmark_GetTitle(mark, buffer, size))
        target = pdfium.FPDFBookmark_GetDest(self._document, mark)
        if not target:
            return Bookmark(level, title, -1, None)
        page = int(pdfium.FPDFDest_GetDestPageIndex(self._document, target))
        has = [pdfium.FPDF_BOOL() for _ in range(3)]
        at = [pdfium.FS_FLOAT() for _ in range(3)]
        told = pdfium.FPDFDest_GetLocationInPage(target, *has, *at) and has[1].value
        return Bookmark(level, title, page, float(at[1].value) if told else None)

    def attachments(self) -> Iterator[tuple[str, bytes]]:
        """Files inside the document: name and content."""
        for number in range(min(1000, pdfium.FPDFDoc_GetAttachmentCount(self._document))):
            if found := pdfium.FPDFDoc_GetAttachment(self._document, number):
                yield _attachment(found)

    def form_packet(self, name: str) -> bytes:
        """A part of an XFA form, or nothing."""
        for number in range(min(100, max(0, pdfium.FPDF_GetXFAPacketCount(self._document)))):
            size = pdfium.FPDF_GetXFAPacketName(self._document, number, None, 0)
            label = ctypes.create_string_buffer(max(1, min(size, 1000)))
            pdfium.FPDF_GetXFAPacketName(self._document, number, label, len(label))
            if label.value.decode("utf-8", "replace") == name:
                return self._packet(number)
        return b""

    def _packet(self, number: int) -> bytes:
        needed = ctypes.c_ulong()
        pdfium.FPDF_GetXFAPacketContent(self._document, number, None, 0, needed)
        content = ctypes.create_string_buffer(max(1, needed.value))
        pdfium.FPDF_GetXFAPacketContent(self._document, number, content, needed.value, needed)
        return content.raw[: needed.value]

    # --- a page -------------------------------------------------------------------------------------------

    def page(self, number: int, *, with_fonts: bool = False) -> PageContent | None:
        """What is on a page (from 0), or None when it cannot be read. `with_fonts`: which glyphs are bold."""
        page = pdfium.FPDF_LoadPage(self._document, number)
        if not page:
            return None
        try:
            content = PageContent(rotation=int(pdfium.FPDFPage_GetRotation(page)))
            _read_glyphs(page, content, with_fonts=with_fonts)
            self._read_annotations(page, content)
            return content
        finally:
            pdfium.FPDF_ClosePage(page)

    def _read_annotations(self, page: Any, content: PageContent) -> None:
        handle, count = _address(page), pdfium.FPDFPage_GetAnnotCount(page)
        content.unread = max(0, count - _MOST_ANNOTATIONS)
        for number in range(min(_MOST_ANNOTATIONS, count)):
            if address := _annotation(handle, number):
                kind = _annotation_kind(address)
                if kind not in _SILENT:
                    self._read_annotation(ctypes.cast(address, pdfium.FPDF_ANNOTATION), kind, content)
                _close_annotation(address)

    def _read_annotation(self, annotation: Any, kind: int, content: PageContent) -> None:
        if kind != pdfium.FPDF_ANNOT_WIDGET:
            self._read_note(annotation, kind, content)
        elif self._form and (widget := self._widget(annotation)):
            content.widgets.append(widget)

    def _read_note(self, annotation: Any, kind: int, content: PageContent) -> None:
        if kind == pdfium.FPDF_ANNOT_FILEATTACHMENT:
            attached = pdfium.FPDFAnnot_GetFileAttachment(annotation)
            content.attached += [_attachment(attached)] if attached else []
        if text := _annotation_string(annotation, "Contents"):
            hidden = bool(pdfium.FPDFAnnot_GetFlags(annotation) & _HIDDEN_FLAGS)
            content.notes.append(Note(_annotation_string(annotation, "T"), text, hidden))

    def _widget(self, annotation: Any) -> Widget | None:
        form = self._form

        def said(function: Any) -> str:
            return _wide_string(lambda buffer, size: function(form, annotation, buffer, size))

        kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
        if kind in (pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON):
            state = _annotation_string(annotation, "AS") or _annotation_string(annotation, "V")
            value = "[x]" if state not in ("", "Off") else "[ ]"
        elif kind in (pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX):
            value = ", ".join(_chosen(form, annotation)) or said(pdfium.FPDFAnnot_GetFormFieldValue)
        elif kind == pdfium.FPDF_FORMFIELD_TEXTFIELD:
            secret = pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD_FIELD
            value = "" if secret else said(pdfium.FPDFAnnot_GetFormFieldValue)
        else:
            return None
        box = pdfium.FS_RECTF()
        if not value or not pdfium.FPDFAnnot_GetRect(annotation, box):
            return None
        label = said(pdfium.FPDFAnnot_GetFormFieldAlternateName)
        if not label and value == "[x]":
            label = said(pdfium.FPDFAnnot_GetFormFieldExportValue)
        return Widget(
            (box.left, min(box.bottom, box.top), box.right, max(box.bottom, box.top)),
            value,
            label,
            value in ("[x]", "[ ]"),
            bool(pdfium.FPDFAnnot_GetFlags(annotation) & _HIDDEN_FLAGS),
        )


_SILENT = (pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP, pdfium.FPDF_ANNOT_UNKNOWN)
_HIDDEN_FLAGS = 2 | 32
_PASSWORD_FIELD = 1 << 13


def _annotation_string(annotation: Any, key: str) -> str:
    name = key.encode()
    return _wide_string(lambda buffer, size: pdfium.FPDFAnnot_GetStringValue(annotation, name, buffer, size))


def _chosen(form: Any, annotation: Any) -> Iterator[str]:
    """The options of a list that are selected, as they are shown."""
    for number in range(min(1000, pdfium.FPDFAnnot_GetOptionCount(form, annotation))):
        if pdfium.FPDFAnnot_IsOptionSelected(form, annotation, number):
            yield _wide_string(
                lambda buffer, size, n=number: pdfium.FPDFAnnot_GetOptionLabel(  # type: ignore[misc]
                    form, annotation, n, buffer, size
                )
            )


def _attachment(found: Any) -> tuple[str, bytes]:
    name = _wide_string(lambda buffer, size: pdfium.FPDFAttachment_GetName(found, buffer, size))
    needed = ctypes.c_ulong()
    pdfium.FPDFAttachment_GetFile(found, None, 0, needed)
    content = ctypes.create_string_buffer(max(1, needed.value))
    if not needed.value or not pdfium.FPDFAttachment_GetFile(found, content, needed.value, needed):
        return name, b""
    return name, content.raw[: needed.value]


# --- the characters of a page -------------------------------------------------------------------------------


def _read_glyphs(page: Any, content: PageContent, *, with_fonts: bool) -> None:
    text_page = pdfium.FPDFText_LoadPage(page)
    unmapped = 0.0
    if text_page:
        try:
            count = pdfium.FPDFText_CountChars(text_page)
            if count > 0:
                codes = _codes(text_page, count)
                unmapped = _unmapped(codes)
                content.glyphs, content.hidden = _glyphs(page, text_page, codes, with_fonts=with_fonts)
        finally:
            pdfium.FPDFText_ClosePage(text_page)
    if unmapped > 0.5:
        content.glyphs, content.is_picture = None, True
    elif content.glyphs is None or content.glyphs.solid.size < _FEW_CHARACTERS:
        content.is_picture = _is_picture(page, has_text=content.glyphs is not None)


def _unmapped(codes: np.ndarray) -> float:
    """The share of characters of which the font does not say what they mean."""
    if codes.min() > 0 and codes.max() < 0xE000:
        return 0.0
    blank = (codes == 32) | (codes == 10) | (codes == 13) | (codes == 0xA0)
    lost = (codes == 0) | (codes == _NO_CHARACTER) | ((codes >= 0xE000) & (codes < 0xF000))
    return float(np.count_nonzero(lost)) / max(1, int(codes.size - np.count_nonzero(blank)))


def _codes(text_page: Any, count: int) -> np.ndarray:
    """The characters of a page as numbers, one for each that PDFium counts; the second half of a pair of surrogates is 0."""
    buffer = np.zeros(count + 1, np.uint16)
    target = ctypes.cast(buffer.ctypes.data, ctypes.POINTER(ctypes.c_ushort))
    if pdfium.FPDFText_GetText(text_page, 0, count, target) == count + 1:
        codes = buffer[:count].astype(np.uint32)
    else:
        codes = np.fromiter(map(_char_code, repeat(_address(text_page)), range(count)), np.uint32, count)
    odd = (codes >= 0xD800) & ((codes < 0xE000) | (codes > 0x10FFFF))
    if odd.any():
        codes = _without_surrogates(codes, odd)
    return with_signs_of_tex(codes)


_T1 = dict(zip(range(0x10, 0x20), "“”„«»–—\0\0ıȷ\ufb00\ufb01\ufb02\ufb03\ufb04", strict=True))
_OT1 = {0x0B: "\ufb00", 0x0C: "\ufb01", 0x0E: "\ufb03", 0x0F: "\ufb04", 0x10: "ı", 0x11: "ȷ", 0x19: "ß", 0x1A: "æ",
        0x1B: "œ", 0x1C: "ø", 0x1D: "Æ", 0x1E: "Œ", 0x1F: "Ø"}  # fmt: skip
_BULLET = 0x88
"""In the fonts of symbols that belong to T1."""


def with_signs_of_tex(codes: np.ndarray) -> np.ndarray:
    """The characters with quotes and ligatures where TeX's fonts, whose files often do not say what they mean, have them.

    PDFium itself puts nothing but line ends and hyphens there. Fonts of formulas have other signs there, so most of what would be
    ligatures has to stand within words.
    """
    bullets = codes == _BULLET
    if bullets.any():
        codes[bullets] = ord("•")
    odd = (codes < 0x20) & (codes > 0x0A) & (codes != 0x0D)
    if not odd.any():
        return codes
    letters = ((codes | 0x20) >= 0x61) & ((codes | 0x20) <= 0x7A)
    before_letter, behind_letter = np.append(letters[1:], False), np.append(False, letters[:-1])
    for ligatures, table, fewest in ((_T1_LIGATURES, _T1, 1), (_OT1_LIGATURES, _OT1, 2)):
        found = np.isin(codes, ligatures)
        opening, within = (
            int((found & before_letter).sum()),
            int((found & before_letter & behind_letter).sum()),
        )
        if within >= fewest and 2 * opening > int(found.sum()):
            in_word = letters | found
            beside = odd & (np.append(in_word[1:], False) | np.append(False, in_word[:-1]))
            for code, letter in table.items():
                codes[(codes == code) & beside] = ord(letter)
            if table is _T1:
                codes[codes == 0xFF] = ord("ß")
            break
    return codes


_T1_LIGATURES = [0x1B, 0x1C, 0x1D, 0x1E, 0x1F]
_OT1_LIGATURES = [0x0B, 0x0C, 0x0E, 0x0F]


def _without_surrogates(codes: np.ndarray, odd: np.ndarray) -> np.ndarray:
    high = np.flatnonzero(
        (codes[:-1] & 0xFC00 == 0xD800) & (codes[1:] & 0xFC00 == 0xDC00) & odd[:-1] & odd[1:]
    )
    whole = 0x10000 + ((codes[high] & 0x3FF) << 10) + (codes[high + 1] & 0x3FF)
    codes[odd] = _NO_CHARACTER
    codes[high], codes[high + 1] = whole, 0
    return codes


def _glyphs(page: Any, text_page: Any, codes: np.ndarray, *, with_fonts: bool) -> tuple[Glyphs | None, int]:
    """The visible characters of a page with their places, and how many stretches are hidden."""
    solid = np.flatnonzero(is_solid(codes))
    if not solid.size:
        return None, 0
    handle = _address(text_page)
    boxes = _boxes(handle, codes[solid], solid)
    change = (boxes[1:, 1] != boxes[:-1, 1]) | (boxes[1:, 3] != boxes[:-1, 3])
    glyphs = _with_details(handle, codes, solid, boxes, np.append(0, np.flatnonzero(change) + 1))
    if with_fonts:
        glyphs.bold = _bold(handle, glyphs)
    hidden = _misplaced(page, glyphs)
    if not _is_plain(page, solid.size):
        faint = _faint(page, glyphs, _objects(handle, solid, change))
        hidden = faint if hidden is None else hidden | faint
    if hidden is None or not hidden.any():
        return glyphs, 0
    return glyphs.only(~hidden), int(hidden[0]) + int((hidden[1:] & ~hidden[:-1]).sum())


def _boxes(handle: int, letters: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """The box of each character that leaves ink: left, top, right, bottom.

    To save time PDFium is asked for the first and last letter of plain Latin words alone; if they are on one line, the letters
    between them are spread evenly. Digits, signs and all other characters are asked for one by one, and so are long words and
    those with capitals inside: PDFium may have overlooked a gap in them.
    """
    kinds = _KINDS[np.minimum(letters, _KINDS.size - 1)]
    alone = kinds >= _ALONE
    begins = np.ones(letters.size, bool)
    begins[1:] = (np.diff(solid) > 1) | alone[1:] | alone[:-1]
    first = np.flatnonzero(begins)
    last = np.append(first[1:], letters.size) - 1
    known = begins
    known[last] = True
    boxes = np.zeros((letters.size, 4), np.float32)
    _ask_boxes(handle, solid, np.flatnonzero(known), boxes)
    lengths = last - first + 1
    capitals = np.append(False, (kinds[1:] == _CAPITAL) & (kinds[:-1] == _SMALL))
    level = (boxes[first, 1] == boxes[last, 1]) & (boxes[first, 3] == boxes[last, 3])
    level &= (boxes[first, 0] <= boxes[last, 0]) & (lengths > 2) & (lengths <= _LONGEST_WORD)
    level &= ~np.logical_or.reduceat(capitals, first) & ~(kinds == _ACCENT).any()
    evenly = np.repeat(level, lengths)
    _ask_boxes(handle, solid, np.flatnonzero(~(known | evenly)), boxes)
    first, lengths = first[level], lengths[level]
    left, right = boxes[first, 0], boxes[last[level], 2]
    step = np.repeat((right - left) / lengths, lengths)
    place = np.flatnonzero(evenly)
    nth = place - np.repeat(first, lengths)
    boxes[place, 0] = np.repeat(left, lengths) + step * nth
    boxes[place, 2] = boxes[place, 0] + step
    boxes[place, 1] = np.repeat(boxes[first, 1], lengths)
    boxes[place, 3] = np.repeat(boxes[first, 3], lengths)
    return boxes


def _ask_boxes(handle: int, solid: np.ndarray, places: np.ndarray, boxes: np.ndarray) -> None:
    found = np.zeros((places.size, 4), np.float32)
    base = found.ctypes.data
    _exhaust(map(_char_box, repeat(handle), solid[places].tolist(), range(base, base + 16 * places.size, 16)))
    _finite(found)
    boxes[places] = found


_SMALL, _CAPITAL, _ALONE, _ACCENT = range(4)
_LONGEST_WORD = 11


def _kind(letter: str) -> int:
    if letter in "´¨ˆ˜˚ˇ˘˙¯¸˝":
        return _ACCENT
    return (_CAPITAL if letter.isupper() else _SMALL) if letter.isalpha() else _ALONE


_KINDS = np.array([_kind(chr(code)) for code in range(0x2E0)] + [_ALONE], np.uint8)
"""Kinds of the first characters of Unicode; the last represents all others."""


def _finite(numbers: np.ndarray) -> None:
    if not (np.abs(numbers) < _FARTHEST).all():
        np.nan_to_num(numbers, copy=False, nan=0.0, posinf=_FARTHEST, neginf=-_FARTHEST)
        np.clip(numbers, -_FARTHEST, _FARTHEST, out=numbers)


@dataclass(slots=True)
class _Objects:
    """The text objects that the characters come from: `starts` are places in `solid`. One may come several times."""

    starts: np.ndarray
    handles: list[int]
    length: int

    def spread(self, values: np.ndarray) -> np.ndarray:
        """A value of each object as a value of each character."""
        return np.repeat(values, np.diff(self.starts, append=self.length))


def _objects(handle: int, solid: np.ndarray, change: np.ndarray) -> _Objects:
    """Asked for where a word begins and where the height changes: within a word nothing else changes."""
    places = np.append(0, np.flatnonzero(change | (np.diff(solid) > 1)) + 1)
    found = [one or 0 for one in map(_char_object, repeat(handle), solid[places].tolist())]
    handles = np.array(found, np.uint64)
    begins = np.append(True, handles[1:] != handles[:-1])
    return _Objects(places[begins], handles[begins].tolist(), solid.size)


def _with_details(
    handle: int, codes: np.ndarray, solid: np.ndarray, boxes: np.ndarray, starts: np.ndarray
) -> Glyphs:
    """What the first character of each run says of all.

    Runs of one height have one font, so one run of each height is asked for it; a page with text that is turned has all asked.
    """
    indexes, count = solid[starts].tolist(), starts.size
    origins = np.zeros((count, 2), np.float64)
    at = origins.ctypes.data
    ends = range(at, at + 16 * count, 16), range(at + 8, at + 8 + 16 * count, 16)
    _exhaust(map(_char_origin, repeat(handle), indexes, *ends))
    _finite(origins)
    heights = np.round(64 * (boxes[starts, 1] - boxes[starts, 3]))
    _, asked, kinds = np.unique(heights, return_index=True, return_inverse=True)
    matrix, sizes = _fonts(handle, [indexes[one] for one in asked.tolist()])
    leftwards = np.count_nonzero(np.diff(boxes[:, 0]) < 0) - (count - 1)
    if matrix[:, 1].any() or (matrix[:, 0] <= 0).any() or leftwards >= _MOST_LEFTWARDS:
        matrix, sizes = _fonts(handle, indexes)
        return Glyphs(codes, solid, boxes, starts, matrix, sizes, origins)
    return Glyphs(codes, solid, boxes, starts, matrix[kinds], sizes[kinds], origins)


def _fonts(handle: int, indexes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The matrices of characters and their sizes in points."""
    count = len(indexes)
    matrix = np.zeros((count, 6), np.float32)
    first = matrix.ctypes.data
    _exhaust(map(_char_matrix, repeat(handle), indexes, range(first, first + 24 * count, 24)))
    sizes = np.fromiter(map(_char_size, repeat(handle), indexes), np.float64, count)
    _finite(matrix)
    _finite(sizes)
    return matrix, np.abs(sizes * np.hypot(matrix[:, 2], matrix[:, 3]))


def _bold(handle: int, glyphs: Glyphs) -> np.ndarray:
    """Which characters are set in a bold font, by its name: those of runs that begin and end in one."""
    buffer = ctypes.create_string_buffer(200)
    known: dict[int, bool] = {0: False}

    def is_bold(index: int) -> bool:
        found = _char_object(handle, index)
        font = (_text_font(found) or 0) if found else 0
        if font not in known:
            buffer.value = b""
            _font_name(font, ctypes.addressof(buffer), len(buffer))
            known[font] = any(mark in buffer.value.lower() for mark in _BOLD_NAMES)
        return known[font]

    solid, starts = glyphs.solid, glyphs.starts
    first, last = solid[starts].tolist(), solid[np.append(starts[1:], solid.size) - 1].tolist()
    bold = [is_bold(one) and is_bold(other) for one, other in zip(first, last, strict=True)]
    return glyphs.spread(np.array(bold, bool))


# --- what nobody sees -----------------------------------------------------------------------------------------


def _is_plain(page: Any, characters: int) -> bool:
    """Whether all text lies directly on the page and none is faint: the quick answer for most pages."""
    count = pdfium.FPDFPage_CountObjects(page)
    if not 0 <= count <= characters // 3 + 20:
        return False
    objects = [found or 0 for found in map(_page_object, repeat(_address(page)), range(count))]
    kinds = list(map(_object_type, objects))
    if pdfium.FPDF_PAGEOBJ_FORM in kinds:
        return False
    texts = [one for one, kind in zip(objects, kinds, strict=True) if kind == pdfium.FPDF_PAGEOBJ_TEXT]
    return not any(faint.any() for faint in _looks(texts))


def _looks(objects: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which text objects are not drawn, which are fully transparent, and which are white."""
    count = len(objects)
    colours = np.zeros((count, 4), np.uint32)
    base = colours.ctypes.data
    modes = np.fromiter(map(_text_mode, objects), np.int32, count)
    places = (range(base + n, base + n + 16 * count, 16) for n in (0, 4, 8, 12))
    told = np.fromiter(map(_fill_colour, objects, *places), np.int32, count) != 0
    painted = told & ((modes == 0) | (modes == 4))
    unseen = (modes == _INVISIBLE) | (modes == _CLIP_ONLY)
    return unseen, painted & (colours[:, 3] == 0), painted & (colours[:, :3] >= _WHITE).all(axis=1)


def _faint(page: Any, glyphs: Glyphs, objects: _Objects) -> np.ndarray:
    """Which characters are not drawn though no picture shows them, are transparent, or white on white."""
    unseen, clear, white = (objects.spread(which) for which in _looks(objects.handles))
    faint: np.ndarray = clear
    if unseen.any() or white.any():
        drawings = _drawings(page)
        covered = _covered(glyphs.boxes, drawings.pictures)
        faint = clear | ~covered & (unseen | white & ~_covered(glyphs.boxes, drawings.fills))
    return faint


def _misplaced(page: Any, glyphs: Glyphs) -> np.ndarray | None:
    """Characters too small to be read, or of lines that lie outside the part of the page that is shown."""
    boxes = glyphs.boxes
    left, bottom, right, top = _shown(page)
    hidden = None
    across, up = boxes[:, 0::2], boxes[:, 1::2]
    if across.min() < left or across.max() > right or up.min() < bottom or up.max() > top:
        hidden = glyphs.spread(_beside(glyphs, left, bottom, right, top))
    small = glyphs.sizes < _SMALLEST_TEXT
    if small.any():
        # Fonts lie about their size, so the boxes have to be small as well.
        extents = np.abs(boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        minute = glyphs.spread(small) & (extents < 1.5 * _SMALLEST_TEXT)
        hidden = minute if hidden is None else hidden | minute
    return hidden


def _beside(glyphs: Glyphs, left: float, bottom: float, right: float, top: float) -> np.ndarray:
    """Which runs lie outside this area and are not the end of a line, or of a table, that runs over its edge."""
    runs = glyphs.run_boxes
    beside: np.ndarray = (
        (runs[:, 2] < left) | (runs[:, 0] > right) | (runs[:, 3] < bottom) | (runs[:, 1] > top)
    )
    for place in np.flatnonzero(beside).tolist():
        if place and not beside[place - 1]:
            before, run = runs[place - 1], runs[place]
            gaps = np.maximum(run[:2] - before[2:], before[:2] - run[2:])
            beside[place] = bool((gaps > _OVERRUN * glyphs.sizes[place]).any())
    return beside


def _shown(page: Any) -> Box:
    """The part of a page that is shown. On turned pages some writers take its width for its height."""
    box = pdfium.FS_RECTF()
    if not pdfium.FPDF_GetPageBoundingBox(page, box) or box.right <= box.left:
        return (-_FARTHEST, -_FARTHEST, _FARTHEST, _FARTHEST)
    left, right = box.left, box.right
    bottom, top = min(box.bottom, box.top), max(box.bottom, box.top)
    if pdfium.FPDFPage_GetRotation(page) % 2:
        right, top = max(right, left + top - bottom), max(top, bottom + right - left)
    return (left - 1, bottom - 1, right + 1, top + 1)


def _covered(boxes: np.ndarray, areas: list[Box]) -> np.ndarray:
    """Which boxes (left, top, right, bottom) have their middle in one of the areas."""
    covered = np.zeros(len(boxes), bool)
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    for left, bottom, right, top in areas:
        covered |= (x >= left) & (x <= right) & (y >= bottom) & (y <= top)
    return covered


@dataclass(slots=True)
class _Drawings:
    """Boxes of what is drawn on a page besides text: pictures, and areas filled with a colour that white stands out from."""

    pictures: list[Box] = field(default_factory=list)
    fills: list[Box] = field(default_factory=list)
    lines: int = 0


def _drawings(page: Any) -> _Drawings:
    found = _Drawings()
    waiting = [
        (pdfium.FPDFPage_GetObject(page, number), 0, _WHOLE)
        for number in range(min(_MOST_OBJECTS, max(0, pdfium.FPDFPage_CountObjects(page))))
    ]
    looked_at = 0
    while waiting and looked_at < _MOST_OBJECTS:
        thing, depth, matrix = waiting.pop()
        looked_at += 1
        kind = pdfium.FPDFPageObj_GetType(thing)
        if kind == pdfium.FPDF_PAGEOBJ_FORM and depth < _DEEPEST_FORM:
            inner = _times(_matrix_of(thing), matrix)
            count = min(_MOST_OBJECTS, max(0, pdfium.FPDFFormObj_CountObjects(thing)))
            waiting += [(pdfium.FPDFFormObj_GetObject(thing, n), depth + 1, inner) for n in range(count)]
        elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            found.pictures.append(_bounds(thing, matrix))
        elif kind in (pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_SHADING):
            found.lines += 1
            if kind == pdfium.FPDF_PAGEOBJ_SHADING or _is_filled(thing):
                found.fills.append(_bounds(thing, matrix))
    return found


_WHOLE = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
_Matrix = tuple[float, float, float, float, float, float]


def _matrix_of(thing: Any) -> _Matrix:
    found = pdfium.FS_MATRIX()
    if not pdfium.FPDFPageObj_GetMatrix(thing, found):
        return _WHOLE
    return (found.a, found.b, found.c, found.d, found.e, found.f)


def _times(one: _Matrix, other: _Matrix) -> _Matrix:
    a, b, c, d, e, f = one
    p, q, r, s, t, u = other
    return (a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u)


def _bounds(thing: Any, matrix: _Matrix) -> Box:
    """Left, bottom, right and top of an object on the page."""
    at = [pdfium.FS_FLOAT() for _ in range(4)]
    if not pdfium.FPDFPageObj_GetBounds(thing, *at):
        return (0.0, 0.0, 0.0, 0.0)
    left, bottom, right, top = (float(one.value) for one in at)
    a, b, c, d, e, f = matrix
    corners = [(x, y) for x in (left, right) for y in (bottom, top)]
    across = [a * x + c * y + e for x, y in corners]
    up = [b * x + d * y + f for x, y in corners]
    return (min(across), min(up), max(across), max(up))


def _is_filled(path: Any) -> bool:
    """Whether a path is filled with something that is not white."""
    how, stroke = ctypes.c_int(), pdfium.FPDF_BOOL()
    if not pdfium.FPDFPath_GetDrawMode(path, how, stroke) or how.value == 0:
        return False
    colour = [ctypes.c_uint() for _ in range(4)]
    if not pdfium.FPDFPageObj_GetFillColor(path, *colour):
        return True  # a pattern
    return any(one.value < _WHITE for one in colour[:3])


def _is_picture(page: Any, *, has_text: bool) -> bool:
    """Whether what a page says is in what is drawn on it: all of it without text, else a picture over most of the page."""
    found = _drawings(page)
    if not has_text:
        return bool(found.pictures) or found.lines > 0
    left, bottom, right, top = _shown(page)
    area = (right - left) * (top - bottom)
    return any((box[2] - box[0]) * (box[3] - box[1]) > _MOST_OF_THE_PAGE * area for box in found.pictures)
