"""How an argmax is softened: ``argmax_y <theta, y> - R(y)`` over a polytope."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from structgrad._sinkhorn import sinkhorn_backward, sinkhorn_forward
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.matching import Matching

KERNEL_RANGE = 300.0  # scalings reach exp(range), and the adjoint squares them: both stay inside float64
LANES = 16  # rows are padded to whole vectors, so that exp takes the same path wherever a matrix lies in a batch


class Regularizer(ABC):
    """A strictly convex function on a polytope."""

    @abstractmethod
    def maximise(self, polytope: Polytope, theta: Tensor) -> Tensor:
        """``argmax_y <theta, y> - R(y)``, differentiable in ``theta``, same shape and dtype."""


class SinkhornEntropy(Regularizer):
    """Shannon entropy of a matching, ``R(P) = sum P log P``, maximised by Sinkhorn's iteration.

    ``rounds`` rounds of row then column normalisation of ``exp(theta)`` (Mena et al. 2018, section 3.1; Sinkhorn
    1964). The gradient is that of the iterate, not of the limit. Runs in kernel space in float64 for matrices whose
    rows span less than 300, and in log space for the others.
    """

    def __init__(self, rounds: int = 20) -> None:
        if rounds < 1:
            raise ValueError(f"rounds must be at least 1, not {rounds}")
        self.rounds = rounds

    def maximise(self, polytope: Polytope, theta: Tensor) -> Tensor:
        if not isinstance(polytope, Matching):
            raise ValueError(f"Sinkhorn's entropy is for matchings, not {type(polytope).__name__}")
        polytope._check(theta)
        matrices = theta.reshape(-1, *polytope.event_shape)
        span = matrices.detach().amax(-1) - matrices.detach().amin(-1)
        safe = span.amax(-1) < KERNEL_RANGE
        if theta.device.type != "cpu":
            plan = log_sinkhorn(matrices, self.rounds)
        elif bool(safe.all()):
            plan = _KernelSinkhorn.apply(matrices, self.rounds)
        else:
            plan = torch.zeros_like(matrices)
            plan = plan.index_put((safe,), _KernelSinkhorn.apply(matrices[safe], self.rounds))
            plan = plan.index_put((~safe,), log_sinkhorn(matrices[~safe], self.rounds))
        return plan.view(theta.shape)


def log_sinkhorn(theta: Tensor, rounds: int) -> Tensor:
    """The same iterate in log space and float64: safe at any range, several times slower."""
    log_plan = theta.double()
    for _ in range(rounds):
        log_plan = log_plan - torch.logsumexp(log_plan, -1, keepdim=True)
        log_plan = log_plan - torch.logsumexp(log_plan, -2, keepdim=True)
    return log_plan.exp().to(theta.dtype)


class _KernelSinkhorn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, theta: Tensor, rounds: int) -> Tensor:
        batch, n, _ = theta.shape
        kernel = torch.zeros(batch, n, n + -n % LANES, dtype=torch.float64)
        kernel[..., :n] = theta
        kernel[..., :n] -= kernel[..., :n].amax(-1, keepdim=True)
        kernel.exp_()
        us, vs = torch.empty(2, batch, rounds, n, dtype=torch.float64)
        plan = torch.empty_like(theta, memory_format=torch.contiguous_format)
        sinkhorn_forward(kernel.numpy(), us.numpy(), vs.numpy(), plan.numpy())
        ctx.save_for_backward(kernel, us, vs)
        return plan

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        kernel, us, vs = ctx.saved_tensors
        gradient = grad_outputs[0].contiguous()
        out = torch.empty_like(gradient)
        sinkhorn_backward(kernel.numpy(), us.numpy(), vs.numpy(), gradient.numpy(), out.numpy())
        return out, None
