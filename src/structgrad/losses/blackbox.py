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

from torch import Tensor, nn

from structgrad.arguments import choice, kind
from structgrad.autograd import Itemwise, Once
from structgrad.described import Described
from structgrad.layers.base import Scale, fitted, hold
from structgrad.layers.finite_difference import finite_difference
from structgrad.polytopes.base import Polytope
from structgrad.portable import wide
from structgrad.transforms import active, opaque


class Blackbox(Described, nn.Module):
    """The maximiser (or minimiser) of a polytope with the interpolation's gradient.

    Args:
        polytope: what is predicted.
        interpolation: lambda > 0, in units of score per unit of ``g``; a tensor holds one per item and broadcasts to
            the leading dimensions. Small: the gradient is that of the hard loss, zero almost everywhere; large: smooth
            and far from it. Not a detail (it decides how well this estimator does).
        minimise: whether the scores are costs.
    """

    interpolation: Scale

    def __init__(self, polytope: Polytope, interpolation: Scale, minimise: bool = False) -> None:
        super().__init__()
        self.polytope, self.minimise = kind(polytope, "polytope", Polytope, "a polytope"), choice(minimise, "minimise")
        hold(self, "interpolation", interpolation)

    @opaque
    def forward(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        """The hard structures at ``theta`` ``(..., *event)``, same shape; backward solves once more, at moved scores.

        The solver is given no domain: where it takes positive costs only, moved costs must be made positive by it.
        """
        kind(theta, "theta", Tensor, "a tensor (torch.as_tensor makes one)")
        event = self.polytope.event_shape
        size = fitted(self.interpolation, "interpolation", theta, len(event))
        size = size.detach() if isinstance(size, Tensor) else size
        if not active():
            return _Interpolated.apply(theta, mask, size, self)
        self.polytope._check_shape(theta)  # items in one dimension, to which vmap may add
        mask = self.polytope._check_mask(theta, mask)
        if isinstance(size, Tensor):
            size = size.expand_as(theta).reshape(-1, *event)
        flat, allowed = (x if x is None else x.reshape(-1, *event) for x in (theta, mask))
        return _Interpolated.apply(flat, allowed, size, self).view(theta.shape)

    def solve(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        """The same structures without gradient."""
        if self.minimise:
            self.polytope._check(theta)
        return self.polytope.argmax(-theta if self.minimise else theta, mask)


class _Interpolated(Itemwise):
    @staticmethod
    def forward(theta: Tensor, mask: Tensor | None, size: Tensor | float, blackbox: Blackbox) -> Tensor:
        return blackbox.solve(theta, mask)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        theta, mask, ctx.size, ctx.blackbox = inputs
        ctx.save_for_backward(theta, output, mask)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        return _Difference.apply(grad_outputs[0], *ctx.saved_tensors, ctx.size, ctx.blackbox), None, None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        raise NotImplementedError("Blackbox has no forward derivative, only one of an incoming gradient: take vjp")


class _Difference(Once):
    refusal = "Blackbox can be differentiated once: its derivative is a difference of two vertices"

    @staticmethod
    def forward(
        direction: Tensor, theta: Tensor, y: Tensor, mask: Tensor | None, size: Tensor | float, blackbox: Blackbox
    ) -> Tensor:
        theta, step = wide(theta), size if blackbox.minimise else -size

        def solve(scores: Tensor) -> Tensor:
            return y if scores is theta else blackbox.solve(scores, mask)  # the forward pass has solved theta

        start, moved = finite_difference(solve, theta, wide(direction), step)
        return ((moved - start) / step).to(y.dtype)
