"""What a training job asks for: memory, time, cores, devices, from what its shards should take and the attempt.

On one machine they keep jobs from filling memory and devices; a cluster reserves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from structgrad.repro.planning.plan import Plan
from structgrad.repro.running.estimates import Origin
from structgrad.repro.running.pace import kind_of
from structgrad.repro.running.packs import Pack

# How much more than estimated is asked for at the first attempt: of time, and of memory.
MARGINS: Mapping[Origin, tuple[float, float]] = {"measured": (1.5, 1.25), "scaled": (2.5, 1.5), "guess": (4.0, 2.0)}
GROWTH, MOST = 1.5, 4.0  # from one attempt to the next, and at most
START_MINUTES = 5  # Python, data, kernels
LEAST_MINUTES = 10
MEMORY_STEP = 256  # MB: what is asked for is a multiple of it


@dataclass(frozen=True)
class Needs:
    """Memory in MB, time in minutes, cores, devices."""

    mem_mb: int
    runtime: int
    threads: int
    gpu: int


def needs(plan: Plan, pack: Pack, attempt: int = 1) -> Needs:
    """What a job asks for at an attempt, the first of which is 1.

    Time and memory grow from one attempt to the next. A job never asks for more than ``job_hours`` of config.yaml:
    what takes longer goes on from its checkpoint in the next one; nor for much more than ``time_budget``, where set.
    """
    config = plan.config
    for_time, for_memory = MARGINS[pack.origin]
    more = min(GROWTH ** (attempt - 1), MOST)
    minutes = max(ceil(pack.seconds * for_time / 60 * more) + START_MINUTES, LEAST_MINUTES)
    limits = [60 * config["job_hours"]]
    if config["time_budget"] is not None:
        limits.append(config["time_budget"] / 60 + LEAST_MINUTES)
    memory = MEMORY_STEP * ceil(pack.memory_mb * for_memory * more / MEMORY_STEP)
    return Needs(memory, min(minutes, ceil(min(limits))), config["threads"], int(kind_of(config["device"]) == "cuda"))
