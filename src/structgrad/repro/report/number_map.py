"""The map of printed numbers: a square each, by paper and table, with the verdict of the best evidence there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from structgrad.experiments import PAPERS, REGISTRY, Experiment
from structgrad.repro.judging.cells import Cell, Cells
from structgrad.repro.judging.published import Key, Published, numbers
from structgrad.repro.judging.verdicts import VERDICTS
from structgrad.repro.tables.panels import MARKS

MISSING = "no_experiment"
STATES: Mapping[str, str] = {**VERDICTS, MISSING: "printed, but no experiment here covers it yet"}
STATE_MARKS: Mapping[str, str] = {**MARKS, MISSING: "+"}


@dataclass(frozen=True)
class Square:
    """One printed number; without an experiment it has no cell."""

    key: Key
    published: Published
    cell: Cell | None

    @property
    def state(self) -> str:
        """Its verdict, or that there is no experiment."""
        return self.cell.judgement.verdict if self.cell else MISSING

    @property
    def id(self) -> str:
        """The cell's id; paper, table, row, column and metric as printed where there is none."""
        return self.cell.id if self.cell else "/".join(self.key)


@dataclass(frozen=True)
class Group:
    """A printed table."""

    paper: str
    heading: str
    squares: tuple[Square, ...]
    stem: str  # of its section on the page; empty where there is none


@dataclass(frozen=True)
class Standing:
    """A paper's numbers, counted."""

    paper: str
    groups: tuple[Group, ...]
    counts: Mapping[str, int]
    equivalent: int

    @property
    def total(self) -> int:
        """How many numbers the paper prints in its tables and text."""
        return sum(self.counts.values())


def best_evidence(cells: Cells) -> dict[Key, Cell]:
    """The answer to each printed number that an experiment covers: here this scale's."""
    answers = (cell for own in cells.values() for cell in own if cell.is_answer)
    return {key_of(cell): cell for cell in answers}


def standings(cells: Cells) -> list[Standing]:
    """Every paper that prints numbers and has an experiment in the plan, in their order."""
    answers = best_evidence(cells)
    planned = {(own[0].experiment.paper, own[0].experiment.table): own[0].experiment for own in cells.values() if own}
    elsewhere = {(other.paper, other.table) for other in REGISTRY.values()} - set(planned)  # no part of this plan
    tables: dict[tuple[str, str], list[Square]] = {}
    for key, published in numbers().items():
        if key[:2] not in elsewhere:
            tables.setdefault(key[:2], []).append(Square(key, published, answers.get(key)))
    found = []
    for paper in dict.fromkeys(paper for paper in PAPERS if any(paper == name for name, _ in planned)):
        groups = [_group(place, squares, planned.get(place)) for place, squares in tables.items() if place[0] == paper]
        squares = [square for group in groups for square in group.squares]
        if squares:
            counts = Counter(square.state for square in squares)
            strong = sum(square.cell is not None and square.cell.judgement.equivalent for square in squares)
            groups.sort(key=lambda group: not group.stem)
            found.append(Standing(paper, tuple(groups), {state: counts[state] for state in STATES}, strong))
    return found


def _group(place: tuple[str, str], squares: Sequence[Square], experiment: Experiment | None) -> Group:
    heading = experiment.heading if experiment else _called(place[1])
    return Group(place[0], heading, tuple(squares), experiment.stem if experiment else "")


def key_of(cell: Cell) -> Key:
    """Where the number that a cell is set beside stands in the papers' own numbers.

    Raises:
        ValueError: the paper prints none for it.
    """
    experiment, method, metric = cell.experiment, cell.arm.answers, cell.metric.published
    if cell.published is None or method is None or metric is None:
        raise ValueError(f"{cell.id}: nothing is printed for it")
    as_row: Key = (experiment.paper, experiment.table, cell.setting, method, metric)
    as_column: Key = (experiment.paper, experiment.table, method, cell.setting, metric)
    return as_row if as_row in numbers() else as_column


def _called(table: str) -> str:
    """``Table 3``; a place in the text by its section."""
    return f"Text, section {table.removeprefix('text_')}" if table.startswith("text_") else f"Table {table}"
