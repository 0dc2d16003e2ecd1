"""A statement and a passage: what the best place of it says of the statement, and what is wrong where it does not say it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ragchat.session import claim_words as lists
from ragchat.session.alignment import Clauses, Skip, align, clauses, skips, turned
from ragchat.session.asked import Asked, answers
from ragchat.session.claims import LITERAL, Kind, Token, read
from ragchat.session.cutting import LEAD_IN
from ragchat.session.places import (
    Context,
    Passage,
    Sentence,
    context_of,
    is_pronoun,
    plain,
    points_back,
    runs_of,
)
from ragchat.types.answers import Reason, ReasonKind, Verdict

_LIKELY, _CANDIDATES = 30, 5
_HALF, _FEW = 0.5, 0.25
"""Shares of a statement that a place must have: for "partly", and for being worth showing."""
_FEWEST = 3
_LONG = 6
_FORGIVEN = 0.35
"""Share of the words of a statement that may be the question's own and in other words in the passage."""
_FEW_LETTERS = 6
_PLACE_COVERS = 0.95
STOPS = (".", "!", "。", "！")


@dataclass(frozen=True, slots=True)
class Found:
    """How a statement compares with one place; `rank`: higher is better."""

    verdict: Verdict
    reason: Reason
    rank: float
    n: int = 0
    first: int = 0
    last: int = 0


_NOWHERE = Found(Verdict.NOT_FOUND, Reason(ReasonKind.NOTHING), -1.0)
_ORDER = {Verdict.SUPPORTED: 2.0, Verdict.PARTLY: 1.0, Verdict.NOT_FOUND: 0.0}


