"""A training job that is killed, or runs out of its time, ends with the same record as one that is left alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from structgrad.repro import records

ROOT = Path(__file__).parents[2]
SHARD = "indelman_1a/d=10/{arm}/0-9"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder of its own, so that nothing of the checkout is touched."""
    for name in ("workflow", "config.yaml"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(tmp_path))
    return tmp_path


def start(shard, *options):
    command = [sys.executable, "-m", "structgrad", "run", shard, "--scale", "smoke", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, code=0):
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stderr
    return stderr


def record_of(project, arm):
    return project / "results/smoke/records/indelman_1a/d=10" / f"{arm}.0-9.json"


@pytest.mark.parametrize("arm", ["direct_stochastic", "gumbel_sinkhorn"])
def test_killed_and_resumed_is_bit_identical(project, arm):
    shard = SHARD.format(arm=arm)
    finish(start(shard))
    whole = records.load(record_of(project, arm))
    record_of(project, arm).unlink()

    checkpoint = project / ".work/smoke" / shard / "checkpoint.pt"
    victim = start(shard, "--checkpoint-every", "0.05")
    deadline = time.monotonic() + 60
    while not checkpoint.exists():
        assert victim.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate()
    assert not record_of(project, arm).exists()

    finish(start(shard))
    resumed = records.load(record_of(project, arm))
    assert resumed["run"]["resumed"] == 1
    assert records.canonical(resumed) == records.canonical(whole)
    assert not checkpoint.exists()


def test_time_budget_hands_back_with_code_75_and_goes_on(project):
    arm, shard = "direct_stochastic", SHARD.format(arm="direct_stochastic")
    finish(start(shard))
    whole = records.load(record_of(project, arm))
    record_of(project, arm).unlink()

    said = finish(start(shard, "--time-budget", "0.05"), code=75)
    assert "run again to go on" in said
    assert not record_of(project, arm).exists()
    finish(start(shard))
    resumed = records.load(record_of(project, arm))
    assert records.canonical(resumed) == records.canonical(whole)
    assert resumed["run"]["resumed"] == 1


def test_a_checkpoint_of_other_sources_or_a_broken_one_is_not_used(project):
    arm, shard = "direct_stochastic", SHARD.format(arm="direct_stochastic")
    checkpoint = project / ".work/smoke" / shard / "checkpoint.pt"
    finish(start(shard, "--time-budget", "0.05"), code=75)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    finish(start(shard))
    assert json.loads(record_of(project, arm).read_text())["run"]["resumed"] == 0
