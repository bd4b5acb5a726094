"""Artificial rankings: data that is what it says, scores by hand, selection on validation rows, a batch of any size."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipys import rank_correlation
from trainings import job_of, mean, parameters, proportion

from structgrad.errors import UserError
from structgrad.experiments import REGISTRY
from structgrad.experiments.berthet.artificial_rankings.data import digest, make, noise_level
from structgrad.experiments.berthet.artificial_rankings.rankers import ArtificialRankers, _spread
from structgrad.experiments.berthet.artificial_rankings.scores import METRICS, averages, report, right_labels
from structgrad.experiments.berthet.artificial_rankings.train import train
from structgrad.experiments.berthet.rankings.losses import LOSSES
from structgrad.experiments.berthet.rankings.spearman import spearman
from structgrad.parallel import set_threads
from structgrad.training.loop import OutOfTimeError
from structgrad.training.results import Mean, Proportion
from structgrad.training.seeds import seed_for

FIGURE = REGISTRY["berthet_artificial"]
SMALL = {
    "labels": 6, "features": 4, "train": 96, "validation": 40, "test": 50, "epochs": 4, "samples": 2,
    "learning_rates": [0.01, 0.1], "curve_points": 3,
}  # fmt: skip
LEARNING = ("perturbed_fy", "perturbed_squared", "squared", "blackbox_mirrored", "blackbox", "blackbox_tuned")


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


def job(tmp_path, arm, first=0, count=3, budget=None, setting="sigma=0.1334", device="cpu", **changes):
    return job_of(FIGURE, arm, setting, tmp_path, SMALL | changes, first, count, budget, device=device)


def sized(arm, changes=SMALL):
    """Hyper-parameters, of which data depends on none but the sizes."""
    return parameters(FIGURE, arm, "sigma=10", changes)


def rankers(arm, data, count=2, **changes):
    config = sized(arm, SMALL | changes)
    seeds = {
        role: [seed_for("test", "any", None, number, role) for number in range(count)]
        for role in ("init", "shuffle", "noise")
    }
    return ArtificialRankers(config, data, LOSSES[config.loss](config, config.labels), seeds)


def run(batch):
    while batch.active():
        done, _ = batch.step()
        if done.any():
            batch.finish(done)
    return batch


# Data


def test_ranks_are_those_of_the_scores_with_noise_and_without():
    config = sized("squared", {"train": 3000, "validation": 100, "test": 200})
    for sigma in ("sigma=0.01", "sigma=10"):
        data = make(config, sigma, [5])
        assert set(data.w0.unique().tolist()) == {-1.0, 1.0}
        scores = (data.train.x.double() @ data.w0.double())[0].numpy()
        assert (data.train.clean[0].numpy() == stats.rankdata(scores, axis=1) - 1).all()
        assert (data.train.noisy.sort(-1).values == torch.arange(100.0)).all()
    # how far noise of sigma moves a score of variance 50 among the others: E correlation of ranks, by simulation
    draw = np.random.default_rng(0)
    clean = draw.normal(0, 50**0.5, (3000, 100))
    moved = clean + 10 * draw.normal(size=clean.shape)
    expected = [rank_correlation(a, b) for a, b in zip(clean[:500], moved[:500], strict=True)]
    correlations = spearman(data.train.noisy[0].double(), data.train.clean[0])
    error = np.hypot(np.std(expected) / 500**0.5, float(correlations.std()) / 3000**0.5)
    assert abs(float(correlations.mean()) - np.mean(expected)) < 5 * error


def test_features_are_standard_normal_and_the_parts_share_no_row():
    data = make(sized("squared", {}), "sigma=1000", [1, 2])
    x = data.train.x.double()
    assert abs(float(x.mean())) < 5 / x.numel() ** 0.5
    assert abs(float(x.var()) - 1) < 5 * (2 / x.numel()) ** 0.5
    rows = torch.cat([data.train.x[0], data.validation.x[0], data.test.x[0]])
    assert len(rows.unique(dim=0)) == len(rows) == 7000
    assert not data.train.x[0].equal(data.train.x[1])


def test_a_data_set_depends_on_its_seed_alone_and_the_digest_on_all_of_it():
    config = sized("squared")
    both, one = make(config, "sigma=10", [3, 4]), make(config, "sigma=10", [4])
    assert both.train.noisy[1].equal(one.train.noisy[0])
    known = digest(config, "sigma=10", [3, 4])
    assert known == digest(config, "sigma=10", [3, 4])
    assert len({known, digest(config, "sigma=3.16", [3, 4]), digest(config, "sigma=10", [4, 3])}) == 3


def test_the_published_levels_are_among_the_settings_and_all_lie_in_the_published_range():
    levels = [noise_level(setting) for setting in FIGURE.settings]
    assert {0.1334, 0.7449} < set(levels)
    assert (levels[0], levels[-1]) == (0.01, 1000.0)
    assert np.diff(np.log10(levels)) == pytest.approx(0.5, abs=0.26)


# Scores


def test_scores_by_hand():
    clean = torch.tensor([[0.0, 1, 2, 3], [0, 1, 2, 3], [3, 2, 1, 0]])
    noisy = torch.tensor([[0.0, 1, 2, 3], [1, 0, 2, 3], [3, 2, 1, 0]])
    theta = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.2, 0.1, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]])
    right = right_labels(theta, clean, noisy)
    assert right.tolist() == [[4, 4], [2, 4], [0, 0]]
    reports = report(right, 4)
    assert reports["perfect_clean"] == Proportion(1, 3)
    assert reports["perfect_noisy"] == Proportion(2, 3)
    assert reports["partial_clean"] == Mean(1.5, 1.25, 3)
    assert reports["partial_noisy"] == Mean(2.0, 2.0, 3)
    assert dict(zip(METRICS, averages(right, 4).tolist(), strict=True)) == pytest.approx(
        {"perfect_clean": 1 / 3, "partial_clean": 0.5, "perfect_noisy": 2 / 3, "partial_noisy": 2 / 3}
    )


def test_the_correlation_is_scipys():
    draw = torch.Generator().manual_seed(0)
    theta, y = torch.rand(20, 9, generator=draw), torch.rand(20, 9, generator=draw).argsort(-1).argsort(-1)
    expected = [rank_correlation(a, b) for a, b in zip(theta, y, strict=True)]
    assert spearman(theta, y).tolist() == pytest.approx(expected)


def test_the_reference_is_right_without_noise_and_as_far_as_the_noise_lets_it(tmp_path):
    """A simulation of w0 against noisy labels had 11.8 % perfect at sigma = 0.01 and 59.6 % of labels at 0.1334."""
    sizes: dict[str, Any] = {"labels": 100, "features": 50, "train": 1, "validation": 1, "test": 2000}
    for setting, metric, expected, error in (
        ("sigma=0.01", "perfect_noisy", 0.118, 0.03),
        ("sigma=0.1334", "partial_noisy", 0.596, 0.005),
        ("sigma=0.7449", "partial_noisy", 0.185, 0.005),
    ):
        results = train(job(tmp_path, "bayes", count=3, setting=setting, **sizes)).results
        assert [proportion(result.metrics["perfect_clean"]).successes for result in results] == [2000] * 3
        shares = [result.metrics[metric].value for result in results]
        assert np.mean(shares) == pytest.approx(expected, abs=error)


# Training and selection


@pytest.mark.parametrize("arm", LEARNING)
def test_what_the_test_rows_hold_changes_the_scores_and_nothing_else(arm):
    data = make(sized(arm), "sigma=0.1334", [1, 2])
    test = data.test
    planted = dataclasses.replace(data, test=dataclasses.replace(test, clean=5 - test.clean, noisy=5 - test.noisy))
    honest, other = run(rankers(arm, data)), run(rankers(arm, planted))
    for own, its in zip(honest.grid.models, other.grid.models, strict=True):
        assert own.flat.equal(its.flat)
    for own, its in zip(honest.results, other.results, strict=True):
        assert own.final == its.final
        assert own.metrics != its.metrics


@pytest.mark.parametrize("arm", LEARNING)
def test_the_selected_point_is_the_best_on_noisy_validation_labels_and_its_score_is_reported(arm):
    data = make(sized(arm), "sigma=0.1334", [1, 2])
    batch = run(rankers(arm, data))
    for replica, result in enumerate(batch.results):
        final = result.final
        rate = batch.grid.rates.index(final["learning_rate"])
        value = batch.grid.values.index(final.get(str(batch.grid.loss.name), batch.grid.values[0]))
        weights = [
            [batch.grid.weights(replica, 0, i, j)[:-1].double() for j in range(len(batch.grid.values))]
            for i in range(len(batch.grid.rates))
        ]
        held = data.validation
        scores = [
            [float(spearman(held.x[replica].double() @ w, held.noisy[replica]).mean()) for w in row] for row in weights
        ]
        assert scores[rate][value] == pytest.approx(max(map(max, scores)))
        assert final["validation"] == pytest.approx(scores[rate][value])
        test, w = data.test, weights[rate][value]
        right = right_labels(test.x[replica].double() @ w, test.clean[replica], test.noisy[replica])
        assert result.metrics == report(right, 6)
        assert final["weight_norm"] == pytest.approx(float(w.norm()))


def test_the_model_has_no_bias_and_one_start_for_the_whole_grid():
    data = make(sized("perturbed_fy"), "sigma=0.1334", [1, 2])
    batch = rankers("perturbed_fy", data)
    starts = [batch.grid.weights(0, 0, rate, value) for rate in range(2) for value in range(4)]
    assert all(start.equal(starts[0]) for start in starts)
    assert not batch.grid.weights(1, 0, 0, 0).equal(starts[0])
    run(batch)
    zero = batch.grid.scores(torch.zeros(2, 1, 1, 4))
    assert not zero.any()
    assert not any(batch.grid.weights(0, 0, rate, value)[-1].any() for rate in range(2) for value in range(4))


def test_squared_loss_takes_adams_steps():
    """One data set, one learning rate, without shuffling's freedom: every row in one batch."""
    changes = {"batch_size": 96, "learning_rates": [0.05], "epochs": 5}
    data = make(sized("squared"), "sigma=0.1334", [1])
    batch = rankers("squared", data, 1, **changes)
    weights = batch.grid.weights(0, 0, 0, 0)[:-1].clone().requires_grad_()
    adam = torch.optim.Adam([weights], lr=0.05)
    for _ in range(5):
        adam.zero_grad()
        loss = 0.5 * ((data.train.x[0] @ weights - data.train.noisy[0]) ** 2).sum(-1).mean()
        loss.backward()
        adam.step()
    run(batch)
    torch.testing.assert_close(batch.grid.weights(0, 0, 0, 0)[:-1], weights.detach(), rtol=1e-4, atol=1e-5)


