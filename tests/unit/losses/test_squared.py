"""The squared error of a layer: its gradient, and what sharing draws costs, against closed forms."""

import pytest
import torch

from structgrad.estimate import mean_of
from structgrad.layers.perturbed import Perturbed
from structgrad.layers.relaxed import Relaxed
from structgrad.losses.squared import SquaredError
from structgrad.noise import Gumbel, Normal
from structgrad.polytopes.matching import Matching
from structgrad.polytopes.simplex import Simplex
from structgrad.regularizers.exponential import ExponentialEntropy


def exactly(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def generator(seed=7):
    return torch.Generator().manual_seed(seed)


def normal(seed, *shape):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


@pytest.mark.parametrize("independent", [False, True])
def test_the_loss_is_half_the_squared_distance_of_each_item(independent):
    """Of a layer that draws nothing, the two draws are the same."""
    squared = SquaredError(Relaxed(Simplex(4), ExponentialEntropy(), 0.6), independent)
    theta, y = normal(0, 2, 3, 4), normal(1, 3, 4)
    expected = 0.5 * ((theta / 0.6).softmax(-1) - y).square().sum(-1)
    assert torch.allclose(squared(theta, y), expected, rtol=1e-13)
    assert torch.autograd.gradcheck(squared, (theta.requires_grad_(), y))


def test_the_gradient_is_the_layers_product_with_the_residual():
    layer, y = Perturbed(Matching(3), Normal(), 0.8, 6), torch.eye(3, dtype=torch.float64)
    theta = normal(2, 4, 3, 3).requires_grad_()
    (found,) = torch.autograd.grad(SquaredError(layer)(theta, y, generator()).sum(), theta)
    out = layer(theta, generator())
    (expected,) = torch.autograd.grad(out, theta, out.detach() - y)
    assert torch.allclose(found, expected, rtol=1e-14)
    assert found.any()


def test_independent_draws_take_each_residual_to_the_other():
    layer, y = Perturbed(Matching(3), Normal(), 0.8, 6), torch.eye(3, dtype=torch.float64)
    theta, draws = normal(3, 4, 3, 3).requires_grad_(), generator()
    loss = SquaredError(layer, independent=True)(theta, y, generator())
    first, second = layer(theta, draws), layer(theta, draws)
    assert not torch.equal(first, second)
    assert torch.allclose(loss, ((first - y) * (second - y)).sum((-2, -1)) / 2, rtol=1e-14)
    (found,) = torch.autograd.grad(loss.sum(), theta)
    (left,) = torch.autograd.grad(first, theta, (second.detach() - y) / 2)
    (right,) = torch.autograd.grad(second, theta, (first.detach() - y) / 2)
    assert torch.allclose(found, left + right, rtol=1e-13, atol=1e-15)


# Gumbel noise on the simplex: the layer is p = softmax(theta / sigma), of Jacobian J = (diag p - p p') / sigma, and M
# draws have the covariance (diag p - p p') / M.

THETA, TARGET, SIGMA = exactly([0.5, -0.3, 1.0, 0.1]), exactly([0.0, 1.0, 0.0, 0.0]), 0.8
P = (THETA / SIGMA).softmax(-1)
JACOBIAN = (P.diag() - torch.outer(P, P)) / SIGMA


def averages(samples, baseline, independent, items=60_000):
    """Mean value and gradient over many items."""
    layer = Perturbed(Simplex(4), Gumbel(), SIGMA, samples, baseline)
    theta = THETA.expand(items, 4).clone().requires_grad_()
    loss = SquaredError(layer, independent)(theta, TARGET, generator())
    (gradient,) = torch.autograd.grad(loss.sum(), theta)
    return mean_of(loss.detach(), 0), mean_of(gradient, 0)


def z_score(estimate, exact):
    return float(((estimate.value - exact) / estimate.standard_error).abs().max())


@pytest.mark.parametrize("baseline", [None, "leave_one_out"])
def test_independent_draws_are_unbiased(baseline):
    value, gradient = averages(2, baseline, independent=True)
    assert z_score(value, (P - TARGET).square().sum() / 2) < 5
    assert z_score(gradient, JACOBIAN @ (P - TARGET)) < 5


@pytest.mark.parametrize(("samples", "baseline", "lost"), [(2, None, 1), (5, None, 1), (3, "leave_one_out", 2)])
def test_shared_draws_have_a_bias_of_one_over_the_samples(samples, baseline, lost):
    """The sample itself carries no gradient (all vertices are equally long), nor does it as one of the others."""
    value, gradient = averages(samples, baseline, independent=False)
    spread = (1 - P.square().sum()) / (2 * samples)
    assert z_score(value, (P - TARGET).square().sum() / 2 + spread) < 5
    assert z_score(gradient, JACOBIAN @ ((1 - lost / samples) * P - TARGET)) < 5
    assert z_score(gradient, JACOBIAN @ (P - TARGET)) > 5  # the bias is one that this test can see


def test_masks_reach_the_layer():
    mask = torch.tensor([True, False, True, True])
    theta = THETA.clone().requires_grad_()
    loss = SquaredError(Relaxed(Simplex(4), ExponentialEntropy()))(theta, TARGET, None, mask)
    q = THETA[mask].softmax(-1)
    assert float(loss.detach()) == pytest.approx(0.5 * (float(q.square().sum()) + 1), rel=1e-14)
    assert torch.autograd.grad(loss, theta)[0][1] == 0


def test_a_target_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"y of shape \(3,\) does not fit scores \(2, 4\)"):
        SquaredError(Relaxed(Simplex(4), ExponentialEntropy()))(torch.zeros(2, 4), torch.zeros(3))


def test_a_layer_that_draws_needs_a_generator():
    with pytest.raises(ValueError, match="generator must be given"):
        SquaredError(Perturbed(Simplex(4)))(torch.zeros(4), torch.zeros(4))
