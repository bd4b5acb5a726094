"""Which factor moves which cell by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot, sqrt

import numpy as np

from structgrad.repro.factors.declared import Combination
from structgrad.repro.factors.designs import columns
from structgrad.repro.factors.responses import Place, Responses
from structgrad.repro.judging.effective import student


@dataclass(frozen=True)
class Effect:
    """A level against the first one of its factor, in one cell: in its unit, with a 95 % interval."""

    factor: str
    level: str
    place: Place
    value: float
    low: float
    high: float

    @property
    def moves(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Lack:
    """How far combinations lie from the additive model.

    Attributes:
        covariance: their mean square about it, ``(cells, cells)``; what factors do together, and what is left of the
            replicas' noise.
        free: its degrees of freedom.
    """

    covariance: np.ndarray
    free: int

    def of(self, cells: Sequence[int]) -> Lack:
        """Of some cells."""
        return replace(self, covariance=self.covariance[np.ix_(cells, cells)])

    def wider(self, times: float) -> Lack:
        """With so many times the variance."""
        return replace(self, covariance=self.covariance * times)


def effects(responses: Responses) -> list[Effect]:
    """The main effect of every level but the first, in every cell: over all combinations of the other factors.

    Each replica's combinations are fitted by the additive model; what differs between replicas is noise that their
    seeds share over all combinations, hence Student's interval over the replicas' own effects. Of a fraction X of all
    combinations A, what factors do together is in them by chance: the interval has its share of the lack of fit, too,

        half^2 = (t s / sqrt(R))^2 + t_nu^2 E ((X'X)^-1 - (A'A)^-1).
    """
    found, row = [], 1
    lack, every = lack_of_fit(responses), columns(responses.study, list(responses.study.combinations()))
    inverses = [np.linalg.pinv(matrix.T @ matrix) for matrix in (responses.matrix, every)]
    chance = np.diag(inverses[0] - inverses[1]).clip(0)  # none where all combinations are trained
    for factor in responses.study.factors:
        for level in list(factor.levels)[1:]:
            for cell, place in enumerate(responses.places):
                own = responses.coefficients[row, cell]
                middle = float(own.mean())
                half = student(len(own)) * float(own.std(ddof=1)) / sqrt(len(own)) * responses.ratio
                if chance[row] and lack.free:
                    half = hypot(half, student(lack.free + 1) * sqrt(lack.covariance[cell, cell] * chance[row]))
                found.append(Effect(factor.name, level, place, middle, middle - half, middle + half))
            row += 1
    return found


def lack_of_fit(responses: Responses) -> Lack:
    """How far the combinations' means lie from the additive model; nothing where there are no more than it has
    columns.
    """
    count, model = responses.matrix.shape
    cells, free = responses.values.shape[1], count - model
    if free <= 0:
        return Lack(np.zeros((cells, cells)), 0)
    residuals = responses.values - np.einsum("kp,pcr->kcr", responses.matrix, responses.coefficients)
    means = residuals.mean(2)
    return Lack(means.T @ means / free, free)


def leverage(responses: Responses, combination: Combination) -> float:
    """``h = x' (X'X)^-1 x``: the variance of a prediction about the additive model, of the combinations' own."""
    row = columns(responses.study, [combination])[0]
    return float(row @ np.linalg.pinv(responses.matrix.T @ responses.matrix) @ row)
