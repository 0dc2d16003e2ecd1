"""The markers of an answer: `[n]` as the model wrote them, the answer without them, and the answer with others."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

_MARKER = re.compile(
    r"(?P<blank>[ \t]+|(?<![\w\])]))(?P<all>\[\d{1,2}(?:\s*,\s*\d{1,2})*\](?:,?[ \t]*\[\d{1,2}(?:\s*,\s*\d{1,2})*\])*)(?!\()"
)
"""One or several in a row, as in "[1], [2]" and "[1][2, 3]". Not after a word or a bracket: that is an index in code, as in
`argv[1]`. Not before "(": that is a link."""
_NUMBER = re.compile(r"\d+")
CODE = re.compile(r"(?P<fence>```|~~~).*?(?:(?P=fence)|\Z)|`[^`\n]*`", re.DOTALL)
"""Code in an answer. A marker in it is code."""
_MOST_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Mark:
    """One or several markers in a row: where they are in the answer without markers, and the white space before them."""

    at: int
    numbers: tuple[int, ...]
    blank: str = ""
    raw: str = ""
    """As the model wrote them, with the white space."""

    @property
    def text(self) -> str:
        """As ragchat writes them."""
        return self.blank + "".join(f"[{n}]" for n in self.numbers)


def without_markers(answer: str) -> tuple[str, list[Mark]]:
    """The answer without markers, and what they were. Markers in code stay; what only looks like one afterwards goes as well."""
    bare, marks = _stripped(answer)
    for _ in range(_MOST_ROUNDS):
        again, formed = _stripped(bare)
        if not formed:
            return bare, marks
        marks = [replace(mark, at=_moved(mark.at, bare, again, formed)) for mark in marks]
        bare = again
    return bare.replace("[", "("), marks  # brackets in brackets in brackets: nobody writes so


def _stripped(answer: str) -> tuple[str, list[Mark]]:
    code = [match.span() for match in CODE.finditer(answer)]
    begins = [first for first, _ in code]
    parts: list[str] = []
    marks: list[Mark] = []
    end = length = 0
    for match in _MARKER.finditer(answer):
        i = bisect_right(begins, match.start()) - 1
        if i >= 0 and match.start() < code[i][1]:
            continue
        parts.append(answer[end : match.start()])
        length += len(parts[-1])
        numbers = tuple(int(n) for n in _NUMBER.findall(match["all"]))
        marks.append(Mark(length, numbers, match["blank"], match[0]))
        end = match.end()
    return "".join(parts) + answer[end:], marks


def _moved(at: int, before: str, after: str, formed: Sequence[Mark]) -> int:
    """A place in `before` as a place in `after`, which lacks what was `formed`."""
    lost = len(before) - len(after)
    return at if all(mark.at >= at for mark in formed) else max(0, at - lost)


def written(
    bare: str, marks: Iterable[Mark], spans: Sequence[tuple[int, int]], *, raw: bool = False
) -> tuple[str, list[tuple[int, int]]]:
    """The answer with these markers, and where the spans are in it; each holds the markers at its edges that are its own.

    A marker at the beginning of a line keeps its distance from a colon: "[1]:" would make every [1] a link to what follows.
    `raw`: the answer as it was.
    """
    parts: list[str] = []
    placed: list[tuple[int, int]] = []  # where in `bare`, how long
    end = 0
    for mark in sorted(marks, key=lambda mark: mark.at):
        guard = " " if bare.startswith(":", mark.at) and _opens_line(bare, mark.at) else ""
        text = mark.raw if raw else mark.text + guard
        parts += [bare[end : mark.at], text]
        placed.append((mark.at, len(text)))
        end = mark.at
    shifted = [_shifted(i, spans, placed) for i in range(len(spans))]
    return "".join(parts) + bare[end:], shifted


def _opens_line(text: str, at: int) -> bool:
    """Whether no word is between the line's beginning (marks of quotes and lists aside) and `at`."""
    return not any(character.isalpha() for character in text[text.rfind("\n", 0, at) + 1 : at])


def _shifted(i: int, spans: Sequence[tuple[int, int]], placed: Sequence[tuple[int, int]]) -> tuple[int, int]:
    first, last = spans[i]
    touches = i > 0 and spans[i - 1][1] == first
    before = sum(length for at, length in placed if at < first or (at == first and touches))
    return first + before, last + sum(length for at, length in placed if at <= last)


def owned(bare: str, marks: Sequence[Mark], spans: Sequence[tuple[int, int]]) -> list[list[Mark]]:
    """The markers of each span: those in it and behind it; before it where nothing ends there."""
    found: list[list[Mark]] = [[] for _ in spans]
    for mark in marks:
        i = _owner(bare, mark.at, spans)
        if i is not None:
            found[i].append(mark)
    return found


def _owner(bare: str, at: int, spans: Sequence[tuple[int, int]]) -> int | None:
    i = bisect_right(spans, (at, -1)) - 1  # the last that begins before
    if i >= 0 and spans[i][0] < at <= spans[i][1]:
        return i
    return i + 1 if i + 1 < len(spans) and not bare[at : spans[i + 1][0]].strip() else None


def lines(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Where the lines of `text[first:last]` are, without white space at their edges; none for blank ones."""
    for line in re.finditer(r"[^\n]+", text[first:last]):
        if said := line[0].strip():
            start = first + line.start() + len(line[0]) - len(line[0].lstrip())
            yield start, start + len(said)
