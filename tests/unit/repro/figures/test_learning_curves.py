"""Learning curves as a figure: the data is the histories' own, the picture is drawn from it alone."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from structgrad.experiments import LearningCurves
from structgrad.repro.evidence.gathering import Evidence
from structgrad.repro.figures import learning_curves
from structgrad.repro.figures.files import build_figures
from structgrad.repro.judging.cells import collect, collect_all

SVG = "http://www.w3.org/2000/svg"


@pytest.fixture
def experiment(figured):
    return figured.experiments["fake"].experiment


@pytest.fixture
def figure(experiment):
    return experiment.figures[2]


def rows_of(content):
    return list(csv.DictReader(content.decode().splitlines()))


def cells_with(plan, history):
    """The cells of the plan, whose records all have that history."""
    return [
        replace(cell, evidence=tuple(Evidence(p.path, {**p.record, "history": history}) for p in cell.evidence))
        for cell in collect(plan, "fake")
    ]


def curve(rows, arm, quantity="perfect"):
    return [
        (float(row["epoch"]), float(row["value"])) for row in rows if (row["arm"], row["quantity"]) == (arm, quantity)
    ]


def groups(picture, start):
    root = ElementTree.fromstring(picture)
    return [group for group in root.iter(f"{{{SVG}}}g") if group.attrib.get("id", "").startswith(start)]


def words_of(picture):
    return ["".join(text.itertext()) for text in ElementTree.fromstring(picture).iter(f"{{{SVG}}}text")]


def paths_of(panel):
    """(style, corners) of every path of a panel that has a colour."""
    found = []
    for path in panel.iter(f"{{{SVG}}}path"):
        numbers = [float(word) for word in path.attrib["d"].split() if word not in "MLQCz"]
        found.append((path.attrib.get("style", ""), list(zip(numbers[::2], numbers[1::2], strict=True))))
    return found


def line_of(panel, colour):
    (found,) = [corners for style, corners in paths_of(panel) if "fill: none" in style and f"stroke: {colour}" in style]
    return found


def test_data_are_the_histories_in_the_metrics_unit(figured, experiment, figure):
    rows = rows_of(learning_curves.data(figure, experiment, collect(figured, "fake")))
    # slices of two and of one replica: (2 * 0.1 + 0.4) / 3 and so on
    assert curve(rows, "learner") == [(1, 20.0), (10, 50.0), (100, 70.0)]
    assert {row["active"] for row in rows if row["arm"] == "learner"} == {"3"}
    assert curve(rows, "bayes") == [(0, 100.0)]
    assert curve(rows, "learner", "loss") == [(1, 0.4), (10, 1.0), (100, 1.4)]  # no metric: as in the record
    assert {(row["quantity"], row["title"], row["unit"]) for row in rows} == {
        ("perfect", "perfect ranks", "%"),
        ("loss", "loss", ""),
    }
    assert {row["setting"] for row in rows} == {"sigma=0.1"}
    assert "idle" not in {row["arm"] for row in rows}


def test_slices_that_stop_at_different_epochs_are_not_mixed(figured, experiment, figure):
    cells = collect(figured, "fake")
    first, second = next(cell.evidence for cell in cells if cell.arm.name == "learner" and len(cell.evidence) == 2)
    longer = {**second.record["history"], "epoch": [1, 10, 50]}
    other = Evidence(second.path, {**second.record, "history": longer})
    cells = [replace(cell, evidence=(first, other)) if first in cell.evidence else cell for cell in cells]
    rows = rows_of(learning_curves.data(figure, experiment, cells))
    assert curve(rows, "learner") == [(1, 10.0), (10, 40.0), (100, 60.0)]
    assert {row["active"] for row in rows if row["arm"] == "learner"} == {"2"}


def test_a_mean_over_slices_follows_those_that_still_train(figured, experiment, figure):
    cells = collect(figured, "fake")
    first, second = next(cell.evidence for cell in cells if cell.arm.name == "learner" and len(cell.evidence) == 2)
    fewer = {**first.record["history"], "active": [2, 1, 1]}
    other = Evidence(first.path, {**first.record, "history": fewer})
    cells = [replace(cell, evidence=(other, second)) if first in cell.evidence else cell for cell in cells]
    rows = rows_of(learning_curves.data(figure, experiment, cells))
    assert curve(rows, "learner") == [(1, 20.0), (10, 55.0), (100, 75.0)]


def test_a_history_without_the_quantity_is_left_out(figured, experiment, figure):
    cells = cells_with(figured, {"epoch": [1], "active": [1], "loss": [3]})
    rows = rows_of(learning_curves.data(figure, experiment, cells))
    assert {row["quantity"] for row in rows} == {"loss"}
    assert rows_of(learning_curves.data(figure, experiment, cells_with(figured, {}))) == []


def test_one_panel_a_setting_and_quantity(figured, experiment):
    both = LearningCurves(("sigma=10", "sigma=0.1"), ("loss", "perfect"))
    history = {"epoch": [1, 10], "active": [3, 3], "perfect": [0.5, 0.6], "loss": [2.0, 1.0]}
    content = learning_curves.data(both, experiment, cells_with(figured, history))
    picture = learning_curves.draw(content, both, experiment, "both")
    assert len(groups(picture, "axes_")) == 4
    words = words_of(picture)
    assert words.count("perfect ranks (%)") == words.count("loss") == 1  # a row has one name
    assert words.count("epoch") == 2
    assert words.index("sigma=10") < words.index("sigma=0.1")
    assert {"Learner", "w0"} <= set(words)
    assert "Idle" not in words


def test_each_panel_has_its_own_scale(figured, experiment):
    both = LearningCurves(("sigma=0.1", "sigma=10"), ("perfect",))
    history = {"epoch": [1, 10], "active": [3, 3], "perfect": [0.1, 0.5]}
    content = learning_curves.data(both, experiment, cells_with(figured, history))
    left, right = groups(learning_curves.draw(content, both, experiment, "row"), "axes_")
    (_, half) = line_of(left, "#0072b2")[1]
    first, last = (y for _, y in line_of(right, "#777777"))  # at sigma=10 only the reference has run, at 0.5, too
    assert first == last != half


def test_epochs_are_whole_words(figured, experiment):
    perfect = LearningCurves(("sigma=0.1",), ("perfect",))
    for epochs, expected in (([1, 2, 3], {"1", "2", "3"}), ([1, 100, 2000], {"1", "10", "100", "1000"})):
        history = {"epoch": epochs, "active": [3] * 3, "perfect": [0.1, 0.5, 0.6]}
        picture = learning_curves.draw(
            learning_curves.data(perfect, experiment, cells_with(figured, history)), perfect, experiment, ""
        )
        below = {word for word in words_of(picture) if word.isdigit() and int(word) in (1, 2, 3, 10, 100, 1000)}
        assert below - {"10"} == expected - {"10"}
        assert b"mathdefault" not in picture


def test_lines_are_where_the_data_says(figured, experiment, figure):
    content = learning_curves.data(figure, experiment, collect(figured, "fake"))
    panel, _ = groups(learning_curves.draw(content, figure, experiment, "where"), "axes_")
    (x1, y1), (x2, y2), (x3, y3) = line_of(panel, "#0072b2")  # the first colour: the reference takes none
    assert math.isclose(x2 - x1, x3 - x2, rel_tol=1e-4)  # 1, 10, 100 on a logarithmic axis
    assert math.isclose((y1 - y2) / (y1 - y3), (50 - 20) / (70 - 20), rel_tol=1e-4)
    (left, level), (right, same) = line_of(panel, "#777777")
    assert level == same
    assert left < x1
    assert right > x3
    assert math.isclose((y1 - level) / (y1 - y3), (100 - 20) / (70 - 20), rel_tol=1e-4)  # at its 100 %


def test_epoch_zero_has_no_place_on_the_axis_and_one_epoch_is_a_point(figured, experiment):
    perfect = LearningCurves(("sigma=0.1",), ("perfect",))
    history = {"epoch": [0, 1, 10], "active": [3] * 3, "perfect": [0.0, 0.5, 0.6]}
    content = learning_curves.data(perfect, experiment, cells_with(figured, history))
    assert len(curve(rows_of(content), "learner")) == 3
    (panel,) = groups(learning_curves.draw(content, perfect, experiment, "zero"), "axes_")
    assert len(line_of(panel, "#0072b2")) == 2
    short = {key: values[:2] for key, values in history.items()}
    content = learning_curves.data(perfect, experiment, cells_with(figured, short))
    (panel,) = groups(learning_curves.draw(content, perfect, experiment, "one"), "axes_")
    assert any("#0072b2" in use.attrib.get("style", "") for use in panel.iter(f"{{{SVG}}}use"))  # a marker


def test_the_axis_starts_at_zero_where_it_should(figured, experiment):
    history = {"epoch": [1, 10], "active": [3] * 2, "perfect": [0.95, 0.96]}
    for from_zero in (False, True):
        figure = LearningCurves(("sigma=0.1",), ("perfect",), from_zero=from_zero)
        content = learning_curves.data(figure, experiment, cells_with(figured, history))
        assert ("0" in words_of(learning_curves.draw(content, figure, experiment, "axis"))) == from_zero


def test_the_picture_is_drawn_from_the_data_alone(figured, experiment, figure):
    contents = {path.name: content for path, content in build_figures(figured, collect_all(figured)).items()}
    content, title = contents["berthet_8.csv"], "berthet Figure 8: while learning, scale paper"
    assert learning_curves.draw(content, figure, experiment, title) == contents["berthet_8.svg"]
    other = content.replace(b"50.0000", b"55.0000")
    assert learning_curves.draw(other, figure, experiment, title) != contents["berthet_8.svg"]
    for path in Path(figured.shards[0].path).parent.glob("*.json"):
        path.unlink()
    assert learning_curves.draw(content, figure, experiment, title) == contents["berthet_8.svg"]


def test_a_search_shows_the_selected_trial_against_its_steps(searched):
    experiment = searched.experiments["fake"].experiment
    figure = experiment.figures[1]
    cells = collect(searched, "fake")
    rows = rows_of(learning_curves.data(figure, experiment, cells))
    assert list(rows[0])[6:] == ["step", "active", "value", "published", "trials"]
    shown = {(row["arm"], float(row["step"]), float(row["value"]), row["active"], row["trials"]) for row in rows}
    assert shown == {
        ("tree", 200, -2100.0, "1", "1"),  # trial 1 validates best
        ("tree", 400, -1050.0, "1", "1"),
        ("indep", 200, -3100.0, "2", "2 3"),  # trial 3 does, whose record holds the mean of two
        ("indep", 400, -1550.0, "2", "2 3"),
    }
    picture = learning_curves.draw(learning_curves.data(figure, experiment, cells), figure, experiment, "steps")
    assert words_of(picture).count("step") == 1
    assert "epoch" not in words_of(picture)
    assert learning_curves.reading(figure, experiment).startswith("Lines: the trial that is selected")
    assert {row["arm"] for row in rows if row["published"]} == {"tree", "indep"}
    assert "Spanning Tree, published" in words_of(picture)
    assert "hollow marks" in learning_curves.reading(figure, experiment)
