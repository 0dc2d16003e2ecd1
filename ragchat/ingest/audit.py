"""Holding what is indexed against the files themselves, by content: what a look at size and time cannot see."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ragchat.errors import IngestError
from ragchat.ingest.source import hash_file
from ragchat.ingest.wire import Reason
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import Document, is_row


@dataclass(frozen=True, slots=True)
class FileAudit:
    """How the indexed files stand. `altered` changed although size and time did not, `outdated` wait for a sync."""

    files: int
    altered: tuple[str, ...]
    outdated: tuple[str, ...]
    missing: tuple[str, ...]


def audit_files(
    store: KnowledgeStore,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FileAudit:
    """Read every indexed file again and compare its hash. Rows of tables are left to the next sync. Raises StorageError."""
    documents = [d for d in store.documents() if d.state == "indexed" and not is_row(d.path)]
    sorts: dict[str, list[str]] = {"altered": [], "outdated": [], "missing": []}
    for path, sort in _judged(documents, stop, progress):
        sorts[sort].append(path)
    return FileAudit(len(documents), **{sort: tuple(paths) for sort, paths in sorts.items()})


def _judged(
    documents: list[Document], stop: Callable[[], bool], progress: Callable[[int, int], None]
) -> Iterator[tuple[str, str]]:
    for done, document in enumerate(documents):
        if stop():
            return
        progress(done, len(documents))
        try:
            if _size(document.path) not in (
                None,
                document.size,
            ):  # never reads more of a file than was indexed
                yield document.path, "outdated"
                continue
            content_hash, size, mtime_ns = hash_file(document.path)
        except IngestError as error:
            yield document.path, "missing" if str(error) == Reason.NOT_FOUND else "outdated"
            continue
        if content_hash != document.content_hash:
            same = (size, mtime_ns) == (document.size, document.mtime_ns)
            yield document.path, "altered" if same else "outdated"


def _size(path: str) -> int | None:
    """In bytes; None when the system does not say, which `hash_file` puts into words."""
    try:
        return os.lstat(path).st_size
    except (OSError, ValueError):
        return None
