"""The statements of an answer, each compared with the passages: without a model, and so that "supported" means that a passage says it.

A statement is supported when one sentence of a passage has all of its words that count, in the same order, with the same
numbers, units, names and negations, and nothing between them that would turn the meaning. What a sentence calls "it" may be
in the sentence before or in the heading. What the question already says may be in other words in the passage, if the place
is about what was asked. All else is supported partly or not found (decision 27).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ragchat.retrieval.sentences import sentence_spans
from ragchat.session import claim_words as lists
from ragchat.session.alignment import Clauses, Skip, align, clauses, skips, turned
from ragchat.session.asked import Asked, answers
from ragchat.session.claims import LITERAL, Kind, Token, read
from ragchat.session.marking import CODE, Mark, lines, owned, without_markers, written
from ragchat.session.refusals import declines
from ragchat.types import Citation, Hit
from ragchat.types.answers import Reason, ReasonKind, Statement, Verdict

_ITEM = re.compile(r"(?:[-*+•‣◦>]\s+|\#{1,6}\s|\d{1,3}[.)]\s+|\[[ xX]\]\s+)+")
_RULE = re.compile(r"[|\s:*_=-]+")
_LEAD_IN = re.compile(
    r"(?:(?:so|therefore|thus|yes|no|ja|nein|oui|non|sí|well|sure)\s*[,:]\s+)?"
    r"(?:(?:the |die )?(?:correct |short |final |richtige )?(?:answer|antwort|réponse)"
    r"(?: (?:to|for|of|auf|à) (?:this|the|your|that|diese|die) (?:question|frage)[^:.,\n]{0,20}?)?"
    r"(?: (?:is|would be|lautet|ist|est))\b(?: that\b)?\s*:?\s*"
    r"|(?:based on|according to|laut|gemäß|nach) (?:the |this |dem |der |den )?(?:\w+ )?"
    r"(?:passages?|documents?|text|context|article|sources?|information|textes?|abschnitt)(?: (?:provided|given|above))?\s*,?\s*"
    r"|(?:the |this )(?:passage|document|text|article|context|source) (?:also )?"
    r"(?:says|states|mentions|explains|notes|indicates|tells us)(?: that)?\s*:?\s+)*",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"\W*(?:hello|hi|sure|certainly|of course|great question|thank|you're welcome|i hope|let me know|feel free|happy to|gerne|hallo)\b",
    re.IGNORECASE,
)
_OURS = re.compile(
    r"\W*(?:\d+ statements?: \d+ \w+|from your documents:|(?:fully |partly )?(?:supported|verified)\W*(?:by|\[|$))",
    re.IGNORECASE,
)
"""Lines that ragchat itself writes."""
_META = re.compile(
    r"\W*(?:the|this|your) question (?:asks?|is (?:unclear|incomplete|about|asking)|seems|appears)\b"
    r"|\W*the passage (?:is|seems|appears) (?:to be )?(?:incomplete|unclear)\b|\W*die frage (?:fragt|ist unklar)\b",
    re.IGNORECASE,
)
"""Said of the question, not of what it asks."""
_CANDIDATES = 5
_HALF, _FEW = 0.5, 0.25
_FEWEST = 3
_FORGIVEN = 0.35
"""Share of the words of a statement that may be the question's own and in other words in the passage."""
_FEW_LETTERS = 8
_RUN = 3
_LONGEST_RUN = 200
"""Letters of a script without spaces that are compared at once, where no stop parts them."""
_LONG = 6
_PLACE_COVERS = 0.95


