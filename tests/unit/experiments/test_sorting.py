"""The sorting experiment: its data, its three costs, its metrics by hand, and what its arms record."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from trainings import job_of, mean, parameters, proportion

from structgrad.experiments import REGISTRY
from structgrad.experiments.indelman.sorting.data import digest, make, sequences
from structgrad.experiments.indelman.sorting.direct import (
    COSTS,
    DirectSorters,
    column_squares,
    element_squares,
    exact,
    labels,
)
from structgrad.experiments.indelman.sorting.sinkhorn import SinkhornSorters
from structgrad.experiments.indelman.sorting.sorters import metrics
from structgrad.experiments.indelman.sorting.train import METHODS, train
from structgrad.parallel import set_threads
from structgrad.polytopes.matching import Matching
from structgrad.training.loop import OutOfTimeError
from structgrad.training.results import Mean, Proportion

TABLE = REGISTRY["indelman_1a"]
LEARNING = tuple(arm.name for arm in TABLE.arms if arm.name != "no_solver")
ROLES = ("data", "init", "init_sigma", "noise", "fresh")
FEWER = {"extra_test_sequences": 20}


def sizes(train=4, test=3, extra=5):
    counts = {"train_sequences": train, "test_sequences": test, "extra_test_sequences": extra}
    return parameters(TABLE, "direct", "d=5", counts)


SIZES = sizes()


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)


def seeds_of(count, **changed):
    return {role: changed.get(role, list(range(count))) for role in ROLES}


def sorters(arm, d, count=3, seeds=None, **changes):
    config = parameters(TABLE, arm, f"d={d}", FEWER | changes)
    seeds = seeds or seeds_of(count)
    return METHODS[config.method](config, make(config, f"d={d}", seeds["data"]), seeds)


def direct_sorters(arm, d, count=3, seeds=None, **changes):
    batch = sorters(arm, d, count, seeds, **changes)
    assert isinstance(batch, DirectSorters)
    return batch


def job(tmp_path, arm, count=3, setting="d=5", budget=None, **changes):
    return job_of(TABLE, arm, setting, tmp_path, FEWER | changes, count=count, budget=budget)


# Data


def test_the_order_is_descending():
    two = sequences(torch.tensor([[[0.5, 1.0, 0.25], [0.1, 0.2, 0.3]]]))
    assert two.order.tolist() == [[[1, 0, 2], [2, 1, 0]]]
    assert two.sorted.tolist() == [[[1.0, 0.5, 0.25], pytest.approx([0.3, 0.2, 0.1])]]


def test_equal_numbers_keep_their_order():
    assert sequences(torch.tensor([0.5, 0.7, 0.5, 0.7])).order.tolist() == [1, 3, 0, 2]


def test_sizes_and_parts():
    data = make(SIZES, "d=7", [1, 2])
    assert data.train.x.shape == (2, 4, 7)
    assert data.test.x.shape == (2, 3, 7)
    assert data.extra.x.shape == (2, 5, 7)
    values = torch.cat([part.x.flatten() for part in (data.train, data.test, data.extra)])
    assert len(values.unique()) == len(values)  # nothing appears in two parts
    for part in (data.train, data.test, data.extra):
        assert (part.sorted.diff(dim=-1) < 0).all()


def test_numbers_are_uniform():
    x = make(sizes(train=2000), "d=5", [0]).train.x.double()
    assert float(x.min()) >= 0
    assert float(x.max()) < 1
    assert abs(float(x.mean()) - 0.5) < 4 / math.sqrt(12 * x.numel())
    assert float(x.var()) == pytest.approx(1 / 12, rel=0.05)


def test_a_replicas_data_does_not_depend_on_the_others():
    together = make(SIZES, "d=6", [5, 6, 7, 8])
    for seeds, rows in (([6], [1]), ([8, 5], [3, 0])):
        some = make(SIZES, "d=6", seeds)
        for part in ("train", "test", "extra"):
            assert torch.equal(getattr(some, part).x, getattr(together, part).x[rows])
            assert torch.equal(getattr(some, part).order, getattr(together, part).order[rows])


def test_the_digest_names_the_numbers():
    base = digest(SIZES, "d=6", [1, 2])
    assert base == digest(SIZES, "d=6", [1, 2])
    others = [
        digest(SIZES, "d=6", [1, 3]),
        digest(SIZES, "d=6", [2, 1]),
        digest(SIZES, "d=6", [1]),
        digest(SIZES, "d=7", [1, 2]),
        digest(sizes(test=4), "d=6", [1, 2]),
    ]
    assert len({base, *others}) == 6


@pytest.mark.parametrize("part", [0, 1, 2])
def test_one_digit_changes_the_digest(monkeypatch, part):
    base = digest(SIZES, "d=6", [1, 2])
    honest = make(SIZES, "d=6", [1, 2])
    x = (honest.train.x, honest.test.x, honest.extra.x)[part]
    x[1, 2, 3] = torch.nextafter(x[1, 2, 3], torch.tensor(2.0))
    monkeypatch.setattr("structgrad.experiments.indelman.sorting.data.make", lambda *_: honest)
    assert digest(SIZES, "d=6", [1, 2]) != base


# Costs: x = (0.5, 1, 0.25) has its element 1 at place 0, element 0 at place 1, element 2 at place 2

HAND = torch.tensor([[[0.5, 1.0, 0.25]]])


def test_labels_by_hand():
    assert labels(sequences(HAND))[0, 0].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_costs_by_hand():
    data = sequences(HAND)
    assert column_squares(data)[0, 0].tolist() == [[1 / 4, -1, 1 / 16], [-1 / 4, 1, 1 / 16], [1 / 4, 1, -1 / 16]]
    assert element_squares(data)[0, 0].tolist() == [[1 / 4, -1 / 4, 1 / 4], [-1, 1, 1], [1 / 16, 1 / 16, -1 / 16]]
    assert exact(data)[0, 0].tolist() == [[1 / 4, 0, 1 / 16], [0, 1 / 4, 9 / 16], [9 / 16, 1 / 16, 0]]


@pytest.fixture
def four_numbers():
    return sequences(torch.rand(1, 1, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64))


def test_column_squares_is_a_bonus_on_right_entries(four_numbers):
    """Each column is used once, so -|eps| c is a constant plus 2 |eps| x_j^2 for every right entry (i, j)."""
    x, order = four_numbers.x[0, 0], four_numbers.order[0, 0].tolist()
    perturbation = -12 * column_squares(four_numbers).double()[0, 0]
    constant = -12 * float((x**2).sum())
    for columns in itertools.permutations(range(4)):
        value = sum(float(perturbation[i, columns[i]]) for i in range(4))
        bonus = sum(24 * float(x[j]) ** 2 for j in range(4) if columns[order[j]] == j)
        assert value == pytest.approx(constant + bonus, abs=1e-12)


@pytest.mark.parametrize("cost", [column_squares, element_squares])
def test_squares_are_a_weighted_count_of_wrong_entries(cost, four_numbers):
    """<c, y> + const = sum w_ij (y_ij - label_ij)^2 with w = x_j^2 or x_i^2: least at the label, zero there."""
    x, y = four_numbers.x[0, 0], labels(four_numbers)[0, 0].double()
    weight = (x if cost is column_squares else x.unsqueeze(-1)).expand(4, 4) ** 2
    constant = float((weight * y).sum())
    for vertex in Matching(4).vertices():
        count = float((weight * (vertex - y) ** 2).sum())
        assert float((cost(four_numbers)[0, 0] * vertex).sum()) + constant == pytest.approx(count, abs=1e-12)
        assert (count < 1e-12) == torch.equal(vertex, y)


def test_only_the_exact_cost_is_the_squared_error(four_numbers):
    x, target = four_numbers.x[0, 0], four_numbers.sorted[0, 0]
    gaps = {name: [] for name in COSTS}
    for vertex in Matching(4).vertices():
        error = float(((x @ vertex - target) ** 2).sum())
        for name, cost in COSTS.items():
            constant = -float((cost(four_numbers)[0, 0] * labels(four_numbers)[0, 0]).sum())
            gaps[name].append(abs(float((cost(four_numbers)[0, 0] * vertex).sum()) + constant - error))
    assert max(gaps["exact"]) < 1e-12
    assert max(gaps["column_squares"]) > 0.1
    assert max(gaps["element_squares"]) > 0.1


# Metrics


def test_metrics_by_hand():
    """Three sequences of five with 0, 2 and 3 elements out of place; two more with 0 and 5."""
    reports = metrics(torch.tensor([0, 2, 3]), torch.tensor([0, 5]), 5)
    assert reports == {
        "percent_sequences_perfect": Proportion(1, 3),
        "prop_wrong_mean": Mean.of([0.0, 0.4, 0.6]),
        "percent_sequences_perfect_100": Proportion(1, 2),
        "prop_wrong_mean_100": Mean(1.0, 1.0, 2),
    }
    assert set(reports) == {metric.name for metric in TABLE.metrics}


def scores_by_hand(flat, offsets, x, hidden, d):
    """The scores' network in numpy, from the raw numbers of one replica."""
    first = flat[offsets["first"] :][: 2 * 32].reshape(2, 32)
    second = flat[offsets["second"] :][: 33 * (d + -d % 32)].reshape(33, -1)[:, :d]
    inner = np.maximum(x[:, None] * first[0] + first[1], 0)[:, :hidden]
    return inner @ second[:-1] + second[-1]


