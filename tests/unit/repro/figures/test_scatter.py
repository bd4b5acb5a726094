"""The scatter figure: the data is the cells', the picture is drawn from it alone; and looks of many settings."""

from __future__ import annotations

import csv
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from structgrad.experiments import REGISTRY, ChosenWords, LearningCurves, Lines, PathMaps, Scatter, SearchTrials
from structgrad.repro.figures import (
    chosen_words,
    learning_curves,
    lines,
    path_maps,
    scatter,
    search_trials,
    training_curves,
)
from structgrad.repro.figures.drawing import COLOURS, stroke
from structgrad.repro.figures.files import KINDS, build_figures, write_figures
from structgrad.repro.judging.cells import collect, collect_all
from structgrad.repro.planning.plan import load_plan

TITLE = "berthet Table 2: Label ranking, learning rate and epsilon tuned, scale paper"
BERTHET_2 = REGISTRY["berthet_2"]
ALL: Scatter = next(figure for figure in BERTHET_2.figures if isinstance(figure, Scatter))
ONE = Scatter((("perturbed_fy", "squared"),), band=0.05)
SMALL = {
    "experiments": ["berthet_2"],
    "settings": ["iris", "wine"],
    "arms": ["perturbed_fy", "squared"],
    "replicas": 10,
}


@pytest.fixture
def plan(project, fabricate, ranked_report):
    plan = load_plan("paper", SMALL)
    means = {"perturbed_fy": {"iris": 0.8, "wine": 0.9}, "squared": {"iris": 0.85, "wine": 0.5}}
    for shard in plan.shards:
        middle = means[shard.arm][shard.setting]
        fabricate(plan, shard, [ranked_report(middle + 0.01 * (fold - 4.5)) for fold in range(10)], seeds=[7] * 10)
    return plan


def data_of(plan, figure=ALL):
    return scatter.data(figure, BERTHET_2, collect(plan, "berthet_2"))


def rows_of(plan):
    return list(csv.DictReader(data_of(plan).decode().splitlines()))


def texts(picture):
    for text in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text"):
        yield "".join(text.itertext()), text


def words_of(plan):
    return {name for name, _ in texts(scatter.draw(data_of(plan, ONE), ONE, BERTHET_2, TITLE))}


def test_data_pairs_the_arms_of_each_setting(plan):
    rows = rows_of(plan)
    assert len(rows) == 6 * 21  # the paper prints every point
    point = next(row for row in rows if row["setting"] == "iris" and row["x_arm"] == "squared")
    assert (point["y_arm"], point["y_value"], point["x_value"]) == ("perturbed_fy", "0.8000", "0.8500")
    assert (point["y_published"], point["x_published"]) == ("0.80", "0.81")
    assert float(point["y_ci_low"]) < 0.8 < float(point["y_ci_high"])
    assert point["y_n"] == "10"
    tuned = next(row for row in rows if row["setting"] == "iris" and row["x_arm"] == "blackbox_tuned")
    assert (tuned["x_value"], tuned["x_published"]) == ("", "0.70")


def test_panels_are_figure_3(plan):
    panels = list(dict.fromkeys(row["panel"] for row in rows_of(plan)))
    assert len(panels) == 6
    assert panels[:2] == ["spearman: perturbed_fy against squared", "spearman: perturbed_fy against blackbox_mirrored"]


def test_picture_names_axes_band_and_what_lies_below_it(plan):
    words = words_of(plan)
    assert {"Perturbed FY", "Squared loss", "within 5%", "ours", "published", "Spearman correlation (corr)"} <= words
    assert "iris" in words  # 0.80 against 0.85
    assert "wine" not in words


def test_picture_is_drawn_from_the_data_alone(plan):
    data = data_of(plan, ONE)
    picture = scatter.draw(data, ONE, BERTHET_2, TITLE)
    assert scatter.draw(data, ONE, BERTHET_2, TITLE) == picture
    assert scatter.draw(data.replace(b"0.8500", b"0.7500"), ONE, BERTHET_2, TITLE) != picture


def test_files_are_what_is_built(plan):
    paths = write_figures(plan, collect_all(plan))
    assert [path.name for path in paths] == ["berthet_2.csv", "berthet_2.svg"]
    assert {path: path.read_bytes() for path in paths} == build_figures(plan, collect_all(plan))
    assert TITLE in {name for name, _ in texts(paths[1].read_bytes())}


def test_nothing_run_draws_the_published_points_and_nothing_at_all_still_draws(project):
    plan = load_plan("smoke", SMALL)
    words = words_of(plan)
    assert "published" in words
    assert "ours" not in words
    bare = replace(BERTHET_2, arms=tuple(replace(arm, answers=None) for arm in BERTHET_2.arms))
    cells = [replace(cell, published=None) for cell in collect(plan, "berthet_2")]
    data = scatter.data(ALL, bare, cells)
    assert len(data.splitlines()) == 1
    assert scatter.draw(data, ALL, bare, "empty").startswith(b"<?xml")


def test_every_experiment_declares_a_figure_that_its_arms_can_fill():
    modules = {Lines: lines, Scatter: scatter, LearningCurves: learning_curves}
    assert {**modules, ChosenWords: chosen_words, PathMaps: path_maps, SearchTrials: search_trials} == KINDS
    for experiment in REGISTRY.values():
        names = {arm.name for arm in experiment.arms}
        for figure in experiment.figures:
            if isinstance(figure, Scatter):
                assert {name for pair in figure.pairs for name in pair} <= names
            if isinstance(figure, PathMaps):
                assert figure.setting in experiment.settings
            if isinstance(figure, SearchTrials):
                assert set(figure.arms) <= names
                assert figure.metric in {metric.name for metric in experiment.metrics}


def test_many_settings_look_different_and_few_look_as_before():
    assert len({stroke(place) for place in range(32)}) == 32
    assert [stroke(place)[0] for place in range(8)] == list(COLOURS)
    assert [stroke(place)[1] for place in range(6)] == ["-", "-", "--", "-", "--", ":"]


def test_the_legend_of_21_settings_stays_in_the_picture(project, fabricate, ranked_report):
    plan = load_plan("paper", {"experiments": ["berthet_2"], "arms": ["squared"]})
    for shard in plan.shards:
        fabricate(plan, shard, [ranked_report(0.5)] * 10)
    evidence = [piece for cell in collect(plan, "berthet_2") for piece in cell.evidence]
    picture = training_curves.draw(BERTHET_2, evidence)
    assert picture is not None
    width = float(ElementTree.fromstring(picture).attrib["viewBox"].split()[2])
    places = {name: text.attrib for name, text in texts(picture) if name in BERTHET_2.settings}
    assert len(places) == 21
    assert all(0 < float(at["x"]) < width - 50 for at in places.values())
    assert len({at["y"] for at in places.values()}) == 3  # seven in a row
