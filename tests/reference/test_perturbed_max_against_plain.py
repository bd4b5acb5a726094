"""Training steps of berthet Figure 2 against the plain form (``benchmarks/plain_perturbed_max.py``).

Same weights, batches and noise: equal losses, and equal gradients of every weight. In double precision, where no two
pixels that are pooled are within rounding of each other.
"""

import pytest
import torch
from plain_forms import plain_form
from trainings import parameters

from structgrad.experiments.berthet.perturbed_max.data import make
from structgrad.experiments.berthet.perturbed_max.spec import ARMS, FIGURE_2_DIGITS
from structgrad.experiments.berthet.perturbed_max.trial import MaxTrial
from structgrad.noise import Normal
from structgrad.parallel import set_threads
from structgrad.training.minibatches import Minibatches

SEEDS = {"init": 1, "shuffle": 2, "noise": 3, "evaluation": 4}
IMAGES, BATCH = 14, 8


@pytest.fixture(autouse=True)
def _double(monkeypatch):
    """Ours casts pixels and labels to single precision, whatever the default."""
    set_threads(1)
    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("arm", [arm.name for arm in ARMS])
@pytest.mark.parametrize("epsilon", ["0.01", "1"])
def test_losses_and_every_gradient_are_the_plain_ones(arm, epsilon):
    plain = plain_form("plain_perturbed_max")
    setting = f"epsilon={epsilon}"
    changes = {"train": IMAGES, "test": 5, "batch_size": BATCH, "width": 3}
    changes |= {"samples": 20} if arm == "perturbed_fy_1000" else {}
    config = parameters(FIGURE_2_DIGITS, arm, setting, changes)
    data = make(config, setting, [0])
    ours = MaxTrial(config, data, SEEDS)
    batches = Minibatches(IMAGES, BATCH, torch.Generator().manual_seed(SEEDS["shuffle"]))
    noise = torch.Generator().manual_seed(SEEDS["noise"])
    moved = set()
    for _ in range(3):  # the second is smaller, the third of another epoch
        rows = batches.next()
        weights = {name: value.detach().clone().requires_grad_() for name, value in ours.network.named_parameters()}
        z = torch.zeros(0)
        if config.loss == "fenchel_young":
            z = Normal().sample((len(rows), config.samples, 10), noise, torch.float64)
        images, labels = data.train[rows].double() / 255, data.train_labels[rows]
        expected, gradients = plain.step(config.loss, config.epsilon, weights, images, labels, z)
        assert ours.update() == pytest.approx(expected, abs=1e-10)
        for name, parameter in ours.network.named_parameters():
            wanted = gradients[name]
            assert parameter.grad is not None
            scale = max(1e-3, float(wanted.abs().max()))
            torch.testing.assert_close(parameter.grad, wanted, rtol=0, atol=1e-9 * scale)
            moved |= {name} if bool(wanted.abs().max() > 1e-6) else set()
    assert moved == {name for name, _ in ours.network.named_parameters()}