@pytest.mark.parametrize("arm", ["direct", "direct_stochastic", "gumbel_sinkhorn_fixed"])
def test_results_are_those_of_the_last_weights_without_noise(arm):
    d = 8
    trained = sorters(arm, d)
    for _ in range(5):
        trained.step()
    flat, offsets = trained.mean.parameters.flat.detach().double().numpy(), trained.mean.parameters.offsets
    expected = []
    for r in range(3):
        wrong = []
        for x in torch.cat([trained.data.test.x[r], trained.data.extra.x[r]]).double().numpy():
            scores = scores_by_hand(flat[r], offsets, x, trained.config.hidden, d)
            rows, columns = linear_sum_assignment(scores, maximize=True)
            placed = np.empty(d)
            placed[columns] = x[rows]
            wrong.append(int((placed != np.sort(x)[::-1]).sum()))
        expected.append(metrics(torch.tensor(wrong[:1]), torch.tensor(wrong[1:]), d))
    trained.finish(torch.tensor([True, True, True]))
    assert [trained.results[r].metrics for r in range(3)] == expected
    assert any(e["prop_wrong_mean_100"].value > 0 for e in expected)


# Arms


def test_no_solver_is_perfect(tmp_path):
    outcome = train(job(tmp_path, "no_solver", count=4, setting="d=100"))
    assert len(outcome.results) == 4
    for result in outcome.results:
        assert (result.length, result.stopped, result.final) == (0, "untrained", {})
        for name, report in result.metrics.items():
            if name.startswith("percent"):
                assert proportion(report).successes == proportion(report).trials
            else:
                assert mean(report).sum == mean(report).sum_squares == 0
    assert list(outcome.seeds) == ["data"]


