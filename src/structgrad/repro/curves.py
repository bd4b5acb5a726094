"""Training curves of the records, drawn for the report: one panel an arm and quantity, one line a setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from structgrad.experiments import Experiment
from structgrad.repro.cells import Evidence
from structgrad.repro.drawing import legend, picture, stroke

COLUMNS = 3
NAMES = 7  # in a row of the legend
AXES = ("epoch", "active")  # what a curve is drawn against, and how many replicas it is a mean of

History = Mapping[str, Sequence[float]]
Curve = tuple[Sequence[float], Sequence[float]]


def histories(experiment: Experiment, evidence: Sequence[Evidence]) -> dict[tuple[str, str], list[History]]:
    """(arm, setting) -> the histories of its records, one a slice, in the order of the evidence."""
    found: dict[tuple[str, str], list[History]] = {}
    for piece in evidence:
        record = piece.record
        if record["experiment"] == experiment.name:
            found.setdefault((record["arm"], record["setting"]), []).append(record["history"])
    return found


def panels(experiment: Experiment, evidence: Sequence[Evidence]) -> dict[tuple[str, str], dict[str, Curve]]:
    """(arm, quantity) -> setting -> (epochs, values), in declared order; a quantity that never moves is left out.

    Of an arm in slices the first slice is shown: a mean over slices that stop at different epochs would jump.
    """
    found: dict[tuple[str, str], dict[str, Curve]] = {}
    slices = histories(experiment, evidence)
    for arm in experiment.arms:
        for setting in experiment.settings:
            history = slices.get((arm.name, setting), [{}])[0]
            for quantity, values in history.items():
                if quantity not in AXES and len(values) > 1:
                    found.setdefault((arm.name, quantity), {})[setting] = (history["epoch"], values)
    return {place: lines for place, lines in found.items() if any(_moves(values) for _, values in lines.values())}


def draw(experiment: Experiment, evidence: Sequence[Evidence]) -> bytes | None:
    """The panels as one svg; None where no record has a curve."""
    shown = panels(experiment, evidence)
    if not shown:
        return None
    rows = -(-len(shown) // COLUMNS)
    settings = {setting for lines in shown.values() for setting in lines}
    keys = -(-len(settings) // NAMES)  # rows of the legend
    with picture(10.4, 2.7 * rows + 0.3 + 0.2 * keys) as (figure, drawn):
        handles: dict[str, Any] = {}
        for index, ((arm, quantity), lines) in enumerate(shown.items()):
            axes = figure.add_subplot(rows, COLUMNS, index + 1)
            for setting, (epochs, values) in lines.items():
                colour, dash = stroke(experiment.settings.index(setting))
                (handles[setting],) = axes.plot(epochs, values, linestyle=dash, color=colour, linewidth=1.2)
            axes.set_xscale("log")
            axes.set_title(experiment.arm(arm).column, fontsize=9)
            axes.set_xlabel("epoch")
            axes.set_ylabel(quantity)
        named = {setting: handles[setting] for setting in experiment.settings if setting in handles}
        legend(figure, named, columns=min(len(named), NAMES))
    return drawn.getvalue()


def _moves(values: Sequence[float]) -> bool:
    return any(before != after for before, after in pairwise(values))
