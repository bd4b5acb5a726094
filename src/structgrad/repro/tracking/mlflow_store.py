"""The MLflow store: where it is, how to talk to it, its runs, and what goes wrong with it in one line."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from structgrad.errors import UserError
from structgrad.repro.planning.paths import project_root, results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.progress import stage
from structgrad.repro.tracking.trackable import metrics_of, params_of, tags_of

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
FILE = "structgrad.file"


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
        logging.getLogger(name).setLevel(logging.ERROR)


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
            raise UserError(f"{path} cannot be used ({reason}); `structgrad tracking rebuild` makes it anew") from error
        fault = "does not answer" if "Connection" in reason or "timed out" in reason else f"cannot be used ({reason})"
        raise UserError(
            f"the MLflow server at {address(plan)} {fault}; "
            "start it, mend `tracking` in config.yaml, or set it to sqlite"
        ) from error


def runs_of(client: Any, plan: Plan, names: list[str]) -> list[Any]:
    """The runs of this scale that stand for records of those experiments."""
    titles = [f"{plan.experiments[name].experiment.paper}_{plan.experiments[name].experiment.table}" for name in names]
    known = [client.get_experiment_by_name(title) for title in titles]
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


def add_run(client: Any, plan: Plan, record: Mapping[str, Any], file_digest: str) -> None:
    """Write a record as a run, with the digest of its file. Until everything is written it is not FINISHED."""
    from mlflow.entities import Metric, Param

    experiment = plan.experiments[record["experiment"]].experiment
    start, end = (_milliseconds(record["run"][key]) for key in ("started", "finished"))
    run = client.create_run(
        _experiment(client, plan, f"{experiment.paper}_{experiment.table}"),
        start_time=start,
        run_name=f"{record['setting']} {experiment.arm(record['arm']).column} {record['id'].rpartition('/')[2]}",
        tags=tags_of(record, experiment) | {FILE: file_digest},
    )
    identity = run.info.run_id
    params = [Param(_name(key), value) for key, value in params_of(record).items()]
    metrics = [Metric(_name(key), value, end, step) for key, value, step in metrics_of(record, experiment)]
    for first in range(0, len(params), 100):
        client.log_batch(identity, params=params[first : first + 100])
    for first in range(0, len(metrics), BATCH):
        client.log_batch(identity, metrics=metrics[first : first + BATCH])
    client.set_terminated(identity, "FINISHED", end_time=end)


def _experiment(client: Any, plan: Plan, name: str) -> str:
    known = client.get_experiment_by_name(name)
    if known is None:
        local = plan.config["tracking"] == "sqlite"
        # without it, MLflow would put a folder wherever it happens to be started
        place = (results(plan.scale) / "mlartifacts" / name).as_uri() if local else None
        return client.create_experiment(name, artifact_location=place)
    if known.lifecycle_stage == "deleted":
        client.restore_experiment(known.experiment_id)
    return known.experiment_id


def _name(text: str) -> str:
    """A name that MLflow accepts."""
    return re.sub(r"[^\w\-. :/]", "_", text)


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
