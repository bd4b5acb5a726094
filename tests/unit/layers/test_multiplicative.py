"""Noise that multiplies, against numerical integration with lognormal scores, closed forms, and its own potential."""

import math

import pytest
import torch
from torch.autograd.functional import hessian

from structgrad.layers import Perturbed, PerturbedMultiplicative, _perturbation, multiplicative
from structgrad.losses import FenchelYoung, SquaredError
from structgrad.parallel import set_threads
from structgrad.polytopes import BlackBox, GridPath, Hypercube, Matching, Simplex, SpanningTree, Subset

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


def costs(*shape, seed=0):
    return -0.2 - torch.rand(*shape, generator=generator(seed), dtype=torch.float64)


def assert_mean(draws, truth):
    """The mean over the first dimension lies within five standard errors of the truth."""
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - truth).abs() <= 5 * error + 1e-9).all(), (draws.mean(0) - truth) / error


# Truths: one of several, all scores of one sign


def probabilities(theta, sigma):
    """That each is chosen: over its own factor, all others are smaller (costs: larger)."""
    z = torch.linspace(-9, 9, 2001, dtype=torch.float64)
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    size = theta.abs().log()
    sign = theta.detach().sign()[0]
    found = []
    for i in range(len(theta)):
        others = [
            torch.special.ndtr(sign * (size[i] + sigma * z - size[j]) / sigma) for j in range(len(theta)) if j != i
        ]
        found.append(torch.trapezoid(density * math.prod(others), z))
    return torch.stack(found)


def largest(theta, sigma):
    """``E max_i theta_i X_i``: with ``E theta_i X_i [i is best]`` the density of ``theta_i X_i`` is tilted by sigma."""
    z = torch.linspace(-9, 9, 2001, dtype=torch.float64)
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    size, sign = theta.abs().log(), theta.detach().sign()[0]
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(theta)):
        own = size[i] + sigma * (z + sigma)
        others = [torch.special.ndtr(sign * (own - size[j]) / sigma) for j in range(len(theta)) if j != i]
        total = total + theta[i] * torch.trapezoid(density * math.prod(others), z)
    return total


SCORES = [[0.5, 0.9, 0.7], [-0.5, -0.9, -0.7], [-1.0, -1.3], [2.0, 3.0, 4.0, 5.0]]
SIGMAS = [0.4, 1.0]
truths = pytest.mark.parametrize("sigma", SIGMAS)
of_scores = pytest.mark.parametrize("theta", [torch.tensor(s, dtype=torch.float64) for s in SCORES], ids=str)


def test_the_truth_is_margrabes_formula():
    """``E max(A, B)`` of two lognormals (Margrabe 1978)."""
    a, b, sigma = 1.3, 0.8, 0.5
    width = sigma * math.sqrt(2)
    d = math.log(a / b) / width + width / 2
    phi = lambda x: 0.5 * math.erfc(-x / math.sqrt(2))  # noqa: E731
    expected = b + a * phi(d) - b * phi(d - width)
    theta = torch.tensor([a, b], dtype=torch.float64)
    assert float(largest(theta, torch.tensor(sigma))) == pytest.approx(expected, abs=1e-9)
    assert float(largest(-theta, torch.tensor(sigma))) == pytest.approx(expected - a - b, abs=1e-9)


@of_scores
@truths
def test_value_and_slopes_of_the_potential(theta, sigma):
    items = 30_000
    scale = torch.tensor(sigma, dtype=torch.float64, requires_grad=True)
    leaf = theta.clone().requires_grad_()
    value = largest(leaf, scale)
    slopes = torch.autograd.grad(value, [leaf, scale])
    many = theta.expand(items, -1).clone().requires_grad_()
    sigmas = torch.full((items,), sigma, dtype=torch.float64, requires_grad=True)
    layer = PerturbedMultiplicative(Simplex(len(theta)), samples=2)
    found = layer.potential(many, generator(1), sigma=sigmas)
    assert_mean(found.detach(), value.detach())
    for part, truth in zip(torch.autograd.grad(found.sum(), [many, sigmas]), slopes, strict=True):
        assert_mean(part, truth)
    estimate = PerturbedMultiplicative(Simplex(len(theta)), sigma, 60_000).estimate_potential(theta, generator(2))
    assert (estimate.value - value).abs() < 5 * estimate.standard_error


