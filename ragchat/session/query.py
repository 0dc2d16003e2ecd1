"""What to search for: the question, and the topic of the turns before it, weighted down. Deterministic, no model call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from ragchat.retrieval.analyzer import STOP_WORDS, query_terms

_POINTS_BACK = frozenset(
    """
    it its itself that this these those they them their he him his she her hers one ones there same another other former
    latter such so too also instead then again else more
    """.split()  # noqa: SIM905
)
_GOES_ON = frozenset(("and", "or", "but", "so", "then", "why"))
_FEW_WORDS = 2
LONGEST_SEARCHED = 4000
"""Characters. What stands behind them in a question (a pasted file) is answered, but not searched for."""
_MOST_TOPIC_TERMS = 16
"""Of each earlier question; it stands before what was attached to it."""
_FOLLOW_UP = (0.5, 0.25)
_LOOSE = (0.15, 0.08)
"""Weights of the question before and the one before that: for a follow-up, and for a question that stands on its own."""


@dataclass(frozen=True, slots=True)
class Query:
    """`text` is what of the question is searched for; `weights` are terms of earlier questions.

    `topic` are those of them that matter: all for a follow-up, none otherwise.
    """

    text: str
    weights: dict[str, float]
    topic: tuple[str, ...]


def build(question: str, earlier: Sequence[str]) -> Query:
    """The query for `question`, given the person's `earlier` questions, oldest first."""
    question = question[:LONGEST_SEARCHED]
    asked = query_terms(question)
    follow_up = _is_follow_up(question)
    weights: dict[str, float] = {}
    for text, weight in zip(reversed(earlier), _FOLLOW_UP if follow_up else _LOOSE, strict=False):
        for term in islice(query_terms(text[:LONGEST_SEARCHED]), _MOST_TOPIC_TERMS):
            if term not in asked:
                weights.setdefault(term, weight)
    return Query(question, weights, tuple(weights) if follow_up else ())


def _is_follow_up(question: str) -> bool:
    """Whether a question leans on the one before: it points back, goes on from it, or is too short to stand alone."""
    words = [bare for word in question.lower().split() if (bare := word.strip(".,;:!?\"'()"))]
    if len(words) <= _FEW_WORDS or words[0] in _GOES_ON or words[1] == "about":
        return True
    return any(word in _POINTS_BACK for word in words) or all(word in STOP_WORDS for word in words)
