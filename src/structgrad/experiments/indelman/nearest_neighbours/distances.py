"""Scores of candidates: minus their distance, or squared distance, to a query."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def squared(queries: Tensor, candidates: Tensor) -> Tensor:
    """``|q - c|^2`` ``(Q, C)`` of ``(Q, D)`` and ``(C, D)`` by one product of matrices; not below zero."""
    norms = (queries**2).sum(-1, keepdim=True) + (candidates**2).sum(-1)
    return torch.addmm(norms, queries, candidates.mT, alpha=-2).clamp_min(0)


def euclidean(queries: Tensor, candidates: Tensor) -> Tensor:
    """``|q - c|``, with derivative zero where a candidate is the query itself.

    Of such a pair rounding may leave a small distance, whose derivative is all noise: squares within ``1e-6`` of the
    norms' are taken for zero. The derivative's products are of those rows and columns alone that have any gradient,
    which with direct loss are few.
    """
    return _Euclidean.apply(queries, candidates)


class _Euclidean(Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, candidates: Tensor) -> Tensor:
        norms = queries.square().sum(-1, keepdim=True) + candidates.square().sum(-1)
        distances = torch.addmm(norms, queries, candidates.mT, alpha=-2)
        distances.masked_fill_(distances <= norms.mul_(1e-6), 0.0).sqrt_()
        ctx.save_for_backward(queries, candidates, distances)
        return distances

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        queries, candidates, all_distances = ctx.saved_tensors
        some = gradients[0].abs()
        rows, columns = (some.amax(axis).nonzero().squeeze(-1) for axis in (1, 0))
        distances = all_distances[rows][:, columns]
        weights = (gradients[0][rows][:, columns] / distances).masked_fill_(distances == 0, 0.0)
        q, c = queries[rows], candidates[columns]
        of_queries, of_candidates = torch.zeros_like(queries), torch.zeros_like(candidates)
        of_queries[rows] = q * weights.sum(1, keepdim=True) - weights @ c
        of_candidates[columns] = c * weights.sum(0).unsqueeze(-1) - weights.mT @ q
        return of_queries, of_candidates
