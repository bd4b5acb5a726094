"""Label ranking: folds that keep the test rows out, a batch that trains each fold as if alone, a state that resumes."""

import dataclasses

import pytest
import torch
from scipys import rank_correlation
from trainings import job_of, mean, parameters

from structgrad.data.label_ranking import stand_in
from structgrad.errors import UserError
from structgrad.experiments import REGISTRY
from structgrad.experiments.berthet.label_ranking import train as train_module
from structgrad.experiments.berthet.label_ranking.data import OUTER_FOLDS, fold
from structgrad.experiments.berthet.label_ranking.rankers import FoldRankers
from structgrad.experiments.berthet.label_ranking.train import train
from structgrad.experiments.berthet.rankings.losses import LOSSES
from structgrad.parallel import set_threads
from structgrad.training.loop import OutOfTimeError
from structgrad.training.seeds import seed_for

TABLE = REGISTRY["berthet_2"]
ARMS = (
    "perturbed_fy",
    "perturbed_squared_plain",
    "perturbed_squared",
    "squared",
    "blackbox_mirrored",
    "blackbox_of_batch",
    "blackbox_tuned",
)
SMALL = {"source": "stand_in", "epochs": 3, "samples": 2, "inner_folds": 3, "learning_rates": [0.01, 0.1]}


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


def job(tmp_path, arm, first=0, count=10, budget=None, **changes):
    return job_of(TABLE, arm, "iris", tmp_path, SMALL | changes, first, count, budget)


def rankers(arm, numbers, data=None, **changes):
    config = parameters(TABLE, arm, "iris", SMALL | changes)
    data = data or stand_in("iris")
    cut = seed_for("label_ranking", "iris", None, 0, "data")
    folds = [fold(len(data.features), cut, number, config.inner_folds) for number in numbers]
    seeds = {
        role: [seed_for("label_ranking", "iris", "any", number, role) for number in numbers]
        for role in ("init", "shuffle", "noise")
    }
    return FoldRankers(config, data, folds, LOSSES[config.loss](config, data.ranks.shape[1]), seeds)


# Folds


@pytest.mark.parametrize("rows", [150, 178, 846, 1003])
def test_the_outer_folds_are_a_partition_and_training_sets_leave_their_test_rows_out(rows):
    folds = [fold(rows, 7, number, 5) for number in range(OUTER_FOLDS)]
    assert torch.cat([f.test for f in folds]).sort().values.equal(torch.arange(rows))
    for f in folds:
        assert max(len(g.test) for g in folds) - min(len(g.test) for g in folds) <= 1
        rest = set(range(rows)) - set(f.test.tolist())
        assert set(f.fits[-1].tolist()) == rest
        assert torch.cat(f.validation).sort().values.tolist() == sorted(rest)
        for train_rows, held_out in zip(f.fits, f.validation, strict=False):
            assert set(train_rows.tolist()) == rest - set(held_out.tolist())


def test_all_folds_of_a_set_cut_one_permutation_and_another_seed_cuts_another():
    assert fold(150, 7, 3, 5).test.equal(fold(150, 7, 3, 2).test)
    assert not fold(150, 7, 3, 5).test.equal(fold(150, 8, 3, 5).test)


# Selection


@pytest.mark.parametrize("arm", ARMS)
def test_planted_test_labels_change_the_score_and_nothing_else(arm):
    """Reversing every ranking of a test fold must not reach weights, validation or the chosen point."""
    data = stand_in("iris")
    honest = rankers(arm, [4], data)
    ranks = data.ranks.copy()
    rows = honest.folds[0].test.numpy()
    ranks[rows] = ranks.shape[1] - 1 - ranks[rows]
    planted = rankers(arm, [4], dataclasses.replace(data, ranks=ranks))
    for batch in (honest, planted):
        for _ in range(batch.epochs):
            batch.step()
        batch.finish(torch.ones(1, dtype=torch.bool))
    assert honest.validation().equal(planted.validation())
    for own, other in zip(honest.grid.models, planted.grid.models, strict=True):
        assert own.flat.equal(other.flat)
    assert honest.results[0].final == planted.results[0].final
    scores = [batch.results[0].metrics["spearman"].value for batch in (honest, planted)]
    assert scores[0] == pytest.approx(-scores[1])
    assert scores[0] != pytest.approx(scores[1])


def test_the_chosen_point_is_the_best_on_the_inner_folds():
    batch = rankers("perturbed_fy", range(10), epochs=6)
    for _ in range(batch.epochs):
        batch.step()
    batch.finish(torch.ones(10, dtype=torch.bool))
    validation = batch.validation().mean(1)
    for replica, result in enumerate(batch.results):
        rate = batch.grid.rates.index(result.final["learning_rate"])
        value = batch.grid.values.index(result.final["epsilon"])
        assert validation[replica, rate, value] == validation[replica].max()


# Scores


