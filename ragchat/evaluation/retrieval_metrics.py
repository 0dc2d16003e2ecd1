"""How good a ranking is, given what is relevant. One function per measure, each for one question.

Definitions: Manning, Raghavan and Schütze, Introduction to Information Retrieval (2008), chapter 8; nDCG as in Järvelin and
Kekäläinen (2002) with binary gains and the discount 1 / log2(rank + 1). What stands twice in a ranking counts where it
is first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence


def recall_at(k: int, ranking: Sequence[str], relevant: Collection[str]) -> float:
    """Share of the relevant that stand among the first `k`. 0 when nothing is relevant."""
    return len(set(ranking[:k]) & set(relevant)) / len(set(relevant)) if relevant else 0.0


def reciprocal_rank_at(k: int, ranking: Sequence[str], relevant: Collection[str]) -> float:
    """1 / rank of the first relevant one among the first `k`, else 0. Its mean over questions is MRR@k."""
    return next((1 / rank for rank, name in enumerate(ranking[:k], 1) if name in relevant), 0.0)


def ndcg_at(k: int, ranking: Sequence[str], relevant: Collection[str]) -> float:
    """Discounted gain of the first `k`, as a share of the best that any ranking could have. 0 when nothing is relevant."""
    first_rank = {name: rank for rank, name in reversed(list(enumerate(ranking[:k], 1)))}
    gain = sum(1 / math.log2(first_rank[name] + 1) for name in set(relevant) if name in first_rank)
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(set(relevant))) + 1))
    return gain / best if best else 0.0
