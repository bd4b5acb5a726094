"""The k best structures against all of them in order, and against networkx."""

from __future__ import annotations

import itertools

import networkx as nx
import pytest
import torch

from structgrad.polytopes import (
    Arborescence,
    CorrelatedSubset,
    GridPath,
    Hypercube,
    Matching,
    Permutahedron,
    Simplex,
    SpanningTree,
    Subset,
    k_best,
)

POLYTOPES = [
    Simplex(4),
    Hypercube(2, 2),
    Subset(5, 2),
    Subset(3, 0),
    Subset(3, 3),
    CorrelatedSubset(5, 2),
    CorrelatedSubset(5, 3),
    SpanningTree(1),
    SpanningTree(4),
    Arborescence(4, 1),
    Arborescence(4, 0, single_root=True),
    Matching(1),
    Matching(4),
    Matching(2, 4),
    Matching(4, 2),
]


def name(polytope):
    return f"{type(polytope).__name__}-{'-'.join(map(str, polytope.event_shape))}"


over_polytopes = pytest.mark.parametrize("polytope", POLYTOPES, ids=name)


def draw(polytope, seed, whole=False):
    generator = torch.Generator().manual_seed(seed)
    if whole:
        return torch.randint(-2, 3, polytope.event_shape, generator=generator).double()
    return torch.randn(polytope.event_shape, generator=generator, dtype=torch.float64)


def assert_best(y, scores, theta, rows):
    """That they are k different ones of the ``rows``, whose scores are the k largest, in order."""
    values = (rows @ theta.flatten()).sort(descending=True).values
    assert torch.allclose(scores, values[: len(scores)], rtol=1e-14, atol=1e-12)
    which = (y.flatten(1).unsqueeze(1) == rows).all(-1)
    assert (which.sum(1) == 1).all()
    assert (which.sum(0) <= 1).all()
    assert torch.allclose(rows[which.to(torch.int8).argmax(1)] @ theta.flatten(), scores, rtol=1e-14, atol=1e-12)


@over_polytopes
@pytest.mark.parametrize("whole", [False, True], ids=["distinct", "tied"])
def test_they_are_the_first_of_all_in_order(polytope, whole):
    rows = polytope.vertices().flatten(1)
    for seed, k in itertools.product(range(4), {1, min(5, len(rows)), len(rows)}):
        theta = draw(polytope, seed, whole)
        assert_best(*k_best(polytope, theta, k), theta, rows)
    if not whole:
        assert torch.equal(k_best(polytope, theta, 1)[0][0], polytope.argmax(theta))


@over_polytopes
def test_there_are_no_more_than_there_are(polytope):
    number = len(polytope.vertices())
    with pytest.raises(
        ValueError, match=rf"k must be at most the number of structures, {number} for .*, not {number + 1}"
    ):
        k_best(polytope, draw(polytope, 0), number + 1)


@pytest.mark.parametrize("polytope", [p for p in POLYTOPES if p.takes_mask and p.event_shape != (0,)], ids=name)
def test_under_masks(polytope):
    every = polytope.vertices().flatten(1)
    tried = 0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        mask = torch.rand(polytope.event_shape, generator=generator) < 0.75
        rows = every[~((every > 0) & ~mask.flatten()).any(1)]
        if not bool(polytope._feasible(mask.unsqueeze(0))) or not len(rows):
            continue
        tried += 1
        theta = draw(polytope, seed, whole=seed % 2 == 0)
        assert_best(*k_best(polytope, theta, len(rows), mask), theta, rows)
        with pytest.raises(ValueError, match="k must be at most"):
            k_best(polytope, theta, len(rows) + 1, mask)
    assert tried


@pytest.mark.parametrize("single", [False, True])
def test_a_vertex_does_not_go_absent(single):
    """Without its last edge a vertex would be padding, and trees on the others structures of another problem."""
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0, 1] = mask[1, 2] = mask[2, 1] = mask[1, 3] = mask[0, 2] = True
    y, _ = k_best(Arborescence(4, single_root=single), torch.zeros(4, 4), 2 if single else 3, mask)
    assert (y.sum((-2, -1)) == 3).all()
    with pytest.raises(ValueError, match="k must be at most"):
        k_best(Arborescence(4, single_root=single), torch.zeros(4, 4), 3 if single else 4, mask)


