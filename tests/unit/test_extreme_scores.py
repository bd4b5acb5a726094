"""Every polytope and every pair of polytope and regulariser at the ends of every type's range.

The truth is enumeration: at scores of one huge magnitude, in whole multiples, the soft structure is the mean of the
best vertices; at the smallest numbers it is that of zero scores.
"""

import itertools
import math

import pytest
import torch

from structgrad.layers import (
    L2X,
    AdaptiveImplicitMLE,
    FrankWolfe,
    GumbelSinkhorn,
    ImplicitMLE,
    NeuralSort,
    Perturbed,
    PerturbedExpectation,
    PerturbedMultiplicative,
    Relaxed,
    SoftSub,
    StochasticSoftmax,
)
from structgrad.losses import Blackbox, DirectLoss, FenchelYoung, SPOPlus, SquaredError, regret
from structgrad.noise import Gumbel, NegativeExponential, Normal
from structgrad.polytopes import (
    Arborescence,
    CorrelatedSubset,
    GridPath,
    Hypercube,
    Matching,
    Permutahedron,
    Simplex,
    SpanningTree,
    Subset,
)
from structgrad.regularizers import (
    BinaryEntropy,
    CategoricalEntropy,
    Euclidean,
    ExponentialEntropy,
    SinkhornEntropy,
    TransportEntropy,
)

FAMILIES = [Simplex(4), Hypercube(4), Subset(4, 2), CorrelatedSubset(3, 2), SpanningTree(3), Arborescence(3)]
FAMILIES.append(Arborescence(4, single_root=True))
POLYTOPES = [*FAMILIES, Matching(3), Matching(2, 4), Matching(4, 2), Permutahedron(4)]
PAIRS = [
    *((polytope, ExponentialEntropy()) for polytope in FAMILIES),
    *((p, r) for p in (Simplex(4), Subset(4, 2)) for r in (Euclidean(), CategoricalEntropy(), BinaryEntropy())),
    (Hypercube(4), Euclidean()),
    (Hypercube(4), BinaryEntropy()),
    (Permutahedron(4), Euclidean()),
    (Matching(3), SinkhornEntropy()),
    *((matching, TransportEntropy()) for matching in (Matching(3), Matching(2, 4), Matching(4, 2))),
]
ENDS = [(torch.float64, 1.7e308), (torch.float64, 5e-324), (torch.float32, 3e38), (torch.float16, 6e4)]
ENDS.append((torch.bfloat16, 3e38))
HALVES = [torch.float16, torch.bfloat16]


def name(value):
    return type(value).__name__


polytopes = pytest.mark.parametrize("polytope", POLYTOPES, ids=name)
families = pytest.mark.parametrize("polytope", FAMILIES, ids=name)
ends = pytest.mark.parametrize(("dtype", "size"), ENDS)
halves = pytest.mark.parametrize("dtype", HALVES)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def or_refused(function, theta):
    """A number, or None where it is refused because the type of the scores does not hold it."""
    try:
        return float(function(theta))
    except ValueError as error:
        if "beyond" not in str(error):
            raise
        return None


def whole(polytope, count, seed=0):
    """Scores -1, 0 and 1, ``(count, *event)``."""
    return torch.randint(-1, 2, (count, *polytope.event_shape), generator=generator(seed)).double()


def values(polytope, scores):
    """``<scores, y>`` of every vertex, ``(count, vertices)``."""
    return scores.flatten(1) @ polytope.vertices().flatten(1).mT


@polytopes
@pytest.mark.parametrize("size", [1.7e308, 1e290, 1.0, 5e-324])
def test_a_maximiser_is_the_best_vertex(polytope, size):
    scores = whole(polytope, 200)
    y = polytope.argmax(scores * size)
    assert torch.equal((scores * y).flatten(1).sum(1), values(polytope, scores).amax(1))


@polytopes
def test_a_batch_is_a_loop_whatever_the_neighbours(polytope):
    """Ties included: at one magnitude per item, from 1e-300 to 1e300, side by side."""
    scores = whole(polytope, 100, seed=1)
    powers = torch.randint(-300, 301, (100, *(1,) * len(polytope.event_shape)), generator=generator(2)).double()
    theta = scores * 10**powers
    together = polytope.argmax(theta)
    for item, y, alone in zip(scores, together, map(polytope.argmax, theta), strict=True):
        assert torch.equal(y, alone)
        assert (item * y).sum() == values(polytope, item.unsqueeze(0)).max()


