"""Which shards of a run failed, and why: by the cluster, the job, and the logs."""

from __future__ import annotations

import os
import socket

import pytest

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


def told(plan, two, begun=()):
    return failures.reasons(plan, two, set(begun))


def attempt(slurm=None, **end):
    outcomes._append("smoke", "job", {"slurm": slurm, "host": socket.gethostname()})
    if end:
        outcomes._append("smoke", "job", end)


def test_a_run_that_did_not_come_to_its_jobs_has_none(plan, two):
    packs.thaw("smoke")
    assert told(plan, two) == {}


def test_what_was_not_begun_waits(plan, two):
    assert told(plan, two) == {}


def test_a_job_that_came_to_none_of_its_shards_failed_with_all_of_them(plan, two):
    attempt(code=2, why="")
    assert told(plan, two) == {
        two[0]: f"exit code 2; structgrad: {two[0].id}: no such thing; {LOG}",
        two[1]: f"exit code 2; last word; {LOG}",
    }


def test_of_a_job_that_came_to_a_shard_the_later_ones_wait(plan, two, project):
    """The log of the shard's own says why, beside what the cluster knows."""
    attempt(slurm="7", code=2, why="")
    two[0].log.parent.mkdir(parents=True)
    two[0].log.write_text("t training on here\nt failed: no disk\n")
    log = two[0].log.relative_to(project)
    why = f"Slurm job 7: the cluster does not know it any more, exit code 2; no disk; {log}"
    assert told(plan, two, begun=two[:1]) == {two[0]: why}


def test_a_killed_job_has_no_exit_code(plan, two):
    attempt()
    assert told(plan, two)[two[1]] == f"last word; {LOG}"


def test_a_job_that_handed_back(plan, two):
    attempt(code=75, why="")
    assert told(plan, two)[two[1]] == f"handed back, a checkpoint waits; last word; {LOG}"


@pytest.mark.parametrize(
    ("command", "answer", "state"),
    [
        ("squeue", "TIMEOUT (TimeLimit)\n", "TIMEOUT (TimeLimit)"),
        ("squeue", "CANCELLED (None)\n", "CANCELLED"),
        ("sacct", "OUT_OF_MEMORY|None\n", "OUT_OF_MEMORY"),
        ("nobody", "", "the cluster does not know it any more"),
    ],
)
def test_slurms_reason(plan, two, monkeypatch, command, answer, state):
    monkeypatch.setattr(failures, "said", lambda *words: answer if words[0] == command else None)
    attempt(slurm="7")
    assert told(plan, two)[two[1]] == f"Slurm job 7: {state}; last word; {LOG}"


def test_a_job_that_never_came_to_our_part(plan, two, project):
    """Its number is the name of the log that Slurm wrote, in this run."""
    log = project / ".snakemake/slurm_logs/rule_train_job/12.log"
    log.parent.mkdir(parents=True)
    log.touch()
    begun = packs.since("smoke")
    os.utime(log, (begun + 1, begun + 1))
    assert told(plan, two)[two[1]].startswith("Slurm job 12: the cluster does not know it any more; ")
    os.utime(log, (begun - 1, begun - 1))
    assert told(plan, two) == {}
