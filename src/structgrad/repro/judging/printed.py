"""What a printed number may be off by: its interval at its own level of replicas, where its meaning is known.

A printed value is a mean over replicas of the same law as ours, if it reproduces at all. How much its items depend on
each other the paper does not say, but our replicas do: a **design effect**, the variance of our mean over what it would
be if all items were independent. Printed items are divided by it, so that 500 test sequences of five trainings that
learn all or nothing count as five.
"""

from __future__ import annotations

from dataclasses import dataclass

from structgrad.experiments import Metric
from structgrad.repro.judging.effective import NORMAL, Pooled, interval, student
from structgrad.repro.judging.published import Published
from structgrad.repro.judging.rule import SLACK, Ends
from structgrad.repro.judging.sampling import Sampling


@dataclass(frozen=True)
class Print:
    """What is known of the trainings behind a printed cell.

    Attributes:
        items: how many test items stand behind it (sequences, images, folds); None where that is not known.
        replicas: from how many trainings they come; of a search, how many trials it had.
        all_or_nothing: whether a training may fail to learn altogether.
        selected: whether the printed spread is the standard error of a search's selection.
    """

    items: int | None = None
    replicas: int | None = None
    all_or_nothing: bool = False
    selected: bool = False


def ends_of(metric: Metric, published: Published, known: Print, ours: Sampling) -> tuple[Ends, str]:
    """The printed value with its interval, in the metric's unit, and in words where that comes from.

    Both ends are the value itself where nothing is known.
    """
    if known.selected:
        return _of_selection(published)
    half_why = _unknown(metric, published, known)
    if half_why:
        return Ends(published.value, published.value, published.value), half_why
    assert known.items is not None
    value = published.value / metric.factor
    if metric.kind == "proportion":
        variance = value * (1 - value) / known.items * ours.design_effect
        size = known.items / ours.design_effect
        pooled = Pooled(value, variance, known.items, known.items)
        most = min(size, known.replicas) if known.all_or_nothing and known.replicas else size
        low, high = interval(pooled, metric.bounds, most)
        why = f"{published.text} of {known.items} items"
    else:
        assert published.spread is not None
        low, high = _of_mean(metric, value, published.spread / metric.factor, known, ours)
        why = f"+- {published.spread_text} over {known.items} items"
    if ours.design_effect > 1:
        why += f", {ours.design_effect:.2g} of which count as one"
    if known.all_or_nothing:
        why += f", no more than {known.replicas} trainings"
    return Ends(published.value, low * metric.factor, high * metric.factor), why


def _of_selection(published: Published) -> tuple[Ends, str]:
    value, spread = published.value, published.spread
    if spread is None:
        return Ends(value, value, value), "no standard error is printed"
    half = NORMAL * spread
    return Ends(value, value - half, value + half), f"+- {published.spread_text}, the standard error of the selection"


def _unknown(metric: Metric, published: Published, known: Print) -> str:
    """Why nothing is known of the printed value's sampling; empty where something is."""
    if known.items is None:
        return "the number of printed items is not known"
    if metric.kind == "mean":
        return "" if published.spread is not None else "no spread is printed"
    count = round(published.value / metric.factor * known.items)
    if abs(count / known.items * metric.factor - published.value) > published.rounding + SLACK:
        return f"{published.text} is no possible count of {known.items}"
    return ""


def _of_mean(metric: Metric, value: float, spread: float, known: Print, ours: Sampling) -> tuple[float, float]:
    """The interval of a mean whose "+-" is the deviation over items, or over replicas (such as folds)."""
    assert known.items is not None
    if metric.spread == "replicas":  # a population deviation: of a sample it is larger by n / (n - 1)
        variance = spread**2 / max(1, known.items - 1) * ours.fold_ratio**2
    else:
        variance = spread**2 / known.items * ours.design_effect
    most = float(known.replicas) if known.all_or_nothing and known.replicas else None
    return interval(Pooled(value, variance, known.items, known.items), metric.bounds, most)


def of_ours(sampling: Sampling, metric: Metric, known: Print) -> Ends:
    """Our own value with its interval, in the metric's unit.

    Raises:
        ValueError: one replica.
    """
    pooled = sampling.pooled
    student(pooled.replicas)
    most = pooled.items if metric.kind == "proportion" else None
    if known.all_or_nothing:
        most = float(pooled.replicas)
    low, high = interval(pooled, metric.bounds, most)
    return Ends(pooled.value * metric.factor, low * metric.factor, high * metric.factor)
