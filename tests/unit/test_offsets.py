"""Objectives <theta, y> + h(y): every value that is computed holds h, as enumeration of all structures has it."""

import pytest
import torch

from structgrad.layers import Perturbed
from structgrad.losses import Blackbox, DirectLoss, FenchelYoung, SPOPlus, SquaredError, normalised_regret, regret
from structgrad.noise import Gumbel, Normal
from structgrad.polytopes import BlackBox, Subset

Y = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 2]], dtype=torch.float64)
H = torch.tensor([0.3, -0.2, 0.9, -0.4, -1.1], dtype=torch.float64)
LEVELS = {"plain": 1.0, "other": -0.5}


def solve(theta, level="plain"):
    return Y[(Y @ torch.from_numpy(theta) + LEVELS[level] * H).argmax()]


def offset(y, level="plain"):
    return LEVELS[level] * H[(torch.from_numpy(y) == Y).all(-1)].item()


def heights(levels, count):
    return torch.tensor([LEVELS[level] for level in levels or ["plain"] * count], dtype=torch.float64)


def solve_all(theta, levels=None):
    value = torch.from_numpy(theta) @ Y.mT + heights(levels, len(theta)).unsqueeze(1) * H
    return Y[value.argmax(-1)]


def offset_all(y, levels=None):
    return heights(levels, len(y)) * ((torch.from_numpy(y).unsqueeze(1) == Y).all(-1).double() @ H)


BOXES = {
    "one by one": BlackBox(solve, (3,), vertices=Y, offset=offset),
    "batched": BlackBox(solve_all, (3,), batched=True, offset=offset_all),
}
boxes = pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
BOX = BOXES["one by one"]
BATCHED = BOXES["batched"]