@polytopes
def test_what_is_forbidden_by_a_huge_score_leaves_the_rest_as_it_is(polytope):
    """The best of the vertices with the fewest forbidden coordinates, by the scores of the others."""
    if isinstance(polytope, Permutahedron):
        return
    vertices = polytope.vertices().flatten(1)
    for seed in range(20):
        rest = torch.randn(vertices.shape[1], generator=generator(seed), dtype=torch.float64)
        forbidden = torch.rand(vertices.shape[1], generator=generator(seed + 100)) < 0.3
        theta = rest.masked_fill(forbidden, torch.finfo(torch.float64).min)
        used = vertices @ forbidden.double()
        value = (vertices @ rest.masked_fill(forbidden, 0.0)).masked_fill(used > used.min(), -torch.inf)
        y = polytope.argmax(theta.view(polytope.event_shape)).flatten()
        if used.min() == 0:
            assert torch.equal(y, vertices[value.argmax()])
        else:
            assert (y * forbidden).sum() == used.min()


@polytopes
@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_infinite_scores_are_refused_and_the_remedy_named(polytope, bad):
    theta = torch.zeros(2, *polytope.event_shape)
    theta.view(-1)[0] = bad
    remedy = "mask= forbids coordinates" if polytope.takes_mask else "a large finite score forbids"
    with pytest.raises(ValueError, match=rf"theta of shape .* holds NaN or infinite scores \(.*{remedy}\)"):
        polytope.argmax(theta)


@families
@pytest.mark.parametrize("size", [1.7e308, 1e290, 1e280, 1e20, 1e4])
def test_marginals_are_the_mean_of_the_best_vertices(polytope, size):
    scores = whole(polytope, 100, seed=3)
    value = values(polytope, scores)
    best = (value == value.amax(1, keepdim=True)).double()
    theta = (scores * size).requires_grad_()
    marginals = polytope.marginals(theta)
    expected = (best / best.sum(1, keepdim=True)) @ polytope.vertices().flatten(1)
    assert torch.allclose(marginals.flatten(1), expected, atol=1e-12)
    (gradient,) = torch.autograd.grad(marginals, theta, scores)
    second = torch.einsum("bv,vi,vj->bij", best / best.sum(1, keepdim=True), *[polytope.vertices().flatten(1)] * 2)
    covariance = second - expected.unsqueeze(2) * expected.unsqueeze(1)
    assert torch.allclose(gradient.flatten(1), (covariance @ scores.flatten(1).unsqueeze(2)).squeeze(2), atol=1e-11)


@families
@pytest.mark.parametrize("size", [1.7e308, 1e290, 1.0, 5e-324])
def test_log_partitions_are_right_or_refused(polytope, size):
    vertices = polytope.vertices().flatten(1)
    for scores in whole(polytope, 60, seed=4):
        value = values(polytope, scores.unsqueeze(0)).squeeze(0)
        best = int(value.max())
        sums = [size * int(v) for v in value]  # of whole multiples: infinite where float64 ends
        if size > 1e300 and float((scores.abs().flatten() * vertices.amax(0)).sum()) > 1:
            found = or_refused(polytope.log_partition, scores * size)  # best times size may be no float
            if found is None:
                continue
        else:
            found = float(polytope.log_partition(scores * size))
        if size > 1:
            assert found == pytest.approx(best * size, rel=1e-12, abs=1e3)
        else:
            top = max(sums)
            assert found == pytest.approx(top + math.log(sum(math.exp(s - top) for s in sums)), rel=1e-12)


@families
@pytest.mark.parametrize("size", [1.7e308, 1e280, 1e20])
def test_derivatives_that_may_be_differentiated_again_are_the_kernels(polytope, size):
    theta = (whole(polytope, 50, seed=7) * size).requires_grad_()
    direction = torch.randn(theta.shape, generator=generator(8), dtype=torch.float64)
    plain, kernel = (
        torch.autograd.grad(polytope.marginals(theta), theta, direction, create_graph=again)[0]
        for again in (True, False)
    )
    assert torch.allclose(plain, kernel, atol=1e-12)
    assert torch.isfinite(torch.autograd.grad(plain.sum(), theta)[0]).all()


