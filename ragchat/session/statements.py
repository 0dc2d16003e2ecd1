"""The statements of an answer, each compared with the passages, without a model: "supported" means that a passage says it.

A statement is supported when one sentence of a passage has all of its words that count, in the same order, with the same
numbers, units, names and negations, and nothing between them that would turn the meaning. What a sentence calls "it" may be
in the sentence before or in the heading. What the question already says may be in other words in the passage, if the place
is about what was asked. All else is supported partly or not found (decision 27).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from ragchat.session.comparing import best_place
from ragchat.session.cutting import META, OURS, YES, spans
from ragchat.session.marking import CODE, Mark, owned, without_markers, written
from ragchat.session.places import Passage, passage_of
from ragchat.types import Citation
from ragchat.types.answers import Reason, ReasonKind, Statement, Verdict

REVISION = 1
"""Of what decides which verdict a statement has; figures of evaluations depend on it."""
_MOST_STATEMENTS = 400
"""Of an answer; more is no answer but a list that nobody reads."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """A statement, what each passage that supports it says, by number, and the model's own markers for it.

    Its offsets are those of the answer without markers.
    """

    statement: Statement
    supporters: Mapping[int, str] = field(default_factory=dict)
    markers: tuple[Mark, ...] = ()

    @property
    def span(self) -> tuple[int, int]:
        """Where it is in the answer without markers."""
        return self.statement.first, self.statement.last


def check(answer: str, offered: Sequence[Citation], question: str = "") -> tuple[Statement, ...]:
    """The statements of an answer in order, with offsets in `answer`, each compared with the passages that were offered.

    `citation` is the passage with which it was compared; `cited_by` is "model" where the answer has that number behind it.
    """
    bare, markers = without_markers(answer)
    found = weighed(bare, markers, offered, question)
    _, places = written(bare, markers, [one.span for one in found], raw=True)
    return tuple(
        replace(
            one.statement,
            text=answer[first:last],
            first=first,
            last=last,
            cited_by="model"
            if any(n in one.supporters for mark in one.markers for n in mark.numbers)
            else "",
        )
        for one, (first, last) in zip(found, places, strict=True)
    )


def weighed(
    bare: str, markers: Sequence[Mark], offered: Sequence[Citation], question: str = ""
) -> list[Weighed]:
    """The statements of an answer without markers, each with what supports it and the markers it had."""
    if not offered:
        return []
    passages = [passage_of(citation) for citation in offered]
    places = list(islice(spans(bare), _MOST_STATEMENTS))
    fences = [match.span() for match in CODE.finditer(bare) if match["fence"]]
    found = [
        _weigh(
            _Said(bare[place[0] : place[1]], *place, any(a < place[0] < b for a, b in fences)),
            passages,
            question,
            own,
        )
        for place, own in zip(places, owned(bare, markers, places), strict=True)
    ]
    return _without_bare_yes([one for one in found if one is not None])


def _without_bare_yes(found: list[Weighed]) -> list[Weighed]:
    rest = [one for one in found if not YES.fullmatch(one.statement.text.strip())]
    return rest or found


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    first: int
    last: int
    is_code: bool


def _weigh(
    place: _Said, passages: Sequence[Passage], question: str, markers: Sequence[Mark]
) -> Weighed | None:
    """None for what claims nothing."""
    said, first, last = place.text, place.first, place.last
    if META.match(said):
        return None
    if OURS.match(said):
        nothing = Statement(said, first, last, Verdict.NOT_FOUND, Reason(ReasonKind.NOTHING))
        return Weighed(nothing, markers=tuple(markers))
    results = [
        one for p in passages if (one := best_place(said, p, question, literal=place.is_code)) is not None
    ]
    if not results:
        return None
    texts = {passage.n: passage.hit.text for passage in passages}
    supporters = {
        one.n: texts[one.n][one.first : one.last] for one in results if one.verdict is Verdict.SUPPORTED
    }
    own = {n for mark in markers for n in mark.numbers}
    best = max(
        results,
        key=lambda one: (one.verdict is Verdict.SUPPORTED and one.n in own, one.rank, one.n in own, -one.n),
    )
    compared = texts[best.n][best.first : best.last] if best.n else ""
    statement = Statement(said, first, last, best.verdict, best.reason, best.n, compared)
    return Weighed(statement, supporters, tuple(markers))
