"""Paths across a grid against enumeration and scipy's Dijkstra, by the kernel and by relaxation."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from torch.nn import functional as F

from structgrad.layers.perturbed import Perturbed
from structgrad.losses.fenchel_young import FenchelYoung
from structgrad.noise import Normal
from structgrad.parallel import set_threads
from structgrad.polytopes._grid_path import MOVES
from structgrad.polytopes._range import bounded
from structgrad.polytopes.grid_path import GridPath

ORDER = [(0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)]
SMALL = [(1, 1, 8), (1, 4, 4), (3, 1, 8), (2, 2, 4), (2, 2, 8), (3, 3, 4), (3, 3, 8), (2, 4, 8), (4, 3, 4)]


@pytest.fixture(autouse=True)
def _one_thread_again():
    yield
    set_threads(1)


def costs(*shape, seed=0, dtype=torch.float64):
    """As of terrain: between 0.8 and 9.2."""
    return 0.8 + 8.4 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def relaxed_paths(theta, neighbours):
    """The same paths by relaxing all steps at once until nothing changes (Bellman and Ford).

    Distances are sums of the same numbers in the same order as the kernel's: they agree to the last bit, and so do
    the ties between them.
    """
    h, w = theta.shape[-2:]
    moves = MOVES[:neighbours].tolist()
    cost = theta.double().neg().clamp(min=0.0).reshape(-1, h, w)

    def near(x):
        """``near(x)[:, m, i, j]`` is x one move m from (i, j), infinite outside."""
        padded = F.pad(x, (1, 1, 1, 1), value=torch.inf)
        return torch.stack([padded[:, 1 + i : 1 + i + h, 1 + j : 1 + j + w] for i, j in moves], 1)

    distance = torch.full_like(cost, torch.inf)
    distance[:, 0, 0] = cost[:, 0, 0]
    distance = settled(distance, lambda x: near(x).amin(1) + cost)
    tight = distance.unsqueeze(1) + near(cost) == near(distance)
    left = torch.full_like(cost, torch.inf)
    left[:, -1, -1] = 0.0
    left = settled(left, lambda x: near(x).masked_fill(~tight, torch.inf).amin(1) + 1.0)

    ahead = tight & (near(left) == left.unsqueeze(1) - 1.0)
    jumps = torch.tensor([i * w + j for i, j in moves], device=theta.device)[ahead.byte().argmax(1)].flatten(1)
    jumps[:, -1] = 0  # stay
    paths = torch.zeros_like(jumps, dtype=theta.dtype)
    cell = jumps.new_zeros(len(jumps), 1)
    paths[:, 0] = 1.0
    for _ in range(h * w):
        if bool((cell == h * w - 1).all()):
            break
        cell = cell + jumps.gather(1, cell)
        paths.scatter_(1, cell, 1.0)
    return paths.view(theta.shape)


def settled(x, relax):
    """Lower ``x`` to ``relax(x)`` until it no longer falls."""
    for _ in range(x[:1].numel() + 1):  # each round settles one cell at least
        lower = torch.minimum(x, relax(x))
        if torch.equal(lower, x):
            break
        x = lower
    return x


def steps(h, w, neighbours):
    """Which cell lies one step from which: pairs of indices."""
    return [
        (i * w + j, (i + down) * w + j + right)
        for i in range(h)
        for j in range(w)
        for down, right in ORDER[:neighbours]
        if 0 <= i + down < h and 0 <= j + right < w
    ]


def simple_paths(h, w, neighbours):
    """networkx' simple paths, lists of cells."""
    graph = nx.Graph(steps(h, w, neighbours))
    graph.add_node(0)
    return list(nx.all_simple_paths(graph, 0, h * w - 1)) if h * w > 1 else [[0]]


def least_cost(cost, neighbours):
    """scipy's least cost of a path, both ends included."""
    h, w = cost.shape
    source, target = np.array(steps(h, w, neighbours)).T
    flat = cost.numpy().ravel()
    graph = csr_matrix((flat[target], (source, target)), shape=(h * w, h * w))
    return flat[0] + dijkstra(graph, indices=0)[-1]


