"""Cheapest paths on a grid with costs on its cells, compiled.

With costs on cells a cell's distance is settled by the first of its neighbours that leaves the heap, so each cell
enters the heap once and no key ever decreases. Of equally cheap paths the one with the fewest cells is taken, found
by a search from the last cell backwards over tight steps only (those that keep the distances); it visits little more
than the path itself.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# right, down, left, up, then the diagonals: the order in which ties are broken
MOVES = np.array([(0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)])


@njit(cache=True, nogil=True)
def _push(keys, cells, size, key, cell):
    place = size
    while place > 0:
        above = (place - 1) >> 1
        if keys[above] <= key:
            break
        keys[place], cells[place] = keys[above], cells[above]
        place = above
    keys[place], cells[place] = key, cell


@njit(cache=True, nogil=True)
def _pop(keys, cells, size):
    """Drop the root of a heap of ``size`` entries."""
    key, cell = keys[size - 1], cells[size - 1]
    place = 0
    while True:
        below = 2 * place + 1
        if below >= size - 1:
            break
        if below + 1 < size - 1 and keys[below + 1] < keys[below]:
            below += 1
        if keys[below] >= key:
            break
        keys[place], cells[place] = keys[below], cells[below]
        place = below
    keys[place], cells[place] = key, cell


@njit(cache=True, nogil=True)
def _distances(costs, steps, first, last, distance, keys, cells):
    """Dijkstra from ``first`` until every cell as near as ``last`` is settled; ``distance`` comes in infinite.

    Border cells have distance NaN: they compare as neither unseen nor near.
    """
    distance[first] = costs[first]
    keys[0], cells[0] = costs[first], first
    size = 1
    while size > 0:
        reached, cell = keys[0], cells[0]
        if reached > distance[last]:
            break
        _pop(keys, cells, size)
        size -= 1
        for step in steps:
            other = cell + step
            if distance[other] == np.inf:
                distance[other] = reached + costs[other]
                _push(keys, cells, size, distance[other], other)
                size += 1


@njit(cache=True, nogil=True)
def _cells_left(costs, steps, first, last, distance, left, queue):
    """``left[c]`` = cells after c on the shortest tight path from c to ``last``; it comes in as -1 everywhere."""
    left[last] = 0
    queue[0] = last
    taken, size = 0, 1
    while left[first] < 0 and taken < size:
        cell = queue[taken]
        taken += 1
        for step in steps:
            before = cell - step
            if left[before] < 0 and distance[before] + costs[cell] == distance[cell]:
                left[before] = left[cell] + 1
                queue[size] = before
                size += 1


@njit(cache=True, nogil=True)
def cheapest_paths(theta, neighbours, paths):
    """``paths[b]`` (zeros on entry) gets ones on the cells of the cheapest path of ``theta[b]``."""
    batch, height, width = theta.shape
    row = width + 2  # a border of one cell on every side spares the checks
    count = (height + 2) * row
    first, last = row + 1, height * row + width
    steps = MOVES[:neighbours, 0] * row + MOVES[:neighbours, 1]
    costs, distance = np.empty(count), np.empty(count)
    left, cells, keys = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count)
    for b in range(batch):
        costs[:] = 0.0
        distance[:] = np.nan
        left[:] = -1
        for i in range(height):
            for j in range(width):
                cell = (i + 1) * row + j + 1
                costs[cell] = max(-theta[b, i, j], 0.0)
                distance[cell] = np.inf
        _distances(costs, steps, first, last, distance, keys, cells)
        _cells_left(costs, steps, first, last, distance, left, cells)
        cell = first
        paths[b, 0, 0] = 1.0
        for _ in range(left[first]):
            for step in steps:
                after = cell + step
                if left[after] == left[cell] - 1 and distance[cell] + costs[after] == distance[after]:
                    break
            cell = after
            paths[b, cell // row - 1, cell % row - 1] = 1.0
