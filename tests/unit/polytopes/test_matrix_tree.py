"""The exponential family of spanning trees and arborescences against enumeration, closed forms and autograd."""

from __future__ import annotations

import math
from itertools import combinations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from structgrad.parallel import set_threads
from structgrad.polytopes.arborescence import Arborescence
from structgrad.polytopes.matrix_tree import MatrixTree
from structgrad.polytopes.spanning_tree import SpanningTree
from structgrad.regularizers.exponential import ExponentialEntropy

FAMILIES = [SpanningTree(n) for n in range(1, 6)] + [Arborescence(n, root) for n in range(1, 6) for root in {0, n - 1}]
LARGER = [SpanningTree(9), Arborescence(8), Arborescence(8, 3)]


def name(family):
    return f"{type(family).__name__}-{family.n}" + (f"-{family.root}" if isinstance(family, Arborescence) else "")


over_families = pytest.mark.parametrize("family", FAMILIES, ids=name)
over_larger = pytest.mark.parametrize("family", LARGER, ids=name)


@pytest.fixture(autouse=True)
def _one_thread_again():
    yield
    set_threads(1)


def structures(family, mask):
    """All trees under one mask, ``(count, *event_shape)``: sets of edges that give each vertex a way to the root.

    Written for this test alone: edges are chosen and followed, nothing is eliminated.
    """
    n = family.n
    if isinstance(family, SpanningTree):
        edges = [(i, j) for i, j in combinations(range(n), 2) if family.matrix(mask)[i, j]]
        present = sorted({v for edge in edges for v in edge})
        choices = combinations(edges, max(0, len(present) - 1))
    else:
        edges = [(i, j) for i, j in product(range(n), repeat=2) if mask[i, j] and i != j and j != family.root]
        present = sorted({v for edge in edges for v in edge})
        children = [v for v in present if v != family.root]
        choices = product(*([edge for edge in edges if edge[1] == child] for child in children))
        present = [family.root, *children] if edges else []
    found = []
    for chosen in choices:
        reached = set(present[:1])
        for _ in chosen:
            reached |= {j for i, j in chosen if i in reached}
            if isinstance(family, SpanningTree):
                reached |= {i for i, j in chosen if j in reached}
        if reached == set(present):
            y = torch.zeros(n, n, dtype=torch.float64)
            for i, j in chosen:
                y[i, j] = 1.0
            found.append(family.vector(y) if isinstance(family, SpanningTree) else y)
    return torch.stack(found) if found else torch.zeros(0, *family.event_shape)


def truth(vertices, theta, direction):
    """``log Z``, marginals and the covariance times ``direction`` by summing over all trees."""
    rows = vertices.flatten(1)
    values = rows @ theta.flatten()
    weights = values.softmax(0)
    mean = weights @ rows
    product = (weights * (rows @ direction.flatten())) @ rows - mean * (mean @ direction.flatten())
    return values.logsumexp(0), mean.view(theta.shape), product.view(theta.shape)


def draw(family, batch, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    theta = scale * torch.randn(batch, *family.event_shape, generator=generator, dtype=torch.float64)
    direction = torch.randn(batch, *family.event_shape, generator=generator, dtype=torch.float64)
    return theta, direction, generator


def hessian_product(family, theta, direction, mask=None):
    theta = theta.clone().requires_grad_()
    return torch.autograd.grad(family.marginals(theta, mask), theta, direction)[0]


def log_kernel(family, theta, direction, mask=None):
    """What the kernel in the log domain makes of all rows."""
    flat = family._flat(direction)
    log_z, mean, out = family._beyond(family._graphs(theta, mask), flat, torch.ones(len(flat), dtype=torch.bool))
    return log_z, mean.view(theta.shape), out.view(theta.shape)


def plain(family, theta, direction, mask=None):
    """The same by torch operations, which is what other devices run."""
    return *family._plain_marginals(theta, mask), family._plain_marginals(theta, mask, direction)[1]


def close(found, expected, tolerance):
    return torch.allclose(found, expected, rtol=tolerance, atol=tolerance)


# Against enumeration


@over_families
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0])
def test_all_of_it_is_a_sum_over_trees(family, scale):
    theta, direction, _ = draw(family, 6, family.n, scale)
    everything = torch.ones(family.event_shape, dtype=torch.bool)
    sums = [truth(structures(family, everything), t, d) for t, d in zip(theta, direction, strict=True)]
    log_z, mean, product = (torch.stack(part) for part in zip(*sums, strict=True))
    assert close(family.log_partition(theta), log_z, 1e-13)
    assert close(family.marginals(theta), mean, 1e-13)
    assert close(hessian_product(family, theta, direction), product, 1e-12)
    for path in (plain, log_kernel):
        assert all(map(close, path(family, theta, direction), (log_z, mean, product), [1e-12] * 3)), path


