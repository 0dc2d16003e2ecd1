"""The marks of statements: supported, partly, not found. They differ without colour, and no text from elsewhere can forge them.

Marks and the ranges of statements travel through Markdown and the layout as private-use characters, which texts lose first;
they become signs when a row is drawn, and nothing when text is copied.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content

from ragchat.session.marked import SIGNS
from ragchat.tui.lines import CITATION, EMPTY
from ragchat.tui.safe_content import CITATION_MARK
from ragchat.types import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ragchat.types import AnswerCheck

STYLES = {
    Verdict.SUPPORTED: "$text-success bold",
    Verdict.PARTLY: "$text-warning bold",
    Verdict.NOT_FOUND: "$text-error bold",
}
MARKS = {
    Verdict.SUPPORTED: "\U0010ffe0",
    Verdict.PARTLY: "\U0010ffe1",
    Verdict.NOT_FOUND: "\U0010ffe2",
}
"""What stands for a mark in a text that is laid out."""
CITED, STRUCK, CLOSE = "\U0010ffe4", "\U0010ffe5", "\U0010ffe6"
"""Where citations count, where text is struck out, and where either ends. A blank beside them goes with them."""
_BLANK = "\U0010ffe3"
"""A blank at which no row breaks."""
_OURS = re.compile("[\U0010ffe0-\U0010ffef]")
_SIGNED = re.compile(f"([{CITED}{STRUCK}]) ?| ?({CLOSE})| ?([{''.join(MARKS.values())}])")
_VERDICTS = {mark: verdict for verdict, mark in MARKS.items()}
_DRAWN = str.maketrans({**{mark: SIGNS[verdict] for mark, verdict in _VERDICTS.items()}, _BLANK: " "})


class CodeMark(NamedTuple):
    """What is known of a code block: the verdicts of the statements that end in it; whether one of them is struck out."""

    verdicts: tuple[Verdict, ...]
    struck: bool


def neutral(text: str) -> str:
    """A text from elsewhere without the characters that ragchat marks with. It stays as long as it was."""
    return text if text.isascii() else _OURS.sub("\ufffd", text)


def drawn(text: str) -> str:
    """A piece of a row as it is on the screen."""
    return text if text.isascii() else text.translate(_DRAWN)


def unmarked(text: str) -> str:
    """Text of rows without marks, as it is copied."""
    return text if text.isascii() else _OURS.sub("", text)


def as_text(text: str, *, signs: bool) -> str:
    """Markdown with marks as text to copy: with `signs` the marks are signs; what is struck out is so in Markdown, too."""
    struck = False

    def one(found: re.Match[str]) -> str:
        nonlocal struck
        opened, closed, sign = found.groups()
        if sign:
            return f" {SIGNS[_VERDICTS[sign]]}" if signs else ""
        edge = "~~" if (struck if closed else opened == STRUCK) else ""
        struck = opened == STRUCK
        return edge

    return _SIGNED.sub(one, text)


def mark(verdict: Verdict) -> Content:
    """A mark for rows that are no text of an answer."""
    return Content.styled(SIGNS[verdict], STYLES[verdict])


def marks(verdicts: Iterable[Verdict]) -> Content:
    """Several marks in a row."""
    return EMPTY.join(map(mark, dict.fromkeys(verdicts)))


def cited(content: Content) -> Content:
    """All `[n]` stand out."""
    return content.highlight_regex(CITATION_MARK, style=CITATION)


_TONES: dict[str, Callable[[Content], Content]] = {
    CITED: cited,
    STRUCK: lambda content: content.stylize("strike"),
}


def with_marks(content: Content) -> Content:
    """A text whose statements are marked: with its marks, `[n]` standing out only where they count."""
    pieces: list[Content] = []
    plain, at, tone = content.plain, 0, ""
    for found in _SIGNED.finditer(plain):
        if found.start() > at:
            pieces.append(_toned(content[at : found.start()], tone))
        at = found.end()
        opened, closed, sign = found.groups()
        tone = opened or ("" if closed else tone)
        if sign:
            after = _BLANK if at < len(plain) and not plain[at].isspace() else ""
            pieces.append(Content.styled(f"{_BLANK}{sign}{after}", STYLES[_VERDICTS[sign]]))
    if at < len(plain):
        pieces.append(_toned(content[at:], tone))
    return EMPTY.join(pieces)


def _toned(content: Content, tone: str) -> Content:
    return _TONES[tone](content) if tone else content


def check_line(check: AnswerCheck) -> Content:
    """`AnswerCheck.line` with the mark behind each count; empty without statements."""
    if not check.statements:
        return EMPTY
    head = check.line.partition(": ")[0]
    parts = [Content.assemble(Content(f" {words} "), mark(verdict)) for words, verdict in check.counts]
    return Content.assemble(Content(f"{head}:"), Content(",").join(parts))
