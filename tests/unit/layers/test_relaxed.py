"""The relaxed argmax: one layer over every regulariser, against the convex programme that defines it."""

import math

import pytest
import torch

from structgrad.layers.relaxed import Relaxed
from structgrad.parallel import set_threads
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
    (Simplex(4), Euclidean()),
    (Subset(5, 2), CategoricalEntropy()),
    (Subset(5, 2), BinaryEntropy()),
    (Subset(5, 2), Euclidean()),
    (Subset(5, 2), ExponentialEntropy()),
    (Hypercube(3, 2), BinaryEntropy()),
    (Permutahedron(4), Euclidean()),
    (SpanningTree(4), ExponentialEntropy()),
]
SMOOTH = [pair for pair in PAIRS if not isinstance(pair[1], Euclidean)]
INSIDE = [pair for pair in PAIRS if not isinstance(pair[1], ExponentialEntropy)]  # R is known between vertices


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def names(value):
    return type(value).__name__


def pairs(of):
    return pytest.mark.parametrize(("polytope", "regularizer"), of, ids=names)


def dot(polytope, theta, y):
    return (theta * y).sum(tuple(range(-len(polytope.event_shape), 0)))


# Closed forms


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_softmax_and_log_sum_exp(temperature):
    theta = randn(3, 4).requires_grad_()
    layer = Relaxed(Simplex(4), CategoricalEntropy(), temperature)
    assert torch.allclose(layer(theta), torch.softmax(theta / temperature, -1), rtol=1e-12)
    assert torch.allclose(layer.potential(theta), temperature * torch.logsumexp(theta / temperature, -1), rtol=1e-12)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_sigmoid_and_softplus(temperature):
    theta = randn(2, 3, 2)
    layer = Relaxed(Hypercube(3, 2), BinaryEntropy(), temperature)
    assert torch.allclose(layer(theta), torch.sigmoid(theta / temperature), rtol=1e-12)
    softplus = temperature * torch.log1p(torch.exp(theta / temperature)).sum((-2, -1))
    assert torch.allclose(layer.potential(theta), softplus, rtol=1e-12)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_the_marginals_of_an_exponential_family_at_that_temperature(temperature):
    theta, vertices = randn(3, 6), SpanningTree(4).vertices()
    weights = theta @ vertices.T / temperature
    layer = Relaxed(SpanningTree(4), ExponentialEntropy(), temperature)
    assert torch.allclose(layer(theta), torch.softmax(weights, -1) @ vertices, rtol=1e-10)
    assert torch.allclose(layer.potential(theta), temperature * torch.logsumexp(weights, -1), rtol=1e-10)


# The programme


@pairs(INSIDE)
def test_it_is_the_maximiser_of_the_programme(polytope, regularizer):
    """``<theta, y> - t R(y)`` is the potential at the layer's ``y``, and smaller at every other mixture of vertices."""
    theta, temperature = randn(6, *polytope.event_shape), 0.6
    layer = Relaxed(polytope, regularizer, temperature)
    y, potential = layer(theta), layer.potential(theta)
    assert torch.allclose(dot(polytope, theta, y) - layer.conjugate(y), potential, rtol=1e-12, atol=1e-12)
    vertices = polytope.vertices()
    for seed in range(10):
        weights = torch.softmax(3 * randn(6, len(vertices), seed=seed), -1)
        mixture = torch.einsum("bv,v...->b...", weights, vertices)
        for share in (1e-3, 0.3, 1.0):
            other = y + share * (mixture - y)
            assert (dot(polytope, theta, other) - layer.conjugate(other) < potential + 1e-12).all()


@pairs(PAIRS)
def test_the_fenchel_young_inequality_at_vertices(polytope, regularizer):
    theta = randn(6, *polytope.event_shape)
    layer = Relaxed(polytope, regularizer, 0.6)
    for vertex in polytope.vertices():
        gap = layer.potential(theta) + layer.conjugate(vertex.expand(theta.shape)) - dot(polytope, theta, vertex)
        assert (gap >= -1e-12).all()


@pairs(PAIRS)
def test_the_gradient_of_the_potential_is_the_layer(polytope, regularizer):
    theta = randn(5, *polytope.event_shape).requires_grad_()
    layer = Relaxed(polytope, regularizer, 0.5)
    (gradient,) = torch.autograd.grad(layer.potential(theta).sum(), theta)
    assert torch.equal(gradient, layer(theta))  # a temperature of a power of two leaves no rounding
    assert torch.autograd.gradcheck(Relaxed(polytope, regularizer, 0.7).potential, theta, atol=1e-6)


