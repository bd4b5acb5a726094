"""Search over hyper-parameters: trials with a point each, validated while they train and tested at their best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from structgrad.portable import total
from structgrad.training.results import Result
from structgrad.training.trainee import Trainee
from structgrad.training.trial import DivergedError, Trial


def draw(boxes: Mapping[Any, Sequence[float]], seed: int) -> dict[str, float]:
    """One point of the search: each hyper-parameter log-uniform between the ends of its box.

    A hyper-parameter's value depends on the seed and its own name and box alone.
    """
    point = {}
    for name, (low, high) in boxes.items():
        share = np.random.default_rng([seed, *name.encode()]).random()
        point[name] = float(low * (high / low) ** share)
    return point


class Search(Trainee):
    """Trials one after the other; a step is one trial's update.

    A trial is validated before its first step, every ``validate_every`` steps and after the last one. The weights of
    its best validation are tested (paulus, section 8), also where it diverged later; ``steps`` in its result are then
    those before the one that was not finite.

    With a grid of ``points``, each replica is so many trials, and only the one of them that validates best (the first
    of equals) is tested: the selection is part of the replica.

    Args:
        start: makes the trial of a replica (from 0) at a point of its grid (from 0).
        count: how many replicas there are.
        roles: of the seeds that they depend on.
        steps: of each trial.
        validate_every: steps between validations.
        objective: the number of :meth:`Trial.validate` that is best the higher.
        points: trials per replica.
    """

    kept = ("results", "ends", "curves", "curve", "at", "losses", "trial_best", "best", "network", "optimizer", "trial")

    def __init__(
        self,
        start: Callable[[int, int], Trial],
        count: int,
        roles: tuple[str, ...],
        steps: int,
        validate_every: int,
        objective: str,
        points: int = 1,
    ) -> None:
        self.start, self.count, self.roles, self.points = start, count, roles, points
        self.steps, self.validate_every, self.objective = steps, validate_every, objective
        self.results: list[Result] = []
        self.curves: list[list[dict[str, float]]] = []  # of each replica's best trial, one entry a validation
        self.ends: list[dict[str, Any]] = []  # of the replica at hand: how each trial went that has ended
        self._begin()

    @property
    def history(self) -> dict[str, list[float]]:
        """Means over the tested trials that got so far, at each validated step."""
        points: dict[float, list[dict[str, float]]] = {}
        for curve in self.curves:
            for point in curve:
                points.setdefault(point["step"], []).append(point)
        history: dict[str, list[float]] = {"step": [], "active": []}
        for step, reached in sorted(points.items()):
            history["step"].append(step)
            history["active"].append(float(len(reached)))
            for name in reached[0]:
                if name != "step":
                    history.setdefault(name, []).append(total(point[name] for point in reached) / len(reached))
        return history

    @property
    def length(self) -> int:
        return self.steps * self.points * self.count

    def step(self) -> tuple[Tensor, dict[str, float]]:
        """One update of the trial at hand, and its validation where that is due."""
        if self.at == 0:
            self._validate()  # a trial cannot have diverged yet: what is not finite here is the model's fault
        over = False
        try:
            loss = self.trial.update()
            if not isfinite(loss):
                raise DivergedError("the loss is not finite")
            self.losses.append(loss)
            self.at += 1
            if self.at % self.validate_every == 0 or self.at == self.steps:
                self._validate()
            over = self.at == self.steps
        except DivergedError:
            self.diverged = over = True
        latest = self.curve[-1] if self.curve else {}
        shown = {name: value for name, value in latest.items() if name != "step"}  # the loop shows the step itself
        numbers = {"trial": float(self.number + 1), **shown}
        if over:
            self._end()
        done = torch.zeros(self.count, dtype=torch.bool)
        done[len(self.results)] = over and len(self.ends) == self.points
        if over and len(self.ends) < self.points:
            self._begin()
        return done, numbers

    def active(self) -> int:
        return self.count - len(self.results)

    def finish(self, done: Tensor) -> None:
        """Test the replica's best trial at its best weights, and begin the next replica."""
        place = max(range(self.points), key=lambda place: self.ends[place]["value"])
        best = self.ends[place]
        trial = self.trial if place == self.points - 1 else self.start(len(self.results), place)
        trial.network.load_state_dict(self.best["weights"])
        trial.restore(self.best["state"])
        final = {**trial.describe(), "validation": best["value"], "best_step": float(best["step"])}
        if self.points > 1:
            final |= {f"validation_of_point_{place}": end["value"] for place, end in enumerate(self.ends)}
        stopped = "diverged" if best["diverged"] else "max_steps"
        self.results.append(Result(best["steps"], stopped, trial.test(), final, trial.examples()))
        self.curves.append(best["curve"])
        self.ends = []
        if self.active():
            self._begin()

    def restore(self, state: dict[str, Any]) -> None:
        self.results, self.ends = state["results"], state["ends"]
        if self.active():
            self._begin()
        super().restore(state)

    @property
    def network(self) -> nn.Module:
        """Of the trial at hand."""
        return self.trial.network

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Of the trial at hand."""
        return self.trial.optimizer

    @property
    def number(self) -> int:
        """Of the trial at hand."""
        return len(self.results) * self.points + len(self.ends)

    def _begin(self) -> None:
        self.trial = self.start(len(self.results), len(self.ends))
        self.at, self.diverged = 0, False
        self.losses: list[float] = []  # since the last validation
        self.curve: list[dict[str, float]] = []
        self.trial_best: dict[str, float] = {}  # where the trial validated best, and how well
        if not self.ends:
            self.best: dict[str, Any] = {}  # the same of the replica, with the weights and the trial's state

    def _end(self) -> None:
        self.ends.append({"steps": self.at, "diverged": self.diverged, "curve": self.curve, **self.trial_best})

    def _validate(self) -> None:
        numbers = self.trial.validate()
        for name, value in numbers.items():
            if not isfinite(value):
                raise DivergedError(f"{name} is not finite")
        value = numbers[self.objective]
        if not self.trial_best or value > self.trial_best["value"]:
            self.trial_best = {"value": value, "step": self.at}
        if not self.best or value > self.best["value"]:
            weights = {name: tensor.detach().clone() for name, tensor in self.trial.network.state_dict().items()}
            self.best = {"value": value, "weights": weights, "state": deepcopy(self.trial.state())}
        if self.at:
            self.curve.append({"step": float(self.at), "loss": total(self.losses) / len(self.losses), **numbers})
            self.losses = []
