"""Search by meaning: cosines between a question and the int8 vectors of chunks; over very many, of those whose signs fit.

A vector is scaled so that its largest component is 127 and rounded; its own length undoes the scale, so nothing else is stored
and no vector, whoever wrote it, has a cosine above 1.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragchat.errors import StorageError
from ragchat.retrieval.signs import Signs, Words, likely
from ragchat.store.knowledge import KnowledgeStore

if TYPE_CHECKING:
    from ragchat.types.embedding import Embedder, EmbeddingModel

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
Quantised = NDArray[np.int8]

MOST_IN_A_QUESTION = 20
"""Passages that `embed_missing` embeds at most."""
_LARGEST = 127
_BLOCK_BYTES = 3 << 19
"""Of float32 at a time: what stays in the cache of a core between the conversion and the product."""
_PER_THREAD = 50_000
"""Vectors that are worth a thread: some ms."""
_MOST_THREADS = 4
EXACT_UP_TO = 100_000
"""Vectors of a knowledge base that are all compared with the question; of more, those whose signs fit best."""
_KEPT = 50
"""One of so many vectors is compared exactly then, and `_LEAST_KEPT` at least: see docs/decisions/0020-vectors.md."""
_LEAST_KEPT = 4000
_BATCH = 4
_WRITE_WAIT_S = 0.05
_GROWTH = 1.25
_TITLE_CHARACTERS = 200
_HEADING_CHARACTERS = 300


def passage_text(title: str, heading: str, text: str) -> str:
    """What is embedded of a chunk: the title of its document and its heading path on a line, then its text.

    The title is left out where the heading path begins with it. The model cuts what is too long, so names are kept short.
    """
    title, heading = " ".join(title.split()), " ".join(heading.split())
    if heading.casefold().startswith(title.casefold()):
        title = ""
    above = " > ".join(part for part in (title[:_TITLE_CHARACTERS], heading[-_HEADING_CHARACTERS:]) if part)
    return f"{above}\n{text}" if above else text


# --- int8 -------------------------------------------------------------------------------------------


def quantise(vectors: Floats) -> Quantised:
    """Vectors of any length, shape (n, dimensions), as int8. A zero vector stays zero.

    The error of a cosine with a unit vector is about a thousandth for 384 dimensions.
    """
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
    scale = np.divide(_LARGEST, largest, out=np.zeros_like(largest), where=largest > 0)
    rounded: Quantised = np.rint(vectors * scale).astype(np.int8)
    return rounded


def cosines(query: Floats, vectors: Quantised, inverse: Floats | None = None) -> Floats:
    """Cosines of a unit vector, shape (dimensions,), with int8 vectors, shape (n, dimensions): float32 of shape (n,), -1 to 1.

    `inverse` are `inverse_lengths(vectors)`, where they are known.
    """
    products = np.empty(len(vectors), np.float32)

    def multiply(first: int, last: int) -> None:
        for at, block in _blocks(vectors[first:last]):
            np.dot(block, query, out=products[first + at : first + at + len(block)])

    _on_some_cores(multiply, len(vectors))
    products *= inverse_lengths(vectors) if inverse is None else inverse
    return products


def inverse_lengths(vectors: Quantised) -> Floats:
    """1 / length of each vector, 0 for a zero vector: float32 of shape (n,)."""
    squares = np.empty(len(vectors), np.float32)
    for at, block in _blocks(vectors):
        np.einsum("ij,ij->i", block, block, out=squares[at : at + len(block)])
    return np.divide(1.0, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)


def nearest(
    query: Floats, vectors: Quantised, n: int, inverse: Floats | None = None, bits: Words | None = None
) -> tuple[Numbers, Floats]:
    """(places, cosines) of the `n` vectors with the largest cosines, best first; equal ones in the order of their places.

    Exact, unless `bits`, the `signs` of the vectors, are given: then some of them may be missing, never a cosine wrong.
    """
    if bits is not None:
        places = likely(query, bits, max(_LEAST_KEPT, n, len(vectors) // _KEPT))
        if 2 * len(places) < len(vectors):
            some = vectors.take(places, axis=0)
            own, found = nearest(query, some, n, None if inverse is None else inverse[places])
            return places[own], found
    found = cosines(query, vectors, inverse)
    places = _largest(found, n)
    return places, found[places]


def _largest(values: Floats, n: int) -> Numbers:
    """Places of the `n` largest values, best first; of equal ones the first."""
    n = min(n, len(values))
    if n <= 0:
        return np.empty(0, np.int64)
    floor = np.partition(values, len(values) - n)[len(values) - n]
    places = np.flatnonzero(values >= floor)
    return places[np.argsort(-values[places], kind="stable")][:n]


def _on_some_cores(work: Callable[[int, int], None], size: int) -> None:
    """Do `work(first, last)` over 0 to `size`, in threads where it is long: NumPy holds no lock while it computes."""
    threads = min(_MOST_THREADS, os.cpu_count() or 1, size // _PER_THREAD)
    if threads < 2:
        work(0, size)
        return
    bounds = [size * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))


def _blocks(vectors: Quantised) -> Iterator[tuple[int, Floats]]:
    """(place of the first, some vectors as float32): one buffer, overwritten each time."""
    rows = max(1, _BLOCK_BYTES // (4 * max(1, vectors.shape[1])))
    buffer = np.empty((min(rows, len(vectors)), vectors.shape[1]), np.float32)
    for at in range(0, len(vectors), rows):
        part = vectors[at : at + rows]
        block = buffer[: len(part)]
        np.copyto(block, part)
        yield at, block


# --- a knowledge base in memory ---------------------------------------------------------------------


class Place(NamedTuple):
    """A chunk that was found by its meaning: number of the knowledge base among those that are searched, chunk, cosine."""

    store: int
    chunk_id: int
    cosine: float


class MeaningIndex:
    """The vectors of some knowledge bases, made by one model. Belongs to the thread that opened them.

    `cosines_of` reads only what it is asked for. The first `nearest` reads all vectors into memory (a byte a dimension), each
    later one what was written since. Call both inside `store.reading()` of each knowledge base, or outside of any transaction.
    """

    def __init__(self, stores: Sequence[KnowledgeStore], model: EmbeddingModel) -> None:
        self.model = model
        self._stores = tuple(stores)
        self._loaded: list[_Loaded | None] = [None] * len(self._stores)

    def cosines_of(self, store_number: int, chunk_ids: Sequence[int], query: Floats) -> Floats:
        """Cosines of some chunks of a knowledge base, in their order: float32 of shape (chunks,), NaN where no vector is there.

        Raises StorageError.
        """
        store = self._stores[store_number]
        rows = store.vectors.of(self.model, chunk_ids if store.options().meaning else ())
        known = dict(zip(rows.chunk_ids.tolist(), cosines(query, rows.vectors).tolist(), strict=True))
        return np.array([known.get(chunk_id, np.nan) for chunk_id in chunk_ids], np.float32)

    def nearest(self, query: Floats, n: int) -> list[Place]:
        """The `n` chunks of all knowledge bases whose meaning is nearest, best first. Raises StorageError.

        Exact in a knowledge base of up to `EXACT_UP_TO` vectors; in a larger one a few of them may be missing.
        """
        found = []
        for number, store in self._in_use():
            loaded = self._current(number, store)
            places, values = nearest(query, loaded.vectors, n, loaded.inverse, loaded.bits)
            chunk_ids = loaded.chunk_ids[places]
            found += [Place(number, *pair) for pair in zip(chunk_ids.tolist(), values.tolist(), strict=True)]
        return sorted(found, key=lambda place: (-place.cosine, place.store, place.chunk_id))[:n]

    def has_any(self) -> bool:
        """Whether any chunk has a vector: without one a question need not be embedded. Raises StorageError."""
        return any(store.vectors.has_any(self.model) for _, store in self._in_use())

    def count(self) -> int:
        """How many chunks have a vector. Raises StorageError."""
        return sum(store.vectors.count(self.model) for _, store in self._in_use())

    def forget(self) -> None:
        """Keep nothing of what was read, as after a read inside a transaction that may never be committed."""
        self._loaded = [None] * len(self._stores)

    def _in_use(self) -> list[tuple[int, KnowledgeStore]]:
        """The knowledge bases in which search by meaning is not switched off."""
        return [pair for pair in enumerate(self._stores) if pair[1].options().meaning]

    def _current(self, number: int, store: KnowledgeStore) -> _Loaded:
        loaded = self._loaded[number]
        if loaded is None:
            loaded = self._loaded[number] = _Loaded(self.model.dimensions)
        loaded.refresh(store, self.model)
        return loaded


class _Loaded:
    """All vectors of one knowledge base in the order of their rows, brought up to date before each use."""

    def __init__(self, dimensions: int) -> None:
        self._size = 0
        self._last_row = 0
        self._version: tuple[int, int] | None = None
        self._revision = -1
        self._rows = np.empty(0, np.int64)
        self._chunk_ids = np.empty(0, np.int64)
        self._inverse = np.empty(0, np.float32)
        self._vectors = np.empty((0, dimensions), np.int8)
        self._signs = Signs(dimensions)

    @property
    def vectors(self) -> Quantised:
        return self._vectors[: self._size]

    @property
    def inverse(self) -> Floats:
        return self._inverse[: self._size]

    @property
    def chunk_ids(self) -> Numbers:
        return self._chunk_ids[: self._size]

    @property
    def bits(self) -> Words | None:
        """The signs of the vectors; None where so few vectors are compared as fast without."""
        return self._signs.of(self.vectors) if self._size > EXACT_UP_TO else None

    def refresh(self, store: KnowledgeStore, model: EmbeddingModel) -> None:
        """Read what was written since the last call."""
        version = store.data_version()
        if version == self._version:
            return
        revision = store.statistics().revision
        new = store.vectors.after(model, self._last_row)
        if len(new.rows):
            self._append(new.rows, new.chunk_ids, new.vectors)
        # Vectors come without a new revision; chunks leave and get other numbers, which are larger ones, only with one.
        own = self._size, int(self.chunk_ids.sum())
        if revision != self._revision and store.vectors.totals(model) != own:
            self._follow(*store.vectors.places(model))
        self._version, self._revision = version, revision

    def _follow(self, rows: Numbers, chunk_ids: Numbers) -> None:
        """Drop the rows that are gone and take over the numbers of chunks."""
        order = np.argsort(rows)
        rows, chunk_ids = rows[order], chunk_ids[order]
        own = self._rows[: self._size]
        at = np.searchsorted(rows, own)
        at[at == len(rows)] = 0
        there = rows[at] == own if len(rows) else np.zeros(len(own), bool)
        if not there.all():
            self._size = int(there.sum())
            self._rows = own[there]
            self._inverse = self._inverse[: len(own)][there]
            self._vectors = self._vectors[: len(own)][there]
            self._signs = Signs(self._vectors.shape[1])
        self._chunk_ids = chunk_ids[at[there]]

    def _append(self, rows: Numbers, chunk_ids: Numbers, vectors: Quantised) -> None:
        to = self._size + len(rows)
        self._rows = _room(self._rows, self._size, to)
        self._chunk_ids = _room(self._chunk_ids, self._size, to)
        self._inverse = _room(self._inverse, self._size, to)
        self._vectors = _room(self._vectors, self._size, to)
        self._rows[self._size : to] = rows
        self._chunk_ids[self._size : to] = chunk_ids
        self._inverse[self._size : to] = inverse_lengths(vectors)
        self._vectors[self._size : to] = vectors
        self._size, self._last_row = to, int(rows[-1])


def _room(array: NDArray[Any], used: int, wanted: int) -> NDArray[Any]:
    """`array` with its first `used` entries and room for `wanted`; some more the second time, when it grows step by step."""
    if wanted <= len(array):
        return array
    larger = np.empty((max(wanted, int(used * _GROWTH)), *array.shape[1:]), array.dtype)
    larger[:used] = array[:used]
    return larger


# --- within a question ------------------------------------------------------------------------------


class Made(NamedTuple):
    """Vectors that were made just now: chunk numbers and int8 of shape (chunks, dimensions)."""

    chunk_ids: list[int]
    vectors: Quantised


def embed_missing(
    store: KnowledgeStore, chunk_ids: Sequence[int], embedder: Embedder, budget_s: float
) -> Made:
    """Embed those of some chunks that have no vector, in their order, `MOST_IN_A_QUESTION` at most, within about `budget_s`.

    What was made is written, where that is possible at once: not inside `reading()`, while another process writes, or on a
    read-only medium; the rest is noted to be embedded first. Raises ModelError, StorageError when the texts cannot be read.
    """
    model = embedder.model
    missing = store.vectors.without(model, chunk_ids) if store.options().meaning else []
    wanted = store.vectors.texts(missing[:MOST_IN_A_QUESTION])
    made: list[Floats] = []
    done, started = 0, time.perf_counter()
    while done < len(wanted):
        spent = time.perf_counter() - started
        batch = wanted[done : done + _BATCH]
        if spent + (spent / done * len(batch) if done else 0.0) >= budget_s:
            break
        made.append(
            embedder.embed_passages([passage_text(one.title, one.heading, one.text) for one in batch])
        )
        done += len(batch)
    vectors = quantise(np.concatenate(made)) if made else np.empty((0, model.dimensions), np.int8)
    found = Made([one.chunk_id for one in wanted[:done]], vectors)
    if not store.is_writing:
        _keep(store, model, found, missing)
    return found


def _keep(store: KnowledgeStore, model: EmbeddingModel, made: Made, missing: Sequence[int]) -> None:
    """Write what was made and note what was not; whatever hinders that is no reason not to answer."""
    try:
        if made.chunk_ids:
            store.vectors.write(model, made.chunk_ids, made.vectors, wait_s=_WRITE_WAIT_S)
        done = set(made.chunk_ids)
        if left := [chunk_id for chunk_id in missing if chunk_id not in done]:
            store.vectors.put_first(left)
    except StorageError:
        return
