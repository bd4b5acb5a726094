"""Figures: each is a csv of its data, derived from the cells, and an svg drawn from nothing but that csv."""

from __future__ import annotations

from pathlib import Path

from structgrad.experiments import Lines, Scatter
from structgrad.files import write_bytes
from structgrad.repro import lines, scatter
from structgrad.repro.cells import collect
from structgrad.repro.paths import results
from structgrad.repro.plan import Plan

# The module of each kind of figure: its ``data`` makes the csv, its ``draw`` the svg; ``READING`` says how to read it.
KINDS = {Lines: lines, Scatter: scatter}


def build_figures(plan: Plan) -> dict[Path, bytes]:
    """Every figure's data and picture, by path, without writing any: the audit compares with this."""
    contents: dict[Path, bytes] = {}
    for name, part in plan.experiments.items():
        experiment = part.experiment
        kind = KINDS[type(experiment.figure)]
        path = results(plan.scale) / "figures" / f"{experiment.paper}_{experiment.table}.csv"
        contents[path] = data = kind.data(experiment, collect(plan, name))
        standing = "" if part.comparable else " (protocol cut, not comparable)"
        title = f"{experiment.paper} Table {experiment.table}: {experiment.title}"
        title += f", scale {plan.scale}{standing}"
        contents[path.with_suffix(".svg")] = kind.draw(data, experiment, title)
    return contents


def write_figures(plan: Plan) -> list[Path]:
    """Write :func:`build_figures` and return the paths."""
    contents = build_figures(plan)
    for path, content in contents.items():
        write_bytes(path, content)
    return list(contents)
