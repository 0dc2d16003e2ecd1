"""A passage as what a statement is compared with: its sentences, and what each leaves to its heading and to the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ragchat.session import claim_words as lists
from ragchat.session.alignment import Clauses, clauses
from ragchat.session.claims import Kind, Token, read
from ragchat.session.cutting import sentences
from ragchat.types import Citation, Hit

_RUN = 3
_LONGEST_RUN = 200
"""Letters of a script without spaces that are compared at once, where no stop parts them."""
_LONGEST_SUBJECT = 6
_FARTHEST_LEAD = 40
"""Sentences above one, among which its heading is looked for."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage: `text[first:last]`; `runs` are its letters of scripts without spaces, three in a row."""

    first: int
    last: int
    tokens: tuple[Token, ...]
    clauses: Clauses
    weighty: tuple[Token, ...]
    plain: str
    keys: frozenset[str]
    runs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage under its number, with the keys of all of its words."""

    n: int
    hit: Hit
    sentences: tuple[Sentence, ...]
    keys: frozenset[str]
    heading: tuple[Token, ...]
    places_of: Mapping[str, Sequence[int]]
    """A key or a run -> the sentences that have it."""


def passage_of(citation: Citation) -> Passage:
    """A passage, read in its own language."""
    hit = citation.hit
    sentences = tuple(_sentence(hit, first, last) for first, last in _places(hit.text))
    heading = read(hit.heading, hit.language) if hit.heading else ()
    keys = frozenset(key for one in sentences for token in one.weighty for key in token.keys)
    places_of: dict[str, list[int]] = {}
    for i, one in enumerate(sentences):
        for key in one.keys | one.runs:
            places_of.setdefault(key, []).append(i)
    return Passage(
        citation.n, hit, sentences, keys, tuple(token for token in heading if token.weighs), places_of
    )


def _places(text: str) -> Iterator[tuple[int, int]]:
    """The sentences of a passage; of a long run of a script without stops, overlapping stretches between its spaces."""
    for first, last in sentences(text):
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
_THAI_SPACE = re.compile(
    r"(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\s+(?=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])"
)


def _sentence(hit: Hit, first: int, last: int) -> Sentence:
    tokens = read(hit.text[first:last], hit.language)
    cut = clauses(tokens)
    weighty = tuple(held.token for held in cut.held)
    keys = frozenset(key for token in weighty for key in token.keys)
    return Sentence(first, last, tokens, cut, weighty, plain(tokens), keys, runs_of(weighty))


def plain(tokens: Sequence[Token]) -> str:
    """Its words in lower case, parted by spaces, for a comparison word for word."""
    return " " + " ".join(token.text.lower() for token in tokens if token.kind is not Kind.BREAK) + " "


def runs_of(weighty: Sequence[Token]) -> frozenset[str]:
    """Letters of scripts without spaces, three in a row."""
    letters = "".join(next(iter(token.keys)) if token.kind is Kind.GRAM else " " for token in weighty)
    return frozenset(run for i in range(len(letters)) if " " not in (run := letters[i : i + _RUN]))


# --- what a sentence leaves to others -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Context:
    """What a sentence is about without saying it: heading, the line that leads in to its list, the subject of the one before."""

    tokens: tuple[Token, ...]
    subject: tuple[Token, ...]
    headings: tuple[Token, ...]
    around: frozenset[str]
    """The keys of all of the passage."""
    begin: int
    """The sentence from which on the place is shown."""

    def used(self, missing: Sequence[Token]) -> bool:
        """Whether the sentence before is needed to understand the place."""
        return any(token.same(other) for token in missing for other in self.subject)


def context_of(passage: Passage, i: int) -> Context:
    """What the sentence with this number leaves to its heading, to the line above its list and to the sentence before."""
    tokens = list(passage.heading)
    subject: list[Token] = []
    begin = i
    sentence = passage.sentences[i]
    if i and points_back(sentence):
        begin = i - 1
        subject = list(_subject(passage.sentences[i - 1]))
        if begin and points_back(passage.sentences[begin]) and not subject:
            begin -= 1
            subject = list(_subject(passage.sentences[begin]))
    for lead in _leads(passage, i):
        tokens += lead.weighty
    return Context((*tokens, *subject), tuple(subject), tuple(tokens), passage.keys, begin)


def points_back(sentence: Sentence) -> bool:
    """Whether it begins with a pronoun."""
    return any(
        token.text.lower() in lists.PRONOUNS for token in sentence.tokens[:3] if token.kind is Kind.STOP
    )


def _subject(sentence: Sentence) -> tuple[Token, ...]:
    """What a sentence is about: its words up to its first verb, in its first clause."""
    found: list[Token] = []
    for token in sentence.tokens:
        if found and (token.kind is Kind.BREAK or token.text.lower() in _ENDS_SUBJECT):
            break
        if token.weighs:
            found.append(token)
    return tuple(found[:_LONGEST_SUBJECT])


_ENDS_SUBJECT = frozenset(
    {
        *lists.BREAKS,
        *lists.RELATIVE,
        *(word for language in ("en", "de", "fr") for word in lists.verbs(language)),
    }
    - {"a"}
)


def _leads(passage: Passage, i: int) -> Iterator[Sentence]:
    """The heading in the text above the sentence, and the line with a colon that leads in to its list."""
    text = passage.hit.text
    for k in range(i - 1, max(-1, i - _FARTHEST_LEAD), -1):
        said = text[passage.sentences[k].first : passage.sentences[k].last]
        if said.startswith("#"):
            yield passage.sentences[k]
            return
        if said.endswith(":") and text[: passage.sentences[i].first].rstrip(" \t")[-1:] in "\n-*+•.)":
            yield passage.sentences[k]


def is_pronoun(token: Token) -> bool:
    """Whether it names nothing itself: "it", "their"."""
    return token.kind is Kind.STOP and token.text.lower() in lists.PRONOUNS
