"""Euclidean, categorical and binary entropy: optimality, independent solvers, closed forms, derivatives, limits."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, brentq, isotonic_regression, minimize
from scipy.special import expit

from structgrad.layers.relaxed import Relaxed
from structgrad.parallel import set_threads
from structgrad.polytopes.hypercube import Hypercube
from structgrad.polytopes.matching import Matching
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.polytopes.simplex import Simplex
from structgrad.polytopes.subset import Subset
from structgrad.regularizers._implicit import with_corners
from structgrad.regularizers.binary import BinaryEntropy, plain_binary_subset
from structgrad.regularizers.categorical import CategoricalEntropy, plain_categorical_subset
from structgrad.regularizers.euclidean import Euclidean, plain_euclidean_subset

REGULARIZERS = [Euclidean(), CategoricalEntropy(), BinaryEntropy()]
PLAIN = {
    Euclidean: plain_euclidean_subset,
    CategoricalEntropy: plain_categorical_subset,
    BinaryEntropy: plain_binary_subset,
}
# what a coordinate is at threshold c: decreasing in c
COORDINATE = {
    Euclidean: lambda w, c: np.clip(w - c, 0, 1),
    CategoricalEntropy: lambda w, c: np.exp(np.minimum(w - c, 0)),
    BinaryEntropy: lambda w, c: expit(w - c),
}
PAIRS = [(r, p) for r in REGULARIZERS for p in (Simplex(4), Subset(5, 2), Subset(6, 5))]
PAIRS += [(r, Hypercube(2, 2)) for r in (Euclidean(), BinaryEntropy())] + [(Euclidean(), Permutahedron(4))]
FIXED_SUM = [pair for pair in PAIRS if not isinstance(pair[1], Hypercube)]


def name(item):
    return f"{type(item).__name__}{getattr(item, 'event_shape', '')}"


every_regularizer = pytest.mark.parametrize("regularizer", REGULARIZERS, ids=name)
every_pair = pytest.mark.parametrize(("regularizer", "polytope"), PAIRS, ids=name)


@pytest.fixture(autouse=True)
def _one_thread_again():
    set_threads(1)
    yield
    set_threads(1)


def scores(*shape, scale=1.0, seed=0, dtype=torch.float64):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def masks(batch, n, k, seed=0):
    """Random masks that leave at least k, some exactly k."""
    order = torch.rand(batch, n, generator=torch.Generator().manual_seed(seed)).argsort(-1)
    left = torch.randint(k, n + 1, (batch, 1), generator=torch.Generator().manual_seed(seed))
    return order < left


def by_bracketing(regularizer, w, k):
    """One row by scipy's root finder: the threshold at which the coordinates sum to k."""
    coordinate = COORDINATE[type(regularizer)]
    if k in (0, len(w)):
        return np.full(len(w), float(k > 0))
    w = w - np.sort(w)[-k]  # the k-th largest at 0, the next at or below: the threshold is near
    low, high = np.sort(w)[-k - 1] - 2 - math.log(2 * len(w)), 2 + math.log(2 * len(w))
    threshold = brentq(lambda c: coordinate(w, c).sum() - k, low, high, xtol=1e-15, rtol=np.float64(1e-15))
    return coordinate(w, threshold)


# Maximisers


@every_regularizer
@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (5, 0), (5, 1), (5, 4), (5, 5), (12, 3), (40, 20), (350, 10)])
@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_subsets_are_those_of_a_root_finder(regularizer, n, k, scale):
    theta = scores(6, n, scale=scale, seed=n + k)
    theta[3] = (theta[3] / scale).round() * scale  # ties
    y = regularizer.maximise(Subset(n, k), theta)
    for row, found in zip(theta.numpy(), y.numpy(), strict=True):
        assert found == pytest.approx(by_bracketing(regularizer, row, k), abs=1e-13)
    assert y.sum(-1).numpy() == pytest.approx(float(k), abs=1e-12)


@every_pair
def test_no_vertex_lies_uphill(regularizer, polytope):
    """The first-order condition: ``<theta - R'(y), v - y> <= 0`` for every vertex v, and y is in the polytope."""
    theta = scores(40, *polytope.event_shape, seed=1)
    y = regularizer.maximise(polytope, theta).requires_grad_()
    (slope,) = torch.autograd.grad(regularizer.value(polytope, y).sum(), y)
    y, uphill = y.detach().flatten(1), (theta - slope).flatten(1)
    vertices = polytope.vertices().flatten(1)
    assert ((uphill @ vertices.mT).amax(1) - (uphill * y).sum(1)).max() < 1e-12
    for direction in scores(200, vertices.shape[1], seed=2):  # no half-space holds all vertices and not y
        assert (y @ direction).max() <= (vertices @ direction).max() + 1e-12


