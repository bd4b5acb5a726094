"""Blackbox gradients against the interpolation by enumeration, cases by hand and plain loops."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from structgrad.losses.blackbox import Blackbox
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.matching import Matching
from structgrad.polytopes.permutahedron import Permutahedron


def exactly(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradient_of(blackbox, theta, direction):
    """What arrives at ``theta`` when ``direction`` arrives at the structures."""
    theta = theta.clone().requires_grad_()
    return torch.autograd.grad(blackbox(theta), theta, direction.expand(theta.shape))[0]


class Choice(Polytope):
    """One of n coordinates, by a mask; counts its problems."""

    takes_mask = True

    def __init__(self, n):
        self.event_shape, self.solved = (n,), 0

    def _argmax(self, theta, mask):
        self.solved += theta[..., 0].numel()
        allowed = theta if mask is None else theta.masked_fill(~mask, -torch.inf)
        return torch.nn.functional.one_hot(allowed.argmax(-1), theta.shape[-1]).to(theta.dtype)

    def vertices(self):
        return torch.eye(*self.event_shape, dtype=torch.float64)


def interpolation(polytope, theta, direction, size, minimise):
    """Vlastelica's interpolation of the linear loss ``<direction, y>``, differentiable, by enumeration."""
    vertices = polytope.vertices().flatten(1)

    def best(scores):
        values = scores.flatten() @ vertices.T
        return values.min() if minimise else values.max()

    step = size if minimise else -size
    return (best(theta + step * direction) - best(theta)) / step


# By hand: the identity is worth 1.5, the swap 0; the loss <G, y> is 2 at the identity and -2 at the swap. Moving the
# scores by -lambda G makes them 1.5 - 2 lambda and 2 lambda: the swap wins from lambda = 3/8 on.

