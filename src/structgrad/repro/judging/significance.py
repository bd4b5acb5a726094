"""Tests over replicas, and what becomes of many of them: Holm's correction, counts and averages over settings.

Where replicas are the folds of one cross-validation, their training sets overlap and their values are correlated; the
variance of n folds' mean is then not s^2 / n. Nadeau & Bengio (2003, Machine Learning 52) replace it by

    (1 / n + overlap) s^2,        overlap = rows tested on / rows trained on,

which for ten folds is 2.1 times as much. ``overlap`` is 0 for independent replicas.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, Literal

import numpy as np
from scipy import stats

from structgrad.repro.judging.intervals import RESAMPLES, expanded_level

ALPHA = 0.05
ROUNDING = 1e-9  # what sums of fractions may differ by in floating point
Side = Literal["greater", "less"]


def paired(
    differences: Sequence[float] | np.ndarray, side: Side, family: int, seed: int, overlap: float = 0.0
) -> float:
    """p of "the mean difference is not greater (less) than 0", the replicas being pairs on shared data.

    A sign-flip permutation test, which assumes nothing but symmetry. With n replicas it cannot give less than
    2^-n; where that floor, times the ``family`` of settings that Holm corrects for, is above the level,
    Student's t for pairs decides instead. Replicas that all differ by the same amount leave the sign test. Folds
    (``overlap`` > 0) cannot be flipped one by one; for them it is the corrected resampled t-test.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) < 2 or np.abs(values).max() <= ROUNDING:
        return 1.0
    if _constant(values):
        agrees = (values[0] > 0) == (side == "greater")
        return float(stats.binomtest(len(values) if agrees else 0, len(values), alternative="greater").pvalue)
    if overlap:
        t = float(values.mean()) / sqrt(variance_of_mean(values, overlap))
        return float(stats.t.sf(t if side == "greater" else -t, len(values) - 1))
    if 2.0 ** -len(values) * family > ALPHA:
        student: Any = stats.ttest_1samp(values, 0.0, alternative=side)
        return float(student.pvalue)
    test = stats.permutation_test(
        (values,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES - 1,
        alternative=side,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def variance_of_mean(values: Sequence[float] | np.ndarray, overlap: float) -> float:
    """``(1 / n + overlap) s^2``."""
    return (1 / len(values) + overlap) * float(np.var(values, ddof=1))


def chance_not_negative(values: Sequence[float] | np.ndarray, overlap: float) -> float | None:
    """The probability that the true mean is not negative (Corani & Benavoli 2015): the mean has the posterior of
    Student's t with n - 1 degrees of freedom about its estimate. None where fewer than two replicas say nothing.
    """
    if len(values) < 2:
        return None
    if _constant(np.asarray(values)):
        return float(values[0] >= -ROUNDING)
    return float(stats.t.cdf(np.mean(values) / sqrt(variance_of_mean(values, overlap)), len(values) - 1))


def at_least(chances: Sequence[float], count: int) -> float:
    """The probability that ``count`` or more of independent events happen: the tail of Poisson's binomial."""
    distribution = np.ones(1)
    for chance in chances:
        distribution = np.convolve(distribution, (1 - chance, chance))
    return min(1.0, float(distribution[max(0, count) :].sum()))


def mean_of_means(samples: Sequence[Sequence[float] | np.ndarray], overlap: float) -> tuple[float, float, float]:
    """The average of the samples' means, and p of "it is not greater", "it is not less than 0".

    Each sample of n has the variance of its mean and n - 1 degrees of freedom; the average's are Satterthwaite's.
    """
    value = float(np.mean([np.mean(sample) for sample in samples]))
    variances = np.asarray([variance_of_mean(sample, overlap) for sample in samples])
    if variances.sum() <= ROUNDING**2:
        return value, float(value <= ROUNDING), float(value >= -ROUNDING)
    degrees = variances.sum() ** 2 / sum(v**2 / (len(s) - 1) for v, s in zip(variances, samples, strict=True))
    t = value * len(samples) / sqrt(variances.sum())
    return value, float(stats.t.sf(t, degrees)), float(stats.t.cdf(t, degrees))


def unpaired(first: Sequence[float], second: Sequence[float], side: Side) -> float:
    """p of "the first mean is not greater (less) than the second", for independent replicas: Welch's t.

    Where both samples are constant the variance tells nothing and the exact Mann-Whitney test stands in.
    """
    x, y = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if min(len(x), len(y)) < 2:
        return 1.0
    if _constant(x) and _constant(y):
        if np.isclose(x[0], y[0], rtol=ROUNDING, atol=ROUNDING):
            return 1.0
        return float(stats.mannwhitneyu(x, y, alternative=side, method="exact").pvalue)
    if _constant(x):  # Welch's t with one variance zero is Student's t of the other sample
        welch: Any = stats.ttest_1samp(y, x[0], alternative="less" if side == "greater" else "greater")
    elif _constant(y):
        welch = stats.ttest_1samp(x, y[0], alternative=side)
    else:
        welch = stats.ttest_ind(x, y, equal_var=False, alternative=side)
    return float(welch.pvalue)


def _constant(values: np.ndarray) -> bool:
    return bool(np.ptp(values) <= ROUNDING)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979): reject where they do not exceed the level, at a family-wise level."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(steps), 1.0)
    result = np.empty(len(p_values))
    result[order] = adjusted
    return result.tolist()


def slope(x: Sequence[float], samples: Sequence[Sequence[float] | np.ndarray], seed: int) -> tuple[float, float, float]:
    """The least-squares slope of the sample means on ``x`` with a bootstrap interval, one sample of replicas
    per x.

    Returns:
        (slope, low, high): two-sided at twice the level, so that either end is a one-sided bound at the
        level, which for few replicas is the expanded one
        (:func:`structgrad.repro.judging.intervals.expanded_level`).
    """
    weights = np.asarray(x, dtype=float) - np.mean(x)
    weights /= (weights**2).sum()

    def statistic(*parts: np.ndarray, axis: int = -1) -> Any:
        return sum(weight * part.mean(axis=axis) for weight, part in zip(weights, parts, strict=True))

    data = [np.asarray(sample, dtype=float) for sample in samples]
    value = float(statistic(*data))
    if all(_constant(sample) for sample in data):
        return value, value, value
    level = expanded_level(min(map(len, data)), level=1 - 2 * ALPHA)
    resampled = stats.bootstrap(
        data,
        statistic,
        n_resamples=RESAMPLES,
        vectorized=True,
        method="percentile",
        confidence_level=level,
        rng=np.random.default_rng(seed),
    )
    return value, float(resampled.confidence_interval.low), float(resampled.confidence_interval.high)
