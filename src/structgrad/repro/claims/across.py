"""``peak`` and ``plateau``: one arm at several settings, the first of which is what the others are held against.

    peak     at the first setting it scores better than at each of the others
    plateau  at each of the others it scores as at the first, or at most ``tolerance`` (relative to the first) worse

Settings share no seeds, so that replicas are independent: Welch's t, one-sided, Holm over the other settings. Either is
supported where all of the tests say so, not supported where one says the contrary, and undecided otherwise or where a
setting has no record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from structgrad.repro.claims.values import (
    Claim,
    Comparison,
    Decision,
    corrected,
    not_run,
    point,
    sign,
    values,
)
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.significance import unpaired


def peak(claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]) -> Decision:
    """The decision by the rule at the head of this module; a lead is the first setting's."""
    return _across(claim, held, missing, 0.0, first_leads=True)


def plateau(claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]) -> Decision:
    """The decision by the rule at the head of this module; a lead is the other setting's, without the tolerance."""
    return _across(claim, held, missing, float(claim["tolerance"]), first_leads=False)


def _across(
    claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str], tolerance: float, *, first_leads: bool
) -> Decision:
    first, *others = claim["settings"]
    if first not in held:
        return Decision("undecided", f"nothing to hold against{not_run(missing)}", [])
    (reference,) = held[first]
    slack = tolerance * abs(point(reference))
    tests = []
    for setting in others:
        if setting in held:
            (other,) = held[setting]
            ahead, behind = (reference, other) if first_leads else (other, reference)
            x, y = ([sign(each) * value for value in values(each).values()] for each in (ahead, behind))
            up, down = (unpaired([value + slack for value in x], y, side) for side in ("greater", "less"))
            lead = sign(ahead) * (point(ahead) - point(behind))
            tests.append(Comparison(setting, lead, up, down, f"{len(x)} against {len(y)}"))
    details = corrected({**claim, "settings": others}, tests)
    outcomes = {detail["outcome"] for detail in details}
    words = {"better": "better" if first_leads else "similar", "worse": "worse", "open": "open"}
    told = "; ".join(f"{words[detail['outcome']]}: {detail['setting']}" for detail in details)
    reason = f"{first} against the others, {told}" if first_leads else f"the others against {first}, {told}"
    if "worse" in outcomes:
        return Decision("not_supported", reason + not_run(missing), details)
    verdict = "supported" if outcomes == {"better"} and not missing else "undecided"
    return Decision(verdict, reason + not_run(missing), details)
