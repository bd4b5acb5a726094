"""Subsets of a chain against enumeration, exact arithmetic and counting."""

import math
from itertools import combinations
from typing import Any

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from structgrad.parallel import set_threads
from structgrad.polytopes.correlated_subset import CorrelatedSubset
from structgrad.polytopes.subset import Subset

SIZES = [(1, 0), (1, 1), (2, 1), (2, 2), (5, 0), (5, 5), (6, 2), (7, 4), (8, 7)]


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


def allowed_vertices(polytope, mask):
    """Which vertices ``(..., count)`` each mask allows."""
    return (~mask).double() @ polytope.vertices().mT == 0


def random_mask(polytope, leading, generator, share=0.75):
    """Masks under which there is a structure: drawn until there is."""
    mask = torch.rand(*leading, *polytope.event_shape, generator=generator) < share
    while not bool((good := allowed_vertices(polytope, mask).any(-1)).all()):
        again = torch.rand(mask.shape, generator=generator) < share + 0.2
        mask = torch.where(good[..., None], mask, again)
    return mask


def scores_of(polytope, theta, mask):
    scores = theta.double().masked_fill(~mask, 0.0) @ polytope.vertices().mT
    return scores.masked_fill(~allowed_vertices(polytope, mask), -torch.inf)


def gibbs(polytope, theta, mask):
    """log Z, mean and covariance of the Gibbs distribution, vertex by vertex."""
    scores, vertices = scores_of(polytope, theta, mask), polytope.vertices()
    p = scores.softmax(-1)
    mean = p @ vertices
    second = torch.einsum("...v,vi,vj->...ij", p, vertices, vertices)
    return scores.logsumexp(-1), mean, second - mean[..., :, None] * mean[..., None, :]


def plain_argmax(polytope, theta, mask):
    """The same sums and the same ties as the kernel, for all rows of float64 scores at once."""
    chosen = theta.new_full((len(theta), polytope.k + 1), -torch.inf)
    out = torch.cat([torch.zeros_like(chosen[:, :1]), chosen[:, 1:]], 1)
    unaries, pairs = polytope._parts(theta, mask, chosen[:, :1])
    before: list[torch.Tensor] = []  # [is i chosen, row, count up to i]: whether i - 1 is
    for i in range(polytope.n):
        both = chosen[:, :-1] + pairs[:, i, None]
        before.append(torch.stack([chosen > out, F.pad(both > out[:, :-1], (1, 0))]))
        item = both.maximum(out[:, :-1]) + unaries[:, i, None]
        out, chosen = chosen.maximum(out), F.pad(item, (1, 0), value=-torch.inf)
    rows = torch.arange(len(theta))
    count = torch.full_like(rows, polytope.k)
    inside = (chosen > out)[:, polytope.k].long()
    items: list[torch.Tensor] = []
    for shares in reversed(before):
        items.append(inside)
        inside, count = shares[inside, rows, count].long(), count - inside
    y = torch.stack(items[::-1], 1)
    return torch.cat([y, y[:, 1:] * y[:, :-1]], 1).to(theta.dtype)


def both_argmax(polytope, theta, mask=None):
    """The maximiser, after seeing that the plain path gives the same."""
    y = polytope.argmax(theta, mask)
    flat_mask = None if mask is None else mask.expand(theta.shape).reshape(-1, *polytope.event_shape)
    plain = plain_argmax(polytope, theta.double().reshape(-1, *polytope.event_shape), flat_mask)
    assert torch.equal(y, plain.view(theta.shape).to(theta.dtype))
    return y


def plain_product(polytope, theta, mask, direction):
    marginals, product = (polytope._plain_marginals(theta, mask, *along)[1] for along in ((), (direction,)))
    return marginals, product


