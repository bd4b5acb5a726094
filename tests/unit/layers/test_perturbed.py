"""The perturbed maximiser against closed forms and numerical integration, with Monte-Carlo z-scores on fixed seeds.

Every truth is a potential ``F(theta, sigma)`` that torch differentiates: its gradient is the perturbed maximiser, its
Hessian the Jacobian, its mixed derivatives those in sigma.
"""

import math
from functools import partial

import pytest
import torch
from torch.autograd.functional import hessian

from structgrad.layers import _perturbation
from structgrad.layers.perturbed import Perturbed
from structgrad.noise import EULER_GAMMA, Gumbel, Logistic, NegativeExponential, Normal
from structgrad.parallel import set_threads
from structgrad.polytopes.matching import Matching
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.polytopes.simplex import Simplex
from structgrad.polytopes.subset import Subset

BASELINES = ["leave_one_out", "maximiser", None]


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


# Truths


def cdf(noise, t):
    match noise:
        case Normal(scale):
            return torch.special.ndtr(t / scale)
        case Logistic(scale):
            return torch.sigmoid(t / scale)
        case Gumbel(scale):
            return torch.exp(-torch.exp(-(t - noise.location) / scale))
    raise AssertionError(noise)


def integrated(k, noise, theta, sigma):
    """``E[sum of the k largest of theta + sigma Z]``, by the trapezoidal rule over the value of each member."""
    width = 40 * sigma.item()
    t = torch.linspace(theta.min().item() - width, theta.max().item() + width, 8001, dtype=torch.float64)
    z = (t - theta.unsqueeze(-1)) / sigma
    density, above = noise.log_density(z).exp() / sigma, 1 - cdf(noise, z)
    total = 0.0
    for i in range(len(theta)):
        counts = [torch.ones_like(t), *(torch.zeros_like(t) for _ in range(k - 1))]  # of others above t, up to k - 1
        for j in range(len(theta)):
            if j != i:
                shifted = [torch.zeros_like(t), *counts[:-1]]
                counts = [c * (1 - above[j]) + s * above[j] for c, s in zip(counts, shifted, strict=True)]
        total = total + torch.trapezoid(t * density[i] * sum(counts), t)
    return total


def log_sum_exp(noise, theta, sigma):
    """Gumbel's own case (berthet, section 2): a log-sum-exp, shifted by the mean of the noise."""
    shift = 0.0 if noise.centred else EULER_GAMMA * noise.scale * sigma
    return sigma * noise.scale * torch.logsumexp(theta / (sigma * noise.scale), -1) + shift


def normal_pair(a, b, width):
    """``E max(A, B)`` of independent Gaussians whose difference has standard deviation ``width`` (Clark 1961)."""
    x = (a - b) / width
    phi = torch.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    return a * torch.special.ndtr(x) + b * torch.special.ndtr(-x) + width * phi


def rank_pairs(noise, theta, sigma):
    """``<u, ranks of u> = sum over pairs of max(u_i, u_j)``."""
    total = 0.0
    for i in range(len(theta)):
        for j in range(i):
            if isinstance(noise, Normal):
                total = total + normal_pair(theta[i], theta[j], sigma * noise.scale * math.sqrt(2))
            else:
                total = total + log_sum_exp(noise, torch.stack([theta[i], theta[j]]), sigma)
    return total


def two_matchings(noise, theta, sigma):
    straight, crossed = theta[0, 0] + theta[1, 1], theta[0, 1] + theta[1, 0]
    return normal_pair(straight, crossed, 2 * sigma * noise.scale)


def case(polytope, noise, truth, sigma=0.7):
    return pytest.param(
        polytope, noise, partial(truth, noise), sigma, id=f"{type(polytope).__name__}{polytope.event_shape}-{noise}"
    )


CASES = [
    case(Simplex(4), Gumbel(), log_sum_exp),
    case(Simplex(2), Gumbel(0.5, centred=False), log_sum_exp, 2.0),
    case(Simplex(3), Normal(), partial(integrated, 1)),
    case(Simplex(4), Logistic(0.5), partial(integrated, 1)),
    case(Subset(4, 2), Normal(), partial(integrated, 2), 0.3),
    case(Subset(4, 2), Gumbel(), partial(integrated, 2)),
    case(Subset(5, 3), Logistic(), partial(integrated, 3), 1.5),
    case(Permutahedron(4), Normal(2.0), rank_pairs),
    case(Permutahedron(4), Gumbel(), rank_pairs),
    case(Matching(2), Normal(), two_matchings),
]
SCORES: dict[tuple[int, ...], list] = {
    (2,): [0.4, -0.3],
    (3,): [0.5, 0.1, -0.6],
    (4,): [0.9, 0.2, 0.0, -0.7],
    (5,): [0.9, 0.5, 0.1, -0.2, -1.0],
    (2, 2): [[0.3, -0.2], [0.1, 0.4]],
}


