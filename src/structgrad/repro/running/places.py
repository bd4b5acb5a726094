"""Where a training job writes: a shard's own record, or one that stands beside it and replaces nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from structgrad.repro.planning.paths import work
from structgrad.repro.planning.shard import Shard


@dataclass(frozen=True)
class Place:
    """Of a record, and of its checkpoint while it trains."""

    record: Path
    checkpoint: Path


def own(shard: Shard) -> Place:
    """Where tables and workflow look for the shard's record."""
    return Place(shard.path, _work(shard) / "checkpoint.pt")


def again(shard: Shard) -> Place:
    """For a second training that the record is compared with: below ``.work``, which nothing else reads."""
    return Place(_work(shard) / "again" / "record.json", _work(shard) / "again" / "checkpoint.pt")


def below(folder: Path, shard: Shard) -> Place:
    """In a folder that the user names, as records lie below ``results/<scale>/records``."""
    record = folder / shard.experiment / shard.folder / shard.path.name
    return Place(record, record.with_suffix(".checkpoint.pt"))


def _work(shard: Shard) -> Path:
    return work() / shard.scale / shard.id
