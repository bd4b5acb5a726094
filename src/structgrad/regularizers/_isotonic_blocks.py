"""Blocks of the isotonic problems behind projections onto any permutahedron, compiled (Blondel et al. 2020, section 5).

With z and w sorted descending, the quadratic and the entropic problem are

    v = argmin_{v_1 >= ... >= v_n} |v - (z - w)|^2 / 2        on a block:  mean(z - w)
    v = argmin_{v_1 >= ... >= v_n} <e^(z - v), 1> + <e^w, v>   on a block:  log sum e^z - log sum e^w

Both are solved by pooling neighbours whose values ascend. Only the blocks are found here, by their first places: values
and derivatives follow from them (:mod:`structgrad.functional._projection`).
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def quadratic(z, w, first):
    """``first[b, i]`` = where the block of place i of row b begins."""
    batch, n = z.shape
    start, value = np.empty(n + 1, np.int64), np.empty(n)  # of the blocks found so far
    for b in range(batch):
        count = 0
        for place in range(n):
            start[count], value[count] = place, z[b, place] - w[b, place]
            count += 1
            while count > 1 and value[count - 2] < value[count - 1]:
                weight = (place + 1 - start[count - 1]) / (place + 1 - start[count - 2])
                value[count - 2] += weight * (value[count - 1] - value[count - 2])
                count -= 1
        _mark(start, count, first[b])


@njit(cache=True, nogil=True)
def entropic(z, w, first):
    """The same, for logarithms of sums of exponentials."""
    batch, n = z.shape
    start = np.empty(n + 1, np.int64)
    upper, lower = np.empty(n), np.empty(n)  # log-sum-exps of z and w
    for b in range(batch):
        count = 0
        for place in range(n):
            start[count], upper[count], lower[count] = place, z[b, place], w[b, place]
            count += 1
            # halved: the differences may be beyond floats
            while count > 1 and 0.5 * upper[count - 2] - 0.5 * lower[count - 2] < (
                0.5 * upper[count - 1] - 0.5 * lower[count - 1]
            ):
                upper[count - 2] = _log_add(upper[count - 2], upper[count - 1])
                lower[count - 2] = _log_add(lower[count - 2], lower[count - 1])
                count -= 1
        _mark(start, count, first[b])


@njit(cache=True, nogil=True)
def _log_add(a, b):
    """``log(e^a + e^b)``."""
    return max(a, b) + np.log1p(np.exp(-abs(a - b)))


@njit(cache=True, nogil=True)
def _mark(start, count, first):
    start[count] = len(first)
    for block in range(count):
        first[start[block] : start[block + 1]] = start[block]
