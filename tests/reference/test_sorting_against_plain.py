"""The batched sorters against one replica at a time as one would write it by hand (``benchmarks/plain_sorting.py``).

Both start from the same weights and data and see the same noise. In double precision: some gradients vanish in exact
arithmetic (what raises all rows of a column alike changes no matching: the biases of hidden units that are always on,
and the last ones), and Adam blows what rounding leaves of them in single precision up to steps of the learning rate,
of either sign in either implementation.
"""

from typing import Any

import pytest
import torch
from plain_forms import plain_form
from trainings import parameters

from structgrad.experiments import REGISTRY
from structgrad.experiments.indelman.sorting.data import Data, sequences
from structgrad.experiments.indelman.sorting.direct import DirectSorters
from structgrad.experiments.indelman.sorting.train import METHODS
from structgrad.noise import EULER_GAMMA, Gumbel
from structgrad.parallel import set_threads
from structgrad.training.results import Proportion

NOISE_SEED = 1000


@pytest.fixture(scope="module")
def plain():
    return plain_form("plain_sorting")


@pytest.fixture(autouse=True)
def _doubles_on_one_thread():
    set_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def matrix(layer, take=lambda p: p.detach()):
    """An ``nn.Linear`` as our matrix with the bias as a last row."""
    return torch.cat([take(layer.weight).T, take(layer.bias)[None]])


def sorters_like(peers, arm, **changes) -> Any:
    """Our sorters of an arm with the data and the initial weights of their peers, one a replica."""
    config = parameters(REGISTRY["indelman_1a"], arm, "d=5", changes)
    train = sequences(torch.stack([peer.x for peer in peers]))
    roles = ("init", "init_sigma", "noise", "fresh")
    seeds = {role: [NOISE_SEED + r for r in range(len(peers))] for role in roles}
    sorters = METHODS[config.method](config, Data(train, train, train), seeds)
    for r, peer in enumerate(peers):
        sorters.mean.parameters.fill(r, "first", matrix(peer.mean[0]))
        sorters.mean.parameters.fill(r, "second", matrix(peer.mean[2]))
        if isinstance(sorters, DirectSorters):
            sorters.magnitude.fill(r, "only", matrix(peer.magnitude[0]))
    return sorters


def block(parameters, name, flat, width):
    """One named parameter without its padding, from a tensor shaped like ``flat``."""
    start, (rows, columns) = parameters.offsets[name], parameters.shapes[name]
    return flat[:, start : start + rows * columns].reshape(-1, rows, columns)[..., :width]


def assert_alike(sorters, peers, take, tolerance, factor=1.0):
    parameters = sorters.mean.parameters
    for name, index, width in (("first", 0, 32), ("second", 2, sorters.d)):
        ours = block(parameters, name, take(parameters.flat), width)
        expected = torch.stack([matrix(peer.mean[index], take) for peer in peers])
        assert ours.any()
        assert torch.allclose(factor * ours, expected, rtol=tolerance, atol=tolerance)


def weights(parameter):
    return parameter.detach()


def gradients(parameter):
    return parameter.grad


def give_both_the_same_noise(monkeypatch, where, draw):
    """Ours takes, for each replica, ``draw(shape)`` after seeding torch with its generator's seed."""

    def sample_replicas(noise, shape, generators, dtype=None):
        stacked = []
        for generator in generators:
            torch.manual_seed(generator.initial_seed())
            stacked.append(draw(noise, shape))
        return torch.stack(stacked)

    if where == "losses.direct":
        monkeypatch.setattr("structgrad.losses.direct.sample_replicas", sample_replicas)
    else:  # one draw for all replicas

        def draw_all(noise, shape, generators, *given):
            return sample_replicas(noise, shape[1:], generators)

        monkeypatch.setattr(f"structgrad.{where}.draw", draw_all)


def direct_noise(noise, shape):
    """Our ``(n, S, d, d)`` from what torch draws for the plain ``(S n, d, d)``."""
    assert noise == Gumbel(noise.scale, centred=True)
    n, samples, d, _ = shape
    drawn: Any = torch.distributions.Gumbel(-0.5772156649 * noise.scale, noise.scale).sample((samples * n, d, d))
    assert pytest.approx(EULER_GAMMA, abs=1e-9) == 0.5772156649
    return drawn.view(samples, n, d, d).transpose(0, 1)


@pytest.mark.parametrize("d", [5, 25])
def test_direct_without_noise(plain, d):
    peers = [plain.PlainDirect(d, 10, seed) for seed in range(3)]
    sorters = sorters_like(peers, "direct")
    for _ in range(20):
        expected = torch.tensor([peer.epoch() for peer in peers])
        assert torch.allclose(sorters.update(), expected, rtol=1e-9, atol=1e-12)
    assert_alike(sorters, peers, weights, 1e-6)
    assert (-sorters.epsilon).tolist() == pytest.approx([peer.epsilon for peer in peers], rel=1e-12)


def test_direct_in_single_precision(plain):
    """What the experiments run in: loss and gradients of a step agree to rounding."""
    torch.set_default_dtype(torch.float32)
    peers = [plain.PlainDirect(10, 10, seed) for seed in range(3)]
    sorters = sorters_like(peers, "direct")
    assert sorters.mean.parameters.flat.dtype == torch.float32
    expected = torch.tensor([peer.epoch() for peer in peers])
    assert torch.allclose(sorters.update().float(), expected, rtol=1e-5)
    assert_alike(sorters, peers, gradients, 1e-5, factor=1 + 1 / (10 * 10**2))


