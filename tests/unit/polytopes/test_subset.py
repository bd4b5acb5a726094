"""Subsets against enumeration, exact arithmetic and counting."""

import math
from itertools import combinations
from typing import Any

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from structgrad.parallel import set_threads
from structgrad.polytopes.subset import Subset

SIZES = [(1, 0), (1, 1), (2, 1), (5, 0), (5, 5), (6, 2), (7, 4), (8, 7)]
both_paths = pytest.mark.parametrize("argmax", [Subset.argmax, Subset._plain_argmax], ids=["kernel", "plain"])


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


def random_mask(shape, k, generator):
    """At least k items of each row."""
    keep = torch.rand(shape, generator=generator)
    return (keep >= 0.4) | (keep >= keep.topk(max(k, 1)).values[..., -1:])


def gibbs(polytope, theta, mask=None):
    """log Z, mean and covariance of the Gibbs distribution, vertex by vertex."""
    vertices = polytope.vertices()
    scores = theta.double() @ vertices.mT
    if mask is not None:
        scores = (theta.double().masked_fill(~mask, 0.0) @ vertices.mT).masked_fill(
            (~mask).double() @ vertices.mT > 0, -torch.inf
        )
    p = scores.softmax(-1)
    mean = p @ vertices
    second = torch.einsum("...v,vi,vj->...ij", p, vertices, vertices)
    return scores.logsumexp(-1), mean, second - mean[..., :, None] * mean[..., None, :]


def plain_product(polytope, theta, mask, direction):
    marginals, product = (polytope._plain_marginals(theta, mask, *along)[1] for along in ((), (direction,)))
    return marginals, product


@pytest.mark.parametrize(("n", "k"), SIZES)
def test_vertices_are_all_k_hot_vectors(n, k):
    vertices = Subset(n, k).vertices()
    assert vertices.shape == (math.comb(n, k), n)
    assert len(vertices.unique(dim=0)) == len(vertices)
    assert bool(((vertices == 0) | (vertices == 1)).all())
    assert bool((vertices.sum(1) == k).all())


@both_paths
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("n", "k"), SIZES)
def test_argmax_is_the_best_vertex(argmax, dtype, masked, n, k):
    generator = torch.Generator().manual_seed(n)
    theta = torch.stack([torch.randperm(n, generator=generator) - 2.0 for _ in range(30)]).view(3, 10, n).to(dtype)
    mask = random_mask(theta.shape, k, generator) if masked else None
    vertices = Subset(n, k).vertices()
    scores = theta.double() @ vertices.mT
    if mask is not None:
        scores[(~mask).double() @ vertices.mT > 0] = -torch.inf
    y = argmax(Subset(n, k), theta, mask)
    assert y.dtype == dtype
    assert torch.equal(y.double(), vertices[scores.argmax(-1)])


@both_paths
@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    st.integers(1, 40),
    st.floats(0, 1),
    st.integers(0, 2**31),
    st.sampled_from([-0.0, 5e-324, 1.0, 1e30]),
    st.booleans(),
)
def test_ties_go_to_the_lower_index(argmax, n, share, seed, scale, masked):
    k = round(share * n)
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randint(-2, 3, (3, n), generator=generator).double() * scale
    mask = random_mask(theta.shape, k, generator) if masked else torch.ones(theta.shape, dtype=torch.bool)
    y = argmax(Subset(n, k), theta, mask)
    for row, allowed, found in zip(theta.tolist(), mask.tolist(), y.tolist(), strict=True):
        best = sorted((i for i in range(n) if allowed[i]), key=lambda i: (-row[i], i))[:k]
        assert found == [float(i in best) for i in range(n)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("n", "k"), SIZES)
