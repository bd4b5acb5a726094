"""Distributions over k-subsets of a review's words: every relaxation of Table 3, from the library."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from structgrad.layers.l2x import L2X
from structgrad.layers.relaxed import Relaxed
from structgrad.layers.soft_sub import SoftSub
from structgrad.layers.stochastic_softmax import StochasticSoftmax
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.correlated_subset import CorrelatedSubset
from structgrad.polytopes.subset import Subset
from structgrad.regularizers.base import Regularizer
from structgrad.regularizers.binary import BinaryEntropy
from structgrad.regularizers.categorical import CategoricalEntropy
from structgrad.regularizers.euclidean import Euclidean
from structgrad.regularizers.exponential import ExponentialEntropy
from structgrad.training.trial import finite

Relaxation = Literal["l2x", "soft_sub", "euclidean", "categorical", "binary", "exponential", "correlated"]

REGULARIZERS: dict[str, Regularizer] = {
    "euclidean": Euclidean(),
    "categorical": CategoricalEntropy(),
    "binary": BinaryEntropy(),
    "exponential": ExponentialEntropy(),
}


class Sampler:
    """Samples k-subsets at scores of words ``(B, n)``: relaxed at a temperature in training, hard at evaluation.

    ``correlated`` has scores of pairs of neighbours ``(B, n - 1)``, too; they get no noise (paulus, section 6).
    ``difference`` is the step of a finite difference in place of the exact derivative of what ``exponential`` and
    ``correlated`` maximise (paulus, appendix D).
    """

    def __init__(self, relaxation: Relaxation, k: int, temperature: float, difference: float | None = None) -> None:
        self.relaxation, self.k, self.temperature, self.difference = relaxation, k, temperature, difference

    def __call__(
        self, words: Tensor, pairs: Tensor | None, allowed: Tensor, generator: torch.Generator | None, soft: bool
    ) -> Tensor:
        """Subsets ``(B, n)``, zero where not ``allowed``; without a generator the mode.

        Raises:
            DivergedError: a score is infinite or NaN.
        """
        n, theta, mask = words.shape[-1], finite(words, "a score of a word"), allowed
        if pairs is not None:
            theta = torch.cat([theta, finite(pairs, "a score of a pair")], -1)
            mask = torch.cat([allowed, allowed[:, 1:] & allowed[:, :-1]], -1)
        if generator is None:
            return polytope(self.relaxation, n, self.k).argmax(theta, mask)[:, :n]
        layer = _layer(self.relaxation, n, self.k, self.temperature, self.difference).train(soft)
        return layer(theta, generator, mask)[:, :n]


@lru_cache(maxsize=1024)
def polytope(relaxation: Relaxation, n: int, k: int) -> Polytope:
    """What a relaxation chooses from: subsets, or those of a chain."""
    return CorrelatedSubset(n, k) if relaxation == "correlated" else Subset(n, k)


@lru_cache(maxsize=1024)
def _layer(relaxation: Relaxation, n: int, k: int, temperature: float, difference: float | None) -> torch.nn.Module:
    if relaxation == "l2x":
        return L2X(k, temperature)
    if relaxation == "soft_sub":
        return SoftSub(k, temperature)
    over = polytope(relaxation, n, k)
    if isinstance(over, CorrelatedSubset):
        relaxed = Relaxed(over, ExponentialEntropy(), temperature, difference)
        return StochasticSoftmax(relaxed, noisy=over.unaries)
    step = difference if relaxation == "exponential" else None
    return StochasticSoftmax(Relaxed(over, REGULARIZERS[relaxation], temperature, step))
