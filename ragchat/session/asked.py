"""What a question asks for, and whether a place of a passage answers it with the words that a statement adds."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragchat.session import claim_words as lists
from ragchat.session.alignment import Clauses
from ragchat.session.claims import Kind, Token, read

_NUMBER = re.compile(
    r"\bhow (?:many|much|long|old|far|tall|high|large|big|often|fast|deep|wide)\b"
    r"|\bwhat (?:percentage|percent|number|amount|share)\b|\bwie ?viele?\b|\bwie (?:lange?|alt|weit|hoch|groß|oft|schnell|tief)\b"
    r"|\bcombien\b|\bcu[aá]nt[oa]s?\b|多少|几|เท่าไร|เท่าใด|กี่",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"\bhow many\b|\bwie ?viele\b|\bcombien d|\bcu[aá]nt[oa]s\b", re.IGNORECASE)
_TIME = re.compile(
    r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|decade)\b|\bin welchem jahr|\bwann\b|\bquand\b|\bcu[aá]ndo\b"
    r"|什么时候|何时|哪一?年|เมื่อไร|เมื่อใด|ปีใด|ปีไหน",
    re.IGNORECASE,
)
_WHO = re.compile(
    r"\bwho\b|\bwhom\b|\bwhose\b|\bwer\b|\bwem\b|\bwen\b|\bqui\b|\bqui[eé]n(?:es)?\b|谁|ใคร", re.IGNORECASE
)
_WHY = re.compile(
    r"\bwhy\b|\bwarum\b|\bweshalb\b|\bwieso\b|\bpourquoi\b|\bpor qué\b|为什么|ทำไม|เหตุใด", re.IGNORECASE
)
_ABOUT = 0.6
"""Share of the words of a question that the place must have."""
_SURELY = 0.8
_NEAREST = 1.2
"""How much nearer to the words of the question than its rivals an answer must be."""
_CLAUSE = 4
"""Words that a clause boundary counts for."""
_GAP = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: what counts of it, and the kinds of token that answer it (none: all)."""

    tokens: tuple[Token, ...]
    kinds: frozenset[Kind]
    keys: frozenset[str]
    counted: frozenset[str] = frozenset()
    """What is to be counted: "companies" of "how many companies"."""

    @staticmethod
    @functools.lru_cache(maxsize=64)
    def of(question: str, language: str) -> Asked:
        """The question, read in the language of a passage."""
        asking = [match.span() for match in _NUMBER.finditer(question)]
        tokens = tuple(
            token
            for token in read(question, language)
            if token.weighs and not any(first <= token.first < last for first, last in asking)
        )
        kinds: frozenset[Kind] = frozenset()
        if _NUMBER.search(question):
            kinds = frozenset({Kind.NUMBER, Kind.DATE})
        elif _TIME.search(question):
            kinds = frozenset({Kind.DATE, Kind.NUMBER})
        elif _WHY.search(question):
            kinds = frozenset({Kind.WORD, Kind.GRAM, Kind.CODE})
        elif _WHO.search(question):
            kinds = frozenset({Kind.NAME, Kind.WORD, Kind.GRAM})
        counted = frozenset[str]()
        if found := _COUNTED.search(question):
            counted = next((token.keys for token in tokens if token.first >= found.end()), counted)
        return Asked(tokens, kinds, frozenset(key for token in tokens for key in token.keys), counted)

    @property
    def names(self) -> tuple[Token, ...]:
        """Its names, numbers and dates."""
        return tuple(
            token for token in self.tokens if token.kind in (Kind.NAME, Kind.NUMBER, Kind.DATE, Kind.CODE)
        )

    def holds(self, token: Token) -> bool:
        """Whether the question has this token."""
        return not token.keys.isdisjoint(self.keys)


