"""A training job that is killed, or runs out of its time, ends with the same record as one that is left alone."""

import json
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from structgrad.experiments import REGISTRY
from structgrad.repro.evidence import records

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


def folder_of_a_project(folder):
    """A project folder of its own, so that nothing of the checkout is touched, with short trainings."""
    for name in ("workflow", "config.yaml"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    path = folder / "workflow/scales/smoke.yaml"
    scale = yaml.safe_load(path.read_text())
    arms = [arm.name for arm in REGISTRY["indelman_1a"].arms]
    blocks = [{"settings": ["d=10"], "arms": arms, "replicas": 10}]
    scale["experiments"]["indelman_1a"] |= {"overrides": {"max_epochs": 40}, "blocks": blocks}
    path.write_text(yaml.safe_dump(scale))
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(tmp_path))
    return folder_of_a_project(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an arm's record holds when nothing stops its training."""
    folder = folder_of_a_project(tmp_path_factory.mktemp("whole"))

    @cache
    def record(arm):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STRUCTGRAD_ROOT", str(folder))
            run(SHARD.format(arm=arm))
        return records.canonical(records.load(record_of(folder, arm)))

    return record


def run(shard, *options, code=0, program=("-m", "structgrad")):
    command = [sys.executable, *program, "run", shard, "--scale", "smoke", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


def record_of(project, arm):
    return project / "results/smoke/records/indelman_1a/d=10" / f"{arm}.0-9.json"


@pytest.mark.parametrize(("arm", "checkpoints"), [("direct_stochastic", 25), ("gumbel_sinkhorn", 7)])
def test_killed_and_resumed_is_bit_identical(project, whole, arm, checkpoints):
    """It kills itself when it has written one more checkpoint, and not yet put it in the place of the one before."""
    shard = SHARD.format(arm=arm)
    checkpoint = project / ".work/smoke" / shard / "checkpoint.pt"
    program = "-c", DYING.format(checkpoints=checkpoints)
    run(shard, "--checkpoint-every", "1e-9", code=-signal.SIGKILL, program=program)
    assert checkpoint.exists()
    assert not record_of(project, arm).exists()

    run(shard)
    resumed = records.load(record_of(project, arm))
    assert resumed["run"]["resumed"] == 1
    assert records.canonical(resumed) == whole(arm)
    assert not checkpoint.exists()


def test_time_budget_hands_back_with_code_75_and_goes_on(project, whole):
    arm, shard = "direct_stochastic", SHARD.format(arm="direct_stochastic")
    said = run(shard, "--time-budget", "1e-9", code=75)  # after one step, on the fastest machine too
    assert "run again to go on" in said
    assert not record_of(project, arm).exists()
    run(shard)
    resumed = records.load(record_of(project, arm))
    assert records.canonical(resumed) == whole(arm)
    assert resumed["run"]["resumed"] == 1


TOLD = """
import os, signal
from structgrad.repro.commands.training_bar import TrainingBar
from structgrad.repro.cli import main

show = TrainingBar.__call__

def told(self, step, active, numbers):
    show(self, step, active, numbers)
    if step == 7:
        os.kill(os.getpid(), signal.SIGTERM)

TrainingBar.__call__ = told
main()
"""


def test_told_to_stop_it_saves_its_state_and_ends_with_code_75(project, whole):
    arm, shard = "direct_stochastic", SHARD.format(arm="direct_stochastic")
    said = run(shard, code=75, program=("-c", TOLD))
    assert f"structgrad: {shard}: told to stop, and its state is saved; run again to go on" in said.splitlines()
    assert (project / ".work/smoke" / shard / "checkpoint.pt").exists()
    run(shard)
    resumed = records.load(record_of(project, arm))
    assert records.canonical(resumed) == whole(arm)
    assert resumed["run"]["resumed"] == 1


def test_a_checkpoint_of_other_sources_or_a_broken_one_is_not_used(project):
    arm, shard = "direct_stochastic", SHARD.format(arm="direct_stochastic")
    checkpoint = project / ".work/smoke" / shard / "checkpoint.pt"
    run(shard, "--time-budget", "1e-9", code=75)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    run(shard)
    assert json.loads(record_of(project, arm).read_text())["run"]["resumed"] == 0
