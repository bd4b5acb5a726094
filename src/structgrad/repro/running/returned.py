"""What a trainer hands back, held to what its experiment declares before a record is sealed."""

from __future__ import annotations

from structgrad.errors import UserError
from structgrad.experiments import Experiment
from structgrad.repro.planning.shard import Shard
from structgrad.training.job import Trained
from structgrad.training.results import KINDS, Result


def checked(trained: Trained, experiment: Experiment, shard: Shard) -> Trained:
    """What was handed back, if a record of it can be pooled, drawn and tracked like any other.

    Raises:
        UserError: it lacks a replica, the experiment's clock, or a search's validation; it has a metric that the
            experiment does not declare, or one of another kind. Nothing was written.
    """
    fault = _fault(trained, experiment, shard)
    if fault:
        raise UserError(f"{shard.id}: {experiment.package}.train returned {fault}; no record was written")
    return trained


def _fault(trained: Trained, experiment: Experiment, shard: Shard) -> str | None:
    if len(trained.results) != shard.count:
        return f"{len(trained.results)} results for {shard.count} replicas"
    if trained.history and experiment.clock not in trained.history:
        return f"a history without the experiment's clock, {experiment.clock!r}, but {sorted(trained.history)}"
    for index, result in enumerate(trained.results):
        fault = _fault_of_result(result, experiment, shard.arm)
        if fault:
            return f"for replica {shard.first + index} {fault}"
    return None


def _fault_of_result(result: Result, experiment: Experiment, arm: str) -> str | None:
    if not isinstance(result, Result):
        return f"a {type(result).__name__}, which is no Result (structgrad.training.results)"
    if experiment.searches(arm) and "validation" not in result.final:
        return "a trial without final.validation, by which the search selects"
    known = {metric.name: metric for metric in experiment.metrics}
    for name, report in result.metrics.items():
        if name not in known:
            return f"the metric {name!r}, but the experiment declares {sorted(known)}"
        if not isinstance(report, KINDS[known[name].kind]):
            return f"for {name} a {type(report).__name__}, which is declared as a {known[name].kind}"
    return None
