"""Writing the index: documents in, documents out. How segments are merged: `retrieval.merge`.

Every step is one transaction. An index that another version of the analysis made is built again before anything is written to it.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragchat.retrieval import analyzer, bm25, merge
from ragchat.retrieval.invert import (
    FIELD_WEIGHTS,
    DocumentFields,
    Inversion,
    Texts,
    invert,
)
from ragchat.retrieval.postings import Bound, encode
from ragchat.store.inverted import EncodedSegment
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft

if TYPE_CHECKING:
    from concurrent.futures import Future

VERSION = f"{analyzer.VERSION}/{FIELD_WEIGHTS.heading}.{FIELD_WEIGHTS.title}.{FIELD_WEIGHTS.name}/2"
"""Of everything that decides what is in the lists; stored with an index."""
_DETECTED_FROM = 8
"""Chunks at the beginning of a document that tell its language."""
_BATCH_CHUNKS = 1 << 12
"""Analysed at once by one process, and a segment when an index is built as a whole: several of them wait in memory."""
_WORTH_PROCESSES = 20_000
"""Chunks. Below, starting processes takes longer than they save."""

_MOST_PROCESSES = 8

DocumentChunks = tuple[FileRecord, Sequence[ChunkDraft]]


def fields_of(file: FileRecord) -> DocumentFields:
    """What is searched of a document besides its chunks."""
    return DocumentFields(file.title, file.name, file.language)


def analyse(documents: Sequence[DocumentChunks]) -> Inversion:
    """The posting lists of some documents; made in any process, stored by `write_analysed`."""
    return invert(_texts(documents))


def write_document(store: KnowledgeStore, file: FileRecord, chunks: Sequence[ChunkDraft]) -> int:
    """Index a document, taking what was known of its path out in the same transaction; its number."""
    return write_documents(store, [(file, chunks)])[0]


def write_documents(store: KnowledgeStore, documents: Sequence[DocumentChunks]) -> list[int]:
    """Index documents as one segment in one transaction, in the place of what was known of their paths; their numbers."""
    return write_analysed(store, documents, analyse(documents))


def write_analysed(
    store: KnowledgeStore, documents: Sequence[DocumentChunks], inversion: Inversion
) -> list[int]:
    """As `write_documents`, with the lists that `analyse` made of the same documents (or `concatenate` of parts of them)."""
    segment = encode_segment(inversion)
    with store.writing():
        ensure_current(store)
        for file, _ in documents:
            if earlier := store.document_at(file.path):
                remove_document(store, earlier.id)
        return store.write_documents(documents, segment)


def encode_segment(inversion: Inversion) -> EncodedSegment:
    """A segment as it is stored."""
    size = inversion.lengths.size
    bound = Bound(bm25.K1, bm25.B, max(1.0, inversion.total_length / size if size else 1.0))
    lists, blocks = encode(inversion.postings, inversion.lengths, bound)
    return EncodedSegment(
        size=size,
        lengths=inversion.lengths.astype("<u2").tobytes(),
        total_length=inversion.total_length,
        bound=str(bound),
        lists=lists,
        blocks=blocks,
    )


def remove_document(store: KnowledgeStore, document_id: int) -> None:
    """Take a document out of the index; document frequencies stay exact."""
    with store.writing():
        ensure_current(store)
        dfs, total_length = _counted(store, document_id)
        store.remove_document(document_id, dfs, total_length)


def rename_document(store: KnowledgeStore, document_id: int, path: str, size: int, mtime_ns: int) -> None:
    """The file has another path and the same content; where its name is another, it is found by that."""
    with store.writing():
        ensure_current(store)
        file, name, chunks = store.indexed_as(document_id)
        renamed = FileRecord(path, size, mtime_ns, file.content_hash, file.title, language=file.language)
        if renamed.name == name or not chunks:
            store.touch_document(document_id, path, size, mtime_ns)
            return
        dfs, _ = _counted(store, document_id)
        store.reindex_document(document_id, renamed, dfs, encode_segment(analyse([(renamed, chunks)])))


def _counted(store: KnowledgeStore, document_id: int) -> tuple[dict[str, int], int]:
    """(in how many chunks of a document each term stands, length of them all), as they were indexed."""
    file, name, chunks = store.indexed_as(document_id)
    made = invert([(DocumentFields(file.title, name, file.language), [(c.heading, c.text) for c in chunks])])
    dfs = dict(zip(made.postings.terms, made.postings.counts.tolist(), strict=True))
    return dfs, made.total_length


def ensure_current(store: KnowledgeStore) -> bool:
    """Build the index again when another version of the analysis made it; whether that was so."""
    if store.analyzer_version() == VERSION:
        return False
    with store.writing():
        version = store.analyzer_version()
        if version == VERSION:  # another process was faster
            return False
        if version:
            rebuild(store)
        store.set_analyzer_version(VERSION)
    return bool(version)


def is_current(store: KnowledgeStore) -> bool:
    """Whether the index was made by this version of the analysis (an empty one always is)."""
    return store.analyzer_version() in ("", VERSION)


def rebuild(store: KnowledgeStore, progress: Callable[[int], None] = lambda chunks: None) -> None:
    """Analyse every stored chunk again, in one transaction: until its end the old index is searched.

    `progress` gets the number of chunks done.
    """
    with store.writing():
        count = store.stored_chunks()
        store.begin_rebuild()
        numbers: deque[list[int]] = deque()

        def stored() -> Iterator[DocumentChunks]:
            for file, chunks, chunk_ids in store.indexed_documents():
                numbers.append(chunk_ids)
                text = "\n".join(chunk.text for chunk in chunks[:_DETECTED_FROM])
                yield replace(file, language=analyzer.detect(text) or "en"), chunks

        done = 0
        with _processes(0 if count < _WORTH_PROCESSES else None) as processes:
            for batch, segment in _encoded(stored(), processes):
                chunk_ids = [number for _ in batch for number in numbers.popleft()]
                store.add_segment([file for file, _ in batch], chunk_ids, segment)
                done += len(chunk_ids)
                progress(done)
        store.set_analyzer_version(VERSION)


def build(
    store: KnowledgeStore,
    documents: Iterable[DocumentChunks],
    *,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda chunks: None,
) -> int:
    """Index many new documents; how many chunks. Each transaction holds whole documents.

    `workers` are processes that analyse: None for all cores, 0 for none.
    """
    ensure_current(store)
    done = 0
    with _processes(workers) as processes:
        for batch, segment in _encoded(documents, processes):
            with store.writing():
                store.write_documents(batch, segment)
            done += segment.size
            progress(done)
        merge.merge_all(store, processes=processes)
    return done


def merge_segments(
    store: KnowledgeStore, *, fan_out: int = merge.FAN_OUT, stop: Callable[[], bool] = lambda: False
) -> int:
    """See `merge.merge_segments`."""
    return merge.merge_segments(store, fan_out=fan_out, stop=stop)


def _batches(documents: Iterable[DocumentChunks]) -> Iterator[list[DocumentChunks]]:
    batch: list[DocumentChunks] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document[1])
        if size >= _BATCH_CHUNKS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@contextlib.contextmanager
def _processes(workers: int | None) -> Iterator[merge.Processes | None]:
    """So many processes, None for all cores; none at all for 0."""
    if workers == 0:
        yield None
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    count = workers or min(_MOST_PROCESSES, os.cpu_count() or 1)
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield merge.Processes(pool, count)


def _encoded(
    documents: Iterable[DocumentChunks], processes: merge.Processes | None
) -> Iterator[tuple[list[DocumentChunks], EncodedSegment]]:
    """Documents in batches, each with its segment, in order. With processes, two batches for each are under way at most."""
    batches = _batches(documents)
    if processes is None:
        yield from ((batch, encode_segment(analyse(batch))) for batch in batches)
        return
    waiting: deque[tuple[list[DocumentChunks], Future[EncodedSegment]]] = deque()
    for batch in batches:
        waiting.append((batch, processes.pool.submit(_encode_texts, _texts(batch))))
        if len(waiting) >= 2 * processes.count:
            first, future = waiting.popleft()
            yield first, future.result()
    while waiting:
        first, future = waiting.popleft()
        yield first, future.result()


def _encode_texts(documents: Sequence[Texts]) -> EncodedSegment:
    """What a process does."""
    return encode_segment(invert(documents))


def _texts(batch: Sequence[DocumentChunks]) -> list[Texts]:
    return [(fields_of(file), [(chunk.heading, chunk.text) for chunk in chunks]) for file, chunks in batch]