@dataclass(frozen=True, slots=True)
class _Sentence:
    first: int
    last: int
    tokens: tuple[Token, ...]
    clauses: Clauses
    weighty: tuple[Token, ...]
    plain: str
    keys: frozenset[str]
    runs: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Passage:
    n: int
    hit: Hit
    sentences: tuple[_Sentence, ...]
    keys: frozenset[str]
    heading: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A statement, what each passage that supports it says, by number, and the model's own markers for it.

    Its offsets are those of the answer without markers.
    """

    statement: Statement
    supporters: Mapping[int, str] = field(default_factory=dict)
    markers: tuple[Mark, ...] = ()

    @property
    def span(self) -> tuple[int, int]:
        """Where it is in the answer without markers."""
        return self.statement.first, self.statement.last


@dataclass(frozen=True, slots=True)
class _Found:
    """How a statement compares with one place; `rank`: higher is better."""

    verdict: Verdict
    reason: Reason
    rank: float
    n: int = 0
    first: int = 0
    last: int = 0


_NOWHERE = _Found(Verdict.NOT_FOUND, Reason(ReasonKind.NOTHING), -1.0)
_ORDER = {Verdict.SUPPORTED: 2.0, Verdict.PARTLY: 1.0, Verdict.NOT_FOUND: 0.0}


def check(answer: str, offered: Sequence[Citation], question: str = "") -> tuple[Statement, ...]:
    """The statements of an answer in order, with offsets in `answer`, each compared with the passages that were offered.

    `citation` is the passage with which it was compared; `cited_by` is "model" where the answer has that number behind it.
    """
    bare, markers = without_markers(answer)
    found = weighed(bare, markers, offered, question)
    _, places = written(bare, markers, [one.span for one in found], raw=True)
    return tuple(
        replace(
            one.statement,
            text=answer[first:last],
            first=first,
            last=last,
            cited_by="model"
            if any(n in one.supporters for mark in one.markers for n in mark.numbers)
            else "",
        )
        for one, (first, last) in zip(found, places, strict=True)
    )


def weighed(
    bare: str, markers: Sequence[Mark], offered: Sequence[Citation], question: str = ""
) -> list[Weighed]:
    """The statements of an answer without markers, each with what supports it and the markers it had."""
    if not offered:
        return []
    passages = [_passage(citation) for citation in offered]
    places = list(spans(bare))
    found = [
        _weigh((bare, *place), passages, question, own)
        for place, own in zip(places, owned(markers, places), strict=True)
    ]
    return _without_bare_yes([one for one in found if one is not None])


def spans(bare: str) -> Iterator[tuple[int, int]]:
    """Where the sentences, items, rows and lines of code of an answer are that claim something."""
    fences = [match.span() for match in CODE.finditer(bare) if match["fence"]]
    end = 0
    for first, last in fences:
        yield from _spoken(bare, end, first)
        yield from _coded(bare, first, last)
        end = last
    yield from _spoken(bare, end, len(bare))


def _spoken(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    for a, b in _sentences(text[first:last]):
        mark = _ITEM.match(text, first + a, first + b)
        begin = mark.end() if mark else first + a
        if _claims(text, begin, first + b):
            yield begin, first + b


def _claims(text: str, first: int, last: int) -> bool:
    said = text[first:last]
    opens = text[text.rfind("\n", 0, first) + 1 : first].lstrip()
    if not said or opens.startswith("#") or _RULE.fullmatch(said):
        return False
    stripped = said.rstrip("*_\"'”»)` ")
    return not (
        stripped.endswith(("?", ":", "？", "："))
        or declines(said)
        or (_GREETING.match(said) and len(said) < 120)
    )


def _coded(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The lines between two fences."""
    inside = text.find("\n", first, last) + 1
    closed = last - first > 5 and text.startswith(text[first : first + 3], last - 3)
    end = last - 3 if closed else last
    for a, b in lines(text, inside or end, end):
        if any(map(str.isalnum, text[a:b])) and not text.startswith(("# ", "// "), a):
            yield a, b


def _without_bare_yes(found: list[Weighed]) -> list[Weighed]:
    rest = [one for one in found if not _YES.fullmatch(one.statement.text.strip())]
    return rest or found


_YES = re.compile(r"(?:yes|no|ja|nein|oui|non|sí|是|否|ใช่|ไม่)\W*(?:\[[\d, ]+\]\W*)*", re.IGNORECASE)


# --- passages -------------------------------------------------------------------------------------------------


def _passage(citation: Citation) -> _Passage:
    hit = citation.hit
    sentences = tuple(_sentence(hit, first, last) for first, last in _places(hit.text))
    heading = read(hit.heading, hit.language) if hit.heading else ()
    keys = frozenset(key for one in sentences for token in one.weighty for key in token.keys)
    return _Passage(citation.n, hit, sentences, keys, tuple(token for token in heading if token.weighs))


