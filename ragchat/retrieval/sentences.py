"""Where sentences begin and end: used to cut long paragraphs, to overlap chunks and to point at evidence.

Rules and a list of abbreviations, no model; linear in the length of the text. It does not look into code:
there a "sentence" is whatever is between blank lines.
"""

from __future__ import annotations

import re

from ragchat.retrieval.patterns import lazy

_BOUNDARY = lazy(
    r"""
      (?P<blank>\n[^\S\n]*+\n)                                    # a blank line
    | (?P<line>\n)(?=[^\S\n]*+(?:[-*+•‣◦|]|>>>|\#{1,6}|\d{1,3}[.)])\s      # an item, a heading
                        |[^\S\n]*+(?:```|~~~|\|))                    # a fence, a table row
    | (?P<heading>^\#{1,6}[^\S\n][^\n]*+\n)                       # the line after a heading
    | (?P<cjk>(?<![。！？｡])[。！？｡]++[」』”’）】》]*+)            # needs no space after it
    | (?P<stop>(?<![.!?…])[.!?…]++["'”’»)\]*_`]*+)(?=\s|$)
    """,
    flags=re.VERBOSE | re.MULTILINE,
)
_WORD_BEFORE = re.compile(r"[^\s(\[\"'“‘«]*\Z")
_NEXT = re.compile(r"[\s\"'“‘«(\[*_`¿¡]*+")
# Never end a sentence, whatever follows. Compared without the last full stop, in lower case.
_ABBREVIATIONS = frozenset(
    """
    e.g i.e cf vs viz dr mr mrs ms prof st mt rev gen col sgt capt lt hon messrs mme mlle
    fig figs eq eqs sec ch vol ed eds pp ref refs resp approx ca dept est jr sr
    jan feb mar apr jun jul aug sep sept oct nov dec
    z.b bzw d.h u.a s vgl evtl ggf inkl bspw nr abs art hrsg sog z.t o.ä i.d.r
    p.ex av
    """.split()  # noqa: SIM905
)
# Abbreviations only before a number: "no. 5", "p. 12".
_BEFORE_NUMBER = frozenset("no nos p pg vol art par ver v op n".split())  # noqa: SIM905
_WINDOW = 24


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The sentences of `text` as (first, last) character offsets, last exclusive, in order.

    Spans do not overlap, neither begin nor end with white space, and together hold every character that is
    not white space. List items, table rows and headings count as sentences of their own.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _BOUNDARY.finditer(text):
        if match.lastgroup == "stop" and not _ends_sentence(text, match.start(), match.end()):
            continue
        _add(text, start, match.end(), spans)
        start = match.end()
    _add(text, start, len(text), spans)
    return spans


def piece_spans(text: str, longest: int) -> list[tuple[int, int]]:
    """The sentences of `text`, those above `longest` characters (a listing, a table) in parts.

    A part ends with a line, else with a word. Spans are as in `sentence_spans`.
    """
    return [part for span in sentence_spans(text) for part in _parts(text, *span, longest)]


def _parts(text: str, first: int, last: int, longest: int) -> list[tuple[int, int]]:
    parts: list[tuple[int, int]] = []
    while last - first > longest:
        window = text[first : first + longest]
        end = max(window.rfind("\n"), 0) or max(window.rfind(" "), 0) or longest
        parts.append((first, first + end))
        first += end
        while first < last and text[first].isspace():
            first += 1
    return [*parts, (first, last)] if first < last else parts


def _add(text: str, first: int, last: int, spans: list[tuple[int, int]]) -> None:
    piece = text[first:last]
    if stripped := piece.strip():
        first += len(piece) - len(piece.lstrip())
        spans.append((first, first + len(stripped)))


def _ends_sentence(text: str, stop: int, end: int) -> bool:
    """Whether the stop at `stop`, with closing quotes up to `end`, ends a sentence."""
    following = _NEXT.match(text, end, end + _WINDOW)
    after = following.end() if following else end
    next_char = text[after : after + 1]
    if text[stop] != "." or end - stop > 3:
        return not next_char.islower()
    if next_char.islower():
        return False
    before = text[max(0, stop - _WINDOW) : stop]
    found = _WORD_BEFORE.search(before)
    word = (found[0] if found else "").lower()
    if word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word not in "i"):
        return False
    if word in _BEFORE_NUMBER and next_char.isdigit():
        return False
    # "1. First" opens a list item: the number stands alone on its line so far.
    number_opens_line = word.isdigit() and len(word) <= 3 and _opens_line(text, stop - len(word))
    return not number_opens_line


def _opens_line(text: str, position: int) -> bool:
    line_start = text.rfind("\n", max(0, position - _WINDOW), position) + 1
    if not line_start and position > _WINDOW:
        return False
    return not text[line_start:position].strip(" \t>#*-")