@over_polytopes
def test_nothing_is_lost_beside_huge_scores(polytope):
    """Coordinates that hardly anything can pay for: the rest is in order by the other scores."""
    rows = polytope.vertices().flatten(1)
    theta = draw(polytope, 3)
    huge = torch.rand(theta.shape, generator=torch.Generator().manual_seed(4)) < 0.25
    used = rows @ huge.flatten().double()
    free = rows[used == 0]
    if not len(free):
        return
    theta = theta.masked_fill(huge, -1e300)
    y, scores = k_best(polytope, theta, len(free))
    assert_best(y, scores, theta.masked_fill(huge, 0.0), free)


def test_trees_in_the_order_of_networkx():
    n, theta = 6, draw(SpanningTree(6), 0)
    graph = nx.Graph()
    ends = list(itertools.combinations(range(n), 2))
    graph.add_weighted_edges_from((i, j, float(t)) for (i, j), t in zip(ends, theta, strict=True))
    trees = nx.SpanningTreeIterator(graph, minimum=False)  # pyright: ignore[reportArgumentType]  # the stubs ask for a DiGraph
    expected = [sum(d["weight"] for *_, d in tree.edges(data=True)) for tree in itertools.islice(trees, 60)]
    assert k_best(SpanningTree(n), theta, 60)[1].tolist() == pytest.approx(expected, abs=1e-12)


def test_shapes_types_and_derivatives():
    polytope = CorrelatedSubset(4, 2)
    theta = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y, scores = k_best(polytope, theta, 2)
    assert (y.shape, scores.shape) == ((2, 3, 2, 7), (2, 3, 2))
    assert (y.dtype, scores.dtype, y.requires_grad) == (torch.float32, torch.float32, False)
    assert torch.equal(torch.autograd.grad(scores.sum(), theta)[0], y.sum(2))
    for item, found in zip(theta.detach().flatten(0, 1), y.flatten(0, 1), strict=True):
        assert torch.equal(k_best(polytope, item, 2)[0], found)
    empty, none = k_best(polytope, theta[:0], 2)
    assert (empty.shape, none.shape) == ((0, 3, 2, 7), (0, 3, 2))
    assert k_best(Matching(3), torch.zeros(3, 3).half(), 6)[0].dtype == torch.float16


def test_what_is_refused():
    for polytope in (GridPath(2, 2), Permutahedron(3)):
        with pytest.raises(ValueError, match=f"{type(polytope).__name__} cannot search with forced coordinates"):
            k_best(polytope, -torch.ones(polytope.event_shape), 2)
    with pytest.raises(ValueError, match="Matching takes no mask"):
        k_best(Matching(2), torch.zeros(2, 2), 1, torch.ones(2, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="a score of a structure beyond float16"):
        k_best(Hypercube(3), torch.full((3,), 6e4).half(), 1)


def test_rectangular_matchings_of_either_side():
    for n, m in ((4, 2), (2, 4), (3, 1)):
        theta, y = torch.randn(3, n, m, generator=torch.Generator().manual_seed(1)), Matching(n, m).vertices()
        wanted = (theta.double().flatten(1) @ y.flatten(1).mT).sort(-1, descending=True).values
        found, scores = k_best(Matching(n, m), theta, len(y))
        assert torch.allclose(scores.double(), wanted, atol=1e-6)
        assert all(len(item.flatten(1).unique(dim=0)) == len(y) for item in found)


def test_more_than_memory_holds_are_refused_as_any():
    with pytest.raises(ValueError, match="k must be at most the number of structures, 3 for some scores, not 1000000"):
        k_best(Simplex(3), torch.zeros(2, 3), 10**12)


def test_within_transforms():
    theta, mask = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), torch.ones(3, 4, dtype=torch.bool)
    mask[0, 1] = False
    mapped = torch.func.vmap(lambda x, m: k_best(Subset(4, 2), x, 3, m))(theta, mask)
    for found, wanted in zip(mapped, k_best(Subset(4, 2), theta, 3, mask), strict=True):
        assert torch.equal(found, wanted)
    gradient = torch.func.grad(lambda x: k_best(Subset(4, 2), x, 3)[1].sum())(theta)
    assert torch.equal(gradient, k_best(Subset(4, 2), theta, 3)[0].sum(1))
