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
    one, zero = out.dtype.type(1), out.dtype.type(0)
    scores, counts = np.empty((n, LANES), theta.dtype), np.empty((n, LANES), out.dtype)
    for start in range(0, batch, LANES):
        rows = min(LANES, batch - start)
        for row in range(rows):
            for i in range(n):
                scores[i, row] = theta[start + row, i]
        for i in range(n):
            counts[i, :rows] = i
        for j in range(1, n):
            later, its_count = scores[j], counts[j]
            for i in range(j):
                earlier, count = scores[i], counts[i]
                for row in range(rows):
                    greater = one if earlier[row] > later[row] else zero
                    count[row] += greater
                    its_count[row] -= greater
        for row in range(rows):
            for i in range(n):
                out[start + row, i] = counts[i, row]
