"""Gumbel-Sinkhorn: Sinkhorn's relaxation of a matching at Gumbel-perturbed scores (Mena et al. 2018)."""

from __future__ import annotations

from structgrad.layers.base import Scale
from structgrad.layers.relaxed import Relaxed
from structgrad.layers.stochastic_softmax import StochasticSoftmax
from structgrad.polytopes.matching import Matching
from structgrad.regularizers.sinkhorn import SinkhornEntropy


class GumbelSinkhorn(StochasticSoftmax):
    """``P = Sinkhorn((theta + Z) / t)`` with standard (not centred) Gumbel noise; the perturbed matching in ``eval()``.

    Args:
        n: size of the matching.
        temperature: t > 0.
        rounds: Sinkhorn rounds.
        samples: draws per item, in a dimension before the last two; None: one draw, no such dimension.
    """

    def __init__(self, n: int, temperature: Scale = 1.0, rounds: int = 20, samples: int | None = None) -> None:
        super().__init__(Relaxed(Matching(n), SinkhornEntropy(rounds), temperature), samples=samples)
        self._n, self._rounds = n, rounds

    @property
    def temperature(self) -> Scale:
        """Of the relaxation."""
        return self.relaxed.temperature
