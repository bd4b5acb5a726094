"""The report's plain words: how a paper stands, in one sentence, and what is doubtful about a printed number."""

from __future__ import annotations

from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.rule import SLACK
from structgrad.repro.judging.verdicts import NO_EXPERIMENT
from structgrad.repro.report.standings import Standing

PHRASES = {  # of each verdict, after one and after more
    "reproduced": ("comes out as printed", "come out as printed"),
    "inconclusive": ("agrees, but not precisely enough to say so", "agree, but not precisely enough to say so"),
    "shifted": ("is off, if perhaps by no more than matters", "are off, if perhaps by no more than matters"),
    "differs": ("differs", "differ"),
    "misprint": ("cannot be as it is printed", "cannot be as they are printed"),
    "not_comparable": ("ran in a form too short to compare", "ran in a form too short to compare"),
    "not_attempted": ("has not been run", "have not been run"),
    "no_data": ("lacks its data", "lack their data"),
    NO_EXPERIMENT: ("has no experiment yet", "have no experiment yet"),
}


def sentence(standing: Standing) -> str:
    """``Of the 108 numbers that it prints, 60 come out as printed (12 of them ...), 2 differ and ...``."""
    strong = f" ({standing.equivalent} of them for certain within the margin)" if standing.equivalent else ""
    parts = [
        f"{count} {PHRASES[state][count > 1]}{strong if state == 'reproduced' else ''}"
        for state, count in standing.counts.items()
        if count
    ]
    said = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    return f"Of the {standing.total} numbers that it prints, {said}."


def doubt(cell: Cell) -> str:
    """What is suspect about the printed value itself; empty where nothing is."""
    metric, theirs = cell.metric, cell.published
    if theirs is None or metric.kind != "proportion":
        return ""
    if not 0 <= theirs.value <= metric.factor:
        return f"{theirs.text} lies outside 0 to {metric.factor:g}: a misprint"
    items = cell.experiment.published_items.get(metric.name)
    if items and abs(round(theirs.value / metric.factor * items) / items * metric.factor - theirs.value) > (
        theirs.rounding + SLACK
    ):
        return f"no count of {items} gives {theirs.text} {metric.unit}: another number of items stands behind it"
    return ""
