"""The stochastic softmax trick and Gumbel-Sinkhorn against the formulas of their special cases."""

import math

import pytest
import torch

from structgrad.layers.gumbel_sinkhorn import GumbelSinkhorn
from structgrad.layers.relaxed import Relaxed
from structgrad.layers.stochastic_softmax import StochasticSoftmax
from structgrad.noise import Gumbel, Logistic, NegativeExponential, Normal, sample_replicas
from structgrad.parallel import set_threads
from structgrad.polytopes.arborescence import Arborescence
from structgrad.polytopes.correlated_subset import CorrelatedSubset
from structgrad.polytopes.hypercube import Hypercube
from structgrad.polytopes.matching import Matching
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.polytopes.simplex import Simplex
from structgrad.polytopes.spanning_tree import SpanningTree
from structgrad.polytopes.subset import Subset
from structgrad.regularizers.binary import BinaryEntropy
from structgrad.regularizers.categorical import CategoricalEntropy
from structgrad.regularizers.euclidean import Euclidean
from structgrad.regularizers.exponential import ExponentialEntropy
from structgrad.regularizers.sinkhorn import SinkhornEntropy

PAIRS = [
    (Simplex(4), CategoricalEntropy()),
    (Subset(5, 2), Euclidean()),
    (Subset(5, 2), CategoricalEntropy()),
    (Subset(5, 2), BinaryEntropy()),
    (Subset(5, 2), ExponentialEntropy()),
    (CorrelatedSubset(5, 2), ExponentialEntropy()),
    (Hypercube(3, 2), BinaryEntropy()),
    (Matching(3), SinkhornEntropy()),
    (Permutahedron(4), Euclidean()),
    (SpanningTree(4), ExponentialEntropy()),
    (Arborescence(4), ExponentialEntropy()),
]
NOISES = [Gumbel(centred=False), Normal(0.5), Logistic(), NegativeExponential()]


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def names(value):
    return type(value).__name__


pairs = pytest.mark.parametrize(("polytope", "regularizer"), PAIRS, ids=names)


# Soft in training, hard at evaluation


@pairs
@pytest.mark.parametrize("noise", NOISES, ids=names)
@pytest.mark.parametrize("samples", [None, 1, 3])
def test_soft_and_hard_structures_are_those_of_the_same_utilities(polytope, regularizer, noise, samples):
    theta = randn(2, 4, *polytope.event_shape)
    relaxed = Relaxed(polytope, regularizer, 0.7)
    layer = StochasticSoftmax(relaxed, noise, samples)
    shape = theta.shape if samples is None else (2, 4, samples, *polytope.event_shape)
    z = noise.sample(shape, generator(1), torch.float64)
    utilities = noise.utilities(theta if samples is None else theta.unsqueeze(2), z)
    assert torch.equal(layer(theta, generator(1)), relaxed(utilities))
    layer.eval()
    assert torch.equal(layer(theta, generator(1)), polytope.argmax(utilities))


@pairs
def test_evaluation_gives_vertices_without_gradient(polytope, regularizer):
    layer = StochasticSoftmax(Relaxed(polytope, regularizer), samples=20).eval()
    x = layer(randn(3, *polytope.event_shape).requires_grad_(), generator())
    assert not x.requires_grad
    vertices = polytope.vertices()
    assert (x.unsqueeze(2) == vertices).flatten(3).all(-1).any(-1).all()


@pairs
def test_straight_through_is_hard_forward_and_soft_backward(polytope, regularizer):
    theta, direction = randn(3, *polytope.event_shape).requires_grad_(), randn(3, *polytope.event_shape, seed=1)
    relaxed = Relaxed(polytope, regularizer, 0.5)
    soft = StochasticSoftmax(relaxed)(theta, generator(2))
    straight = StochasticSoftmax(relaxed, straight_through=True)(theta, generator(2))
    assert torch.equal(straight, StochasticSoftmax(relaxed).eval()(theta, generator(2)))
    gradients = [torch.autograd.grad((x * direction).sum(), theta)[0] for x in (soft, straight)]
    assert torch.equal(*gradients)
    assert gradients[0].any()


