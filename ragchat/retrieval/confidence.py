"""How sure a search may be that the documents hold what was asked for: a number from 0 to 1 out of the scores alone.

Two facts decide: how much of what the query could score at most its best hit scores, and that score itself, since a question of
of one common word reaches all of very little. Shares of words (`match`) and gaps between the first hits add nothing to them.
It judges whether the subject is spoken of, as words can; whether the answer is right it cannot know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

REACHED, SCORE, BIAS = 25.76, 1.14, -7.61
"""Weights of the share reached, of the logarithm of the score, and the constant: a logistic regression on questions half of which
had their documents taken out (benchmarks/confidence.py, which fits them and shows how well they do elsewhere). For BM25 as
`retrieval.bm25` has it; who adds to its scores fits again."""


def confidence(top_score: float, reachable: float) -> float:
    """Of questions with such a best hit, about this share was answered in the documents, where half of all were.

    `top_score` is the best hit's BM25 score, `reachable` the query's (`reachable`). 0 where nothing was found.
    """
    if top_score <= 0 or reachable <= 0:
        return 0.0
    evidence = REACHED * min(1.0, top_score / reachable) + SCORE * math.log(top_score) + BIAS
    return 1 / (1 + math.exp(-evidence))


def reachable(wanted: Mapping[str, float], idf: Mapping[str, float]) -> float:
    """What a document could score at most: the sum of weight times idf. A word that no document has counts most.

    `wanted` are the query's terms with their weights, `idf` has each of them.
    """
    return sum(weight * idf[term] for term, weight in wanted.items())
