"""Checks of answers as JSON, both ways: in the chats and in exports. Whoever wrote the JSON, nothing is taken on trust."""

from __future__ import annotations

import json
import math
from typing import Any

from ragchat.types import UNCHECKED, AnswerCheck, Statement

MOST_PASSAGES = 1_000_000
"""Higher numbers of a citation were not written by ragchat."""


def check_value(check: AnswerCheck) -> dict[str, Any]:
    """A check as JSON has it: `{"statements": […], "answered", "says", "strict"}`."""
    return {
        "statements": list(map(statement_value, check.statements)),
        "answered": check.answered,
        "says": check.says,
        "strict": check.strict,
    }


def statement_value(statement: Statement) -> dict[str, Any]:
    """A statement as JSON has it; `reason` as its parts and as the sentence that the reader is told."""
    reason = statement.reason
    return {
        "text": statement.text,
        "verdict": str(statement.verdict),
        "citation": statement.citation,
        "reason": {
            "kind": str(reason.kind),
            "words": list(reason.words),
            "found": list(reason.found),
            "sentence": reason.sentence,
        },
        "cited_by": statement.cited_by,
        "compared": statement.compared,
        "first": statement.first,
        "last": statement.last,
        "second": statement.second,
    }


def check_json(check: AnswerCheck) -> str:
    """A check as it is stored; empty for an answer that was not checked."""
    return "" if check == UNCHECKED else json.dumps(check_value(check), ensure_ascii=False)


def check_of(stored: object, content: str) -> AnswerCheck:
    """The check of the answer `content`, from its JSON; UNCHECKED where that is broken or belongs to another text."""
    if not stored or not isinstance(stored, str):
        return UNCHECKED
    import msgspec

    try:
        return fitting(msgspec.json.decode(stored, type=AnswerCheck), content)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return UNCHECKED


def fitting(check: AnswerCheck, content: str) -> AnswerCheck:
    """The check where it can be one of the answer `content`, else UNCHECKED."""
    fits = _is_chance(check.answered) and all(_fits(one, content) for one in check.statements)
    return check if fits else UNCHECKED


def _is_chance(value: float | None) -> bool:
    return value is None or (math.isfinite(value) and 0 <= value <= 1)


def _fits(statement: Statement, content: str) -> bool:
    inside = 0 <= statement.first <= statement.last <= len(content)
    return (
        inside
        and 0 <= statement.citation <= MOST_PASSAGES
        and _is_chance(statement.second)
        and content[statement.first : statement.last] == statement.text
    )
