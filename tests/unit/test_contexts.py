"""Contexts of a black-box solver: each item meets its own, through every layer and loss, however items are cut."""

import numpy as np
import pytest
import torch

from structgrad.layers import Perturbed, Relaxed, StochasticSoftmax, _perturbation
from structgrad.layers.finite_difference import finite_difference
from structgrad.losses import Blackbox, DirectLoss, FenchelYoung, SPOPlus, SquaredError, direct, regret
from structgrad.noise import Gumbel, Normal
from structgrad.parallel import set_threads
from structgrad.polytopes import BlackBox, Subset
from structgrad.regularizers.base import Regularizer

N = 5


@pytest.fixture(autouse=True)
def _one_thread_again():
    yield
    set_threads(1)


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def _threads(request):
    set_threads(request.param)


@pytest.fixture
def _small_blocks(monkeypatch):
    """Blocks of two items of three draws: there are several, and the last is smaller."""
    monkeypatch.setattr(_perturbation, "BLOCK", 2 * 3 * N)
    monkeypatch.setattr(direct, "BLOCK", 2 * 3 * N)


def top(theta, k):
    """The k largest."""
    y = np.zeros(N)
    y[np.argsort(-theta, kind="stable")[:k]] = 1
    return y


def tops(theta, ks):
    assert len(theta) == len(ks)
    return np.stack([top(row, k) for row, k in zip(theta, ks, strict=True)])


BOXES = {"one by one": BlackBox(top, (N,)), "batched": BlackBox(tops, (N,), batched=True)}
boxes = pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
KS = [1, 4, 2, 3, 1, 2, 4]


