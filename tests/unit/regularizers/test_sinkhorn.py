"""Sinkhorn's iteration in kernel space and in log space against plain numpy, calculus and known limits."""

import math

import numpy as np
import pytest
import torch

from structgrad.layers.relaxed import Relaxed
from structgrad.parallel import set_threads
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.matching import Matching
from structgrad.regularizers.sinkhorn import SinkhornEntropy, log_sinkhorn


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)


def scores(*shape, scale=3.0, seed=0, dtype=torch.float64):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def sinkhorn(theta, rounds=20):
    return SinkhornEntropy(rounds).maximise(Matching(theta.shape[-1]), theta)


def value_and_gradient(function, theta, weights):
    theta = theta.clone().requires_grad_()
    plan = function(theta)
    (gradient,) = torch.autograd.grad((plan * weights).sum(), theta)
    return plan.detach(), gradient


def by_hand(theta, rounds):
    """Sinkhorn (1964): divide each row by its sum, then each column, so many times."""
    plan = np.exp(np.asarray(theta, dtype=np.longdouble))
    for _ in range(rounds):
        plan = plan / plan.sum(axis=1, keepdims=True)
        plan = plan / plan.sum(axis=0, keepdims=True)
    return plan.astype(float)


def dead_column(n, span):
    """Scores with one column far below the others."""
    theta = scores(3, n, n, scale=1.0)
    theta[..., 1] -= 100 * span
    return theta * (span / (theta.amax(-1) - theta.amin(-1)).amax())


# Values


@pytest.mark.parametrize("n", [1, 2, 5, 17])
@pytest.mark.parametrize("rounds", [1, 2, 20])
@pytest.mark.parametrize("function", [sinkhorn, log_sinkhorn])
def test_the_iterate_is_the_one_of_the_textbook(function, n, rounds):
    theta = scores(3, n, n)
    for matrix, plan in zip(theta, function(theta, rounds), strict=True):
        assert plan.numpy() == pytest.approx(by_hand(matrix, rounds), rel=1e-12, abs=1e-300)


def test_rows_come_first():
    """After one round the columns sum to one exactly, the rows do not."""
    plan = sinkhorn(scores(4, 5, 5), rounds=1)
    assert torch.allclose(plan.sum(-2), torch.ones(4, 5).double(), atol=1e-14)
    assert (plan.sum(-1) - 1).abs().max() > 0.01


@pytest.mark.parametrize("n", [2, 6, 30])
def test_many_rounds_give_a_doubly_stochastic_matrix_of_the_same_kernel(n):
    theta = scores(4, n, n)
    plan = sinkhorn(theta, rounds=2000)
    assert torch.allclose(plan.sum(-1), torch.ones(4, n).double(), atol=1e-9)
    assert torch.allclose(plan.sum(-2), torch.ones(4, n).double(), atol=1e-9)
    potentials = plan.log() - theta  # a_i + b_j: every 2 x 2 minor of it vanishes
    minors = potentials - potentials[..., :1] - potentials[..., :1, :] + potentials[..., :1, :1]
    assert minors.abs().max() < 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_two_by_two_in_closed_form(seed):
    """P = [[p, 1-p], [1-p, p]] with p / (1-p) = exp((a + d - b - c) / 2), as the cross ratio is kept."""
    theta = scores(2, 2, scale=2.0, seed=seed)
    p = 1 / (1 + math.exp(-float(theta[0, 0] + theta[1, 1] - theta[0, 1] - theta[1, 0]) / 2))
    assert sinkhorn(theta, rounds=2000).numpy() == pytest.approx(np.array([[p, 1 - p], [1 - p, p]]), abs=1e-12)


