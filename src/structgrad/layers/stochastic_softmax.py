"""The stochastic softmax trick: a relaxed argmax of random utilities, the argmax itself at evaluation (paulus)."""

from __future__ import annotations

from math import prod
from typing import Self

import numpy as np
import torch
from torch import Tensor

from structgrad.arguments import choice, count, kind
from structgrad.layers._draws import checked_noisy, drowned, noise_for
from structgrad.layers.base import Layer, over_event
from structgrad.layers.relaxed import Relaxed
from structgrad.noise import Generators, Gumbel, Noise
from structgrad.polytopes.base import Polytope
from structgrad.portable import wide
from structgrad.transforms import opaque

STANDARD_GUMBEL = Gumbel(centred=False)


class StochasticSoftmax(Layer):
    """``X = argmax_x <U, x>`` of utilities ``U(theta)``, softened in training: ``X_t = argmax_x <U, x> - t R(x)``.

    (paulus, Definitions 1 and 2.) In ``eval()`` mode the hard sample, a vertex without gradient; in ``train()`` mode
    the soft one, whose derivative is exact: the noise is reparameterised.

    Args:
        relaxed: the relaxation of a polytope, its regulariser and temperature t.
        noise: what makes utilities of scores.
        samples: draws per item, in a dimension before the event's; None: one draw, no such dimension.
        straight_through: in training too the value is hard, with the gradient of the soft one (Jang et al. 2017).
        noisy: the coordinates that get noise, boolean, of the event's shape (the unaries of a correlated subset); the
            others' utilities are their scores. None: all.

    Raises:
        ValueError: an argument out of its range; when called, bad scores or mask, or generators that do not fit.
    """

    def __init__(
        self,
        relaxed: Relaxed,
        noise: Noise = STANDARD_GUMBEL,
        samples: int | None = None,
        straight_through: bool = False,
        noisy: Tensor | None = None,
    ) -> None:
        super().__init__(kind(relaxed, "relaxed", Relaxed, "a Relaxed layer").polytope)
        self.relaxed = relaxed
        self.noise = kind(noise, "noise", Noise, "a noise")
        self.samples = None if samples is None else count(samples, "samples")
        self.straight_through = choice(straight_through, "straight_through")
        self.noisy: Tensor | None
        self.register_buffer("noisy", checked_noisy(noisy, relaxed.polytope), persistent=False)

    def over(self, polytope: Polytope) -> Self:
        other = super().over(polytope)
        other.relaxed = self.relaxed.over(polytope)
        return other

    @opaque
    def forward(self, theta: Tensor, generator: Generators | None = None, mask: Tensor | None = None) -> Tensor:
        """The sampled structures at scores ``(..., *event)``: ``(..., [samples,] *event)``."""
        self.polytope._check(theta)
        rank = len(self.polytope.event_shape)
        z = noise_for(self.noise, theta, rank, self.samples, generator)
        mask = self.polytope._check_mask(theta, mask)
        if mask is not None:
            mask = self._with_samples(mask)
        scores = wide(theta)
        structures = self._sampled(self._utilities(scores, z), mask)
        lost = drowned(self.noise, scores, rank)
        if lost is not None:
            structures = torch.where(
                self._with_samples(over_event(lost, rank)),
                self._sampled(self._utilities(scores.double(), z.double()), mask).to(structures.dtype),
                structures,
            )
        return structures.to(theta.dtype)

    def utilities(self, theta: Tensor, generator: Generators | None = None) -> Tensor:
        """``U``, ``(..., [samples,] *event)``, differentiable in ``theta``.

        In its dtype, or in float64 where that is narrower than float32 or too narrow to hold scores and noise.
        """
        self.polytope._check(theta)
        rank = len(self.polytope.event_shape)
        z = noise_for(self.noise, theta, rank, self.samples, generator)
        scores = wide(theta)
        if drowned(self.noise, scores, rank) is not None:
            scores, z = scores.double(), z.double()
        return self._utilities(scores, z)

    def _utilities(self, theta: Tensor, z: Tensor) -> Tensor:
        scores = self._with_samples(theta)
        utilities = self.noise.utilities(scores, z)
        return utilities if self.noisy is None else utilities.where(self.noisy.to(theta.device), scores)

    def _sampled(self, utilities: Tensor, mask: Tensor | None) -> Tensor:
        if not self.training:
            return self.polytope.argmax(utilities, mask)
        soft = self._soft(utilities, mask)
        if not self.straight_through:
            return soft
        return self.polytope.argmax(utilities, mask) + (soft - soft.detach())

    def _with_samples(self, value: Tensor) -> Tensor:
        return value if self.samples is None else value.unsqueeze(-len(self.polytope.event_shape) - 1)

    def _soft(self, utilities: Tensor, mask: Tensor | None) -> Tensor:
        temperature = self.relaxed.temperature
        if self.samples is None or not isinstance(temperature, Tensor) or temperature.dim() == 0:
            return self.relaxed(utilities, mask=mask)
        samples = -len(self.polytope.event_shape) - 1  # a temperature per item broadcasts only if they come first
        if mask is not None:
            mask = mask.expand(utilities.shape).movedim(samples, 0)
        utilities = utilities.movedim(samples, 0)
        items = utilities.shape[1 : utilities.dim() + samples + 1]
        again = np.tile(np.arange(prod(items)), len(utilities))  # the same items for each sample
        polytope = self.polytope.of_items(..., items).of_items(again, (prod(items),))
        return self.relaxed.over(polytope)(utilities, mask=mask).movedim(0, samples)
