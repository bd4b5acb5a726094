r"""Maximisers whose derivative is known from their value, by the implicit function theorem.

Of ``argmax_y <theta, y> - sum_i r(y_i)`` under ``0 <= y <= 1`` and ``sum y = k`` the Jacobian is
``diag(w) - w w' / sum(w)``, with ``w_i = 1 / r''(y_i)`` where ``y_i`` is free to move and 0 where it is held at a
bound. It is symmetric, so its product with an incoming gradient is the gradient; as w is a function of y, derivatives
of any order follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from structgrad.autograd import Itemwise
from structgrad.parallel import run_kernel
from structgrad.polytopes.subset import Subset

Weights = Callable[[Tensor], Tensor]
Kernel = Callable[[np.ndarray, np.ndarray, int, np.ndarray], None]
Plain = Callable[[Tensor, int], Tensor]


def soft_subset(
    subset: Subset, theta: Tensor, mask: Tensor | None, kernel: Kernel, plain: Plain, weights: Weights
) -> Tensor:
    """The regularised maximiser over subsets of size k: on the CPU by ``kernel``, elsewhere by ``plain``.

    Both get float64 scores ``(B, n)`` with -inf out of the mask; ``plain`` need not care for rows without a choice.
    """
    subset._check(theta)
    mask = subset._check_mask(theta, mask)
    k = subset.k

    def solve(scores: Tensor, allowed: Tensor | None) -> Tensor:
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        if scores.device.type == "cpu":
            return _by_kernel(kernel, scores, k)
        return with_corners(plain, scores, k)

    allowed = None if mask is None else mask.reshape(-1, subset.n)
    y = _ByValue.apply(theta.double().reshape(-1, subset.n), allowed, solve, weights)
    return y.view(theta.shape).to(theta.dtype)


class _ByValue(Itemwise):
    @staticmethod
    def forward(
        theta: Tensor, allowed: Tensor | None, solve: Callable[[Tensor, Tensor | None], Tensor], weights: Weights
    ) -> Tensor:
        return solve(theta, allowed)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.weights = inputs[3]
        ctx.set_materialize_grads(False)  # a potential's first derivative sends None: there is nothing to do then
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, None, None, None]:
        (direction,) = grad_outputs
        return None if direction is None else _ByValue._product(ctx, direction), None, None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        return _ByValue._product(ctx, grad_inputs[0])

    @staticmethod
    def _product(ctx: Any, direction: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors  # an output: it carries this very node into second derivatives
        weights = ctx.weights(y)
        total = weights.sum(-1, keepdim=True)
        total = torch.where(total > 0, total, 1.0)  # every coordinate is held or saturates
        return weights * (direction - (weights * direction).sum(-1, keepdim=True) / total)


def _by_kernel(kernel: Kernel, scores: Tensor, k: int) -> Tensor:
    y = torch.empty_like(scores, memory_format=torch.contiguous_format)
    rows = scores.contiguous().numpy()
    run_kernel(lambda some, out: kernel(some, np.sort(some, axis=-1), k, out), rows, y.numpy())
    return y


def with_corners(plain: Plain, scores: Tensor, k: int) -> Tensor:
    """``plain`` where there is a choice; 0 or 1 exactly where k is 0 or all that may be used."""
    allowed = scores > -torch.inf
    only = (allowed & (k > 0)).to(scores.dtype)
    if not 0 < k < scores.shape[-1]:
        return only
    return torch.where(allowed.sum(-1, keepdim=True) > k, plain(scores, k), only)