def scores(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def best(theta, level: float | torch.Tensor = 1.0):
    """The largest value, by enumeration, and its structure."""
    value = theta @ Y.mT + level * H
    return value.amax(-1), Y[value.argmax(-1)]


def draw():
    return torch.Generator().manual_seed(7)


@boxes
def test_offsets_of_structures(box):
    assert torch.equal(box.offset(Y.view(5, 1, 3)), H.view(5, 1))
    assert torch.equal(box.offset(Y[2].float()), H[2])
    assert torch.equal(box.given(["other"] * 5).offset(Y), -0.5 * H)
    assert box.offset(Y[:0]).shape == (0,)
    assert Subset(3, 1).offset(Y) is None
    assert BlackBox(solve, (3,)).offset(Y) is None


@boxes
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("given", [False, True])
def test_potentials_are_the_mean_of_the_largest_values(box, dtype, given):
    theta, sigma = scores(4, 2, 3, dtype=dtype), 0.7
    levels = torch.tensor([1.0, -0.5, 1.0, -0.5], dtype=torch.float64) if given else torch.ones(4)
    box = box.given(["plain", "other"] * 2) if given else box
    layer = Perturbed(box, Normal(), sigma, 6)
    z = Normal().sample((4, 2, 6, 3), draw(), dtype)
    value, y = best((theta.unsqueeze(2) + sigma * z).double(), levels.view(-1, 1, 1, 1))
    found, estimate = layer.potential(theta, draw()), layer.estimate_potential(theta, draw())
    assert found.dtype == estimate.value.dtype == dtype
    assert torch.allclose(found.double(), value.mean(-1), atol=1e-6)
    assert torch.allclose(estimate.value.double(), value.mean(-1), atol=1e-6)
    assert torch.allclose(estimate.standard_error.double(), value.std(-1) / 6**0.5, atol=1e-6)
    assert torch.allclose(layer(theta, draw()).double(), y.mean(2), atol=1e-6)


def test_the_potentials_gradients_are_exactly_the_layers():
    theta, sigma = scores(4, 3).requires_grad_(), torch.full((4,), 0.7, dtype=torch.float64).requires_grad_()
    layer = Perturbed(BOX, Normal(), 1.0, 50)
    in_theta, in_sigma = torch.autograd.grad(layer.potential(theta, draw(), sigma=sigma).sum(), [theta, sigma])
    z = Normal().sample((4, 50, 3), draw(), torch.float64)
    y = best(theta.detach().unsqueeze(1) + 0.7 * z)[1]
    assert torch.allclose(in_theta, y.mean(1))
    assert torch.allclose(in_sigma, (y * z).sum(-1).mean(-1))


@pytest.mark.parametrize("baseline", ["leave_one_out", "maximiser", None])
@pytest.mark.parametrize("noise", [Normal(), Gumbel()], ids=str)
def test_second_derivatives_of_the_potential(noise, baseline):
    """In theta twice, mixed in both orders and in sigma twice: against differences of common draws of first ones."""
    theta, sigma, direction = scores(3, seed=3), torch.tensor(0.8, dtype=torch.float64), scores(3, seed=4)
    z = noise.sample((300_000, 3), draw(), torch.float64)

    def first(t, s):
        y = best(t + s * z)[1]
        return (y @ direction).mean(), (y * z).sum(-1).mean()

    eps = 0.05
    sides = [[first(theta + sign * eps * axis, sigma) for sign in (1, -1)] for axis in torch.eye(3).double()]
    twice, mixed = (torch.stack([(up[i] - down[i]) / (2 * eps) for up, down in sides]) for i in (0, 1))
    up, down = first(theta, sigma + eps), first(theta, sigma - eps)
    mixed_again, in_sigma = (up[0] - down[0]) / (2 * eps), (up[1] - down[1]) / (2 * eps)

    many = theta.expand(100, 3).clone().requires_grad_()
    sigmas = sigma.expand(100).clone().requires_grad_()
    layer = Perturbed(BATCHED, noise, 1.0, 500, baseline)
    value = layer.potential(many, draw(), sigma=sigmas).sum()
    y, slope = torch.autograd.grad(value, [many, sigmas], create_graph=True)
    found = [
        *torch.autograd.grad((y * direction).sum(), [many, sigmas], retain_graph=True),
        *torch.autograd.grad(slope.sum(), [many, sigmas]),
    ]
    for ours, theirs in zip(found, (twice, mixed_again, mixed, in_sigma), strict=True):
        deviation = ours.std(0) / 10
        assert ((ours.mean(0) - theirs).abs() < 4 * deviation + 0.02).all()
        assert (deviation < 0.1).all()


@boxes
def test_fenchel_young_is_the_potential_less_the_targets_value(box):
    theta = scores(5, 3)
    layer = Perturbed(box, Normal(), 0.5, 20)
    loss = FenchelYoung(layer)(theta, Y, draw())
    assert torch.allclose(loss, layer.potential(theta, draw()) - (theta * Y).sum(-1) - H)
    cold = FenchelYoung(Perturbed(box, Normal(), 1e-9, 2))(theta, Y, draw())
    assert torch.allclose(cold, best(theta)[0] - (theta * Y).sum(-1) - H, atol=1e-6)  # that of the argmax itself
    assert float(cold.min()) > -1e-6


@boxes
@pytest.mark.parametrize("minimise", [False, True])
def test_spo_plus_and_regret_against_enumeration(box, minimise):
    sign = -1.0 if minimise else 1.0
    predicted, truth = scores(300, 3), scores(300, 3, seed=1)
    predicted.requires_grad_()
    optimum, y = best(truth)
    taken = best(predicted.detach())[1]
    at = (taken.unsqueeze(1) == Y).all(-1).double() @ H
    expected = optimum - (truth * taken).sum(-1) - at
    found = regret(box, sign * predicted, sign * truth, minimise)
    assert torch.allclose(found, expected, atol=1e-12)
    whole = normalised_regret(box, sign * predicted, sign * truth, minimise)
    assert torch.allclose(whole, expected.sum() / optimum.abs().sum())
    loss = SPOPlus(box, minimise)(sign * predicted, sign * truth)
    known = (y.unsqueeze(1) == Y).all(-1).double() @ H
    margin = (2 * predicted - truth).detach()
    assert torch.allclose(loss, best(margin)[0] - (margin * y).sum(-1) - known, atol=1e-12)
    assert (loss >= found).all()
    (gradient,) = torch.autograd.grad(loss.sum(), predicted)
    assert torch.equal(gradient, 2 * (best(margin)[1] - y))


def test_the_worst_of_ties_by_value_with_offsets():
    """Whole scores and halves tie often; the truth is what enumeration finds worst."""
    halves = torch.tensor([0.5, -0.5, 0.0, 1.0, -1.0], dtype=torch.float64)

    def tied(theta):
        return Y[(Y @ torch.from_numpy(theta) + halves).argmax()]

    box = BlackBox(tied, (3,), offset=lambda y: halves[(torch.from_numpy(y) == Y).all(-1)].item())
    predicted = torch.randint(-2, 3, (400, 3), generator=draw()).double() / 2
    truth = torch.randint(-3, 4, (400, 3), generator=draw()).double()
    by_prediction, by_truth = predicted @ Y.mT + halves, truth @ Y.mT + halves
    equal = by_prediction == by_prediction.amax(-1, keepdim=True)
    expected = by_truth.amax(-1) - by_truth.masked_fill(~equal, torch.inf).amin(-1)
    assert torch.equal(regret(box, predicted, truth, worst_ties=True), expected)
    assert (regret(box, predicted, truth) < expected).any()  # the solver is luckier


def test_direct_loss_differences_of_maximisers():
    mu, cost = scores(2, 40, 3), scores(2, 40, 3, seed=1)
    for step, two_sided in ((-0.5, False), (0.5, True)):
        found = DirectLoss(BATCHED, two_sided=two_sided).estimate(mu, cost, torch.full((2,), step)).mu.value
        start = mu - step * cost if two_sided else mu
        width = 2 * step if two_sided else step
        assert torch.allclose(found, (best(mu + step * cost)[1] - best(start)[1]) / width)


def test_layers_without_values_need_none():
    theta = scores(5, 3).requires_grad_()
    y = Blackbox(BOX, 3.0)(theta)
    assert torch.equal(y, best(theta.detach())[1])
    (gradient,) = torch.autograd.grad(y, theta, scores(5, 3, seed=1))
    assert torch.allclose(gradient, (y - best(theta.detach() - 3 * scores(5, 3, seed=1))[1]) / 3)
    assert SquaredError(Perturbed(BOX, samples=3))(theta, Y, draw()).shape == (5,)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda y: y, r"the offset's output must be of shape \(\), not \(3,\)"),
        (lambda y: float("nan"), "the offset's output of shape .* holds NaN or infinite"),
        (lambda y: "much", "the offset's output must be numbers, not str"),
    ],
)
def test_bad_offsets_are_named(answer, message):
    with pytest.raises(ValueError, match=message):
        BlackBox(solve, (3,), offset=answer).offset(Y)
