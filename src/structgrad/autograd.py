"""Values whose gradient is known: the derivative of a maximum is the maximiser."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function


def envelope(value: Tensor, theta: Tensor, gradient: Tensor) -> Tensor:
    """``value`` ``(...)`` with ``gradient`` ``(..., *event)`` as its derivative in ``theta`` ``(..., *event)``.

    Danskin's theorem as an autograd node: the gradient that arrives is exactly ``gradient``, bit for bit. Where
    ``gradient`` itself depends on ``theta``, a second derivative goes through it, once.
    """
    return _Envelope.apply(value.detach(), theta, gradient)


class _Envelope(Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, theta: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, Tensor, None]:
        (gradient,) = ctx.saved_tensors
        weight = grad_outputs[0]
        return None, weight.view(*weight.shape, *(1,) * (gradient.dim() - weight.dim())) * gradient, None
