"""The levels of reproducibility that the records promise: whether they may, and how many promise what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from structgrad.repro.audit.scene import Finding, Scene
from structgrad.repro.running.levels import MEANINGS, counted, expected


def levels_are_those_declared(scene: Scene) -> Iterator[Finding]:
    """every level that a record promises is the one that its experiment declares, on its device and machine"""
    for path, record in scene.sound.items():
        experiment, run = scene.whole.experiments[record["experiment"]].experiment, record["run"]
        right = expected(experiment, run)
        if record.get("level", right) != right:
            place = f"{run['device']} of {run['hardware'].get('machine', 'an unknown machine')}"
            fault = f"level: says {record['level']}, but {experiment.name} promises {right} on {place}"
            yield Finding(scene.name(path), fault)


def promises(scene: Scene) -> Iterator[Finding]:
    """Notes: how many records promise which level, and how many are from before there were levels."""
    promised = Counter(record.get("level") for record in scene.sound.values())
    parts = [f"level {level} ({MEANINGS[level]}): {counted(promised[level])}" for level in MEANINGS if promised[level]]
    if parts:
        yield Finding("", "; ".join(parts))
    if promised[None]:
        were, promise = ("was", "promises") if promised[None] == 1 else ("were", "promise")
        yield Finding("", f"{counted(promised[None])} {were} made before levels were declared, and {promise} none")
