"""What the workflow is told: what its jobs share here, and what a profile changes."""

from __future__ import annotations

import pytest

from structgrad.errors import UserError
from structgrad.repro.commands.reproduce import snakemake
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running.devices import VISIBLE


def words(profile, **config):
    return snakemake(load_plan("smoke", config), "2", profile, fresh=False, dry_run=False)


def after(found, option):
    """The words of an option with several."""
    rest = found[found.index(option) + 1 :]
    return rest[: next((at for at, word in enumerate(rest) if word.startswith("--")), len(rest))]


def test_jobs_on_one_machine_share_its_memory_and_devices(project, monkeypatch):
    found = words("local")
    assert after(found, "--cores") == ["2"]
    (memory,) = after(found, "--resources")
    assert memory.startswith("mem_mb=")
    monkeypatch.setenv(VISIBLE, "0,1")
    assert after(words("local", device="cuda"), "--resources")[1:] == ["gpu=2"]


def test_jobs_of_a_pilot_share_the_allocation(project, monkeypatch):
    with pytest.raises(UserError, match="inside an allocation"):
        words("pilot")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_CPUS_PER_NODE", "4(x2)")
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1000")
    found = words("pilot")
    assert after(found, "--cores") == ["2"]
    assert after(found, "--resources") == ["mem_mb=2000"]


def test_a_cluster_has_its_own_room(project):
    assert not {"--cores", "--resources"} & set(words("slurm"))
