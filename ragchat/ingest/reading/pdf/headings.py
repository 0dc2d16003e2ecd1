"""Which lines of pages are headings: by the bookmarks of the document, else by the size and weight of their letters."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ragchat.ingest.reading.pdf.layout import Line
from ragchat.text import clean_line


class Bookmark(NamedTuple):
    """An entry of the outline. `page` counts from 0; `top` is the height it leads to, None where not told."""

    level: int
    title: str
    page: int
    top: float | None


_MOST_LINES = 3
"""Lines that a heading may take."""
_NUMBERING = re.compile(
    r"(?:chapter|chapitre|kapitel|capitulo|capitolo|part|teil|appendix|anhang|annexe|section|abschnitt)?"
    r"(?:\d{0,8}|[a-z]\d{0,6}|[ivxlc]{0,7})$"
)
_LONGEST_NUMBERING = 20
_NO_HEADING = re.compile(
    r"(?:page|seite|p\.?|slide|folie)? ?[\divxlc]{1,6}$|.{1,80}\.(?:pdf|docx?|indd|tex)$", re.IGNORECASE
)


def useful(bookmarks: Iterable[Bookmark]) -> list[Bookmark]:
    """Bookmarks that name parts of the text, not just pages or files; none when there are too few to tell sections."""
    kept = [
        mark._replace(title=title)
        for mark in bookmarks
        if (title := clean_line(mark.title)) and not _NO_HEADING.match(title)
    ]
    return kept if sum(mark.page >= 0 for mark in kept) > 1 else []


def mark_bookmarks(pages: list[list[Line]], bookmarks: Iterable[Bookmark]) -> None:
    """Make headings of the lines that bookmarks name; those that are not found begin at the line that they lead to."""
    by_page: dict[int, list[Bookmark]] = {}
    for mark in bookmarks:
        if 0 <= mark.page < len(pages):
            by_page.setdefault(mark.page, []).append(mark)
    for page, marks in by_page.items():
        _mark_page(pages[page], marks)


def _mark_page(lines: list[Line], marks: list[Bookmark]) -> None:
    longest = max(len(mark.title) for mark in marks) + _LONGEST_NUMBERING
    keys = [_key(line.text) if len(line.text) <= longest else "" for line in lines]
    begin = 0
    for mark in marks:
        found = _find(keys, _key(mark.title), begin)
        place = found[0] if found else _led_to(lines, mark.top, begin)
        if place is None:
            continue
        if found:
            _merge(lines, keys, *found)
        lines[place].title = "" if found else mark.title
        lines[place].level = mark.level
        begin = place + 1


def _key(text: str) -> str:
    """Letters and digits alone, for comparing."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _SIGNS.sub("", text.casefold())


_SIGNS = re.compile(r"[\W_]+")


def _find(keys: list[str], title: str, begin: int) -> tuple[int, int] | None:
    """The lines, first and last, whose text is the title, its number aside."""
    if not title:
        return None
    for first in range(begin, len(keys)):
        said = ""
        for last in range(first, min(first + _MOST_LINES, len(keys))):
            said += keys[last]
            if not keys[last] or len(said) > len(title) + _LONGEST_NUMBERING:
                break
            if _is_same(said, title):
                return _with_chapter(keys, first, begin), last
    return None


def _is_same(said: str, title: str) -> bool:
    if said == title:
        return True
    if said.endswith(title):
        return bool(_NUMBERING.match(said[: -len(title)]))
    return len(said) > 3 and title.endswith(said) and bool(_NUMBERING.match(title[: -len(said)]))


def _with_chapter(keys: list[str], first: int, begin: int) -> int:
    """Where the heading begins when "CHAPTER" and "TWO" stand on lines of their own above it."""
    for above in (1, 2):
        place = first - above
        if place >= begin and keys[place] in _CHAPTER_WORDS:
            return place
    return first


_CHAPTER_WORDS = frozenset({"chapter", "appendix", "part", "kapitel", "anhang", "teil", "chapitre", "annexe"})


def _merge(lines: list[Line], keys: list[str], first: int, last: int) -> None:
    """Make one line of a heading that takes several."""
    lines[first].text = clean_line(" ".join(line.text for line in lines[first : last + 1]))
    keys[first] = "".join(keys[first : last + 1])
    del lines[first + 1 : last + 1], keys[first + 1 : last + 1]
    lines[first].opens = True


def _led_to(lines: list[Line], top: float | None, begin: int) -> int | None:
    """The first line below a height that is no heading yet."""
    for place in range(begin, len(lines)):
        line = lines[place]
        if not line.level and not line.turned and (top is None or line.v <= top):
            return place
    return None