@pytest.mark.parametrize(("n", "k"), SIZES)
def test_vertices_are_all_subsets_with_their_pairs(n, k):
    polytope = CorrelatedSubset(n, k)
    vertices = polytope.vertices()
    items, pairs = vertices[:, polytope.unaries], vertices[:, ~polytope.unaries]
    assert items.shape == (math.comb(n, k), n)
    assert len(items.unique(dim=0)) == len(items)
    assert bool((items.sum(1) == k).all())
    assert torch.equal(pairs, items[:, 1:] * items[:, :-1])
    assert polytope.unaries.tolist() == [True] * n + [False] * (n - 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("n", "k"), SIZES)
def test_argmax_is_the_best_vertex(dtype, masked, n, k):
    generator = torch.Generator().manual_seed(n)
    polytope = CorrelatedSubset(n, k)
    theta = torch.randn(4, 20, 2 * n - 1, generator=generator).to(dtype)
    mask = random_mask(polytope, (4, 20), generator) if masked else torch.ones(theta.shape, dtype=torch.bool)
    y = both_argmax(polytope, theta, mask)
    assert y.dtype == dtype
    assert torch.equal(y.double(), polytope.vertices()[scores_of(polytope, theta, mask).argmax(-1)])
    if not masked:
        assert torch.equal(both_argmax(polytope, theta), y)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    st.integers(1, 8),
    st.floats(0, 1),
    st.integers(0, 2**31),
    st.sampled_from([-0.0, 0.25, 1.0, 2.0**100]),
    st.booleans(),
)
def test_ties_leave_out_the_last_items(n, share, seed, scale, masked):
    polytope = CorrelatedSubset(n, round(share * n))
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randint(-1, 2, (3, 2 * n - 1), generator=generator).double() * scale  # sums are exact
    mask = random_mask(polytope, (3,), generator) if masked else torch.ones(theta.shape, dtype=torch.bool)
    y = both_argmax(polytope, theta, mask)
    for scores, found in zip(scores_of(polytope, theta, mask), y, strict=True):
        best = polytope.vertices()[scores == scores.max()].tolist()
        assert found.tolist() == min(best, key=lambda vertex: vertex[n - 1 :: -1])


@pytest.mark.parametrize("k", [1, 4, 20])
def test_argmax_without_pairs_is_the_top_k(k):
    theta = torch.randint(-5, 6, (30, 20), generator=torch.Generator().manual_seed(k)).float()
    pairs = torch.zeros(30, 19)
    y = both_argmax(CorrelatedSubset(20, k), torch.cat([theta, pairs], 1))
    assert torch.equal(y[:, :20], Subset(20, k).argmax(theta))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("n", "k"), SIZES)
def test_log_partition_marginals_and_product_are_sums_over_vertices(dtype, masked, n, k):
    generator = torch.Generator().manual_seed(n + k)
    polytope, shape = CorrelatedSubset(n, k), (2, 9, 2 * n - 1)
    theta = (3 * torch.randn(shape, generator=generator)).to(dtype)
    direction = torch.randn(shape, generator=generator).to(dtype)
    mask = random_mask(polytope, shape[:2], generator) if masked else torch.ones(shape, dtype=torch.bool)
    log_partition, mean, covariance = gibbs(polytope, theta, mask)
    close: dict[str, Any] = {"atol": 1e-12, "rtol": 1e-12} if dtype == torch.float64 else {"atol": 2e-6, "rtol": 1e-6}

    def same(found, expected):
        assert found.dtype == dtype
        torch.testing.assert_close(found, expected.to(dtype), **close)

    leaf, given_mask = theta.clone().requires_grad_(), mask if masked else None
    found = polytope.log_partition(leaf, given_mask)
    same(found, log_partition)
    same(torch.autograd.grad(found.sum(), leaf)[0], mean)
    marginals = polytope.marginals(leaf, given_mask)
    same(marginals, mean)
    product = (covariance @ direction.double()[..., None])[..., 0]
    same(torch.autograd.grad(marginals, leaf, direction)[0], product)

    flat, flat_direction = theta.double().flatten(0, 1), direction.double().flatten(0, 1)
    flat_mask = mask.flatten(0, 1) if masked else None
    same(polytope._plain_log_partition(flat, flat_mask).view(2, 9).to(dtype), log_partition)
    plain = plain_product(polytope, flat, flat_mask, flat_direction)
    same(plain[0].view(shape).to(dtype), mean)
    same(plain[1].view(shape).to(dtype), product)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 0), (3, 3), (4, 2)])
