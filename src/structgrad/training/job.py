"""What an experiment is asked to train, and what it hands back: the border between experiments and evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from structgrad.training.checkpoint import Checkpoint
from structgrad.training.loop import Limits
from structgrad.training.seeds import seeds_for


@dataclass(frozen=True)
class Job:
    """Replicas ``first`` .. ``first + count - 1`` of one arm x setting, and how to run them.

    ``experiment`` is the name that its seeds derive from; ``one_data_set``: all replicas have one data seed.
    """

    experiment: str
    setting: str
    arm: str
    first: int
    count: int
    config: dict[str, Any]
    checkpoint: Checkpoint
    limits: Limits
    show: Callable[[int, int, dict[str, float]], None]
    device: str = "cpu"
    one_data_set: bool = False

    def seeds(self, role: str, arm: str | None) -> list[int]:
        """One seed a replica for a role; ``arm=None`` for what all arms share."""
        return seeds_for(self.experiment, self.setting, arm, self.first, self.count, role, self.one_data_set)


@dataclass(frozen=True)
class Outcome:
    """The seeds that were used by role, one result a replica in order, and curves; how often it was resumed
    and how many seconds it had trained before.

    A result holds ``epochs`` (or ``steps``, by the experiment's clock), ``stopped``, ``metrics`` and ``final`` as in
    the record's schema.
    """

    seeds: dict[str, list[int]]
    results: list[dict[str, Any]]
    history: dict[str, list[float]]
    resumed: int = 0
    seconds_before: float = 0.0
