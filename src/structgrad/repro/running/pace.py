"""What trainings took: the time, memory and room of every record at hand, of whichever scale."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from structgrad.errors import UserError
from structgrad.experiments import Experiment
from structgrad.repro.evidence.records import peek
from structgrad.repro.planning.paths import project_root
from structgrad.repro.planning.resolve import resolved

EARLY = ("patience", "diverged", "untrained")  # how replicas end that do not reach the end they were set
START, SHARE = 10.0, 0.9  # a run's start takes at most so many seconds, and this share of the shortest run
CLOCKS = ("epochs", "steps", "calls")


def kind_of(device: str) -> str:
    """``cpu`` or ``cuda``: what the time of a training is comparable on."""
    return device.partition(":")[0]


@dataclass(frozen=True)
class Run:
    """What the record of one shard says: whose it is, how it was trained, and what that took.

    ``seconds`` of wall time on one core or device, ``memory_mb`` the process's peak, ``size`` of the record in bytes.
    """

    path: Path
    setting: str
    arm: str
    count: int
    device: str
    seconds: float
    memory_mb: float
    size: int
    config: Mapping[str, Any] = field(hash=False)  # resolved for the setting
    start: float = 0.0  # seconds of it that went before the first step

    @cached_property
    def ends(self) -> list[tuple[str, str, int]]:
        """Of each replica: how it ended, what its experiment's clock counts, and after how many of these it ended."""
        with suppress(OSError, ValueError, KeyError, TypeError, StopIteration):
            results = json.loads(self.path.read_text(encoding="utf-8"))["results"]
            clocks = [next(name for name in CLOCKS if name in each) for each in results]
            return [
                (str(each["stopped"]), clock, int(each[clock])) for each, clock in zip(results, clocks, strict=True)
            ]
        return []


def runs(experiments: Iterable[Experiment]) -> dict[str, list[Run]]:
    """The runs of each experiment, over all scales, in the order of their files."""
    folders = sorted((project_root() / "results").glob("*/records"))
    return {
        each.name: [run for folder in folders for run in _started(list(_below(folder / each.name, each)))]
        for each in experiments
    }


def _started(found: Sequence[Run]) -> list[Run]:
    """The runs of an experiment at a scale; of the shortest hardly anything was training, if it took seconds."""
    start = min([START, *(SHARE * run.seconds for run in found)])
    return [replace(run, start=start) for run in found]


def _below(folder: Path, experiment: Experiment) -> Iterable[Run]:
    for path in sorted(folder.glob("*/*.json")):
        with suppress(UserError, KeyError, TypeError, ValueError, OSError):  # a damaged one is for the audit to name
            ran, setting = peek(path, "run"), peek(path, "setting")
            yield Run(
                path, setting, peek(path, "arm"), peek(path, "replicas")["count"],
                kind_of(ran["device"]), float(ran["seconds"]), float(ran["peak_memory_mb"]), path.stat().st_size,
                json.loads(json.dumps(resolved(experiment, peek(path, "config"), setting))),
            )  # fmt: skip