@pytest.mark.parametrize("baseline", BASELINES)
@of_scores
@truths
def test_derivatives_of_the_mean_solution(theta, sigma, baseline):
    items, direction = 20_000, randn(len(theta), seed=3)
    scale = torch.tensor(sigma, dtype=torch.float64, requires_grad=True)
    leaf = theta.clone().requires_grad_()
    p = probabilities(leaf, scale)
    slopes = torch.autograd.grad((p * direction).sum(), [leaf, scale])
    layer = PerturbedMultiplicative(Simplex(len(theta)), samples=3, baseline=baseline)
    many = theta.expand(items, -1).clone().requires_grad_()
    sigmas = torch.full((items,), sigma, dtype=torch.float64, requires_grad=True)
    y = layer(many, generator(1), sigma=sigmas)
    assert_mean(y.detach(), p.detach())
    for part, truth in zip(torch.autograd.grad((y * direction).sum(), [many, sigmas]), slopes, strict=True):
        assert_mean(part, truth)
    product = PerturbedMultiplicative(Simplex(len(theta)), sigma, 60_000, baseline).estimate_product(
        theta, direction, generator(2)
    )
    assert ((product.value - slopes[0]).abs() < 5 * product.standard_error).all()


@of_scores
def test_second_derivatives_of_the_potential(theta):
    """In theta twice, and in theta and then sigma; in sigma and then anything it is refused, not silently zero."""
    sigma, items, direction = 0.7, 20_000, randn(len(theta), seed=4)
    curve = hessian(lambda t, s: largest(t, s), (theta, torch.tensor(sigma, dtype=torch.float64)))
    many = theta.expand(items, -1).clone().requires_grad_()
    sigmas = torch.full((items,), sigma, dtype=torch.float64, requires_grad=True)
    layer = PerturbedMultiplicative(Simplex(len(theta)), samples=4)
    value = layer.potential(many, generator(5), sigma=sigmas)
    first, slope = torch.autograd.grad(value.sum(), [many, sigmas], create_graph=True)
    twice, mixed = torch.autograd.grad((first * direction).sum(), [many, sigmas])
    assert_mean(twice, curve[0][0] @ direction)
    assert_mean(mixed, (curve[0][1].flatten() * direction).sum())
    with pytest.raises(RuntimeError, match="derivative in sigma is not differentiated again"):
        torch.autograd.grad(slope.sum(), many)


def test_matchings_against_enumeration():
    theta, direction, sigma, count = costs(3, 3), randn(3, 3, seed=1), 0.5, 100_000
    vertices = Matching(3).vertices()
    z = randn(count, 3, 3, seed=2)
    factor = torch.exp(sigma * z - sigma**2 / 2)
    y = vertices[((theta * factor).flatten(1) @ vertices.flatten(1).T).argmax(-1)]
    weight = (direction * (y - Matching(3).argmax(theta))).flatten(1).sum(-1)
    stretch = (z * z - 1 - sigma * z).flatten(1).sum(-1)
    truth = [y, factor * y, weight.view(-1, 1, 1) * z / (sigma * theta), weight * stretch / sigma]
    layer, many = PerturbedMultiplicative(Matching(3), samples=10), theta.expand(8000, 3, 3).clone().requires_grad_()
    sigmas = torch.full((8000,), sigma, dtype=torch.float64, requires_grad=True)
    found = layer(many, generator(3), sigma=sigmas)
    slopes = torch.autograd.grad((found * direction).sum(), [many, sigmas])
    (gradient,) = torch.autograd.grad(layer.potential(many, generator(4), sigma=sigmas).sum(), many)
    for ours, other in zip((found.detach(), gradient, *slopes), truth, strict=True):
        error = (ours.var(0) / len(ours) + other.var(0) / count).sqrt()
        assert ((ours.mean(0) - other.mean(0)).abs() < 5 * error + 1e-12).all()


