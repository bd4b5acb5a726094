"""What training a shard should take, learned from records: time, memory, and room for its record.

Where the estimate comes from is part of it:

* ``measured``: records of the same arm at the same setting with the same hyper-parameters and about as many replicas;
* ``scaled``: records of the arm at the setting with other ones (another scale's, say), else of the arm elsewhere, else
  of its experiment, times what :mod:`structgrad.repro.running.work` says of the difference, up to :data:`FAR`;
* ``guess``: what is further, no record of the experiment on such a device (but on another), or the median shard of the
  plan.

References, which learn nothing, tell of each other, and learners of learners. Times are those of the machines that
made the records, which the estimate does not know to be faster or slower.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log
from statistics import median
from typing import Any, Literal

from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running.pace import Run, kind_of, runs
from structgrad.repro.running.work import memory_ratio, replicas_ratio, time_ratio

Origin = Literal["measured", "scaled", "guess"]
ORIGINS: tuple[Origin, ...] = ("measured", "scaled", "guess")
UNKNOWN_SECONDS = 60.0  # of a shard where no record tells anything
UNKNOWN_MB = 1500.0
BASE_MB = 600.0  # what a process takes that has imported torch and trains nothing; the rest grows with the work
UNKNOWN_BYTES = 10_000.0
TINY = 1e-9  # work that is none
FAR = 30.0  # times as much work, or as little, that a record still tells of
NEAR = 4.0  # times as many replicas, or as few, that what is measured still tells of
ALIKE = 0.1  # the logarithm of a ratio of work that makes no difference


@dataclass(frozen=True)
class Estimate:
    """Seconds on one core (or device), peak memory in MB, bytes of the record, and where these come from."""

    seconds: float
    memory_mb: float
    size: float
    origin: Origin


Estimates = Callable[[Shard], Estimate]


def estimates(plan: Plan, wanted: Sequence[Shard]) -> Estimates:
    """What each of the wanted shards should take."""
    names = {shard.experiment for shard in wanted}
    known = runs(plan.experiments[name].experiment for name in sorted(names))
    device = kind_of(plan.config.get("device", "cpu"))
    found: dict[Shard, Estimate] = {}
    for shard in wanted:
        part = plan.experiments[shard.experiment]
        learns = {arm.name: not arm.reference for arm in part.experiment.arms}
        config = json.loads(json.dumps(part.config_for(shard)))  # as a record has it
        alike = [run for run in known[shard.experiment] if learns.get(run.arm) == learns[shard.arm]]
        estimate = _estimate(shard, config, alike, device)
        if estimate is not None:
            found[shard] = estimate
    guess = _guess([found[shard].seconds / shard.count for shard in found])
    return lambda shard: found.get(shard) or guess(shard)


def weakest(origins: Sequence[Origin]) -> Origin:
    """Of what comes from several places, the least certain."""
    return ORIGINS[max(map(ORIGINS.index, origins), default=-1)]


def _guess(per_replica: Sequence[float]) -> Estimates:
    usual = median(per_replica) if per_replica else None
    return lambda shard: Estimate(
        UNKNOWN_SECONDS if usual is None else usual * shard.count, UNKNOWN_MB, UNKNOWN_BYTES, "guess"
    )


def _estimate(shard: Shard, config: Mapping[str, Any], known: Sequence[Run], device: str) -> Estimate | None:
    on_device = [run for run in known if run.device == device]
    for group in _nearest(shard, on_device or known):
        same = [run for run in group if _is(run, shard) and run.config == config]
        chosen = _nearest_in_number(same, shard.count) if same else _least_scaled(group, config)
        work = [time_ratio(run, config) * replicas_ratio(run, shard.count) for run in chosen]
        far = max(abs(log(max(ratio, TINY))) for ratio in work)
        origin: Origin = "measured" if same and far <= log(NEAR) else "scaled" if far <= log(FAR) else "guess"
        return Estimate(
            median(run.start + (run.seconds - run.start) * ratio for run, ratio in zip(chosen, work, strict=True)),
            max(_memory(run, config, shard.count) for run in chosen),
            median(run.size / run.count for run in chosen) * shard.count,
            origin if on_device else "guess",
        )
    return None


def _nearest_in_number(same: Sequence[Run], count: int) -> list[Run]:
    far = [abs(log(run.count / count)) for run in same]
    return [run for run, off in zip(same, far, strict=True) if off <= min(far) + ALIKE]


def _nearest(shard: Shard, known: Sequence[Run]) -> Iterator[list[Run]]:
    """The runs of its arm at its setting; of its arm; of its experiment; those that there are."""
    own = [run for run in known if run.arm == shard.arm]
    for group in ([run for run in own if run.setting == shard.setting], own, list(known)):
        if group:
            yield group


def _least_scaled(group: Sequence[Run], config: Mapping[str, Any]) -> list[Run]:
    """Of each arm at each setting the runs whose work is nearest to that of the hyper-parameters."""
    far = {run.path: abs(log(max(time_ratio(run, config), TINY))) for run in group}
    least: dict[tuple[str, str], float] = {}
    for run in group:
        place = run.arm, run.setting
        least[place] = min(far[run.path], least.get(place, inf))
    return [run for run in group if far[run.path] <= least[run.arm, run.setting] + ALIKE]


def _memory(run: Run, config: Mapping[str, Any], count: int) -> float:
    """The peak of ``count`` replicas, should all of them train side by side; no less than the run's own."""
    more = memory_ratio(run, config, count)
    return run.memory_mb + max(run.memory_mb - BASE_MB, 0.0) * max(more - 1.0, 0.0)


def _is(run: Run, shard: Shard) -> bool:
    return (run.arm, run.setting) == (shard.arm, shard.setting)
