"""Maximum spanning trees against enumeration, Kruskal's rule, networkx and scipy."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csgraph

from structgrad.polytopes.spanning_tree import SpanningTree


def kruskal(tree, theta, mask):
    """The best edges that close no cycle, one after another; a stable sort lets the first of equals go first."""
    label = list(range(tree.n))
    ends = torch.triu_indices(tree.n, tree.n, 1).T.tolist()
    y = torch.zeros_like(theta)
    for e in theta.sort(descending=True, stable=True).indices.tolist():
        i, j = (label[v] for v in ends[e])
        if mask[e] and i != j:
            y[e] = 1.0
            label = [i if other == j else other for other in label]
    return y


def prim(tree, theta, mask):
    """Prim's search for ``(B, edges)``, all rows at once, with the kernel's rule for ties.

    A row whose tree spans already takes the edge that comes after the last one, which is cut off in the end.
    """
    scores, allowed, index = tree._matrix(theta), tree._matrix(mask), tree._index
    batch, n, _ = scores.shape
    edges = n * (n - 1) // 2
    scores = scores.masked_fill(~allowed, -torch.inf)
    item = torch.arange(batch)
    used = torch.zeros(batch, edges + 1, dtype=torch.bool)
    inside = torch.zeros(batch, n, dtype=torch.bool)
    score = torch.full((batch, n), -torch.inf, dtype=scores.dtype)
    edge = index.new_full((batch, n), edges)
    latest = allowed.any(-1).to(torch.int8).argmax(-1)
    for _ in range(n - 1):
        inside[item, latest] = True
        found, number = scores[item, latest], index[latest]
        better = (found > score) | ((found == score) & (found > -torch.inf) & (number < edge))
        score, edge = found.where(better, score), number.where(better, edge)
        outside = score.masked_fill(inside, -torch.inf)
        best = outside == outside.amax(-1, keepdim=True)
        first, latest = edge.masked_fill(inside | ~best, edges).min(-1)
        used[item, first] = True
    return used[:, :edges].to(theta.dtype)


def everything(theta):
    return torch.ones_like(theta, dtype=torch.bool)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_argmax_is_the_best_vertex(n):
    tree = SpanningTree(n)
    theta = torch.randn(50, *tree.event_shape, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    best = tree.vertices()[(theta @ tree.vertices().T).argmax(1)]
    assert torch.equal(tree.argmax(theta), best)
    if n > 1:
        assert torch.equal(prim(tree, theta, everything(theta)), best)


@pytest.mark.parametrize("n", [2, 3, 5, 8, 12])
@pytest.mark.parametrize("density", [0.5, 1.0])
def test_argmax_equals_networkx(n, density):
    tree = SpanningTree(n)
    generator = torch.Generator().manual_seed(n)
    theta = torch.randn(30, *tree.event_shape, generator=generator)
    masks = torch.rand(theta.shape, generator=generator) < density
    feasible = tree._feasible(masks)
    assert feasible.any()
    for score, mask, connected in zip(theta, masks, feasible.tolist(), strict=True):
        graph = nx.Graph()
        ends = torch.triu_indices(n, n, 1).T[mask].tolist()
        graph.add_weighted_edges_from([(i, j, w) for (i, j), w in zip(ends, score[mask].tolist(), strict=True)])
        assert connected == (not graph or nx.is_connected(graph))
        if not connected:
            with pytest.raises(ValueError, match=r"mask of shape .* leaves no spanning tree"):
                tree.argmax(score, mask)
            continue
        expected = torch.zeros(n, n)
        for i, j in nx.maximum_spanning_tree(graph).edges:
            expected[min(i, j), max(i, j)] = 1.0
        assert torch.equal(tree.argmax(score, mask), tree.vector(expected))


@pytest.mark.parametrize("n", [10, 50])
def test_argmax_equals_scipy(n):
    tree = SpanningTree(n)
    theta = torch.randn(4, 5, *tree.event_shape, generator=torch.Generator().manual_seed(n))
    y = tree.argmax(theta)
    assert y.dtype == theta.dtype
    assert y.shape == theta.shape
    for score, found in zip(theta.flatten(0, 1), y.flatten(0, 1), strict=True):
        cost = np.triu(1.0 - tree.matrix(score.double() - score.max()).numpy(), 1)  # zero would be no edge
        best = csgraph.minimum_spanning_tree(cost).toarray() != 0
        assert np.array_equal(np.triu(tree.matrix(found).numpy(), 1) != 0, best)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(
    st.integers(1, 7),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 1e-300, 1.0, 1e300]),
    st.floats(0.0, 1.0),
    st.integers(0, 3),
)
def test_of_equal_edges_the_first_is_taken(n, seed, scale, density, batch):
    tree = SpanningTree(n)
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randint(-1, 2, (batch, *tree.event_shape), generator=generator).double() * scale
    mask = torch.rand(theta.shape, generator=generator) < density
    mask[~tree._feasible(mask)] = True
    y = tree.argmax(theta, mask)
    assert y.shape == theta.shape
    assert not y[~mask].any()
    if n > 1:
        assert torch.equal(y, prim(tree, theta, mask))
    for b in range(batch):
        assert torch.equal(y[b], kruskal(tree, theta[b], mask[b]))


def test_edges_come_row_by_row():
    tree = SpanningTree(4)
    y = torch.arange(1.0, 7.0)
    expected = torch.tensor([[0.0, 1, 2, 3], [1, 0, 4, 5], [2, 4, 0, 6], [3, 5, 6, 0]])
    assert torch.equal(tree.matrix(y), expected)
    assert torch.equal(tree.vector(expected), y)
    batch = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.equal(tree.vector(tree.matrix(batch)), batch)
    assert torch.autograd.gradcheck(tree.matrix, batch)
    assert torch.autograd.gradcheck(tree.vector, torch.randn(2, 4, 4, dtype=torch.float64, requires_grad=True))
    assert tree.matrix(y > 2).dtype == torch.bool
    assert tree.matrix(torch.zeros(0, 6)).shape == (0, 4, 4)


def test_lengths_are_the_complete_graphs_on_the_first_vertices():
    tree = SpanningTree(5)
    lengths = torch.tensor([[1, 2], [4, 5]])
    mask = tree.lengths_mask(lengths)
    for position in ((0, 0), (0, 1), (1, 0), (1, 1)):
        length = int(lengths[position])
        expected = torch.zeros(5, 5, dtype=torch.bool)
        expected[:length, :length] = ~torch.eye(length, dtype=torch.bool)
        assert torch.equal(tree.matrix(mask[position]), expected)
    y = tree.argmax(torch.randn(2, 2, 10), mask)
    assert torch.equal(y.sum(-1), lengths - 1.0)


def test_lengths_out_of_range_are_named():
    for bad in ([0, 2], [2, 6], [-1]):
        with pytest.raises(ValueError, match=rf"lengths of shape \({len(bad)},\) must lie between 1 and 5"):
            SpanningTree(5).lengths_mask(torch.tensor(bad))
    assert SpanningTree(5).lengths_mask(torch.zeros(0, dtype=torch.int64)).shape == (0, 10)


def test_padding_may_stand_anywhere():
    """Vertices 1 and 3 of five are absent; the others form a triangle."""
    tree = SpanningTree(5)
    mask = torch.zeros(5, 5, dtype=torch.bool)
    for i, j in ((0, 2), (0, 4), (2, 4)):
        mask[i, j] = True
    theta = torch.full((5, 5), 100.0)
    theta[0, 2], theta[0, 4], theta[2, 4] = 1.0, 3.0, 2.0
    y = tree.matrix(tree.argmax(tree.vector(theta), tree.vector(mask)))
    assert y.nonzero().tolist() == [[0, 4], [2, 4], [4, 0], [4, 2]]


def test_no_edge_at_all_is_the_empty_tree():
    tree = SpanningTree(4)
    theta, mask = torch.randn(2, 6), torch.zeros(6, dtype=torch.bool)
    assert torch.equal(tree.argmax(theta, mask), torch.zeros(2, 6))
    assert torch.equal(prim(tree, theta, mask.expand(2, 6)), torch.zeros(2, 6))
    assert torch.equal(tree.marginals(theta, mask), torch.zeros(2, 6))
    assert torch.equal(tree.log_partition(theta, mask), torch.zeros(2))
    assert SpanningTree(1).argmax(torch.zeros(3, 0)).shape == (3, 0)


def test_two_components_are_no_graph_of_a_tree():
    tree = SpanningTree(4)
    mask = torch.tensor([True, False, False, False, False, True])
    with pytest.raises(ValueError, match=r"mask of shape \(6,\) leaves no spanning tree"):
        tree.argmax(torch.zeros(6), mask)


def test_the_cap_is_below_the_largest_score_that_is_allowed():
    theta = torch.tensor([[0.0, -20.0, 5.0], [0.0, -20.0, 50.0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    assert SpanningTree(3).capped(theta, 15.0, mask).tolist() == [[0.0, -10.0, 5.0], [0.0, -15.0, 50.0]]


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        SpanningTree(0)
    with pytest.raises(ValueError, match=r"y must end in \(6,\), not \(2, 5\)"):
        SpanningTree(4).matrix(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"matrix must end in \(4, 4\), not \(4, 5\)"):
        SpanningTree(4).vector(torch.zeros(4, 5))
