"""What is left to train of a scale, and what it should cost, table by table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from structgrad.repro.evidence.records import RecordError, peek
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running.estimates import ORIGINS, Estimates, Origin, estimates
from structgrad.repro.running.needs import needs
from structgrad.repro.running.pace import kind_of
from structgrad.repro.running.packs import Pack, pack

HOUR = 3600.0
COPIES = 2  # of a record: in results/, and below .work for a job that is stopped


@dataclass(frozen=True)
class Cost:
    """Of an experiment, or of all: how many ``shards`` there are, how many of them are ``left`` to train and in how
    many ``jobs``, and for how many there is ``no_data``; the ``hours`` of cores or devices that jobs hold, by where
    the estimate comes from, and those that its records took; the ``longest`` shard left; what a job asks for at most;
    what the new records take.
    """

    name: str
    shards: int = 0
    left: int = 0
    no_data: int = 0
    jobs: int = 0
    hours: dict[Origin, float] = field(default_factory=lambda: dict.fromkeys(ORIGINS, 0.0))
    spent_hours: float = 0.0
    longest: str | None = None
    longest_hours: float = 0.0
    memory_mb: int = 0
    disk_mb: float = 0.0

    @property
    def total(self) -> float:
        """Hours of one core or device, wherever the estimates come from."""
        return sum(self.hours.values())


def costs(plan: Plan) -> list[Cost]:
    """The cost of each experiment of the plan, packed into jobs as its configuration says."""
    left = [shard for shard in plan.shards if not shard.path.is_file() and not shard.left_out]
    estimate = estimates(plan, left)
    jobs = pack(left, estimate, 60 * plan.config["job_minutes"])
    return [_cost(plan, name, [job for job in jobs if job.experiment == name], estimate) for name in plan.experiments]


def total(parts: Sequence[Cost]) -> Cost:
    """All of them together: sums, and the longest and largest."""
    longest = max(parts, key=lambda part: part.longest_hours, default=Cost("total"))
    return Cost(
        "total",
        shards=sum(part.shards for part in parts),
        left=sum(part.left for part in parts),
        no_data=sum(part.no_data for part in parts),
        jobs=sum(part.jobs for part in parts),
        hours={origin: sum(part.hours[origin] for part in parts) for origin in ORIGINS},
        spent_hours=sum(part.spent_hours for part in parts),
        longest=longest.longest,
        longest_hours=longest.longest_hours,
        memory_mb=max((part.memory_mb for part in parts), default=0),
        disk_mb=sum(part.disk_mb for part in parts),
    )


def wall_hours(part: Cost, side_by_side: int) -> float:
    """How long it takes at least on so many cores or devices: no shard is on two of them at once."""
    return max(part.total / side_by_side, part.longest_hours)


def _cost(plan: Plan, name: str, jobs: Sequence[Pack], estimate: Estimates) -> Cost:
    own = plan.shards_of(name)
    each = {shard: estimate(shard) for job in jobs for shard in job.shards}
    longest = max(each, key=lambda shard: each[shard].seconds, default=None)
    held = plan.config["threads"] if kind_of(plan.config["device"]) == "cpu" else 1  # by a job, busy or not
    hours: dict[Origin, float] = {
        origin: held * sum(one.seconds for one in each.values() if one.origin == origin) / HOUR for origin in ORIGINS
    }
    return Cost(
        name,
        shards=len(own),
        left=len(each),
        no_data=sum(shard.left_out for shard in own),
        jobs=len(jobs),
        hours=hours,
        spent_hours=_spent(own) / HOUR,
        longest=longest and longest.id,
        longest_hours=each[longest].seconds / HOUR if longest else 0.0,
        memory_mb=max((needs(plan, job).mem_mb for job in jobs), default=0),
        disk_mb=COPIES * sum(one.size for one in each.values()) / 1e6,
    )


def _spent(shards: Iterable[Shard]) -> float:
    seconds = 0.0
    for shard in shards:
        if shard.path.is_file():
            with suppress(RecordError, KeyError, TypeError):  # a damaged one is for the audit to name
                seconds += peek(shard.path, "run")["seconds"]
    return seconds
