"""Writing the index: documents in, documents out, small segments merged into larger ones.

The segments form levels as in a log-structured merge tree: a document makes a segment of level 0, and `FAN_OUT` neighbours of a
level become one of the next, where the tombstones of removed chunks fall out. Every step is one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from ragchat.retrieval import postings
from ragchat.retrieval.analyzer import length, terms
from ragchat.store.knowledge import FileRecord, KnowledgeStore, Segment, indexed_text
from ragchat.types import ChunkDraft

FAN_OUT = 16


def write_document(store: KnowledgeStore, file: FileRecord, chunks: Sequence[ChunkDraft]) -> int:
    """Index a document, taking what was known of its path out in the same transaction; its number."""
    segment = postings.build_segment([terms(indexed_text(chunk.heading, chunk.text)) for chunk in chunks])
    with store.writing():
        if earlier := store.document_at(file.path):
            remove_document(store, earlier.id)
        return store.write_document(file, chunks, segment)


def remove_document(store: KnowledgeStore, document_id: int) -> None:
    """Take a document out of the index; document frequencies stay exact."""
    dfs: Counter[str] = Counter()
    total_length = 0
    for text in store.chunk_texts(document_id):
        found = terms(text)
        dfs.update(set(found))
        total_length += min(length(found), postings.LARGEST_LENGTH)
    store.remove_document(document_id, dfs, total_length)


def rebuild(store: KnowledgeStore) -> None:
    """Analyse every stored chunk anew, in one transaction: for an index that another version of the analyzer built."""
    with store.writing():
        store.empty_index()
        for first_chunk, texts in store.indexed_documents():
            segment = postings.build_segment([terms(text) for text in texts])
            store.add_segment(first_chunk, len(texts), segment)
    merge_segments(store)


def merge_segments(store: KnowledgeStore, *, fan_out: int = FAN_OUT) -> int:
    """Merge until no level holds `fan_out` segments; how many merges there were."""
    merges = 0
    while store.level_to_merge(fan_out) is not None:
        with store.writing():
            level = store.level_to_merge(fan_out)
            if level is None:  # another writer was faster
                break
            old = store.segments(level)
            dead = np.array(store.tombstones(), np.int64)
            store.replace_segments(
                old,
                level=level + 1,
                lengths=_merged_lengths(old),
                postings=_merged_postings(store, old, dead),
            )
        merges += 1
    return merges


def _merged_lengths(segments: Sequence[Segment]) -> bytes:
    first = segments[0].first_chunk
    merged = np.zeros(segments[-1].first_chunk + segments[-1].chunk_span - first, "<u2")
    for segment in segments:
        offset = segment.first_chunk - first
        merged[offset : offset + segment.chunk_span] = np.frombuffer(segment.lengths, "<u2")
    return merged.tobytes()


def _merged_postings(
    store: KnowledgeStore, segments: Sequence[Segment], dead: np.ndarray
) -> Iterator[tuple[int, int, bytes]]:
    first = segments[0].first_chunk
    offsets = {segment.id: segment.first_chunk - first for segment in segments}
    for term_id, rows in groupby(store.postings_of_segments(list(offsets)), key=lambda row: row.term_id):
        chunk_parts, tf_parts = [], []
        for row in sorted(rows, key=lambda row: offsets[row.segment_id]):
            chunks, tfs = postings.decode(row.entries, row.df)
            chunk_parts.append(chunks + offsets[row.segment_id])
            tf_parts.append(tfs)
        chunks, tfs = np.concatenate(chunk_parts), np.concatenate(tf_parts)
        if dead.size:
            alive = ~np.isin(chunks + first, dead, assume_unique=True)
            chunks, tfs = chunks[alive], tfs[alive]
        if chunks.size:
            yield term_id, len(chunks), postings.encode(chunks, tfs)
