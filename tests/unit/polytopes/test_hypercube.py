"""The hypercube against closed forms and enumeration."""

import math
from typing import Any

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from structgrad.parallel import set_threads
from structgrad.polytopes.hypercube import Hypercube


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


def everything(polytope, theta, mask, direction):
    """Maximiser, log-partition, marginals and the product of their Jacobian with a direction."""
    leaf = theta.clone().requires_grad_()
    marginals = polytope.marginals(leaf, mask)
    (product,) = torch.autograd.grad(marginals, leaf, direction)
    return polytope.argmax(theta, mask), polytope.log_partition(theta, mask), marginals.detach(), product


@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3), (2, 1, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
def test_everything_is_a_sum_over_vertices(shape, dtype, masked):
    generator, polytope, size = torch.Generator().manual_seed(0), Hypercube(*shape), math.prod(shape)
    vertices = polytope.vertices()
    assert vertices.shape == (2**size, *shape)
    assert len(vertices.flatten(1).unique(dim=0)) == 2**size
    vertices = vertices.flatten(1)
    theta, direction = (2 * torch.randn(2, 3, 4, *shape, generator=generator)).to(dtype)
    mask = torch.rand(3, 4, *shape, generator=generator) < (0.6 if masked else 2.0)
    y, log_partition, marginals, product = everything(polytope, theta, mask if masked else None, direction)

    flat, flat_mask = theta.double().flatten(2), mask.flatten(2)
    scores = (flat * flat_mask) @ vertices.mT
    scores = scores.masked_fill((~flat_mask).double() @ vertices.mT > 0, -torch.inf)
    p = scores.softmax(-1)
    mean = p @ vertices
    covariance = torch.einsum("...v,vi,vj->...ij", p, vertices, vertices) - mean[..., :, None] * mean[..., None, :]
    close: dict[str, Any] = {"atol": 1e-13, "rtol": 1e-13} if dtype == torch.float64 else {"atol": 1e-6, "rtol": 1e-6}
    torch.testing.assert_close(y.flatten(2), vertices[scores.argmax(-1)].to(dtype), atol=0, rtol=0)
    torch.testing.assert_close(log_partition, scores.logsumexp(-1).to(dtype), **close)
    torch.testing.assert_close(marginals.flatten(2), mean.to(dtype), **close)
    expected = (covariance @ direction.double().flatten(2)[..., None])[..., 0]
    torch.testing.assert_close(product.flatten(2), expected.to(dtype), **close)
    flat_events = theta.double().flatten(0, 1), mask.flatten(0, 1) if masked else None
    plain = polytope._plain_log_partition(*flat_events).view(3, 4)
    torch.testing.assert_close(plain.to(dtype), scores.logsumexp(-1).to(dtype), **close)


def test_a_score_of_zero_is_left_out():
    theta = torch.tensor([0.0, -0.0, 5e-324, -5e-324], dtype=torch.float64)
    assert Hypercube(4).argmax(theta).tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("masked", [False, True])
def test_derivatives_are_those_of_the_values(masked):
    theta = torch.randn(2, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, False], [True, True]]) if masked else None
    for function in (Hypercube(2, 2).log_partition, Hypercube(2, 2).marginals):
        assert gradcheck(lambda scores, f=function: f(scores, mask), theta)
        assert gradgradcheck(lambda scores, f=function: f(scores, mask), theta)


