"""One step of a spring layout after the other, compiled; sums and quotients only, so that every machine agrees."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def roll(adjacent, start, frames):
    """Fill ``frames[g, v, t]`` with the positions of graph g after t + 1 steps from ``start`` ``(N, n, 2)``.

    A step is networkx' ``spring_layout(iterations=1)`` (Fruchterman & Reingold 1991): with ``k^2 = 1 / n``, the force
    ``sum_j delta_ij (k^2 / d_ij^2 - A_ij d_ij / k)`` moves every vertex by a tenth of the layout's extent, whatever its
    size (unless it is below 0.01); then the layout is centred and its largest coordinate set to one. Positions stay
    float64 between steps.
    """
    n, steps = frames.shape[1], frames.shape[2]
    k = np.sqrt(1.0 / n)
    force = np.empty((n, 2))
    for g in range(len(start)):
        p = start[g].copy()
        for t in range(steps):
            force[:] = 0.0
            for i in range(n):
                for j in range(i):
                    x, y = p[i, 0] - p[j, 0], p[i, 1] - p[j, 1]
                    d = max(np.sqrt(x * x + y * y), 0.01)
                    pull = k * k / (d * d)
                    if adjacent[g, i, j]:
                        pull -= d / k
                    force[i, 0] += x * pull
                    force[i, 1] += y * pull
                    force[j, 0] -= x * pull
                    force[j, 1] -= y * pull
            reach = 0.1 * max(_extent(p[:, 0]), _extent(p[:, 1]))
            for i in range(n):
                length = max(np.sqrt(force[i, 0] * force[i, 0] + force[i, 1] * force[i, 1]), 0.01)
                for c in range(2):
                    p[i, c] += force[i, c] * (reach / length)
            largest = 0.0
            for c in range(2):
                centre = 0.0
                for i in range(n):
                    centre += p[i, c]
                centre /= n
                for i in range(n):
                    p[i, c] -= centre
                    largest = max(largest, abs(p[i, c]))
            for i in range(n):
                for c in range(2):
                    p[i, c] /= largest
                    frames[g, i, t, c] = p[i, c]


@njit(cache=True, nogil=True)
def _extent(values):
    return values.max() - values.min()
