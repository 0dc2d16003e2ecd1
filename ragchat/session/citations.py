"""From an answer to its citations: its statements are checked, and the supported ones alone keep or get a number.

A `[n]` in an answer counts only if a passage was given under this number and supports the statement it is behind; others
are taken out, or replaced by the number of the passage that does. A supported statement without a number gets one. What a
citation quotes is always the passage's own text, word for word, never the model's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from ragchat.retrieval.analyzer import stop_terms, terms
from ragchat.retrieval.bm25 import idf
from ragchat.retrieval.sentences import sentence_spans
from ragchat.session.marking import CODE, Mark, without_markers, written
from ragchat.session.statements import Weighed, weighed
from ragchat.types import Citation, Hit
from ragchat.types.answers import CitedBy, Statement, Verdict

REVISION = 3
"""Of what decides which sentences get a number; figures of citations depend on it."""
_SHARED = 0.6
"""Share of the words of a sentence of a summary that the passage it is from has."""
_FEWEST_WORDS = 2
SIMILAR = 0.4
"""Dice's coefficient from which a sentence passes for what a quote has become."""
_LONGEST_COMPARED = 2_000_000
"""Characters; some seconds."""


Look = Callable[[Sequence[Statement]], Sequence[Statement]]
"""A second look at the statements: the same ones, some with a lower verdict."""


@dataclass(frozen=True, slots=True)
class Bound:
    """An answer with sound markers, all passages that were offered with `used` and `quote` set, and the checked statements."""

    text: str
    citations: tuple[Citation, ...] = ()
    statements: tuple[Statement, ...] = ()


def bind(answer: str, offered: Sequence[Citation], question: str = "", look: Look | None = None) -> Bound:
    """The answer with a marker behind each statement that a passage supports, and behind no other.

    Offsets of the statements are those of `Bound.text`. What the `question` says already may be in other words in a passage; in
    a summary, which has none, nothing may. `look` may lower verdicts (`session.second_look`).
    """
    bare, markers = without_markers(answer)
    found = weighed(bare, markers, offered, question)
    if look:
        seen = look([one.statement for one in found])
        found = [replace(one, statement=statement) for one, statement in zip(found, seen, strict=True)]
    marks = [_marks(one, bare) for one in found]
    text, spans = written(bare, chain.from_iterable(marks), [one.span for one in found])
    statements = tuple(
        replace(one.statement, text=text[first:last], first=first, last=last, cited_by=_cited_by(one))
        for one, (first, last) in zip(found, spans, strict=True)
    )
    used = _quotes(found, marks)
    cited = tuple(
        replace(citation, used=citation.n in used, quote=used.get(citation.n, citation.quote))
        for citation in offered
    )
    return Bound(text, cited, statements)


def _own(one: Weighed) -> list[int]:
    """The numbers that the model wrote behind a statement and that support it."""
    return [n for mark in one.markers for n in mark.numbers if n in one.supporters]


def _cited_by(one: Weighed) -> CitedBy:
    if one.statement.verdict is not Verdict.SUPPORTED:
        return ""
    return "model" if _own(one) else "ragchat"


def _marks(one: Weighed, bare: str) -> list[Mark]:
    """The markers of a statement: those of the model that are right, else that of the passage it was compared with."""
    if one.statement.verdict is not Verdict.SUPPORTED:
        return []
    kept = [
        replace(mark, numbers=sound)
        for mark in one.markers
        if (sound := tuple(dict.fromkeys(n for n in mark.numbers if n in one.supporters)))
    ]
    if kept:
        return kept
    own = (one.statement.citation,)
    if one.markers:
        return [replace(one.markers[0], numbers=own)]
    at = _place(one, bare)
    return [] if at is None else [Mark(at, own, " ")]


def _place(one: Weighed, bare: str) -> int | None:
    """Where a marker goes: before the stop, behind code, in the last cell of a row; None among lines of code."""
    first, last = one.span
    body = bare[first:last].rstrip()
    at = first + len(body.rstrip("|").rstrip()) if body.startswith("|") else first + len(body)
    at -= bare[first:at].endswith((".", "!", "?", ":", ";", "。", "！"))
    for code in CODE.finditer(bare):
        if code.start() < at < code.end():
            return None if code["fence"] else code.end()
    return at


def _quotes(found: Sequence[Weighed], marks: Sequence[Sequence[Mark]]) -> dict[int, str]:
    """What each cited passage says: of the first statement that cites it."""
    used: dict[int, str] = {}
    for one, own in zip(found, marks, strict=True):
        for mark in own:
            for n in mark.numbers:
                used.setdefault(n, one.supporters[n])
    return used


def sources_of(text: str, hits: Sequence[Hit]) -> list[tuple[str, int | None]]:
    """(A sentence of a text, the place in `hits` of the passage that has most of its words; None where none has enough).

    A choice of what to offer, not a check: the words alone count.
    """
    held = [set(terms(f"{hit.heading}\n{hit.text}", hit.language)) for hit in hits]
    languages = {hit.language for hit in hits}
    found: list[tuple[str, int | None]] = []
    for first, last in sentence_spans(text):
        words = {language: _content_words(text[first:last], language) for language in languages}
        shares = [
            (_share(words[hit.language], own), -i)
            for i, (hit, own) in enumerate(zip(hits, held, strict=True))
        ]
        share, i = max(shares, default=(0.0, 0))
        found.append((text[first:last], -i if share >= _SHARED else None))
    return found


def _share(words: set[str], held: set[str]) -> float:
    numbers = {term for term in words if any(map(str.isdigit, term))}
    return len(words & held) / len(words) if len(words) >= _FEWEST_WORDS and numbers <= held else 0.0


def _content_words(sentence: str, language: str) -> set[str]:
    stops = stop_terms(language)
    return {term for term in terms(sentence, language) if term not in stops}


def moved_to(text: str, quote: str, language: str) -> tuple[int, int] | None:
    """Where a document says now what was quoted from it: the most similar sentence, or None.

    Similar by Dice's coefficient over their words, each weighed by how rare it is among the sentences; None below `SIMILAR`, and
    for texts so long that a user would wait.
    """
    wanted = _content_words(quote, language)
    if not wanted or len(text) > _LONGEST_COMPARED:
        return None
    spans = sentence_spans(text)
    held = [_content_words(text[first:last], language) for first, last in spans]
    counts = Counter(chain.from_iterable(held))

    def worth(words: set[str]) -> float:
        return sum(idf(counts[word], len(held)) for word in words)

    def likeness(own: set[str]) -> float:
        return 2 * worth(own & wanted) / (worth(own) + worth(wanted))

    best = max(
        (i for i, own in enumerate(held) if own & wanted), key=lambda i: likeness(held[i]), default=None
    )
    return spans[best] if best is not None and likeness(held[best]) >= SIMILAR else None
