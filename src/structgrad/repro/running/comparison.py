"""Two records of one shard: the same bits, equal results made otherwise, or different ones, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from structgrad.experiments import Experiment
from structgrad.repro.evidence.records import NUMBERS, OUTSIDE_DIGEST
from structgrad.training.results import pooled, report_of

SHOWN = 60  # characters of a value in a line for people


@dataclass(frozen=True)
class Difference:
    """One field, such as ``results.3.final.sigma``, in both records."""

    field: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.field}: {_short(self.before)} before, {_short(self.now)} now"


@dataclass(frozen=True)
class Moved:
    """A metric in the table's unit, over all replicas, and in how many of them it differs."""

    metric: str
    unit: str
    before: float
    now: float
    replicas: int
    of: int

    def __str__(self) -> str:
        moved = f"{self.before:.6g} before, {self.now:.6g} now ({self.now - self.before:+.3g} {self.unit})"
        return f"{self.metric}: {moved}, other in {self.replicas} of {self.of} replicas"


@dataclass(frozen=True)
class Comparison:
    """What a second training says of a record.

    ``made_of`` are the fields that say what a record was made of (sources, libraries, commit, hyper-parameters, seeds)
    and differ; ``first`` is the first number that does, None where results and curves are equal; ``metrics`` the
    metrics that do.
    """

    made_of: tuple[Difference, ...]
    first: Difference | None
    metrics: tuple[Moved, ...]

    @property
    def verdict(self) -> str:
        """``same bits``, ``equal results`` or ``different``."""
        if self.first is not None:
            return "different"
        return "equal results" if self.made_of else "same bits"


def compare(before: Mapping[str, Any], now: Mapping[str, Any], experiment: Experiment) -> Comparison:
    """Two records of one shard, without what two runs of it may always differ in (times, memory, machine)."""
    fields = [key for key in dict.fromkeys([*before, *now]) if key not in OUTSIDE_DIGEST]
    made_of = [found for key in fields if key not in NUMBERS for found in _differences(key, before, now)]
    numbers = (found for key in NUMBERS for found in _differences(key, before, now))
    return Comparison(tuple(made_of), next(numbers, None), tuple(_moved(before, now, experiment)))


def _differences(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    yield from _walk(key, before.get(key), now.get(key))


def _walk(field: str, before: Any, now: Any) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*before, *now]):
            yield from _walk(f"{field}.{key}", before.get(key), now.get(key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from _walk(f"{field}.{index}", old, new)
    elif before != now:
        yield Difference(field, before, now)


def _moved(before: Mapping[str, Any], now: Mapping[str, Any], experiment: Experiment) -> Iterator[Moved]:
    for metric in experiment.metrics:
        old, new = (_reports(record["results"], metric.name) for record in (before, now))
        other = sum(old[replica] != new[replica] for replica in old.keys() & new.keys())
        if other:
            was, now_is = (metric.factor * pooled(map(report_of, reports.values())) for reports in (old, new))
            yield Moved(metric.name, metric.unit, was, now_is, other, len(old))


def _reports(results: Sequence[Mapping[str, Any]], metric: str) -> dict[int, Mapping[str, Any]]:
    return {result["replica"]: result["metrics"][metric] for result in results if metric in result["metrics"]}


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
