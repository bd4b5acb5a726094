"""Training curves of the records, drawn for the report: one panel per arm and quantity, one line per setting."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from structgrad.experiments import Experiment
from structgrad.repro.evidence.gathering import Evidence
from structgrad.repro.figures.drawing import legend, picture, stroke
from structgrad.repro.judging.selection import selected

COLUMNS = 3
NAMES = 7  # in a row of the legend
POINTS = 36  # of a curve
FINER = re.compile(rb"(\d\.\d)\d+\b")  # than a tenth of a point, in panels by the hundred

History = Mapping[str, Sequence[float]]
Curve = tuple[Sequence[float], Sequence[float]]


def shown(experiment: Experiment, evidence: Sequence[Evidence]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """(arm, setting) -> the records whose histories are shown, one per slice, in the order of the evidence.

    Of a search it is the record of the selected trial: the others have other hyper-parameters.
    """
    by_place: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for piece in evidence:
        record = piece.record
        if record["experiment"] == experiment.name:
            by_place.setdefault((record["arm"], record["setting"]), []).append(record)
    for (arm, setting), records in by_place.items():
        if experiment.searches(arm):
            owners = [(result, record) for record in records for result in record["results"]]
            by_place[arm, setting] = [owners[selected([result for result, _ in owners])][1]]
    return by_place


def panels(experiment: Experiment, evidence: Sequence[Evidence]) -> dict[tuple[str, str], dict[str, Curve]]:
    """(arm, quantity) -> setting -> (times, values), in declared order; a quantity that never moves is left out.

    Of an arm in slices the first slice is shown: a mean over slices that stop at different epochs would jump.
    """
    curves: dict[tuple[str, str], dict[str, Curve]] = {}
    records = shown(experiment, evidence)
    for arm in experiment.arms:
        for setting in experiment.settings:
            slices = records.get((arm.name, setting))
            history = slices[0]["history"] if slices else {}
            for quantity, values in history.items():
                if quantity not in (experiment.clock, "active") and len(values) > 1:
                    curves.setdefault((arm.name, quantity), {})[setting] = (history[experiment.clock], values)
    return {place: lines for place, lines in curves.items() if any(_moves(values) for _, values in lines.values())}


def draw(experiment: Experiment, evidence: Sequence[Evidence]) -> bytes | None:
    """The panels as one svg; None where no record has a curve."""
    curves = panels(experiment, evidence)
    if not curves:
        return None
    rows = -(-len(curves) // COLUMNS)
    settings = {setting for lines in curves.values() for setting in lines}
    keys = -(-len(settings) // NAMES)  # rows of the legend
    with picture(10.4, 2.7 * rows + 0.3 + 0.2 * keys) as (figure, drawn):
        handles: dict[str, Any] = {}
        for index, ((arm, quantity), lines) in enumerate(curves.items()):
            axes = figure.add_subplot(rows, COLUMNS, index + 1)
            for setting, (times, values) in lines.items():
                colour, dash = stroke(experiment.settings.index(setting))
                places = _spread(len(times))
                x, y = ([line[place] for place in places] for line in (times, values))
                (handles[setting],) = axes.plot(x, y, linestyle=dash, color=colour, linewidth=1.2)
            axes.set_xscale("log")
            axes.minorticks_off()
            axes.set_title(experiment.arm(arm).column, fontsize=9)
            axes.set_xlabel(experiment.clock)
            axes.set_ylabel(quantity)
        named = {setting: handles[setting] for setting in experiment.settings if setting in handles}
        legend(figure, named, columns=min(len(named), NAMES))
    return FINER.sub(rb"\1", drawn.getvalue())


def _spread(count: int) -> list[int]:
    """The places of at most so many points of a curve as a small panel shows, even on its logarithmic axis."""
    if count <= POINTS:
        return list(range(count))
    return sorted({round(count ** (place / (POINTS - 1))) - 1 for place in range(POINTS)})


def _moves(values: Sequence[float]) -> bool:
    return any(before != after for before, after in pairwise(values))
