"""What a trainer hands back, held to what its experiment declares before a record is sealed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from structgrad.errors import UserError
from structgrad.experiments import Experiment, Metric
from structgrad.repro.planning.plan import Shard
from structgrad.training.job import Outcome

FIELDS = {"proportion": {"successes", "trials"}, "mean": {"sum", "sum_squares", "count"}}


def checked(outcome: Outcome, experiment: Experiment, shard: Shard) -> Outcome:
    """The outcome itself, if a record of it can be pooled, drawn and tracked like any other.

    Raises:
        UserError: it lacks a replica, the experiment's clock, or a search's validation; it has a metric that the
            experiment does not declare, or one of another kind. Nothing was written.
    """
    fault = _fault(outcome, experiment, shard)
    if fault:
        raise UserError(f"{shard.id}: {experiment.package}.train returned {fault}; no record was written")
    return outcome


def _fault(outcome: Outcome, experiment: Experiment, shard: Shard) -> str | None:
    if len(outcome.results) != shard.count:
        return f"{len(outcome.results)} results for {shard.count} replicas"
    if outcome.history and experiment.clock not in outcome.history:
        return f"a history without the experiment's clock, {experiment.clock!r}, but {sorted(outcome.history)}"
    for index, result in enumerate(outcome.results):
        fault = _fault_of_result(result, experiment, shard.arm)
        if fault:
            return f"for replica {shard.first + index} {fault}"
    return None


def _fault_of_result(result: Mapping[str, Any], experiment: Experiment, arm: str) -> str | None:
    clock = f"{experiment.clock}s"
    if clock not in result:
        return f"a result without the experiment's clock, {clock!r}, but {sorted(result)}"
    if experiment.searches(arm) and "validation" not in result.get("final", {}):
        return "a trial without final.validation, by which the search selects"
    known = {metric.name: metric for metric in experiment.metrics}
    for name, report in result.get("metrics", {}).items():
        if name not in known:
            return f"the metric {name!r}, but the experiment declares {sorted(known)}"
        if set(report) != FIELDS[known[name].kind]:
            return f"for {name} {sorted(report)}: {_kind(known[name])}"
    return None


def _kind(metric: Metric) -> str:
    return f"a {metric.kind} has {', '.join(sorted(FIELDS[metric.kind]))}"
