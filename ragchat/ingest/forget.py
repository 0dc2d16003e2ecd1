"""Forgetting: a file, a folder, a row or a table leaves the knowledge base for good, its text the file on the disk.

Removing a document, as a sync does, only takes it out of the answers; its bytes lie in the file until they are written over. Here
the index loses the terms as well, the file is written again, and what was forgotten stays out until it is added again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ragchat.errors import NotFoundError, UsageError
from ragchat.ingest.rows import remove_source
from ragchat.ingest.source import stored_path
from ragchat.retrieval import index, merge
from ragchat.store.knowledge import KnowledgeStore
from ragchat.store.maintenance import wipe_deleted
from ragchat.store.ocr_pages import drop_all_pages
from ragchat.text import clean_line
from ragchat.types import Document, KnowledgeBaseOptions, RowSource, is_row


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What left. `copies` are documents that stay although they hold the very same content."""

    documents: int
    sources: int
    copies: tuple[str, ...]


def forget(store: KnowledgeStore, target: str) -> Forgotten:
    """Take out the file or folder `target`, or the row or table of that document path, and every trace of its text.

    A folder takes the tables along whose file is in it. The documents go in one transaction, in which a sync beside this one
    (`ingest.writer`, `ingest.rows`) sees what it may no longer write; a second one builds what held their terms again, and then
    the file is written again. Stopped in between, the same command continues. Raises NotFoundError when no such file was
    ever known, UsageError when the name is no text, StorageError.
    """
    if stored_path(target) != target:
        raise UsageError(f"The name {clean_line(stored_path(target))} is not readable text.", "Rename it.")
    path = target if is_row(target) else os.path.realpath(target)
    with store.writing():
        sources = _sources(store, path)
        documents = _documents(store, path)
        if not documents and not sources and not _is_noted(store, path):
            raise NotFoundError(
                f"{clean_line(target)} is not in {store.name}.",
                f"`ragchat kb status {store.name} --all` lists its documents.",
            )
        copies = _copies(store, documents)
        removed = sum(remove_source(store, source) for source in sources)
        for document in documents:
            if store.document_at(document.path):
                index.remove_document(store, document.id)
                removed += 1
        store.remove_roots(root for root in store.roots() if _holds(path, os.path.realpath(root)))
        _note(store, path)
    drop_all_pages(store)  # whosever they are: they can be read again
    purge(store)
    wipe_deleted(store.path)
    with store.writing():
        if not _stays_noted(store, path):
            store.set_options(_without(store.options(), path))
    return Forgotten(removed, len(sources), copies)


def purge(store: KnowledgeStore) -> None:
    """Leave the terms of removed chunks in no segment: those that hold any are merged without them. Raises StorageError."""
    for segment in store.index.segments():
        if segment.dead:
            merge.merge(store, [segment])
    if store.index.is_merging() or any(segment.dead for segment in store.index.segments()):
        index.rebuild(store)  # another merge is under way, or was left half done, and holds them still
    index.merge_segments(store)


def remember(store: KnowledgeStore, paths: Collection[str]) -> None:
    """These, forgotten before, may be indexed again. Raises UsageError for one that is in a folder that was forgotten."""
    options = store.options()
    forgotten = [gone for gone in options.forgotten if gone not in set(paths)]
    left = replace(options, forgotten=tuple(forgotten))
    for path in paths:
        if left.is_forgotten(path):
            folder = next(gone for gone in forgotten if _holds(gone, path))
            raise UsageError(
                f"{clean_line(path)} is in {clean_line(folder)}, which you removed with `kb forget`.",
                f"`ragchat kb settings {store.name} --remember {clean_line(folder)}` adds it again.",
            )
    if left != options:
        store.set_options(left)


def _sources(store: KnowledgeStore, path: str) -> list[RowSource]:
    """The tables that `path` names: by their prefix, with or without the #, by their file, or by a folder that holds it."""
    return [
        source
        for source in store.sources()
        if path in (source.prefix, source.prefix[:-1]) or (not is_row(path) and _holds(path, source.path))
    ]


def _documents(store: KnowledgeStore, path: str) -> list[Document]:
    one = store.document_at(path)
    below = [] if is_row(path) else store.documents_below(path.rstrip(os.sep) + os.sep)
    return ([one] if one else []) + below


def _holds(folder: str, path: str) -> bool:
    """Whether `path` is `folder` or is in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _copies(store: KnowledgeStore, documents: Sequence[Document]) -> tuple[str, ...]:
    """Paths of documents that stay and hold the same content as one of `documents`."""
    hashes = {document.content_hash for document in documents if document.content_hash}
    going = {document.path for document in documents}
    if not hashes:
        return ()
    return tuple(d.path for d in store.documents() if d.content_hash in hashes and d.path not in going)


def _is_noted(store: KnowledgeStore, path: str) -> bool:
    options = store.options()
    return path in options.forgotten if is_row(path) else options.is_forgotten(path)


def _note(store: KnowledgeStore, path: str) -> None:
    """So that no sync brings it back, and that the same command continues if this one is stopped."""
    options = store.options()
    if path not in options.forgotten:
        store.set_options(replace(options, forgotten=(*options.forgotten, path)))


def _stays_noted(store: KnowledgeStore, path: str) -> bool:
    """Whether a sync would find it again: what is in a root or may be linked to, and rows, but no table that was removed."""
    if is_row(path):
        return any(path.startswith(source.prefix) for source in store.sources())
    return store.options().follow_links or any(_holds(os.path.realpath(root), path) for root in store.roots())


def _without(options: KnowledgeBaseOptions, path: str) -> KnowledgeBaseOptions:
    return replace(options, forgotten=tuple(gone for gone in options.forgotten if gone != path))
