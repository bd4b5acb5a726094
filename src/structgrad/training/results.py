"""What trainings report of a replica, and how it stands in a record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import fsum
from typing import Any, Literal

Stopped = Literal["patience", "max_epochs", "max_steps", "diverged", "untrained"]


@dataclass(frozen=True)
class Proportion:
    """``successes`` of ``trials``: whole numbers, such as test images that are classified rightly.

    Raises:
        ValueError: no trials, or more successes than trials.
    """

    successes: int
    trials: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.trials or self.trials < 1:
            raise ValueError(f"{self.successes} successes of {self.trials} trials are no proportion")

    @property
    def parts(self) -> tuple[float, int]:
        """Numerator and denominator, each of which adds up over replicas."""
        return self.successes, self.trials

    @property
    def value(self) -> float:
        """The share of successes."""
        return self.successes / self.trials


@dataclass(frozen=True)
class Mean:
    """A mean over ``count`` items by its sums, from which means and deviations over more items can be pooled.

    Raises:
        ValueError: no items.
    """

    sum: float
    sum_squares: float
    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError("a mean needs at least one item")

    @classmethod
    def of(cls, values: Iterable[float]) -> Mean:
        """Of one number per item, rounded once whatever their order."""
        numbers = [float(value) for value in values]
        return cls(fsum(numbers), fsum(number * number for number in numbers), len(numbers))

    @property
    def parts(self) -> tuple[float, int]:
        """Numerator and denominator, each of which adds up over replicas."""
        return self.sum, self.count

    @property
    def value(self) -> float:
        """The mean."""
        return self.sum / self.count


Report = Proportion | Mean
Example = Mapping[str, Sequence[float] | Sequence[str] | str]  # a test item and what is predicted for it, for pictures
KINDS: Mapping[str, type[Proportion] | type[Mean]] = {"proportion": Proportion, "mean": Mean}


def report_of(content: Mapping[str, Any]) -> Report:
    """The report that a record holds as ``successes`` and ``trials``, or as ``sum``, ``sum_squares`` and ``count``.

    Raises:
        TypeError: it holds something else.
        ValueError: numbers that no replica can report.
    """
    return Proportion(**content) if "trials" in content else Mean(**content)


def pooled(reports: Iterable[Report]) -> float:
    """The value over the items of all replicas together."""
    numerators, denominators = zip(*(report.parts for report in reports), strict=True)
    return fsum(numerators) / sum(denominators)


@dataclass(frozen=True)
class Result:
    """One replica: how long it trained in epochs or steps (the experiment's clock), why it stopped, what it scores on
    the test data by metric, the state that it ended in (such as sigma), and what a figure shows of a few items.
    """

    length: int
    stopped: Stopped
    metrics: Mapping[str, Report]
    final: Mapping[str, float] = field(default_factory=dict)
    examples: Sequence[Example] = ()

    def content(self, clock: str) -> dict[str, Any]:
        """As a record holds it, ``clock`` being ``epoch`` or ``step``."""
        metrics = {name: asdict(report) for name, report in self.metrics.items()}
        content = {f"{clock}s": self.length, "stopped": self.stopped, "metrics": metrics, "final": dict(self.final)}
        return {**content, "examples": [dict(item) for item in self.examples]} if self.examples else content
