"""What a scope leaves open: the documents in its folders, the passages with its phrases; as slots that a search leaves out.

The slots are decided before anything is scored, so that a narrow scope gives as many hits as it holds.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from ragchat.errors import NotFoundError
from ragchat.paths import expanded
from ragchat.retrieval.analyzer import query_terms, token_terms
from ragchat.retrieval.postings import CELL_BITS
from ragchat.retrieval.scope import Scoped, phrase_holds
from ragchat.retrieval.slots import SlotSpace
from ragchat.retrieval.tokenizer import words
from ragchat.retrieval.topk import QueryTerm, best_slots
from ragchat.store.knowledge import KnowledgeStore, indexed_text
from ragchat.store.places import chunk_ids, chunk_ids_with, places
from ragchat.text import clean_line
from ragchat.types import Hit, is_row

_MOST_READ = 2000
"""Chunks whose text is read to find a phrase: the best by BM25 of those that hold all of its words."""

# --- which documents --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Held:
    """An indexed document: `folders` and `name` of its path in lower case, and when its file changed (nanoseconds)."""

    id: int
    folders: tuple[str, ...]
    name: str
    mtime_ns: int


_Test = Callable[[_Held], bool]


def _allowed(store: KnowledgeStore, every: Sequence[_Held], scoped: Scoped) -> set[int] | None:
    if not scoped.by_document:
        return None
    if scoped.knowledge_bases and store.name.casefold() not in map(str.casefold, scoped.knowledge_bases):
        return set()
    return {document.id for document in _fitting(every, scoped)}


def folders(stores: Sequence[KnowledgeStore]) -> list[str]:
    """Names that may stand after `in:`, those of most documents first. Raises StorageError."""
    counts: dict[str, int] = {}
    for store in stores:
        for place in places(store):
            for part in set(_parts(place.path)[:-1]):
                counts[part] = counts.get(part, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name.casefold()))


def file_names(stores: Sequence[KnowledgeStore]) -> list[str]:
    """Names that may stand after `file:`, in the order of the alphabet. Raises StorageError."""
    names = {_parts(place.path)[-1] for store in stores for place in places(store)}
    return sorted(names, key=str.casefold)


def _documents(store: KnowledgeStore) -> list[_Held]:
    found = []
    for place in places(store):
        *above, name = _parts(place.path.casefold())
        found.append(_Held(place.id, tuple(above), name, place.mtime_ns))
    return found


def _parts(path: str) -> list[str]:
    """Folders and name of a document's path, of whatever system; a row lies where its table does."""
    if is_row(path):
        path = re.split(r"[?#]", path.partition(":")[2], maxsplit=1)[0]
    return [part for part in re.split(r"[/\\]", path) if part] or [path]


def _check(stores: Sequence[KnowledgeStore], held: Sequence[Sequence[_Held]], scoped: Scoped) -> None:
    """Raises NotFoundError, with what is there, when an operator names what none of `stores` holds."""
    names = [store.name.casefold() for store in stores]
    for name in scoped.knowledge_bases:
        if name.casefold() not in names:
            there = ", ".join(clean_line(store.name, limit=60) for store in stores) or "none"
            raise NotFoundError(
                f"The knowledge base “{clean_line(name, limit=60)}” is not searched here.",
                f"Available: {there}.",
            )
    wanted = [name.casefold() for name in scoped.knowledge_bases]
    searched = [i for i, name in enumerate(names) if not wanted or name in wanted]
    every = [document for i in searched for document in held[i]]
    where = "these knowledge bases"
    if len(searched) == 1:
        where = f"the knowledge base {clean_line(stores[searched[0]].name, limit=60)}"
    for folder in scoped.folders:
        if not any(map(_folder_test(every, folder), every)):
            raise _unknown("in", folder, where, {part for document in every for part in document.folders})
    for name in scoped.files:
        if not any(map(_file_test(name), every)):
            raise _unknown("file", name, where, {document.name for document in every})


def _unknown(operator: str, name: str, where: str, there: Iterable[str]) -> NotFoundError:
    near = difflib.get_close_matches(name.casefold(), sorted(there), n=1, cutoff=0.6)
    shown = clean_line(name, limit=60)
    hint = f'Put it in quotes to search for it as text: "{operator}:{shown}".'
    if near:
        hint = f"Did you mean {operator}:{clean_line(near[0], limit=60)}?"
    kind = "folder" if operator == "in" else "file"
    return NotFoundError(
        f"No {kind} in {where} is {'like' if _is_pattern(name) else 'named'} “{shown}”.", hint
    )


