"""Cells: the records of a plan pooled into one number for every arm x setting x metric, and its verdict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from structgrad.errors import unknown
from structgrad.experiments import Arm, Experiment, Metric
from structgrad.repro.intervals import Estimate, mean, proportion
from structgrad.repro.plan import ExperimentPlan, Plan, Shard
from structgrad.repro.published import Published, lookup
from structgrad.repro.records import RecordError, load
from structgrad.repro.verdicts import Judgement, judge


@dataclass(frozen=True)
class Evidence:
    """One record and where it lies."""

    path: Path
    record: Mapping[str, Any]

    @property
    def mark(self) -> str:
        """The first twelve digits of its digest: how tables name it."""
        return self.record["digest"][:12]


@dataclass(frozen=True)
class Cell:
    """One number: ours (None without a record), the paper's (None if it prints none), and the verdict."""

    experiment: Experiment
    setting: str
    arm: Arm
    metric: Metric
    scale: str
    estimate: Estimate | None
    published: Published | None
    judgement: Judgement
    evidence: tuple[Evidence, ...]

    @property
    def id(self) -> str:
        """``indelman/1a/d=25/Direct/percent_sequences_perfect``."""
        return cell_id(self.experiment, self.setting, self.arm, self.metric)


def cell_id(experiment: Experiment, setting: str, arm: Arm, metric: Metric) -> str:
    """paper/table/row/column/metric."""
    return "/".join((experiment.paper, experiment.table, setting, arm.column, metric.name))


def collect(plan: Plan, name: str) -> list[Cell]:
    """All cells of an experiment, run or not: settings, then arms, then metrics, in their declared order.

    Raises:
        RecordError: a record is damaged, is not the shard it lies at, was trained with other hyper-parameters
            than the plan's, or holds replicas that another record of the cell holds, too.
    """
    experiment = plan.experiments[name].experiment
    return [
        cell
        for setting in experiment.settings
        for arm in experiment.arms
        for cell in _cells(plan, name, setting, arm, experiment.metrics)
    ]


def find(plan: Plan, identity: str) -> Cell:
    """The cell of that id.

    Raises:
        UserError: there is none; the line names the nearest.
    """
    places = {
        cell_id(part.experiment, setting, arm, metric): (name, setting, arm, (metric,))
        for name, part in plan.experiments.items()
        for setting in part.experiment.settings
        for arm in part.experiment.arms
        for metric in part.experiment.metrics
    }
    if identity not in places:
        raise unknown("cell", identity, places)
    return _cells(plan, *places[identity])[0]


def per_replica(evidence: Sequence[Evidence], metric: Metric) -> dict[int, Mapping[str, float]]:
    """What each replica reports for a metric, pooled over the slices of an arm x setting."""
    return {
        result["replica"]: result["metrics"][metric.name]
        for piece in evidence
        for result in piece.record["results"]
        if metric.name in result["metrics"]
    }


def estimate(reports: Sequence[Mapping[str, float]], metric: Metric, identity: str) -> Estimate | None:
    """The pooled value with its interval, in the metric's unit; None without reports."""
    if not reports:
        return None
    if metric.kind == "proportion":
        found = proportion([int(r["successes"]) for r in reports], [int(r["trials"]) for r in reports])
    else:
        found = mean(
            [r["sum"] for r in reports],
            [r["sum_squares"] for r in reports],
            [int(r["count"]) for r in reports],
            seed=seed_of(identity),
            spread_over=metric.spread,
        )
    return found.scaled(metric.factor)


def seed_of(identity: str) -> int:
    """The seed of what is random in deriving a cell: the same on every machine and at every scale."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big")


def _cells(plan: Plan, name: str, setting: str, arm: Arm, metrics: Sequence[Metric]) -> list[Cell]:
    part, shards = plan.experiments[name], plan.shards_of(name, setting, arm.name)
    evidence = tuple(_evidence(part, shards))
    missing = None if evidence else _missing_data(shards)
    return [_cell(plan.scale, part, setting, arm, metric, evidence, missing) for metric in metrics]


def _cell(
    scale: str,
    part: ExperimentPlan,
    setting: str,
    arm: Arm,
    metric: Metric,
    evidence: tuple[Evidence, ...],
    missing: str | None,
) -> Cell:
    experiment = part.experiment
    identity = cell_id(experiment, setting, arm, metric)
    reports = per_replica(evidence, metric)
    ours = estimate([reports[replica] for replica in sorted(reports)], metric, identity)
    published = lookup(experiment.paper, experiment.table, setting, arm.answers, metric.published)
    verdict = judge(
        metric,
        ours,
        published,
        experiment.published_items.get(metric.name),
        cut=None if part.comparable else part.reason,
        missing_data=missing,
    )
    return Cell(experiment, setting, arm, metric, scale, ours, published, verdict, evidence if ours else ())


def _evidence(part: ExperimentPlan, shards: Sequence[Shard]) -> list[Evidence]:
    found, seen = [], dict[int, Path]()
    for shard in sorted(shards, key=lambda shard: shard.first):
        path = shard.path
        if not path.exists():
            continue
        record = _load(path, path.read_bytes())
        _belongs(record, shard, part)
        for result in record["results"]:
            other = seen.setdefault(result["replica"], path)
            if other != path:
                raise RecordError(f"{path}: replica {result['replica']} is in {other}, too")
        found.append(Evidence(path, record))
    return found


@lru_cache(maxsize=2048)
def _load(path: Path, content: bytes) -> Mapping[str, Any]:
    """:func:`structgrad.repro.records.load`, once for each content that the file has had."""
    return load(path)


def _belongs(record: Mapping[str, Any], shard: Shard, part: ExperimentPlan) -> None:
    for field, value in part.identity(shard).items():
        if record[field] != value:
            raise RecordError(f"{shard.path}: {field}: {record[field]!r}, but here belongs {value!r}")
    planned = json.loads(json.dumps(part.config_of(shard.arm)))
    for key, value in planned.items():
        if key not in record["config"] or record["config"][key] != value:
            found = record["config"].get(key, "missing")
            raise RecordError(
                f"{shard.path}: config.{key}: trained with {found!r}, the plan says {value!r}; "
                "move the record away and train it again"
            )
    replicas = [result["replica"] for result in record["results"]]
    if replicas != list(range(shard.first, shard.first + shard.count)):
        raise RecordError(f"{shard.path}: results: not one result for each of replicas {shard.span}")


def _missing_data(shards: Sequence[Shard]) -> str | None:
    """How to get the data that the first of the shards lacks, or None."""
    for shard in shards:
        if shard.left_out:
            return shard.note.read_text(encoding="utf-8").strip()
    return None