def best_place(said: str, passage: Passage, question: str, *, literal: bool) -> Found | None:
    """How a statement compares with the best place of a passage; None for what claims nothing. `literal`: a line of code."""
    if literal:
        return _literal(said, passage)
    language = passage.hit.language
    begin = LEAD_IN.match(said)
    text = said[begin.end() if begin else 0 :]
    tokens = read(text, language)
    weighty = [token for token in tokens if token.weighs]
    if not weighty:
        return None
    asked = Asked.of(question, language)
    whole = _whole(tokens, weighty, passage)
    if whole and not (is_pronoun(tokens[0]) and _names_another(asked, passage)):
        return whole
    claim = Claim(tokens, clauses(tokens), tuple(weighty), asked, language, runs_of(weighty))
    found = [_compare(claim, passage, i) for i in _candidates(claim, passage)]
    best = max(found, key=lambda one: one.rank, default=replace(_NOWHERE, n=0))
    return _stitched(claim, passage, best)


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement, read in the language of a passage, and the question it answers."""

    tokens: tuple[Token, ...]
    clauses: Clauses
    weighty: tuple[Token, ...]
    asked: Asked
    language: str
    runs: frozenset[str]

    @property
    def adds(self) -> bool:
        """Whether it says anything that the question does not."""
        return any(
            not self.asked.holds(token) and token.text.lower() not in lists.LIGHT for token in self.weighty
        )

    @property
    def is_fragment(self) -> bool:
        """A name or a number, rather than a sentence."""
        letters = sum(token.kind is Kind.GRAM for token in self.weighty)
        if letters > len(self.weighty) // 2:
            return letters < _FEW_LETTERS
        if any(_is_verb(token, self.language) for token in self.tokens):
            return False
        return len(self.weighty) < (_LONG if self.asked.tokens else _FEWEST + 1)


def _is_verb(token: Token, language: str) -> bool:
    lower = token.text.lower()
    return lower in lists.verbs(language) or (
        language == "en" and token.text == lower and lower.endswith("ed")
    )


def _candidates(claim: Claim, passage: Passage) -> list[int]:
    """The sentences that may say it, by what they share with it."""
    counts: Counter[int] = Counter()
    for key in {
        key for token in claim.weighty for key in token.keys if token.kind is not Kind.GRAM
    } | claim.runs:
        counts.update(passage.places_of.get(key, ()))
    likely = [i for i, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_LIKELY]]
    shares = {i: _shared(claim, passage.sentences[i]) for i in likely}
    return [i for i in sorted(shares, key=lambda i: (-shares[i], i)) if shares[i]][:_CANDIDATES]


def _shared(claim: Claim, sentence: Sentence) -> float:
    """How much of a claim a sentence may have, for choosing where to look closer; letters count in runs."""
    worth = sum(
        (2.0 if token.kind in LITERAL else 1.0)
        for token in claim.weighty
        if token.kind is not Kind.GRAM and not token.keys.isdisjoint(sentence.keys)
    )
    return worth + len(claim.runs & sentence.runs)


def _literal(said: str, passage: Passage) -> Found:
    """A line of code: in the passage as it is, but for white space."""
    text = passage.hit.text
    pattern = r"\s+".join(map(re.escape, said.removeprefix("$ ").split()))
    match = re.search(rf"(?<![\w-]){pattern}(?![\w-])", text)
    if match:
        return Found(Verdict.SUPPORTED, Reason(ReasonKind.QUOTED), 3.0, passage.n, *match.span())
    return Found(Verdict.NOT_FOUND, Reason(ReasonKind.NAME, (said,)), 0.0)


def _names_another(asked: Asked, passage: Passage) -> bool:
    """Whether the passage has none of the names of the question: its "he" is another."""
    held = passage.keys.union(*(token.keys for token in passage.heading))
    return bool(asked.names) and all(token.keys.isdisjoint(held) for token in asked.names)


def _whole(tokens: Sequence[Token], weighty: Sequence[Token], passage: Passage) -> Found | None:
    """A statement that is one whole sentence of the passage, or several."""
    wanted = plain(tokens)
    for i, sentence in enumerate(passage.sentences):
        if wanted.startswith(sentence.plain) and len(sentence.plain) > 1:
            end = i
            run = sentence.plain
            while len(run) < len(wanted) and end + 1 < len(passage.sentences):
                end += 1
                run = run[:-1] + passage.sentences[end].plain
            ends = passage.hit.text[: passage.sentences[end].last].endswith(STOPS)
            if run == wanted and len(weighty) >= (2 if ends else _FEWEST):
                last = passage.sentences[end].last
                return Found(
                    Verdict.SUPPORTED, Reason(ReasonKind.QUOTED), 3.0, passage.n, sentence.first, last
                )
    return None


def _compare(claim: Claim, passage: Passage, i: int) -> Found:
    sentence = passage.sentences[i]
    pairs = align(claim.weighty, sentence.weighty)
    context = context_of(passage, i)
    faults = list(_faults(claim, sentence, pairs, context))
    moved = _moved_answer(claim, sentence, pairs)
    missing = [claim.weighty[k] for k in _unmatched(claim, pairs)]
    asked_only = [fault for fault in faults if fault.forgivable]
    first = passage.sentences[context.begin].first if context.used(missing) else sentence.first
    covered = _coverage(claim, sentence, context)
    few = len(asked_only) - len(moved) <= max(2, _FORGIVEN * len(claim.weighty))
    if len(asked_only) == len(faults) and few and (asked_only or claim.is_fragment):
        if answers(claim.asked, claim.weighty, sorted([*pairs, *moved]), sentence.clauses, context.tokens):
            faults = []
        elif not asked_only and not _opens_sentence(claim, sentence):
            faults = [_Fault(Reason(ReasonKind.SUBJECT))]
    quoted = plain(claim.tokens) in sentence.plain
    if not faults and not quoted and claim.asked.tokens and not claim.adds:
        faults = [_Fault(Reason(ReasonKind.SUBJECT))]  # who repeats the question says nothing
    if not faults:
        reason = Reason(ReasonKind.QUOTED if quoted else ReasonKind.SAID)
        return Found(
            Verdict.SUPPORTED, reason, 2.0 + 0.5 * quoted + covered / 10, passage.n, first, sentence.last
        )
    reason = _worst(faults)
    verdict = _short_of(claim, sentence, pairs, context, reason, covered)
    if verdict is Verdict.NOT_FOUND and covered < _FEW:
        reason = Reason(ReasonKind.NOTHING)
    return Found(
        verdict, reason, _ORDER[verdict] / 10 + covered - len(faults) / 100, passage.n, first, sentence.last
    )


_GRAVITY = (
    ReasonKind.NUMBER, ReasonKind.DATE, ReasonKind.UNIT, ReasonKind.NAME, ReasonKind.NEGATION, ReasonKind.COMPARISON,
    ReasonKind.WORDS, ReasonKind.SUBJECT, ReasonKind.STITCHED, ReasonKind.NOTHING, ReasonKind.SAID, ReasonKind.QUOTED,
)  # fmt: skip
_MOST_TOLD = 5


def _worst(faults: Sequence[_Fault]) -> Reason:
    """The reason to tell: what the statement has and the passage lacks before what it leaves out; all words that are missing."""
    own = [fault.reason for fault in faults if fault.reason.words] or [fault.reason for fault in faults]
    worst = min(own, key=lambda one: _GRAVITY.index(one.kind))
    if worst.kind not in (ReasonKind.WORDS, ReasonKind.NAME, ReasonKind.NUMBER, ReasonKind.DATE):
        return worst
    alike = [one for one in own if one.kind is worst.kind]
    words = dict.fromkeys(word for one in alike for word in one.words if word)
    found = dict.fromkeys(word for one in alike for word in one.found if word)
    return Reason(worst.kind, tuple(words)[:_MOST_TOLD], tuple(found)[:_MOST_TOLD])


def _moved_answer(
    claim: Claim, sentence: Sentence, pairs: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """What a statement ends with behind "is" and adds to the question, where the sentence has it at another place."""
    loose = _unmatched(claim, pairs)
    end = len(claim.weighty)
    run = _run(end - 1, claim, pairs) if loose and loose[-1] == end - 1 else []
    if not run or any(claim.asked.holds(claim.weighty[i]) for i in run) or not claim.asked.tokens:
        return []
    if not lists.verbs(claim.language) & set(claim.clauses.held[run[0]].before):
        return []
    taken = {j for _, j in pairs}
    free = [j for j in range(len(sentence.weighty)) if j not in taken]
    found = align([claim.weighty[i] for i in run], [sentence.weighty[j] for j in free])
    return [(run[i], free[j]) for i, j in found] if len(found) == len(run) else []


def _opens_sentence(claim: Claim, sentence: Sentence) -> bool:
    """Whether a short statement is how the sentence begins, with a word that may be its verb."""
    begins = sentence.plain.startswith(plain(claim.tokens).rstrip())
    return (
        begins
        and len(claim.weighty) >= _FEWEST
        and any(token.kind is Kind.WORD and token.text[0].islower() for token in claim.weighty)
    )


def _unmatched(claim: Claim, pairs: Sequence[tuple[int, int]]) -> list[int]:
    matched = {i for i, _ in pairs}
    return [i for i in range(len(claim.weighty)) if i not in matched]


def _short_of(
    claim: Claim,
    sentence: Sentence,
    pairs: Sequence[tuple[int, int]],
    context: Context,
    reason: Reason,
    covered: float,
) -> Verdict:
    """Partly; not found if less than half of it is there or nothing that it adds to the question, or if it is the opposite."""
    if covered < _HALF:
        return Verdict.NOT_FOUND
    held = {key for token in (*sentence.weighty, *context.tokens) for key in token.keys}
    new = [token for token in claim.weighty if not claim.asked.holds(token) and token.keys.isdisjoint(_LIGHT)]
    if claim.asked.tokens and new and all(token.keys.isdisjoint(held) for token in new):
        return Verdict.NOT_FOUND
    unmatched = _unmatched(claim, pairs)
    if reason.kind is ReasonKind.NEGATION and all(claim.weighty[k].kind is Kind.NEGATION for k in unmatched):
        return Verdict.NOT_FOUND
    return Verdict.PARTLY


_LIGHT = lists.LIGHT


def _coverage(claim: Claim, sentence: Sentence, context: Context) -> float:
    held = {key for token in (*sentence.weighty, *context.tokens) for key in token.keys}
    return sum(not token.keys.isdisjoint(held) for token in claim.weighty) / len(claim.weighty)


def _stitched(claim: Claim, passage: Passage, best: Found) -> Found:
    """Words that are all in the passage, but in no one place."""
    if best.verdict is Verdict.SUPPORTED or best.reason.kind not in (
        ReasonKind.WORDS, ReasonKind.SUBJECT, ReasonKind.NAME, ReasonKind.NUMBER, ReasonKind.DATE, ReasonKind.NOTHING,
    ):  # fmt: skip
        return best
    share = sum(not token.keys.isdisjoint(passage.keys) for token in claim.weighty) / len(claim.weighty)
    if share >= _PLACE_COVERS and len(claim.weighty) >= _LONG and best.reason.kind is not ReasonKind.SUBJECT:
        return replace(
            best, verdict=Verdict.PARTLY, reason=Reason(ReasonKind.STITCHED), rank=max(best.rank, 0.1)
        )
    return best


# --- what is wrong with it ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fault:
    """`forgivable`: a word of the question that the passage says otherwise."""

    reason: Reason
    forgivable: bool = False


def _faults(
    claim: Claim, sentence: Sentence, pairs: Sequence[tuple[int, int]], context: Context
) -> Iterator[_Fault]:
    for i in _unmatched(claim, pairs):
        fault = _missing(i, claim, sentence, pairs, context)
        if fault:
            yield fault
    for i, j in pairs:
        one, other = claim.weighty[i], sentence.weighty[j]
        if one.unit and one.unit != other.unit and not (one.unit == "s" and not other.unit):
            found = (f"{other.text} {other.unit}".strip(),)
            yield _Fault(Reason(ReasonKind.UNIT, (f"{one.text} {one.unit}",), found))
    moved = {sentence.weighty[j].first for _, j in _moved_answer(claim, sentence, pairs)}
    for skip in skips(pairs, sentence.clauses):
        has_no_subject = claim.is_fragment and skip.kind is Kind.NAME
        if skip.token.first not in moved and not has_no_subject:
            yield _skipped(skip)
    directions = lists.directions(claim.language)
    for word, instead in turned(pairs, claim.clauses, sentence.clauses, directions):
        yield _Fault(Reason(ReasonKind.WORDS, (word,), (instead,)))
    if _has_other_subject(claim, sentence, context):
        yield _Fault(Reason(ReasonKind.SUBJECT))
    if _is_said_of_nothing(claim, sentence, pairs):
        yield _Fault(Reason(ReasonKind.SUBJECT), forgivable=True)


def _skipped(skip: Skip) -> _Fault:
    match skip.kind:
        case Kind.NEGATION:
            return _Fault(Reason(ReasonKind.NEGATION, (), (skip.token.text,)))
        case Kind.COMPARISON:
            return _Fault(Reason(ReasonKind.COMPARISON, (), (skip.token.text,)))
        case Kind.NUMBER:
            return _Fault(Reason(ReasonKind.NUMBER, (), (skip.token.text,)))
        case Kind.NAME:
            return _Fault(Reason(ReasonKind.SUBJECT, (), (skip.token.text,)))
        case _:
            return _Fault(Reason(ReasonKind.STITCHED))


_REASONS = {
    Kind.NUMBER: ReasonKind.NUMBER,
    Kind.DATE: ReasonKind.DATE,
    Kind.NAME: ReasonKind.NAME,
    Kind.CODE: ReasonKind.NAME,
    Kind.NEGATION: ReasonKind.NEGATION,
    Kind.COMPARISON: ReasonKind.COMPARISON,
}


def _missing(
    i: int, claim: Claim, sentence: Sentence, pairs: Sequence[tuple[int, int]], context: Context
) -> _Fault | None:
    """What is wrong when the sentence does not have this token at its place; None where that changes nothing."""
    token = claim.weighty[i]
    if token.text.lower() in _LIGHT or token.keys & {"some·", "if·"}:
        return None
    if _in_context(i, claim, pairs, context):
        return None
    elsewhere = any(token.same(other) for other in sentence.weighty)
    kind = _REASONS.get(token.kind, ReasonKind.WORDS)
    if elsewhere:
        if _is_moved_time(i, claim, sentence, pairs):
            return None
        return _Fault(
            Reason(ReasonKind.STITCHED), any(i == k for k, _ in _moved_answer(claim, sentence, pairs))
        )
    if opposite := _opposite(token, sentence):
        return _Fault(Reason(ReasonKind.NEGATION, (token.text,), (opposite,)))
    forgivable = claim.asked.holds(token) and token.kind in (Kind.WORD, Kind.GRAM, Kind.NAME)
    if forgivable and token.text[:1].isupper() and _has_a_name_instead(i, sentence, pairs):
        forgivable = False
    return _Fault(Reason(kind, (token.text,), _instead(i, claim, sentence, pairs)), forgivable)


def _has_a_name_instead(i: int, sentence: Sentence, pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether the sentence has another word with a capital where the statement has this one."""
    low = max((j for k, j in pairs if k < i), default=-1)
    high = min((j for k, j in pairs if k > i), default=len(sentence.weighty))
    between = sentence.weighty[low + 1 : high]
    inside = low >= 0 and high < len(sentence.weighty)
    return inside and any(one.text[:1].isupper() for one in between)


