"""``alike``: the two sides differ by less than ``threshold``, in the metric's unit, at every setting.

Both cells' 95 % intervals bound their difference, which is more careful than a test of it: supported where no two of
their numbers are further apart than the threshold, not supported where all are at one setting, and undecided elsewhere.
A cell without an interval leaves its setting open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from structgrad.repro.claims.values import Claim, Decision, not_run, rounded
from structgrad.repro.judging.cells import Cell


def alike(claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]) -> Decision:
    """The decision by the rule at the head of this module."""
    limit, details = float(claim["threshold"]), []
    for setting, (first, second) in held.items():
        ours, other = first.estimate, second.estimate
        assert ours is not None
        assert other is not None  # held has no cell without one
        outcome, between = "open", None
        if None not in (ends := (ours.low, ours.high, other.low, other.high)):
            low, high = ends[0] - ends[3], ends[1] - ends[2]  # type: ignore[operator]
            between = [rounded(low), rounded(high)]
            outcome = "alike" if max(-low, high) < limit else "apart" if max(low, -high) > limit else "open"
        lead = rounded(ours.value - other.value)
        details.append({"setting": setting, "lead": lead, "between": between, "outcome": outcome})
    reason = "; ".join(f"{detail['outcome']} at {detail['setting']}" for detail in details) + not_run(missing)
    outcomes = {detail["outcome"] for detail in details}
    if "apart" in outcomes:
        return Decision("not_supported", reason, details)
    return Decision("supported" if outcomes == {"alike"} and not missing else "undecided", reason, details)