@every_pair
def test_a_general_solver_agrees(regularizer, polytope):
    vertices = polytope.vertices().flatten(1)
    size, inside = vertices.shape[1], 0.0 if isinstance(regularizer, Euclidean) else 1e-12  # entropies: finite slopes
    bounds = [(low + inside, high - inside) for low, high in zip(vertices.amin(0), vertices.amax(0), strict=True)]
    constraints = []
    if not isinstance(polytope, Hypercube):
        total = vertices[0].sum().item()
        constraints.append(LinearConstraint(np.ones((1, size)), total, total))
    if isinstance(polytope, Permutahedron):  # its facets: any j coordinates sum to at most the j largest ranks
        facets = [c for j in range(2, size) for c in combinations(range(size), j)]
        rows = np.array([[float(i in facet) for i in range(size)] for facet in facets])
        sums = [sum(range(size - len(facet), size)) for facet in facets]
        constraints.append(LinearConstraint(rows, ub=sums))  # pyright: ignore[reportArgumentType]  # scipy takes arrays too
    for theta in scores(3, *polytope.event_shape, seed=3):
        flat = theta.numpy().ravel()

        def objective(y, flat=flat):
            return float(regularizer.value(polytope, torch.from_numpy(y).view(polytope.event_shape))) - flat @ y

        start = vertices.mean(0).numpy()
        options = {"ftol": 1e-14, "maxiter": 500}
        found = minimize(
            objective, start, method="SLSQP", bounds=bounds, constraints=constraints, options=options
        ).x.clip(*np.array(bounds).T)
        y = regularizer.maximise(polytope, theta).numpy().ravel()
        assert objective(y) <= objective(found) + 1e-9
        assert y == pytest.approx(found, abs=1e-4)


def test_sparsemax_in_closed_form():
    """Martins & Astudillo 2016, Algorithm 1."""
    theta = scores(50, 8)
    z = theta.sort(-1, descending=True).values
    sums, places = z.cumsum(-1), torch.arange(1, 9)
    size = (1 + places * z > sums).sum(-1, keepdim=True)
    tau = (sums.gather(-1, size - 1) - 1) / size
    assert torch.allclose(Euclidean().maximise(Simplex(8), theta), (theta - tau).clamp(min=0), atol=1e-14)


def test_entropies_in_closed_form():
    theta = scores(30, 7, scale=20.0)
    assert torch.allclose(CategoricalEntropy().maximise(Simplex(7), theta), theta.softmax(-1), atol=1e-14)
    assert torch.allclose(BinaryEntropy().maximise(Hypercube(7), theta), theta.sigmoid(), atol=1e-15)
    assert torch.equal(Euclidean().maximise(Hypercube(7), theta), theta.clip(0, 1))
    two = theta[:, :2]  # k = 1 of 2: sigmoid(w1 + nu) + sigmoid(w2 + nu) = 1 where nu = -(w1 + w2) / 2
    middle = two.mean(-1, keepdim=True)
    assert torch.allclose(BinaryEntropy().maximise(Simplex(2), two), (two - middle).sigmoid(), atol=1e-14)


def test_categorical_subset_is_the_loop_that_mends_violated_caps():
    """Martins & Kreutzer 2017: renormalise what is below its cap until nothing is above."""
    k, theta = 3, scores(50, 8, scale=3.0)
    for row, found in zip(theta, CategoricalEntropy().maximise(Subset(8, k), theta), strict=True):
        y, free = k * row.softmax(-1), torch.ones(8, dtype=torch.bool)
        while bool((y[free] > 1 + 1e-15).any()):
            free &= y < 1
            y[~free] = 1.0
            y[free] = (k - float((~free).sum())) * row[free].softmax(-1)
        assert torch.allclose(found, y, atol=1e-13)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 100, 300])
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 1000.0])
def test_permutahedron_is_isotonic_regression(n, scale):
    theta = scores(10, n, scale=scale, seed=n)
    theta[5] = (theta[5] / scale).round() * scale  # ties
    y = Euclidean().maximise(Permutahedron(n), theta)
    for row, found in zip(theta.numpy(), y.numpy(), strict=True):
        order = np.argsort(-row, kind="stable")
        v = isotonic_regression(row[order] - np.arange(n - 1, -1, -1), increasing=False).x
        expected = np.empty(n)
        expected[order] = row[order] - v
        assert found == pytest.approx(expected, abs=1e-14 * n * max(1, scale))


