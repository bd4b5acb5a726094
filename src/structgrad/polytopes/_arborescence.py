"""Maximum arborescences by Edmonds' contractions on a dense graph, compiled, in O(n^2).

Chu and Liu (1965) and Edmonds (1967), with the growing path of Gabow, Galil, Spencer and Tarjan (1986): from any
vertex walk backwards along best in-edges. If the walk meets what the root reaches already, all its edges stand. If it
meets itself, the cycle becomes one vertex, whose in-edges count what they gain over the cycle's own, and the walk goes
on. Opened again, a cycle keeps all its edges but the one into the vertex that its own in-edge enters (Camerini et al.
1979). A contraction of k vertices costs O(k n), and there are at most n - 1 vertices to lose.

Where only a ``single`` edge may leave the root, the root is the best origin only of a vertex that has no other: any
number taken off all of its edges alike makes trees with few of them win (Gabow and Tarjan 1984; Stanojevic and Cohen
2021), and one that is larger than every difference of scores need not be written down.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FREE, ON_PATH, DONE = 0, 1, 2


@njit(cache=True, nogil=True)
def _contract(c, members, m, best, into, edge):
    """Merge the in- and out-edges of ``members`` into those of ``c``, the first of them."""
    for x in members:
        for i in range(m):
            gain = into[x, i] - best[x]
            if x == c or gain > into[c, i]:
                into[c, i] = gain
                edge[c, i] = edge[x, i]
    for x in members[1:]:
        for j in range(m):
            if into[j, x] > into[j, c]:
                into[j, c] = into[j, x]
                edge[j, c] = edge[j, x]
            into[j, x] = -np.inf  # no edge leads out of x any more
    into[c, c] = -np.inf


@njit(cache=True, nogil=True)
def _search(m, single, into, edge, state, path, best, node, above, choice):
    """``choice[j]``: the name of the in-edge of each vertex j > 0 in the best arborescence from vertex 0.

    ``into[j, i]`` is the score of the edge from i to j and ``edge[j, i]`` its name ``i m + j``;
    ``node[v]`` names the (contracted) vertex that v stands for, ``above`` the one that it became part of.
    """
    nodes = m
    for v in range(m):
        state[v] = FREE
        node[v] = v
    state[0] = DONE
    above[: 2 * m] = -1
    for start in range(1, m):
        if state[start] != FREE:
            continue
        path[0] = start
        state[start] = ON_PATH
        length = 1
        while True:
            v = path[length - 1]
            u = 0
            for i in range(1, m):
                if into[v, i] > into[v, u] or (single and u == 0 and into[v, i] > -np.inf):
                    u = i
            best[v] = into[v, u]
            choice[node[v]] = edge[v, u]
            if state[u] == DONE:
                break
            if state[u] == FREE:
                state[u] = ON_PATH
                path[length] = u
                length += 1
                continue
            end = length
            while path[length - 1] != u:
                length -= 1
            for x in path[length - 1 : end]:
                above[node[x]] = nodes
            _contract(u, path[length - 1 : end], m, best, into, edge)
            for x in path[length:end]:
                state[x] = DONE
            node[u] = nodes
            nodes += 1
        for x in path[:length]:
            state[x] = DONE
    for c in range(nodes - 1, m - 1, -1):  # open the cycles, the last one first
        x = choice[c] % m
        while above[x] != c:
            x = above[x]
        choice[x] = choice[c]


@njit(cache=True, nogil=True)
def maximum_arborescences(index, into, vertices, counts, single, used):
    """``used[b, e]``: whether edge e is in the best arborescence of graph b, as ``_graph.gather`` makes them.

    All vertices can be reached from the first one. The scores, at most 1e290, are overwritten.
    """
    n = len(index)
    edge, state, path = np.empty((n, n), np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    best, node = np.empty(n), np.empty(n, np.int64)
    above, choice = np.empty(2 * n, np.int64), np.empty(2 * n, np.int64)
    for b in range(len(into)):
        used[b] = False
        m = counts[b]
        scores = into[b]
        for j in range(m):
            for i in range(m):
                edge[j, i] = i * m + j
        _search(m, single, scores, edge, state, path, best, node, above, choice)
        for j in range(1, m):
            used[b, index[vertices[b, choice[j] // m], vertices[b, j]]] = True
