"""Implicit MLE against its quotient by enumeration, the derivative of the mean structure, and cases by hand."""

import copy
import doctest
import itertools
import math

import pytest
import torch

from structgrad.layers import AdaptiveImplicitMLE, ImplicitMLE, adaptive_implicit_mle, implicit_mle
from structgrad.losses import Blackbox
from structgrad.noise import Gumbel, NegativeExponential, Normal, SumOfGamma
from structgrad.parallel import set_threads
from structgrad.polytopes import GridPath, Matching, Permutahedron, Simplex, SpanningTree, Subset

POLYTOPES = [Simplex(4), Subset(5, 2), Matching(3), Permutahedron(4), SpanningTree(4)]
NOISES = [Gumbel(centred=False), Normal(0.5), SumOfGamma(2)]


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def name(value):
    return type(value).__name__


def gradient_of(layer, theta, direction, seed=7, **options):
    """What arrives at ``theta`` when ``direction`` arrives at the samples."""
    theta = theta.clone().requires_grad_()
    y = layer(theta, generator(seed), **options)
    return torch.autograd.grad(y, theta, direction.to(y.dtype).expand(y.shape))[0]


def best(polytope, scores):
    """The maximisers by enumeration."""
    vertices = polytope.vertices()
    return vertices[(scores.flatten(-len(polytope.event_shape)) @ vertices.flatten(1).mT).argmax(-1)]


polytopes = pytest.mark.parametrize("polytope", POLYTOPES, ids=name)


