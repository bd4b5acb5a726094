"""Binary entropy: every coordinate of the soft structure is a sigmoid."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from structgrad.polytopes.base import Polytope
from structgrad.polytopes.hypercube import Hypercube
from structgrad.polytopes.subset import Subset
from structgrad.regularizers._implicit import soft_subset
from structgrad.regularizers._subset import binary_subset
from structgrad.regularizers.base import Regularizer, unknown_pair


class BinaryEntropy(Regularizer):
    r"""``R(y) = sum_i y_i log y_i + (1 - y_i) log(1 - y_i)`` (paulus, section 5; ``0 log 0 = 0``).

    * ``Subset`` and ``Simplex``: ``sigmoid(theta + nu)`` with ``sum y = k`` (LML, Amos et al. 2019).
    * ``Hypercube``: ``sigmoid(theta)``.
    """

    def maximise(self, polytope: Polytope, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        if isinstance(polytope, Subset):
            return soft_subset(polytope, theta, mask, binary_subset, plain_binary_subset, _slope)
        if not isinstance(polytope, Hypercube):
            raise unknown_pair(self, polytope)
        return polytope.marginals(theta, mask)  # coordinates are independent: this entropy is the distribution's

    def value(self, polytope: Polytope, y: Tensor) -> Tensor:
        if not isinstance(polytope, Subset | Hypercube):
            raise unknown_pair(self, polytope)
        polytope._check(y, "y")
        wide = y.double()
        entropy = torch.xlogy(wide, wide) + torch.xlogy(1 - wide, 1 - wide)
        return entropy.sum(tuple(range(-len(polytope.event_shape), 0))).to(y.dtype)


def _slope(y: Tensor) -> Tensor:
    """The derivative of the sigmoid whose value is y."""
    return y * (1 - y)


def plain_binary_subset(scores: Tensor, k: int) -> Tensor:
    """``sigmoid(scores + nu)`` on any device, by the kernel's bracketed Newton's method."""
    z, n = scores.sort(-1, descending=True).values, scores.shape[-1]
    above, below = z[:, k - 1 : k], z[:, k : k + 1]
    middle = below + (0.5 * above - 0.5 * below)  # halved first: the difference may be beyond floats
    side = torch.where(torch.arange(n, device=z.device) < k, -1.0, 1.0).to(z.dtype)
    z = z - middle
    nu = torch.zeros_like(middle)
    low, high = nu - math.log(2 * (n - k)), nu + math.log(2 * k)
    for _ in range(100):
        share = (side * (z + nu)).sigmoid()  # what the k largest lack, what the others have
        excess, slope = (side * share).sum(-1, keepdim=True), _slope(share).sum(-1, keepdim=True)
        step = torch.where(excess == 0, excess, -excess / slope)
        done = ~(step.abs() >= 1e-9)  # its square is below the last bit; NaN: a row without a choice
        high, low = torch.where(excess > 0, nu, high), torch.where(excess > 0, low, nu)
        moved = nu + step
        nu = torch.where(done | (moved > low) & (moved < high), moved, 0.5 * (low + high))
        if bool(done.all()):
            break
    return (scores - middle + nu).sigmoid()
