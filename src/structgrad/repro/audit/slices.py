"""Records of replicas that other records of the scale hold, too: no table counts them, so they must say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from structgrad.errors import UserError
from structgrad.repro.audit.scene import Finding, Scene, misplaced
from structgrad.repro.planning.shard import Shard
from structgrad.repro.planning.slices import overlaps

SAME = ("config", "level")  # what two trainings of a replica share, beside sources and libraries, to give the same bits
STRAY = "stray: no training job of this scale writes here"


def uncounted(scene: Scene, path: Path) -> Iterator[Finding]:
    """What is wrong with a record that no table takes: it has no place in the scale, or differs from those that count.

    A slice that merely repeats replicas is a note.
    """
    record, shard = scene.loaded[path], _shard_of(scene, path)
    beside = {} if shard is None else _counted(scene, shard)
    if shard is None or not beside:
        yield Finding(scene.name(path), STRAY)
    elif isinstance(record, dict):  # a damaged one is another check's
        faults = [
            *misplaced(record, shard),
            *(fault for other in beside for fault in _differences(scene, record, other)),
        ]
        yield from (Finding(scene.name(path), fault) for fault in faults)
        if not faults:
            counted = ", ".join(scene.name(other) for other in beside)
            scene.notes.append(Finding(scene.name(path), f"spare: no table takes it; its replicas count in {counted}"))


def _shard_of(scene: Scene, path: Path) -> Shard | None:
    """The shard whose record would lie there."""
    try:
        experiment, folder, name = path.relative_to(scene.folder / "records").parts
        arm, span = name.removesuffix(".json").rsplit(".", 1)
        shard = scene.whole.shard(f"{experiment}/{folder}/{arm}/{span}")
    except (ValueError, UserError):
        return None
    return shard if shard.path == path else None


def _counted(scene: Scene, shard: Shard) -> dict[Path, Shard]:
    """The records that count and hold some of its replicas."""
    own = scene.whole.shards_of(shard.experiment, shard.setting, shard.arm)
    return {other.path: other for other in own if other.path in scene.loaded and overlaps(shard, other)}


def _differences(scene: Scene, record: Mapping[str, Any], path: Path) -> Iterator[str]:
    """The replicas that came out otherwise there, where both were trained alike and promise the same bits anywhere."""
    other = scene.loaded[path]
    if not isinstance(other, dict) or any(record.get(field) != other.get(field) for field in SAME):
        return
    made = [each["provenance"][name] for each in (record, other) for name in ("source_digest", "lock_digest")]
    if record.get("level") != 1 or made[:2] != made[2:]:
        return
    known = {result["replica"]: result for result in other["results"]}
    for result in record["results"]:
        if known.get(result["replica"], result) != result:
            yield f"replica {result['replica']}: trained alike, but {scene.name(path)} has other results"
