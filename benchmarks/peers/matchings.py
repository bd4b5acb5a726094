"""Assignment by a loop over scipy's solver, and Sinkhorn's iteration on the matrix of logarithms."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

_pools: dict[int, ThreadPoolExecutor] = {}


def assignment(theta: Tensor, threads: int = 1) -> Tensor:
    """The best permutation matrix of each score matrix ``(B, n, n)``; the solver releases the GIL."""
    scores = theta.numpy()
    columns = np.empty(scores.shape[:-1], np.int64)

    def solve(rows: slice) -> None:
        for b in range(rows.start, rows.stop):
            columns[b] = linear_sum_assignment(scores[b], maximize=True)[1]

    in_blocks(solve, len(scores), threads)
    return torch.zeros_like(theta).scatter_(-1, torch.from_numpy(columns).unsqueeze(-1), 1.0)


def in_blocks(solve, count: int, threads: int) -> None:
    """``solve`` on a slice for each thread."""
    if threads == 1:
        solve(slice(0, count))
        return
    pool = _pools.setdefault(threads, ThreadPoolExecutor(threads))
    cuts = [count * i // threads for i in range(threads + 1)]
    list(pool.map(solve, map(slice, cuts[:-1], cuts[1:])))


def log_sinkhorn(theta: Tensor, rounds: int) -> Tensor:
    """Rounds of row and column normalisation, as the public ports write it (Mena et al. 2018)."""
    log_plan = theta
    for _ in range(rounds):
        log_plan = log_plan - torch.logsumexp(log_plan, -1, keepdim=True)
        log_plan = log_plan - torch.logsumexp(log_plan, -2, keepdim=True)
    return log_plan.exp()
