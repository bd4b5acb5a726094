r"""The matrix-tree theorem without a subtraction, compiled: log-partition, marginals, Hessian-vector products.

The weights of all arborescences from vertex 0 sum to the determinant of a reduced Laplacian (Kirchhoff; Tutte). Its
factorisation needs no Laplacian: taking out vertex k, with ``s_k = sum_i w_ik`` and ``p_i = w_ik / s_k``,

    Z(w) = s_k Z(w'),    w'_ij = w_ij + p_i w_kj    (i, j != k, i != j),

which only adds and multiplies positive numbers (the star-mesh transform; Grassmann, Taksar and Heyman 1985 for Markov
chains), so every entry keeps its relative accuracy however far the weights lie apart. A determinant or an inverse in
float64 has no correct digit left once scores span 200. A spanning tree is the arborescence that one finds by walking
from any of its vertices, so a symmetric matrix serves undirected graphs.

The marginal of an edge is its weight times the adjoint of ``log Z``, by a reverse pass over the elimination; the
product with the Hessian is the tangent of both passes. Arrays hold in-edges: ``w[j, i]`` is the edge from i to its
child j.

What does not fit into a float is not computed here but said so: a weight below ``FLOOR`` that other paths between its
ends do not make up for. Above it no product overflows either, since an adjoint is at most one over its weight.

With a ``single`` edge out of the root (Koo et al. 2007, section 3.2) the root is not among the i of ``s_k`` and its
``p_0 = w_0k / s_k``, which may exceed one, until k = 1 is left: then ``Z = w_01``. All other lines stay as they are, by
the Markov chain tree theorem: trees from k have the weight ``sum_j w_kj T_j`` of what is left when k is out. Vertex 1
must have a way to every other one, so that no ``s_k`` is zero (``_graph.lead``).
"""

from __future__ import annotations

import numpy as np
from numba import njit

FLOOR, CEILING = 1e-280, 1e280


@njit(cache=True, nogil=True)
def _weigh(scores, w, m):
    """The weights of in-edges and the logarithm of what was divided out; NaN where one does not fit.

    Each child's best in-edge gets weight one, which takes the same factor out of every tree.
    """
    shift = 0.0
    for j in range(1, m):
        best = scores[j, :m].max()
        shift += best
        for i in range(m):
            w[j, i] = 0.0
            if scores[j, i] > -np.inf:
                w[j, i] = np.exp(scores[j, i] - best)
                if w[j, i] < FLOOR:
                    return np.nan
    return shift


@njit(cache=True, nogil=True)
def _eliminate(w, single, m):
    """``log Z``, or NaN where an entry does not fit.

    Afterwards, for i, j < k: ``w[k, k] = s_k``, ``w[k, i] = p_i``, ``w[j, k]`` = what it was when k was taken out.
    """
    log_partition = 0.0
    for k in range(m - 1, 0, -1):
        total = 0.0
        for i in range(1 if single and k > 1 else 0, k):
            total += w[k, i]
        log_partition += np.log(total)
        w[k, k] = total
        least = 1.0
        for i in range(k):
            w[k, i] /= total
            if w[k, i] > 0.0:
                least = min(least, w[k, i])
        if w[k, 0] > CEILING:
            return np.nan
        for j in range(1, k):
            weight = w[j, k]
            if weight == 0.0:
                continue
            for i in range(k):
                w[j, i] += weight * w[k, i]  # i = j too: the diagonal is not read before it is overwritten
            if weight * least < FLOOR:
                for i in range(k):
                    if i != j and w[k, i] > 0.0 and w[j, i] < FLOOR:
                        return np.nan
    return log_partition


@njit(cache=True, nogil=True)
def _factor(scores, weights, w, single, m):
    """``log Z`` of scores, or NaN; their weights, and in ``w`` what :func:`_eliminate` makes of them."""
    shift = _weigh(scores, weights, m)
    if np.isnan(shift):
        return shift
    w[:m, :m] = weights[:m, :m]
    return shift + _eliminate(w, single, m)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})  # sums in any order: all terms are finite
