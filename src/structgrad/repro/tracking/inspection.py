"""What a SQLite store shows, read as it lies there: MLflow itself would first migrate and lock it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from structgrad.errors import UserError
from structgrad.repro.tracking.mlflow_store import View, stored_name

RECORD, SCALE = "structgrad.record", "structgrad.scale"
QUERIES = {
    "tags": "SELECT run_uuid, key, value FROM tags",
    "params": "SELECT run_uuid, key, value FROM params",
    "metrics": "SELECT run_uuid, key, value, step FROM metrics WHERE NOT is_nan",
    "latest": "SELECT run_uuid, key, value FROM latest_metrics WHERE NOT is_nan",
}
FINISHED = "SELECT run_uuid FROM runs WHERE status = 'FINISHED' AND lifecycle_stage = 'active'"


@dataclass(frozen=True)
class Shown:
    """What a run shows, and its name in MLflow.

    Tags and parameters are by name, metrics by name and step, and the latest of each by name.
    """

    identity: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[tuple[str, int], float]
    latest: dict[str, float]


def runs_in(path: Path, scale: str) -> list[Shown]:
    """The finished runs of a scale.

    Raises:
        UserError: it is no store of MLflow's.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as store:
            runs = {identity: Shown(identity, {}, {}, {}, {}) for (identity,) in store.execute(FINISHED)}
            for what, query in QUERIES.items():
                for identity, key, *rest in store.execute(query):
                    if identity in runs:
                        value, place = rest[0], (key, rest[1]) if what == "metrics" else key
                        getattr(runs[identity], what)[place] = value
    except sqlite3.Error as error:
        raise UserError(f"{path}: not a store of MLflow's ({error})") from error
    return [run for run in runs.values() if run.tags.get(SCALE) == scale]


def faults(run: Shown, view: View) -> Iterator[str]:
    """Where a run differs from what the record and its cells give, the first of each kind."""
    wanted = Shown(
        run.identity,
        {stored_name(key): value for key, value in view.tags.items()},
        {stored_name(key): value for key, value in view.params.items()},
        {(stored_name(key), step): value for key, value, step in view.metrics},
        {},
    )
    for what in ("tags", "params", "metrics"):
        ours, theirs = getattr(wanted, what), getattr(run, what)
        for key in (key for key in ours if theirs.get(key) != ours[key]):
            yield f"{what}: {key} is {theirs.get(key)!r}, the record gives {ours[key]!r}"
            break
    for key in run.metrics.keys() - wanted.metrics.keys():
        yield f"metrics: {key} is none of the record's"
        break
    last: dict[str, tuple[int, float]] = {}
    for (key, step), value in wanted.metrics.items():
        last[key] = max(last.get(key, (step, value)), (step, value))
    for key, (_, value) in last.items():
        if run.latest.get(key) != value:
            yield f"latest metrics: {key} is {run.latest.get(key)!r}, the record gives {value!r}"
            break
