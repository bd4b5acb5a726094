"""berthet Figure 6: its data, what is scored, the arms, resuming, and what records keep for pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from trainings import job_of, parameters, proportion

from structgrad.data import user_data, warcraft
from structgrad.data.maps import Maps, are_paths, costs_of
from structgrad.data.store import MissingDataError
from structgrad.data.terrain import terrain
from structgrad.errors import UserError
from structgrad.experiments.berthet.shortest_paths import data as data_module
from structgrad.experiments.berthet.shortest_paths.data import digest, make
from structgrad.experiments.berthet.shortest_paths.files import needed
from structgrad.experiments.berthet.shortest_paths.losses import FenchelYoung, Interpolated, Squared
from structgrad.experiments.berthet.shortest_paths.scores import scores
from structgrad.experiments.berthet.shortest_paths.spec import FIGURE_6
from structgrad.experiments.berthet.shortest_paths.train import train
from structgrad.experiments.berthet.shortest_paths.trial import PathTrial
from structgrad.training.loop import OutOfTimeError
from structgrad.training.seeds import generators

SYNTHETIC = "synthetic terrain"
SMALL = {"width": 4, "train": 23, "test": 7, "batch_size": 10, "epochs": 3, "early": 2}
SEEDS = {"init": 1, "shuffle": 2, "noise": 3}
LEARNERS = [arm.name for arm in FIGURE_6.arms if not arm.reference]


def config(arm="perturbed_fy", setting=SYNTHETIC, **changes: Any):
    return parameters(FIGURE_6, arm, setting, SMALL | changes)


# Data


def test_all_replicas_share_the_first_ones_maps():
    data = make(config(), SYNTHETIC, [5, 6])
    assert (len(data.train), len(data.test)) == (23, 7)
    assert np.array_equal(data.train.images, terrain(23, 5).images)
    assert not np.array_equal(data.test.images, data.train.images[:7])
    pixels = data.normalised(data.train.images)
    assert pixels.shape == (23, 3, 96, 96)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(pixels.std((0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)


def test_the_digest_is_of_all_maps():
    changes: list[dict[str, Any]] = [{}, {"train": 22}, {"test": 6}]
    digests = {digest(config(**change), SYNTHETIC, [3]) for change in changes}
    assert len(digests | {digest(config(), SYNTHETIC, [4])}) == 4
    assert digest(config("squared"), SYNTHETIC, [3, 9]) in digests


def test_the_published_maps_are_the_users_to_add(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data_module._make.cache_clear()
    assert needed(config(), SYNTHETIC) == ()
    assert needed(config(), "Warcraft") == (warcraft.WARCRAFT,)
    with pytest.raises(MissingDataError, match="structgrad data add warcraft PATH"):
        make(config(), "Warcraft", [0])
    monkeypatch.setattr(warcraft, "MD5", {})
    for split, count in {"train": 23, "val": 1, "test": 7}.items():
        maps = terrain(count, len(split))
        np.save(tmp_path / f"{split}_maps.npy", maps.images)
        np.save(tmp_path / f"{split}_vertex_weights.npy", maps.costs)
        np.save(tmp_path / f"{split}_shortest_paths.npy", maps.paths)
    user_data.add(warcraft.WARCRAFT, tmp_path)
    read = make(config(train=20), "Warcraft", [0])
    assert np.array_equal(read.train.images, terrain(20, 5).images)
    assert np.array_equal(read.test.paths, terrain(7, 4).paths)
    assert digest(config(), "Warcraft", [0]) == digest(config(), "Warcraft", [1])
    assert digest(config(), "Warcraft", [0]) != digest(config(train=20), "Warcraft", [0])
    with pytest.raises(UserError, match="Warcraft has 23 training and 7 test maps, but 24 and 7"):
        make(config(train=24), "Warcraft", [0])


# Scores


def drawn(*rows):
    return np.array([[float(cell == "#") for cell in row] for row in rows])


def diagonal(*more):
    cells = np.eye(12)
    for i, j in more:
        cells[i, j] = 1
    return cells


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (diagonal(), True),
        (diagonal((3, 4)), False),  # a spare cell
        (diagonal() - np.eye(12)[:, [4]] * np.eye(12)[4], False),  # a gap
        (np.ones((12, 12)), False),
        (np.zeros((12, 12)), False),
        (np.maximum(np.eye(1, 12, 11).T, 0) * 0 + (np.add.outer(np.arange(12), np.zeros(12)) == 11), False),  # a row
    ],
)
def test_what_is_a_path(cells, expected):
    assert are_paths(cells[None]).tolist() == [expected]


def test_generated_paths_are_paths_and_no_longer_with_a_cell_more_or_less():
    maps = terrain(50, 0)
    assert are_paths(maps.paths).all()
    for path in maps.paths[:10]:
        for at in np.argwhere(path == 0)[::17]:
            assert not are_paths(np.where((at == np.indices((12, 12)).T).all(-1).T, 1, path)[None])[0]
        for at in np.argwhere(path == 1):
            assert not are_paths(np.where((at == np.indices((12, 12)).T).all(-1).T, 0, path)[None])[0]


def test_scores_by_hand():
    """Three maps of equal costs, on which the diagonal is optimal; of what is predicted one goes a step round."""
    maps = Maps(
        np.zeros((3, 96, 96, 3), np.uint8), np.full((3, 12, 12), 2.0), np.stack([np.eye(12, dtype=np.uint8)] * 3)
    )
    round_about = diagonal((0, 1), (1, 2)) - np.eye(12)[:, [1]] * np.eye(12)[1]
    scored = scores(np.stack([np.eye(12), round_about, diagonal((5, 6))]), maps)
    assert scored.valid.tolist() == [True, True, False]
    assert scored.exact.tolist() == [True, False, False]
    assert scored.optimal.tolist() == [True, False, False]
    assert scored.ratio.tolist() == pytest.approx([1, 13 / 12, 13 / 12])
    assert "cost_ratio" not in scored.report(solved=False)
    assert scored.report(solved=True)["cost_ratio"].value == pytest.approx((1 + 13 / 6) / 3)


def test_another_path_of_the_same_cost_is_optimal_but_not_the_one_given():
    other = diagonal((1, 0), (2, 1)) - np.eye(12)[:, [1]] * np.eye(12)[1]
    costs = np.full((1, 12, 12), 5.0)
    costs[0, 1, 0] = costs[0, 2, 1] = 2.5 - 1e-4  # two cells for the price of one, as 16 bits may have it
    maps = Maps(np.zeros((1, 96, 96, 3), np.uint8), costs, np.eye(12, dtype=np.uint8)[None])
    assert costs_of(costs, other[None])[0] == pytest.approx(60, rel=1e-5)
    scored = scores(other[None], maps)
    assert (scored.optimal[0], scored.exact[0]) == (True, False)


# The arms


def test_the_published_protocol():
    full = parameters(FIGURE_6, "perturbed_fy", "Warcraft", {})
    assert (full.train, full.test, full.epochs, full.batch_size) == (10_000, 1_000, 50, 70)
    assert (full.epsilon, full.samples, full.width, full.network) == (1.0, 1, 64, "resnet")
    assert (full.learning_rate, full.decay_after) == (5e-4, (30, 40))
    assert parameters(FIGURE_6, "blackbox_of_batch", "Warcraft", {}).interpolation == 20.0
    small = parameters(FIGURE_6, "perturbed_fy_cnn", "Warcraft", {})
    assert (small.network, small.width, small.epsilon, small.samples) == ("cnn", 32, 0.1, 3)


def test_networks_have_the_published_layers_and_numbers():
    """ResNet18's first five layers: 9408 + 128 for the stem, 4 convolutions of 36 864, 4 normalisations of 128."""
    resnet, cnn = (PathTrial(config(arm, width=w), make(config(), SYNTHETIC, [5]), SEEDS).network
                   for arm, w in (("perturbed_fy", 64), ("perturbed_fy_cnn", 32)))  # fmt: skip
    assert sum(p.numel() for p in resnet.parameters()) == 9408 + 128 + 4 * (36_864 + 128)
    assert sum(p.numel() for p in cnn.parameters()) == (3 * 16 + 1) * 32 + (32 * 4 + 1) * 32 + 32 * 4 + 1
    assert resnet(torch.zeros(2, 3, 96, 96)).shape == cnn(torch.zeros(2, 3, 96, 96)).shape == (2, 12, 12)