def test_log_partition_marginals_and_product_are_sums_over_vertices(dtype, masked, n, k):
    generator = torch.Generator().manual_seed(n + k)
    theta = (3 * torch.randn(2, 9, n, generator=generator)).to(dtype)
    direction = torch.randn(2, 9, n, generator=generator).to(dtype)
    mask = random_mask(theta.shape, k, generator) if masked else None
    log_partition, mean, covariance = gibbs(Subset(n, k), theta, mask)
    close: dict[str, Any] = {"atol": 1e-12, "rtol": 1e-12} if dtype == torch.float64 else {"atol": 1e-6, "rtol": 1e-6}

    def same(found, expected):
        assert found.dtype == dtype
        torch.testing.assert_close(found, expected.to(dtype), **close)

    leaf = theta.clone().requires_grad_()
    found = Subset(n, k).log_partition(leaf, mask)
    same(found, log_partition)
    same(torch.autograd.grad(found.sum(), leaf)[0], mean)
    marginals = Subset(n, k).marginals(leaf, mask)
    same(marginals, mean)
    product = (covariance @ direction.double()[..., None])[..., 0]
    same(torch.autograd.grad(marginals, leaf, direction)[0], product)

    flat = theta.double().view(-1, n)
    flat_mask = None if mask is None else mask.view(-1, n)
    same(Subset(n, k)._plain_log_partition(flat, flat_mask).view(2, 9).to(dtype), log_partition)
    plain = plain_product(Subset(n, k), flat, flat_mask, direction.double().view(-1, n))
    same(plain[0].view_as(theta).to(dtype), mean)
    same(plain[1].view_as(theta).to(dtype), product)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 0), (3, 3), (4, 2)])
def test_derivatives_are_those_of_the_values(masked, n, k):
    generator = torch.Generator().manual_seed(n)
    theta = torch.randn(2, n, generator=generator, dtype=torch.float64, requires_grad=True)
    mask = random_mask(theta.shape, k, generator) if masked else None
    for function in (Subset(n, k).log_partition, Subset(n, k).marginals):
        assert gradcheck(lambda scores, f=function: f(scores, mask), theta)
        assert gradgradcheck(lambda scores, f=function: f(scores, mask), theta, fast_mode=True)


@pytest.mark.parametrize(("n", "k"), [(60, 7), (41, 20), (33, 32), (20, 20), (9, 0)])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_kernels_and_plain_form_agree(n, k, scale):
    generator = torch.Generator().manual_seed(n)
    theta = scale * torch.randn(12, n, generator=generator, dtype=torch.float64)
    direction = torch.randn(12, n, generator=generator, dtype=torch.float64)
    mask = random_mask(theta.shape, k, generator)
    mask[:6] = True
    log_partition, marginals = Subset(n, k)._kernel_marginals(theta, mask)
    torch.testing.assert_close(log_partition, Subset(n, k)._plain_log_partition(theta, mask), atol=1e-12, rtol=1e-13)
    plain, product = plain_product(Subset(n, k), theta, mask, direction)
    torch.testing.assert_close(marginals, plain, atol=1e-13, rtol=0)
    torch.testing.assert_close(Subset(n, k)._kernel_product(theta, mask, direction), product, atol=1e-12, rtol=0)
    torch.testing.assert_close(marginals.sum(1), torch.full((12,), float(k), dtype=torch.float64), atol=1e-12, rtol=0)


