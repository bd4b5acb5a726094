"""The figure of searches: every trial where it looked and what it scored, and the selected one ringed."""

from __future__ import annotations

import csv
from dataclasses import asdict
from xml.etree import ElementTree

import pytest

from structgrad.experiments import REGISTRY, SearchTrials
from structgrad.repro.figures import search_trials
from structgrad.repro.judging.cells import collect
from structgrad.repro.planning.plan import load_plan
from structgrad.training.results import Mean

TABLE_1 = REGISTRY["paulus_1"]
FIGURE: SearchTrials = next(figure for figure in TABLE_1.figures if isinstance(figure, SearchTrials))
PRECISIONS = {0: 0.25, 1: 0.8, 2: 0.5}  # of the trials
VALIDATIONS = {0: -3000.0, 1: -1500.0, 2: -1400.0}  # the last one is selected


def result(replica):
    precision, recall, elbo = PRECISIONS[replica], 0.9, VALIDATIONS[replica] - 1.0
    return {
        "replica": replica,
        "steps": 500,
        "stopped": "max_steps",
        "metrics": {
            name: asdict(Mean(100 * value, 100 * value**2, 100))
            for name, value in (("edge_precision", precision), ("edge_recall", recall), ("elbo", elbo))
        },
        "final": {
            "learning_rate": 10.0 ** -(replica + 2),
            "temperature": 0.5 * (replica + 1),
            "validation": VALIDATIONS[replica],
        },
    }


@pytest.fixture
def plan(project, fabricate):
    chosen = {"experiments": ["paulus_1"], "settings": ["T=20"], "arms": list(FIGURE.arms), "replicas": 3}
    plan = load_plan("desktop", chosen)
    for shard in plan.shards:
        results = [result(replica) for replica in range(shard.first, shard.first + shard.count)]
        fabricate(plan, shard, [each["metrics"] for each in results], changes={"results": results})
    return plan


def data_of(plan):
    return search_trials.data(FIGURE, TABLE_1, collect(plan, "paulus_1"))


def test_data_is_what_the_trials_drew_and_scored(plan):
    rows = list(csv.DictReader(data_of(plan).decode().splitlines()))
    assert len(rows) == 3 * len(FIGURE.hyper_parameters)
    by_place = {(row["trial"], row["hyper_parameter"]): row for row in rows}
    assert float(by_place["1", "learning_rate"]["at"]) == 1e-3
    assert float(by_place["2", "temperature"]["at"]) == 1.5
    assert {row["trial"]: float(row["value"]) for row in rows} == {"0": 25.0, "1": 80.0, "2": 50.0}
    assert {row["trial"] for row in rows if row["selected"] == "1"} == {"2"}  # by validation, whatever it scores


def test_picture_is_drawn_from_the_data_alone(plan):
    data = data_of(plan)
    picture = search_trials.draw(data, FIGURE, TABLE_1, "Searches")
    assert search_trials.draw(data, FIGURE, TABLE_1, "Searches") == picture
    assert search_trials.draw(data.replace(b"25.0", b"45.0"), FIGURE, TABLE_1, "Searches") != picture
    words = {
        "".join(text.itertext()) for text in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {"temperature", "learning rate", "T=20", "selected", "edge precision (%)"} <= words


def test_nothing_run_still_draws(project):
    data = data_of(load_plan("desktop", {"experiments": ["paulus_1"], "arms": list(FIGURE.arms)}))
    assert not search_trials.has_ours(data)
    assert b"no record yet" in search_trials.draw(data, FIGURE, TABLE_1, "Searches")