def scores(polytope):
    return torch.tensor(SCORES[polytope.event_shape], dtype=torch.float64)


def derivatives(truth, theta, sigma):
    """F, dF/dtheta, dF/dsigma, the Jacobian as a function of a direction, and the derivative of y in sigma."""
    theta, sigma = theta.clone().requires_grad_(), torch.tensor(sigma, dtype=torch.float64, requires_grad=True)
    value = truth(theta, sigma)
    y, slope = torch.autograd.grad(value, [theta, sigma], create_graph=True)
    by_sigma = torch.stack([torch.autograd.grad(part, sigma, retain_graph=True)[0] for part in y.flatten()])
    jacobian = hessian(lambda t: truth(t, sigma.detach()), theta.detach())
    assert isinstance(jacobian, torch.Tensor)
    jacobian = jacobian.reshape(theta.numel(), theta.numel())
    return value.detach(), y.detach(), slope.detach(), jacobian, by_sigma.view(y.shape)


def assert_mean(draws, truth):
    """The mean over the first dimension lies within five standard errors of the truth."""
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - truth).abs() <= 5 * error + 1e-9).all(), (draws.mean(0) - truth) / error


def assert_within(estimate, truth):
    assert ((estimate.value - truth).abs() <= 5 * estimate.standard_error + 1e-9).all()


def gradients(layer, theta, direction, items, seed=0, sigma=None):
    """Those of ``<direction, y>`` in theta and sigma for so many items with the same scores."""
    theta = theta.expand(items, *theta.shape).clone().requires_grad_()
    sigma = torch.full((items,), float(layer.sigma if sigma is None else sigma), dtype=theta.dtype, requires_grad=True)
    y = layer(theta, generator(seed), sigma=sigma)
    return torch.autograd.grad((y * direction).sum(), [theta, sigma])


# Values and derivatives in expectation


@pytest.mark.parametrize(("polytope", "noise", "truth", "sigma"), CASES)
def test_value_gradients_and_jacobian_are_those_of_the_truth(polytope, noise, truth, sigma):
    theta = scores(polytope)
    value, y, slope, jacobian, _ = derivatives(truth, theta, sigma)
    layer = Perturbed(polytope, noise, sigma, samples=40_000)
    assert_within(layer.estimate_potential(theta, generator(1)), value)
    assert_within(layer.estimate(theta, generator(2)), y)
    for seed in range(3):
        direction = randn(*theta.shape, seed=seed)
        product = layer.estimate_product(theta, direction, generator(3 + seed))
        assert_within(product, (jacobian @ direction.flatten()).view(theta.shape))
    many = Perturbed(polytope, noise, sigma, samples=1)
    sigmas = torch.full((40_000,), sigma, dtype=torch.float64, requires_grad=True)
    total = many.potential(theta.expand(40_000, *theta.shape), generator(6), sigma=sigmas).sum()
    assert_mean(torch.autograd.grad(total, sigmas)[0], slope)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize(("polytope", "noise", "truth", "sigma"), CASES)