def test_the_gradient_of_fenchel_young_is_zero_in_the_mean_where_the_costs_are_true():
    """If paths are cheapest ones at perturbed costs c, the loss's expected gradient at c is zero: a z-test per cell."""
    (generator,) = generators([1])
    costs = torch.from_numpy(terrain(1, 0).costs)
    loss = FenchelYoung(config(samples=1))
    paths = torch.stack([loss(costs, torch.zeros(1, 12, 12), generator)[0] for _ in range(300)])
    more = FenchelYoung(config(samples=3000))
    predicted, gradient = more(costs, paths.mean(0), generator)
    torch.testing.assert_close(gradient, paths.mean(0) - predicted)
    error = (predicted * (1 - predicted) * (1 / 300 + 1 / 3000)).sqrt()
    z = (gradient / error.clamp(min=1e-3)).abs()
    assert z.max() < 4.5
    assert ((paths.mean(0) > 0.05) & (paths.mean(0) < 0.95)).sum() > 10  # noise does move paths


def test_steps_down_the_gradient_lower_what_is_shown():
    """Each loss on free costs of one map: the path that is found becomes the true one."""
    maps = terrain(1, 3)
    y = torch.from_numpy(maps.paths).float()
    for make_loss in (FenchelYoung, Interpolated, lambda _: Squared()):
        loss = make_loss(config("blackbox_of_batch", epsilon=0.1, samples=4))
        (generator,) = generators([2])
        outputs = torch.full((1, 12, 12), 0.5, requires_grad=True)
        for _ in range(300):
            head = loss.head(outputs)
            _, gradient = loss(head.detach(), y, generator)
            outputs = (outputs - 0.1 * torch.autograd.grad(head, outputs, gradient)[0]).detach().requires_grad_()
        assert torch.equal(loss.predict(loss.head(outputs.detach())), y), loss


