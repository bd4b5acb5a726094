"""Jobs carry as many shards as fit, in an order that stays; what one had finished is taken once more, and only that."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structgrad.errors import UserError
from structgrad.repro.evidence.records import RecordError, load, peek
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running import finished, packs


def shards(*names):
    return [Shard("paper", name, "d=5", "direct", 10 * number, 10) for number, name in enumerate(names)]


@given(
    st.lists(st.tuples(st.sampled_from("aab"), st.floats(0.0, 100.0)), max_size=30),
    st.floats(0.0, 200.0),
)
def test_every_shard_is_in_one_job_of_its_experiment_and_none_is_longer_than_it_must_be(drawn, target):
    wanted = shards(*sorted(name for name, _ in drawn))
    cost = dict(zip(wanted, (seconds for _, seconds in drawn), strict=True))
    found = packs.pack(wanted, cost.__getitem__, target)
    assert [shard for pack in found for shard in pack.shards] == wanted
    assert len({pack.name for pack in found}) == len(found)
    for pack in found:
        assert {shard.experiment for shard in pack.shards} == {pack.experiment}
        assert pack.seconds == pytest.approx(sum(cost[shard] for shard in pack.shards))
        assert len(pack.shards) == 1 or pack.seconds <= target + 1e-9
    for one, next_ in pairwise(found):  # what follows would not have fitted
        assert one.experiment != next_.experiment or one.seconds + cost[next_.shards[0]] > target - 1e-9


def test_estimates_come_from_the_nearest_records(project, fabricate):
    plan = load_plan("paper", {"experiments": ["indelman_1a"]})
    by_id = {shard.id: shard for shard in plan.shards}
    report = {metric.name: _report(metric) for metric in plan.experiments["indelman_1a"].experiment.metrics}

    def make(identity, seconds):
        shard = by_id[identity]
        record = fabricate(plan, shard, [report] * shard.count)
        run = record["run"] | {"seconds": seconds}
        shard.path.write_text(shard.path.read_text().replace(json.dumps(record["run"]), json.dumps(run)))

    assert packs.estimates(plan, plan.shards)(plan.shards[0]) == packs.UNKNOWN
    make("indelman_1a/d=5/direct/0-199", 200.0)
    make("indelman_1a/d=10/direct/0-199", 600.0)
    make("indelman_1a/d=5/fixed_sigma/0-199", 1000.0)
    seconds = packs.estimates(plan, plan.shards)
    assert seconds(by_id["indelman_1a/d=5/direct/0-199"]) == pytest.approx(200.0)
    assert seconds(by_id["indelman_1a/d=25/direct/0-199"]) == pytest.approx(400.0)  # its arm's median
    assert seconds(by_id["indelman_1a/d=25/gumbel_sinkhorn/0-199"]) == pytest.approx(600.0)  # the experiment's
    assert seconds(Shard("paper", "indelman_1a", "d=5", "direct", 0, 20)) == pytest.approx(20.0)
    by_id["indelman_1a/d=5/direct/0-199"].path.write_text("damaged")  # planning goes on without it
    seconds = packs.estimates(plan, plan.shards)
    assert seconds(by_id["indelman_1a/d=25/direct/0-199"]) == pytest.approx(600.0)


def _report(metric):
    if metric.kind == "proportion":
        return {"successes": 1, "trials": 1}
    return {"sum": 0.0, "sum_squares": 0.0, "count": 1}


def test_what_a_run_does_is_read_again(project):
    plan = load_plan("paper", {"experiments": ["indelman_1a"]})
    found = packs.pack(plan.shards, lambda shard: 100.0, 250.0)
    packs.freeze(plan.scale, found)
    assert packs.frozen(plan) == found


def test_a_finished_shard_is_kept_for_its_key_alone(project, fabricate):
    plan = load_plan("paper", {"experiments": ["indelman_1a"], "settings": ["d=5"], "arms": ["no_solver"]})
    (shard,) = plan.shards
    report = {metric.name: _report(metric) for metric in plan.experiments["indelman_1a"].experiment.metrics}
    record = fabricate(plan, shard, [report] * shard.count)
    assert finished.kept(shard, "key") is None
    assert not finished.outdated(shard, "key")  # from elsewhere
    finished.keep(shard, "key", record)
    assert finished.kept(shard, "key") == load(shard.path)
    assert finished.kept(shard, "other") is None
    assert not finished.outdated(shard, "key")
    assert finished.outdated(shard, "other")
    text = shard.path.read_text()
    shard.path.write_text(text.replace(record["digest"], "0" * 64))  # another one has taken its place
    assert not finished.outdated(shard, "other")
    shard.path.write_text("damaged")
    assert not finished.outdated(shard, "other")
    shard.path.unlink()
    assert not finished.outdated(shard, "other")
    path = project / ".work/paper" / shard.id / "finished.json"
    path.write_text(path.read_text().replace('"successes": 1', '"successes": 0', 1))
    assert finished.kept(shard, "key") is None  # damaged
    finished.forget(shard)
    assert not path.exists()


def test_a_field_is_read_without_the_rest(project, fabricate):
    plan = load_plan("paper", {"experiments": ["indelman_1a"], "settings": ["d=5"], "arms": ["no_solver"]})
    (shard,) = plan.shards
    report = {metric.name: _report(metric) for metric in plan.experiments["indelman_1a"].experiment.metrics}
    record = fabricate(plan, shard, [report] * shard.count)
    assert all(peek(shard.path, field) == record[field] for field in record if field != "results")
    for wrong in ("results", "nothing"):
        with pytest.raises(RecordError, match="no field"):
            peek(shard.path, wrong)
    with pytest.raises(UserError, match="cannot be read"):
        peek(shard.path.with_name("none.json"), "run")
