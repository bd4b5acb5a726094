"""Random search: trials with hyper-parameters of their own, each validated while it trains and tested at its best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn


class DivergedError(Exception):
    """A trial's numbers are no longer finite; it ends, its siblings go on."""


def draw(boxes: Mapping[str, Sequence[float]], seed: int) -> dict[str, float]:
    """One point of the search: each hyper-parameter log-uniform between the ends of its box.

    A hyper-parameter's value depends on the seed and its own name and box alone.
    """
    point = {}
    for name, (low, high) in boxes.items():
        share = np.random.default_rng([seed, *name.encode()]).random()
        point[name] = float(low * (high / low) ** share)
    return point


def finite(value: Tensor, what: str) -> Tensor:
    """The tensor itself.

    Raises:
        DivergedError: an entry is infinite or NaN.
    """
    if not bool(torch.isfinite(value).all()):
        raise DivergedError(f"{what} is not finite")
    return value


class Trial(Protocol):
    """One network that trains with one point of the search. Its numbers must not depend on when it is saved."""

    network: nn.Module
    optimizer: torch.optim.Optimizer

    def update(self) -> float:
        """One step of the optimiser: the loss before it. Raises :class:`DivergedError` where it is not finite."""
        ...

    def validate(self) -> dict[str, float]:
        """Numbers on the validation data, the search's objective among them; the same for the same weights."""
        ...

    def test(self) -> dict[str, dict[str, float]]:
        """The record's metrics, on the test data; the same for the same weights."""
        ...

    def describe(self) -> dict[str, float]:
        """The point of the search, and what else the record should hold."""
        ...

    def state(self) -> dict[str, Any]:
        """What later steps depend on besides network and optimiser: generators, the place in the data."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        ...


class Search:
    """Trials one after the other. A :class:`structgrad.training.loop.Trainee`; a step is one trial's update.

    A trial is validated before its first step, every ``validate_every`` steps and after the last one. The weights of
    its best validation are tested (paulus, section 7), also where it diverged later; ``steps`` in its result are then
    those before the one that was not finite.

    Args:
        start: makes the trial of that number.
        count: how many there are.
        steps: of each.
        validate_every: steps between validations.
        objective: the number of :meth:`Trial.validate` that is best the higher.
    """

    def __init__(
        self, start: Callable[[int], Trial], count: int, steps: int, validate_every: int, objective: str
    ) -> None:
        self.start, self.count = start, count
        self.steps, self.validate_every, self.objective = steps, validate_every, objective
        self.results: list[dict[str, Any]] = []
        self.curves: list[list[dict[str, float]]] = []  # of each trial, one entry a validation
        self._begin()

    @property
    def history(self) -> dict[str, list[float]]:
        """Means over the trials that got so far, at each validated step."""
        points: dict[float, list[dict[str, float]]] = {}
        for curve in self.curves:
            for point in curve:
                points.setdefault(point["step"], []).append(point)
        history: dict[str, list[float]] = {"step": [], "active": []}
        for step, found in sorted(points.items()):
            history["step"].append(step)
            history["active"].append(float(len(found)))
            for name in found[0]:
                if name != "step":
                    history.setdefault(name, []).append(sum(point[name] for point in found) / len(found))
        return history

    def step(self) -> tuple[Tensor, dict[str, float]]:
        """One update of the trial at hand, and its validation where that is due."""
        done = torch.zeros(self.count, dtype=torch.bool)
        if self.at == 0:
            self._validate()  # a trial cannot have diverged yet: what is not finite here is the model's fault
        try:
            loss = self.trial.update()
            if not isfinite(loss):
                raise DivergedError("the loss is not finite")
            self.losses.append(loss)
            self.at += 1
            if self.at % self.validate_every == 0 or self.at == self.steps:
                self._validate()
            done[len(self.results)] = self.at == self.steps
        except DivergedError:
            self.diverged = True
            done[len(self.results)] = True
        latest = self.curves[-1][-1] if self.curves[-1] else {}
        shown = {name: value for name, value in latest.items() if name != "step"}  # the loop shows the step itself
        return done, {"trial": float(len(self.results) + 1), **shown}

    def active(self) -> int:
        return self.count - len(self.results)

    def finish(self, done: Tensor) -> None:
        """Test the trial at its best weights, and begin the next."""
        trial = self.trial
        trial.network.load_state_dict(self.best["weights"])
        final = {**trial.describe(), "validation": self.best["value"], "best_step": float(self.best["step"])}
        self.results.append(
            {
                "steps": self.at,
                "stopped": "diverged" if self.diverged else "max_steps",
                "metrics": trial.test(),
                "final": final,
            }
        )
        if self.active():
            self._begin()

    def state(self) -> dict[str, Any]:
        return {
            "results": self.results,
            "curves": self.curves,
            "at": self.at,
            "losses": self.losses,
            "best": self.best,
            "network": self.trial.network.state_dict(),
            "optimizer": self.trial.optimizer.state_dict(),
            "trial": self.trial.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.results = state["results"]
        if self.active():
            self._begin()
        self.curves, self.at, self.losses, self.best = (state[key] for key in ("curves", "at", "losses", "best"))
        self.trial.network.load_state_dict(state["network"])
        self.trial.optimizer.load_state_dict(state["optimizer"])
        self.trial.restore(state["trial"])

    def _begin(self) -> None:
        self.trial = self.start(len(self.results))
        self.at, self.diverged = 0, False
        self.losses: list[float] = []  # since the last validation
        self.best: dict[str, Any] = {}
        self.curves.append([])

    def _validate(self) -> None:
        numbers = self.trial.validate()
        for name, value in numbers.items():
            if not isfinite(value):
                raise DivergedError(f"{name} is not finite")
        value = numbers[self.objective]
        if not self.best or value > self.best["value"]:
            weights = {name: tensor.detach().clone() for name, tensor in self.trial.network.state_dict().items()}
            self.best = {"value": value, "step": self.at, "weights": weights}
        if self.at:
            self.curves[-1].append({"step": float(self.at), "loss": sum(self.losses) / len(self.losses), **numbers})
            self.losses = []
