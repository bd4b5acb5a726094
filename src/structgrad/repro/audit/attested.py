"""Checks of ``results/<scale>/attestations``: each is as it was written, of the records here, and says what follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from structgrad.errors import UserError
from structgrad.files import sha256
from structgrad.repro.audit.scene import Finding, Scene
from structgrad.repro.evidence import attestations, signatures
from structgrad.repro.evidence.attestations import Attestation, AttestationError, numbers_digest, processor_of
from structgrad.repro.replay.drawing import draw, pool_digest
from structgrad.repro.replay.outcomes import Outcome
from structgrad.repro.replay.replaying import made_up_below, proven
from structgrad.repro.running import git


def attestations_hold(scene: Scene) -> Iterator[Finding]:
    """every attestation is as it was written, is of these records, and says no more than follows from it"""
    unchecked = 0
    for path in attestations.paths_of(scene.plan.scale):
        try:
            found = attestations.load(path)
        except AttestationError as error:
            yield Finding(scene.name(path), str(error).removeprefix(f"{path}: "))
            continue
        if path.name != attestations.name_of(found.content):
            told = "changed: its name is that of another content"
            yield Finding(scene.name(path), f"{told} ({attestations.name_of(found.content)})")
        for fault in (*_subjects(scene, found), *_words(found), *_draw(scene, found), *_commit(found)):
            yield Finding(scene.name(path), fault)
        if signatures.signature_of(path).is_file():
            unchecked += not signatures.available()
            if signatures.available() and (fault := signatures.fault(path)):
                yield Finding(scene.name(signatures.signature_of(path)), f"no signature of this attestation: {fault}")
    if unchecked:
        told = f"the signatures of {unchecked} attestations could not be checked: there is no {signatures.TOOL}"
        scene.notes.append(Finding("", told))


def _subjects(scene: Scene, found: Attestation) -> Iterator[str]:
    if found.predicate["scale"] != scene.plan.scale:
        yield f"of scale {found.predicate['scale']}"
        return
    records = {record["id"]: (path, record) for path, record in scene.sound.items()}
    for (name, digest), said in zip(found.subjects, found.outcomes, strict=True):
        path, record = records.get(said["shard"], (Path(), None))
        if record is None:
            yield f"{said['shard']}: there is no record of it"
        elif name != path.relative_to(scene.folder).as_posix():
            yield f"{said['shard']}: its record is not {name}"
        elif digest != sha256(path):
            yield f"{said['shard']}: of another record than is here: attest anew, or delete it"
        else:
            yield from (f"{said['shard']}: {fault}" for fault in _record(said, record))


def _record(said: Mapping[str, Any], record: Mapping[str, Any]) -> Iterator[str]:
    own = {
        "record": record["digest"],
        "numbers": numbers_digest(record),
        "processor": processor_of(record["run"]["hardware"]),
    }
    for key, value in own.items():
        if said[key] != value:
            yield f"{key}: says {said[key]}, the record {value}"
    if (said["verdict"] == "identical") != (said["numbers"] == said["again"]["numbers"]):
        yield f"verdict: says {said['verdict']}, but its digests of the numbers say otherwise"


def _words(found: Attestation) -> Iterator[str]:
    """What it says that all this proves."""
    predicate, draw_of = found.predicate, found.predicate["draw"]
    if (draw_of is None) != (predicate["found_by"] == "records") or (draw_of is None) != (
        predicate["made_up_below"] is None
    ):
        yield "draw: there for a replay, and for nothing else"
        return
    if draw_of is None:
        return
    outcomes = [Outcome(said["verdict"], said["why"]) for said in found.outcomes]
    if predicate["made_up_below"] != made_up_below(outcomes):
        yield f"made_up_below: says {predicate['made_up_below']}, its outcomes give {made_up_below(outcomes)}"
    if predicate["proves"] != (told := proven(draw_of["records"], draw_of["minutes"] is not None, outcomes)):
        yield f"proves: says {predicate['proves']!r}, its outcomes give {told!r}"


def _draw(scene: Scene, found: Attestation) -> Iterator[str]:
    """Whether its text draws what it holds, where the records are still those that it drew from."""
    draw_of = found.predicate["draw"]
    if draw_of is None:
        return
    seconds = {record["id"]: record["run"]["seconds"] for record in scene.sound.values()}
    pool = {name: took for name, took in seconds.items() if name not in draw_of["without_data"]}
    if pool_digest(pool) != draw_of["pool"]:
        told = "it drew from other records than are here now, so that its draw could not be repeated"
        scene.notes.append(Finding(scene.name(found.path), told))
        return
    drawn = draw(pool, draw_of["count"], draw_of["seed"], draw_of["minutes"])
    if drawn != [said["shard"] for said in found.outcomes]:
        yield f"its seed draws others, of which the first is {drawn[0]}"


def _commit(found: Attestation) -> Iterator[str]:
    commit = found.predicate["by"]["git_commit"]
    try:
        known, shallow = git.history()
    except (git.NoRepositoryError, UserError):  # a note of another check
        return
    if commit is not None and commit not in known and not shallow:
        yield f"by.git_commit: {commit[:12]} is not in this history"