def test_jacobian_is_symmetric_and_has_the_ones_in_its_kernel():
    theta = 3 * torch.randn(9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(Subset(9, 4).marginals, theta)
    torch.testing.assert_close(jacobian, jacobian.mT, atol=1e-15, rtol=0)
    torch.testing.assert_close(jacobian.sum(1), torch.zeros(9, dtype=torch.float64), atol=1e-15, rtol=0)
    assert torch.linalg.eigvalsh(jacobian).min() > -1e-15


@pytest.mark.parametrize(("n", "k"), [(1, 1), (7, 3), (350, 10), (1200, 600), (1100, 1099), (1200, 1200), (5000, 1)])
def test_equal_scores_are_counted(n, k):
    theta = torch.full((1, n), 0.7, dtype=torch.float64)
    subset = Subset(n, k)
    expected = math.log(math.comb(n, k)) + 0.7 * k
    assert float(subset.log_partition(theta)) == pytest.approx(expected, rel=1e-12)
    assert float(subset._plain_log_partition(theta, None)) == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(subset.marginals(theta), torch.full_like(theta, k / n), atol=0, rtol=1e-11)


def exact(theta, direction, k):
    """log Z, mean and the covariance's product of one row, to fifty digits of the scores as they are."""
    with mpmath.workdps(50):
        weights = {
            chosen: mpmath.exp(mpmath.fsum(mpmath.mpf(theta[i]) for i in chosen))
            for chosen in combinations(range(len(theta)), k)
        }
        total = mpmath.fsum(weights.values())
        along = {chosen: mpmath.fsum(mpmath.mpf(direction[i]) for i in chosen) for chosen in weights}
        mean_along = mpmath.fsum(weights[c] * along[c] for c in weights) / total
        mean = [mpmath.fsum(weights[c] for c in weights if i in c) / total for i in range(len(theta))]
        product = [
            mpmath.fsum(weights[c] * (along[c] - mean_along) for c in weights if i in c) / total
            for i in range(len(theta))
        ]
        return float(mpmath.log(total)), [float(x) for x in mean], [float(x) for x in product]


@pytest.mark.parametrize("k", [1, 3, 5, 8])
@pytest.mark.parametrize(
    "theta",
    [
        torch.linspace(-1000.0, 1000.0, 9),
        torch.linspace(-1e4, 1e4, 9),
        1e4 + torch.tensor([3.0, 1, 4, 1, 5, 9, 2, 6, 5]),
        -1e4 + torch.tensor([1.0, 1, 1, 0, 0, 0, -900, -900, 1000]),
        torch.tensor([1e4, 1e4, 1e4, 0, 0.5, 0, -1e4, -1e4, -1e4]),
        torch.tensor([0.0, -1400, 0, -1400, 700, -700, 700, -700, 0]),
    ],
    ids=["range 2000", "range 20000", "all large", "all small", "three levels", "range 2100"],
)
def test_extreme_scores_keep_their_digits(theta, k):
    theta = theta.double()
    direction = torch.randn(9, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
    log_partition, mean, product = exact(theta.tolist(), direction.tolist(), k)
    leaf = theta.clone().requires_grad_()
    marginals = Subset(9, k).marginals(leaf)
    assert float(Subset(9, k).log_partition(theta)) == pytest.approx(log_partition, rel=1e-15, abs=1e-11)
    assert float(Subset(9, k)._plain_log_partition(theta[None], None)) == pytest.approx(log_partition, rel=1e-14)
    assert marginals.tolist() == pytest.approx(mean, rel=1e-13, abs=1e-250)  # small ones keep their digits too
    assert torch.autograd.grad(marginals, leaf, direction)[0].tolist() == pytest.approx(product, rel=1e-11, abs=1e-15)
    plain = plain_product(Subset(9, k), theta[None], None, direction[None])
    assert plain[0][0].tolist() == pytest.approx(mean, abs=1e-14)
    assert plain[1][0].tolist() == pytest.approx(product, abs=1e-14)


def test_cold_marginals_are_the_argmax_and_hot_ones_the_centroid():
    theta = torch.randn(20, 12, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    subset = Subset(12, 5)
    torch.testing.assert_close(subset.marginals(theta / 1e-7), subset.argmax(theta), atol=1e-9, rtol=0)
    torch.testing.assert_close(subset.marginals(theta / 1e9), torch.full_like(theta, 5 / 12), atol=1e-8, rtol=0)


def test_masked_rows_equal_smaller_problems_and_ignore_masked_scores():
    generator = torch.Generator().manual_seed(4)
    theta = 5 * torch.randn(20, 15, generator=generator, dtype=torch.float64)
    mask = random_mask(theta.shape, 4, generator)
    other = torch.where(mask, theta, torch.tensor([1e300, -1e300, 7.0] * 5, dtype=torch.float64))
    subset = Subset(15, 4)
    direction = torch.randn(20, 15, generator=generator, dtype=torch.float64)
    results = []
    for scores in (theta, other):
        leaf = scores.clone().requires_grad_()
        marginals, log_partition = subset.marginals(leaf, mask), subset.log_partition(leaf, mask)
        (product,) = torch.autograd.grad(marginals, leaf, direction)
        results.append((marginals.detach(), product, log_partition.detach(), subset.argmax(scores, mask)))
        assert torch.equal(results[-1][3], subset._plain_argmax(scores, mask))
        plain = plain_product(subset, scores, mask, direction)
        torch.testing.assert_close(plain[0], marginals.detach(), atol=1e-14, rtol=0)
        torch.testing.assert_close(plain[1], product, atol=1e-13, rtol=0)
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)
    marginals, product, log_partition, y = results[0]
    for result in (marginals, product, y):
        assert not result[~mask].any()
    for b in range(20):
        items = mask[b]
        smaller = Subset(int(items.sum()), 4)
        assert torch.equal(smaller.marginals(theta[b, items]), marginals[b, items])
        assert torch.equal(smaller.log_partition(theta[b, items]), log_partition[b])
        assert torch.equal(smaller.argmax(theta[b, items]), y[b, items])


@pytest.mark.parametrize(("n", "k"), [(5, 0), (5, 5), (6, 1), (7, 3)])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1000.0])
def test_third_derivatives_are_finite_and_zero_out_of_the_mask(n, k, scale):
    generator = torch.Generator().manual_seed(1)
    theta = scale * torch.randn(4, n, generator=generator, dtype=torch.float64)
    mask = random_mask(theta.shape, k, generator)
    leaf = theta.clone().requires_grad_()
    value = Subset(n, k).log_partition(leaf, mask).sum()
    for _ in range(3):
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
        assert bool(torch.isfinite(gradient).all())
        assert not gradient[~mask].any()
        value = (gradient * torch.arange(1.0, n + 1)).sum()