@pytest.mark.parametrize("polytope", [CorrelatedSubset(3, 2), SpanningTree(3), Arborescence(3)], ids=name)
def test_second_derivatives_of_chains_and_trees_are_finite(polytope):
    theta = (whole(polytope, 50, seed=7) * 1.7e308).requires_grad_()
    (first,) = torch.autograd.grad(polytope.marginals(theta).square().sum(), theta, create_graph=True)
    assert torch.isfinite(first).all()
    assert torch.isfinite(torch.autograd.grad(first.sum(), theta)[0]).all()


def test_log_partitions_at_huge_scores_by_hand():
    most = torch.finfo(torch.float64).max
    polytope = CorrelatedSubset(3, 2)
    theta = torch.tensor([most, -most, most, 0.0, 0.0], dtype=torch.float64)  # 2 most is no float
    with pytest.raises(ValueError, match="log-partition beyond float64: give smaller scores or a wider type"):
        polytope.log_partition(theta)
    assert polytope.marginals(theta).tolist() == [1, 0, 1, 0, 0]
    forbidden = torch.tensor([0.5, 1.0, 2.0, 0.0, -most], dtype=torch.float64)
    weights = torch.tensor([0.5 + 1.0, 0.5 + 2.0], dtype=torch.float64)
    assert float(polytope.log_partition(forbidden)) == pytest.approx(float(weights.logsumexp(0)), rel=1e-14)
    with pytest.raises(ValueError, match="log-partition beyond float16"):
        Hypercube(50).log_partition(torch.full((50,), 6e4, dtype=torch.float16))


@pytest.mark.parametrize(("polytope", "regularizer"), PAIRS, ids=name)
@ends
def test_soft_structures_are_finite_and_inside(polytope, regularizer, dtype, size):
    layer, theta = Relaxed(polytope, regularizer), (whole(polytope, 60, seed=5) * size).to(dtype).requires_grad_()
    y = layer(theta)
    assert y.dtype == dtype
    top = polytope.n - 1 if isinstance(polytope, Permutahedron) else 1
    assert ((y >= 0) & (y <= top)).all()
    (gradient,) = torch.autograd.grad(y, theta, torch.ones_like(y))
    assert torch.isfinite(gradient).all()
    if isinstance(regularizer, SinkhornEntropy):
        return
    for item in theta.detach():
        found = or_refused(layer.potential, item)
        assert found is None or math.isfinite(found)


@pytest.mark.parametrize("polytope", [*POLYTOPES, GridPath(3, 3)], ids=name)
@ends
def test_layers_from_a_maximiser_alone_are_finite_and_best(polytope, dtype, size):
    """At huge scores nothing but them counts, and at tiny ones nothing of them."""
    signs = whole(polytope, 40, seed=7)
    signs = -signs.abs() if polytope.nonpositive else signs
    theta, best = (signs * size).to(dtype).requires_grad_(), values(polytope, signs).amax(1)
    y = FrankWolfe(polytope)(theta)
    (gradient,) = torch.autograd.grad(y, theta, torch.ones_like(y))
    assert (y.dtype, bool(torch.isfinite(gradient).all())) == (dtype, True)
    if size > 1:
        assert torch.allclose(
            (signs * y.double()).flatten(1).sum(1), best, rtol=0, atol=1e-2 if dtype in HALVES else 1e-6
        )
    else:
        assert torch.allclose(y, FrankWolfe(polytope)(theta.detach() * 0), atol=1e-12)
    layer = PerturbedMultiplicative(polytope, 0.1, samples=3)
    mean = PerturbedExpectation(layer, lambda y: y.flatten(2).sum(-1))
    for call in (layer, mean, PerturbedExpectation(Perturbed(polytope, samples=3), mean.function)):
        found = call(theta, generator())
        assert (found.dtype, bool(torch.isfinite(found).all())) == (dtype, True)
    for item in theta.detach():
        found = or_refused(lambda t: layer.potential(t, generator()), item)
        assert found is None or math.isfinite(found)