def _adjoint(w, a, single, m):
    """``a[j, i]``: the derivative of ``log Z`` by the edge from i to j, after :func:`_eliminate`.

    Zero where there is no edge when its child is taken out: then there is none in any product before, so that this
    adjoint, which nothing bounds, is not needed.
    """
    for k in range(1, m):
        a[k, : k + 1] = 0.0
        for j in range(1, k):
            for i in range(k):
                a[k, i] += w[j, k] * a[j, i]
        from_root = a[k, 0] / w[k, k] if w[k, 0] > 0.0 else 0.0
        total = 0.0
        for i in range(k):
            total += w[k, i] * a[k, i]
        for i in range(k):
            a[k, i] = (1.0 + a[k, i] - total) / w[k, k] if w[k, i] > 0.0 else 0.0
        if single and k > 1:
            a[k, 0] = from_root
        for j in range(1, k):
            through = 0.0
            for i in range(k):
                through += a[j, i] * w[k, i]
            a[j, k] = through


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _eliminate_tangent(w, t, single, m):
    """The tangent of :func:`_eliminate` (done before), in place, from that of the weights.

    Afterwards ``t[k, i]`` is the tangent of ``p_i``, ``t[j, k]`` that of ``w[j, k]``, ``t[k, k]`` that of ``log s_k``.
    """
    for k in range(m - 1, 0, -1):
        total = 0.0
        for i in range(1 if single and k > 1 else 0, k):
            total += t[k, i]
        for i in range(k):
            t[k, i] = (t[k, i] - w[k, i] * total) / w[k, k]
        t[k, k] = total / w[k, k]
        for j in range(1, k):
            for i in range(k):
                t[j, i] += t[j, k] * w[k, i] + w[j, k] * t[k, i]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _adjoint_tangent(w, t, a, b, single, m):
    """``b``, the tangent of :func:`_adjoint`'s ``a``, from the tangents of the elimination."""
    for k in range(1, m):
        b[k, : k + 1] = 0.0
        for j in range(1, k):
            for i in range(k):
                b[k, i] += w[j, k] * b[j, i] + t[j, k] * a[j, i]
        from_root = b[k, 0] / w[k, k] - a[k, 0] * t[k, k] if w[k, 0] > 0.0 else 0.0
        total = 0.0
        for i in range(k):
            total += t[k, i] * a[k, i] * w[k, k] + w[k, i] * b[k, i]  # the tangents of p sum to zero
        for i in range(k):
            b[k, i] = (b[k, i] - total) / w[k, k] - a[k, i] * t[k, k] if w[k, i] > 0.0 else 0.0
        if single and k > 1:
            b[k, 0] = from_root
        for j in range(1, k):
            through = 0.0
            for i in range(k):
                through += b[j, i] * w[k, i] + a[j, i] * t[k, i]
            b[j, k] = through


@njit(cache=True, nogil=True)
def marginals(index, into, vertices, counts, single, fits, log_partition, out):
    """``log Z`` and marginals ``out`` ``(B, events)`` of graphs as ``_graph.gather`` makes them.

    ``fits`` is False where they are beyond floats. An undirected edge adds up its two directions.
    """
    n = len(index)
    weights, w, a = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    for b in range(len(into)):
        m = counts[b]
        log_partition[b] = _factor(into[b], weights, w, single, m)
        fits[b] = not np.isnan(log_partition[b])
        out[b] = 0.0
        if fits[b]:
            _adjoint(w, a, single, m)
            for y in range(1, m):
                for x in range(m):
                    if weights[y, x] > 0.0:
                        out[b, index[vertices[b, x], vertices[b, y]]] += weights[y, x] * a[y, x]


@njit(cache=True, nogil=True)
def product(index, into, vertices, counts, single, direction, fits, out):
    """``out``: the Hessian of ``log Z`` times ``direction``, both ``(B, events)``; the rest as in :func:`marginals`."""
    n = len(index)
    weights, w, t = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    a, a_tangent = np.empty((n, n)), np.empty((n, n))
    for b in range(len(into)):
        m = counts[b]
        fits[b] = not np.isnan(_factor(into[b], weights, w, single, m))
        out[b] = 0.0
        if not fits[b]:
            continue
        for y in range(1, m):
            for x in range(m):
                t[y, x] = 0.0
                if weights[y, x] > 0.0:
                    t[y, x] = weights[y, x] * direction[b, index[vertices[b, x], vertices[b, y]]]
        _eliminate_tangent(w, t, single, m)
        _adjoint(w, a, single, m)
        _adjoint_tangent(w, t, a, a_tangent, single, m)
        for y in range(1, m):
            for x in range(m):
                if weights[y, x] > 0.0:
                    e = index[vertices[b, x], vertices[b, y]]
                    out[b, e] += weights[y, x] * (direction[b, e] * a[y, x] + a_tangent[y, x])


@njit(cache=True, nogil=True)
def eliminations(into, counts, single, fits, own, w):
    """The weights ``own`` of in-edges, and in ``w`` what :func:`_eliminate` makes of them, both ``(B, n, n)``."""
    for b in range(len(into)):
        fits[b] = not np.isnan(_factor(into[b], own[b], w[b], single, counts[b]))
