r"""Direct loss minimisation, with and without noise, with learned noise magnitude (indelman).

With scores ``theta = mu + sigma * gamma`` and a loss that is linear on the polytope, ``l(y) = const + <c, y>``,

    d/dmu    E[l(y*)] = lim  E[ (y*(eps) - y*) / eps ]
    d/dsigma E[l(y*)] = lim  E[ <gamma, y*(eps) - y*> / eps ]

where ``y* = argmax <theta, y>``, ``y*(eps) = argmax <theta + eps c, y>`` and both see the same ``gamma``
(Theorem 1). ``eps < 0`` moves towards the better structure, ``eps > 0`` away from the worse. At a finite eps the bias
is ``O(eps)``. The two-sided quotient ``(y*(eps) - y*(-eps)) / (2 eps)``, the mean of those of both signs, has a bias
``O(eps^2)`` and, as eps becomes small, half the variance at the same eps, for one solve more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from structgrad.arguments import choice, count, kind, real
from structgrad.described import Described
from structgrad.estimate import Estimate, mean_of
from structgrad.layers.finite_difference import finite_difference
from structgrad.losses._parts import Lost, Part, column, fits, lost_items
from structgrad.losses._surrogate import Surrogate
from structgrad.noise import Generators, Noise, sample_replicas
from structgrad.parallel import map_blocks
from structgrad.polytopes.base import Polytope
from structgrad.portable import row_sums, wide
from structgrad.transforms import check_export, concrete, opaque

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


class DirectEstimate(NamedTuple):
    """Direct gradients in mu ``(R, n, *event)`` and sigma ``(R, n)``, with standard errors over perturbations."""

    mu: Estimate
    sigma: Estimate


class DirectLoss(Described):
    """Direct loss for replicas side by side: the first dimension is the replica, the second the item.

    Args:
        polytope: what is predicted.
        noise: the perturbation gamma, or None for plain direct loss (one pair of solves per item).
        samples: perturbations per item.
        growth: a replica whose ``y*`` and ``y*(eps)`` (two-sided: ``y*(-eps)`` and ``y*(eps)``) agree on every item and
            perturbation although its loss is positive has no gradient; its eps is multiplied by this until they differ
            (1: never).
        cap: the magnitude at which eps stops growing, which it does not exceed.
        two_sided: difference ``y*(eps)`` and ``y*(-eps)``; the sign of eps then means nothing.
    """

    def __init__(
        self,
        polytope: Polytope,
        noise: Noise | None = None,
        samples: int = 1,
        growth: float = 1.0,
        cap: float = 1e6,
        two_sided: bool = False,
    ) -> None:
        kind(polytope, "polytope", Polytope, "a polytope")
        samples = count(samples, "samples")
        if noise is not None:
            kind(noise, "noise", Noise, "a noise, or None")
        if noise is None and samples != 1:
            raise ValueError(f"samples must be 1 without noise, not {samples}")
        if not real(growth, "growth") >= 1.0:
            raise ValueError(f"growth must be at least 1, not {growth}")
        if not real(cap, "cap") > 0:
            raise ValueError(f"cap must be positive, not {cap}")
        self.polytope, self.noise, self.samples = polytope, noise, samples
        self.growth, self.cap, self.two_sided = growth, cap, choice(two_sided, "two_sided")

    @opaque
    def __call__(
        self,
        mu: Tensor,
        cost: Tensor,
        epsilon: Tensor,
        task_loss: TaskLoss,
        sigma: Tensor | None = None,
        generators: Generators = (),
    ) -> DirectStep:
        """Evaluate the step.

        Args:
            mu: mean scores ``(R, n, *event)``.
            cost: the linear loss ``c``, broadcastable to ``mu``.
            epsilon: ``(R,)``, non-zero, of either sign.
            task_loss: maps predictions ``(r, m, samples, *event)`` and the slices of replicas and of items that they
                are for to losses ``(r, m)``, float64, averaged over samples.
            sigma: noise magnitudes ``(R, n)``; needed with noise.
            generators: one per replica (where there is one replica, it may stand alone); needed with noise.

        Raises:
            ValueError: noise without sigma or with another number of generators; an epsilon of zero or of another
                shape; what the polytope refuses.
        """
        generators = self._check(mu, cost, epsilon, sigma, generators)
        kind(task_loss, "task_loss", Callable, "a function")  # type: ignore[arg-type]
        dtype, mu, sigma = mu.dtype, wide(mu), None if sigma is None else wide(sigma)
        cost = wide(cost).expand_as(mu)
        size = max(1, BLOCK // (mu[0].numel() * self.samples))

        def solve(mu: Tensor, sigma: Tensor | None, cost: Tensor, epsilon: Tensor) -> tuple[Tensor, ...]:
            parts = map_blocks(
                lambda rows: self._block(rows, mu, cost, epsilon, task_loss, sigma, generators), len(mu), size
            )
            return tuple(torch.cat(column) for column in zip(*parts, strict=True))

        surrogate, loss, used, _, _ = Surrogate.apply(mu, sigma, cost, epsilon, solve)
        return DirectStep(surrogate.to(dtype), loss, used)

    @torch.no_grad()
    def estimate(
        self, mu: Tensor, cost: Tensor, epsilon: Tensor, sigma: Tensor | None = None, generators: Generators = ()
    ) -> DirectEstimate:
        """The gradients of each item with their standard errors (NaN for one perturbation); arguments as above.

        The values are those of :meth:`__call__` for the same draws where epsilon does not grow, which it never does
        here. All scores are held at once. Items are independent: errors of a sum over them add in squares.
        """
        generators = self._check(mu, cost, epsilon, sigma, generators)
        mu, sigma, cost = wide(mu), None if sigma is None else wide(sigma), wide(cost)
        direction = cost.expand_as(mu).unsqueeze(2)
        theta, gamma, lost = self._perturb(self.polytope, mu.unsqueeze(2), sigma, generators, direction)
        start, moved = self._ends(self.polytope, theta, direction, epsilon, lost)
        quotient = (moved - start) / column(self._width(epsilon), theta)
        inner = quotient.new_zeros(quotient.shape[:3]) if gamma is None else (gamma * quotient).flatten(3).sum(-1)
        return DirectEstimate(mean_of(quotient, 2), mean_of(inner, 2))

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
            direction = cost[rows, part].unsqueeze(2)
            polytope, scores = self.polytope.of_items((rows, part), mu.shape[:2]), mu[rows, part].unsqueeze(2)
            theta, gamma, lost = self._perturb(polytope, scores, some_sigma, generators[rows], direction)
            ends = self._ends(polytope, theta, direction, step, lost)
            y = self._maximiser(polytope, theta, lost) if self.two_sided else ends[0]
            loss = kind(task_loss(y, rows, part), "task_loss", Tensor, "a function that returns a tensor")
            if loss.shape != y.shape[:2]:
                raise ValueError(f"task_loss must return losses {tuple(y.shape[:2])}, not {tuple(loss.shape)}")
            parts.append(Part(polytope, theta, direction, gamma, lost, *ends, loss))
        loss = row_sums(torch.cat([part.loss for part in parts], 1)) / mu.shape[1]
        for r in (loss > 0).nonzero().flatten().tolist():
            while self._stuck(parts, r) and abs(float(step[r])) < self.cap:
                step[r] = (step[r] * self.growth).clamp(-self.cap, self.cap)
                for part in parts:
                    polytope = part.polytope.of_items(r, part.theta.shape[:2])
                    lost = None if part.lost is None else part.lost.of(r)
                    part.moved[r] = self._maximiser(polytope, part.theta[r], lost, step[r], part.direction[r])
                    if self.two_sided:
                        part.start[r] = self._maximiser(polytope, part.theta[r], lost, -step[r], part.direction[r])
        scale = (self._width(step) * self.samples).to(mu.dtype)
        gradients = [part.gradients(scale) for part in parts]
        gradient_mu, gradient_sigma = (torch.cat(column, 1) for column in zip(*gradients, strict=True))
        return gradient_mu, gradient_sigma, loss, step

    def _ends(
        self, polytope: Polytope, theta: Tensor, direction: Tensor, step: Tensor, lost: Lost | None
    ) -> tuple[Tensor, Tensor]:
        """Both ends of the difference, in float64 where noise is lost otherwise."""
        ends = finite_difference(polytope, theta, direction, column(step, theta), self.two_sided)
        if lost is not None:
            steps = column(step[lost.replica], lost.theta)
            again = finite_difference(lost.polytope, lost.theta, lost.direction, steps, self.two_sided)
            for solutions, end in zip(again, ends, strict=True):
                lost.put(solutions, end)
        return ends

    def _maximiser(
        self,
        polytope: Polytope,
        theta: Tensor,
        lost: Lost | None,
        step: Tensor | None = None,
        direction: Tensor | None = None,
    ) -> Tensor:
        """The argmax of ``theta + step direction``, in float64 where noise is lost otherwise."""
        y = polytope.argmax(theta if step is None or direction is None else theta + step * direction)
        if lost is not None:
            scores = lost.theta if step is None else lost.theta + step * lost.direction
            lost.put(lost.polytope.argmax(scores), y)
        return y

    def _perturb(
        self,
        polytope: Polytope,
        mu: Tensor,
        sigma: Tensor | None,
        generators: Sequence[torch.Generator],
        direction: Tensor,
    ) -> tuple[Tensor, Tensor | None, Lost | None]:
        if self.noise is None or sigma is None:
            return mu, None, None
        event = self.polytope.event_shape
        gamma = sample_replicas(self.noise, (mu.shape[1], self.samples, *event), generators, mu.dtype)
        lost = lost_items(polytope, self.noise, mu, sigma, gamma, direction)
        return mu + sigma.view(*sigma.shape, 1, *(1,) * len(event)) * gamma, gamma, lost

    def _stuck(self, parts: list[Part], replica: int) -> bool:
        return self.growth > 1 and all(torch.equal(p.start[replica], p.moved[replica]) for p in parts)

    def _width(self, step: Tensor) -> Tensor:
        return 2 * step if self.two_sided else step

    def _check(
        self, mu: Tensor, cost: Tensor, epsilon: Tensor, sigma: Tensor | None, generators: Generators
    ) -> Sequence[torch.Generator]:
        check_export()
        if not kind(mu, "mu", Tensor, "a tensor").numel():
            raise ValueError(f"mu of shape {tuple(mu.shape)} holds no scores: it needs a replica and an item")
        if mu.dim() != 2 + len(self.polytope.event_shape):
            raise ValueError(f"mu must be (replicas, items, *{self.polytope.event_shape}), not {tuple(mu.shape)}")
        first = (slice(0, 1), slice(0, 1))
        self.polytope.of_items(first, mu.shape[:2])._check(mu[first], "mu")
        given = {"cost": cost, "epsilon": epsilon} | ({} if sigma is None else {"sigma": sigma})
        for name, value in given.items():
            if kind(value, name, Tensor, "a tensor").is_complex():
                raise ValueError(f"{name} of shape {tuple(value.shape)} must hold real numbers, not {value.dtype}")
        if not fits(cost, mu):
            raise ValueError(f"cost of shape {tuple(cost.shape)} does not fit mu of shape {tuple(mu.shape)}")
        if isinstance(generators, torch.Generator):
            generators = [generators]
        for generator in kind(generators, "generators", Sequence, "a sequence of torch.Generator"):  # type: ignore[type-abstract]
            kind(generator, "generators", torch.Generator, "a sequence of torch.Generator")
        if self.noise is not None and (sigma is None or len(generators) != len(mu)):
            raise ValueError(f"noise needs sigma and {len(mu)} generators, not {len(generators)}")
        if sigma is not None and sigma.shape != mu.shape[:2]:
            raise ValueError(f"sigma of shape {tuple(sigma.shape)} must hold one per item, {tuple(mu.shape[:2])}")
        if epsilon.shape != mu.shape[:1] or not bool(concrete(epsilon).all()):
            raise ValueError(f"epsilon of shape {tuple(epsilon.shape)} must hold {len(mu)} steps other than zero")
        return generators
