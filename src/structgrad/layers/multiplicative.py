r"""The maximiser under noise that multiplies the scores and keeps their signs (Dalle et al. 2022).

With ``X = exp(sigma Z - sigma^2 / 2)``, Z standard normal, so that ``E X = 1``, and ``y = argmax_y <theta X, y>``:

    F(theta)           = E <theta X, y>
    dF / dtheta        = E X y                                dF / dsigma = E <theta X (Z - sigma), y>
    d<g, E y>/dtheta_i = E <g, y - b> Z_i / (sigma theta_i)
    d<g, E y>/dsigma   = E <g, y - b> sum_i (Z_i^2 - 1 - sigma Z_i) / sigma

The last two are integration by parts in the logarithms of the scores' magnitudes, which are normal around
``log |theta| - sigma^2 / 2``: the additive layer's, with ``d log |theta_i| = d theta_i / theta_i``. As ``X y`` is the
perturbed score times ``y``, over ``theta_i``, the derivative of ``<g, E X y>`` has ``<g, X y>`` for ``<g, y>`` and a
term ``- g_i E X_i y_i / theta_i`` more.

F is a mean of maxima of linear functions, so convex, and ``F >= max_y <theta, y>``; but ``E y`` is not its gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from structgrad.autograd import Once, constant, envelope
from structgrad.estimate import Estimate
from structgrad.finite import in_range
from structgrad.layers._by_parts import Baseline
from structgrad.layers._contractions import mean
from structgrad.layers._perturbation import Draws, Pulled, columns, map_items, refuse_lifted
from structgrad.layers._perturbed_nodes import Maximiser
from structgrad.layers.base import Scale
from structgrad.layers.perturbed import STANDARD_NORMAL, Perturbed
from structgrad.noise import Generators
from structgrad.polytopes.base import Polytope
from structgrad.portable import dots, exp, row_sums
from structgrad.transforms import concrete, derivatives, moves, opaque

LARGE, FACTOR = 1e270, 2.0**-64  # no factor that normal draws can make is above 2^55


class PerturbedMultiplicative(Perturbed):
    r"""``E argmax_y <theta exp(sigma Z - sigma^2 / 2), y>``, estimated by ``samples`` draws (Dalle et al. 2022).

    Costs stay costs: what :class:`structgrad.polytopes.GridPath` needs. The noise is relative, so the solution does not
    change when all scores of an item are multiplied by one number, and sigma needs no tuning to their size.

    :meth:`forward` is the mean of the solutions. :meth:`potential` is another function's, ``F``: its gradient is
    ``E exp(...) y``, which is what :class:`structgrad.losses.FenchelYoung` sends back. F is positively homogeneous, so
    ``F*`` is zero on the polytope and the loss exact, but zero scores minimise it too: fix the size of the scores
    (normalise them, or keep costs above a bound), or they shrink in training.

    A score of zero stays zero under this noise, and a derivative of ``E y`` in it, if there is one, cannot be had from
    these draws: it depends on solutions at scores beside zero that no draw sees. A backward pass of :meth:`forward` to
    ``theta`` raises ValueError then; the gradient of :meth:`potential` is as ever, ``E X_i y_i``. The variance of the
    derivative in ``theta_i`` grows like ``1 / theta_i^2``.

    >>> import torch
    >>> from structgrad.polytopes import GridPath
    >>> costs = torch.tensor([[1.0, 9.0], [1.0, 1.0]])
    >>> layer = PerturbedMultiplicative(GridPath(2, 2, neighbours=4), sigma=0.5, samples=100)
    >>> layer(-costs, torch.Generator().manual_seed(0))
    tensor([[1., 0.],
            [1., 1.]])

    Args:
        polytope: what is predicted.
        sigma: the magnitude, positive. A tensor holds one per item, broadcasts to the leading dimensions of ``theta``
            and may learn. Every method takes another one for that call.
        samples: M, the draws per item.
        baseline: as in :class:`Perturbed`.

    Raises:
        TypeError, ValueError: an argument of the wrong kind or out of its range; a derivative beyond the type's range.
    """

    def __init__(
        self, polytope: Polytope, sigma: Scale = 1.0, samples: int = 1, baseline: Baseline = "leave_one_out"
    ) -> None:
        super().__init__(polytope, STANDARD_NORMAL, sigma, samples, baseline)

    @opaque
    def potential(
        self,
        theta: Tensor,
        generator: Generators | None = None,
        mask: Tensor | None = None,
        sigma: Scale | None = None,
    ) -> Tensor:
        """``F``, ``(...)``. Its gradient in ``theta`` is exactly the mean of ``exp(...) y`` over the same draws.

        Differentiable twice, but for the derivative in ``sigma``, which is not differentiated again.

        Raises:
            ValueError: also where scores above zero count as zero and one of these is used, and over a polytope with
                an offset.
        """
        draws = self._potential_draws(theta, generator, mask, sigma)
        gradient = Maximiser.apply(self._pull_products, self._push_products, *draws)
        value = constant(dots, draws.theta.flatten(1), gradient.flatten(1)).to(gradient.dtype)
        potential = envelope(value, draws.theta, gradient)
        given = self.sigma if sigma is None else sigma
        if isinstance(given, Tensor) and moves(given):
            slope = in_range(_Slopes.apply(*draws[:4]), "a derivative in sigma", draws.theta)
            potential = potential + envelope(torch.zeros_like(value), draws.sigma, slope)
        return in_range(potential.view(self._leading(theta)), "a potential", theta)

    def conjugate(self, y: Tensor) -> Tensor | None:
        """Zero, ``(...)``: what it is everywhere in the polytope."""
        return None if self.polytope.has_offset else y.new_zeros(self._leading(y))

    @torch.no_grad()
    def estimate_product(
        self,
        theta: Tensor,
        direction: Tensor,
        generator: Generators | None = None,
        mask: Tensor | None = None,
        sigma: Scale | None = None,
    ) -> Estimate:
        estimate = super().estimate_product(theta, direction, generator, mask, sigma)
        scores = _divisors(theta, self.polytope._check_mask(theta, mask))
        parts = estimate.value / scores, estimate.standard_error / scores.abs()
        return Estimate(*(in_range(part, "a derivative", theta) for part in parts))

    def _solve(self, theta: Tensor, generator: Generators | None, mask: Tensor | None, sigma: Scale | None) -> Draws:
        draws = super()._solve(theta, generator, mask, sigma)
        if draws.theta.dtype != theta.dtype and draws.theta.requires_grad:  # 1 / theta_i may leave float16
            draws.theta.register_hook(lambda gradient: in_range(gradient, "a derivative", theta).to(gradient.dtype))
        return draws

    def _fill(self, draws: Draws) -> None:
        theta = draws.theta.double() if draws.mask is None else draws.theta.double().where(draws.mask.squeeze(1), 0.0)
        if theta.numel() and not draws.polytope.has_offset:  # an h would not grow with them
            large = theta.flatten(1).abs().amax(1) > LARGE
            theta = theta * columns(torch.where(large, FACTOR, 1.0), theta)
        scores = theta.unsqueeze(1) * _factors(draws.sigma, draws.z)
        draws.y[:] = draws.polytope.argmax(scores, draws.mask).to(draws.y.dtype)

    def _potential_draws(
        self, theta: Tensor, generator: Generators | None, mask: Tensor | None, sigma: Scale | None
    ) -> Draws:
        """With ``exp(...) y`` for the solutions."""
        if self.polytope.has_offset:
            raise ValueError("the potential of noise that multiplies is not known over a polytope with an offset")
        draws = self._solve(theta, generator, mask, sigma)
        if self.polytope.nonpositive:
            refuse_lifted(self.polytope, draws.theta.unsqueeze(1), draws.y, theta)
        return draws._replace(y=constant(_products, draws.sigma, draws.z, draws.y))

    @staticmethod
    def _maxima(draws: Draws) -> Tensor:
        return dots(draws.theta.unsqueeze(1).expand_as(draws.y).flatten(2), draws.y.flatten(2))

    def _pull(self, draws: Draws, direction: Tensor, in_theta: bool, in_sigma: bool, centred: bool = False) -> Pulled:
        by_theta, by_sigma = super()._pull(draws, direction, in_theta, in_sigma, centred)
        if by_theta is not None:
            by_theta = in_range(by_theta / self._scores(draws), "a derivative", draws.theta)
        return by_theta, by_sigma

    def _push(self, draws: Draws, of_theta: Tensor | None, of_sigma: Tensor | None, centred: bool = False) -> Tensor:
        relative = None if of_theta is None else of_theta / self._scores(draws)
        return in_range(super()._push(draws, relative, of_sigma, centred), "a derivative", draws.theta)

    def _pull_products(self, draws: Draws, direction: Tensor, in_theta: bool, in_sigma: bool) -> Pulled:
        by_theta, by_sigma = self._pull(draws, direction, in_theta, in_sigma)
        if by_theta is not None:
            by_theta = by_theta - direction * mean(draws.y) / self._scores(draws)
            by_theta = in_range(by_theta, "a derivative", draws.theta)
        return by_theta, by_sigma

    def _push_products(self, draws: Draws, of_theta: Tensor | None, of_sigma: Tensor | None) -> Tensor:
        moved = self._push(draws, of_theta, of_sigma)
        moved = moved if of_theta is None else moved - of_theta * mean(draws.y) / self._scores(draws)
        return in_range(moved, "a derivative", draws.theta)

    def _stretch(self, draws: Draws, score: Tensor) -> Tensor:
        return super()._stretch(draws, score) - draws.sigma.double().unsqueeze(1) * row_sums(score.flatten(2))

    def _scores(self, draws: Draws) -> Tensor:
        return _divisors(draws.theta, None if draws.active is None else draws.active.squeeze(1))


def _factors(sigma: Tensor, z: Tensor) -> Tensor:
    """``exp(sigma z - sigma^2 / 2)``, ``(B, M, *event)`` float64."""
    sigma = columns(sigma.double(), z)
    return exp(sigma * z.double() - sigma * sigma / 2)


def _products(sigma: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """``exp(...) y``."""
    products = torch.empty_like(y)

    @torch.no_grad()
    def fill(rows: slice) -> None:
        products[rows] = y[rows] * _factors(sigma[rows], z[rows]).to(y.dtype)

    map_items(fill, z)
    return products


class _Slopes(Once):
    """The mean of ``<theta X (z - sigma), y>`` over the samples, ``(B,)``, where ``y`` holds ``X y``."""

    refusal = "the potential's derivative in sigma is not differentiated again"

    @staticmethod
    def forward(theta: Tensor, sigma: Tensor, z: Tensor, y: Tensor) -> Tensor:
        slopes = torch.empty_like(sigma)

        @torch.no_grad()
        def fill(rows: slice) -> None:
            used = theta[rows].double().unsqueeze(1) * (z[rows].double() - columns(sigma[rows].double(), z[rows]))
            slopes[rows] = (dots(used.flatten(1), y[rows].flatten(1)) / z.shape[1]).to(slopes.dtype)

        map_items(fill, z)
        return slopes

    @classmethod
    def jvp(cls, ctx: Any, *grad_inputs: Any) -> Any:  # type: ignore[override]
        if derivatives() > 1:
            raise RuntimeError(cls.refusal)
        return grad_inputs[1].new_zeros(()).expand_as(grad_inputs[1])  # of a first derivative it is no part


def _divisors(theta: Tensor, active: Tensor | None) -> Tensor:
    """The scores, with ones out of the mask.

    Raises:
        ValueError: one that counts is zero.
    """
    scores = theta if active is None else theta.where(active, 1.0)
    if bool(concrete(scores == 0).any()):
        raise ValueError(
            "theta holds scores of zero, which noise that multiplies does not move: the perturbed maximiser has no "
            "derivative in them (the potential has)"
        )
    return scores
