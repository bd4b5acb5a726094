"""Tables from made-up records, against hand calculation; and that nothing false gets into one."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
import yaml
from click.testing import CliRunner

from structgrad.errors import UserError
from structgrad.repro.evidence.records import RecordError, digest, save
from structgrad.repro.judging.cells import collect, collect_all, find
from structgrad.repro.judging.numbers import fixed
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.report.explain import as_text, explain, facts_of
from structgrad.repro.running.levels import promise, weakest
from structgrad.repro.tables.files import COLUMNS, build_tables, write_tables
from structgrad.repro.tables.layouts import to_html, to_latex, to_markdown
from structgrad.repro.tables.panels import tables

SMALL = {"experiments": ["indelman_1a"], "settings": ["d=5"], "arms": ["direct"], "replicas": 4}
PERFECT = "indelman/1a/d=5/Direct/percent_sequences_perfect"


@pytest.fixture
def plan(project):
    return load_plan("paper", SMALL)


@pytest.fixture
def record(plan, fabricate, sorted_report):
    """Four replicas: three perfect, one with 2 of 5 positions wrong; of 100 more 97, 99, 100, 100 are perfect."""
    reports = [sorted_report(right, more, wrong=0.4) for right, more in ((1, 97), (0, 99), (1, 100), (1, 100))]
    return fabricate(plan, plan.shards[0], reports)


def rows_of(plan):
    contents = {path.name: content for path, content in build_tables(plan, collect_all(plan)).items()}
    lines = contents["indelman_1a.csv"].decode().splitlines()
    return {"/".join(row[:5]): dict(zip(COLUMNS, row, strict=True)) for row in csv.reader(lines[1:])}


def test_a_table_by_hand(plan, record):
    rows = rows_of(plan)
    assert len(rows) == 6 * 6 * 4
    perfect = rows[PERFECT]
    assert perfect == {
        "paper": "indelman", "table": "1a", "row": "d=5", "column": "Direct",
        "metric": "percent_sequences_perfect", "unit": "%",
        "value": "75.000", "spread": "", "ci_low": "19.412", "ci_high": "99.369",  # Clopper-Pearson of 3 of 4
        "n": "4", "published": "98.5", "published_spread": "", "answer": "yes",
        "verdict": "inconclusive", "equivalent": "", "difference_low": "-79.151", "difference_high": "1.082",
        "first_verdict": "reproduced", "scale": "paper",
        "records": record["digest"][:12],
    }  # fmt: skip
    wrong = rows["indelman/1a/d=5/Direct/prop_wrong_mean"]
    assert (wrong["value"], wrong["spread"]) == ("10.0000", "17.3205")  # mean and deviation of 0, 40, 0, 0
    assert (wrong["published"], wrong["published_spread"]) == ("0.6", "4.9")
    more = rows["indelman/1a/d=5/Direct/percent_sequences_perfect_100"]
    assert (more["value"], more["published"]) == ("99.000", "98.5")
    wrong_more = rows["indelman/1a/d=5/Direct/prop_wrong_mean_100"]
    assert wrong_more["value"] == "0.4000"  # 4 of 400 sequences, 2 of 5 positions each
    assert rows["indelman/1a/d=10/Direct/prop_wrong_mean"]["verdict"] == "not_attempted"
    assert rows["indelman/1a/d=10/Direct/prop_wrong_mean"]["n"] == "0"


def test_every_format_says_the_same(plan, record):
    contents = {path.name: content.decode() for path, content in build_tables(plan, collect_all(plan)).items()}
    assert set(contents) == {f"indelman_1a.{suffix}" for suffix in ("csv", "md", "html", "tex")}
    assert "| d=5 | 75.0 [19.4, 99.4] (98.5) ? | (100) – | – |" in contents["indelman_1a.md"]
    assert r"d=5 & 75.0 [19.4, 99.4] &" in contents["indelman_1a.tex"]
    assert contents["indelman_1a.tex"].count(r"\begin{") == contents["indelman_1a.tex"].count(r"\end{") == 8
    page = ElementTree.fromstring(contents["indelman_1a.html"])
    link = page.find(".//td[@class='ours inconclusive']/a")
    assert link is not None
    assert (link.text, link.get("href")) == ("75.0", "../records/indelman_1a/d=5/direct.0-3.json")
    assert page.find(".//td[@class='verdict not_attempted']") is not None


def test_links_follow_the_page_that_holds_the_table(plan, record, project):
    page = ElementTree.fromstring(to_html(tables(plan, collect_all(plan))["indelman_1a"], to_results=""))
    link = page.find(".//a")
    assert link is not None
    assert (project / "results" / "paper" / link.get("href", "")).is_file()


def test_rebuilds_byte_for_byte(plan, record):
    paths = write_tables(plan, collect_all(plan))
    assert {path: path.read_bytes() for path in paths} == build_tables(plan, collect_all(load_plan("paper", SMALL)))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"successes": 97', '"successes": 98', "digest"),
        ('"replica": 1', '"replica": 9', "digest"),
        ('"trials": 100', '"trials": 0', "results.0.metrics.percent_sequences_perfect_100"),
    ],
)
def test_a_changed_digit_is_an_error(plan, record, old, new, named):
    path = plan.shards[0].path
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(RecordError, match=named):
        collect_all(plan)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"arm": "direct_stochastic"}, "arm: 'direct_stochastic'"),
        ({"setting": "d=10"}, "setting: 'd=10'"),
        ({"scale": "smoke"}, "scale: 'smoke'"),
        ({"replicas": {"first": 0, "count": 3}}, "replicas"),
        ({"config": {}}, "config.*trained with 'missing'"),
    ],
)
def test_a_record_of_something_else_is_an_error(plan, fabricate, sorted_report, changes, named):
    fabricate(plan, plan.shards[0], [sorted_report(1, 100)] * 4, changes=changes)
    with pytest.raises(RecordError, match=named):
        collect_all(plan)


def test_other_hyper_parameters_are_an_error(plan, fabricate, sorted_report):
    config = plan.experiments["indelman_1a"].config_of("d=5", "direct") | {"patience": 5}
    fabricate(plan, plan.shards[0], [sorted_report(1, 100)] * 4, changes={"config": config})
    with pytest.raises(RecordError, match=r"config.patience: trained with 5, the plan says 50"):
        collect_all(plan)


def test_slices_are_pooled(project, fabricate, sorted_report):
    scale = project / "workflow" / "scales" / "paper.yaml"
    content = yaml.safe_load(scale.read_text())
    content["experiments"]["indelman_1a"]["blocks"][0]["slice"] = 2
    scale.write_text(yaml.safe_dump(content))
    plan = load_plan("paper", SMALL)
    first, second = plan.shards
    a = fabricate(plan, first, [sorted_report(1, 97), sorted_report(0, 99)])
    half = find(plan, PERFECT)
    b = fabricate(plan, second, [sorted_report(1, 100)] * 2)
    whole = find(plan, PERFECT)
    assert half.estimate is not None
    assert whole.estimate is not None
    assert (half.estimate.value, half.estimate.n) == (50, 2)
    assert (whole.estimate.value, whole.estimate.n) == (75, 4)
    assert rows_of(plan)[PERFECT]["records"] == f"{a['digest'][:12]} {b['digest'][:12]}"


def test_overlapping_slices_are_an_error(plan, record, fabricate, sorted_report):
    again = replace(plan.shards[0], first=3, count=2)
    both = replace(plan, shards=(plan.shards[0], again))
    fabricate(both, again, [sorted_report(1, 100)] * 2)
    with pytest.raises(RecordError, match=r"replica 3 is in .*direct\.0-3\.json, too"):
        collect_all(both)


def test_a_cut_scale_and_an_arm_of_ours_are_not_comparable(project, fabricate, sorted_report):
    smoke = load_plan("smoke", SMALL | {"arms": ["gumbel_sinkhorn"]})
    fabricate(smoke, smoke.shards[0], [sorted_report(1, 100)] * 4)
    assert (
        find(smoke, "indelman/1a/d=5/Gumbel-Sinkhorn/percent_sequences_perfect").judgement.verdict == "not_comparable"
    )
    paper = load_plan("paper", SMALL | {"arms": ["no_solver"]})
    fabricate(paper, paper.shards[0], [sorted_report(1, 100)] * 4)
    ours = find(paper, "indelman/1a/d=5/No solver (ours)/percent_sequences_perfect")
    assert ours.judgement.verdict == "not_comparable"
    assert ours.published is None


def test_missing_data_says_how_to_get_it(plan):
    note = plan.shards[0].path.with_suffix(".no_data")
    note.parent.mkdir(parents=True)
    note.write_text("set STRUCTGRAD_DATA\n")
    judgement = find(plan, PERFECT).judgement
    assert (judgement.verdict, judgement.reason) == ("no_data", "set STRUCTGRAD_DATA")


def test_only_the_cells_of_the_plan_are_filled(plan, record):
    narrower = load_plan("paper", SMALL | {"replicas": 3})  # its shard is 0-2, which nobody ran
    assert {cell.judgement.verdict for cell in collect(narrower, "indelman_1a")} == {"not_attempted"}


def test_explain_tells_all(plan, record):
    told = explain(plan, PERFECT)
    assert (told["value"], told["n"], told["published"], told["verdict"]) == (75, 4, "98.5", "inconclusive")
    assert told["records"][0]["digest"] == digest(record) == record["digest"]
    assert told["commands"][0] == "structgrad run indelman_1a/d=5/direct/0-3 --scale paper --compare"
    text = as_text(told)
    for part in ("75.000 % [19.412, 99.369], n = 4", "98.5", "1000, 1001, ... 1003", record["digest"], "0" * 40):
        assert part in text


def test_explain_says_the_level(plan, record):
    means = "the same bits on any x86-64 machine with AVX2"
    told = explain(plan, PERFECT)
    assert (told["level"], told["level_declared"], told["promise"]) == (1, 1, f"1: {means}")
    assert told["records"][0]["level"] == 1
    assert f"  level       1: {means}" in as_text(told).splitlines()
    assert "    level     1" in as_text(told).splitlines()
    save({key: value for key, value in record.items() if key != "level"}, plan.shards[0].path)
    told = explain(plan, PERFECT)
    assert told["level"] is told["records"][0]["level"] is None
    why = "1 of 1 record made before levels were declared"
    assert f"  level       none, {why}; indelman_1a declares 1 ({means})" in as_text(told).splitlines()
    assert "    level " not in as_text(told)


def test_a_cell_has_the_weakest_level_of_its_records(plan, record):
    experiment = plan.experiments["indelman_1a"].experiment
    strict, weak, old = record, record | {"level": 3}, {k: v for k, v in record.items() if k != "level"}
    assert (weakest([strict, weak]), weakest([strict, old]), weakest([])) == (3, None, None)
    assert promise(experiment, [weak, strict]) == "3, the weakest of its records' (1, 3): statistically equal"
    assert promise(experiment, [old, weak]).startswith("none, 1 of 2 records made before levels were declared; ")


def test_explain_a_cell_without_records(plan):
    told = explain(plan, PERFECT)
    assert (told["value"], told["verdict"], told["records"]) == (None, "not_attempted", [])
    assert (told["level"], told["level_declared"]) == (None, 1)
    assert "  level       none, no record yet; indelman_1a declares 1 (the same bits" in as_text(told)
    assert "structgrad run indelman_1a/d=5/direct/0-3 --scale paper" in as_text(told)
    elsewhere = as_text(explain(plan, PERFECT.replace("d=5", "d=10")))  # not of this run, but of the scale's
    assert "structgrad run indelman_1a/d=10/direct/0-199 --scale paper" in elsewhere
    images = load_plan("paper", {"experiments": ["indelman_2"]})
    assert "not part of this run" in as_text(explain(images, "indelman/2/MNIST k=3/Cross-entropy (ours)/test_accuracy"))


@pytest.mark.parametrize("scale", ["desktop", "paper"])
def test_explain_says_what_would_fill_a_cell_that_did_not_run_and_what_it_takes(project, scale):
    plan = load_plan(scale)
    told = explain(plan, "indelman/2/CIFAR-10 k=5/Direct/test_accuracy")
    assert told["commands"][0] == "structgrad run indelman_2/CIFAR-10_k=5/direct/0-0 --scale paper"
    assert told["cost"] == load_plan("paper").experiments["indelman_2"].block("CIFAR-10 k=5", "direct").cost
    assert f"  it takes    {told['cost']}" in as_text(told).splitlines()


def test_every_published_cell_of_the_images_has_a_command_and_a_cost(project):
    plan = load_plan("desktop")
    cells = [cell for cell in collect(plan, "indelman_2") if cell.published]
    assert len(cells) == 4 * 12 + 12 + 3  # two arms answer Direct Stochastic Learning
    for cell in cells:
        told = facts_of(plan, cell)
        assert told["commands"][0].startswith("structgrad run indelman_2/")
        assert told["cost"] or plan.shards_of("indelman_2", cell.setting, cell.arm.name)


def test_explain_names_the_nearest_cell(plan):
    with pytest.raises(UserError, match="nearest: 'indelman/1a/d=5/Direct/prop_wrong_mean', "):
        explain(plan, "indelman/1a/d=5/Drect/prop_wrong_mean")


def test_commands(plan, record):
    from structgrad.repro.commands.explain import command as explain_command
    from structgrad.repro.commands.tables import command as tables_command

    options = [f"--set={key}={json.dumps(value)}" for key, value in SMALL.items()]
    printed = CliRunner().invoke(tables_command, options, catch_exceptions=False)
    assert "75.0 ?" in printed.output
    rows = json.loads(CliRunner().invoke(tables_command, [*options, "--json"]).output)["cells"]
    assert next(row for row in rows if row["metric"] == "prop_wrong_mean")["value"] == "10.0000"
    assert CliRunner().invoke(tables_command, [*options, "--quiet"]).stdout == ""
    told = CliRunner().invoke(explain_command, [PERFECT, *options, "--json"], catch_exceptions=False)
    assert json.loads(told.output)["value"] == 75


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 2, ""),
        (0.125, 2, "0.12"),
        (0.135, 2, "0.14"),
        (0.125000000000001, 2, "0.12"),  # the last bits of a float decide nothing
        (-0.0001, 2, "0.00"),
        (-1.5, 1, "-1.5"),
        (100.0, 0, "100"),
    ],
)
def test_numbers_as_text(value, digits, text):
    assert fixed(value, digits) == text


def test_a_bar_in_a_name_is_no_column(project):
    """`Top |V|-1`: the heads are as many as the rule below them has columns, and LaTeX prints it."""
    plan = load_plan("paper", {"experiments": ["paulus_1"]})
    table = tables(plan, collect_all(plan))["paulus_1"]
    lines = to_markdown(table).splitlines()
    for head, rule in pairwise(lines):
        if rule.startswith("|---"):
            columns = re.split(r"(?<!\\)\|", head)[1:-1]
            assert len(columns) == rule.count("---") == 1 + len(table.panels[0].arms)
            assert r" E.F. Ent. Top \|V\|-1 " in columns
    assert r"E.F. Ent. Top \textbar{}V\textbar{}-1" in to_latex(table)
