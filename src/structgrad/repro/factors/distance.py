"""How far a combination's cells lie from the printed ones, and how often they would by chance.

With ``d`` print minus ours in the cells of one setting, which depend on each other (the same trainings), where settings
do not:

    V = S / R + T / N + (1 + h) E + rounding^2 / 3,        Q = sum over settings of d' V^-1 d.

S is the covariance of our R replicas, T that of single replicas by the printed metric, of which the print has N; both
carry the measured ratio between partitions and folds where replicas are folds. T is the combination's own where it was
trained and replicas are folds. Of trainings one in many may fail though none of these did, so there, as where nothing
was trained, it is pooled over all combinations, the nearer the more. E is the mean square about the additive model on
nu degrees of freedom and h the leverage, for a combination that was not trained itself. Replicas that all agree say no
more than that another one may not: a bounded cell's variance is then that of one more item, half of which is otherwise.

S, T and E are estimates from few, so that Q is not chi-squared. **p** is how often it is exceeded by a d that is drawn
as if the combination were the true one: the sum of a Student's d for S and T (R - 1 degrees of freedom) and one for E
(nu), in as many dimensions as the setting has cells, and the rounding. With S alone and one setting that is Hotelling's
T^2; of several sources it is the solution of Behrens and Fisher, which errs on the side of too large a p. What factors
do together is alike from setting to setting, in no known way: p of a prediction is the smallest of its settings, times
their number (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from scipy import stats

from structgrad.repro.factors.declared import Combination
from structgrad.repro.factors.effects import Lack
from structgrad.repro.factors.responses import Place, Responses
from structgrad.repro.judging.published import Published

LEAST = 0.05  # p of a combination that is compatible
DRAWS = 10_000  # draws; p is then within .004 near LEAST, in 19 cases of 20
TINY = 1e-12
SLIGHT = 1e-9  # what makes a covariance definite whose cells move as one


@dataclass(frozen=True)
class Comparison:
    """A combination beside the printed column.

    Attributes:
        cells: its cells that have a printed number.
        settings: the settings that have any.
        distances: of each of these, its part of Q.
        drawn: the same of what is drawn, ``(DRAWS, settings)``.
        likelihood: the log of the column's, by Student's distribution.
        predicted: whether the combination was not trained itself.
    """

    cells: tuple[float, ...]
    settings: tuple[str, ...]
    distances: np.ndarray
    drawn: np.ndarray
    likelihood: float
    predicted: bool

    @property
    def p(self) -> float:
        """Of a column as far from the combination or farther."""
        return self._p(range(len(self.settings)))

    @property
    def p_of_settings(self) -> dict[str, float]:
        """The same of each setting alone."""
        return {setting: self._p([place]) for place, setting in enumerate(self.settings)}

    def p_without(self, settings: Collection[str]) -> float:
        """The same where some settings are left out; 1 where none is left."""
        return self._p([place for place, setting in enumerate(self.settings) if setting not in settings])

    def _p(self, places: Sequence[int]) -> float:
        if not places:
            return 1.0
        if self.predicted and len(places) > 1:
            return min(1.0, len(places) * min(self._p([place]) for place in places))
        farther = self.drawn[:, places].sum(1) >= self.distances[places].sum()
        return (1 + int(farther.sum())) / (1 + len(farther))


def compare(
    responses: Responses,
    combination: Combination,
    values: np.ndarray,
    printed: Sequence[Published | None],
    lack: Lack | None = None,
) -> Comparison:
    """Set a combination's ``(cells, replicas)`` beside the printed column.

    Args:
        responses: what was trained.
        combination: whose values these are.
        values: trained or predicted.
        printed: beside each cell; cells without a printed number are left out.
        lack: how wrong the prediction may be; None where the combination was trained.
    """
    study, rng = responses.study, np.random.default_rng(0)
    single = _single(responses, combination, pooled=lack is not None or not study.experiment.folds)
    settings, parts, drawn, likelihood = [], [], [], 0.0
    for place, setting in enumerate(study.settings):
        first = place * len(study.metrics)
        here = [n for n in range(first, first + len(study.metrics)) if printed[n] is not None]
        if not here:
            continue
        numbers = [number for n in here if (number := printed[n]) is not None]
        part = _Part.of(responses, values[here], single[np.ix_(here, here)], numbers, lack and lack.of(here))
        settings.append(setting)
        parts.append(part.distance)
        drawn.append(part.drawn(rng))
        likelihood += part.likelihood
    cells = values.mean(1)[[n for n, number in enumerate(printed) if number is not None]]
    return Comparison(tuple(cells), tuple(settings), np.array(parts), np.stack(drawn, 1), likelihood, lack is not None)


@dataclass(frozen=True)
class _Part:
    """One setting: its d, what the covariances S / R, T / N and (1 + h) E are, and the print's rounding."""

    apart: np.ndarray
    replicas: int
    ours: np.ndarray
    theirs: np.ndarray
    lack: Lack | None
    rounding: np.ndarray

    @classmethod
    def of(
        cls,
        responses: Responses,
        values: np.ndarray,
        single: np.ndarray,
        numbers: Sequence[Published],
        lack: Lack | None,
    ) -> _Part:
        replicas, count = values.shape[1], responses.study.experiment.published_replicas
        agree = np.allclose(values, values[:, :1])
        ours = np.diag(np.diag(single)) if agree else np.atleast_2d(np.cov(values))
        theirs = single / count if count else np.zeros_like(single)
        return cls(
            np.array([number.value for number in numbers]) - values.mean(1),
            replicas,
            ours / replicas * responses.ratio**2,
            theirs * responses.ratio**2,
            lack,
            np.array([number.rounding for number in numbers]),
        )

    @property
    def variance(self) -> np.ndarray:
        """V."""
        known = self.ours + self.theirs + np.diag(self.rounding**2 / 3 + TINY)
        return known if self.lack is None else known + self.lack.covariance

    @property
    def distance(self) -> float:
        return float(self.apart @ np.linalg.solve(self.variance, self.apart))

    @property
    def likelihood(self) -> float:
        free = self.replicas - 1 if self.lack is None else min(self.replicas - 1, self.lack.free)
        shape: Any = self.variance  # whatever its annotation says
        return float(stats.multivariate_t.logpdf(self.apart, shape=shape, df=free))

    def drawn(self, rng: np.random.Generator) -> np.ndarray:
        """Q of the d that are drawn."""
        cells = len(self.apart)
        apart = self.rounding * rng.uniform(-1, 1, (DRAWS, cells))
        apart += _student(self.ours + self.theirs, self.replicas - 1, rng)
        if self.lack is not None:
            apart += _student(self.lack.covariance, self.lack.free, rng)
        return np.einsum("ni,ij,nj->n", apart, np.linalg.inv(self.variance), apart)