@over_families
def test_under_masks_it_is_a_sum_over_the_trees_that_are_left(family):
    theta, direction, generator = draw(family, 40, 10 + family.n, 2.0)
    density = torch.rand(40, *(1,) * len(family.event_shape), generator=generator)
    masks = torch.rand(theta.shape, generator=generator) < density
    left = [structures(family, mask) for mask in masks]
    rows = torch.tensor([len(trees) > 0 for trees in left])
    assert rows.any()
    for row in (~rows).nonzero()[:, 0]:
        with pytest.raises(ValueError, match=r"mask of shape .* leaves no (spanning tree|arborescence)"):
            family.marginals(theta[row], masks[row])
    sums = [truth(left[row], theta[row], direction[row]) for row in rows.nonzero()[:, 0]]
    expected = [torch.stack(part) for part in zip(*sums, strict=True)]
    theta, direction, masks = theta[rows], direction[rows], masks[rows]
    found = (
        family.log_partition(theta, masks),
        family.marginals(theta, masks),
        hessian_product(family, theta, direction, masks),
    )
    for result in (found, plain(family, theta, direction, masks), log_kernel(family, theta, direction, masks)):
        assert all(map(close, result, expected, [1e-12] * 3))
    assert not found[1][~masks].any()


@over_families
def test_the_counts_of_trees(family):
    theta = torch.zeros(family.event_shape)
    count = family.n ** max(0, family.n - 2)
    everything = torch.ones(family.event_shape, dtype=torch.bool)
    listed = {tuple(y.flatten().tolist()) for y in family.vertices()}
    assert len(family.vertices()) == len(listed) == count
    assert listed == {tuple(y.flatten().tolist()) for y in structures(family, everything)}
    assert float(family.log_partition(theta.double())) == pytest.approx(math.log(count), abs=1e-13)


# Closed forms and invariances


@pytest.mark.parametrize("n", [10, 30])
def test_uniform_scores(n):
    tree, arborescence = SpanningTree(n), Arborescence(n)
    edges, matrix = torch.zeros(tree.event_shape).double(), torch.zeros(n, n).double()
    for family, theta in ((tree, edges), (arborescence, matrix)):
        assert float(family.log_partition(theta)) == pytest.approx((n - 2) * math.log(n), rel=1e-13)
    assert close(tree.marginals(edges), torch.full_like(edges, 2 / n), 1e-13)
    assert close(arborescence.marginals(matrix)[0, 1:], edges.new_full((n - 1,), 2 / n), 1e-13)


@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0])
def test_marginals_sum_to_what_every_tree_has(scale):
    theta, _, _ = draw(SpanningTree(12), 20, 0, scale)
    assert close(SpanningTree(12).marginals(theta).sum(-1), torch.full((20,), 11.0).double(), 1e-12)
    theta, _, _ = draw(Arborescence(12, 5), 20, 0, scale)
    columns = Arborescence(12, 5).marginals(theta).sum(-2)
    assert not columns[:, 5].any()
    columns[:, 5] = 1.0
    assert close(columns, torch.ones_like(columns), 1e-12)