# The loss


def test_over_grid_paths_the_slope_of_the_loss_is_its_gradient():
    """The additive layer refuses this; and in theta the loss is convex, draw by draw."""
    theta, other = costs(6, 4, 4), costs(6, 4, 4, seed=1)
    target = GridPath(4, 4).argmax(costs(6, 4, 4, seed=2))
    loss = FenchelYoung(PerturbedMultiplicative(GridPath(4, 4), 0.8, samples=20))
    with pytest.raises(ValueError, match=r"no potential over GridPath: .* take PerturbedMultiplicative"):
        FenchelYoung(Perturbed(GridPath(4, 4), sigma=0.8, samples=20))(theta, target, generator())
    theta.requires_grad_()
    value = loss(theta, target, generator())
    (gradient,) = torch.autograd.grad(value.sum(), theta)
    step = 1e-7 * randn(6, 4, 4, seed=3)
    above, below = (loss(theta.detach() + s, target, generator()) for s in (step, -step))
    assert torch.allclose((above - below) / 2, (gradient * step).flatten(1).sum(1), rtol=1e-5, atol=1e-13)
    tangent = value.detach() + (gradient * (other - theta.detach())).flatten(1).sum(1)
    assert (loss(other, target, generator()) >= tangent - 1e-12).all()
    assert (loss(other, target, generator(1)) != loss(other, target, generator())).any()


def test_fenchel_young_learns_costs_that_keep_their_sign():
    features, teacher = torch.rand(40, 4, 4, 5, generator=generator(1)), torch.tensor([0.1, 2.0, 0.5, 1.0, 0.2])
    labels, weights = GridPath(4, 4).argmax(-(features @ teacher)), torch.zeros(5, requires_grad=True)
    loss, adam = FenchelYoung(PerturbedMultiplicative(GridPath(4, 4), 0.3, 10)), torch.optim.Adam([weights], lr=0.1)

    def scores():
        return -(features @ torch.softmax(weights, 0))  # of one size: zero costs would minimise the loss too

    draws = generator(2)
    for _ in range(40):
        adam.zero_grad()
        loss(scores(), labels, draws).mean().backward()
        adam.step()
    assert (GridPath(4, 4).argmax(scores().detach()) == labels).float().mean() > 0.95


def test_the_potential_is_homogeneous_and_its_conjugate_zero():
    theta = randn(7, 6)
    layer = PerturbedMultiplicative(SpanningTree(4), 0.5, samples=40_000)
    values = [layer.potential(theta, generator(1)) for _ in range(2)]
    assert torch.equal(*values)
    assert torch.equal(layer.potential(4 * theta, generator(1)), 4 * values[0])
    assert torch.equal(layer(4 * theta, generator(1)), layer(theta, generator(1)))
    conjugate = layer.conjugate(SpanningTree(4).argmax(theta))
    assert conjugate is not None
    assert torch.equal(conjugate, torch.zeros(7).double())
    best = (theta * SpanningTree(4).argmax(theta)).sum(1)
    assert (values[0] > best - 0.05).all()
    assert (FenchelYoung(layer)(theta, SpanningTree(4).argmax(randn(7, 6, seed=1)), generator(1)) > -0.05).all()


def test_signs_are_kept():
    """Of the coordinates of a cube each one's sign decides, whatever the noise; and that has no slope."""
    theta = randn(500, 6).requires_grad_()
    y = PerturbedMultiplicative(Hypercube(6), 3.0, samples=9)(theta, generator(1))
    assert torch.equal(y, Hypercube(6).argmax(theta))
    (gradient,) = torch.autograd.grad(y.sum(), theta)
    assert gradient.abs().max() == 0  # the leave-one-out baseline is the value itself
    squared = SquaredError(PerturbedMultiplicative(Simplex(3), 0.5, samples=20))
    scores = torch.full((3,), -1.0, requires_grad=True)
    squared(scores, torch.tensor([1.0, 0.0, 0.0]), generator(2)).backward()
    assert scores.grad is not None
    assert scores.grad[0] < 0


