"""paulus Table 1: metrics by hand, references that are the measured ones, trials that resume to the bit, its table."""

import math

import networkx as nx
import pytest
import torch
from trainings import job_of, mean, parameters, silent

from structgrad.experiments import REGISTRY
from structgrad.experiments.paulus.graph_layout.data import Graphs, make
from structgrad.experiments.paulus.graph_layout.metrics import averages, recovery, report
from structgrad.experiments.paulus.graph_layout.references import reference
from structgrad.experiments.paulus.graph_layout.train import train
from structgrad.experiments.paulus.graph_layout.trial import LayoutTrial, reach
from structgrad.parallel import set_threads
from structgrad.repro.judging.published import lookup
from structgrad.training.loop import OutOfTimeError
from structgrad.training.results import Mean

TABLE = REGISTRY["paulus_1"]
LEARNING = tuple(arm.name for arm in TABLE.arms if not arm.reference)
SMALL = {
    "vertices": 5, "train": 20, "validation": 12, "test": 16, "validation_graphs": 10, "width": 6, "batch_size": 8,
    "steps": 6, "validate_every": 2, "rollout_steps": {"T=10": 9, "T=20": 10},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


def job(tmp_path, arm, first=0, count=2, budget=None, setting="T=10", show=silent, **changes):
    return job_of(TABLE, arm, setting, tmp_path, SMALL | changes, first, count, budget, show)


def trial(arm, data=None, point=None, **changes):
    config = parameters(TABLE, arm, "T=10", SMALL | changes)
    point = point or {"learning_rate": 1e-3, "temperature": 0.5}
    seeds = {"init": 1, "noise": 2, "evaluation": 3}
    return LayoutTrial(config, data or make(config, "T=10", [4]), point, seeds, "cpu")


# Metrics


def test_precision_and_recall_by_hand_in_both_readings():
    edges = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0]], dtype=torch.bool)
    chosen = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    precision, recall = recovery(chosen, edges)
    assert precision[0].tolist() == pytest.approx([1 / 2, math.nan, 2 / 5], nan_ok=True)
    assert precision[1].tolist() == pytest.approx([1 / 3, 2 / 5, math.nan], nan_ok=True)
    assert recall.tolist() == [[0.5, 0.0, 1.0], [0.5, 1.0, 0.0]]
    reports = report(precision, recall, torch.tensor([-1.0, -2.0, -3.0]))
    assert reports["edge_precision"] == Mean.of([0.5, 0.4])
    assert reports["edge_recall"] == Mean(1.5, 1.25, 3)
    assert reports["elbo"] == Mean(-6.0, 14.0, 3)
    assert averages(reports) == pytest.approx({"edge_precision": 0.45, "edge_recall": 0.5, "elbo": -2})


def test_the_reading_is_that_of_the_higher_mean_precision_of_all_graphs_together():
    edges = torch.tensor([[1, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    chosen = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 1]], dtype=torch.bool)  # the two readings tie in each other's graph
    assert report(*recovery(chosen, edges))["edge_recall"].sum == 1.0
    chosen = torch.tensor([[0, 1, 1, 1], [0, 1, 1, 1]], dtype=torch.bool)
    assert report(*recovery(chosen, edges))["edge_precision"] == Mean(2.0, 2.0, 2)