@pytest.mark.parametrize("size", [1.7e308, 1e280])
def test_soft_structures_at_huge_scores_are_hard(size):
    """Where one vertex is best by far, all regularisers find it."""
    for polytope, regularizer in PAIRS:
        scores = whole(polytope, 200, seed=6)
        value = values(polytope, scores).sort(-1, descending=True).values
        single = value[:, 0] > value[:, 1]
        if isinstance(polytope, Hypercube | Permutahedron) or isinstance(regularizer, SinkhornEntropy):
            continue  # coordinates at zero, ranks that are equal, rounds that have not converged
        y = Relaxed(polytope, regularizer)(scores[single] * size)
        assert torch.allclose(y, polytope.argmax(scores[single]), atol=1e-12), name(regularizer)


@halves
def test_a_temperature_that_leaves_the_type(dtype):
    y = Relaxed(Simplex(3), CategoricalEntropy(), 1e-3)(torch.tensor([100.0, 0.0, 1.0], dtype=dtype))
    assert y.dtype == dtype
    assert y.tolist() == [1, 0, 0]
    large = torch.tensor([1e38, 0.0, 1.0], requires_grad=True)
    cold = Relaxed(Simplex(3), CategoricalEntropy(), 1e-3)(large)
    assert (cold.dtype, cold.tolist()) == (torch.float32, [1, 0, 0])
    with pytest.raises(ValueError, match=r"theta of shape \(2,\) has scores over the temperature beyond float64"):
        Relaxed(Simplex(2), CategoricalEntropy(), 1e-3)(torch.tensor([1e307, 0.0], dtype=torch.float64))


@polytopes
@ends
def test_spo_plus_and_regrets_are_right_or_refused(polytope, dtype, size):
    predicted, truth = whole(polytope, 60, seed=9), whole(polytope, 60, seed=10)
    best, margin = values(polytope, truth), values(polytope, 2 * predicted - truth)
    unique = (best == best.amax(1, keepdim=True)).sum(1) == 1
    losses = margin.amax(1) - margin.gather(1, best.argmax(1, keepdim=True)).squeeze(1)
    believed = values(polytope, predicted)
    tied = believed == believed.amax(1, keepdim=True)
    worst = best.amax(1) - best.masked_fill(~tied, torch.inf).amin(1)
    for i in range(60):
        theta, true = ((x[i] * size).to(dtype) for x in (predicted, truth))
        loss = or_refused(lambda t, true=true: SPOPlus(polytope)(t, true), theta)
        if loss is not None and unique[i]:
            assert loss == pytest.approx(float(losses[i]) * float(theta.new_tensor(size)), rel=1e-2)
        lost = or_refused(lambda t, true=true: regret(polytope, t, true, worst_ties=True), theta)
        if lost is not None:
            assert lost == pytest.approx(float(worst[i]) * float(theta.new_tensor(size)), rel=1e-2)
        assert loss is None or loss >= 0
        assert (loss is not None and lost is not None) or size > 1


# Halves


@halves
@pytest.mark.parametrize("polytope", [*POLYTOPES, GridPath(3, 3)], ids=name)
def test_half_precision_is_that_of_the_widened_scores_everywhere(polytope, dtype):
    theta = (torch.randn(2, *polytope.event_shape, generator=generator(1)) - 4).to(dtype)
    target, ones = polytope.argmax(-theta), torch.ones(1, 2)

    def task(y, rows, items):
        return y.double().flatten(3).sum(-1).mean(-1)

    def direct(scores):
        direct = DirectLoss(polytope, Gumbel(), 3)
        return direct(scores.unsqueeze(0), target.unsqueeze(0), ones[0, :1], task, ones, [generator()]).surrogate

    cases = [
        Perturbed(polytope, Normal(), 0.1, 20),
        Blackbox(polytope, 1.0),
        ImplicitMLE(polytope, Normal(), 1.0, 0.1),
        AdaptiveImplicitMLE(polytope, Normal(), 0.1).eval(),
        lambda t, *_: SquaredError(Perturbed(polytope, Normal(), 0.1, 20))(t, target, generator()),
        lambda t, *_: FenchelYoung(Perturbed(polytope, Normal(), 0.1, 20))(t, target, generator()),
        lambda t, *_: direct(t),
    ]
    for case in cases:
        results = []
        for scores in (theta.clone().requires_grad_(), theta.double().requires_grad_()):
            found = case(scores) if isinstance(case, Blackbox) else case(scores, generator())
            assert found.dtype == scores.dtype
            (gradient,) = torch.autograd.grad(found, scores, torch.ones_like(found))
            results.append((found.to(dtype), gradient.to(dtype)))
        assert torch.allclose(results[0][0], results[1][0])
        assert torch.allclose(results[0][1].double(), results[1][1].double(), rtol=2e-2, atol=1e-3)


