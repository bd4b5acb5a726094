"""Checks of which files lie where: each in the manifest, each in its place, none that nothing makes."""

from __future__ import annotations

from collections.abc import Iterator

from structgrad.errors import UserError
from structgrad.files import sha256
from structgrad.repro.audit import slices
from structgrad.repro.audit.scene import Finding, Scene, misplaced
from structgrad.repro.report import manifest


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
        elif sha256(there[name]) != listed[name]:
            yield Finding(shown, "changed: its digest is not the manifest's")


def records_are_in_place(scene: Scene) -> Iterator[Finding]:
    """every record lies where its identity says, and the scale asks for it"""
    for path, record in scene.loaded.items():
        if path not in scene.shards:
            yield from slices.uncounted(scene, path)
        elif isinstance(record, dict):
            yield from (Finding(scene.name(path), fault) for fault in misplaced(record, scene.shards[path]))
    for path in sorted((scene.folder / "records").rglob("*")):
        if path.is_file() and path.suffix not in (".json", ".no_data", ".tmp"):
            yield Finding(scene.name(path), "stray: not a record")


def nothing_else_is_shown(scene: Scene) -> Iterator[Finding]:
    """no table or figure lies there that no experiment makes"""
    experiments = [part.experiment for part in scene.whole.experiments.values()]
    known = {
        "tables": {experiment.stem for experiment in experiments},
        "figures": {experiment.stem_of(figure) for experiment in experiments for figure in experiment.figures},
    }
    for folder, stems in known.items():
        for path in sorted((scene.folder / folder).rglob("*")):
            if path.is_file() and path.suffix != ".tmp" and path.stem not in stems:
                yield Finding(scene.name(path), "stray: no experiment of this scale makes it")
