"""What a shard should take is learned from the nearest records, and how it is known is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from structgrad.repro.planning.plan import load_plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running.estimates import UNKNOWN_SECONDS, estimates, weakest
from structgrad.repro.running.pace import Run
from structgrad.repro.running.work import memory_ratio, replicas_ratio, time_ratio

SORTING = {"experiments": ["indelman_1a", "indelman_1b"]}


@pytest.fixture
def ran(project, fabricate):
    """Write a record of a shard that took so long."""

    def write(plan, identity, seconds, **changes):
        shard = plan.shard(identity)
        metrics = plan.experiments[shard.experiment].experiment.metrics
        report = {
            metric.name: {"successes": 1, "trials": 1}
            if metric.kind == "proportion"
            else {"sum": 0.0, "sum_squares": 0.0, "count": 1}
            for metric in metrics
        }
        record = fabricate(plan, shard, [report] * shard.count)
        run = record["run"] | {"seconds": seconds} | changes
        shard.path.write_text(shard.path.read_text().replace(json.dumps(record["run"]), json.dumps(run)))

    return write


def test_the_nearest_records_tell(ran):
    plan = load_plan("paper", SORTING)
    by_id = {shard.id: shard for shard in plan.shards}
    before = estimates(plan, plan.shards)(plan.shards[0])
    assert (before.seconds, before.origin) == (UNKNOWN_SECONDS, "guess")
    ran(plan, "indelman_1a/d=5/direct/0-199", 200.0, peak_memory_mb=700.0)
    ran(plan, "indelman_1a/d=10/direct/0-199", 600.0, peak_memory_mb=900.0)
    ran(plan, "indelman_1a/d=5/fixed_sigma/0-199", 1000.0)
    slices = [Shard("paper", "indelman_1a", "d=5", "direct", 0, count) for count in (2, 50)]
    estimate = estimates(plan, [*plan.shards, *slices])

    def told(identity):
        of = estimate(by_id[identity])
        return of.origin, pytest.approx(of.seconds)

    assert told("indelman_1a/d=5/direct/200-399") == ("measured", 200.0)
    assert told("indelman_1a/d=25/direct/0-199") == ("scaled", 400.0)  # its arm's median
    assert told("indelman_1a/d=25/gumbel_sinkhorn/0-199") == ("scaled", 600.0)  # the experiment's
    assert told("indelman_1b/d=5/direct/0-4") == ("guess", 15.0)  # five replicas of the others' median
    few = estimate(Shard("paper", "indelman_1a", "d=5", "direct", 0, 50))
    assert (few.origin, few.seconds) == ("measured", pytest.approx(10.0 + 190.0 / 2))  # side by side, or one by one
    fewer = estimate(Shard("paper", "indelman_1a", "d=5", "direct", 0, 2))
    assert (fewer.origin, fewer.seconds) == ("scaled", pytest.approx(10.0 + 190.0 / 10))
    assert estimate(by_id["indelman_1a/d=25/direct/0-199"]).memory_mb == 900.0  # the largest
    by_id["indelman_1a/d=5/direct/0-199"].path.write_text("damaged")  # planning goes on without it
    estimate = estimates(plan, plan.shards)
    assert told("indelman_1a/d=25/direct/0-199") == ("scaled", 600.0)


def test_slices_and_other_scales_are_measured_where_hyper_parameters_are_the_same(ran):
    desktop = load_plan("desktop", SORTING)
    ran(desktop, "indelman_1a/d=5/direct/0-9", 20.0)
    ran(desktop, "indelman_1a/d=5/direct/10-19", 40.0)
    plan = load_plan("paper", SORTING | {"replicas": 20})
    found = estimates(plan, plan.shards)(plan.shard("indelman_1a/d=5/direct/0-19"))
    assert (found.origin, found.seconds) == ("measured", pytest.approx(50.0))  # twice what came after the start
    plan = load_plan("paper", SORTING)
    assert estimates(plan, plan.shards)(plan.shard("indelman_1a/d=5/direct/0-199")).origin == "scaled"


def test_time_on_one_device_is_a_guess_for_another(ran):
    plan = load_plan("paper", SORTING)
    ran(plan, "indelman_1a/d=5/direct/0-199", 200.0)
    shard = plan.shard("indelman_1a/d=5/direct/200-399")
    on_gpu = load_plan("paper", SORTING | {"device": "cuda:1"})
    found = estimates(on_gpu, [shard])(shard)
    assert (found.origin, found.seconds) == ("guess", pytest.approx(200.0))
    ran(plan, "indelman_1a/d=5/fixed_sigma/0-199", 10.0, device="cuda:0")
    found = estimates(on_gpu, [shard])(shard)
    assert (found.origin, found.seconds) == ("scaled", pytest.approx(10.0))
    assert estimates(plan, [shard])(shard).origin == "measured"


def test_what_is_scaled_is_taken_from_the_record_that_is_least_scaled(ran, project):
    """A quick cut scale and a nearer one: the latter tells."""
    scale = (project / "workflow/scales/paper.yaml").read_text()
    for name, sequences, seconds in (("far", 8, 500.0), ("near", 128, 50.0)):
        block = {"settings": ["d=5"], "arms": ["direct"], "replicas": 5}
        content = {"comparable": False, "reason": "cut", "overrides": {"train_sequences": sequences}, "blocks": [block]}
        (project / f"workflow/scales/{name}.yaml").write_text(
            json.dumps({"description": "", "experiments": {"indelman_1b": content}})
        )
        ran(load_plan(name, {"experiments": ["indelman_1b"]}), "indelman_1b/d=5/direct/0-4", seconds)
    assert scale == (project / "workflow/scales/paper.yaml").read_text()
    plan = load_plan("paper", SORTING)
    found = estimates(plan, plan.shards)(plan.shard("indelman_1b/d=5/direct/0-4"))
    assert (found.origin, found.seconds) == ("scaled", pytest.approx(170.0))  # 512 sequences for 128, after 10 s
    shutil.rmtree(project / "results/near")
    found = estimates(plan, plan.shards)(plan.shard("indelman_1b/d=5/direct/0-4"))
    assert (found.origin, found.seconds) == ("guess", pytest.approx(10.0 + 490.0 * 64))  # too far to tell


def test_what_learns_nothing_tells_nothing_of_learners(ran, project):
    chosen = {"experiments": ["paulus_2"], "arms": ["lstm", "all_to_root", "uniform_tree"]}
    plan = load_plan("paper", chosen)
    ran(plan, "paulus_2/ListOps/all_to_root/0-0", 8.0)
    estimate = estimates(plan, plan.shards)
    assert estimate(plan.shard("paulus_2/ListOps/uniform_tree/0-0")).origin == "scaled"
    assert estimate(plan.shard("paulus_2/ListOps/lstm/0-0")).origin == "guess"
    ran(plan, "paulus_2/ListOps/lstm/0-0", 3000.0)
    found = estimates(plan, plan.shards)(plan.shard("paulus_2/ListOps/uniform_tree/0-0"))
    assert found.seconds == pytest.approx(8.0)


def run_of(config, ends=(), count=1):
    run = Run(Path("nowhere"), "", "", count, "cpu", 1.0, 1.0, 1, config)
    run.__dict__["ends"] = list(ends)  # as if read from a record
    return run


@pytest.mark.parametrize(("count", "ratio"), [(100, 1.0), (300, 3.0), (25, 0.5)])
def test_fewer_replicas_save_less_than_more_cost(count, ratio):
    assert replicas_ratio(run_of({}, count=100), count) == ratio


@pytest.mark.parametrize(
    ("config", "ends", "wanted", "ratio"),
    [
        ({"epochs": 10, "train": 100}, [("max_epochs", "epochs", 10)], {"epochs": 40, "train": 200}, 8.0),
        ({"epochs": 10, "train": None}, [("max_epochs", "epochs", 10)], {"epochs": 10, "train": 200}, 1.0),
        ({"epochs": 10}, [("max_steps", "epochs", 5)], {"epochs": 10}, 2.0),  # another limit ended it
        ({"epochs": 1}, [("max_steps", "steps", 550)], {"epochs": 220}, 220.0),  # the clock counts something else
        ({"steps": 10, "batch_size": 8, "train": 9}, [("max_steps", "steps", 10)] * 2,
         {"steps": 20, "batch_size": 4, "train": 90}, 1.0),
        ({"max_epochs": 100}, [("patience", "epochs", 60)], {"max_epochs": 1000}, 1.0),
        ({"max_epochs": 100}, [("patience", "epochs", 60), ("max_epochs", "epochs", 100)], {"max_epochs": 260}, 2.0),
        ({"steps": 10, "width": 4, "scorer_width": 4}, [], {"steps": 10, "width": 8, "scorer_width": 12}, 3.0),
        ({"epochs": 1, "learning_rates": [1, 2], "grid": {"a": [1], "b": [1, 2]}}, [],
         {"epochs": 1, "learning_rates": [1, 2, 3], "grid": {"a": [1, 2], "b": [1, 2]}}, 3.0),
        ({"steps": 10, "samples": 2}, [("untrained", "steps", 0)], {"steps": 1000, "samples": 20}, 1.0),
        ({"samples": 0, "candidates": True}, [], {"samples": 3, "candidates": 7}, 1.0),
    ],
)  # fmt: skip
def test_time_grows_with_what_it_is_in_proportion_to(config, ends, wanted, ratio):
    assert time_ratio(run_of(config, ends), wanted) == pytest.approx(ratio)


def test_memory_grows_with_a_step_and_at_most_fourfold():
    run = run_of({"batch_size": 32, "width": 8, "steps": 10}, count=2)
    assert memory_ratio(run, {"batch_size": 64, "width": 8, "steps": 900}, 2) == 2.0
    assert memory_ratio(run, {"batch_size": 32, "width": 8}, 1) == 0.5
    assert memory_ratio(run, {"batch_size": 320, "width": 80}, 200) == 4.0


def test_the_least_certain_origin():
    assert weakest(["measured", "scaled"]) == "scaled"
    assert weakest(["guess", "measured"]) == "guess"
    assert weakest([]) == "guess"
