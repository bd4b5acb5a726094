"""The parts of the page: the map of printed numbers, the views of a table, the facts of a cell, styles and script."""

from __future__ import annotations

import json
import re

import pytest

from structgrad.experiments import REGISTRY
from structgrad.repro.figures.drawing import COLOURS, GREY
from structgrad.repro.judging.cells import collect_all
from structgrad.repro.judging.published import numbers
from structgrad.repro.judging.verdicts import NO_EXPERIMENT
from structgrad.repro.planning.paths import project_root, results
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.report import assets
from structgrad.repro.report.deviations import SECTIONS, link
from structgrad.repro.report.facts import CELL, RECORD, Facts
from structgrad.repro.report.pictures import NAMES
from structgrad.repro.report.standings import standings
from structgrad.repro.report.views import further_views, main_views
from structgrad.repro.report.words import PHRASES, doubt, sentence
from structgrad.repro.tables.panels import tables


@pytest.fixture
def block(finished):
    text = (results(finished.scale) / "report.html").read_text(encoding="utf-8")
    match = re.search(r'<script type="application/json" id="facts">(.*?)</script>', text, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def test_every_printed_number_has_one_square(project):
    plan = load_plan("paper")
    found = standings(plan, collect_all(plan))
    squares = [square for standing in found for group in standing.groups for square in group.squares]
    assert len({square.id for square in squares}) == len(squares) == len(numbers())
    assert sum(standing.total for standing in found) == len(squares)
    covered = {(experiment.paper, experiment.table) for experiment in REGISTRY.values()}
    assert all((square.cell is not None) == ((square.paper, square.table) in covered) for square in squares)


def test_a_plan_of_one_table_shows_no_other_experiments_numbers(finished):
    (standing,) = standings(finished, collect_all(finished))
    assert [group.stem for group in standing.groups] == ["indelman_1a"]
    assert standing.counts[NO_EXPERIMENT] == 0
    assert sentence(standing).startswith(f"Of the {standing.total} numbers that it prints, ")
    assert set(PHRASES) == set(standing.counts)


def test_answers_stand_in_the_table_and_everything_else_is_folded(finished):
    (table,) = tables(finished, collect_all(finished)).values()
    main, further = main_views(table), further_views(table)
    shown = [cell for view in main for _, row in view.rows for cell in row if cell]
    assert all(cell.is_answer for cell in shown)
    assert {cell.id for cell in table.cells if cell.is_answer} == {cell.id for cell in shown}
    folded = {cell.id for view in further for _, row in view.rows for cell in row if cell}
    assert folded == {cell.id for cell in table.cells if cell.estimate and not cell.is_answer}
    assert main[0].columns == ("Direct", "Direct Stochastic Learning", "Gumbel-Sinkhorn")


def test_few_settings_become_columns(project):
    plan = load_plan("paper", {"experiments": ["paulus_1"]})
    table = tables(plan, collect_all(plan))["paulus_1"]
    view = main_views(table)[0]
    assert (view.corner, view.columns) == ("method", ("T=10", "T=20"))
    assert [head for head, _ in view.rows] == ["Indep. Directed Edges", "E.F. Ent. Top |V|-1", "Spanning Tree"]


def test_impossible_counts_and_misprints_are_marked(project):
    by_id = {cell.id: cell for own in collect_all(load_plan("paper")).values() for cell in own if cell.is_answer}
    place = "indelman/1a/d=40/{}/percent_sequences_perfect"
    assert "no count of 200" in doubt(by_id[place.format("Direct Stochastic Learning")])
    assert doubt(by_id[place.format("Direct")]) == ""


def test_the_facts_of_a_cell(finished, block):
    assert (block["cell"], block["record"]) == (list(CELL), list(RECORD))
    cells = [dict(zip(CELL, row, strict=True)) for row in block["cells"]]
    cell = next(cell for cell in cells if cell["id"] == "indelman/1a/d=5/Direct/percent_sequences_perfect")
    assert (cell["value"], cell["n"], cell["printed"], cell["kind"]) == ("66.7", 3, "98.5", "answer")
    assert cell["replicas"] == [0.0, [100.0, 2]]
    (record,) = (dict(zip(RECORD, block["records"][place], strict=True)) for place in cell["records"])
    assert (results(finished.scale) / record["path"]).is_file()
    assert record["command"].startswith("structgrad run indelman_1a/")
    assert block["deviations"][cell["deviations"]] == link("indelman_1a")
    ids = [(cell["scale"], cell["id"]) for cell in cells]
    assert len(ids) == len(set(ids))


def test_what_has_not_run_says_what_would_make_it(project):
    plan = load_plan("paper")
    cells = collect_all(plan)
    facts = Facts(plan)
    facts.place(cells["paulus_1"][0])
    (row,) = facts.cells
    commands = dict(zip(CELL, row, strict=True))["commands"]
    assert commands[0].startswith("structgrad run paulus_1/")
    assert commands[-1].endswith("more like these")
    assert facts.place(cells["paulus_1"][0]) == 0  # gathered once


def test_facts_cannot_end_their_element(finished, monkeypatch):
    facts = Facts(finished)
    facts.cells.append(["</script><script>"])
    assert "<" not in facts.as_json()


def test_only_the_pages_own_script_may_run(finished):
    text = (results(finished.scale) / "report.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert scripts == [assets.script()]
    assert f"script-src '{assets.digest(scripts[0])}'" in text
    assert "default-src 'none'" in text
    assert not re.search(r"\son\w+=", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))


def test_every_deviation_has_its_section():
    page = (project_root() / "docs/deviations.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.*)$", page, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
    assert set(SECTIONS) == set(REGISTRY)
    assert set(SECTIONS.values()) <= slugs
    assert link("another") == "../../docs/deviations.md"


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_lines_show_on_light_and_on_dark():
    for colour in (*COLOURS, GREY):
        assert contrast(colour, "#ffffff") >= 3, colour
    style = assets.style()
    assert all(contrast(dark, "#1b1f23") >= 3 for dark in drawn_in(style, dark=True).values())
    light = drawn_in(style, dark=False)
    assert all(contrast(colour, "#ffffff") >= 3 for colour in light.values())
    names = {name for colour, name in NAMES.items() if colour not in ("#ffffff", "#dddddd")}
    assert set(light) == set(drawn_in(style, dark=True)) == names


def drawn_in(style, dark):
    """What the style sheet calls the colours of lines, by name."""
    last = style[style.rindex("--paper: #1b1f23") :] if dark else style[style.index("--paper: #fff") :]
    block = last[: last.index("}")]
    return dict(re.findall(r"(--(?:c\d|pen|grey)): (#[0-9a-f]{6})\b", block))
