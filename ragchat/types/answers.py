"""What is known of an answer: what the documents themselves say, and how each of its statements compares with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from ragchat.types.documents import Citation, Hit

CitedBy = Literal["model", "ragchat", ""]
"""Who put the number behind a statement: the model, or ragchat after the answer; '' where there is none."""


@dataclass(frozen=True, slots=True)
class Quote:
    """One or two sentences (or a whole list, a whole table) of a passage that answer a question: `hit.text[first:last]`.

    `chance` from 0 to 1: of quotes like this one, about this share answers the question.
    """

    hit: Hit
    first: int
    last: int
    chance: float = 0.0

    @property
    def text(self) -> str:
        """What the document says, word for word."""
        return self.hit.text[self.first : self.last]

    @property
    def place(self) -> str:
        """Page or lines, as `Hit.place` has them, of the quote alone."""
        return self.hit.span.cut(self.hit.text, self.first, self.last).place

    def citation(self, n: int) -> Citation:
        """The quote as a citation under a number."""
        return Citation(n, self.hit, self.text)


class Verdict(StrEnum):
    """How a statement compares with the passages."""

    SUPPORTED = "supported"
    PARTLY = "partly"
    NOT_FOUND = "not found"


class ReasonKind(StrEnum):
    """Why a statement has its verdict; the first of these that holds."""

    QUOTED = "quoted"
    """Its words are in the passage one after the other."""
    SAID = "said"
    """The passage has its words, numbers and names of the same subject."""
    NUMBER = "number"
    DATE = "date"
    UNIT = "unit"
    NAME = "name"
    NEGATION = "negation"
    COMPARISON = "comparison"
    SUBJECT = "subject"
    """The passage says it of something else."""
    STITCHED = "stitched"
    """The words are there, but from places that say different things."""
    WORDS = "words"
    """Some of its words are not in the passage."""
    NOTHING = "nothing"
    """No passage has words of it."""
    BESIDE = "beside"
    """A passage says it, but the search is not sure that it answers the question."""
    DOUBTED = "doubted"
    """The model took a second look and says that the passage does not say it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a statement has its verdict: `words` of the statement are at fault, the passage has `found` in their place."""

    kind: ReasonKind
    words: tuple[str, ...] = ()
    found: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What the reader is told."""
        said, instead = _listed(self.words), _listed(self.found)
        match self.kind:
            case ReasonKind.QUOTED:
                return "The passage says it word for word."
            case ReasonKind.SAID:
                return "The passage says it in other words."
            case ReasonKind.NOTHING:
                return "No passage says anything like it."
            case ReasonKind.NEGATION:
                return "One says “not” where the other does not."
            case ReasonKind.SUBJECT:
                return f"The passage says it of something else{f': {instead}' if instead else ''}."
            case ReasonKind.STITCHED:
                return "Its words are in the passage, but not in one place."
            case ReasonKind.BESIDE:
                return "The passage says it word for word, but it may not answer your question."
            case ReasonKind.DOUBTED:
                return "The passage has its words, but the model doubts that it says this."
            case ReasonKind.WORDS:
                return f"Not in the passage: {said}."
            case _:
                missing = f"The {self.kind} {said} is not in the passage"
                return f"{missing}, which has {instead}." if instead else f"{missing}."


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"“{word}”" for word in words)


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence or list item of an answer that claims something: `text` is `answer[first:last]`, with its markers.

    `citation` is the number of the passage it was compared with (0: none), `compared` the sentences of it, word for word.
    `second` is the chance from 0 to 1 that the passage says it, by the model's own second look; None: it took none.
    """

    text: str
    first: int
    last: int
    verdict: Verdict
    reason: Reason
    citation: int = 0
    compared: str = ""
    cited_by: CitedBy = ""
    second: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """What a check of an answer found. `answered` is the chance from 0 to 1 that the passages answer the question (None: not
    known); `says` False: it is so low that the reader is told "The passages do not say". `strict`: what is not supported is
    struck out.
    """

    statements: tuple[Statement, ...] = ()
    answered: float | None = None
    says: bool = True
    strict: bool = False

    def count(self, verdict: Verdict) -> int:
        """How many statements have this verdict."""
        return sum(statement.verdict is verdict for statement in self.statements)

    @property
    def counts(self) -> tuple[tuple[str, Verdict], ...]:
        """`3 supported` and what else there is, each with the verdict that it counts."""
        beside = sum(one.reason.kind is ReasonKind.BESIDE for one in self.statements)
        found = (
            (self.count(Verdict.SUPPORTED), "supported", Verdict.SUPPORTED),
            (beside, "in your documents, but perhaps not the answer", Verdict.PARTLY),
            (self.count(Verdict.PARTLY) - beside, "partly supported", Verdict.PARTLY),
            (self.count(Verdict.NOT_FOUND), "not found in your documents", Verdict.NOT_FOUND),
        )
        return tuple((f"{n} {words}", verdict) for n, words, verdict in found if n)

    @property
    def line(self) -> str:
        """`4 statements: 3 supported, 1 not found in your documents`; '' without statements."""
        counts = ", ".join(words for words, _ in self.counts)
        return f"{self._number}: {counts}" if counts else ""

    @property
    def _number(self) -> str:
        count = len(self.statements)
        return f"{count} {'statement' if count == 1 else 'statements'}"

    @property
    def struck(self) -> tuple[Statement, ...]:
        """Statements that a strict chat strikes out."""
        return tuple(s for s in self.statements if s.verdict is not Verdict.SUPPORTED) if self.strict else ()


UNCHECKED = AnswerCheck()
"""An answer that no passage was there for, or that was made before answers were checked."""