@pytest.mark.parametrize("n", [5, 30])
def test_equal_scores_share_their_ranks(n):
    y = Euclidean().maximise(Permutahedron(n), torch.full((n,), 7.0).double())
    assert torch.allclose(y, torch.full((n,), (n - 1) / 2).double(), atol=1e-14)


# Masks, corners, extremes


@every_regularizer
@pytest.mark.parametrize(("n", "k"), [(4, 0), (4, 1), (7, 3), (9, 9), (30, 12)])
def test_masked_rows_are_smaller_problems(regularizer, n, k):
    theta, mask = scores(25, n, scale=2.0), masks(25, n, k)
    if n == 9:
        assert bool(mask.all())
    theta = torch.where(mask, theta, 1e30).requires_grad_()  # a masked score is ignored, whatever it is
    y = regularizer.maximise(Subset(n, k), theta, mask)
    weights = scores(25, n, seed=1)
    (gradient,) = torch.autograd.grad((y * weights).sum(), theta)
    assert not y[~mask].any()
    assert not gradient[~mask].any()
    for row, allowed, found, slope, w in zip(theta, mask, y, gradient, weights, strict=True):
        if allowed.any():
            small = row.detach()[allowed].requires_grad_()
            expected = regularizer.maximise(Subset(len(small), k), small)
            (its_slope,) = torch.autograd.grad((expected * w[allowed]).sum(), small)
            assert torch.allclose(found[allowed], expected, atol=1e-14)
            assert torch.allclose(slope[allowed], its_slope, atol=1e-14)


@pytest.mark.parametrize("regularizer", [Euclidean(), BinaryEntropy()], ids=name)
def test_masked_coordinates_of_a_cube_are_zero(regularizer):
    theta, mask = scores(5, 2, 3).requires_grad_(), torch.tensor([[True, False, True], [False, True, True]])
    y = regularizer.maximise(Hypercube(2, 3), theta, mask)
    assert torch.equal(y, regularizer.maximise(Hypercube(2, 3), theta) * mask)
    (gradient,) = torch.autograd.grad(y.sum(), theta)
    assert not gradient[:, ~mask].any()


@every_regularizer
@pytest.mark.parametrize("k", [0, 3])
def test_without_a_choice_the_gradient_is_zero(regularizer, k):
    theta = scores(4, 3).requires_grad_()
    y = regularizer.maximise(Subset(3, k), theta)
    assert torch.equal(y, torch.full((4, 3), float(k > 0)).double())
    (gradient,) = torch.autograd.grad((y * scores(4, 3, seed=1)).sum(), theta)
    assert not gradient.any()


@every_regularizer
@pytest.mark.parametrize("scale", [1e4, 1e20, 1e300])
def test_extreme_scores_give_the_argmax_and_finite_derivatives(regularizer, scale):
    polytope, theta = Subset(9, 4), scores(20, 9, scale=scale)
    theta = (theta + 0.1 * scale * polytope.argmax(theta)).requires_grad_()  # a margin
    y = regularizer.maximise(polytope, theta)
    assert torch.allclose(y, polytope.argmax(theta), rtol=0, atol=1e-200)
    (gradient,) = torch.autograd.grad((y.pow(3) * scores(20, 9, seed=1)).sum(), theta, create_graph=True)
    (second,) = torch.autograd.grad((gradient * scores(20, 9, seed=2)).sum(), theta)
    assert torch.isfinite(gradient).all()
    assert torch.isfinite(second).all()


@every_regularizer
@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4, 1e15])
def test_ties_share_what_is_left_exactly(regularizer, offset):
    theta = torch.tensor([5e3, 0.0, 0.0, 0.0, -5e3]).double() + offset
    y = regularizer.maximise(Subset(5, 3), theta)
    assert torch.allclose(y, torch.tensor([1.0, 2 / 3, 2 / 3, 2 / 3, 0.0]).double(), atol=1e-15)


def test_extreme_rankings_are_the_argmax():
    theta = scores(20, 9, scale=1e6)
    assert torch.equal(Euclidean().maximise(Permutahedron(9), theta), Permutahedron(9).argmax(theta))
    tied = torch.tensor([3e5, -3e5, 3e5, 0.0]).double()
    assert torch.equal(Euclidean().maximise(Permutahedron(4), tied), torch.tensor([2.5, 0.0, 2.5, 1.0]).double())