def test_shifts_change_only_the_partition_function():
    tree, arborescence = SpanningTree(7), Arborescence(7, 2)
    theta, direction, _ = draw(tree, 5, 0)
    assert close(tree.marginals(theta + 100.0), tree.marginals(theta), 1e-12)
    assert close(tree.log_partition(theta + 100.0), tree.log_partition(theta) + 600.0, 1e-12)
    assert close(hessian_product(tree, theta, torch.ones_like(direction)), torch.zeros_like(theta), 1e-13)
    theta, _, generator = draw(arborescence, 5, 0)
    shift = 100.0 * torch.randn(5, 1, 7, generator=generator, dtype=torch.float64)
    assert close(arborescence.marginals(theta + shift), arborescence.marginals(theta), 1e-12)
    gained = shift.sum((-2, -1)) - shift[:, 0, 2]
    assert close(arborescence.log_partition(theta + shift), arborescence.log_partition(theta) + gained, 1e-12)


@over_larger
def test_temperature_limits_are_the_maximiser_and_the_centroid(family):
    theta, _, _ = draw(family, 10, 1)
    assert close(family.marginals(theta / 1e-5), family.argmax(theta), 1e-9)
    assert close(family.marginals(theta / 1e9), family.marginals(torch.zeros_like(theta)), 1e-8)


@over_larger
def test_the_jacobian_is_a_symmetric_covariance(family):
    theta, _, _ = draw(family, 1, 2)
    size = theta[0].numel()
    jacobian = torch.autograd.functional.jacobian(family.marginals, theta[0]).view(size, size)
    assert close(jacobian, jacobian.T, 1e-14)
    assert torch.linalg.eigvalsh(jacobian).min() > -1e-13


@pytest.mark.parametrize("root", [0, 3])
def test_a_symmetric_arborescence_is_a_spanning_tree(root):
    tree, arborescence = SpanningTree(8), Arborescence(8, root)
    theta, _, _ = draw(tree, 5, 3)
    both = arborescence.marginals(tree.matrix(theta))
    assert close(arborescence.log_partition(tree.matrix(theta)), tree.log_partition(theta), 1e-13)
    assert close(tree.vector(both + both.mT), tree.marginals(theta), 1e-13)


# Derivatives


@pytest.mark.parametrize("family", [SpanningTree(4), Arborescence(4), Arborescence(4, 2)], ids=name)
@pytest.mark.parametrize("masked", [False, True])
def test_derivatives_of_first_and_second_order(family, masked):
    theta, _, _ = draw(family, 2, 4)
    mask = family.lengths_mask(torch.tensor([4, 3])) if masked else None
    theta.requires_grad_()
    for function in (family.marginals, family.log_partition):
        assert torch.autograd.gradcheck(lambda t, f=function: f(t, mask), theta)
        assert torch.autograd.gradgradcheck(lambda t, f=function: f(t, mask), theta, fast_mode=True)


@over_larger
def test_the_gradient_of_the_partition_function_is_the_marginals(family):
    theta, _, _ = draw(family, 5, 5)
    theta.requires_grad_()
    (gradient,) = torch.autograd.grad(family.log_partition(theta).sum(), theta)
    assert torch.equal(gradient, family.marginals(theta.detach()))


@over_larger
@pytest.mark.parametrize("scale", [1.0, 20.0, 2000.0])
def test_kernels_equal_the_plain_path(family, scale):
    theta, direction, _ = draw(family, 4, 6, scale)
    found = family.log_partition(theta), family.marginals(theta), hessian_product(family, theta, direction)
    for path in (plain, log_kernel):
        assert all(map(close, found, path(family, theta, direction), [1e-15 * scale + 1e-12] * 3)), path


@pytest.mark.parametrize("family", [SpanningTree(6), Arborescence(6, 1), SpanningTree(1), Arborescence(1)], ids=name)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_third_derivatives_are_finite(family, scale):
    theta, direction, _ = draw(family, 3, 7, scale)
    mask = family.lengths_mask(torch.tensor([family.n, max(1, family.n - 2), min(2, family.n)]))
    theta.requires_grad_()
    (product,) = torch.autograd.grad(family.marginals(theta, mask), theta, direction, create_graph=True)
    (third,) = torch.autograd.grad(product.square().sum(), theta)
    assert third.isfinite().all()
    assert not third[~mask].any()


# Scores far apart