def test_scores_of_an_autocast_layer():
    linear, x = torch.nn.Linear(4, 9), torch.randn(2, 4, generator=generator(1))
    with torch.autocast("cpu", torch.bfloat16):
        scores = linear(x).view(2, 3, 3)
        assert scores.dtype == torch.bfloat16
        for layer in (GumbelSinkhorn(3, 0.5), NeuralSort(0.5, noise=Gumbel()), SoftSub(2, 0.5), L2X(2, 0.5)):
            y = layer(scores, generator())
            assert y.dtype == torch.bfloat16
            linear.zero_grad()
            y.float().square().sum().backward(retain_graph=True)
            assert linear.weight.grad is not None
            assert torch.isfinite(linear.weight.grad).all()
        wide = GumbelSinkhorn(3, 0.5)(scores.double(), generator())
        assert torch.equal(GumbelSinkhorn(3, 0.5)(scores, generator()), wide.bfloat16())


# Noise beside large scores


LEVELS = [(torch.float32, 1e8), (torch.bfloat16, 10.0), (torch.float16, 1e4)]


@pytest.mark.parametrize(("dtype", "level"), LEVELS)
@pytest.mark.parametrize("training", [True, False])
def test_equal_scores_win_equally_often_at_any_level(dtype, level, training):
    theta, relaxed = torch.full((2000, 10), level, dtype=dtype), Relaxed(Simplex(10), CategoricalEntropy(), 0.1)
    shares = [
        Perturbed(Simplex(10), Gumbel(), 1.0, 1)(theta, generator(1)),
        StochasticSoftmax(relaxed).train(training)(theta, generator(1)),
        ImplicitMLE(Simplex(10)).train(training)(theta, generator(1)),
        AdaptiveImplicitMLE(Simplex(10)).train(training)(theta, generator(1)),
        SoftSub(1, 0.1).train(training)(theta, generator(1)),
        L2X(1, 0.1).train(training)(theta, generator(1)),
        NeuralSort(0.1, 1, Gumbel()).train(training)(theta, generator(1)).squeeze(-2),
    ]
    for share in shares:
        assert share.dtype == dtype
        assert (share.double().mean(0) - 0.1).abs().max() < 4 * math.sqrt(0.09 / 2000)


def direct_of(level, items=2000, two_sided=False, beside=None, epsilon=-1.0, growth=1.0):
    """Direct loss of one replica of equal float32 scores ``(1, items, 10)`` with a cost of the first one."""
    mu = torch.full((1, items, 10), level)
    if beside is not None:
        mu = torch.cat([mu, torch.full((1, 3, 10), beside)], 1)
    mu.requires_grad_()
    sigma = torch.full(mu.shape[:2], 0.5, requires_grad=True)
    cost = torch.eye(10)[0]
    direct = DirectLoss(Simplex(10), Gumbel(), 1, growth=growth, two_sided=two_sided)
    seen = []

    def task(y, rows, items):
        seen.append(y)
        return y[..., 0].double().mean(-1) + 1

    step = direct(mu, cost, torch.tensor([epsilon]), task, sigma, [generator(1)])
    by_mu, by_sigma = torch.autograd.grad(step.surrogate.sum(), (mu, sigma))
    return torch.cat(seen, 1), by_mu, by_sigma, step.epsilon