def test_derivatives_are_those_of_the_values(masked, n, k):
    generator = torch.Generator().manual_seed(n)
    polytope = CorrelatedSubset(n, k)
    theta = torch.randn(2, 2 * n - 1, generator=generator, dtype=torch.float64, requires_grad=True)
    mask = random_mask(polytope, (2,), generator) if masked else None
    for function in (polytope.log_partition, polytope.marginals):
        assert gradcheck(lambda scores, f=function: f(scores, mask), theta)
        assert gradgradcheck(lambda scores, f=function: f(scores, mask), theta, fast_mode=True)


@pytest.mark.parametrize(("n", "k"), [(50, 7), (31, 15), (23, 22), (12, 12), (9, 0)])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_kernels_and_plain_form_agree(n, k, scale):
    generator = torch.Generator().manual_seed(n)
    polytope = CorrelatedSubset(n, k)
    theta = scale * torch.randn(8, 2 * n - 1, generator=generator, dtype=torch.float64)
    direction = torch.randn(8, 2 * n - 1, generator=generator, dtype=torch.float64)
    mask = torch.ones(theta.shape, dtype=torch.bool)
    if k < n:
        mask[4:, n - 1] = False  # an item
        mask[6:, n + 2 :: 9] = False  # some pairs
    if k == n or not bool(polytope._feasible(mask).all()):
        mask[:] = True
    log_partition, marginals = polytope._kernel_marginals(theta, mask)
    torch.testing.assert_close(log_partition, polytope._plain_log_partition(theta, mask), atol=1e-12, rtol=1e-13)
    plain, product = plain_product(polytope, theta, mask, direction)
    torch.testing.assert_close(marginals, plain, atol=1e-14 * (1 + scale * k), rtol=0)
    kernel = polytope._kernel_product(theta, mask, direction)
    torch.testing.assert_close(kernel, product, atol=1e-13 * (1 + scale * k), rtol=0)
    total = torch.full((8,), float(k), dtype=torch.float64)
    torch.testing.assert_close(marginals[:, :n].sum(1), total, atol=1e-12, rtol=0)


