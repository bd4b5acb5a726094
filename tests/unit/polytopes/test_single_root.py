"""Arborescences of which a single edge leaves the root, against enumeration under masks and at any range."""

from __future__ import annotations

import itertools

import pytest
import torch

from structgrad.polytopes import Arborescence

SIZES = [(1, 0), (2, 0), (2, 1), (3, 1), (4, 0), (5, 4)]
over_sizes = pytest.mark.parametrize(("n", "root"), SIZES)


def trees(family, mask):
    """All trees under a mask on the vertices that take part, ``(count, n, n)``: parents are chosen and followed."""
    n, root = family.n, family.root
    edges = [(i, j) for i, j in mask.nonzero().tolist() if i != j and j != root]
    others = sorted({v for edge in edges for v in edge} - {root})
    found = []
    for chosen in itertools.product(*([edge for edge in edges if edge[1] == child] for child in others)):
        reached = {root}
        for _ in chosen:
            reached |= {j for i, j in chosen if i in reached}
        if reached == {root, *others} and sum(i == root for i, _ in chosen) == min(1, len(others)):
            y = torch.zeros(n, n, dtype=torch.float64)
            for i, j in chosen:
                y[i, j] = 1.0
            found.append(y)
    return torch.stack(found) if found else torch.zeros(0, n, n, dtype=torch.float64)


def truth(rows, theta, direction):
    flat = rows.flatten(1)
    values = flat @ theta.flatten()
    weights = values.softmax(0)
    mean = weights @ flat
    product = (weights * (flat @ direction.flatten())) @ flat - mean * (mean @ direction.flatten())
    return values.logsumexp(0), mean.view(theta.shape), product.view(theta.shape)


def by_kernel(family, theta, direction, mask):
    scores = theta.clone().requires_grad_()
    marginals = family.marginals(scores, mask)
    return family.log_partition(theta, mask), marginals.detach(), torch.autograd.grad(marginals, scores, direction)[0]


def by_logarithms(family, theta, direction, mask):
    graphs = family._graphs(theta.unsqueeze(0), None if mask is None else mask.unsqueeze(0))
    parts = family._beyond(graphs, direction.reshape(1, -1), torch.ones(1, dtype=torch.bool))
    return parts[0].squeeze(0), parts[1].view(theta.shape), parts[2].view(theta.shape)


def by_torch(family, theta, direction, mask):
    scores, allowed = theta.unsqueeze(0), None if mask is None else mask.unsqueeze(0)
    log_z, mean = family._plain_marginals(scores, allowed)
    _, product = family._plain_marginals(scores, allowed, direction.unsqueeze(0))
    return log_z.squeeze(0), mean.squeeze(0), product.squeeze(0)


@over_sizes
@pytest.mark.parametrize("density", [1.0, 0.8, 0.5])
@pytest.mark.parametrize("scale", [0.0, 1.0, 20.0, 1e3])
def test_all_of_it_is_over_the_trees_with_one_edge_out_of_the_root(n, root, density, scale):
    family = Arborescence(n, root, single_root=True)
    generator = torch.Generator().manual_seed(n)
    tried = 0
    for _ in range(8):
        theta, direction = scale * torch.randn(2, n, n, generator=generator, dtype=torch.float64)
        direction /= max(scale, 1.0)
        mask = torch.rand(n, n, generator=generator) < density
        rows = trees(family, mask)
        if not len(rows):
            with pytest.raises(ValueError, match=f"leaves no arborescence from vertex {root} by a single edge"):
                family.argmax(theta, mask)
            continue
        tried += 1
        y = family.argmax(theta, mask)
        assert (rows == y).flatten(1).all(1).any()
        assert float((y * theta).sum()) == pytest.approx(float((rows.flatten(1) @ theta.flatten()).max()), rel=1e-14)
        expected = truth(rows, theta, direction)
        for way in (by_kernel, by_logarithms, by_torch):
            found = way(family, theta, direction, None if density == 1.0 else mask)
            for part, value in zip(found, expected, strict=True):
                assert torch.allclose(part, value, rtol=1e-12, atol=1e-12), way.__name__
    assert tried


@over_sizes
def test_vertices_are_these_trees(n, root):
    family = Arborescence(n, root, single_root=True)
    every = trees(family, torch.ones(n, n, dtype=torch.bool))
    assert sorted(family.vertices().flatten(1).tolist()) == sorted(every.flatten(1).tolist())
    assert len(every) == (1 if n == 1 else (n - 1) ** (n - 2))


def test_a_root_edge_is_not_bought_by_any_score():
    theta = torch.full((4, 4), -1.7e308, dtype=torch.float64)
    theta[0, 1:] = 1.7e308
    y = Arborescence(4, single_root=True).argmax(theta)
    assert y[0].sum() == 1
    assert Arborescence(4).argmax(theta)[0].sum() == 3


def test_the_choice_of_the_child_beside_huge_scores_elsewhere():
    """Root scores of ordinary size keep their digits: no number was taken off them."""
    theta = torch.zeros(4, 4, dtype=torch.float64)
    theta[0, 1:] = torch.tensor([0.3, 0.7, -0.2])
    theta[1:, 1:] = 1e30
    shares = Arborescence(4, single_root=True).marginals(theta)[0, 1:]
    assert torch.allclose(shares, theta[0, 1:].softmax(0), rtol=1e-14)


def test_derivatives_of_any_order():
    family = Arborescence(4, 2, single_root=True)
    theta = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    mask = family.lengths_mask(torch.tensor([3, 4]))
    for m in (None, mask):
        assert torch.autograd.gradcheck(lambda t, m=m: family.log_partition(t, m), theta, fast_mode=True)
        assert torch.autograd.gradgradcheck(lambda t, m=m: family.log_partition(t, m), theta, fast_mode=True)
        assert torch.autograd.gradgradcheck(lambda t, m=m: family.marginals(t, m), theta, fast_mode=True)


def test_padding_changes_nothing():
    theta = torch.randn(9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    large, small = Arborescence(9, single_root=True), Arborescence(6, single_root=True)
    mask = large.lengths_mask(torch.tensor(6))
    assert torch.equal(large.argmax(theta, mask)[:6, :6], small.argmax(theta[:6, :6]))
    assert torch.equal(large.marginals(theta, mask)[:6, :6], small.marginals(theta[:6, :6]))
    alone = large.lengths_mask(torch.tensor(1))
    assert not large.argmax(theta, alone).any()
    assert float(large.log_partition(theta, alone)) == 0.0
    assert float(large._plain_log_partition(theta.unsqueeze(0), alone.unsqueeze(0))) == 0.0


def test_many_masks_at_once_are_judged_one_by_one():
    family = Arborescence(4, 1, single_root=True)
    masks = torch.rand(3, 50, 4, 4, generator=torch.Generator().manual_seed(2)) < 0.5
    expected = [[len(trees(family, mask)) > 0 for mask in row] for row in masks]
    assert family._feasible(masks).tolist() == expected
