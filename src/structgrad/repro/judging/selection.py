"""What a random search gives: the trial that validates best, and how that varies between searches (paulus, section 7).

The paper resamples the N trials with replacement, selects the best of each resample by its validation and takes what
that one scores on the test data: "bootstrap standard errors over the model selection process". No random numbers are
needed for that. With the trials ordered by validation, best first (of equal ones the first trial), the k-th is the best
of a resample where none of the k - 1 before it is drawn but not all are from those after it, which has the chance

    ((N - k + 1)^N - (N - k)^N) / N^N.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, fsum, sqrt
from typing import Any, NamedTuple

import numpy as np

from structgrad.repro.judging.intervals import RESAMPLES, Measured, expanded_level
from structgrad.repro.judging.significance import ROUNDING


class ScoredTrial(NamedTuple):
    """What one trial of a search scored: trials are selected by ``validation``, and ``test`` is what is reported."""

    validation: float
    test: float


def chances(trials: int) -> tuple[float, ...]:
    """That the k-th best of so many is the best of a resample, from k = 1 on: integers up to the division."""
    return tuple(((trials - k) ** trials - (trials - k - 1) ** trials) / trials**trials for k in range(trials))


@dataclass(frozen=True)
class Selection:
    """What the selected trial of a resample scores: test ``values`` from the best validation down, with ``chances``."""

    values: tuple[float, ...]
    chances: tuple[float, ...]

    @classmethod
    def of(cls, trials: Sequence[ScoredTrial]) -> Selection:
        """The distribution over resamples of the trials."""
        ordered = sorted(trials, key=lambda trial: -trial.validation)  # stable: of equal ones the first
        return cls(tuple(trial.test for trial in ordered), chances(len(trials)))

    @property
    def mean(self) -> float:
        """The expected test value of what a resample selects."""
        return fsum(v * p for v, p in zip(self.values, self.chances, strict=True))

    @property
    def deviation(self) -> float:
        """The standard deviation: what the paper prints as "+-"."""
        mean = self.mean
        return sqrt(fsum((v - mean) ** 2 * p for v, p in zip(self.values, self.chances, strict=True)))

    def interval(self, level: float) -> tuple[float, float]:
        """The ends that leave out no more than ``(1 - level) / 2`` on either side."""
        tail = (1 - level) / 2
        return (
            min(v for v in self.values if self._chance(v.__ge__) > tail),
            max(v for v in self.values if self._chance(v.__le__) > tail),
        )

    def estimate(self) -> Measured:
        """Mean and deviation with the percentile interval at the level that few trials need
        (:func:`structgrad.repro.judging.intervals.expanded_level`), and the mean within it where nearly all resamples
        select trials of one value; a single trial gives none.
        """
        n, mean = len(self.values), self.mean
        if n == 1:
            return Measured(mean, None, None, 1)
        low, high = self.interval(expanded_level(n))
        return Measured(mean, min(low, mean), max(high, mean), n, self.deviation)

    def _chance(self, where: Callable[[float], bool]) -> float:
        return fsum(p for v, p in zip(self.values, self.chances, strict=True) if where(v))


def exchanged(first: Sequence[ScoredTrial], second: Sequence[ScoredTrial], seed: int) -> tuple[float, float]:
    """p of "the first search selects nothing better than the second", and of the contrary.

    A permutation test: if both searches draw their trials from one distribution, any n of the n + m trials could have
    been the first's. Its statistic is the lead of what a resample selects on average (:attr:`Selection.mean`). All
    splits where they are no more than :data:`RESAMPLES`, else as many at random and the observed one.

    The share of resamples of both in which the first is not ahead would be no such p: between equal searches it lies
    below 0.05 in 8 to 20 of a hundred cases (measured), since no resample knows a better trial than the best one run.
    """
    n, m = len(first), len(second)
    if comb(n + m, n) <= RESAMPLES:
        splits = np.asarray([np.isin(range(n + m), chosen) for chosen in combinations(range(n + m), n)])
    else:
        observed = np.arange(n + m) < n
        drawn = np.random.default_rng(seed).permuted(np.tile(observed, (RESAMPLES, 1)), axis=1)
        splits = np.vstack([observed, drawn])
    trials = np.asarray([*first, *second])
    order = np.argsort(-trials[:, 0], kind="stable")
    lead = _means(splits[:, order], trials[order, 1]) - _means(~splits[:, order], trials[order, 1])
    slack = ROUNDING * np.abs(trials[:, 1]).max()
    return float((lead >= lead[0] - slack).mean()), float((lead <= lead[0] + slack).mean())


def _means(chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
    """:attr:`Selection.mean` of the trials that each row chooses, all ordered by validation."""
    places = np.cumsum(chosen, axis=1) - 1
    return (np.asarray(chances(int(chosen[0].sum())))[places] * chosen) @ values


def selected(results: Sequence[Mapping[str, Any]]) -> int:
    """The place of the trial with the best validation, of equal ones the first."""
    return max(range(len(results)), key=lambda place: results[place]["final"]["validation"])
