"""Which records are trained anew: drawn by a text that nobody could choose once the results stood, such as a commit's
hash.

Record i has the number ``u_i = sha256(text, record's id) / 2^256``, which anybody can compute, and a weight ``w_i``: 1,
or one over the seconds that it took, where time is short. The n records with the largest ``u_i^(1 / w_i)`` are drawn,
which is a draw without replacement with chances proportional to the weights at each step (Efraimidis & Spirakis 2006,
Information Processing Letters 97).

If records that make up a share f of all weights are made up, n draws miss them all with a probability of at most
``(1 - f)^n``. So where all n are confirmed, f is below ``1 - 0.05^(1/n)`` with 95 % confidence; where some are not, f's
upper bound is that of Clopper and Pearson.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import log

from scipy import stats

from structgrad.repro.judging.effective import LEVEL

QUICK = 1.0  # seconds: what takes less counts as this


def draw(seconds: Mapping[str, float], count: int, text: str, minutes: float | None = None) -> list[str]:
    """At most ``count`` ids in the order of the draw; with ``minutes``, those of them that fit, at least one.

    Args:
        seconds: what each record took, by its id.
        count: how many are wanted.
        text: what draws them.
        minutes: of training; what is cheap is then drawn more often, inversely to what it takes.
    """
    weights = {name: 1.0 if minutes is None else 1 / max(took, QUICK) for name, took in seconds.items()}
    keys = {name: log(_uniform(text, name)) / weight for name, weight in weights.items()}
    ordered = sorted(seconds, key=lambda name: (-keys[name], name))[:count]
    if minutes is None:
        return ordered
    chosen, spent = [], 0.0
    for name in ordered:
        spent += seconds[name]
        if chosen and spent > 60 * minutes:
            break
        chosen.append(name)
    return chosen


def pool_digest(seconds: Mapping[str, float]) -> str:
    """sha256 of what was drawn from: each record's id and the seconds that it took."""
    lines = (f"{name} {float(took)!r}\n" for name, took in sorted(seconds.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def bound(drawn: int, conflicts: int = 0) -> float:
    """The share of the records, by their weights, below which those that are made up lie with 95 % confidence."""
    if not drawn:
        return 1.0
    return float(stats.binomtest(conflicts, drawn, alternative="less").proportion_ci(LEVEL, method="exact").high)


def _uniform(text: str, name: str) -> float:
    """Above 0 and below 1."""
    digest = hashlib.sha256(f"{text}\n{name}".encode()).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**256