def scores(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def generators(count):
    return [torch.Generator().manual_seed(100 + i) for i in range(count)]


class Half(Regularizer):
    """A relaxation of anything: half the maximiser, half the scores."""

    def maximise(self, polytope, theta, mask=None):
        return (polytope.argmax(theta, mask) + theta) / 2

    def value(self, polytope, y):
        return y.square().sum(-1)


LOST = torch.zeros(7, 1).index_fill_(0, torch.tensor([1, 3, 4]), 3e9)  # items whose noise float32 does not hold


def cases(box, theta, target, draws):
    """What a layer or loss gives for polytope, scores (..., N), targets and generators: a value per item."""
    samples = 3
    relaxed = Relaxed(box, Half(), torch.full(theta.shape[:1], 0.5).view(-1, *(1,) * (theta.dim() - 2)))
    return {
        "argmax": box.argmax,
        "maximiser baseline": lambda t: Perturbed(box, Normal(), 0.5, samples, "maximiser")(t, draws()),
        "leave-one-out": lambda t: Perturbed(box, Gumbel(), 0.5, samples)(t, draws()),
        "potential": lambda t: Perturbed(box, Normal(), 0.5, samples).potential(t, draws()),
        "estimate": lambda t: Perturbed(box, Normal(), 0.5, samples).estimate(t, draws()).value + 0 * t,
        "hard": lambda t: StochasticSoftmax(relaxed, Gumbel(), samples).eval()(t, draws()).mean(-2) + 0 * t,
        "soft": lambda t: StochasticSoftmax(relaxed, Gumbel(), samples)(t, draws()).mean(-2),
        "straight-through": lambda t: StochasticSoftmax(relaxed, Gumbel(), None, True)(t, draws()),
        "relaxed": relaxed,
        "blackbox": Blackbox(box, 2.0),
        "difference": lambda t: finite_difference(box, t, target, -0.7, two_sided=True)[1] + 0 * t,
        "Fenchel-Young": lambda t: FenchelYoung(Perturbed(box, Normal(), 0.5, samples))(t, target, draws()),
        "squared": lambda t: SquaredError(Perturbed(box, Normal(), 0.5, samples))(t, target, draws()),
        "SPO+": lambda t: SPOPlus(box)(t, target),
        "regret": lambda t: regret(box, t, target, worst_ties=True) + 0 * t.sum(-1),
    }


NAMES = list(cases(BOXES["batched"], scores(1, N), scores(1, N), None))


def outcome(name, box, theta, target, draws):
    theta = theta.clone().requires_grad_()
    value = cases(box, theta, target, draws)[name](theta)
    if not value.requires_grad:
        return value, torch.zeros_like(theta)
    weight = torch.linspace(-1.0, 1.0, value.shape[-1]) if value.dim() == theta.dim() else torch.ones(())
    return value.detach(), torch.autograd.grad((value * weight).sum(), theta)[0]


@boxes
@pytest.mark.usefixtures("_threads", "_small_blocks")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("repeats", [None, 2], ids=["flat", "two a context"])
@pytest.mark.parametrize("kind", ["float64", "float32, noise lost"])
def test_a_batch_is_a_loop_over_its_contexts(name, box, repeats, kind):
    shape = (7, N) if repeats is None else (7, repeats, N)
    theta = scores(*shape)
    if kind != "float64":
        lost = LOST if repeats is None else LOST.unsqueeze(1)
        theta = (theta + lost).float()
    target = scores(*shape, seed=1, dtype=theta.dtype)
    together = outcome(name, box.given(KS), theta, target, lambda: generators(7))
    for i in range(7):
        alone = outcome(
            name, box.given(KS[i : i + 1]), theta[i : i + 1], target[i : i + 1], lambda i=i: generators(7)[i : i + 1]
        )
        for ours, theirs in zip(together, alone, strict=True):
            assert torch.equal(ours[i], theirs[0])


def test_every_item_has_its_own_answer():
    """The argmax of an item with k is that of the polytope of subsets of k."""
    theta = scores(7, 3, N)
    for box in BOXES.values():
        y = box.given(KS).argmax(theta)
        for row, answer, k in zip(theta, y, KS, strict=True):
            assert torch.equal(answer, Subset(N, k).argmax(row))


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("block", [2 * 3 * N, direct.BLOCK], ids=["two items", "all replicas"])
@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("growth", [1.0, 3.0])
def test_direct_loss_with_a_context_a_replica_or_an_item(monkeypatch, block, two_sided, growth):
    """Contexts of replicas shared by their items, or of all items row by row; against one item or replica alone."""
    monkeypatch.setattr(direct, "BLOCK", block)
    replicas, items = 3, 4
    mu, sigma = scores(replicas, items, N), torch.full((replicas, items), 0.5, dtype=torch.float64)
    cost, step = scores(replicas, items, N, seed=1), torch.full((replicas,), -0.002)

    def run(contexts, rows):
        def task(y, some, those):
            return (y.double() * cost[rows][some, those].unsqueeze(2)).sum(-1).mean(-1) + 9.0

        part = mu[rows].clone().requires_grad_()
        loss = DirectLoss(BOXES["batched"].given(contexts), Gumbel(), 3, growth, 50.0, two_sided)
        found = loss(part, cost[rows], step[rows], task, sigma[rows], generators(replicas)[rows])
        return found.loss, found.epsilon, torch.autograd.grad(found.surrogate.sum(), part)[0]

    many = [1 + (r + i) % 4 for r in range(replicas) for i in range(items)]
    for contexts, each in ((KS[:replicas], 1), (many, items)):
        together = run(contexts, slice(0, replicas))
        for r in range(replicas):
            alone = run(contexts[r * each : (r + 1) * each], slice(r, r + 1))
            for ours, theirs in zip(together, alone, strict=True):
                assert torch.equal(ours[r], theirs[0])
    assert growth == 1.0 or float(together[1].abs().min()) > 0.002  # the steps did grow


@pytest.mark.usefixtures("_threads", "_small_blocks")
def test_direct_loss_items_see_their_own():
    """Without noise, by hand: y(theta + eps c) - y(theta) over eps, item by item."""
    mu, cost, step = scores(2, 33, N).requires_grad_(), scores(2, 33, N, seed=1), torch.full((2,), -1.0)
    ks = [1 + i % 4 for i in range(66)]
    loss = DirectLoss(BOXES["one by one"].given(ks))
    surrogate = loss(mu, cost, step, lambda y, *_: y[:, :, 0, 0].double()).surrogate
    found = (loss.estimate(mu, cost, step).mu.value, torch.autograd.grad(surrogate.sum(), mu)[0])
    rows = zip(mu.detach().flatten(0, 1), cost.flatten(0, 1), ks, *(x.flatten(0, 1) for x in found), strict=True)
    for row, c, k, *ours in rows:
        expected = (Subset(N, k).argmax(row - c) - Subset(N, k).argmax(row)) / -1.0
        assert all(torch.equal(one, expected) for one in ours)


def contexts_of(layer):
    assert isinstance(layer.polytope, BlackBox)
    return layer.polytope.contexts


def test_a_layer_over_another_polytope_shares_its_parameters_and_leaves_it_as_it_was():
    sigma = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
    layer = Perturbed(BOXES["one by one"], Normal(), sigma, 50)
    bound = layer.over(BOXES["one by one"].given([1, 4]))
    assert contexts_of(layer) is None
    assert next(bound.parameters()) is sigma
    y = bound(scores(2, N), torch.Generator().manual_seed(0))
    assert torch.allclose(y.sum(-1), torch.tensor([1.0, 4.0], dtype=torch.float64))
    soft = StochasticSoftmax(Relaxed(BOXES["one by one"], Half()))
    assert contexts_of(soft.over(BOXES["one by one"].given([1, 4])).relaxed) == [1, 4]
    assert contexts_of(soft.relaxed) is None
    with pytest.raises(ValueError, match=r"polytope must be of this layer's event shape \(5,\), not \(4,\)"):
        layer.over(Subset(4, 2))


def test_contexts_of_any_kind_of_sequence():
    theta = scores(3, N)
    expected = BOXES["batched"].given([1, 2, 3]).argmax(theta)
    for contexts in (np.array([1, 2, 3]), torch.tensor([1, 2, 3]), (1, 2, 3), range(1, 4)):
        for box in BOXES.values():
            assert torch.equal(box.given(contexts).argmax(theta), expected)


@pytest.mark.parametrize("shape", [(0, N), (0, 2, N)])
def test_no_items(shape):
    theta = torch.zeros(shape, requires_grad=True)
    box = BOXES["batched"].given([])
    assert box.argmax(theta).shape == shape
    layer = Perturbed(box, samples=2, baseline="maximiser")
    layer(theta, generators(0)).sum().backward()
    assert layer.potential(theta, generators(0)).shape == shape[:-1]
    assert SPOPlus(box)(theta, theta).shape == shape[:-1]


@pytest.mark.parametrize("count", [0, 1, 2, 4, 6])
def test_contexts_that_do_not_fit_are_counted(count):
    box, theta, draw = BOXES["batched"].given([1] * count), scores(3, N), torch.Generator()
    calls = [
        lambda: box.argmax(theta),
        lambda: Perturbed(box, samples=2)(theta, draw),
        lambda: Perturbed(box, samples=2).potential(theta, draw),
        lambda: StochasticSoftmax(Relaxed(box, Half()), samples=2).eval()(theta, draw),
        lambda: FenchelYoung(Perturbed(box, samples=2))(theta, theta, draw),
        lambda: SPOPlus(box)(theta, theta),
        lambda: regret(box, theta, theta),
        lambda: Blackbox(box, 1.0)(theta),
        lambda: DirectLoss(box)(theta.unsqueeze(1), theta.unsqueeze(1), torch.ones(3), lambda y, *_: y),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=rf"^{count} contexts do not fit 3 items, of leading dimensions \(3,"):
            call()


def test_samples_are_no_items():
    """Scores without a first dimension have no items for contexts, whatever the number of samples."""
    box = BOXES["batched"].given([1, 2])
    for call in (
        lambda: box.argmax(scores(N)),
        lambda: Perturbed(box, samples=2)(scores(N), torch.Generator()),
        lambda: StochasticSoftmax(Relaxed(box, Half()), samples=2).eval()(scores(N), torch.Generator()),
    ):
        with pytest.raises(ValueError, match=r"^2 contexts do not fit scores without a first dimension"):
            call()
