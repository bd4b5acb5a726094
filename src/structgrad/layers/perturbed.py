r"""The perturbed maximiser: the mean of the argmax over noise, with derivatives by integration by parts (berthet).

For noise with density ``exp(-nu(z))`` and ``y(m) = argmax_y <theta + sigma z(m), y>`` (Propositions 2.2 and 3.1):

    F(theta)          = E <theta + sigma Z, y>    (+ h(y) where the polytope has an offset)
    dF / dtheta       = E y                                  dF / dsigma = E <Z, y>   (indelman, eq. 10)
    d<g, E y>/dtheta  = E <g, y - b> nu'(Z) / sigma
    d<g, E y>/dsigma  = E <g, y - b> (<Z, nu'(Z)> - d) / sigma

with ``d`` coordinates of noise, and any ``b`` that does not depend on the ``Z`` beside it: a baseline, which changes
the variance alone.
"""

from __future__ import annotations

from functools import partial
from math import prod

import torch
from torch import Tensor

from structgrad.arguments import count, kind
from structgrad.autograd import constant
from structgrad.estimate import Estimate, mean_of
from structgrad.finite import in_range
from structgrad.layers._by_parts import Baseline, ByParts
from structgrad.layers._contractions import weighted_mean
from structgrad.layers._draws import checked_noisy, noise_for
from structgrad.layers._perturbation import (
    Draws,
    columns,
    fill_added,
    maxima_of,
    refuse_lifted,
    slopes_of,
    solutions,
)
from structgrad.layers._perturbed_nodes import Maximiser, Potential, offset_of
from structgrad.layers.base import Scale, fitted, hold
from structgrad.noise import Density, Generators, Noise, Normal
from structgrad.polytopes.base import Polytope
from structgrad.portable import dots, wide
from structgrad.transforms import opaque

STANDARD_NORMAL = Normal()