SCORES = exactly([[1.0, 0.0], [0.0, 0.5]])
G = exactly([[1.0, -1.0], [-1.0, 1.0]])
IDENTITY, SWAP = exactly([[1.0, 0.0], [0.0, 1.0]]), exactly([[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(("size", "moves"), [(0.25, 0), (0.5, 1), (4.0, 1)])
def test_two_by_two_matchings_by_hand(size, moves):
    expected = moves * (IDENTITY - SWAP) / size
    assert torch.equal(gradient_of(Blackbox(Matching(2), size), SCORES, G), expected)
    # costs: descent makes the identity dearer and the swap cheaper
    assert torch.equal(gradient_of(Blackbox(Matching(2), size, minimise=True), -SCORES, G), -expected)


def test_the_structures_are_those_of_the_solver():
    theta = normal(0, 2, 3, 4)
    polytope = Permutahedron(4)
    assert torch.equal(Blackbox(polytope, 1.0)(theta), polytope.argmax(theta))
    assert torch.equal(Blackbox(polytope, 1.0, minimise=True)(theta), polytope.argmax(-theta))
    prices = polytope.vertices() @ theta[0, 0]
    cheapest = Blackbox(polytope, 1.0, minimise=True)(theta[0, 0])
    assert float(cheapest @ theta[0, 0]) == pytest.approx(float(prices.min()))


@pytest.mark.parametrize("minimise", [False, True])
@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    size=st.floats(0.01, 30.0),
    polytope=st.sampled_from([Matching(3), Permutahedron(4), Choice(5)]),
)
def test_the_gradient_is_that_of_the_interpolation(minimise, seed, size, polytope):
    theta, direction = normal(seed, 2, *polytope.event_shape)
    found = gradient_of(Blackbox(polytope, size, minimise), theta, direction)
    theta.requires_grad_()
    (expected,) = torch.autograd.grad(interpolation(polytope, theta, direction, size, minimise), theta)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("minimise", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_is_the_difference_quotient_of_the_interpolation(minimise, seed):
    """The interpolation is linear between its kinks, which a small step does not reach."""
    polytope, size, step = Permutahedron(4), 2.0, 1e-6
    theta, direction = normal(seed, 2, 4)
    found = gradient_of(Blackbox(polytope, size, minimise), theta, direction)
    for i in range(4):
        ends = [
            interpolation(polytope, theta + sign * step * torch.eye(4).double()[i], direction, size, minimise)
            for sign in (1, -1)
        ]
        assert float(found[i]) == pytest.approx(float(ends[0] - ends[1]) / (2 * step), abs=1e-7)


def test_the_loss_is_linearised_at_the_solution():
    theta, target = normal(1, 5, 4).requires_grad_(), normal(2, 5, 4)
    blackbox = Blackbox(Permutahedron(4), 0.8)
    (found,) = torch.autograd.grad((0.5 * (blackbox(theta) - target) ** 2).sum(), theta)
    assert torch.equal(found, gradient_of(blackbox, theta.detach(), blackbox(theta).detach() - target))


def test_costs_are_negative_scores():
    theta, direction = normal(3, 20, 3, 3), normal(4, 20, 3, 3)
    scores = gradient_of(Blackbox(Matching(3), 0.7), theta, direction)
    costs = gradient_of(Blackbox(Matching(3), 0.7, minimise=True), -theta, direction)
    assert torch.equal(costs, -scores)
    assert scores.any()


def test_mixing_the_signs_is_another_estimator():
    """An argmax moved by +lambda g looks for worse structures: from the worst one it learns nothing."""
    polytope = Matching(2)
    assert torch.equal(polytope.argmax(SCORES), IDENTITY)
    mixed = (polytope.argmax(SCORES + 1.0 * G) - polytope.argmax(SCORES)) / 1.0
    assert not mixed.any()
    assert gradient_of(Blackbox(polytope, 1.0), SCORES, G).any()
    theta, direction = normal(5, 200, 3, 3), normal(6, 200, 3, 3)
    mixed = Matching(3).argmax(theta + direction) - Matching(3).argmax(theta)
    found = gradient_of(Blackbox(Matching(3), 1.0), theta, direction)
    assert not torch.equal(found, mixed)
    # each is monotone: ours descends to less loss, the other away from more
    assert ((found * direction).flatten(1).sum(-1) >= 0).all()
    assert ((mixed * direction).flatten(1).sum(-1) >= 0).all()


@pytest.mark.parametrize("minimise", [False, True])
def test_descent_reaches_the_target(minimise):
    target = exactly([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    blackbox = Blackbox(Matching(3), 1.0, minimise)
    theta = (-1 if minimise else 1) * torch.eye(3).double() + 0.1 * normal(7, 3, 3)
    assert torch.equal(blackbox(theta), torch.eye(3).double())
    for _ in range(100):
        theta = theta - 0.1 * gradient_of(blackbox, theta, blackbox(theta) - target)
    assert torch.equal(blackbox(theta), target)


def test_leading_dimensions_are_loops():
    theta, direction, size = normal(8, 2, 3, 4), normal(9, 2, 3, 4), exactly([[0.1, 1.0, 9.0], [2.0, 0.5, 3.0]])
    found = gradient_of(Blackbox(Permutahedron(4), size), theta, direction)
    for i, j in itertools.product(range(2), range(3)):
        one = gradient_of(Blackbox(Permutahedron(4), float(size[i, j])), theta[i, j], direction[i, j])
        assert torch.allclose(found[i, j], one, rtol=1e-15)
    assert gradient_of(Blackbox(Permutahedron(4), 1.0), theta[:, :0], direction[:, :0]).shape == (2, 0, 4)


def test_backward_solves_the_moved_scores_alone():
    choice = Choice(3)
    theta = normal(10, 7, 3).requires_grad_()
    y = Blackbox(choice, 1.0)(theta)
    assert choice.solved == 7
    y.square().sum().backward()
    assert choice.solved == 14


def test_masked_coordinates_stay_out_of_both_solves():
    mask = torch.tensor([True, True, False])
    theta = exactly([1.0, 0.0, 50.0]).requires_grad_()
    y = Blackbox(Choice(3), 2.0)(theta, mask)
    assert y.tolist() == [1, 0, 0]
    (found,) = torch.autograd.grad(y, theta, exactly([3.0, 0.0, -90.0]))
    assert found.tolist() == [0.5, -0.5, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_that_of_the_scores(dtype):
    theta = normal(11, 4).to(dtype).requires_grad_()
    y = Blackbox(Permutahedron(4), torch.tensor(0.5, dtype=torch.float64))(theta)
    y.square().sum().backward()
    assert theta.grad is not None
    assert y.dtype == theta.grad.dtype == dtype


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf"), torch.tensor([1.0, 0.0])])
def test_an_interpolation_that_is_not_positive_is_named(size):
    with pytest.raises(ValueError, match=r"interpolation .*must be positive and finite"):
        Blackbox(Matching(2), size)


def test_scores_of_another_shape_are_named():
    with pytest.raises(ValueError, match=r"theta must end in \(2, 2\), not \(3, 3\)"):
        Blackbox(Matching(2), 1.0)(torch.zeros(3, 3))


def test_a_mask_that_the_polytope_does_not_take_is_named():
    with pytest.raises(ValueError, match="Matching takes no mask"):
        Blackbox(Matching(2), 1.0)(torch.zeros(2, 2), torch.ones(2, 2, dtype=torch.bool))