# Zeros, masks, sizes


def test_a_score_of_zero_has_a_slope_of_the_potential_and_none_of_the_solution():
    """One of three at -1, 0 and -1: the second is always the best; at -1 and 0 against 1 it never is."""
    theta = torch.tensor([[-1.0, 0.0, -1.0], [-1.0, 0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    layer = PerturbedMultiplicative(Simplex(3), 0.5, samples=50_000)
    F = layer.potential(theta, generator())
    (gradient,) = torch.autograd.grad(F.sum(), theta)
    assert gradient[0].tolist() == pytest.approx([0.0, 1.0, 0.0], abs=0.02)  # E X y = E X = 1
    assert gradient[1].tolist() == pytest.approx([0.0, 0.0, 1.0], abs=0.02)
    assert F.tolist() == pytest.approx([0.0, 1.0], abs=0.02)
    y = layer(theta, generator())
    with pytest.raises(ValueError, match="theta holds scores of zero, which noise that multiplies does not move"):
        y.sum().backward()
    with pytest.raises(ValueError, match="theta holds scores of zero"):
        layer.estimate_product(theta.detach(), torch.ones(3), generator())
    sigmas = torch.full((2,), 0.5, requires_grad=True)
    layer(theta.detach(), generator(), sigma=sigmas).sum().backward()
    assert sigmas.grad is not None
    assert torch.isfinite(sigmas.grad).all()
    mask = torch.tensor([True, False, True])
    layer(theta, generator(), mask).square().sum().backward()  # a masked zero is nobody's business
    assert theta.grad is not None
    assert torch.isfinite(theta.grad).all()
    assert (theta.grad[:, 1] == 0).all()


def test_a_mask_leaves_the_problem_of_what_is_left():
    theta, direction, mask = -0.5 - randn(5).square(), randn(5, seed=1), torch.tensor([True, True, False, True, False])
    sigmas = torch.full((20_000,), 0.6, dtype=torch.float64, requires_grad=True)
    scale, leaf = torch.tensor(0.6, dtype=torch.float64, requires_grad=True), theta[mask].clone().requires_grad_()
    truth = torch.autograd.grad((probabilities(leaf, scale) * direction[mask]).sum(), [leaf, scale])
    many = theta.where(mask, 1.7e308).expand(20_000, 5).clone().requires_grad_()
    y = PerturbedMultiplicative(Simplex(5), samples=3)(many, generator(1), mask, sigma=sigmas)
    in_theta, in_sigma = torch.autograd.grad((y * direction).sum(), [many, sigmas])
    assert_mean(in_theta[:, mask], truth[0])
    assert_mean(in_sigma, truth[1])
    assert (in_theta[:, ~mask] == 0).all()


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        (torch.float64, 1.7e308),
        (torch.float64, 1e-300),
        (torch.float32, 3e38),
        (torch.float16, 6e4),
        (torch.bfloat16, 3e38),
    ],
)
def test_solutions_do_not_depend_on_the_size_of_the_scores(dtype, size):
    scores = -torch.tensor([[1.0, 0.5, 0.25, 0.125]] * 50)
    layer = PerturbedMultiplicative(Simplex(4), 0.5, samples=50)
    large = (scores.double() * size).to(dtype).requires_grad_()
    y = layer(large, generator(1))
    close = layer(scores.to(dtype), generator(1))
    assert y.dtype == dtype
    assert torch.equal(y, close)
    if size > 1:
        (gradient,) = torch.autograd.grad(y[:, 0].sum(), large)
        assert torch.isfinite(gradient).all()
        F = layer.potential(scores.to(dtype), generator(1))
        (gradient,) = torch.autograd.grad(layer.potential(large, generator(1)).sum(), large)
        assert torch.isfinite(gradient).all()
        assert torch.isfinite(F).all()
    else:
        with pytest.raises(ValueError, match="a derivative beyond float64"):
            y[:, 0].sum().mul(1e10).backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("leading", [(), (0,), (2, 3), (4, 0, 2)])
def test_shapes_and_dtypes(leading, dtype):
    layer = PerturbedMultiplicative(Subset(5, 2), samples=3)
    theta = torch.randn(*leading, 5, dtype=dtype, requires_grad=True)
    y, F = layer(theta, generator()), layer.potential(theta, generator())
    assert (y.shape, F.shape, y.dtype, F.dtype) == (theta.shape, leading, dtype, dtype)
    (y.sum() + F.sum()).backward()
    assert theta.grad is not None
    assert theta.grad.shape == theta.shape


def test_replicas_have_the_same_bits_alone_and_together_and_on_any_number_of_threads(monkeypatch):
    theta, direction = costs(6, 5, 3, 3).float(), randn(6, 5, 3, 3, seed=1).float()
    layer = PerturbedMultiplicative(GridPath(3, 3), 0.5, samples=7)

    def outcome(rows):
        some = theta[rows].clone().requires_grad_()
        sigma = torch.full((len(rows), 5), 0.4, requires_grad=True)
        generators = [[generator(r) for r in rows] for _ in range(2)]
        y, F = layer(some, generators[0], sigma=sigma), layer.potential(some, generators[1], sigma=sigma)
        value = (y * direction[rows]).sum() + F.sum()
        return [y.detach(), F.detach(), *torch.autograd.grad(value, [some, sigma])]

    together = outcome(range(6))
    for rows in ([2], [5, 0], [4, 1, 3]):
        assert all(torch.equal(alone, both[rows]) for alone, both in zip(outcome(rows), together, strict=True))
    monkeypatch.setattr(_perturbation, "BLOCK", 100)
    for threads in (1, 2):
        set_threads(threads)
        assert all(map(torch.equal, outcome(range(6)), together))


def test_no_more_is_kept_than_by_the_additive_layer():
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    theta = torch.randn(7, 6, requires_grad=True)
    layer = PerturbedMultiplicative(Subset(6, 2), samples=500)
    for call in (layer, layer.potential):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            call(theta, generator())
        assert sum(kept.values()) <= 4 * (2 * 500 * theta.numel() + 4 * theta.numel())


def test_factors_have_mean_one():
    layer = PerturbedMultiplicative(Simplex(2), 0.7, samples=100_000)
    draws = layer._solve(torch.ones(1, 2), generator(), None, None)
    factors = multiplicative._factors(draws.sigma, draws.z).flatten()
    assert_mean(factors, 1.0)
    assert (factors > 0).all()


def test_a_derivative_beyond_half_precision_is_refused():
    """Derivatives grow like 1 / theta."""
    for dtype in (torch.float16, torch.float32):
        theta = torch.full((4,), 1e-5, dtype=dtype, requires_grad=True)
        y = PerturbedMultiplicative(Subset(4, 2), 0.1, samples=50)(theta, generator())
        if dtype == torch.float16:
            with pytest.raises(ValueError, match="has a derivative beyond float16"):
                y[0].backward()
        else:
            y[0].backward()
            assert theta.grad is not None
            assert theta.grad.abs().max() > 65504


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch imports it for jvp
def test_derivatives_at_the_smallest_scores_are_refused_everywhere():
    theta, ones = torch.full((2, 3), 1e-310, dtype=torch.float64), torch.arange(3.0, dtype=torch.float64)
    layer = PerturbedMultiplicative(Subset(3, 1), 0.5, samples=5)
    calls = [
        lambda: torch.func.jvp(lambda t: layer(t, generator()), (theta,), (ones.expand_as(theta),)),
        lambda: layer.estimate_product(theta, ones, generator()),
        lambda: torch.autograd.grad((layer(theta.requires_grad_(), generator()) * ones).sum(), theta),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="has a derivative beyond float64"):
            call()


def test_a_large_score_leaves_the_others_to_the_offset():
    box = BlackBox(lambda scores: (scores > 0.5).astype(float), (3,), offset=lambda y: -0.5 * y.sum())
    theta = torch.tensor([[1e280, 0.2, 1.0]], dtype=torch.float64)
    assert PerturbedMultiplicative(box, 0.1, samples=2)(theta, generator()).tolist() == [[1.0, 0.0, 1.0]]
