"""The audit: is every number of a scale's results what it claims to be?

A list of small checks. Each yields findings; a finding names the file, and where it can the cell, the line and
the digit. Notes are worth knowing and fail nothing. The chain that is checked:

    regenerated data and seeds -> records (sealed by digests) -> tables, figures, claims, report -> manifest

What it cannot see is a record that was made up whole and everything derived from it anew; only training again
shows that, and `structgrad explain` prints the command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import isclose
from pathlib import Path
from typing import Any

from structgrad.errors import UserError
from structgrad.repro import manifest, records, rocrate
from structgrad.repro.claims import build_claims
from structgrad.repro.comparison import first_difference, same_drawing
from structgrad.repro.figures import build_figures
from structgrad.repro.paths import project_root, results
from structgrad.repro.plan import Plan, Shard, load_plan
from structgrad.repro.report import build_report
from structgrad.repro.resolve import resolve
from structgrad.repro.run import trainer_digest
from structgrad.repro.tables import build_tables

DRAWN = (".svg", ".html")
DERIVED = ("tables", "figures")  # folders that hold nothing but what the records give


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (or, as a note, worth knowing) with one file."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}" if self.file else self.what


@dataclass
class Scene:
    """The scale under audit, and what several checks need of it."""

    plan: Plan
    notes: list[Finding] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """``results/<scale>``."""
        return results(self.plan.scale)

    @cached_property
    def whole(self) -> Plan:
        """The scale without the configuration's selection: what may lie here from other runs."""
        return load_plan(self.plan.scale, {"experiments": "all", "arms": "all", "settings": "all", "replicas": None})

    @cached_property
    def shards(self) -> dict[Path, Shard]:
        """The shard of each path that a record may lie at."""
        return {shard.path: shard for shard in (*self.whole.shards, *self.plan.shards)}

    @cached_property
    def loaded(self) -> dict[Path, dict[str, Any] | records.RecordError]:
        """Every file below records/ that should be a record, or what is wrong with it."""
        found: dict[Path, dict[str, Any] | records.RecordError] = {}
        for path in sorted((self.folder / "records").rglob("*.json")):
            try:
                found[path] = records.load(path)
            except records.RecordError as error:
                found[path] = error
        return found

    @cached_property
    def sound(self) -> dict[Path, dict[str, Any]]:
        """The records that are whole and are those of the shards that belong where they lie."""
        found = {path: r for path, r in self.loaded.items() if isinstance(r, dict) and path in self.shards}
        return {path: record for path, record in found.items() if not list(_misplaced(record, self.shards[path]))}

    def name(self, path: Path) -> str:
        """The path as people write it, from the project's root."""
        return path.relative_to(project_root()).as_posix() if path.is_relative_to(project_root()) else str(path)


Check = Callable[[Scene], Iterator[Finding]]


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
        elif manifest.sha256(there[name]) != listed[name]:
            yield Finding(shown, "changed: its digest is not the manifest's")


def records_are_sealed(scene: Scene) -> Iterator[Finding]:
    """every record follows the schema and has the digest of its content"""
    for path, found in scene.loaded.items():
        if isinstance(found, records.RecordError):
            told = str(found).removeprefix(f"{path}: ")
            at = _committed_difference(path)
            yield Finding(scene.name(path), told + (f" (against the committed one: {at})" if at else ""))


def records_are_in_place(scene: Scene) -> Iterator[Finding]:
    """every record lies where its identity says, and the scale asks for it"""
    for path, record in scene.loaded.items():
        if path not in scene.shards:
            yield Finding(scene.name(path), "stray: no training job of this scale writes here")
        elif isinstance(record, dict):
            yield from (Finding(scene.name(path), told) for told in _misplaced(record, scene.shards[path]))
    for path in sorted((scene.folder / "records").rglob("*")):
        if path.is_file() and path.suffix not in (".json", ".no_data", ".tmp"):
            yield Finding(scene.name(path), "stray: not a record")


