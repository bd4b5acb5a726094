"""Arithmetic with the same bits everywhere: against more digits, against the order that is promised, against torch."""

import itertools

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from structgrad.parallel import set_threads
from structgrad.portable import (
    column_sums,
    dots,
    exp,
    exp_below_largest,
    gumbel_,
    log,
    mean,
    norm,
    normal_,
    product,
    row_sums,
    softplus,
)
from structgrad.portable.products import RUN

DTYPES = [torch.float32, torch.float64]


@pytest.fixture(autouse=True)
def _one_thread_again():
    yield
    set_threads(1)


def draws(*shape, dtype=torch.float32, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


# Elementary functions


def units_in_the_last_place(found, expected):
    """The largest error, where ``expected`` are mpmath's numbers."""
    worst = 0.0
    kind = found.numpy().dtype.type
    for value, exact in zip(found.numpy(), expected, strict=True):
        unit = abs(mpmath.mpf(float(np.spacing(kind(float(exact))))))
        worst = max(worst, float(abs(mpmath.mpf(float(value)) - exact) / unit))
    return worst


@pytest.mark.parametrize("dtype", DTYPES)
def test_logarithms_to_two_units_in_the_last_place(dtype):
    least, most = torch.finfo(dtype).tiny, torch.finfo(dtype).max
    x = torch.cat([draws(300, dtype=dtype), 1 + 1e-3 * (draws(300, dtype=dtype) - 0.5), 1e30 * draws(300, dtype=dtype)])
    x = torch.cat([x, torch.tensor([least, 1.0, 2.0, 0.5, 2**0.5, 0.5**0.5, most], dtype=dtype)])
    with mpmath.workdps(40):
        assert units_in_the_last_place(log(x), [mpmath.log(mpmath.mpf(float(v))) for v in x]) < 2
    assert float(log(torch.ones(1, dtype=dtype))) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponentials_to_two_units_in_the_last_place(dtype):
    span = 87 if dtype == torch.float32 else 708
    x = torch.cat([(2 * draws(500, dtype=dtype) - 1) * span, (draws(300, dtype=dtype) - 0.5) * 1e-3])
    with mpmath.workdps(40):
        assert units_in_the_last_place(exp(x), [mpmath.exp(mpmath.mpf(float(v))) for v in x]) < 2
    ends = torch.tensor([-torch.inf, -1e4, 0.0, -0.0, 1e4, torch.inf], dtype=dtype)
    assert exp(ends).tolist() == [0.0, 0.0, 1.0, 1.0, torch.inf, torch.inf]
    assert exp(torch.tensor([torch.nan], dtype=dtype)).isnan().all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_softplus_and_its_slope(dtype):
    x = torch.linspace(-60, 60, 1001, dtype=dtype, requires_grad=True)
    found = softplus(x)
    (slope,) = torch.autograd.grad(found.sum(), x)
    with mpmath.workdps(40):
        exact = [mpmath.log1p(mpmath.exp(mpmath.mpf(float(v)))) for v in x.detach()]
        slopes = [1 / (1 + mpmath.exp(-mpmath.mpf(float(v)))) for v in x.detach()]
        assert units_in_the_last_place(found.detach(), exact) < 4
        assert units_in_the_last_place(slope, slopes) < 4


@pytest.mark.parametrize("function", [log, exp])
def test_a_number_does_not_depend_on_its_neighbours_or_the_threads(function):
    x = draws(70_000) + 0.01
    whole = function(x)
    for part in (slice(0, 1), slice(5, 18), slice(31, 69_999)):
        assert function(x[part]).equal(whole[part])
    assert function(x.view(-1, 7)[:, 3]).equal(whole.view(-1, 7)[:, 3])
    set_threads(2)
    assert function(x).equal(whole)


# Draws


@pytest.mark.parametrize("dtype", DTYPES)
def test_normals_are_torchs_to_rounding(dtype):
    """The same uniforms make the same normals, by another program."""
    ours, theirs = (torch.Generator().manual_seed(3) for _ in range(2))
    found = normal_(torch.rand(16 * 400, generator=ours, dtype=dtype))
    expected = torch.randn(16 * 400, generator=theirs, dtype=dtype)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-13)


def test_normals_and_gumbels_have_their_distributions():
    uniforms = draws(1 << 16, seed=5)
    assert stats.kstest(normal_(uniforms.clone()).numpy(), "norm").pvalue > 0.01
    assert stats.kstest(gumbel_(uniforms.clone(), 1.3, -0.4).numpy(), "gumbel_r", (-0.4, 1.3)).pvalue > 0.01


@pytest.mark.parametrize("dtype", DTYPES)
def test_gumbels_to_rounding(dtype):
    u = draws(500, dtype=dtype)
    found = gumbel_(u.clone(), 1.0, 0.0)
    with mpmath.workdps(40):
        exact = [-mpmath.log(-mpmath.log(mpmath.mpf(float(v)))) for v in u]
        scale = torch.finfo(dtype).eps
        for value, right in zip(found.tolist(), exact, strict=True):
            assert abs(mpmath.mpf(value) - right) < 4 * scale * max(1, abs(right))


