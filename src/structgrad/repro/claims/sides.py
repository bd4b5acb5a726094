"""The sides of a claim: which arm of which experiment stands on each, or which arms that are one search together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from structgrad.experiments import Arm, Experiment
from structgrad.repro.evidence.gathering import Evidence
from structgrad.repro.judging.cells import Cell, trials
from structgrad.repro.judging.selection import Selection

Side = Mapping[str, Any]


def sides(claim: Mapping[str, Any]) -> list[Side]:
    """The claim's sides as {experiment, arm}, {experiment, column} or {experiment, columns}."""
    return [{"experiment": claim["experiment"], **claim[key]} for key in ("first", "second") if key in claim]


def arms_of(side: Side, setting: str, experiment: Experiment) -> list[Arm]:
    """The arms of a side at a setting: the one that it names, or the main reading of each column that it names."""
    if "arm" in side:
        return [experiment.arm(side["arm"])]
    columns = side["columns"] if "columns" in side else [side["column"]]
    return [
        next(arm for arm in experiment.arms if arm.answers == column and arm.is_main(setting)) for column in columns
    ]


def one_search(cells: Sequence[Cell]) -> Cell:
    """The cell of a search over all trials of several arms: whichever of them validates best is selected.

    Without an estimate where one of the arms has none: the best of those that ran is not the best of all.

    Raises:
        ValueError: several arms of an experiment that does not search.
    """
    if len(cells) == 1:
        return cells[0]
    first = cells[0]
    if not first.experiment.selected_by:
        raise ValueError(f"{first.experiment.name} does not search: a side of a claim about it is one arm")
    if any(cell.estimate is None for cell in cells):
        return replace(first, estimate=None, evidence=())
    evidence: list[Evidence] = []
    offset = 0
    for cell in cells:
        evidence += [Evidence(piece.path, _from(piece.record, offset)) for piece in cell.evidence]
        offset += 1 + max(result["replica"] for piece in cell.evidence for result in piece.record["results"])
    estimate = Selection.of(trials(evidence, first.metric)).estimate()
    return replace(first, estimate=estimate, evidence=tuple(evidence))


def _from(record: Mapping[str, Any], offset: int) -> Mapping[str, Any]:
    """A record with its trials' numbers counted from ``offset``: those of several arms would be the same."""
    results = [{**result, "replica": result["replica"] + offset} for result in record["results"]]
    return {**record, "results": results}