def _in_context(i: int, claim: Claim, pairs: Sequence[tuple[int, int]], context: Context) -> bool:
    """Whether the token belongs to the beginning or the end of the statement, and the sentence leaves it to its context."""
    token = claim.weighty[i]
    if token.kind in (Kind.NEGATION, Kind.COMPARISON) or not pairs:
        return False
    if (
        i < pairs[0][0]
        and any(token.same(other) for other in context.subject)
        and not _takes_its_place(claim, pairs)
    ):
        return False
    if token.kind is Kind.GRAM or pairs[0][0] <= i <= pairs[-1][0]:
        return False
    return any(token.same(other) for other in (context.tokens if i < pairs[0][0] else context.headings))


def _takes_its_place(claim: Claim, pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether the statement names what the sentence calls "it", and leaves out nothing that comes first."""
    return pairs[0][1] == 0 and not any(is_pronoun(token) for token in claim.tokens[:2])


def _is_moved_time(i: int, claim: Claim, sentence: Sentence, pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether a date at the beginning or the end of the statement is at another place of the sentence."""
    run = _run(i, claim, pairs)
    if not run or not (run[0] == 0 or run[-1] == len(claim.weighty) - 1):
        return False
    tokens = [claim.weighty[k] for k in run]
    if not any(token.kind is Kind.DATE for token in tokens):
        return False
    if not pairs:
        return False
    before, behind = sentence.weighty[: pairs[0][1]], sentence.weighty[pairs[-1][1] + 1 :]
    return any(len(align(tokens, free)) == len(tokens) for free in (before, behind))


def _run(i: int, claim: Claim, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """The unmatched tokens around this one."""
    loose = set(_unmatched(claim, pairs))
    first = last = i
    while first - 1 in loose:
        first -= 1
    while last + 1 in loose:
        last += 1
    return list(range(first, last + 1))


def _opposite(token: Token, sentence: Sentence) -> str:
    lower = token.text.lower()
    others = lists.opposites().get(lower, frozenset())
    for other in sentence.weighty:
        word = other.text.lower()
        if word in others or (
            len(lower) > 4 and any(word == f"{sign}{lower}" or lower == f"{sign}{word}" for sign in _SIGNS)
        ):
            return other.text
    return ""


_SIGNS = ("un", "in", "im", "dis", "non", "ir", "il", "de")


def _instead(i: int, claim: Claim, sentence: Sentence, pairs: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """What the sentence has of the same kind between the neighbours of the token."""
    kind = claim.weighty[i].kind
    if kind not in LITERAL:
        return ()
    low = max((j for k, j in pairs if k < i), default=-1)
    high = min((j for k, j in pairs if k > i), default=len(sentence.weighty))
    kinds = (Kind.NUMBER, Kind.DATE) if kind in (Kind.NUMBER, Kind.DATE) else (kind,)
    return tuple(token.text for token in sentence.weighty[low + 1 : high] if token.kind in kinds)[:2]


def _is_said_of_nothing(claim: Claim, sentence: Sentence, pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether a statement that begins with "this is" has no verb in the sentence before what it goes on with."""
    if not pairs or pairs[0][0] or not is_pronoun(claim.tokens[0]):
        return False
    verbs = lists.verbs(claim.language)
    held = sentence.clauses.held[pairs[0][1]]
    return bool(verbs & set(claim.clauses.held[0].before)) and not verbs & set(held.before)


def _has_other_subject(claim: Claim, sentence: Sentence, context: Context) -> bool:
    """Whether a statement about "it" is from a place that does not name what was asked about; where the place has "it" as well,
    the whole passage counts."""
    opening = next((token for token in claim.tokens if token.kind is not Kind.BREAK), None)
    names = claim.asked.names
    if opening is None or not is_pronoun(opening) or not names:
        return False
    held = {key for token in (*sentence.weighty, *context.tokens) for key in token.keys}
    if points_back(sentence):
        held |= context.around
    return all(token.keys.isdisjoint(held) for token in names)