@pairs(PAIRS)
def test_the_layer_can_be_differentiated_and_its_jacobian_is_symmetric(polytope, regularizer):
    theta = randn(*polytope.event_shape).requires_grad_()
    layer = Relaxed(polytope, regularizer, 0.7)
    assert torch.autograd.gradcheck(layer, theta, atol=1e-6)
    size = theta.numel()
    jacobian = torch.autograd.functional.jacobian(layer, theta).reshape(size, size)
    assert torch.allclose(jacobian, jacobian.T, rtol=1e-8, atol=1e-10)
    assert torch.linalg.eigvalsh(jacobian).min() > -1e-10


@pairs(SMOOTH)
def test_second_derivatives(polytope, regularizer):
    theta = randn(*polytope.event_shape).requires_grad_()
    assert torch.autograd.gradgradcheck(Relaxed(polytope, regularizer, 0.7), theta, atol=1e-5)


# Temperature


@pairs(PAIRS)
def test_cold_is_the_argmax(polytope, regularizer):
    theta = randn(20, *polytope.event_shape)
    hard = polytope.argmax(theta)
    errors = [(Relaxed(polytope, regularizer, t)(theta) - hard).abs().mean().item() for t in (1.0, 0.1, 1e-4)]
    assert errors[0] > errors[1] > errors[2] - 1e-12
    assert errors[2] < 1e-3
    potential = Relaxed(polytope, regularizer, 1e-9).potential(theta)
    assert torch.allclose(potential, dot(polytope, theta, hard), atol=1e-7)


@pairs(INSIDE)
def test_hot_is_where_the_regulariser_is_least(polytope, regularizer):
    hot = Relaxed(polytope, regularizer, 1e9)(randn(3, *polytope.event_shape))
    centre = polytope.vertices().mean(0)
    assert torch.allclose(hot, centre.expand_as(hot), atol=1e-7)


@pairs(PAIRS)
def test_the_derivative_in_the_temperature(polytope, regularizer):
    """Of the layer by finite differences; of the potential it is ``-R(y)`` (Danskin)."""
    theta = randn(3, *polytope.event_shape)
    temperature = torch.nn.Parameter(torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda t: Relaxed(polytope, regularizer, t)(theta), temperature, atol=1e-6)
    assert torch.autograd.gradcheck(
        lambda t: Relaxed(polytope, regularizer, t).potential(theta), temperature, atol=1e-6
    )
    layer = Relaxed(polytope, regularizer, temperature)
    (slope,) = torch.autograd.grad(layer.potential(theta).sum(), temperature)
    if (polytope, regularizer) in INSIDE:
        assert torch.allclose(slope, -regularizer.value(polytope, layer(theta).detach()), rtol=1e-9, atol=1e-10)


@pairs(PAIRS)
def test_a_temperature_an_item_is_that_of_a_loop(polytope, regularizer):
    theta, temperatures = randn(2, 3, *polytope.event_shape), torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    layer = Relaxed(polytope, regularizer, temperatures)
    y, potential = layer(theta), layer.potential(theta)
    for i, temperature in enumerate(temperatures.tolist()):
        alone = Relaxed(polytope, regularizer, temperature)
        assert torch.allclose(y[:, i], alone(theta[:, i]), rtol=1e-13, atol=1e-15)
        assert torch.allclose(potential[:, i], alone.potential(theta[:, i]), rtol=1e-13, atol=1e-15)


def test_a_learned_temperature_is_a_parameter():
    temperature = torch.nn.Parameter(torch.tensor(0.5))
    layer = Relaxed(Simplex(3), CategoricalEntropy(), temperature)
    assert list(layer.parameters()) == [temperature]
    with torch.no_grad():
        temperature.fill_(-1.0)
    for call in (layer, layer.potential):
        with pytest.raises(ValueError, match=r"temperature of shape .* must be positive"):
            call(torch.zeros(3))


# Finite differences (paulus, App. D)