def test_saturated_halves_of_a_wide_gap_balance():
    """What the chosen lack to 1 is what the others have, to the last digits, 40 below the first."""
    theta = torch.tensor([40.0, 41.0, 0.0, 1.0]).double()
    y = BinaryEntropy().maximise(Subset(4, 2), theta)
    # exp(-nu) (e^-40 + e^-41) = exp(nu) (1 + e): nu = -20.5
    assert y[2:].numpy() == pytest.approx(expit(np.array([-20.5, -19.5])), rel=1e-12)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.sampled_from(REGULARIZERS),
    st.integers(1, 12),
    st.integers(0, 12),
    st.integers(0, 2**31),
    st.sampled_from([0.1, 1.0, 30.0, 1e4, 1e20]),
    st.booleans(),
)
def test_the_kernel_and_the_plain_form_agree(regularizer, n, k, seed, scale, tied):
    k = min(k, n)
    theta, mask = scores(6, n, scale=3.0, seed=seed), masks(6, n, k, seed)
    theta = (theta.round() if tied else theta) * scale
    y = regularizer.maximise(Subset(n, k), theta, mask)
    plain = with_corners(PLAIN[type(regularizer)], theta.masked_fill(~mask, -math.inf), k)
    assert torch.allclose(y, plain, rtol=0, atol=1e-14)
    assert torch.allclose(y.sum(-1), torch.full((6,), float(k)).double(), rtol=0, atol=1e-13)
    assert bool(((y >= 0) & (y <= 1)).all())
    assert not y[~mask].any()


# Derivatives


@every_pair
def test_derivatives_of_both_orders(regularizer, polytope):
    theta = scores(3, *polytope.event_shape, scale=0.7, seed=4).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: regularizer.maximise(polytope, t), theta, atol=1e-7)
    assert torch.autograd.gradgradcheck(lambda t: regularizer.maximise(polytope, t), theta, atol=1e-6)


@every_pair
def test_the_jacobian_is_symmetric_and_positive(regularizer, polytope):
    for theta in scores(10, *polytope.event_shape, seed=5):
        size = theta.numel()
        jacobian = torch.autograd.functional.jacobian(lambda t: regularizer.maximise(polytope, t), theta)
        jacobian = jacobian.view(size, size)
        assert torch.allclose(jacobian, jacobian.mT, atol=1e-15)
        assert torch.linalg.eigvalsh(jacobian).min() > -1e-14
        if (regularizer, polytope) in FIXED_SUM:
            assert jacobian.sum(-1).abs().max() < 1e-15


@every_pair
def test_the_potential_is_the_maximum_and_its_gradient_the_maximiser(regularizer, polytope):
    theta = scores(6, *polytope.event_shape, seed=6).requires_grad_()
    potential, event = regularizer.potential(polytope, theta), tuple(range(1, theta.dim()))
    y = regularizer.maximise(polytope, theta)
    assert torch.equal(torch.autograd.grad(potential.sum(), theta)[0], y)
    assert torch.autograd.gradcheck(lambda t: regularizer.potential(polytope, t), theta, atol=1e-7)
    vertices = polytope.vertices()
    weights = torch.rand(300, len(vertices), generator=torch.Generator().manual_seed(0)).double() ** 4
    points = torch.einsum("pv,v...->p...", weights / weights.sum(-1, keepdim=True), vertices)
    for point in [*points, *vertices]:
        assert bool(((theta * point).sum(event) - regularizer.value(polytope, point) <= potential + 1e-12).all())


def test_potentials_in_closed_form():
    theta = scores(9, 5, scale=4.0)
    found = CategoricalEntropy().potential(Simplex(5), theta)
    assert torch.allclose(found, theta.logsumexp(-1), atol=1e-13)
    found = BinaryEntropy().potential(Hypercube(5), theta)
    assert torch.allclose(found, torch.nn.functional.softplus(theta).sum(-1), atol=1e-13)


# Values


def test_values_of_vertices_and_centres():
    for polytope in (Subset(4, 2), Simplex(3), Hypercube(2, 2)):
        vertices = polytope.vertices()
        ones = vertices.flatten(1).sum(1)
        assert torch.equal(Euclidean().value(polytope, vertices), ones / 2)
        assert not BinaryEntropy().value(polytope, vertices).any()
    assert not CategoricalEntropy().value(Subset(4, 2), Subset(4, 2).vertices()).any()
    half = torch.full((2, 4), 0.5, dtype=torch.float32)
    assert CategoricalEntropy().value(Subset(4, 2), half).tolist() == pytest.approx([-2 * math.log(2)] * 2)
    assert BinaryEntropy().value(Subset(4, 2), half).tolist() == pytest.approx([-4 * math.log(2)] * 2)
    assert Euclidean().value(Permutahedron(4), torch.arange(4.0)).item() == 7.0
    assert BinaryEntropy().value(Subset(4, 2), half).dtype == torch.float32


