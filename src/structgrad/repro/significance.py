"""One-sided tests over replicas, and Holm's correction over the settings of a claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from scipy import stats

from structgrad.repro.intervals import RESAMPLES, expanded_level

ALPHA = 0.05
ROUNDING = 1e-9  # what sums of fractions may differ by in floating point
Side = Literal["greater", "less"]


def paired(differences: Sequence[float], side: Side, family: int, seed: int) -> float:
    """p of "the mean difference is not greater (less) than 0", the replicas being pairs on shared data.

    A sign-flip permutation test, which assumes nothing but symmetry. With n replicas it cannot give less than
    2^-n; where that floor, times the ``family`` of settings that Holm corrects for, is above the level,
    Student's t for pairs decides instead. Replicas that all differ by the same amount leave the sign test.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) < 2 or np.abs(values).max() <= ROUNDING:
        return 1.0
    if _constant(values):
        agrees = (values[0] > 0) == (side == "greater")
        return float(stats.binomtest(len(values) if agrees else 0, len(values), alternative="greater").pvalue)
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


def slope(x: Sequence[float], samples: Sequence[Sequence[float]], seed: int) -> tuple[float, float, float]:
    """The least-squares slope of the sample means on ``x`` with a bootstrap interval, one sample of replicas
    an x.

    Returns:
        (slope, low, high): two-sided at twice the level, so that either end is a one-sided bound at the
        level, widened for few replicas as :func:`structgrad.repro.intervals.mean` does.
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
    found = stats.bootstrap(
        data,
        statistic,
        n_resamples=RESAMPLES,
        vectorized=True,
        method="percentile",
        confidence_level=level,
        rng=np.random.default_rng(seed),
    )
    return value, float(found.confidence_interval.low), float(found.confidence_interval.high)
