"""Fenchel-Young losses against cross entropies, what convexity promises, and the layers they come from."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from structgrad.estimate import mean_of
from structgrad.layers.base import Layer
from structgrad.layers.perturbed import Perturbed
from structgrad.layers.relaxed import Relaxed
from structgrad.losses.fenchel_young import FenchelYoung
from structgrad.noise import Gumbel, Normal
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

# layers whose R is known on the whole polytope, and then those where it is not
KNOWN = {
    "sparsemax": lambda t: Relaxed(Simplex(4), Euclidean(), t),
    "softmax": lambda t: Relaxed(Simplex(4), CategoricalEntropy(), t),
    "sigmoid": lambda t: Relaxed(Hypercube(4), BinaryEntropy(), t),
    "subset": lambda t: Relaxed(Subset(5, 2), BinaryEntropy(), t),
    "soft ranks": lambda t: Relaxed(Permutahedron(4), Euclidean(), t),
}
SMOOTH = ("softmax", "sigmoid", "subset")
ALL = KNOWN | {
    "marginals of subsets": lambda t: Relaxed(Subset(5, 2), ExponentialEntropy(), t),
    "marginals of trees": lambda t: Relaxed(SpanningTree(4), ExponentialEntropy(), t),
    "perturbed matching": lambda t: Perturbed(Matching(3), Normal(), t, 6),
    "perturbed ranks": lambda t: Perturbed(Permutahedron(4), Normal(), t, 1),
    "perturbed choice": lambda t: Perturbed(Simplex(4), Gumbel(), t, 5),
}


def exactly(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def generator(seed=7):
    return torch.Generator().manual_seed(seed)


def normal(seed, *shape):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def scores_and_vertex(layer, seed, *leading):
    """Scores, and some vertex for each of them."""
    polytope = layer.polytope
    theta = normal(seed, *leading, *polytope.event_shape)
    return theta, polytope.argmax(normal(seed + 1000, *leading, *polytope.event_shape))


def gradient_of(layer, theta, y, **options):
    theta = theta.detach().clone().requires_grad_()
    return torch.autograd.grad(FenchelYoung(layer, **options)(theta, y, generator()).sum(), theta)[0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ALL)
def test_the_gradient_is_the_layer_less_the_target_bit_for_bit(name, dtype):
    layer = ALL[name](0.5)  # a power of two: multiplying and dividing by it rounds nothing
    theta, y = (x.to(dtype) for x in scores_and_vertex(layer, 0, 2, 3))
    expected = layer(theta, generator()) - y
    assert torch.equal(gradient_of(layer, theta, y), expected)
    assert expected.any()
    assert FenchelYoung(layer)(theta, y, generator()).dtype == dtype


@pytest.mark.parametrize("name", ALL)
def test_the_gradient_is_the_layer_less_the_target_at_any_scale(name):
    layer = ALL[name](0.3)
    theta, y = scores_and_vertex(layer, 1, 6)
    assert torch.allclose(gradient_of(layer, theta, y), layer(theta, generator()) - y, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("temperature", [1.0, 0.3, 2.5])
def test_the_loss_of_softmax_is_the_temperature_times_the_cross_entropy(temperature):
    theta, target = normal(2, 6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    y = torch.nn.functional.one_hot(target, 4)
    expected = temperature * torch.nn.functional.cross_entropy(theta / temperature, target, reduction="none")
    for regularizer in (CategoricalEntropy(), ExponentialEntropy()):
        found = FenchelYoung(Relaxed(Simplex(4), regularizer, temperature))(theta, y)
        assert torch.allclose(found, expected, rtol=1e-12)


def test_the_loss_of_softmax_at_a_soft_target_is_the_temperature_times_the_divergence():
    temperature, theta, y = 0.6, normal(3, 5, 4), normal(4, 5, 4).softmax(-1)
    found = FenchelYoung(Relaxed(Simplex(4), CategoricalEntropy(), temperature))(theta, y)
    log_q = (theta / temperature).log_softmax(-1)
    assert torch.allclose(found, temperature * (y * (y.log() - log_q)).sum(-1), rtol=1e-12)


def test_the_loss_of_sparsemax_is_half_the_distances_difference():
    """``|theta - y|^2 / 2 - |theta - p|^2 / 2`` with p the projection, at temperature one."""
    theta, y = normal(5, 8, 4), normal(6, 8, 4).softmax(-1)
    layer = Relaxed(Simplex(4), Euclidean())
    expected = ((theta - y).square().sum(-1) - (theta - layer(theta)).square().sum(-1)) / 2
    assert torch.allclose(FenchelYoung(layer)(theta, y), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", KNOWN)
@settings(deadline=None, derandomize=True, max_examples=20)
@given(seed=st.integers(0, 10_000), temperature=st.floats(0.2, 5.0))
def test_the_loss_is_zero_where_the_layer_gives_the_target_and_positive_elsewhere(name, seed, temperature):
    layer = KNOWN[name](temperature)
    theta, vertex = scores_and_vertex(layer, seed)
    fenchel_young = FenchelYoung(layer)
    assert float(fenchel_young(theta, layer(theta))) == pytest.approx(0, abs=1e-12)
    for y in (vertex, layer(theta + 1.5 * normal(seed + 5, *theta.shape))):
        distance = float((layer(theta) - y).square().sum())
        # R is strongly convex (of modulus c with respect to the Euclidean norm): the loss is at least c t |p - y|^2 / 2
        assert float(fenchel_young(theta, y)) >= 0.4999 * temperature * distance - 1e-12


@pytest.mark.parametrize("name", ALL)
@settings(deadline=None, derandomize=True, max_examples=15)
@given(seed=st.integers(0, 10_000), where=st.floats(0.0, 1.0), scale=st.floats(0.1, 10.0))
def test_the_loss_is_convex_along_lines(name, seed, where, scale):
    """Of a Monte-Carlo potential too, for the same draws: it is a mean of maxima."""
    fenchel_young = FenchelYoung(ALL[name](0.7))
    theta, y = scores_and_vertex(fenchel_young.layer, seed)
    other = theta + scale * normal(seed + 1, *theta.shape)
    left, middle, right = (
        float(fenchel_young(x, y, generator())) for x in (theta, theta + where * (other - theta), other)
    )
    assert middle <= (1 - where) * left + where * right + 1e-12


@pytest.mark.parametrize("name", [*SMOOTH, "marginals of subsets", "marginals of trees", "perturbed choice"])
def test_the_second_derivative_is_the_jacobian_of_the_layer(name):
    layer = ALL[name](0.7)
    theta, y = scores_and_vertex(layer, 9)

    def slope(x):
        (gradient,) = torch.autograd.grad(FenchelYoung(layer)(x, y, generator()), x, create_graph=True)
        return gradient

    size = theta.numel()
    found = torch.autograd.functional.jacobian(slope, theta).view(size, size)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x, generator()), theta).view(size, size)
    assert torch.allclose(found, jacobian, rtol=1e-10, atol=1e-12)
    assert jacobian.abs().max() > 0.01


def test_a_perturbed_choice_is_the_cross_entropy_in_expectation():
    """Gumbel noise on the simplex (centred): F is sigma logsumexp(theta / sigma), and F* zero at vertices."""
    items, sigma = 40_000, 0.8
    theta = exactly([0.5, -0.3, 1.0, 0.1]).expand(items, 4).clone().requires_grad_()
    y = exactly([0.0, 1.0, 0.0, 0.0])
    loss = FenchelYoung(Perturbed(Simplex(4), Gumbel(), sigma, 2))(theta, y, generator())
    (gradient,) = torch.autograd.grad(loss.sum(), theta)
    p = (theta[0].detach() / sigma).softmax(-1)
    found = mean_of(gradient, 0)
    assert float(((found.value - (p - y)) / found.standard_error).abs().max()) < 5
    value = mean_of(loss.detach(), 0)
    assert abs(float(value.value + sigma * p[1].log())) < 5 * float(value.standard_error)


@pytest.mark.parametrize("name", KNOWN)
def test_without_the_conjugate_the_loss_is_right_up_to_a_constant(name):
    layer = KNOWN[name](0.7)
    (theta, y), other = scores_and_vertex(layer, 11, 3), normal(12, 3, *layer.polytope.event_shape)
    true, shifted = FenchelYoung(layer), FenchelYoung(layer, conjugate=False)
    assert torch.allclose(true(theta, y) - true(other, y), shifted(theta, y) - shifted(other, y), atol=1e-13)
    assert torch.equal(gradient_of(layer, theta, y, conjugate=False), gradient_of(layer, theta, y))


def test_soft_targets_of_the_exponential_family_leave_the_conjugate_out():
    layer = Relaxed(Subset(5, 2), ExponentialEntropy())
    theta, y = normal(13, 5), layer(normal(14, 5))
    with pytest.raises(ValueError, match="must hold vertices"):
        FenchelYoung(layer)(theta, y)
    assert torch.equal(gradient_of(layer, theta, y, conjugate=False), layer(theta) - y)


def test_costs_are_negated():
    layer = Relaxed(Simplex(4), CategoricalEntropy())
    cost, y = normal(15, 4).requires_grad_(), exactly([0.0, 0.0, 1.0, 0.0])
    (gradient,) = torch.autograd.grad(FenchelYoung(layer)(-cost, y), cost)
    assert torch.equal(gradient, y - layer(-cost))


@pytest.mark.parametrize("name", ["softmax", "marginals of subsets", "perturbed choice"])
def test_a_mask_is_the_smaller_problem(name):
    layer = {
        "softmax": Relaxed(Simplex(5), CategoricalEntropy(), 0.5),
        "marginals of subsets": Relaxed(Subset(5, 2), ExponentialEntropy(), 0.5),
        "perturbed choice": Perturbed(Simplex(5), Gumbel(), 0.5, 4),
    }[name]
    mask = torch.tensor([True, True, False, True, False])
    theta = normal(16, 3, 5)
    y = layer.polytope.argmax(normal(17, 3, 5), mask)
    loss = FenchelYoung(layer)(theta, y, generator(), mask)
    changed = theta.masked_fill(~mask, 33.0).requires_grad_()
    again = FenchelYoung(layer)(changed, y, generator(), mask)
    assert torch.allclose(again, loss, rtol=1e-12)
    (gradient,) = torch.autograd.grad(again.sum(), changed)
    assert not gradient[:, ~mask].any()
    assert torch.equal(gradient, layer(changed, generator(), mask) - y)
    if name == "softmax":
        small = FenchelYoung(Relaxed(Simplex(3), CategoricalEntropy(), 0.5))
        assert torch.allclose(small(theta[:, mask], y[:, mask]), loss, rtol=1e-12)


def test_losses_are_those_of_the_items():
    layer = Relaxed(Simplex(4), CategoricalEntropy(), exactly([[0.5, 1.0, 2.0]]))
    theta, y = normal(18, 2, 3, 4), normal(19, 3, 4).softmax(-1)
    found = FenchelYoung(layer)(theta, y)
    assert found.shape == (2, 3)
    for i, j in itertools.product(range(2), range(3)):
        one = FenchelYoung(Relaxed(Simplex(4), CategoricalEntropy(), 2.0 ** (j - 1)))
        assert float(found[i, j]) == pytest.approx(float(one(theta[i, j], y[j])), rel=1e-13)
    assert FenchelYoung(layer)(theta[:0], y).shape == (0, 3)


def test_descent_reaches_the_target():
    layer, y = Relaxed(Subset(5, 2), BinaryEntropy()), exactly([0.1, 0.9, 0.3, 0.2, 0.5])
    theta = torch.zeros(5, dtype=torch.float64)
    for _ in range(200):
        theta = theta - gradient_of(layer, theta, y)
    assert torch.allclose(layer(theta), y, atol=1e-6)
    assert float(FenchelYoung(layer)(theta, y)) < 1e-10


def test_a_temperature_learns_from_the_true_loss():
    temperature = torch.nn.Parameter(exactly(0.7))
    fenchel_young = FenchelYoung(Relaxed(Simplex(4), CategoricalEntropy(), temperature))
    assert list(fenchel_young.parameters()) == [temperature]
    theta, y = normal(20, 4), normal(21, 4).softmax(-1)
    (found,) = torch.autograd.grad(fenchel_young(theta, y), temperature)
    ends = [float(FenchelYoung(Relaxed(Simplex(4), CategoricalEntropy(), 0.7 + h))(theta, y)) for h in (1e-5, -1e-5)]
    assert float(found) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


class NoPotential(Layer):
    def forward(self, theta, generator=None, mask=None):
        return theta


def test_a_layer_without_a_potential_is_named():
    with pytest.raises(ValueError, match="NoPotential is not the gradient of a known potential"):
        FenchelYoung(NoPotential(Simplex(3)))(torch.zeros(3), torch.zeros(3))


@pytest.mark.parametrize("shape", [(3,), (2, 4), (1, 1, 4)])
def test_a_target_that_does_not_fit_is_named(shape):
    with pytest.raises(
        ValueError, match=rf"y of shape \({', '.join(map(str, shape))},?\) does not fit scores \(3, 4\)"
    ):
        FenchelYoung(Relaxed(Simplex(4), Euclidean()))(torch.zeros(3, 4), torch.zeros(shape))


def test_bad_scores_are_named():
    with pytest.raises(ValueError, match="theta must end in"):
        FenchelYoung(Relaxed(Simplex(4), Euclidean()))(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match="NaN or infinite"):
        FenchelYoung(Relaxed(Simplex(2), Euclidean()))(exactly([0.0, float("nan")]), exactly([0.0, 1.0]))