def test_the_learning_rate_falls_after_the_epochs_that_are_named():
    trial = PathTrial(config(decay_after=[1, 2], learning_rate=1.0), make(config(), SYNTHETIC, [5]), SEEDS)
    rates = []
    for _ in range(9):
        trial.update()
        rates.append(trial.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1.0] * 3 + [0.1] * 3 + [0.01] * 3)


# Training


@pytest.mark.parametrize("arm", LEARNERS)
def test_a_training_goes_on_to_the_same_bits(tmp_path, arm):
    whole = train(job_of(FIGURE_6, arm, SYNTHETIC, tmp_path / "whole", SMALL))
    rounds = 0
    while True:
        try:
            parts = train(job_of(FIGURE_6, arm, SYNTHETIC, tmp_path / "parts", SMALL, budget=0.0))
            break
        except OutOfTimeError:
            rounds += 1
    assert rounds == 2 * 3 * 3 - 1  # replicas, epochs and batches: after every step but the last
    assert (parts.results, parts.history) == (whole.results, whole.history)
    assert whole.history["epoch"] == [1.0, 2.0, 3.0]
    assert whole.history["active"] == [2.0] * 3
    assert ("cost_ratio" in whole.history) == (arm != "squared")
    early = sum(proportion(result.metrics["optimal_early"]).successes for result in whole.results)
    assert early / 14 == pytest.approx(whole.history["optimal"][1])


def test_true_costs_give_the_true_paths(tmp_path):
    trained = train(job_of(FIGURE_6, "true_costs", SYNTHETIC, tmp_path, SMALL))
    assert all(proportion(result.metrics["exact"]).value == 1 for result in trained.results)
    assert trained.history["cost_ratio"] == [1.0]


def test_examples_are_the_first_test_maps(tmp_path):
    (first, second) = train(job_of(FIGURE_6, "perturbed_fy", SYNTHETIC, tmp_path, SMALL, count=1)).results[0].examples
    data = make(
        config(), SYNTHETIC, [job_of(FIGURE_6, "squared", SYNTHETIC, tmp_path, SMALL).seeds(["data"])["data"][0]]
    )
    assert first["path"] == data.test.paths[0].ravel().tolist()
    assert second["costs"] == pytest.approx(data.test.costs[1].ravel().tolist())
    image = np.array(first["image"]).reshape(24, 24, 3)
    assert (
        image[3, 5].tolist()
        == data.test.images[0, 12:16, 20:24].reshape(16, 3).astype(int).sum(0).__floordiv__(16).tolist()
    )
    found = np.array(first["found"]).reshape(1, 12, 12)
    assert are_paths(found)[0]
    predicted = np.array(first["predicted"]).reshape(1, 12, 12)
    assert costs_of(predicted, found)[0] <= costs_of(predicted, data.test.paths[:1])[0] * 1.001
