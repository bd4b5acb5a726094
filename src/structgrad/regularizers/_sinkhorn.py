"""Sinkhorn's iteration and its exact adjoint, compiled, in kernel space.

With ``K = exp(A - rowmax A)`` and ``v_0 = 1``, ``T`` rounds of ``u_t = 1 / (K v_{t-1})``, ``v_t = 1 / (K' u_t)`` give
``P = diag(u_T) K diag(v_T)``: the same matrix as T rounds of row then column normalisation in log space (Mena et al.
2018), at two multiply-adds per entry and half-round in place of an exponential. Only rows are shifted: a shift of the
columns changes the iterate as long as it has not converged.

The adjoint keeps the scalings (2 T n numbers), not the iterates (2 T n^2). A matrix lies in memory twice, once
transposed: then every product with a vector adds up rows of one of them, in order, which needs no leave to reorder sums
and has the same bits on every machine.
"""

from __future__ import annotations

import numpy as np
from numba import njit

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**OPTIONS)
def _rows_times(matrix, weights, out):
    """``out_j = sum_i matrix_ij weights_i`` for all columns, terms in the order of i."""
    n = len(matrix)
    out[:] = 0.0
    whole = n - n % 4
    for i in range(0, whole, 4):
        r0, r1, r2, r3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        w0, w1, w2, w3 = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        for j in range(len(out)):
            out[j] = (((out[j] + r0[j] * w0) + r1[j] * w1) + r2[j] * w2) + r3[j] * w3
    for i in range(whole, n):
        row, weight = matrix[i], weights[i]
        for j in range(len(out)):
            out[j] += row[j] * weight


@njit(**OPTIONS)
def _transpose(matrix, out):
    n = len(matrix)
    for i in range(n):
        for j in range(n):
            out[j, i] = matrix[i, j]


@njit(**OPTIONS)
def sinkhorn_forward(kernel, us, vs, plan):
    """Fill the scalings ``us``, ``vs`` (batch, T, n) and ``plan`` (batch, n, n) from ``kernel``.

    ``kernel`` (batch, n, width >= n) is zero beyond its n columns.
    """
    batch, rounds, n = us.shape
    width = kernel.shape[2]
    transposed, sums = np.zeros((n, width)), np.empty(width)
    ones = np.ones(n)
    for b in range(batch):
        matrix = kernel[b]
        _transpose(matrix, transposed)
        v = ones
        for t in range(rounds):
            u = us[b, t]
            _rows_times(transposed, v, sums)
            for i in range(n):
                u[i] = 1.0 / sums[i]
            v = vs[b, t]
            _rows_times(matrix, u, sums)
            for j in range(n):
                v[j] = 1.0 / sums[j]
        for i in range(n):
            for j in range(n):
                plan[b, i, j] = u[i] * matrix[i, j] * v[j]


@njit(**OPTIONS)
def sinkhorn_backward(kernel, us, vs, gradient, out):
    """``out`` (batch, n, n) = the gradient with respect to A, from ``gradient`` with respect to the plan.

    Each round adds two outer products to the gradient with respect to K. They are kept as ``2 T`` rows with a weight
    for every row of K, and added up at the end.
    """
    batch, rounds, n = us.shape
    width = kernel.shape[2]
    weighted, transposed = np.zeros((n, width)), np.zeros((n, width))
    rows, weights = np.zeros((2 * rounds, width)), np.empty((n, 2 * rounds))
    du, dv, change = np.empty(n), np.empty(width), np.empty(n)
    sums = np.empty(width)
    for b in range(batch):
        matrix = kernel[b]
        u, v = us[b, rounds - 1], vs[b, rounds - 1]
        for i in range(n):
            for j in range(n):
                weighted[i, j] = gradient[b, i, j] * matrix[i, j]
        _rows_times(weighted, u, dv)
        _transpose(weighted, transposed)
        _rows_times(transposed, v, sums)
        for i in range(n):
            du[i] = sums[i]
        _transpose(matrix, transposed)
        for t in range(rounds - 1, -1, -1):
            u, v = us[b, t], vs[b, t]
            db, before = rows[2 * t], rows[2 * t + 1]
            for j in range(n):
                db[j] = -dv[j] * v[j] * v[j]
                before[j] = vs[b, t - 1, j] if t > 0 else 1.0
            _rows_times(transposed, db, sums)
            for i in range(n):
                change[i] = -(du[i] + sums[i]) * u[i] * u[i]
                weights[i, 2 * t], weights[i, 2 * t + 1] = u[i], change[i]
                du[i] = 0.0
            _rows_times(matrix, change, dv)
        u, v = us[b, rounds - 1], vs[b, rounds - 1]
        for i in range(n):
            _rows_times(rows, weights[i], sums)
            for j in range(n):
                out[b, i, j] = (gradient[b, i, j] * u[i] * v[j] + sums[j]) * matrix[i, j]
