"""``widening``: the first side's lead over the second grows with the logarithm of the number in the setting.

Supported (not supported) where the slope's bootstrap interval over replicas lies above (below) zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, log

from structgrad.repro.claims.values import Claim, Decision, rounded, sign, values
from structgrad.repro.judging.cells import Cell, seed_of
from structgrad.repro.judging.numbers import number
from structgrad.repro.judging.significance import slope


def widening(claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]) -> Decision:
    """The decision by the rule at the head of this module."""
    details, places, samples = [], [], []
    for setting, (first, second) in held.items():
        x, y = values(first), values(second)
        common = sorted(set(x) & set(y))
        places.append(log(float(number(setting))))
        samples.append([sign(first) * (x[r] - y[r]) for r in common])
        lead = fsum(samples[-1]) / len(common)
        details.append({"setting": setting, "lead": rounded(lead), "replicas": len(common)})
    if missing or min(map(len, samples)) < 2:
        wanting = f"not run at {', '.join(missing)}" if missing else "a single replica"
        return Decision("undecided", wanting, details)
    value, low, high = slope(places, samples, seed_of(claim["id"]))
    verdict = "supported" if low > 0 else "not_supported" if high < 0 else "undecided"
    reason = f"the lead changes by {value:.2f} per unit of log {details[0]['setting'].partition('=')[0]}"
    return Decision(verdict, f"{reason} [{low:.2f}, {high:.2f}]", details)
