"""Figures: the data is the cells', the picture is drawn from the data alone and is the same each time."""

from __future__ import annotations

import csv
import re
from xml.etree import ElementTree

import pytest

from structgrad.experiments import REGISTRY, LearningCurves, Lines
from structgrad.repro.figures.files import KINDS, build_figures, write_figures
from structgrad.repro.figures.lines import data as data_of
from structgrad.repro.figures.lines import draw, reading
from structgrad.repro.judging.cells import collect, collect_all
from structgrad.repro.judging.numbers import number
from structgrad.repro.planning.plan import load_plan

SVG = "http://www.w3.org/2000/svg"
SMALL = {"experiments": ["indelman_1a"], "settings": ["d=5", "d=25"], "arms": ["direct"], "replicas": 3}


@pytest.fixture
def plan(project, fabricate, sorted_report):
    plan = load_plan("paper", SMALL)
    for shard, more in zip(plan.shards, (99, 86), strict=True):
        fabricate(plan, shard, [sorted_report(1, more), sorted_report(1, more + 1), sorted_report(0, more - 1)])
    return plan


def test_data_holds_ours_and_the_published(plan):
    data, picture = build_figures(plan, collect_all(plan)).values()
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
    paths = write_figures(plan, collect_all(plan))
    assert [path.name for path in paths] == ["indelman_1a.csv", "indelman_1a.svg"]
    assert {path: path.read_bytes() for path in paths} == build_figures(plan, collect_all(plan))


def test_picture_is_drawn_from_the_data_and_follows_it(plan):
    data, picture = build_figures(plan, collect_all(plan)).values()
    title = "indelman Table 1a: Learning to sort from 10 sequences, scale paper"
    experiment = REGISTRY["indelman_1a"]
    assert draw(data, Lines(), experiment, title) == picture
    assert draw(data.replace(b"86.000", b"66.000"), Lines(), experiment, title) != picture


