r"""The entropy of a transport plan: matchings softened until all their sums are right, exactly.

On matchings of n rows and ``m >= n`` columns, with ``s_j = 1 - sum_i P_ij`` what column j leaves free,

    R(P) = sum_ij P_ij log P_ij + sum_j s_j log s_j        (0 log 0 = 0)

so that ``argmax_P <theta, P> - R(P)`` is ``P_ij = exp(theta_ij - a_i - b_j)`` and ``s_j = exp(-c - b_j)``: every row
sums to one, the row of slacks to ``m - n``, every column together with its slack to one (Cuturi 2013; for ``n = m``
there is no slack, and it is the limit of Sinkhorn's iteration, Sinkhorn 1964). Up to the constant
``(m - n) log(m - n)`` it is the square case with ``m - n`` rows of zero scores below. One row gives the binary entropy
on the simplex. For ``n > m`` rows and columns change places.

The derivative is the solution of a linear system, not that of an iterate: a direction g becomes ``P (g - a - b)``,
entry by entry, with the a of rows and b of columns that keep all sums as they are. It is symmetric.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from structgrad.arguments import count, real
from structgrad.autograd import Itemwise
from structgrad.parallel import run_kernel
from structgrad.polytopes._assignment import reduce
from structgrad.polytopes._range import bounded
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.matching import Matching
from structgrad.portable import wide
from structgrad.regularizers._transport import balance, centre
from structgrad.regularizers.base import Regularizer, unknown_pair


class TransportEntropy(Regularizer):
    """Shannon entropy of a matching and of what it leaves free, ``sum P log P + sum s log s``, to convergence.

    Unlike that of :class:`SinkhornEntropy`, which takes a fixed number of rounds, its maximiser is the gradient of a
    potential. Newton's method on the dual, started from the best assignment, in float64: about five rounds where scores
    (over the temperature) span 10, about thirty at worst at any range. Each item stops by itself. Other devices make
    the round trip; derivatives stay there.

    Args:
        tolerance: how much a sum of the plan may be off at most.
        max_rounds: steps of Newton's method after which it is given up.

    >>> plan = TransportEntropy().maximise(Matching(2), torch.tensor([[2.0, 0.0], [0.0, 0.0]]))
    >>> round(float(plan[0, 0]), 5) == round(float(torch.tensor(1.0).sigmoid()), 5)
    True
    """

    def __init__(self, tolerance: float = 1e-12, max_rounds: int = 200) -> None:
        if not 0 < real(tolerance, "tolerance") < 1:
            raise ValueError(f"tolerance must be between 0 and 1, not {tolerance}")
        self.tolerance = float(tolerance)
        self.max_rounds = count(max_rounds, "max_rounds")

    def maximise(self, polytope: Polytope, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        """``argmax_P <theta, P> - R(P)``, ``(..., n, m)``.

        Raises:
            ValueError: also where ``max_rounds`` do not reach the tolerance.
        """
        if not isinstance(polytope, Matching):
            raise unknown_pair(self, polytope)
        polytope._check(theta)
        polytope._check_mask(theta, mask)
        n, m = polytope.event_shape
        scores = theta.double().reshape(-1, n, m)
        if n > m:
            scores = scores.mT
        if n != m:
            scores = pad(scores, (0, 0, 0, 1))  # the slacks' row
        plan = _Balanced.apply(scores, abs(n - m), self)[:, : min(n, m)]
        return (plan.mT if n > m else plan).reshape(theta.shape).to(theta.dtype)

    def value(self, polytope: Polytope, y: Tensor) -> Tensor:
        if not isinstance(polytope, Matching):
            raise unknown_pair(self, polytope)
        polytope._check(y, "y")
        plan, (n, m) = wide(y), polytope.event_shape
        value = torch.xlogy(plan, plan).sum((-2, -1))
        if n != m:
            free = (1 - plan.sum(-2 if n < m else -1)).clamp(min=0.0)
            value = value + torch.xlogy(free, free).sum(-1)
        return value.to(y.dtype)


class _Balanced(Itemwise):
    """The plan with its slacks' row; its derivative is a function of its value."""

    @staticmethod
    def forward(scores: Tensor, left: int, entropy: TransportEntropy) -> Tensor:
        reduced = bounded(scores.detach(), 2).cpu().contiguous().clone()
        owners = torch.empty(len(reduced), reduced.shape[2], dtype=torch.int64, device="cpu")
        rounds = torch.zeros(len(reduced), 1, dtype=torch.int64, device="cpu")
        plan = torch.empty_like(reduced)

        def solve(rows: np.ndarray, owners: np.ndarray, plan: np.ndarray, rounds: np.ndarray) -> None:
            held = np.empty(1, np.int64) if left else None
            if not reduce(rows, held, owners):
                raise ValueError(
                    f"theta of shape {tuple(scores.shape)} holds scores whose differences are beyond float64"
                )
            balance(rows, owners, left - 1 if left else 0, entropy.tolerance, entropy.max_rounds, plan, rounds)

        run_kernel(solve, reduced.numpy(), owners.numpy(), plan.numpy(), rounds.numpy())
        if bool((rounds < 0).any()):
            raise ValueError(
                f"{int((rounds < 0).sum())} of {len(rounds)} plans are off by more than tolerance "
                f"{entropy.tolerance:g} after {entropy.max_rounds} rounds: raise max_rounds, tolerance or temperature"
            )
        return plan.to(scores.device)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.set_materialize_grads(False)  # a potential's first derivative sends None: there is nothing to do then
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, None, None]:
        if grad_outputs[0] is None:
            return None, None, None
        (plan,) = ctx.saved_tensors  # an output: it carries this very node into second derivatives
        return plan * _Centred.apply(plan, grad_outputs[0]), None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        (plan,) = ctx.saved_tensors
        return plan * _Centred.apply(plan, grad_inputs[0])  # the Jacobian is symmetric


