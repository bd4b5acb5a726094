"""MLflow as a view of the records: one process fills it after the fact, and it can be deleted and filled again.

No training job ever opens the store: parallel writers break a fresh SQLite file. One run stands for one record and
bears the digest of its file and of all that it shows, so that a second ingest adds nothing, and a changed record, or
another verdict on its cells, replaces its run.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from structgrad.files import sha256
from structgrad.repro.evidence.records import load
from structgrad.repro.judging.cells import Cell, Cells, collect_all
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.progress import stage
from structgrad.repro.tracking.mlflow_store import (
    FILE,
    VIEW,
    View,
    add_run,
    address,
    connect,
    database,
    explained,
    runs_of,
    sqlite,
    sweep,
)


@dataclass(frozen=True)
class Ingested:
    """How many runs an ingest added, replaced, left alone and deleted."""

    added: int
    replaced: int
    kept: int
    deleted: int

    def __str__(self) -> str:
        return f"{self.added} added, {self.replaced} replaced, {self.kept} already there, {self.deleted} deleted"


def ingest(plan: Plan) -> Ingested:
    """Bring the store to what the plan's records say.

    Raises:
        UserError: the server does not answer, or the SQLite file is damaged.
        RecordError: a record is damaged; nothing of it is stored.
    """
    with _alone(plan), explained(plan):
        return _fill(plan, address(plan))


def rebuild(plan: Plan) -> Ingested:
    """Forget the scale's runs and ingest every record anew. A SQLite file is built aside, then put in place."""
    with _alone(plan), explained(plan):
        if plan.config["tracking"] != "sqlite":
            client = connect(address(plan))
            for run in runs_of(client, plan, list(plan.experiments)):
                client.delete_run(run.info.run_id)
            return _fill(plan, address(plan))
        # a name that was never used: MLflow remembers which files it has prepared
        aside = results(plan.scale) / f".mlflow.{uuid4().hex}.db.tmp"
        try:
            ingested = _fill(plan, sqlite(aside))
            aside.replace(database(plan))
        finally:
            aside.unlink(missing_ok=True)
        return ingested


def status(plan: Plan) -> dict[str, Any]:
    """The store's address, the records on disk and how many of them it shows as they are."""
    paths = [shard.path for shard in plan.shards if shard.path.is_file()]
    known: set[str] = set()
    if plan.config["tracking"] != "sqlite" or database(plan).is_file():
        with explained(plan):
            runs = runs_of(connect(address(plan)), plan, list(plan.experiments))
            known = {run.data.tags.get(FILE, "") for run in runs if run.info.status == "FINISHED"}
    current = sum(sha256(path) in known for path in paths)
    return {"address": address(plan), "records": len(paths), "current": current, "runs": len(known)}


def _fill(plan: Plan, uri: str) -> Ingested:
    if uri.startswith("sqlite"):
        results(plan.scale).mkdir(parents=True, exist_ok=True)
    client = connect(uri)
    old: dict[str, list[Any]] = {}
    for run in runs_of(client, plan, list(plan.experiments)):
        old.setdefault(run.data.tags.get("structgrad.record", ""), []).append(run)
    added = replaced = kept = deleted = 0
    shards = [shard for shard in plan.shards if shard.path.is_file()]
    behind = cells_of(collect_all(plan)) if shards else {}
    with stage("writing runs", len(shards), "records") as written:
        for shard in shards:
            experiment, there = plan.experiments[shard.experiment].experiment, old.pop(shard.id, [])
            view = View.of(load(shard.path), shard.path, experiment, behind.get(shard.path, []))
            # a run that is not FINISHED was left by an ingest that was killed
            whole = [run for run in there if run.data.tags.get(VIEW) == view.digest and run.info.status == "FINISHED"]
            for run in there:
                if run not in whole[:1]:
                    client.delete_run(run.info.run_id)
            if whole:
                kept += 1
            else:
                add_run(client, plan, view)
                replaced, added = replaced + bool(there), added + (not there)
            written()
    records = results(plan.scale) / "records"
    for identity, runs in old.items():
        setting, _, name = identity.partition("/")
        if not list((records / setting).glob(f"{_record_name(name)}")):
            for run in runs:
                client.delete_run(run.info.run_id)
                deleted += 1
    sweep(client, plan)
    return Ingested(added, replaced, kept, deleted)


def cells_of(cells: Cells) -> dict[Path, list[Cell]]:
    """The cells that each record is part of."""
    behind: dict[Path, list[Cell]] = {}
    for own in cells.values():
        for cell in own:
            for piece in cell.evidence:
                behind.setdefault(piece.path, []).append(cell)
    return behind


def _record_name(rest: str) -> str:
    """``d=25/direct/0-199`` as the record's path below its experiment."""
    setting, _, tail = rest.partition("/")
    return f"{setting}/{tail.replace('/', '.')}.json"


@contextmanager
def between_ingests(plan: Plan) -> Iterator[None]:
    """Wait for an ingest that is at work, and keep the next one waiting; nothing is written for it."""
    try:
        lock = _lock(plan).open("rb")
    except OSError:  # no ingest has been here
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _lock(plan: Plan) -> Path:
    return results(plan.scale) / "logs" / "tracking.lock"


@contextmanager
def _alone(plan: Plan) -> Iterator[None]:
    """Hold the scale's lock; it goes away with the process, however that ends."""
    path = _lock(plan)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
