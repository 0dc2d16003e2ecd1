"""Bodies of mails: which of two that claim to say the same says all of it, and plain text as a user reads it."""

from __future__ import annotations

import html
import re
from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

from ragchat.ingest.reading.mail.mime import decode_uu
from ragchat.types import LeftOutKind

Choice = Literal["plain", "html", "both"]
Line = tuple[str, int]
"""A line, and where in the file it begins (0: not known)."""


class PlainBody(NamedTuple):
    """Its lines, the files that stood uuencoded among them, and what was left out."""

    lines: list[Line]
    files: list[tuple[str, bytes]]
    left_out: list[tuple[LeftOutKind, str]]


# --- plain text or HTML ---------------------------------------------------------------------------------

_FEW_WORDS = 5
_SHARE = 0.1
"""So many words, or this share of them, on one side only make a difference."""


def choose(plain: str, page: str) -> Choice:
    """Which of the two forms of a mail to read: the plain one, unless the HTML says more or holds a table."""
    if not plain.strip() or not page.strip():
        return "plain" if plain.strip() else "html"
    crude = crude_text(page)
    in_plain, in_page = _words(_ADDRESS.sub(" ", plain)), _words(_ADDRESS.sub(" ", crude))
    if not in_page:
        return "plain"
    if not _lacks(in_plain, in_page) and not _has_table(page):
        return "plain"
    return "both" if _lacks(in_page, in_plain) and not _STUB.search(plain[:1000]) else "html"


_STUB = re.compile(r"\bHTML\b")
_ADDRESS = re.compile(r"\b(?:https?|mailto|cid):[^\s<>\"\]]{1,2000}")
_WORD = re.compile(r"\w{2,}|\d")


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _lacks(words: set[str], others: set[str]) -> bool:
    """Whether so many of the others are missing that something was left out."""
    missing = len(others - words)
    return missing >= _FEW_WORDS or missing > _SHARE * len(others)


_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:]{0,30})([^<>]*)>")
_INLINE = frozenset("a abbr b big code del em font i ins mark s small span strong sub sup tt u".split())  # noqa: SIM905
_UNSEEN = tuple(
    (re.compile(rf"<{name}\b", re.IGNORECASE), re.compile(rf"</{name}\b", re.IGNORECASE))
    for name in ("style", "script", "head", "title")
)


def crude_text(page: str) -> str:
    """The words of an HTML page, without structure and without judgement of what matters."""
    page = _without(page, re.compile("<!--"), re.compile("-->"))
    for opening, closing in _UNSEEN:
        page = _without(page, opening, closing)
    text = _TAG.sub(lambda tag: "" if tag[2].lower() in _INLINE else "\n", page)
    return html.unescape(text).replace("\xa0", " ").replace("\xad", "")


