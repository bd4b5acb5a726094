"""What trains: a batch of replicas, step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from structgrad.training.results import Example, Result
from structgrad.training.state import Stateful


class Trainee(Stateful, ABC):
    """Replicas that the loop trains until each is done. Their numbers must not depend on when they are saved.

    Attributes:
        roles: of the seeds that its numbers depend on (:class:`structgrad.training.job.Job`); records hold these.
        results: one per replica, in their order, when training is over.
        history: curves by name, means over the replicas that are still active, beside ``epoch`` or ``step``.
        examples: items of the test data with what the first replica predicts, for pictures; most have none.
        length: the most steps that the loop may take, for those who watch; None where that is not known.
    """

    roles: tuple[str, ...]
    results: Sequence[Result]
    history: Mapping[str, list[float]]
    examples: Sequence[Example] = ()

    @property
    def length(self) -> int | None:
        return None

    @abstractmethod
    def step(self) -> tuple[Tensor, dict[str, float]]:
        """One step of every active replica: the mask of those that are done, and numbers to show."""

    @abstractmethod
    def finish(self, done: Tensor) -> None:
        """Evaluate the replicas in the mask and drop them from the batch."""

    @abstractmethod
    def active(self) -> int:
        """How many replicas still train."""


class Untrained(Trainee):
    """A reference, which learns nothing: its results are there from the start."""

    def __init__(
        self, results: Sequence[Result], history: Mapping[str, list[float]], roles: tuple[str, ...] = ("data",)
    ) -> None:
        self.results, self.history, self.roles = results, history, roles

    def step(self) -> tuple[Tensor, dict[str, float]]:
        return torch.ones(len(self.results), dtype=torch.bool), {}

    def finish(self, done: Tensor) -> None:
        pass

    def active(self) -> int:
        return 0
