"""Trees by scipy and networkx, one graph after another, and matrix-tree marginals by a determinant."""

from __future__ import annotations

from itertools import islice

import networkx as nx
import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor


def edge_index(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Ends ``i < j`` of the edges of the complete graph, row by row."""
    return np.triu_indices(n, 1)


def spanning_trees(theta: Tensor, n: int) -> Tensor:
    """Indicators ``(B, n(n-1)/2)`` of the maximum spanning trees; the sparsity pattern is made once."""
    scores = theta.numpy()
    first, second = edge_index(n)
    number = np.zeros((n, n), np.int64)
    number[first, second] = np.arange(len(first))
    columns, starts = second.astype(np.int32), np.cumsum([0, *range(n - 1, -1, -1)]).astype(np.int32)
    weights = scores.max() + 1 - scores  # positive: csgraph takes a zero for no edge
    trees = np.zeros_like(scores)
    for b in range(len(scores)):
        tree = minimum_spanning_tree(csr_array((weights[b], columns, starts), shape=(n, n))).tocoo()
        trees[b, number[tree.row, tree.col]] = 1
    return torch.from_numpy(trees)


def arborescences(theta: Tensor, root: int) -> Tensor:
    """Indicators ``(B, n, n)``, parent by child, of the maximum arborescences; Edmonds' algorithm of networkx."""
    trees = torch.zeros_like(theta)
    n = theta.shape[-1]
    for b, scores in enumerate(theta.tolist()):
        graph = nx.DiGraph()
        graph.add_weighted_edges_from((i, j, scores[i][j]) for i in range(n) for j in range(n) if i != j and j != root)
        for i, j in nx.maximum_spanning_arborescence(graph).edges:
            trees[b, i, j] = 1
    return trees


def _graph(scores: Tensor, n: int, exponential: bool) -> nx.Graph:
    graph = nx.Graph()
    weights = (scores.exp() if exponential else scores).tolist()
    graph.add_weighted_edges_from((int(i), int(j), w) for i, j, w in zip(*edge_index(n), weights, strict=True))
    return graph


def random_trees(theta: Tensor, n: int, count: int) -> Tensor:
    """Indicators ``(count, n(n-1)/2)`` of random spanning trees of one graph's scores, by networkx."""
    graph, numbers = _graph(theta, n, exponential=True), {}
    for e, (i, j) in enumerate(zip(*edge_index(n), strict=True)):
        numbers[int(i), int(j)] = e
    trees = torch.zeros(count, len(theta), dtype=theta.dtype)
    for tree in trees:
        for i, j in nx.random_spanning_tree(graph, weight="weight").edges:
            tree[numbers[min(i, j), max(i, j)]] = 1
    return trees


def best_trees(theta: Tensor, n: int, count: int) -> Tensor:
    """Scores ``(B, count)`` of the best spanning trees, by networkx's iterator."""
    found = []
    for scores in theta:
        graph = _graph(scores, n, exponential=False)
        trees = nx.SpanningTreeIterator(graph, minimum=False)  # pyright: ignore[reportArgumentType]  # the stubs ask for a DiGraph
        found.append([tree.size(weight="weight") for tree in islice(trees, count)])
    return theta.new_tensor(found)


def log_partition(theta: Tensor, n: int) -> Tensor:
    """``log det`` of the reduced Laplacian of weights ``exp(theta)``, ``(B,)``."""
    first, second = map(torch.from_numpy, edge_index(n))
    shift = theta.amax(-1, keepdim=True)
    weights = theta.new_zeros(*theta.shape[:-1], n, n)
    weights[..., first, second] = (theta - shift).exp()
    weights = weights + weights.mT
    laplacian = torch.diag_embed(weights.sum(-1)) - weights
    return torch.linalg.slogdet(laplacian[..., 1:, 1:]).logabsdet + (n - 1) * shift.squeeze(-1)


def marginals(theta: Tensor, n: int, create_graph: bool = False) -> Tensor:
    """Edge marginals: autograd's derivative of :func:`log_partition`; differentiable on demand."""
    return torch.autograd.grad(log_partition(theta, n).sum(), theta, create_graph=create_graph)[0]
