"""Jobs carry as many shards as fit, in an order that stays; what one had finished is taken once more, and only that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structgrad.errors import UserError
from structgrad.repro.evidence.records import RecordError, load, peek
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running import finished, packs
from structgrad.repro.running.estimates import Estimate, Origin


def shards(*names):
    return [Shard("paper", name, "d=5", "direct", 10 * number, 10) for number, name in enumerate(names)]


def costing(seconds, origin: Origin = "measured"):
    """Estimates of shards whose seconds are given by a function."""
    return lambda shard: Estimate(seconds(shard), 100.0 + shard.first, 1000.0, origin)


@given(
    st.lists(st.tuples(st.sampled_from("aab"), st.floats(0.0, 100.0)), max_size=30),
    st.floats(0.0, 200.0),
)
def test_every_shard_is_in_one_job_of_its_experiment_and_jobs_are_as_long_as_wanted(drawn, target):
    wanted = shards(*sorted(name for name, _ in drawn))
    cost = dict(zip(wanted, (seconds for _, seconds in drawn), strict=True))
    found = packs.pack(wanted, costing(cost.__getitem__), target)
    assert sorted(shard.first for pack in found for shard in pack.shards) == [shard.first for shard in wanted]
    assert len({pack.name for pack in found}) == len(found)
    for pack in found:
        assert {shard.experiment for shard in pack.shards} == {pack.experiment}
        assert list(pack.shards) == sorted(pack.shards, key=lambda shard: shard.first)
        assert pack.seconds == pytest.approx(sum(cost[shard] for shard in pack.shards))
        assert pack.memory_mb == max(100.0 + shard.first for shard in pack.shards)
        assert len(pack.shards) == 1 or pack.seconds <= target + 1e-9
    for experiment in "ab":
        own = [pack for pack in found if pack.experiment == experiment]
        assert sum(pack.seconds < target / 2 - 1e-9 for pack in own) <= 1


def test_a_job_is_known_as_well_as_its_least_known_shard():
    wanted = shards("a", "a", "a")
    origins = iter(("measured", "guess", "scaled"))
    known = {shard: Estimate(1.0, 1.0, 1.0, next(origins)) for shard in wanted}
    assert packs.pack(wanted, known.__getitem__, 10.0)[0].origin == "guess"


def _report(metric):
    if metric.kind == "proportion":
        return {"successes": 1, "trials": 1}
    return {"sum": 0.0, "sum_squares": 0.0, "count": 1}


def test_what_a_run_does_is_read_again(project):
    plan = load_plan("paper", {"experiments": ["indelman_1a"]})
    found = packs.pack(plan.shards[3:], costing(lambda _: 100.0, "scaled"), 250.0)
    packs.freeze(plan.scale, found, plan.shards)
    assert packs.frozen(plan) == (found, list(plan.shards))


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
