"""Draws, log-probabilities, entropies and divergences of exponential families against enumeration."""

from __future__ import annotations

import math

import networkx as nx
import pytest
import torch
from scipy.stats import chi2

from structgrad.parallel import set_threads
from structgrad.polytopes import (
    Arborescence,
    CorrelatedSubset,
    Hypercube,
    Simplex,
    SpanningTree,
    Subset,
)

FAMILIES = [
    Simplex(1),
    Simplex(4),
    Hypercube(2, 2),
    Subset(5, 2),
    Subset(4, 4),
    Subset(3, 0),
    CorrelatedSubset(5, 2),
    CorrelatedSubset(3, 0),
    SpanningTree(1),
    SpanningTree(4),
    Arborescence(1),
    Arborescence(4, 1),
    Arborescence(4, 0, single_root=True),
]


def name(family):
    shape = "-".join(map(str, family.event_shape))
    return f"{type(family).__name__}-{shape}{'-single' * getattr(family, 'single_root', False)}"


over_families = pytest.mark.parametrize("family", FAMILIES, ids=name)


@pytest.fixture(autouse=True)
def _one_thread_again():
    yield
    set_threads(1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scores(family, batch, scale, seed=1):
    return scale * torch.randn(batch, *family.event_shape, generator=generator(seed), dtype=torch.float64)


def logs(family, theta, rows=None):
    """``log p`` of each vertex (or of those ``rows``), ``(B, vertices)``."""
    rows = family.vertices().flatten(1) if rows is None else rows
    return (theta.flatten(1) @ rows.mT).log_softmax(1)


def entropy_of(log_p):
    p = log_p.exp()
    return -torch.where(p > 0, p * log_p, 0.0).sum(1)


def places(y, rows):
    """Which of the ``rows`` each structure is; fails where one is none."""
    same = (y.flatten(2).unsqueeze(2) == rows).all(-1)
    assert (same.sum(-1) == 1).all()
    return same.to(torch.int8).argmax(-1)


def assert_fair(found, p):
    """Pearson's test of counts, with rare outcomes thrown together; what is next to impossible must not occur."""
    number = int(found.sum())
    assert found[p < 1e-12].sum() == 0
    rare = p * number < 10
    expected = torch.cat([p[~rare] * number, (p[rare].sum() * number).unsqueeze(0)])
    counts = torch.cat([found[~rare].double(), found[rare].sum().double().unsqueeze(0)])
    if expected[-1] < 10:
        assert counts[-1] < 35
        expected, counts = expected[:-1], counts[:-1]
    if len(expected) > 1:
        statistic = float(((counts - expected) ** 2 / expected).sum())
        assert chi2.sf(statistic, len(expected) - 1) > 1e-4


# Draws


@over_families
@pytest.mark.parametrize("scale", [0.0, 1.0, 4.0, 30.0, 1e3])
def test_draws_are_as_likely_as_they_should_be(family, scale):
    theta, rows = scores(family, 3, scale), family.vertices().flatten(1)
    y = family.sample(theta, 6000, generator())
    assert y.shape == (3, 6000, *family.event_shape)
    for item, log_p in zip(places(y, rows), logs(family, theta), strict=True):
        assert_fair(torch.bincount(item, minlength=len(rows)), log_p.exp())


@pytest.mark.parametrize(
    "family",
    [Simplex(4), Hypercube(4), Subset(5, 2), CorrelatedSubset(4, 2), SpanningTree(4), Arborescence(4)],
    ids=name,
)
def test_draws_under_masks(family):
    """Of the structures that are left; trees span the vertices that are."""
    theta = scores(family, 12, 1.0)
    masks = torch.rand(theta.shape, generator=generator(5)) < 0.8
    for item, mask in zip(theta, masks, strict=True):
        rows = family.vertices().flatten(1)
        rows = rows[~((rows > 0) & ~mask.flatten()).any(1)]
        if not bool(family._feasible(mask.unsqueeze(0))) or not len(rows):
            continue
        log_p = logs(family, item.unsqueeze(0), rows)
        y = family.sample(item, 3000, generator(), mask).unsqueeze(0)
        assert_fair(torch.bincount(places(y, rows)[0], minlength=len(rows)), log_p[0].exp())
        assert float(family.entropy(item, mask)) == pytest.approx(float(entropy_of(log_p)), abs=1e-13)


@pytest.mark.parametrize("single", [False, True])
def test_absent_vertices_have_no_edge(single):
    family = Arborescence(5, 1, single_root=single)
    mask = family.lengths_mask(torch.tensor([2, 3, 5]))
    theta = scores(family, 3, 2.0)
    y = family.sample(theta, 500, generator(), mask)
    assert not y[~mask.unsqueeze(1).expand(y.shape)].any()
    assert y.sum((-2, -1)).T.unique(dim=0).tolist() == [[1, 2, 4]]
    smaller = Arborescence(3, 1, single_root=single)
    assert float(family.entropy(theta, mask)[1]) == pytest.approx(float(smaller.entropy(theta[1, :3, :3])), abs=1e-14)
    tree = SpanningTree(5)
    edges = tree.sample(torch.zeros(10), 100, generator(), tree.lengths_mask(torch.tensor(3)))
    assert edges.sum(-1).unique().tolist() == [2]


@pytest.mark.parametrize("span", [3.0, 300.0, 3000.0])
def test_larger_trees_have_their_marginals(span):
    """Beyond enumeration, by floats and by logarithms: every draw is a tree, and edges come as often as they should."""
    for family in (SpanningTree(9), Arborescence(8, 3), Arborescence(8, 2, single_root=True)):
        theta = scores(family, 2, span / 5)
        y = family.sample(theta, 4000, generator(3))
        mu = family.marginals(theta).unsqueeze(1)
        z = (y.mean(1, keepdim=True) - mu) / (mu * (1 - mu) / 4000).clamp_min(1e-5).sqrt()
        assert z.abs().max() < 5
        for tree in y[:, :50].flatten(0, 1):
            if isinstance(family, SpanningTree):
                assert nx.is_tree(nx.from_numpy_array(family.matrix(tree).numpy()))
            else:
                assert nx.is_arborescence(nx.DiGraph(tree.nonzero().tolist()))
                assert not family.single_root or tree[family.root].sum() == 1


def test_wilsons_walk_would_never_end_here():
    """Two pairs of vertices that the root can hardly enter; the choice between the ways in is fair all the same."""
    family = Arborescence(5)
    theta = torch.full((5, 5), -900.0, dtype=torch.float64)
    theta[1, 2] = theta[2, 1] = theta[3, 4] = theta[4, 3] = 0.0
    y = family.sample(theta, 4000, generator())
    assert y.sum((-2, -1)).unique().tolist() == [4]
    children = y[:, 0].sum(-1)  # the root enters both pairs in 2 * 2 ways, or one and this the other in 2 * 2 * 4
    assert float((children == 2).double().mean()) == pytest.approx(0.2, abs=0.025)


@over_families
def test_draws_depend_on_nothing_but_their_generator(family):
    theta = scores(family, 4, 2.0).float()
    together = family.sample(theta, 7, [generator(s) for s in range(4)])
    assert together.dtype == torch.float32
    set_threads(2)
    assert torch.equal(together, family.sample(theta, 7, [generator(s) for s in range(4)]))
    some = family.sample(theta[[2]], 7, [generator(2)])
    assert torch.equal(together[[2]], some)
    assert torch.equal(family.sample(theta[2], 7, generator(2)), some[0])
    assert torch.equal(family.sample(theta[2], None, generator(2)), family.sample(theta[2], 1, generator(2))[0])
    assert family.sample(theta[:0], 7, generator()).shape == (0, 7, *family.event_shape)
    assert family.sample(theta.view(2, 2, *family.event_shape), 3, generator()).shape[:3] == (2, 2, 3)


def test_a_long_list_of_subsets_is_drawn_in_pieces(monkeypatch):
    for family in (Subset(6, 3), CorrelatedSubset(5, 2)):
        theta = scores(family, 9, 1.0)
        whole = family.sample(theta, 3, generator()), family.entropy(theta)
        monkeypatch.setattr("structgrad.polytopes._subset_draws.TABLE", 50)
        pieces = family.sample(theta, 3, generator()), family.entropy(theta)
        monkeypatch.undo()
        assert all(map(torch.equal, whole, pieces))


def test_bad_draws():
    with pytest.raises(ValueError, match="generator must be given: sampling draws"):
        Simplex(3).sample(torch.zeros(2, 3), 1, None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="has no first dimension for 2 generators"):
        Simplex(3).sample(torch.zeros(3), 1, [generator(), generator()])
    with pytest.raises(ValueError, match="3 generators do not fit the first dimension"):
        Simplex(3).sample(torch.zeros(2, 3), 1, [generator()] * 3)


# Log-probabilities, entropies, divergences


@over_families
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0, 1e3])
def test_they_are_sums_over_vertices(family, scale):
    theta, other = scores(family, 5, scale), scores(family, 5, scale, seed=2)
    log_p, log_q = logs(family, theta), logs(family, other)
    rows = family.vertices()
    size = 1e-13 * max(scale, 1.0)
    assert torch.allclose(family.entropy(theta), entropy_of(log_p), rtol=1e-13, atol=2e-14)
    assert (family.entropy(theta) >= 0).all()
    every = family.log_prob(theta, rows.expand(5, *rows.shape))
    assert torch.allclose(every, log_p, rtol=1e-13, atol=size)
    assert torch.allclose(family.log_prob(theta, rows[:1].expand(theta.shape)), log_p[:, 0], atol=size)
    divergence = torch.where(log_p.exp() > 0, log_p.exp() * (log_p - log_q), 0.0).sum(1)
    assert torch.allclose(family.kl(theta, other), divergence, rtol=1e-13, atol=10 * size)
    assert (family.kl(theta, theta) >= 0).all()
    assert (family.kl(theta, theta) <= 10 * size).all()


