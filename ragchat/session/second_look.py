"""The model's own second look at a statement: is it what the passage says, yes or no, by the likelihood of one token.

The check without a model decides; this only lowers a verdict, and only where you have switched it on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ragchat.errors import ModelError
from ragchat.types import Citation, LoadedModel, Message, Reason, ReasonKind, Statement, Verdict

REVISION = 1
DOUBT = 0.3
"""Chance below which a supported statement counts as partly supported."""
_LONGEST = 1500
"""Characters of a passage that are read again."""
_INSTRUCTIONS = (
    "You compare a statement with a passage. Say yes when the passage says the same, else no. Say one word."
)


def chances(
    model: LoadedModel, statements: Sequence[Statement], offered: Sequence[Citation]
) -> list[float | None]:
    """For each statement the chance that its passage says it; None where it has no passage. Raises ModelError."""
    passages = {citation.n: citation.hit.text for citation in offered}
    asked = [one for one in statements if one.citation in passages]
    chats = [
        [*_prompt(one, passages[one.citation]), Message("assistant", word)]
        for one in asked
        for word in ("yes", "no")
    ]
    scores = iter(model.score(model.encode(chats))) if chats else iter(())
    found: list[float | None] = []
    for one in statements:
        if one.citation in passages:
            yes, no = next(scores).nll, next(scores).nll
            found.append(1 / (1 + math.exp(max(-50.0, min(50.0, yes - no)))))
        else:
            found.append(None)
    return found


def look(
    model: LoadedModel, statements: Sequence[Statement], *, offered: Sequence[Citation]
) -> tuple[Statement, ...]:
    """The statements with `second`; one that is supported and that the model doubts is partly supported.

    As they were when the model cannot tell: an answer is never lost for a second look.
    """
    try:
        found = chances(model, statements, offered)
    except ModelError:
        return tuple(statements)
    return tuple(_with_second(one, chance) for one, chance in zip(statements, found, strict=True))


def _with_second(statement: Statement, chance: float | None) -> Statement:
    doubted = chance is not None and chance < DOUBT and statement.verdict is Verdict.SUPPORTED
    if not doubted:
        return replace(statement, second=chance)
    return replace(statement, second=chance, verdict=Verdict.PARTLY, reason=Reason(ReasonKind.DOUBTED))


def _prompt(statement: Statement, passage: str) -> list[Message]:
    text = f"Passage: {_around(passage, statement.compared)}\n\nStatement: {statement.text}\n\nDoes the passage say this?"
    return [Message("system", _INSTRUCTIONS), Message("user", text)]


def _around(passage: str, compared: str) -> str:
    """So much of a passage, with what was compared in its middle."""
    at = max(0, passage.find(compared))
    first = max(0, min(at - (_LONGEST - len(compared)) // 2, len(passage) - _LONGEST))
    return passage[first : first + _LONGEST].strip()