@pytest.mark.parametrize("arm", LEARNING)
def test_history_and_results_of_a_job(tmp_path, arm):
    outcome = train(job(tmp_path, arm, max_epochs=7, patience=None))
    kind = {"direct": {"epsilon"}, "direct_stochastic": {"epsilon", "sigma"}, "fixed_sigma": {"epsilon", "sigma"}}
    final = kind.get(arm, set())
    assert set(outcome.history) == {"epoch", "active", "loss"} | final
    assert outcome.history["epoch"] == list(range(1, 8))
    assert outcome.history["active"] == [3] * 7
    assert [result.length for result in outcome.results] == [7, 7, 7]
    assert {result.stopped for result in outcome.results} == {"max_epochs"}
    assert all(set(result.final) == final for result in outcome.results)
    for key in final:  # the curve is the mean over replicas, its last point that of the finals
        average = np.mean([result.final[key] for result in outcome.results])
        assert outcome.history[key][-1] == pytest.approx(average, rel=1e-5)
    assert all(len(seeds) == 3 for seeds in outcome.seeds.values())


def test_replicas_stop_by_their_own_patience(tmp_path):
    outcome = train(job(tmp_path, "direct", count=6, patience=3, max_epochs=40))
    epochs = [result.length for result in outcome.results]
    assert len(set(epochs)) > 1
    for result in outcome.results:
        assert result.stopped == ("max_epochs" if result.length == 40 else "patience")
    last = max(epochs)
    assert outcome.history["active"] == [sum(e >= now for e in epochs) for now in range(1, last + 1)]


