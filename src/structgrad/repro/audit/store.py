"""A check of the MLflow store, where there is one: a view of the records that people look at before these."""

from __future__ import annotations

from collections.abc import Iterator

from structgrad.errors import UserError
from structgrad.files import sha256
from structgrad.repro.audit.scene import Finding, Scene
from structgrad.repro.evidence.records import RecordError
from structgrad.repro.tracking.ingestion import between_ingests, cells_of
from structgrad.repro.tracking.inspection import RECORD, faults, runs_in
from structgrad.repro.tracking.mlflow_store import FILE, View, artifacts, database


def store_shows_the_records(scene: Scene) -> Iterator[Finding]:
    """the MLflow store, where it lies here, shows the records and nothing else"""
    path = database(scene.plan)
    if not path.is_file() or path.is_symlink():
        return
    try:
        with between_ingests(scene.plan):
            runs = runs_in(path, scene.plan.scale)
        behind = cells_of(scene.cells)
    except (UserError, RecordError) as error:
        yield Finding(scene.name(path), str(error).removeprefix(f"{path}: "))
        return
    by_id = {record["id"]: (of, record) for of, record in scene.sound.items()}
    shown = set()
    for run in runs:
        identity = run.tags.get(RECORD, "unknown")
        if identity not in by_id:
            yield Finding(scene.name(path), f"{identity}: a run of no record that is here")
            continue
        of, record = by_id[identity]
        experiment = scene.whole.experiments[record["experiment"]].experiment
        view = View.of(record, of, experiment, behind.get(of, []))
        shown.add(identity)
        if run.tags.get(FILE) != view.tags[FILE]:
            yield Finding(scene.name(path), f"{identity}: a run of another file (structgrad tracking ingest)")
            continue
        yield from (Finding(scene.name(path), f"{identity}: {fault}") for fault in faults(run, view))
        copy = artifacts(scene.plan) / experiment.stem / run.identity / "artifacts" / "record" / of.name
        if copy.is_file() and (copy.is_symlink() or sha256(copy) != view.tags[FILE]):
            yield Finding(scene.name(copy), f"not the record of {identity}, whose copy it should be")
    lacking = len({record["id"] for record in scene.sound.values()} - shown)
    if lacking:
        scene.notes.append(Finding(scene.name(path), f"{lacking} records are not shown (structgrad tracking ingest)"))
