"""``share``: the first side is better than the second, or within ``tolerance`` of it, on a share of the settings.

The papers count point estimates. Counted again on other folds the number would be another, so the test asks for the
number of settings on which it is truly so, as Lacoste, Laviolette & Marchand (2012, AISTATS) do for learning algorithms
on several data sets:

1. At a setting the contrast of replica f is ``x_f - y_f + tolerance |y|`` (signs turned where lower is better). That
   its mean is not negative has probability T(mean / standard error), T being Student's distribution: the posterior of
   Corani & Benavoli (2015, Machine Learning 100), with Nadeau & Bengio's standard error where replicas are folds.
2. The number of settings where it is so is then a sum of independent coins with those probabilities: its distribution
   is Poisson's binomial.
3. With K the smallest number of settings that makes up ``share`` of all: supported where K or more have probability
   95 % at least, not supported where they have 5 % at most. A setting without records (or with a single replica) may
   fall either way; the verdict must hold for both.

Beside it each setting says whether the first is significantly better or worse, without tolerance (Holm over settings).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, copysign

from structgrad.repro.claims.values import (
    Claim,
    Decision,
    by_outcome,
    compare,
    corrected,
    differences,
    not_run,
    point,
    rounded,
    shared,
    values,
)
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.significance import ALPHA, ROUNDING, at_least, chance_not_negative


def share(claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]) -> Decision:
    """The decision by the rule at the head of this module."""
    tolerance, settings = float(claim["tolerance"]), len(claim["settings"])
    needed = ceil(float(claim["share"]) * settings)
    details = corrected(claim, [compare(claim, setting, pair) for setting, pair in held.items()])
    for detail, (first, second) in zip(details, held.values(), strict=True):
        slack = tolerance * abs(point(second))
        chance = chance_not_negative(_contrasts(first, second, tolerance), first.experiment.overlap)
        detail["similar_or_better"] = detail["lead"] + slack >= -ROUNDING
        detail["chance"] = None if chance is None else rounded(chance)
    chances = [detail["chance"] for detail in details if detail["chance"] is not None]
    unknown = settings - len(chances)
    worst, best = at_least(chances, needed), at_least(chances, needed - unknown)
    verdict = "supported" if worst >= 1 - ALPHA else "not_supported" if best <= ALPHA else "undecided"
    decided = [detail for detail in details if detail["outcome"] != "open"]
    counted = sum(detail["similar_or_better"] for detail in details)
    probability = f"{worst:.3f}" if worst == best else f"between {worst:.3f} and {best:.3f}"
    reason = (
        f"better or within {100 * tolerance:g}% on {counted} of {len(details)} settings ({counted / len(details):.0%}, "
        f"claimed {float(claim['share']):.0%}); {needed} or more of {settings} with probability {probability}; "
        f"significantly {by_outcome(decided) or 'neither anywhere'}{not_run(missing)}"
    )
    return Decision(verdict, reason, details)


def _contrasts(first: Cell, second: Cell, tolerance: float) -> list[float]:
    """How far the first is above what counts as similar, on each shared replica."""
    y, slack = values(second), copysign(tolerance, point(second))
    leads = differences(first, second)
    return [lead + slack * y[r] for lead, r in zip(leads, shared(first, second), strict=True)]
