"""``below``, ``above``: the 95 % interval of the first side lies below (above) ``threshold`` at every setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from structgrad.repro.claims.values import Claim, Decision, not_run, rounded
from structgrad.repro.judging.cells import Cell


def below(claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]) -> Decision:
    """Supported where it lies below at every setting, not supported where it lies above at one."""
    return _beside(claim, held, missing, "below", "above")


def above(claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]) -> Decision:
    """Supported where it lies above at every setting, not supported where it lies below at one."""
    return _beside(claim, held, missing, "above", "below")


def _beside(
    claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str], wanted: str, contrary: str
) -> Decision:
    limit, details = float(claim["threshold"]), []
    for setting, (cell,) in held.items():
        ours = cell.estimate
        assert ours is not None  # held has no cell without one
        outcome = "open"
        if ours.low is not None and ours.high is not None:
            outcome = "below" if ours.high < limit else "above" if ours.low > limit else "open"
        interval = [None if end is None else rounded(end) for end in (ours.low, ours.high)]
        details.append(
            {"setting": setting, "value": rounded(ours.value), "interval": interval, "replicas": ours.n,
             "outcome": outcome}
        )  # fmt: skip
    reason = "; ".join(f"{detail['outcome']} {limit:g} at {detail['setting']}" for detail in details)
    reason += not_run(missing)
    outcomes = {detail["outcome"] for detail in details}
    if contrary in outcomes:
        return Decision("not_supported", reason, details)
    verdict = "supported" if outcomes == {wanted} and not missing else "undecided"
    return Decision(verdict, reason, details)
