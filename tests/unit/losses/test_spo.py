"""SPO+ and the regret that it bounds, against enumeration of the vertices."""

import doctest
import importlib

import pytest
import torch

from structgrad.losses import SPOPlus, normalised_regret, regret
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

POLYTOPES = [
    Simplex(4),
    Hypercube(3),
    Subset(5, 2),
    CorrelatedSubset(3, 2),
    Matching(3),
    Permutahedron(4),
    SpanningTree(4),
    Arborescence(3),
]
polytopes = pytest.mark.parametrize("polytope", POLYTOPES, ids=lambda polytope: type(polytope).__name__)


def scores(polytope, *leading, seed=0, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*leading, *polytope.event_shape, generator=draw, dtype=dtype)


def whole(polytope, count, seed=0):
    return torch.randint(-2, 3, (count, *polytope.event_shape), generator=torch.Generator().manual_seed(seed)).double()


def values(polytope, theta):
    """``<theta, y>`` of every vertex, ``(count, vertices)``."""
    return theta.flatten(1) @ polytope.vertices().flatten(1).mT


def expected_loss(polytope, predicted, truth):
    """l by its definition in costs, c = -theta."""
    c_hat, c, v = -predicted.flatten(1), -truth.flatten(1), polytope.vertices().flatten(1)
    y = v[(c @ v.mT).argmin(-1)]
    return -((2 * c_hat - c) @ v.mT).amin(-1) + 2 * (c_hat * y).sum(-1) - (c * y).sum(-1)


@polytopes
@pytest.mark.parametrize("minimise", [False, True])
def test_the_loss_by_its_definition(polytope, minimise):
    sign = -1 if minimise else 1
    predicted, truth = scores(polytope, 300), scores(polytope, 300, seed=1)
    loss, lost = SPOPlus(polytope, minimise), regret(polytope, sign * predicted, sign * truth, minimise)
    found = loss(sign * predicted, sign * truth)
    assert torch.allclose(found, expected_loss(polytope, predicted, truth), atol=1e-12)
    assert (found >= lost).all()
    assert (lost >= 0).all()
    assert (lost > 0).any()
    known = values(polytope, truth)
    taken = values(polytope, predicted).argmax(-1, keepdim=True)
    assert torch.allclose(lost, known.amax(-1) - known.gather(1, taken).squeeze(1), atol=1e-12)
    assert torch.allclose(
        normalised_regret(polytope, sign * predicted, sign * truth, minimise),
        lost.sum() / known.amax(-1).abs().sum(),
    )
    assert torch.equal(loss(sign * predicted, sign * truth, polytope.argmax(truth)), found)


@polytopes
@pytest.mark.parametrize("minimise", [False, True])
def test_the_gradient_is_that_of_the_loss(polytope, minimise):
    """Almost everywhere: central differences, exact for a piecewise linear function away from its kinks."""
    sign = -1 if minimise else 1
    predicted, truth = scores(polytope, 20).requires_grad_(), scores(polytope, 20, seed=1)
    loss = SPOPlus(polytope, minimise)
    (gradient,) = torch.autograd.grad(loss(sign * predicted, sign * truth).sum(), predicted)
    direction, eps = scores(polytope, 20, seed=2), 1e-6
    up, down = (loss(sign * (predicted + s * eps * direction), sign * truth).detach() for s in (1, -1))
    slopes = (gradient * direction).flatten(1).sum(1)
    assert (((up - down) / (2 * eps) - slopes).abs() < 1e-6).double().mean() > 0.9  # a kink is rarely that near
    margin = (2 * predicted - truth).detach()
    assert torch.equal(gradient, 2 * (polytope.argmax(margin) - polytope.argmax(truth)))


@polytopes
def test_zero_where_the_prediction_is_right_by_a_margin(polytope):
    truth = scores(polytope, 50)
    found = SPOPlus(polytope)(truth + 0.0, truth)
    assert torch.equal(found, torch.zeros(50).double())
    assert torch.equal(SPOPlus(polytope)(5 * truth, truth), found)
    small = SPOPlus(polytope)(0.4 * truth, truth)  # right, but 2 theta_hat - theta points the other way
    assert torch.equal(regret(polytope, 0.4 * truth, truth), torch.zeros(50).double())
    assert (small > 0).all()