def test_a_graph_without_edges_does_not_take_the_reading_from_the_others():
    edges = torch.tensor([[1, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    chosen = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)  # precision 1 and none; of the rest 0 and 1/4
    assert report(*recovery(chosen, edges))["edge_precision"] == Mean(1.0, 1.0, 1)


@pytest.mark.parametrize("value", [False, True])
def test_no_edge_at_all_or_every_edge_is_no_nan(value):
    edges = torch.tensor([[1, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    reports = report(*recovery(torch.full_like(edges, value), edges))
    assert reports["edge_precision"] == Mean(0.5, 0.125, 2)
    assert reports["edge_recall"].sum == 2.0


# References


def test_references_are_the_measured_ones():
    sizes = {"train": 1, "validation": 1, "test": 4000}
    for setting, tree, pairs in (("T=10", 0.815, 0.739), ("T=20", 0.884, 0.814)):
        test = make(parameters(TABLE, "chance", setting, sizes), setting, [11]).test
        for name, expected in (("nearest_tree", tree), ("closest_pairs", pairs), ("chance", 0.2)):
            reports = reference(name, test, torch.Generator().manual_seed(1))
            assert set(reports) == {"edge_precision", "edge_recall"}
            precision = reports["edge_precision"]
            assert precision.count == 4000
            error = math.sqrt((precision.sum_squares / 4000 - precision.value**2) / 4000)
            assert abs(precision.value - expected) < 4 * error + 0.0005
            assert reports["edge_recall"] == precision  # as many edges as there are


def test_the_nearest_tree_is_networkx_minimum_of_the_last_frame():
    graphs = make(parameters(TABLE, "chance", "T=10", SMALL), "T=10", [3]).test
    right = 0
    for frames, tree in zip(graphs.frames.double(), graphs.trees, strict=True):
        graph = nx.Graph()
        pairs = torch.triu_indices(5, 5, 1).T.tolist()
        for i, j in pairs:
            graph.add_edge(i, j, weight=math.dist(frames[i, -1].tolist(), frames[j, -1].tolist()))
        best = {tuple(sorted(edge)) for edge in nx.minimum_spanning_tree(graph).edges}
        right += sum(1 for pair, used in zip(pairs, tree.tolist(), strict=True) if used and tuple(pair) in best)
    precision = reference("nearest_tree", graphs, torch.Generator())["edge_precision"]
    assert precision.sum == pytest.approx(right / 4)


# Trials


@pytest.mark.parametrize("arm", LEARNING)
def test_every_arm_learns(arm):
    """On few graphs, again and again, the bound on them rises."""
    one = trial(arm, point={"learning_rate": 3e-3, "temperature": 0.5})
    before = averages(one.evaluate(one.data.train))["elbo"]
    for _ in range(40):
        one.update()
    assert averages(one.evaluate(one.data.train))["elbo"] > 0.9 * before


def test_batches_follow_the_data_and_the_last_one_of_an_epoch_is_smaller(monkeypatch):
    one, seen = trial("spanning_tree"), []
    forward = type(one.model).forward
    monkeypatch.setattr(type(one.model), "forward", lambda self, x, g: (seen.append(x), forward(self, x, g))[1])
    for _ in range(4):
        one.update()
    assert torch.cat(seen[:3]).equal(one.data.train.frames)
    assert [len(batch) for batch in seen] == [8, 8, 4, 8]
    assert seen[3].equal(seen[0])


def test_how_far_predictions_are_rolled_out():
    def all_of(**changes):
        config = parameters(TABLE, "spanning_tree_unrolled", "T=10", changes)
        return [reach(config, 9, step) for step in range(12)]

    assert all_of() == [9] * 12
    assert all_of(forced_steps=3) == [1] * 3 + [9] * 9
    assert all_of(growing_steps=8) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9]
    assert all_of(forced_steps=2, growing_steps=4) == [1, 1, 1, 3, 5, 7, 9, 9, 9, 9, 9, 9]


def test_forced_steps_are_those_of_teacher_forcing():
    """A rollout that comes later, or grows, is the same training until then."""
    forced, later, growing = (
        trial("spanning_tree"),
        trial("spanning_tree_unrolled", forced_steps=2),
        trial("spanning_tree_unrolled", growing_steps=8),
    )
    losses = [[one.update() for _ in range(3)] for one in (forced, later, growing)]
    assert losses[0][:2] == losses[1][:2]
    assert losses[0][0] == losses[2][0]
    assert len({own[2] for own in losses}) == 3


def test_a_large_gradient_is_scaled_down_to_its_bound():
    free, bound = trial("spanning_tree_unrolled"), trial("spanning_tree_unrolled", gradient_norm=0.5)
    assert free.update() == bound.update()

    def gradients(one):
        return torch.cat([weight.grad.flatten() for weight in one.network.parameters()])

    assert gradients(free).norm() > 1
    assert gradients(bound).norm() == pytest.approx(0.5, rel=1e-4)
    torch.testing.assert_close(gradients(bound), gradients(free) * (0.5 / gradients(free).norm()))


def test_an_evaluation_is_the_same_each_time_and_leaves_training_alone():
    one, other = trial("spanning_tree"), trial("spanning_tree")
    for _ in range(3):
        assert one.validate() == one.validate()
        one.update()
        other.update()
    assert one.test() == other.test()
    assert averages(one.evaluate(one.data.validation[:10])) == one.validate()


def test_the_bound_is_by_teacher_forcing_whatever_the_training():
    forced, unrolled = trial("top_k"), trial("top_k_unrolled")
    assert (forced.model.steps, unrolled.model.steps) == (1, 9)
    assert forced.test() == unrolled.test()


def test_the_structure_of_the_hard_draw_is_what_is_scored():
    """With the true edges as scores a spanning tree of the model recovers them."""
    one = trial("spanning_tree")
    graphs = one.data.test
    one.model.infer = lambda frames: (1000.0 * graphs.trees.float(), torch.empty(0))  # no features are looked at
    reports = one.test()
    assert reports["edge_precision"].value == reports["edge_recall"].value == 1.0


@pytest.mark.parametrize("arm", ["indep_directed", "spanning_tree_unrolled", "reinforce_top_k", "nvil_spanning_tree"])
def test_a_job_that_is_stopped_ends_as_one_that_is_not(tmp_path, arm):
    whole = train(job(tmp_path / "whole", arm))
    stopped = 0
    while True:
        try:
            cut = train(job(tmp_path / "cut", arm, budget=0.0))
            break
        except OutOfTimeError:
            stopped += 1
    assert stopped == 11
    assert cut.results == whole.results
    assert cut.history == whole.history
    assert [result.stopped for result in whole.results] == ["max_steps"] * 2
    assert whole.history["step"] == [2.0, 4.0, 6.0]


def test_trials_share_data_and_no_trial_depends_on_its_siblings(tmp_path):
    both, alone = train(job(tmp_path, "top_k", 0, 2)), train(job(tmp_path, "top_k", 1, 1))
    assert both.results[1] == alone.results[0]
    assert both.seeds["data"][0] == both.seeds["data"][1] == alone.seeds["data"][0]
    finals = [result.final for result in both.results]
    assert finals[0]["learning_rate"] != finals[1]["learning_rate"]
    for final in finals:
        assert 1e-4 <= final["learning_rate"] <= 3e-3
        assert 0.1 <= final["temperature"] <= 10


def test_only_what_an_arm_has_is_searched(tmp_path):
    final = train(job(tmp_path, "reinforce_top_k", count=1)).results[0].final
    assert set(final) == {"learning_rate", "validation", "best_step"}
    boxes = {"learning_rate": [1e-4, 3e-3], "temperature": [0.1, 10.0], "difference": [1e-3, 1.0]}
    final = train(job(tmp_path, "top_k", count=1, search=boxes, searched=list(boxes))).results[0].final
    assert 1e-3 <= final["difference"] <= 1


def test_a_trial_that_diverges_is_recorded_and_its_sibling_goes_on(tmp_path):
    wild = {"learning_rate": [1e30, 1e30], "temperature": [1.0, 1.0]}
    results = train(job(tmp_path, "spanning_tree", search=wild)).results
    assert [result.stopped for result in results] == ["diverged"] * 2
    assert all(0 < result.length <= 6 for result in results)
    reports = [mean(report) for result in results for report in result.metrics.values()]
    assert all(math.isfinite(report.sum) and math.isfinite(report.sum_squares) for report in reports)


def test_a_reference_has_a_record_without_steps(tmp_path):
    outcome = train(job(tmp_path, "nearest_tree", count=1))
    (result,) = outcome.results
    assert (result.length, result.stopped, result.final) == (0, "untrained", {})
    assert outcome.seeds.keys() == {"data"}


# Table


def test_published_columns_are_answered_twice_and_the_rest_by_nobody():
    answered = [arm.answers for arm in TABLE.arms if arm.answers]
    assert sorted(answered) == sorted(2 * sorted({*answered}))
    for arm in TABLE.arms:
        for setting in TABLE.settings:
            for metric in TABLE.metrics:
                printed = lookup("paulus", "1", setting, arm.answers, metric.published)
                assert (printed is not None) == (arm.answers is not None)
                if printed is not None:
                    assert printed.unit == metric.unit
        assert arm.answers is None or arm.name.removesuffix("_unrolled") in arm.config["edges"]


def test_rollouts_are_named_and_differ_where_they_should():
    for arm in TABLE.arms:
        if not arm.reference:
            expected = "unrolled" if arm.name.endswith(("_unrolled", "_warm_start")) else "teacher_forced"
            assert TABLE.config_of(arm.name)["rollout"] == expected


def test_a_warm_start_is_the_unrolled_arm_after_forced_steps():
    config = TABLE.config_of("spanning_tree_warm_start")
    assert config.pop("forced_steps") == 750
    assert config == TABLE.config_of("spanning_tree_unrolled")


def test_graphs_slice_together():
    graphs = make(parameters(TABLE, "chance", "T=10", SMALL), "T=10", [3]).test
    assert isinstance(graphs[2:4], Graphs)
    assert graphs[2:4].trees.equal(graphs.trees[2:4])
