"""What a second training says of a record, by the level that the record promises.

The same numbers to the bit confirm it at any level. Others contradict a record of level 1 from the same sources and
libraries; a record of another level, or of other sources, promises numbers that are statistically equal: each metric's
difference between the two is tested over their replicas (Student's t), all together at one in a thousand (Holm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose, sqrt
from typing import Any, Literal

import numpy as np
from scipy import stats

from structgrad.experiments import Experiment
from structgrad.repro.judging.significance import holm
from structgrad.repro.running.comparison import Comparison, compare
from structgrad.training.results import Mean, Proportion, Report, report_of

Verdict = Literal["identical", "equal", "conflict", "undecided"]
CHANCE = 0.001  # that equal trainings are called a conflict
ROUNDING = 1e-9
FEWEST = 2  # replicas without which nothing is known of their spread
SOURCES = ("provenance.source_digest", "provenance.lock_digest", "provenance.libraries")


@dataclass(frozen=True)
class Outcome:
    """A record beside its replay.

    Attributes:
        verdict: ``identical`` to the bit; ``equal`` within the record's level; in ``conflict``; ``undecided`` where one
            replica tells nothing of another and the bits differ, which its level allows.
        why: the first number that differs and what was tested; empty where nothing differs.
    """

    verdict: Verdict
    why: str = ""

    @property
    def confirms(self) -> bool:
        """Whether the record is what the training gives."""
        return self.verdict in ("identical", "equal")


def judge(before: Mapping[str, Any], now: Mapping[str, Any], experiment: Experiment) -> Outcome:
    """The outcome of a replay ``now`` of the record ``before``."""
    found = compare(before, now, experiment)
    if found.first is None:
        return Outcome("identical")
    if before.get("level") == 1 and not _other_sources(found):
        return Outcome("conflict", f"{found.first}; level 1 promises the same bits")
    if _close(before, now):
        return Outcome("equal", f"{found.first}; every metric of every replica is the same but for rounding")
    if len(before["results"]) < FEWEST or len(now["results"]) < FEWEST:
        return Outcome("undecided", f"{found.first}; one replica says nothing of another")
    ps = {metric.name: _p(before, now, metric.name) for metric in experiment.metrics}
    tested = {name: p for name, p in ps.items() if p is not None}
    if not tested:
        return Outcome("conflict", f"{found.first}; they have no metric in common")
    least = min(holm(list(tested.values())))
    worst = min(tested, key=lambda name: tested[name])
    told = f"{found.first}; {worst} has p = {least:.2g} over {len(tested)} metrics"
    return Outcome("equal" if least > CHANCE else "conflict", told)


def _other_sources(found: Comparison) -> bool:
    return any(difference.field.startswith(SOURCES) for difference in found.made_of)


def _close(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether both have the same metrics of the same replicas, within what sums in another order differ by."""
    ours, theirs = ([result["metrics"] for result in record["results"]] for record in (before, now))
    if [own.keys() for own in ours] != [own.keys() for own in theirs]:
        return False
    pairs = ((own[name], other[name]) for own, other in zip(ours, theirs, strict=True) for name in own)
    return all(isclose(report_of(a).value, report_of(b).value, rel_tol=ROUNDING, abs_tol=ROUNDING) for a, b in pairs)


def _p(before: Mapping[str, Any], now: Mapping[str, Any], metric: str) -> float | None:
    """Of the difference between both records' replicas, or None where one of them lacks the metric."""
    sides = [_side(record["results"], metric) for record in (before, now)]
    if any(side is None for side in sides):
        return None
    (ours, our_error, our_count), (theirs, their_error, their_count) = (side for side in sides if side is not None)
    error, apart = sqrt(our_error + their_error), abs(ours - theirs)
    if error == 0.0:
        return 1.0 if apart == 0.0 else 0.0
    return float(2 * stats.t.sf(apart / error, our_count + their_count - 2))


def _side(results: Sequence[Mapping[str, Any]], metric: str) -> tuple[float, float, int] | None:
    """The mean over replicas, its variance, and how many there are.

    The variance is that between replicas, and no less than that of their items: two replicas may agree by luck.
    """
    if not all(metric in result["metrics"] for result in results):
        return None
    reports = [report_of(result["metrics"][metric]) for result in results]
    values = np.array([report.value for report in reports])
    within = float(np.mean([_of_items(report) for report in reports]))
    return float(values.mean()), max(float(values.var(ddof=1)), within) / len(values), len(values)


def _of_items(report: Report) -> float:
    """The variance of one replica's value by its items alone."""
    match report:
        case Proportion(trials=count):
            return report.value * (1 - report.value) / count
        case Mean(sum_squares=squares, count=count):
            return max(0.0, squares / count - report.value**2) / count