@over_larger
@pytest.mark.parametrize("scale", [1e3, 1e4, 1e30])
def test_scores_of_any_range_give_marginals(family, scale):
    theta, direction, _ = draw(family, 20, 8, scale)
    mean, product = family.marginals(theta), hessian_product(family, theta, direction)
    assert product.isfinite().all()
    assert family.log_partition(theta).isfinite().all()
    event = tuple(range(1, theta.dim()))
    assert close(mean.sum(event), torch.full((20,), family.n - 1.0).double(), 1e-9)
    best = (family.argmax(theta) * theta).sum(event)
    assert close(family.log_partition(theta) / scale, best / scale, 1e-2)
    if scale == 1e30:  # no two trees are near
        assert torch.equal(mean, family.argmax(theta))


def test_rows_of_all_ranges_mix():
    family = Arborescence(7)
    theta, direction, _ = draw(family, 6, 9)
    theta = theta * torch.tensor([1.0, 1e4, 10.0, 1e3, 100.0, 300.0]).double().view(6, 1, 1)
    mean, product = family.marginals(theta), hessian_product(family, theta, direction)
    for b in range(6):
        assert torch.equal(mean[b], family.marginals(theta[b]))
        assert torch.equal(product[b], hessian_product(family, theta[b], direction[b]))
    assert all(map(close, (mean, product), plain(family, theta, direction)[1:], [1e-11] * 2))


def test_the_only_tree_of_a_sparse_graph_may_weigh_less_than_a_float():
    """0 -> 3 -> 1 -> 2, where 2 -> 1 and 1 -> 3 weigh most: sums and products of floats lose the way from the root."""
    family = Arborescence(4)
    theta = torch.zeros(4, 4).double()
    theta[0, 3] = theta[3, 1] = -500.0
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0, 3] = mask[1, 3] = mask[3, 1] = mask[2, 1] = mask[1, 2] = True
    only = torch.zeros(4, 4).double()
    only[0, 3] = only[3, 1] = only[1, 2] = 1.0
    assert torch.equal(structures(family, mask), only[None])
    assert float(family.log_partition(theta, mask)) == -1000.0
    assert torch.equal(family.marginals(theta, mask), only)
    assert not hessian_product(family, theta, torch.randn(4, 4).double(), mask).any()


def test_the_adjoint_of_an_absent_edge_may_be_no_float():
    """0 -> 1 -> 2 -> 3 against the wind: an edge from 0 to 3, if there were one, would gain exp(1200)."""
    family = Arborescence(4)
    theta = torch.zeros(4, 4).double()
    theta[0, 1] = theta[1, 2] = -600.0
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0, 1] = mask[1, 2] = mask[2, 3] = mask[2, 1] = mask[3, 2] = True
    only = torch.zeros(4, 4).double()
    only[0, 1] = only[1, 2] = only[2, 3] = 1.0
    assert float(family.log_partition(theta, mask)) == -1200.0
    assert close(family.marginals(theta, mask), only, 1e-15)
    product = hessian_product(family, theta, torch.randn(4, 4).double(), mask)
    assert close(product, torch.zeros_like(product), 1e-14)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.sampled_from(
        [SpanningTree(1), SpanningTree(2), SpanningTree(5), Arborescence(1), Arborescence(2), Arborescence(5, 2)]
    ),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 1e-300, 1.0, 100.0, 700.0, 1e5]),
    st.integers(0, 3),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_ties_extremes_and_small_shapes_are_sums_over_trees(family, seed, scale, batch, dtype):
    generator = torch.Generator().manual_seed(seed)
    theta = scale * torch.randint(-2, 3, (batch, *family.event_shape), generator=generator).to(dtype)
    found = family.log_partition(theta), family.marginals(theta)
    assert found[0].dtype == found[1].dtype == dtype
    assert found[0].shape == (batch,)
    assert found[1].shape == theta.shape
    direction = torch.randn(theta.shape, generator=generator).double()
    product = hessian_product(family, theta.double(), direction)
    for b in range(batch):
        log_z, mean, expected = truth(family.vertices(), theta[b].double(), direction[b])
        tolerance = 1e-6 if dtype == torch.float32 else 1e-12
        assert close(found[0][b].double(), log_z, tolerance)
        assert close(found[1][b].double(), mean, tolerance)
        assert close(product[b], expected, 1e-12)


# Batches, threads, padding