class Perturbed(ByParts):
    r"""``y_sigma(theta) = E argmax_y <theta + sigma Z, y>``, estimated by ``samples`` draws (berthet, Def. 2.1, 3.1).

    Its derivatives in ``theta`` and ``sigma`` use the draws of the forward pass and solve nothing again. Until the
    backward pass the layer keeps the noise and the solutions, ``2 samples`` times the memory of ``theta``.

    A masked score has derivative zero, as it should. Where ``noisy`` leaves scores without noise,
    :meth:`potential` has its gradient, but the maximiser itself can be differentiated in ``sigma`` only: integration
    by parts says nothing about a score that is not perturbed, and a backward pass to ``theta`` raises ValueError.

    Args:
        polytope: what is predicted.
        noise: Z, with a density that is positive and smooth everywhere.
        sigma: the magnitude, positive. A tensor holds one per item, broadcasts to the leading dimensions of ``theta``
            and may learn. Every method takes another one for that call.
        samples: M, the draws per item.
        baseline: ``"leave_one_out"``, the mean of the other samples (one sample has no others: then as
            ``"maximiser"``); ``"maximiser"``, the argmax at ``theta`` itself, one more solve per item, made when a
            derivative is taken; None, no baseline.
        noisy: the coordinates that get noise, boolean, of the event's shape; None: all.

    Raises:
        ValueError: an argument out of its range, or a noise without a density that is positive and smooth.
    """

    sigma: Scale
    _maxima = staticmethod(maxima_of)

    def __init__(
        self,
        polytope: Polytope,
        noise: Noise = STANDARD_NORMAL,
        sigma: Scale = 1.0,
        samples: int = 1,
        baseline: Baseline = "leave_one_out",
        noisy: Tensor | None = None,
    ) -> None:
        super().__init__(polytope)
        kind(noise, "noise", Noise, "a noise")
        if not (isinstance(noise, Density) and noise.smooth):
            raise ValueError(f"noise must have a density that is positive and smooth everywhere, unlike {noise}")
        if baseline not in ("leave_one_out", "maximiser", None):
            raise ValueError(f"baseline must be 'leave_one_out', 'maximiser' or None, not {baseline!r}")
        self.noise = noise
        hold(self, "sigma", sigma)
        self.samples = count(samples, "samples")
        self.baseline = "maximiser" if baseline == "leave_one_out" and samples == 1 else baseline
        self.noisy: Tensor | None
        self.register_buffer("noisy", checked_noisy(noisy, polytope), persistent=False)

    @opaque
    def forward(
        self,
        theta: Tensor,
        generator: Generators | None = None,
        mask: Tensor | None = None,
        sigma: Scale | None = None,
    ) -> Tensor:
        """The mean of the solutions, ``(..., *event)``; differentiable once in ``theta`` and ``sigma``."""
        draws = self._solve(theta, generator, mask, sigma)
        return Maximiser.apply(self._pull, self._push, *draws).view(theta.shape).to(theta.dtype)

    @opaque
    def potential(
        self,
        theta: Tensor,
        generator: Generators | None = None,
        mask: Tensor | None = None,
        sigma: Scale | None = None,
    ) -> Tensor:
        """``F``, ``(...)``. Its gradient in ``theta`` is exactly :meth:`forward` with the same draws, that in ``sigma``
        the mean of ``<z, y>``; differentiable twice, the second time by the formulas of :meth:`forward`.

        Raises:
            ValueError: also where scores above zero count as zero (:class:`structgrad.polytopes.GridPath`) and noise
                lifts one that is used above it: the layer is then not the gradient of anything.
        """
        draws = self._potential_draws(theta, generator, mask, sigma)
        y, slope = Maximiser.apply(self._pull, self._push, *draws), constant(slopes_of, draws.z, draws.y)
        inner = constant(dots, draws.theta.flatten(1), y.flatten(1))
        value = inner.to(slope.dtype) + draws.sigma.detach() * slope
        offset = offset_of(self._pull, self._push, draws)
        value = value if offset is None else value + offset.detach()
        potential = Potential.apply(draws.theta, draws.sigma, value, y, slope, offset).view(self._leading(theta))
        return in_range(potential, "a potential", theta)

    @torch.no_grad()
    def estimate(
        self,
        theta: Tensor,
        generator: Generators | None = None,
        mask: Tensor | None = None,
        sigma: Scale | None = None,
    ) -> Estimate:
        """:meth:`forward`, without gradient, and its standard error (NaN for one sample)."""
        draws = self._solve(theta, generator, mask, sigma)
        return Estimate(*(part.view(theta.shape).to(theta.dtype) for part in mean_of(draws.y, 1)))

    @torch.no_grad()
    def estimate_potential(
        self,
        theta: Tensor,
        generator: Generators | None = None,
        mask: Tensor | None = None,
        sigma: Scale | None = None,
    ) -> Estimate:
        """:meth:`potential`, without gradient, and its standard error (NaN for one sample)."""
        value, deviation = mean_of(self._maxima(self._potential_draws(theta, generator, mask, sigma)), 1)
        value = in_range(value.view(self._leading(theta)), "a potential", theta)
        return Estimate(value, deviation.view(self._leading(theta)).to(theta.dtype))

    @torch.no_grad()
    def estimate_product(
        self,
        theta: Tensor,
        direction: Tensor,
        generator: Generators | None = None,
        mask: Tensor | None = None,
        sigma: Scale | None = None,
    ) -> Estimate:
        """The product of the Jacobian in ``theta`` with ``direction``, and its standard error (NaN for one sample).

        It is what :meth:`forward` sends back when ``direction``, broadcastable to ``theta``, arrives.
        """
        self._check_all_noisy()
        draws = self._solve(theta, generator, mask, sigma)
        weights = self._weights(draws, wide(direction).expand(theta.shape).reshape(draws.theta.shape))
        score = self._score(draws)
        deviation = mean_of(columns(weights, score) * score, 1).standard_error
        return Estimate(*(x.view(theta.shape).to(theta.dtype) for x in (weighted_mean(weights, score), deviation)))

    def _leading(self, theta: Tensor) -> torch.Size:
        return theta.shape[: theta.dim() - len(self.polytope.event_shape)]

    def _solve(self, theta: Tensor, generator: Generators | None, mask: Tensor | None, sigma: Scale | None) -> Draws:
        event = self.polytope.event_shape
        self.polytope._check(theta)
        mask = self.polytope._check_mask(theta, mask)
        theta = wide(theta)
        items = prod(self._leading(theta))
        magnitude = self._magnitude(theta, sigma).reshape(items)
        z = noise_for(self.noise, theta, len(event), self.samples, generator).view(items, self.samples, *event)
        active = mask = None if mask is None else mask.reshape(items, 1, *event)
        if self.noisy is not None:
            noisy = self.noisy.to(theta.device)
            z = z.mul_(noisy)
            active = noisy.expand(items, 1, *event) if mask is None else mask & noisy
        polytope = self.polytope.of_items(..., self._leading(theta))
        theta = theta.reshape(items, *event)
        y = constant(partial(solutions, self._fill, polytope), theta, magnitude, z, mask)
        return Draws(theta, magnitude, z, y, mask, active, polytope)

    def _fill(self, draws: Draws) -> None:
        """Put the solutions at the perturbed scores into ``draws.y``."""
        fill_added(self.noise, draws)

    def _potential_draws(
        self, theta: Tensor, generator: Generators | None, mask: Tensor | None, sigma: Scale | None
    ) -> Draws:
        draws = self._solve(theta, generator, mask, sigma)
        if self.polytope.nonpositive:
            scores = draws.theta.unsqueeze(1) + columns(draws.sigma, draws.z) * draws.z
            refuse_lifted(self.polytope, scores, draws.y, theta)
        return draws

    def _magnitude(self, theta: Tensor, sigma: Scale | None) -> Tensor:
        """Sigma for every item, ``(...)``."""
        given = self.sigma if sigma is None else sigma
        fitted(given, "sigma", theta, len(self.polytope.event_shape))
        return torch.as_tensor(given, dtype=theta.dtype, device=theta.device).expand(self._leading(theta))
