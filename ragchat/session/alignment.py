"""How the tokens of a statement lie in a sentence of a passage: which has which, in order, and what lies between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragchat.session import claim_words as lists
from ragchat.session.claims import Kind, Token

_NEAR = 0.25
"""Worth of a token that follows the one before it in both."""
_LETTER = 0.5
"""Worth of a letter, with `_NEAR` doubled: letters mean something in runs only."""
_LONGEST_GAP = 6
_MOST_TOKENS = 400


@dataclass(frozen=True, slots=True)
class Held:
    """A token of a sentence that counts, the clause it is in, and the words that do not count before it."""

    token: Token
    clause: int
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Clauses:
    """A sentence: what counts of it, and for each clause the words it opens with that do not count."""

    held: tuple[Held, ...]
    openings: tuple[tuple[str, ...], ...]
    signs: tuple[str, ...]
    """The sign before each clause, '' where a word opens it."""


def clauses(tokens: Sequence[Token]) -> Clauses:
    """A sentence cut where a clause begins: at a comma, a bracket, "and", "who"."""
    held: list[Held] = []
    openings: list[tuple[str, ...]] = []
    signs: list[str] = []
    before: list[str] = []
    fresh, sign, depth = True, "", 0
    clause = -1
    for token in tokens:
        word = token.text.lower()
        if token.kind is Kind.BREAK:
            depth = max(0, depth + (token.text in ("(", "[")) - (token.text in (")", "]")))
            fresh, sign, before = True, "(" if depth else token.text, []
            continue
        if word in lists.BREAKS or word in lists.RELATIVE:
            if not fresh or before:
                sign = ""
            fresh, before = True, [*before, word] if fresh else [word]
            if not token.weighs:
                continue
        if not token.weighs:
            before.append(word)
            continue
        if fresh:
            clause += 1
            openings.append(tuple(before))
            signs.append(sign)
            fresh = False
        held.append(Held(token, clause, tuple(before)))
        before, sign = [], ""
    return Clauses(tuple(held), tuple(openings), tuple(signs))


def align(said: Sequence[Token], held: Sequence[Token]) -> list[tuple[int, int]]:
    """(place in `said`, place in `held`) of the tokens both have in the same order: as many as can be, in runs where possible."""
    said, held = said[:_MOST_TOKENS], held[:_MOST_TOKENS]
    width = len(held) + 1
    best = [[0.0] * width for _ in range(len(said) + 1)]
    runs = [[0.0] * width for _ in range(len(said) + 1)]
    for i, one in enumerate(said, 1):
        worth, near = (_LETTER, 2 * _NEAR) if one.kind is Kind.GRAM else (1.0, _NEAR)
        above, row, run_above, run = best[i - 1], best[i], runs[i - 1], runs[i]
        keys = one.keys
        for j, other in enumerate(held, 1):
            top = above[j] if above[j] >= row[j - 1] else row[j - 1]
            if not keys.isdisjoint(other.keys):
                earlier = run_above[j - 1]
                run[j] = worth + max(above[j - 1], earlier + near if earlier else 0.0)
                if run[j] > top:
                    top = run[j]
            row[j] = top
    return _traced(best, runs, said)


def _traced(best: list[list[float]], runs: list[list[float]], said: Sequence[Token]) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    i, j = len(best) - 1, len(best[0]) - 1
    in_run = False
    while i and j:
        if not in_run and best[i][j - 1] >= best[i][j]:
            j -= 1  # the first place of several: what a sentence is about comes first
        elif runs[i][j] and (in_run or runs[i][j] >= best[i][j]):
            pairs.append((i - 1, j - 1))
            worth, near = (_LETTER, 2 * _NEAR) if said[i - 1].kind is Kind.GRAM else (1.0, _NEAR)
            in_run = bool(runs[i - 1][j - 1]) and runs[i][j] == worth + runs[i - 1][j - 1] + near
            i, j = i - 1, j - 1
        else:
            i, in_run = i - 1, False
    return pairs[::-1]


@dataclass(frozen=True, slots=True)
class Skip:
    """Something of the sentence that the statement leaves out, and that changes its meaning: `kind` as in `Token`."""

    token: Token
    kind: Kind


def turned(
    pairs: Sequence[tuple[int, int]], said: Clauses, sentence: Clauses, directions: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """(The statement's preposition, the sentence's) before a token that both have, where one is not the other: "from", "via"."""
    yield from _aside_only(pairs, said, sentence)
    for (_, before), (i, j) in pairwise(pairs):
        if sentence.held[before].clause != sentence.held[j].clause:
            linked = lists.LINKING & set(said.held[i].before) - set(sentence.held[j].before)
            if linked and said.held[i].clause == said.held[i - 1].clause:
                yield " ".join(sorted(linked)), " ".join(sentence.held[j].before)
                continue
        near = [one for one in sentence.held[before + 1 : j + 1] if one.clause == sentence.held[j].clause]
        own = directions & set(said.held[i].before)
        other = directions & {word for one in near for word in one.before}
        if own == other or own & other:
            continue
        if (own and other) or (own | other) & lists.BY:
            yield " ".join(sorted(own)), " ".join(sorted(other))


def _aside_only(
    pairs: Sequence[tuple[int, int]], said: Clauses, sentence: Clauses
) -> Iterator[tuple[str, str]]:
    """A "not" that the sentence has in brackets only."""
    for i, j in pairs:
        aside = sentence.signs[sentence.held[j].clause] == "(" != said.signs[said.held[i].clause]
        if aside and sentence.held[j].token.kind is Kind.NEGATION:
            yield said.held[i].token.text, ""


def skips(pairs: Sequence[tuple[int, int]], sentence: Clauses) -> Iterator[Skip]:
    """What the statement leaves out of the sentence and may not: a negation, a comparison, another subject."""
    if not pairs:
        return
    held = sentence.held
    yield from _before_first(pairs[0][1], sentence)
    for (_, j), (_, k) in pairwise(pairs):
        yield from _between(j, k, sentence)
        if (
            lists.BREAKS & set(sentence.openings[sentence.held[k].clause])
            and sentence.held[j].clause != sentence.held[k].clause
        ):
            yield from _other_subject(pairs[0][1], sentence.held)
    yield from _behind_last(pairs[-1][1], held)


def _other_subject(first: int, held: Sequence[Held]) -> Iterator[Skip]:
    """What goes on with "and was baptised" is about what the clause before begins with, not about a later word of it."""
    skipped = [one for one in held[:first] if one.clause == held[first].clause]
    verbs = [one for one in skipped if one.token.kind is Kind.WORD and one.token.text[:1].islower()]
    if verbs:
        yield Skip(verbs[-1].token, Kind.NAME)


def _turns(held: Held, *, loose: bool = False) -> Skip | None:
    """Whether leaving this out turns the meaning."""
    token = held.token
    if token.kind is Kind.NEGATION:
        return Skip(token, Kind.NEGATION)
    name = next(iter(token.keys), "").removesuffix("·")
    if token.kind is Kind.COMPARISON and (
        name in ("only", "except") if loose else name not in lists.OPTIONAL
    ):
        return Skip(token, Kind.COMPARISON)
    if not loose and token.text.lower() in lists.DISTANCING:
        return Skip(token, Kind.NEGATION)
    return None


def _before_first(first: int, sentence: Clauses) -> Iterator[Skip]:
    held = sentence.held
    clause = held[first].clause
    skipped = [one for one in held[:first] if one.clause == clause]
    yield from (turn for one in skipped if (turn := _turns(one)))
    opening = sentence.openings[clause]
    leading = [one for one in held[:first] if one.clause == clause - 1]
    if lists.THAT & set(opening) or all(_turns(one) for one in leading):
        yield from (turn for one in leading if (turn := _turns(one)))
    if any(_is_condition(one) for one in skipped[:1]):
        yield Skip(skipped[0].token, Kind.COMPARISON)
    if skipped and _belongs(held[first]) and not _are_time(skipped):
        yield Skip(skipped[-1].token, Kind.NAME)


def _is_condition(one: Held) -> bool:
    return one.token.kind is Kind.COMPARISON and "if·" in one.token.keys


def _belongs(one: Held) -> bool:
    """Whether the token belongs to the one before it: "the son of Rollo", "der Sohn des Rollo"."""
    return bool(lists.LINKING & set(one.before))


def _are_time(held: Sequence[Held]) -> bool:
    """Whether it is a date, and nothing else: "In May 1066"."""
    kinds = {one.token.kind for one in held}
    return Kind.DATE in kinds and kinds <= {Kind.DATE, Kind.NUMBER}


def _between(j: int, k: int, sentence: Clauses) -> Iterator[Skip]:
    held = sentence.held
    skipped = held[j + 1 : k]
    if not skipped:
        return
    near = [one for one in skipped if one.clause in (held[j].clause, held[k].clause)]
    yield from (turn for one in near if (turn := _turns(one)))
    if held[j].clause == held[k].clause:
        yield from _within(skipped, held[k])
    else:
        yield from _across(j, k, sentence)


def _within(skipped: Sequence[Held], following: Held) -> Iterator[Skip]:
    letters = sum(one.token.kind is Kind.GRAM for one in skipped)
    if len(skipped) - letters > _LONGEST_GAP or letters > 2 * _LONGEST_GAP:
        yield Skip(skipped[-1].token, Kind.WORD)
    last = skipped[-1].token
    if last.kind is Kind.NUMBER and not following.before and _is_superlative(following.token.text):
        yield Skip(last, Kind.NUMBER)
    if following.token.kind is Kind.NUMBER and letters:
        yield Skip(last, Kind.NUMBER)


def _is_superlative(word: str) -> bool:
    return word.endswith(("est", "ste", "sten", "ster", "stes")) or word in ("most", "best", "worst")


def _across(j: int, k: int, sentence: Clauses) -> Iterator[Skip]:
    """From one clause to a later one: what that one is about must be what the first is about."""
    held = sentence.held
    here, there = held[j].clause, held[k].clause
    begun = [one for one in held[j + 1 : k] if one.clause == there]
    if begun and not _are_time(begun):
        yield Skip(begun[0].token, Kind.NAME)
        return
    opening = sentence.openings[there]
    skipped = [one for one in held[j + 1 : k] if sentence.signs[one.clause] != "("]
    ending = [one for one in skipped if one.clause == here]
    if sum(one.token.kind is Kind.GRAM for one in skipped) > 2 * _LONGEST_GAP:
        yield Skip(skipped[-1].token, Kind.WORD)
    elif _is_relative(opening, sentence.signs[there]) and skipped:
        yield Skip(skipped[-1].token, Kind.NAME)
    elif ending and not begun and not (set(opening) & lists.BREAKS) and not _belongs(ending[0]):
        yield Skip(ending[-1].token, Kind.NAME)


def _is_relative(opening: Sequence[str], sign: str) -> bool:
    """Whether a clause is about the word before it."""
    return bool(lists.RELATIVE & set(opening[:2])) or (
        sign == "," and bool(lists.RELATIVE_AFTER_COMMA & set(opening[:1]))
    )


def _behind_last(last: int, held: Sequence[Held]) -> Iterator[Skip]:
    for one in held[last + 1 :]:
        if one.clause == held[last].clause:
            turn = _turns(one, loose=True)
        elif one.clause == held[last].clause + 1 and one.token.keys == {"except·"}:
            turn = Skip(one.token, Kind.COMPARISON)
        else:
            return
        if turn:
            yield turn
            return
