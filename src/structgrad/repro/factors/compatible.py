"""Which combinations of levels a whole printed column is compatible with, by likelihood.

A combination is **compatible** where a column as far from it as the printed one, or farther, has p of at least 5 %
(:mod:`structgrad.repro.factors.distance`); where none is, the answer is "none of these". What was not trained is
predicted by the additive model, within what the metric can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from structgrad.repro.factors.declared import Combination
from structgrad.repro.factors.designs import columns
from structgrad.repro.factors.distance import LEAST, compare
from structgrad.repro.factors.effects import lack_of_fit, leverage
from structgrad.repro.factors.responses import Responses
from structgrad.repro.judging.published import Published


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
    every = list(responses.study.combinations())
    trained = {combination: place for place, combination in enumerate(responses.combinations)}
    predicted, lack = _predicted(responses, every), lack_of_fit(responses)
    compared = []
    for place, combination in enumerate(every):
        if combination in trained:
            compared.append(compare(responses, combination, responses.values[trained[combination]], printed))
        else:
            wide = lack.wider(1 + leverage(responses, combination))
            compared.append(compare(responses, combination, predicted[place], printed, wide))
    likelihoods = np.array([beside.likelihood for beside in compared])
    shares = np.exp(likelihoods - likelihoods.max())
    shares /= shares.sum()
    return [
        Candidate(every[n], every[n] in trained, compared[n].cells, compared[n].p, float(shares[n]))
        for n in np.argsort(-likelihoods, kind="stable")
    ]


def _predicted(responses: Responses, every: Sequence[Combination]) -> np.ndarray:
    """What the additive model says of each combination, ``(combinations, cells, replicas)``, within the bounds."""
    limits = np.array([np.array(place.metric.bounds) * place.metric.factor for place in responses.places])
    low, high = np.sort(limits, 1).T[:, None, :, None]
    return np.clip(np.einsum("np,pcr->ncr", columns(responses.study, every), responses.coefficients), low, high)