@pairs
def test_the_gradient_is_exact_for_the_same_noise(polytope, regularizer):
    theta = randn(2, *polytope.event_shape).requires_grad_()
    layer = StochasticSoftmax(Relaxed(polytope, regularizer, 0.8), samples=2)
    assert torch.autograd.gradcheck(lambda t: layer(t, generator(5)), theta, atol=1e-6)


@pytest.mark.parametrize(
    ("polytope", "regularizer"), [pair for pair in PAIRS if not isinstance(pair[1], SinkhornEntropy)], ids=names
)
def test_cold_samples_become_the_hard_ones(polytope, regularizer):
    """X_t -> X as t -> 0 (paulus, Proposition 1); Sinkhorn's rounds do not converge there."""
    theta = randn(50, *polytope.event_shape)
    errors = []
    for temperature in (1.0, 0.1, 1e-4):
        layer = StochasticSoftmax(Relaxed(polytope, regularizer, temperature))
        soft = layer(theta, generator(3))
        errors.append((soft - layer.eval()(theta, generator(3))).abs().mean().item())
    assert errors[0] > errors[1] > errors[2] - 1e-12
    assert errors[2] < 1e-3


# Special cases


def test_gumbel_softmax():
    """Jang et al. 2017, Maddison et al. 2017: ``softmax((theta + G) / t)``."""
    theta = randn(6, 4)
    g = -torch.log(-torch.log(torch.rand(6, 5, 4, generator=generator(4), dtype=torch.float64)))
    layer = StochasticSoftmax(Relaxed(Simplex(4), CategoricalEntropy(), 0.3), samples=5)
    assert torch.allclose(layer(theta, generator(4)), torch.softmax((theta.unsqueeze(1) + g) / 0.3, -1), rtol=1e-12)


def test_binary_concrete():
    """Maddison et al. 2017: ``sigmoid((theta + L) / t)``, hard where ``theta + L > 0`` with chance sigmoid(theta)."""
    theta = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    layer = StochasticSoftmax(Relaxed(Hypercube(3), BinaryEntropy(), 0.3), Logistic(), samples=50_000)
    z = Logistic().sample((50_000, 3), generator(5), torch.float64)
    assert torch.allclose(layer(theta, generator(5)), torch.sigmoid((theta + z) / 0.3), rtol=1e-12)
    p = torch.sigmoid(theta)
    share = layer.eval()(theta, generator(5)).mean(0)
    assert ((share - p).abs() < 5 * (p * (1 - p) / 50_000).sqrt()).all()


@pytest.mark.parametrize("noise", [Gumbel(centred=False), Gumbel(), NegativeExponential()], ids=str)
def test_hard_choices_are_categorical(noise):
    """Under Gumbel noise and under exponential races alike ``P(i) = softmax(theta)_i``."""
    theta, count = torch.tensor([0.5, -1.0, 1.5, 0.0], dtype=torch.float64), 50_000
    layer = StochasticSoftmax(Relaxed(Simplex(4), CategoricalEntropy()), noise, samples=count).eval()
    p = torch.softmax(theta, -1)
    share = layer(theta, generator(6)).mean(0)
    assert ((share - p).abs() < 5 * (p * (1 - p) / count).sqrt()).all()


def test_hard_subsets_are_plackett_luce_draws_without_replacement():
    """The top two under Gumbel noise: ``P({i, j}) = p_i p_j / (1 - p_i) + p_j p_i / (1 - p_j)``."""
    theta, count = torch.tensor([0.5, -1.0, 1.0], dtype=torch.float64), 50_000
    layer = StochasticSoftmax(Relaxed(Subset(3, 2), BinaryEntropy()), samples=count).eval()
    p = torch.softmax(theta, -1)
    pair = p.unsqueeze(1) * p / (1 - p.unsqueeze(1))
    left_out = torch.stack([(pair + pair.T)[1, 2], (pair + pair.T)[0, 2], (pair + pair.T)[0, 1]])
    share = 1 - layer(theta, generator(7)).mean(0)
    assert ((share - left_out).abs() < 5 * (left_out * (1 - left_out) / count).sqrt()).all()


