"""What direct loss puts into autograd: a value whose derivatives are the direct gradients computed with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from structgrad.autograd import Node, Once
from structgrad.losses._parts import column


class Surrogate(Node):
    """Zeros whose derivatives are the direct gradients, the losses and the steps."""

    @staticmethod
    def forward(
        mu: Tensor, sigma: Tensor | None, cost: Tensor, epsilon: Tensor, solve: Callable[..., tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        gradient_mu, gradient_sigma, loss, used = solve(mu, sigma, cost, epsilon)
        return mu.new_zeros(len(mu)), loss, used, gradient_mu, gradient_sigma

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs[:2], *output[3:])
        ctx.save_for_forward(*inputs[:2], *output[3:])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_outputs[0] is None:
            return (None,) * 5
        mu, sigma, *gradients = ctx.saved_tensors
        in_mu, in_sigma = _Gradients.apply(grad_outputs[0], mu, sigma, *gradients)
        return in_mu, None if sigma is None else in_sigma, None, None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> tuple[Tensor | None, ...]:
        mu, sigma, *gradients = ctx.saved_tensors
        parts = _Gradients.apply(mu.new_ones(len(mu)), mu, sigma, *gradients)
        moved = sum((x * t).flatten(1).sum(1) for x, t in zip(parts, grad_inputs, strict=False) if t is not None)
        return moved, None, None, None, None  # type: ignore[return-value]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> Any:
        raise NotImplementedError("DirectLoss cannot be mapped by vmap: give mu more replicas, its first dimension")


class _Gradients(Once):
    refusal = "DirectLoss can be differentiated once: its gradients are differences of vertices"

    @staticmethod
    def forward(
        weight: Tensor, mu: Tensor, sigma: Tensor | None, gradient_mu: Tensor, gradient_sigma: Tensor
    ) -> tuple[Tensor, Tensor]:
        return column(weight, gradient_mu) * gradient_mu, column(weight, gradient_sigma) * gradient_sigma