def test_it_is_the_entropic_maximiser():
    """No doubly stochastic neighbour has a higher <theta, P> - sum P log P."""
    theta = scores(4, 4, scale=1.0)
    plan = sinkhorn(theta, rounds=3000)

    def objective(p):
        return float((theta * p).sum() - torch.special.xlogy(p, p).sum())

    for seed in range(20):
        direction = scores(4, 4, seed=seed + 1)
        direction = direction - direction.mean(0) - direction.mean(1, keepdim=True) + direction.mean()
        moved = plan + 1e-3 * direction / direction.abs().max() * plan.min()
        assert torch.allclose(moved.sum(0), torch.ones(4).double(), atol=1e-9)
        assert objective(moved) < objective(plan)


# Kernel space and log space


@pytest.mark.parametrize("n", [1, 2, 7, 16, 25])
@pytest.mark.parametrize("rounds", [1, 3, 20])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_kernel_space_equals_log_space(n, rounds, dtype, tolerance, scale):
    theta, weights = scores(5, n, n, scale=scale, dtype=dtype), scores(5, n, n, seed=1, dtype=dtype)
    plan, gradient = value_and_gradient(lambda t: sinkhorn(t, rounds), theta, weights)
    log_plan, log_gradient = value_and_gradient(lambda t: log_sinkhorn(t, rounds), theta, weights)
    assert plan.dtype == gradient.dtype == dtype
    assert torch.allclose(plan, log_plan, rtol=tolerance, atol=tolerance)
    assert torch.allclose(gradient, log_gradient, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n", [2, 5, 20])
@pytest.mark.parametrize("rounds", [1, 20, 200])
@pytest.mark.parametrize("span", [150.0, 299.4, 301.0, 400.0, 599.4, 2000.0])
def test_a_column_that_every_row_shuns(n, rounds, span):
    """Its scaling is near exp(span), whose square would overflow; values and gradients stay those of log space."""
    theta, weights = dead_column(n, span), scores(3, n, n, seed=1)
    plan, gradient = value_and_gradient(lambda t: sinkhorn(t, rounds), theta, weights)
    log_plan, log_gradient = value_and_gradient(lambda t: log_sinkhorn(t, rounds), theta, weights)
    assert torch.allclose(plan, log_plan, rtol=1e-10, atol=1e-10)
    assert torch.allclose(gradient, log_gradient, rtol=1e-10, atol=1e-10)


def count_log_paths(monkeypatch):
    seen = []

    def spy(theta, rounds):
        seen.append(len(theta))
        return log_sinkhorn(theta, rounds)

    monkeypatch.setattr("structgrad.regularizers.sinkhorn.log_sinkhorn", spy)
    return seen


def test_wide_ranges_take_the_log_path_and_others_do_not(monkeypatch):
    seen = count_log_paths(monkeypatch)
    theta = scores(4, 3, 3)
    sinkhorn(theta)
    assert seen == []
    theta[1, 0, 2] = theta[1, 0, 0] + 301
    theta[3] *= 1000
    plan = sinkhorn(theta)
    assert seen == [2]
    assert torch.isfinite(plan).all()


def test_a_shift_of_rows_is_no_range(monkeypatch):
    """Rows are normalised first: constants of 1e4 on whole rows change nothing and need no log space."""
    seen = count_log_paths(monkeypatch)
    theta = scores(2, 4, 4)
    assert torch.allclose(sinkhorn(theta + torch.tensor([[0.0], [1e4], [-1e4], [3.0]])), sinkhorn(theta), atol=1e-10)
    assert seen == []


def test_extreme_scores_stay_finite_with_finite_gradients():
    theta, weights = scores(3, 6, 6, scale=1e5), scores(3, 6, 6)
    plan, gradient = value_and_gradient(sinkhorn, theta, weights)
    assert torch.isfinite(plan).all()
    assert torch.isfinite(gradient).all()
    assert torch.allclose(plan.sum(-2), torch.ones(3, 6).double())


@pytest.mark.parametrize("n", [1, 3, 8, 17, 25])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_matrix_gives_the_same_bits_alone_and_in_a_mixed_batch(n, dtype):
    theta, weights = scores(9, n, n, dtype=dtype), scores(9, n, n, seed=1, dtype=dtype)
    theta[[2, 5, 6]] *= 500  # log path
    plan, gradient = value_and_gradient(lambda t: sinkhorn(t, 6), theta, weights)
    for b in range(9):
        alone, its_gradient = value_and_gradient(lambda t: sinkhorn(t, 6), theta[b], weights[b])
        assert torch.equal(alone, plan[b])
        assert torch.equal(its_gradient, gradient[b])


# Gradients


@pytest.mark.parametrize("rounds", [1, 2, 7])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_gradient_against_finite_differences(n, rounds):
    theta = scores(2, n, n, scale=1.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: sinkhorn(t, rounds), theta, atol=1e-8)


@pytest.mark.parametrize("rounds", [1, 4])
def test_second_derivative_against_finite_differences(rounds):
    theta = scores(2, 3, 3, scale=1.0, seed=5).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda t: sinkhorn(t, rounds), (theta,))


