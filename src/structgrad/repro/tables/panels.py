"""What a table shows, before any layout: for each metric one row per setting with the cells of all arms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from structgrad.experiments import PAPERS, Arm, Metric
from structgrad.repro.judging.cells import Cell, Cells
from structgrad.repro.judging.numbers import fixed
from structgrad.repro.judging.verdicts import VERDICTS
from structgrad.repro.planning.experiment_plan import ExperimentPlan
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan

# The verdicts where the paper prints no number at all.
UNPRINTED = {
    "not_comparable": "the paper prints no number",
    **{verdict: VERDICTS[verdict].meaning for verdict in ("not_attempted", "no_data")},
}


@dataclass(frozen=True)
class Shown:
    """A cell as people read it; parts that do not exist are empty."""

    id: str
    value: str
    interval: str
    n: int
    published: str
    verdict: str
    reason: str
    mark: str
    links: tuple[str, ...]
    answer: bool = False  # the one to a printed number; else a further reading, or ours alone

    @property
    def line(self) -> str:
        """``87.5 [82.1, 91.7] (89.5) ✓`` and less where less is known."""
        return joined(self.value, self.interval, brackets(self.published), self.mark)


@dataclass(frozen=True)
class Panel:
    """One metric of a table: for each setting the cells of all arms."""

    metric: Metric
    arms: tuple[Arm, ...]
    rows: tuple[tuple[str, tuple[Shown, ...]], ...]


@dataclass(frozen=True)
class Table:
    """What every layout shows."""

    stem: str  # of its files
    axis: str
    heading: str
    scale_line: str
    panels: tuple[Panel, ...]
    cells: tuple[Cell, ...]
    printed: bool  # whether the paper prints numbers to set beside ours
    over: str  # what the intervals are over

    @property
    def common(self) -> list[str]:
        """Reasons that several cells share: said once below the table, where cells name them by their place."""
        counts = Counter(cell.reason for panel in self.panels for _, row in panel.rows for cell in row)
        return [reason for reason, count in counts.items() if count > 1]

    @property
    def legend(self) -> list[tuple[str, str, str]]:
        """(verdict, mark, meaning) of every verdict that a cell can have."""
        possible = {name: verdict.meaning for name, verdict in VERDICTS.items()} if self.printed else UNPRINTED
        return [(name, VERDICTS[name].mark, meaning) for name, meaning in possible.items()]


def tables(plan: Plan, cells: Cells) -> dict[str, Table]:
    """The table of every experiment in the plan, by experiment."""
    return {name: _table(plan.scale, part, cells[name]) for name, part in plan.experiments.items()}


def joined(*parts: str) -> str:
    """The parts that are not empty, with spaces between."""
    return " ".join(part for part in parts if part)


def brackets(text: str) -> str:
    """``(text)``; nothing of nothing."""
    return f"({text})" if text else ""


def _table(scale: str, part: ExperimentPlan, cells: Sequence[Cell]) -> Table:
    experiment = part.experiment
    by_place = {(cell.metric.name, cell.setting, cell.arm.name): cell for cell in cells}
    panels = tuple(
        Panel(
            metric,
            experiment.arms,
            tuple(
                (setting, tuple(_shown(by_place[metric.name, setting, arm.name]) for arm in experiment.arms))
                for setting in experiment.settings
            ),
        )
        for metric in experiment.metrics
    )
    standing = PAPERS[experiment.paper].standing(part.comparable)
    return Table(
        stem=experiment.stem,
        axis=experiment.axis,
        heading=experiment.full_title,
        scale_line=f"Scale {scale}, {standing}: {part.reason}.{_few_trials(part, cells)}{_diverged(cells)}",
        panels=panels,
        cells=tuple(cells),
        printed=experiment.printed,
        over="trials, one of which is selected" if experiment.selected_by else "replicas",
    )


def _few_trials(part: ExperimentPlan, cells: Sequence[Cell]) -> str:
    """What searches of fewer trials than the paper's say of it, as a sentence; nothing where there are none.

    Of the cells that are compared: under a cut protocol they say nothing of it.
    """
    theirs = part.experiment.published_replicas or 0
    counts = {
        cell.estimate.n
        for cell in cells
        if cell.estimate and cell.published and part.experiment.searches(cell.arm.name)
        if part.cut(cell.setting, cell.arm.name) is None and cell.estimate.n < theirs
    }
    if not counts:
        return ""
    ran = " or ".join(map(str, sorted(counts))) + (" trial" if counts == {1} else " trials")
    return f" A search of {ran} is a lower bound on the paper's of {theirs}."


def _diverged(cells: Sequence[Cell]) -> str:
    """How many trials diverged, as a sentence; nothing where none did."""
    records = {piece.path: piece.record for cell in cells for piece in cell.evidence}.values()
    ends = [result["stopped"] for record in records for result in record["results"]]
    count = ends.count("diverged")
    return f" {count} of {len(ends)} trials diverged; their best weights before that are tested." if count else ""


def _shown(cell: Cell) -> Shown:
    ours, digits = cell.estimate, cell.metric.digits
    known = ours is not None and ours.low is not None
    return Shown(
        id=cell.id,
        value=fixed(ours.value, digits) if ours else "",
        interval=f"[{fixed(ours.low, digits)}, {fixed(ours.high, digits)}]" if ours and known else "",
        n=ours.n if ours else 0,
        published=cell.published.text if cell.published else "",
        verdict=cell.judgement.verdict,
        reason=cell.judgement.reason,
        mark=VERDICTS[cell.judgement.verdict].mark,
        links=tuple(_link(piece.path, cell.scale) for piece in cell.evidence),
        answer=cell.is_answer,
    )


def _link(path: Path, scale: str) -> str:
    return str(PurePosixPath(*path.relative_to(results(scale)).parts))