# Products


def in_order(a, b):
    """The promise, written down: terms by k, each product and each sum rounded, runs of 256 added up."""
    replicas, m, terms = a.shape
    out = np.zeros((replicas, m, b.shape[2]), a.dtype)
    for r, i, j in itertools.product(*map(range, out.shape)):
        for start in range(0, terms, RUN):
            total = a.dtype.type(0)
            for k in range(start, min(start + RUN, terms)):
                total = total + a[r, i, k] * b[r, k, j]
            out[r, i, j] = total if start == 0 else out[r, i, j] + total
    return out


SHAPES = [(2, 5, 7, 3), (1, 1, 300, 2), (2, 3, 1, 17), (1, 6, 600, 1), (2, 9, 33, 18), (1, 4, 2, 40)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_is_taken_in_the_order_that_is_promised(shape, dtype):
    replicas, m, terms, n = shape
    a, b = draws(replicas, m, terms, dtype=dtype) - 0.5, draws(replicas, terms, n, dtype=dtype, seed=1) - 0.5
    assert np.array_equal(product(a, b).numpy(), in_order(a.numpy(), b.numpy()))
    torch.testing.assert_close(product(a, b), a @ b)


@given(
    replicas=st.integers(1, 4),
    m=st.integers(1, 30),
    terms=st.integers(0, 40),
    n=st.integers(1, 40),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_a_replica_alone_strided_or_misaligned_has_the_same_bits(replicas, m, terms, n, seed):
    a, b = draws(replicas, m, terms, seed=seed), draws(replicas, terms, n, seed=seed + 1)
    whole = product(a, b)
    for r in range(replicas):
        assert product(a[r : r + 1], b[r : r + 1]).equal(whole[r : r + 1])
    apart = torch.empty(replicas, m + 1, terms + 3)[:, 1:, 2:-1].copy_(a)
    turned = b.mT.contiguous().mT
    assert product(apart, turned).equal(whole)
    assert product(a[:, :1], b[:, :, n // 2 :]).equal(whole[:, :1, n // 2 :])  # rows and columns alone


@pytest.mark.parametrize("items", [10, 250, 5120])
@pytest.mark.parametrize("inner", [1, 5, 25, 32, 40])
def test_products_with_one_row_or_column(items, inner):
    """What a library hands to another routine where there is one replica only."""
    x, g = draws(7, items, 1), draws(7, items, inner, seed=1)
    wide = torch.zeros(7, items, inner + 5)
    wide[..., 2 : 2 + inner] = g
    for a, b in ((x.mT, g), (g.mT, x), (x.mT, wide[..., 2 : 2 + inner])):
        together = product(a, b)
        for r in (0, 3, 6):
            assert product(a[r : r + 1], b[r : r + 1]).equal(together[r : r + 1])


def test_products_on_threads():
    a, b = draws(5, 40, 30), draws(5, 30, 20, seed=1)
    alone = product(a, b)
    set_threads(2)
    assert product(a, b).equal(alone)


def test_other_types_go_to_torch():
    a, b = draws(2, 3, 4).bfloat16(), draws(2, 4, 5).bfloat16()
    assert product(a, b).equal(torch.bmm(a, b))


# Sums


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 100, 1003])
def test_sums_and_inner_products(n):
    a, b = draws(3, 4, n), draws(3, 4, n, seed=1)
    torch.testing.assert_close(dots(a, b), (a.double() * b.double()).sum(-1))
    torch.testing.assert_close(row_sums(a), a.double().sum(-1))
    assert dots(a, b).dtype == row_sums(a).dtype == torch.float64
    assert dots(a[1:2, ::2], b[1:2, ::2]).equal(dots(a, b)[1:2, ::2])
    assert row_sums(a[1:2, ::2]).equal(row_sums(a)[1:2, ::2])


@pytest.mark.parametrize("m", [1, 255, 256, 257, 1000])
def test_column_sums(m):
    x = draws(3, m, 5)
    found = column_sums(x)
    torch.testing.assert_close(found.double(), x.double().sum(1), rtol=1e-5, atol=0)
    assert column_sums(x[1:2]).equal(found[1:2])
    assert column_sums(x[..., 2:4]).equal(found[..., 2:4])


def test_a_mean_and_a_norm_are_exactly_rounded():
    x = torch.tensor([1e16, 1.0, -1e16, 1.0], dtype=torch.float64)
    assert mean(x) == 0.5  # in order it would be 0.25
    assert norm(torch.tensor([[3.0], [4.0]])) == 5.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exponentials_below_the_largest_are_those_of_the_differences(dtype):
    x = 50 * torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0), dtype=dtype)
    found = exp_below_largest(x, 8)
    wide = x.double()
    assert torch.equal(found[..., :5], exp(wide - wide.amax(-1, keepdim=True)))
    assert not found[..., 5:].any()
    assert torch.equal(found.amax(-1), torch.ones(3, 7, dtype=torch.float64))
