"""The figure of maps: what records keep of them, as data, and the picture that is drawn from that alone."""

from __future__ import annotations

import csv
from dataclasses import asdict
from xml.etree import ElementTree

import pytest

from structgrad.experiments import REGISTRY, PathMaps
from structgrad.repro.figures import path_maps
from structgrad.repro.figures.files import build_figures
from structgrad.repro.judging.cells import collect, collect_all
from structgrad.repro.planning.plan import load_plan
from structgrad.training.results import Proportion

FIGURE_6 = REGISTRY["berthet_paths"]
FIGURE: PathMaps = next(figure for figure in FIGURE_6.figures if isinstance(figure, PathMaps))
PLAN = {"experiments": ["berthet_paths"]}


def example(shift):
    return {
        "image": [number % 256 for number in range(24 * 24 * 3)],
        "costs": [1.0 + number for number in range(144)],
        "path": [float(number % 13 == 0) for number in range(144)],
        "predicted": [number / 7 + shift for number in range(144)],
        "found": [float(number < 12) for number in range(144)],
    }


@pytest.fixture
def plan(project, fabricate):
    plan = load_plan("smoke", PLAN)
    for shard in plan.shards:
        learns = shard.arm != "true_costs"
        metrics = {metric: asdict(Proportion(1, 2)) for metric in ("optimal", "exact", "valid")}
        results = [
            {"replica": replica, "epochs": 7, "stopped": "max_epochs", "metrics": metrics, "final": {}}
            | ({"examples": [example(0.0), example(0.5)]} if learns and replica == 0 else {})
            for replica in range(shard.first, shard.first + shard.count)
        ]
        fabricate(plan, shard, [metrics] * shard.count, changes={"results": results})
    return plan


def data_of(plan):
    return path_maps.data(FIGURE, FIGURE_6, collect(plan, "berthet_paths"))


def test_data_is_what_the_records_keep(plan):
    rows = list(csv.DictReader(data_of(plan).decode().splitlines()))
    arms = ["perturbed_fy", "blackbox_of_batch", "squared"]
    assert list(dict.fromkeys(row["arm"] for row in rows if row["arm"])) == arms
    assert len(rows) == 2 * (24 * 24 + 2 * 144 + len(arms) * 2 * 144)
    by_place = {(r["map"], r["arm"], r["part"], r["row"], r["place"]): r["value"] for r in rows}
    assert by_place["0", "", "image", "0", "1"] == "#030405"
    assert by_place["1", "", "costs", "11", "11"] == "144"
    assert by_place["1", "squared", "predicted", "1", "2"] == "2.5"
    assert by_place["0", "perturbed_fy", "found", "1", "0"] == "0"


def test_the_picture_is_drawn_from_the_data_alone_and_the_same_again(plan):
    data = data_of(plan)
    assert path_maps.has_ours(data)
    drawn = path_maps.draw(data, FIGURE, FIGURE_6, "berthet Figure 6: two maps")
    assert drawn == path_maps.draw(data, FIGURE, FIGURE_6, "berthet Figure 6: two maps")
    assert b"<image" not in drawn
    words = {
        "".join(text.itertext()) for text in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
    }
    assert words == {
        "terrain",
        "true costs",
        "Perturbed FY",
        "Blackbox loss",
        "Squared loss",
        "berthet Figure 6: two maps",
    }
    names = {path.name for path in build_figures(plan, collect_all(plan))}
    assert {"berthet_fig6_maps.csv", "berthet_fig6_maps.svg", "berthet_fig6.svg"} <= names


def test_without_records_there_is_nothing_to_draw(project):
    data = path_maps.data(FIGURE, FIGURE_6, collect(load_plan("smoke", PLAN), "berthet_paths"))
    assert not path_maps.has_ours(data)
    assert b"no record yet" in path_maps.draw(data, FIGURE, FIGURE_6, "berthet Figure 6: two maps")