@pytest.mark.parametrize("module", [implicit_mle, adaptive_implicit_mle])
def test_the_examples_run(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


# Samples and gradients by enumeration


@polytopes
@pytest.mark.parametrize("noise", NOISES, ids=name)
@pytest.mark.parametrize("samples", [None, 3])
@pytest.mark.parametrize("two_sided", [False, True])
def test_samples_and_gradients_are_those_of_enumeration(polytope, noise, samples, two_sided):
    rank, tau = len(polytope.event_shape), torch.tensor([[0.5], [1.0], [2.0]], dtype=torch.float64)
    step = torch.tensor([0.9, 3.0], dtype=torch.float64).expand(3, 2)
    theta = randn(3, 2, *polytope.event_shape)
    shape = theta.shape if samples is None else (3, 2, samples, *polytope.event_shape)
    direction = randn(*shape, seed=1)
    layer = ImplicitMLE(polytope, noise, step, tau.expand(3, 2), samples, two_sided)
    eps = noise.sample(shape, generator(7), torch.float64)

    def wide(value):
        value = value.expand(3, 2).reshape(3, 2, *(1,) * rank)
        return value if samples is None else value.unsqueeze(2)

    scores = theta if samples is None else theta.unsqueeze(2)
    y = best(polytope, scores + wide(tau) * eps)
    assert torch.equal(layer(theta, generator(7)), y)
    above = best(polytope, scores + wide(step) * direction + wide(tau) * eps) if two_sided else y
    below = best(polytope, scores - wide(step) * direction + wide(tau) * eps)
    expected = (above - below) / (wide(step) * (2 if two_sided else 1))
    expected = expected if samples is None else expected.sum(2)
    assert expected.any()
    assert torch.allclose(gradient_of(layer, theta, direction), expected, rtol=1e-13, atol=0)


@polytopes
def test_two_sided_is_the_mean_of_both_one_sided_differences(polytope):
    theta, direction = randn(40, *polytope.event_shape), randn(40, *polytope.event_shape, seed=1)
    down = gradient_of(ImplicitMLE(polytope, step=0.5), theta, direction)
    up = -gradient_of(ImplicitMLE(polytope, step=0.5), theta, -direction)  # [y(theta + g/2) - y] / 0.5
    both = gradient_of(ImplicitMLE(polytope, step=0.5, two_sided=True), theta, direction)
    assert torch.allclose(both, (down + up) / 2, rtol=1e-14)
    assert not torch.equal(both, down)


@polytopes
@pytest.mark.parametrize("two_sided", [False, True])
def test_large_steps_set_the_sample_against_the_best_structure_under_the_gradient(polytope, two_sided):
    theta, direction = randn(30, *polytope.event_shape), randn(30, *polytope.event_shape, seed=1)
    step = 1e8
    layer = ImplicitMLE(polytope, step=step, two_sided=two_sided)
    above = polytope.argmax(direction) if two_sided else layer(theta, generator(7))
    found = gradient_of(layer, theta, direction) * step * (2 if two_sided else 1)
    assert torch.allclose(found, above - polytope.argmax(-direction), atol=1e-12)


@polytopes
def test_without_noise_it_is_the_blackbox_interpolation(polytope):
    theta, direction = randn(30, *polytope.event_shape), randn(30, *polytope.event_shape, seed=1)
    found = gradient_of(ImplicitMLE(polytope, step=0.7, temperature=1e-12), theta, direction)
    twin = theta.clone().requires_grad_()
    assert torch.allclose(found, torch.autograd.grad(Blackbox(polytope, 0.7)(twin), twin, direction)[0], rtol=1e-14)


def test_a_path_through_a_grid_with_noise_that_keeps_costs_positive():
    """Node costs -theta: an exponential variable is added to each. Moved scores above zero count as zero."""
    polytope = GridPath(3, 3)
    theta = -torch.rand(50, 3, 3, generator=generator(), dtype=torch.float64) - 0.1
    direction = randn(50, 3, 3, seed=1)
    layer = ImplicitMLE(polytope, NegativeExponential(), step=1.5, temperature=0.3)
    z = NegativeExponential().sample((50, 3, 3), generator(7), torch.float64)
    y, below = (polytope.argmax(s.clamp(max=0.0) + 0.3 * z) for s in (theta, theta))
    vertices = polytope.vertices().flatten(1)
    below = vertices[((theta - 1.5 * direction + 0.3 * z).clamp(max=0.0).flatten(1) @ vertices.mT).argmax(-1)]
    values = ((theta + 0.3 * z).flatten(1) @ vertices.mT).amax(-1)
    assert torch.allclose(((theta + 0.3 * z) * layer(theta, generator(7))).flatten(1).sum(1), values)
    assert torch.equal(layer(theta, generator(7)), y)
    found = gradient_of(layer, theta, direction)
    worth = (theta - 1.5 * direction + 0.3 * z).clamp(max=0.0)
    moved = y - 1.5 * found  # ties of cells that cost nothing: another path of the same cost will do
    assert torch.allclose((worth * moved).flatten(1).sum(1), (worth * below.view(50, 3, 3)).flatten(1).sum(1))
    assert found.any()


# In expectation


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("step", [0.25, 2.0])
def test_the_expectation_is_the_quotient_of_mean_structures(two_sided, step):
    """Over the simplex with Gumbel noise ``E y`` is the softmax; z-scores of 40 000 draws."""
    theta, g, size = randn(4), randn(4, seed=1), 40_000
    layer = ImplicitMLE(Simplex(4), step=step, two_sided=two_sided)
    rows = theta.expand(size, 4)
    found = gradient_of(layer, rows, g)
    if two_sided:
        expected = (torch.softmax(theta + step * g, -1) - torch.softmax(theta - step * g, -1)) / (2 * step)
    else:
        expected = (torch.softmax(theta, -1) - torch.softmax(theta - step * g, -1)) / step
    z = (found.mean(0) - expected) / (found.std(0) / math.sqrt(size))
    assert z.abs().max() < 4
    wrong = (torch.softmax(theta + step * g, -1) - torch.softmax(theta, -1)) / step
    assert step < 1 or ((found.mean(0) - wrong) / (found.std(0) / math.sqrt(size))).abs().max() > 10


def test_small_steps_tend_to_the_derivative_of_the_mean_structure():
    """The Jacobian of the softmax times g, to the bias of a central difference; the temperature is tau."""
    theta, g, tau, size = randn(3), randn(3, seed=1), 0.5, 60_000
    layer = ImplicitMLE(Simplex(3), step=0.1, temperature=tau, two_sided=True)
    found = gradient_of(layer, theta.expand(size, 3), g)
    p = torch.softmax(theta / tau, -1)
    expected = p * (g - (p * g).sum()) / tau
    assert ((found.mean(0) - expected).abs() < 4 * found.std(0) / math.sqrt(size) + 0.02).all()


@pytest.mark.parametrize("noise", [Normal(), SumOfGamma(2)], ids=name)
def test_common_noise_estimates_the_quotient_that_independent_noise_does(noise):
    polytope, size = Subset(4, 2), 20_000
    theta, g, step = randn(4), randn(4, seed=1), 0.8
    found = gradient_of(ImplicitMLE(polytope, noise, step), theta.expand(size, 4), g)
    ends = [
        polytope.argmax(scores + noise.sample((size, 4), generator(seed), torch.float64))
        for seed, scores in ((11, theta), (12, theta - step * g))
    ]
    other = (ends[0] - ends[1]) / step
    deviation = ((found.var(0) + other.var(0)) / size).sqrt()
    assert ((found.mean(0) - other.mean(0)) / deviation).abs().max() < 4
    assert (found.var(0) < 0.8 * other.var(0)).all()


def test_sums_of_gammas_find_the_best_subset_more_often_than_the_exponential_family_and_gumbel_noise():
    polytope, theta, size = Subset(6, 3), 0.7 * randn(6), 10_000
    best_one, weights = polytope.argmax(theta), torch.softmax(polytope.vertices() @ theta, 0)
    gammas, gumbels = (
        (ImplicitMLE(polytope, noise, samples=size)(theta, generator(3)) == best_one).all(-1).double().mean()
        for noise in (SumOfGamma(3, rounds=50), Gumbel(centred=False))
    )
    assert gammas > gumbels + 0.1
    assert gumbels > weights.max() + 0.05


def test_descent_reaches_the_target():
    target = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    draw = generator(4)
    for layer in (
        ImplicitMLE(Subset(5, 2), SumOfGamma(2), step=2.0),
        AdaptiveImplicitMLE(Subset(5, 2), SumOfGamma(2), alpha=0.5),
    ):
        theta = torch.tensor([2.0, 1.0, -1.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
        for _ in range(150):
            (slope,) = torch.autograd.grad((layer(theta, draw) - target).square().sum(), theta)
            theta = (theta - 0.3 * slope).detach().requires_grad_()
        assert torch.equal(Subset(5, 2).argmax(theta), target)


# Adaptive steps


@polytopes
@pytest.mark.parametrize("samples", [None, 2])
def test_an_adaptive_step_is_a_share_of_the_scores(polytope, samples):
    theta = randn(8, *polytope.event_shape)
    shape = theta.shape if samples is None else (8, samples, *polytope.event_shape)
    direction = randn(*shape, seed=1) * 1e3
    found = gradient_of(AdaptiveImplicitMLE(polytope, samples=samples, alpha=0.7), theta, direction)
    expected = torch.zeros_like(theta)
    for i, m in itertools.product(range(8), range(samples or 1)):
        g = direction[i] if samples is None else direction[i, m]
        eps = Gumbel(centred=False).sample(shape, generator(7), torch.float64)
        eps = eps[i] if samples is None else eps[i, m]
        step = 0.7 * theta[i].norm() / g.norm()
        ends = [best(polytope, (theta[i] + s * step * g + eps).unsqueeze(0))[0] for s in (1, -1)]
        expected[i] += (ends[0] - ends[1]) / (2 * step)
    assert torch.allclose(found, expected, rtol=1e-12)
    assert found.any()


def counted(polytope, layer, theta, direction, seeds):
    """Alpha and the average by the rule, in plain Python, from the gradients of a layer that stands still."""
    alpha, average, frozen = float(layer.alpha), float(layer.average), copy.deepcopy(layer).eval()
    for seed in seeds:
        frozen.alpha.fill_(alpha)
        gradient = gradient_of(frozen, theta, direction, seed)
        entries = [int((item != 0).sum()) for item in gradient]
        average = layer.decay * average + (1 - layer.decay) * sum(entries) / len(entries)
        alpha = max(0.0, alpha + (layer.rate if average < layer.target else -layer.rate))
    return alpha, average


@pytest.mark.parametrize(("alpha", "target"), [(1.0, 1.0), (0.05, 1.0), (0.02, 0.5), (0.3, 3.0)])
def test_alpha_follows_the_rule(alpha, target):
    polytope, theta, direction = Subset(5, 2), randn(6, 5), randn(6, 5, seed=1)
    layer = AdaptiveImplicitMLE(polytope, alpha=alpha, target=target, rate=0.01)
    expected = counted(polytope, layer, theta, direction, range(12))
    for seed in range(12):
        gradient_of(layer, theta, direction, seed)
    assert (float(layer.alpha), float(layer.average)) == pytest.approx(expected, rel=1e-12)
    assert float(layer.alpha) != alpha


def test_the_number_of_entries_reaches_the_target():
    polytope, theta, direction = Subset(8, 3), randn(64, 8), randn(64, 8, seed=1)
    for alpha in (0.01, 3.0):
        layer = AdaptiveImplicitMLE(polytope, alpha=alpha, rate=0.04)
        for seed in range(120):
            gradient_of(layer, theta, direction, seed)
        entries = (gradient_of(layer.eval(), theta, direction, 999) != 0).sum(-1).double().mean()
        assert entries == pytest.approx(1.0, abs=0.5)


def test_alpha_moves_in_training_alone_and_after_the_gradient():
    theta, direction = randn(3, 4), randn(3, 4, seed=1)
    layer = AdaptiveImplicitMLE(Simplex(4), alpha=2.0, rate=0.5)
    layer(theta, generator())  # a forward pass changes nothing
    assert float(layer.alpha) == 2.0
    still = gradient_of(layer.eval(), theta, direction)
    assert float(layer.alpha) == 2.0
    assert torch.equal(gradient_of(layer.train(), theta, direction), still)
    assert float(layer.alpha) == 1.5
    assert gradient_of(layer, theta[:0], direction[:0]).shape == (0, 4)
    assert float(layer.alpha) == 1.5


def test_a_checkpoint_goes_on_to_the_bit():
    theta, direction = randn(6, 5), randn(6, 5, seed=1)
    whole, first = (AdaptiveImplicitMLE(Subset(5, 2), rate=0.1) for _ in range(2))
    for seed in range(5):
        gradient_of(first, theta, direction, seed)
    state = first.state_dict()
    assert sorted(state) == ["alpha", "average"]
    assert not list(first.parameters())
    second = AdaptiveImplicitMLE(Subset(5, 2), rate=0.1)
    second.load_state_dict(state)
    for seed in range(5, 10):
        gradient_of(second, theta, direction, seed)
    for seed in range(10):
        gradient_of(whole, theta, direction, seed)
    assert torch.equal(second.alpha, whole.alpha)
    assert torch.equal(second.average, whole.average)


def test_replicas_do_not_see_each_other():
    """Three replicas of four items in one layer, and each in a layer of its own."""
    theta = randn(3, 4, 5) * torch.tensor([0.1, 1.0, 30.0]).view(3, 1, 1)
    direction = randn(3, 4, 5, seed=1)
    together = AdaptiveImplicitMLE(Subset(5, 2), alpha=0.3, rate=0.05, replicas=3)
    alone = [AdaptiveImplicitMLE(Subset(5, 2), alpha=0.3, rate=0.05) for _ in range(3)]
    for turn in range(8):
        scores = theta.clone().requires_grad_()
        y = together(scores, [generator(100 * turn + r) for r in range(3)])
        (found,) = torch.autograd.grad(y, scores, direction)
        for r in range(3):
            assert torch.equal(found[r], gradient_of(alone[r], theta[r], direction[r], 100 * turn + r))
    assert torch.equal(together.alpha, torch.stack([layer.alpha for layer in alone]))
    assert len(set(together.alpha.tolist())) > 1
    with pytest.raises(ValueError, match=r"theta of shape \(2, 4, 5\) does not begin with 3 replicas"):
        together(theta[:2], generator())
    with pytest.raises(ValueError, match=r"theta of shape \(5,\) does not begin with 3 replicas"):
        together(theta[0, 0], generator())


def test_items_without_a_gradient_have_none_and_zero_scores_stay():
    layer = AdaptiveImplicitMLE(Simplex(3))
    theta = torch.zeros(2, 3, dtype=torch.float64)
    theta[0] = randn(3)
    direction = torch.zeros(2, 3, dtype=torch.float64)
    direction[1] = randn(3)
    assert not gradient_of(layer, theta, direction).any()
    assert float(layer.average) == pytest.approx(0.9)


# What holds for both


LAYERS = [
    lambda polytope, **options: ImplicitMLE(polytope, step=2.0, **options),
    lambda polytope, **options: AdaptiveImplicitMLE(polytope, **options).eval(),
]
layers = pytest.mark.parametrize("make", LAYERS, ids=["fixed", "adaptive"])


@layers
@polytopes
def test_an_item_does_not_see_its_neighbours_nor_threads(make, polytope):
    theta, direction = randn(5, 3, *polytope.event_shape), randn(5, 3, *polytope.event_shape, seed=1)
    theta[4] *= 1e12
    direction[4] *= 1e200
    layer = make(polytope)

    def run(rows):
        scores = theta[rows].clone().requires_grad_()
        y = layer(scores, [generator(10 + r) for r in rows])
        return torch.autograd.grad(y, scores, direction[rows])[0]

    together = run(range(5))
    assert together.flatten(1).any(1).sum() >= 3
    for rows in ([0], [3, 1], [4, 2]):
        assert torch.equal(run(rows), together[rows])
    set_threads(2)
    assert torch.equal(run(range(5)), together)


@layers
def test_masked_coordinates_stay_out(make):
    theta = randn(20, 5).where(torch.arange(5) != 3, 1e30)
    mask = torch.tensor([True, True, True, False, True])
    layer = make(Subset(5, 2), samples=4)
    y = layer(theta, generator(7), mask)
    assert y.shape == (20, 4, 5)
    assert not y[..., 3].any()
    assert (y.sum(-1) == 2).all()
    found = gradient_of(layer, theta.where(mask, -1.0), randn(20, 4, 5, seed=1), mask=mask)
    assert found.any()
    assert not found[:, 3].any()


@layers
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_scores_are_widened_once(make, dtype):
    polytope = Subset(6, 2)
    theta, direction = randn(8, 6).to(dtype), randn(8, 6, seed=1).to(dtype)
    layer = make(polytope, noise=Normal())
    found = gradient_of(layer, theta, direction)
    assert found.dtype == layer(theta, generator()).dtype == dtype
    if dtype != torch.float32:  # noise is drawn in float64
        assert torch.equal(found, gradient_of(layer, theta.double(), direction.double()).to(dtype))


@layers
@pytest.mark.parametrize(("dtype", "size"), [(torch.float64, 1e300), (torch.float32, 3e38), (torch.float16, 6e4)])
def test_scores_of_any_size(make, dtype, size):
    theta, direction = (randn(10, 4).clamp(-1, 1) * size).to(dtype), randn(10, 4, seed=1).to(dtype)
    for g in (direction, (direction.double() * 1e-300).to(dtype), direction * 0):
        assert torch.isfinite(gradient_of(make(Simplex(4)), theta, g)).all()
    level = torch.full((4000, 4), size, dtype=dtype)
    if dtype != torch.float64:
        share = make(Simplex(4))(level / size * 100, generator()).double().mean(0)
        assert (share - 0.25).abs().max() < 4 * math.sqrt(0.1875 / 4000)


def test_gradients_beyond_the_type_are_refused_and_change_nothing():
    layer = ImplicitMLE(Simplex(3), step=1e-39, temperature=1e-3)
    with pytest.raises(ValueError, match=r"theta of shape \(3,\) has a gradient beyond float32"):
        gradient_of(layer, torch.tensor([0.1, 0.0, 0.0]), torch.tensor([3e38, -3e38, -3e38]))
    adaptive = AdaptiveImplicitMLE(Simplex(3), temperature=1e-40)
    with pytest.raises(ValueError, match="has a gradient beyond float32"):
        gradient_of(adaptive, torch.tensor([1e-35, 2e-35, 0.0]), torch.tensor([0.0, 1e30, 0.0]))
    assert float(adaptive.alpha) == 1.0


@layers
def test_the_gradient_has_no_derivative(make):
    theta = randn(3).requires_grad_()
    y = make(Simplex(3))(theta, generator())
    (first,) = torch.autograd.grad(y.square().sum(), theta, create_graph=True)
    with pytest.raises(RuntimeError):
        first.sum().backward()


@layers
@pytest.mark.parametrize("polytope", [Simplex(4), Matching(2)], ids=name)
def test_no_items_and_one(make, polytope):
    empty = torch.zeros(0, 2, *polytope.event_shape)
    for samples in (None, 3):
        shape = (0, 2, *(() if samples is None else (samples,)), *polytope.event_shape)
        assert make(polytope, samples=samples)(empty, generator()).shape == shape
        assert gradient_of(make(polytope, samples=samples), empty, torch.zeros(shape)).shape == empty.shape
    assert make(polytope)(empty[:0].new_zeros(polytope.event_shape), generator()).shape == polytope.event_shape


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_its_range_is_named(decay):
    with pytest.raises(ValueError, match="decay must be at least 0 and below 1"):
        AdaptiveImplicitMLE(Simplex(2), decay=decay)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_alpha_keeps_its_digits_where_a_model_is_narrowed(dtype):
    """A step of 0.001 is lost in bfloat16."""
    layers = AdaptiveImplicitMLE(Simplex(3)), AdaptiveImplicitMLE(Simplex(3)).to(dtype)
    for layer in layers:
        theta = torch.tensor([[1.0, 2.0, 0.5]], requires_grad=True)
        for seed in range(20):
            layer(theta, generator(seed))[0, 0].backward()
        assert layer.alpha.dtype == layer.average.dtype == torch.float64
    assert torch.equal(layers[0].alpha, layers[1].alpha)
    assert float(layers[1].alpha) != 1.0
