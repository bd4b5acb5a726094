"""Inside one allocation every training is a step of it, and steps that ask for a GPU see different ones."""

from __future__ import annotations

import re
import subprocess
import sys

import clones
import pytest
from runs import LONG

from structgrad.repro.running.room import SRUN, STEP, step

ARMS = ("one", "two", "three")


@pytest.fixture(scope="module")
def pilot(cluster, project):
    """Three trainings went through an allocation of two cores; the project, and what Snakemake said."""
    project.mark("open", ARMS)
    records = [f"results/smoke/records/walk/n=1/{arm}.0-1.json" for arm in ARMS]
    words = ["--profile", "workflow/profiles/pilot", "--cores", "2", "--resources", "mem_mb=9000"]
    done = subprocess.run(
        [
            *("salloc", "--ntasks=2", "--mem=9000", "env", f"{STEP}={step('cpu')}"),
            *(sys.executable, "-m", "snakemake", *records, *words),
            *("--config", "experiments=[walk]", "job_minutes=0"),
        ],
        cwd=project.folder,
        env=clones.variables(project.folder, cluster.variables),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_each_training_is_a_step_of_one_job(pilot):
    logs = [(pilot.folder / f"results/smoke/logs/train/walk/n=1/{arm}.0-1.log").read_text() for arm in ARMS]
    found = [re.search(r"Slurm job (\d+), step (\d+)", log) for log in logs]
    steps = {(match[1], match[2]) for match in found if match}
    assert len(steps) == 3
    assert len({job for job, _ in steps}) == 1


def test_the_records_are_those_of_a_run_without_a_cluster(pilot):
    for arm in ARMS:
        done = pilot.command("run", f"walk/n=1/{arm}/0-1", "--into", "apart")
        assert done.returncode == 0, done.stderr
        assert pilot.record(arm)["digest"] == pilot.record(arm, "apart")["digest"]


def test_steps_see_different_devices(cluster, project):
    """Two of them at a time, each for a moment; a third has to wait."""
    words = f"{SRUN} --gpus=1 --cpus-per-task=1 --mem=1000 sh -c 'echo sees $CUDA_VISIBLE_DEVICES; sleep 2'"
    inner = words.replace("$", "\\$").replace("'", '"')
    script = f"{inner} & {inner} & wait"
    done = subprocess.run(
        ["salloc", "--ntasks=2", "--mem=9000", "--gpus=2", "sh", "-c", script],
        env=clones.variables(project.folder, cluster.variables), capture_output=True, text=True, check=True,
        timeout=LONG,
    )  # fmt: skip
    assert sorted(re.findall(r"sees (\d+)", done.stdout)) == ["0", "1"]
