"""Small knowledge bases for tests: documents whose chunks are given one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ragchat.retrieval import index
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, Span


def drafts(texts: Sequence[str], heading: str = "") -> list[ChunkDraft]:
    """Chunks of one line each, one after the other."""
    found, at = [], 0
    for line, text in enumerate(texts, 1):
        found.append(
            ChunkDraft(
                text, heading, Span(at, at + len(text), line, line, file_line_first=line, file_line_last=line)
            )
        )
        at += len(text) + 1
    return found


def put(store: KnowledgeStore, path: str, *texts: str, heading: str = "", language: str = "") -> int:
    """Write a document, or replace the one at this path; its number."""
    record = FileRecord(path, size=sum(map(len, texts)), mtime_ns=1, content_hash=f"hash of {path}")
    if language:
        record = replace(record, language=language)
    return index.write_document(store, record, drafts(texts, heading))


def take_out(store: KnowledgeStore, path: str) -> None:
    document = store.document_at(path)
    assert document
    with store.writing():
        index.remove_document(store, document.id)
