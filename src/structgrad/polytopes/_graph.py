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
    everybody's root: nothing leads into it.
    """
    for b in range(len(theta)):
        counts[b] = _present(index, allowed[b], vertices[b])
        for y in range(counts[b]):
            for x in range(counts[b]):
                e = index[vertices[b, x], vertices[b, y]]
                usable = y > 0 and e < theta.shape[1] and allowed[b, e]
                into[b, y, x] = theta[b, e] if usable else -np.inf


@njit(cache=True, nogil=True)
def connected(index, allowed, found):
    """``found[b]``: whether a tree can span the graph of row b from its first vertex."""
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
        found[b] = reached == count
