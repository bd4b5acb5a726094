r"""Direct loss minimisation, with and without noise, with learned noise magnitude (indelman).

With scores ``theta = mu + sigma * gamma`` and a loss that is linear on the polytope, ``l(y) = const + <c, y>``,

    d/dmu    E[l(y*)] = lim  E[ (y*(eps) - y*) / eps ]
    d/dsigma E[l(y*)] = lim  E[ <gamma, y*(eps) - y*> / eps ]

where ``y* = argmax <theta, y>``, ``y*(eps) = argmax <theta + eps c, y>`` and both see the same ``gamma``
(Theorem 1). ``eps < 0`` moves towards the better structure, ``eps > 0`` away from the worse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from structgrad.losses.finite_difference import finite_difference
from structgrad.noise import Noise, sample_replicas
from structgrad.parallel import map_blocks
from structgrad.polytopes.base import Polytope

TaskLoss = Callable[[Tensor, slice, slice], Tensor]
BLOCK = 1 << 17  # scores a worker handles at once: they and their solutions stay in cache


@dataclass(frozen=True)
class DirectStep:
    """One evaluation for R replicas.

    ``surrogate`` (R,) has the direct gradients as its autograd gradients (summed over items, averaged over
    perturbations); its value means nothing. ``loss`` (R,) float64 is the task loss of the perturbed argmax.
    ``epsilon`` (R,) is the step that was used, grown where the rule asked for it.
    """

    surrogate: Tensor
    loss: Tensor
    epsilon: Tensor


class DirectLoss:
    """Direct loss for replicas side by side: the first dimension is the replica, the second the item.

    Args:
        polytope: what is predicted.
        noise: the perturbation gamma, or None for plain direct loss (one solve pair an item).
        samples: perturbations an item.
        growth: a replica whose ``y*`` and ``y*(eps)`` agree on every item and perturbation although its loss is
            positive has no gradient; its eps is multiplied by this until they differ (1: never).
        cap: the magnitude at which eps stops growing.
    """

    def __init__(
        self,
        polytope: Polytope,
        noise: Noise | None = None,
        samples: int = 1,
        growth: float = 1.0,
        cap: float = 1e6,
    ) -> None:
        if noise is None and samples != 1:
            raise ValueError(f"samples must be 1 without noise, not {samples}")
        if growth < 1.0:
            raise ValueError(f"growth must be at least 1, not {growth}")
        self.polytope, self.noise, self.samples = polytope, noise, samples
        self.growth, self.cap = growth, cap

    def __call__(
        self,
        mu: Tensor,
        cost: Tensor,
        epsilon: Tensor,
        task_loss: TaskLoss,
        sigma: Tensor | None = None,
        generators: Sequence[torch.Generator] = (),
    ) -> DirectStep:
        """Evaluate the step.

        Args:
            mu: mean scores ``(R, n, *event)``.
            cost: the linear loss ``c``, broadcastable to ``mu``.
            epsilon: ``(R,)``, non-zero, of either sign.
            task_loss: maps predictions ``(r, m, samples, *event)`` and the slices of replicas and of items that they
                are for to losses ``(r, m)``, float64, averaged over samples.
            sigma: noise magnitudes ``(R, n)``; needed with noise.
            generators: one a replica; needed with noise.
        """
        if self.noise is not None and (sigma is None or len(generators) != len(mu)):
            raise ValueError(f"noise needs sigma and {len(mu)} generators, not {len(generators)}")
        cost = cost.expand_as(mu)
        size = max(1, BLOCK // (mu[0].numel() * self.samples))
        parts = map_blocks(
            lambda rows: self._block(rows, mu, cost, epsilon, task_loss, sigma, generators), len(mu), size
        )
        gradient_mu, gradient_sigma, loss, used = (torch.cat(column) for column in zip(*parts, strict=True))
        surrogate = _WithGradient.apply(mu, gradient_mu)
        if sigma is not None:
            surrogate = surrogate + _WithGradient.apply(sigma, gradient_sigma)
        return DirectStep(surrogate, loss, used)

    @torch.no_grad()
    def _block(
        self,
        rows: slice,
        mu: Tensor,
        cost: Tensor,
        epsilon: Tensor,
        task_loss: TaskLoss,
        sigma: Tensor | None,
        generators: Sequence[torch.Generator],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradients, losses and steps of some replicas; a replica too large for the cache goes by items."""
        step = epsilon[rows].clone()
        items = max(1, BLOCK // (mu[0, 0].numel() * self.samples))
        parts = []
        for start in range(0, mu.shape[1], items):
            part = slice(start, min(start + items, mu.shape[1]))
            some_sigma = None if sigma is None else sigma[rows, part]
            theta, gamma = self._perturb(mu[rows, part].unsqueeze(2), some_sigma, generators[rows])
            direction = cost[rows, part].unsqueeze(2)
            y, moved = finite_difference(self.polytope, theta, direction, _column(step, theta))
            parts.append(_Part(theta, direction, gamma, y, moved, task_loss(y, rows, part)))
        loss = torch.cat([part.loss for part in parts], 1).mean(1)
        for r in (loss > 0).nonzero().flatten().tolist():
            while self._stuck(parts, r) and abs(float(step[r])) < self.cap:
                step[r] *= self.growth
                for part in parts:
                    part.moved[r] = self.polytope.argmax(part.theta[r] + step[r] * part.direction[r])
        scale = (step * self.samples).to(mu.dtype)
        gradients = [part.gradients(scale) for part in parts]
        gradient_mu, gradient_sigma = (torch.cat(column, 1) for column in zip(*gradients, strict=True))
        return gradient_mu, gradient_sigma, loss, step

    def _perturb(
        self, mu: Tensor, sigma: Tensor | None, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor | None]:
        if self.noise is None or sigma is None:
            return mu, None
        event = self.polytope.event_shape
        shape = (mu.shape[1], self.samples, *event)
        gamma = sample_replicas(self.noise, shape, generators, mu.dtype)
        return mu + sigma.view(*sigma.shape, 1, *(1,) * len(event)) * gamma, gamma

    def _stuck(self, parts: list[_Part], replica: int) -> bool:
        return self.growth > 1 and all(torch.equal(p.y[replica], p.moved[replica]) for p in parts)


@dataclass(frozen=True)
class _Part:
    """Some items of some replicas: scores, both solutions, losses; all ``(r, m, samples or 1, *event)``."""

    theta: Tensor
    direction: Tensor
    gamma: Tensor | None
    y: Tensor
    moved: Tensor
    loss: Tensor

    def gradients(self, scale: Tensor) -> tuple[Tensor, Tensor]:
        """With respect to mu ``(r, m, *event)`` and sigma ``(r, m)``; ``scale`` is eps times samples."""
        difference = self.moved - self.y
        gradient_mu = difference.sum(2)
        gradient_sigma = gradient_mu.new_zeros(gradient_mu.shape[:2])
        if self.gamma is not None:
            gradient_sigma = (self.gamma * difference).flatten(2).sum(-1)
        return gradient_mu / _column(scale, gradient_mu), gradient_sigma / _column(scale, gradient_sigma)


def _column(per_replica: Tensor, like: Tensor) -> Tensor:
    return per_replica.to(like.dtype).view(-1, *(1,) * (like.dim() - 1))


class _WithGradient(torch.autograd.Function):
    """A zero per replica whose gradient with respect to ``value`` is the one given."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.new_zeros(value.shape[0])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return _column(grad_outputs[0], gradient) * gradient, None
