"""`structgrad plan`: what is left and what it costs, before anything runs."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from structgrad.repro.cli import cli, main
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running.costs import Cost, costs, total, wall_hours


def plan(*words):
    told = CliRunner().invoke(cli, ["plan", *words], catch_exceptions=False)
    assert told.exit_code == 0
    return told.output


def test_an_empty_project_guesses_and_says_so(project):
    told = plan("--scale", "paper")
    assert max(map(len, told.splitlines())) <= 80
    assert "guess" in told
    assert f"{len(load_plan('paper').shards)}/{len(load_plan('paper').shards)}" in told


def test_what_is_trained_costs_no_more(finished, options):
    found = json.loads(plan("--scale", "paper", *options, "--json"))
    (table,) = found["tables"]
    assert (table["left"], table["shards"], table["jobs"], table["total_hours"]) == (0, 2, 0, 0)
    assert table["spent_hours"] == pytest.approx(2 * 60 / 3600)
    assert found["total"] == table | {"name": "total"}
    assert "Nothing is left to train" in plan("--scale", "paper", *options)


def test_measured_scaled_and_guessed_hours_stand_apart(finished, options):
    """Three replicas took a minute on each of two arms, ten seconds of it for the start."""
    arms = ["direct", "no_solver", "fixed_sigma"]
    chosen = {"experiments": ["indelman_1a", "indelman_1b"], "settings": ["d=5"], "arms": arms, "replicas": 9}
    told = plan("--scale", "paper", "--json", "--profile", "slurm", "--set-json", json.dumps(chosen))
    found = {table["name"]: table for table in json.loads(told)["tables"]}
    hours = found["indelman_1a"]["hours"]
    assert hours["measured"] == pytest.approx(2 * (10 + 50 * 2) / 3600)  # of direct and no_solver three are there
    assert hours["scaled"] == pytest.approx((10 + 50 * 3) / 3600)
    assert hours["guess"] == 0
    assert found["indelman_1b"]["hours"]["guess"] > 0
    assert json.loads(told)["job_minutes"] == 60
    assert found["indelman_1a"]["longest_hours"] == pytest.approx(160 / 3600)


def test_longer_jobs_are_fewer_and_slices_are_shorter(finished, options):
    words = ("--scale", "paper", "--json", "--set", "experiments=[indelman_1a]")
    few, many, sliced = (
        json.loads(plan(*words, "--set", more))["total"] for more in ("job_minutes=600", "job_minutes=1", "slice=50")
    )
    assert few["jobs"] < many["jobs"]
    assert sliced["longest_hours"] < few["longest_hours"] / 3


def test_cores_that_a_job_holds_are_paid_for(finished, options):
    words = ("--scale", "paper", "--json", "--set", "experiments=[indelman_1a]")
    one, four = (json.loads(plan(*words, "--set", f"threads={threads}"))["total"] for threads in (1, 4))
    assert four["total_hours"] == pytest.approx(4 * one["total_hours"])
    assert four["longest_hours"] == pytest.approx(one["longest_hours"])


def test_totals(project):
    parts = [
        Cost("a", 3, 2, 1, 1, {"measured": 1.0, "scaled": 2.0, "guess": 0.0}, 4.0, "a/x", 2.0, 700, 1.0),
        Cost("b", 1, 1, 0, 1, {"measured": 0.0, "scaled": 0.0, "guess": 3.0}, 0.0, "b/y", 3.0, 500, 1.0),
    ]
    whole = total(parts)
    assert (whole.shards, whole.left, whole.no_data, whole.jobs, whole.total) == (4, 3, 1, 2, 6.0)
    assert (whole.longest, whole.memory_mb, whole.disk_mb) == ("b/y", 700, 2.0)
    assert wall_hours(whole, 1) == 6.0
    assert wall_hours(whole, 100) == 3.0
    assert total([]).left == 0


def test_what_has_no_data_is_left_out(project):
    first = load_plan("paper", {"experiments": ["paulus_3"]}).shards[0]
    first.note.parent.mkdir(parents=True)
    first.note.write_text("get it")
    (part,) = costs(load_plan("paper", {"experiments": ["paulus_3"]}))
    assert (part.no_data, part.left) == (1, part.shards - 1)
    assert "1 shards have no data here" in plan("--scale", "paper", "--set", "experiments=[paulus_3]")


@pytest.mark.parametrize(
    ("words", "line"),
    [(["--cores", "0"], "--cores takes a number"), (["--profile", "slrum"], "there is local, pilot, slurm")],
)
def test_mistakes(project, capsys, words, line):
    with pytest.raises(SystemExit) as left:
        main(["plan", *words])
    assert left.value.code == 2
    assert line in capsys.readouterr().err
