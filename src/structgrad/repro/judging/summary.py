"""The best evidence for every printed number: its answer at the most faithful scale that has a record of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from scipy import stats

from structgrad.experiments import PAPERS
from structgrad.repro.judging import register
from structgrad.repro.judging.cells import Cell, Cells, collect
from structgrad.repro.judging.effective import LEVEL
from structgrad.repro.judging.published import Key, Published, numbers
from structgrad.repro.judging.verdicts import NO_EXPERIMENT, SETTLED
from structgrad.repro.planning.plan import Plan, load_plan

FAITHFUL = ("paper", "desktop")  # of the committed scales, the most faithful first


@dataclass(frozen=True)
class Answer:
    """One printed number and the cell that answers it; None where there is no experiment for it.

    ``paper``, ``table``, ``row``, ``column`` and ``metric`` are the print's own.
    """

    paper: str
    table: str
    row: str
    column: str
    metric: str
    published: Published
    cell: Cell | None

    @property
    def id(self) -> str:
        """Such as ``indelman/1a/d=25/Direct/percent_sequences_perfect``."""
        return "/".join((self.paper, self.table, self.row, self.column, self.metric))

    @property
    def verdict(self) -> str:
        """Of the cell, or that there is no experiment."""
        return self.cell.judgement.verdict if self.cell else NO_EXPERIMENT

    @property
    def after_results(self) -> bool:
        """Whether the main reading that gives it was fixed when results of it existed."""
        entry = register.of_reading(self.cell.experiment, self.cell.arm) if self.cell else None
        return entry is not None and entry.after_results

    @property
    def settled(self) -> bool:
        """Whether more replicas of the same would hardly change it."""
        return self.verdict in SETTLED

    @property
    def seconds(self) -> float | None:
        """What its records took to train; None without any."""
        pieces = self.cell.evidence if self.cell else ()
        return fsum(piece.record["run"]["seconds"] for piece in pieces) if pieces else None

    @property
    def hours_wanted(self) -> float | None:
        """What the further replicas would take that would decide it, on one core as its own did."""
        cell = self.cell
        if cell is None or cell.estimate is None or cell.judgement.wanted is None or self.seconds is None:
            return None
        return self.seconds / cell.estimate.n * (cell.judgement.wanted - cell.estimate.n) / 3600


@dataclass(frozen=True)
class Outside:
    """How many compared numbers lie outside their 95 % interval, how many chance would leave there, and p of that.

    ``after_results``: how many of them come from a reading that was fixed after results.
    """

    compared: int
    outside: int
    after_results: int

    @property
    def expected(self) -> float:
        """One in twenty."""
        return (1 - LEVEL) * self.compared

    @property
    def p(self) -> float:
        """One-sided, as if the numbers were independent."""
        if not self.compared:
            return 1.0
        return float(stats.binomtest(self.outside, self.compared, 1 - LEVEL, alternative="greater").pvalue)


def best_evidence(scales: Iterable[str] = FAITHFUL, known: tuple[Plan, Cells] | None = None) -> list[Answer]:
    """An answer for every printed number, in the papers' order.

    Of several scales the first one that has a comparable record counts; without one, the first with any record; without
    any, the first. ``known``: a plan whose cells are collected already.
    """
    return answers(cell for scale in scales for cell in _answers_at(scale, known))


def answers(cells: Iterable[Cell]) -> list[Answer]:
    """As :func:`best_evidence`, from answers that are at hand; those of the most faithful scale come first."""
    candidates: dict[Key, list[Cell]] = {}
    for cell in cells:
        candidates.setdefault(_key(cell), []).append(cell)
    return [
        Answer(*key, published, _best(candidates.get(key, ())))
        for paper in PAPERS
        for key, published in numbers().items()
        if key[0] == paper
    ]


def tally(answers: Iterable[Answer]) -> Mapping[str, int]:
    """How many answers have which verdict."""
    return Counter(answer.verdict for answer in answers)


def outside(answers: Iterable[Answer]) -> Outside:
    """The multiplicity of all comparisons, in the open."""
    compared = [answer for answer in answers if answer.cell and answer.cell.judgement.difference is not None]
    differences = [answer.cell.judgement.difference for answer in compared if answer.cell]
    return Outside(
        len(compared),
        sum(difference is not None and not difference.holds_zero for difference in differences),
        sum(answer.after_results for answer in compared),
    )


def _answers_at(scale: str, known: tuple[Plan, Cells] | None) -> list[Cell]:
    plan = load_plan(scale)
    cells = known[1] if known and (known[0].scale, known[0].shards) == (scale, plan.shards) else None
    return [
        cell
        for name in plan.experiments
        for cell in (collect(plan, name) if cells is None else cells[name])
        if cell.is_answer
    ]


def _key(cell: Cell) -> Key:
    """The print's own key: rows may be settings or methods."""
    paper, table, metric = cell.experiment.paper, cell.experiment.table, cell.metric.published or ""
    as_row = (paper, table, cell.setting, cell.arm.answers or "", metric)
    return as_row if as_row in numbers() else (paper, table, cell.arm.answers or "", cell.setting, metric)


def _best(cells: Sequence[Cell]) -> Cell | None:
    for wanted in (_is_comparable, _has_record):
        for cell in cells:
            if wanted(cell):
                return cell
    return cells[0] if cells else None


def _is_comparable(cell: Cell) -> bool:
    return cell.judgement.verdict in ("reproduced", "inconclusive", "shifted", "differs", "misprint")


def _has_record(cell: Cell) -> bool:
    return cell.estimate is not None
