"""A failed run ends with a line for every shard that has no record, and says why."""

from __future__ import annotations

import socket

import pytest

from structgrad.errors import UserError
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running import failures, outcomes, packs
from structgrad.repro.running.packs import Pack

LOG = "results/smoke/logs/train/job.attempts.log"


@pytest.fixture
def plan(project, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(failures, "said", lambda *words: None)
    failures._of_slurm.cache_clear()
    return load_plan("smoke")


@pytest.fixture
def two(plan, project):
    """A job of two shards and its log."""
    shards = plan.shards[:2]
    packs.freeze("smoke", [Pack("job", shards[0].experiment, shards, 1.0, 100.0, "guess")], shards)
    (project / LOG).parent.mkdir(parents=True)
    (project / LOG).write_text(f"training {shards[0].id}\nstructgrad: {shards[0].id}: no such thing\nlast word\n\n")
    return shards


def test_a_run_that_did_not_come_to_its_jobs_has_none(plan, two):
    packs.thaw("smoke")
    assert list(failures.lines(plan)) == []


def test_what_was_not_begun(plan, two):
    told = [f"{two[0].id}: was not begun; {LOG}: structgrad: {two[0].id}: no such thing"]
    assert list(failures.lines(plan)) == [*told, f"{two[1].id}: was not begun; {LOG}: last word"]


def test_what_has_its_record_did_not_fail(plan, two):
    two[0].path.parent.mkdir(parents=True)
    two[0].path.write_text("{}")
    (line,) = failures.lines(plan)
    assert line.startswith(two[1].id)


def test_an_exit_code_and_a_kill(plan, two):
    with pytest.raises(UserError), outcomes.written_down("smoke", "job"):
        raise UserError("no such thing")
    assert "exit code 2" in next(failures.lines(plan))
    outcomes._append("smoke", "job", {"slurm": None, "host": "far"})
    assert f"was killed on far; {LOG}" in next(failures.lines(plan))


@pytest.mark.parametrize(
    ("command", "answer", "told"),
    [
        ("squeue", "TIMEOUT (TimeLimit)\n", "TIMEOUT (TimeLimit)"),
        ("squeue", "CANCELLED (None)\n", "CANCELLED"),
        ("sacct", "OUT_OF_MEMORY|None\n", "OUT_OF_MEMORY"),
        ("nobody", "", "the cluster does not know it any more"),
    ],
)
def test_slurms_reason(plan, two, monkeypatch, command, answer, told):
    monkeypatch.setattr(failures, "said", lambda *words: answer if words[0] == command else None)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    outcomes._append("smoke", "job", {"slurm": "7", "host": socket.gethostname()})
    assert f": Slurm job 7: {told}; {LOG}" in next(failures.lines(plan))


def test_a_job_that_never_came_to_our_part(plan, two, project):
    """Its number is the name of the log that Slurm wrote."""
    log = project / ".snakemake/slurm_logs/rule_train_job/12.log"
    log.parent.mkdir(parents=True)
    log.touch()
    assert ": Slurm job 12: the cluster does not know it any more;" in next(failures.lines(plan))
