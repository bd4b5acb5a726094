"""Claims about one arm at several settings: a peak, and a plateau."""

from __future__ import annotations

import numpy as np
import pytest

import structgrad.repro.claims as module
from structgrad.repro.claims import judge_claims
from structgrad.repro.judging.cells import collect_all
from structgrad.repro.planning.plan import load_plan

DESIGN = {"experiments": ["indelman_1b"], "arms": ["direct"], "settings": ["d=5", "d=10", "d=25"]}


@pytest.fixture
def judged(project, fabricate, sorted_report, monkeypatch):
    """A function that judges a claim where the replicas of each setting sort so many of 100 sequences."""

    def judge(kind, right, metric="percent_sequences_perfect", **more):
        plan = load_plan("paper", DESIGN)
        for setting, values in right.items():
            shard = plan.shards_of("indelman_1b", setting, "direct")[0]
            values = np.resize(values, shard.count)
            fabricate(plan, shard, [sorted_report(100, int(value), 100) for value in values])
        claim = {
            "paper": "indelman", "of": "ours", "id": "made-up", "experiment": "indelman_1b", "sentence": "-",
            "where": "-", "predicate": "-", "kind": kind, "metric": metric, "first": {"arm": "direct"},
            "settings": ["d=10", "d=5", "d=25"], **more,
        }  # fmt: skip
        monkeypatch.setattr(module, "claims", lambda: (claim,))
        (verdict,) = judge_claims(plan, collect_all(plan))
        return verdict

    return judge


HIGH, MIDDLE, LOW = [90, 91, 92, 90, 91], [85, 86, 87, 85, 86], [40, 41, 42, 40, 41]
METRIC = "percent_sequences_perfect_100"


@pytest.mark.parametrize(
    ("five", "ten", "twenty_five", "verdict"),
    [
        (MIDDLE, HIGH, LOW, "supported"),
        (HIGH, HIGH, LOW, "undecided"),
        (HIGH, MIDDLE, LOW, "not_supported"),
        (MIDDLE, HIGH, None, "undecided"),
        (MIDDLE, None, LOW, "undecided"),
    ],
)
def test_a_peak(judged, five, ten, twenty_five, verdict):
    right = {"d=5": five, "d=10": ten, "d=25": twenty_five}
    result = judged("peak", {setting: values for setting, values in right.items() if values}, METRIC)
    assert result["verdict"] == verdict
    assert result["printed"]["outcome"] == "not_printed"
    if verdict == "supported":
        assert [detail["lead"] for detail in result["results"]] == pytest.approx([5.0, 50.0])
        assert result["reason"] == "d=10 against the others, better: d=5; better: d=25"


@pytest.mark.parametrize(
    ("five", "tolerance", "verdict"),
    [
        (MIDDLE, 0.1, "supported"),
        (MIDDLE, 0.01, "not_supported"),
        (MIDDLE, 0.055, "undecided"),
        (LOW, 0.1, "not_supported"),
    ],
)
def test_a_plateau(judged, five, tolerance, verdict):
    """A tolerance of 5.5 % of 90.8 is 5 sequences, by which the middle one is behind."""
    result = judged("plateau", {"d=5": five, "d=10": HIGH, "d=25": HIGH}, METRIC, tolerance=tolerance)
    assert result["verdict"] == verdict
    assert result["results"][1]["lead"] == 0
