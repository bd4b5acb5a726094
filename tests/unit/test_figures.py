"""Figures: the data is the cells', the picture is drawn from the data alone and is the same each time."""

from __future__ import annotations

import csv
from xml.etree import ElementTree

import pytest

from structgrad.experiments import REGISTRY, Lines
from structgrad.repro.figures import build_figures, write_figures
from structgrad.repro.lines import draw
from structgrad.repro.numbers import number
from structgrad.repro.plan import load_plan

SMALL = {"experiments": ["indelman_1a"], "settings": ["d=5", "d=25"], "arms": ["direct"], "replicas": 3}


@pytest.fixture
def plan(project, fabricate, sorted_report):
    plan = load_plan("paper", SMALL)
    for shard, more in zip(plan.shards, (99, 86), strict=True):
        fabricate(plan, shard, [sorted_report(1, more), sorted_report(1, more + 1), sorted_report(0, more - 1)])
    return plan


def test_data_holds_ours_and_the_published(plan):
    data, picture = build_figures(plan).values()
    rows = list(csv.DictReader(data.decode().splitlines()))
    line = [row for row in rows if row["role"] == "line" and row["panel"] == "percent_sequences_perfect"]
    ours = {row["x"]: row for row in line if row["arm"] == "direct"}
    assert (ours["5"]["value"], ours["5"]["published"], ours["5"]["n"]) == ("99.000", "98.5", "3")
    assert (ours["25"]["value"], ours["25"]["published"]) == ("86.000", "89.5")
    assert float(ours["25"]["ci_low"]) < 86 < float(ours["25"]["ci_high"])
    assert (ours["100"]["value"], ours["100"]["published"]) == ("", "74.9")
    assert not any(row["arm"] == "no_solver" for row in rows)  # neither run nor published
    assert {row["better"] for row in rows if row["panel"] == "prop_wrong_mean"} == {"lower"}
    assert picture.startswith(b"<?xml")


def test_rebuilds_byte_for_byte(plan):
    paths = write_figures(plan)
    assert [path.name for path in paths] == ["indelman_1a.csv", "indelman_1a.svg"]
    assert {path: path.read_bytes() for path in paths} == build_figures(plan)


def test_picture_is_drawn_from_the_data_and_follows_it(plan):
    data, picture = build_figures(plan).values()
    title = "indelman Table 1a: Learning to sort from 10 sequences, scale paper"
    experiment = REGISTRY["indelman_1a"]
    assert draw(data, experiment, title) == picture
    assert draw(data.replace(b"86.000", b"66.000"), experiment, title) != picture


def test_picture_has_text_for_readers_and_no_date(plan):
    _, picture = build_figures(plan).values()
    root = ElementTree.fromstring(picture)
    words = {"".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Direct", "Direct, published", "25", "100", "positions wrong (%)"} <= words
    assert b"<dc:date>" not in picture


def test_published_column_that_two_arms_answer_is_drawn_once(plan):
    _, picture = build_figures(plan).values()
    assert picture.count(b"Gumbel-Sinkhorn, published</text>") == 1


def test_nothing_run_and_a_cut_scale_still_draw(project):
    data, picture = build_figures(load_plan("smoke", SMALL | {"settings": ["d=5"]})).values()
    assert b"not comparable" in picture
    assert b"98.5" in data


def test_a_line_needs_numbers_to_stand_at():
    assert (number("d=25"), number("T=0.5")) == ("25", "0.5")
    for name in ("bodyfat", "k=best"):
        with pytest.raises(ValueError, match=name):
            number(name)
    for experiment in REGISTRY.values():
        if isinstance(experiment.figure, Lines):
            assert all(number(setting) for setting in experiment.settings)
