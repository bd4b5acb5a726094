"""What a trainer returns is held to its experiment before anything is written."""

from __future__ import annotations

import pytest

from structgrad.errors import UserError
from structgrad.experiments import REGISTRY
from structgrad.repro.planning.plan import Shard
from structgrad.repro.running.outcomes import checked
from structgrad.training.job import Outcome

TABLE, SEARCH = REGISTRY["indelman_1a"], REGISTRY["paulus_1"]
METRICS = {"percent_sequences_perfect": {"successes": 1, "trials": 1}}
GOOD = {"epochs": 3, "stopped": "patience", "metrics": METRICS, "final": {}}
TRIAL = {
    "steps": 3,
    "stopped": "max_steps",
    "metrics": {"elbo": {"sum": -1.0, "sum_squares": 1.0, "count": 1}},
    "final": {"validation": -1.0},
}


def shard(name="indelman_1a", setting="d=5", arm="direct"):
    return Shard("smoke", name, setting, arm, 4, 2)


def outcome(*results, history=None):
    return Outcome({"data": [1, 2]}, list(results), history or {})


def test_a_good_one_passes():
    found = outcome(GOOD, GOOD, history={"epoch": [1.0], "loss": [0.5]})
    assert checked(found, TABLE, shard()) is found
    found = outcome(TRIAL, TRIAL)
    assert checked(found, SEARCH, shard("paulus_1", "T=10", "top_k")) is found


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (outcome(GOOD), "1 results for 2 replicas"),
        (outcome(GOOD, GOOD, history={"step": [1.0]}), "a history without the experiment's clock, 'epoch', but"),
        (
            outcome(GOOD, {key: value for key, value in GOOD.items() if key != "epochs"}),
            "for replica 5 a result without the experiment's clock, 'epochs'",
        ),
        (outcome(GOOD | {"metrics": {"perfect": {}}}, GOOD), "for replica 4 the metric 'perfect', but the experiment"),
        (
            outcome(GOOD | {"metrics": {"prop_wrong_mean": METRICS["percent_sequences_perfect"]}}, GOOD),
            "for prop_wrong_mean ['successes', 'trials']: a mean has count, sum, sum_squares",
        ),
    ],
)
def test_a_fault_is_one_line(found, said):
    with pytest.raises(UserError, match="no record was written") as raised:
        checked(found, TABLE, shard())
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_trial_has_what_the_search_selects_by():
    with pytest.raises(UserError, match=r"without final\.validation"):
        checked(outcome(TRIAL, TRIAL | {"final": {}}), SEARCH, shard("paulus_1", "T=10", "top_k"))
    references = outcome(TRIAL | {"final": {}}, TRIAL | {"final": {}})
    assert checked(references, SEARCH, shard("paulus_1", "T=10", "chance")) is references
