r"""A solver with the gradient of its linearised loss's interpolation (Vlastelica et al. 2020).

The loss ``l(y)`` of a hard solution has no useful gradient. With ``g = dl/dy`` at that solution, one more solve gives
the gradient of a piecewise-linear interpolation of ``l``, which for costs w and ``y(w) = argmin <w, y>`` is

    l_lambda(w) = 1/lambda [ min_y <w + lambda g, y>  -  min_y <w, y> ]        (up to a constant)
    d/dw l_lambda = [ y(w + lambda g) - y(w) ] / lambda

Scores to maximise are ``theta = -w``, with ``y(theta) = argmax <theta, y>``; substituting, costs that rise are scores
that fall:

    d/dtheta l_lambda = [ y(theta) - y(theta - lambda g) ] / lambda

Both move towards solutions of less loss. Mixing them (``theta + lambda g`` with an argmax) raises no error: it computes
``[y(theta + lambda g) - y(theta)] / lambda``, the difference towards solutions of more loss, which belongs to the
interpolation from the other side and is another estimator.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from structgrad.arguments import kind
from structgrad.layers.base import Scale, fitted, hold, over_event
from structgrad.layers.finite_difference import finite_difference
from structgrad.polytopes.base import Polytope
from structgrad.portable import wide


class Blackbox(nn.Module):
    """The maximiser (or minimiser) of a polytope with the interpolation's gradient.

    Args:
        polytope: what is predicted.
        interpolation: lambda > 0, in units of score per unit of ``g``; a tensor holds one an item and broadcasts to the
            leading dimensions. Small: the gradient is that of the hard loss, zero almost everywhere; large: smooth and
            far from it. Not a detail (it decides how well this estimator does).
        minimise: whether the scores are costs.
    """

    interpolation: Scale

    def __init__(self, polytope: Polytope, interpolation: Scale, minimise: bool = False) -> None:
        super().__init__()
        self.polytope, self.minimise = kind(polytope, "polytope", Polytope, "a polytope"), minimise
        hold(self, "interpolation", interpolation)

    def forward(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        """The hard structures at ``theta`` ``(..., *event)``, same shape; backward solves once more, at moved scores.

        The solver is given no domain: where it takes positive costs only, moved costs must be made positive by it.
        """
        kind(theta, "theta", Tensor, "a tensor (torch.as_tensor makes one)")
        fitted(self.interpolation, "interpolation", theta, len(self.polytope.event_shape))
        return _Interpolated.apply(theta, self, mask)

    def solve(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        """The same structures without gradient."""
        if self.minimise:
            self.polytope._check(theta)
        return self.polytope.argmax(-theta if self.minimise else theta, mask)


class _Interpolated(Function):
    @staticmethod
    def forward(ctx: Any, theta: Tensor, blackbox: Blackbox, mask: Tensor | None) -> Tensor:
        y = blackbox.solve(theta, mask)
        ctx.blackbox, ctx.mask = blackbox, mask
        ctx.save_for_backward(wide(theta), y)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        blackbox, (theta, y) = ctx.blackbox, ctx.saved_tensors
        size = over_event(blackbox.interpolation, len(blackbox.polytope.event_shape))
        step = size if blackbox.minimise else -size

        def solve(scores: Tensor) -> Tensor:
            return y if scores is theta else blackbox.solve(scores, ctx.mask)  # the forward pass has solved theta

        start, moved = finite_difference(solve, theta, wide(grad_outputs[0]), step)
        return ((moved - start) / step).to(y.dtype), None, None
