"""The relaxed argmax: a regulariser softens the maximiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from structgrad.layers.base import Layer, Scale, checked_scale, over_event
from structgrad.layers.finite_difference import finite_difference
from structgrad.noise import Generators
from structgrad.polytopes.base import Polytope
from structgrad.regularizers.base import Regularizer


class Relaxed(Layer):
    r"""``y_t(theta) = argmax_y <theta, y> - t R(y)``, the gradient of ``F_t(theta) = max_y <theta, y> - t R(y)``.

    As ``t -> 0`` it becomes the argmax (paulus, Prop. 1), as ``t -> inf`` the regulariser's minimiser.

    Args:
        polytope: what is predicted.
        regularizer: R.
        temperature: t > 0; a tensor (which may learn) holds one an item and broadcasts to the leading dimensions.
        difference: None for the exact derivative; a step ``eps`` for the central difference
            ``[y_t(theta + t eps g) - y_t(theta - t eps g)] / (2 t eps)`` in place of the product with an incoming ``g``
            (paulus, App. D; valid because the Jacobian is symmetric). Its error is ``O(eps^2 |g|^2)``.
    """

    def __init__(
        self, polytope: Polytope, regularizer: Regularizer, temperature: Scale = 1.0, difference: float | None = None
    ) -> None:
        super().__init__(polytope)
        self.regularizer = regularizer
        self.temperature = checked_scale(temperature, "temperature")
        if difference is not None and not difference > 0:
            raise ValueError(f"difference must be positive, not {difference}")
        self.difference = difference

    def forward(self, theta: Tensor, generator: Generators | None = None, mask: Tensor | None = None) -> Tensor:
        """The soft structure at ``theta`` ``(..., *event)``, differentiable, same shape; draws nothing."""
        tempered = theta / over_event(checked_scale(self.temperature, "temperature"), len(self.polytope.event_shape))
        if self.difference is None:
            return self.regularizer.maximise(self.polytope, tempered, mask)
        return _Differenced.apply(tempered, self, mask)

    def potential(self, theta: Tensor, generator: Generators | None = None, mask: Tensor | None = None) -> Tensor:
        temperature = checked_scale(self.temperature, "temperature")
        tempered = theta / over_event(temperature, len(self.polytope.event_shape))
        return temperature * self.regularizer.potential(self.polytope, tempered, mask)

    def conjugate(self, y: Tensor) -> Tensor:
        return self.temperature * self.regularizer.value(self.polytope, y)


class _Differenced(Function):
    """The relaxation whose derivative is a difference of two relaxations."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, layer: Relaxed, mask: Tensor | None) -> Tensor:
        ctx.layer, ctx.mask = layer, mask
        ctx.save_for_backward(theta)
        return layer.regularizer.maximise(layer.polytope, theta.detach(), mask)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        layer, mask, step = ctx.layer, ctx.mask, ctx.layer.difference

        def solve(scores: Tensor) -> Tensor:
            return layer.regularizer.maximise(layer.polytope, scores, mask)

        below, above = finite_difference(solve, ctx.saved_tensors[0], grad_outputs[0], step, two_sided=True)
        return (above - below) / (2 * step), None, None
