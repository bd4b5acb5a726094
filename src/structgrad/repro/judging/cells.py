"""Cells: the records of a plan pooled into one number for every arm x setting x metric, and its verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from structgrad.errors import unknown
from structgrad.experiments import Arm, Experiment, Metric
from structgrad.repro.evidence.gathering import Evidence, gather, missing_data, per_replica, results_of, value_of
from structgrad.repro.judging import first_intervals
from structgrad.repro.judging.first_rule import first_verdict
from structgrad.repro.judging.intervals import Measured
from structgrad.repro.judging.printed import Print, ends_of, of_ours
from structgrad.repro.judging.published import Published, lookup
from structgrad.repro.judging.sampling import Sampling
from structgrad.repro.judging.selection import ScoredTrial, Selection
from structgrad.repro.judging.verdicts import Judgement, corrected, judge, unjudged
from structgrad.repro.planning.experiment_plan import ExperimentPlan
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.progress import stage
from structgrad.repro.running.realdata import withheld
from structgrad.training.results import Mean, Proportion, Report


@dataclass(frozen=True)
class Cell:
    """One number: ours (None without a record), the paper's (None if it prints none), and the verdict."""

    experiment: Experiment
    setting: str
    arm: Arm
    metric: Metric
    scale: str
    estimate: Measured | None
    published: Published | None
    judgement: Judgement
    evidence: tuple[Evidence, ...]

    @property
    def id(self) -> str:
        """Such as ``indelman/1a/d=25/Direct/percent_sequences_perfect``."""
        return cell_id(self.experiment, self.setting, self.arm, self.metric)

    @property
    def is_answer(self) -> bool:
        """Whether it is the one answer to a printed number; any other cell is a further reading, or ours alone."""
        return self.published is not None and self.experiment.is_answer(self.setting, self.arm, self.metric)


Cells = Mapping[str, Sequence[Cell]]  # the cells of each experiment of a plan, by the experiment's name


def cell_id(experiment: Experiment, setting: str, arm: Arm, metric: Metric) -> str:
    """The id of a cell: paper/table/row/column/metric."""
    return "/".join((experiment.paper, experiment.table, setting, arm.column, metric.name))


def collect_all(plan: Plan) -> Cells:
    """The cells of every experiment of the plan: a command makes them once and hands them on.

    Raises:
        RecordError: see :func:`collect`.
    """
    total = sum(_places(part.experiment) for part in plan.experiments.values())
    with stage(f"judging the records of scale {plan.scale}", total, "cells") as judged:
        return {name: collect(plan, name, judged) for name in plan.experiments}


def collect(plan: Plan, name: str, judged: Callable[[], None] = lambda: None) -> list[Cell]:
    """All cells of an experiment, run or not: settings, then arms, then metrics, in their declared order.

    ``judged`` is called after each arm at each setting.

    Raises:
        RecordError: a record is damaged, is not the shard it lies at, was trained with other hyper-parameters
            than the plan's, or holds replicas that another record of the cell holds, too.
    """
    experiment = plan.experiments[name].experiment
    cells = [
        cell
        for setting in experiment.settings
        for arm in experiment.arms
        for cell in _told(_cells(plan, name, setting, arm, experiment.metrics), judged)
    ]
    return _after_holm(cells)


def _told(cells: list[Cell], judged: Callable[[], None]) -> list[Cell]:
    judged()
    return cells


def _places(experiment: Experiment) -> int:
    return len(experiment.settings) * len(experiment.arms)