def test_epsilon_grows_alike(plain):
    """One sequence and a small epsilon: the ten per cent rule fires."""
    peers = [plain.PlainDirect(5, 1, seed, epsilon=0.02) for seed in range(4)]
    sorters = sorters_like(peers, "direct", epsilon=-0.02)
    for _ in range(20):
        expected = torch.tensor([peer.epoch() for peer in peers])
        assert torch.allclose(sorters.update(), expected, rtol=1e-9, atol=1e-12)
        assert (-sorters.epsilon).tolist() == pytest.approx([peer.epsilon for peer in peers], rel=1e-12)
    assert len({peer.epsilon for peer in peers}) > 2
    assert_alike(sorters, peers, weights, 1e-4)  # our epsilon, no round number now, passes through single precision


@pytest.mark.parametrize(("d", "n"), [(5, 10), (12, 3)])
def test_direct_with_noise_and_sigma(plain, monkeypatch, d, n):
    """The gradients of one step, then the losses and weights of some more."""
    samples = 5
    peers = [plain.PlainDirect(d, n, seed, samples=samples) for seed in range(3)]
    sorters = sorters_like(peers, "direct_stochastic", samples=samples)
    before = [matrix(peer.magnitude[0]) for peer in peers]
    give_both_the_same_noise(monkeypatch, "losses.direct", direct_noise)

    def step_of_each(epoch):
        for generator in sorters.noise["noise"]:
            generator.manual_seed(generator.initial_seed() + 10)  # new noise in every epoch
        ours = sorters.update()
        expected = []
        for peer, generator in zip(peers, sorters.noise["noise"], strict=True):
            torch.manual_seed(generator.initial_seed())
            expected.append(peer.epoch())
        assert torch.allclose(ours, torch.tensor(expected), rtol=1e-9, atol=1e-12), f"epoch {epoch}"

    step_of_each(0)
    # both backward passes of theirs reach everything: (1 + 1/(S n d^2)) times the sum; Adam does not see the factor,
    # so ours leaves it out for mu, and puts it into the rate of sigma
    factor = 1 + 1 / (samples * n * d**2)
    assert_alike(sorters, peers, gradients, 1e-10, factor)
    magnitude = sorters.magnitude
    by_sigma = factor * block(magnitude, "only", magnitude.flat.grad, 1)
    expected = torch.stack([matrix(peer.magnitude[0], gradients) for peer in peers])
    assert torch.allclose(by_sigma, expected, rtol=1e-6)
    assert not torch.allclose(by_sigma / factor, expected, rtol=1e-6)
    for r, peer in enumerate(peers):  # plain SGD at 1e-6
        moved = matrix(peer.magnitude[0]) - before[r]
        assert torch.allclose(moved, -1e-6 * expected[r], rtol=1e-6, atol=1e-15)

    for epoch in range(1, 12):
        step_of_each(epoch)
    assert_alike(sorters, peers, weights, 1e-6)
    only = block(magnitude, "only", magnitude.flat.detach(), 1)
    expected = torch.stack([matrix(peer.magnitude[0]) for peer in peers])
    assert torch.allclose(only, expected, rtol=1e-9, atol=1e-12)
    assert (only - torch.stack(before)).abs().max() > 1e-5


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(("d", "n"), [(5, 10), (11, 4)])
def test_gumbel_sinkhorn(plain, monkeypatch, d, n, fresh):
    peers = [plain.PlainSinkhorn(d, n, seed, fresh) for seed in range(3)]
    sorters = sorters_like(peers, "gumbel_sinkhorn" if fresh else "gumbel_sinkhorn_fixed")

    def draw(noise, shape):
        assert noise == Gumbel(1.0, centred=False)
        if fresh:
            torch.rand(n, d)  # the plain one draws its sequences first, from the same stream
        return -torch.log(-torch.log(torch.rand(shape) + 1e-20) + 1e-20)

    give_both_the_same_noise(monkeypatch, "layers._draws", draw)
    for epoch in range(12):
        for r in range(3):
            for role in ("noise", "fresh"):
                sorters.noise[role][r].manual_seed(NOISE_SEED + 100 * epoch + r)
        ours = sorters.update()
        expected = []
        for r, peer in enumerate(peers):
            torch.manual_seed(NOISE_SEED + 100 * epoch + r)
            expected.append(peer.epoch())
        assert torch.allclose(ours, torch.tensor(expected), rtol=1e-8, atol=1e-12), f"epoch {epoch}"
        if epoch == 0:
            assert_alike(sorters, peers, gradients, 1e-10)
    assert_alike(sorters, peers, weights, 1e-5)


def test_the_evaluation(plain):
    """The share of sequences that the argmax of the same scores sorts, theirs and ours."""
    d, peer = 6, plain.PlainDirect(6, 10, 0)
    for _ in range(4):
        peer.epoch()
    sorters = sorters_like([peer], "direct")
    torch.manual_seed(5)
    theirs = peer.percent_perfect(100)
    torch.manual_seed(5)
    x = torch.rand(100, d)
    sorters.data = Data(sorters.data.train, sorters.data.test, sequences(x[None]))
    sorters.finish(torch.tensor([True]))
    assert sorters.results[0].metrics["percent_sequences_perfect_100"] == Proportion(round(theirs), 100)
    assert 0 < theirs < 100
