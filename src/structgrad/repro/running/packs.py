"""Pack shards into jobs of a wanted length: a process per shard would spend most of its time on starting up.

Snakemake's own way, groups of jobs, adds up the cores of what could run side by side (six jobs of one core ask for a
node of six) and starts a process for each; here a job is one process that trains its shards one after the other, so
that it asks for what one of them uses, and a shard that fails or is stopped loses nothing of the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from structgrad.files import write_text
from structgrad.repro.planning.paths import work
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running.estimates import Estimate, Origin, weakest

FRESH = "STRUCTGRAD_FRESH"  # set to 1 where a workflow trains everything anew


@dataclass(frozen=True)
class Pack:
    """The shards of one job, all of one experiment; the seconds and MB that it should take, and how that is known."""

    name: str
    experiment: str
    shards: tuple[Shard, ...]
    seconds: float
    memory_mb: float
    origin: Origin


def pack(shards: Iterable[Shard], estimate: Callable[[Shard], Estimate], target: float) -> list[Pack]:
    """Jobs of as many shards as should end within ``target`` seconds; at least one per job.

    First fit: a shard goes into the first job of its experiment that has room for it. So of an experiment's jobs at
    most one should take less than half of ``target``.
    """
    return [
        _pack(f"{experiment}_{number}", experiment, load, estimate)
        for experiment, own in groupby(shards, lambda shard: shard.experiment)
        for number, load in enumerate(_loads(own, lambda shard: estimate(shard).seconds, target), 1)
    ]


def _loads(shards: Iterable[Shard], seconds: Callable[[Shard], float], target: float) -> list[list[Shard]]:
    loads: list[list[Shard]] = []
    rooms: list[float] = []
    for shard in shards:
        number = next((number for number, room in enumerate(rooms) if seconds(shard) <= room), len(loads))
        if number == len(loads):
            loads.append([])
            rooms.append(target)
        loads[number].append(shard)
        rooms[number] -= seconds(shard)
    return loads


def _pack(name: str, experiment: str, load: Sequence[Shard], estimate: Callable[[Shard], Estimate]) -> Pack:
    each = [estimate(shard) for shard in load]
    return Pack(
        name, experiment, tuple(load), sum(one.seconds for one in each), max(one.memory_mb for one in each),
        weakest([one.origin for one in each]),
    )  # fmt: skip


def freeze(scale: str, packs: Sequence[Pack], wanted: Iterable[Shard]) -> None:
    """Write down the jobs of a run, and the shards it wants records of, trained or not.

    Processes that plan again, while records come in, must see the same ones.
    """
    jobs = [[p.name, p.experiment, [s.id for s in p.shards], p.seconds, p.memory_mb, p.origin] for p in packs]
    content = {"packs": jobs, "shards": [shard.id for shard in wanted]}
    write_text(_file(scale), json.dumps(content) + "\n")


def thaw(scale: str) -> None:
    """Forget the jobs of the run before."""
    _file(scale).unlink(missing_ok=True)


def begun(scale: str) -> bool:
    """Whether a run has come so far that its jobs are written down."""
    return _file(scale).is_file()


def since(scale: str) -> float:
    """When the jobs of the run were written down, by the clock of the file system."""
    return _file(scale).stat().st_mtime


def frozen(plan: Plan) -> tuple[list[Pack], list[Shard]]:
    """The jobs and shards that :func:`freeze` wrote down."""
    content = json.loads(_file(plan.scale).read_text(encoding="utf-8"))
    known = {shard.id: shard for shard in plan.shards}
    shard = {identity: known.get(identity) or plan.shard(identity) for identity in content["shards"]}
    return [
        Pack(name, experiment, tuple(shard[identity] for identity in ids), *rest)
        for name, experiment, ids, *rest in content["packs"]
    ], list(shard.values())


def _file(scale: str) -> Path:
    return work() / scale / "packs.json"
