"""Graphs cut out of scores and masks, compiled: which vertices take part, whether the first reaches all of them.

``index[i, j]`` is the place in the event of the edge from i to j, or the length of the event where there is none, and
lists the root first. A vertex takes part if it has an edge that may be used. So does a root that nothing leads into,
and where there is no edge at all, the first vertex.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _present(index, allowed, vertices):
    """List the vertices that take part; their number."""
    rooted = index[-1, 0] == len(allowed)
    vertices[0] = 0
    count = 1 if rooted else 0
    for v in range(count, len(index)):
        for u in range(len(index)):
            into, out_of = index[u, v], index[v, u]
            if (into < len(allowed) and allowed[into]) or (out_of < len(allowed) and allowed[out_of]):
                vertices[count] = v
                count += 1
                break
    return max(count, 1)


@njit(cache=True, nogil=True)
def gather(index, theta, allowed, into, vertices, counts):
    """``into[b, y, x]``: the score of the edge from the x-th to the y-th vertex that takes part, -inf without one.

    Of ``theta`` and ``allowed`` ``(B, events)``; ``vertices[b, :counts[b]]`` are those vertices. The first of them is
    the root: nothing leads into it.
    """
    for b in range(len(theta)):
        counts[b] = _present(index, allowed[b], vertices[b])
        for y in range(counts[b]):
            for x in range(counts[b]):
                e = index[vertices[b, x], vertices[b, y]]
                usable = y > 0 and e < theta.shape[1] and allowed[b, e]
                into[b, y, x] = theta[b, e] if usable else -np.inf


@njit(cache=True, nogil=True)
def connected(index, allowed, spanned):
    """``spanned[b]``: whether a tree can span the graph of row b from its first vertex."""
    n = len(index)
    vertices, queue, waiting = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.bool_)
    for b in range(len(allowed)):
        count = _present(index, allowed[b], vertices)
        waiting[:count] = True
        waiting[0] = False
        queue[0] = 0
        reached = 1
        done = 0
        while done < reached:
            u = vertices[queue[done]]
            done += 1
            for x in range(count):
                e = index[u, vertices[x]]
                if waiting[x] and e < allowed.shape[1] and allowed[b, e]:
                    waiting[x] = False
                    queue[reached] = x
                    reached += 1
        spanned[b] = reached == count


@njit(cache=True, nogil=True)
def _spread(into, m, start, forth, seen):
    """Mark the vertices but the root that ``start`` reaches, or (not ``forth``) that reach it; how many are new."""
    queue = np.empty(m, np.int64)
    queue[0], reached, done = start, 1, 0
    seen[start] = True
    while done < reached:
        u = queue[done]
        done += 1
        for v in range(1, m):
            score = into[v, u] if forth else into[u, v]
            if not seen[v] and score > -np.inf:
                seen[v] = True
                queue[reached] = v
                reached += 1
    return reached


@njit(cache=True, nogil=True)
def lead(into, vertices, counts, led):
    """Bring to place 1 of each graph of :func:`gather` a child of the root from which all others can be reached.

    ``led[b]``: whether there is one, or no vertex but the root. If any vertex reaches all, the last one from which a
    sweep had to start does, and those that reach it are all that do.
    """
    seen = np.empty(into.shape[1], np.bool_)
    for b in range(len(into)):
        m = counts[b]
        led[b] = m == 1
        seen[:] = False
        start = 0
        for v in range(1, m):
            if not seen[v]:
                start = v
                _spread(into[b], m, v, True, seen)
        seen[:] = False
        if m == 1 or _spread(into[b], m, start, True, seen) < m - 1:
            continue
        seen[:] = False
        _spread(into[b], m, start, False, seen)
        for v in range(1, m):
            if seen[v] and into[b, v, 0] > -np.inf:
                led[b] = True
                vertices[b, 1], vertices[b, v] = vertices[b, v], vertices[b, 1]
                for x in range(m):
                    into[b, 1, x], into[b, v, x] = into[b, v, x], into[b, 1, x]
                for y in range(m):
                    into[b, y, 1], into[b, y, v] = into[b, y, v], into[b, y, 1]
                break