@over_families
def test_entropies_of_ties_at_any_size(family):
    """The logarithm of how many vertices are best, to the last digits: nothing in it grows with the scores."""
    whole = torch.randint(-1, 2, (60, *family.event_shape), generator=generator(3)).double()
    value = whole.flatten(1) @ family.vertices().flatten(1).mT
    best = value == value.amax(1, keepdim=True)
    for size in (1e4, 1e20, 1e280, 1e290, 1.7e308):
        theta = (whole * size).requires_grad_()
        entropy = family.entropy(theta)
        assert torch.allclose(entropy, best.sum(1).double().log(), rtol=0, atol=1e-13)
        if theta.numel():
            assert torch.autograd.grad(entropy.sum(), theta)[0].isfinite().all()
        y = family.sample(theta, 20, generator())
        drawn = (y.flatten(2) @ whole.flatten(1).unsqueeze(-1)).squeeze(-1)
        assert torch.equal(drawn, value.amax(1, keepdim=True).expand(drawn.shape))


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES if math.prod(f.event_shape) and f.vertices().shape[0] > 1], ids=name
)
def test_derivatives(family):
    theta, other = (scores(family, 2, 1.0, seed).requires_grad_() for seed in (1, 2))
    y = family.sample(theta, 3, generator()).double()
    for function, arguments in (
        (family.entropy, (theta,)),
        (family.kl, (theta, other)),
        (lambda t: family.log_prob(t, y), (theta,)),
    ):
        assert torch.autograd.gradcheck(function, arguments, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, arguments, fast_mode=True)
    (slope,) = torch.autograd.grad(family.kl(theta, theta.detach()).sum(), theta)
    assert slope.abs().max() < 1e-14


