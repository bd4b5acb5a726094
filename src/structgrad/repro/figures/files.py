"""Figures: each is a csv of its data, derived from the cells, and an svg drawn from nothing but that csv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from structgrad.experiments import (
    ChosenWords,
    Experiment,
    Figure,
    LearningCurves,
    Lines,
    PathMaps,
    Scatter,
    SearchTrials,
)
from structgrad.files import write_bytes
from structgrad.repro.figures import chosen_words, learning_curves, lines, path_maps, scatter, search_trials
from structgrad.repro.judging.cells import Cells
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan

# The module of each kind of figure: ``data(figure, experiment, cells)`` makes the csv, ``draw(csv, figure, experiment,
# title)`` the svg from it alone, and ``reading(figure, experiment)`` says how to read that.
KINDS: Mapping[type, Any] = {
    Lines: lines,
    Scatter: scatter,
    LearningCurves: learning_curves,
    ChosenWords: chosen_words,
    PathMaps: path_maps,
    SearchTrials: search_trials,
}


def build_figures(plan: Plan, cells: Cells) -> dict[Path, bytes]:
    """Every figure's data and picture, by path, without writing any: the audit compares with this."""
    contents: dict[Path, bytes] = {}
    for name, part in plan.experiments.items():
        experiment = part.experiment
        standing = "" if part.comparable else " (protocol cut, not comparable)"
        for figure in experiment.figures:
            kind = KINDS[type(figure)]
            path = results(plan.scale) / "figures" / f"{experiment.stem_of(figure)}.csv"
            contents[path] = data = kind.data(figure, experiment, cells[name])
            title = f"{called(figure, experiment)}, scale {plan.scale}{standing}"
            contents[path.with_suffix(".svg")] = kind.draw(data, figure, experiment, title)
    return contents


def called(figure: Figure, experiment: Experiment) -> str:
    """``berthet Figure 4: perfect ranks``; a figure without a title is called like its experiment."""
    return f"{experiment.paper} {figure.title}" if figure.title else experiment.full_title


def write_figures(plan: Plan, cells: Cells) -> list[Path]:
    """Write :func:`build_figures` and return the paths."""
    contents = build_figures(plan, cells)
    for path, content in contents.items():
        write_bytes(path, content)
    return list(contents)