def test_who_stays_keeps_all_that_is_its_own():
    trained, alone = (
        direct_sorters("direct_stochastic", 6, count=4),
        direct_sorters("direct_stochastic", 6, seeds=seeds_of(4)),
    )
    for _ in range(3):
        trained.step()
        alone.step()
    trained.finish(torch.tensor([True, False, False, True]))
    stay = [1, 2]
    assert trained.replicas.tolist() == stay
    assert sorted(trained.finished) == [0, 3]
    assert torch.equal(trained.cost, COSTS[trained.config.cost](trained.data.train))
    for _ in range(3):
        trained.step()
        alone.step()
    assert torch.equal(trained.data.test.x, alone.data.test.x[stay])
    assert torch.equal(trained.mean.parameters.flat, alone.mean.parameters.flat[stay])
    assert torch.equal(trained.magnitude.flat, alone.magnitude.flat[stay])
    assert torch.equal(trained.epsilon, alone.epsilon[stay])
    assert torch.equal(trained.patience.best, alone.patience.best[stay])


def test_long_curves_are_thinned_to_a_hundred_points(tmp_path):
    outcome = train(job(tmp_path, "direct", count=1, max_epochs=110, patience=None))
    assert len(outcome.history["epoch"]) == 100
    assert outcome.history["epoch"][0] == 1
    assert outcome.history["epoch"][-1] == 110
    assert len(set(outcome.history["epoch"])) == 100


@pytest.mark.parametrize("arm", LEARNING)
def test_handing_back_after_every_step_changes_nothing(tmp_path, arm):
    changes = {"count": 3, "max_epochs": 8, "patience": 3 if "sinkhorn" not in arm else None}
    whole = train(job(tmp_path, arm, **changes))
    for _ in range(20):
        try:
            outcome = train(job(tmp_path, arm, budget=0.0, **changes))
            break
        except OutOfTimeError:
            pass
    assert outcome.results == whole.results
    assert outcome.history == whole.history
    assert outcome.resumed > 2


# Epsilon and sigma


def test_epsilon_grows_per_replica_by_tenths_and_stays():
    trained = direct_sorters("direct", 5, count=12, epsilon=-0.2, train_sequences=1)
    before = trained.epsilon
    assert before.tolist() == [-0.2] * 12
    for _ in range(40):
        loss = trained.update()
        grown = trained.epsilon < before
        assert (trained.epsilon <= before).all()
        assert (loss[grown] > 0).all()
        before = trained.epsilon
    powers = (before / -0.2).log() / math.log(1.1)
    assert torch.allclose(powers, powers.round(), atol=1e-6)
    assert (powers.round() > 0).any()
    assert (powers.round() == 0).any()  # not all: the rule is each replica's own


def test_epsilon_stays_where_noise_keeps_the_gradient_alive():
    trained = direct_sorters("direct_stochastic", 25)
    for _ in range(5):
        trained.step()
    assert trained.epsilon.tolist() == [-12.0] * 3


