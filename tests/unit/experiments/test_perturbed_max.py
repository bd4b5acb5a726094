"""berthet Figure 2: its data, its losses, the arms, and resuming."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot
from trainings import job_of, mean, parameters, proportion

from structgrad.data.digits import digits
from structgrad.data.images import files_of
from structgrad.errors import UserError
from structgrad.experiments.berthet.perturbed_max.data import digest, make, pixels
from structgrad.experiments.berthet.perturbed_max.files import needed
from structgrad.experiments.berthet.perturbed_max.losses import PerturbedMax, Softmax
from structgrad.experiments.berthet.perturbed_max.networks import glorot, vanilla_cnn
from structgrad.experiments.berthet.perturbed_max.spec import ARMS, FIGURE_2, FIGURE_2_DIGITS, SETTINGS
from structgrad.experiments.berthet.perturbed_max.train import train
from structgrad.experiments.berthet.perturbed_max.trial import MaxTrial
from structgrad.layers import Perturbed
from structgrad.losses import FenchelYoung
from structgrad.noise import Gumbel
from structgrad.polytopes import Simplex
from structgrad.training.loop import OutOfTimeError
from structgrad.training.seeds import generators

SMALL = {"train": 70, "test": 20, "scored": 30, "width": 2, "batch_size": 32, "epochs": 2}
SEEDS = {"init": 1, "shuffle": 2, "noise": 3, "evaluation": 4}


def config(arm="perturbed_fy", setting="epsilon=1", **changes: Any):
    return parameters(FIGURE_2_DIGITS, arm, setting, SMALL | changes)


# Data


def test_images_are_the_first_of_the_published_whatever_the_seed():
    data, whole = make(config(), "epsilon=1", [3]), digits()
    assert np.array_equal(data.train.numpy(), whole.train[:70])
    assert np.array_equal(data.test_labels.numpy(), whole.test_labels[:20])
    assert data.train.is_contiguous(memory_format=torch.channels_last)
    assert pixels(data.train).max() == 1
    assert len(make(config(train=None, test=None), "epsilon=1", [3]).train) == 1497
    changes: list[dict[str, Any]] = [{}, {"train": 69}, {"test": 19}]
    digests = {digest(config(**change), "epsilon=1", [3]) for change in changes}
    assert len(digests) == 3
    assert digest(config("cross_entropy", "epsilon=10"), "epsilon=10", [4]) in digests


def test_more_images_than_there_are_are_refused():
    with pytest.raises(UserError, match="1497 training and 300 test images, but 1498 and 20"):
        make(config(train=1498), "epsilon=1", [0])


def test_only_the_published_source_needs_files():
    assert needed(parameters(FIGURE_2, "perturbed_fy", "epsilon=1", {}), "epsilon=1") == files_of("CIFAR-10")
    assert needed(config(), "epsilon=1") == ()


# Losses


def test_with_gumbel_noise_and_many_draws_the_gradient_is_that_of_softmax_cross_entropy():
    """The control: a z-test per entry, at two temperatures; with normal noise the same test fails."""
    theta = torch.tensor([[0.3, -1.2, 2.0, 0.0], [1.0, 1.1, -0.4, -3.0]], dtype=torch.float64)
    y, samples = torch.tensor([0, 1]), 40_000
    for epsilon in (0.5, 2.0):
        scores = theta.clone().requires_grad_()
        value = epsilon * cross_entropy(scores / epsilon, y, reduction="sum")
        (wanted,) = torch.autograd.grad(value, scores)
        largest = {}
        for noise in (Gumbel(), None):
            layer = (
                Perturbed(Simplex(4), noise, epsilon, samples)
                if noise
                else Perturbed(Simplex(4), sigma=epsilon, samples=samples)
            )
            (generator,) = generators([7])
            loss = FenchelYoung(layer)(scores, one_hot(y, 4).double(), generator)
            (gradient,) = torch.autograd.grad(loss.sum(), scores)
            chance = (theta / epsilon).softmax(-1)
            error = (chance * (1 - chance) / samples).sqrt()
            largest[noise] = float(((gradient - wanted) / error).abs().max())
        normal, gumbel = largest.pop(None), *largest.values()
        assert gumbel < 4
        assert normal > 10


def test_gradients_of_both_losses_are_those_of_the_library():
    theta, y = torch.randn(6, 10, generator=torch.Generator().manual_seed(0)), torch.arange(6)
    target = one_hot(y, 10).float()
    for arm, kind in (("perturbed_fy_1000", PerturbedMax), ("cross_entropy", Softmax)):
        for setting in ("epsilon=0.1", "epsilon=10"):
            own = config(arm, setting, samples=50)
            (generator,), (again,) = generators([5]), generators([5])
            gradient = kind(own)(theta, generator) - target
            scores = theta.clone().requires_grad_()
            if arm == "cross_entropy":
                loss = own.epsilon * cross_entropy(scores / own.epsilon, y, reduction="sum")
            else:
                loss = FenchelYoung(Perturbed(Simplex(10), sigma=own.epsilon, samples=50))(scores, target, again).sum()
            torch.testing.assert_close(gradient, torch.autograd.grad(loss, scores)[0], atol=1e-6, rtol=0)


def test_the_perturbed_maximum_at_test_is_the_chance_of_the_largest():
    """Of two scores: the normal distribution function of their distance over sqrt(2) epsilon; a z-test."""
    theta = torch.full((1, 10), -100.0)
    theta[0, :2] = torch.tensor([0.6, 0.0])
    predicted = PerturbedMax(config(setting="epsilon=1")).at_test(theta.expand(20, 10), generators([1])[0])[:, 0]
    chance = 0.5 * (1 + torch.erf(torch.tensor(0.6 / 2)))
    error = sqrt(float(chance * (1 - chance)) / 20_000)
    assert abs(float(predicted.mean() - chance)) < 4 * error


# The arms and the network


def test_the_published_protocol():
    for arm, samples in (("perturbed_fy", 1), ("perturbed_fy_1000", 1000)):
        full = parameters(FIGURE_2, arm, "epsilon=0.01", {})
        assert (full.epochs, full.batch_size, full.width, full.samples, full.epsilon) == (600, 32, 32, samples, 0.01)
        assert (full.train, full.test, full.source, full.learning_rate) == (None, None, "published", 1e-4)
    levels = [parameters(FIGURE_2, "cross_entropy", setting, {}).epsilon for setting in SETTINGS]
    assert levels == [1e-3, 1e-2, 1e-1, 1, 10, 100]


def test_the_network_has_the_published_layers_and_numbers():
    network = vanilla_cnn(32, 3, 32)
    layers = [3 * 32 * 9 + 32, 32 * 32 * 9 + 32, 32 * 64 * 9 + 64, 64 * 64 * 9 + 64, 2304 * 512 + 512, 512 * 10 + 10]
    assert sum(parameter.numel() for parameter in network.parameters()) == sum(layers)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert vanilla_cnn(4, 1, 28)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_initial_weights_are_glorots():
    network = vanilla_cnn(32, 3, 32)
    glorot(network, torch.Generator().manual_seed(0))
    sizes = [(3 * 9, 32 * 9), (32 * 9, 32 * 9), (32 * 9, 64 * 9), (64 * 9, 64 * 9), (2304, 512), (512, 10)]
    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    for layer, (inputs, outputs) in zip(layers, sizes, strict=True):
        bound = sqrt(6 / (inputs + outputs))
        assert 0.97 * bound < float(layer.weight.detach().abs().max()) <= bound
        assert layer.bias is not None
        assert not layer.bias.any()


# Training


@pytest.mark.parametrize("arm", [arm.name for arm in ARMS])
def test_a_training_goes_on_to_the_same_bits(tmp_path, arm):
    whole = train(job_of(FIGURE_2_DIGITS, arm, "epsilon=1", tmp_path / "whole", SMALL))
    rounds = 0
    while True:
        try:
            parts = train(job_of(FIGURE_2_DIGITS, arm, "epsilon=1", tmp_path / "parts", SMALL, budget=0.0))
            break
        except OutOfTimeError:
            rounds += 1
    assert rounds == 2 * 2 * 3 - 1  # replicas, epochs and batches: after every step but the last
    assert (parts.results, parts.history) == (whole.results, whole.history)
    assert whole.history["epoch"] == [1.0, 2.0]
    last = sum(proportion(result.metrics["test_accuracy"]).successes for result in whole.results)
    assert last / 40 == pytest.approx(whole.history["test_accuracy"][-1])
    assert all(0 <= mean(result.metrics["train_squared"]).value <= 2 for result in whole.results)


@pytest.mark.parametrize("arm", [arm.name for arm in ARMS])
def test_it_learns(arm):
    """A dozen epochs on two hundred digits: most of these are right."""
    own = config(arm, width=8, train=200, scored=200)
    trial = MaxTrial(own, make(own, "epsilon=1", [0]), SEEDS)
    for _ in range(12 * 7):
        trial.update()
    assert trial.validate()["train_accuracy"] > 0.7
