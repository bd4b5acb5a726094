"""Maximum arborescences against enumeration and networkx."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from structgrad.polytopes.arborescence import Arborescence


def usable(arborescence, mask):
    """The edges of a mask that are neither loops nor lead into the root, as pairs."""
    return [(i, j) for i, j in mask.nonzero().tolist() if i != j and j != arborescence.root]


def by_networkx(arborescence, theta, mask):
    """The best arborescence; None where there is none. Nothing leads into the root, so that it is everybody's root."""
    graph = nx.DiGraph()
    graph.add_node(arborescence.root)
    edges = usable(arborescence, mask)
    graph.add_weighted_edges_from([(i, j, -float(theta[i, j])) for i, j in edges])
    if len(nx.descendants(graph, arborescence.root)) + 1 < len(graph):
        return None
    y = torch.zeros_like(theta)
    if edges:
        for i, j in nx.minimum_spanning_arborescence(graph).edges:
            y[i, j] = 1.0
    return y


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_argmax_is_the_best_vertex(n):
    theta = torch.randn(200, n, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    for root in range(n):
        arborescence = Arborescence(n, root)
        vertices = arborescence.vertices()
        best = vertices[torch.einsum("bij,vij->bv", theta, vertices).argmax(1)]
        assert torch.equal(arborescence.argmax(theta), best)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_vertices_lead_away_from_the_root(n):
    for root in range(n):
        for y in Arborescence(n, root).vertices():
            graph = nx.DiGraph(y.nonzero().tolist()) if n > 1 else nx.DiGraph({0: {}})
            assert nx.is_arborescence(graph)
            assert dict(graph.in_degree())[root] == 0


@pytest.mark.parametrize(("n", "root"), [(2, 0), (3, 2), (5, 0), (8, 3), (12, 0), (12, 11)])
@pytest.mark.parametrize("density", [0.5, 1.0])
def test_argmax_equals_networkx(n, root, density):
    arborescence = Arborescence(n, root)
    generator = torch.Generator().manual_seed(n)
    theta = torch.randn(30, n, n, generator=generator)
    masks = torch.rand(theta.shape, generator=generator) < density
    found = 0
    for score, mask in zip(theta, masks, strict=True):
        expected = by_networkx(arborescence, score.double(), mask)
        if expected is None:
            with pytest.raises(ValueError, match=rf"mask of shape .* leaves no arborescence from vertex {root}"):
                arborescence.argmax(score, mask)
        else:
            found += 1
            assert torch.equal(arborescence.argmax(score, mask), expected.float())
    assert found


def test_many_nested_cycles():
    """Near vertices attract each other, the root nobody: cycles are contracted into cycles of cycles."""
    n = 40
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, n, generator=generator, dtype=torch.float64)
    theta = -100.0 * (x.unsqueeze(-1) - x.unsqueeze(-2)).abs()
    theta += 0.01 * torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    theta[:, 0] = -1000.0 + 0.1 * torch.randn(3, n, generator=generator, dtype=torch.float64)
    y = Arborescence(n).argmax(theta)
    for score, found in zip(theta, y, strict=True):
        expected = by_networkx(Arborescence(n), score, torch.ones(n, n, dtype=torch.bool))
        assert expected is not None
        assert torch.equal(found, expected)
        assert found[0].sum() == 1


@settings(deadline=None, derandomize=True, max_examples=80)
@given(
    st.integers(1, 5),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 2.0**-990, 1.0, 2.0**100, 2.0**1022]),
    st.floats(0.2, 1.0),
    st.integers(0, 3),
)
def test_ties_and_extreme_scores_give_an_optimal_arborescence(n, seed, scale, density, batch):
    generator = torch.Generator().manual_seed(seed)
    arborescence = Arborescence(n, seed % n)
    whole = torch.randint(-2, 3, (batch, n, n), generator=generator).double()
    mask = torch.rand(whole.shape, generator=generator) < density
    mask[~arborescence._feasible(mask)] = True
    y = arborescence.argmax(whole * scale, mask)
    assert torch.equal(y, arborescence.argmax(whole * scale, mask))
    for b in range(batch):
        expected = by_networkx(arborescence, whole[b], mask[b])
        assert expected is not None
        assert not y[b][~mask[b]].any()
        assert torch.equal(y[b].sum(-2), expected.sum(-2))
        if scale:  # powers of two, so that no difference is rounded
            assert float((whole[b] * y[b]).sum()) == float((whole[b] * expected).sum())
        edges = usable(arborescence, y[b])
        assert not edges or nx.is_arborescence(nx.DiGraph(edges))