def _student(covariance: np.ndarray, free: int, rng: np.random.Generator) -> np.ndarray:
    """Normal ``(DRAWS, cells)`` whose covariance was estimated on so many degrees of freedom: the predictive
    distribution, ``t`` with ``free - cells + 1`` of them.

    The root is Cholesky's: unique, where another's signs would hang on the machine.
    """
    cells = len(covariance)
    root = np.linalg.cholesky(covariance + np.diag(SLIGHT * np.diag(covariance) + TINY))
    left = free - cells + 1
    scale = np.sqrt(free / rng.chisquare(left, (DRAWS, 1)))
    return rng.normal(size=(DRAWS, cells)) @ root.T * scale


def _single(responses: Responses, combination: Combination, pooled: bool) -> np.ndarray:
    """T: the combination's own, since some scatter ten times as much as others, or pooled over all of them."""
    places = np.asarray(responses.combinations)
    apart = (places != np.asarray(combination)).sum(1)
    weights = 0.25**apart if pooled else (apart == 0).astype(float)
    centred = responses.as_printed - responses.as_printed.mean(2, keepdims=True)
    each = np.einsum("kcr,kdr->kcd", centred, centred) / (centred.shape[2] - 1)
    mean = np.einsum("k,kcd->cd", weights / weights.sum(), each)
    return mean + np.diag(
        [_agreed(responses, place) if mean[n, n] <= TINY else 0.0 for n, place in enumerate(responses.places)]
    )


def _agreed(responses: Responses, place: Place) -> float:
    """The variance of one replica of a bounded cell in which all agree."""
    low, high = place.metric.bounds
    if not (isfinite(low) and isfinite(high)):
        return 0.0
    share = 0.5 / (responses.values.shape[2] + 1)
    return share * (1 - share) * ((high - low) * place.metric.factor) ** 2
