"""Checks of ``results/factors``: runs that are what their names say, and pages that follow from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from structgrad.repro.audit.scene import Finding, Scene
from structgrad.repro.documents import DocumentError, read_json
from structgrad.repro.factors.declared import studies
from structgrad.repro.factors.pages import page, page_path
from structgrad.repro.factors.runs import check_replicas, folder, path_of_content
from structgrad.repro.factors.study import answer
from structgrad.repro.judging.comparison import first_difference
from structgrad.repro.judging.summary import FAITHFUL


def studies_rebuild(scene: Scene) -> Iterator[Finding]:
    """every run of a factor study is the one that its name says, and the pages rebuild from the runs"""
    if scene.plan.scale not in FAITHFUL or not folder().is_dir():
        return
    faults = list(_misplaced(scene))
    yield from faults
    if faults:
        return
    pages = {}
    for study in (study for own in studies().values() for study in own):
        if page_path(study).is_file() and (told := answer(study)) is not None:
            pages[page_path(study)] = page(study, told)
    for path, expected in pages.items():
        if difference := first_difference(path.read_bytes(), expected.encode(), path.suffix):
            yield Finding(scene.name(path), difference)
    for path in sorted(folder().glob("*")):
        if path.is_file() and path not in pages:
            yield Finding(scene.name(path), "stray: the page of no study that has runs")


def _misplaced(scene: Scene) -> Iterator[Finding]:
    for path in sorted((folder() / "runs").rglob("*.json")):
        try:
            content = read_json(path, follow=False)
            belongs = path_of_content(content)
            check_replicas(content, path)
        except (DocumentError, ValueError, TypeError, KeyError, AttributeError) as error:
            told = str(error).removeprefix(f"{path}: ")
            yield Finding(scene.name(path), f"not a run: {told}")
            continue
        if belongs != path:
            yield Finding(scene.name(path), f"misplaced: what it says belongs at {_short(belongs)}")


def _short(path: Path) -> str:
    return path.relative_to(folder()).as_posix()