def numbers_are_possible(scene: Scene) -> Iterator[Finding]:
    """no record holds more successes than trials, a share outside [0, 1] or sums that no items have"""
    for path, record in scene.sound.items():
        experiment = scene.whole.experiments[record["experiment"]].experiment
        shares = {metric.name: metric.unit == "%" for metric in experiment.metrics}
        replicas = [result["replica"] for result in record["results"]]
        first, count = record["replicas"]["first"], record["replicas"]["count"]
        if replicas != list(range(first, first + count)):
            yield Finding(scene.name(path), f"results: not one for each of replicas {first}-{first + count - 1}")
        for result in record["results"]:
            for name, report in result["metrics"].items():
                if name not in shares:
                    yield Finding(scene.name(path), f"replica {result['replica']}: there is no metric {name}")
                elif not _possible(report, shares[name]):
                    told = json.dumps(report)
                    yield Finding(scene.name(path), f"replica {result['replica']}, {name}: {told} cannot be")


def seeds_follow_from_names(scene: Scene) -> Iterator[Finding]:
    """every seed is the one that its experiment, setting, arm, replica and role give"""
    from structgrad.training.seeds import seed_for

    for path, record in scene.sound.items():
        first, count = record["replicas"]["first"], record["replicas"]["count"]
        for role, seeds in record["seeds"].items():
            place = record["experiment"], record["setting"]
            shared, own = (
                [seed_for(*place, arm, replica, role) for replica in range(first, first + count)]
                for arm in (None, record["arm"])
            )
            # data is what arms share; of the other roles the experiment says which are
            expected = own if role != "data" and seeds[:1] == own[:1] else shared
            if len(seeds) != count:
                yield Finding(scene.name(path), f"seeds.{role}: {len(seeds)} seeds for {count} replicas")
            elif wrong := [i for i, (a, b) in enumerate(zip(seeds, expected, strict=True)) if a != b]:
                i = wrong[0]
                told = f"seeds.{role}, replica {first + i}: {seeds[i]}, but its names give {expected[i]}"
                yield Finding(scene.name(path), told)


def data_is_the_same(scene: Scene) -> Iterator[Finding]:
    """the data, generated anew, has the digest that the record names"""
    known: dict[str, str] = {}
    for path, record in scene.sound.items():
        experiment = scene.whole.experiments[record["experiment"]].experiment
        key = json.dumps([experiment.digester, record["config"], record["setting"], record["seeds"].get("data")])
        if key not in known:
            seeds = record["seeds"].get("data", [])
            try:
                known[key] = resolve(experiment.digester)(record["config"], record["setting"], seeds)
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                yield Finding(scene.name(path), f"no data can be made from its config and seeds ({error!r})")
                continue
        if record["provenance"]["data_digest"] != known[key]:
            told = f"provenance.data_digest: {record['provenance']['data_digest'][:12]}, but the data made anew has"
            yield Finding(scene.name(path), f"{told} {known[key][:12]}")


def tables_rebuild(scene: Scene) -> Iterator[Finding]:
    """the tables rebuild from the records, byte for byte"""
    yield from _rebuilt(scene, lambda: build_tables(scene.plan))


def figures_rebuild(scene: Scene) -> Iterator[Finding]:
    """the figures and their data rebuild from the records"""
    yield from _rebuilt(scene, lambda: build_figures(scene.plan))


def claims_rebuild(scene: Scene) -> Iterator[Finding]:
    """the claims' verdicts rebuild from the records, byte for byte"""
    yield from _rebuilt(scene, lambda: {scene.folder / "claims.json": build_claims(scene.plan)})


def report_rebuilds(scene: Scene) -> Iterator[Finding]:
    """the report rebuilds from the records"""
    yield from _rebuilt(scene, lambda: {scene.folder / "report.html": build_report(scene.plan)})


def crate_rebuilds(scene: Scene) -> Iterator[Finding]:
    """the research object describes the files that are there"""
    yield from _rebuilt(scene, lambda: {scene.folder / rocrate.NAME: rocrate.build_crate(scene.plan)})


def nothing_else_is_shown(scene: Scene) -> Iterator[Finding]:
    """no table or figure lies there that no experiment makes"""
    known = {f"{p.experiment.paper}_{p.experiment.table}" for p in scene.whole.experiments.values()}
    for folder in DERIVED:
        for path in sorted((scene.folder / folder).rglob("*")):
            if path.is_file() and path.suffix != ".tmp" and path.stem not in known:
                yield Finding(scene.name(path), "stray: no experiment of this scale makes it")


