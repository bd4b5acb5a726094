"""What the bespoke relaxations of a k-subset have in common: Gumbel noise, masks, the top k at evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from structgrad.arguments import count, kind
from structgrad.described import Described
from structgrad.finite import in_range
from structgrad.layers._draws import noise_for
from structgrad.layers.base import Scale, fitted, hold
from structgrad.noise import Generators, Gumbel
from structgrad.polytopes.subset import Subset
from structgrad.transforms import opaque


class SubsetSampler(Described, nn.Module, ABC):
    """A soft k-subset of scores ``(..., n)`` under standard (not centred) Gumbel noise.

    In ``train()`` mode soft and differentiable; in ``eval()`` mode the indicator of k coordinates, without gradient:
    the top k of the scores with one Gumbel each, or, without a generator, of the scores themselves.

    Args:
        k: how many to choose.
        temperature: t > 0; a tensor holds one per item and broadcasts to the leading dimensions.

    Raises:
        ValueError: an argument out of its range; when called, bad scores, a mask that leaves fewer than k, no generator
            in training, or generators that do not fit.
    """

    temperature: Scale

    def __init__(self, k: int, temperature: Scale = 1.0) -> None:
        super().__init__()
        self.k = count(k, "k")
        hold(self, "temperature", temperature)
        self.noise = Gumbel(centred=False)

    @opaque
    def forward(self, theta: Tensor, generator: Generators | None = None, mask: Tensor | None = None) -> Tensor:
        """The sampled subsets at scores ``(..., n)``, same shape; zero where ``mask`` is False."""
        kind(theta, "theta", Tensor, "a tensor (torch.as_tensor makes one)")
        if theta.dim() < 1 or theta.shape[-1] < self.k:
            raise ValueError(f"theta of shape {tuple(theta.shape)} has no {self.k} coordinates")
        subset = Subset(theta.shape[-1], self.k)
        subset._check(theta)
        mask = subset._check_mask(theta, mask)
        if self.training:
            scores = theta.double() if mask is None else theta.double().masked_fill(~mask, 0.0)
            temperature = fitted(self.temperature, "temperature", theta, 1)
            z = noise_for(self.noise, theta, 1, self._draws, generator).double()
            return self._soft(scores, z, temperature, mask).to(theta.dtype)
        utilities = theta.double()
        if generator is not None:
            utilities = self.noise.utilities(utilities, noise_for(self.noise, theta, 1, None, generator).double())
        return subset.argmax(utilities, mask).to(theta.dtype)

    _draws: int | None = None  # Gumbel vectors that a soft sample takes; None: one, without a dimension

    @abstractmethod
    def _soft(self, theta: Tensor, z: Tensor, temperature: Scale, mask: Tensor | None) -> Tensor:
        """The soft subset of scores ``(..., n)`` and noise ``(..., [draws,] n)``, float64; zero out of the mask."""


def logits_of(scores: Tensor, temperature: Scale, mask: Tensor | None) -> Tensor:
    """``scores / t``, -inf out of the mask, which stops derivatives there.

    Raises:
        ValueError: a quotient beyond float64.
    """
    logits = in_range(scores / temperature, "scores over the temperature", scores)
    return logits if mask is None else logits.masked_fill(~mask, -torch.inf)
