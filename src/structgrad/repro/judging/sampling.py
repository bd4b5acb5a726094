"""What our replicas of a cell report, pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from structgrad.experiments import Metric
from structgrad.repro.judging.effective import Pooled
from structgrad.training.results import Mean, Proportion, Report


@dataclass(frozen=True)
class Sampling:
    """Our replicas of a cell, in the record's unit.

    Attributes:
        pooled: their value and the variance of it.
        deviation: of single items, the population's; None where a metric has none (its items are replicas).
        between: of replicas.
    """

    pooled: Pooled
    deviation: float | None = None
    between: float | None = None

    @classmethod
    def of(cls, reports: Sequence[Report], metric: Metric) -> Sampling:
        """From what each replica reports: one at least."""
        pairs = [report.parts for report in reports]
        pooled = Pooled.of([top for top, _ in pairs], [bottom for _, bottom in pairs])
        between = float(np.std([top / bottom for top, bottom in pairs]))
        if metric.spread == "replicas":
            return cls(pooled, None, between)
        return cls(pooled, _deviation(reports, pooled), between)

    @property
    def design_effect(self) -> float:
        """How many items count as one; at least 1."""
        if not self.deviation or self.pooled.replicas < 2:
            return 1.0
        return max(1.0, self.pooled.variance * self.pooled.items / self.deviation**2)


def _deviation(reports: Sequence[Report], pooled: Pooled) -> float:
    shares = [report for report in reports if isinstance(report, Proportion)]
    if shares:
        return sqrt(pooled.value * (1 - pooled.value))
    squares = sum(report.sum_squares for report in reports if isinstance(report, Mean))
    return sqrt(max(0.0, squares / pooled.items - pooled.value**2))
