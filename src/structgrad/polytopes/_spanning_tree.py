"""Maximum spanning trees by Prim's search on a dense graph, compiled and in torch, with the same rule for ties.

Each step takes the best edge that leaves the tree, and among equals the one that comes first in the event. Under that
order no two edges are equal, and so the tree does not depend on where the search starts.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor


@njit(cache=True, nogil=True)
def maximum_trees(index, theta, allowed, used):
    """``used[b, e]``: whether edge e is in the best tree of row b, for scores and masks ``(B, edges)``.

    ``index[i, j]`` is the number of the edge between i and j.
    """
    n = len(index)
    edges = theta.shape[1]
    inside, score, edge = np.empty(n, np.bool_), np.empty(n), np.empty(n, np.int64)
    for b in range(len(theta)):
        used[b] = False
        inside[:] = False
        score[:] = -np.inf
        edge[:] = edges
        latest = _first(index, allowed[b])
        while latest >= 0:
            inside[latest] = True
            nearest = -1
            for v in range(n):
                if inside[v]:
                    continue
                e = index[latest, v]
                if allowed[b, e] and (theta[b, e] > score[v] or (theta[b, e] == score[v] and e < edge[v])):
                    score[v] = theta[b, e]
                    edge[v] = e
                if edge[v] < edges and (
                    nearest < 0 or score[v] > score[nearest] or (score[v] == score[nearest] and edge[v] < edge[nearest])
                ):
                    nearest = v
            if nearest >= 0:
                used[b, edge[nearest]] = True
            latest = nearest


@njit(cache=True, nogil=True)
def _first(index, allowed):
    """The first vertex with an edge; -1 without any."""
    for i in range(len(index)):
        for j in range(i + 1, len(index)):
            if allowed[index[i, j]]:
                return i
    return -1


def torch_maximum_trees(scores: Tensor, allowed: Tensor, index: Tensor) -> Tensor:
    """The same for scores and masks as symmetric matrices ``(B, n, n)``; ``index`` ``(n, n)`` numbers the edges.

    All rows take a step at once; those whose tree spans already take the edge that comes after the last one, which is
    cut off in the end.
    """
    batch, n, _ = scores.shape
    edges = n * (n - 1) // 2
    scores = scores.masked_fill(~allowed, -torch.inf)
    item = torch.arange(batch, device=scores.device)
    used = torch.zeros(batch, edges + 1, dtype=torch.bool, device=scores.device)
    inside = torch.zeros(batch, n, dtype=torch.bool, device=scores.device)
    score = torch.full((batch, n), -torch.inf, dtype=scores.dtype, device=scores.device)
    edge = index.new_full((batch, n), edges)
    latest = allowed.any(-1).to(torch.int8).argmax(-1)
    for _ in range(n - 1):
        inside[item, latest] = True
        found, number = scores[item, latest], index[latest]
        better = (found > score) | ((found == score) & (found > -torch.inf) & (number < edge))
        score, edge = found.where(better, score), number.where(better, edge)
        outside = score.masked_fill(inside, -torch.inf)
        best = outside == outside.amax(-1, keepdim=True)
        first, latest = edge.masked_fill(inside | ~best, edges).min(-1)
        used[item, first] = True
    return used[:, :edges]
