"""What a training job asks a cluster for."""

from __future__ import annotations

from dataclasses import dataclass

from structgrad.repro.planning.plan import Plan
from structgrad.repro.running.packs import Pack

MOST = 4  # times the first attempt's memory and time that a later one asks for


@dataclass(frozen=True)
class Needs:
    """Memory in MB, time in minutes, cores, GPUs."""

    mem_mb: int
    runtime: int
    threads: int
    gpu: int


def needs(plan: Plan, pack: Pack, attempt: int = 1) -> Needs:
    """What a job needs at an attempt: one that failed may have lacked memory or time, and the next asks for more."""
    times = min(attempt, MOST)
    return Needs(4000 * times, 720 * times, plan.config["threads"], int(plan.config["device"] != "cpu"))
