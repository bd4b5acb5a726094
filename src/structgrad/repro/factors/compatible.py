"""Which combinations of levels a whole printed column is compatible with, by likelihood.

For a combination with predicted cells ``m`` and printed ones ``p``, with ``d = p - m``, cells of one setting depend on
each other (the same trainings) and settings do not:

    V = S t^2 / R + T / N + L + rounding^2 / 3,        chi^2 = sum over settings of d' V^-1 d.

S is the covariance of our R replicas' predictions (t: Student's over the normal's point), T that of single replicas by
the printed metric, of which the print has N, L the variance about the additive model, for what was not trained itself.
S and T carry the measured ratio between partitions and folds where replicas are folds. Replicas that all agree say no
more than that another one may not: a bounded cell's variance is then that of one more item, half of which is otherwise.

A combination is **compatible** where chi^2 is exceeded in at least 5 % of cases; where none is, the answer is "none of
these".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from scipy import stats

from structgrad.repro.factors.declared import Combination
from structgrad.repro.factors.designs import columns
from structgrad.repro.factors.effects import lack_of_fit
from structgrad.repro.factors.responses import Place, Responses
from structgrad.repro.judging.effective import NORMAL, student
from structgrad.repro.judging.published import Published

LEAST = 0.05  # p of a combination that is compatible
TINY = 1e-12


@dataclass(frozen=True)
class Candidate:
    """A combination beside the printed column.

    Attributes:
        combination: its levels.
        trained: whether it was trained itself, or is predicted from those that were.
        cells: its values, in the order of the study's cells.
        p: of a column as far from it or farther.
        share: of the likelihood of all combinations, if each was as likely before.
    """

    combination: Combination
    trained: bool
    cells: tuple[float, ...]
    p: float
    share: float

    @property
    def is_compatible(self) -> bool:
        """Whether the printed column could be its."""
        return self.p >= LEAST


def candidates(responses: Responses, printed: Sequence[Published | None]) -> list[Candidate]:
    """Every combination of the study's levels, the likeliest first.

    Args:
        responses: what was trained.
        printed: beside each cell; cells without a printed number are left out.
    """
    study = responses.study
    every = list(study.combinations())
    trained = {combination: place for place, combination in enumerate(responses.combinations)}
    predicted = np.einsum("np,pcr->ncr", columns(study, every), responses.coefficients)
    lack = lack_of_fit(responses)
    scored = []
    for place, combination in enumerate(every):
        own = combination in trained
        values = responses.values[trained[combination]] if own else predicted[place]
        beside = compare(responses, combination, values, np.zeros_like(lack) if own else lack, printed)
        scored.append((beside.likelihood, Candidate(combination, own, beside.cells, beside.p, 0.0)))
    likelihoods = np.array([score for score, _ in scored])
    shares = np.exp(likelihoods - likelihoods.max())
    shares /= shares.sum()
    order = np.argsort(-likelihoods, kind="stable")
    return [Candidate(c.combination, c.trained, c.cells, c.p, float(shares[n])) for n in order for c in [scored[n][1]]]


@dataclass(frozen=True)
class Comparison:
    """A combination's cells that have a printed number, p of a column as far or farther, and the log of the likelihood
    but for a constant.
    """

    cells: tuple[float, ...]
    p: float
    likelihood: float


def compare(
    responses: Responses,
    combination: Combination,
    values: np.ndarray,
    lack: np.ndarray,
    printed: Sequence[Published | None],
) -> Comparison:
    """Set a combination's ``(cells, replicas)`` beside the printed column.

    ``lack`` is what each cell's variance gains where the values are predicted.
    """
    study, beside = responses.study, np.array([number is not None for number in printed])
    target = np.array([number.value for number in printed if number is not None])
    rounding = np.array([number.rounding for number in printed if number is not None])
    settings = np.repeat(np.arange(len(study.settings)), len(study.metrics))[beside]
    values, lack, single = values[beside], lack[beside], _single(responses, combination)[np.ix_(beside, beside)]
    chi, logs = 0.0, 0.0
    for setting in np.unique(settings):
        here = settings == setting
        spread = _spread(responses, values[here], single[np.ix_(here, here)])
        spread += np.diag(lack[here] + rounding[here] ** 2 / 3 + TINY)
        apart = target[here] - values[here].mean(1)
        chi += float(apart @ np.linalg.solve(spread, apart))
        logs += float(np.linalg.slogdet(spread)[1])
    return Comparison(tuple(values.mean(1)), float(stats.chi2.sf(chi, len(target))), -(chi + logs) / 2)


def _spread(responses: Responses, values: np.ndarray, single: np.ndarray) -> np.ndarray:
    """The covariance of print minus ours of one setting's cells, by replicas alone."""
    replicas, experiment = values.shape[1], responses.study.experiment
    widened = (student(replicas) / NORMAL) ** 2 / replicas
    ours = np.diag(np.diag(single)) if np.allclose(values, values[:, :1]) else np.atleast_2d(np.cov(values))
    ours = ours * widened
    theirs = single / experiment.published_replicas if experiment.published_replicas else 0.0
    return (ours + theirs) * responses.ratio**2


def _single(responses: Responses, combination: Combination) -> np.ndarray:
    """Covariance of one replica's printed cells ``(cells, cells)``; the nearer a combination, the more it tells."""
    places = np.asarray(responses.combinations)
    weights = 0.25 ** (places != np.asarray(combination)).sum(1)
    centred = responses.as_printed - responses.as_printed.mean(2, keepdims=True)
    each = np.einsum("kcr,kdr->kcd", centred, centred) / (centred.shape[2] - 1)
    pooled = np.einsum("k,kcd->cd", weights / weights.sum(), each)
    return pooled + np.diag(
        [_agreed(responses, place) if pooled[n, n] <= TINY else 0.0 for n, place in enumerate(responses.places)]
    )


def _agreed(responses: Responses, place: Place) -> float:
    """The variance of one replica of a bounded cell in which all agree."""
    low, high = place.metric.bounds
    if not (isfinite(low) and isfinite(high)):
        return 0.0
    share = 0.5 / (responses.values.shape[2] + 1)
    return share * (1 - share) * ((high - low) * place.metric.factor) ** 2