def _fitting(every: Sequence[_Held], scoped: Scoped) -> Iterator[_Held]:
    tests: list[Sequence[_Test]] = []
    if scoped.folders:
        tests.append([_folder_test(every, folder) for folder in scoped.folders])
    if scoped.files:
        tests.append([_file_test(name) for name in scoped.files])
    first, last = _moment(scoped.after), _moment(scoped.before)
    for document in every:
        if (first is not None and document.mtime_ns < first) or (
            last is not None and document.mtime_ns >= last
        ):
            continue
        if all(any(fits(document) for fits in own) for own in tests):
            yield document


def _moment(day: date | None) -> int | None:
    """The beginning of a day in local time, in nanoseconds."""
    return None if day is None else int(datetime(day.year, day.month, day.day).timestamp() * 1e9)


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _folder_test(every: Sequence[_Held], folder: str) -> _Test:
    """Whether a document is in a folder of this name or path; where there is none, in one whose name begins so."""
    if folder.startswith("~"):
        folder = str(expanded(folder))
    wanted = [part for part in re.split(r"[/\\]", folder.casefold()) if part]

    def exactly(document: _Held) -> bool:
        same = fnmatch.fnmatchcase if _is_pattern(folder) else str.__eq__
        return _lies(document.folders, wanted, same)

    def beginning(document: _Held) -> bool:
        return _lies(document.folders, wanted, str.startswith)

    return exactly if _is_pattern(folder) or any(map(exactly, every)) else beginning


def _lies(held: Sequence[str], wanted: Sequence[str], same: Callable[[str, str], bool]) -> bool:
    """Whether folders named like this stand one in the other anywhere in a path."""
    return any(
        all(map(same, held[at : at + len(wanted)], wanted)) for at in range(len(held) - len(wanted) + 1)
    )


def _file_test(name: str) -> _Test:
    """Whether a document's name fits a pattern, or holds these characters; with a slash in them, its path."""
    wanted = name.casefold().replace("\\", "/")
    whole = "/" in wanted

    def fits(document: _Held) -> bool:
        held = "/".join((*document.folders, document.name)) if whole else document.name
        if _is_pattern(wanted):
            return fnmatch.fnmatchcase(held, f"*{wanted}" if whole else wanted)
        return wanted.strip("/") in held

    return fits


# --- the slots that a search leaves out -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Closed:
    """The slots that some demands leave out, ascending, for one state of the databases; removed ones are among them.

    `unheld` are phrases that no passage within the other demands holds.
    """

    space: SlotSpace
    demands: Scoped
    slots: NDArray[np.int64]
    unheld: tuple[str, ...]
    _held: Sequence[Sequence[_Held]]

    def open_chunks(self, store: int) -> NDArray[np.int64]:
        """Numbers of the chunks of one knowledge base, counted as the searcher does, that may be found."""
        is_open = np.ones(self.space.lengths.size, bool)
        is_open[self.slots] = False
        return np.concatenate(
            [
                np.empty(0, np.int64),
                *(
                    placed.chunk_ids[is_open[placed.first_slot : placed.first_slot + placed.segment.size]]
                    for placed in self.space.segments
                    if placed.store == store
                ),
            ]
        )


def close(
    space: SlotSpace,
    stores: Sequence[KnowledgeStore],
    scoped: Scoped,
    languages: Sequence[str],
    earlier: Closed | None = None,
) -> Closed:
    """What `topk.best_slots` must take as dead for a scope. `earlier` is used again when nothing was written since.

    Call inside a snapshot of each of `stores`. Raises NotFoundError when an operator names what is not there, StorageError.
    """
    known = earlier if earlier and earlier.space is space else None
    if known and known.demands == scoped.demands:
        return known
    held: Sequence[Sequence[_Held]] = [()] * len(stores)
    if scoped.by_document:
        held = known._held if known and any(known._held) else [_documents(store) for store in stores]
    _check(stores, held, scoped)
    is_open = _open(space, stores, held, scoped)
    for word in scoped.excluded:
        is_open &= ~_excluded(space, stores, word, languages, is_open)
    unheld = []
    for phrase in scoped.phrases:
        holding = is_open & _holding_phrase(space, stores, phrase, languages, is_open)
        if is_open.any() and not holding.any():
            unheld.append(phrase)
        is_open = holding
    return Closed(space, scoped.demands, np.flatnonzero(~is_open), tuple(unheld), held)


