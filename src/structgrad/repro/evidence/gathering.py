"""Evidence: the records behind the cells of an arm x setting, and what each of their replicas reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from structgrad.errors import UserError
from structgrad.experiments import Metric
from structgrad.repro.evidence.records import RecordError, parse, text_of
from structgrad.repro.planning.experiment_plan import ExperimentPlan
from structgrad.repro.planning.resolve import resolved
from structgrad.repro.planning.shard import Shard
from structgrad.training.results import Report, report_of


@dataclass(frozen=True)
class Evidence:
    """One record and where it lies."""

    path: Path
    record: Mapping[str, Any]

    @property
    def mark(self) -> str:
        """The first twelve digits of its digest: how tables name it."""
        return self.record["digest"][:12]


def gather(part: ExperimentPlan, shards: Sequence[Shard]) -> list[Evidence]:
    """The records of an arm x setting that are there, in the order of their replicas.

    Raises:
        RecordError: see :func:`structgrad.repro.judging.cells.collect`.
    """
    evidence, seen = [], dict[int, Path]()
    for shard in sorted(shards, key=lambda shard: shard.first):
        path = shard.path
        if not path.exists() and not path.is_symlink():
            continue
        try:
            record = _load(path, text_of(path))
        except RecordError as error:
            anew = f"structgrad run {shard.id} --scale {shard.scale} --fresh"
            raise RecordError(f"{error}; restore it, or train it anew: {anew}") from error
        _belongs(record, shard, part)
        for result in record["results"]:
            other = seen.setdefault(result["replica"], path)
            if other != path:
                raise RecordError(f"{path}: replica {result['replica']} is in {other}, too")
        evidence.append(Evidence(path, record))
    return evidence


def missing_data(shards: Sequence[Shard]) -> str | None:
    """How to get the data that the first of the shards lacks, or None."""
    for shard in shards:
        if shard.left_out:
            return shard.note.read_text(encoding="utf-8").strip()
    return None


def results_of(evidence: Sequence[Evidence]) -> dict[int, Mapping[str, Any]]:
    """The result of each replica, over the slices of an arm x setting."""
    return {result["replica"]: result for piece in evidence for result in piece.record["results"]}


def per_replica(evidence: Sequence[Evidence], metric: Metric) -> dict[int, Report]:
    """What each replica reports for a metric."""
    metrics = {replica: result["metrics"] for replica, result in results_of(evidence).items()}
    return {replica: report_of(of[metric.name]) for replica, of in metrics.items() if metric.name in of}


def value_of(report: Report, metric: Metric) -> float:
    """What one replica reports, as a number in the metric's unit."""
    return report.value * metric.factor


@lru_cache(maxsize=2048)
def _load(path: Path, text: str) -> Mapping[str, Any]:
    """:func:`structgrad.repro.evidence.records.parse`, once for each content that the file has had."""
    return parse(text, path)


def _belongs(record: Mapping[str, Any], shard: Shard, part: ExperimentPlan) -> None:
    for field, value in part.identity(shard).items():
        if record[field] != value:
            raise RecordError(f"{shard.path}: {field}: {record[field]!r}, but here belongs {value!r}")
    planned = json.loads(json.dumps(part.config_for(shard)))
    try:
        trained = resolved(part.experiment, record["config"], shard.setting)
    except (UserError, KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{shard.path}: config: none that {shard.setting} can be trained with ({error})") from error
    for key, value in planned.items():
        if key not in trained or trained[key] != value:
            trained_with = trained.get(key, "missing")
            raise RecordError(
                f"{shard.path}: config.{key}: trained with {trained_with!r}, the plan says {value!r}; "
                "move the record away and train it again"
            )
    if part.experiment.searches(shard.arm):
        for result in record["results"]:
            if "validation" not in result["final"]:
                raise RecordError(f"{shard.path}: replica {result['replica']}: a trial without final.validation")
    for result in record["results"]:
        for name, report in result["metrics"].items():
            try:
                report_of(report)
            except ValueError as error:
                raise RecordError(f"{shard.path}: replica {result['replica']}, {name}: {error}") from error
    replicas = [result["replica"] for result in record["results"]]
    if replicas != list(range(shard.first, shard.first + shard.count)):
        raise RecordError(f"{shard.path}: results: not one result for each of replicas {shard.span}")
