"""The audit: is every number of a scale's results what it claims to be?

A list of small checks. Each yields findings; a finding names the file, and where it can the cell, the line and
the digit. Notes are worth knowing and fail nothing. The chain that is checked:

    regenerated data and seeds -> records (sealed by digests) -> tables, figures, claims, report -> manifest

It cannot detect a record that was made up as a whole, with all that is derived from it rebuilt; only training again
shows that, and what it found can lie beside the records as attestations, which are held to them.
"""

from __future__ import annotations

from collections.abc import Iterator

from structgrad.errors import UserError
from structgrad.repro.audit.attested import attestations_hold
from structgrad.repro.audit.consistency import (
    curves_fit_results,
    metrics_are_whole,
    selections_fit_curves,
    trainings_are_told_apart,
)
from structgrad.repro.audit.data_files import data_files_fit_the_records
from structgrad.repro.audit.derived import (
    claims_rebuild,
    crate_rebuilds,
    figures_rebuild,
    report_rebuilds,
    summary_rebuilds,
    tables_rebuild,
)
from structgrad.repro.audit.forms import files_are_plain
from structgrad.repro.audit.levels import levels_are_those_declared, promises
from structgrad.repro.audit.origins import (
    commits_are_in_history,
    no_record_was_taken_out,
    runs_fit_identities,
    sources_fit_commits,
)
from structgrad.repro.audit.places import manifest_holds, nothing_else_is_shown, records_are_in_place
from structgrad.repro.audit.records import (
    data_is_the_same,
    numbers_are_possible,
    records_are_sealed,
    seeds_follow_from_names,
)
from structgrad.repro.audit.scene import Check, Finding, Scene
from structgrad.repro.audit.store import store_shows_the_records
from structgrad.repro.audit.studies import studies_rebuild
from structgrad.repro.planning.plan import Plan
from structgrad.repro.progress import stage
from structgrad.repro.report import manifest
from structgrad.repro.running.run import trainer_digest

__all__ = ["CHECKS", "Finding", "Scene", "audit"]

CHECKS: tuple[Check, ...] = (
    files_are_plain,
    manifest_holds,
    records_are_sealed,
    records_are_in_place,
    numbers_are_possible,
    metrics_are_whole,
    curves_fit_results,
    selections_fit_curves,
    trainings_are_told_apart,
    seeds_follow_from_names,
    runs_fit_identities,
    commits_are_in_history,
    no_record_was_taken_out,
    sources_fit_commits,
    data_is_the_same,
    attestations_hold,
    data_files_fit_the_records,
    levels_are_those_declared,
    tables_rebuild,
    figures_rebuild,
    claims_rebuild,
    report_rebuilds,
    summary_rebuilds,
    studies_rebuild,
    crate_rebuilds,
    store_shows_the_records,
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
    checked = []
    with stage(f"auditing scale {plan.scale}", len(CHECKS), "checks") as done:
        for check in CHECKS:
            what = str(check.__doc__).strip()
            with stage(what.rstrip(".")):
                checked.append((what, list(check(scene))))
            done()
    return checked, [*scene.notes, *_notes(scene)]


def _notes(scene: Scene) -> Iterator[Finding]:
    lacking = [shard for shard in scene.plan.shards if shard.left_out]
    missing = [shard for shard in scene.plan.shards if not shard.path.is_file() and not shard.left_out]
    for shards, why in ((missing, "not attempted"), (lacking, "no data")):
        if shards:
            yield Finding("", f"{len(shards)} of {len(scene.plan.shards)} training jobs have no record ({why})")
    yield from promises(scene)
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
