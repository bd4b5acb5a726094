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
from math import comb, fsum, sqrt
from typing import Any

from structgrad.repro.intervals import Estimate, expanded_level


@dataclass(frozen=True)
class Selection:
    """What the selected trial of a resample scores: test ``values`` from the best validation down, with ``chances``."""

    values: tuple[float, ...]
    chances: tuple[float, ...]

    @classmethod
    def of(cls, trials: Sequence[tuple[float, float]]) -> Selection:
        """The distribution over resamples of the trials, given as (validation, test) pairs."""
        n = len(trials)
        ordered = sorted(trials, key=lambda trial: -trial[0])  # stable: of equal ones the first
        chances = (((n - k) ** n - (n - k - 1) ** n) / n**n for k in range(n))  # integers: exact up to the division
        return cls(tuple(test for _, test in ordered), tuple(chances))

    @property
    def mean(self) -> float:
        """The expected value."""
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

    def estimate(self) -> Estimate:
        """Mean and deviation with the percentile interval at the level that few trials need
        (:func:`structgrad.repro.intervals.expanded_level`); a single trial gives none.
        """
        n = len(self.values)
        low, high = self.interval(expanded_level(n)) if n > 1 else (None, None)
        return Estimate(self.mean, low, high, n, self.deviation)

    def _chance(self, where: Callable[[float], bool]) -> float:
        return fsum(p for v, p in zip(self.values, self.chances, strict=True) if where(v))


def not_above(first: Selection, second: Selection) -> float:
    """p of "what the first search selects is not above what the second selects", the searches being independent.

    Over the resamples of both; but n and m trials can be told apart with no less than 1 / C(n + m, n), the share of
    one split among all splits of the n + m that could have been the two searches (a permutation test's floor).
    """
    chance = fsum(
        p * q
        for v, p in zip(first.values, first.chances, strict=True)
        for w, q in zip(second.values, second.chances, strict=True)
        if v <= w
    )
    n, m = len(first.values), len(second.values)
    return max(min(chance, 1.0), 1 / comb(n + m, n))


def selected(results: Sequence[Mapping[str, Any]]) -> int:
    """The place of the trial with the best validation, of equal ones the first."""
    return max(range(len(results)), key=lambda place: results[place]["final"]["validation"])