def test_picture_has_text_for_readers_and_no_date(plan):
    _, picture = build_figures(plan, collect_all(plan)).values()
    root = ElementTree.fromstring(picture)
    words = {"".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Direct", "Direct, published", "25", "100", "positions wrong (%)"} <= words
    assert b"<dc:date>" not in picture


def test_published_column_that_two_arms_answer_is_drawn_once(plan):
    _, picture = build_figures(plan, collect_all(plan)).values()
    assert picture.count(b"Gumbel-Sinkhorn, published</text>") == 1


def test_nothing_run_and_a_cut_scale_still_draw(project):
    plan = load_plan("smoke", SMALL | {"settings": ["d=5"]})
    data, picture = build_figures(plan, collect_all(plan)).values()
    assert b"not comparable" in picture
    assert b"98.5" in data


def test_a_line_needs_numbers_to_stand_at():
    assert (number("d=25"), number("T=0.5"), number("sigma=0.0316")) == ("25", "0.5", "0.0316")
    for name in ("bodyfat", "k=best"):
        with pytest.raises(ValueError, match=name):
            number(name)
    for experiment in REGISTRY.values():
        if any(isinstance(figure, Lines) for figure in experiment.figures):
            assert all(number(setting) for setting in experiment.settings)


def test_every_figure_has_files_of_its_own():
    experiments = REGISTRY.values()
    tables = [experiment.stem for experiment in experiments]
    named = [experiment.stem_of(figure) for experiment in experiments for figure in experiment.figures]
    assert len(set(tables)) == len(tables)
    assert len(set(named)) == len(named)
    own = {experiment.stem_of(figure) for experiment in experiments for figure in experiment.figures if figure.name}
    assert not own & set(tables)  # both are ids in the report
    assert set(tables) >= {"indelman_1a", "berthet_2"}


def test_every_figure_can_be_filled():
    for experiment in REGISTRY.values():
        metrics = {metric.name for metric in experiment.metrics}
        assert not any(arm.reference and arm.answers for arm in experiment.arms)  # no look for a published mark
        for figure in experiment.figures:
            assert type(figure) in KINDS
            if isinstance(figure, Lines):
                assert set(figure.metrics) <= metrics
            if isinstance(figure, LearningCurves):
                assert set(figure.settings) <= set(experiment.settings)


def svg(picture):
    """(what is written, how many panels) in a picture."""
    root = ElementTree.fromstring(picture)
    words = ["".join(text.itertext()) for text in root.iter(f"{{{SVG}}}text")]
    return words, sum(group.attrib.get("id", "").startswith("axes_") for group in root.iter(f"{{{SVG}}}g"))


def lines_of(picture):
    """Every drawn path that has a dash or a colour of its own, as its style."""
    styles = (path.attrib.get("style", "") for path in ElementTree.fromstring(picture).iter(f"{{{SVG}}}path"))
    return [style for style in styles if "stroke" in style]


def test_figures_of_one_experiment_have_names_and_titles_of_their_own(figured):
    contents = {path.name: content for path, content in build_figures(figured, collect_all(figured)).items()}
    stems = ("berthet_4", "berthet_7", "berthet_8")
    assert list(contents) == [f"{stem}.{ending}" for stem in stems for ending in ("csv", "svg")]
    assert "berthet Figure 4: perfect ranks, scale paper" in svg(contents["berthet_4.svg"])[0]
    assert "berthet Figure 8: while learning, scale paper" in svg(contents["berthet_8.svg"])[0]


def test_a_figure_draws_the_metrics_that_it_names(figured):
    contents = {path.name: content for path, content in build_figures(figured, collect_all(figured)).items()}
    rows = list(csv.DictReader(contents["berthet_4.csv"].decode().splitlines()))
    assert {row["panel"] for row in rows} == {"perfect"}
    at = {(row["setting"], row["arm"]): row["value"] for row in rows}
    assert at["sigma=0.1", "learner"] == "75.0000"  # 2, 3 and 4 of 4
    assert at["sigma=10", "bayes"] == "25.0000"
    words, panels = svg(contents["berthet_4.svg"])
    assert panels == 1
    assert "perfect ranks (%)" in words
    words, panels = svg(contents["berthet_7.svg"])
    assert panels == 2
    assert {"perfect ranks (%)", "partial ranks (%)", "0.1", "10"} <= set(words)


def places_of(picture):
    """Where each panel begins: the corner of its background."""
    root = ElementTree.fromstring(picture)
    found = []
    for group in root.iter(f"{{{SVG}}}g"):
        if group.attrib.get("id", "").startswith("axes_"):
            _, x, y, *_ = next(iter(group.iter(f"{{{SVG}}}path"))).attrib["d"].split()
            found.append((float(x), float(y)))
    return found


def test_panels_stand_in_columns_and_in_the_order_declared(figured):
    experiment = figured.experiments["fake"].experiment
    cells = collect(figured, "fake")
    content = data_of(Lines(), experiment, cells)
    (ax, ay), (bx, by) = places_of(draw(content, Lines(columns=1), experiment, "one below the other"))
    assert ax == bx
    assert ay < by
    (ax, ay), (bx, by) = places_of(draw(content, Lines(), experiment, "side by side"))
    assert ax < bx
    assert ay == by
    turned = Lines(metrics=("partial", "perfect"))
    words, _ = svg(draw(data_of(turned, experiment, cells), turned, experiment, "turned"))
    assert words.index("partial ranks (%)") < words.index("perfect ranks (%)")


def test_a_reference_is_a_grey_dashed_line_and_takes_no_look_from_the_others(figured):
    experiment = figured.experiments["fake"].experiment
    figure = Lines(metrics=("perfect",))
    content = data_of(figure, experiment, collect(figured, "fake"))
    picture = draw(content, figure, experiment, "with")
    grey = [style for style in lines_of(picture) if "#777777" in style]
    assert len(grey) == 2  # in the panel and in the legend
    assert all("stroke-dasharray" in style for style in grey)
    assert "w0" in svg(picture)[0]
    without = b"\n".join(line for line in content.split(b"\n") if b"bayes" not in line)
    for drawn in (picture, draw(without, figure, experiment, "without")):
        assert any("stroke: #0072b2" in style for style in lines_of(drawn))  # the first look is the first learner's
        assert not any("stroke: #d55e00" in style for style in lines_of(drawn))
    assert "grey, thin" in reading(figure, experiment)
    assert "published" not in reading(figure, experiment)
    assert reading(Lines(), REGISTRY["indelman_1a"]) == (
        "Lines and bars: ours with 95 % intervals; hollow marks: the published numbers."
    )


def test_many_settings_are_told_by_powers_of_the_base(figured):
    experiment = figured.experiments["fake"].experiment
    figure = Lines(metrics=("perfect",), base=10)
    head, first, *_ = data_of(figure, experiment, collect(figured, "fake")).decode().splitlines()
    levels = ("0.01", "0.0316", "0.1334", "0.316", "0.7449", "3.16", "10", "31.6", "100")
    lines = [first.replace("sigma=0.1,0.1", f"sigma={level},{level}") for level in levels]
    words, _ = svg(draw("\n".join([head, *lines]).encode(), figure, experiment, "many"))
    assert {"0.01", "0.1", "1", "10", "100"} <= set(words)
    assert not {"0.0316", "0.1334", "31.6"} & set(words)
    words, _ = svg(draw("\n".join([head, *lines[:8]]).encode(), figure, experiment, "few"))
    assert {"0.0316", "0.1334", "31.6"} <= set(words)


def test_the_axis_starts_at_zero_where_it_should(figured):
    experiment = figured.experiments["fake"].experiment
    high = Lines(metrics=("perfect",))
    content = data_of(high, experiment, collect(figured, "fake"))
    head, *lines = content.decode().splitlines()
    one = "\n".join([head, *(line for line in lines if "learner" in line and "sigma=0.1" in line)]).encode()
    one = one.replace(b"75.0000", b"99.0000")
    assert "0" not in svg(draw(one, high, experiment, "high"))[0]
    assert "0" in svg(draw(one, Lines(metrics=("perfect",), from_zero=True), experiment, "zero"))[0]


def test_nothing_run_and_nothing_published_says_so(figured):
    experiment = figured.experiments["fake"].experiment
    for figure in experiment.figures:
        kind = KINDS[type(figure)]
        content = kind.data(figure, experiment, [])
        assert len(content.splitlines()) == 1
        assert "no record yet" in svg(kind.draw(content, figure, experiment, "nothing"))[0]


def test_nothing_in_a_picture_is_named_by_the_last_bits_of_its_coordinates(plan, monkeypatch):
    """Matplotlib hashes clip paths and markers with a salt: another one stands for another machine's rounding."""
    from structgrad.repro.figures import drawing

    _, svg = build_figures(plan, collect_all(plan)).values()
    monkeypatch.setattr(drawing, "STYLE", drawing.STYLE | {"svg.hashsalt": "elsewhere"})
    _, elsewhere = build_figures(plan, collect_all(plan)).values()
    assert elsewhere == svg
    used = set(re.findall(rb'url\(#(\w+)\)|href="#(\w+)"', svg))
    named = re.findall(rb'\bid="(\w+)"', svg)
    assert len(named) == len(set(named))
    assert {name for pair in used for name in pair if name} <= set(named)


def test_a_picture_holds_nothing_that_nobody_sees(plan):
    """Half a megabyte of indentation and unused names, of the thirty that all results may take."""
    _, svg = build_figures(plan, collect_all(plan)).values()
    assert svg.startswith(b"<?xml")
    for unseen in (rb"<metadata", rb"<!--", rb"(?m)^ ", rb"rotate\(-0 ", rb"<g>\n</g>"):
        assert not re.search(unseen, svg), unseen
    used = set(re.findall(rb'(?:url\(|href=")#(\w+)', svg))
    assert used == {name for name in re.findall(rb'\bid="(\w+)"', svg) if not name.startswith(b"axes_")} != set()