def _after_holm(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of a table with Holm's correction: one family of the answers, one of the further readings."""
    settled = {}
    for answers in (True, False):
        family = [cell for cell in cells if cell.is_answer == answers]
        judgements = corrected([cell.judgement for cell in family])
        settled |= {cell.id: judgement for cell, judgement in zip(family, judgements, strict=True)}
    return [replace(cell, judgement=settled[cell.id]) for cell in cells]


def find(plan: Plan, identity: str) -> Cell:
    """The cell of that id.

    Raises:
        UserError: there is none; the line names the nearest.
    """
    places = {
        cell_id(part.experiment, setting, arm, metric): name
        for name, part in plan.experiments.items()
        for setting in part.experiment.settings
        for arm in part.experiment.arms
        for metric in part.experiment.metrics
    }
    if identity not in places:
        raise unknown("cell", identity, places, several=5)
    name = places[identity]
    with stage(f"judging the records of {name}", _places(plan.experiments[name].experiment), "cells") as judged:
        return next(cell for cell in collect(plan, name, judged) if cell.id == identity)


def trials(evidence: Sequence[Evidence], metric: Metric) -> list[ScoredTrial]:
    """The trials of a search, scores in the metric's unit. A reference has one replica and no validation."""
    reports = per_replica(evidence, metric)
    finals = {replica: result["final"] for replica, result in results_of(evidence).items()}
    return [ScoredTrial(finals[r].get("validation", 0.0), value_of(reports[r], metric)) for r in sorted(reports)]


def measured(sampling: Sampling, n: int, metric: Metric, known: Print) -> Measured:
    """The pooled value of ``n`` replicas with its interval and spread, in the metric's unit."""
    value = sampling.pooled.value * metric.factor
    if n == 1:
        return Measured(value, None, None, 1)
    ends = of_ours(sampling, metric, known)
    spread = sampling.between if metric.spread == "replicas" else sampling.deviation
    shown = None if metric.kind == "proportion" or spread is None else spread * metric.factor
    return Measured(ends.value, ends.low, ends.high, n, shown)


def half_at(replicas: int, sampling: Sampling, metric: Metric, known: Print) -> float:
    """Half of the interval that so many replicas would have if they showed the same value and spread, in the metric's
    unit.
    """
    return of_ours(replace(sampling, pooled=sampling.pooled.grown(replicas)), metric, known).half


def seed_of(identity: str) -> int:
    """The seed of what is random in deriving a cell: the same on every machine and at every scale."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big")


def _cells(plan: Plan, name: str, setting: str, arm: Arm, metrics: Sequence[Metric]) -> list[Cell]:
    part, shards = plan.experiments[name], plan.shards_of(name, setting, arm.name)
    evidence = tuple(gather(part, shards))
    missing = None if evidence or not shards else _lacking(part, shards)
    return [_cell(plan.scale, part, setting, arm, metric, evidence, missing) for metric in metrics]


def _lacking(part: ExperimentPlan, shards: Sequence[Shard]) -> str | None:
    """How to get the data that shards without a record lack, here or on any machine; None where nothing is missing."""
    first = shards[0]
    return missing_data(shards) or withheld(part.experiment, part.parameters_for(first), first.setting)


def _cell(
    scale: str,
    part: ExperimentPlan,
    setting: str,
    arm: Arm,
    metric: Metric,
    evidence: tuple[Evidence, ...],
    missing: str | None,
) -> Cell:
    experiment = part.experiment
    by_replica = per_replica(evidence, metric)
    reports = [by_replica[replica] for replica in sorted(by_replica)]
    known = Print(
        experiment.published_items.get(metric.name),
        experiment.published_replicas,
        experiment.all_or_nothing,
        experiment.searches(arm.name),
    )
    sampling = Sampling.of(reports, metric, experiment.folds, arm.fold_ratio) if reports else None
    if sampling is None:
        ours = None
    elif known.selected:
        ours = Selection.of(trials(evidence, metric)).estimate()
    else:
        ours = measured(sampling, len(reports), metric, known)
    published = lookup(experiment.paper, experiment.table, setting, arm.answers, metric.published)
    judgement = unjudged(metric, ours, published, part.cut(setting, arm.name), missing)
    if judgement is None:
        assert ours is not None
        assert sampling is not None
        assert published is not None
        trials_of_theirs = known.replicas if known.selected and ours.n < (known.replicas or 0) else None
        printed = ends_of(metric, published, known, sampling)
        first = _first(cell_id(experiment, setting, arm, metric), metric, reports, ours, published, known)
        half = None if known.selected else partial(half_at, sampling=sampling, metric=metric, known=known)
        told = judge(metric, ours, published, *printed, trials=trials_of_theirs, folds=experiment.folds, half=half)
        judgement = replace(told, first=first)
    return Cell(experiment, setting, arm, metric, scale, ours, published, judgement, evidence if ours else ())


def _first(
    identity: str, metric: Metric, reports: Sequence[Report], ours: Measured, published: Published, known: Print
) -> str:
    """What the first rule said of a cell."""
    shares = [report for report in reports if isinstance(report, Proportion)]
    means = [report for report in reports if isinstance(report, Mean)]
    if known.selected:
        before = ours
    elif shares:
        pooled = first_intervals.proportion([share.successes for share in shares], [share.trials for share in shares])
        before = pooled.scaled(metric.factor)
    else:
        sums, counts = [each.sum for each in means], [each.count for each in means]
        before = first_intervals.mean(sums, counts, seed=seed_of(identity)).scaled(metric.factor)
    return first_verdict(metric, before, published, known.items, selected=known.selected)