def _without(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> str:
    """Text without the stretches between two marks; one that is never closed stays."""
    kept, place = [], 0
    while (first := opening.search(text, place)) and (last := closing.search(text, first.end())):
        kept.append(text[place : first.start()])
        place = last.end()
    return "".join([*kept, text[place:]]) if kept else text


def _has_table(page: str) -> bool:
    """Whether there is a table of data: two rows one below the other with the same number of short cells, more than one."""
    if "<t" not in page and "<T" not in page:
        return False
    widths: list[int] = []
    cells, cell_from = 0, -1
    for tag in _TAG.finditer(page):
        name, closing = tag[2].lower(), bool(tag[1])
        if name == "th" and not closing:
            return True
        if name == "table":
            widths, cells, cell_from = [], 0, -1
        elif name in ("td", "tr") and cell_from >= 0:
            cells += _is_short_cell(page[cell_from : tag.start()])
            cell_from = -1
        if name == "td" and not closing:
            cell_from = tag.end()
        elif name == "tr":
            if cells > 1 and widths[-1:] == [cells]:
                return True
            widths, cells = [*widths[-1:], cells] if cells else widths, 0
    return False


def _is_short_cell(content: str) -> bool:
    return len(content) < 2000 and 0 < len(crude_text(content).strip()) < 200


# --- plain text -----------------------------------------------------------------------------------------


def plain_body(
    text: str, numbers: Sequence[int], *, flowed: bool = False, delete_space: bool = False
) -> PlainBody:
    """Plain text as a user reads it: flowed lines joined (RFC 3676), PGP's armour and uuencoded files taken out."""
    lines = text.split("\n")
    pairs = list(zip(lines, numbers if len(numbers) == len(lines) else [0] * len(lines), strict=True))
    body = PlainBody(pairs, [], [])
    if "begin" in text:
        body = _without_uuencoded(body)
    if "-----BEGIN PGP" in text:
        body = _without_armour(body)
    return body._replace(lines=_trimmed(_joined(body.lines, delete_space) if flowed else body.lines))


def _trimmed(lines: list[Line]) -> list[Line]:
    """Without blank lines at both ends."""
    first, last = 0, len(lines)
    while first < last and not lines[first][0].strip():
        first += 1
    while last > first and not lines[last - 1][0].strip():
        last -= 1
    return lines[first:last]


_QUOTES = re.compile(r">*+")


def _joined(lines: list[Line], delete_space: bool) -> list[Line]:
    """Lines that flow, made whole again; each keeps the marks of its quote."""
    joined: list[Line] = []
    pieces: list[str] = []
    open_depth, open_line = 0, 0

    def close() -> None:
        if pieces:
            joined.append((("> " * open_depth) + "".join(pieces), open_line))
            pieces.clear()

    for line, number in lines:
        depth = _QUOTES.match(line).end()  # type: ignore[union-attr]  # it matches the empty string
        content = line[depth:]
        content = content[1:] if content.startswith(" ") else content
        is_signature = content in ("-- ", "--")
        if pieces and (depth != open_depth or is_signature):
            close()
        if not pieces:
            open_depth, open_line = depth, number
        flows = content.endswith(" ") and not is_signature
        pieces.append(content[:-1] if flows and delete_space else content)
        if not flows:
            close()
    close()
    return joined


_UU_LINE = re.compile(r"[ -`]*+")
_UU_BEGIN = re.compile(r"begin [0-7]{3,4} (\S.{0,250})$")


def _without_uuencoded(body: PlainBody) -> PlainBody:
    """Files that stand uuencoded in the text become files. What is never ended stays text."""
    lines, kept, place = body.lines, list[Line](), 0
    ends = deque(number for number, (line, _) in enumerate(lines) if line.rstrip() == "end")
    for number, (line, _) in enumerate(lines):
        begin = _UU_BEGIN.match(line) if number >= place else None
        if not begin or number + 1 >= len(lines) or not _is_uuencoded(lines[number + 1][0]):
            continue
        while ends and ends[0] < number:
            ends.popleft()
        if not ends:
            break
        kept += lines[place:number]
        place = ends[0] + 1
        encoded = "\n".join(one for one, _ in lines[number + 1 : ends[0]])
        body.files.append((begin[1].strip(), decode_uu(encoded.encode("ascii", "replace"))))
    return body._replace(lines=kept + lines[place:])


def _is_uuencoded(line: str) -> bool:
    line = line.rstrip()
    length = (ord(line[0]) - 32) & 63 if line else 0
    return length > 0 and len(line) <= 1 + (length + 2) // 3 * 4 + 2 and _UU_LINE.fullmatch(line) is not None


_ARMOUR = re.compile(r"-----(BEGIN|END) PGP ([A-Z, 0-9/]{3,40})-----\s*$")
_HASH = re.compile(r"(?:Hash|Charset|Comment|Version|NotDashEscaped): ")


def _without_armour(body: PlainBody) -> PlainBody:
    """Signed text without the lines that sign it; encrypted blocks and keys are left out."""
    kept: list[Line] = []
    block, at_head = "", False
    for line, number in body.lines:
        armour = _ARMOUR.match(line)
        if armour:
            block, at_head = (armour[2] if armour[1] == "BEGIN" else ""), True
            if block == "MESSAGE":
                body.left_out.append((LeftOutKind.REST, "encrypted message"))
            elif "KEY" in block:
                body.left_out.append((LeftOutKind.OBJECT, "PGP key"))
        elif block == "SIGNED MESSAGE":
            if at_head and (not line.strip() or _HASH.match(line)):
                at_head = bool(line.strip())
                continue
            at_head = False
            kept.append((line.removeprefix("- "), number))
        elif not block:
            kept.append((line, number))
    return body._replace(lines=kept)


_ENRICHED_TAG = re.compile(r"<(/?)([A-Za-z-]{1,60})>")


def enriched_text(text: str) -> str:
    """text/enriched (RFC 1896) without its marks: one line end is a blank, more are one less."""
    text = _without(text, re.compile("<param>", re.IGNORECASE), re.compile("</param>", re.IGNORECASE))
    text = _ENRICHED_TAG.sub("", text.replace("<<", "\0")).replace("\0", "<")
    return re.sub(r"\n+", lambda ends: " " if len(ends[0]) == 1 else ends[0][1:], text)
