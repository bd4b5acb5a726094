"""What a trainer returns is held to its experiment before anything is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from structgrad.errors import UserError
from structgrad.experiments import REGISTRY
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running.returned import checked
from structgrad.training.job import Trained
from structgrad.training.results import Mean, Proportion, Result

TABLE, SEARCH = REGISTRY["indelman_1a"], REGISTRY["paulus_1"]
GOOD = Result(3, "patience", {"percent_sequences_perfect": Proportion(1, 1)})
TRIAL = Result(3, "max_steps", {"elbo": Mean(-1.0, 1.0, 1)}, {"validation": -1.0})
CONTENT: Any = GOOD.content("epoch")  # as a record holds it: what no trainer hands back


def shard(name="indelman_1a", setting="d=5", arm="direct"):
    return Shard("smoke", name, setting, arm, 4, 2)


def trained(*results, history=None):
    return Trained({"data": [1, 2]}, list(results), history or {})


def test_a_good_one_passes():
    sorters = trained(GOOD, GOOD, history={"epoch": [1.0], "loss": [0.5]})
    assert checked(sorters, TABLE, shard()) is sorters
    trials = trained(TRIAL, TRIAL)
    assert checked(trials, SEARCH, shard("paulus_1", "T=10", "top_k")) is trials


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (trained(), "0 results for 2 replicas"),
        (trained(GOOD), "1 results for 2 replicas"),
        (trained(GOOD, GOOD, GOOD), "3 results for 2 replicas"),
        (trained(GOOD, GOOD, history={"step": [1.0]}), "a history without the experiment's clock, 'epoch', but ['step"),
        (trained(GOOD, CONTENT), "for replica 5 a dict, which is no Result (structgrad.training.results)"),
        (trained(None, GOOD), "for replica 4 a NoneType, which is no Result (structgrad.training.results)"),
        (
            trained(replace(GOOD, metrics={"perfect": Proportion(1, 1)}), GOOD),
            "for replica 4 the metric 'perfect', but the experiment declares ['percent_sequences_perfect', ",
        ),
        (
            trained(GOOD, replace(GOOD, metrics={"prop_wrong_mean": Proportion(1, 1)})),
            "for replica 5 for prop_wrong_mean a Proportion, which is declared as a mean",
        ),
        (
            trained(replace(GOOD, metrics={"percent_sequences_perfect": Mean(1.0, 1.0, 1)}), GOOD),
            "for percent_sequences_perfect a Mean, which is declared as a proportion",
        ),
        (
            trained(replace(GOOD, metrics={"percent_sequences_perfect": {"successes": 1, "trials": 1}}), GOOD),
            "for percent_sequences_perfect a dict, which is declared as a proportion",
        ),
    ],
)
def test_a_fault_is_one_line(returned, said):
    with pytest.raises(UserError, match="no record was written") as raised:
        checked(returned, TABLE, shard())
    assert f"indelman_1a/d=5/direct/4-5: {TABLE.package}.train returned " in str(raised.value)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_trial_has_what_the_search_selects_by():
    unvalidated = replace(TRIAL, final={})
    with pytest.raises(UserError, match=r"for replica 5 a trial without final\.validation"):
        checked(trained(TRIAL, unvalidated), SEARCH, shard("paulus_1", "T=10", "top_k"))
    references = trained(unvalidated, unvalidated)
    assert checked(references, SEARCH, shard("paulus_1", "T=10", "chance")) is references
