"""Means of functions of the perturbed solution against enumeration: Gumbel noise on a simplex draws from a softmax."""

import math

import pytest
import torch
from torch import nn

from structgrad.layers import Perturbed, PerturbedExpectation, PerturbedMultiplicative
from structgrad.noise import Gumbel, Logistic, Normal
from structgrad.parallel import set_threads
from structgrad.polytopes import Hypercube, Matching, Permutahedron, Simplex, Subset

BASELINES = ["leave_one_out", "maximiser", None]
THETA = torch.tensor([0.9, 0.2, 0.0, -0.7], dtype=torch.float64)
TABLE = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def table(y):
    """An arbitrary value of shape (2, 3) for each of four structures, not linear in them, without a derivative."""
    return TABLE[y.argmax(-1)]


def assert_mean(draws, truth):
    """The mean over the first dimension lies within five standard errors of the truth."""
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - truth).abs() <= 5 * error + 1e-9).all(), (draws.mean(0) - truth) / error


def repeated(items, sigma):
    theta = THETA.expand(items, 4).clone().requires_grad_()
    return theta, torch.full((items,), sigma, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize(("samples", "items"), [(1, 20_000), (2, 20_000), (9, 5000)])
def test_value_and_derivatives_are_those_of_enumeration(baseline, samples, items):
    sigma, direction = 0.7, randn(2, 3, seed=1)
    leaf, scale = THETA.clone().requires_grad_(), torch.tensor(sigma, dtype=torch.float64, requires_grad=True)
    truth = torch.einsum("i,ijk->jk", torch.softmax(leaf / scale, -1), TABLE)
    slopes = torch.autograd.grad((truth * direction).sum(), [leaf, scale])
    layer = PerturbedExpectation(Perturbed(Simplex(4), Gumbel(), sigma, samples, baseline), table)
    theta, sigmas = repeated(items, sigma)
    found = layer(theta, generator(samples), sigma=sigmas)
    assert found.shape == (items, 2, 3)
    assert_mean(found.detach(), truth.detach())
    for ours, exact in zip(torch.autograd.grad((found * direction).sum(), [theta, sigmas]), slopes, strict=True):
        assert_mean(ours, exact)


@pytest.mark.parametrize("baseline", BASELINES)
def test_what_the_function_learns_has_the_gradient_through_its_values(baseline):
    items = 4000
    network = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    layer = PerturbedExpectation(Perturbed(Simplex(4), Gumbel(), 0.7, 5, baseline), network)
    assert len(list(layer.parameters())) == 4
    leaf = THETA.clone().requires_grad_()
    exact = (torch.softmax(leaf / 0.7, -1) * network(torch.eye(4).double()).squeeze(-1)).sum()
    wanted = torch.autograd.grad(exact, [leaf, *network.parameters()])
    draws = []
    for part in range(40):
        theta = THETA.expand(items // 40, 4).clone().requires_grad_()
        found = layer(theta, generator(part)).squeeze(-1)
        in_theta, *in_network = torch.autograd.grad(found.mean(), [theta, *network.parameters()])
        draws.append(torch.cat([in_theta.sum(0), *(g.flatten() for g in in_network)]))
    assert_mean(torch.stack(draws), torch.cat([g.flatten() for g in wanted]))


def test_the_gradient_of_parameters_is_that_of_autograd_for_the_same_draws():
    weight = randn(4, 2, seed=3).requires_grad_()
    perturbed, theta = Perturbed(Simplex(4), Gumbel(), 0.7, 6), randn(5, 4, seed=4)
    seen = []

    def function(y):
        seen.append(y)
        return torch.tanh(y @ weight)

    direction = randn(5, 2, seed=5)
    found = PerturbedExpectation(perturbed, function)(theta, generator())
    (ours,) = torch.autograd.grad((found * direction).sum(), weight)
    plain = torch.tanh(seen[0] @ weight).mean(1)
    assert torch.allclose(found, plain, rtol=1e-14)
    assert torch.allclose(ours, torch.autograd.grad((plain * direction).sum(), weight)[0], rtol=1e-13)


@pytest.mark.parametrize("baseline", ["leave_one_out", None])
@pytest.mark.parametrize(
    "layer", [Perturbed(Matching(3), Normal(), 0.5, 6), PerturbedMultiplicative(Matching(3), 0.5, 6)], ids=["+", "*"]
)
def test_the_identity_gives_the_layer_itself(layer, baseline):
    layer.baseline = baseline
    theta, direction = randn(4, 5, 3, 3), randn(4, 5, 3, 3, seed=1)
    outcomes = []
    for call in (layer, PerturbedExpectation(layer, lambda y: y)):
        scores = theta.clone().requires_grad_()
        sigma = torch.full((4, 5), 0.6, dtype=torch.float64, requires_grad=True)
        y = call(scores, generator(2), sigma=sigma)
        outcomes.append([y.detach(), *torch.autograd.grad((y * direction).sum(), [scores, sigma])])
    assert all(map(torch.equal, *outcomes))


@pytest.mark.parametrize("baseline", BASELINES)
def test_derivatives_are_the_formula_of_the_draws(baseline):
    theta, direction = randn(5, 4).requires_grad_(), randn(5, 2, 3, seed=1)
    sigma = torch.full((5,), 0.6, dtype=torch.float64, requires_grad=True)
    found = PerturbedExpectation(Perturbed(Simplex(4), samples=7, baseline=baseline), table)(
        theta, generator(), sigma=sigma
    )
    slopes = torch.autograd.grad((found * direction).sum(), [theta, sigma])
    z = Normal().sample((5, 7, 4), generator(), torch.float64)
    value = (table(Simplex(4).argmax(theta.detach().unsqueeze(1) + 0.6 * z)) * direction.unsqueeze(1)).sum((-2, -1))
    if baseline == "leave_one_out":
        value = value - (value.sum(1, keepdim=True) - value) / 6
    elif baseline == "maximiser":
        value = value - (table(Simplex(4).argmax(theta)) * direction).sum((-2, -1)).unsqueeze(1)
    assert torch.allclose(slopes[0], (value.unsqueeze(-1) * z).mean(1) / 0.6, rtol=1e-12)
    assert torch.allclose(slopes[1], (value * ((z * z).sum(-1) - 4)).mean(1) / 0.6, rtol=1e-12)


@pytest.mark.parametrize("noise", [Normal(), Logistic()], ids=str)
def test_the_indicator_of_an_order_against_its_closed_form(noise):
    """``P(u_0 < u_1)``: of normal noise the normal distribution, of logistic noise by integration."""
    a, b, sigma, items = 0.3, 0.5, 0.8, 30_000
    leaf, scale = torch.tensor([a, b]).double().requires_grad_(), torch.tensor(sigma).double().requires_grad_()
    if isinstance(noise, Normal):
        truth = torch.special.ndtr((leaf[1] - leaf[0]) / (scale * math.sqrt(2)))
    else:
        z = torch.linspace(-40, 40, 20_001, dtype=torch.float64)
        truth = torch.trapezoid(noise.log_density(z).exp() * torch.sigmoid((leaf[1] - leaf[0]) / scale + z), z)
    slopes = torch.autograd.grad(truth, [leaf, scale])
    layer = PerturbedExpectation(
        Perturbed(Permutahedron(2), noise, samples=4), lambda y: (y[..., 0] < y[..., 1]).to(y.dtype)
    )
    theta = leaf.detach().expand(items, 2).clone().requires_grad_()
    sigmas = torch.full((items,), sigma, dtype=torch.float64, requires_grad=True)
    found = layer(theta, generator(1), sigma=sigmas)
    assert found.shape == (items,)
    assert_mean(found.detach(), truth.detach())
    for ours, exact in zip(torch.autograd.grad(found.sum(), [theta, sigmas]), slopes, strict=True):
        assert_mean(ours, exact)


def test_over_noise_that_multiplies():
    """Of two costs the probability that the first is smaller, squared and shifted by a function of the choice."""
    theta, sigma, items = torch.tensor([-1.0, -1.3], dtype=torch.float64), 0.6, 30_000
    leaf, scale = theta.clone().requires_grad_(), torch.tensor(sigma).double().requires_grad_()
    p = torch.special.ndtr((leaf[1] / leaf[0]).log() / (scale * math.sqrt(2)))
    truth = 4 * p - 3 * (1 - p)
    slopes = torch.autograd.grad(truth, [leaf, scale])
    layer = PerturbedExpectation(PerturbedMultiplicative(Simplex(2), samples=4), lambda y: 7 * y[..., 0] ** 3 - 3)
    many = theta.expand(items, 2).clone().requires_grad_()
    sigmas = torch.full((items,), sigma, dtype=torch.float64, requires_grad=True)
    found = layer(many, generator(1), sigma=sigmas)
    assert_mean(found.detach(), truth.detach())
    for ours, exact in zip(torch.autograd.grad(found.sum(), [many, sigmas]), slopes, strict=True):
        assert_mean(ours, exact)


def test_the_leave_one_out_baseline_takes_the_level_of_the_function_away():
    theta = randn(4000, 4)
    spread = {}
    for baseline in BASELINES:
        layer = PerturbedExpectation(
            Perturbed(Simplex(4), samples=8, baseline=baseline), lambda y: table(y)[..., 0, 0] + 50
        )
        scores = theta[:1].expand(4000, 4).clone().requires_grad_()
        spread[baseline] = float(torch.autograd.grad(layer(scores, generator()).sum(), scores)[0].var(0).sum())
    assert spread["leave_one_out"] < spread[None] / 100
    assert spread["maximiser"] < spread[None] / 100


def test_estimates_are_calibrated():
    layer = PerturbedExpectation(Perturbed(Simplex(4), Gumbel(), samples=200), table)
    estimate = layer.estimate(THETA.expand(2000, 4), generator(1))
    assert torch.allclose(estimate.value, layer(THETA.expand(2000, 4), generator(1)), atol=1e-14)
    truth = torch.einsum("i,ijk->jk", torch.softmax(THETA, -1), TABLE)
    z = (estimate.value - truth) / estimate.standard_error
    assert ((z.var(0) - 1).abs() < 0.2).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("leading", [(), (0,), (3,), (2, 3), (4, 0, 2)])
def test_the_function_sees_all_solutions_at_once(leading, dtype):
    seen = []

    def function(y):
        seen.append(y)
        return y.sum((-2, -1)) ** 2

    theta = randn(*leading, 3, 3).to(dtype).requires_grad_()
    layer = PerturbedExpectation(Perturbed(Matching(3), samples=5), function)
    found = layer(theta, generator())
    assert len(seen) == 1
    assert (seen[0].shape, seen[0].dtype) == ((*leading, 5, 3, 3), dtype)
    assert (found.shape, found.dtype) == (leading, dtype)
    found.sum().backward()
    assert theta.grad is not None
    assert theta.grad.shape == theta.shape


def test_masks_and_items_of_their_own():
    """A function that knows the items, a mask per item; masked scores have no slope."""
    theta, prices = randn(6, 5).requires_grad_(), randn(6, 1, 5, seed=2)
    mask = torch.rand(6, 5, generator=generator(1)) < 0.6
    mask[:, :2] = True

    def outcome(rows):
        layer = PerturbedExpectation(Perturbed(Subset(5, 2), samples=30), lambda y: (y * prices[rows]).sum(-1).relu())
        found = layer(theta[rows], [generator(row) for row in rows], mask[rows])
        return found, torch.autograd.grad(found.sum(), theta)[0][rows]

    found, gradient = outcome(range(6))
    assert (gradient[~mask] == 0).all()
    assert (gradient[mask] != 0).any()
    for row in range(6):
        alone, slope = outcome([row])
        assert torch.equal(alone[0], found[row])
        assert torch.equal(slope[0], gradient[row])


def test_what_is_refused():
    perturbed, theta = Perturbed(Simplex(4), samples=3), torch.zeros(2, 4, requires_grad=True)
    for function, message in (
        (lambda y: y.sum(), r"function\(y\) of shape \(\) .* must be floating point and begin with \(2, 3\)"),
        (lambda y: y.mean(1), r"function\(y\) of shape \(2, 4\)"),
        (lambda y: y.argmax(-1), r"torch.int64 must be floating point"),
    ):
        with pytest.raises(ValueError, match=message):
            PerturbedExpectation(perturbed, function)(theta, generator())
    with pytest.raises(TypeError, match=r"^function\(y\) must be a tensor, not float$"):
        PerturbedExpectation(perturbed, lambda y: 1.0)(theta, generator())  # pyright: ignore[reportArgumentType]
    noisy = Perturbed(Simplex(4), samples=3, noisy=torch.tensor([True, True, True, False]))
    with pytest.raises(ValueError, match="noisy leaves scores without noise"):
        PerturbedExpectation(noisy, lambda y: y)(theta, generator()).sum().backward()


def test_second_derivatives_are_refused():
    """Also in the function's own parameters: what they change of the slope in theta would be missing."""
    theta, weight = torch.zeros(2, 4, requires_grad=True), torch.ones(4, requires_grad=True)
    found = PerturbedExpectation(Perturbed(Simplex(4), samples=3), lambda y: (y * weight).sum(-1) ** 2)(
        theta, generator()
    )
    for first in torch.autograd.grad(found.sum(), [theta, weight], create_graph=True):
        with pytest.raises(RuntimeError, match="can be differentiated once"):
            first.square().sum().backward(retain_graph=True)


@pytest.mark.parametrize("baseline", ["leave_one_out", "maximiser"])
def test_values_and_their_mean_are_finite(baseline):
    theta = torch.zeros(3, 2, requires_grad=True)
    steep = PerturbedExpectation(Perturbed(Hypercube(2), sigma=1e-3, samples=4, baseline=baseline), lambda y: y * 1e37)
    with pytest.raises(ValueError, match="has a derivative beyond float32"):
        steep(theta, torch.Generator().manual_seed(0)).sum().backward()
    layer = Perturbed(Hypercube(2), samples=4, baseline=baseline)
    with pytest.raises(ValueError, match=r"^function\(y\) of shape .* holds NaN or infinite values"):
        PerturbedExpectation(layer, lambda y: y.sum(-1) * torch.nan)(torch.ones(3, 2), torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"^theta of shape \(3, 2\) has a mean of function\(y\) beyond float16"):
        PerturbedExpectation(layer, lambda y: y.float().sum(-1) * 1e5 + 1e5)(
            torch.ones(3, 2, dtype=torch.float16), torch.Generator().manual_seed(0)
        )
