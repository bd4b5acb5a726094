"""Sinkhorn's entropy: matchings softened by normalising rows and columns in turn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from structgrad.arguments import count
from structgrad.parallel import run_kernel
from structgrad.polytopes._range import HUGE, bounded
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.matching import Matching
from structgrad.portable import exp, wide
from structgrad.regularizers._log_sinkhorn import log_sinkhorn
from structgrad.regularizers._sinkhorn import sinkhorn_backward, sinkhorn_forward
from structgrad.regularizers.base import Regularizer, unknown_pair

KERNEL_RANGE = 300.0  # scalings reach exp(range), and the adjoint squares them: both stay inside float64
LANES = 8  # rows are padded to whole vectors: a loop's left-over entries cost as much as a vector each


class SinkhornEntropy(Regularizer):
    """Shannon entropy of a matching, ``R(P) = sum P log P``, maximised by Sinkhorn's iteration.

    ``rounds`` rounds of row then column normalisation of ``exp(theta)`` (Mena et al. 2018, section 3.1; Sinkhorn
    1964). The gradient is that of the iterate, not of the limit. Runs in kernel space in float64 for matrices whose
    rows span less than 300, and in log space for the others.
    """

    def __init__(self, rounds: int = 20) -> None:
        self.rounds = count(rounds, "rounds")

    def maximise(self, polytope: Polytope, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        if not isinstance(polytope, Matching):
            raise unknown_pair(self, polytope)
        if polytope.n != polytope.m:
            raise ValueError(
                f"SinkhornEntropy takes square matchings, not {polytope.event_shape}: TransportEntropy all"
            )
        size = polytope._check(theta)
        polytope._check_mask(theta, mask)
        matrices = wide(theta).reshape(-1, *polytope.event_shape)
        if size > HUGE:
            matrices = _Bounded.apply(matrices)
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
        return plan.view(theta.shape).to(theta.dtype)

    def value(self, polytope: Polytope, y: Tensor) -> Tensor:
        """``sum y log y`` over the matrix, with ``0 log 0 = 0``."""
        if not isinstance(polytope, Matching):
            raise unknown_pair(self, polytope)
        polytope._check(y, "y")
        y_wide = wide(y)
        return torch.special.xlogy(y_wide, y_wide).sum((-2, -1)).to(y.dtype)

    def potential(self, polytope: Polytope, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        """Refused: the iterate after finitely many rounds is not the gradient of a function."""
        raise ValueError(f"Sinkhorn's iterate after {self.rounds} rounds is not the gradient of a potential")


class _Bounded(torch.autograd.Function):
    """Scores within range, with the derivatives of the scores."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor) -> Tensor:
        return bounded(theta, 2)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0]


class _KernelSinkhorn(torch.autograd.Function):
    """The iterate and its exact adjoint by compiled kernels; a second derivative goes through log space."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, rounds: int) -> Tensor:
        batch, n, _ = theta.shape
        shifted = torch.full((batch, n, n + -n % LANES), -torch.inf, dtype=torch.float64, device="cpu")
        shifted[..., :n] = theta
        kernel = exp(shifted.sub_(shifted.amax(-1, keepdim=True)))
        us, vs = torch.empty(2, batch, rounds, n, dtype=torch.float64, device="cpu")
        plan = torch.empty_like(theta, memory_format=torch.contiguous_format)
        run_kernel(sinkhorn_forward, kernel.numpy(), us.numpy(), vs.numpy(), plan.numpy())
        ctx.rounds = rounds
        ctx.save_for_backward(theta, kernel, us, vs)
        return plan

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        theta, kernel, us, vs = ctx.saved_tensors
        gradient = grad_outputs[0].contiguous()
        if torch.is_grad_enabled():  # create_graph: somebody will differentiate this product
            (product,) = torch.autograd.grad(log_sinkhorn(theta, ctx.rounds), theta, gradient, create_graph=True)
            return product, None
        out = torch.empty_like(gradient)
        run_kernel(sinkhorn_backward, kernel.numpy(), us.numpy(), vs.numpy(), gradient.numpy(), out.numpy())
        return out, None