# Temperatures


@every_pair
def test_cold_is_the_argmax_and_hot_the_centroid(regularizer, polytope):
    theta = scores(20, *polytope.event_shape, seed=7)
    cold = Relaxed(polytope, regularizer, 1e-7)(theta)
    assert torch.allclose(cold, polytope.argmax(theta), atol=1e-12)
    hot = Relaxed(polytope, regularizer, 1e9)(theta)
    least = polytope.vertices().mean(0).expand_as(hot)
    if isinstance(polytope, Hypercube) and isinstance(regularizer, Euclidean):
        least = torch.zeros_like(hot)  # the point of the cube nearest to 0
    assert torch.allclose(hot, least, atol=1e-8)


# Shapes, types, batches, threads


@every_pair
def test_shapes_and_types(regularizer, polytope):
    shape = polytope.event_shape
    assert regularizer.maximise(polytope, torch.zeros(0, 3, *shape)).shape == (0, 3, *shape)
    theta = scores(2, 3, *shape, seed=8)
    y = regularizer.maximise(polytope, theta)
    assert y.shape == theta.shape
    assert torch.allclose(regularizer.maximise(polytope, theta[1, 2]), y[1, 2], atol=1e-15)
    narrow = theta.float().requires_grad_()
    found = regularizer.maximise(polytope, narrow)
    assert found.dtype == torch.float32
    assert torch.equal(found, regularizer.maximise(polytope, narrow.detach().double()).float())
    (gradient,) = torch.autograd.grad(found.square().sum(), narrow)
    assert gradient.dtype == torch.float32
    assert regularizer.value(polytope, found).shape == (2, 3)


@pytest.mark.parametrize("polytope", [Simplex(1), Subset(1, 0), Permutahedron(1)], ids=name)
def test_a_single_coordinate(polytope):
    for regularizer in REGULARIZERS[: 1 if isinstance(polytope, Permutahedron) else 3]:
        theta = torch.tensor([[3.0], [-1e4]], requires_grad=True)
        y = regularizer.maximise(polytope, theta)
        assert torch.equal(y, polytope.vertices().float().expand(2, 1))
        assert not torch.autograd.grad(y.sum(), theta)[0].any()


@every_pair
def test_a_row_gives_the_same_bits_alone_and_in_any_batch_on_any_threads(regularizer, polytope):
    def run(theta):
        theta = theta.clone().requires_grad_()
        y = regularizer.maximise(polytope, theta)
        return y.detach(), torch.autograd.grad(y.pow(3).sum(), theta)[0]

    theta = scores(37, *polytope.event_shape, scale=2.0, seed=9)
    y, gradient = run(theta)
    for b in range(37):
        alone, its_gradient = run(theta[b])
        assert torch.equal(alone, y[b])
        assert torch.equal(its_gradient, gradient[b])
    set_threads(2)
    again, its_gradient = run(theta)
    assert torch.equal(again, y)
    assert torch.equal(its_gradient, gradient)


# What is refused


@pytest.mark.parametrize(
    ("regularizer", "polytope"),
    [
        (Euclidean(), Matching(2)),
        (CategoricalEntropy(), Hypercube(3)),
        (CategoricalEntropy(), Permutahedron(3)),
        (BinaryEntropy(), Permutahedron(3)),
    ],
    ids=name,
)
def test_unknown_pairs_are_named(regularizer, polytope):
    message = f"{type(regularizer).__name__} is not defined here for {type(polytope).__name__}"
    theta = torch.zeros(polytope.event_shape)
    for call in (regularizer.maximise, regularizer.value):
        with pytest.raises(ValueError, match=message):
            call(polytope, theta)


@every_pair
def test_bad_scores_and_masks_are_named(regularizer, polytope):
    shape = polytope.event_shape
    with pytest.raises(ValueError, match=r"theta must end in \("):
        regularizer.maximise(polytope, torch.zeros(shape[-1] + 1))
    with pytest.raises(ValueError, match="NaN or infinite"):
        regularizer.maximise(polytope, torch.full(shape, math.nan))
    with pytest.raises(ValueError, match=r"y must end in \("):
        regularizer.value(polytope, torch.zeros(shape[-1] + 1))
    if isinstance(polytope, Subset):
        with pytest.raises(ValueError, match="leaves no subset"):
            regularizer.maximise(polytope, torch.zeros(shape), torch.zeros(shape, dtype=torch.bool))
    elif isinstance(polytope, Permutahedron):
        with pytest.raises(ValueError, match="takes no mask"):
            regularizer.maximise(polytope, torch.zeros(shape), torch.ones(shape, dtype=torch.bool))
