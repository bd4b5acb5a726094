"""The intervals of the first rule, kept for its verdicts alone: they do not cover as they say for few replicas.

The bootstrap covers 47 % at two replicas, 74 % at three and 92 % at five; a proportion of replicas that all agree
counts every item of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import stats

from structgrad.repro.judging.effective import LEVEL
from structgrad.repro.judging.intervals import RESAMPLES, Measured, expanded_level


def proportion(successes: Sequence[int], trials: Sequence[int]) -> Measured:
    """Clopper-Pearson at the effective sample size of clustered trials (Korn & Graubard 1998).

    With G replicas, n trials and p the pooled proportion, the exact interval is taken at

        n* = min(n, p (1 - p) / var(p) * (t[n-1] / t[G-1])^2),        t[k]: the 97.5 % point of Student's t,

    var(p) being the ratio estimator's variance between replicas. One trial per replica is plain
    Clopper-Pearson. Where p is 0 or 1 the replicas show no variance and n* = n. A single replica has Wilson's
    interval of its own trials, as a printed proportion has: it says nothing about another training, and n = 1
    beside it says so.

    Args:
        successes, trials: per replica.
    """
    x, m = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    groups, n, p = len(m), float(m.sum()), float(x.sum() / m.sum())
    if groups == 1:
        return Measured(p, *wilson(int(x[0]), int(n)), groups)
    effective = n
    if m.max() > 1 and 0 < p < 1:
        variance = groups / (groups - 1) * float(((x - p * m) ** 2).sum()) / n**2
        if variance > 0:
            small = stats.t.ppf((1 + LEVEL) / 2, n - 1) / stats.t.ppf((1 + LEVEL) / 2, groups - 1)
            effective = min(n, p * (1 - p) / variance * float(small) ** 2)
    low, high = clopper_pearson(p * effective, effective)
    return Measured(p, low, high, groups)


def clopper_pearson(successes: float, trials: float) -> tuple[float, float]:
    """The exact binomial interval through its beta quantiles, which also take counts that are not whole."""
    tail = (1 - LEVEL) / 2
    failures = trials - successes
    low = 0.0 if successes <= 0 else float(stats.beta.ppf(tail, successes, failures + 1))
    high = 1.0 if failures <= 0 else float(stats.beta.ppf(1 - tail, successes + 1, failures))
    return low, high


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's score interval: the uncertainty of one proportion, ours or a published one, whose trials are known."""
    interval = stats.binomtest(successes, trials).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def mean(
    sums: Sequence[float],
    counts: Sequence[int],
    seed: int,
) -> Measured:
    """The mean over all items with a percentile bootstrap over replicas of the ratio sum / count.

    The percentile interval of few replicas is too short. Its level is therefore widened as Student's t widens
    the normal interval (the "expanded percentile interval", Hesterberg 2015, The American Statistician
    69(4)): the tails are Phi(-sqrt(G / (G - 1)) t[G-1]). Replicas that are all equal give an interval of no
    width; a single replica gives none at all.

    Replicas that are the folds of one cross-validation are taken as they come. Their training sets overlap, so that
    the interval is too short for another sample of the data (:mod:`structgrad.repro.judging.significance` corrects for
    that where a claim is made beyond this sample); but it is wide enough for what a published cell is, the mean over
    other folds of the same rows, each of which is tested once there as here. docs/reproducibility.md has numbers.

    Args:
        sums, counts: per replica, over its items.
        seed: of the resampling, fixed by the cell.
    """
    total, items = float(np.sum(sums)), float(np.sum(counts))
    value = total / items
    if len(counts) < 2:
        return Measured(value, None, None, len(counts))
    low, high = _bootstrap(tuple(map(float, sums)), tuple(map(int, counts)), seed)
    return Measured(value, low, high, len(counts))


@lru_cache(maxsize=4096)
def _bootstrap(sums: tuple[float, ...], counts: tuple[int, ...], seed: int) -> tuple[float, float]:
    x, m = np.asarray(sums), np.asarray(counts, dtype=float)
    if np.ptp(x / m) == 0:
        return float(x[0] / m[0]), float(x[0] / m[0])
    resampled = stats.bootstrap(
        (x, m),
        lambda a, b, axis=-1: a.sum(axis=axis) / b.sum(axis=axis),
        n_resamples=RESAMPLES,
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=expanded_level(len(sums)),
        rng=np.random.default_rng(seed),
    )
    return float(resampled.confidence_interval.low), float(resampled.confidence_interval.high)
