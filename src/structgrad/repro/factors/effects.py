"""Which factor moves which cell by how much."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from structgrad.repro.factors.responses import Place, Responses
from structgrad.repro.judging.effective import student


@dataclass(frozen=True)
class Effect:
    """A level against the first one of its factor, in one cell: in its unit, with a 95 % interval over replicas."""

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


def effects(responses: Responses) -> list[Effect]:
    """The main effect of every level but the first, in every cell.

    Each replica's combinations are fitted by the additive model; what differs between replicas is noise that their
    seeds share over all combinations, so the interval is Student's over the replicas' own effects. What two factors do
    together is spread over these where the design is a fraction.
    """
    found, row = [], 1
    for factor in responses.study.factors:
        for level in list(factor.levels)[1:]:
            for cell, place in enumerate(responses.places):
                own = responses.coefficients[row, cell]
                middle = float(own.mean())
                half = student(len(own)) * float(own.std(ddof=1)) / sqrt(len(own)) * responses.ratio
                found.append(Effect(factor.name, level, place, middle, middle - half, middle + half))
            row += 1
    return found


def lack_of_fit(responses: Responses) -> np.ndarray:
    """The variance of each cell's combinations about the additive model, beyond what replicas explain: what factors do
    together. Zero where there are no more combinations than columns.
    """
    count, columns = responses.matrix.shape
    free = count - columns
    if free <= 0:
        return np.zeros(responses.values.shape[1])
    residuals = responses.values - np.einsum("kp,pcr->kcr", responses.matrix, responses.coefficients)
    replicas = residuals.shape[2]
    whole = (residuals.mean(2) ** 2).sum(0) / free
    noise = residuals.var(2, ddof=1).sum(0) / free / replicas
    return np.maximum(0.0, whole - noise)