def test_a_row_has_the_same_bits_alone_in_a_batch_and_on_two_threads():
    generator = torch.Generator().manual_seed(5)
    theta = 4 * torch.randn(11, 37, generator=generator, dtype=torch.float64)
    direction = torch.randn(11, 37, generator=generator, dtype=torch.float64)
    subset = Subset(37, 9)

    def everything(scores, along):
        leaf = scores.clone().requires_grad_()
        marginals = subset.marginals(leaf)
        (product,) = torch.autograd.grad(marginals, leaf, along)
        return marginals.detach(), product, subset.log_partition(scores), subset.argmax(scores)

    whole = everything(theta, direction)
    set_threads(2)
    for one, two in zip(whole, everything(theta, direction), strict=True):
        assert torch.equal(one, two)
    for b in range(11):
        for one, two in zip(whole, everything(theta[b], direction[b]), strict=True):
            assert torch.equal(one[b], two)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    st.integers(1, 30),
    st.floats(0, 1),
    st.lists(st.integers(0, 3), max_size=2),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 1e-300, 1.0, 1e4, 1e30]),
)
def test_any_shape_and_size_of_scores(n, share, leading, seed, scale):
    k = round(share * n)
    generator = torch.Generator().manual_seed(seed)
    theta = (scale * torch.randint(-2, 3, (*leading, n), generator=generator).double()).requires_grad_()
    subset = Subset(n, k)
    y, marginals, log_partition = subset.argmax(theta), subset.marginals(theta), subset.log_partition(theta)
    assert y.shape == marginals.shape == theta.shape
    assert log_partition.shape == theta.shape[:-1]
    (product,) = torch.autograd.grad(marginals.square().sum(), theta)
    assert bool(torch.isfinite(product).all())
    assert bool(((marginals >= 0) & (marginals <= 1 + 1e-12)).all())
    torch.testing.assert_close(
        marginals.sum(-1), torch.full(leading, float(k), dtype=torch.float64), atol=1e-11, rtol=0
    )
    value = (theta * y).sum(-1)  # max <= log Z <= max + log count
    slack = 1e-12 * (1 + value.abs())
    assert bool((log_partition >= value - slack).all())
    assert bool((log_partition <= value + math.log(math.comb(n, k)) + slack).all())


def test_empty_batches():
    empty = torch.zeros(0, 4, requires_grad=True)
    subset = Subset(4, 2)
    assert subset.argmax(empty).shape == subset._plain_argmax(empty, None).shape == (0, 4)
    assert subset.log_partition(empty).shape == (0,)
    assert torch.autograd.grad(subset.marginals(empty).sum(), empty)[0].shape == (0, 4)
    assert subset.marginals(torch.zeros(3, 0, 4), torch.ones(4, dtype=torch.bool)).shape == (3, 0, 4)
    assert subset._plain_log_partition(empty.double(), None).shape == (0,)


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
        Subset(n, k)


@pytest.mark.parametrize(
    ("theta", "mask", "message"),
    [
        (torch.zeros(2, 3), None, r"theta must end in \(4,\), not \(2, 3\)"),
        (torch.full((4,), float("nan")), None, "NaN or infinite"),
        (torch.full((4,), float("inf")), None, "NaN or infinite"),
        (torch.zeros(4, dtype=torch.int64), None, "floating point"),
        (torch.zeros(2, 4), torch.ones(4), r"mask of shape \(4,\) must be boolean"),
        (torch.zeros(2, 4), torch.ones(3, 4, dtype=torch.bool), r"mask of shape \(3, 4\) does not fit scores \(2, 4\)"),
        (torch.zeros(2, 4), torch.tensor([True, False, False, False]), "leaves no subset of 2 items"),
    ],
)
def test_bad_scores_and_masks_are_named(theta, mask, message):
    for function in (Subset(4, 2).argmax, Subset(4, 2).marginals, Subset(4, 2).log_partition):
        with pytest.raises(ValueError, match=message):
            function(theta, mask)
