"""The products of a perturbed maximiser with its Jacobian, from its draws: integration by parts, with a baseline."""

from __future__ import annotations

from math import prod
from typing import Literal

from torch import Tensor

from structgrad.layers._contractions import along, weighted_mean
from structgrad.layers._perturbation import Draws, Pulled, columns
from structgrad.layers.base import Layer
from structgrad.noise import Density
from structgrad.portable import dots, row_sums

Baseline = Literal["leave_one_out", "maximiser"] | None


class ByParts(Layer):
    """The derivatives of :class:`~.perturbed.Perturbed`, whose module has the equations."""

    noise: Density
    samples: int
    baseline: Baseline
    noisy: Tensor | None

    def _weights(self, draws: Draws, direction: Tensor, centred: bool = False) -> Tensor:
        """``<direction, y - b> / sigma`` of every sample, ``(B, M)``, for directions ``(B, *event)``."""
        weights, baseline = along(direction, draws.y), None if centred else self.baseline
        if baseline == "leave_one_out":  # y less the mean of the others, all at once
            mean = (row_sums(weights) / self.samples).to(weights.dtype)
            weights = (weights - mean.unsqueeze(1)) * (self.samples / (self.samples - 1))
        elif baseline == "maximiser":
            best = draws.without_noise().flatten(1)
            weights = weights - dots(direction.flatten(1), best).to(weights.dtype).unsqueeze(1)
        return weights / draws.sigma.unsqueeze(1)

    def _score(self, draws: Draws) -> Tensor:
        """``nu'(z)`` where noise matters, else zero, ``(B, M, *event)``."""
        score = self.noise.score(draws.z)
        return score if draws.active is None else score * draws.active

    def _check_all_noisy(self) -> None:
        if self.noisy is not None:
            raise ValueError("noisy leaves scores without noise: the perturbed maximiser has no derivative in theta")

    def _pull(self, draws: Draws, direction: Tensor, in_theta: bool, in_sigma: bool, centred: bool = False) -> Pulled:
        """The derivatives of ``<direction, E y>`` in theta, ``(B, *event)``, and sigma, ``(B,)``, if wanted.

        ``centred``: the baseline has been taken off ``draws.y``.
        """
        if in_theta:
            self._check_all_noisy()
        weights, score = self._weights(draws, direction, centred), self._score(draws)
        by_sigma = None
        if in_sigma:
            by_sigma = (dots(weights, self._stretch(draws, score).to(weights.dtype)) / self.samples).to(weights.dtype)
        return weighted_mean(weights, score) if in_theta else None, by_sigma

    def _push(self, draws: Draws, of_theta: Tensor | None, of_sigma: Tensor | None, centred: bool = False) -> Tensor:
        """The derivative of ``E y`` along theta's and sigma's ``(B,)``, if any: ``(B, *event)``."""
        baseline = None if centred else self.baseline
        score, weights = self._score(draws), draws.z.new_zeros(draws.z.shape[:2])
        if of_theta is not None:
            if self.noisy is not None and bool(of_theta.any()):
                self._check_all_noisy()
            weights = weights + along(of_theta, score)
        if of_sigma is not None:
            weights = weights + self._stretch(draws, score).to(weights.dtype) * of_sigma.unsqueeze(1)
        weights = weights / draws.sigma.unsqueeze(1)
        total = (row_sums(weights) / self.samples).to(weights.dtype)
        if baseline == "leave_one_out":
            weights = (weights - total.unsqueeze(1)) * (self.samples / (self.samples - 1))
        moved = weighted_mean(weights, draws.y)
        return moved - columns(total, moved) * draws.without_noise() if baseline == "maximiser" else moved

    def _stretch(self, draws: Draws, score: Tensor) -> Tensor:
        """Sigma times the derivative of the perturbed scores' log density in sigma: ``<z, nu'(z)> - d``, ``(B, M)``."""
        coordinates = prod(self.polytope.event_shape) if draws.active is None else draws.active.flatten(2).sum(-1)
        return dots(draws.z.flatten(2), score.flatten(2)) - coordinates
