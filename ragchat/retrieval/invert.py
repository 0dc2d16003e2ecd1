"""Chunks to posting lists: the part of indexing that needs no database and so can run in any process.

Fields are weighed as in BM25F: a term in the heading, the title or the file name counts as so many in the text (Robertson,
Zaragoza and Taylor, Simple BM25 Extension to Multiple Weighted Fields, CIKM 2004, section 4). Length counts the text and the
heading alone, since title and name are the same for all chunks of a document.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ragchat.retrieval.analyzer import is_second, part_terms, split, stop_terms, tokens
from ragchat.retrieval.postings import LARGEST_LENGTH, LARGEST_TF, Postings, spread

_NONE = array("i", (0,))
_MOST_TOKENS_KNOWN = 150_000


@dataclass(frozen=True, slots=True)
class FieldWeights:
    """As how many occurrences in the text one in a field counts; 0 leaves the field out."""

    heading: int = 2
    title: int = 2
    name: int = 2


FIELD_WEIGHTS = FieldWeights()


@dataclass(frozen=True, slots=True)
class DocumentFields:
    """What is searched of a document besides its chunks. `name` is its file name without folders."""

    title: str = ""
    name: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Inversion:
    """Posting lists of some chunks, slots counted from 0, and the chunks' lengths in terms (uint16, shape (chunks,))."""

    lengths: NDArray[np.uint16]
    postings: Postings

    @property
    def total_length(self) -> int:
        """Terms of all chunks together."""
        return int(self.lengths.sum(dtype=np.int64))


