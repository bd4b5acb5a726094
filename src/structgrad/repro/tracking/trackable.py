"""A record as a tracker shows it: flat parameters, tags, and numbers at steps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from structgrad.experiments import Experiment
from structgrad.training.results import pooled, report_of


def params_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The hyper-parameters, and what was trained."""
    shown = {key: record[key] for key in ("paper", "table", "setting", "arm", "scale")}
    shown |= {f"replicas.{key}": value for key, value in record["replicas"].items()}
    return {key: _text(value) for key, value in (shown | record["config"]).items()}


def tags_of(record: Mapping[str, Any], experiment: Experiment) -> dict[str, str]:
    """What finds a run again: its record, sources and place."""
    arm = experiment.arm(record["arm"])
    made, ran, replicas = record["provenance"], record["run"], record["replicas"]
    tags = {
        "structgrad.record": record["id"],
        "structgrad.digest": record["digest"],
        "structgrad.scale": record["scale"],
        "structgrad.replicas": f"{replicas['first']}-{replicas['first'] + replicas['count'] - 1}",
        "structgrad.source": made["source_digest"],
        "structgrad.data": made["data_digest"],
        "structgrad.lock": made["lock_digest"],
        "structgrad.dirty": made["git_dirty"],
        "structgrad.device": ran["device"],
        "structgrad.hardware": ran["hardware"],
        "mlflow.source.git.commit": made["git_commit"],
        "mlflow.source.name": made["command"],
        "mlflow.note.content": f"{experiment.title}: {arm.column} at {record['setting']}. "
        "Filled in from the record; the record is what counts.",
    }
    return {key: _text(value) for key, value in tags.items() if value is not None}


def metrics_of(record: Mapping[str, Any], experiment: Experiment) -> Iterator[tuple[str, float, int]]:
    """(name, value, step): pooled cells and costs at step 0, ``replica/...`` by replica, ``history/...`` by the
    experiment's clock.

    Values are in the tables' units.
    """
    for metric in experiment.metrics:
        reports = {
            result["replica"]: report_of(result["metrics"][metric.name])
            for result in record["results"]
            if metric.name in result["metrics"]
        }
        if reports:
            yield metric.name, pooled(reports.values()) * metric.factor, 0
        for replica, report in reports.items():
            yield f"replica/{metric.name}", report.value * metric.factor, replica
    for result in record["results"]:
        yield f"replica/{experiment.clock}s", float(result[f"{experiment.clock}s"]), result["replica"]
        for key, value in result["final"].items():
            yield f"replica/{key}", float(value), result["replica"]
    steps = record["history"].get(experiment.clock, [])
    for key, values in record["history"].items():
        if key != experiment.clock:
            for step, value in zip(steps, values, strict=False):
                yield f"history/{key}", float(value), int(step)
    for key in ("seconds", "peak_memory_mb"):
        yield key, float(record["run"][key]), 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