@pairs(PAIRS)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_difference_is_that_of_two_relaxations(polytope, regularizer, temperature):
    theta, g = randn(4, *polytope.event_shape).requires_grad_(), randn(4, *polytope.event_shape, seed=1)
    for step in (1.0, 0.1, 1e-3):
        layer = Relaxed(polytope, regularizer, temperature, difference=step)
        exact = Relaxed(polytope, regularizer, temperature)
        y = layer(theta)
        assert torch.equal(y, exact(theta))
        (product,) = torch.autograd.grad(y, theta, g)
        shift = temperature * step * g
        by_hand = (exact(theta + shift) - exact(theta - shift)) / (2 * temperature * step)
        assert torch.allclose(product, by_hand, rtol=1e-9, atol=1e-11)


@pairs(SMOOTH)
def test_the_differences_error_is_of_second_order(polytope, regularizer):
    theta, g = randn(4, *polytope.event_shape).requires_grad_(), randn(4, *polytope.event_shape, seed=1)
    (exact,) = torch.autograd.grad(Relaxed(polytope, regularizer)(theta), theta, g)
    errors = []
    for step in (1e-1, 1e-2, 1e-3):
        (product,) = torch.autograd.grad(Relaxed(polytope, regularizer, difference=step)(theta), theta, g)
        errors.append((product - exact).abs().max().item())
    assert 80 < errors[0] / errors[1] < 120
    assert 80 < errors[1] / errors[2] < 120


def test_a_difference_goes_with_masks_and_a_learned_temperature():
    theta = randn(3, 5).requires_grad_()
    mask, g = torch.tensor([True, True, False, True, True]), randn(3, 5, seed=1)
    temperature = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
    found = []
    for step in (None, 1e-4):
        y = Relaxed(Subset(5, 2), BinaryEntropy(), temperature, step)(theta, mask=mask)
        assert not y[:, 2].any()
        found.append(torch.autograd.grad(y, [theta, temperature], g))
    for exact, difference in zip(*found, strict=True):
        assert torch.allclose(exact, difference, atol=1e-6)
    assert not found[1][0][:, 2].any()


# Masks, shapes, what is refused


@pytest.mark.parametrize(
    "regularizer", [BinaryEntropy(), CategoricalEntropy(), Euclidean(), ExponentialEntropy()], ids=names
)
def test_a_mask_leaves_the_shorter_list(regularizer):
    theta, mask = randn(3, 6), torch.tensor([True, False, True, True, False, True])
    layer, shorter = Relaxed(Subset(6, 2), regularizer, 0.7), Relaxed(Subset(4, 2), regularizer, 0.7)
    y = layer(theta, mask=mask)
    assert torch.allclose(y[:, mask], shorter(theta[:, mask]), rtol=1e-11)
    assert not y[:, ~mask].any()
    assert torch.allclose(layer.potential(theta, mask=mask), shorter.potential(theta[:, mask]), rtol=1e-11)


@pairs([*PAIRS, (Matching(3), SinkhornEntropy())])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("leading", [(), (0,), (2, 3)])
def test_shapes_and_dtypes_and_that_nothing_is_drawn(polytope, regularizer, leading, dtype):
    theta = torch.zeros(*leading, *polytope.event_shape, dtype=dtype)
    layer, generator = Relaxed(polytope, regularizer), torch.Generator().manual_seed(0)
    before = generator.get_state()
    y = layer(theta, generator)
    assert y.shape == theta.shape
    assert y.dtype == dtype
    assert torch.equal(generator.get_state(), before)
    if not isinstance(regularizer, SinkhornEntropy):
        potential = layer.potential(theta)
        assert potential.shape == leading
        assert potential.dtype == dtype


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="temperature must be positive and finite"):
        Relaxed(Simplex(3), CategoricalEntropy(), temperature)


@pytest.mark.parametrize("difference", [0.0, -1e-3, math.nan])
def test_the_difference_must_be_positive(difference):
    with pytest.raises(ValueError, match=f"difference must be positive, not {difference}"):
        Relaxed(Simplex(3), CategoricalEntropy(), difference=difference)


@pairs([(Matching(3), BinaryEntropy()), (Permutahedron(3), ExponentialEntropy()), (Simplex(3), SinkhornEntropy())])
def test_unknown_pairs_are_refused(polytope, regularizer):
    with pytest.raises(ValueError, match=f"{names(regularizer)} is not defined here for {names(polytope)}"):
        Relaxed(polytope, regularizer)(torch.zeros(polytope.event_shape))
