"""MLflow as a view of the records: one process fills it after the fact, and it can be deleted and filled again.

No training job ever opens the store: parallel writers break a fresh SQLite file. One run stands for one record
and bears the digest of its file, so a second ingest adds nothing and a changed record replaces its run.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from structgrad.errors import UserError
from structgrad.repro.paths import project_root, results
from structgrad.repro.plan import Plan
from structgrad.repro.records import load
from structgrad.repro.trackable import metrics_of, params_of, tags_of

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
FILE = "structgrad.file"


@dataclass(frozen=True)
class Outcome:
    """How many runs an ingest added, replaced, left alone and deleted."""

    added: int
    replaced: int
    kept: int
    deleted: int

    def __str__(self) -> str:
        return f"{self.added} added, {self.replaced} replaced, {self.kept} already there, {self.deleted} deleted"


def address(plan: Plan) -> str:
    """The store's address for MLflow: the scale's SQLite file, or the server that the configuration names."""
    named = plan.config["tracking"]
    return _sqlite(database(plan)) if named == "sqlite" else named


def database(plan: Plan) -> Path:
    """The scale's SQLite file."""
    return results(plan.scale) / "mlflow.db"


def ingest(plan: Plan) -> Outcome:
    """Bring the store to what the plan's records say.

    Raises:
        UserError: the server does not answer, or the SQLite file is damaged.
        RecordError: a record is damaged; nothing of it is stored.
    """
    with _alone(plan), _explained(plan):
        return _fill(plan, address(plan))


def rebuild(plan: Plan) -> Outcome:
    """Forget the scale's runs and ingest every record anew. A SQLite file is built aside, then put in place."""
    with _alone(plan), _explained(plan):
        if plan.config["tracking"] != "sqlite":
            client = _client(address(plan))
            for run in _runs(client, plan, list(plan.experiments)):
                client.delete_run(run.info.run_id)
            return _fill(plan, address(plan))
        # a name that was never used: MLflow remembers which files it has prepared
        aside = results(plan.scale) / f".mlflow.{uuid4().hex}.db.tmp"
        try:
            outcome = _fill(plan, _sqlite(aside))
            aside.replace(database(plan))
        finally:
            aside.unlink(missing_ok=True)
        return outcome


def status(plan: Plan) -> dict[str, Any]:
    """The store's address, the records on disk and how many of them it shows as they are."""
    paths = [shard.path for shard in plan.shards if shard.path.is_file()]
    known: set[str] = set()
    if plan.config["tracking"] != "sqlite" or database(plan).is_file():
        with _explained(plan):
            runs = _runs(_client(address(plan)), plan, list(plan.experiments))
            known = {run.data.tags.get(FILE, "") for run in runs if run.info.status == "FINISHED"}
    current = sum(_sha256(path) in known for path in paths)
    return {"address": address(plan), "records": len(paths), "current": current, "runs": len(known)}


def _fill(plan: Plan, uri: str) -> Outcome:
    if uri.startswith("sqlite:"):
        results(plan.scale).mkdir(parents=True, exist_ok=True)
    client = _client(uri)
    old: dict[str, list[Any]] = {}
    for run in _runs(client, plan, list(plan.experiments)):
        old.setdefault(run.data.tags.get("structgrad.record", ""), []).append(run)
    added = replaced = kept = deleted = 0
    for shard in plan.shards:
        if not shard.path.is_file():
            continue
        content, there = _sha256(shard.path), old.pop(shard.id, [])
        # a run that is not FINISHED was left by an ingest that was killed
        whole = [run for run in there if run.data.tags.get(FILE) == content and run.info.status == "FINISHED"]
        for run in there:
            if run not in whole[:1]:
                client.delete_run(run.info.run_id)
        if whole:
            kept += 1
            continue
        _store(client, plan, load(shard.path), content)
        replaced, added = replaced + bool(there), added + (not there)
    records = results(plan.scale) / "records"
    for identity, runs in old.items():
        setting, _, name = identity.partition("/")
        if not list((records / setting).glob(f"{_record_name(name)}")):
            for run in runs:
                client.delete_run(run.info.run_id)
                deleted += 1
    return Outcome(added, replaced, kept, deleted)


def _record_name(rest: str) -> str:
    """``d=25/direct/0-199`` as the record's path below its experiment."""
    setting, _, tail = rest.partition("/")
    return f"{setting}/{tail.replace('/', '.')}.json"


def _store(client: Any, plan: Plan, record: Mapping[str, Any], content: str) -> None:
    from mlflow.entities import Metric, Param

    experiment = plan.experiments[record["experiment"]].experiment
    start, end = (_milliseconds(record["run"][key]) for key in ("started", "finished"))
    run = client.create_run(
        _experiment(client, plan, f"{experiment.paper}_{experiment.table}"),
        start_time=start,
        run_name=f"{record['setting']} {experiment.arm(record['arm']).column} {record['id'].rpartition('/')[2]}",
        tags=tags_of(record, experiment) | {FILE: content},
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


def _runs(client: Any, plan: Plan, names: list[str]) -> list[Any]:
    """The runs of this scale that stand for records of those experiments."""
    titles = [f"{plan.experiments[name].experiment.paper}_{plan.experiments[name].experiment.table}" for name in names]
    known = [client.get_experiment_by_name(title) for title in titles]
    chosen = [experiment.experiment_id for experiment in known if experiment is not None]
    found: list[Any] = []
    token = None
    while chosen:
        query = f"tags.`structgrad.scale` = '{plan.scale}'"
        page = client.search_runs(chosen, query, max_results=PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            break
    return found


def prepare() -> None:
    """Make MLflow quiet, private and impatient; call it before MLflow is first imported."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.store.tracking.sqlalchemy_store"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _client(uri: str) -> Any:
    prepare()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def _alone(plan: Plan) -> Iterator[None]:
    """Hold the scale's lock; it goes away with the process, however that ends."""
    path = results(plan.scale) / "logs" / "tracking.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _explained(plan: Plan) -> Iterator[None]:
    """Turn what MLflow raises into one line."""
    prepare()
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        said = re.sub(r"\s+", " ", str(error))[:160]
        if plan.config["tracking"] == "sqlite":
            path = database(plan).relative_to(project_root())
            raise UserError(f"{path} cannot be used ({said}); `structgrad tracking rebuild` makes it anew") from error
        fault = "does not answer" if "Connection" in said or "timed out" in said else f"cannot be used ({said})"
        raise UserError(
            f"the MLflow server at {address(plan)} {fault}; "
            "start it, mend `tracking` in config.yaml, or set it to sqlite"
        ) from error


def _sqlite(path: Path) -> str:
    return f"sqlite:///{path}"


def _name(text: str) -> str:
    """A name that MLflow accepts."""
    return re.sub(r"[^\w\-. :/]", "_", text)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
