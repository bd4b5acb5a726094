"""``steadier``: single items (test sequences) scatter less under the first side than the second, at every setting.

The statistic is the difference of the items' standard deviations, pooled over replicas as the papers' "+-" is. If both
arms were the same, any replica's two results could have changed places: a permutation test over such exchanges of pairs
on the same data, all of them where they are few, else as many as the other tests draw. Holm over the settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from structgrad.repro.claims.values import Claim, Comparison, Decision, by_outcome, corrected, not_run, shared
from structgrad.repro.evidence.gathering import per_replica
from structgrad.repro.judging.cells import Cell, seed_of
from structgrad.repro.judging.intervals import RESAMPLES
from structgrad.repro.judging.significance import ROUNDING
from structgrad.training.results import Mean


def steadier(claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]) -> Decision:
    """Supported where it scatters significantly less at every setting, not supported where more at one."""
    details = corrected(claim, [_compare(claim, setting, *pair) for setting, pair in held.items()])
    outcomes = {detail["outcome"] for detail in details}
    reason = by_outcome(details) + not_run(missing)
    if "worse" in outcomes:
        return Decision("not_supported", reason, details)
    return Decision("supported" if outcomes == {"better"} and not missing else "undecided", reason, details)


def exchanged_pairs(first: np.ndarray, second: np.ndarray, seed: int) -> tuple[float, float, float]:
    """The lead in the items' deviation, and p of "the first scatters no less", "no more", than the second.

    Args:
        first: a row (count, sum, sum of squares) for each replica.
        second: the same of the other arm, on the same data.
        seed: of the exchanges that are drawn, where not all are counted.
    """
    n = len(first)
    if 2**n <= RESAMPLES:
        swaps = (np.arange(2**n)[:, None] >> np.arange(n)) % 2
    else:
        swaps = np.vstack([np.zeros(n, int), np.random.default_rng(seed).integers(0, 2, (RESAMPLES - 1, n))])
    moved = swaps @ (second - first)
    leads = _deviations(second.sum(0) - moved) - _deviations(first.sum(0) + moved)
    slack = ROUNDING * max(1.0, float(np.abs(leads).max()))
    return float(leads[0]), float((leads >= leads[0] - slack).mean()), float((leads <= leads[0] + slack).mean())


def _compare(claim: Claim, setting: str, first: Cell, second: Cell) -> Comparison:
    replicas = shared(first, second)
    if not replicas:
        return Comparison(setting, 0.0, 1.0, 1.0, "0 pairs")
    a, b = (_moments(side, replicas) for side in (first, second))
    lead, less, more = exchanged_pairs(a, b, seed_of(f"{claim['id']}/{setting}"))
    return Comparison(setting, lead * first.metric.factor, less, more, f"{len(replicas)} pairs")


def _moments(cell: Cell, replicas: Sequence[int]) -> np.ndarray:
    reports = per_replica(cell.evidence, cell.metric)
    means = [report for report in (reports[replica] for replica in replicas) if isinstance(report, Mean)]
    return np.asarray([(mean.count, mean.sum, mean.sum_squares) for mean in means], dtype=float)


def _deviations(moments: np.ndarray) -> np.ndarray:
    count, total, squares = moments[..., 0], moments[..., 1], moments[..., 2]
    return np.sqrt(np.maximum(0.0, squares / count - (total / count) ** 2))