CHECKS: tuple[Check, ...] = (
    manifest_holds,
    records_are_sealed,
    records_are_in_place,
    numbers_are_possible,
    seeds_follow_from_names,
    data_is_the_same,
    tables_rebuild,
    figures_rebuild,
    claims_rebuild,
    report_rebuilds,
    crate_rebuilds,
    nothing_else_is_shown,
)


def audit(plan: Plan) -> tuple[list[tuple[str, list[Finding]]], list[Finding]]:
    """(what was checked, its findings) for each check, and the notes.

    Raises:
        UserError: there is nothing to audit.
    """
    scene = Scene(plan)
    if not scene.loaded and not (scene.folder / manifest.NAME).is_file():
        name = scene.name(scene.folder)
        raise UserError(f"nothing to audit in {name}; run: structgrad reproduce --scale {plan.scale}")
    told = [(str(check.__doc__).strip(), list(check(scene))) for check in CHECKS]
    return told, [*scene.notes, *_notes(scene)]


def _rebuilt(scene: Scene, build: Callable[[], Mapping[Path, bytes]]) -> Iterator[Finding]:
    try:
        contents = build()
    except records.RecordError as error:
        yield Finding("", f"cannot be rebuilt: {str(error).replace(f'{project_root()}/', '')}")
        return
    for path, expected in contents.items():
        if not path.is_file():
            yield Finding(scene.name(path), "missing: the records give it")
            continue
        found = path.read_bytes()
        told = first_difference(found, expected, path.suffix)
        if told is None:
            continue
        if path.suffix in DRAWN and same_drawing(found, expected):
            told = "drawn on another machine: coordinates differ in their last digits, all else is the same"
            scene.notes.append(Finding(scene.name(path), told))
            continue
        yield Finding(scene.name(path), told)


def _misplaced(record: Mapping[str, Any], shard: Shard) -> Iterator[str]:
    expected = {
        "id": shard.id,
        "scale": shard.scale,
        "experiment": shard.experiment,
        "setting": shard.setting,
        "arm": shard.arm,
        "replicas": {"first": shard.first, "count": shard.count},
    }
    for key, value in expected.items():
        if record[key] != value:
            yield f"{key}: says {record[key]!r}, but here belongs {value!r}"


def _possible(report: Mapping[str, float], share: bool) -> bool:
    if "trials" in report:
        return report["successes"] <= report["trials"]
    total, squares, count = report["sum"], report["sum_squares"], report["count"]
    # sum^2 / n <= sum of squares (Cauchy-Schwarz); where items are shares also sum of squares <= sum <= n
    ordered = [total * total / count, squares, *([total, count] if share else [])]
    return all(a <= b or isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in pairwise(ordered))


def _committed_difference(path: Path) -> str | None:
    """Where a file differs from the committed one, where there is one."""
    import subprocess

    root = project_root()
    name = path.relative_to(root).as_posix()
    try:
        shown = subprocess.run(["git", "-C", str(root), "show", f"HEAD:./{name}"], capture_output=True, check=True)
        told = first_difference(path.read_bytes(), shown.stdout, path.suffix)
    except (OSError, subprocess.CalledProcessError):
        return None
    return told and told.replace("rebuilding gives", "was")


def _notes(scene: Scene) -> Iterator[Finding]:
    missing = [shard for shard in scene.plan.shards if not shard.path.is_file()]
    if missing:
        yield Finding("", f"{len(missing)} of {len(scene.plan.shards)} training jobs have no record (not attempted)")
    aged: dict[str, int] = {}
    dirty = 0
    for record in scene.sound.values():
        today = trainer_digest(scene.whole, record["experiment"])
        aged[record["experiment"]] = aged.get(record["experiment"], 0) + (
            record["provenance"]["source_digest"] != today
        )
        dirty += bool(record["provenance"]["git_dirty"])
    for name, count in aged.items():
        if count:
            yield Finding("", f"{name}: {count} records were made by other sources than today's")
    if dirty:
        yield Finding("", f"{dirty} records were made with uncommitted changes in the checkout")
