"""Euclidean projection onto the permutahedron by isotonic regression, compiled (Blondel et al. 2020, Proposition 3).

With the scores sorted descending to s and ``rho = (n-1, ..., 0)``, the projection is ``s - v`` where v is the
non-increasing sequence nearest to ``s - rho``: constant on blocks of neighbours, on each their mean. Its derivative
takes from every score the mean over its block.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def project(theta, ranks, y, blocks):
    """Fill the projections ``y`` of ``theta`` (batch, n) and the block of each coordinate; ``ranks`` ascend."""
    batch, n = theta.shape
    order = np.empty(n, np.int64)
    start, mean = np.empty(n + 1, np.int64), np.empty(n)  # of the blocks found so far
    for b in range(batch):
        for i in range(n):
            order[n - 1 - int(ranks[b, i])] = i
        count = 0
        for place in range(n):  # pool adjacent violators
            start[count] = place
            mean[count] = theta[b, order[place]] - (n - 1 - place)
            count += 1
            while count > 1 and mean[count - 2] < mean[count - 1]:
                weight = (place + 1 - start[count - 1]) / (place + 1 - start[count - 2])
                mean[count - 2] += weight * (mean[count - 1] - mean[count - 2])
                count -= 1
        start[count] = n
        for block in range(count):
            begin, end = start[block], start[block + 1]
            first = theta[b, order[begin]]
            shift = 0.0  # of the block's scores against its ranks, from differences: no digits are lost
            for place in range(begin, end):
                shift += (theta[b, order[place]] - first) + (place - begin)
            shift /= end - begin
            for place in range(begin, end):
                i = order[place]
                y[b, i] = (theta[b, i] - first - shift) + (n - 1 - begin)
                blocks[b, i] = block


@njit(cache=True, nogil=True)
def centre(direction, blocks, out):
    """``out = direction`` minus its mean over each block."""
    batch, n = direction.shape
    total, size = np.empty(n), np.empty(n)
    for b in range(batch):
        total[:] = 0.0
        size[:] = 0.0
        for i in range(n):
            total[blocks[b, i]] += direction[b, i]
            size[blocks[b, i]] += 1.0
        for i in range(n):
            out[b, i] = direction[b, i] - total[blocks[b, i]] / size[blocks[b, i]]
