"""What an experiment declares: its settings (columns of work), arms (methods) and metrics (what a cell holds)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Arm:
    """One method. ``answers`` names the published column that it is set beside (None: ours alone)."""

    name: str
    column: str
    answers: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Metric:
    """One kind of cell. Replicas report a proportion as successes of trials, a mean as sums over items."""

    name: str
    title: str
    kind: Literal["proportion", "mean"]
    published: str | None = None  # the published metric that it is set beside
    unit: str = "%"
    factor: float = 100.0  # from the fraction in the record to the unit
    digits: int = 1
    higher_is_better: bool = True


@dataclass(frozen=True)
class Experiment:
    """One published table (or figure): what can be run for it and what comes out.

    ``trainer`` names the function ``module:name`` that trains a shard; it is imported only by the job that
    needs it, so that planning, tables and audit never load torch. ``published_items`` says how many items
    (test sequences, images, ...) stand behind a published cell of a metric: the meaning of its uncertainty.
    """

    name: str
    paper: str
    table: str
    title: str
    axis: str
    settings: tuple[str, ...]
    arms: tuple[Arm, ...]
    metrics: tuple[Metric, ...]
    trainer: str
    digester: str
    config: Mapping[str, Any] = field(default_factory=dict)
    arm_config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    published_items: Mapping[str, int] = field(default_factory=dict)

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def metric(self, name: str) -> Metric:
        """The metric of that name."""
        return next(metric for metric in self.metrics if metric.name == name)

    def config_of(self, arm: str) -> dict[str, Any]:
        """The hyper-parameters of an arm: the experiment's, then the arm's own."""
        return {**self.config, **self.arm_config.get(arm, {})}
