"""Sinkhorn's iteration and its exact adjoint, compiled, in kernel space.

With ``K = exp(A - rowmax A)`` and ``v_0 = 1``, ``T`` rounds of ``u_t = 1 / (K v_{t-1})``, ``v_t = 1 / (K' u_t)`` give
``P = diag(u_T) K diag(v_T)``: the same matrix as T rounds of row then column normalisation in log space (Mena et al.
2018), at two multiply-adds an entry and half-round in place of an exponential. Only rows are shifted: a shift of the
columns changes the iterate as long as it has not converged.

The adjoint keeps the scalings (2 T n numbers), not the iterates (2 T n^2).
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _column_scaling(kernel, u, v):
    n = v.shape[0]
    for j in range(n):
        v[j] = 0.0
    for i in range(n):
        weight = u[i]
        for j in range(n):
            v[j] += kernel[i, j] * weight


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def sinkhorn_forward(kernel, us, vs, plan):
    """Fill the scalings ``us``, ``vs`` (batch, T, n) and ``plan`` (batch, n, n) from ``kernel`` (batch, n, >= n)."""
    batch, rounds, n = us.shape
    ones = np.ones(n)
    for b in range(batch):
        matrix = kernel[b]
        v = ones
        for t in range(rounds):
            u = us[b, t]
            for i in range(n):
                total = 0.0
                for j in range(n):
                    total += matrix[i, j] * v[j]
                u[i] = 1.0 / total
            v = vs[b, t]
            _column_scaling(matrix, u, v)
            for j in range(n):
                v[j] = 1.0 / v[j]
        for i in range(n):
            for j in range(n):
                plan[b, i, j] = u[i] * matrix[i, j] * v[j]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def sinkhorn_backward(kernel, us, vs, gradient, out):
    """``out`` (batch, n, n) = the gradient with respect to A, from ``gradient`` with respect to the plan."""
    batch, rounds, n = us.shape
    ones = np.ones(n)
    dk = np.empty((n, n))
    du, dv, db = np.empty(n), np.empty(n), np.empty(n)
    for b in range(batch):
        matrix = kernel[b]
        u, v = us[b, rounds - 1], vs[b, rounds - 1]
        dv[:] = 0.0
        for i in range(n):
            total = 0.0
            for j in range(n):
                weighted = gradient[b, i, j] * matrix[i, j]
                dk[i, j] = gradient[b, i, j] * u[i] * v[j]
                total += weighted * v[j]
                dv[j] += weighted * u[i]
            du[i] = total
        for t in range(rounds - 1, -1, -1):
            u, v = us[b, t], vs[b, t]
            before = vs[b, t - 1] if t > 0 else ones
            for j in range(n):
                db[j] = -dv[j] * v[j] * v[j]
                dv[j] = 0.0
            for i in range(n):
                total = 0.0
                for j in range(n):
                    total += matrix[i, j] * db[j]
                change = -(du[i] + total) * u[i] * u[i]
                weight = u[i]
                du[i] = 0.0
                for j in range(n):
                    dk[i, j] += weight * db[j] + change * before[j]
                    dv[j] += matrix[i, j] * change
        for i in range(n):
            for j in range(n):
                out[b, i, j] = dk[i, j] * matrix[i, j]
