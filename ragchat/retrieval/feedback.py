"""What the first texts found say about the query: agreement among them, and further terms from them (RM3).

Both rest on the cluster hypothesis: texts that answer the same query resemble each other. Pure functions; no index is read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from ragchat.retrieval.proximity import is_gram

NEIGHBOURS = 5

FEEDBACK_TEXTS = 10
FEEDBACK_TERMS = 20
ORIGINAL_WEIGHT = 0.8
FLAT = 0.6
"""The gate of RM3: the 10th score as a share of the first. Below, a few texts stand out, and others would lead away from them."""
RAREST_SHARE = 0.1
"""Terms that are in a larger share of the texts are no topic."""


def agreement(scores: Sequence[float], texts: Sequence[Sequence[str]]) -> list[float]:
    """For each text the mean score of the `NEIGHBOURS` most similar of the others, weighted by similarity.

    A text that resembles no other has the mean score of all others: neither rewarded nor punished. 0 for a text alone.

    Score regularisation after Diaz (Regularizing Ad Hoc Retrieval Scores, CIKM 2005). Similarity is the cosine of
    (1 + ln tf) * idf with document frequencies among these texts alone, which measured as well as those of the index.
    """
    similarity = similarities(texts)
    worth = np.asarray(scores, np.float64)
    means: list[float] = []
    for i, row in enumerate(similarity):
        nearest = np.argsort(-row, kind="stable")[:NEIGHBOURS]
        total = float(row[nearest].sum())
        if total > 0:
            means.append(float(row[nearest] @ worth[nearest]) / total)
        else:
            means.append(float(worth.sum() - worth[i]) / max(1, len(worth) - 1))
    return means


def similarities(texts: Sequence[Sequence[str]]) -> np.ndarray:
    """Cosines between texts given by their terms, shape (texts, texts); 0 of a text with itself."""
    counts = [Counter(text) for text in texts]
    dfs = Counter(term for count in counts for term in count)
    column = {term: i for i, term in enumerate(dfs)}
    held = np.array(list(dfs.values()), np.float64)
    idf = np.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
    vectors = np.zeros((len(texts), len(column)))
    for row, count in zip(vectors, counts, strict=True):
        if count:
            row[[column[term] for term in count]] = 1 + np.log(np.fromiter(count.values(), np.float64))
    vectors *= idf
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    cosines: np.ndarray = vectors @ vectors.T
    np.fill_diagonal(cosines, 0)
    return cosines


def expand(
    weights: Mapping[str, float],
    top: Sequence[tuple[float, Sequence[str]]],
    idf: Callable[[Collection[str]], Mapping[str, float]],
) -> dict[str, float] | None:
    """The query's terms with `FEEDBACK_TERMS` further ones from the first texts; None when the gate stays closed.

    RM3 as in Abdul-Jaleel and others (UMass at TREC 2004): P(t|R) ~ sum over texts of score * tf / length, normalised over the
    terms kept, mixed with the query at `ORIGINAL_WEIGHT`. The query's own weights are left as they are, the others scaled to
    them, so scores compare with those of the query alone. `weights`: how often each term is asked for. `top`: (score, terms
    without stop words), best first. `idf` is asked once, for at most 100 terms.
    """
    if any(is_gram(term) for term in weights):
        return (
            None  # n-grams from other texts are pieces of words: on Thai they lost what elsewhere is gained
        )
    texts = [(score, terms) for score, terms in top[:FEEDBACK_TEXTS] if terms]
    if len(texts) < FEEDBACK_TEXTS or texts[-1][0] < FLAT * texts[0][0]:
        return None
    mass: Counter[str] = Counter()
    for score, terms in texts:
        for term, tf in Counter(terms).items():
            if len(term) > 1:
                mass[term] += score * tf / len(terms)  # type: ignore[assignment]
    likely = sorted(mass, key=lambda term: (-mass[term], term))[:100]
    rare = idf(likely)
    least = math.log(1 + (1 - RAREST_SHARE) / RAREST_SHARE)
    kept = [term for term in likely if rare.get(term, 0.0) >= least][:FEEDBACK_TERMS]
    total = sum(mass[term] for term in kept)
    if not total:
        return None
    scale = (1 - ORIGINAL_WEIGHT) / ORIGINAL_WEIGHT * sum(weights.values()) / total
    expanded = dict(weights)
    for term in kept:
        expanded[term] = expanded.get(term, 0.0) + scale * mass[term]
    return expanded
