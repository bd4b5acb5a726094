r"""The matrix-tree theorem on the logarithms of weights, compiled: for scores too far apart for ``_matrix_tree``.

The same elimination, but slower. The reverse pass knows only probabilities: ``x[j, i]``, how likely the tree of
the graph that is left uses its edge from i to j, of which the share ``w_jk p_ki / w'_ji`` goes by the vertex k that is
put back, so that there is nothing to overflow. Tangents are those of logarithms for the same reason.

A logarithm is held as the sum of two floats, the second no more than what rounding took from the first: between edges
of 1e20 the factor of two that two equal ways make, 0.7, is below the last digit of one float, and with it their shares.
"""

from __future__ import annotations

import numpy as np
from numba import njit

NOTHING = 40.0  # exp(-40) added to one is one


@njit(cache=True, nogil=True, inline="always")
def _plus(a, a_low, b, b_low):
    """The sum of two numbers of two floats each (Knuth's two-sum, then renormalised)."""
    total = a + b
    part = total - a
    low = (a - (total - part)) + (b - part) + (a_low + b_low)
    high = total + low
    return high, low - (high - total)


@njit(cache=True, nogil=True)
def _eliminate(w, low, r, single, m):
    """``log Z`` in two floats from the log-weights ``w + low`` of in-edges with tangents ``r``.

    Afterwards, for i, j < k: ``w[k, i]`` and ``w[j, k]`` are what they were when k was taken out, ``w[k, k] = log s_k``
    and ``r[k, k]`` is its tangent.
    """
    log_partition, log_partition_low = 0.0, 0.0
    for k in range(m - 1, 0, -1):
        least = 1 if single and k > 1 else 0  # see _matrix_tree
        first = least
        for i in range(least + 1, k):
            if w[k, i] > w[k, first] or (w[k, i] == w[k, first] and low[k, i] > low[k, first]):
                first = i
        best, best_low = w[k, first], low[k, first]
        total = 0.0
        tangent = 0.0
        for i in range(least, k):
            weight = np.exp((w[k, i] - best) + (low[k, i] - best_low))
            total += weight
            tangent += weight * r[k, i]
        w[k, k], low[k, k] = _plus(best, best_low, np.log(total), 0.0)
        r[k, k] = tangent / total
        log_partition, log_partition_low = _plus(log_partition, log_partition_low, w[k, k], low[k, k])
        for j in range(1, k):
            for i in range(k):
                if i == j or w[j, k] == -np.inf or w[k, i] == -np.inf:
                    continue
                through, through_low = _plus(w[j, k], low[j, k], w[k, i], low[k, i])
                through, through_low = _plus(through, through_low, -w[k, k], -low[k, k])
                change = r[j, k] + r[k, i] - r[k, k] - r[j, i]
                gap = (through - w[j, i]) + (through_low - low[j, i])
                if gap > NOTHING:
                    w[j, i], low[j, i] = through, through_low
                    r[j, i] += change
                elif gap > -NOTHING:
                    ratio = np.exp(-abs(gap))
                    if gap > 0.0:
                        w[j, i], low[j, i] = through, through_low
                    w[j, i], low[j, i] = _plus(w[j, i], low[j, i], np.log1p(ratio), 0.0)
                    r[j, i] += change * (1.0 if gap > 0.0 else ratio) / (1.0 + ratio)
    return log_partition, log_partition_low


@njit(cache=True, nogil=True)
def _reverse(w, low, r, x, y, single, m):
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
                through, through_low = _plus(w[j, k], low[j, k], w[k, i], low[k, i])
                through, through_low = _plus(through, through_low, -w[k, k], -low[k, k])
                gap = (through - w[j, i]) + (through_low - low[j, i])
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
        for i in range(1 if single and k > 1 else 0, k):
            p = np.exp((w[k, i] - w[k, k]) + (low[k, i] - low[k, k]))
            x[k, i] += p * (1.0 - total)
            y[k, i] += p * ((r[k, i] - r[k, k]) * (1.0 - total) - tangent)


