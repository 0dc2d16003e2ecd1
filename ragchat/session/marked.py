"""An answer's words with what its check found: a mark behind each statement, and what a strict chat strikes out.

The words are Markdown and stay what they are: marks go behind code and into the last cell of a row. Signs that look like a mark
become plain ones first, so that neither a model nor a document can make its own words look checked.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ragchat.text import clean
from ragchat.types import AnswerCheck, Citation, Statement, Verdict
from ragchat.types.answers import CitedBy

SIGNS: Mapping[Verdict, str] = {Verdict.SUPPORTED: "✓", Verdict.PARTLY: "≈", Verdict.NOT_FOUND: "✗"}
"""They differ without colour."""
WORDS: Mapping[Verdict, str] = {
    Verdict.SUPPORTED: "(supported)",
    Verdict.PARTLY: "(partly)",
    Verdict.NOT_FOUND: "(not found)",
}
"""For those who listen, and for terminals that cannot show the signs."""
SPOKEN: Mapping[Verdict, str] = {
    Verdict.SUPPORTED: "Supported:",
    Verdict.PARTLY: "Partly supported:",
    Verdict.NOT_FOUND: "Not found in your documents:",
}
"""Before a statement, for those who listen."""
DO_NOT_SAY = "The passages do not say."
"""Said where `AnswerCheck.says` is False."""
WHO_CITED: Mapping[CitedBy, str] = {"model": "cited by the model", "ragchat": "found by ragchat"}
"""Who put the number of a passage behind a statement."""
_LOOKALIKES = (
    (re.compile("[✓✔☑✅🗸🗹⍻]\ufe0f?"), "+"),
    (re.compile("[✗✘☒❌❎✕✖🗴🗵🗶🗷]\ufe0f?"), "-"),
    (re.compile("[≈≋]"), "~"),
)
_FENCE = re.compile(r"^[ ]{0,3}(`{3,}|~{3,})[^\n]*", re.MULTILINE)
_BLOCK_SIGNS = re.compile(
    r"[ \t]*(?:(?:>|[-*+](?=[ \t\n]|\Z)|\d{1,9}[.)](?=[ \t\n]|\Z)|#{1,6}(?=[ \t]))[ \t]*)*"
)
"""What begins a line of a list, a heading or a quotation."""
_CELL = re.compile(r"(?:\\.|[^|\\])+")
_BLANK_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class Style:
    """How a check is written into an answer: the mark of each verdict, and what is around struck words; None: left out."""

    marks: Mapping[Verdict, str]
    struck: str | None = None


def signs_for(encoding: str | None) -> Mapping[Verdict, str]:
    """The signs where this encoding has them, else the words."""
    try:
        "".join(SIGNS.values()).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return WORDS
    return SIGNS


def marked(text: str, check: AnswerCheck, style: Style) -> str:
    """The words of an answer with their marks. The offsets of `check` are those of `text`."""
    fences = _fences(text)
    struck = set(check.struck)
    pieces: list[str] = []
    at = 0
    for first, last, _, instead in _changes(text, check, style, fences):
        if first >= at:
            pieces += [plain_signs(text[at:first]), instead]
            at = last
    shown = "".join([*pieces, plain_signs(text[at:])])
    return _tidy(shown) if struck and style.struck is None else shown


def without_struck(text: str, check: AnswerCheck) -> str:
    """The words of an answer without those that a strict chat strikes out, and without marks."""
    return marked(text, check, Style({})) if check.struck else text


def plain_signs(text: str) -> str:
    """A text with plain signs in the place of those that look like a mark."""
    if not text.isascii():
        for pattern, sign in _LOOKALIKES:
            text = pattern.sub(sign, text)
    return text


def cited_by(check: AnswerCheck) -> dict[int, CitedBy]:
    """The passages that supported statements cite, by their numbers, and who cited them: the model, where it did once."""
    found: dict[int, CitedBy] = {}
    for one in check.statements:
        if one.verdict is Verdict.SUPPORTED and one.citation and found.get(one.citation) != "model":
            found[one.citation] = one.cited_by
    return found


def cited(citations: Sequence[Citation], check: AnswerCheck) -> list[Citation]:
    """The passages that an answer cites."""
    return [one for one in citations if is_used(one, check)]


def is_used(citation: Citation, check: AnswerCheck) -> bool:
    """Whether an answer cites a passage. Where its statements were checked, only what is supported cites."""
    return citation.used and (not check.statements or citation.n in cited_by(check))


# --- where ----------------------------------------------------------------------------------------------

_Change = tuple[int, int, int, str]
"""From a character to a character, exclusive; the order of changes at one place; the text in their place."""
_CLOSES, _MARKS, _OPENS = 0, 1, 2


def _changes(text: str, check: AnswerCheck, style: Style, fences: Sequence[tuple[int, int]]) -> list[_Change]:
    """In their order. Where several statements end in one block of code, their marks are behind it together."""
    gone = [_widened(one, fences) for one in check.struck] if style.struck is None else []
    kept = [one for one in check.statements if not any(one.first < end and at < one.last for at, end in gone)]
    changes = [(first, _blanks_end(text, last), _OPENS, "") for first, last in gone]
    for one in check.struck:
        if style.struck and one in kept:
            changes += _edges(text, one, fences, style.struck)
    return sorted([*changes, *_mark_changes(text, kept, style, fences)], key=lambda change: change[:3])


def _mark_changes(
    text: str, statements: Sequence[Statement], style: Style, fences: Sequence[tuple[int, int]]
) -> Iterator[_Change]:
    marks: dict[int, list[str]] = {}
    for one in statements:
        if mark := style.marks.get(one.verdict):
            marks.setdefault(_place(text, one, fences), []).append(mark)
    for place, of_place in marks.items():
        yield place, place, _MARKS, _placed(text, place, " ".join(dict.fromkeys(of_place)), fences)


def _placed(text: str, place: int, marks: str, fences: Sequence[tuple[int, int]]) -> str:
    if any(place == last for _, last in fences):
        follows = text[place : place + 2]
        return f"\n\n{marks}" + ("\n" if follows.strip() else "")
    return f" {marks}"


def _fences(text: str) -> list[tuple[int, int]]:
    """Where blocks of code begin and end, with the lines that open and close them."""
    found: list[tuple[int, int]] = []
    opened: re.Match[str] | None = None
    for line in _FENCE.finditer(text):
        if opened is None:
            opened = line
        elif line[1].startswith(opened[1]) and line[0].strip() == line[1]:
            found.append((opened.start(), line.end()))
            opened = None
    return [*found, *([(opened.start(), len(text))] if opened else [])]


def _around(place: int, fences: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """The block of code that this character is in."""
    at = bisect_right(fences, (place, len(fences) and fences[-1][1])) - 1
    return fences[at] if at >= 0 and fences[at][0] <= place < fences[at][1] else None


def _widened(statement: Statement, fences: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """A statement with the whole of the code that it has a part of: half a block would swallow what follows."""
    first, last = statement.first, statement.last
    for begun, ended in fences:
        if begun < last and first < ended:
            first, last = min(first, begun), max(last, ended)
    return first, last


def _blanks_end(text: str, at: int) -> int:
    while text.startswith((" ", "\t"), at):
        at += 1
    return at


def _end(text: str, statement: Statement) -> int:
    return statement.first + len(text[statement.first : statement.last].rstrip())


def _place(text: str, statement: Statement, fences: Sequence[tuple[int, int]]) -> int:
    """Where the mark goes: behind the words, behind the code they end in, in the last cell of the row they end in."""
    end = _end(text, statement)
    if fence := _around(max(end - 1, 0), fences):
        return fence[1]
    line = text[text.rfind("\n", 0, end) + 1 : end]
    if line.lstrip().startswith("|") and line.endswith("|") and len(line.strip()) > 1:
        return len(text[: end - 1].rstrip())
    return end


def _edges(
    text: str, statement: Statement, fences: Sequence[tuple[int, int]], edge: str
) -> Iterator[_Change]:
    """Around what each line, each cell, of a statement says; code stays as it is."""
    for begin, end in _said(text, statement):
        words = text[begin:end]
        first, last = begin + len(words) - len(words.lstrip()), begin + len(words.rstrip())
        if first < last and not _around(first, fences):
            yield first, first, _OPENS, edge
            yield last, last, _CLOSES, edge


def _said(text: str, statement: Statement) -> Iterator[tuple[int, int]]:
    """The lines of a statement without the signs that begin them, and the cells of rows."""
    at, end = statement.first, _end(text, statement)
    while at < end:
        line_end = text.find("\n", at, end)
        line_end = end if line_end < 0 else line_end
        signs = _BLOCK_SIGNS.match(text, at, line_end) if at == 0 or text[at - 1] == "\n" else None
        first = signs.end() if signs else at
        if text[at:line_end].lstrip().startswith("|"):
            yield from (cell.span() for cell in _CELL.finditer(text, first, line_end))
        else:
            yield first, line_end
        at = line_end + 1


def _tidy(text: str) -> str:
    """Without lines of which nothing but the sign of a list is left."""
    lines = [
        line for line in text.split("\n") if not line.strip() or _BLOCK_SIGNS.sub("", line, count=1).strip()
    ]
    return _BLANK_LINES.sub("\n\n", clean("\n".join(line.rstrip() for line in lines))).strip()
