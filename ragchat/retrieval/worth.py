"""What terms are worth in some knowledge bases taken together."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ragchat.retrieval import bm25
from ragchat.store.knowledge import KnowledgeStore


def idf(stores: Sequence[KnowledgeStore], terms: Collection[str]) -> dict[str, float]:
    """The idf of each term that a chunk holds, over all knowledge bases. Raises StorageError."""
    dfs: dict[str, int] = {}
    for store in stores:
        for term, df in store.index.dfs(list(terms)).items():
            dfs[term] = dfs.get(term, 0) + df
    chunks = sum(store.statistics().chunk_count for store in stores)
    return {term: bm25.idf(min(df, chunks), chunks) for term, df in dfs.items()}
