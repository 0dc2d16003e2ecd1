"""OCR: pictures become text, page by page, with a confidence. Runs in the reading process; Tesseract is linked into kreuzberg.

Each page is a picture of its own, so that every page can be told to the parent at once and none is read twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ragchat.errors import IngestError
from ragchat.ingest.formats import Kind
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.ocr.pictures import Opener, PageSheet, Sheet, sheets_of
from ragchat.ingest.reading.ocr.tesseract import recognise
from ragchat.ingest.wire import Reason
from ragchat.text import clean
from ragchat.types import ExtractedText, LeftOutKind

Say = Callable[[int, int, int, str, float], None]
"""Is told (number, page, pages, text, confidence), as in `wire.PageRead`."""

_LEAST_CONFIDENCE = 0.4
"""Of a page and of a line; below it is what Tesseract makes of a photograph."""
_SURE = 0.6
"""Pages below may stand upside down; words below are no proof that there is text."""
_FEWEST_WORDS = 8
"""On a page that is worth a second look."""
_UPSIDE_DOWN = 180
_TURNING_DATA = "osd.traineddata"


class PageText(NamedTuple):
    """What was read on a page: `text` is '' when nothing was, `confidence` from 0 to 1."""

    text: str
    confidence: float


class Ocr:
    """Reads the pictures of one file. `pages` counts those it was asked for; `known` holds what an earlier attempt read of them.

    `languages` as Tesseract names them, `folder` where its data lies.
    """

    def __init__(
        self, languages: tuple[str, ...], folder: str, known: Mapping[int, PageText], say: Say
    ) -> None:
        os.environ["TESSDATA_PREFIX"] = folder
        self._languages = languages
        self._can_turn = (Path(folder) / _TURNING_DATA).is_file()
        self._known = known
        self._say = say
        self.pages = 0
        self.trouble: Reason | None = None
        """Why the last page that could not be looked at could not."""

    def read(self, sheet: Opener, page: int, pages: int) -> PageText:
        """The text of page `page` of `pages`. Raises IngestError when OCR does not work at all."""
        self.pages += 1
        if (known := self._known.get(self.pages)) is not None:
            return known
        try:
            found = self._best(sheet())
        except IngestError as error:
            self.trouble = Reason(str(error))
            if self.trouble == Reason.OCR_FAILED:
                raise
            found = _NOTHING  # the other pages need not be damaged
        except RuntimeError:  # pdfium's errors are such
            self.trouble, found = Reason.DAMAGED, _NOTHING
        found = found.legible()
        read = PageText(clean(found.text), round(found.confidence, 3))
        self._say(self.pages, page, pages, *read)
        return read

    def _best(self, sheet: Sheet) -> _Reading:
        """The page as it stands, or upside down when that makes more sense. Tesseract itself turns by a quarter."""
        first = self._look(sheet, 0)
        if first is None or first.confidence >= _SURE or len(first.words) < _FEWEST_WORDS:
            return first or _NOTHING
        second = self._look(sheet, _UPSIDE_DOWN)
        return second if second is not None and second.confidence > first.confidence else first

    def _look(self, sheet: Sheet, turn: int) -> _Reading | None:
        """None when the sheet cannot be turned."""
        picture = sheet.render(turn)
        by_itself = picture is None and self._can_turn
        picture = sheet.render(0) if by_itself else picture
        if picture is None:
            return None
        enlarge = not isinstance(sheet, PageSheet) or sheet.is_small
        return _Reading.of(
            recognise(picture.data, picture.media_type, self._languages, enlarge=enlarge, turning=by_itself)
        )


class _Word(NamedTuple):
    line: tuple[str, ...]
    confidence: float
    text: str

    @property
    def letters(self) -> int:
        return sum(map(str.isalnum, self.text))


class _Reading(NamedTuple):
    """The words of a page in their order, and how sure Tesseract is of them on the whole."""

    words: tuple[_Word, ...]
    confidence: float

    @classmethod
    def of(cls, table: str) -> _Reading:
        words = tuple(_words(table.split("\n")))
        return cls(words, _mean(words))

    def legible(self) -> _Reading:
        """The lines that are more than specks and textures that look like letters; none when that leaves next to nothing."""
        lines = (tuple(line) for _, line in groupby(self.words, lambda word: word.line))
        words = tuple(word for line in lines if _is_legible(line) for word in line)
        is_text = _mean(words) >= _LEAST_CONFIDENCE and any(map(_is_proof, words))
        return _Reading(words, _mean(words)) if is_text else _NOTHING

    @property
    def text(self) -> str:
        """Lines as they stand; paragraphs are separated by an empty line."""
        paragraphs = []
        for _, paragraph in groupby(self.words, lambda word: word.line[:-1]):
            lines = groupby(paragraph, lambda word: word.line)
            paragraphs.append("\n".join(_SPACES.sub("", " ".join(w.text for w in line)) for _, line in lines))
        return "\n\n".join(paragraphs)


_NOTHING = _Reading((), 0.0)
_SPACES = re.compile(
    r"(?<=[\u0e00-\u0eff\u2e80-\u30ff\u3400-\u9fff]) (?=[\u0e00-\u0eff\u2e80-\u30ff\u3400-\u9fff])"
)
"""Between characters of Chinese, Japanese, Thai and Lao, which are written without."""


def _mean(words: Iterable[_Word]) -> float:
    """The confidence in words, the longer ones counting for more."""
    weighed = letters = 0.0
    for word in words:
        weighed += word.letters * word.confidence
        letters += word.letters
    return weighed / letters if letters else 0.0


def _is_proof(word: _Word) -> bool:
    return word.confidence >= _SURE and word.letters >= 2


def _is_legible(line: Sequence[_Word]) -> bool:
    return _mean(line) >= _LEAST_CONFIDENCE or any(map(_is_proof, line))


def _words(rows: Iterable[str]) -> Iterator[_Word]:
    """Columns: level (5: a word), page, block, paragraph, line, word, four of its place, confidence to 100, text."""
    for row in rows:
        columns = row.split("\t", 11)
        if len(columns) == 12 and columns[0] == "5" and (text := columns[11].strip()):
            yield _Word(tuple(columns[2:5]), _confidence(columns[10]), text)


def _confidence(percent: str) -> float:
    try:
        return min(1.0, max(0.0, float(percent) / 100))
    except ValueError:
        return 0.0


# --- documents --------------------------------------------------------------------------------------------


def read_picture(data: bytes, kind: Kind, ocr: Ocr) -> ExtractedText:
    """The text of a picture, page by page. Raises IngestError, also when there is none."""
    sheets = sheets_of(data)
    builder = DocumentBuilder(kind.media_type)
    for page, sheet in enumerate(sheets, 1):
        builder.page()
        builder.section((), apart=True)  # so that few passages go over two pages
        read = ocr.read(sheet, page, len(sheets))
        if not read.text:
            builder.leave_out(LeftOutKind.PAGE, f"page {page}")
        for paragraph in read.text.split("\n\n"):
            builder.recognised(paragraph, read.confidence)
    document = builder.build()
    if not document.text.strip():
        raise IngestError(ocr.trouble or Reason.NO_OCR_TEXT)
    return document


def page_reader(data: bytes, ocr: Ocr) -> Callable[[int], tuple[str, float]]:
    """What `read_pdf` asks for the text and the confidence of a page, numbered from 1, that is a picture."""
    import pypdfium2

    document: list[pypdfium2.PdfDocument] = []

    def recognise_page(page: int) -> tuple[str, float]:
        if not document:
            document.append(pypdfium2.PdfDocument(data))
        return ocr.read(lambda: PageSheet(document[0][page - 1]), page, len(document[0]))

    return recognise_page
