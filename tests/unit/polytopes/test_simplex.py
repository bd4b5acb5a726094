"""The simplex against softmax, logsumexp and enumeration."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from structgrad.parallel import set_threads
from structgrad.polytopes.simplex import Simplex
from structgrad.polytopes.subset import Subset


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


def test_it_is_the_subset_of_one():
    generator = torch.Generator().manual_seed(0)
    assert isinstance(Simplex(5), Subset)
    assert Simplex(5).k == 1
    assert torch.equal(Simplex(5).vertices(), torch.eye(5, dtype=torch.float64))
    theta, direction = 4 * torch.randn(2, 7, 9, 5, generator=generator, dtype=torch.float64)
    mask = torch.rand(7, 9, 5, generator=generator) < 0.6
    mask[..., 2] |= ~mask.any(-1)
    for allowed in (None, mask):
        ours = everything(Simplex(5), theta, allowed, direction)
        for found, expected in zip(ours, everything(Subset(5, 1), theta, allowed, direction), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-14, rtol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 17])
def test_closed_forms(dtype, n):
    theta, direction = (5 * torch.randn(2, 3, 4, n, generator=torch.Generator().manual_seed(n))).to(dtype)
    y, log_partition, marginals, product = everything(Simplex(n), theta, None, direction)
    weights = theta.double().exp()
    p = weights / weights.sum(-1, keepdim=True)
    covariance = torch.diag_embed(p) - p[..., :, None] * p[..., None, :]
    close: dict[str, Any] = {"atol": 1e-13, "rtol": 1e-13} if dtype == torch.float64 else {"atol": 1e-6, "rtol": 1e-6}
    torch.testing.assert_close(log_partition, weights.sum(-1).log().to(dtype), **close)
    torch.testing.assert_close(marginals, p.to(dtype), **close)
    torch.testing.assert_close(product, (covariance @ direction.double()[..., None])[..., 0].to(dtype), **close)
    assert torch.equal(y, (theta == theta.amax(-1, keepdim=True)).to(dtype))  # no ties here


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(1, 40), st.integers(0, 2**31), st.sampled_from([-0.0, 5e-324, 1.0, 1e30]), st.booleans())
def test_ties_go_to_the_lower_index(n, seed, scale, masked):
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randint(-2, 3, (3, n), generator=generator).double() * scale
    mask = torch.rand(3, n, generator=generator) < (0.5 if masked else 2.0)
    mask[:, n // 2] = True
    y = Simplex(n).argmax(theta, mask)
    for row, allowed, found in zip(theta.tolist(), mask.tolist(), y.tolist(), strict=True):
        best = min((i for i in range(n) if allowed[i]), key=lambda i: (-row[i], i))
        assert found == [float(i == best) for i in range(n)]


@pytest.mark.parametrize("masked", [False, True])
def test_derivatives_are_those_of_the_values(masked):
    theta = torch.randn(2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, False, True], [False, False, True, False]]) if masked else None
    for function in (Simplex(4).log_partition, Simplex(4).marginals):
        assert gradcheck(lambda scores, f=function: f(scores, mask), theta)
        assert gradgradcheck(lambda scores, f=function: f(scores, mask), theta, fast_mode=True)


@pytest.mark.parametrize("fill", [0.0, 1e300, -1e300])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4, 1e30])
def test_derivatives_are_finite_and_zero_out_of_the_mask(fill, scale):
    theta = scale * torch.randn(3, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mask = torch.tensor([[True] * 5, [True, False, True, False, True], [False, False, False, True, False]])
    leaf = theta.masked_fill(~mask, fill).requires_grad_()
    value = Simplex(5).log_partition(leaf, mask).sum()
    for _ in range(3):
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
        assert bool(torch.isfinite(gradient).all())
        assert not gradient[~mask].any()
        value = (gradient * torch.arange(5)).sum()
    y = Simplex(5).argmax(leaf, mask)
    assert torch.equal(y, Simplex(5).argmax(theta, mask))
    if scale >= 1e4:
        torch.testing.assert_close(Simplex(5).marginals(leaf, mask).detach(), y)


@pytest.mark.parametrize("n", [3, 37])
def test_a_row_has_the_same_bits_alone_in_a_batch_and_on_two_threads(n):
    theta, direction = 9 * torch.randn(2, 41, n, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    whole = everything(Simplex(n), theta, None, direction)
    set_threads(2)
    for one, two in zip(whole, everything(Simplex(n), theta, None, direction), strict=True):
        assert torch.equal(one, two)
    for b in range(41):
        for one, two in zip(whole, everything(Simplex(n), theta[b], None, direction[b]), strict=True):
            assert torch.equal(one[b], two)


def test_empty_batches_and_bad_sizes():
    assert Simplex(3).argmax(torch.zeros(0, 3)).shape == Simplex(3).marginals(torch.zeros(0, 3)).shape == (0, 3)
    assert Simplex(3).log_partition(torch.zeros(2, 0, 3)).shape == (2, 0)
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        Simplex(0)
    with pytest.raises(ValueError, match="leaves no subset of 1 items"):
        Simplex(3).marginals(torch.zeros(2, 3), torch.tensor([[True] * 3, [False] * 3]))
