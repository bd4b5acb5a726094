"""An experiment for which the paper prints figures and no number: nothing promises what is not there."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from structgrad.experiments import REGISTRY
from structgrad.repro.audit.places import nothing_else_is_shown
from structgrad.repro.audit.scene import Scene
from structgrad.repro.claims import judge_claims
from structgrad.repro.commands import tables as tables_command
from structgrad.repro.commands.list import _describe, _paragraph
from structgrad.repro.figures.files import write_figures
from structgrad.repro.judging.cells import collect_all
from structgrad.repro.judging.verdicts import VERDICTS
from structgrad.repro.planning.paths import results
from structgrad.repro.report import rocrate
from structgrad.repro.report.explain import as_text, explain
from structgrad.repro.report.page import build_report, write_report
from structgrad.repro.tables.files import COLUMNS, build_tables, write_tables
from structgrad.repro.tables.panels import tables

HEADING = "berthet Figures 4, 7 and 8: Fake rankings"


@pytest.fixture
def contents(figured):
    return {path.name: content.decode() for path, content in build_tables(figured, collect_all(figured)).items()}


@pytest.fixture
def page(figured):
    return build_report(figured, collect_all(figured)).decode()


def test_headings_are_the_papers_words():
    headings = {name: experiment.heading for name, experiment in REGISTRY.items()}
    assert headings["indelman_1a"] == "Table 1a"
    assert REGISTRY["indelman_1a"].full_title == "indelman Table 1a: Learning to sort from 10 sequences"


def test_numbers_are_printed_where_an_arm_and_a_metric_answer_some():
    experiment = REGISTRY["berthet_1"]
    assert experiment.printed
    assert not replace(experiment, arms=tuple(replace(arm, answers=None) for arm in experiment.arms)).printed
    assert not replace(experiment, metrics=tuple(replace(m, published=None) for m in experiment.metrics)).printed


def test_the_verdict_says_that_nothing_is_printed(contents):
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in csv.reader(contents["berthet_artificial.csv"].splitlines())]
    found = {(row["row"], row["column"], row["metric"]): row for row in rows[1:]}
    cell = found["sigma=0.1", "Learner", "perfect"]
    assert (cell["value"], cell["n"], cell["published"], cell["verdict"]) == ("75.0000", "3", "", "not_comparable")
    assert found["sigma=10", "Learner", "perfect"]["verdict"] == "not_attempted"
    assert len(found) == 2 * 3 * 2


def test_layouts_have_no_place_for_published_numbers(contents):
    markdown, page, latex = (contents[f"berthet_artificial.{ending}"] for ending in ("md", "html", "tex"))
    assert markdown.startswith(f"# {HEADING}\n")
    # three replicas that agree count as three: Clopper-Pearson of 3 of 3, and of 0.75 of 3
    assert "| sigma=0.1 | 100.00 [29.24, 100.00] · | 75.00 [" in markdown
    assert "| sigma=10 | 25.00 [0.21, 86.81] · | – | – |" in markdown
    for text in (markdown, page, latex):
        assert "(published)" not in text
        assert "published value" not in text
        assert not any(verdict in text for verdict in ("reproduced", "differs"))
    fragment = ElementTree.fromstring(page)
    assert fragment.attrib["id"] == "berthet_artificial"
    assert ">paper<" not in page
    assert fragment.find(".//td[@class='paper']") is None
    for table in fragment.iter("table"):
        heads = [int(head.attrib.get("colspan", 1)) for head in table.iterfind("thead/tr/th")]
        widths = {len(row) for row in table.iterfind("tbody/tr")}
        assert widths == {sum(heads)} == {7}
    verdict = fragment.find(".//td[@class='verdict not_comparable']")
    assert verdict is not None
    place = int(verdict.attrib["title"].removeprefix("not_comparable: reason ").removesuffix(" below"))
    reasons = [told.text for told in fragment.iterfind("ol/li")]
    assert reasons[place - 1] == "the paper prints no number for this cell"  # once, for all that share it
    assert len(reasons) == len(set(reasons))
    assert r"sigma=10 & 25.00 [0.21, 86.81] $\cdot$ & -- & -- \\" in latex
    assert latex.count(r"\\") == 2 * (1 + 2)  # two tables: the heads and a line a setting


def test_the_terminal_says_nothing_of_the_paper(figured, monkeypatch):
    monkeypatch.setattr("structgrad.repro.options.load_plan", lambda *_, **__: figured)
    told = CliRunner().invoke(tables_command.command, [])
    assert told.exit_code == 0, told.output
    assert HEADING in told.stdout
    assert "75.00 ·" in told.stdout
    assert "paper " not in told.stdout.replace("Scale paper", "").replace("with the paper", "")
    assert "the papers print no number for these" in told.stdout
    assert "further readings" not in told.stdout


def test_explain_and_list(figured):
    told = as_text(explain(figured, "berthet/artificial/sigma=0.1/Learner/perfect"))
    assert "  published   none\n" in told
    assert "  verdict     not_comparable: the paper prints no number for this cell\n" in told
    assert told.count("  record      ") == 2
    lines = _paragraph(_describe(figured, "fake"))
    assert lines[0] == f"fake  {HEADING}"
    assert "  4 of 5 shards trained" in lines
    assert "  level 2: the same bits on one machine, close on others" in lines


def test_the_page_shows_every_figure_under_its_own_name(page):
    titles = ("Figure 4: perfect ranks", "Figure 7: perfect and partial ranks", "Figure 8: while learning")
    for number, title in zip("478", titles, strict=True):
        assert f'<h3 id="berthet_{number}">{title}</h3>' in page
        assert f"<figcaption>berthet {title}, drawn. Lines" in page
    assert page.count("<figure>") == 4  # and the curves of the training
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "hollow marks" not in page
    assert f'<h2 id="berthet_artificial-head">{HEADING}</h2>' in page
    assert '<a href="#berthet_artificial">berthet Figures 4, 7 and 8</a>' in page


def test_a_figure_with_a_name_has_a_caption_of_its_own(figured, project):
    (project / "packages" / "nowhere" / "berthet_7.rst").write_text("What *seven* shows.\n", encoding="utf-8")
    page = build_report(figured, collect_all(figured)).decode()
    section = page[page.index('<h3 id="berthet_7">') : page.index('<h3 id="berthet_8">')]
    assert "What <em>seven</em> shows." in section or "What *seven* shows." in section
    assert page.count("seven") == 1


def test_the_page_counts_no_published_cells(page):
    assert "Of the 2 numbers that it prints, 2 have no experiment yet." in page  # those are in the text
    assert '<th scope="col">printed</th>' not in page
    assert 'id="apart"' not in page
    assert '<td class="text">Figures 4, 7 and 8</td><td class="text">sigma=0.1</td>' in page  # what it cost


def test_everything_is_written_and_no_claim_is_made(figured):
    cells = collect_all(figured)
    for write in (write_tables, write_figures, write_report):
        write(figured, cells)
    assert judge_claims(figured, cells) == []
    crate = (results("paper") / rocrate.NAME).read_text(encoding="utf-8")
    assert "berthet Figures 4, 7 and 8 (Fake rankings): as published" in crate
    assert "figures/berthet_8.svg" in crate


def test_the_audit_knows_tables_from_figures(figured):
    cells = collect_all(figured)
    write_tables(figured, cells)
    write_figures(figured, cells)
    scene = Scene(figured)
    scene.__dict__["whole"] = figured  # the registry does not know the experiment
    assert list(nothing_else_is_shown(scene)) == []
    for name in ("figures/berthet_artificial.svg", "tables/berthet_4.csv"):
        (results("paper") / name).write_text("", encoding="utf-8")
    found = [finding.file for finding in nothing_else_is_shown(scene)]
    assert [name.removeprefix("results/paper/") for name in found] == [
        "figures/berthet_artificial.svg",
        "tables/berthet_4.csv",
    ]


def test_verdicts_that_cannot_be_are_not_in_the_legend(figured):
    assert [verdict for verdict, _, _ in tables(figured, collect_all(figured))["fake"].legend] == [
        "not_comparable",
        "not_attempted",
        "no_data",
    ]
    assert set(VERDICTS) >= {"reproduced", "shifted", "differs"}
