"""The MLflow store: where it is, how to talk to it, its runs, and what goes wrong with it in one line."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from structgrad.errors import UserError
from structgrad.experiments import Experiment
from structgrad.files import sha256
from structgrad.repro.judging.cells import Cell
from structgrad.repro.planning.paths import project_root, results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.progress import stage
from structgrad.repro.tracking.trackable import (
    cell_metrics,
    description_of,
    metrics_of,
    name_of,
    params_of,
    tags_of,
    verdicts_of,
)

# Set before mlflow is imported: it may not report to anyone, not keep a deleted file open, not retry for minutes,
# and its server need not start eight further processes for jobs that nobody submits.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
BATCH = 1000  # metrics in one call, the most that MLflow takes
PAGE = 1000
PLAIN = "/ @+=,:"  # beside letters and digits: what an address may have in a path as it is
FILE = "structgrad.file"  # the digest of the record's file
VIEW = "structgrad.view"  # the digest of all that its run shows
NOTE = "mlflow.note.content"
REBUILD = "`structgrad tracking rebuild` makes it anew"
HINTS = {  # what SQLite says, and what helps where the file itself is sound
    "database is locked": "while another program writes to it; end that and run again",
    "database or disk is full": "without space on its disk; free some and run again",
    "readonly database": "where it cannot be written; work in a checkout of your own",
    "unable to open database file": "where its folder cannot be written; work in a checkout of your own",
}


def address(plan: Plan) -> str:
    """The store's address for MLflow: the scale's SQLite file, or the server that the configuration names."""
    named = plan.config["tracking"]
    return sqlite(database(plan)) if named == "sqlite" else named


def database(plan: Plan) -> Path:
    """The scale's SQLite file."""
    return results(plan.scale) / "mlflow.db"


def sqlite(path: Path) -> str:
    """A SQLite file's address for MLflow.

    In an address `?` begins a query and `#` and `%` have meanings; SQLite's own form of it (file:) can quote them. The
    driver is named there, for without it MLflow would take ``file:`` for a folder, and make it.
    """
    if quote(str(path), safe=PLAIN) == str(path):
        return f"sqlite:///{path}"
    return f"sqlite+pysqlite:///file:{quote(str(path))}?uri=true"


def prepare() -> None:
    """Make MLflow quiet, private and impatient; call it before MLflow is first imported."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.store.tracking.sqlalchemy_store"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is said here, in one line


def connect(uri: str) -> Any:
    """MLflow's client of the store at that address."""
    prepare()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def explained(plan: Plan) -> Iterator[None]:
    """Turn what MLflow raises into a :class:`UserError` of one line."""
    prepare()
    with stage("loading MLflow"):
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException
        from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        reason = re.sub(r"\s+", " ", str(error))[:160]
        if plan.config["tracking"] == "sqlite":
            path = database(plan).relative_to(project_root())
            why = next((hint for sign, hint in HINTS.items() if sign in reason), f"({reason}); {REBUILD}")
            raise UserError(f"{path} cannot be used {why}") from error
        fault = "does not answer" if "Connection" in reason or "timed out" in reason else f"cannot be used ({reason})"
        raise UserError(
            f"the MLflow server at {address(plan)} {fault}; "
            "start it, mend `tracking` in config.yaml, or set it to sqlite"
        ) from error


def runs_of(client: Any, plan: Plan, names: list[str]) -> list[Any]:
    """The runs of this scale that stand for records of those experiments."""
    known = [client.get_experiment_by_name(plan.experiments[name].experiment.stem) for name in names]
    chosen = [experiment.experiment_id for experiment in known if experiment is not None]
    runs: list[Any] = []
    token = None
    while chosen:
        query = f"tags.`structgrad.scale` = '{plan.scale}'"
        page = client.search_runs(chosen, query, max_results=PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            break
    return runs


@dataclass(frozen=True)
class View:
    """All that a run shows of a record, and the digest of that: what is derived may change while the record stays."""

    record: Mapping[str, Any]
    path: Path
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: tuple[tuple[str, float, int], ...]

    @classmethod
    def of(cls, record: Mapping[str, Any], path: Path, experiment: Experiment, cells: Sequence[Cell]) -> View:
        """Of a record with the cells that it is part of."""
        tags = tags_of(record, experiment) | verdicts_of(cells) | {FILE: sha256(path)}
        metrics = (*cell_metrics(cells), *metrics_of(record, experiment))
        return cls(record, path, name_of(record, experiment), tags, params_of(record), metrics)

    @property
    def digest(self) -> str:
        """sha256 of all of it."""
        content = [self.name, dict(self.tags), dict(self.params), self.metrics]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def add_run(client: Any, plan: Plan, view: View) -> None:
    """Write a run, the record's file with it. Until everything is written it is not FINISHED."""
    from mlflow.entities import Metric, Param

    record = view.record
    start, end = (_milliseconds(record["run"][key]) for key in ("started", "finished"))
    run = client.create_run(
        _experiment(client, plan, plan.experiments[record["experiment"]].experiment),
        start_time=start,
        run_name=view.name,
        tags={stored_name(key): value for key, value in view.tags.items()} | {VIEW: view.digest},
    )
    identity = run.info.run_id
    params = [Param(stored_name(key), value) for key, value in view.params.items()]
    metrics = [Metric(stored_name(key), value, end, step) for key, value, step in view.metrics]
    for first in range(0, len(params), 100):
        client.log_batch(identity, params=params[first : first + 100])
    for first in range(0, len(metrics), BATCH):
        client.log_batch(identity, metrics=metrics[first : first + BATCH])
    client.log_artifact(identity, str(view.path), "record")
    client.set_terminated(identity, "FINISHED", end_time=end)


def sweep(client: Any, plan: Plan) -> None:
    """Delete the artifacts of runs that are gone: MLflow leaves them where a run is deleted."""
    folder = artifacts(plan)
    if plan.config["tracking"] == "sqlite" and folder.is_dir():
        known = {run.info.run_id for run in runs_of(client, plan, list(plan.experiments))}
        for name in plan.experiments:
            for kept in (folder / plan.experiments[name].experiment.stem).glob("*"):
                if kept.name not in known:
                    shutil.rmtree(kept)


def artifacts(plan: Plan) -> Path:
    """Where the artifacts of a SQLite store lie."""
    return database(plan).with_name("mlartifacts")


def _experiment(client: Any, plan: Plan, experiment: Experiment) -> str:
    known, note = client.get_experiment_by_name(experiment.stem), description_of(experiment)
    if known is None:
        local = plan.config["tracking"] == "sqlite"
        # without it, MLflow would put a folder wherever it happens to be started
        place = (artifacts(plan) / experiment.stem).as_uri() if local else None
        return client.create_experiment(experiment.stem, artifact_location=place, tags={NOTE: note})
    if known.lifecycle_stage == "deleted":
        client.restore_experiment(known.experiment_id)
    if known.tags.get(NOTE) != note:
        client.set_experiment_tag(known.experiment_id, NOTE, note)
    return known.experiment_id


def stored_name(text: str) -> str:
    """A name that MLflow accepts."""
    return re.sub(r"[^\w\-. :/]", "_", text)


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
