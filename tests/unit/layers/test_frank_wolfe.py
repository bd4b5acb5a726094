"""Frank-Wolfe layers against the exact projections, a quadratic solver over all vertices, and optimality itself."""

import math
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from structgrad.layers import FrankWolfe, Relaxed, StochasticSoftmax, _nearest
from structgrad.losses import FenchelYoung
from structgrad.parallel import set_threads
from structgrad.polytopes import (
    Arborescence,
    BlackBox,
    CorrelatedSubset,
    GridPath,
    Hypercube,
    Matching,
    Permutahedron,
    Simplex,
    SpanningTree,
    Subset,
)
from structgrad.regularizers import Euclidean

PROJECTED = [Simplex(6), Hypercube(5), Subset(7, 3), Permutahedron(6)]
OTHERS = [Matching(4), SpanningTree(4), Arborescence(4), CorrelatedSubset(5, 2), GridPath(3, 3)]
TEMPERATURE = 0.7


def name(polytope):
    return type(polytope).__name__


projected = pytest.mark.parametrize("polytope", PROJECTED, ids=name)
others = pytest.mark.parametrize("polytope", OTHERS, ids=name)
every = pytest.mark.parametrize("polytope", [*PROJECTED, *OTHERS], ids=name)


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


def scores(polytope, *leading, scale=1.0, seed=0):
    draw = torch.Generator().manual_seed(seed)
    theta = scale * torch.randn(*leading, *polytope.event_shape, generator=draw, dtype=torch.float64)
    return -theta.abs() if polytope.nonpositive else theta


def jacobian(layer, theta):
    size = theta.numel()
    found = torch.autograd.functional.jacobian(layer, theta)
    return found.reshape(size, size)


def face_projection(polytope, theta, temperature):
    """The projection onto the directions of the face of all vertices that maximise the slope, by enumeration."""
    y = FrankWolfe(polytope, temperature)(theta).flatten()
    vertices = polytope.vertices().flatten(1)
    value = vertices @ (theta.flatten() / temperature - y)
    face = vertices[value >= value.max() - 1e-9]
    differences = face - face[0]
    return torch.linalg.pinv(differences, rtol=1e-9) @ differences


# Values


@projected
@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0, 30.0])
def test_values_and_gradients_are_those_of_the_exact_projections(polytope, scale):
    theta = scores(polytope, 3, 20, scale=scale).requires_grad_()
    direction = scores(polytope, 3, 20, seed=1)
    found = []
    for layer in (FrankWolfe(polytope, TEMPERATURE), Relaxed(polytope, Euclidean(), TEMPERATURE)):
        y, value = layer(theta), layer.potential(theta)
        found.append(
            (y, torch.autograd.grad(y, theta, direction)[0], value, torch.autograd.grad(value.sum(), theta)[0])
        )
    for ours, exact in zip(*found, strict=True):
        assert torch.allclose(ours, exact, rtol=1e-11, atol=1e-12)


@others
@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 8.0])
def test_no_vertex_lies_uphill_and_the_point_is_a_combination_of_vertices(polytope, scale):
    """Optimality over all vertices: nothing is left to a solver."""
    theta = scores(polytope, 30, scale=scale)
    layer = FrankWolfe(polytope, TEMPERATURE)
    y, parts = layer(theta), layer.decompose(theta)
    every_vertex = polytope.vertices().flatten(1)
    slope = (theta - TEMPERATURE * y).flatten(1)
    gap = (slope @ every_vertex.mT).amax(1) - (slope * y.flatten(1)).sum(1)
    assert gap.max() < 1e-13 * max(1.0, scale) * 100
    assert (parts.gap < 1e-11).all()
    assert (parts.weights >= 0).all()
    assert torch.allclose(parts.weights.sum(1), torch.ones(30).double())
    assert torch.allclose(torch.einsum("bm,bm...->b...", parts.weights, parts.vertices), y, atol=1e-13)
    assert (parts.weights.diff(dim=1) <= 0).all()
    for vertices, weights in zip(parts.vertices.flatten(2), parts.weights, strict=True):
        active = vertices[weights > 0]
        assert (torch.cdist(active, every_vertex).amin(1) == 0).all()
        assert torch.linalg.matrix_rank(active[1:] - active[0]) == len(active) - 1  # affinely independent: unique