@pytest.mark.parametrize("two_sided", [False, True])
def test_direct_loss_keeps_its_noise_at_any_level(two_sided):
    """At 1e9 its solutions and gradients are those at level zero: the same draws, and float64 holds both."""
    wanted, found = direct_of(0.0, two_sided=two_sided), direct_of(1e9, two_sided=two_sided)
    for one, other in zip(wanted, found, strict=True):
        assert one.dtype == other.dtype
        assert torch.allclose(one, other, rtol=0, atol=1e-6)
    assert (found[0].mean((0, 1, 2)) - 0.1).abs().max() < 4 * math.sqrt(0.09 / 2000)
    assert found[1].any()


def test_direct_loss_grows_its_step_where_noise_would_be_lost():
    wanted, found = (direct_of(level, 3, epsilon=-1e-6, growth=2.0) for level in (0.0, 1e9))
    assert torch.equal(wanted[3], found[3])
    assert abs(float(found[3])) > 1e-3
    assert torch.equal(wanted[1], found[1])


def test_direct_loss_of_an_item_does_not_see_that_another_ones_noise_was_lost():
    alone, beside = direct_of(3.0), direct_of(3.0, beside=1e9)
    for one, other in zip(alone[:3], beside[:3], strict=True):
        assert torch.equal(one, other[:, :2000])
    wide = DirectLoss(Simplex(10), Gumbel()).estimate(
        torch.full((1, 5, 10), 1e9), torch.eye(10)[0], torch.tensor([-1.0]), torch.full((1, 5), 0.5), [generator(1)]
    )
    assert torch.equal(wide.mu.value, direct_of(1e9, 5)[1])


def test_rates_beyond_a_type_win_equally_often():
    layer = StochasticSoftmax(Relaxed(Simplex(4), CategoricalEntropy(), 0.1), NegativeExponential()).eval()
    share = layer(torch.full((2000, 4), 300.0), generator(1))
    assert (share.mean(0) - 0.25).abs().max() < 4 * math.sqrt(0.1875 / 2000)


def test_ranks_of_equal_scores_are_fair_at_any_level():
    ranks = Perturbed(Permutahedron(5), Normal(), 1.0, 2000)(torch.full((5,), 1e9), generator(1))
    assert (ranks - 2).abs().max() < 4 * math.sqrt(2 / 2000)


def test_an_item_does_not_see_that_another_ones_noise_was_lost():
    theta = torch.randn(2, 3, 6, generator=generator(1))
    wild = torch.cat([theta, torch.full((1, 3, 6), 1e9)])
    for layer in (
        Perturbed(Permutahedron(6), Normal(), 0.5, 4),
        Perturbed(Subset(6, 2), Gumbel(), 0.5, 4),
        StochasticSoftmax(Relaxed(Subset(6, 2), CategoricalEntropy(), 0.3), samples=2),
        ImplicitMLE(Subset(6, 2), samples=2),
    ):
        alone = layer(theta, [generator(s) for s in (1, 2)])
        beside = layer(wild, [generator(s) for s in (1, 2, 3)])
        assert torch.equal(alone, beside[:2])


@pytest.mark.parametrize("size", [3.0, 1e3, 5e6])
def test_float32_scores_and_noise_are_added_in_float32_where_it_holds_both(size):
    theta = size * torch.rand(5, 4, generator=generator(1))
    layer = StochasticSoftmax(Relaxed(Simplex(4), CategoricalEntropy(), 0.5))
    utilities = layer.utilities(theta, generator(2))
    z = Gumbel(centred=False).sample((5, 4), generator(2))
    assert torch.equal(utilities, theta + z)


def test_a_problem_that_spans_all_floats_is_solved_to_its_small_scores():
    """Scores between 1e200 and 1e270 beside 1e308: all are scaled, and only what is below 1e-289 could lose digits."""
    for first, second in itertools.product((1.0, -1.0), (1e250, 1e300)):
        theta = torch.tensor([[first * 1e308, second, 0.0], [0.0, second, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
        y = Matching(3).argmax(theta)
        exact = [sum(int(theta[i, p[i]]) for i in range(3)) for p in itertools.permutations(range(3))]
        assert sum(int(x) for x in theta[y == 1].tolist()) >= max(exact) - 10
