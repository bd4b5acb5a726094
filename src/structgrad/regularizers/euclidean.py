"""The squared Euclidean norm: the soft structure is the projection of the scores onto the polytope."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from structgrad.autograd import Itemwise
from structgrad.parallel import run_kernel
from structgrad.polytopes._range import bounded
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.hypercube import Hypercube
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.polytopes.subset import Subset
from structgrad.regularizers import _isotonic
from structgrad.regularizers._implicit import soft_subset
from structgrad.regularizers._subset import euclidean_subset
from structgrad.regularizers.base import Regularizer, unknown_pair


class Euclidean(Regularizer):
    r"""``R(y) = |y|^2 / 2``, maximised by the point of the polytope nearest to ``theta`` (paulus, section 5).

    * ``Subset`` and ``Simplex``: ``clip(theta - tau, 0, 1)`` with ``sum y = k`` (sparsemax for k = 1, Martins and
      Astudillo 2016), exact, by a walk over the sorted kinks.
    * ``Hypercube``: ``clip(theta, 0, 1)``.
    * ``Permutahedron``: isotonic regression (Blondel et al. 2020, Proposition 3), O(n log n) on the CPU; other
      devices make the round trip.

    All are piecewise linear: their second derivative is zero wherever it exists.
    """

    def maximise(self, polytope: Polytope, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        if isinstance(polytope, Subset):
            return soft_subset(polytope, theta, mask, euclidean_subset, plain_euclidean_subset, _free)
        if not isinstance(polytope, Hypercube | Permutahedron):
            raise unknown_pair(self, polytope)
        polytope._check(theta)
        mask = polytope._check_mask(theta, mask)
        if isinstance(polytope, Permutahedron):
            y = _Isotonic.apply(theta.double().reshape(-1, polytope.n), polytope)[0]
            return y.view(theta.shape).to(theta.dtype)
        y = theta.clamp(0.0, 1.0)
        return y if mask is None else y.masked_fill(~mask, 0.0)

    def value(self, polytope: Polytope, y: Tensor) -> Tensor:
        if not isinstance(polytope, Subset | Hypercube | Permutahedron):
            raise unknown_pair(self, polytope)
        return half_square(polytope, y)


def half_square(polytope: Polytope, y: Tensor) -> Tensor:
    """``|y|^2 / 2``, ``(...)``."""
    polytope._check(y, "y")
    return 0.5 * y.double().square().sum(tuple(range(-len(polytope.event_shape), 0))).to(y.dtype)


def _free(y: Tensor) -> Tensor:
    """1 where y moves with its score."""
    return ((y > 0) & (y < 1)).to(y.dtype)


def plain_euclidean_subset(scores: Tensor, k: int) -> Tensor:
    """``clip(scores - tau, 0, 1)`` by a binary search for the two kinks that tau lies between, on any device."""
    pivot = scores.topk(k, sorted=False).values.amin(-1, keepdim=True)
    z = (scores - pivot).clamp(-2.0, 2.0)  # tau lies within 1 of the k-th score
    kinks = torch.cat([z, z - 1.0], -1).sort(-1, descending=True).values
    above = torch.zeros(len(z), 1, dtype=torch.int64, device=z.device)  # a kink at which the sum is at most k,
    below = above + kinks.shape[-1] - 1  # and one at which it is more
    for _ in range(kinks.shape[-1].bit_length()):
        middle = (above + below) // 2
        small = (z - kinks.gather(-1, middle)).clamp(0.0, 1.0).sum(-1, keepdim=True) <= k
        above, below = torch.where(small, middle, above), torch.where(small, below, middle)
    upper, lower = kinks.gather(-1, above), kinks.gather(-1, below)
    capped, free = z - 1.0 >= upper, (z >= upper) & (z - 1.0 <= lower)
    total = torch.where(free, z, 0.0).sum(-1, keepdim=True)
    tau = (total + capped.sum(-1, keepdim=True) - k) / free.sum(-1, keepdim=True)
    return (scores - pivot - tau).clamp(0.0, 1.0)


class _Isotonic(Itemwise):
    """The projection onto the permutahedron and its blocks; the Jacobian takes the mean over each block away."""

    @staticmethod
    def forward(theta: Tensor, polytope: Permutahedron) -> tuple[Tensor, Tensor]:
        rows = bounded(theta.detach(), 1).cpu().contiguous()
        ranks = polytope.argmax(rows)
        y, blocks = torch.empty_like(rows), torch.empty(rows.shape, dtype=torch.int64, device="cpu")
        run_kernel(_isotonic.project, rows.numpy(), ranks.numpy(), y.numpy(), blocks.numpy())
        return y.to(theta.device), blocks

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)  # a potential's first derivative sends None: there is nothing to do then
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])
        ctx.save_for_forward(output[1])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, None]:
        if grad_outputs[0] is None:
            return None, None
        return _Centre.apply(grad_outputs[0], ctx.saved_tensors[0]), None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> tuple[Tensor, None]:
        return _Centre.apply(grad_inputs[0], ctx.saved_tensors[0]), None


class _Centre(Itemwise):
    """A linear map that is its own transpose."""

    @staticmethod
    def forward(direction: Tensor, blocks: Tensor) -> Tensor:
        rows = direction.detach().cpu().contiguous()
        out = torch.empty_like(rows)
        run_kernel(_isotonic.centre, rows.numpy(), blocks.contiguous().numpy(), out.numpy())
        return out.to(direction.device)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return _Centre.apply(grad_outputs[0], ctx.saved_tensors[0]), None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        return _Centre.apply(grad_inputs[0], ctx.saved_tensors[0])
