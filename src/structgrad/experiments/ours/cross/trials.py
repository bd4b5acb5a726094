"""All trials of one method on one task, trained as one batch until their maximiser calls are used up."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from structgrad.errors import UserError
from structgrad.experiments.ours.cross.data import Examples
from structgrad.experiments.ours.cross.hyper_parameters import CrossParameters
from structgrad.experiments.ours.cross.methods import METHODS
from structgrad.experiments.ours.cross.network import Networks
from structgrad.experiments.ours.cross.task import Task
from structgrad.portable import mean
from structgrad.training.adam import Adam
from structgrad.training.job import Seeds
from structgrad.training.results import Mean, Result
from structgrad.training.search import draw
from structgrad.training.seeds import generators
from structgrad.training.trainee import Trainee

STILL = 1.0  # the magnitude of a noise that is not searched, and not used


class Trials(Trainee):
    """R trials, each at a point of its own and on batches of its own, with Adam; the last weights are tested.

    Losses are summed over a batch, whose size Adam does not see. Quality is recorded after the whole budget, half of
    it, a quarter and so on, as often as asked and as long as that many calls are whole steps: ``validation`` and
    ``quality`` (on the test data) of the trial that validates best after so many calls, as if they had been the budget.

    Raises:
        UserError: a budget that is no whole number of steps.
    """

    kept = ("adam", "noise", "draws", "steps", "history", "results")
    roles = ("data", "init", "shuffle", "search", "noise")

    def __init__(self, config: CrossParameters, task: Task, seeds: Seeds) -> None:
        assert config.method is not None
        self.config, self.task = config, task
        self.points = [draw(config.search, seed) for seed in seeds["search"]]
        by_name = {name: [point[name] for point in self.points] for name in config.search}
        self.method = METHODS[config.method](task, by_name, config.samples)
        magnitudes = [point.get("noise", STILL) for point in self.points]
        self.networks = Networks(task.widths, magnitudes, generators(seeds["init"]))
        self.adam = Adam(self.networks.models, by_name["learning_rate"])
        self.draws, self.noise = generators(seeds["shuffle"]), generators(seeds["noise"])
        self.steps = 0
        self.history: dict[str, list[float]] = {"call": [], "active": [], "quality": [], "validation": []}
        self.results: list[Result] = []
        if config.budget % self.calls:
            raise UserError(
                f"budget: {config.budget} calls are no whole number of steps of {self.calls} ({config.batch_size} "
                f"examples, {self.method.calls} calls each); give a multiple of {self.calls}"
            )

    @property
    def calls(self) -> int:
        """Of the maximiser, per step of one trial."""
        return self.config.batch_size * self.method.calls

    @property
    def length(self) -> int:
        return self.config.budget // self.calls

    def step(self) -> tuple[Tensor, dict[str, float]]:
        """One step of every trial."""
        batch = self.task.batch(self.config.batch_size, self.draws)
        theta = self.task.scores(self.networks, *batch.inputs)
        loss = self.method(theta, batch, self.networks.magnitudes(), self.noise)
        self.adam.clear()
        loss.sum().backward()
        self.adam.step()
        self.steps += 1
        if self._due():
            self._record()
        over = torch.full((len(self.points),), self.steps == self.length)
        return over, {name: line[-1] for name, line in self.history.items() if line and name != "active"}

    def finish(self, done: Tensor) -> None:
        """Test every trial at its last weights."""
        test, validation = (self._judged(part) for part in (self.task.data.test, self.task.data.validation))
        magnitudes = self.networks.magnitudes().flatten().tolist()
        for own, values, held, magnitude in zip(self.points, test, _means(validation), magnitudes, strict=True):
            learned = {"noise_learned": magnitude} if self.config.method == "direct" else {}
            final = {**own, **learned, "validation": held}
            self.results.append(Result(self.config.budget, "max_steps", {"quality": Mean.of(values.tolist())}, final))

    def active(self) -> int:
        return 0 if self.results else len(self.points)

    def _due(self) -> bool:
        """Whether so many calls are the budget, half of it, a quarter and so on."""
        used = self.steps * self.calls
        return any(used << place == self.config.budget for place in range(self.config.points))

    def _record(self) -> None:
        validation, test = (_means(self._judged(part)) for part in (self.task.data.validation, self.task.data.test))
        best = max(range(len(validation)), key=validation.__getitem__)  # of equal ones the first
        now = {"call": self.steps * self.calls, "active": 1, "quality": test[best], "validation": validation[best]}
        for name, value in now.items():
            self.history[name].append(float(value))

    def _judged(self, part: Examples) -> Tensor:
        return self.task.judge(self.networks, part)


def _means(values: Tensor) -> Sequence[float]:
    return [mean(one) for one in values]
