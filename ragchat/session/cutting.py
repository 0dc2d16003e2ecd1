"""Where the sentences of a text are, and which of an answer's sentences, items, rows and lines of code claim something."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragchat.retrieval.sentences import sentence_spans
from ragchat.session.marking import CODE, lines
from ragchat.session.refusals import declines

_ITEM = re.compile(r"(?:[-*+•‣◦>]\s+|\#{1,6}\s|\d{1,3}[.)]\s+|\[[ xX]\]\s+)+")
_RULE = re.compile(r"[|\s:*_=-]+")
LEAD_IN = re.compile(
    r"(?:(?:so|therefore|thus|yes|no|ja|nein|oui|non|sí|well|sure)\s*[,:]\s+)?"
    r"(?:(?:the |die )?(?:correct |short |final |richtige )?(?:answer|antwort|réponse)"
    r"(?: (?:to|for|of|auf|à) (?:this|the|your|that|diese|die) (?:question|frage)[^:.,\n]{0,20}?)?"
    r"(?: (?:is|would be|lautet|ist|est))\b(?: that\b)?\s*:?\s*"
    r"|(?:based on|according to|laut|gemäß|nach) (?:the |this |dem |der |den )?(?:\w+ )?"
    r"(?:passages?|documents?|text|context|article|sources?|information|textes?|abschnitt)(?: (?:provided|given|above))?\s*,?\s*"
    r"|(?:the )?(?:passage|text|document) is:\s+"
    r"|(?:the |this )(?:passage|document|text|article|context|source) (?:also )?"
    r"(?:says|states|mentions|explains|notes|indicates|tells us)(?: that)?\s*:?\s+)*",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"\W*(?:here (?:is|are) (?:what|the (?:steps?|answer|information)|some|a)|hello|hi|sure|certainly|of course"
    r"|great question|thank|you're welcome|i hope|let me know|feel free|happy to|gerne|hallo)\b",
    re.IGNORECASE,
)
OURS = re.compile(
    r"\W*(?:\d+ statements?: \d+ \w+|from your documents:|(?:fully |partly )?(?:supported|verified)\W*(?:by|\[|$))",
    re.IGNORECASE,
)
"""Lines that ragchat itself writes."""
META = re.compile(
    r"\W*(?:the|this|your) question (?:asks?|is (?:unclear|incomplete|about|asking)|seems|appears)\b"
    r"|\W*the passage (?:is|seems|appears) (?:to be )?(?:incomplete|unclear)\b|\W*die frage (?:fragt|ist unklar)\b",
    re.IGNORECASE,
)
"""Said of the question, not of what it asks."""
YES = re.compile(r"(?:yes|no|ja|nein|oui|non|sí|是|否|ใช่|ไม่)\W*(?:\[[\d, ]+\]\W*)*", re.IGNORECASE)
_ORDINAL = re.compile(
    r"(?:^|\s)(?:am|im|vom|zum|beim|bis|ab|seit|der|die|das|den|dem|des|und|–|-)\s\d{1,2}\.\Z", re.IGNORECASE
)


def spans(bare: str) -> Iterator[tuple[int, int]]:
    """Where the sentences, items, rows and lines of code of an answer are that claim something."""
    fences = [match.span() for match in CODE.finditer(bare) if match["fence"]]
    end = 0
    for first, last in fences:
        yield from _spoken(bare, end, first)
        yield from _coded(bare, first, last)
        end = last
    yield from _spoken(bare, end, len(bare))


def _spoken(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    for a, b in sentences(text[first:last]):
        mark = _ITEM.match(text, first + a, first + b)
        begin = mark.end() if mark else first + a
        if _claims(text, begin, first + b):
            yield begin, first + b


def _claims(text: str, first: int, last: int) -> bool:
    said = text[first:last]
    opens = text[text.rfind("\n", 0, first) + 1 : first].lstrip()
    if not said or opens.startswith("#") or _RULE.fullmatch(said):
        return False
    stripped = said.rstrip("*_\"'”»)` ")
    return not (
        stripped.endswith(("?", ":", "？", "："))
        or declines(said)
        or (_GREETING.match(said) and len(said) < 120)
    )


def _coded(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The lines between two fences."""
    inside = text.find("\n", first, last) + 1
    closed = last - first > 5 and text.startswith(text[first : first + 3], last - 3)
    end = last - 3 if closed else last
    for a, b in lines(text, inside or end, end):
        if any(map(str.isalnum, text[a:b])) and not text.startswith(("# ", "// "), a):
            yield a, b


def sentences(text: str) -> list[tuple[int, int]]:
    """The sentences of a text; one that is cut behind an ordinal ("am 1. August") is whole again."""
    found: list[tuple[int, int]] = []
    for first, last in sentence_spans(text):
        if (
            found
            and _ORDINAL.search(text, found[-1][0], found[-1][1])
            and "\n\n" not in text[found[-1][1] : first]
        ):
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found
