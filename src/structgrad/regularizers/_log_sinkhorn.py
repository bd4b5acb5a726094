"""Sinkhorn's iteration in log space and float64: safe at any range, several times slower than :mod:`._sinkhorn`.

Exponentials, logarithms and sums are those of :mod:`structgrad.portable`, differentiable as often as wanted.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from structgrad.autograd import Itemwise
from structgrad.portable import exp, log, row_sums


def log_sinkhorn(theta: Tensor, rounds: int) -> Tensor:
    """``rounds`` rounds of row then column normalisation of ``exp(theta)``, ``(..., n, n)``, in the same dtype."""
    log_plan = theta.double()
    for _ in range(rounds):
        log_plan = _LogSoftmax.apply(log_plan)
        log_plan = _LogSoftmax.apply(log_plan.mT).mT
    return _Exp.apply(log_plan).to(theta.dtype)


class _LogSoftmax(Itemwise):
    """``x - log sum exp x`` over the last dimension."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        top = x.amax(-1, keepdim=True)
        return x - (top + log(row_sums(exp(x - top))).unsqueeze(-1))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (log_plan,), gradient = ctx.saved_tensors, grad_outputs[0]
        return gradient - _Exp.apply(log_plan) * _RowSums.apply(gradient).unsqueeze(-1)

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        (log_plan,), tangent = ctx.saved_tensors, grad_inputs[0]
        return tangent - _RowSums.apply(_Exp.apply(log_plan) * tangent).unsqueeze(-1)


class _Exp(Itemwise):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return exp(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0] * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        return grad_inputs[0] * ctx.saved_tensors[0]


class _RowSums(Itemwise):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return row_sums(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.columns = inputs[0].shape[-1]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0].unsqueeze(-1).expand(*grad_outputs[0].shape, ctx.columns)

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        return _RowSums.apply(grad_inputs[0])