@polytopes
def test_convex_in_the_prediction(polytope):
    loss, truth = SPOPlus(polytope), scores(polytope, 200)
    a, b = scores(polytope, 200, seed=1), scores(polytope, 200, seed=2)
    middle = loss((a + b) / 2, truth)
    assert (middle <= (loss(a, truth) + loss(b, truth)) / 2 + 1e-12).all()


@polytopes
def test_never_negative_beside_ties(polytope):
    """Scores with few values, whose sums round: the loss is zero or positive, never a rounding below."""
    predicted, truth = (x / 10 for x in (whole(polytope, 500), whole(polytope, 500, seed=1)))
    assert (SPOPlus(polytope)(predicted, truth) >= 0).all()
    assert (regret(polytope, predicted, truth) >= 0).all()


@polytopes
@pytest.mark.parametrize("minimise", [False, True])
def test_the_worst_of_ties(polytope, minimise):
    sign = -1 if minimise else 1
    predicted, truth = whole(polytope, 400), whole(polytope, 400, seed=1)
    known, believed = values(polytope, truth), values(polytope, predicted)
    equal = believed == believed.amax(-1, keepdim=True)
    expected = known.amax(-1) - known.masked_fill(~equal, torch.inf).amin(-1)
    found = regret(polytope, sign * predicted, sign * truth, minimise, worst_ties=True)
    assert torch.equal(found, expected)
    assert (regret(polytope, sign * predicted, sign * truth, minimise) < expected).any()
    for scale in (1e-200, 1e200):
        assert torch.equal(regret(polytope, sign * scale * predicted, sign * truth, minimise, None, True), expected)
    whole_set = normalised_regret(polytope, sign * predicted, sign * truth, minimise, worst_ties=True)
    assert torch.allclose(whole_set, expected.sum() / known.amax(-1).abs().sum())


@polytopes
def test_without_ties_the_worst_is_the_only_one(polytope):
    predicted, truth = scores(polytope, 300), 1e6 * scores(polytope, 300, seed=1)
    assert torch.equal(regret(polytope, predicted, truth, worst_ties=True), regret(polytope, predicted, truth))


@pytest.mark.parametrize("polytope", [p for p in POLYTOPES if p.takes_mask], ids=lambda p: type(p).__name__)
def test_masked_scores_do_not_matter(polytope):
    theta, truth = scores(polytope, 20), scores(polytope, 20, seed=1)
    mask = torch.ones(polytope.event_shape, dtype=torch.bool)
    mask.view(-1)[-1] = isinstance(polytope, CorrelatedSubset | Arborescence)  # any but these can do without the last
    wild = torch.where(mask, theta, 1e300).requires_grad_()
    wild_truth = torch.where(mask, truth, -1e300)
    for function in (
        lambda a, b: SPOPlus(polytope)(a, b, mask=mask),
        lambda a, b: regret(polytope, a, b, mask=mask),
        lambda a, b: regret(polytope, a, b, mask=mask, worst_ties=True),
    ):
        assert torch.allclose(function(wild, wild_truth), function(theta, truth))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_types(dtype):
    polytope = Subset(5, 2)
    theta, truth = scores(polytope, 7).to(dtype).requires_grad_(), scores(polytope, 7, seed=1).to(dtype)
    loss, wide = SPOPlus(polytope)(theta, truth), SPOPlus(polytope)(theta.double(), truth.double())
    assert loss.dtype == regret(polytope, theta, truth).dtype == dtype
    assert torch.equal(loss, wide.to(dtype))
    assert torch.autograd.grad(loss.sum(), theta)[0].dtype == dtype


def test_scores_at_the_ends_of_float64():
    polytope, most = Simplex(2), torch.finfo(torch.float64).max
    far = torch.tensor([most, -most], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"theta_hat of shape \(2,\) less the truth is beyond float64"):
        SPOPlus(polytope)(far, -far)
    with pytest.raises(ValueError, match=r"theta of shape \(2,\) has a regret beyond float64"):
        regret(polytope, -far, far)
    assert regret(polytope, far, far).item() == 0
    assert regret(polytope, far, 1e-300 * far, worst_ties=True).item() == 0
    assert SPOPlus(polytope)(far / 4, far / 4).item() == 0


