"""What a run of the workflow came to: which shards trained, which failed and why, what remains, and the hours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from structgrad.repro.evidence.records import RecordError, peek
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running.failures import reasons

MOST = 10  # failures that are told one by one


@dataclass(frozen=True)
class Outcome:
    """``trained`` shards took ``hours`` of a core or device; ``failed`` ones, each with why, began and have no record;
    ``remaining`` ones did not begin.
    """

    trained: Sequence[Shard]
    failed: Mapping[Shard, str]
    remaining: Sequence[Shard]
    hours: float

    def lines(self) -> Iterator[str]:
        """For people: one line, and one for each failure."""
        parts = [f"trained {len(self.trained)} shards in {self.hours:.2f} core-hours"]
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        parts += [f"{len(self.remaining)} remain"] if self.remaining else []
        yield f"this run: {', '.join(parts)}"
        for shard, why in islice(self.failed.items(), MOST):
            yield f"failed: {shard.id}: {why}"
        if len(self.failed) > MOST:
            yield f"... and {len(self.failed) - MOST} more failed"


def watch(plan: Plan) -> Callable[[], Outcome]:
    """Remember what is there before a run; gives what tells, after it, what it came to."""
    shards = plan.shards
    records, logs = _stamps(shards, lambda shard: shard.path), _stamps(shards, lambda shard: shard.log)

    def outcome() -> Outcome:
        now, written = _stamps(shards, lambda shard: shard.path), _stamps(shards, lambda shard: shard.log)
        trained = [shard for shard in shards if now[shard] not in (None, records[shard])]
        without = [shard for shard in shards if now[shard] is None and not shard.left_out]
        failed = reasons(plan, without, {shard for shard in without if written[shard] != logs[shard]})
        remaining = [shard for shard in without if shard not in failed]
        return Outcome(trained, failed, remaining, sum(map(_seconds, trained)) / 3600)

    return outcome


def _stamps(shards: Sequence[Shard], path: Callable[[Shard], Path]) -> Mapping[Shard, int | None]:
    """When each file was written, by the clock of its file system; None where there is none."""
    stamps: dict[Shard, int | None] = dict.fromkeys(shards)
    for shard in shards:
        with suppress(OSError):
            stamps[shard] = path(shard).stat().st_mtime_ns
    return stamps


def _seconds(shard: Shard) -> float:
    with suppress(RecordError, KeyError, TypeError):
        return peek(shard.path, "run")["seconds"]
    return 0.0