@pytest.mark.parametrize("score", [0.0, 1e-9, 1.0, 19.0, 21.0, 30.0, 100.0, 700.0, 1e4, 1e30])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_extreme_scores_keep_their_digits(score, sign):
    with mpmath.workdps(60):
        x = mpmath.mpf(sign * score)
        p = 1 / (1 + mpmath.exp(-x))
        q = 1 / (1 + mpmath.exp(x))
        expected = [mpmath.log1p(mpmath.exp(x)), p, p * q, p * q * (q - p)]
        expected = [float(value) for value in expected]
    leaf = torch.full((1, 1), sign * score, dtype=torch.float64, requires_grad=True)
    kernel, plain = [], []
    value, plain_value = Hypercube(1).log_partition(leaf).sum(), Hypercube(1)._plain_log_partition(leaf, None).sum()
    for _ in range(4):
        kernel.append(value.item())
        plain.append(plain_value.item())
        (value,) = torch.autograd.grad(value, leaf, create_graph=True)
        (plain_value,) = torch.autograd.grad(plain_value, leaf, create_graph=True)
    assert kernel == pytest.approx(expected, rel=1e-13, abs=1e-15)
    assert plain == pytest.approx(expected, rel=1e-13, abs=1e-15)
    cold = Hypercube(1).marginals(leaf)
    assert cold.item() == pytest.approx(expected[1], rel=1e-14, abs=1e-300)
    assert torch.autograd.grad(cold, leaf)[0].item() == pytest.approx(expected[2], rel=1e-13, abs=1e-300)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.lists(st.integers(0, 3), max_size=2),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 1.0, 1e4, 1e300]),
)
def test_any_shape_and_mask(shape, leading, seed, scale):
    generator, polytope = torch.Generator().manual_seed(seed), Hypercube(*shape)
    theta = scale * torch.randint(-2, 3, (*leading, *shape), generator=generator).double()
    mask = torch.rand(theta.shape, generator=generator) < 0.7
    y, log_partition, marginals, product = everything(polytope, theta, mask, torch.ones_like(theta))
    again = everything(polytope, theta.masked_fill(~mask, 1e300), mask, torch.ones_like(theta))
    for one, two in zip((y, log_partition, marginals, product), again, strict=True):
        assert torch.equal(one, two)
    assert y.shape == marginals.shape == product.shape == theta.shape
    assert log_partition.shape == tuple(leading)
    event = tuple(range(len(leading), theta.dim()))
    torch.testing.assert_close(
        log_partition, (torch.log1p(torch.exp(-theta.abs())) + theta.relu()).mul(mask).sum(event)
    )
    assert torch.equal(y, torch.where(mask & (theta > 0), 1.0, 0.0).double())
    for result in (y, marginals, product):
        assert not result[~mask].any()
        assert bool(torch.isfinite(result).all())


@pytest.mark.parametrize("shape", [(3,), (5, 7)])
def test_a_row_has_the_same_bits_alone_in_a_batch_and_on_two_threads(shape):
    theta, direction = 5 * torch.randn(2, 41, *shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    whole = everything(Hypercube(*shape), theta, None, direction)
    set_threads(2)
    for one, two in zip(whole, everything(Hypercube(*shape), theta, None, direction), strict=True):
        assert torch.equal(one, two)
    for b in range(41):
        for one, two in zip(whole, everything(Hypercube(*shape), theta[b], None, direction[b]), strict=True):
            assert torch.equal(one[b], two)


@pytest.mark.parametrize("shape", [(), (0,), (3, -1)])
def test_sizes_out_of_range_are_named(shape):
    with pytest.raises(ValueError, match="at least 1, not"):
        Hypercube(*shape)


@pytest.mark.parametrize(
    ("theta", "mask", "message"),
    [
        (torch.zeros(2, 3), None, r"theta must end in \(3, 2\), not \(2, 3\)"),
        (torch.full((3, 2), float("nan")), None, "NaN or infinite"),
        (torch.zeros(3, 2, dtype=torch.int64), None, "floating point"),
        (torch.zeros(3, 2), torch.ones(2), r"mask of shape \(2,\) must be boolean"),
        (torch.zeros(3, 2), torch.ones(3, dtype=torch.bool), r"mask of shape \(3,\) does not fit scores \(3, 2\)"),
    ],
)
def test_bad_scores_and_masks_are_named(theta, mask, message):
    polytope = Hypercube(3, 2)
    for function in (polytope.argmax, polytope.marginals, polytope.log_partition):
        with pytest.raises(ValueError, match=message):
            function(theta, mask)
