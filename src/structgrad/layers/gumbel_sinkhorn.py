"""Gumbel-Sinkhorn: Sinkhorn's relaxation of a matching at Gumbel-perturbed scores (Mena et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from structgrad.layers.relaxed import Relaxed
from structgrad.noise import Gumbel
from structgrad.polytopes.matching import Matching
from structgrad.regularizers import SinkhornEntropy


class GumbelSinkhorn:
    """``P = Sinkhorn((mu + gamma) / t)`` with standard (not centred) Gumbel noise.

    Args:
        n: size of the matching.
        temperature: t > 0.
        rounds: Sinkhorn rounds.
    """

    def __init__(self, n: int, temperature: float = 1.0, rounds: int = 20) -> None:
        self.noise = Gumbel(centred=False)
        self.relaxed = Relaxed(Matching(n), SinkhornEntropy(rounds), temperature)

    def __call__(self, mu: Tensor, gamma: Tensor) -> Tensor:
        """The soft matchings at scores ``mu`` perturbed by ``gamma`` (broadcast together), ``(..., n, n)``."""
        return self.relaxed(mu + gamma)