@over_larger
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_one_thread_or_two_and_one_row_or_many_give_the_same_bits(family, scale):
    theta, direction, _ = draw(family, 9, 10, scale)
    mask = family.lengths_mask(torch.tensor([4, 5, 6, 7, 8, 4, 5, 6, 8]))
    results = []
    for threads in (1, 2):
        set_threads(threads)
        results.append((family.log_partition(theta, mask), family.marginals(theta, mask)))
        results[-1] += (hessian_product(family, theta, direction, mask), family.argmax(theta, mask))
    assert all(map(torch.equal, *results))
    for b in range(9):
        assert torch.equal(results[0][0][b], family.log_partition(theta[b], mask[b]))
        assert torch.equal(results[0][1][b], family.marginals(theta[b], mask[b]))
        assert torch.equal(results[0][2][b], hessian_product(family, theta[b], direction[b], mask[b]))


@pytest.mark.parametrize("scale", [1.0, 1e3])
@pytest.mark.parametrize("length", [1, 2, 5, 8])
@pytest.mark.parametrize("kind", [SpanningTree, Arborescence])
def test_padding_changes_no_bit(kind, length, scale):
    padded, alone = kind(8), kind(length)
    theta, direction, _ = draw(padded, 3, 11, scale)

    def cut(y):
        return (
            alone.vector(padded.matrix(y)[..., :length, :length]) if kind is SpanningTree else y[..., :length, :length]
        )

    mask = padded.lengths_mask(torch.tensor(length))
    small = cut(theta).contiguous()
    assert torch.equal(padded.log_partition(theta, mask), alone.log_partition(small))
    assert torch.equal(cut(padded.marginals(theta, mask)), alone.marginals(small))
    product = hessian_product(padded, theta, direction, mask)
    assert torch.equal(cut(product), hessian_product(alone, small, cut(direction)))
    assert not padded.marginals(theta, mask)[~mask.expand(theta.shape)].any()
    assert not product[~mask.expand(theta.shape)].any()


def test_a_mask_holds_for_every_leading_dimension():
    family = SpanningTree(5)
    generator = torch.Generator().manual_seed(12)
    theta = torch.randn(2, 3, 10, generator=generator)
    mask = family.lengths_mask(torch.tensor([[3], [5]]))
    mean = family.marginals(theta, mask)
    assert mean.dtype == torch.float32
    for r in range(2):
        for s in range(3):
            assert torch.equal(mean[r, s], family.marginals(theta[r, s], mask[r, 0]))


@pytest.mark.parametrize("family", [SpanningTree(4), Arborescence(4)], ids=name)
def test_an_empty_batch_is_one(family):
    theta = torch.zeros(0, 3, *family.event_shape, requires_grad=True)
    mask = torch.ones(family.event_shape, dtype=torch.bool)
    assert family.log_partition(theta, mask).shape == (0, 3)
    assert family.marginals(theta, mask).shape == theta.shape
    family.marginals(theta).sum().backward()
    assert theta.grad is not None
    assert theta.grad.shape == theta.shape


def test_the_entropy_relaxation_takes_them():
    theta, _, _ = draw(SpanningTree(5), 3, 13)
    entropy = ExponentialEntropy(max_range=15.0)
    assert torch.equal(entropy.maximise(SpanningTree(5), theta), SpanningTree(5).marginals(theta))
    assert issubclass(SpanningTree, MatrixTree)


@pytest.mark.parametrize("function", ["marginals", "log_partition", "argmax"])
@pytest.mark.parametrize("family", [SpanningTree(4), Arborescence(4)], ids=name)
def test_bad_scores_and_masks_are_named(family, function):
    call = getattr(family, function)
    theta = torch.zeros(2, *family.event_shape)
    with pytest.raises(ValueError, match=rf"theta must end in \({family.event_shape[0]}"):
        call(torch.zeros(2, 5))
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="NaN or infinite"):
            call(theta + bad)
    with pytest.raises(ValueError, match="floating point"):
        call(theta.long())
    with pytest.raises(ValueError, match="boolean"):
        call(theta, torch.ones(family.event_shape))
    with pytest.raises(ValueError, match="does not fit"):
        call(theta, torch.ones(3, *family.event_shape, dtype=torch.bool))
