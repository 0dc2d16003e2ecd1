"""PDF as the text of its pages, without running heads, page numbers and tables of contents. Runs in the extraction process."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from ragchat.errors import IngestError
from ragchat.ingest.conversion import convert
from ragchat.ingest.wire import LONGEST_TITLE, Extracted, Reason
from ragchat.text import clean, clean_line

_LEADERS = re.compile(r"(?:[ \t]?\.){5,}+")


def extract_pdf(data: bytes) -> Extracted:
    """The text of a PDF with the places where its pages begin. Raises IngestError."""
    start = data[:1024].find(b"%PDF-")
    if start < 0:
        raise IngestError(Reason.DAMAGED)
    result = convert(data, "application/pdf", pages=True)
    metadata = result["metadata"]
    pages = _pages_of(result["pages"])
    if not any(page.strip() for page in pages):
        if result["content"].strip():
            pages = [clean(result["content"])]
        else:
            raise IngestError(Reason.NO_TEXT_LAYER)
    pages = _without_running_lines(pages)
    starts: list[int] = []
    length = 0
    for page in pages:
        starts.append(length)
        length += len(page) + 1
    blank = sum(1 for page in pages if not page.strip())
    note = f"{blank} of {len(pages)} pages hold no text" if blank > len(pages) // 3 else ""
    title = clean_line(str(metadata.get("title") or ""), limit=LONGEST_TITLE)
    return Extracted("\n".join(pages), "application/pdf", title, tuple(starts), note=note)


def _pages_of(found: list[Any]) -> list[str]:
    """The text of each page, from page 1 on, without the lines of a table of contents."""
    by_number: dict[int, str] = {}
    for page in found:
        get = page.get if isinstance(page, dict) else lambda key, page=page: getattr(page, key)
        number: Any = get("page_number")
        by_number[int(number)] = str(get("content"))
    pages = [by_number.get(number, "") for number in range(1, max(by_number, default=0) + 1)]
    return [_without_contents(clean(page)).strip("\n") for page in pages]


def _without_contents(page: str) -> str:
    """The page without entries such as "2.1 Title . . . . 5", which every search for a title would find
    first.
    """
    lines = page.split("\n")
    led = [bool(_LEADERS.search(line)) for line in lines]
    if sum(led) < 5:
        return _LEADERS.sub(" …", page)
    return "\n".join(line for line, is_led in zip(lines, led, strict=True) if not is_led)


_NUMBERS = re.compile(r"\d+")
_ROMAN = re.compile(r"[ivxlc]{1,7}$")


def _without_running_lines(pages: list[str]) -> list[str]:
    """Pages without page numbers and the lines that recur at their top or bottom."""
    lines = [page.split("\n") for page in pages]
    filled = [page for page in lines if any(page)]
    edges = Counter(_NUMBERS.sub("#", line.strip()) for page in filled for line in {page[0], page[-1]})
    # A number at the page's edge that runs with the pages: "4.6. The Debian archive 23".
    offsets = Counter(
        offset for index, page in enumerate(lines) if any(page) for offset in _number_offsets(page, index)
    )
    offset, count = offsets.most_common(1)[0] if offsets else (0, 0)
    runs = count >= max(3, len(filled) // 3)

    def is_running(line: str, index: int) -> bool:
        bare = line.strip()
        often = edges[_NUMBERS.sub("#", bare)] >= 3 and len(bare) < 100
        numbered = runs and offset in _number_offsets([bare], index)
        return not bare or bare.isdigit() or bool(_ROMAN.match(bare)) or often or numbered

    for index, page in enumerate(lines):
        if len(filled) < 3 or not any(page):
            continue
        if len(page) > 1 and is_running(page[0], index):
            del page[0]
        if len(page) > 1 and is_running(page[-1], index):
            del page[-1]
    return ["\n".join(page).strip("\n") for page in lines]


def _number_offsets(page: list[str], index: int) -> set[int]:
    """By how much a number that begins or ends the first or last line differs from the page's index."""
    found = set()
    for line in (page[0], page[-1]):
        words = line.split()
        found |= {int(word) - index for word in words[:1] + words[-1:] if word.isdecimal() and len(word) < 6}
    return found
