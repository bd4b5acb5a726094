"""Networks that train for a fixed number of epochs, are scored after each, and tested with their last weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from structgrad.portable import total
from structgrad.training.results import Result
from structgrad.training.trainee import Trainee
from structgrad.training.trial import DivergedError, Trial


class Epochs(Trainee):
    """Replicas one after the other; a step is one update of one network.

    Nothing is selected: what is scored after an epoch is a point of a curve, and what is tested are the last weights
    (of a replica that diverged, those after its last whole epoch).

    Args:
        start: makes a replica's network and all that trains it, from its number in the batch.
        count: how many replicas there are.
        roles: of the seeds that they depend on.
        epochs: of each replica.
        steps: of an epoch.
    """

    kept = ("results", "curves", "curve", "at", "losses", "whole", "network", "optimizer", "trial")

    def __init__(
        self, start: Callable[[int], Trial], count: int, roles: tuple[str, ...], epochs: int, steps: int
    ) -> None:
        self.start, self.count, self.roles, self.epochs, self.steps = start, count, roles, epochs, steps
        self.results: list[Result] = []
        self.curves: list[list[dict[str, float]]] = []  # of each replica that is done, one entry an epoch
        self._begin()

    @property
    def history(self) -> dict[str, list[float]]:
        """Means over the replicas that got so far, at each epoch."""
        history: dict[str, list[float]] = {"epoch": [], "active": []}
        for epoch in range(max(map(len, self.curves), default=0)):
            reached = [curve[epoch] for curve in self.curves if len(curve) > epoch]
            history["epoch"].append(float(epoch + 1))
            history["active"].append(float(len(reached)))
            for name in reached[0]:
                history.setdefault(name, []).append(total(point[name] for point in reached) / len(reached))
        return history

    @property
    def length(self) -> int:
        return self.steps * self.epochs * self.count

    def step(self) -> tuple[Tensor, dict[str, float]]:
        """One update of the replica at hand, and its scores where an epoch ends."""
        over = False
        try:
            loss = self.trial.update()
            if not isfinite(loss):
                raise DivergedError("the loss is not finite")
            self.losses.append(loss)
            self.at += 1
            if self.at % self.steps == 0:
                self._score()
                over = self.at == self.steps * self.epochs
        except DivergedError:
            self.diverged = over = True
        done = torch.zeros(self.count, dtype=torch.bool)
        done[len(self.results)] = over
        return done, self.curve[-1] if self.curve else {}

    def active(self) -> int:
        return self.count - len(self.results)

    def finish(self, done: Tensor) -> None:
        """Test the replica at hand, and begin the next one."""
        if self.diverged:
            self.network.load_state_dict(self.whole)
        stopped = "diverged" if self.diverged else "max_epochs"
        self.results.append(
            Result(self.at // self.steps, stopped, self.trial.test(), self.trial.describe(), self.trial.examples())
        )
        self.curves.append(self.curve)
        if self.active():
            self._begin()

    def restore(self, state: Mapping[str, Any]) -> None:
        self.results = state["results"]
        if self.active():
            self._begin()
        super().restore(dict(state))

    @property
    def network(self) -> nn.Module:
        """Of the replica at hand."""
        return self.trial.network

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Of the replica at hand."""
        return self.trial.optimizer

    def _begin(self) -> None:
        self.trial = self.start(len(self.results))
        self.at, self.diverged = 0, False
        self.losses: list[float] = []  # of the epoch at hand
        self.curve: list[dict[str, float]] = []
        self.whole = self._weights()

    def _score(self) -> None:
        numbers = {"loss": total(self.losses) / len(self.losses), **self.trial.validate()}
        for name, value in numbers.items():
            if not isfinite(value):
                raise DivergedError(f"{name} is not finite")
        self.curve.append(numbers)
        self.losses, self.whole = [], self._weights()

    def _weights(self) -> dict[str, Tensor]:
        """Copies, after a whole epoch."""
        return {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