def test_learned_sigma_shrinks():
    """y* was chosen because of gamma, so y* - y(eps) goes with it (docs/protocols/indelman.md, 2.5)."""
    trained = direct_sorters("direct_stochastic", 25, count=2)
    first = trained.final()["sigma"]
    assert ((first > 0.3) & (first < 1.2)).all()
    for _ in range(40):
        trained.step()
    last = trained.final()["sigma"]
    assert (last < 0.9 * first).all()
    assert (last > 0.3 * first).all()
    curve = trained.history["sigma"]
    assert all(later < earlier for earlier, later in itertools.pairwise(curve[::10]))


def test_fixed_sigma_is_one_throughout():
    trained = direct_sorters("fixed_sigma", 25)
    untouched = trained.magnitude.flat.detach().clone()
    for _ in range(5):
        trained.step()
    assert trained.history["sigma"] == [1.0] * 5
    assert trained.final()["sigma"].tolist() == [1.0] * 3
    assert torch.equal(trained.magnitude.flat, untouched)


def test_direct_has_no_sigma_and_draws_no_noise():
    trained = direct_sorters("direct", 5)
    states = [g.get_state() for g in trained.noise["noise"]]
    trained.step()
    assert trained.sigma() is None
    assert all(torch.equal(g.get_state(), s) for g, s in zip(trained.noise["noise"], states, strict=True))


def test_arms_share_data_and_initial_weights():
    """So that they are compared replica by replica."""
    whole = [sorters(arm, 10) for arm in LEARNING]
    for other in whole[1:]:
        assert torch.equal(other.mean.parameters.flat, whole[0].mean.parameters.flat)
        assert torch.equal(other.data.train.x, whole[0].data.train.x)


@pytest.mark.parametrize(("arm", "fresh"), [("gumbel_sinkhorn", True), ("gumbel_sinkhorn_fixed", False)])
def test_where_the_sequences_of_gumbel_sinkhorn_come_from(arm, fresh):
    def losses(**changed):
        trained = sorters(arm, 6, seeds=seeds_of(2, **changed))
        return [trained.update().tolist() for _ in range(3)]

    base = losses()
    assert losses() == base
    assert (losses(fresh=[8, 9]) == base) != fresh
    assert (losses(data=[8, 9]) == base) == fresh
    assert losses(noise=[8, 9]) != base


@pytest.mark.parametrize("name", ["indelman_1a", "indelman_1b"])
def test_which_method_trains_which_arm(name):
    arms = {arm.name: parameters(REGISTRY[name], arm.name, "d=5", {}).method for arm in REGISTRY[name].arms}
    assert arms == dict.fromkeys(("direct", "direct_stochastic", "fixed_sigma"), "direct") | {
        "gumbel_sinkhorn": "gumbel_sinkhorn",
        "gumbel_sinkhorn_fixed": "gumbel_sinkhorn",
        "no_solver": "no_solver",
    }
    assert {"direct": DirectSorters, "gumbel_sinkhorn": SinkhornSorters} == METHODS


@pytest.mark.parametrize(
    ("name", "sequences_", "test", "behind"), [("indelman_1a", 10, 1, 200), ("indelman_1b", 512, 100, 500)]
)
def test_the_published_constants(name, sequences_, test, behind):
    experiment = REGISTRY[name]
    config = experiment.config_of("direct_stochastic")
    assert (config["train_sequences"], config["test_sequences"]) == (sequences_, test)
    assert (config["learning_rate"], config["sigma_learning_rate"]) == (0.1, 1e-6)
    assert (config["epsilon"], config["epsilon_growth"], config["samples"]) == (-12.0, 1.1, 5)
    assert (config["patience"], config["max_epochs"], config["hidden"]) == (50, 2000, 32)
    assert config["noise_scale"] ** 2 * math.pi**2 / 6 == pytest.approx(3)
    sinkhorn = experiment.config_of("gumbel_sinkhorn")
    assert (sinkhorn["samples"], sinkhorn["sinkhorn_iterations"], sinkhorn["temperature"]) == (10, 20, 1.0)
    assert (sinkhorn["max_epochs"], sinkhorn["patience"]) == (500, None)
    assert set(experiment.published_items.values()) == {behind}
