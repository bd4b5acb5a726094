"""The relaxed argmax: a regulariser softens the maximiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from structgrad.arguments import kind, real
from structgrad.autograd import Itemwise, Once
from structgrad.finite import all_finite, in_range
from structgrad.layers.base import Layer, Scale, fitted, hold
from structgrad.layers.finite_difference import finite_difference
from structgrad.noise import Generators
from structgrad.polytopes.base import Polytope
from structgrad.portable import wide
from structgrad.regularizers.base import Regularizer
from structgrad.transforms import opaque


class Relaxed(Layer):
    r"""``y_t(theta) = argmax_y <theta, y> - t R(y)``, the gradient of ``F_t(theta) = max_y <theta, y> - t R(y)``.

    As ``t -> 0`` it becomes the argmax (paulus, Prop. 1), as ``t -> inf`` the regulariser's minimiser.

    Args:
        polytope: what is predicted.
        regularizer: R.
        temperature: t > 0; a tensor (which may learn) holds one per item and broadcasts to the leading dimensions.
        difference: None for the exact derivative; a step ``eps`` for the central difference
            ``[y_t(theta + t eps g) - y_t(theta - t eps g)] / (2 t eps)`` in place of the product with an incoming ``g``
            (paulus, App. D; valid because the Jacobian is symmetric). Its error is ``O(eps^2 |g|^2)``.
    """

    temperature: Scale

    def __init__(
        self, polytope: Polytope, regularizer: Regularizer, temperature: Scale = 1.0, difference: float | None = None
    ) -> None:
        super().__init__(polytope)
        self.regularizer = kind(regularizer, "regularizer", Regularizer, "a regularizer")
        hold(self, "temperature", temperature)
        if difference is not None and not real(difference, "difference") > 0:
            raise ValueError(f"difference must be positive, not {difference}")
        self.difference = difference

    @opaque
    def forward(self, theta: Tensor, generator: Generators | None = None, mask: Tensor | None = None) -> Tensor:
        """The soft structure at ``theta`` ``(..., *event)``, differentiable, same shape; draws nothing."""
        tempered = self._tempered(theta, mask)
        if self.difference is None:
            return self.regularizer.maximise(self.polytope, tempered, mask).to(theta.dtype)
        mask = self.polytope._check_mask(theta, mask)
        flat, allowed = (x if x is None else x.reshape(-1, *self.polytope.event_shape) for x in (tempered, mask))
        return _Differenced.apply(flat, allowed, self).view(theta.shape).to(theta.dtype)

    @opaque
    def potential(self, theta: Tensor, generator: Generators | None = None, mask: Tensor | None = None) -> Tensor:
        value = self.temperature * self.regularizer.potential(self.polytope, self._tempered(theta, mask), mask)
        return in_range(value, "a potential", theta)

    def _tempered(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        """``theta / t``: float64 where the dtype is narrower than float32, or where the quotient leaves float32."""
        size = self.polytope._check(theta)
        temperature = fitted(self.temperature, "temperature", theta, len(self.polytope.event_shape))
        scores = wide(theta)
        if not isinstance(temperature, Tensor) and temperature == 1:
            return scores
        tempered = scores / temperature
        within = not isinstance(temperature, Tensor) and size < temperature * (torch.finfo(scores.dtype).max / 2)
        if within or all_finite(tempered):  # the first without another pass
            return tempered
        scores, mask = scores.double(), self.polytope._check_mask(theta, mask)
        scores = scores if mask is None else scores.masked_fill(~mask, 0.0)
        return in_range(scores / temperature, "scores over the temperature", scores)

    def conjugate(self, y: Tensor) -> Tensor:
        return self.temperature * self.regularizer.value(self.polytope, y)


class _Differenced(Itemwise):
    """The relaxation whose derivative is a difference of two relaxations."""

    @staticmethod
    def forward(theta: Tensor, mask: Tensor | None, layer: Relaxed) -> Tensor:
        return layer.regularizer.maximise(layer.polytope, theta.detach(), mask)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.layer = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        return _Difference.apply(grad_outputs[0], *ctx.saved_tensors, ctx.layer), None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        return _Difference.apply(grad_inputs[0], *ctx.saved_tensors, ctx.layer)  # the Jacobian is symmetric


class _Difference(Once):
    refusal = "a relaxation with difference= can be differentiated once: leave difference out for exact derivatives"

    @staticmethod
    def forward(direction: Tensor, theta: Tensor, mask: Tensor | None, layer: Relaxed) -> Tensor:
        step = layer.difference

        def solve(scores: Tensor) -> Tensor:
            return layer.regularizer.maximise(layer.polytope, scores, mask)

        below, above = finite_difference(solve, theta, direction, step, two_sided=True)  # type: ignore[arg-type]
        return (above - below) / (2 * step)  # type: ignore[operator]
