"""Multi-turn questions made by rule from a question set: the second of two questions on one paragraph, asked as people go on.

What both questions say is said only once: a name that the first question holds becomes a pronoun ("Who wrote it?"; English only),
or the words of the first question are left out, after an "and" ("And in 2022?") or without; any language with spaces between its
words. No model, no chance: the same set gives the same dialogues.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ragchat.evaluation.question_sets import Question
from ragchat.retrieval.analyzer import stop_terms, terms

Kind = Literal["pronoun", "and", "left out"]

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_NAME = re.compile(
    r"(?:\b[Tt]he )?(?<![.!?] )\b[A-Z][\w-]*(?:(?: of| the| de)? [A-Z][\w-]*)*(?P<possessive>['’]s\b)?"
)
_SUBJECT_AFTER = frozenset(
    ("did", "do", "does", "is", "are", "was", "were", "has", "have", "had", "can", "could", "will")
)
_AND = {"en": "And", "de": "Und", "fr": "Et", "es": "Y", "it": "E", "nl": "En", "pt": "E", "ru": "А"}


@dataclass(frozen=True, slots=True)
class Dialogue:
    """`first` was asked before; `follow_up` is `second` as a person would go on."""

    kind: Kind
    first: Question
    second: Question
    follow_up: str


def dialogues(questions: Sequence[Question], language: str) -> Iterator[Dialogue]:
    """All that the rules can make of questions that stand next to each other and ask about the same documents."""
    for first, second in pairwise(questions):
        if not second.relevant or first.relevant != second.relevant:
            continue
        if language == "en" and (text := _with_pronoun(first.text, second.text)):
            yield Dialogue("pronoun", first, second, text)
        if text := _left_out(first.text, second.text, language):
            if language in _AND:
                yield Dialogue("and", first, second, f"{_AND[language]} {text[0].lower()}{text[1:]}")
            yield Dialogue("left out", first, second, text)


def _with_pronoun(first: str, second: str) -> str:
    """`second` with the longest name that `first` holds replaced; empty when there is none."""
    known = first.casefold()
    shared = [
        match
        for match in _NAME.finditer(second)
        if (name := _bare(match)).casefold() in known and _content(name, "en") and match.start()
    ]
    if not shared:
        return ""
    longest = max(shared, key=lambda match: (len(match[0]), -match.start()))
    plural = _bare(longest).endswith("s")
    before = second[: longest.start()].rstrip().rpartition(" ")[2].lower()
    if longest["possessive"]:
        pronoun = "their" if plural else "its"
    elif before in _SUBJECT_AFTER:
        pronoun = "they" if plural else "it"
    else:
        pronoun = "them" if plural else "it"
    return second[: longest.start()] + pronoun + second[longest.end() :]


def _bare(match: re.Match[str]) -> str:
    return re.sub(r"^[Tt]he |['’]s$", "", match[0])


def _left_out(first: str, second: str, language: str) -> str:
    """What `second` asks beyond `first`; empty when they share no word of content, or nothing is left."""
    said = {word.casefold() for word in _WORD.findall(first) if _content(word, language)}
    words = second.rstrip(" ?.!").split()
    kept = [word for word in words if not _said(word, said)]
    if len(kept) == len(words) or not any(_content(word, language) for word in kept):
        return ""
    return f"{' '.join(kept)}?"


def _content(text: str, language: str) -> bool:
    """Whether it holds a word that says what is spoken of."""
    return not stop_terms(language).issuperset(terms(text, language))


def _said(word: str, said: set[str]) -> bool:
    found = _WORD.findall(word)
    return bool(found) and all(part.casefold() in said for part in found)