def _sentences(text: str) -> list[tuple[int, int]]:
    """The sentences of a text; one that is cut behind an ordinal ("am 1. August") is whole again."""
    found: list[tuple[int, int]] = []
    for first, last in sentence_spans(text):
        if (
            found
            and _ORDINAL.search(text, found[-1][0], found[-1][1])
            and "\n\n" not in text[found[-1][1] : first]
        ):
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def _places(text: str) -> Iterator[tuple[int, int]]:
    """The sentences of a passage; of a long run of a script without stops, overlapping stretches between its spaces."""
    for first, last in _sentences(text):
        if last - first <= _LONGEST_RUN or not _THAI.search(text, first, last):
            yield first, last
            continue
        edges = [first, *(match.end() for match in _THAI_SPACE.finditer(text, first, last)), last]
        reached = first
        for i, begin in enumerate(edges[:-1]):
            fits = [edge for edge in edges[i + 1 :] if edge - begin <= _LONGEST_RUN]
            end = fits[-1] if fits else edges[i + 1]
            if end > reached:
                yield begin, end
                reached = end


_THAI = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]{12}")
_THAI_SPACE = re.compile(r"(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\s+(?=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])")


_ORDINAL = re.compile(
    r"(?:^|\s)(?:am|im|vom|zum|beim|bis|ab|seit|der|die|das|den|dem|des|und|–|-)\s\d{1,2}\.\Z", re.IGNORECASE
)


def _sentence(hit: Hit, first: int, last: int) -> _Sentence:
    tokens = read(hit.text[first:last], hit.language)
    cut = clauses(tokens)
    weighty = tuple(held.token for held in cut.held)
    keys = frozenset(key for token in weighty for key in token.keys)
    return _Sentence(first, last, tokens, cut, weighty, _plain(tokens), keys, _runs(weighty))


def _plain(tokens: Sequence[Token]) -> str:
    return " " + " ".join(token.text.lower() for token in tokens if token.kind is not Kind.BREAK) + " "


# --- one statement --------------------------------------------------------------------------------------------


def _weigh(
    place: tuple[str, int, int], passages: Sequence[_Passage], question: str, markers: Sequence[Mark]
) -> Weighed | None:
    """None for what claims nothing."""
    bare, first, last = place
    said = bare[first:last]
    if _META.match(said):
        return None
    if _OURS.match(said):
        nothing = Statement(said, first, last, Verdict.NOT_FOUND, Reason(ReasonKind.NOTHING))
        return Weighed(nothing, markers=tuple(markers))
    literal = _in_fence(bare, first)
    results = [one for p in passages if (one := _best(said, p, question, literal=literal)) is not None]
    if not results:
        return None
    texts = {passage.n: passage.hit.text for passage in passages}
    supporters = {
        one.n: texts[one.n][one.first : one.last] for one in results if one.verdict is Verdict.SUPPORTED
    }
    own = {n for mark in markers for n in mark.numbers}
    best = max(
        results,
        key=lambda one: (one.verdict is Verdict.SUPPORTED and one.n in own, one.rank, one.n in own, -one.n),
    )
    compared = texts[best.n][best.first : best.last] if best.n else ""
    statement = Statement(said, first, last, best.verdict, best.reason, best.n, compared)
    return Weighed(statement, supporters, tuple(markers))


def _in_fence(bare: str, at: int) -> bool:
    return any(match["fence"] and match.start() < at < match.end() for match in CODE.finditer(bare))


def _best(said: str, passage: _Passage, question: str, *, literal: bool) -> _Found | None:
    if literal:
        return _literal(said, passage)
    language = passage.hit.language
    begin = _LEAD_IN.match(said)
    text = said[begin.end() if begin else 0 :]
    tokens = read(text, language)
    weighty = [token for token in tokens if token.weighs]
    if not weighty:
        return None
    asked = Asked.of(question, language)
    whole = _whole(tokens, weighty, passage)
    if whole:
        return whole
    claim = _Claim(tokens, clauses(tokens), tuple(weighty), asked, language, _runs(weighty))
    ranked = sorted(range(len(passage.sentences)), key=lambda i: (-_shared(claim, passage.sentences[i]), i))[
        :_CANDIDATES
    ]
    found = [_compare(claim, passage, i) for i in ranked if _shared(claim, passage.sentences[i])]
    best = max(found, key=lambda one: one.rank, default=replace(_NOWHERE, n=0))
    return _stitched(claim, passage, best)


