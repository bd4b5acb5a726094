"""Training steps of ours against the plain form (``benchmarks/plain_nearest_neighbours.py``).

Same initial weights, batches and noise: equal losses, and equal gradients of every weight of the embedding and of
sigma's network. In double precision: where two pixels that are pooled, or two candidates, are within rounding of each
other, either may win, and the gradient goes its way. Single precision finds such a pair in most batches, and which
wins is the processor's choice; double precision finds none.
"""

import pytest
import torch
from plain_forms import plain_form
from trainings import parameters

from structgrad.data.digits import digits
from structgrad.experiments.indelman.nearest_neighbours.data import Data, Labelled
from structgrad.experiments.indelman.nearest_neighbours.spec import TABLE_2
from structgrad.experiments.indelman.nearest_neighbours.stream import Stream
from structgrad.experiments.indelman.nearest_neighbours.trial import NeighboursTrial
from structgrad.losses.direct import BLOCK
from structgrad.noise import Gumbel
from structgrad.parallel import set_threads

DIRECT = (
    "direct", "direct_stochastic_1", "direct_stochastic_5", "fixed_sigma", "direct_additive",
    "direct_stochastic_additive",
)  # fmt: skip
RELAXED = ("neural_sort", "neural_sort_stochastic", "relax_subsample")
SEEDS = {"init": 1, "queries": 2, "candidates": 3, "noise": 4}
POINT = {"learning_rate": 1e-3, "epsilon": -0.2, "sigma_learning_rate": 1e-2, "temperature": 4.0}
QUERIES, CANDIDATES = 12, 40


@pytest.fixture(autouse=True)
def _double(monkeypatch):
    """Ours casts pixels and embeddings to single precision, whatever the default."""
    set_threads(1)
    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def plain():
    """With noise as ours draws it, in one piece."""
    module = plain_form("plain_nearest_neighbours")
    module.gumbel = lambda shape, generator: Gumbel(centred=False).sample(shape, generator, torch.float64)
    return module


def data(count):
    """Of so few training images that queries are among their own candidates."""
    whole = digits()
    train = Labelled(torch.from_numpy(whole.train[:count]), torch.from_numpy(whole.train_labels[:count]))
    return Data(train, train[:1], train[:1], torch.zeros(1, 1, 1), torch.ones(1, 1, 1))


def both(plain, arm, k, images, queries=QUERIES, candidates=CANDIDATES):
    """Our trial, the plain one, and the batches that ours will see."""
    config = parameters(TABLE_2, arm, f"MNIST k={k}", {"queries": queries, "candidates": candidates})
    ours = NeighboursTrial(config, images, POINT, SEEDS)
    return ours, plain.Plain(arm, k, POINT), batches(images.train, queries, candidates)


def batches(train, queries, candidates):
    sizes = {"queries": queries, "candidates": candidates}
    streams = {role: Stream(len(train), torch.Generator().manual_seed(SEEDS[role])) for role in sizes}
    while True:
        rows = torch.cat([stream.next(sizes[role]) for role, stream in streams.items()])
        yield train.images[rows].float() / 255, train.labels[rows]


def take(ours, peer):
    """Give the plain form our weights: Adam makes steps of what rounding leaves where the gradient is zero."""
    theirs, mine = dict(peer.named_parameters()), dict(ours.network.named_parameters())
    assert set(theirs) == set(mine)
    with torch.no_grad():
        for name, parameter in theirs.items():
            parameter.copy_(mine[name])


def compare(ours, peer):
    """Gradients of the same weights, and the weights after the step where there is more than rounding in it.

    Half of the digits of a distance of zero, of a query to itself, are rounding's.
    """
    mine = dict(ours.network.named_parameters())
    for name, theirs in peer.named_parameters():
        gradient, wanted = mine[name].grad, theirs.grad
        assert gradient.dtype == wanted.dtype == torch.float64
        scale = float(wanted.abs().max())
        torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-7 * scale)
        large = wanted.abs() > 1e-3 * scale
        torch.testing.assert_close(mine[name][large], theirs[large], rtol=0, atol=1e-4 * POINT["learning_rate"])
    return {name.split(".")[0] for name, theirs in peer.named_parameters() if bool(theirs.grad.any())}


@pytest.mark.parametrize("arm", [*DIRECT, *RELAXED])
@pytest.mark.parametrize("k", [1, 3])
def test_losses_and_every_gradient_are_the_plain_ones(plain, arm, k):
    ours, peer, stream = both(plain, arm, k, data(60))
    noise = torch.Generator().manual_seed(SEEDS["noise"])
    moved = set()
    for _ in range(5):
        take(ours, peer)
        expected = peer.step(*next(stream), QUERIES, noise)
        assert ours.update() == pytest.approx(expected, abs=1e-12)
        moved |= compare(ours, peer)
        if arm in DIRECT:
            assert ours.objective.final()["epsilon"] == pytest.approx(peer.epsilon, rel=1e-12)
    assert moved == {name.split(".")[0] for name, _ in ours.network.named_parameters()}


def test_blocks_of_queries_draw_the_plain_noise(plain):
    """A direct loss of so many scores goes block by block."""
    ours, peer, stream = both(plain, "direct_stochastic_5", 5, data(400), 40, 800)
    assert BLOCK < 40 * 5 * 800
    take(ours, peer)
    expected = peer.step(*next(stream), 40, torch.Generator().manual_seed(SEEDS["noise"]))
    assert ours.update() == pytest.approx(expected, abs=1e-12)
    assert compare(ours, peer) == {"embedding", "sigma"}


@pytest.mark.parametrize("arm", RELAXED)
def test_a_run_is_the_plain_one(plain, arm):
    """Each with its own weights throughout, decay and momentum included; SGD does not make much of little."""
    ours, peer, stream = both(plain, arm, 3, data(60))
    take(ours, peer)
    before = {name: theirs.detach().clone() for name, theirs in peer.named_parameters()}
    noise = torch.Generator().manual_seed(SEEDS["noise"])
    expected = plain.learn(peer, [next(stream) for _ in range(6)], QUERIES, noise)
    assert [ours.update() for _ in range(6)] == pytest.approx(expected, abs=1e-10)
    mine = dict(ours.network.named_parameters())
    for name, theirs in peer.named_parameters():
        torch.testing.assert_close(mine[name], theirs, rtol=0, atol=1e-13)
        assert (theirs - before[name]).abs().max() > 1e-6, name
