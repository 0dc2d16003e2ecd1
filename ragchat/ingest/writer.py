"""The one writer of a sync: gathers what is finished and commits it together, never half a document.

A commit costs the same for one document as for a hundred, and a search pays for every segment; so a batch stays open until it
is large or old enough. What the process had not committed when it died is read again by the next sync. What another process
forgot meanwhile is not written.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ragchat.errors import NotFoundError
from ragchat.ingest.wire import Read, WireInversion
from ragchat.retrieval import index
from ragchat.retrieval.invert import Inversion, concatenate
from ragchat.retrieval.postings import Postings
from ragchat.store.files import KnownFile
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, DocumentState

_MOST_CHUNKS = 8_000
_MOST_CHARS = 8_000_000
_MOST_STEPS = 250
"""Files that are noted, renamed or taken out: each costs about as much as a document of some chunks."""
_LONGEST_S = 0.25
"""How long a batch stays open at the beginning of a sync,"""
_LONGEST_LATER_S = 2.0
"""and later, when a long one shows that many files come: fewer, larger segments cost a third."""


class BatchWriter:
    """For one sync. Nothing is in the knowledge base before `flush`, which raises StorageError and then keeps its batch."""

    def __init__(self, store: KnowledgeStore, stop_merging: Callable[[], bool]) -> None:
        self._store = store
        self._stop_merging = stop_merging
        # Each with the path that is known by it, or '' for none.
        self._steps: list[tuple[str, Callable[[], object]]] = []
        self._documents: list[tuple[FileRecord, list[ChunkDraft]]] = []
        self._inversions: list[Inversion] = []
        self._chars = self._chunks = 0
        self._due = 0.0
        self._begun = time.monotonic()

    def put(self, file: FileRecord, read: Read) -> None:
        """Index a file in the place of what was known of its path."""
        self._open()
        self._documents.append((file, read.chunks))
        self._inversions.append(_inversion(read.inversion))
        self._chunks += len(read.chunks)
        self._chars += sum(len(chunk.text) for chunk in read.chunks)

    def note(self, file: FileRecord, state: DocumentState, reason: str) -> None:
        """Record why a file is not indexed, in the place of what was known of its path."""

        def step() -> None:
            if earlier := self._store.document_at(file.path):
                index.remove_document(self._store, earlier.id)
            self._store.record_file(file, state, reason)

        self._add(file.path, step)

    def touch(self, known: KnownFile, file: FileRecord) -> None:
        """The file of a document has another time or path, and the same content."""

        def step() -> None:
            if not self._is_there(known.id):
                return
            there = self._store.document_at(file.path) if known.path != file.path else None
            if there:  # another sync was faster
                index.remove_document(self._store, known.id)
            elif FileRecord(known.path, 0, 0).name == file.name:
                self._store.touch_document(known.id, file.path, file.size, file.mtime_ns)
            else:
                index.rename_document(self._store, known.id, file.path, file.size, file.mtime_ns)

        self._add(file.path, step)

    def remove(self, document_id: int) -> None:
        """Take a document out."""

        def step() -> None:
            if self._is_there(document_id):
                index.remove_document(self._store, document_id)

        self._add("", step)

    @property
    def due_in_s(self) -> float:
        """Seconds until the batch wants to be committed; infinite while it is empty."""
        return max(0.0, self._due - time.monotonic()) if self._steps or self._documents else float("inf")

    def flush_if_due(self) -> None:
        """Commit when the batch is large or old enough."""
        is_large = (
            self._chunks >= _MOST_CHUNKS or self._chars >= _MOST_CHARS or len(self._steps) >= _MOST_STEPS
        )
        if is_large or self.due_in_s <= 0:
            self.flush()

    def flush(self) -> None:
        """Commit the batch in one transaction; small segments are merged afterwards."""
        if not (self._steps or self._documents):
            return
        with self._store.writing():
            is_forgotten = self._forgotten()
            for path, step in self._steps:
                if not path or not is_forgotten(path):
                    step()
            kept = [i for i, (file, _) in enumerate(self._documents) if not is_forgotten(file.path)]
            if kept:
                inversion = concatenate([self._inversions[i] for i in kept])
                index.write_analysed(self._store, [self._documents[i] for i in kept], inversion)
        self._steps, self._documents, self._inversions = [], [], []
        self._chars = self._chunks = 0
        index.merge_segments(self._store, stop=self._stop_merging)

    def _forgotten(self) -> Callable[[str], bool]:
        """Whether a path was forgotten while this sync ran, itself or with its root. Call inside `writing()`."""
        options = self._store.options()
        roots = [
            os.path.realpath(root).rstrip(os.sep) for root in self._store.roots()
        ]  # as the scanner sees them
        beginnings = tuple(root + os.sep for root in roots)

        def is_forgotten(path: str) -> bool:
            is_inside = options.follow_links or path.startswith(beginnings) or path in roots
            return not is_inside or options.is_forgotten(path)

        return is_forgotten

    def _is_there(self, document_id: int) -> bool:
        with contextlib.suppress(NotFoundError):
            return bool(self._store.document(document_id))
        return False

    def _add(self, path: str, step: Callable[[], object]) -> None:
        self._open()
        self._steps.append((path, step))

    def _open(self) -> None:
        if not (self._steps or self._documents):
            now = time.monotonic()
            self._due = now + min(_LONGEST_LATER_S, max(_LONGEST_S, (now - self._begun) / 8))


def record_of(file: FileRecord, read: Read) -> FileRecord:
    """What is kept of a file that was read."""
    return replace(
        file,
        size=read.file.size,
        mtime_ns=read.file.mtime_ns,
        content_hash=read.file.content_hash,
        title=read.title,
        media_type=read.media_type,
        source_lines=read.source_lines,
        language=read.language,
        left_out=read.left_out,
    )


def _inversion(inversion: WireInversion) -> Inversion:
    return Inversion(
        np.frombuffer(inversion.lengths, np.uint16),
        Postings(
            terms=inversion.terms,
            counts=np.frombuffer(inversion.counts, np.int64),
            slots=np.frombuffer(inversion.slots, np.int32),
            tfs=np.frombuffer(inversion.tfs, np.uint8),
        ),
    )
