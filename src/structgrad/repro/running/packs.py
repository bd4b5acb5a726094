"""Pack shards into jobs of a wanted length: a process per shard would spend most of its time on starting up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median

from structgrad.files import write_text
from structgrad.repro.evidence.records import RecordError, peek
from structgrad.repro.planning.paths import work
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard

FRESH = "STRUCTGRAD_FRESH"  # set to 1 where a workflow trains everything anew
UNKNOWN = 60.0  # the assumed seconds of a shard whose experiment has no record at this scale


@dataclass(frozen=True)
class Pack:
    """The shards of one job, all of one experiment, and the seconds that they should take."""

    name: str
    experiment: str
    shards: tuple[Shard, ...]
    seconds: float


def pack(shards: Iterable[Shard], seconds: Callable[[Shard], float], target: float) -> list[Pack]:
    """Jobs of as many shards, in their order, as should end within ``target`` seconds; at least one per job."""
    packs = []
    for experiment, own in groupby(shards, lambda shard: shard.experiment):
        loads: list[list[Shard]] = []
        room = 0.0
        for shard in own:
            if not loads or seconds(shard) > room:
                loads.append([])
                room = target
            loads[-1].append(shard)
            room -= seconds(shard)
        for number, load in enumerate(loads, 1):
            name = f"{experiment}_{number}"
            packs.append(Pack(name, experiment, tuple(load), sum(map(seconds, load))))
    return packs


def estimates(plan: Plan, wanted: Sequence[Shard]) -> Callable[[Shard], float]:
    """The seconds a shard should take, by the records of its arm and setting, else its arm, else its experiment."""
    experiments = {shard.experiment for shard in wanted}
    known: dict[tuple[str, ...], list[float]] = {}
    for shard in plan.shards:
        if shard.experiment in experiments and shard.path.is_file():
            with suppress(RecordError):  # a damaged one is for the tables and the audit to name
                per_replica = peek(shard.path, "run")["seconds"] / shard.count
                for level in (3, 2, 1):
                    known.setdefault(_axes(shard)[:level], []).append(per_replica)

    def seconds(shard: Shard) -> float:
        axes = _axes(shard)
        per_replica = next((known[axes[:level]] for level in (3, 2, 1) if axes[:level] in known), None)
        return UNKNOWN if per_replica is None else median(per_replica) * shard.count

    return seconds


def freeze(scale: str, packs: Sequence[Pack]) -> None:
    """Write down the jobs of a run: processes that plan again, while records come in, must see the same ones."""
    content = [[p.name, p.experiment, [shard.id for shard in p.shards], p.seconds] for p in packs]
    write_text(_file(scale), json.dumps(content) + "\n")


def thaw(scale: str) -> None:
    """Forget the jobs of the run before."""
    _file(scale).unlink(missing_ok=True)


def begun(scale: str) -> bool:
    """Whether a run has come so far that its jobs are written down."""
    return _file(scale).is_file()


def frozen(plan: Plan) -> list[Pack]:
    """The jobs that :func:`freeze` wrote down."""
    content = json.loads(_file(plan.scale).read_text(encoding="utf-8"))
    return [Pack(name, experiment, tuple(map(plan.shard, ids)), seconds) for name, experiment, ids, seconds in content]


def _file(scale: str) -> Path:
    return work() / scale / "packs.json"


def _axes(shard: Shard) -> tuple[str, str, str]:
    return shard.experiment, shard.arm, shard.setting