@njit(cache=True, nogil=True)
def products(index, into, vertices, counts, single, direction, log_partition, marginals, out):
    """``log Z``, marginals and ``out``, the Hessian times ``direction``, of graphs as ``_graph.gather`` makes them.

    An undirected edge adds up its two directions.
    """
    n = len(index)
    w, low, r, x, y = np.empty((n, n)), np.empty((n, n)), np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    best = np.empty(n)
    for b in range(len(into)):
        m = counts[b]
        shift, shift_low = 0.0, 0.0
        for j in range(1, m):
            best[j] = into[b, j, :m].max()
            shift, shift_low = _plus(shift, shift_low, best[j], 0.0)
            for i in range(m):
                w[j, i], low[j, i], r[j, i] = -np.inf, 0.0, 0.0
                if into[b, j, i] > -np.inf:
                    w[j, i], low[j, i] = _plus(into[b, j, i], 0.0, -best[j], 0.0)
                    r[j, i] = direction[b, index[vertices[b, i], vertices[b, j]]]
        total, total_low = _eliminate(w, low, r, single, m)
        log_partition[b] = _plus(shift, shift_low, total, total_low)[0]
        _reverse(w, low, r, x, y, single, m)
        marginals[b] = 0.0
        out[b] = 0.0
        for j in range(1, m):
            for i in range(m):
                if into[b, j, i] > -np.inf:
                    e = index[vertices[b, i], vertices[b, j]]
                    own, own_low = _plus(into[b, j, i], 0.0, -best[j], 0.0)
                    share = np.exp((own - w[j, i]) + (own_low - low[j, i]))  # of the edge itself in what it became
                    marginals[b, e] += share * x[j, i]
                    out[b, e] += share * (y[j, i] + x[j, i] * (direction[b, e] - r[j, i]))


@njit(cache=True, nogil=True)
def _weigh(scores, own, low, m):
    """The log-weights ``own + low`` of in-edges: by how much each is below its child's best one."""
    for j in range(1, m):
        best = scores[j, :m].max()
        for i in range(m):
            own[j, i], low[j, i] = -np.inf, 0.0
            if scores[j, i] > -np.inf:
                own[j, i], low[j, i] = _plus(scores[j, i], 0.0, -best, 0.0)


@njit(cache=True, nogil=True)
def eliminations(into, counts, single, own, own_low, w, low):
    """The log-weights ``own + own_low`` of in-edges, and in ``w`` and ``low`` what :func:`_eliminate` makes of them."""
    n = into.shape[1]
    r = np.empty((n, n))
    for b in range(len(into)):
        m = counts[b]
        _weigh(into[b], own[b], own_low[b], m)
        w[b], low[b] = own[b], own_low[b]
        r[:] = 0.0
        _eliminate(w[b], low[b], r, single, m)


@njit(cache=True, nogil=True)
def _entropy(own, own_low, w, low, x, single, m):
    """The entropy of the tree, after :func:`_eliminate` and :func:`_reverse`: no term grows with the scores.

    Each vertex that is put back brings ``(1 - c) H(p)``, with c the children that it is expected to have among those
    before it, and each edge ``x H(shares)``, of the ways by which it may go. What logarithms of weights there are in
    ``log p`` of a tree cancels between the steps.
    """
    value = 0.0
    for k in range(1, m):
        spread, children = 0.0, 0.0
        for i in range(1 if single and k > 1 else 0, k):
            if w[k, i] > -np.inf:
                log_p = (w[k, i] - w[k, k]) + (low[k, i] - low[k, k])
                spread -= np.exp(log_p) * log_p
        for j in range(1, k):
            children += x[j, k]
            for i in range(k):
                if i == j or x[j, i] <= 0.0 or w[j, k] == -np.inf or w[k, i] == -np.inf:
                    continue
                through, through_low = _plus(w[j, k], low[j, k], w[k, i], low[k, i])
                through, through_low = _plus(through, through_low, -w[k, k], -low[k, k])
                gap = (through - w[j, i]) + (through_low - low[j, i])
                value -= x[j, i] * np.exp(gap) * gap
        value += (1.0 - children) * spread
    for j in range(1, m):
        for i in range(m):
            if i != j and own[j, i] > -np.inf and x[j, i] > 0.0:
                gap = (own[j, i] - w[j, i]) + (own_low[j, i] - low[j, i])
                value -= x[j, i] * np.exp(gap) * gap
    return value


@njit(cache=True, nogil=True)
def entropies(into, counts, single, entropy):
    """The entropy of each graph, as ``_graph.gather`` makes them."""
    n = into.shape[1]
    r, x, y = np.zeros((n, n)), np.empty((n, n)), np.empty((n, n))
    own, own_low, w, low = np.empty((4, n, n))
    for b in range(len(into)):
        m = counts[b]
        _weigh(into[b], own, own_low, m)
        w[:], low[:] = own, own_low
        r[:] = 0.0
        _eliminate(w, low, r, single, m)
        _reverse(w, low, r, x, y, single, m)
        entropy[b] = _entropy(own, own_low, w, low, x, single, m)