@over_families
def test_the_plain_form_has_the_same_entropy(family):
    """What other devices compute."""
    theta = scores(family, 4, 2.0)
    log_z, mean = family._plain_marginals(theta, None)
    plain = log_z - (theta * mean).flatten(1).sum(1)
    assert torch.allclose(family.entropy(theta), plain, rtol=1e-12, atol=1e-12)


def test_shapes_and_types():
    tree = SpanningTree(4)
    theta = scores(tree, 6, 1.0).view(2, 3, 6).half()
    y = tree.sample(theta, 5, generator())
    assert y.dtype == torch.float16
    assert tree.log_prob(theta, y).shape == (2, 3, 5)
    assert tree.log_prob(theta, y[:, :, 0]).shape == (2, 3)
    assert tree.log_prob(theta, y.bool()).dtype == torch.float16
    assert tree.entropy(theta).shape == tree.kl(theta, theta).shape == (2, 3)
    assert tree.entropy(theta[:0]).shape == tree.kl(theta[:0], theta[:0]).shape == (0, 3)
    for wrong in (y[0], y[..., :5], y[:, :2], torch.zeros(6)):
        with pytest.raises(ValueError, match=r"y of shape .* does not fit theta of shape \(2, 3, 6\)"):
            tree.log_prob(theta, wrong)
    with pytest.raises(ValueError, match=r"other of shape \(6,\) does not fit theta"):
        tree.kl(theta, theta[0, 0])
    with pytest.raises(ValueError, match="other of shape"):
        tree.kl(theta, torch.full_like(theta, torch.nan))