def test_jacobian_is_symmetric():
    theta = 3 * torch.randn(13, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(CorrelatedSubset(7, 3).marginals, theta)
    torch.testing.assert_close(jacobian, jacobian.mT, atol=1e-15, rtol=0)
    torch.testing.assert_close(jacobian[:, :7].sum(1), torch.zeros(13, dtype=torch.float64), atol=1e-15, rtol=0)
    assert torch.linalg.eigvalsh(jacobian).min() > -1e-15


@pytest.mark.parametrize(("n", "k"), [(1, 1), (9, 4), (350, 10), (1200, 600), (1100, 1099), (1200, 1200), (3000, 1)])
def test_equal_scores_are_counted(n, k):
    polytope = CorrelatedSubset(n, k)
    theta = 0.7 * polytope.unaries[None].double()
    expected = math.log(math.comb(n, k)) + 0.7 * k
    log_partition, marginals = polytope._kernel_marginals(theta, None)
    assert float(log_partition) == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(marginals[0, :n], torch.full((n,), k / n, dtype=torch.float64), atol=0, rtol=1e-11)
    together = torch.full((n - 1,), k * (k - 1) / (n * max(n - 1, 1)), dtype=torch.float64)
    torch.testing.assert_close(marginals[0, n:], together, atol=0, rtol=1e-11)


@pytest.mark.parametrize(("n", "k"), [(40, 7), (1500, 20)])
def test_forbidden_neighbours_are_counted(n, k):
    polytope = CorrelatedSubset(n, k)
    theta = torch.zeros(1, 2 * n - 1, dtype=torch.float64)
    expected = math.log(math.comb(n - k + 1, k))
    assert float(polytope.log_partition(theta, polytope.unaries)) == pytest.approx(expected, rel=1e-12)
    if n < 100:
        assert float(polytope._plain_log_partition(theta, polytope.unaries)) == pytest.approx(expected, rel=1e-12)


def exact(theta, direction, n, k):
    """log Z, mean and the covariance's product of one row, to fifty digits of the scores as they are."""
    with mpmath.workdps(50):
        structures = [(*chosen, *(n + i for i in chosen if i + 1 in chosen)) for chosen in combinations(range(n), k)]
        weights = {y: mpmath.exp(mpmath.fsum(mpmath.mpf(theta[i]) for i in y)) for y in structures}
        total = mpmath.fsum(weights.values())
        along = {y: mpmath.fsum(mpmath.mpf(direction[i]) for i in y) for y in structures}
        mean_along = mpmath.fsum(weights[y] * along[y] for y in structures) / total
        mean = [mpmath.fsum(weights[y] for y in structures if i in y) / total for i in range(2 * n - 1)]
        product = [
            mpmath.fsum(weights[y] * (along[y] - mean_along) for y in structures if i in y) / total
            for i in range(2 * n - 1)
        ]
        return float(mpmath.log(total)), [float(x) for x in mean], [float(x) for x in product]


@pytest.mark.parametrize("k", [1, 3, 6, 8])
@pytest.mark.parametrize(
    "theta",
    [
        torch.linspace(-1000.0, 1000.0, 15),
        torch.linspace(1e4, -1e4, 15),
        torch.cat([torch.zeros(8), torch.tensor([2000.0, -2000, 1999.5, 0, 2000, -1, -2000])]),  # not concave in k
        torch.cat([torch.linspace(-700, 700, 8), torch.full((7,), -1400.0)]),
        torch.cat([1e4 + torch.arange(8.0) % 3, torch.arange(7.0) % 2]),
        torch.cat([torch.full((8,), -1e4), torch.tensor([0.5, 1e4, 0.5, 1e4, 0.5, 1e4, 0.5])]),
    ],
    ids=["range 2000", "range 20000", "pairs", "repelled", "all large", "paid back"],
)
def test_extreme_scores_keep_their_digits(theta, k):
    theta, polytope = theta.double(), CorrelatedSubset(8, k)
    direction = torch.randn(15, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
    log_partition, mean, product = exact(theta.tolist(), direction.tolist(), 8, k)
    leaf = theta.clone().requires_grad_()
    marginals = polytope.marginals(leaf)
    assert float(polytope.log_partition(theta)) == pytest.approx(log_partition, rel=1e-15, abs=1e-10)
    assert float(polytope._plain_log_partition(theta[None], None)) == pytest.approx(log_partition, rel=1e-14, abs=1e-10)
    assert marginals.tolist() == pytest.approx(mean, rel=1e-11, abs=1e-110)  # small ones keep their digits too
    assert torch.autograd.grad(marginals, leaf, direction)[0].tolist() == pytest.approx(product, rel=1e-10, abs=1e-15)
    plain = plain_product(polytope, theta[None], None, direction[None])
    assert plain[0][0].tolist() == pytest.approx(mean, abs=1e-10)
    assert plain[1][0].tolist() == pytest.approx(product, abs=1e-10)


def test_cold_marginals_are_the_argmax_and_hot_ones_the_centroid():
    polytope = CorrelatedSubset(9, 4)
    theta = torch.randn(20, 17, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    torch.testing.assert_close(polytope.marginals(theta / 1e-7), polytope.argmax(theta), atol=1e-9, rtol=0)
    centroid = polytope.vertices().mean(0).expand(20, 17)
    torch.testing.assert_close(polytope.marginals(theta / 1e9), centroid, atol=1e-8, rtol=0)


def test_masked_scores_do_not_matter():
    generator = torch.Generator().manual_seed(4)
    polytope = CorrelatedSubset(9, 3)
    theta = 5 * torch.randn(20, 17, generator=generator, dtype=torch.float64)
    mask = random_mask(polytope, (20,), generator)
    direction = torch.randn(20, 17, generator=generator, dtype=torch.float64)
    unused = ~mask
    unused[:, 9:] |= ~(mask[:, :8] & mask[:, 1:9])  # a pair of a masked item
    results = []
    for fill in (0.0, 1e300, -1e300):
        scores = theta.masked_fill(~mask, fill)
        leaf = scores.clone().requires_grad_()
        marginals, log_partition = polytope.marginals(leaf, mask), polytope.log_partition(leaf, mask)
        (product,) = torch.autograd.grad(marginals, leaf, direction)
        plain = plain_product(polytope, scores, mask, direction)
        results.append((marginals.detach(), product, log_partition.detach(), both_argmax(polytope, scores, mask)))
        for result in (marginals, product, results[-1][3], *plain):
            assert not result[unused].any()
        torch.testing.assert_close(plain[0], marginals.detach(), atol=1e-13, rtol=0)
        torch.testing.assert_close(plain[1], product, atol=1e-12, rtol=0)
    for others in results[1:]:
        for one, two in zip(results[0], others, strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_feasible_means_some_vertex_is_allowed(n):
    generator = torch.Generator().manual_seed(n)
    mask = torch.rand(400, 2 * n - 1, generator=generator) < torch.rand(400, 1, generator=generator)
    for k in range(n + 1):
        polytope = CorrelatedSubset(n, k)
        assert torch.equal(polytope._feasible(mask), allowed_vertices(polytope, mask).any(1))


@pytest.mark.parametrize(("n", "k"), [(4, 0), (4, 4), (6, 2)])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1000.0])
def test_third_derivatives_are_finite_and_zero_out_of_the_mask(n, k, scale):
    generator = torch.Generator().manual_seed(1)
    polytope = CorrelatedSubset(n, k)
    theta = scale * torch.randn(4, 2 * n - 1, generator=generator, dtype=torch.float64)
    mask = random_mask(polytope, (4,), generator)
    leaf = theta.clone().requires_grad_()
    value = polytope.log_partition(leaf, mask).sum()
    for _ in range(3):
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
        assert bool(torch.isfinite(gradient).all())
        assert not gradient[~mask].any()
        value = (gradient * torch.arange(1.0, 2 * n)).sum()


def test_long_chains_leave_the_plain_derivatives_finite():
    polytope = CorrelatedSubset(1060, 1059)  # more forbidden states than float64 could count by doubling
    theta = torch.randn(1, 2119, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction = torch.ones_like(theta)
    marginals, product = plain_product(polytope, theta, None, direction)
    torch.testing.assert_close(marginals, polytope.marginals(theta), atol=1e-10, rtol=0)
    torch.testing.assert_close(product, polytope._kernel_product(theta, None, direction), atol=1e-8, rtol=0)


def test_a_row_has_the_same_bits_alone_in_a_batch_and_on_two_threads():
    generator = torch.Generator().manual_seed(5)
    theta = 40 * torch.randn(11, 61, generator=generator, dtype=torch.float64)
    direction = torch.randn(11, 61, generator=generator, dtype=torch.float64)
    polytope = CorrelatedSubset(31, 9)

    def everything(scores, along):
        leaf = scores.clone().requires_grad_()
        marginals = polytope.marginals(leaf)
        (product,) = torch.autograd.grad(marginals, leaf, along)
        return marginals.detach(), product, polytope.log_partition(scores), polytope.argmax(scores)

    whole = everything(theta, direction)
    set_threads(2)
    for one, two in zip(whole, everything(theta, direction), strict=True):
        assert torch.equal(one, two)
    for b in range(11):
        for one, two in zip(whole, everything(theta[b], direction[b]), strict=True):
            assert torch.equal(one[b], two)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    st.integers(1, 20),
    st.floats(0, 1),
    st.lists(st.integers(0, 3), max_size=2),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 1e-300, 1.0, 1e4, 1e30]),
)
def test_any_shape_and_size_of_scores(n, share, leading, seed, scale):
    k = round(share * n)
    polytope = CorrelatedSubset(n, k)
    generator = torch.Generator().manual_seed(seed)
    theta = (scale * torch.randint(-2, 3, (*leading, 2 * n - 1), generator=generator).double()).requires_grad_()
    y, marginals = both_argmax(polytope, theta.detach()), polytope.marginals(theta)
    log_partition = polytope.log_partition(theta)
    assert y.shape == marginals.shape == theta.shape
    assert log_partition.shape == theta.shape[:-1]
    (product,) = torch.autograd.grad(marginals.square().sum(), theta)
    assert bool(torch.isfinite(product).all())
    assert bool(((marginals >= 0) & (marginals <= 1 + 1e-12)).all())
    total = torch.full(leading, float(k), dtype=torch.float64)
    torch.testing.assert_close(marginals[..., :n].sum(-1), total, atol=1e-11, rtol=0)
    value = (theta * y).sum(-1)  # max <= log Z <= max + log count
    slack = 1e-12 * (1 + theta.abs().sum(-1))
    assert bool((log_partition >= value - slack).all())
    assert bool((log_partition <= value + math.log(math.comb(n, k)) + slack).all())


