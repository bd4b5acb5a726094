"""Sinkhorn's entropy: matchings softened by normalising rows and columns in turn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import vjp

from structgrad.arguments import count
from structgrad.autograd import Itemwise
from structgrad.parallel import run_kernel
from structgrad.polytopes._range import HUGE, Bounded
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.matching import Matching
from structgrad.portable import exp_below_largest, wide
from structgrad.regularizers._log_sinkhorn import log_sinkhorn
from structgrad.regularizers._sinkhorn import sinkhorn_backward, sinkhorn_forward
from structgrad.regularizers.base import Regularizer, unknown_pair
from structgrad.transforms import active, concrete

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
            matrices = Bounded.apply(matrices, None)
        if theta.device.type != "cpu":
            plan = log_sinkhorn(matrices, self.rounds)
        elif 2 * size < KERNEL_RANGE or bool(concrete(safe := _safe(matrices)).all()):  # the first at no cost
            plan = _KernelSinkhorn.apply(matrices, self.rounds)[0]
        elif active():  # which ones are safe is not known where they are mapped: both ways for all of them
            some = safe.view(-1, 1, 1)
            plan = _KernelSinkhorn.apply(matrices.where(some, 0.0), self.rounds)[0]
            plan = plan.where(some, log_sinkhorn(matrices.where(~some, 0.0), self.rounds))
        else:
            plan = torch.zeros_like(matrices)
            plan = plan.index_put((safe,), _KernelSinkhorn.apply(matrices[safe], self.rounds)[0])
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


def _safe(matrices: Tensor) -> Tensor:
    """Which matrices ``(B,)`` are in the range of the kernel."""
    return (matrices.detach().amax(-1) - matrices.detach().amin(-1)).amax(-1) < KERNEL_RANGE


class _KernelSinkhorn(Itemwise):
    """The iterate by a compiled kernel, and what its adjoint needs."""

    @staticmethod
    def forward(theta: Tensor, rounds: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        batch, n, _ = theta.shape
        kernel = exp_below_largest(theta, n + -n % LANES)
        us, vs = torch.empty(2, batch, rounds, n, dtype=torch.float64, device="cpu")
        plan = torch.empty_like(theta, memory_format=torch.contiguous_format)
        run_kernel(sinkhorn_forward, kernel.numpy(), us.numpy(), vs.numpy(), plan.numpy())
        return plan, kernel, us, vs

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        (theta, ctx.rounds), (_, *kept) = inputs, output
        ctx.mark_non_differentiable(*kept)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(theta, *kept)
        ctx.save_for_forward(theta)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, None]:
        if grad_outputs[0] is None:
            return None, None
        return _Adjoint.apply(grad_outputs[0], *ctx.saved_tensors, ctx.rounds), None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> tuple[Tensor | None, ...]:
        (theta,), tangent = ctx.saved_tensors, grad_inputs[0]
        return _derivatives(torch.zeros_like(theta), theta, ctx.rounds, tangent)[0], None, None, None


class _Adjoint(Itemwise):
    """The gradient in the scores from that in the plan, by a compiled kernel; its own derivatives in log space."""

    @staticmethod
    def forward(gradient: Tensor, theta: Tensor, kernel: Tensor, us: Tensor, vs: Tensor, rounds: int) -> Tensor:
        gradient = gradient.contiguous()
        out = torch.empty_like(gradient)
        run_kernel(sinkhorn_backward, kernel.numpy(), us.numpy(), vs.numpy(), gradient.numpy(), out.numpy())
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *kept, ctx.rounds = inputs
        ctx.save_for_backward(*kept[:2])
        ctx.save_for_forward(*kept)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        gradient, theta = ctx.saved_tensors
        return *_derivatives(gradient, theta, ctx.rounds, grad_outputs[0]), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        (gradient, *kept), (moved, tangent, *_) = ctx.saved_tensors, grad_inputs
        along = _Adjoint.apply(moved, *kept, ctx.rounds)  # below: second derivatives of <gradient, plan> are symmetric
        return along + _derivatives(gradient, kept[0], ctx.rounds, tangent)[1]


def _derivatives(gradient: Tensor, theta: Tensor, rounds: int, along: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives of ``<along, adjoint>`` in ``gradient``, the iterate's own along it, and in ``theta``."""

    def adjoint(gradient: Tensor, theta: Tensor) -> Tensor:
        return vjp(lambda scores: log_sinkhorn(scores, rounds), theta)[1](gradient)[0]

    return vjp(adjoint, gradient, theta)[1](along)