def is_chordless_path(y, neighbours):
    """From corner to corner, and no two cells touch but those one step apart."""
    h, w = y.shape
    graph = nx.Graph(steps(h, w, neighbours)).subgraph(y.flatten().nonzero().flatten().tolist())
    degrees = dict(graph.degree())
    inner = [degree for cell, degree in degrees.items() if cell not in (0, h * w - 1)]
    return nx.is_connected(graph) and degrees[0] == degrees[h * w - 1] == 1 and all(degree == 2 for degree in inner)


@pytest.mark.parametrize(("h", "w", "neighbours"), SMALL)
def test_vertices_are_the_cells_of_all_simple_paths(h, w, neighbours):
    vertices = GridPath(h, w, neighbours).vertices()
    found = {tuple(vertex.flatten().nonzero().flatten().tolist()) for vertex in vertices}
    assert len(found) == len(vertices)
    assert found == {tuple(sorted(path)) for path in simple_paths(h, w, neighbours)}


@pytest.mark.parametrize(("h", "w", "neighbours"), SMALL)
def test_argmax_is_the_best_vertex(h, w, neighbours):
    polytope, theta = GridPath(h, w, neighbours), -costs(60, h, w)
    values = torch.einsum("bij,vij->bv", theta, polytope.vertices())
    best = polytope.vertices()[values.argmax(1)]
    assert torch.equal(polytope.argmax(theta), best)
    assert torch.equal(relaxed_paths(theta, neighbours), best)