def _open(
    space: SlotSpace, stores: Sequence[KnowledgeStore], held: Sequence[Sequence[_Held]], scoped: Scoped
) -> NDArray[np.bool_]:
    """The live slots of allowed documents."""
    allowed = [_allowed(store, every, scoped) for store, every in zip(stores, held, strict=True)]
    is_open = _slots_of(
        space,
        [None if ids is None else chunk_ids(store, ids) for store, ids in zip(stores, allowed, strict=True)],
    )
    is_open[space.dead] = False
    return is_open


def _excluded(
    space: SlotSpace,
    stores: Sequence[KnowledgeStore],
    word: str,
    languages: Sequence[str],
    is_open: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """The slots that hold a word in any of its forms, analysed in one of `languages`."""
    found = words(word)
    if len(found) != 1:
        return _holding_phrase(space, stores, word, languages, is_open)
    return _holding_word(space, stores, found[0], languages)


def _holding_word(
    space: SlotSpace, stores: Sequence[KnowledgeStore], word: str, languages: Sequence[str]
) -> NDArray[np.bool_]:
    """The slots that hold all terms of a word as one of `languages` has them."""
    held = np.zeros(space.lengths.size, bool)
    for terms in {token_terms(word, language) for language in languages or ("en",)}:
        found = [_holding(space, query_term) for query_term in _query_terms(space, stores, terms)]
        if found:
            held |= np.logical_and.reduce(found)
    return held


def _holding_phrase(
    space: SlotSpace,
    stores: Sequence[KnowledgeStore],
    phrase: str,
    languages: Sequence[str],
    is_open: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """The open slots whose text holds a phrase. Of more than `_MOST_READ` that hold its words, the best by BM25 are looked at."""
    asked = list(dict.fromkeys(words(phrase)))
    if not asked:
        return is_open & _slots_of(space, [chunk_ids_with(store, phrase) for store in stores])
    candidates = is_open.copy()
    for word in asked:
        candidates &= _holding_word(space, stores, word, languages)
    slots = np.flatnonzero(candidates)
    if slots.size > _MOST_READ:
        slots = _best(space, stores, phrase, languages, np.flatnonzero(~candidates))
    located = space.locate(slots)
    chunks = [[chunk for owner, chunk in located if owner == number] for number in range(len(stores))]
    return _slots_of(
        space,
        [
            [hit.chunk_id for hit in store.hits([(chunk, 1.0) for chunk in own]) if _holds(hit, phrase)]
            for store, own in zip(stores, chunks, strict=True)
        ],
    )


def _holds(hit: Hit, phrase: str) -> bool:
    """Whether title, heading or text of a hit hold a phrase."""
    return phrase_holds(f"{hit.title}\n{indexed_text(hit.heading, hit.text)}", [phrase])


def _slots_of(space: SlotSpace, chunks: Sequence[Sequence[int] | None]) -> NDArray[np.bool_]:
    """The slots of these chunks of each knowledge base; None: of all."""
    held = np.zeros(space.lengths.size, bool)
    for placed in space.segments:
        own = chunks[placed.store]
        here = slice(placed.first_slot, placed.first_slot + placed.segment.size)
        held[here] = own is None or np.isin(placed.chunk_ids, np.array(own, np.int64), assume_unique=True)
    return held


def _best(
    space: SlotSpace,
    stores: Sequence[KnowledgeStore],
    phrase: str,
    languages: Sequence[str],
    closed: NDArray[np.int64],
) -> NDArray[np.int64]:
    asked = list(query_terms(phrase, languages) or {phrase: 1})
    slots, _ = best_slots(
        _query_terms(space, stores, asked),
        space.lengths,
        closed,
        _MOST_READ,
        avgdl=_AVERAGE,
        k1=_FORMULA[0],
        b=_FORMULA[1],
    )
    return np.sort(slots)


_AVERAGE = 100.0
_FORMULA = (1.5, 0.75, _AVERAGE)
"""Any will do: it only orders what all holds the same words."""


def _query_terms(space: SlotSpace, stores: Sequence[KnowledgeStore], terms: Sequence[str]) -> list[QueryTerm]:
    rows = [store.index.lists(terms) for store in stores]
    return space.query_terms([(term, 1.0) for term in terms], rows, stores, _FORMULA)


def _holding(space: SlotSpace, query_term: QueryTerm) -> NDArray[np.bool_]:
    """The slots that hold a term."""
    held = np.zeros(space.lengths.size, bool)
    held[query_term.slots] = True
    for part in query_term.longs:
        ranges = np.flatnonzero(part.long_list.counts)
        missing = part.long_list.missing(ranges)
        if missing.size:
            part.long_list.fill(missing, part.fetch(missing))
        held[part.long_list.read(ranges)[0] + (part.first_cell << CELL_BITS)] = True
    return held