def test_empty_batches():
    polytope = CorrelatedSubset(3, 2)
    empty = torch.zeros(0, 5, requires_grad=True)
    assert polytope.argmax(empty).shape == (0, 5)
    assert plain_argmax(polytope, empty.double(), None).shape == (0, 5)
    assert polytope.log_partition(empty).shape == (0,)
    assert torch.autograd.grad(polytope.marginals(empty).sum(), empty)[0].shape == (0, 5)
    assert polytope.marginals(torch.zeros(3, 0, 5), torch.ones(5, dtype=torch.bool)).shape == (3, 0, 5)
    assert polytope._plain_log_partition(empty.double(), None).shape == (0,)


@pytest.mark.parametrize(
    ("n", "k", "message"),
    [
        (0, 0, "n must be at least 1, not 0"),
        (3, -1, "k must be at least 0, not -1"),
        (3, 4, "k must lie between 0 and n = 3, not 4"),
    ],
)
def test_sizes_out_of_range_are_named(n, k, message):
    with pytest.raises(ValueError, match=message):
        CorrelatedSubset(n, k)


@pytest.mark.parametrize(
    ("theta", "mask", "message"),
    [
        (torch.zeros(2, 3), None, r"theta must end in \(5,\), not \(2, 3\)"),
        (torch.full((5,), float("nan")), None, "NaN or infinite"),
        (torch.full((5,), float("-inf")), None, "NaN or infinite"),
        (torch.zeros(5, dtype=torch.int64), None, "floating point"),
        (torch.zeros(2, 5), torch.ones(5), r"mask of shape \(5,\) must be boolean"),
        (torch.zeros(2, 5), torch.ones(3, dtype=torch.bool), r"mask of shape \(3,\) does not fit scores \(2, 5\)"),
        (torch.zeros(5), torch.tensor([True, False, False, True, True]), "leaves no subset of 2 items"),
        (torch.zeros(5), torch.tensor([True, True, False, False, True]), "leaves no subset of 2 items"),
    ],
)
def test_bad_scores_and_masks_are_named(theta, mask, message):
    polytope = CorrelatedSubset(3, 2)
    for function in (polytope.argmax, polytope.marginals, polytope.log_partition):
        with pytest.raises(ValueError, match=message):
            function(theta, mask)
