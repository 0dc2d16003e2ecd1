"""What `ChatSession.ask` says while it works, in this order; `match` on them.

MessageStored, QueryUsed, HitsFound, QuotesFound?, LoadProgress*, PromptReady, PrefillProgress*,
ReasoningDelta*, TextDelta*, AnswerFinished.
Where the question is written again, the model is loaded first: MessageStored, LoadProgress*, SearchUnsure, QueryRewritten,
QueryUsed, and so on.
Errors are raised, after everything that is known has been stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from ragchat.retrieval.spelling import Correction
from ragchat.text import clean_line
from ragchat.types import (
    UNCHECKED,
    AnswerCheck,
    Citation,
    FinishReason,
    Hit,
    LoadProgress,
    Omission,
    PrefillProgress,
    PromptPart,
    Quote,
    ReasoningDelta,
    TextDelta,
    Timings,
    text_of,
)

_ALSO = re.compile(r" \[also: ([^\]]*)\]$")
"""What a recorded query ends with where the model wrote what else to search for."""


@dataclass(frozen=True, slots=True)
class MessageStored:
    """The question is safe. `answer_id` is the message that the answer streams into."""

    conversation_id: int
    question_id: int
    answer_id: int


@dataclass(frozen=True, slots=True)
class SearchUnsure:
    """The words of the question may not be those of the documents: the model writes what else to search for, in seconds."""


@dataclass(frozen=True, slots=True)
class QueryRewritten:
    """What the model has written, one clean line: it is about to be searched for beside the question."""

    text: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A text that was searched for beside the question; `kept` False: the first search, without it, was better."""

    text: str
    kept: bool

    @property
    def sentence(self) -> str:
        """What the user reads of it."""
        return f"Searched also for: {self.text}" + ("" if self.kept else " (no better, so not used)")


@dataclass(frozen=True, slots=True)
class QueryUsed:
    """What was searched for, and where. `topic` are the words that earlier turns added, empty for a first question.

    `scope` says in phrases what the question itself demands ("in contracts", "without “draft”").
    """

    query: str
    topic: tuple[str, ...]
    knowledge_bases: tuple[str, ...]
    scope: tuple[str, ...] = ()
    corrections: tuple[Correction, ...] = ()
    """Words that no document holds, and those that were searched for in their place."""
    rewritten: Rewritten | None = None
    """What the model wrote to search for, where it did."""

    @property
    def recorded(self) -> str:
        """All of it as one text, as it is kept with an answer."""
        also = (
            f"[also: {clean_line(self.rewritten.text).replace(']', ')')}]"
            if self.rewritten and self.rewritten.kept
            else ""
        )
        parts = [self.query, *(f"[{one}]" for one in self.scope), *(f"({term})" for term in self.topic), also]
        return " ".join(filter(None, parts))


def searched_also(recorded: str) -> str:
    """What the model wrote to search for, of a recorded query; empty: nothing."""
    found = _ALSO.search(recorded)
    return found[1] if found else ""


def without_rewriting(recorded: str) -> str:
    """A recorded query without what the model wrote: what was asked."""
    return _ALSO.sub("", recorded)


@dataclass(frozen=True, slots=True)
class HitsFound:
    """What the search found. `relevant` False: nothing that is relevant to the question (the hits are the nearest there was)."""

    hits: tuple[Hit, ...]
    relevant: bool
    retrieval_s: float


@dataclass(frozen=True, slots=True)
class QuotesFound:
    """What the documents themselves say, before the model writes; it stays above the answer. Never empty."""

    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class PromptReady:
    """The prompt is packed. `left_out` did not fit; prompt_tokens never exceeds n_ctx."""

    parts: tuple[PromptPart, ...]
    prompt_tokens: int
    n_ctx: int
    citations: tuple[Citation, ...]
    left_out: tuple[Omission, ...]


class AnswerKind(StrEnum):
    """What an answer is, as far as ragchat itself has decided it."""

    ANSWER = "answer"
    UNMATCHED = "unmatched"
    """Nothing in the documents matched, so it is not from them."""
    NO_ROOM = "no room"
    """What matched did not fit into the prompt, so it is not from the documents."""
    DECLINED = "declined"
    """Nothing matched, and the model was not asked."""
    QUOTED = "quoted"
    """What the documents say is the answer: no model was asked."""


@dataclass(frozen=True, slots=True)
class AnswerFinished:
    """The answer is whole (or was cut) and stored. `from_documents` False: say that it is not from the documents.

    `text` are the model's own words; `notice` is what ragchat says above them, empty for most answers. `kind` is that of a new
    answer: one that continues is ANSWER. `quotes` is what the documents themselves say, `check` how the statements of `text`
    compare with them; their offsets are those of `text`.
    """

    conversation_id: int
    answer_id: int
    text: str
    finish_reason: FinishReason
    citations: tuple[Citation, ...]
    from_documents: bool
    timings: Timings
    seed: int
    reasoning: str = ""
    reasoning_s: float = 0.0
    reasoning_tokens: int = 0
    notice: str = ""
    kind: AnswerKind = AnswerKind.ANSWER
    quotes: tuple[Quote, ...] = ()
    check: AnswerCheck = UNCHECKED

    @property
    def shown(self) -> str:
        """The whole answer as it is shown."""
        return text_of(self.text, notice=self.notice)


@dataclass(frozen=True, slots=True)
class SummaryProgress:
    """Part `part` of `parts` is being read ("map"), or summaries are being put together ("reduce").

    `done_tokens` of `total_tokens` are read. `eta_s` is None until it was seen how long a summary of a part takes; then it is
    told again while parts are read and written. `summary` is that of the part that has just ended, empty before.
    """

    stage: Literal["map", "reduce"]
    part: int
    parts: int
    done_tokens: int
    total_tokens: int
    eta_s: float | None
    summary: str = ""


SessionEvent = (
    MessageStored
    | SearchUnsure
    | QueryRewritten
    | QueryUsed
    | HitsFound
    | QuotesFound
    | LoadProgress
    | PromptReady
    | PrefillProgress
    | ReasoningDelta
    | TextDelta
    | AnswerFinished
)
