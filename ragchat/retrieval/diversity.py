"""Not ten times the same: near-duplicates out, and a document's surplus chunks behind those of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

SHINGLE = 3
"""Terms in a row that are compared as one (Broder, On the Resemblance and Containment of Documents, 1997)."""
NEAR_DUPLICATE = 0.8
"""Share of shingles two texts have in common (Jaccard) from which the second one says nothing new."""


def thin(
    documents: Sequence[Hashable],
    texts: Iterable[Sequence[str]] | None = None,
    *,
    most_per_document: int = 0,
    enough: int = 0,
) -> list[int]:
    """The order in which to show candidates that come best first, as their positions.

    With `texts` (terms of each candidate in order), near-duplicates of a better candidate are left out, until `enough` (0: all)
    were kept; what follows stays. With
    `most_per_document` above 0, what a document has beyond that is behind everything else: nothing is lost where one
    document is all there is. Otherwise the order stays.
    """
    kept: Sequence[int] = range(len(documents))
    if texts is not None:
        kept = distinct(texts, enough)
        if enough and len(kept) == enough:
            kept = [*kept, *range(kept[-1] + 1, len(documents))]
    if most_per_document < 1:
        return list(kept)
    seen: Counter[Hashable] = Counter()
    first: list[int] = []
    surplus: list[int] = []
    for position in kept:
        seen[documents[position]] += 1
        (first if seen[documents[position]] <= most_per_document else surplus).append(position)
    return first + surplus


def distinct(texts: Iterable[Sequence[str]], enough: int = 0) -> list[int]:
    """Positions of the texts that are no near-duplicate of one before them that was kept; the first `enough` (0: all)."""
    kept: list[tuple[int, frozenset[tuple[str, ...]]]] = []
    for position, terms in enumerate(texts):
        own = shingles(terms)
        if not any(_near(own, other) for _, other in kept):
            kept.append((position, own))
            if len(kept) == enough:
                break
    return [position for position, _ in kept]


def shingles(terms: Sequence[str]) -> frozenset[tuple[str, ...]]:
    """All runs of `SHINGLE` terms; of a shorter text the text itself."""
    if len(terms) <= SHINGLE:
        return frozenset([tuple(terms)]) if terms else frozenset()
    return frozenset(zip(*(terms[i:] for i in range(SHINGLE)), strict=False))


def _near(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> bool:
    small, large = sorted((len(a), len(b)))
    # Sets of too different sizes cannot have that much in common: |a & b| / |a | b| <= small / large.
    if not small or small < NEAR_DUPLICATE * large:
        return False
    common = len(a & b)
    return common >= NEAR_DUPLICATE * (small + large - common)