def test_shapes_empty_batches_and_broadcast_truths():
    polytope = Simplex(3)
    assert SPOPlus(polytope)(torch.zeros(0, 2, 3), torch.zeros(3)).shape == (0, 2)
    assert regret(polytope, torch.zeros(0, 3), torch.zeros(3), worst_ties=True).shape == (0,)
    assert normalised_regret(polytope, torch.zeros(0, 3), torch.zeros(3)).isnan()
    theta, truth = scores(polytope, 2, 4), scores(polytope, 4, seed=1)
    assert torch.equal(SPOPlus(polytope)(theta, truth)[1], SPOPlus(polytope)(theta[1], truth))
    assert SPOPlus(polytope)(theta[0, 0], truth[0]).shape == ()


def test_paths_want_negative_scores():
    """Costs of a path: predicted ones at least half the true ones, so that the maximum is one over paths."""
    paths = GridPath(3, 3)
    costs = scores(paths, 50).abs() + 0.1
    predicted = costs * (0.6 + scores(paths, 50, seed=1).abs())
    loss = SPOPlus(paths, minimise=True)
    assert (loss(predicted, costs) >= regret(paths, predicted, costs, minimise=True)).all()
    for call, name in (
        (lambda: loss(0.4 * costs, costs), "2 theta_hat - truth"),
        (lambda: loss(costs, -costs), "truth"),
        (lambda: regret(paths, costs, -costs, minimise=True), "truth"),
        (lambda: regret(paths, 0 * costs, costs, minimise=True, worst_ties=True), "theta_hat - delta truth"),
    ):
        with pytest.raises(ValueError, match=rf"^{name} of shape \(50, 3, 3\) has scores above zero \(costs below\)"):
            call()


def test_bad_arguments_are_named():
    polytope = Simplex(3)
    theta = torch.zeros(2, 3)
    cases = {
        r"theta_hat must end in \(3,\), not \(4,\)": lambda: SPOPlus(polytope)(torch.zeros(4), theta),
        r"truth of shape \(5, 3\) does not fit scores \(2, 3\)": lambda: regret(polytope, theta, torch.zeros(5, 3)),
        r"truth of shape \(2, 3\) holds NaN": lambda: SPOPlus(polytope)(theta, theta + torch.nan),
        r"solution of shape \(4,\) does not fit": lambda: SPOPlus(polytope)(theta, theta, torch.zeros(4)),
        r"Matching takes no mask": lambda: regret(Matching(2), torch.zeros(2, 2), torch.zeros(2, 2), mask=theta > 0),
        r"truth of shape \(2, 3\) has optimal values of zero": lambda: normalised_regret(polytope, theta, theta),
    }
    for message, call in cases.items():
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("module", ["losses.spo", "losses.regret", "polytopes.blackbox", "pool"])
def test_examples_in_docstrings(module):
    found = doctest.testmod(importlib.import_module(f"structgrad.{module}"))
    assert found.attempted
    assert not found.failed


def test_a_solver_of_any_kind():
    """A continuous set, the unit disc: the maximiser is theta / |theta|."""
    disc = BlackBox(lambda theta: theta / max(1e-300, (theta @ theta) ** 0.5), (2,))
    predicted, truth = scores(disc, 100), scores(disc, 100, seed=1)
    expected = truth.norm(dim=-1) - (truth * predicted).sum(-1) / predicted.norm(dim=-1)
    assert torch.allclose(regret(disc, predicted, truth), expected)
    assert (SPOPlus(disc)(predicted, truth) >= expected).all()


def test_a_score_that_is_masked_may_have_any_size():
    theta = torch.tensor([1.0, 2.0, 1.7e308], dtype=torch.float64)
    truth, mask = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), torch.tensor([True, True, False])
    assert float(SPOPlus(Subset(3, 1))(theta, truth, mask=mask)) == 3.0  # at [1, 4] the second is best, by 4 - 1


def test_regrets_are_mapped():
    theta = torch.tensor([[1.0, 1.0, 0.5], [0.0, -1.0, 3.0]])
    box = BlackBox(lambda scores: (scores > 0.5).astype(float), (3,), offset=lambda y: -0.5 * y.sum())
    for polytope in (Simplex(3), Hypercube(3), box):
        for ties in (False, True):
            found = torch.func.vmap(lambda t, p=polytope, w=ties: regret(p, t, t.flip(0), worst_ties=w))(theta)
            assert torch.equal(found, regret(polytope, theta, theta.flip(1), worst_ties=ties))
        found = torch.func.vmap(lambda t, p=polytope: normalised_regret(p, t, t.flip(0)))(theta)
        assert torch.equal(found, torch.stack([normalised_regret(polytope, t, t.flip(0)) for t in theta]))
