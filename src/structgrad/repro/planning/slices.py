"""Slices: the replicas of an arm x setting as records hold them, and what is left to train.

A long shard may be spread over machines by hand (``structgrad run .../0-3`` here, ``.../4-9`` there) or by ``slice`` in
config.yaml. Whichever way the replicas were cut, each is trained and counted once:

* the record of a planned shard counts as it is;
* so does the record of any other range of the planned replicas that overlaps none that counts, lower replicas first,
  the longer of two that begin together;
* what no record holds is left to train, in pieces that end where a planned shard, or a record that counts, begins.

A record that overlaps one that counts is spare: no table takes it, and the audit says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from structgrad.repro.planning.shard import Shard

RECORD = re.compile(r"(?P<arm>[^/.]+)\.(?P<first>\d+)-(?P<last>\d+)\.json")


def settled(planned: Iterable[Shard], size: int | None = None) -> Iterator[Shard]:
    """The shards that take the planned ones' place: those that have a record, and pieces of what has none.

    Args:
        planned: shards of a scale, those of an arm x setting side by side.
        size: at most so many replicas in a piece without a record; None: as planned.
    """
    names = _listing()
    for (_, _, arm), shards in groupby(planned, lambda shard: (shard.experiment, shard.setting, shard.arm)):
        own = list(shards)
        counted = _counted(own, _on_disk(own[0], arm, names(own[0].path.parent)))
        yield from sorted([*counted, *_pieces(own, counted, size)], key=lambda shard: shard.first)


def uncounted(shard: Shard, planned: Sequence[Shard]) -> str | None:
    """Why no table would count a record of the shard, given those planned of its arm x setting; None where it would."""
    held = [other.path.name for other in planned if other != shard and other.path.is_file() and overlaps(shard, other)]
    if held:
        return f"{' and '.join(held)} {'has' if len(held) == 1 else 'have'} some of its replicas already"
    last = max((other.first + other.count for other in planned), default=0) - 1
    return None if shard.first + shard.count - 1 <= last else f"the scale has replicas up to {last} of it"


def overlaps(one: Shard, other: Shard) -> bool:
    """Whether two shards of an arm x setting have a replica in common."""
    return one.first < other.first + other.count and other.first < one.first + one.count


def _counted(planned: Sequence[Shard], there: Sequence[Shard]) -> list[Shard]:
    """The records that count, no two of which overlap."""
    counted = [shard for shard in planned if shard in there]
    inside = range(planned[0].first, planned[-1].first + planned[-1].count)
    for shard in sorted(there, key=lambda shard: (shard.first, -shard.count)):
        within = shard.count and shard.first in inside and shard.first + shard.count - 1 in inside
        if within and not any(overlaps(shard, other) for other in counted):
            counted.append(shard)
    return counted


def _pieces(planned: Sequence[Shard], counted: Sequence[Shard], size: int | None) -> Iterator[Shard]:
    """What of the planned shards no record that counts holds."""
    for shard in planned:
        first, end = shard.first, shard.first + shard.count
        held = [other for other in counted if overlaps(shard, other)]
        for begin, stop in [*sorted((other.first, other.first + other.count) for other in held), (end, end)]:
            step = size or max(begin - first, 1)
            for piece in range(first, begin, step):
                yield replace(shard, first=piece, count=min(step, begin - piece))
            first = max(first, stop)


def _on_disk(shard: Shard, arm: str, names: Iterable[str]) -> list[Shard]:
    found = []
    for match in filter(None, map(RECORD.fullmatch, names)):
        first, last = int(match["first"]), int(match["last"])
        if match["arm"] == arm and first <= last and match[0] == f"{arm}.{first}-{last}.json":
            found.append(replace(shard, first=first, count=last - first + 1))
    return found


def _listing() -> Callable[[Path], Sequence[str]]:
    """The names in a folder, which is read once."""
    known: dict[Path, Sequence[str]] = {}

    def names(folder: Path) -> Sequence[str]:
        if folder not in known:
            known[folder] = ()
            with suppress(OSError):
                known[folder] = sorted(path.name for path in folder.iterdir())
        return known[folder]

    return names