@dataclass(frozen=True, slots=True)
class _Claim:
    tokens: tuple[Token, ...]
    clauses: Clauses
    weighty: tuple[Token, ...]
    asked: Asked
    language: str
    runs: frozenset[str]

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


def _shared(claim: _Claim, sentence: _Sentence) -> float:
    """How much of a claim a sentence may have, for choosing where to look closer; letters count in runs."""
    worth = sum(
        (2.0 if token.kind in LITERAL else 1.0)
        for token in claim.weighty
        if token.kind is not Kind.GRAM and not token.keys.isdisjoint(sentence.keys)
    )
    return worth + len(claim.runs & sentence.runs)


def _runs(weighty: Sequence[Token]) -> frozenset[str]:
    """Letters of scripts without spaces, three in a row."""
    letters = "".join(next(iter(token.keys)) if token.kind is Kind.GRAM else " " for token in weighty)
    return frozenset(run for i in range(len(letters)) if " " not in (run := letters[i : i + _RUN]))


def _literal(said: str, passage: _Passage) -> _Found:
    """A line of code: in the passage as it is, but for white space."""
    text = passage.hit.text
    pattern = r"\s+".join(map(re.escape, said.removeprefix("$ ").split()))
    match = re.search(rf"(?<![\w-]){pattern}(?![\w-])", text)
    if match:
        return _Found(Verdict.SUPPORTED, Reason(ReasonKind.QUOTED), 3.0, passage.n, *match.span())
    return _Found(Verdict.NOT_FOUND, Reason(ReasonKind.NAME, (said,)), 0.0)


def _whole(tokens: Sequence[Token], weighty: Sequence[Token], passage: _Passage) -> _Found | None:
    """A statement that is one whole sentence of the passage, or several."""
    wanted = _plain(tokens)
    for i, sentence in enumerate(passage.sentences):
        if wanted.startswith(sentence.plain) and len(sentence.plain) > 1:
            end = i
            run = sentence.plain
            while len(run) < len(wanted) and end + 1 < len(passage.sentences):
                end += 1
                run = run[:-1] + passage.sentences[end].plain
            if run == wanted and len(weighty) >= _FEWEST and not sentence.plain.strip().startswith("|"):
                last = passage.sentences[end].last
                return _Found(
                    Verdict.SUPPORTED, Reason(ReasonKind.QUOTED), 3.0, passage.n, sentence.first, last
                )
    return None


