"""A job of several shards: each record is what it would be alone, and none is lost with another."""

from __future__ import annotations

import json
import re

import pytest
import tasks

from structgrad.repro.running.packs import FRESH
from structgrad.repro.running.room import STEP

TOY = {
    "spec": tasks.spec("toy", ["first", "second", "third"]),
    "data": tasks.NO_DATA,
    "train": """import os
from pathlib import Path

from structgrad.errors import UserError
from structgrad.training.job import Trained
from structgrad.training.results import Mean, Result


def train(job):
    with Path("trained.txt").open("a") as log:
        print(job.arm, file=log)
    if job.arm == "second":
        if os.environ.get("TOY") == "refuse":
            raise UserError("the toy refuses")
        if os.environ.get("TOY") == "crash":
            raise RuntimeError("the toy crashes")
    results = [Result(0, "untrained", {"score": Mean(1.0, 1.0, 1)})] * job.count
    return Trained(job.seeds(["data"]), results, {})
""",
}
SMALL = ("experiments=[indelman_1a]", "arms=[direct_stochastic,gumbel_sinkhorn]", "settings=[d=5]", "replicas=2")
RUN = ("-m", "structgrad", "run")
RECORDS = [f"results/smoke/records/toy/n=1/{arm}.0-1.json" for arm in ("first", "second", "third")]
WORKFLOW = ("-m", "snakemake", *RECORDS, "--cores", "1", "--rerun-incomplete", "--config", "experiments=[toy]")


def digests(folder):
    return {path.name: json.loads(path.read_text())["digest"] for path in sorted(folder.glob("*.json"))}


def test_a_record_does_not_depend_on_what_its_job_trained_before(clone, python):
    folder = clone / "results/smoke/records/indelman_1a/d=5"
    names = [f"indelman_1a/d=5/{arm}/0-1" for arm in ("direct_stochastic", "gumbel_sinkhorn")]
    options = [word for pair in SMALL for word in ("--set", pair)]
    python(*RUN, *names, *options)
    together = digests(folder)
    assert len(together) == 2
    for path in folder.glob("*.json"):
        path.unlink()
    python(*RUN, *names[::-1], *options)  # each where the other was
    assert digests(folder) == together


@pytest.fixture(scope="module")
def toy(clone, add_task):
    add_task(clone, "berthet", "toy", TOY)
    return clone


@pytest.mark.parametrize("fault", ["refuse", pytest.param("crash", marks=pytest.mark.slow)])
def test_a_shard_that_fails_takes_no_other_with_it(toy, python, monkeypatch, fault):
    records, log = toy / "results/smoke/records/toy/n=1", toy / "trained.txt"
    names = [f"toy/n=1/{arm}/0-1" for arm in ("first", "second", "third")]
    monkeypatch.setenv("TOY", fault)
    log.unlink(missing_ok=True)
    done = python(*RUN, *names, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "structgrad: 1 of 3 shards failed: toy/n=1/second/0-1"
    assert ("Traceback" in done.stderr) == (fault == "crash")
    assert set(digests(records)) == {"first.0-1.json", "third.0-1.json"}
    for path in records.glob("*"):
        path.unlink()
    logs = toy / "results/smoke/logs/train/toy/n=1"
    last = {path.name: path.read_text().splitlines()[-1].split(" ", 1)[1] for path in logs.glob("*")}
    why = {"refuse": "the toy refuses", "crash": "RuntimeError: the toy crashes"}
    assert last["second.0-1.log"] == f"failed: {why[fault]}"
    assert all(last[f"{arm}.0-1.log"].startswith(f"done: toy/n=1/{arm}/0-1: ") for arm in ("first", "third"))


def test_the_workflow_goes_on_with_what_is_not_finished(toy, python, monkeypatch):
    """Snakemake takes away what a failed job has made; it is not trained again."""
    log = toy / "trained.txt"
    for path in (toy / ".work/smoke/toy").rglob("finished.json"):
        path.unlink()
    log.unlink(missing_ok=True)
    monkeypatch.setenv("TOY", "refuse")
    failed = python(*WORKFLOW, check=False)
    assert failed.returncode != 0
    assert "structgrad: toy/n=1/second/0-1: the toy refuses" in failed.stdout + failed.stderr
    assert log.read_text().split() == ["first", "second", "third"]
    monkeypatch.delenv("TOY")
    python(*WORKFLOW)
    assert log.read_text().split() == ["first", "second", "third", "second"]
    assert len(digests(toy / "results/smoke/records/toy/n=1")) == 3
    monkeypatch.setenv(FRESH, "1")
    monkeypatch.setenv(STEP, str(_step(toy)))  # as inside an allocation: srun is told the job's cores and memory
    python(*WORKFLOW, "--forceall")
    assert log.read_text().split()[4:] == ["first", "second", "third"]
    (told,) = (toy / "steps.txt").read_text().splitlines()
    assert re.fullmatch(r"--cpus-per-task=1 --mem=\d+ python -m structgrad run toy/n=1/first/0-1 .*", told)


def _step(folder):
    """What stands in for srun: it writes down its words and becomes the command among them."""
    script = folder / "step"
    script.write_text(f'#!/bin/sh\necho "$*" >> {folder}/steps.txt\nshift 2\nexec "$@"\n')
    script.chmod(0o755)
    return script


def test_what_a_rule_has_no_part_in_makes_nothing_anew(toy, python):
    data = ("-m", "snakemake", "results/smoke/data/toy.json", "--cores", "1", "--config", "experiments=[toy]")
    python(*data)
    planned = python(*data, "threads=2", "time_budget=60", "--dry-run")
    assert "Nothing to be done" in planned.stdout + planned.stderr
    planned = python(*data, "data_folder=/elsewhere", "--dry-run")  # where its data comes from is its business
    assert "Nothing to be done" not in planned.stdout + planned.stderr
