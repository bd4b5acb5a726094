"""Checks of which files lie where: each in the manifest, each in its place, none that nothing makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from structgrad.errors import UserError
from structgrad.files import is_temporary, sha256
from structgrad.repro.audit import slices
from structgrad.repro.audit.scene import Finding, Scene, misplaced
from structgrad.repro.evidence import attestations, signatures
from structgrad.repro.report import manifest, one_workflow, rocrate

COPIES = f"{manifest.STORE_FILES}/*/*/artifacts/record/*.json"
LOGS = (".log", ".done", ".lock")


def manifest_holds(scene: Scene) -> Iterator[Finding]:
    """every file is in the manifest, with the digest that it has"""
    try:
        listed = manifest.read(scene.plan.scale)
    except UserError as error:
        yield Finding("", str(error))
        return
    there = {path.relative_to(scene.folder).as_posix(): path for path in manifest.files(scene.plan.scale)}
    for name in sorted(listed.keys() | there.keys()):
        shown = scene.name(scene.folder / name)
        if name not in there:
            yield Finding(shown, "missing: the manifest lists it")
        elif name not in listed:
            yield Finding(shown, "extra: the manifest does not list it")
        elif _digest(there[name]) not in (listed[name], None):
            yield Finding(shown, "changed: its digest is not the manifest's")


def _digest(path: Path) -> str | None:
    try:
        return sha256(path)
    except OSError:  # which is a finding of its own
        return None


def records_are_in_place(scene: Scene) -> Iterator[Finding]:
    """every record lies where its identity says, and the scale asks for it"""
    for path, record in scene.loaded.items():
        if path not in scene.shards:
            yield from slices.uncounted(scene, path)
        elif isinstance(record, dict):
            yield from (Finding(scene.name(path), fault) for fault in misplaced(record, scene.shards[path]))
    for path in sorted((scene.folder / "records").rglob("*")):
        if path.is_file() and path.suffix not in (".json", ".no_data") and not is_temporary(path):
            yield Finding(scene.name(path), "stray: not a record")


def nothing_else_is_shown(scene: Scene) -> Iterator[Finding]:
    """nothing lies there that nothing here makes"""
    experiments = [part.experiment for part in scene.whole.experiments.values()]
    stems = {experiment.stem for experiment in experiments}
    drawn = {experiment.stem_of(figure) for experiment in experiments for figure in experiment.figures}
    made = {
        *(manifest.NAME, *manifest.STORE, rocrate.NAME, one_workflow.NAME, "claims.json", "report.html"),
        *(f"tables/{stem}.{suffix}" for stem in stems for suffix in ("csv", "md", "html", "tex")),
        *(f"figures/{stem}.{suffix}" for stem in drawn for suffix in ("csv", "svg")),
        *(f"data/{experiment.name}.json" for experiment in experiments),
    }
    for path in sorted(scene.folder.rglob("*")):
        place = path.relative_to(scene.folder)
        if place.parts[0] == "records" or path.is_dir() or is_temporary(path):
            continue
        if place.parts[0] == attestations.FOLDER:
            if len(place.parts) > 2 or not _of_attestations(path):
                yield Finding(scene.name(path), "stray: no attestation, and no signature of one")
        elif place.parts[0] == manifest.STORE_FILES:
            if not place.match(COPIES):
                yield Finding(scene.name(path), "stray: not a record that was copied for MLflow")
        elif place.parts[0] == manifest.LOGS:
            if path.suffix not in LOGS:
                yield Finding(scene.name(path), f"stray: not a log ({', '.join(LOGS)})")
        elif place.as_posix() not in made:
            yield Finding(scene.name(path), "stray: no experiment of this scale makes it")


def _of_attestations(path: Path) -> bool:
    """Whether it is one, or a signature (ssh's or sigstore's) that lies beside the file that it is of."""
    for end in (signatures.SUFFIX, signatures.SIGSTORE):
        if path.name.endswith(end):
            return path.with_name(path.name.removesuffix(end)).is_file()
    return path.suffix == ".json"