def test_without_label_noise_to_speak_of_every_loss_learns(tmp_path):
    chance = 1 / 6
    for arm in LEARNING:
        results = train(job(tmp_path, arm, setting="sigma=0.01", epochs=20)).results
        partial = np.mean([mean(result.metrics["partial_clean"]).sum / 50 for result in results])
        assert partial > 2 * chance, arm


# Curves


def test_the_curve_ends_where_the_scores_are_and_starts_after_the_first_epoch(tmp_path):
    outcome = train(job(tmp_path, "perturbed_fy"))
    history = outcome.history
    assert history["epoch"] == [1.0, 2.0, 4.0]
    assert {len(values) for values in history.values()} == {3}
    for name in ("partial_clean", "partial_noisy"):
        ends = [mean(result.metrics[name]).sum / 50 for result in outcome.results]
        assert history[name][-1] == pytest.approx(np.mean(ends))
    ends = [proportion(result.metrics["perfect_clean"]).successes / 50 for result in outcome.results]
    assert history["perfect_clean"][-1] == pytest.approx(np.mean(ends))


@pytest.mark.parametrize(("epochs", "points"), [(1, 40), (2, 1), (30, 40), (2000, 40)])
def test_curves_are_scored_from_the_first_epoch_to_the_last(epochs, points):
    scored = _spread(epochs, points)
    assert (scored[0], scored[-1]) == (1, epochs)
    assert scored == sorted(set(scored))
    assert len(scored) <= points + 2


# The batch


@pytest.mark.parametrize("arm", LEARNING)
def test_a_data_set_alone_or_beside_others_on_one_thread_or_two(tmp_path, arm):
    together = train(job(tmp_path, arm))
    set_threads(2)
    assert train(job(tmp_path, arm)).results == together.results
    for first in range(3):
        assert train(job(tmp_path, arm, first, 1)).results == together.results[first : first + 1]


@pytest.mark.parametrize("arm", ["perturbed_fy", "squared"])
def test_a_run_that_was_cut_off_ends_as_one_that_was_not(tmp_path, arm):
    (tmp_path / "whole").mkdir()
    whole = train(job(tmp_path / "whole", arm))
    for _ in range(3):
        with pytest.raises(OutOfTimeError):
            train(job(tmp_path, arm, budget=0.0))
    resumed = train(job(tmp_path, arm))
    assert (resumed.results, resumed.history, resumed.seeds) == (whole.results, whole.history, whole.seeds)
    assert resumed.resumed == 3


def test_another_device_is_refused(tmp_path):
    with pytest.raises(UserError, match="artificial rankings train on the CPU only, not on cuda"):
        train(job(tmp_path, "squared", device="cuda"))
