"""The rule that turns a number of ours and a printed one into a verdict. It was fixed before results were looked at.

The question is whether the published value could be the same quantity as ours, given all that is known to
blur the two. Three things blur them:

1. **Our sampling**: the 95 % interval over our replicas (:mod:`structgrad.repro.judging.first_intervals`).
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
A short run has a wide interval and is reproduced easily, which is why it was replaced.
"""

from __future__ import annotations

from math import sqrt

from scipy import stats

from structgrad.experiments import Metric
from structgrad.repro.judging.effective import LEVEL
from structgrad.repro.judging.first_intervals import wilson
from structgrad.repro.judging.intervals import Measured
from structgrad.repro.judging.published import Published

NORMAL = float(stats.norm.ppf((1 + LEVEL) / 2))  # 1.96
SLACK = 1e-9  # equality at a border is inside, whatever the last bit says


def first_verdict(
    metric: Metric,
    estimate: Measured | None,
    published: Published | None,
    items: int | None = None,
    *,
    selected: bool = False,
) -> str:
    """Its verdict on one cell whose protocol is not cut; empty where it compares nothing.

    Args:
        metric: what the cell holds; its ``factor`` goes from fractions to the unit.
        estimate: ours by :mod:`structgrad.repro.judging.first_intervals`, in the unit; None without a record.
        published: the paper's, in the same unit; None where it prints nothing.
        items: how many items stand behind the published value, where known.
        selected: whether the published spread is the standard error of a search's selection.
    """
    if estimate is None or published is None or estimate.low is None or estimate.high is None:
        return ""
    if metric.kind == "proportion" and not 0 <= published.value <= metric.factor:
        return ""
    gap = published.value - estimate.value
    half = estimate.high - estimate.value if gap >= 0 else estimate.value - estimate.low
    if selected:
        theirs = selection_half_width(published)
    else:
        theirs = published_half_width(metric, published, items, towards=-1 if gap >= 0 else 1)
    allowed = sqrt(half**2 + theirs**2) + published.rounding
    if abs(gap) <= allowed + SLACK:
        return "reproduced"
    assert metric.margin is not None  # what is set beside printed numbers has one
    return "close" if abs(gap) <= metric.margin + SLACK else "differs"


def selection_half_width(published: Published) -> float:
    """The half-width of a search's published cell, whose spread is a standard error."""
    return NORMAL * (published.spread or 0.0)


def published_half_width(metric: Metric, published: Published, items: int | None, towards: int) -> float:
    """The published value's own half-width on the side ``towards`` (-1 below, +1 above it); zero where its meaning is
    not known.
    """
    if items is None:
        return 0.0
    if metric.kind == "mean":
        return NORMAL * (published.spread or 0.0) / sqrt(items)
    count = round(published.value / metric.factor * items)
    if abs(count / items * metric.factor - published.value) > published.rounding + SLACK:
        return 0.0  # no possible count of so many items
    low, high = wilson(count, items)
    edge = low if towards < 0 else high
    return abs(edge * metric.factor - published.value)
