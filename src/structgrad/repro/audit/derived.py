"""Checks that rebuild: all that is derived from the records, made anew in memory and compared with the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from structgrad.repro.audit.scene import Finding, Scene
from structgrad.repro.claims import build_claims
from structgrad.repro.evidence.records import RecordError
from structgrad.repro.figures.files import build_figures
from structgrad.repro.figures.number_map import build_map
from structgrad.repro.judging.comparison import first_difference, same_drawing
from structgrad.repro.judging.summary import FAITHFUL, Answer, best_evidence
from structgrad.repro.planning.paths import project_root
from structgrad.repro.report import one_workflow, rocrate
from structgrad.repro.report.page import build_report
from structgrad.repro.tables.files import build_tables
from structgrad.repro.tables.summary import build_summary, summary_paths

DRAWN = (".svg", ".html")


def tables_rebuild(scene: Scene) -> Iterator[Finding]:
    """the tables rebuild from the records, byte for byte"""
    yield from _rebuilt(scene, lambda: build_tables(scene.plan, scene.cells))


def figures_rebuild(scene: Scene) -> Iterator[Finding]:
    """the figures and their data rebuild from the records"""
    yield from _rebuilt(scene, lambda: build_figures(scene.plan, scene.cells))


def claims_rebuild(scene: Scene) -> Iterator[Finding]:
    """the claims' verdicts rebuild from the records, byte for byte"""
    yield from _rebuilt(scene, lambda: {scene.folder / "claims.json": build_claims(scene.plan, scene.cells)})


def report_rebuilds(scene: Scene) -> Iterator[Finding]:
    """the report rebuilds from the records"""
    yield from _rebuilt(scene, lambda: {scene.folder / "report.html": build_report(scene.plan, scene.cells)})


def crate_rebuilds(scene: Scene) -> Iterator[Finding]:
    """the research object describes the files that are there, and holds the workflow"""
    workflow = one_workflow.path_of(scene.plan.scale)
    yield from _rebuilt(scene, lambda: {workflow: one_workflow.text().encode("utf-8")})
    yield from _rebuilt(scene, lambda: {scene.folder / rocrate.NAME: rocrate.build_crate(scene.plan)})


def summary_rebuilds(scene: Scene) -> Iterator[Finding]:
    """the summary of all printed numbers rebuilds from the records of the scales that it draws on"""
    if scene.plan.scale in FAITHFUL and any(path.is_file() for path in summary_paths()):
        yield from _rebuilt(scene, lambda: _summary(best_evidence()))


def _summary(answers: Sequence[Answer]) -> dict[Path, bytes]:
    return build_summary(answers) | build_map(answers)


def _rebuilt(scene: Scene, build: Callable[[], Mapping[Path, bytes]]) -> Iterator[Finding]:
    try:
        contents = build()
    except RecordError as error:
        yield Finding("", f"cannot be rebuilt: {str(error).replace(f'{project_root()}/', '')}")
        return
    for path, expected in contents.items():
        if not path.is_file():
            yield Finding(scene.name(path), "missing: the records give it")
            continue
        actual = path.read_bytes()
        difference = first_difference(actual, expected, path.suffix)
        if difference is None:
            continue
        if path.suffix in DRAWN and same_drawing(actual, expected):
            difference = "drawn on another machine: coordinates differ in their last digits, all else is the same"
            scene.notes.append(Finding(scene.name(path), difference))
            continue
        yield Finding(scene.name(path), difference)
