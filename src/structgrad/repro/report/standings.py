"""How each paper stands: its printed numbers by table, each a square of the page's map with its best evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from structgrad.experiments import PAPERS, REGISTRY, Experiment
from structgrad.repro.judging.cells import Cell, Cells, collect
from structgrad.repro.judging.summary import FAITHFUL, Answer, answers, tally
from structgrad.repro.judging.verdicts import OUTCOMES
from structgrad.repro.planning.plan import Plan, load_plan


@dataclass(frozen=True)
class Group:
    """A printed table."""

    paper: str
    heading: str
    squares: tuple[Answer, ...]
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


def shown_answers(plan: Plan, cells: Cells) -> list[Answer]:
    """The answer to each printed number: of a faithful scale the best that all of them have, else this scale's own.

    What no experiment covers is there, too; what another plan's experiments cover is left out.
    """
    scales = FAITHFUL if plan.scale in FAITHFUL else (plan.scale,)
    own: list[Cell] = []
    for scale in scales:
        other = plan if scale == plan.scale else load_plan(scale)
        for name in plan.experiments:
            if name in other.experiments:
                own += cells[name] if other is plan else collect(other, name)
    planned = {(part.experiment.paper, part.experiment.table) for part in plan.experiments.values()}
    elsewhere = {(other.paper, other.table) for other in REGISTRY.values()} - planned
    best = answers(cell for cell in own if cell.is_answer)
    return [answer for answer in best if (answer.paper, answer.table) not in elsewhere]


def standings(plan: Plan, cells: Cells) -> list[Standing]:
    """Every paper that prints numbers and has an experiment in the plan, in their order."""
    planned = {(part.experiment.paper, part.experiment.table): part.experiment for part in plan.experiments.values()}
    tables: dict[tuple[str, str], list[Answer]] = {}
    for answer in shown_answers(plan, cells):
        tables.setdefault((answer.paper, answer.table), []).append(answer)
    standings = []
    for paper in dict.fromkeys(paper for paper in PAPERS if any(paper == name for name, _ in planned)):
        groups = [_group(place, own, planned.get(place)) for place, own in tables.items() if place[0] == paper]
        squares = [square for group in groups for square in group.squares]
        if squares:
            counts = tally(squares)
            strong = sum(square.cell is not None and square.cell.judgement.equivalent for square in squares)
            groups.sort(key=lambda group: not group.stem)
            standings.append(
                Standing(paper, tuple(groups), {state: counts.get(state, 0) for state in OUTCOMES}, strong)
            )
    return standings


def _group(place: tuple[str, str], squares: Sequence[Answer], experiment: Experiment | None) -> Group:
    heading = experiment.heading if experiment else _called(place[1])
    return Group(place[0], heading, tuple(squares), experiment.stem if experiment else "")


def _called(table: str) -> str:
    """``Table 3``; a place in the text by its section."""
    return f"Text, section {table.removeprefix('text_')}" if table.startswith("text_") else f"Table {table}"
