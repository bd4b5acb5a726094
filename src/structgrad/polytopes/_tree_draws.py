r"""Exact draws of trees, compiled: the elimination of ``_matrix_tree`` undone vertex by vertex, in a bounded time.

A tree of the graph without vertex k, where edges have weights ``w'_ij = w_ij + p_i w_kj``, becomes one of the graph
with it: each of its edges from i to j went by k with the share ``p_i w_kj / w'_ij``, and j is then a child of k. The
parent of k is one of the vertices that the root still reaches without k, drawn with weights ``p``: summed over the
parents that the children of k had (all choices without a cycle), the weights of the smaller trees come to ``p`` of that
set, as those of the larger ones do. With a single edge out of the root, k is the root's child where the root reaches
no vertex any more, and else the root is no choice.

Wilson's walk (1996) needs as many steps as the walk takes to hit the root, which has no bound for weights that lie far
apart. This takes ``O(n^2)`` for a draw, and numbers ``u`` for all that may be decided at each vertex.

By which of the vertices taken out before an edge goes is decided once, when the edge is made: it is the sum of its own
weight and of what goes by each of them.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _share(w, low, fits, i, j, k):
    """How much of the edge from i to j, as elimination left it, goes by k."""
    if fits:
        whole = w[j, i] * w[j, j] if i < j else w[j, i]
        return w[j, k] * w[k, i] / whole
    if w[j, k] == -np.inf or w[k, i] == -np.inf:
        return 0.0
    whole, whole_low = w[j, i], low[j, i]
    return np.exp((w[j, k] - whole) + (w[k, i] - w[k, k]) + (low[j, k] + low[k, i] - low[k, k] - whole_low))


@njit(cache=True, nogil=True)
def _way(own, own_low, w, low, fits, i, j, m, u):
    """The vertex by which the edge from i to j goes, m where it goes by none."""
    if fits:
        total = own[j, i] / (w[j, i] * w[j, j] if i < j else w[j, i])
    else:
        total = np.exp((own[j, i] - w[j, i]) + (own_low[j, i] - low[j, i]))
    vertex = m
    for k in range(m - 1, max(i, j), -1):
        if u < total:
            break
        share = _share(w, low, fits, i, j, k)
        if share > 0.0:
            total += share
            vertex = k
    return vertex


@njit(cache=True, nogil=True)
def _reach(k, parent, reached):
    """``reached[j]`` for j < k: 1 where the root reaches j without passing k, else 2."""
    reached[:k] = 0
    reached[0] = 1
    for j in range(1, k):
        v = j
        while reached[v] == 0 and parent[v] != k:
            v = parent[v]
        end = 2 if reached[v] == 0 else reached[v]
        v = j
        while reached[v] == 0:
            reached[v] = end
            if parent[v] == k:
                break
            v = parent[v]


@njit(cache=True, nogil=True)
def _parent(w, low, fits, k, first, reached, weight, u):
    """Vertex ``first`` or one after it that is reached, with the weights ``p`` of k's elimination."""
    best = -np.inf
    for i in range(first, k):
        if reached[i] == 1:
            best = max(best, w[k, i])
    total = 0.0
    for i in range(first, k):
        weight[i] = 0.0
        if reached[i] == 1 and w[k, i] > -np.inf:
            weight[i] = w[k, i] if fits else np.exp((w[k, i] - best) + low[k, i])
        total += weight[i]
    left, vertex = u * total, first
    for i in range(first, k):
        if weight[i] > 0.0:
            vertex = i
            left -= weight[i]
            if left < 0.0:
                break
    return vertex


@njit(cache=True, nogil=True)
def tree_draws(index, vertices, counts, fits, own, own_low, w, low, single, uniforms, y):
    """Draws ``y[b, d]``, false so far, of graphs as ``_graph.gather`` makes them.

    Of their eliminations: where ``fits`` says so of weights ``own`` and ``w``, elsewhere of their logarithms in two
    floats. ``uniforms`` are ``(B, M, (n - 1) (n + 2) / 2)``.
    """
    n = len(index)
    parent, via, reached = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    weight = np.empty(n)
    for b in range(len(w)):
        m = counts[b]
        for d in range(uniforms.shape[1]):
            start = 0
            for k in range(1, m):
                u = uniforms[b, d, start : start + k + 1]
                start += k + 1
                for j in range(1, k):
                    if via[j] == k:
                        parent[j] = k
                _reach(k, parent, reached)
                first = 0
                for j in range(1, k):
                    if single and parent[j] == 0:
                        first = 1
                for j in range(1, k):
                    if parent[j] == k:
                        via[j] = _way(own[b], own_low[b], w[b], low[b], fits[b], k, j, m, u[j])
                parent[k] = _parent(w[b], low[b], fits[b], k, first, reached, weight, u[0])
                via[k] = _way(own[b], own_low[b], w[b], low[b], fits[b], parent[k], k, m, u[k])
            for j in range(1, m):
                y[b, d, index[vertices[b, parent[j]], vertices[b, j]]] = True
