r"""The entropic transport of a matrix of scores by Newton's method on its dual, and its centring, compiled.

A plan ``P_ij = exp(c_ij - a_i - b_j)`` has columns that sum to one where ``b`` is their logarithm. What is left is the
convex dual ``F(a) = <r, a> + sum_j log sum_i exp(c_ij - a_i)``, of which ``r - P 1`` is the gradient and
``L = diag(P 1) - P P'`` the second derivative: the Laplacian of a graph of the rows with the weights
``w_ik = sum_j P_ij P_kj``. Its equations are solved by taking out one row after another (star-mesh, as in
:mod:`structgrad.polytopes._matrix_tree`), which only adds and multiplies positive weights: they may lie as far apart as
floats do, as those of a nearly hard plan do.

A step ``(L + diag|r - P 1| / 4) d = P 1 - r`` is at most 4 long by the maximum principle, and Newton's own near the
solution. Where it spans more than ``FULL`` it is cut to ``log(1 + span) / span``; either way F falls, as a sum of
``log sum exp`` changes its second derivative by a factor of at most ``exp(span)`` (Sun and Tran-Dinh 2019, their
generalised self-concordance with nu = 2).

Scores arrive less the prices of their best assignment, at most zero, so that no range of scores is out of reach. Of
those prices the middle is taken (:func:`_to_the_middle`), as the entropy would.
"""

from __future__ import annotations

from math import exp, log

import numpy as np
from numba import njit

FULL = 1.79  # up to here exp(x) - 1 - x <= x^2


@njit(cache=True, nogil=True)
def _to_the_middle(scores, owners, far):
    """Shift reduced scores by the mean of the shifts that keep all of them at most zero and what is paired at zero.

    Rows i and k may be shifted by amounts that differ by no more than the cheapest way ``far[i, k]`` from one to the
    other; distances to and from every row are the corners of that set (Floyd 1962).
    """
    n, m = scores.shape
    far[:] = np.inf
    for i in range(n):
        for j in range(m):
            far[i, owners[j]] = min(far[i, owners[j]], -scores[i, j])
    for k in range(n):
        for i in range(n):
            for j in range(n):
                far[i, j] = min(far[i, j], far[i, k] + far[k, j])
    shifts = np.zeros(n)
    for i in range(n):
        for k in range(n):
            shifts[i] += (far[k, i] - far[i, k]) / (2 * n)
    for j in range(m):
        owner = owners[j]
        for i in range(n):
            scores[i, j] = min(scores[i, j] - (shifts[i] - shifts[owner]), 0.0)


@njit(cache=True, nogil=True)
def _normalise(scores, a, plan):
    """Fill the plan whose columns sum to one."""
    n, m = scores.shape
    for j in range(m):
        top, total = -np.inf, 0.0
        for i in range(n):
            top = max(top, scores[i, j] - a[i])
        for i in range(n):
            plan[i, j] = exp(scores[i, j] - a[i] - top)
            total += plan[i, j]
        for i in range(n):
            plan[i, j] /= total


@njit(cache=True, nogil=True)
def _weigh(plan, w, first):
    """The weights ``w_ik``, ``k < i``, of the rows, which are vertices from ``first`` on."""
    n, m = plan.shape
    for i in range(n):
        for k in range(i):
            weight = 0.0
            for j in range(m):
                weight += plan[i, j] * plan[k, j]
            w[first + i, first + k] = weight


@njit(cache=True, nogil=True)
def _settle(w, flow, x):
    """Solve ``sum_k w_ik (x_i - x_k) = sum_k flow_ik`` with ``x_0 = 0``, from triangles k < i that are overwritten.

    ``flow_ki = -flow_ik``; no weight is zero where a flow is not. Taking k out, the flows of two of its neighbours go
    on as those of a source in their new edge: quotients ``flow / weight`` stay sums of what they were, however small
    the weights. A vertex without a weight left is pinned too.
    """
    for k in range(len(x) - 1, 0, -1):
        total = 0.0
        for i in range(k):
            total += w[k, i]
        w[k, k] = total
        if total == 0.0:
            continue
        for i in range(k):
            share = w[k, i] / total
            for j in range(i):
                w[i, j] += share * w[k, j]
                flow[i, j] += share * flow[k, j] - w[k, j] / total * flow[k, i]
    x[0] = 0.0
    for k in range(1, len(x)):
        x[k] = 0.0
        if w[k, k] > 0.0:
            for i in range(k):
                x[k] += w[k, i] / w[k, k] * x[i] + flow[k, i] / w[k, k]


@njit(cache=True, nogil=True)
def balance(scores, owners, left, tolerance, max_rounds, plan, rounds):
    """Fill ``plan`` (batch, n, m), whose rows sum to one, the last one to ``1 + left``, from reduced scores.

    ``rounds`` (batch, 1): how many steps it took until no row's sum was off by more than ``tolerance``; -1: too many.
    """
    batch, n, _ = scores.shape
    w, flow, a, step = np.empty((n + 1, n + 1)), np.empty((n + 1, n + 1)), np.empty(n), np.empty(n + 1)
    for b in range(batch):
        _to_the_middle(scores[b], owners[b], w[:n, :n])
        a[:] = 0.0
        rounds[b, 0] = -1
        for taken in range(max_rounds + 1):
            _normalise(scores[b], a, plan[b])
            off = 0.0
            flow[:] = 0.0
            for i in range(n):
                above = plan[b, i].sum() - (1.0 if i < n - 1 else 1.0 + left)
                off = max(off, abs(above))
                flow[i + 1, 0], w[i + 1, 0] = above, abs(above) / 4  # vertex 0 is the ground
            if off <= tolerance:
                rounds[b, 0] = taken
                break
            _weigh(plan[b], w, 1)
            _settle(w, flow, step)
            span = step[1:].max() - step[1:].min()
            length = 1.0 if span <= FULL else log(1 + span) / span
            for i in range(n):
                a[i] += length * step[i + 1]


@njit(cache=True, nogil=True)
def centre(plan, x, out):
    """``out_ij = x_ij - a_i - b_j`` with the a and b for which all rows and columns of ``P_ij out_ij`` sum to zero.

    The right-hand side is made of differences of entries of x, so that nothing cancels where the plan is nearly hard.
    """
    batch, n, m = plan.shape
    w, flow, a = np.empty((n, n)), np.empty((n, n)), np.empty(n)
    for t in range(batch):
        _weigh(plan[t], w, 0)
        for i in range(n):
            for k in range(i):
                flow[i, k] = 0.0
                for j in range(m):
                    flow[i, k] += plan[t, i, j] * plan[t, k, j] * (x[t, i, j] - x[t, k, j])
        _settle(w, flow, a)
        for j in range(m):
            b = 0.0
            for i in range(n):
                b += plan[t, i, j] * (x[t, i, j] - a[i])
            for i in range(n):
                out[t, i, j] = x[t, i, j] - a[i] - b
