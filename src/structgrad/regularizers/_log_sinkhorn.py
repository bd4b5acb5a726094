"""Sinkhorn's iteration in log space and float64: safe at any range, several times slower than :mod:`._sinkhorn`.

Exponentials, logarithms and sums are those of :mod:`structgrad.portable`, differentiable as often as wanted.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function

from structgrad.portable import exp, log, row_sums


def log_sinkhorn(theta: Tensor, rounds: int) -> Tensor:
    """``rounds`` rounds of row then column normalisation of ``exp(theta)``, ``(..., n, n)``, in the same dtype."""
    log_plan = theta.double()
    for _ in range(rounds):
        log_plan = _LogSoftmax.apply(log_plan)
        log_plan = _LogSoftmax.apply(log_plan.mT).mT
    return _Exp.apply(log_plan).to(theta.dtype)


class _LogSoftmax(Function):
    """``x - log sum exp x`` over the last dimension."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        top = x.amax(-1, keepdim=True)
        found = x - (top + log(row_sums(exp(x - top))).unsqueeze(-1))
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (found,), gradient = ctx.saved_tensors, grad_outputs[0]
        return gradient - _Exp.apply(found) * _RowSums.apply(gradient).unsqueeze(-1)


class _Exp(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        found = exp(x)
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0] * ctx.saved_tensors[0]


class _RowSums(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.columns = x.shape[-1]
        return row_sums(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0].unsqueeze(-1).expand(*grad_outputs[0].shape, ctx.columns)
