"""The report's tables: the answers beside the printed numbers, and the further readings, which are folded away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from structgrad.experiments import Experiment, Metric
from structgrad.repro.judging.cells import Cell
from structgrad.repro.tables.panels import Table

Place = tuple[str, str]  # setting and column


@dataclass(frozen=True)
class View:
    """A table of one metric: rows and columns with a head each; None where there is nothing to show."""

    metric: Metric
    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    printed: bool  # whether the printed number stands beside ours

    @property
    def cells(self) -> int:
        """How many cells are shown."""
        return sum(cell is not None for _, cells in self.rows for cell in cells)


def main_views(table: Table) -> list[View]:
    """The answers, a table per printed metric; all cells where the paper prints no numbers."""
    experiment = table.cells[0].experiment
    if not table.printed:
        return _views(experiment, table.cells, lambda cell: cell.arm.column, False)
    own = [cell for cell in table.cells if _answers(cell) and _known(cell)]
    return _views(experiment, own, lambda cell: cell.arm.answers or "", True)


def further_views(table: Table) -> list[View]:
    """Further readings and arms of ours that were run; none where the paper prints no numbers."""
    experiment = table.cells[0].experiment
    own = [cell for cell in table.cells if table.printed and cell.estimate and not _answers(cell)]
    return _views(experiment, own, lambda cell: cell.arm.column, True)


def _known(cell: Cell) -> bool:
    return bool(cell.estimate or cell.published) or cell.judgement.verdict == "no_data"


def _answers(cell: Cell) -> bool:
    return cell.experiment.is_answer(cell.setting, cell.arm, cell.metric)


def _views(experiment: Experiment, cells: Sequence[Cell], head: Callable[[Cell], str], printed: bool) -> list[View]:
    views = []
    for metric in experiment.metrics:
        own = {(cell.setting, head(cell)): cell for cell in cells if cell.metric == metric}
        if printed or any(cell.estimate for cell in own.values()):
            views += [_view(experiment, metric, own, printed)] if own else []
    return views


def _view(experiment: Experiment, metric: Metric, cells: dict[Place, Cell], printed: bool) -> View:
    """Settings as rows; where there are fewer of them than columns, the other way round."""
    settings = [setting for setting in experiment.settings if any(setting == place for place, _ in cells)]
    columns = list(dict.fromkeys(column for _, column in cells))
    if len(settings) <= 2 < len(columns):
        rows = [(column, tuple(cells.get((setting, column)) for setting in settings)) for column in columns]
        return View(metric, "method", tuple(settings), tuple(rows), printed)
    rows = [(setting, tuple(cells.get((setting, column)) for column in columns)) for setting in settings]
    return View(metric, experiment.axis, tuple(columns), tuple(rows), printed)
