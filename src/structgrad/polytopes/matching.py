"""Perfect matchings of two sets of n: permutation matrices, the vertices of Birkhoff's polytope."""

from __future__ import annotations

from itertools import permutations
from math import prod

import torch
from torch import Tensor

from structgrad.polytopes._assignment import assign, assign_pair
from structgrad.polytopes.base import Polytope


class Matching(Polytope):
    """Permutation matrices ``y`` of shape ``(n, n)``: ``y[i, j] = 1`` where row i takes column j.

    The maximiser is the linear assignment problem, solved exactly in float64 on the CPU. Of ``(R, ..., n, n)`` scores,
    those that share the first index are solved one after another, each from the prices of the one before, which pays
    where they resemble each other. Exact ties (which continuous scores do not have) are broken by the scan order of
    the solver, always alike for the same scores under one first index.
    """

    def __init__(self, n: int) -> None:
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        self.n = n
        self.event_shape = (n, n)

    def columns(self, theta: Tensor) -> Tensor:
        """The column of each row in the best assignment, ``(..., n)`` int64."""
        self._check(theta)
        scores = _to_numpy(theta)
        columns = torch.empty(scores.shape[:-1], dtype=torch.int64)
        assign(scores, _chain(theta), columns.numpy())
        return columns.view(theta.shape[:-1]).to(theta.device)

    def argmax(self, theta: Tensor) -> Tensor:
        return self.indicator(self.columns(theta), theta)

    def argmax_pair(self, theta: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Both maximisers; the second search starts from the first one's prices (ten times cheaper when near)."""
        self._check(theta)
        self._check(other, "other")
        if theta.shape != other.shape:
            raise ValueError(f"theta {tuple(theta.shape)} and other {tuple(other.shape)} differ in shape")
        first, second = _to_numpy(theta), _to_numpy(other)
        columns = torch.empty((2, *first.shape[:-1]), dtype=torch.int64)
        assign_pair(first, second, _chain(theta), columns[0].numpy(), columns[1].numpy())
        columns = columns.view(2, *theta.shape[:-1]).to(theta.device)
        return self.indicator(columns[0], theta), self.indicator(columns[1], theta)

    def indicator(self, columns: Tensor, like: Tensor) -> Tensor:
        """Permutation matrices with ones at ``(i, columns[i])``, in the dtype of ``like``."""
        matrix = torch.zeros((*columns.shape, self.n), dtype=like.dtype, device=columns.device)
        return matrix.scatter_(-1, columns.unsqueeze(-1), 1.0)

    def vertices(self) -> Tensor:
        columns = torch.tensor(list(permutations(range(self.n))))
        return self.indicator(columns, torch.empty(0, dtype=torch.float64))


def _chain(theta: Tensor) -> int:
    return max(1, prod(theta.shape[1:-2])) if theta.dim() > 3 else 1


def _to_numpy(theta: Tensor):
    return theta.detach().to("cpu").reshape(-1, *theta.shape[-2:]).contiguous().numpy()