@pytest.mark.parametrize("arm", ARMS)
def test_the_score_is_scipys_spearman_correlation(arm):
    batch = rankers(arm, [0, 1])
    batch.step()
    batch.finish(torch.ones(2, dtype=torch.bool))
    last, labels = batch.fits - 1, batch.y.shape[1]
    for replica, result in enumerate(batch.results):
        rows = batch.folds[replica].test
        rate = batch.grid.rates.index(result.final["learning_rate"])
        value = batch.grid.values.index(result.final.get(str(batch.grid.loss.name), batch.grid.values[0]))
        weights = batch.grid.models[rate]["scores"][replica * batch.fits + last].detach()
        weights = weights[:, value * labels : (value + 1) * labels].double()
        theta = batch.x[rows].double() @ weights[:-1] + weights[-1]
        expected = [rank_correlation(t, y) for t, y in zip(theta, batch.y[rows], strict=True)]
        assert mean(result.metrics["spearman"]).sum == pytest.approx(sum(expected))
        assert mean(result.metrics["spearman"]).count == len(rows)


# The batch


@pytest.mark.parametrize("arm", ARMS)
def test_a_fold_alone_or_beside_others_on_one_thread_or_two(tmp_path, arm):
    together = train(job(tmp_path, arm))
    set_threads(2)
    assert train(job(tmp_path, arm)) == together
    for first, count in ((0, 1), (7, 1), (3, 4)):
        some = train(job(tmp_path, arm, first, count))
        assert some.results == together.results[first : first + count]


def test_replicas_beyond_the_folds_are_those_of_further_partitions(tmp_path):
    """Each partition has one cut, and every row is tested once in each."""
    both = train(job(tmp_path, "squared", 0, 20))
    cuts = [seed_for("label_ranking", "iris", None, first, "data") for first in (0, 10)]
    assert both.seeds["data"] == [cuts[0]] * 10 + [cuts[1]] * 10
    assert train(job(tmp_path, "squared", 10, 10)).results == both.results[10:]
    rows = len(stand_in("iris").features)
    for results in (both.results[:10], both.results[10:]):
        assert sum(result.metrics["spearman"].parts[1] for result in results) == rows
    other = fold(rows, cuts[1], 0, 3).test
    assert set(other.tolist()) != set(fold(rows, cuts[0], 0, 3).test.tolist())


def test_the_memory_bound_changes_no_number(tmp_path):
    assert train(job(tmp_path, "perturbed_fy")) == train(job(tmp_path, "perturbed_fy", memory_mb=0.001))


@pytest.mark.parametrize("arm", ARMS)
def test_a_training_that_was_interrupted_ends_with_the_same_bits(tmp_path, arm):
    whole = train(job(tmp_path / "whole", arm))
    for _ in range(2):  # every epoch is beyond this budget: each run makes one more
        with pytest.raises(OutOfTimeError):
            train(job(tmp_path, arm, budget=1e-9))
    resumed = train(job(tmp_path, arm))
    assert resumed.resumed == 2
    assert (resumed.results, resumed.history, resumed.seeds) == (whole.results, whole.history, whole.seeds)


def test_every_fit_takes_as_many_steps_from_whole_shuffles_of_its_own_rows():
    batch = rankers("squared", [2])
    order = batch._order(0)
    assert order.shape == (batch.fits, batch.steps, batch.batch)
    assert batch.steps == 135 // 32
    for rows, fit in zip(batch.folds[0].fits, order, strict=True):
        assert set(fit.flatten().tolist()) <= set(rows.tolist())
        first = fit.flatten()[: len(rows) // batch.batch * batch.batch]
        assert len(set(first.tolist())) == len(first), "no row twice before every batch of a shuffle is used up"


def test_lambda_of_the_batch_is_as_many_times_that_of_an_item_as_the_batch_has_items(tmp_path):
    of_batch = train(job(tmp_path, "blackbox_of_batch", 0, 2, lambdas=[3.2, 32.0]))
    of_item = train(job(tmp_path, "blackbox_tuned", 0, 2, lambdas=[0.1, 1.0]))
    assert [result.metrics for result in of_batch.results] == [result.metrics for result in of_item.results]


def test_the_points_of_the_grid_start_alike():
    batch = rankers("perturbed_fy", [0, 1])
    labels = batch.y.shape[1]
    first = batch.grid.models[0]["scores"][..., :labels]
    for model in batch.grid.models:
        for value in range(len(batch.grid.values)):
            assert model["scores"][..., value * labels : (value + 1) * labels].equal(first)
    assert not batch.grid.models[0]["scores"][0].equal(batch.grid.models[0]["scores"][batch.fits])


def test_it_learns(tmp_path):
    """On rankings that an affine map makes, every loss comes close to them."""
    for arm in ARMS:
        changes = {"epochs": 60, "samples": 8, "learning_rates": [0.1]}
        if arm.startswith("blackbox"):
            changes["lambdas"] = [0.1 * (1 if arm == "blackbox_tuned" else 32)]
        if arm.startswith("perturbed_squared"):
            changes["epsilons"] = [0.5]
        results = train(job(tmp_path, arm, 0, 2, **changes)).results
        scores = [mean(result.metrics["spearman"]) for result in results]
        assert sum(score.sum for score in scores) / sum(score.count for score in scores) > 0.6, arm


def test_a_device_that_it_would_not_use_is_refused(tmp_path):
    with pytest.raises(UserError, match="on the CPU only, not on cuda"):
        train(dataclasses.replace(job(tmp_path, "squared"), device="cuda"))


def test_the_record_names_real_data_unless_the_scale_says_otherwise(monkeypatch):
    asked = []
    monkeypatch.setattr("structgrad.experiments.berthet.label_ranking.data.load", lambda name: asked.append(name))
    train_module.published(parameters(TABLE, "squared", "wine", {}), "wine")
    assert asked == ["wine"]
