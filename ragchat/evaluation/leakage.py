"""Questions that were learned from must not be asked to measure: near-duplicates are found and left out.

What an adapter learned from is kept beside it as hashes of runs of words, from which no one reads the questions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import blake2b

from ragchat.retrieval.analyzer import detect, terms
from ragchat.retrieval.diversity import NEAR_DUPLICATE, shingles

Fingerprint = frozenset[int]


def fingerprint(question: str) -> Fingerprint:
    """Hashes of the question's runs of words, 32 bits each."""
    runs = shingles(terms(question, detect(question)))
    return frozenset(
        int.from_bytes(blake2b("\0".join(run).encode(), digest_size=4).digest(), "big") for run in runs
    )


def near_duplicates(questions: Sequence[str], of: Sequence[str]) -> list[bool]:
    """For each question whether it says the same as one of `of`, but for at most a fifth of its runs of words."""
    return among(list(map(fingerprint, questions)), list(map(fingerprint, of)))


def among(asked: Sequence[Fingerprint], known: Sequence[Fingerprint]) -> list[bool]:
    """The same for fingerprints."""
    index: dict[int, set[int]] = {}
    for number, runs in enumerate(known):
        for run in runs:
            index.setdefault(run, set()).add(number)
    return [_is_near(runs, known, index) for runs in asked]


def _is_near(runs: Fingerprint, known: Sequence[Fingerprint], index: dict[int, set[int]]) -> bool:
    candidates: Collection[int] = {number for run in runs for number in index.get(run, ())}
    return any(
        len(runs & known[number]) >= NEAR_DUPLICATE * len(runs | known[number]) for number in candidates
    )