@others
def test_a_quadratic_solver_over_all_vertices_agrees(polytope):
    vertices = polytope.vertices().flatten(1).numpy()
    for theta in scores(polytope, 3, scale=1.5, seed=2):
        flat = theta.numpy().ravel()

        def loss(weights, flat=flat):
            y = weights @ vertices
            return TEMPERATURE / 2 * y @ y - flat @ y, vertices @ (TEMPERATURE * y - flat)

        count = len(vertices)
        one = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like}
        start = np.full(count, 1 / count)
        found = minimize(
            loss, start, jac=True, method="SLSQP", bounds=[(0, 1)] * count, constraints=one,
            options={"ftol": 1e-14, "maxiter": 1000},
        )  # fmt: skip
        ours = FrankWolfe(polytope, TEMPERATURE)
        assert ours(theta).numpy().ravel() == pytest.approx(found.x @ vertices, abs=1e-5)
        assert float(ours.potential(theta)) == pytest.approx(-found.fun, abs=1e-9)


def test_a_black_box_is_as_good_as_the_polytope_behind_it():
    """Also where its structures are no indicators and lie far from zero."""
    vertices = torch.randn(40, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 100
    box = BlackBox(lambda s: vertices[(vertices @ torch.from_numpy(s)).argmax()], (5,), vertices=vertices)
    theta = (120 + 20 * scores(box, 30)).requires_grad_()
    y = FrankWolfe(box)(theta)
    slope = theta - y
    assert ((slope @ vertices.mT).amax(1) - (slope * y).sum(1)).max() < 1e-9
    for item in theta.detach()[:5]:
        expected = face_projection(box, item, 1.0)
        assert torch.allclose(jacobian(FrankWolfe(box), item), expected, atol=1e-7)
    trees = SpanningTree(4)
    box = BlackBox(lambda s: trees.argmax(torch.from_numpy(s)), trees.event_shape)
    theta = scores(trees, 10)
    assert torch.allclose(FrankWolfe(box)(theta), FrankWolfe(trees)(theta), atol=1e-13)


# Derivatives


@every
def test_the_derivative_is_that_of_finite_differences(polytope):
    theta = (scores(polytope, 4, seed=4) - 0.1 * polytope.nonpositive).requires_grad_()
    temperature = torch.tensor([0.5, 0.8, 1.5, 3.0], dtype=torch.float64, requires_grad=True)

    def soften(theta, temperature):
        return FrankWolfe(polytope, temperature * 1.0)(theta)

    def potential(theta, temperature):
        return FrankWolfe(polytope, temperature * 1.0).potential(theta)

    assert torch.autograd.gradcheck(soften, (theta, temperature), atol=1e-7)
    assert torch.autograd.gradcheck(potential, (theta, temperature), atol=1e-7)
    assert torch.autograd.gradgradcheck(potential, (theta, temperature), atol=1e-6)


@every
@pytest.mark.parametrize("seed", [5, 6, None])
def test_the_jacobian_projects_onto_the_face(polytope, seed):
    """``None``: equal scores, where a few vertices of a large face hold the point."""
    theta = torch.full(polytope.event_shape, -0.5).double() if seed is None else scores(polytope, seed=seed)
    found = jacobian(FrankWolfe(polytope, TEMPERATURE), theta)
    assert torch.allclose(found, face_projection(polytope, theta, TEMPERATURE) / TEMPERATURE, atol=1e-9)
    assert torch.allclose(found, found.mT, atol=1e-12)


def test_derivatives_at_equal_scores_in_closed_form():
    """The whole polytope moves: rows and columns, or the total, are held, and nothing else is."""
    n = 5
    centre = torch.eye(n).double() - 1 / n
    found = jacobian(FrankWolfe(Matching(n), 0.5), torch.zeros(n, n).double())
    assert torch.allclose(found, torch.kron(centre, centre) / 0.5, atol=1e-10)
    for polytope, level in ((Permutahedron(n), 3.0), (Subset(n, 2), -1.0), (SpanningTree(4), 0.0)):
        size = polytope.event_shape[0]
        found = jacobian(FrankWolfe(polytope, 2.0), torch.full((size,), level).double())
        assert torch.allclose(found, (torch.eye(size).double() - 1 / size) / 2.0, atol=1e-10)
    assert torch.allclose(jacobian(FrankWolfe(Hypercube(4)), torch.full((4,), 0.5).double()), torch.eye(4).double())


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_at_a_kink_the_derivative_is_that_of_one_side(order):
    kink, inside = torch.tensor([[1.0, 0.0, -2.0], [0.9, 0.1, -2.0]], dtype=torch.float64)[:, list(order)]
    found = jacobian(FrankWolfe(Simplex(3)), kink)
    assert torch.allclose(found, jacobian(Relaxed(Simplex(3), Euclidean()), inside), atol=1e-12)


@others
def test_the_fenchel_young_loss(polytope):
    layer = FrankWolfe(polytope, 0.5)  # a power of two divides without rounding
    theta, target = scores(polytope, 10).requires_grad_(), polytope.argmax(scores(polytope, 10, seed=1))
    loss = FenchelYoung(layer)(theta, target)
    (gradient,) = torch.autograd.grad(loss.sum(), theta)
    y = layer(theta).detach()
    assert torch.equal(gradient, y - target)
    bound = 0.5 / 2 * (y - target).square().flatten(1).sum(1)  # F is 1/t-smooth: L >= t |y - target|^2 / 2
    assert (loss >= bound - 1e-12).all()
    assert FenchelYoung(layer)(theta, y).abs().max() < 1e-12


def test_what_takes_a_relaxation_takes_this():
    theta = scores(SpanningTree(4), 6).requires_grad_()
    layer = StochasticSoftmax(FrankWolfe(SpanningTree(4), 0.5), samples=3)
    soft = layer(theta, torch.Generator().manual_seed(0))
    utilities = layer.utilities(theta, torch.Generator().manual_seed(0))
    assert torch.allclose(soft, FrankWolfe(SpanningTree(4), 0.5)(utilities))
    soft.square().sum().backward()
    assert theta.grad is not None
    assert theta.grad.abs().sum() > 0


# Domains: masks, signs, sizes


@pytest.mark.parametrize("large", [None, -1e9, -1e30, -1.7e308])
def test_what_is_forbidden_by_a_mask_or_a_huge_score(large):
    polytope = SpanningTree(4)
    vertices = polytope.vertices()
    allowed = torch.tensor([True, True, False, True, True, False])
    theta = scores(polytope, 20, scale=0.5)
    left = vertices[(vertices * ~allowed).sum(1) == 0]
    box = BlackBox(lambda s: left[(left @ torch.from_numpy(s)).argmax()], (6,))
    given = (theta if large is None else theta.masked_fill(~allowed, large)).requires_grad_()
    y = FrankWolfe(polytope)(given, mask=allowed if large is None else None)
    expected = FrankWolfe(box)(theta.requires_grad_())
    assert torch.allclose(y, expected, atol=1e-12)
    found, wanted = (torch.autograd.grad(part, s, torch.ones_like(part) * theta.detach())[0]
                     for part, s in ((y, given), (expected, theta)))  # fmt: skip
    assert torch.allclose(found, wanted, atol=1e-10)
    assert (found[:, ~allowed] == 0).all()


def test_huge_scores_that_cancel_leave_a_finite_combination():
    """The best two agree in sums of scores whose partial sums overflow; the solver adds them exactly."""
    vertices = torch.tensor([[1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 1], [1, 0, 1, 0, 0, 0]]).double()

    def exact(s):
        return vertices[max(range(3), key=lambda v: sum(Fraction(x) for x in s[vertices[v].numpy() == 1]))]

    theta = torch.tensor([1.7e308] * 4 + [0.3, 0.0], dtype=torch.float64).requires_grad_()
    y = FrankWolfe(BlackBox(exact, (6,)))(theta)
    (gradient,) = torch.autograd.grad(y[4], theta)
    assert y[4:].sum().item() == pytest.approx(1.0)  # which of the two, float64 does not hold
    assert 0 <= y[4].item() <= 1
    assert torch.isfinite(gradient).all()


def test_paths_are_asked_for_costs_only():
    asked = []

    class Spy(GridPath):
        def _argmax(self, theta, mask):
            asked.append(float(theta.max()))
            return super()._argmax(theta, mask)

    layer, theta = FrankWolfe(Spy(3, 3), 2.0), scores(GridPath(3, 3), 10)
    theta[:, 1, 1] = 0.0
    layer(theta)
    assert len(asked) > 3
    assert max(asked) <= 0
    with pytest.raises(
        ValueError, match=r"theta of shape \(2, 3, 3\) holds scores above zero, which count as zero over"
    ):
        layer(torch.eye(3).expand(2, 3, 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("leading", [(), (0,), (2, 3), (4, 0, 2)])
def test_shapes_and_dtypes(leading, dtype):
    theta = scores(Matching(3), *leading).to(dtype).requires_grad_()
    layer = FrankWolfe(Matching(3), torch.full(leading[:1], 0.5))
    layer = FrankWolfe(Matching(3), 0.5) if len(leading) > 1 else layer
    y, parts = layer(theta), layer.decompose(theta)
    assert (y.dtype, y.shape) == (dtype, theta.shape)
    assert parts.vertices.shape == (*leading, parts.weights.shape[-1], 3, 3)
    assert parts.gap.shape == leading
    assert {part.dtype for part in parts} == {dtype}
    (y.sum() + layer.potential(theta).sum()).backward()
    assert theta.grad is not None
    assert theta.grad.shape == theta.shape


@others
def test_an_item_has_the_same_bits_alone_and_together_and_on_any_number_of_threads(polytope, monkeypatch):
    theta, direction = scores(polytope, 12), scores(polytope, 12, seed=1)
    theta[3] = 0.0  # one that asks for more of the maximiser than the others

    def outcome(rows):
        some = theta[rows].clone().requires_grad_()
        y = FrankWolfe(polytope)(some)
        return y.detach(), torch.autograd.grad(y, some, direction[rows])[0]

    together = outcome(list(range(12)))
    for rows in ([3], [7, 0], [2, 3, 11]):
        assert all(torch.equal(alone, both[rows]) for alone, both in zip(outcome(rows), together, strict=True))
    monkeypatch.setattr(_nearest, "BLOCK", 20)
    for threads in (1, 2):
        set_threads(threads)
        assert all(map(torch.equal, outcome(list(range(12))), together))


# When to stop


def test_an_item_that_is_not_done_is_refused_and_a_larger_tolerance_accepts_it():
    theta = scores(Matching(5), 4)
    with pytest.raises(
        ValueError, match=r"theta of shape \(4, 5, 5\) needs more than iterations=3 rounds: .* raise one"
    ):
        FrankWolfe(Matching(5), 0.5, iterations=3)(theta)
    exact = FrankWolfe(Matching(5), 0.5)(theta)
    calls = []
    for tolerance in (1.0, 1e-2, 1e-4, 0.0):
        layer = FrankWolfe(Matching(5), 0.5, tolerance=tolerance)
        y, gap = layer(theta), layer.decompose(theta).gap
        assert (gap <= 0.5 * tolerance + 1e-13).all()
        assert ((y - exact).square().flatten(1).sum(1) <= gap / 0.5 + 1e-13).all()
        calls.append(float((y - exact).square().sum()))
    assert calls == sorted(calls, reverse=True)
    assert calls[0] > 1e-3


def test_a_solver_that_repeats_itself_ends_the_search():
    first = [True]

    def stubborn(s):
        return np.array([1.0, 0.0]) if s[0] >= s[1] or not first else np.array([0.0, 1.0])

    y = FrankWolfe(BlackBox(stubborn, (2,)))(torch.tensor([0.2, 0.0]))
    assert y.tolist() == pytest.approx([0.6, 0.4])
    same = FrankWolfe(BlackBox(lambda s: np.ones(2), (2,)))(torch.tensor([-5.0, 3.0]))
    assert same.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("wrong", [-1e-3, math.nan, math.inf])
def test_bad_tolerances_are_named(wrong):
    with pytest.raises(ValueError, match="tolerance must be finite and not negative"):
        FrankWolfe(Simplex(2), tolerance=wrong)
    with pytest.raises(TypeError, match="tolerance must be a number"):
        FrankWolfe(Simplex(2), tolerance="1e-3")  # pyright: ignore[reportArgumentType]


def test_an_offset_is_refused():
    """The objective would lack it."""
    box = BlackBox(lambda scores: (scores > 0.5).astype(float), (3,), offset=lambda y: -0.5 * y.sum())
    layer, theta = FrankWolfe(box), torch.zeros(2, 3)
    for call in (layer, layer.potential, layer.decompose):
        with pytest.raises(ValueError, match=r"^polytope BlackBox has an offset, which <theta, y> - t"):
            call(theta)


def test_the_one_tree_without_edges():
    theta = torch.zeros(2, 0, requires_grad=True)
    y = FrankWolfe(SpanningTree(1))(theta)
    y.sum().backward()
    assert theta.grad is not None
    assert y.shape == theta.grad.shape == (2, 0)
