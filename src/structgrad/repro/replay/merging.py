"""What other machines say of a scale's records, by attestations or by whole records of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from structgrad.errors import UserError
from structgrad.repro.documents import DocumentError, parse_json, read_text
from structgrad.repro.evidence import attestations, records
from structgrad.repro.evidence.attestations import Attestation, processor_of
from structgrad.repro.evidence.signatures import SIGSTORE
from structgrad.repro.evidence.words import Word
from structgrad.repro.planning.plan import Plan
from structgrad.repro.replay.outcomes import judge
from structgrad.repro.replay.replaying import Replayed
from structgrad.repro.replay.statement import attestation, machine_of, outcome_of, records_found
from structgrad.repro.running.comparison import compare

BROUGHT = ("records", attestations.FOLDER)  # the folders of a checkout's results that hold what can be merged
SAME = ("config", "seeds", "provenance.data_digest")  # what two trainings of a shard share


@dataclass(frozen=True)
class Brought:
    """What was found in the files and folders that were named.

    ``apart``: what could not be set beside a record of this checkout, and why.
    """

    attestations: list[Attestation] = field(default_factory=list)
    compared: list[Replayed] = field(default_factory=list)
    apart: list[tuple[str, str]] = field(default_factory=list)


def bring(plan: Plan, paths: Iterable[Path]) -> Brought:
    """Read files and folders: attestations as they are, records beside the record of the same shard here.

    Of a folder, such as a checkout's ``results/paper``, only what lies below ``records`` and ``attestations`` is read,
    or all of it where it has neither.

    Raises:
        UserError: a path does not exist, or a file that was named itself is neither, or is damaged.
    """
    brought = Brought()
    for given in paths:
        if not given.exists():
            raise UserError(f"there is no {given}")
        for path in [given] if given.is_file() else sorted(_within(given)):
            try:
                _take(plan, path, brought)
            except UserError as error:
                if given.is_file():
                    raise
                brought.apart.append((str(path), str(error).removeprefix(f"{path}: ")))
    return brought


def statements_of(plan: Plan, compared: Sequence[Replayed]) -> list[dict[str, Any]]:
    """The attestations that whole records amount to, one for each machine and checkout that made some."""
    groups: dict[str, list[Replayed]] = {}
    for one in compared:
        groups.setdefault(json.dumps(machine_of(one.again), sort_keys=True), []).append(one)
    return [attestation(plan.scale, records_found(plan, machine_of(own[0].again), own), own) for own in groups.values()]


def words_of_records(compared: Iterable[Replayed]) -> Iterator[Word]:
    """What records of other machines say."""
    for one in compared:
        ours, theirs = (processor_of(record["run"]["hardware"]) for record in (one.record, one.again))
        moved = outcome_of(one)["moved"]
        yield Word(one.shard.id, one.outcome.verdict, one.outcome.why, ours, theirs, False, moved, "its record")


def _take(plan: Plan, path: Path, brought: Brought) -> None:
    content = parse_json(read_text(path, follow=False), str(path))
    if attestations.is_statement(content):
        brought.attestations.append(attestations.load(path))
        return
    if not isinstance(content, dict) or content.get("schema") != records.SCHEMA:
        raise DocumentError(f"{path}: neither an attestation nor a record")
    other = records.load(path)
    if other["scale"] != plan.scale:
        raise UserError(f"{path}: a record of scale {other['scale']}")
    shard = plan.shard(other["id"])
    if not shard.path.is_file():
        raise UserError(f"{path}: there is no record of {shard.id} here")
    if shard.path.samefile(path):
        return
    ours, experiment = records.load(shard.path), plan.experiments[shard.experiment].experiment
    for difference in compare(ours, other, experiment).made_of:
        if difference.field.startswith(SAME):
            raise UserError(f"{path}: another training than the record here ({difference})")
    brought.compared.append(Replayed(shard, ours, other, judge(ours, other, experiment)))


def _within(folder: Path) -> Iterator[Path]:
    parts = [folder / name for name in BROUGHT if (folder / name).is_dir()] or [folder]
    for part in parts:
        yield from (p for p in part.rglob("*.json") if not p.name.endswith(SIGSTORE))