# Partial noise, masks, temperatures


def test_pair_scores_of_a_correlated_subset_get_no_noise():
    polytope = CorrelatedSubset(4, 2)
    theta = randn(3, 7)
    layer = StochasticSoftmax(Relaxed(polytope, ExponentialEntropy()), samples=5, noisy=polytope.unaries)
    utilities = layer.utilities(theta, generator(8))
    z = Gumbel(centred=False).sample((3, 5, 7), generator(8), torch.float64)
    assert torch.equal(utilities[..., :4], theta[:, None, :4] + z[..., :4])
    assert torch.equal(utilities[..., 4:], theta[:, None, 4:].expand(3, 5, 3))
    many = theta.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(layer(many, generator(8)).square().sum(), many)
    assert gradient[:, 4:].all()


@pytest.mark.parametrize("samples", [None, 4])
@pytest.mark.parametrize("straight_through", [False, True])
def test_masks_reach_both_forms(samples, straight_through):
    """Masked coordinates are zero and their scores, huge here, do not matter."""
    mask = torch.arange(6) < torch.tensor([[2], [4], [6]])
    theta = randn(3, 6)
    layer = StochasticSoftmax(
        Relaxed(Subset(6, 2), BinaryEntropy()), samples=samples, straight_through=straight_through
    )
    for _ in range(2):
        x = layer(theta, generator(1), mask)
        assert torch.equal(x, layer(theta.masked_fill(~mask, 1e3), generator(1), mask))
        wide = mask if samples is None else mask.unsqueeze(1).expand(x.shape)
        assert not x[~wide].any()
        assert torch.allclose(x.sum(-1), torch.tensor(2.0).double())
        for i in range(3):
            assert x[i][..., : mask[i].sum()].sum(-1).allclose(torch.tensor(2.0).double())
        layer.eval()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("samples", [None, 1, 4])
def test_a_temperature_an_item_is_that_of_a_loop_and_learns(samples, masked):
    theta, temperature = randn(2, 3, 5), torch.nn.Parameter(torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64))
    mask = torch.tensor([True, True, True, False, True]) if masked else None
    layer = StochasticSoftmax(Relaxed(Subset(5, 2), ExponentialEntropy(), temperature), samples=samples)
    x = layer(theta, generator(2), mask)
    (gradient,) = torch.autograd.grad(x.square().sum(), temperature)
    utilities = layer.utilities(theta, generator(2))
    for i in range(3):
        one = torch.nn.Parameter(temperature[i].detach().clone())
        alone = Relaxed(Subset(5, 2), ExponentialEntropy(), one)(utilities[:, i], mask=mask)
        assert torch.allclose(alone, x[:, i], rtol=1e-13, atol=1e-15)
        assert torch.allclose(torch.autograd.grad(alone.square().sum(), one)[0], gradient[i], rtol=1e-10)


def test_a_learned_temperature_is_a_parameter():
    temperature = torch.nn.Parameter(torch.tensor(0.5))
    layer = StochasticSoftmax(Relaxed(Simplex(3), CategoricalEntropy(), temperature))
    assert list(layer.parameters()) == [temperature]
    layer(torch.randn(2, 3, generator=generator()), generator()).square().sum().backward()
    assert temperature.grad is not None
    assert temperature.grad.item() < 0  # colder is sharper


# Gumbel-Sinkhorn


def test_gumbel_sinkhorn_relaxes_perturbed_scores_with_standard_noise():
    layer = GumbelSinkhorn(4, temperature=2.0, rounds=7, samples=5)
    assert layer.noise == Gumbel(1.0, centred=False)
    mu = randn(3, 4, 4)
    plans = layer(mu, generator(1))
    z = Gumbel(centred=False).sample((3, 5, 4, 4), generator(1), torch.float64)
    for i in range(3):
        for s in range(5):
            plan = torch.exp((mu[i] + z[i, s]) / 2)
            for _ in range(7):
                plan = plan / plan.sum(1, keepdim=True)
                plan = plan / plan.sum(0, keepdim=True)
            assert torch.allclose(plans[i, s], plan, rtol=1e-12)


