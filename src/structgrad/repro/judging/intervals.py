"""What a cell holds of ours: a value over replicas with its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

from scipy import stats

from structgrad.repro.judging.effective import LEVEL

RESAMPLES = 10_000


@dataclass(frozen=True)
class Measured:
    """A value over ``n`` replicas with its 95 % interval; ``low`` and ``high`` are None where none exists.

    ``spread`` is the population standard deviation that the paper prints as "+-", over individual items or over
    replicas (means only; None for one replica).
    """

    value: float
    low: float | None
    high: float | None
    n: int
    spread: float | None = None

    def scaled(self, factor: float) -> Measured:
        """The same in another unit."""
        scale = (None if x is None else x * factor for x in (self.low, self.high, self.spread))
        low, high, spread = scale
        return replace(self, value=self.value * factor, low=low, high=high, spread=spread)


def expanded_level(groups: int, level: float = LEVEL) -> float:
    """The level at which the bootstrap of ``groups`` replicas covers as Student's t does at ``level``."""
    reach = sqrt(groups / (groups - 1)) * stats.t.ppf((1 + level) / 2, groups - 1)
    return float(1 - 2 * stats.norm.sf(reach))
