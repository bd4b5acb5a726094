"""Wolfe's method for the nearest point of a polytope, compiled: what happens when a new vertex was found.

Wolfe 1976, "Finding the nearest point in a polytope". An item keeps affinely independent vertices with positive
weights, the active set, whose combination ``y`` is the point of their affine hull nearest to ``p``. A vertex that
lies uphill, ``<p - y, v - y> > 0``, joins them with weight zero; then ``y`` moves to the nearest point of the larger
hull or, where a weight would become negative on the way, as far as that weight allows: its vertex leaves, and ``y``
goes on from there. Each round ends nearer to ``p``, so no active set comes back and the rounds are finitely many.

The quadratic solve goes through a Cholesky factor of the inner products of the differences to the first active vertex:
a vertex that joins appends a row, one that leaves has the rows behind it made again. Everything is said in differences
of vertices: a huge score at a coordinate in which they agree multiplies an exact zero. Where sums of huge
scores overflow, so does the bound on their rounding, and the item is done: no vertex is known to be better.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ROUNDING = 2.0**-50  # what rounding may do to a duality gap, relative to the sum of its terms' magnitudes
DEPENDENT = 1e-12  # a squared distance to the hull, relative to that to its first vertex, that counts as none


@njit(cache=True, nogil=True)
def advance(p, y, gap, done, count, vertices, weights, inner, factor, candidates, tolerance):
    """Take in ``candidates`` ``(B, d)``, or mark the item done where it brings nothing: the gap is closed, to rounding.

    ``vertices`` ``(B, m, d)``, ``weights`` ``(B, m)``, inner products and factor ``(B, m, m)`` have room for one more
    than ``count`` ``(B,)`` says. ``gap`` is that of the ``y`` ``(B, d)`` before.
    """
    for b in range(len(p)):
        if done[b]:
            continue
        m = count[b]
        gain, rounding = 0.0, 0.0
        for i in range(p.shape[1]):
            difference = candidates[b, i] - y[b, i]
            if difference != 0.0:
                term = (p[b, i] - y[b, i]) * difference
                gain += term
                rounding += abs(term)
        gap[b] = max(gain, 0.0)
        if gain <= tolerance + ROUNDING * rounding or _known(vertices[b], m, candidates[b]):
            done[b] = True
            continue
        vertices[b, m] = candidates[b]
        weights[b, m] = 0.0
        for j in range(m + 1):
            product = 0.0
            for i in range(p.shape[1]):
                product += (candidates[b, i] - vertices[b, 0, i]) * (vertices[b, j, i] - vertices[b, 0, i])
            inner[b, m, j] = product
        if _row(inner[b], factor[b], m) <= DEPENDENT * inner[b, m, m]:
            done[b] = True
            continue
        left = _settle(p[b], y[b], vertices[b], weights[b], inner[b], factor[b], m + 1)
        if left > 0:
            count[b] = left
        else:
            done[b] = True


@njit(cache=True, nogil=True)
def _known(vertices, m, vertex):
    known = False
    for j in range(m):
        known = known or np.all(vertices[j] == vertex)
    return known


@njit(cache=True, nogil=True)
def _row(inner, factor, i):
    """Row ``i`` of the factor; returns the square of its last entry. Row and column 0 stand for the first vertex."""
    rest = inner[i, i]
    for j in range(1, i):
        entry = inner[i, j]
        for k in range(1, j):
            entry -= factor[i, k] * factor[j, k]
        factor[i, j] = entry / factor[j, j]
        rest -= factor[i, j] * factor[i, j]
    factor[i, i] = np.sqrt(max(rest, DEPENDENT * DEPENDENT * inner[i, i]))
    return rest


@njit(cache=True, nogil=True)
def _settle(p, y, vertices, weights, inner, factor, m):
    """Move ``y`` to the nearest point of the hull of ``m`` vertices, the last of which is new; returns how many stay.

    0 says that the new one would leave at once: by rounding alone it lies uphill.
    """
    size, step = len(p), np.empty(m)
    for turn in range(m):  # each turn but the last drops a vertex
        for i in range(1, m):
            slope = 0.0
            for k in range(size):
                slope += (p[k] - y[k]) * (vertices[i, k] - vertices[0, k])
            for j in range(1, i):
                slope -= factor[i, j] * step[j]
            step[i] = slope / factor[i, i]
        total = 0.0
        for i in range(m - 1, 0, -1):
            for j in range(i + 1, m):
                step[i] -= factor[j, i] * step[j]
            step[i] /= factor[i, i]
            total += step[i]
        step[0] = -total
        if turn == 0 and step[m - 1] <= 0.0:
            return 0
        length, first = 1.0, -1
        for i in range(m):
            if weights[i] + step[i] < 0.0 and weights[i] < -step[i] * length:
                length, first = weights[i] / -step[i], i
        for i in range(m):
            weights[i] = 0.0 if i == first else max(0.0, weights[i] + length * step[i])
        m = _leave(vertices, weights, inner, factor, m)
        _combine(vertices, weights, m, y)
        if first < 0:
            break
    return m


@njit(cache=True, nogil=True)
def _leave(vertices, weights, inner, factor, m):
    """Drop the vertices without weight and mend inner products and factor; returns how many stay."""
    base = 0
    while weights[base] == 0.0:
        base += 1
    if base > 0:  # differences are to another vertex now
        to_base = np.empty(m)
        for i in range(m):
            to_base[i] = inner[max(i, base), min(i, base)]
        for i in range(m):
            for j in range(i + 1):
                inner[i, j] += to_base[base] - to_base[i] - to_base[j]
    left = np.empty(m, np.int64)
    kept, same = 0, 0 if base > 0 else m
    for i in range(m):
        if weights[i] == 0.0:
            same = min(same, i)
            continue
        left[kept] = i
        if kept < i:
            vertices[kept] = vertices[i]
            weights[kept] = weights[i]
        for j in range(kept + 1):
            inner[kept, j] = inner[i, left[j]]
        kept += 1
    for i in range(max(1, same), kept):
        _row(inner, factor, i)
    return kept


@njit(cache=True, nogil=True)
def _combine(vertices, weights, m, y):
    """``y`` from the weights; they sum to one, so the first one's follows from the others."""
    y[:] = vertices[0]
    rest = 1.0
    for j in range(1, m):
        rest -= weights[j]
        for i in range(len(y)):
            y[i] += weights[j] * (vertices[j, i] - vertices[0, i])
    if rest > 0.0:  # or it is nothing but rounding
        weights[0] = rest
