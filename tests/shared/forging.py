"""Records that were made up, planted among honest ones, and how often a replay that draws some of them finds one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import comb
from typing import Any

from structgrad.experiments import REGISTRY
from structgrad.repro.evidence.records import load
from structgrad.repro.planning.plan import Plan
from structgrad.repro.replay.drawing import draw
from structgrad.repro.replay.outcomes import judge
from structgrad.training.results import pooled, report_of

SHARES = (0.01, 0.05, 0.2)  # of the records are made up
DRAWS = (10, 20, 59)
TRIES = 1000  # replays, each with a seed of its own
SIZES = (0.25, 1.0, 4.0)  # of a lie, in margins of the metric


def lie(record: Mapping[str, Any], size: float) -> dict[str, Any] | None:
    """The record with its first printed metric moved the better way by ``size`` margins in every replica.

    None where it has no such metric, or where there is no room.
    """
    metric = next((m for m in REGISTRY[record["experiment"]].metrics if m.margin is not None), None)
    if metric is None or metric.margin is None:
        return None
    results = json.loads(json.dumps(record["results"]))
    reports = [result["metrics"].get(metric.name) for result in results]
    by = size * metric.margin / metric.factor * (1 if metric.higher_is_better else -1)
    for report in reports:
        if report is None:
            return None
        if "trials" in report:
            report["successes"] = min(max(report["successes"] + round(by * report["trials"]), 0), report["trials"])
        else:
            report["sum_squares"] += 2 * by * report["sum"] + by**2 * report["count"]
            report["sum"] += by * report["count"]
    before, now = (pooled(report_of(r["metrics"][metric.name]) for r in own) for own in (record["results"], results))
    return {**record, "results": results} if abs(now - before) >= abs(by) / 2 else None


def lies(plan: Plan, size: float) -> Iterator[tuple[str, int | None, bool]]:
    """Each record of the scale with such a lie in it: its id, the level that it promises, and whether it is found.

    What contradicts it is the honest record, which is what training it anew gives on the same machine.
    """
    for shard in plan.shards:
        honest = load(shard.path) if shard.path.is_file() else None
        forged = lie(honest, size) if honest else None
        if honest and forged:
            verdict = judge(forged, honest, REGISTRY[shard.experiment]).verdict
            yield shard.id, honest.get("level"), verdict == "conflict"


def _forged(records: Mapping[str, bool], share: float) -> list[str]:
    """Those that are made up, drawn by a text that no replay uses."""
    return draw(dict.fromkeys(records, 1.0), max(1, round(share * len(records))), "which are made up")


def caught(found: Mapping[str, bool], share: float, draws: int) -> int:
    """Of :data:`TRIES` replays of ``draws`` records each, how many draw a record that is made up and find it so.

    ``found`` says of each record whether a lie in it is.
    """
    given_away = {name for name in _forged(found, share) if found[name]}
    names = dict.fromkeys(found, 1.0)
    return sum(not given_away.isdisjoint(draw(names, draws, f"replay {n}")) for n in range(TRIES))


def predicted(found: Mapping[str, bool], share: float, draws: int) -> float:
    """The chance of that for one replay, where every lie is found."""
    honest = len(found) - len(_forged(found, share))
    return 1 - comb(honest, draws) / comb(len(found), draws)
