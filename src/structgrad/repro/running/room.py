"""What the jobs share that a workflow starts by itself: cores, memory and devices of this machine, or of an allocation.

In an allocation of Slurm each job is a step of its own (``srun``), on whichever node has room for it; the allocation is
one job in the queue, however many trainings it holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from structgrad.errors import UserError
from structgrad.repro.running.devices import wanted
from structgrad.repro.running.pace import kind_of

PILOT = "pilot"  # the profile that works inside an allocation
STEP = "STRUCTGRAD_STEP"  # what a training job's command line begins with; the rule adds its cores and memory
# A step has its cores to itself, waits for them where none are free, and hears of Ctrl-C at once.
SRUN = "srun --nodes=1 --ntasks=1 --exact --disable-status"


@dataclass(frozen=True)
class Room:
    """Cores (``all``: as many as there are), MB of memory and devices; None where that is not known or not needed."""

    cores: str
    mem_mb: int | None
    gpu: int | None

    def words(self) -> list[str]:
        """Snakemake's options."""
        limits = [f"{name}={value}" for name, value in (("mem_mb", self.mem_mb), ("gpu", self.gpu)) if value]
        return ["--cores", self.cores, *(["--resources", *limits] if limits else [])]


def of_machine(cores: str, device: str) -> Room:
    """The room of this machine: memory that is available now, and devices that a job may lease.

    Raises:
        UserError: there is no such device.
    """
    memory = None
    with suppress(ImportError):
        import psutil

        memory = int(psutil.virtual_memory().available / 1e6)
    return Room(cores, memory, len(wanted(device)) if kind_of(device) == "cuda" else None)


def of_allocation(cores: str, device: str, environment: Mapping[str, str] = os.environ) -> Room:
    """The room of the allocation that this process is in, over all its nodes.

    Raises:
        UserError: it is in none, or the allocation has no device.
    """
    if not environment.get("SLURM_JOB_ID"):
        raise UserError(
            f"the profile {PILOT} works inside an allocation of Slurm: salloc --nodes=2 ..., then the same again, "
            "or put this line in a script for sbatch"
        )
    per_node = _per_node(environment.get("SLURM_JOB_CPUS_PER_NODE", ""))
    cpus, nodes = sum(per_node), len(per_node)
    if not nodes:
        raise UserError("Slurm does not say which cores this allocation has (SLURM_JOB_CPUS_PER_NODE)")
    if environment.get("SLURM_MEM_PER_NODE", "").isdigit():
        memory = int(environment["SLURM_MEM_PER_NODE"]) * nodes
    elif environment.get("SLURM_MEM_PER_CPU", "").isdigit():
        memory = int(environment["SLURM_MEM_PER_CPU"]) * cpus
    else:
        memory = None
    gpu = None
    if kind_of(device) == "cuda":
        gpu = _devices(environment, nodes)
        if not gpu:
            raise UserError("this allocation has no GPU: ask for some (salloc --gpus-per-node=...), or set device: cpu")
    return Room(str(cpus) if cores == "all" else cores, memory, gpu)


def step(device: str) -> str:
    """What a training job's command line begins with inside an allocation, before its cores and memory."""
    return f"{SRUN} --gpus=1" if kind_of(device) == "cuda" else SRUN


def _devices(environment: Mapping[str, str], nodes: int) -> int:
    """How many GPUs there are on all nodes; salloc and sbatch, ``--gpus`` and ``--gres`` say it in different ways."""
    for name, times in (("SLURM_GPUS", 1), ("SLURM_GPUS_PER_NODE", nodes), ("SLURM_GPUS_ON_NODE", nodes)):
        match = re.fullmatch(r"(?:[^,]+:)?(\d+)", environment.get(name, ""))  # 4, or a100:4
        if match:
            return int(match[1]) * times
    return 0


def _per_node(text: str) -> list[int]:
    """``16(x2),8`` as 16, 16, 8."""
    found = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            raise UserError(f"SLURM_JOB_CPUS_PER_NODE: {text!r} is not what Slurm writes")
        found += [int(match[1])] * int(match[2] or 1)
    return found