# --- by type --------------------------------------------------------------------------------------------------

_LARGER = 1.15
"""Letters this much larger than those of the text are a heading's."""
_MOST_TEXT = 0.12
_MOST_STYLES = 6
_LONGEST = 120
_NUMBERED = re.compile(r"(?:\d{1,2}\.?|\d{1,2}(?:\.\d{1,2}){1,4}\.?|[A-Z]\.(?:\d{1,2}\.?)*)\s+\S")


def body_size(pages: list[list[Line]]) -> float:
    """The size of most letters."""
    letters: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            letters[round(2 * line.size) / 2] += len(line.text)
    return letters.most_common(1)[0][0] if letters else 0.0


def largest(lines: list[Line]) -> str:
    """What is set largest on a page, as a title is; '' when nothing stands out alone or it is too long for one."""
    level = [line for line in lines if not line.turned and any(letter.isalpha() for letter in line.text)]
    if not level:
        return ""
    size = max(line.size for line in level)
    if not size:  # OCR tells no sizes
        return ""
    found = [place for place, line in enumerate(level) if line.size > 0.97 * size]
    stands_alone = found[-1] - found[0] == len(found) - 1 < _MOST_LINES
    if not stands_alone or size < _LARGER * body_size([lines]):
        return ""
    title = clean_line(" ".join(level[place].text for place in found))
    return title if 2 < len(title) <= 150 else ""


def mark_by_type(pages: list[list[Line]], title: str = "") -> None:
    """Make headings of lines that stand out by size or weight, if that is clear; `title` is the document's and none of them."""
    body = body_size(pages)
    total = sum(len(line.text) for lines in pages for line in lines)
    if not body or not total:
        return
    bold = sum(len(line.text) for lines in pages for line in lines if line.bold)
    found = [list(_groups(lines, body, with_bold=bold < 0.3 * total)) for lines in pages]
    known = _key(title)
    for number, lines in enumerate(pages):
        found[number] = [group for group in found[number] if _key(group.text(lines)) != known]
    said = sum(len(group.text(pages[number])) for number, groups in enumerate(found) for group in groups)
    styles = sorted({group.style for groups in found for group in groups}, reverse=True)
    if sum(map(len, found)) < 2 or said > _MOST_TEXT * total or len(styles) > _MOST_STYLES:
        return
    for lines, groups in zip(pages, found, strict=True):
        for group in reversed(groups):
            _merge(lines, [""] * len(lines), group.first, group.last)
            lines[group.first].level = styles.index(group.style) + 1


class _Group(NamedTuple):
    """Lines, first and last, that stand out in the same way: by their size, or by being bold."""

    first: int
    last: int
    style: tuple[float, bool]

    def text(self, lines: list[Line]) -> str:
        return " ".join(line.text for line in lines[self.first : self.last + 1])


def _groups(lines: list[Line], body: float, *, with_bold: bool) -> Iterator[_Group]:
    place = 0
    while place < len(lines):
        style = _style(lines[place], body, with_bold=with_bold)
        end = place + 1
        while (
            style
            and end < len(lines)
            and not lines[end].opens
            and _style(lines[end], body, with_bold=with_bold) == style
        ):
            end += 1
        if style and end - place <= _MOST_LINES and _reads_as_heading(lines, place, end - 1, style, body):
            yield _Group(place, end - 1, style)
        place = end


def _style(line: Line, body: float, *, with_bold: bool) -> tuple[float, bool] | None:
    """How a line stands out, or None."""
    size = round(2 * line.size) / 2
    if line.turned or line.confidence is not None or not line.size:
        return None
    if size >= _LARGER * body or (with_bold and line.bold and size >= 0.95 * body):
        return size, line.bold
    return None


_NUMBER_APART = re.compile(r"^((?:\d{1,2}|[A-Z])(?:\.\d{1,2}){0,4}\.?) {2,}")
"""The number of a heading, which LaTeX sets apart from it."""


def _reads_as_heading(
    lines: list[Line], first: int, last: int, style: tuple[float, bool], body: float
) -> bool:
    """Whether lines that stand out are short, apart, and neither sentences, cells nor figures."""
    text = _NUMBER_APART.sub(r"\1 ", " ".join(line.text for line in lines[first : last + 1]))
    letters = sum(letter.isalpha() for letter in text)
    if not 2 < len(text) <= _LONGEST or 2 * letters < len(text) or "  " in text or text[-1] in ".,;:-":
        return False
    if style[0] >= _LARGER * body or _NUMBERED.match(text):
        return True
    below = lines[last + 1] if last + 1 < len(lines) else None
    return lines[first].opens and below is not None and not below.text[:1].islower()
