"""berthet Tables 1 and 2 as declared, and as tables: settings that are names, columns that share a published one."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console
from trainings import parameters

from structgrad.data.label_ranking import FILES
from structgrad.experiments import REGISTRY
from structgrad.experiments.berthet.label_ranking.files import needed
from structgrad.experiments.figures import Scatter
from structgrad.repro.cli import cli
from structgrad.repro.commands.run_texts import summary
from structgrad.repro.evidence.gathering import gather, per_replica
from structgrad.repro.judging.cells import collect_all, find
from structgrad.repro.judging.sampling import PARTITIONS, partitions
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.report.explain import as_text, explain
from structgrad.repro.tables.files import COLUMNS, build_tables
from structgrad.repro.tables.panels import tables
from structgrad.repro.tables.screen import draw

CELL = "berthet/1/cpu-small/Blackbox loss, lambda tuned (ours)/spearman"
SMALL = {"experiments": ["berthet_1"], "settings": ["cpu-small"], "arms": ["blackbox_tuned"]}
FOLDS = [0.48, 0.50, 0.49, 0.51, 0.47, 0.52, 0.49, 0.50, 0.48, 0.51]


@pytest.fixture
def plan(project, fabricate, ranked_report):
    plan = load_plan("paper", SMALL)
    fabricate(plan, plan.shards[0], [ranked_report(value, rows=40) for value in FOLDS], seeds=[7] * 10)
    return plan


def test_what_the_paper_states():
    for name, arms in (("berthet_1", 10), ("berthet_2", 8)):
        experiment = REGISTRY[name]
        assert (len(experiment.settings), len(experiment.arms), experiment.folds) == (21, arms, 10)
        assert list(experiment.settings) == sorted(experiment.settings)
        assert experiment.published_items == {"spearman": experiment.folds}
        assert experiment.overlap == pytest.approx(1 / 9)
        for arm in experiment.arms:
            config = experiment.config_of(arm.name)
            assert (config["learning_rates"], config["inner_folds"]) == ([0.001, 0.01, 0.1], 5)
    assert REGISTRY["berthet_1"].seed_name == REGISTRY["berthet_2"].seed_name != "berthet_1"


def test_table_2_tunes_the_noise_and_table_1_does_not():
    for arm, loss, default in (
        ("perturbed_fy", "fenchel_young", 0.01),
        ("perturbed_squared_plain", "perturbed_squared_plain", 0.05),
        ("perturbed_squared", "perturbed_squared", 0.05),
    ):
        first, second = (REGISTRY[name].config_of(arm) for name in ("berthet_1", "berthet_2"))
        assert first["loss"] == second["loss"] == loss
        assert (first["epsilons"], second["epsilons"]) == ([default], [0.001, 0.01, 0.1])
        if loss != "perturbed_squared_plain":
            assert REGISTRY["berthet_1"].config_of(f"{arm}_1") == first | {"epsilons": [1.0]}


def test_lambda_is_tuned_on_the_grid_of_epsilon():
    for name in ("berthet_1", "berthet_2"):
        tuned, untuned = (REGISTRY[name].config_of(arm) for arm in ("blackbox_tuned", "blackbox"))
        assert tuned["lambdas"] == REGISTRY["berthet_2"].config_of("perturbed_fy")["epsilons"]
        assert tuned == untuned | {"lambdas": tuned["lambdas"]}
        assert REGISTRY[name].arm("blackbox_tuned").answers == REGISTRY[name].arm("blackbox").answers == "Blackbox loss"


@pytest.mark.parametrize("name", ["berthet_1", "berthet_2"])
def test_only_the_published_source_needs_a_file(name):
    table = REGISTRY[name]
    for setting in table.settings:
        assert needed(parameters(table, "squared", setting, {}), setting) == (FILES[setting],)
        assert needed(parameters(table, "squared", setting, {"source": "stand_in"}), setting) == ()


@pytest.mark.parametrize("scale", ["desktop", "paper"])
def test_the_whole_protocol_is_planned(project, scale):
    plan = load_plan(scale)
    for name in ("berthet_1", "berthet_2"):
        experiment = plan.experiments[name].experiment
        assert plan.experiments[name].comparable
        ranges = {(shard.setting, shard.arm): 0 for shard in plan.shards_of(name)}
        assert len(ranges) == 21 * len(experiment.arms)
        for shard in plan.shards_of(name):
            ranges[shard.setting, shard.arm] += 1
            assert shard.count == 10
        further = {place: count for place, count in ranges.items() if count > 1}
        assert set(further.values()) == ({5, 10} if scale == "paper" else set())
        assert [place for place, count in further.items() if count == 10] in ([], [("iris", "blackbox_mirrored")])
        assert {arm for _, arm in further} <= {arm.name for arm in experiment.arms if arm.main}
        assert plan.experiments[name].config_of("iris", "squared")["source"] == "published"


def test_smoke_has_stand_ins_with_points_for_every_figure_and_one_published_set(project):
    plan = load_plan("smoke")
    for name in ("berthet_1", "berthet_2"):
        part = plan.experiments[name]
        assert not part.comparable
        assert "stand-in" in part.reason
        cut = {(shard.setting, shard.arm) for shard in plan.shards_of(name) if part.cut(shard.setting, shard.arm)}
        assert {setting for setting, _ in cut} <= {"iris", "wine"}
        assert {part.config_of(*place)["source"] for place in cut} == {"stand_in"}
        trained = {arm for _, arm in cut}
        (figure,) = part.experiment.figures
        assert isinstance(figure, Scatter)
        assert any(trained.issuperset(pair) for pair in figure.pairs)
    glass = plan.experiments["berthet_1"].config_of("glass", "squared")
    assert (glass["source"], glass["max_steps"], glass["epochs"]) == ("published", None, 100)


def test_a_cell_with_a_name_a_comma_and_spaces(plan):
    cell = find(plan, CELL)
    assert (cell.id, cell.judgement.verdict) == (CELL, "reproduced")
    assert cell.estimate is not None
    assert (cell.estimate.value, cell.estimate.spread) == pytest.approx((0.495, 0.015))  # over folds, as printed
    told = as_text(explain(plan, CELL))
    for part in ("0.4950 corr [0.48", "spread over replicas 0.0150", "0.50 ± 0.01", "cpu-small/blackbox_tuned/0-9"):
        assert part in told


def test_a_table_of_ten_columns(plan):
    contents = {path.name: content.decode() for path, content in build_tables(plan, collect_all(plan)).items()}
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in csv.reader(contents["berthet_1.csv"].splitlines()[1:])]
    assert len(rows) == 21 * 10
    ours = next(row for row in rows if row["value"])
    assert (ours["row"], ours["column"], ours["unit"]) == ("cpu-small", "Blackbox loss, lambda tuned (ours)", "corr")
    assert (ours["value"], ours["published"]) == ("0.4950", "0.50")
    assert (ours["spread"], ours["published_spread"]) == ("0.0150", "0.01")
    answered = [row["published"] for row in rows if row["row"] == "iris" and row["column"].startswith("Blackbox")]
    assert answered == ["0.70"] * 4
    (line,) = (line for line in contents["berthet_1.md"].splitlines() if line.startswith("| cpu-small"))
    assert line.count("|") == 12
    assert "| 0.50 [0.48, 0.51] (0.50) ✓ |" in line


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_shows_what_ran_and_no_number_cut(plan, width):
    table = tables(plan, collect_all(plan))["berthet_1"]
    screen = io.StringIO()
    console = Console(width=width, file=screen)
    for further in (False, True):
        for drawn in draw(table, width, further):
            console.print(drawn)
    text = screen.getvalue()
    assert max(map(len, text.splitlines())) <= width
    ran = Counter(f"paper {cell.published.text}" for cell in table.cells if cell.published and cell.estimate)
    assert Counter(re.findall(r"paper \d\.\d\d(?!\d)", text)) == ran
    assert "0.48–0.51" in text


def test_the_command_lists_names(project):
    text = CliRunner().invoke(cli, ["list", "--scale", "smoke"]).output
    assert "berthet_1  berthet Table 1: Label ranking, learning rate tuned" in text
    assert "settings iris, glass (published: authorship, bodyfat" in text


def test_a_training_says_what_came_out(plan, fabricate, ranked_report):
    record = fabricate(plan, plan.shards[0], [ranked_report(0.5)] * 10)
    told = summary(record, REGISTRY["berthet_1"])
    assert told.startswith("berthet_1/cpu-small/blackbox_tuned/0-9: spearman 0.5; 60.0 s")


def measured_ratio(plan, arm):
    """Over the sets of both tables with several partitions: root mean square of the deviation between partitions, over
    that which their folds suggest.
    """
    shares = []
    for name in ("berthet_1", "berthet_2"):
        part, metric = plan.experiments[name], plan.experiments[name].experiment.metric("spearman")
        for setting in part.experiment.settings:
            reports = per_replica(gather(part, plan.shards_of(name, setting, arm)), metric)
            if len(reports) >= PARTITIONS * part.experiment.folds:
                parts = partitions([reports[replica].parts for replica in sorted(reports)], part.experiment.folds)
                between = np.var([each.value for each in parts], ddof=1)
                shares.append(between / np.mean([each.variance for each in parts]))
    return np.sqrt(np.mean(shares)) if shares else 1.0


def test_the_ratios_of_partitions_to_folds_are_those_of_the_committed_records(monkeypatch):
    """The ratio of an arm is one over both tables; 1 where nothing was measured."""
    monkeypatch.delenv("STRUCTGRAD_ROOT", raising=False)
    plan = load_plan("paper")
    ratios = {(arm.name, arm.fold_ratio) for name in ("berthet_1", "berthet_2") for arm in REGISTRY[name].arms}
    for arm, ratio in sorted(ratios):
        assert ratio == pytest.approx(measured_ratio(plan, arm), abs=0.005), arm
    assert len(dict(ratios)) == len(ratios)
