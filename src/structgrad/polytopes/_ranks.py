"""Ranks by counting, compiled: every pair of coordinates is compared once, for a block of rows at a time.

The rows lie transposed, so that one comparison is made for many rows at once and none of them branches. That is
quadratic in n and still beats sorting up to a few hundred coordinates. Measured against two argsorts in
``benchmarks/``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LANES = 64  # rows in a block: their scores and counts stay in the first cache up to n = 64


@njit(cache=True, nogil=True)
def ranks(theta, out):
    """``out[b, i]`` = how many coordinates of ``theta[b]`` are smaller, or equal and earlier; any float types."""
    batch, n = theta.shape
    scores, counts = np.empty((n, LANES), theta.dtype), np.empty((n, LANES), out.dtype)
    for start in range(0, batch, LANES):
        rows = min(LANES, batch - start)
        for row in range(rows):
            for i in range(n):
                scores[i, row] = theta[start + row, i]
        _count(scores, counts, rows)
        for row in range(rows):
            for i in range(n):
                out[start + row, i] = counts[i, row]


@njit(cache=True, nogil=True)
def perturbed_ranks(theta, sigma, z, out):
    """``out[b, m]`` = the :func:`ranks` of ``theta[b] + sigma[b] z[b, m]``, which never lie in memory."""
    batch, samples, n = z.shape
    scores, counts = np.empty((n, LANES), z.dtype), np.empty((n, LANES), z.dtype)
    noise, flat_ranks = z.reshape(batch * samples, n), out.reshape(batch * samples, n)
    item = sample = 0
    for start in range(0, batch * samples, LANES):
        rows = min(LANES, batch * samples - start)
        for row in range(rows):
            for i in range(n):
                scores[i, row] = theta[item, i] + sigma[item] * noise[start + row, i]
            sample += 1
            if sample == samples:
                item, sample = item + 1, 0
        _count(scores, counts, rows)
        for row in range(rows):
            for i in range(n):
                flat_ranks[start + row, i] = counts[i, row]


@njit(cache=True, nogil=True)
def _count(scores, counts, rows):
    """The ranks of each of the first ``rows`` columns of ``scores`` ``(n, LANES)``, into ``counts``."""
    one, zero = counts.dtype.type(1), counts.dtype.type(0)
    for i in range(len(scores)):
        counts[i, :rows] = i
    for j in range(1, len(scores)):
        later, its_count = scores[j], counts[j]
        for i in range(j):
            earlier, count = scores[i], counts[i]
            for row in range(rows):
                greater = one if earlier[row] > later[row] else zero
                count[row] += greater
                its_count[row] -= greater