def _compare(claim: _Claim, passage: _Passage, i: int) -> _Found:
    sentence = passage.sentences[i]
    pairs = align(claim.weighty, sentence.weighty)
    context = _context(passage, i)
    faults = list(_faults(claim, sentence, pairs, context))
    missing = [claim.weighty[k] for k in _unmatched(claim, pairs)]
    asked_only = [fault for fault in faults if fault.forgivable]
    first = passage.sentences[context.begin].first if context.used(missing) else sentence.first
    covered = _coverage(claim, sentence, context)
    few = len(asked_only) <= max(2, _FORGIVEN * len(claim.weighty))
    if len(asked_only) == len(faults) and few and (asked_only or claim.is_fragment):
        if answers(claim.asked, claim.weighty, pairs, sentence.clauses, context.tokens):
            faults = []
        elif not asked_only and not _opens_sentence(claim, sentence):
            faults = [_Fault(Reason(ReasonKind.SUBJECT))]
    if not faults:
        quoted = _plain(claim.tokens) in sentence.plain
        reason = Reason(ReasonKind.QUOTED if quoted else ReasonKind.SAID)
        return _Found(
            Verdict.SUPPORTED, reason, 2.0 + 0.5 * quoted + covered / 10, passage.n, first, sentence.last
        )
    reason = _worst(faults)
    verdict = _short_of(claim, sentence, pairs, context, reason, covered)
    if verdict is Verdict.NOT_FOUND and covered < _FEW:
        reason = Reason(ReasonKind.NOTHING)
    return _Found(
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
    words = dict.fromkeys(word for one in alike for word in one.words)
    found = dict.fromkeys(word for one in alike for word in one.found)
    return Reason(worst.kind, tuple(words)[:_MOST_TOLD], tuple(found)[:_MOST_TOLD])


def _opens_sentence(claim: _Claim, sentence: _Sentence) -> bool:
    """Whether a short statement is how the sentence begins, with a word that may be its verb."""
    begins = sentence.plain.startswith(_plain(claim.tokens).rstrip())
    return begins and len(claim.weighty) >= _FEWEST and any(
        token.kind is Kind.WORD and token.text[0].islower() for token in claim.weighty
    )


def _unmatched(claim: _Claim, pairs: Sequence[tuple[int, int]]) -> list[int]:
    matched = {i for i, _ in pairs}
    return [i for i in range(len(claim.weighty)) if i not in matched]


def _short_of(
    claim: _Claim,
    sentence: _Sentence,
    pairs: Sequence[tuple[int, int]],
    context: _Context,
    reason: Reason,
    covered: float,
) -> Verdict:
    """Partly, or not found: less than half of it is there, all that it adds to the question is not, or the passage says the opposite."""
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


def _coverage(claim: _Claim, sentence: _Sentence, context: _Context) -> float:
    held = {key for token in (*sentence.weighty, *context.tokens) for key in token.keys}
    return sum(not token.keys.isdisjoint(held) for token in claim.weighty) / len(claim.weighty)


def _stitched(claim: _Claim, passage: _Passage, best: _Found) -> _Found:
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


# --- what a sentence leaves to the one before it ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Context:
    """What a sentence is about without saying it: heading, the line that leads in to its list, the subject of the one before."""

    tokens: tuple[Token, ...]
    subject: tuple[Token, ...]
    begin: int
    """The sentence from which on the place is shown."""

    def used(self, missing: Sequence[Token]) -> bool:
        """Whether the sentence before is needed to understand the place."""
        return any(token.same(other) for token in missing for other in self.subject)


def _context(passage: _Passage, i: int) -> _Context:
    tokens = list(passage.heading)
    subject: list[Token] = []
    begin = i
    sentence = passage.sentences[i]
    if i and _points_back(sentence):
        begin = i - 1
        subject = list(_subject(passage.sentences[i - 1]))
        if begin and _points_back(passage.sentences[begin]) and not subject:
            begin -= 1
            subject = list(_subject(passage.sentences[begin]))
    for lead in _leads(passage, i):
        tokens += lead.weighty
    return _Context((*tokens, *subject), tuple(subject), begin)


def _points_back(sentence: _Sentence) -> bool:
    """Whether it begins with a pronoun."""
    return any(
        token.text.lower() in lists.PRONOUNS for token in sentence.tokens[:3] if token.kind is Kind.STOP
    )


def _subject(sentence: _Sentence) -> tuple[Token, ...]:
    """What a sentence is about: its words up to its first verb, in its first clause."""
    found: list[Token] = []
    for token in sentence.tokens:
        if found and (token.kind is Kind.BREAK or token.text.lower() in _ENDS_SUBJECT):
            break
        if token.weighs:
            found.append(token)
    return tuple(found[:_LONG])


_ENDS_SUBJECT = frozenset(
    {
        *lists.BREAKS,
        *lists.RELATIVE,
        *(word for language in ("en", "de", "fr") for word in lists.verbs(language)),
    }
    - {"a"}
)


def _leads(passage: _Passage, i: int) -> Iterator[_Sentence]:
    """The heading in the text above the sentence, and the line with a colon that leads in to its list."""
    text = passage.hit.text
    for k in range(i - 1, -1, -1):
        said = text[passage.sentences[k].first : passage.sentences[k].last]
        if said.startswith("#"):
            yield passage.sentences[k]
            return
        if said.endswith(":") and text[: passage.sentences[i].first].rstrip(" \t")[-1:] in "\n-*+•.)":
            yield passage.sentences[k]


# --- what is wrong with it ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fault:
    """`forgivable`: a word of the question that the passage says otherwise."""

    reason: Reason
    forgivable: bool = False


def _faults(
    claim: _Claim, sentence: _Sentence, pairs: Sequence[tuple[int, int]], context: _Context
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
    for skip in skips(pairs, sentence.clauses):
        yield _skipped(skip)
    for word, other in turned(pairs, claim.clauses, sentence.clauses, lists.directions(claim.language)):
        yield _Fault(Reason(ReasonKind.WORDS, (word,), (other,)))
    if _has_other_subject(claim, sentence, context):
        yield _Fault(Reason(ReasonKind.SUBJECT))


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
    i: int, claim: _Claim, sentence: _Sentence, pairs: Sequence[tuple[int, int]], context: _Context
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
        return None if _is_moved_time(i, claim, sentence, pairs) else _Fault(Reason(ReasonKind.STITCHED))
    if opposite := _opposite(token, sentence):
        return _Fault(Reason(ReasonKind.NEGATION, (token.text,), (opposite,)))
    forgivable = claim.asked.holds(token) and token.kind in (Kind.WORD, Kind.GRAM, Kind.NAME)
    return _Fault(Reason(kind, (token.text,), _instead(i, claim, sentence, pairs)), forgivable)


def _in_context(i: int, claim: _Claim, pairs: Sequence[tuple[int, int]], context: _Context) -> bool:
    """Whether the token belongs to the beginning or the end of the statement, and the sentence leaves it to its context."""
    token = claim.weighty[i]
    if token.kind in (Kind.NEGATION, Kind.COMPARISON) or not pairs:
        return False
    if i < pairs[0][0] and any(token.same(other) for other in context.subject) and not _takes_its_place(claim, pairs):
        return False
    outside = i < pairs[0][0] or i > pairs[-1][0]
    return outside and any(
        token.same(other) for other in (context.tokens if token.kind is not Kind.GRAM else ())
    )


def _takes_its_place(claim: _Claim, pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether the statement names what the sentence calls "it": not where it says "it" as well, or leaves out what comes first."""
    return pairs[0][1] == 0 and not any(_is_pronoun(token) for token in claim.tokens[:2])


def _is_pronoun(token: Token) -> bool:
    return token.kind is Kind.STOP and token.text.lower() in lists.PRONOUNS


def _is_moved_time(i: int, claim: _Claim, sentence: _Sentence, pairs: Sequence[tuple[int, int]]) -> bool:
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


def _run(i: int, claim: _Claim, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """The unmatched tokens around this one."""
    loose = set(_unmatched(claim, pairs))
    first = last = i
    while first - 1 in loose:
        first -= 1
    while last + 1 in loose:
        last += 1
    return list(range(first, last + 1))


def _opposite(token: Token, sentence: _Sentence) -> str:
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


def _instead(i: int, claim: _Claim, sentence: _Sentence, pairs: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """What the sentence has of the same kind between the neighbours of the token."""
    kind = claim.weighty[i].kind
    if kind not in LITERAL:
        return ()
    low = max((j for k, j in pairs if k < i), default=-1)
    high = min((j for k, j in pairs if k > i), default=len(sentence.weighty))
    kinds = (Kind.NUMBER, Kind.DATE) if kind in (Kind.NUMBER, Kind.DATE) else (kind,)
    return tuple(token.text for token in sentence.weighty[low + 1 : high] if token.kind in kinds)[:2]


def _has_other_subject(claim: _Claim, sentence: _Sentence, context: _Context) -> bool:
    """Whether a statement about "it" is from a place that does not name what was asked about."""
    opening = next((token for token in claim.tokens if token.kind is not Kind.BREAK), None)
    names = claim.asked.names
    if (
        opening is None
        or opening.kind is not Kind.STOP
        or opening.text.lower() not in lists.PRONOUNS
        or not names
    ):
        return False
    held = {key for token in (*sentence.weighty, *context.tokens) for key in token.keys}
    return all(token.keys.isdisjoint(held) for token in names)
