"""Categorical entropy: the soft structure is a softmax, capped at 1 for subsets."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.polytopes.base import Polytope
from structgrad.polytopes.subset import Subset
from structgrad.regularizers._implicit import soft_subset
from structgrad.regularizers._subset import categorical_subset
from structgrad.regularizers.base import Regularizer, unknown_pair


class CategoricalEntropy(Regularizer):
    r"""``R(y) = sum_i y_i log y_i`` on subsets of size k (paulus, section 5; ``0 log 0 = 0``).

    Its maximiser is ``min(1, exp(theta - c))`` with ``sum y = k``: k times the constrained softmax with caps ``1 / k``
    of Martins & Kreutzer (2017). On the simplex it is the softmax.
    """

    def maximise(self, polytope: Polytope, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        if not isinstance(polytope, Subset):
            raise unknown_pair(self, polytope)
        return soft_subset(polytope, theta, mask, categorical_subset, plain_categorical_subset, _uncapped)

    def value(self, polytope: Polytope, y: Tensor) -> Tensor:
        if not isinstance(polytope, Subset):
            raise unknown_pair(self, polytope)
        polytope._check(y, "y")
        wide = y.double()
        return torch.xlogy(wide, wide).sum(-1).to(y.dtype)


def _uncapped(y: Tensor) -> Tensor:
    return y * (y < 1)


def plain_categorical_subset(scores: Tensor, k: int) -> Tensor:
    """``min(1, exp(scores - c))`` on any device: of the k ways to cap the largest, the first that caps enough."""
    scores = scores - scores.topk(k, sorted=False).values.amin(-1, keepdim=True)
    z = scores.sort(-1, descending=True).values
    tails = z.flip(-1).logcumsumexp(-1).flip(-1)[:, :k] - z[:, :k]  # log of sum over i >= u of exp(z_i - z_u)
    left = torch.arange(k, 0, -1, dtype=z.dtype, device=z.device)
    capped = (tails >= left.log()).byte().argmax(-1, keepdim=True)  # the last tail is at least the k-th score, 0
    top = z.gather(-1, capped)
    uncapped = torch.arange(z.shape[-1], device=z.device) >= capped
    total = torch.where(uncapped, (z - top).exp(), 0.0).sum(-1, keepdim=True)
    above = scores - top
    return torch.where(above > 0, 1.0, above.exp() * (k - capped) / total).clamp(max=1.0)