class _Centred(Itemwise):
    """``C x = x - a - b`` for which ``P C x`` has rows and columns of sum zero: a projection, ``P C`` is symmetric.

    As ``dP`` moves the sums by ``dP C x``, ``d(C x) = C w - w + C dx`` with ``w = dP C x / P``. Gradients that arrive,
    and the ``dP`` of a plan, are P times something, so that nothing is lost in the division.
    """

    @staticmethod
    def forward(plan: Tensor, x: Tensor) -> Tensor:
        if plan.device.type != "cpu":
            return plain_centred(plan.detach(), x.detach())
        out = torch.empty_like(plan, memory_format=torch.contiguous_format)
        run_kernel(centre, plan.detach().contiguous().numpy(), x.detach().contiguous().numpy(), out.numpy())
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)
        ctx.save_for_forward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        plan, output = ctx.saved_tensors
        share = _quotient(grad_outputs[0], plan)
        centred = _Centred.apply(plan, share)
        return (centred - share) * output, plan * centred

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        (plan, output), (of_plan, of_x) = ctx.saved_tensors, grad_inputs
        moved = 0.0 if of_x is None else _Centred.apply(plan, of_x)
        if of_plan is None:
            return moved  # type: ignore[return-value]
        share = _quotient(of_plan * output, plan)
        return moved + _Centred.apply(plan, share) - share


def _quotient(value: Tensor, plan: Tensor) -> Tensor:
    """``value / plan``, and zero where both are."""
    positive = plan > 0
    return torch.where(positive, value / torch.where(positive, plan, 1.0), 0.0)


def plain_centred(plan: Tensor, x: Tensor) -> Tensor:
    """The same on any device, for plans that are not all but hard."""
    columns = (plan * x).sum(-2, keepdim=True)
    flow = (plan * (x - columns)).sum(-1, keepdim=True)
    weights = plan @ plan.mT
    weights = weights - torch.diag_embed(weights.diagonal(dim1=-2, dim2=-1))
    laplacian = torch.diag_embed(weights.sum(-1)) - weights
    a = torch.linalg.pinv(laplacian, hermitian=True, rtol=1e-14) @ flow
    return x - a - (columns - (plan * a).sum(-2, keepdim=True))
