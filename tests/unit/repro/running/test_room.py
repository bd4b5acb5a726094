"""What jobs may share: of a machine, and of an allocation of Slurm."""

from __future__ import annotations

import psutil
import pytest

from structgrad.errors import UserError
from structgrad.repro.running.devices import VISIBLE
from structgrad.repro.running.room import Room, of_allocation, of_machine, step

TWO_NODES = {"SLURM_JOB_ID": "7", "SLURM_JOB_CPUS_PER_NODE": "16(x2),8"}


def test_a_machine_has_its_memory_and_the_devices_that_are_visible(monkeypatch):
    found = of_machine("2", "cpu")
    assert found.gpu is None
    assert found.mem_mb is not None
    assert 0 < found.mem_mb <= psutil.virtual_memory().total / 1e6
    monkeypatch.setenv(VISIBLE, "0,2,3")
    assert of_machine("2", "cuda").gpu == 3
    assert of_machine("2", "cuda:1").gpu == 1
    with pytest.raises(UserError, match="shows 3 CUDA devices"):
        of_machine("2", "cuda:3")


@pytest.mark.parametrize(
    ("cores", "device", "more", "room"),
    [
        ("all", "cpu", {}, Room("40", None, None)),
        ("4", "cpu", {"SLURM_MEM_PER_NODE": "1000"}, Room("4", 3000, None)),
        ("all", "cuda", {"SLURM_MEM_PER_CPU": "100", "SLURM_GPUS_ON_NODE": "2"}, Room("40", 4000, 6)),
        ("all", "cuda", {"SLURM_GPUS_PER_NODE": "a100:2", "SLURM_GPUS_ON_NODE": "2"}, Room("40", None, 6)),
        ("all", "cuda:0", {"SLURM_GPUS": "4", "SLURM_GPUS_ON_NODE": "2"}, Room("40", None, 4)),
    ],
)
def test_an_allocation_has_what_all_its_nodes_have(cores, device, more, room):
    assert of_allocation(cores, device, TWO_NODES | more) == room


@pytest.mark.parametrize(
    ("environment", "device", "line"),
    [
        ({}, "cpu", "inside an allocation"),
        ({"SLURM_JOB_ID": "7"}, "cpu", "does not say which cores"),
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_CPUS_PER_NODE": "many"}, "cpu", "'many' is not what Slurm writes"),
        (TWO_NODES, "cuda", "this allocation has no GPU"),
    ],
)
def test_what_is_no_allocation_is_one_line(environment, device, line):
    with pytest.raises(UserError, match=line):
        of_allocation("all", device, environment)


def test_words():
    assert Room("all", None, None).words() == ["--cores", "all"]
    assert Room("2", 100, 1).words() == ["--cores", "2", "--resources", "mem_mb=100", "gpu=1"]
    assert "--gpus=1" in step("cuda:0")
    assert "--gpus" not in step("cpu")
