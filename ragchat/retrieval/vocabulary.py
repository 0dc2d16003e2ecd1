"""The terms of some knowledge bases, counted as if they were one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ragchat.retrieval import bm25
from ragchat.store.knowledge import KnowledgeStore


class Vocabulary:
    """All methods read the databases and raise StorageError."""

    def __init__(self, stores: Sequence[KnowledgeStore]) -> None:
        self._stores = stores

    def dfs(self, terms: Collection[str]) -> dict[str, int]:
        """Those of `terms` that any chunk holds, and how many do."""
        return added(store.index.dfs(sorted(terms)) for store in self._stores)

    def idf(self, terms: Collection[str]) -> dict[str, float]:
        """The inverse document frequency of each term that a chunk holds."""
        chunks = sum(store.statistics().chunk_count for store in self._stores)
        return {term: bm25.idf(min(df, chunks), chunks) for term, df in self.dfs(terms).items()}

    def beginning_with(self, prefix: str, most: int) -> dict[str, int]:
        """Longer terms that begin with `prefix`, at most so many of each segment."""
        return added(store.index.beginning_with(prefix, most) for store in self._stores)

    def of_length(self, prefix: str, shortest: int, longest: int, most: int) -> dict[str, int]:
        """The frequent terms of some characters that begin with `prefix`."""
        return added(store.index.of_length(prefix, shortest, longest, most) for store in self._stores)


def added(found: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of some counts, term by term."""
    total: dict[str, int] = {}
    for counts in found:
        for term, count in counts.items():
            total[term] = total.get(term, 0) + count
    return total
