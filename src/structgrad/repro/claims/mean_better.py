"""``mean_better``: the first side's lead over the second, averaged over the settings, is above zero.

Paired over replicas and settings. The settings are taken as they are, not as a sample of all there could be: the
variance of the average is the mean of the settings' own (Nadeau & Bengio's where replicas are folds), its degrees of
freedom Satterthwaite's. Supported where the one-sided test says so at the level, not supported where the test of the
contrary does; a setting without records leaves it undecided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum

from structgrad.repro.claims.values import Claim, Decision, differences, rounded
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.significance import ALPHA, mean_of_means

SMALL = 1e-4  # p below it is not spelled out


def mean_better(claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]) -> Decision:
    """The decision by the rule at the head of this module."""
    leads = {setting: differences(*pair) for setting, pair in held.items()}
    details = [
        {"setting": setting, "lead": rounded(fsum(lead) / len(lead)) if lead else None, "replicas": len(lead)}
        for setting, lead in leads.items()
    ]
    lacking = [*missing, *(setting for setting, lead in leads.items() if len(lead) < 2)]
    if lacking:
        return Decision("undecided", f"no pairs of replicas at {', '.join(lacking)}", details)
    overlap = next(iter(held.values()))[0].experiment.overlap
    value, up, down = mean_of_means(list(leads.values()), overlap)
    verdict = "supported" if up <= ALPHA else "not_supported" if down <= ALPHA else "undecided"
    ahead = sum(sum(lead) > 0 for lead in leads.values())
    p = min(up, down)
    chance = f"p = {p:.4f}" if p >= SMALL else f"p < {SMALL:.4f}"
    reason = f"the mean lead over {len(leads)} settings is {value:.4f} ({chance}), ahead on {ahead}"
    return Decision(verdict, reason, details)
