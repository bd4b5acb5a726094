r"""The mean of any function of the perturbed solution: ``E f(y)``, differentiable whatever ``f`` is.

For the solutions ``y`` of a perturbed layer (Berthet et al. 2020; the "pushforward" of Dalle et al. 2022), with the
weights of its integration by parts, ``nu'(Z) / sigma`` for noise that is added:

    d<g, E f(y)>/dtheta = E <g, f(y) - b> nu'(Z) / sigma
    d<g, E f(y)>/dsigma = E <g, f(y) - b> (<Z, nu'(Z)> - d) / sigma
    d<g, E f(y)>/dphi   = E d<g, f(y)>/dphi                     for parameters phi of f itself

No derivative of ``f`` in ``y`` is needed, nor must there be one: it is asked for values at vertices alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from structgrad.arguments import kind
from structgrad.autograd import constant
from structgrad.described import Described
from structgrad.estimate import Estimate, mean_of
from structgrad.finite import all_finite, in_range
from structgrad.layers._perturbation import Draws, Pulled
from structgrad.layers._perturbed_nodes import Maximiser
from structgrad.layers.base import Scale
from structgrad.layers.perturbed import Perturbed
from structgrad.noise import Generators
from structgrad.transforms import opaque


class PerturbedExpectation(Described, nn.Module):
    """``E f(y)`` over the solutions ``y`` of a perturbed layer, from its draws, with its baseline.

    It differs from ``f(layer(theta))``, which is ``f`` at the mean of the solutions, and costs no more calls of the
    maximiser: ``f`` may be a cost that counts, a network, a simulator. Its gradient is that of REINFORCE with the noise
    for a distribution: more draws than a derivative through ``f`` would need.

    The leave-one-out baseline is that of ``f``: the mean over the other draws; ``"maximiser"`` is ``f`` at the solution
    without noise, one more solve and call of ``f`` per item.

    >>> import torch
    >>> from structgrad.layers import Perturbed
    >>> from structgrad.polytopes import Simplex
    >>> square = PerturbedExpectation(Perturbed(Simplex(3), samples=50), lambda y: y.sum(-1) ** 2)
    >>> square(torch.zeros(2, 3), torch.Generator().manual_seed(0))
    tensor([1., 1.])

    Args:
        layer: :class:`Perturbed` or :class:`PerturbedMultiplicative`.
        function: f, which maps solutions ``(..., M, *event)`` to floating-point values ``(..., M, *shape)``; called
            once, with all of them, in the dtype of the scores. A module is registered, and its parameters learn.

    Raises:
        TypeError: another layer; no function; values that are no tensor.
        ValueError: values of another shape or type, or not finite, as their mean must be; what the layer refuses.
    """

    def __init__(self, layer: Perturbed, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = kind(layer, "layer", Perturbed, "a perturbed layer, such as Perturbed(polytope)")
        self.function = kind(function, "function", Callable, "a function of solutions")  # type: ignore[type-abstract]

    @opaque
    def forward(
        self,
        theta: Tensor,
        generator: Generators | None = None,
        mask: Tensor | None = None,
        sigma: Scale | None = None,
    ) -> Tensor:
        """The mean of ``f`` over the draws, ``(..., *shape)``, in the dtype of ``theta``.

        Differentiable once in ``theta``, ``sigma`` and what ``f`` learns.
        """
        layer = self.layer
        draws = layer._solve(theta, generator, mask, sigma)
        values, shape = self._values(draws.y, theta, draws)
        baseline = None
        if layer.baseline == "maximiser":
            best = constant(draws.polytope.argmax, draws.theta, None if draws.mask is None else draws.mask.squeeze(1))
            with torch.no_grad():
                baseline, _ = self._values(best.unsqueeze(1), theta, draws)
            values = values - baseline
        centred = baseline is not None
        ways = partial(_pull, layer, centred), partial(layer._push, centred=centred)
        means = Maximiser.apply(*ways, *draws._replace(y=values))
        if baseline is not None:
            means = means + baseline.squeeze(1)
        return in_range(means.view((*layer._leading(theta), *shape)), "a mean of function(y)", theta)

    @torch.no_grad()
    def estimate(
        self,
        theta: Tensor,
        generator: Generators | None = None,
        mask: Tensor | None = None,
        sigma: Scale | None = None,
    ) -> Estimate:
        """:meth:`forward`, without gradient, and its standard error (NaN for one sample)."""
        draws = self.layer._solve(theta, generator, mask, sigma)
        values, shape = self._values(draws.y, theta, draws)
        shape = (*self.layer._leading(theta), *shape)
        return Estimate(*(part.view(shape).to(theta.dtype) for part in mean_of(values, 1)))

    def _values(self, y: Tensor, theta: Tensor, draws: Draws) -> tuple[Tensor, torch.Size]:
        """``f`` at solutions ``(B, M, *event)``, ``(B, M, K)`` in the dtype of the draws, and a value's shape."""
        leading = (*self.layer._leading(theta), y.shape[1])
        given = y.view(*leading, *self.layer.polytope.event_shape).to(theta.dtype)
        values = kind(self.function(given), "function(y)", Tensor, "a tensor")
        if not values.is_floating_point() or values.shape[: len(leading)] != leading:
            raise ValueError(
                f"function(y) of shape {tuple(values.shape)} and {values.dtype} must be floating point and begin with "
                f"{leading}, one value per solution"
            )
        if not all_finite(values):
            raise ValueError(f"function(y) of shape {tuple(values.shape)} holds NaN or infinite values")
        shape = values.shape[len(leading) :]
        return values.to(draws.z.dtype).reshape(*y.shape[:2], shape.numel()), shape


def _pull(layer: Perturbed, centred: bool, draws: Draws, direction: Tensor, in_theta: bool, in_sigma: bool) -> Pulled:
    """The layer's derivatives, for values of any size."""
    by_theta, by_sigma = layer._pull(draws, direction, in_theta, in_sigma, centred)
    gradients = (None if x is None else in_range(x, "a derivative", draws.theta) for x in (by_theta, by_sigma))
    return next(gradients), next(gradients)
