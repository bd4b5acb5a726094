"""Perfect matchings of two sets: permutation matrices, Birkhoff's vertices, or the smaller set's injections."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import prod

import numpy as np
import torch
from torch import Tensor

from structgrad.arguments import count
from structgrad.parallel import map_blocks
from structgrad.polytopes._assignment import CARRIED_32, CARRIED_64, assign, assign_pair
from structgrad.polytopes.base import Polytope
from structgrad.transforms import active


class Matching(Polytope):
    """Matchings ``y`` of shape ``(n, m)``: ``y[i, j] = 1`` where row i takes column j, no row or column twice.

    Every row is matched if ``n <= m``, every column if ``m <= n``: for ``n = m`` permutation matrices.

    The maximiser is the linear assignment problem, solved exactly in float64 on the CPU. Of ``(R, ..., n, m)`` scores,
    those that share the first index are solved one after another, each from the prices of the one before, which pays
    where they resemble each other. Exact ties (which continuous scores do not have) are broken by the scan order of
    the solver, always alike for the same scores under one first index.

    A problem whose scores are much smaller than the prices before it starts from its own: no digit of it is lost to its
    neighbours.

    >>> Matching(2, 3).argmax(torch.tensor([[1.0, 5.0, 0.0], [2.0, 6.0, 0.0]])).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]

    Args:
        n: rows.
        m: columns; None: as many.
    """

    adds = True

    def __init__(self, n: int, m: int | None = None) -> None:
        self.n = n = count(n, "n")
        self.m = m = n if m is None else count(m, "m")
        self.event_shape = (n, m)
        self._m = None if m == n else m

    def columns(self, theta: Tensor) -> Tensor:
        """The column of each row in the best assignment, ``(..., n)`` int64; -1 where a row has none."""
        return self._columns(self._within(theta, self._check(theta)))

    def _columns(self, theta: Tensor) -> Tensor:
        (columns,) = self._solved(assign, theta)
        return columns

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        return self.indicator(self._columns(theta), theta)

    def _argmax_forced(self, theta: Tensor, allowed: Tensor, forced: Tensor) -> Tensor:
        """By scipy's solver, which takes forbidden entries; zero where there is no matching without them."""
        from scipy.optimize import linear_sum_assignment  # here: it takes half a second, and only `k_best` asks for it

        y, scores = torch.zeros_like(theta), theta.masked_fill(~allowed, -torch.inf).numpy()
        for b in range(len(theta)):
            try:
                rows, columns = map(torch.from_numpy, linear_sum_assignment(scores[b], maximize=True))
            except ValueError:  # infeasible
                continue
            y[b, rows, columns] = 1.0
        return y

    def _forcing(self, allowed: Tensor, forced: Tensor) -> tuple[Tensor, Tensor]:
        taken = forced.any(-1, keepdim=True) | forced.any(-2, keepdim=True)
        return allowed & (forced | ~taken), forced

    def argmax_pair(self, theta: Tensor, other: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Both maximisers; the second search starts from the first one's prices (ten times cheaper when near)."""
        if active():
            return super().argmax_pair(theta, other, mask)
        sizes = self._check(theta), self._check(other, "other")
        self._check_mask(theta, mask)
        if theta.shape != other.shape:
            raise ValueError(f"theta {tuple(theta.shape)} and other {tuple(other.shape)} differ in shape")
        columns, moved = self._solved(assign_pair, *map(self._within, (theta, other), sizes))
        return self.indicator(columns, theta), self.indicator(moved, theta)

    def indicator(self, columns: Tensor, like: Tensor) -> Tensor:
        """Matrices with ones at ``(i, columns[i])`` and no one in rows of -1, in the dtype of ``like``."""
        matrix = torch.zeros((*columns.shape, self.m), dtype=like.dtype, device=columns.device)
        columns = columns.unsqueeze(-1)
        if self.n <= self.m:
            return matrix.scatter_(-1, columns, 1.0)
        return matrix.scatter_(-1, columns.clamp(min=0), (columns >= 0).to(like.dtype))

    def vertices(self) -> Tensor:
        few, many = sorted(self.event_shape)
        taken = torch.tensor(list(permutations(range(many), few)), device="cpu")
        columns = taken if self.n <= self.m else self._turned(taken)
        return self.indicator(columns, torch.empty(0, dtype=torch.float64, device="cpu"))

    def _solved(self, kernel: Callable[..., bool], *scores: Tensor) -> list[Tensor]:
        if self.n <= self.m:
            return _solve(kernel, *scores)
        return [self._turned(rows) for rows in _solve(kernel, *(s.mT for s in scores))]

    def _turned(self, rows: Tensor) -> Tensor:
        """The column of each row, -1 where there is none, from the row of each column."""
        columns = rows.new_full((*rows.shape[:-1], self.n), -1)
        return columns.scatter_(-1, rows, torch.arange(self.m, device=rows.device).expand_as(rows))


def _solve(kernel: Callable[..., bool], *scores: Tensor) -> list[Tensor]:
    """Columns ``(..., n)`` for each of the scores, float32 or float64, of which n rows are not more than columns.

    Threads share the work by first index.
    """
    shape, device = scores[0].shape, scores[0].device
    chain = max(1, prod(shape[1:-2])) if len(shape) > 3 else 1
    carried = CARRIED_32 if all(s.dtype == torch.float32 for s in scores) else CARRIED_64
    flat = [s.detach().to("cpu").reshape(-1, *shape[-2:]).contiguous().numpy() for s in scores]
    columns = [torch.empty(shape[:-1], dtype=torch.int64, device="cpu") for _ in scores]
    filled = [c.view(-1, shape[-2]).numpy() for c in columns]

    def block(groups: slice) -> None:
        rows = slice(groups.start * chain, groups.stop * chain)
        held = None if shape[-2] == shape[-1] else np.empty(1, np.int64)
        if not kernel(*(s[rows] for s in flat), chain, carried, held, *(c[rows] for c in filled)):
            raise ValueError(f"theta of shape {tuple(shape)} holds scores whose differences are beyond float64")

    groups = len(flat[0]) // chain
    map_blocks(block, groups, max(1, groups))
    return [c.to(device) for c in columns]
