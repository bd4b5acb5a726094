"""Scores of candidates: minus their distance, or squared distance, to a query."""

from __future__ import annotations

import torch
from torch import Tensor


def squared(queries: Tensor, candidates: Tensor) -> Tensor:
    """``|q - c|^2`` ``(Q, C)`` of ``(Q, D)`` and ``(C, D)`` by one product of matrices; not below zero."""
    norms = (queries**2).sum(-1, keepdim=True) + (candidates**2).sum(-1)
    return torch.addmm(norms, queries, candidates.mT, alpha=-2).clamp_min(0)


def euclidean(queries: Tensor, candidates: Tensor) -> Tensor:
    """``|q - c|``, with derivative zero where a candidate is the query itself.

    Of such a pair rounding may leave a small distance, whose derivative is all noise: squares within ``1e-6`` of the
    norms' are taken for zero.
    """
    found = squared(queries, candidates)
    with torch.no_grad():
        norms = (queries**2).sum(-1, keepdim=True) + (candidates**2).sum(-1)
    same = found <= 1e-6 * norms
    return found.masked_fill(same, 1.0).sqrt().masked_fill(same, 0.0)
