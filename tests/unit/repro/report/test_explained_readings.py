"""Of an answer, explain says when its reading was fixed, and what the arm says that answered before."""

from __future__ import annotations

import numpy as np
import pytest

from structgrad.repro.planning.plan import load_plan
from structgrad.repro.report.explain import as_text, explain

FOLDS = np.array([0.8, 0.82, 0.84, 0.86, 0.86, 0.87, 0.88, 0.89, 0.9, 0.88])


@pytest.fixture
def plan(project, fabricate, ranked_report):
    plan = load_plan("paper", {"experiments": ["berthet_1"], "settings": ["wine"], "replicas": 10})
    for arm, shift in (("blackbox_mirrored", 0.0), ("blackbox", -0.5)):
        (shard,) = plan.shards_of("berthet_1", "wine", arm)
        fabricate(plan, shard, [ranked_report(float(fold)) for fold in FOLDS + shift], seeds=[7] * 10)
    return plan


def test_a_reading_that_took_anothers_place(plan):
    told = explain(plan, "berthet/1/wine/Blackbox loss/spearman")
    assert told["verdict"] != "differs"
    assert told["reading"]["reading"].endswith("after results")
    assert told["reading"]["original"].endswith("(ours): 0.3600 corr, differs")
    assert told["reading"]["margin"].endswith("before results")
    assert "\n  original    Blackbox loss, argmax's side" in as_text(told)


def test_a_reading_that_stood_from_the_start(plan):
    told = explain(plan, "berthet/1/wine/Squared loss/spearman")
    assert told["reading"]["original"] is None
    assert "\n  original" not in as_text(told)
    assert "\n  reading     the main one, fixed in " in as_text(told)


def test_a_further_reading_is_no_answer(plan):
    told = explain(plan, "berthet/1/wine/Blackbox loss, argmax's side, an item's lambda (ours)/spearman")
    assert told["reading"] is None
