"""The trials of a search, one by one: where each looked, how it ended, what it scores, and which one is selected."""

from __future__ import annotations

from typing import Any

from structgrad.repro.evidence.gathering import per_replica, results_of, value_of
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.selection import selected


def trials_of(cell: Cell) -> list[dict[str, Any]]:
    """The trials behind a cell, the first one first; ``value`` is in the metric's unit."""
    results, reports = results_of(cell.evidence), per_replica(cell.evidence, cell.metric)
    ordered = [results[replica] for replica in sorted(reports)]
    best = ordered[selected(ordered)] if ordered else None
    return [
        {
            "trial": result["replica"],
            "validation": result["final"]["validation"],
            "value": value_of(reports[result["replica"]], cell.metric),
            "stopped": result["stopped"],
            "steps": result[f"{cell.experiment.clock}s"],
            "selected": result is best,
            "point": {name: number for name, number in result["final"].items() if name != "validation"},
        }
        for result in ordered
    ]