class _Numbering(dict[str, int]):
    """Token -> its number, in one language; the terms of token i are term_numbers[begins[i] : begins[i + 1]].

    Numbers are handed out as tokens and terms turn up.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self.terms: list[str] = []
        self.is_stop = array("b")
        self.counts = array("b")  # in a length
        self.begins = array("i", (0,))
        self.term_numbers = array("i")
        self._number: dict[str, int] = {}
        self._of_part: dict[str, list[int]] = {}
        self._stops = stop_terms(language)

    def __missing__(self, token: str) -> int:
        parts, wholes = split(token, self.language)
        numbers: list[int] = []
        for part in parts:  # identifiers are many, what they are made of is not
            known = self._of_part.get(part)
            if known is None:
                known = self._of_part[part] = list(map(self._number_of, part_terms(part, self.language)))
            numbers += known
        if wholes:
            numbers += map(self._number_of, wholes)
        number = len(self)
        if len(self.begins) > number + 1 or len(self.term_numbers) > self.begins[number]:
            # What an interrupted call left behind goes; the token is known when everything about it is.
            del self.term_numbers[self.begins[number] :], self.begins[number + 1 :]
        self.term_numbers.extend(numbers)
        self.begins.append(len(self.term_numbers))
        self[token] = number
        return number

    def _number_of(self, term: str) -> int:
        number = self._number.setdefault(term, len(self.terms))
        if number == len(self.terms):
            self.terms.append(term)
            is_stop = term in self._stops
            self.is_stop.append(is_stop)
            self.counts.append(not is_stop and not is_second(term))
        return number


class _PerThread(threading.local):
    """A numbering grows while it is used, so no two threads share one."""

    def __init__(self) -> None:
        self.numberings: dict[str, _Numbering] = {}


_PER_THREAD = _PerThread()


def _known(language: str) -> _Numbering:
    numberings = _PER_THREAD.numberings
    if sum(map(len, numberings.values())) > _MOST_TOKENS_KNOWN:
        numberings.clear()
    return numberings.setdefault(language, _Numbering(language))


Texts = tuple[DocumentFields, Sequence[tuple[str, str]]]
"""A document as it is analysed: its fields, and (heading, text) of each chunk. Plain, since it is sent to other processes."""


def invert(documents: Iterable[Texts], weights: FieldWeights = FIELD_WEIGHTS) -> Inversion:
    """The posting lists of the chunks of some documents, in their order."""
    documents = list(documents)
    languages = {fields.language for fields, _ in documents}
    if len(languages) == 1:
        return _invert_language(documents, weights)
    parts = [_invert_language([document], weights) for document in documents]
    return concatenate(parts)


def _invert_language(documents: Sequence[Texts], weights: FieldWeights) -> Inversion:
    numbering = _known(documents[0][0].language if documents else "en")
    number_of = numbering.__getitem__
    found, ends, counted = array("i"), array("q", (0,)), array("q")
    for fields, chunks in documents:
        shared: list[int] = []
        for text, weight in ((fields.title, weights.title), (fields.name, weights.name)):
            if text and weight:
                shared += list(map(number_of, tokens(text))) * weight
        for heading_text, text in chunks:
            found.extend(map(number_of, tokens(text)))
            heading = list(map(number_of, tokens(heading_text))) if heading_text and weights.heading else []
            found.extend(heading)
            counted.append(len(found))
            found.extend(heading * (weights.heading - 1))
            found.extend(shared)
            ends.append(len(found))
    numbers = np.array(found, np.int32)
    # Views, not copies: what is known of the language may be much larger than what is analysed here.
    begins = np.frombuffer(numbering.begins, np.int32)
    counts = (begins[numbers + 1] - begins[numbers]).astype(np.int64)
    term_numbers = np.frombuffer(numbering.term_numbers or _NONE, np.int32)[
        spread(begins[numbers].astype(np.int64), counts)
    ]
    # From places among tokens to places among terms.
    before = np.append(0, np.cumsum(counts))
    return _sorted_lists(term_numbers, before[np.array(ends)], before[np.array(counted, np.int64)], numbering)


def _sorted_lists(
    found: NDArray[np.int32], ends: NDArray[np.int64], counted: NDArray[np.int64], numbering: _Numbering
) -> Inversion:
    """`found` are term numbers, those of chunk i between ends[i] and ends[i + 1].

    What its length counts is before counted[i].
    """
    is_stop = np.frombuffer(numbering.is_stop or _NONE, np.bool_)
    counts = np.frombuffer(numbering.counts or _NONE, np.bool_)
    topical = np.append(0, np.cumsum(counts[found]))
    lengths = np.minimum(topical[counted] - topical[ends[:-1]], LARGEST_LENGTH).astype(np.uint16)
    if not found.size:
        return Inversion(lengths, _no_postings())
    present, place = _distinct(found, len(numbering.terms))
    names = [numbering.terms[number] for number in present.tolist()]
    by_name = np.array(sorted(range(len(names)), key=names.__getitem__))
    rank = np.empty(len(names), np.int64)
    rank[by_name] = np.arange(len(names))
    keys = rank[place] << 32
    keys |= np.repeat(np.arange(ends.size - 1), np.diff(ends))
    keys.sort()
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    tfs = np.minimum(np.diff(first, append=keys.size), LARGEST_TF).astype(np.uint8)
    term_of = keys[first] >> 32
    tfs[is_stop[present[by_name]][term_of]] = 1
    return Inversion(
        lengths,
        Postings(
            terms=[names[i] for i in by_name.tolist()],
            counts=np.bincount(term_of, minlength=len(names)),
            slots=(keys[first] & 0xFFFFFFFF).astype(np.int32),
            tfs=tfs,
        ),
    )


def _distinct(found: NDArray[np.int32], known: int) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """(the numbers that occur, ascending; the place of each number among them). `known` numbers there are at most."""
    if found.size * 8 < known:
        return np.unique(found, return_inverse=True)
    present = np.flatnonzero(np.bincount(found, minlength=known))
    place = np.empty(known, np.int32)
    place[present] = np.arange(present.size)
    return present, place[found]


def _no_postings() -> Postings:
    return Postings([], np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.uint8))


def concatenate(parts: Sequence[Inversion]) -> Inversion:
    """The posting lists of all chunks of `parts`, one part's slots behind the other's."""
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([part.lengths for part in parts]) if parts else np.empty(0, np.uint16)
    terms = sorted(set(chain.from_iterable(part.postings.terms for part in parts)))
    if not terms:
        return Inversion(lengths, _no_postings())
    rank = {term: i for i, term in enumerate(terms)}
    term_of, slots = [], []
    base = 0
    for part in parts:
        ranks = np.fromiter(map(rank.__getitem__, part.postings.terms), np.int32, len(part.postings.terms))
        term_of.append(np.repeat(ranks, part.postings.counts))
        slots.append(part.postings.slots + np.int32(base))
        base += part.lengths.size
    flat = np.concatenate(term_of)
    # Parts stand in the order of their slots, so a stable order by term keeps slots ascending within each term.
    order = np.argsort(flat, kind="stable")
    return Inversion(
        lengths,
        Postings(
            terms=terms,
            counts=np.bincount(flat, minlength=len(terms)),
            slots=np.concatenate(slots)[order],
            tfs=np.concatenate([part.postings.tfs for part in parts])[order],
        ),
    )
