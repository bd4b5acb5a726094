"""Training steps of berthet Figure 6 against the plain form (``benchmarks/plain_shortest_paths.py``).

Same weights, batches and noise: equal losses, and equal gradients of every weight. In double precision, where no two
pixels that are pooled are within rounding of each other.
"""

import numpy as np
import pytest
import torch
from plain_forms import plain_form
from trainings import parameters

from structgrad.data.terrain import terrain
from structgrad.experiments.berthet.shortest_paths.data import make
from structgrad.experiments.berthet.shortest_paths.spec import FIGURE_6
from structgrad.experiments.berthet.shortest_paths.trial import PathTrial
from structgrad.noise import Normal
from structgrad.parallel import set_threads
from structgrad.polytopes import GridPath
from structgrad.training.minibatches import Minibatches

SEEDS = {"init": 1, "shuffle": 2, "noise": 3}
SETTING, MAPS, BATCH = "synthetic terrain", 9, 5
SMALL = {"train": MAPS, "test": 2, "batch_size": BATCH, "width": 4}
LEARNERS = [arm.name for arm in FIGURE_6.arms if not arm.reference]


@pytest.fixture(autouse=True)
def _double(monkeypatch):
    """Ours casts pixels and paths to single precision, whatever the default."""
    set_threads(1)
    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def plain():
    return plain_form("plain_shortest_paths")


@pytest.mark.parametrize("arm", LEARNERS)
def test_losses_and_every_gradient_are_the_plain_ones(plain, arm):
    config = parameters(FIGURE_6, arm, SETTING, SMALL)
    data = make(config, SETTING, [4])
    ours = PathTrial(config, data, SEEDS)
    batches = Minibatches(MAPS, BATCH, torch.Generator().manual_seed(SEEDS["shuffle"]))
    noise = torch.Generator().manual_seed(SEEDS["noise"])
    moved = set()
    for _ in range(3):  # the second is smaller, the third of another epoch
        rows = batches.next().numpy()
        images = torch.from_numpy(data.train.images[rows]).permute(0, 3, 1, 2).double()
        images = (images - data.mean) / data.deviation
        weights = {name: value.detach().clone().requires_grad_() for name, value in ours.network.named_parameters()}
        y = torch.from_numpy(data.train.paths[rows]).double()
        z = torch.zeros(0)
        if config.loss == "fenchel_young":
            z = Normal().sample((len(rows), config.samples, 12, 12), noise, torch.float64)
        numbers = {"epsilon": config.epsilon, "interpolation": config.interpolation}
        expected, gradients = plain.step(config.network, config.loss, weights, images, y, numbers, z)
        assert ours.update() == pytest.approx(expected, abs=1e-10)
        for name, parameter in ours.network.named_parameters():
            wanted = gradients[name]
            assert parameter.grad is not None
            scale = max(1.0, float(wanted.abs().max()))
            torch.testing.assert_close(parameter.grad, wanted, rtol=0, atol=1e-9 * scale)
            moved |= {name} if bool(wanted.abs().max() > 1e-8) else set()
    assert moved == {name for name, _ in ours.network.named_parameters()}


def test_paths_are_the_plain_ones_with_ties_and_costs_below_zero(plain):
    """Costs of few values, which tie, some of them below zero, which count as zero."""
    costs = np.random.default_rng(0).integers(-1, 3, (40, 12, 12)).astype(float)
    ours = GridPath(12, 12).argmax(torch.from_numpy(-costs))
    assert torch.equal(ours, plain.paths(torch.from_numpy(costs)))
    true = terrain(10, 0)
    assert np.array_equal(plain.paths(torch.from_numpy(true.costs)).numpy(), true.paths)
