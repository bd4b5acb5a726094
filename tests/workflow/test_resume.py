"""A training job that is killed, or runs out of its time, ends with the same record as one that is left alone."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from structgrad.repro import records

ROOT = Path(__file__).parents[2]
SHARD = "indelman_1a/d=10/{arm}/0-9"
LIMIT = 1800  # seconds until a job counts as stuck: far more than it takes on a machine that does ten other things
DYING = """
import os, signal
from pathlib import Path
from structgrad.repro.cli import main

replace, left = Path.replace, {checkpoints}

def dying(path, target):
    global left
    if target.name == "checkpoint.pt":
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(path, target)

Path.replace = dying
main()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder of its own, so that nothing of the checkout is touched."""
    for name in ("workflow", "config.yaml"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(tmp_path))
    return tmp_path


def run(shard, *options, code=0, program=("-m", "structgrad")):
    command = [sys.executable, *program, "run", shard, "--scale", "smoke", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


def record_of(project, arm):
    return project / "results/smoke/records/indelman_1a/d=10" / f"{arm}.0-9.json"


@pytest.mark.parametrize(("arm", "checkpoints"), [("direct_stochastic", 40), ("gumbel_sinkhorn", 7)])
def test_killed_and_resumed_is_bit_identical(project, arm, checkpoints):
    """It kills itself when it has written one more checkpoint, and not yet put it in the place of the one before."""
    shard = SHARD.format(arm=arm)
    run(shard)
    whole = records.load(record_of(project, arm))
    record_of(project, arm).unlink()

    checkpoint = project / ".work/smoke" / shard / "checkpoint.pt"
    program = "-c", DYING.format(checkpoints=checkpoints)
    run(shard, "--checkpoint-every", "1e-9", code=-signal.SIGKILL, program=program)
    assert checkpoint.exists()
    assert not record_of(project, arm).exists()

    run(shard)
    resumed = records.load(record_of(project, arm))
    assert resumed["run"]["resumed"] == 1
    assert records.canonical(resumed) == records.canonical(whole)
    assert not checkpoint.exists()


def test_time_budget_hands_back_with_code_75_and_goes_on(project):
    arm, shard = "direct_stochastic", SHARD.format(arm="direct_stochastic")
    run(shard)
    whole = records.load(record_of(project, arm))
    record_of(project, arm).unlink()

    said = run(shard, "--time-budget", "1e-9", code=75)  # after one step, on the fastest machine too
    assert "run again to go on" in said
    assert not record_of(project, arm).exists()
    run(shard)
    resumed = records.load(record_of(project, arm))
    assert records.canonical(resumed) == records.canonical(whole)
    assert resumed["run"]["resumed"] == 1


def test_a_checkpoint_of_other_sources_or_a_broken_one_is_not_used(project):
    arm, shard = "direct_stochastic", SHARD.format(arm="direct_stochastic")
    checkpoint = project / ".work/smoke" / shard / "checkpoint.pt"
    run(shard, "--time-budget", "1e-9", code=75)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    run(shard)
    assert json.loads(record_of(project, arm).read_text())["run"]["resumed"] == 0
