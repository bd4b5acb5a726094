"""Maximum spanning trees by Prim's search on a dense graph, compiled.

Each step takes the best edge that leaves the tree, and among equals the one that comes first in the event. Under that
order no two edges are equal, and so the tree does not depend on where the search starts.
"""

from __future__ import annotations

import numpy as np
from numba import njit


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