@pytest.mark.parametrize(("h", "w", "neighbours"), SMALL)
def test_positive_scores_count_as_zero(h, w, neighbours):
    polytope = GridPath(h, w, neighbours)
    theta = torch.randn(60, h, w, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values = torch.einsum("bij,vij->bv", theta.clamp(max=0), polytope.vertices())
    y = polytope.argmax(theta)
    assert (theta.clamp(max=0) * y).sum((1, 2)).numpy() == pytest.approx(values.amax(1).numpy(), abs=1e-12)
    assert (y.unsqueeze(1) == polytope.vertices()).flatten(2).all(-1).any(-1).all()


@pytest.mark.parametrize(("h", "w", "neighbours"), [(2, 2, 8), (3, 3, 4), (3, 3, 8), (2, 4, 8), (4, 3, 4)])
def test_ties_go_to_the_fewest_cells_and_then_to_the_first_moves(h, w, neighbours):
    theta = -torch.randint(0, 3, (150, h, w), generator=torch.Generator().manual_seed(2)).double()
    paths = simple_paths(h, w, neighbours)
    moves = [[ORDER.index((b // w - a // w, b % w - a % w)) for a, b in pairwise(p)] for p in paths]
    for score, y in zip(theta, GridPath(h, w, neighbours).argmax(theta), strict=True):
        cost = (-score).flatten().tolist()
        keys = [(sum(cost[c] for c in p), len(p), m) for p, m in zip(paths, moves, strict=True)]
        assert y.flatten().nonzero().flatten().tolist() == sorted(paths[keys.index(min(keys))])


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize(("h", "w"), [(12, 12), (5, 30)])
def test_paths_cost_what_scipy_says(h, w, neighbours):
    cost = costs(40, h, w)
    y = GridPath(h, w, neighbours).argmax(-cost)
    for one, path in zip(cost, y, strict=True):
        assert float((one * path).sum()) == pytest.approx(least_cost(one, neighbours), rel=1e-14)
        assert is_chordless_path(path, neighbours)


@pytest.mark.parametrize("neighbours", [4, 8])
def test_free_cells_still_give_a_simple_path(neighbours):
    cost = costs(40, 9, 11) * (torch.rand(40, 9, 11, generator=torch.Generator().manual_seed(3)) < 0.4)
    cost[0] = 0
    y = GridPath(9, 11, neighbours).argmax(-cost)
    for one, path in zip(cost, y, strict=True):
        assert float((one * path).sum()) == pytest.approx(least_cost(one + 1e-13, neighbours), abs=1e-11)
        assert is_chordless_path(path, neighbours)
    assert int(y[0].sum()) == (11 if neighbours == 8 else 19)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(1, 7),
    st.integers(1, 7),
    st.sampled_from([4, 8]),
    st.integers(0, 2**31),
    st.sampled_from([0, 1, 2, None]),
    st.sampled_from([1e-300, 1.0, 5e307]),
)
def test_the_kernel_and_relaxation_find_the_same_path(h, w, neighbours, seed, levels, scale):
    generator = torch.Generator().manual_seed(seed)
    theta = torch.rand(4, h, w, generator=generator, dtype=torch.float64) - 0.9
    if levels is not None:  # ties; costs that vanish beside others
        theta = (theta * levels).round() - 1e-17 * torch.randint(0, 2, theta.shape, generator=generator)
    y = GridPath(h, w, neighbours).argmax(theta * scale)
    assert torch.equal(y, relaxed_paths(bounded(theta * scale, 2), neighbours))
    assert bool((y[:, 0, 0] == 1).all())
    assert bool((y[:, -1, -1] == 1).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_any_floating_type_goes_in_and_comes_out(dtype):
    theta = -costs(20, 6, 6).to(dtype)
    y = GridPath(6, 6).argmax(theta)
    assert y.dtype == dtype
    assert torch.equal(y.double(), GridPath(6, 6).argmax(theta.double()))
    assert torch.equal(y, relaxed_paths(theta, 8))


def test_leading_dimensions_strides_and_an_empty_batch():
    theta = -costs(4, 5, 3, 2).permute(3, 2, 1, 0)
    y = GridPath(5, 4).argmax(theta)
    assert y.shape == (2, 3, 5, 4)
    assert torch.equal(y[1, 2], GridPath(5, 4).argmax(theta[1, 2]))
    assert GridPath(5, 4).argmax(torch.zeros(0, 3, 5, 4)).shape == (0, 3, 5, 4)
    assert relaxed_paths(torch.zeros(0, 3, 5, 4), 8).shape == (0, 3, 5, 4)


def test_one_thread_or_two_give_the_same_paths():
    theta, found = -costs(51, 12, 12).round(), []
    for threads in (1, 2):
        set_threads(threads)
        found.append(GridPath(12, 12).argmax(theta))
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), "h must be at least 1, not 0"),
        ((3, -1), "w must be at least 1, not -1"),
        ((3, 3, 6), "neighbours must be 4 or 8, not 6"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        GridPath(*arguments)


def test_bad_scores_and_masks_are_refused():
    with pytest.raises(ValueError, match=r"theta must end in \(2, 3\), not \(3, 2\)"):
        GridPath(2, 3).argmax(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="NaN or infinite"):
        GridPath(2, 3).argmax(torch.full((2, 3), -float("inf")))
    with pytest.raises(ValueError, match="takes no mask"):
        GridPath(2, 3).argmax(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool))


def test_costs_at_the_end_of_floats_keep_their_order():
    most = torch.finfo(torch.float64).max
    theta = torch.tensor([[0.0, -most], [-0.9 * most, -1.0]], dtype=torch.float64)
    assert GridPath(2, 2, 4).argmax(theta).tolist() == [[1, 0], [1, 1]]
    walls = torch.full((3, 3), -most, dtype=torch.float64)  # as walls: what is between them still counts
    walls[0, 0] = walls[2, 2] = 0.0
    walls[1, 1], walls[0, 1], walls[1, 2] = -3.0, -1.0, -1.0
    assert GridPath(3, 3, 8).argmax(walls).tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 1]]


def path_loss(theta, sigma):
    layer = Perturbed(GridPath(3, 3), Normal(), sigma, 200)
    return FenchelYoung(layer)(theta, torch.eye(3).double(), torch.Generator().manual_seed(1))


def test_a_fenchel_young_loss_has_the_slope_of_its_values():
    theta, step = -2 - costs(3, 3, 3), 1e-7
    scores = theta.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(path_loss(scores, 0.3).sum(), scores)
    for i, j in ((0, 0), (1, 1), (0, 2)):
        move = torch.zeros(3, 3, 3).double()
        move[:, i, j] = step
        slope = (path_loss(theta + move, 0.3) - path_loss(theta - move, 0.3)) / (2 * step)
        assert torch.allclose(slope, gradient[:, i, j], atol=1e-6)


def test_no_potential_where_noise_makes_scores_positive():
    layer, theta = Perturbed(GridPath(3, 3), Normal(), 1.0, 50), -0.1 * costs(2, 3, 3)
    assert layer(theta, torch.Generator().manual_seed(1)).shape == theta.shape
    for potential in (layer.potential, layer.estimate_potential):
        with pytest.raises(ValueError, match=r"theta of shape \(2, 3, 3\) has no potential over GridPath"):
            potential(theta, torch.Generator().manual_seed(1))