@pytest.mark.parametrize("samples", [None, 5])
def test_gumbel_sinkhorns_replicas_draw_as_sample_replicas_does(samples):
    """To the bit: an experiment that drew its noise itself finds the same numbers."""
    mu = torch.randn(3, 6, 4, 4, generator=generator())
    layer = GumbelSinkhorn(4, 0.7, 9, samples)
    shape = (6, 4, 4) if samples is None else (6, samples, 4, 4)
    gamma = sample_replicas(Gumbel(centred=False), shape, [generator(s) for s in (5, 6, 7)])
    utilities = (mu if samples is None else mu.unsqueeze(2)) + gamma
    assert torch.equal(layer(mu, [generator(s) for s in (5, 6, 7)]), layer.relaxed(utilities))
    hard = layer.eval()(mu, [generator(s) for s in (5, 6, 7)])
    assert torch.equal(hard, Matching(4).argmax(utilities))


# Replicas, shapes, what is refused


@pairs
def test_a_replica_has_the_same_bits_alone_and_together(polytope, regularizer):
    theta = randn(4, 3, *polytope.event_shape)
    layer = StochasticSoftmax(Relaxed(polytope, regularizer), samples=2)
    for _ in range(2):
        together = layer(theta, [generator(s) for s in range(4)])
        for rows in ([2], [3, 0]):
            assert torch.equal(layer(theta[rows], [generator(s) for s in rows]), together[rows])
        layer.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("leading", [(), (0,), (3, 0), (2, 3)])
def test_shapes_and_dtypes(leading, dtype):
    for samples in (None, 4):
        layer = StochasticSoftmax(Relaxed(Subset(5, 2), BinaryEntropy()), samples=samples, straight_through=True)
        shape = (*leading, 5) if samples is None else (*leading, samples, 5)
        for _ in range(2):
            x = layer(torch.zeros(*leading, 5, dtype=dtype), generator())
            assert x.shape == shape
            assert x.dtype == dtype
            layer.eval()


def test_it_is_no_potentials_gradient():
    layer = StochasticSoftmax(Relaxed(Simplex(3), CategoricalEntropy()))
    with pytest.raises(ValueError, match="StochasticSoftmax is not the gradient of a known potential"):
        layer.potential(torch.zeros(3), generator())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "samples must be at least 1, not 0"),
        ({"noisy": torch.ones(4, dtype=torch.bool)}, r"noisy of shape \(4,\).* event's shape \(3,\)"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        StochasticSoftmax(Relaxed(Simplex(3), CategoricalEntropy()), **arguments)


@pytest.mark.parametrize(
    ("theta", "arguments", "message"),
    [
        (torch.zeros(2, 4), {}, r"theta must end in \(3,\), not \(2, 4\)"),
        (torch.full((3,), math.inf), {}, "NaN or infinite"),
        (torch.zeros(2, 3), {"generator": None}, "generator must be given"),
        (torch.zeros(2, 3), {"generator": [generator()]}, "1 generators do not fit"),
        (torch.zeros(3), {"generator": [generator()]}, "has no first dimension for 1 generators"),
        (torch.zeros(2, 3), {"mask": torch.zeros(3, dtype=torch.bool)}, "leaves no"),
        (torch.zeros(2, 3), {"mask": torch.ones(4, dtype=torch.bool)}, r"mask of shape \(4,\) does not fit"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_bad_calls_are_named(theta, arguments, message, training):
    layer = StochasticSoftmax(Relaxed(Simplex(3), CategoricalEntropy()), samples=2).train(training)
    with pytest.raises(ValueError, match=message):
        layer(theta, **({"generator": generator()} | arguments))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_gumbel_sinkhorns_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="temperature must be positive"):
        GumbelSinkhorn(3, temperature)
