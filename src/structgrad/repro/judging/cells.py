"""Cells: the records of a plan pooled into one number for every arm x setting x metric, and its verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from structgrad.errors import unknown
from structgrad.experiments import Arm, Experiment, Metric
from structgrad.repro.evidence.gathering import Evidence, gather, missing_data, per_replica, results_of, value_of
from structgrad.repro.judging.intervals import Measured, mean, proportion
from structgrad.repro.judging.published import Published, lookup
from structgrad.repro.judging.selection import ScoredTrial, Selection
from structgrad.repro.judging.verdicts import Judgement, judge
from structgrad.repro.planning.plan import ExperimentPlan, Plan
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


Cells = Mapping[str, Sequence[Cell]]  # the cells of each experiment of a plan, by the experiment's name


def cell_id(experiment: Experiment, setting: str, arm: Arm, metric: Metric) -> str:
    """The id of a cell: paper/table/row/column/metric."""
    return "/".join((experiment.paper, experiment.table, setting, arm.column, metric.name))


def collect_all(plan: Plan) -> Cells:
    """The cells of every experiment of the plan: a command makes them once and hands them on.

    Raises:
        RecordError: see :func:`collect`.
    """
    return {name: collect(plan, name) for name in plan.experiments}


def collect(plan: Plan, name: str) -> list[Cell]:
    """All cells of an experiment, run or not: settings, then arms, then metrics, in their declared order.

    Raises:
        RecordError: a record is damaged, is not the shard it lies at, was trained with other hyper-parameters
            than the plan's, or holds replicas that another record of the cell holds, too.
    """
    experiment = plan.experiments[name].experiment
    return [
        cell
        for setting in experiment.settings
        for arm in experiment.arms
        for cell in _cells(plan, name, setting, arm, experiment.metrics)
    ]


def find(plan: Plan, identity: str) -> Cell:
    """The cell of that id.

    Raises:
        UserError: there is none; the line names the nearest.
    """
    places = {
        cell_id(part.experiment, setting, arm, metric): (name, setting, arm, (metric,))
        for name, part in plan.experiments.items()
        for setting in part.experiment.settings
        for arm in part.experiment.arms
        for metric in part.experiment.metrics
    }
    if identity not in places:
        raise unknown("cell", identity, places)
    return _cells(plan, *places[identity])[0]


def trials(evidence: Sequence[Evidence], metric: Metric) -> list[ScoredTrial]:
    """The trials of a search, scores in the metric's unit. A reference has one replica and no validation."""
    reports = per_replica(evidence, metric)
    finals = {replica: result["final"] for replica, result in results_of(evidence).items()}
    return [ScoredTrial(finals[r].get("validation", 0.0), value_of(reports[r], metric)) for r in sorted(reports)]


def estimate(reports: Sequence[Report], metric: Metric, identity: str) -> Measured | None:
    """The pooled value with its interval, in the metric's unit; None without reports."""
    if not reports:
        return None
    shares = [report for report in reports if isinstance(report, Proportion)]
    means = [report for report in reports if isinstance(report, Mean)]
    if metric.kind == "proportion":
        pooled = proportion([share.successes for share in shares], [share.trials for share in shares])
    else:
        pooled = mean(
            [each.sum for each in means],
            [each.sum_squares for each in means],
            [each.count for each in means],
            seed=seed_of(identity),
            spread_over=metric.spread,
        )
    return pooled.scaled(metric.factor)


def seed_of(identity: str) -> int:
    """The seed of what is random in deriving a cell: the same on every machine and at every scale."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big")


def _cells(plan: Plan, name: str, setting: str, arm: Arm, metrics: Sequence[Metric]) -> list[Cell]:
    part, shards = plan.experiments[name], plan.shards_of(name, setting, arm.name)
    evidence = tuple(gather(part, shards))
    missing = None if evidence else missing_data(shards)
    return [_cell(plan.scale, part, setting, arm, metric, evidence, missing) for metric in metrics]


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
    identity = cell_id(experiment, setting, arm, metric)
    reports = per_replica(evidence, metric)
    searched = experiment.searches(arm.name)
    if searched and reports:
        ours = Selection.of(trials(evidence, metric)).estimate()
    else:
        ours = estimate([reports[replica] for replica in sorted(reports)], metric, identity)
    published = lookup(experiment.paper, experiment.table, setting, arm.answers, metric.published)
    verdict = judge(
        metric,
        ours,
        published,
        experiment.published_items.get(metric.name),
        selected=searched,
        cut=None if part.comparable else part.reason,
        missing_data=missing,
    )
    return Cell(experiment, setting, arm, metric, scale, ours, published, verdict, evidence if ours else ())