def test_gradcheck_of_a_mixed_batch():
    theta = scores(2, 3, 3, scale=1.0)
    theta[1, 0, 0] -= 700
    assert torch.autograd.gradcheck(lambda t: sinkhorn(t, 3), theta.requires_grad_(), atol=1e-8)


# Temperatures


@pytest.mark.parametrize("n", [2, 5, 9])
def test_cold_is_the_argmax_and_hot_is_uniform(n):
    theta = scores(6, n, n, scale=1.0)
    best = Matching(n).argmax(theta)
    theta += 0.3 * best  # a margin of at least 0.6
    errors = []
    for temperature in (1.0, 0.1, 0.02):
        plan = Relaxed(Matching(n), SinkhornEntropy(20_000), temperature)(theta)
        errors.append(float((plan - best).abs().max()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.005  # rounds converge like 1/k near a vertex
    hot = Relaxed(Matching(n), SinkhornEntropy(), 1e9)(theta)
    assert torch.allclose(hot, torch.full_like(hot, 1 / n), atol=1e-8)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_temperature_divides_the_scores(temperature):
    theta = scores(2, 3, 4, 4)
    relaxed = Relaxed(Matching(4), SinkhornEntropy(5), temperature)
    assert relaxed(theta).shape == theta.shape
    assert torch.allclose(relaxed(theta), sinkhorn(theta / temperature, 5), atol=1e-14)


# What is refused


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="temperature must be positive"):
        Relaxed(Matching(3), SinkhornEntropy(), temperature)


@pytest.mark.parametrize("rounds", [0, -3])
def test_rounds_must_be_positive(rounds):
    with pytest.raises(ValueError, match=f"rounds must be at least 1, not {rounds}"):
        SinkhornEntropy(rounds)


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (torch.zeros(2, 3, 4), r"theta must end in \(3, 3\), not \(2, 3, 4\)"),
        (torch.zeros(3), r"theta must end in \(3, 3\), not \(3,\)"),
        (torch.full((3, 3), math.nan), "NaN or infinite"),
        (torch.full((3, 3), -math.inf), "NaN or infinite"),
        (torch.zeros(3, 3, dtype=torch.int32), "floating point"),
    ],
)
def test_bad_scores_are_named(theta, message):
    with pytest.raises(ValueError, match=message):
        SinkhornEntropy().maximise(Matching(3), theta)


def test_other_polytopes_are_refused():
    class Interval(Polytope):
        event_shape = (1,)

        def _argmax(self, theta, mask):
            return (theta > 0).to(theta.dtype)

        def vertices(self):
            return torch.tensor([[0.0], [1.0]])

    with pytest.raises(ValueError, match="not defined here for Interval"):
        SinkhornEntropy().maximise(Interval(), torch.zeros(1))


def test_an_empty_batch_is_one():
    assert sinkhorn(torch.zeros(0, 3, 3)).shape == (0, 3, 3)
