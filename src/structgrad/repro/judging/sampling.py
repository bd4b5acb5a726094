"""What our replicas of a cell report, pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import fsum, sqrt

import numpy as np

from structgrad.experiments import Metric
from structgrad.repro.judging.effective import Pooled
from structgrad.training.results import Mean, Proportion, Report

PARTITIONS = 3  # from so many on the spread between partitions counts, not that of the folds


@dataclass(frozen=True)
class Sampling:
    """Our replicas of a cell, in the record's unit.

    Attributes:
        pooled: their value and the variance of it.
        deviation: of single items, the population's; None where a metric has none (its items are replicas).
        between: of replicas.
        fold_ratio: the measured ratio of the deviation that the mean over a partition's folds has from partition to
            partition, to what those folds suggest.
    """

    pooled: Pooled
    deviation: float | None = None
    between: float | None = None
    fold_ratio: float = 1.0

    @classmethod
    def of(cls, reports: Sequence[Report], metric: Metric, folds: int = 0, fold_ratio: float = 1.0) -> Sampling:
        """From what each replica reports: one at least.

        Args:
            reports: in the order of the replicas.
            metric: what they report.
            folds: how many replicas in a row are the folds of one partition of the data; 0 where they are independent.
            fold_ratio: the measured one of the arm; ours need it where fewer than :data:`PARTITIONS` were run.
        """
        pairs = [report.parts for report in reports]
        pooled = Pooled.of([top for top, _ in pairs], [bottom for _, bottom in pairs])
        if folds and len(reports) >= PARTITIONS * folds:
            pooled = replace(between_partitions(pairs, folds), items=pooled.items)
        elif folds and len(reports) > 1:
            pooled = replace(pooled, variance=pooled.variance * fold_ratio**2)
        between = float(np.std([top / bottom for top, bottom in pairs]))
        deviation = None if metric.spread == "replicas" else _deviation(reports, pooled)
        return cls(pooled, deviation, between, fold_ratio)

    @property
    def design_effect(self) -> float:
        """How many items count as one; at least 1."""
        if not self.deviation or self.pooled.replicas < 2 or self.pooled.items == self.pooled.replicas:
            return 1.0
        return max(1.0, self.pooled.variance * self.pooled.items / self.deviation**2)


def between_partitions(pairs: Sequence[tuple[float, int]], folds: int) -> Pooled:
    """The value over whole partitions, each of which counts as one, with the variance between them."""
    return Pooled.of([part.value for part in partitions(pairs, folds)], [1.0] * (len(pairs) // folds))


def partitions(pairs: Sequence[tuple[float, int]], folds: int) -> list[Pooled]:
    """Each whole partition's value over its folds, with the variance that these suggest."""
    starts = range(0, len(pairs) // folds * folds, folds)
    return [Pooled.of(*zip(*pairs[start : start + folds], strict=True)) for start in starts]


def _deviation(reports: Sequence[Report], pooled: Pooled) -> float:
    shares = [report for report in reports if isinstance(report, Proportion)]
    if shares:
        return sqrt(pooled.value * (1 - pooled.value))
    squares = fsum(report.sum_squares for report in reports if isinstance(report, Mean))
    return sqrt(max(0.0, squares / pooled.items - pooled.value**2))
