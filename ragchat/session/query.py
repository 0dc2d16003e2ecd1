"""What to search for: the question, and the topic of the turns before it, weighted down. Deterministic, no model call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragchat.retrieval.analyzer import STOP_WORDS, query_terms, terms

_POINTS_BACK = frozenset(
    "it its itself that this these those they them their he him his she her hers one ones there same another other former latter"
    " such so too also instead then again else more".split()
)
_FEW_TERMS = 2
_FOLLOW_UP = (0.5, 0.25)
_LOOSE = (0.15, 0.08)
"""Weights of the question before and the one before that: for a follow-up, and for a question that stands on its own."""


@dataclass(frozen=True, slots=True)
class Query:
    """`text` is the question as asked; `weights` are terms of earlier questions; `topic` those of them that matter (a follow-up)."""

    text: str
    weights: dict[str, float]
    topic: tuple[str, ...]


def build(question: str, earlier: Sequence[str]) -> Query:
    """The query for `question`, given the person's `earlier` questions, oldest first."""
    asked = query_terms(question)
    follow_up = _is_follow_up(question)
    weights: dict[str, float] = {}
    for text, weight in zip(reversed(earlier), _FOLLOW_UP if follow_up else _LOOSE, strict=False):
        for term in query_terms(text):
            if term not in asked:
                weights.setdefault(term, weight)
    return Query(question, weights, tuple(weights) if follow_up else ())


def _is_follow_up(question: str) -> bool:
    words = [word.strip(".,;:!?\"'()") for word in question.lower().split()]
    content = [word for word in words if word and word not in STOP_WORDS]
    return len(set(terms(" ".join(content)))) <= _FEW_TERMS or any(word in _POINTS_BACK for word in words)
