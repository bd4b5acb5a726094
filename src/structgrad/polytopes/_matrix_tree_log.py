r"""The matrix-tree theorem on the logarithms of weights, compiled: for scores too far apart for ``_matrix_tree``.

The same elimination, but slower. The reverse pass knows only probabilities: ``x[j, i]``, how likely the tree of
the graph that is left uses its edge from i to j, of which the share ``w_jk p_ki / w'_ji`` goes by the vertex k that is
put back, so that there is nothing to overflow. Tangents are those of logarithms for the same reason.
"""

from __future__ import annotations

import numpy as np
from numba import njit

NOTHING = 40.0  # exp(-40) added to one is one


@njit(cache=True, nogil=True)
def _eliminate(w, r, m):
    """``log Z`` from the log-weights ``w`` of in-edges with tangents ``r``.

    Afterwards, for i, j < k: ``w[k, i]`` and ``w[j, k]`` are what they were when k was taken out, ``w[k, k] = log s_k``
    and ``r[k, k]`` is its tangent.
    """
    log_partition = 0.0
    for k in range(m - 1, 0, -1):
        best = w[k, :k].max()
        total = 0.0
        tangent = 0.0
        for i in range(k):
            weight = np.exp(w[k, i] - best)
            total += weight
            tangent += weight * r[k, i]
        w[k, k] = best + np.log(total)
        r[k, k] = tangent / total
        log_partition += w[k, k]
        for j in range(1, k):
            for i in range(k):
                if i == j or w[j, k] == -np.inf or w[k, i] == -np.inf:
                    continue
                through = w[j, k] + w[k, i] - w[k, k]
                change = r[j, k] + r[k, i] - r[k, k] - r[j, i]
                gap = through - w[j, i]
                if gap > NOTHING:
                    w[j, i] = through
                    r[j, i] += change
                elif gap > -NOTHING:
                    ratio = np.exp(-abs(gap))
                    w[j, i] = max(w[j, i], through) + np.log1p(ratio)
                    r[j, i] += change * (1.0 if gap > 0.0 else ratio) / (1.0 + ratio)
    return log_partition


@njit(cache=True, nogil=True)
def _reverse(w, r, x, y, m):
    """The probabilities ``x`` of edges as :func:`_eliminate` left them, and their tangents ``y``."""
    for k in range(1, m):
        x[k, : k + 1] = 0.0
        y[k, : k + 1] = 0.0
        total = 0.0
        tangent = 0.0
        for j in range(1, k):
            x[j, k] = 0.0
            y[j, k] = 0.0
            for i in range(k):
                if i == j or w[j, k] == -np.inf or w[k, i] == -np.inf:
                    continue
                gap = w[j, k] + w[k, i] - w[k, k] - w[j, i]
                if gap < -NOTHING:
                    continue
                share = np.exp(gap)
                flow = share * x[j, i]
                slope = share * y[j, i] + flow * (r[j, k] + r[k, i] - r[k, k] - r[j, i])
                x[j, k] += flow
                x[k, i] += flow
                total += flow
                y[j, k] += slope
                y[k, i] += slope
                tangent += slope
        for i in range(k):
            p = np.exp(w[k, i] - w[k, k])
            x[k, i] += p * (1.0 - total)
            y[k, i] += p * ((r[k, i] - r[k, k]) * (1.0 - total) - tangent)


@njit(cache=True, nogil=True)
def products(index, into, vertices, counts, direction, log_partition, marginals, out):
    """``log Z``, marginals and ``out``, the Hessian times ``direction``, of graphs as ``_graph.gather`` makes them.

    An undirected edge adds up its two directions.
    """
    n = len(index)
    w, r, x, y = np.empty((n, n)), np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    best = np.empty(n)
    for b in range(len(into)):
        m = counts[b]
        for j in range(1, m):
            best[j] = into[b, j, :m].max()
            for i in range(m):
                w[j, i] = into[b, j, i] - best[j]
                r[j, i] = 0.0
                if w[j, i] > -np.inf:
                    r[j, i] = direction[b, index[vertices[b, i], vertices[b, j]]]
        log_partition[b] = best[1:m].sum() + _eliminate(w, r, m)
        _reverse(w, r, x, y, m)
        marginals[b] = 0.0
        out[b] = 0.0
        for j in range(1, m):
            for i in range(m):
                if into[b, j, i] > -np.inf:
                    e = index[vertices[b, i], vertices[b, j]]
                    share = np.exp(into[b, j, i] - best[j] - w[j, i])  # of the edge itself in what it became
                    marginals[b, e] += share * x[j, i]
                    out[b, e] += share * (y[j, i] + x[j, i] * (direction[b, e] - r[j, i]))