@pytest.mark.parametrize("entered", [1, 2])
def test_differences_of_the_largest_floats_do_not_overflow(entered):
    theta = torch.full((3, 3), -1.5 * 2.0**1023, dtype=torch.float64)
    theta[1, 2] = theta[2, 1] = 1.5 * 2.0**1023
    theta[0, entered] = -(2.0**1023)
    assert Arborescence(3).argmax(theta).nonzero().tolist() == [[0, entered], [entered, 3 - entered]]


def test_rows_give_the_same_tree_alone_and_in_a_batch():
    theta = torch.randint(0, 3, (20, 9, 9), generator=torch.Generator().manual_seed(0)).float()
    y = Arborescence(9, 4).argmax(theta)
    for score, found in zip(theta, y, strict=True):
        assert torch.equal(found, Arborescence(9, 4).argmax(score))


@pytest.mark.parametrize("length", [2, 5, 8])
def test_padding_changes_no_tie(length):
    theta = torch.randint(0, 3, (20, 8, 8), generator=torch.Generator().manual_seed(length)).float()
    mask = Arborescence(8, 1).lengths_mask(torch.tensor(length))
    y = Arborescence(8, 1).argmax(theta, mask)
    assert torch.equal(y[:, :length, :length], Arborescence(length, 1).argmax(theta[:, :length, :length]))
    assert y.sum() == 20 * (length - 1)


def test_the_diagonal_and_the_column_of_the_root_are_ignored():
    theta = torch.randn(10, 6, 6, generator=torch.Generator().manual_seed(0))
    other = theta.clone()
    other.diagonal(dim1=1, dim2=2).fill_(1e30)
    other[:, :, 2] = -1e30
    arborescence = Arborescence(6, 2)
    assert torch.equal(arborescence.argmax(theta), arborescence.argmax(other))
    assert torch.equal(arborescence.marginals(theta), arborescence.marginals(other))
    assert torch.equal(arborescence.log_partition(theta), arborescence.log_partition(other))


def test_the_root_may_have_any_number_of_children():
    theta = torch.zeros(5, 5)
    theta[0] = 1.0
    y = Arborescence(5).argmax(theta)
    assert y[0].tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]


def test_lengths_are_the_first_vertices():
    arborescence = Arborescence(4, 1)
    mask = arborescence.lengths_mask(torch.tensor([2, 3]))
    assert mask[0].nonzero().tolist() == [[1, 0]]
    assert mask[1].nonzero().tolist() == [[0, 2], [1, 0], [1, 2], [2, 0]]
    for bad in (1, 5):
        with pytest.raises(ValueError, match=r"lengths of shape \(1,\) must lie between 2 and 4"):
            arborescence.lengths_mask(torch.tensor([bad]))


def test_no_edge_at_all_is_the_root_alone():
    arborescence = Arborescence(4, 1)
    theta = torch.randn(3, 4, 4)
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[2, 1] = mask[0, 0] = True  # into the root, a loop: neither counts
    assert not arborescence.argmax(theta, mask).any()
    assert not arborescence.marginals(theta, mask).any()
    assert not arborescence.log_partition(theta, mask).any()


def test_a_vertex_out_of_reach_is_no_padding():
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0, 1] = mask[2, 1] = True
    with pytest.raises(ValueError, match="leaves no arborescence from vertex 0"):
        Arborescence(4).argmax(torch.zeros(4, 4), mask)
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[1, 2] = mask[2, 3] = True  # nothing leaves the root
    with pytest.raises(ValueError, match="leaves no arborescence from vertex 0"):
        Arborescence(4).argmax(torch.zeros(4, 4), mask)


def test_the_cap_is_below_the_best_parent_of_each_child():
    theta = torch.tensor([[99.0, 0.0, -7.0], [99.0, 50.0, 20.0], [99.0, -20.0, 50.0]])
    capped = Arborescence(3).capped(theta, 15.0)
    assert capped.tolist() == [[99.0, 0.0, 5.0], [99.0, 50.0, 20.0], [99.0, -15.0, 50.0]]
    mask = torch.ones(3, 3, dtype=torch.bool)
    mask[1, 2] = False
    assert Arborescence(3).capped(theta, 15.0, mask)[:, 2].tolist() == [-7.0, 20.0, 50.0]
    theta.requires_grad_()
    Arborescence(3).capped(theta, 15.0)[1:, 1:].sum().backward()
    assert theta.grad is not None
    assert theta.grad.isfinite().all()
    assert theta.grad[0, 1] == 1.0  # the largest score carries the one that it caps


@pytest.mark.parametrize("root", [-1, 4])
def test_the_root_must_be_a_vertex(root):
    with pytest.raises(ValueError, match=f"root must be .*, not {root}"):
        Arborescence(4, root)
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        Arborescence(0)
