"""What all learning arms share: the scores' network and its Adam, patience, evaluation, state."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from structgrad.experiments.indelman.sorting.data import Data, Sequences
from structgrad.experiments.indelman.sorting.hyper_parameters import SortingParameters
from structgrad.experiments.indelman.sorting.model import MeanScores
from structgrad.parallel import map_blocks
from structgrad.polytopes.matching import Matching
from structgrad.portable import mean
from structgrad.training.adam import Adam
from structgrad.training.job import Seeds
from structgrad.training.patience import Patience
from structgrad.training.results import Mean, Proportion, Report, Result
from structgrad.training.seeds import generators
from structgrad.training.trainee import Trainee


class Sorters(Trainee):
    """R replicas of one arm, which learn to sort.

    The weights that are evaluated are the last ones, whatever stopped the training (the authors' code), or, where the
    hyper-parameters say so, those of the lowest monitored loss.
    """

    kept = ("replicas", "adam", "patience", "noise", "epoch", "finished", "curves", "best")
    noise_roles: tuple[str, ...] = ()

    def __init__(self, config: SortingParameters, data: Data, seeds: Seeds, device: str = "cpu") -> None:
        self.config, self.data, self.device = config, data.to(device), device
        self.d = data.train.x.shape[-1]
        self.matching = Matching(self.d)
        self.replicas = torch.arange(len(data.train.x))
        self.mean = MeanScores(self.d, config.hidden, generators(seeds["init"]), device, config.initial_weights)
        self.adam = Adam([self.mean.parameters], [config.learning_rate])
        self.patience = Patience(len(self.replicas), config.patience)
        self.noise = {role: generators(seeds[role], device) for role in self.noise_roles}
        self.best: Tensor | None = self._weights() if config.tested_weights == "best" else None
        self.epoch = 0
        self.finished: dict[int, Result] = {}
        self.curves: dict[str, list[float]] = {"epoch": [], "active": [], "loss": []}

    @property
    def roles(self) -> tuple[str, ...]:
        return ("data", "init", "init_sigma", *self.noise_roles)

    @property
    def length(self) -> int:
        return self.config.max_epochs

    @abstractmethod
    def update(self) -> Tensor:
        """One optimiser step on every replica; the monitored loss (R,) float64 before it."""

    def final(self) -> dict[str, Tensor]:
        """Numbers (R,) to record when a replica is done."""
        return {}

    def step(self) -> tuple[Tensor, dict[str, float]]:
        before = None if self.best is None else self._weights()  # the loss is that of the weights before the update
        loss = self.update().cpu()
        self.epoch += 1
        stopped = self.patience.update(loss)
        if self.best is not None and before is not None:
            better = (self.patience.waited == 0).to(self.device)
            self.best = torch.where(better.unsqueeze(1), before, self.best)
        numbers = {"loss": mean(loss)} | {k: mean(v) for k, v in self.final().items()}
        for key, value in {"epoch": self.epoch, "active": self.active(), **numbers}.items():
            self.curves.setdefault(key, []).append(value)
        return stopped | (self.epoch >= self.config.max_epochs), numbers

    def active(self) -> int:
        return len(self.replicas)

    def finish(self, done: Tensor) -> None:
        final = {key: value[done].tolist() for key, value in self.final().items()}
        waited = self.patience.waited[done].tolist()
        wrong = [self._wrong(part, done).cpu() for part in (self.data.test, self.data.extra)]
        for i, replica in enumerate(self.replicas[done].tolist()):
            out_of_patience = self.config.patience is not None and waited[i] >= self.config.patience
            self.finished[replica] = Result(
                self.epoch,
                "patience" if out_of_patience else "max_epochs",
                metrics(wrong[0][i], wrong[1][i], self.d),
                {key: values[i] for key, values in final.items()},
            )
        self.keep(~done)

    def keep(self, mask: Tensor) -> None:
        """Drop finished replicas from every tensor, so that they cost nothing."""
        self.replicas = self.replicas[mask]
        self.data = self.data[mask]
        self.adam.keep(mask)
        self.patience.keep(mask)
        self.best = None if self.best is None else self.best[mask]
        kept = mask.nonzero().flatten().tolist()
        self.noise = {role: [gs[i] for i in kept] for role, gs in self.noise.items()}

    def _wrong(self, part: Sequences, done: Tensor) -> Tensor:
        """Misplaced elements of each sequence ``(replicas done, sequences)`` by the argmax of mu, without noise."""
        chosen = part[done]
        parameters = self.mean.parameters.select(done)
        if self.best is not None:
            parameters.flat = self.best[done]

        @torch.no_grad()
        def misplaced(rows: slice) -> Tensor:
            columns = self.matching.columns(self.mean(chosen.x[rows], parameters.select(rows)))
            return (columns != chosen.order[rows].argsort(-1)).sum(-1)

        return torch.cat(map_blocks(misplaced, len(chosen.x), 1))

    def _weights(self) -> Tensor:
        return self.mean.parameters.flat.detach().clone()

    @property
    def results(self) -> list[Result]:
        return [self.finished[replica] for replica in sorted(self.finished)]

    @property
    def history(self) -> dict[str, list[float]]:
        return _thin(self.curves)

    def restore(self, state: dict[str, Any]) -> None:
        self.keep(torch.isin(self.replicas, state["replicas"]))
        super().restore(state)


def metrics(wrong: Tensor, wrong_extra: Tensor, d: int) -> dict[str, Report]:
    """One replica's metrics from the misplaced elements of each test sequence (docs/protocols/indelman.md, 2.6)."""
    reports: dict[str, Report] = {}
    for suffix, counts in (("", wrong), ("_100", wrong_extra)):
        reports[f"percent_sequences_perfect{suffix}"] = Proportion(int((counts == 0).sum()), len(counts))
        reports[f"prop_wrong_mean{suffix}"] = Mean.of((counts.double() / d).tolist())
    return reports


def _thin(curves: dict[str, list[float]], points: int = 100) -> dict[str, list[float]]:
    """At most so many points of each curve, evenly spaced, the last one always."""
    count = len(curves["epoch"])
    chosen = sorted({round(i * (count - 1) / (points - 1)) for i in range(points)}) if count > points else range(count)
    return {key: [float(f"{values[i]:.6g}") for i in chosen] for key, values in curves.items()}
