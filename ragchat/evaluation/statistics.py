"""How sure a difference is: intervals, tests and how many questions it would take. Paired throughout: the same questions.

All that is random is seeded, so the same answers give the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the bounds between which it lies with 95 % confidence."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def bootstrap(values: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean with its percentile interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13)."""
    sample = np.asarray(values, np.float64)
    if sample.size == 0:
        return Interval(0.0, 0.0, 0.0)
    means = _resampled_means(sample, seed, resamples)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(sample.mean()), float(low), float(high))


def ratio(parts: Sequence[float], wholes: Sequence[float], *, seed: int = 0) -> Interval:
    """sum(parts) / sum(wholes) with its percentile interval, resampled by answer: statements of one answer are alike.

    Zeros where there is nothing to divide by. Raises ValueError unless both have the same answers.
    """
    if len(parts) != len(wholes):
        raise ValueError(f"{len(parts)} and {len(wholes)} figures do not belong to the same answers")
    above, below = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    above, below = above[below > 0], below[below > 0]
    if not below.size:
        return Interval(0.0, 0.0, 0.0)
    draw = np.random.default_rng(seed)
    shares = []
    for first in range(0, RESAMPLES, _AT_ONCE):
        chosen = draw.integers(0, below.size, (min(_AT_ONCE, RESAMPLES - first), below.size))
        shares.append(above[chosen].sum(axis=1) / below[chosen].sum(axis=1))
    low, high = np.quantile(np.concatenate(shares), (0.025, 0.975))
    return Interval(float(above.sum() / below.sum()), float(low), float(high))


def _resampled_means(sample: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    draw = np.random.default_rng(seed)
    parts = []
    for first in range(0, resamples, _AT_ONCE):
        chosen = draw.integers(0, sample.size, (min(_AT_ONCE, resamples - first), sample.size))
        parts.append(sample[chosen].mean(axis=1))
    return np.concatenate(parts)


def difference(one: Sequence[float], other: Sequence[float], *, seed: int = 0) -> Interval:
    """one - other, question by question, with its interval. Raises ValueError unless both have the same questions."""
    return bootstrap(_pairs(one, other).tolist(), seed=seed)


def permutation_test(one: Sequence[float], other: Sequence[float], *, seed: int = 0) -> float:
    """Two-sided p of the mean difference under random signs (Fisher's randomisation test); 1 without differences.

    Exact up to 12 differing questions, else from `RESAMPLES` draws, counting the observed one (Phipson and Smyth, 2010).
    """
    differences = _pairs(one, other)
    differing = differences[differences != 0]
    if differing.size == 0:
        return 1.0
    observed = abs(float(differing.sum())) - 1e-12
    if differing.size <= 12:
        signs = 1 - 2 * ((np.arange(1 << differing.size)[:, None] >> np.arange(differing.size)) & 1)
        return float(np.mean(np.abs(signs @ differing) >= observed))
    draw = np.random.default_rng(seed)
    as_far = 0
    for first in range(0, RESAMPLES, _AT_ONCE):
        signs = draw.choice((-1.0, 1.0), (min(_AT_ONCE, RESAMPLES - first), differing.size))
        as_far += int((np.abs(signs @ differing) >= observed).sum())
    return float(as_far + 1) / (RESAMPLES + 1)


def mcnemar(one: Sequence[float], other: Sequence[float]) -> float:
    """Exact two-sided p for two arms that are right or wrong (McNemar, 1947, as a binomial test); 1 when they never differ."""
    differences = _pairs(one, other)
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    discordant = better + worse
    if not discordant:
        return 1.0
    tail = float(sum(math.comb(discordant, k) for k in range(min(better, worse) + 1)) / 2**discordant)
    return min(1.0, 2 * tail)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values for several comparisons (Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979)."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(p_values) - place)))
        adjusted[name] = largest
    return adjusted


def questions_needed(
    one: Sequence[float], other: Sequence[float], size: float, *, power: float = 0.8, comparisons: int = 1
) -> int:
    """How many questions would show a difference of `size` with this power at 5 %, judging by the spread of these; 0: unknown.

    The usual normal approximation for a paired mean: n = ((z_alpha + z_power) * sd / size)^2, alpha shared among `comparisons`.
    """
    differences = _pairs(one, other)
    if differences.size < 2 or size <= 0:
        return 0
    spread = float(differences.std(ddof=1))
    if spread == 0:
        return 0
    z = NormalDist().inv_cdf(1 - 0.025 / comparisons) + NormalDist().inv_cdf(power)
    return math.ceil((z * spread / size) ** 2)


def _pairs(one: Sequence[float], other: Sequence[float]) -> NDArray[np.float64]:
    if len(one) != len(other):
        raise ValueError(f"{len(one)} and {len(other)} answers do not belong to the same questions")
    return np.asarray(one, np.float64) - np.asarray(other, np.float64)
