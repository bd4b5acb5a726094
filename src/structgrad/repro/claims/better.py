"""``better``: the first side scores higher than the second, at each setting or at any.

``quantifier: each`` is supported where it is significantly better at every setting, ``any`` where it is at one at
least; either is not supported where it is significantly worse at one (Holm over the settings).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from structgrad.repro.claims.values import Claim, Decision, by_outcome, compare, corrected, not_run
from structgrad.repro.judging.cells import Cell


def better(claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]) -> Decision:
    """The decision by the rule at the head of this module."""
    details = corrected(claim, [compare(claim, setting, pair) for setting, pair in held.items()])
    outcomes = {detail["outcome"] for detail in details}
    reason = by_outcome(details) + not_run(missing)
    if "worse" in outcomes:
        return Decision("not_supported", reason, details)
    enough = "open" not in outcomes if claim["quantifier"] == "each" else "better" in outcomes
    return Decision("supported" if enough and not missing else "undecided", reason, details)
