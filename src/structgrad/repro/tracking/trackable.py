"""A record as a tracker shows it: flat parameters, tags, and numbers at steps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from structgrad.experiments import PAPERS, Experiment
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.numbers import fixed
from structgrad.training.results import pooled, report_of


def params_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The hyper-parameters, and what was trained."""
    shown = {key: record[key] for key in ("paper", "table", "setting", "arm", "scale")}
    shown |= {f"replicas.{key}": value for key, value in record["replicas"].items()}
    return {key: _text(value) for key, value in (shown | record["config"]).items()}


def name_of(record: Mapping[str, Any], experiment: Experiment) -> str:
    """``Table 1a | d=25 | Direct | replicas 0-199``: the place in the paper, and which replicas."""
    parts = experiment.heading, record["setting"], experiment.arm(record["arm"]).column
    unit = "trials" if experiment.searches(record["arm"]) else "replicas"
    return " | ".join((*parts, f"{unit} {_span(record)}"))


def description_of(experiment: Experiment) -> str:
    """What the runs of an experiment are, and how their metrics are named."""
    paper = PAPERS[experiment.paper]
    metrics = "\n".join(f"- `{metric.name}`: {metric.title} ({metric.unit})" for metric in experiment.metrics)
    source = f" in {', '.join(paper.authors)}, {paper.title} ({paper.year}, {paper.url})" if not paper.ours else ""
    return (
        f"**{experiment.heading}: {experiment.title}**{source}.\n\n"
        "A run is a record: the replicas of one column at one row, or a slice of them. The record itself is its "
        "artifact, and counts; all else is derived from it.\n\n"
        "- `cell/...` is the table's number over all records of the cell, `.low` and `.high` its 95 % interval, "
        "`.published` the paper's number; the verdict is a tag\n"
        "- `record/...` is the same over this record alone\n"
        "- `replica/...` is one number per replica, so that its last value is the last replica's\n"
        f"- `history/...` is by {experiment.clock}, a mean over replicas\n\n{metrics}"
    )


def verdicts_of(cells: Iterable[Cell]) -> dict[str, str]:
    """Tags that say what the cells of a record come to: ours, the paper's number, and the verdict on it."""
    tags = {}
    for cell in cells:
        ours, theirs, digits = cell.estimate, cell.published, cell.metric.digits
        facts = {
            "cell": cell.id,
            "ours": fixed(ours.value, digits) if ours else "",
            "interval": f"[{fixed(ours.low, digits)}, {fixed(ours.high, digits)}]" if ours and ours.n > 1 else "",
            "published": theirs.text if theirs else "",
            "verdict": cell.judgement.verdict,
            "reason": cell.judgement.reason,
            "answer": "yes" if cell.is_answer else "",
        }
        tags |= {f"{key}.{cell.metric.name}": value for key, value in facts.items() if value}
    return tags


def cell_metrics(cells: Iterable[Cell]) -> Iterator[tuple[str, float, int]]:
    """(name, value, step 0) of the cells of a record: ours with its interval, and the paper's number."""
    for cell in cells:
        ours, theirs, name = cell.estimate, cell.published, f"cell/{cell.metric.name}"
        numbers = {
            name: ours and ours.value,
            f"{name}.low": ours and ours.low,
            f"{name}.high": ours and ours.high,
            f"{name}.published": theirs and theirs.value,
        }
        yield from ((key, float(value), 0) for key, value in numbers.items() if value is not None)


def tags_of(record: Mapping[str, Any], experiment: Experiment) -> dict[str, str]:
    """What finds a run again: its record, sources and place."""
    arm = experiment.arm(record["arm"])
    made, ran = record["provenance"], record["run"]
    tags = {
        "paper": record["paper"],
        "table": experiment.heading,
        "row": record["setting"],
        "column": arm.column,
        "structgrad.record": record["id"],
        "structgrad.digest": record["digest"],
        "structgrad.scale": record["scale"],
        "structgrad.replicas": _span(record),
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
    """(name, value, step): ``record/...``, pooled over its replicas, and costs at step 0, ``replica/...`` by replica,
    ``history/...`` by the experiment's clock.

    Values are in the tables' units.
    """
    for metric in experiment.metrics:
        reports = {
            result["replica"]: report_of(result["metrics"][metric.name])
            for result in record["results"]
            if metric.name in result["metrics"]
        }
        if reports:
            yield f"record/{metric.name}", pooled(reports.values()) * metric.factor, 0
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


def _span(record: Mapping[str, Any]) -> str:
    first, count = record["replicas"]["first"], record["replicas"]["count"]
    return f"{first}-{first + count - 1}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