def answers(
    asked: Asked,
    said: Sequence[Token],
    pairs: Sequence[tuple[int, int]],
    sentence: Clauses,
    context: Sequence[Token],
) -> bool:
    """Whether the words that a statement adds to the question are those of the sentence that answer it.

    The place must be about what was asked, the words be next to each other and of the kind that was asked for, and nothing else
    of that kind may be as near to the words of the question.
    """
    new = [(i, j) for i, j in pairs if not asked.holds(said[i])]
    if not asked.tokens or not new or not _is_about(asked, sentence, context):
        return False
    places = [j for _, j in new]
    if any(b - a > _GAP for a, b in pairwise(places)):
        return False
    if asked.kinds and not any(said[i].kind in asked.kinds for i, _ in new):
        return False
    if not _has_the_role(asked, places, sentence):
        return False
    return _counts(asked, places, sentence) or _is_nearest(asked, places, sentence)


def _has_the_role(asked: Asked, places: Sequence[int], sentence: Clauses) -> bool:
    """Whether the answer is on the side of the verb that was asked for: who defeated Rollo is before it, or behind "by"."""
    held = sentence.held
    names = [token for token in asked.tokens if token.kind is Kind.NAME]
    for name in names:
        for verb in (token for token in asked.tokens if token.kind is Kind.WORD):
            at = [j for j, one in enumerate(held) if one.token.same(name)]
            done = [j for j, one in enumerate(held) if one.token.same(verb)]
            if not at or not done:
                continue
            is_object = verb.first < name.first
            first, last = (at[0], places[0]) if is_object else (places[0], at[0])
            if first < done[0] < last and not lists.BY & set(held[last].before):
                return False
    return True


def _counts(asked: Asked, places: Sequence[int], sentence: Clauses) -> bool:
    """Whether the answer is a number of what was to be counted: "374 companies" for "how many companies"."""
    behind = places[-1] + 1
    return behind < len(sentence.held) and bool(asked.counted & sentence.held[behind].token.keys)


def _is_about(asked: Asked, sentence: Clauses, context: Sequence[Token]) -> bool:
    held = {key for one in sentence.held for key in one.token.keys}
    around = held | {key for token in context for key in token.keys}
    wanted = [token for token in asked.tokens if token.text.lower() not in lists.LIGHT]
    there = sum(not token.keys.isdisjoint(around) for token in wanted)
    return (
        bool(wanted)
        and there >= _ABOUT * len(wanted)
        and all(not token.keys.isdisjoint(around) for token in asked.names)
    )


def _is_nearest(asked: Asked, places: Sequence[int], sentence: Clauses) -> bool:
    held = sentence.held
    shared = [j for j, one in enumerate(held) if asked.holds(one.token) and j not in places]
    if not asked.kinds and _is_surely_about(asked, places, sentence):
        return True
    rivals = _rivals(asked, places, sentence)
    if not rivals:
        return True
    own = _nearness(places, shared, sentence)
    return all(own >= _NEAREST * _nearness(group, shared, sentence) for group in rivals)


def _is_surely_about(asked: Asked, places: Sequence[int], sentence: Clauses) -> bool:
    """Whether several plain words are all that a sentence with nearly all of the question's can answer: nothing rivals them."""
    held = {key for one in sentence.held for key in one.token.keys}
    there = sum(not token.keys.isdisjoint(held) for token in asked.tokens)
    plain = all(sentence.held[j].token.kind is Kind.WORD for j in places)
    return plain and len(places) > 1 and there >= _SURELY * len(asked.tokens)


def _rivals(asked: Asked, places: Sequence[int], sentence: Clauses) -> list[list[int]]:
    """Runs of tokens of the kind of the answer that are neither in the question nor the answer itself."""
    kinds = {sentence.held[j].token.kind for j in places}
    if kinds & {Kind.NUMBER, Kind.DATE}:
        kinds &= {Kind.NUMBER, Kind.DATE}
    elif Kind.NAME in kinds:
        kinds = {Kind.NAME}
    groups: list[list[int]] = []
    for j, one in enumerate(sentence.held):
        if one.token.kind not in kinds or j in places or asked.holds(one.token):
            continue
        if groups and groups[-1][-1] == j - 1 and not one.before:
            groups[-1].append(j)
        else:
            groups.append([j])
    return groups


def _nearness(places: Sequence[int], shared: Sequence[int], sentence: Clauses) -> float:
    held = sentence.held

    def apart(j: int) -> float:
        return min(abs(j - k) + _CLAUSE * abs(held[j].clause - held[k].clause) for k in places)

    return sum(1 / (1 + apart(j)) for j in shared)