def test_products_are_unbiased_whatever_the_baseline(polytope, noise, truth, sigma, baseline):
    theta, direction = scores(polytope), randn(*polytope.event_shape, seed=4)
    *_, jacobian, by_sigma = derivatives(truth, theta, sigma)
    for samples in (1, 2, 7):
        layer = Perturbed(polytope, noise, sigma, samples, baseline)
        in_theta, in_sigma = gradients(layer, theta, direction, 6000 // samples + 2000, seed=samples)
        assert_mean(in_theta.flatten(1), jacobian @ direction.flatten())
        assert_mean(in_sigma, (direction * by_sigma).sum())


@pytest.mark.parametrize(("polytope", "noise", "truth", "sigma"), CASES)
def test_second_derivatives_of_the_potential(polytope, noise, truth, sigma):
    """In theta twice, mixed in both orders, and in sigma twice (by homogeneity from the others)."""
    theta, direction = scores(polytope), randn(*polytope.event_shape, seed=5)
    *_, jacobian, by_sigma = derivatives(truth, theta, sigma)
    items = 4000
    many = theta.expand(items, *theta.shape).clone().requires_grad_()
    sigmas = torch.full((items,), sigma, dtype=torch.float64, requires_grad=True)
    potential = Perturbed(polytope, noise, samples=4).potential(many, generator(7), sigma=sigmas)
    y, slope = torch.autograd.grad(potential.sum(), [many, sigmas], create_graph=True)
    twice, mixed = torch.autograd.grad((y * direction).sum(), [many, sigmas], retain_graph=True)
    other, again = torch.autograd.grad(slope.sum(), [many, sigmas])
    assert_mean(twice.flatten(1), jacobian @ direction.flatten())
    assert_mean(mixed, (direction * by_sigma).sum())
    assert_mean(other, by_sigma)
    assert_mean(again, -(theta * by_sigma).sum() / sigma)


@pytest.mark.parametrize(("polytope", "noise", "truth", "sigma"), CASES)
def test_the_formulas_of_proposition_3_1(polytope, noise, truth, sigma):
    """``E[F nu'/eps]``, ``E[y nu'^T/eps]`` and ``E[F (nu' nu'^T - nu'')/eps^2]``, written out."""
    theta = scores(polytope)
    value, y, _, jacobian, _ = derivatives(truth, theta, sigma)
    z = noise.sample((60_000, *theta.shape), generator(8), torch.float64).requires_grad_()
    score = noise.score(z)
    (bend,) = torch.autograd.grad(score.sum(), z)
    score, z = score.detach().flatten(1), z.detach()
    solutions = polytope.argmax(theta + sigma * z)
    maxima = ((theta + sigma * z) * solutions).flatten(1).sum(-1, keepdim=True)
    assert_mean(maxima.squeeze(-1), value)
    assert_mean(maxima * score / sigma, y.flatten())
    assert_mean(solutions.flatten(1).unsqueeze(2) * score.unsqueeze(1) / sigma, jacobian)
    outer = score.unsqueeze(2) * score.unsqueeze(1) - torch.diag_embed(bend.flatten(1))
    assert_mean(maxima.unsqueeze(-1) * outer / sigma**2, jacobian)


@pytest.mark.parametrize("noise", [Normal(), Gumbel(), Logistic()], ids=str)
def test_matchings_of_three_against_enumeration(noise):
    """No closed form: the best of the six vertices by a plain product, on draws of its own."""
    theta, direction, sigma, count = randn(3, 3, seed=9), randn(3, 3, seed=10), 0.8, 100_000
    vertices = Matching(3).vertices()
    z = noise.sample((count, 3, 3), generator(11), torch.float64)
    u = theta + sigma * z
    y = vertices[(u.flatten(1) @ vertices.flatten(1).T).argmax(-1)]
    weight = (direction * y).flatten(1).sum(-1) - (direction * Matching(3).argmax(theta)).sum()
    stretch = (z * noise.score(z)).flatten(1).sum(-1) - 9
    enumerated = {
        "y": y,
        "value": (u * y).flatten(1).sum(-1),
        "by theta": weight.view(-1, 1, 1) * noise.score(z) / sigma,
        "by sigma": weight * stretch / sigma,
    }
    layer = Perturbed(Matching(3), noise, sigma, samples=10)
    many = theta.expand(4000, 3, 3)
    in_theta, in_sigma = gradients(layer, theta, direction, 4000, seed=12)
    ours = {"y": layer(many, generator(13)), "value": layer.potential(many, generator(14))}
    for key, draws in (ours | {"by theta": in_theta, "by sigma": in_sigma}).items():
        other = enumerated[key]
        error = (draws.var(0) / len(draws) + other.var(0) / count).sqrt()
        assert ((draws.mean(0) - other.mean(0)).abs() < 5 * error).all(), key


def test_gumbel_on_the_simplex_in_closed_form():
    """``softmax(theta/s)``, ``(diag p - p p')/s``, ``s logsumexp(theta/s)``, ``logsumexp(theta/s) - <theta, p>/s``."""
    theta, sigma = torch.tensor([1.0, 0.3, -0.5, -2.0], dtype=torch.float64), 0.6
    p = torch.softmax(theta / sigma, -1)
    layer = Perturbed(Simplex(4), Gumbel(), sigma, samples=100_000)
    assert_within(layer.estimate(theta, generator(1)), p)
    assert_within(layer.estimate_potential(theta, generator(2)), sigma * torch.logsumexp(theta / sigma, -1))
    columns = (torch.diag(p) - torch.outer(p, p)) / sigma
    for j in range(4):
        assert_within(layer.estimate_product(theta, torch.eye(4).double()[j], generator(3 + j)), columns[j])
    sigmas = torch.full((100_000,), sigma, dtype=torch.float64, requires_grad=True)
    for noise, shift in ((Gumbel(), 0.0), (Gumbel(centred=False), EULER_GAMMA)):
        F = Perturbed(Simplex(4), noise).potential(theta.expand(100_000, 4), generator(8), sigma=sigmas)
        slope = torch.logsumexp(theta / sigma, -1) - (theta * p).sum() / sigma + shift
        assert_mean(torch.autograd.grad(F.sum(), sigmas)[0], slope)


# The estimator's error


@pytest.mark.parametrize("noise", [Gumbel(), Normal()], ids=str)
def test_baselines_lower_the_variance_and_the_default_lowers_it_most(noise):
    theta, direction = randn(5, seed=1), torch.linspace(0.2, 1.0, 5).double()
    spread = {
        baseline: float(
            gradients(Perturbed(Simplex(5), noise, 1.0, 8, baseline), theta, direction, 8000)[0].var(0).sum()
        )
        for baseline in BASELINES
    }
    assert spread["leave_one_out"] < 0.75 * spread[None]
    assert spread["leave_one_out"] < spread["maximiser"]
    by_sigma = {
        baseline: float(gradients(Perturbed(Simplex(5), noise, 1.0, 8, baseline), theta, direction, 8000)[1].var())
        for baseline in BASELINES
    }
    assert by_sigma["leave_one_out"] < 0.75 * by_sigma[None]
    assert Perturbed(Simplex(5), samples=8).baseline == "leave_one_out"


def test_the_error_falls_like_one_over_the_root_of_the_samples():
    """``E|y - p|^2 = (1 - |p|^2) / M`` exactly, for Gumbel noise on the simplex."""
    theta = randn(5, seed=3)
    p = torch.softmax(theta, -1)
    for samples, items in ((1, 4000), (10, 4000), (100, 2000), (1000, 300)):
        y = Perturbed(Simplex(5), Gumbel(), 1.0, samples)(theta.expand(items, 5), generator(samples))
        assert_mean(((y - p) ** 2).sum(-1) * samples, 1 - (p**2).sum())


def test_standard_errors_are_calibrated():
    """Errors in units of the standard error that came with them have variance one."""
    theta, sigma, items = scores(Simplex(4)) / 2, 1.0, 2000
    direction = randn(4, seed=1)
    value, y, _, jacobian, _ = derivatives(partial(log_sum_exp, Gumbel()), theta, sigma)
    layer = Perturbed(Simplex(4), Gumbel(), sigma, samples=500)
    many = theta.expand(items, 4)
    for estimate, truth in (
        (layer.estimate(many, generator(1)), y),
        (layer.estimate_potential(many, generator(2)), value),
        (layer.estimate_product(many, direction, generator(3)), jacobian @ direction),
    ):
        assert estimate.value.shape == estimate.standard_error.shape
        z = (estimate.value - truth) / estimate.standard_error
        assert ((z.var(0) - 1).abs() < 5 * (2 / items) ** 0.5).all()


def test_estimates_are_the_layers_numbers_without_gradient():
    theta, direction = randn(2, 3, 4, 4, seed=1).requires_grad_(), randn(4, 4, seed=2)
    layer = Perturbed(Matching(4), Gumbel(), 0.5, samples=9)
    y = layer(theta, generator(3))
    estimate = layer.estimate(theta, generator(3))
    assert torch.equal(estimate.value, y)
    assert not estimate.value.requires_grad
    potential = layer.potential(theta, generator(3)).detach()  # the same mean, summed in another order
    assert torch.allclose(layer.estimate_potential(theta, generator(3)).value, potential, rtol=1e-14, atol=1e-14)
    (product,) = torch.autograd.grad((y * direction).sum(), theta)
    assert torch.equal(layer.estimate_product(theta, direction, generator(3)).value, product)
    single = Perturbed(Matching(4), Gumbel(), 0.5).estimate_potential(theta, generator(3))
    assert single.value.shape == single.standard_error.shape == (2, 3)
    assert torch.isnan(single.standard_error).all()


# What holds for the very same draws


@pytest.mark.parametrize(("polytope", "noise", "truth", "sigma"), CASES)
def test_the_potential_scales_with_sigma(polytope, noise, truth, sigma):
    """``F_eps(theta) = eps F_1(theta / eps)`` and ``y_eps(theta) = y_1(theta / eps)`` (berthet, Proposition 2.2)."""
    theta, layer = randn(50, *polytope.event_shape), Perturbed(polytope, noise, samples=6)
    for eps in (0.25, 4.0):
        scaled = layer(theta / eps, generator(1)), layer.potential(theta / eps, generator(1))
        assert torch.equal(layer(theta, generator(1), sigma=eps), scaled[0])
        assert torch.allclose(layer.potential(theta, generator(1), sigma=eps), eps * scaled[1], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("polytope", "noise", "truth", "sigma"), CASES)
def test_jensen_and_the_bound_from_above(polytope, noise, truth, sigma):
    """``F <= F_eps`` for noise of mean zero; ``F_eps <= F + eps F_1(0)`` in every sample; convex in every sample."""
    theta = randn(40, *polytope.event_shape, seed=2)
    event = tuple(range(1, theta.dim()))
    plain = (theta * polytope.argmax(theta)).sum(event)
    layer = Perturbed(polytope, noise, sigma, samples=300)
    estimate = layer.estimate_potential(theta, generator(4))
    if not isinstance(noise, Gumbel) or noise.centred:
        assert (estimate.value + 5 * estimate.standard_error > plain).all()
    ceiling = layer.potential(torch.zeros_like(theta), generator(4))
    assert (estimate.value <= plain + ceiling + 1e-12).all()
    other = theta.flip(0)
    halfway = layer.potential((theta + other) / 2, generator(4))
    assert (2 * halfway <= estimate.value + layer.potential(other, generator(4)) + 1e-12).all()


@pytest.mark.parametrize(("polytope", "noise", "truth", "sigma"), CASES)
def test_the_gradient_of_the_potential_is_exactly_the_layer(polytope, noise, truth, sigma):
    theta = randn(5, *polytope.event_shape, seed=3).requires_grad_()
    sigmas = torch.full((5,), sigma, dtype=torch.float64, requires_grad=True)
    layer = Perturbed(polytope, noise, sigma, samples=11)
    y, slope = torch.autograd.grad(layer.potential(theta, generator(5), sigma=sigmas).sum(), [theta, sigmas])
    assert torch.equal(y, layer(theta, generator(5)))
    z = noise.sample((5, 11, *polytope.event_shape), generator(5), torch.float64)
    solutions = polytope.argmax(theta.unsqueeze(1) + sigma * z)
    assert torch.allclose(slope, (z * solutions).flatten(2).sum(-1).mean(1), rtol=1e-13, atol=1e-13)
    assert torch.allclose(y, solutions.mean(1), rtol=1e-13)
    assert torch.autograd.gradcheck(lambda t, s: layer.potential(t, generator(5), sigma=s), [theta, sigmas], eps=1e-7)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("samples", [1, 2, 5])
def test_products_against_the_formula_in_a_loop(baseline, samples):
    theta, direction = randn(3, 2, 4, seed=1).requires_grad_(), randn(3, 2, 4, seed=2)
    sigma = torch.nn.Parameter(torch.tensor([[0.5, 1.0], [2.0, 0.7], [1.0, 3.0]], dtype=torch.float64))
    noise, polytope = Gumbel(1.3), Subset(4, 2)
    y = Perturbed(polytope, noise, sigma, samples, baseline)(theta, generator(6))
    in_theta, in_sigma = torch.autograd.grad((y * direction).sum(), [theta, sigma])
    z = noise.sample((3, 2, samples, 4), generator(6), torch.float64)
    for a in range(3):
        for b in range(2):
            s = sigma[a, b].item()
            solutions = [polytope.argmax(theta[a, b] + s * z[a, b, m]) for m in range(samples)]
            by_theta, by_sigma = torch.zeros(4, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
            for m in range(samples):
                base = torch.zeros(4, dtype=torch.float64)
                if baseline == "leave_one_out" and samples > 1:
                    base = sum(solutions[i] for i in range(samples) if i != m) / (samples - 1)
                elif baseline is not None:
                    base = polytope.argmax(theta[a, b])
                weight = direction[a, b] @ (solutions[m] - base)
                score = noise.score(z[a, b, m])
                by_theta += weight * score / s / samples
                by_sigma += weight * (z[a, b, m] @ score - 4) / s / samples
            assert torch.allclose(in_theta[a, b], by_theta, rtol=1e-12, atol=1e-12)
            assert torch.allclose(in_sigma[a, b], by_sigma, rtol=1e-12, atol=1e-12)


def test_small_sigma_is_the_argmax_and_large_sigma_forgets_the_scores():
    theta = randn(6, 5, 5, seed=4)
    layer = Perturbed(Matching(5), Normal(), samples=20)
    assert torch.equal(layer(theta, generator(), sigma=1e-9), Matching(5).argmax(theta))
    forgotten = layer(theta, generator(), sigma=1e9)
    assert torch.equal(forgotten, layer(torch.zeros_like(theta), generator(), sigma=1e9))


# Sigma


def test_sigma_of_any_fitting_shape_learns_with_the_sum_of_what_it_touches():
    theta, direction = randn(3, 2, 4, seed=1), randn(3, 2, 4, seed=2)

    def gradient(sigma):
        sigma = sigma.clone().requires_grad_()
        y = Perturbed(Simplex(4), Normal(), samples=5)(theta, generator(1), sigma=sigma)
        return torch.autograd.grad((y * direction).sum(), sigma)[0]

    full = gradient(torch.full((3, 2), 0.5, dtype=torch.float64))
    assert torch.allclose(gradient(torch.tensor(0.5, dtype=torch.float64)), full.sum())
    assert torch.allclose(gradient(torch.full((2,), 0.5, dtype=torch.float64)), full.sum(0))
    assert torch.allclose(gradient(torch.full((3, 1), 0.5, dtype=torch.float64)), full.sum(1, keepdim=True))


def test_a_learned_sigma_is_a_parameter_of_the_layer():
    sigma = torch.nn.Parameter(torch.tensor(0.5))
    layer = Perturbed(Simplex(3), Normal(), sigma, samples=4)
    assert list(layer.parameters()) == [sigma]
    layer.potential(torch.zeros(2, 3), generator()).sum().backward()
    assert sigma.grad is not None
    assert float(sigma.grad) > 0  # more noise, higher maxima
    given = Perturbed(Simplex(3), Normal(), 9.0, samples=4)(torch.ones(2, 3), generator(), sigma=sigma)
    assert torch.equal(given, layer(torch.ones(2, 3), generator()))


# Masks and partial noise


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_mask_leaves_the_problem_of_the_coordinates_that_remain(baseline):
    """Ragged subsets: values and derivatives are those of the smaller problem, and masked scores get no gradient."""
    theta = torch.tensor([0.9, 100.0, 0.2, 0.0, -100.0, -0.7], dtype=torch.float64)
    mask = torch.tensor([True, False, True, True, False, True])
    direction, sigma = randn(6, seed=1), 0.7
    value, y, slope, jacobian, by_sigma = derivatives(partial(integrated, 2, Normal()), theta[mask], sigma)
    layer = Perturbed(Subset(6, 2), Normal(), sigma, 4, baseline)
    many = theta.expand(8000, 6).clone().requires_grad_()
    sigmas = torch.full((8000,), sigma, dtype=torch.float64, requires_grad=True)
    found = layer(many, generator(1), mask, sigmas)
    in_theta, in_sigma = torch.autograd.grad((found * direction).sum(), [many, sigmas])
    assert_mean(found.detach()[:, mask], y)
    assert_mean(in_theta[:, mask], jacobian @ direction[mask])
    assert_mean(in_sigma, (direction[mask] * by_sigma).sum())
    assert not found[:, ~mask].any()
    assert not in_theta[:, ~mask].any()
    potential = layer.potential(many, generator(2), mask, sigmas)
    assert_mean(potential.detach(), value)
    assert_mean(torch.autograd.grad(potential.sum(), sigmas)[0], slope)
    product = Perturbed(Subset(6, 2), Normal(), sigma, 20_000).estimate_product(theta, direction, generator(3), mask)
    assert_within(product, torch.zeros(6).double().masked_scatter(mask, jacobian @ direction[mask]))


def test_ragged_masks_in_a_batch_are_those_of_a_loop():
    theta, direction = randn(3, 4, 6, seed=1).requires_grad_(), randn(3, 4, 6, seed=2)
    mask = torch.arange(6) < torch.tensor([[2, 3, 4, 5], [6, 2, 3, 6], [2, 2, 6, 4]]).unsqueeze(-1)
    for baseline in BASELINES:
        layer = Perturbed(Subset(6, 2), Gumbel(), 0.5, 7, baseline)
        y = layer(theta, [generator(s) for s in range(3)], mask)
        (gradient,) = torch.autograd.grad((y * direction).sum(), theta)
        for r in range(3):
            for i in range(4):
                one = theta[r, i].detach().clone().requires_grad_()
                stream = generator(r)
                Gumbel().sample((i * 7 * 6,), stream, torch.float64)  # what the items before it took
                alone = layer(one, stream, mask[r, i])
                assert torch.equal(alone, y[r, i])
                (own,) = torch.autograd.grad((alone * direction[r, i]).sum(), one)
                assert torch.allclose(own, gradient[r, i], rtol=1e-12, atol=1e-14)


def half_noisy(theta, sigma):
    """``E max(theta_0 + sigma Z_0, theta_1 + sigma Z_1, theta_2) = theta_2 + int_theta_2^inf 1 - P(both below t)``."""
    step = torch.linspace(0, 1, 8001, dtype=torch.float64) ** 2 * 30
    below = torch.special.ndtr((theta[2] + step - theta[0]) / sigma) * torch.special.ndtr(
        (theta[2] + step - theta[1]) / sigma
    )
    return theta[2] + torch.trapezoid(1 - below, step)


@pytest.mark.parametrize("baseline", BASELINES)
def test_noise_on_some_coordinates_only(baseline):
    theta, sigma = torch.tensor([0.1, -0.3, 0.4], dtype=torch.float64), 0.7
    direction = randn(3, seed=2)
    value, y, slope, _, by_sigma = derivatives(half_noisy, theta, sigma)
    layer = Perturbed(Simplex(3), Normal(), sigma, 4, baseline, torch.tensor([True, True, False]))
    many = theta.expand(10_000, 3).clone().requires_grad_()
    sigmas = torch.full((10_000,), sigma, dtype=torch.float64, requires_grad=True)
    potential = layer.potential(many, generator(1), sigma=sigmas)
    found, slopes = torch.autograd.grad(potential.sum(), [many, sigmas])
    assert_mean(potential.detach(), value)
    assert_mean(found, y)
    assert_mean(slopes, slope)
    assert torch.equal(layer(many, generator(1), sigma=sigmas), found)
    moved = layer(many.detach(), generator(2), sigma=sigmas)
    assert_mean(torch.autograd.grad((moved * direction).sum(), sigmas)[0], (direction * by_sigma).sum())


def test_the_maximiser_has_no_derivative_in_scores_without_noise():
    layer = Perturbed(Simplex(3), samples=2, noisy=torch.tensor([True, True, False]))
    theta = torch.zeros(3, requires_grad=True)
    with pytest.raises(ValueError, match="noisy leaves scores without noise"):
        layer(theta, generator()).sum().backward()
    with pytest.raises(ValueError, match="noisy leaves scores without noise"):
        layer.estimate_product(theta, torch.ones(3), generator())
    everywhere = Perturbed(Simplex(3), samples=2, noisy=torch.tensor([True, True, True]))
    everywhere(theta, generator())[0].backward()


# Replicas, blocks, memory


class Counted(Subset):
    """Counts the problems that it solves."""

    def __init__(self, n, k):
        super().__init__(n, k)
        self.solved = 0

    def _argmax(self, theta, mask):
        self.solved += theta[..., 0].numel()
        return super()._argmax(theta, mask)


def test_the_first_derivative_of_the_potential_computes_no_products(monkeypatch):
    layer = Perturbed(Subset(5, 2), samples=10)
    monkeypatch.setattr(layer, "_pull", None)
    layer.potential(torch.randn(3, 5, requires_grad=True), generator()).sum().backward()


@pytest.mark.parametrize(("baseline", "more"), [("leave_one_out", 0), ("maximiser", 6), (None, 0)])
def test_a_backward_pass_solves_nothing_again(baseline, more):
    polytope = Counted(5, 2)
    y = Perturbed(polytope, Normal(), 1.0, 10, baseline)(torch.randn(2, 3, 5, requires_grad=True), generator())
    assert polytope.solved == 60
    y.sum().backward()
    assert polytope.solved == 60 + more


def test_what_is_kept_for_the_backward_pass_is_the_noise_and_the_solutions():
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    theta = torch.randn(7, 6, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = Perturbed(Subset(6, 2), Normal(), 1.0, 500)(theta, generator())
    assert sum(kept.values()) <= 4 * (2 * 500 * theta.numel() + 2 * theta.numel())
    y.sum().backward()


@pytest.mark.parametrize(
    "polytope", [Matching(3), Subset(6, 2), Permutahedron(5)], ids=lambda polytope: type(polytope).__name__
)
def test_replicas_have_the_same_bits_alone_and_together_and_on_any_number_of_threads(polytope, monkeypatch):
    theta, direction = (randn(6, 5, *polytope.event_shape, seed=s).float() for s in (1, 2))
    layer = Perturbed(polytope, Gumbel(), 0.5, samples=7)

    def outcome(rows):
        some = theta[rows].clone().requires_grad_()
        sigma = torch.full((len(rows), 5), 0.4, requires_grad=True)
        y = layer(some, [generator(r) for r in rows], sigma=sigma)
        F = layer.potential(some, [generator(r) for r in rows], sigma=sigma)
        value = (y * direction[rows]).sum() + F.sum()
        return [y.detach(), F.detach(), *torch.autograd.grad(value, [some, sigma])]

    together = outcome(range(6))
    for rows in ([2], [5, 0], [4, 1, 3]):
        for alone, all_of_them in zip(outcome(rows), together, strict=True):
            assert torch.equal(alone, all_of_them[rows])
    monkeypatch.setattr(_perturbation, "BLOCK", 100)
    for threads in (1, 2):
        set_threads(threads)
        for found, before in zip(outcome(range(6)), together, strict=True):
            assert torch.equal(found, before)


def test_replicas_are_independent():
    theta = torch.zeros(4, 2000, 3, dtype=torch.float64)
    y = Perturbed(Simplex(3), Normal())(theta, [generator(s) for s in (1, 2, 3, 1)])
    assert torch.equal(y[0], y[3])
    correlation = torch.corrcoef(y[:3, :, 0])
    assert (correlation - torch.eye(3)).abs().max() < 5 / 2000**0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("leading", [(), (0,), (1,), (2, 3), (4, 0, 2)])
def test_shapes_and_dtypes(leading, dtype):
    layer = Perturbed(Matching(3), samples=3)
    theta = torch.randn(*leading, 3, 3, dtype=dtype, requires_grad=True)
    y, F = layer(theta, generator()), layer.potential(theta, generator())
    assert y.shape == theta.shape
    assert F.shape == leading
    assert y.dtype == F.dtype == dtype
    (y.sum() + F.sum()).backward()
    assert theta.grad is not None
    assert theta.grad.shape == theta.shape
    if not theta.numel():
        return
    for part in (*layer.estimate(theta, generator()), *layer.estimate_product(theta, torch.ones(3, 3), generator())):
        assert part.shape == theta.shape


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": 0.0}, "sigma must be positive and finite, not 0.0"),
        ({"sigma": torch.tensor([1.0, -1.0])}, r"sigma of shape \(2,\) must be positive"),
        ({"samples": 0}, "samples must be at least 1, not 0"),
        ({"baseline": "mean"}, "baseline must be 'leave_one_out', 'maximiser' or None, not 'mean'"),
        (
            {"noise": NegativeExponential()},
            "noise must have a density that is positive and smooth everywhere, unlike Neg",
        ),
        ({"noisy": torch.ones(4, dtype=torch.bool)}, r"noisy of shape \(4,\).* event's shape \(3,\)"),
        ({"noisy": torch.ones(3)}, r"noisy of shape \(3,\), torch.float32 must be boolean"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Perturbed(Subset(3, 1), **arguments)


@pytest.mark.parametrize(
    ("theta", "arguments", "message"),
    [
        (torch.zeros(2, 4), {}, r"theta must end in \(3,\), not \(2, 4\)"),
        (torch.full((3,), math.nan), {}, "NaN or infinite"),
        (torch.zeros(2, 3), {"generator": None}, "generator must be given"),
        (torch.zeros(2, 3), {"generator": [generator()]}, r"1 generators do not fit .* shape \(2, 1, 3\)"),
        (
            torch.zeros(3),
            {"generator": [generator()]},
            r"theta of shape \(3,\) has no first dimension for 1 generators",
        ),
        (torch.zeros(2, 3), {"sigma": torch.ones(3)}, r"sigma of shape \(3,\) does not fit theta of shape \(2, 3\)"),
        (torch.zeros(3), {"sigma": torch.ones(2)}, r"sigma of shape \(2,\) does not fit theta of shape \(3,\)"),
        (torch.zeros(2, 3), {"sigma": -1.0}, "sigma must be positive and finite, not -1.0"),
        (torch.zeros(2, 3), {"mask": torch.zeros(3, dtype=torch.bool)}, "leaves no subset"),
    ],
)
def test_bad_calls_are_named(theta, arguments, message):
    layer = Perturbed(Subset(3, 1))
    for call in (layer, layer.potential, layer.estimate):
        with pytest.raises(ValueError, match=message):
            call(theta, **({"generator": generator()} | arguments))


@pytest.mark.parametrize("sigma", [1.0, torch.ones(3, requires_grad=True)], ids=["fixed", "learned"])
def test_a_second_derivative_of_the_maximiser_is_refused(sigma):
    """And not silently zero, where the direction is constant or the rest of a loss has a gradient."""
    theta = torch.zeros(3, 3, requires_grad=True)
    y = Perturbed(Subset(3, 1), samples=4)(theta, generator(), sigma=sigma)
    for value in (y[:, 0].sum(), (y**2).sum()):
        (first,) = torch.autograd.grad(value, theta, create_graph=True)
        with pytest.raises(RuntimeError, match="can be differentiated once, its potential twice"):
            ((first**2).sum() + (theta**2).sum()).backward()


def test_a_third_derivative_of_the_potential_is_refused():
    theta = torch.zeros(3, requires_grad=True)
    potential = Perturbed(Subset(3, 1), samples=4).potential(theta, generator())
    (first,) = torch.autograd.grad(potential, theta, create_graph=True)
    (second,) = torch.autograd.grad(first[0], theta, create_graph=True)
    with pytest.raises(RuntimeError, match="can be differentiated once, its potential twice"):
        second.sum().backward()
