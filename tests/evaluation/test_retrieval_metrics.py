"""Measures of a ranking: hand-computed values, and another way to compute each."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat.evaluation.retrieval_metrics import ndcg_at, recall_at, reciprocal_rank_at

NAMES = list("abcdefghij")


@pytest.mark.parametrize(
    ("k", "ranking", "relevant", "recall", "mrr", "ndcg"),
    [
        (3, "abc", "a", 1, 1, 1),
        (3, "bac", "a", 1, 1 / 2, 1 / math.log2(3)),
        (3, "bca", "a", 1, 1 / 3, 1 / 2),
        (2, "bca", "a", 0, 0, 0),
        (3, "abc", "ab", 1, 1, 1),
        (3, "acb", "ab", 1, 1, 1.5 / (1 + 1 / math.log2(3))),
        (2, "ab", "abcd", 1 / 2, 1, 1),
        (3, "", "a", 0, 0, 0),
        (3, "abc", "", 0, 0, 0),
        (0, "abc", "a", 0, 0, 0),
        (3, "aab", "a", 1, 1, 1),  # two chunks of one document do not count twice
    ],
)
def test_values_by_hand(k: int, ranking: str, relevant: str, recall: float, mrr: float, ndcg: float) -> None:
    assert recall_at(k, ranking, set(relevant)) == pytest.approx(recall)
    assert reciprocal_rank_at(k, ranking, set(relevant)) == pytest.approx(mrr)
    assert ndcg_at(k, ranking, set(relevant)) == pytest.approx(ndcg)


@given(st.permutations(NAMES), st.sets(st.sampled_from(NAMES)), st.integers(1, 12))
def test_another_way_to_compute_them_agrees(ranking: list[str], relevant: set[str], k: int) -> None:
    gains = np.array([name in relevant for name in ranking], float)
    discounts = np.log(2) / np.log(np.arange(2, len(gains) + 2))
    ideal = np.sort(gains)[::-1][:k] @ discounts[:k]
    found = np.flatnonzero(gains[:k])
    assert ndcg_at(k, ranking, relevant) == pytest.approx(gains[:k] @ discounts[:k] / ideal if ideal else 0)
    assert reciprocal_rank_at(k, ranking, relevant) == pytest.approx(1 / (found[0] + 1) if len(found) else 0)
    assert recall_at(k, ranking, relevant) == pytest.approx(gains[:k].sum() / gains.sum() if relevant else 0)


@given(st.lists(st.sampled_from(NAMES)), st.lists(st.sampled_from(NAMES)), st.integers(0, 12))
def test_every_measure_is_a_share(ranking: list[str], relevant: list[str], k: int) -> None:
    for measure in (recall_at, reciprocal_rank_at, ndcg_at):
        assert 0 <= measure(k, ranking, relevant) <= 1 + 1e-12
