"""The rule that turns a number of ours and a printed one into a verdict. It was fixed before results were looked at.

The question is whether the published value could be the same quantity as ours, given all that is known to
blur the two. Three things blur them:

1. **Our sampling**: the 95 % interval over our replicas (:mod:`structgrad.repro.judging.intervals`).
2. **Their sampling**, where its meaning is known. A printed proportion that is a possible count out of the
   published number of items has that binomial's Wilson interval. One that is not (91.6 % "of 200") came from
   some other number of items, so nothing is known and nothing is added. A printed mean with its spread over
   individual items (test sequences, folds) has the half-width 1.96 spread / sqrt(items). The spread of a search is
   the standard error of the whole selection (paulus, section 7): 1.96 spread.
3. **Their rounding**: half a unit of the last digit that is actually printed. It is a bound, not a chance, so
   it is added last and in full.

Two independent samples are compared by the interval of their difference, which is shorter than the sum of the
two intervals: squares add, side by side (Newcombe 1998, Statistics in Medicine 17; MOVER, Zou & Donner 2008).
With ``a`` our half-width on the side that faces the published value and ``b`` theirs on the side that faces
ours:

    reproduced       |ours - published| <= sqrt(a^2 + b^2) + rounding
    close            else, |ours - published| <= the metric's margin
    differs          else
    not_comparable   the scale cut more than the number of replicas, the paper prints nothing for the cell or a
                     number that is impossible, or a single replica gives no interval
    not_attempted    there is no record
    no_data          there is no record because its data set was missing

A short run has a wide interval and is reproduced easily: read a verdict with n and the interval that stand
beside it. :attr:`Judgement.allowed` says how large a difference the cell could have hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10, sqrt

from scipy import stats

from structgrad.experiments import Metric
from structgrad.repro.judging.intervals import LEVEL, Measured, wilson
from structgrad.repro.judging.published import Published

VERDICTS = {
    "reproduced": "the published value lies within both uncertainties",
    "close": "outside them, but within the metric's margin",
    "differs": "outside the margin, too",
    "not_comparable": "nothing to hold it against: a cut protocol, or no published number",
    "not_attempted": "not run at this scale",
    "no_data": "its data set was not there",
}

NORMAL = float(stats.norm.ppf((1 + LEVEL) / 2))  # 1.96
SLACK = 1e-9  # equality at a border is inside, whatever the last bit says


@dataclass(frozen=True)
class Judgement:
    """A verdict and how it came about; ``distance`` and ``allowed`` in the metric's unit, if compared."""

    verdict: str
    reason: str
    distance: float | None = None
    allowed: float | None = None


def judge(
    metric: Metric,
    estimate: Measured | None,
    published: Published | None,
    items: int | None = None,
    *,
    selected: bool = False,
    cut: str | None = None,
    missing_data: str | None = None,
) -> Judgement:
    """The verdict on one cell.

    Args:
        metric: what the cell holds; its ``factor`` goes from fractions to the unit.
        estimate: ours, in the unit; None without a record.
        published: the paper's, in the same unit; None where it prints nothing.
        items: how many items stand behind the published value, where known.
        selected: whether the published spread is the standard error of a search's selection.
        cut: what the scale cut besides replicas; None for a comparable scale.
        missing_data: how to get the data set that was not there; None if nothing was missing.
    """
    if estimate is None:
        if missing_data is not None:
            return Judgement("no_data", missing_data or VERDICTS["no_data"])
        return Judgement("not_attempted", "there is no record of it at this scale")
    if published is None:
        return Judgement("not_comparable", "the paper prints no number for this cell")
    if metric.kind == "proportion" and not 0 <= published.value <= metric.factor:
        return Judgement("not_comparable", f"{published.text} is printed, which lies outside 0 .. {metric.factor:g}")
    if cut is not None:
        return Judgement("not_comparable", f"the scale cuts the protocol: {cut}")
    if estimate.low is None or estimate.high is None:
        return Judgement(
            "not_comparable", f"one {'trial gives a search' if selected else 'replica gives a mean'} no interval"
        )
    gap = published.value - estimate.value
    half = estimate.high - estimate.value if gap >= 0 else estimate.value - estimate.low
    if selected:
        theirs = selection_half_width(published)
    else:
        theirs = published_half_width(metric, published, items, towards=-1 if gap >= 0 else 1)
    return _compare(metric, published, gap, half, *theirs)


def selection_half_width(published: Published) -> tuple[float, str]:
    """The half-width of a search's published cell, whose spread is a standard error, and why."""
    if published.spread is None:
        return 0.0, "no standard error is published"
    return NORMAL * published.spread, f"{published.spread_text} published, the standard error of the selection"


def published_half_width(metric: Metric, published: Published, items: int | None, towards: int) -> tuple[float, str]:
    """The published value's own half-width on the side ``towards`` (-1 below, +1 above it), and why.

    Zero where its meaning is not known.
    """
    if items is None:
        return 0.0, "the number of published items is not known"
    if metric.kind == "mean":
        if published.spread is None:
            return 0.0, "no spread is published"
        half = NORMAL * published.spread / sqrt(items)
        return half, f"{published.spread_text} over {items} published items"
    count = round(published.value / metric.factor * items)
    if abs(count / items * metric.factor - published.value) > published.rounding + SLACK:
        return 0.0, f"{published.text} is no possible count of {items}, so its uncertainty is not known"
    low, high = wilson(count, items)
    edge = low if towards < 0 else high
    return abs(edge * metric.factor - published.value), f"{count} of {items} published items"


def _compare(metric: Metric, published: Published, gap: float, half: float, their_half: float, why: str) -> Judgement:
    allowed = sqrt(half**2 + their_half**2) + published.rounding
    margin = metric.margin
    assert margin is not None  # what is set beside printed numbers has one
    side = "above" if gap >= 0 else "below"
    digits = max(2, 1 - floor(log10(margin)))  # a tenth of the margin shows
    reason = (
        f"the published {published.text} lies {abs(gap):.{digits}f} {side} ours; "
        f"{allowed:.{digits}f} is allowed = sqrt({half:.{digits}f}^2 [our interval] + "
        f"{their_half:.{digits}f}^2 [{why}]) "
        f"+ {published.rounding:g} [rounding]; the margin for close is {margin:g}"
    )
    if abs(gap) <= allowed + SLACK:
        return Judgement("reproduced", reason, abs(gap), allowed)
    verdict = "close" if abs(gap) <= margin + SLACK else "differs"
    return Judgement(verdict, reason, abs(gap), allowed)
